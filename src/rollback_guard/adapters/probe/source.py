"""Read probes as a source: one check per slot, 1 for a good answer and 0 for none."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from rollback_guard.adapters.probe.anchor import Anchor, OwnNetwork
from rollback_guard.adapters.probe.exchange import Page, Road, exchange
from rollback_guard.adapters.probe.fault import BadAnswerError, NotMadeError, UnreachableError
from rollback_guard.adapters.probe.judge import problems
from rollback_guard.core.model import Group, Labels
from rollback_guard.core.observation import Answer, Failure, Observation, Sample, Unknown
from rollback_guard.ports import Clock, Telemetry
from rollback_guard.secret import redact
from rollback_guard.specs import ProbeSpec
from rollback_guard.wire import Deadline, Resolver, Trust

DETAIL_LENGTH = 300

_UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa0-\U0010ffff]+")


class ProbeSource:
    """Make health checks, each on its own: a slow target delays nobody else.

    Args:
        specs: What to check, by rule id.
        clock: Bounds every check.
        telemetry: Counts the checks.
        anchors: Hosts and ports that are as good as always there. While none of them gives a sign of life, the silence
            of a target says nothing; without any, it is always held against the target.
    """

    def __init__(
        self, specs: Mapping[str, ProbeSpec], clock: Clock, telemetry: Telemetry, anchors: Sequence[Anchor] = ()
    ) -> None:
        self._specs = specs
        self._clock = clock
        self._telemetry = telemetry
        self._resolver = Resolver()
        self._own_network = OwnNetwork(anchors, clock, self._resolver)
        self._trust = {spec.ca_file: Trust(spec.ca_file) for spec in specs.values()}

    async def read(
        self, group: Group, slot: datetime, expected: Mapping[str, frozenset[Labels]]
    ) -> Mapping[str, Observation]:
        """Check every probe of the group now; a probe has no past, so the slot's own time is not asked for."""
        found = await asyncio.gather(*(self._observe(self._specs[rule.id]) for rule in group.rules))
        return {rule.id: observation for rule, observation in zip(group.rules, found, strict=True)}

    async def read_range(
        self, group: Group, slots: Sequence[datetime], expected: Mapping[str, frozenset[Labels]]
    ) -> Mapping[datetime, Mapping[str, Observation]]:
        """Return nothing: what a target would have answered then can not be asked now."""
        return {}

    async def close(self) -> None:
        """Ask no anchor any more; no other connection outlives its check."""
        await self._own_network.close()

    async def _observe(self, spec: ProbeSpec) -> Observation:
        deadline = Deadline(self._clock, spec.timeout)
        try:
            page = await exchange(spec, Road(self._resolver, self._trust[spec.ca_file], deadline))
            observation = self._judged(spec, page)
        except (BadAnswerError, NotMadeError) as error:
            observation = await self._told(error)
        measured = observation.measured
        result = measured.reason if isinstance(measured, Failure) else "ok"
        self._telemetry.queried("probe", result, deadline.taken.total_seconds())
        return observation

    async def _told(self, error: BadAnswerError | NotMadeError) -> Observation:
        """Return what a check without a good answer says of the target."""
        words = str(error)
        is_bad = isinstance(error, BadAnswerError)
        if error.doubtful and self._own_network.anchors:
            if not await self._own_network.is_there():
                return _unknown(Unknown.OWN_NETWORK, f"{words}; no anchor answers either")
            is_bad = is_bad or isinstance(error, UnreachableError)
        return _answered(0.0, words) if is_bad else _unknown(Unknown.PROBE_NOT_MADE, words)

    def _judged(self, spec: ProbeSpec, page: Page) -> Observation:
        if wrong := problems(spec.expect, page, self._clock.now()):
            return _answered(0.0, "; ".join(wrong))
        return _answered(1.0, f"HTTP {page.status}")


def _answered(value: float, detail: str) -> Observation:
    return Observation(measured=Answer((Sample((), value),)), detail=_shown(detail))


def _unknown(reason: Unknown, detail: str) -> Observation:
    return Observation(measured=Failure(reason, _shown(detail)))


def _shown(text: str) -> str:
    """Make a text fit for people: a target's words may hold secrets sent to it, and terminal codes."""
    return _UNPRINTABLE.sub(" ", redact(text))[:DETAIL_LENGTH]
