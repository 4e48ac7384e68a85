"""Kill the real daemon at every named point of its path, one after the other in one story.

Intent, effect, outcome, verification, next step, notice, checkpoint, countdown, a person's undo and trigger: each life
goes on from what the last one left, and at the end nothing is lost and nothing is doubled. `CHAOS_ROUNDS=6` plays every
story six times, from the second on with other deaths in another order: with `test_kill.py` more than three hundred.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from chaos.scenario import Scenario, approve, play, trigger, undo

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "1"))

FLAG_OFF = {"action": "flag-off", "verify": {"within": "3s", "stable_for": "1s"}}
ROLLBACK = {"action": "rollback", "verify": {"within": "60s", "stable_for": "1s"}}
MEND = {"action": "mend", "verify": {"within": "60s", "stable_for": "1s"}}

SCENARIOS = [
    Scenario(
        name="first step",
        points=[
            "before:intended:1",
            "after:intended:1",
            "effect:before",
            "effect:after",
            "before:concluded:1",
            "after:concluded:1",
        ],
        playbook=[FLAG_OFF, ROLLBACK],
        steps=["flag-off", "rollback"],
        more={},
    ),
    Scenario(
        name="next step",
        points=[
            "before:intended:2",
            "after:intended:1",
            "effect:after",
            "before:concluded:1",
            "after:concluded:1",
            "before:watched:1",
            "after:watched:1",
            "before:incident_ended:1",
            "after:incident_ended:1",
        ],
        playbook=[FLAG_OFF, ROLLBACK],
        steps=["flag-off", "rollback"],
        more={},
    ),
    Scenario(
        name="people",
        points=[
            "before:notice:1",
            "after:notice:1",
            "before:verify:1",
            "after:verify:1",
            "before:sent:1",
            "after:sent:1",
        ],
        playbook=[FLAG_OFF, ROLLBACK],
        steps=["flag-off", "rollback"],
        more={},
    ),
    Scenario(
        name="files",
        points=[
            "before:checkpoint:1",
            "after:keep:1",
            "after:checkpoint:1",
            "before:prune:1",
            "before:forget:2",
            "after:forget:1",
            "after:prune:1",
        ],
        playbook=[{**MEND, "approve": "10m"}],
        steps=["mend"],
        more={},
        order=approve,
        orders_last=True,
        kinds=frozenset({"opened", "waiting", "acting", "acted", "recovered"}),
    ),
    Scenario(
        name="countdown",
        points=["before:awaited:1", "after:awaited:1", "before:intended:1", "after:intended:1", "before:verify:1"],
        playbook=[MEND],
        steps=["mend"],
        more={"veto": "1s"},
        kinds=frozenset({"opened", "waiting", "acting", "acted", "recovered"}),
    ),
    Scenario(
        name="undo",
        points=["before:undo:1", "after:undo:1", "effect:before", "effect:after", "before:concluded:1"],
        playbook=[MEND],
        steps=["mend", "flag-on"],
        more={},
        order=undo,
    ),
    Scenario(
        name="trigger",
        points=[
            "before:triggered:1",
            "after:triggered:1",
            "effect:after",
            "before:concluded:1",
            "after:intended:1",
            "effect:before",
            "after:concluded:1",
        ],
        playbook=[FLAG_OFF, ROLLBACK],
        steps=["flag-off", "rollback"],
        more={},
        order=trigger,
        begins_up=True,
        kinds=frozenset({"acting", "acted", "recovered", "ordered"}),
    ),
]


@pytest.fixture(scope="module")
def hands() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(3) as pool:
        yield pool


@pytest.mark.promise(1)
@pytest.mark.promise(4)
@pytest.mark.promise(40)
async def test_kills_at_every_point_of_the_path_lose_nothing_and_double_nothing(tmp_path, hands):
    runs = {}
    for number in range(ROUNDS):
        for scenario in SCENARIOS:
            played = scenario.shuffled(number) if number else scenario
            home = tmp_path / f"{number}-{scenario.name.replace(' ', '-')}"
            runs[home.name, tuple(played.points)] = hands.submit(play, played, home)
    for (name, points), run in runs.items():
        try:
            await run.result().assert_whole()
        except AssertionError as error:
            raise AssertionError(f"{name} with {points}: {error}") from error
