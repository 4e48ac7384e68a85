"""Evaluate every rule once, as the daemon would, and tell what it would make of the present.

The daemon's own source reads and the daemon's own core judges.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from rollback_guard.adapters.prometheus import PrometheusSource
from rollback_guard.config.problems import Level, quoted
from rollback_guard.core.evaluation import evaluate
from rollback_guard.core.judgement import Judgement, most_telling
from rollback_guard.core.model import Group, Verdict
from rollback_guard.core.observation import Failure, Observation, Reading, Unknown
from rollback_guard.core.units import format_duration
from rollback_guard.core.wording import number, series
from rollback_guard.specs import Endpoint
from rollback_guard.workbench.online.findings import Finding
from rollback_guard.workbench.online.refusals import refusals
from rollback_guard.workbench.online.rules import CheckedRule
from rollback_guard.workbench.online.server import Server

TOPIC = "what the rules say now"

MANY_SERIES = 200
"""Each series is an alert of its own, and people read them one by one."""

OF_NOTHING = frozenset({Unknown.ABSENT, Unknown.STALE, Unknown.NO_TRAFFIC})
"""What a rule is whose selectors select nothing."""

Observations = Mapping[str, Observation]


async def check(
    server: Server, rules: Sequence[CheckedRule], *, has_data: bool
) -> tuple[list[Finding], list[CheckedRule]]:
    """Return what the rules say now, and the rules whose expressions the server takes.

    Args:
        server: Who is asked.
        rules: The rules, those of one group side by side.
        has_data: Whether its heartbeat is there; where it is not, that was told of the server.
    """
    reader = _Reader(server)
    findings: list[Finding] = []
    accepted: list[CheckedRule] = []
    try:
        for group, its in groupby(rules, key=lambda checked: checked.group):
            told, good = await _check_group(reader, group, list(its), has_data=has_data)
            findings += told
            accepted += good
    finally:
        await reader.close()
    return findings, accepted


class _Reader:
    """Read groups as the daemon does, and once more where it would believe nothing that was said.

    Whether the server takes an expression shows also when its heartbeat is missing.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self._daemons = self._source(server.endpoint)
        self._without_heartbeat = self._source(replace(server.endpoint, heartbeat=""))

    async def read(self, group: Group) -> tuple[Observations, Observations] | None:
        """Return what the daemon would observe now, and what was said; nothing where there is no time for it.

        The last real slot may be as long ago as the group's interval, so that it is asked for this very instant.
        """
        try:
            async with asyncio.timeout(self.server.time_left_s):
                observed = await self._daemons.read(group, self.server.now, {})
                if not any(map(_is_disbelieved, observed.values())):
                    return observed, observed
                return observed, await self._without_heartbeat.read(group, self.server.now, {})
        except TimeoutError:
            self.server.unasked[TOPIC] += len(group.rules)
            return None

    async def forget(self) -> None:
        """Forget what was said, also to the heartbeat: some servers blame all of a batch for one of its queries."""
        await self._daemons.close()
        self._daemons = self._source(self.server.endpoint)

    def _source(self, endpoint: Endpoint) -> PrometheusSource:
        return PrometheusSource(endpoint, self.server.clock, self.server.tally)

    async def close(self) -> None:
        """Release connections and threads."""
        await self._daemons.close()
        await self._without_heartbeat.close()


async def _check_group(
    reader: _Reader, group: Group, rules: list[CheckedRule], *, has_data: bool
) -> tuple[list[Finding], list[CheckedRule]]:
    read = await reader.read(group)
    if read is None:
        return [], rules
    refused = await refusals(reader.server, rules, read[1])
    accepted = [checked for checked in rules if checked.rule.id not in refused]
    findings = [finding for its in refused.values() for finding in its]
    if refused:
        await reader.forget()
        group = replace(group, rules=tuple(checked.rule for checked in accepted))
        read = await reader.read(group) if accepted else None
    if read is None:
        return findings, accepted
    observed, said = read
    reading = Reading(group=group.id, slot=reader.server.now, observations=observed)
    _, judgements = evaluate(group, None, reading)
    for checked in accepted:
        if has_data or not _is_disbelieved(observed[checked.rule.id]):
            findings += _verdict(checked, judgements[checked.rule.id])
        findings += _many_series(checked, said[checked.rule.id])
    return findings, accepted


def _is_disbelieved(observation: Observation) -> bool:
    return isinstance(observation.measured, Failure) and observation.measured.reason is Unknown.HEARTBEAT


def _verdict(checked: CheckedRule, judgement: Judgement) -> list[Finding]:
    match judgement.verdict:
        case Verdict.PASS:
            return []
        case Verdict.BREACH:
            return [_breach(checked, judgement)]
        case Verdict.UNKNOWN:
            return [_unknown(checked, judgement)]


def _unknown(checked: CheckedRule, judgement: Judgement) -> Finding:
    reason = judgement.reason or Unknown.ABSENT
    message = f"unknown now: {reason}{f': {judgement.detail}' if judgement.detail else ''}"
    hint = _MEANING.get(reason, "")
    return checked.expr.finding(
        "online-unknown-now", message, hint=hint, level=Level.NOTICE, is_unknown=reason in OF_NOTHING
    )


_MEANING = {
    Unknown.NAN: "There is nothing to judge, such as 0/0: that is no blindness, and calls nobody.",
    Unknown.NO_TRAFFIC: "`when` does not hold, so there is nothing to judge: that is no blindness, and calls nobody.",
    Unknown.ABSENT: "It has no series now; `no_data` says what that means.",
}


def _breach(checked: CheckedRule, judgement: Judgement) -> Finding:
    comparison = checked.rule.condition.comparison
    worst = most_telling(judgement, comparison)
    breaching = sum(each.verdict is Verdict.BREACH for each in judgement.series)
    value = worst.value if worst else None
    words = "no data" if value is None else f"value {number(value)}"
    if comparison is not None and value is not None:
        words += f" {comparison.op} {number(comparison.threshold)}"
    labels = quoted(series(worst.series)) if worst and worst.series else ""
    more = f", and {breaching - 1} more series" if breaching > 1 else ""
    message = f"breaches now: {words}{f' of {labels}' if labels else ''}{more}"
    hold = checked.rule.hold
    hint = f"It fires when that has lasted for {format_duration(hold)}." if hold else "It fires at once."
    return checked.expr.finding("online-breaches-now", message, hint=hint, level=Level.NOTICE)


def _many_series(checked: CheckedRule, observation: Observation) -> list[Finding]:
    answer, limit = observation.measured, checked.group.limit
    if isinstance(answer, Failure) or len(answer.samples) <= (limit or MANY_SERIES):
        return []
    if limit:
        message = f"{len(answer.samples)} series come back, and the group's limit is {limit}"
        hint = "When more than the limit of them breach, the rule is unknown: aggregate, or raise `limit`."
    else:
        message = f"{len(answer.samples)} series come back: each of them is an alert of its own"
        hint = "Aggregate, such as with `sum by (service)`, or select fewer."
    return [checked.expr.finding("online-many-series", message, hint=hint, level=Level.WARNING)]
