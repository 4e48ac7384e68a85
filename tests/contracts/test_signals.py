"""Alerts from elsewhere are rules like any other: what fires is a breach, what does not passes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rollback_guard.adapters.signals import SignalSource
from rollback_guard.core.condition import Condition
from rollback_guard.core.evaluation import evaluate
from rollback_guard.core.judgement import judge
from rollback_guard.core.model import Group, Labels, Phase, Rule, Verdict, labels_of
from rollback_guard.core.observation import Reading
from rollback_guard.core.orders import Signal
from rollback_guard.ports import Source

SLOT = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def rule(name: str, *, guard: str = "shop") -> Rule:
    return Rule(
        id=f"signal/{guard}/{name}",
        group=f"signal/{guard}",
        name=name,
        fingerprint="signal",
        condition=Condition(expr=name, query=name),
    )


CORRUPT, BREACHED = rule("DataCorrupt"), rule("SecurityBreach")
GROUP = Group(
    id="signal/shop", source="signal", interval=timedelta(seconds=5), offset=timedelta(0), rules=(CORRUPT, BREACHED)
)


def signal(name: str, *, guard: str = "shop", firing: bool = True, at: datetime = SLOT, **labels: str) -> Signal:
    summary = labels.pop("summary", "")
    return Signal(
        guard=guard, name=name, labels=labels_of(labels), firing=firing, starts_at=at, heard_at=at, summary=summary
    )


async def judged(*signals: Signal) -> dict[str, tuple[Verdict, list[Labels]]]:
    source: Source = SignalSource(lambda: signals)
    observations = await source.read(GROUP, SLOT, {})
    assert observations.keys() == {CORRUPT.id, BREACHED.id}
    verdicts = {each.name: judge(each, observations[each.id], {}) for each in GROUP.rules}
    return {
        name: (found.verdict, [each.series for each in found.series if each.verdict is Verdict.BREACH])
        for name, found in verdicts.items()
    }


async def test_without_signals_every_rule_passes():
    assert await judged() == {"DataCorrupt": (Verdict.PASS, []), "SecurityBreach": (Verdict.PASS, [])}


async def test_a_firing_alert_breaches_the_rule_of_its_name_with_its_labels():
    found = await judged(signal("DataCorrupt", db="orders", severity="critical"))
    assert found["DataCorrupt"] == (Verdict.BREACH, [(("db", "orders"), ("severity", "critical"))])
    assert found["SecurityBreach"] == (Verdict.PASS, [])


@pytest.mark.parametrize(
    "other",
    [
        signal("DataCorrupt", guard="cart"),
        signal("DataCorrupt", firing=False),
        signal("SomethingElse"),
        signal("datacorrupt"),
    ],
)
async def test_alerts_of_other_guards_resolved_ones_and_ones_of_other_names_are_none(other):
    assert {verdict for verdict, _ in (await judged(other)).values()} == {Verdict.PASS}


async def test_alerts_with_different_labels_are_different_series_and_equal_ones_are_one():
    found = await judged(
        signal("DataCorrupt", db="b"),
        signal("DataCorrupt", db="a"),
        signal("DataCorrupt", db="a", at=SLOT - MINUTE),
        signal("DataCorrupt"),
    )
    assert found["DataCorrupt"] == (Verdict.BREACH, [(), (("db", "a"),), (("db", "b"),)])


async def test_a_signal_begins_an_alert_and_its_end_ends_it():
    signals = [signal("DataCorrupt", db="a"), signal("DataCorrupt", db="b")]
    source = SignalSource(lambda: tuple(signals))
    observations = await source.read(GROUP, SLOT, {})
    evaluated, _ = evaluate(GROUP, None, Reading(group=GROUP.id, slot=SLOT, observations=observations))
    assert {alert.series for alert in evaluated.alerts} == {(("db", "a"),), (("db", "b"),)}
    assert {alert.phase for alert in evaluated.alerts} == {Phase.FIRING}
    active = {alert.series: alert for alert in evaluated.alerts}

    signals[0] = signal("DataCorrupt", db="a", firing=False)
    observation = (await source.read(GROUP, SLOT + GROUP.interval, {}))[CORRUPT.id]
    verdicts = {each.series: each.verdict for each in judge(CORRUPT, observation, active).series}
    assert verdicts == {(("db", "a"),): Verdict.PASS, (("db", "b"),): Verdict.BREACH}


async def test_the_summary_is_told_once():
    source = SignalSource(
        lambda: (
            signal("DataCorrupt", db="a", summary="orders are wrong"),
            signal("DataCorrupt", db="b", summary="orders are wrong"),
        )
    )
    assert (await source.read(GROUP, SLOT, {}))[CORRUPT.id].detail == "orders are wrong"


async def test_past_slots_are_all_answered_and_know_an_alert_from_its_begin_on():
    source = SignalSource(lambda: (signal("DataCorrupt", at=SLOT - MINUTE),))
    slots = [SLOT - n * MINUTE for n in range(4)]
    found = await source.read_range(GROUP, slots, {})
    assert [judge(CORRUPT, found[slot][CORRUPT.id], {}).verdict for slot in slots] == [
        Verdict.BREACH,
        Verdict.BREACH,
        Verdict.PASS,
        Verdict.PASS,
    ]
    assert all(found[slot].keys() == {CORRUPT.id, BREACHED.id} for slot in slots)
    await source.close()
