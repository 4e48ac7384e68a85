"""Make one check as the engine does, and read what came of it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from rollback_guard.adapters.clock import SystemClock
from rollback_guard.adapters.probe import ProbeSource
from rollback_guard.core.condition import Comparison, Condition, Operator
from rollback_guard.core.model import Group, Rule
from rollback_guard.core.observation import Answer, Failure, Observation, Unknown
from rollback_guard.ports import Source
from rollback_guard.specs import Expectation, ProbeSpec
from targets import target

SLOT = datetime(2026, 1, 1, tzinfo=UTC)
TIMEOUT = timedelta(milliseconds=400)
GENEROUS = timedelta(seconds=10)


class Counts:
    """A telemetry that only remembers what was queried."""

    def __init__(self) -> None:
        self.queries: Counter[str] = Counter()

    def queried(self, source: str, result: str, seconds: float) -> None:
        assert source == "probe"
        assert seconds >= 0
        self.queries[result] += 1


def group_of(name: str) -> Group:
    condition = Condition(expr="up", query="up", comparison=Comparison(op=Operator.LESS, threshold=1))
    rule = Rule(id=f"probe/{name}", group=f"probe/{name}", name=name, fingerprint="x", condition=condition)
    return Group(id=rule.id, source="probe", interval=timedelta(seconds=10), offset=timedelta(0), rules=(rule,))


def spec_of(url: str, *, timeout: timedelta = GENEROUS, **settings) -> ProbeSpec:
    expect = {name: settings.pop(name) for name in Expectation.__slots__ if name in settings}
    return ProbeSpec(rule="probe/shop", url=url, timeout=timeout, expect=Expectation(**expect), **settings)


async def look(spec: ProbeSpec, counts: Counts | None = None) -> Observation:
    source: Source = ProbeSource({spec.rule: spec}, SystemClock(), counts or Counts())
    try:
        observations = await source.read(group_of("shop"), SLOT, {})
    finally:
        await source.close()
    assert observations.keys() == {spec.rule}
    return observations[spec.rule]


async def look_at(speak, path: str = "/", **settings) -> Observation:
    async with target(speak) as port:
        return await look(spec_of(f"http://127.0.0.1:{port}{path}", **settings))


def value_of(observation: Observation) -> float:
    assert isinstance(observation.measured, Answer), observation
    (sample,) = observation.measured.samples
    assert sample.labels == ()
    return sample.value


def not_made(observation: Observation) -> str:
    assert observation.measured == Failure(Unknown.PROBE_NOT_MADE, observation.measured.detail)
    assert observation.measured.detail
    return observation.measured.detail
