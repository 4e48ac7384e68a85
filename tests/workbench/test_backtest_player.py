"""History is played as it would have been lived: slot by slot, whatever is passed over and wherever it is cut."""

import asyncio
import re
from dataclasses import replace
from datetime import timedelta

import pytest

import history as made_up
from rollback_guard.adapters.ephemeral import EphemeralPrometheus
from rollback_guard.adapters.prometheus import crowd
from rollback_guard.core.fold import fold_all
from rollback_guard.core.observation import Reading
from rollback_guard.core.records import Concluded, Decided, Evaluated, Intended, Outcome
from rollback_guard.core.slots import slots_between
from rollback_guard.core.state import State
from rollback_guard.core.step import begin, conclude, expected, step
from rollback_guard.workbench.backtest import history
from rollback_guard.workbench.backtest.events import Deploy

HOURS = 6


@pytest.fixture(scope="module", params=[1, 2, 3])
def server(request):
    with EphemeralPrometheus.start() as running:
        running.write(made_up.past(HOURS, request.param))
        yield running


@pytest.fixture
def policy(tmp_path):
    return made_up.policy_of(tmp_path)


def story(results):
    """Return what was counted, without what only tells how it was played."""
    return {
        "rules": {
            id_: (each.slots, each.unknown, each.nearest, each.firing, each.pending, each.unseen)
            for id_, each in results.rules.items()
        },
        "guards": results.guards,
    }


def test_what_is_passed_over_would_have_changed_nothing(server, policy, monkeypatch):
    monkeypatch.setattr(crowd, "FEW", 0)
    quick, player = made_up.played(policy, server.url, hours=HOURS)
    slow, thorough = made_up.played(policy, server.url, hours=HOURS, skips=False)
    assert story(quick) == story(slow)
    assert sum(each.firings for each in quick.rules.values()) > 5
    assert quick.guards["shop"].incidents
    assert player.shown < 0.8 * thorough.shown


def test_where_history_is_cut_changes_nothing(server, policy, monkeypatch):
    whole, _ = made_up.played(policy, server.url, hours=HOURS)
    monkeypatch.setattr(history, "FIRST_SLOTS", 11)
    monkeypatch.setattr(history, "MOST_SLOTS", 37)
    pieces, _ = made_up.played(policy, server.url, hours=HOURS)
    assert story(pieces) == story(whole)


def test_history_makes_the_records_that_a_running_guard_would_have_made(server, policy):
    heard = []
    made_up.played(policy, server.url, hours=HOURS, skips=False, heard=heard)
    lived = asyncio.run(live(policy, server.url))
    expected_story = [told(record) for record in lived if is_told(record)]
    assert len(expected_story) > 20
    assert [told(record) for record in heard if is_told(record)] == expected_story


def is_told(record):
    return isinstance(record, (Decided, Intended)) or (isinstance(record, Evaluated) and record.transitions)


def told(record):
    """Return a record without the ids that carry the time of the start."""
    if isinstance(record, Evaluated):
        return record.group, record.slot, record.transitions
    return (
        type(record).__name__,
        record.at,
        record.guard,
        record.action,
        getattr(record, "decision", ""),
        getattr(record, "reason", ""),
    )


async def live(policy, url):
    """Ask for every slot by itself, as the daemon does, and let actions succeed at once."""
    source = made_up.source_of(url)
    state, records = State(), []
    end = made_up.START + timedelta(hours=HOURS)

    def take(new):
        nonlocal state
        records.extend(new)
        state = fold_all(state, new)
        for record in new:
            if isinstance(record, Intended):
                done = Concluded(
                    key=record.key,
                    incident=record.incident,
                    guard=record.guard,
                    action=record.action,
                    at=record.at,
                    outcome=Outcome.SUCCEEDED,
                )
                take(conclude(policy, state, done))

    take(begin(policy, state, now=made_up.START - timedelta(minutes=1), version="test"))
    slots = sorted(
        (slot, place, group)
        for place, group in enumerate(policy.groups)
        for slot in slots_between(
            made_up.START - timedelta(microseconds=1), end, policy.groups[group].interval, policy.groups[group].offset
        )
    )
    for slot, _, group in slots:
        said = await source.read(policy.groups[group], slot, expected(state, group))
        take(step(policy, state, Reading(group=group, slot=slot, observations=said), now=slot).records)
    await source.close()
    return records


BEATS = {"heartbeat": "count(up) or count(queue_length)", "heartbeat_selectors": ("up", "queue_length")}


@pytest.mark.parametrize("heartbeat", [{}, {"heartbeat": "count(up)", "heartbeat_selectors": ("up",)}, BEATS])
def test_a_survey_observes_what_reading_back_does(server, policy, heartbeat):
    async def both():
        source = made_up.source_of(server.url, **heartbeat)
        for group in policy.groups.values():
            slots = slots_between(made_up.START, made_up.START + timedelta(hours=3), group.interval, group.offset)
            survey = await source.survey(group, slots)
            back = await source.read_range(group, slots, {})
            for place, slot in enumerate(slots):
                yield survey.observe(place), back[slot]
        await source.close()

    async def differences():
        return [(one, other) async for one, other in both() if undated(one) != undated(other)]

    assert asyncio.run(differences()) == []


def undated(observations):
    """Return observations without the time of the newest sample, which a survey only bounds, and with NaN alike."""
    return {
        rule: re.sub("is of [0-9:]+Z", "is old", repr(replace(each, stale_since=each.stale_since and made_up.START)))
        for rule, each in observations.items()
    }


def test_a_deploy_begins_a_rollout(server, tmp_path):
    text = made_up.RULES.replace("    warm_up: 1m", "    armed: rollout\n    window: 2h")
    policy = made_up.policy_of(tmp_path, text)
    unarmed, _ = made_up.played(policy, server.url, hours=HOURS)
    assert not unarmed.guards["shop"].incidents
    assert unarmed.guards["shop"].held["not_armed"]
    deploys = [Deploy(at=made_up.START + timedelta(hours=hour), version=f"v{hour}") for hour in (0, 2, 4)]
    armed, _ = made_up.played(policy, server.url, hours=HOURS, deploys=deploys)
    assert armed.guards["shop"].incidents


def test_another_step_evaluates_more_rarely(server, policy):
    results, _ = made_up.played(policy, server.url, hours=HOURS, step=timedelta(minutes=5))
    assert {each.slots for each in results.rules.values()} <= {HOURS * 12, HOURS * 12 + 1}


def test_the_nearest_value_is_that_of_the_worst_slot(server, policy):
    results, _ = made_up.played(policy, server.url, hours=HOURS)
    seen = [high for high in results.rules["shop/Slow"].high if high is not None]
    assert results.rules["shop/Slow"].nearest.value == max(seen) == 0.9
