"""Kill the real daemon at every named point of its path: intent, effect, outcome, verify, next step, notice, checkpoint.

In the normal run every point is hit once; `CHAOS_ROUNDS=14` makes more than three hundred kills, as the nightly run does.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from chaos.ladder import ladder
from chaos.test_kill import read
from rollback_guard.core.records import Concluded, IncidentEnded, Intended, Outcome, Reason

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "1"))

POINTS = [
    f"{side}:{what}"
    for side in ("before", "after")
    for what in (
        "incident_opened:1",
        "intended:1",
        "concluded:1",
        "watched:1",
        "intended:2",
        "concluded:2",
        "watched:2",
        "incident_ended:1",
        "notice:1",
        "sent:1",
        "sent:3",
    )
]
"""Side, what, and which time it comes by: the second intent is that of the next step."""


def kill_at(home, point):
    with ladder(home) as it:
        it.start(point=point)
        it.wait_killed()
        it.start()
        it.finish()
        command = [sys.executable, "-m", "rollback_guard.cli", "journal", "verify", str(home / "guard.db")]
        verified = subprocess.run(command, capture_output=True, text=True)
        assert verified.returncode == 0, verified
        return it.seen()


@pytest.fixture(scope="module")
def hands() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(3) as pool:
        yield pool


async def assert_one_story(home, seen):
    """Two effects in their order, each under its own key, and everybody told at least once."""
    records = await read(home)
    intents = [each for each in records if isinstance(each, Intended)]
    outcomes = {each.key: each.outcome for each in records if isinstance(each, Concluded)}
    ends = [each.reason for each in records if isinstance(each, IncidentEnded)]
    assert [each["step"] for each in seen["effects"]] == ["flag-off", "rollback"]
    assert [each["key"] for each in seen["effects"]] == [each.key for each in intents]
    assert outcomes == {each.key: Outcome.SUCCEEDED for each in intents}
    assert ends == [Reason.VERIFIED]
    kinds = {each["kind"] for each in seen["told"]}
    assert kinds >= {"opened", "acting", "acted", "recovered"}


@pytest.mark.promise(1)
@pytest.mark.promise(40)
async def test_a_kill_at_any_point_of_the_ladder_loses_and_doubles_nothing(tmp_path, hands):
    runs = [
        (home, point, hands.submit(kill_at, home, point))
        for number in range(ROUNDS)
        for point in POINTS
        for home in [tmp_path / f"{number}-{point.replace(':', '-')}"]
    ]
    for home, point, run in runs:
        try:
            await assert_one_story(home, run.result())
        except AssertionError as error:
            raise AssertionError(f"{point}: {error}") from error
