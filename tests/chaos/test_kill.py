"""Kill the real daemon with SIGKILL around an effect that an independent process counts: always exactly one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chaos import figures
from chaos.process import read
from chaos.world import World, wait_for, world
from rollback_guard.core.records import Concluded, IncidentEnded, Intended, Outcome, Reason, Record

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "1"))
"""More of them in the nightly run."""


def kill_once(home: Path, plan: str, delay: float) -> tuple[World, list[str]]:
    with world(home, plan=plan, delay=delay) as it:
        it.start()
        it.wait_killed()
        it.start()
        finish(it)
        return it, it.effects()


def finish(it: World) -> None:
    """Let the guard come to the end of its incident, then stop it."""
    wait_for(lambda: closed(it), "the incident to end", log=it.log)
    it.stop()


def closed(it: World) -> bool:
    found = it.incidents()
    return bool(found) and all(each["phase"] == "closed" for each in found)


async def assert_one_story(it: World, effects: list[str]) -> None:
    records: list[Record] = await read(it.state)
    intents = [each for each in records if isinstance(each, Intended)]
    outcomes = [each for each in records if isinstance(each, Concluded)]
    ends = [each for each in records if isinstance(each, IncidentEnded)]
    figures.add_run(kills=it.kills, flaw=it.flaw())
    figures.add_effects([each.key for each in intents], effects)
    assert it.flaw() is None
    assert [each.key for each in intents] == effects, "one effect, under the key of the one intent"
    assert [(each.key, each.outcome) for each in outcomes] == [(intents[0].key, Outcome.SUCCEEDED)]
    assert [each.reason for each in ends] == [Reason.VERIFIED]


@pytest.fixture(scope="module")
def hands() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(3) as pool:
        yield pool


@pytest.mark.promise(1)
@pytest.mark.promise(4)
@pytest.mark.parametrize(
    ("plan", "delays"),
    [
        ("before", [0.0]),
        ("orphan", [0.05, 0.3, 1.0, 3.0]),
        ("during", [0.0, 0.005, 0.02]),
        ("after", [0.0]),
    ],
)
async def test_a_kill_around_the_effect_leaves_exactly_one_effect(plan, delays, tmp_path, hands):
    runs = [
        hands.submit(kill_once, tmp_path / f"{number}-{delay}", plan, delay)
        for number in range(ROUNDS)
        for delay in delays
    ]
    for run in runs:
        it, effects = run.result()
        assert it.kills == 1
        await assert_one_story(it, effects)


def kill_starts(home: Path, plan: str, moments: list[float]) -> tuple[World, list[str]]:
    """Kill after the effect, then again and again while the daemon starts."""
    with world(home, plan=plan) as it:
        it.start()
        it.wait_killed()
        for moment in moments:
            it.start()
            it.live_for(moment)
            it.kill()
        it.start()
        finish(it)
        return it, it.effects()


@pytest.mark.promise(1)
@pytest.mark.promise(4)
@pytest.mark.parametrize("plan", ["before", "after"])
async def test_kills_during_the_next_start_leave_exactly_one_effect(plan, tmp_path, hands):
    moments = [0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0]
    runs = [
        hands.submit(kill_starts, tmp_path / str(shift), plan, [moment + 0.05 * shift for moment in moments])
        for shift in range(ROUNDS)
    ]
    for run in runs:
        it, effects = run.result()
        assert it.kills == 1 + len(moments)
        await assert_one_story(it, effects)


@pytest.mark.promise(4)
async def test_a_kill_while_an_open_intent_is_inspected_leaves_exactly_one_effect(tmp_path):
    home = tmp_path / "inspection"
    with world(home, plan="inspection") as it:
        it.start()
        it.wait_killed()
        it.start()
        finish(it)
        effects = it.effects()
    await assert_one_story(it, effects)
