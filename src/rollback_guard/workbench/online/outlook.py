"""Evaluate every rule once, as the daemon would, and tell what it would make of the present.

The daemon's own source reads and the daemon's own core judges. Only then a server's refusal of a query is looked into:
the expression is asked alone and as it was written, so that the server's line and column are those of the file.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from rollback_guard.adapters.prometheus import PrometheusSource
from rollback_guard.config.problems import Level, Problem, quoted
from rollback_guard.core.evaluation import evaluate
from rollback_guard.core.judgement import Judgement, most_telling
from rollback_guard.core.model import Group, Verdict
from rollback_guard.core.observation import Answer, Failure, Observation, Reading, Unknown
from rollback_guard.core.units import format_duration
from rollback_guard.core.wording import number, series
from rollback_guard.specs import Endpoint
from rollback_guard.workbench.online.server import Server
from rollback_guard.workbench.online.subject import Expression, Subject

TOPIC = "what the rules say now"

MANY_SERIES = 200
"""Each series is an alert of its own, and people read them one by one."""

_POSITION = re.compile(r"\b(\d+):(\d+): ")
_PARSE_ERROR = re.compile(
    r"pars(?:e|ing)|unknown func|unexpected token|unsupported function|unexpected character", re.IGNORECASE
)

Observations = Mapping[str, Observation]


async def check(server: Server, subjects: Sequence[Subject], *, has_data: bool) -> tuple[list[Problem], list[Subject]]:
    """Return what the rules say now, and the rules whose expressions the server takes.

    Args:
        server: Who is asked.
        subjects: The rules, those of one group side by side.
        has_data: Whether its heartbeat is there; where it is not, that was told of the server.
    """
    reader = _Reader(server)
    problems: list[Problem] = []
    accepted: list[Subject] = []
    try:
        for group, its in groupby(subjects, key=lambda subject: subject.group):
            found, good = await _check_group(reader, group, list(its), has_data=has_data)
            problems += found
            accepted += good
    finally:
        await reader.close()
    return problems, accepted


class _Reader:
    """Read groups as the daemon does, and once more where it would believe nothing that was said.

    Whether the server takes an expression shows also when its heartbeat is missing.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self._daemons = self._source(server.endpoint)
        self._credulous = self._source(replace(server.endpoint, heartbeat=""))

    async def read(self, group: Group) -> tuple[Observations, Observations] | None:
        """Return what the daemon would observe now, and what was said; nothing where there is no time for it.

        The last real slot may be as long ago as the group's interval, so that it is asked for this very instant.
        """
        try:
            async with asyncio.timeout(self.server.time_left_s):
                observed = await self._daemons.read(group, self.server.now, {})
                if not any(map(_is_disbelieved, observed.values())):
                    return observed, observed
                return observed, await self._credulous.read(group, self.server.now, {})
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
        await self._credulous.close()


async def _check_group(
    reader: _Reader, group: Group, subjects: list[Subject], *, has_data: bool
) -> tuple[list[Problem], list[Subject]]:
    read = await reader.read(group)
    if read is None:
        return [], subjects
    refusals = await _refusals(reader.server, subjects, read[1])
    accepted = [subject for subject in subjects if subject.rule.id not in refusals]
    problems = [problem for found in refusals.values() for problem in found]
    if refusals:
        await reader.forget()
        group = replace(group, rules=tuple(subject.rule for subject in accepted))
        read = await reader.read(group) if accepted else None
    if read is None:
        return problems, accepted
    observed, said = read
    reading = Reading(group=group.id, slot=reader.server.now, observations=observed)
    _, judgements = evaluate(group, None, reading)
    for subject in accepted:
        if has_data or not _is_disbelieved(observed[subject.rule.id]):
            problems += _outlook(subject, judgements[subject.rule.id])
        problems += _cardinality(subject, said[subject.rule.id])
    return problems, accepted


def _is_disbelieved(observation: Observation) -> bool:
    return isinstance(observation.measured, Failure) and observation.measured.reason is Unknown.HEARTBEAT


async def _refusals(
    server: Server, subjects: Iterable[Subject], observations: Observations
) -> Mapping[str, Sequence[Problem]]:
    """Return by rule what the server says to the expressions that it does not take."""
    found: dict[str, list[Problem]] = {}
    for subject in subjects:
        observation = observations[subject.rule.id]
        if not any(map(_is_refused, (observation.measured, observation.when, observation.denominator))):
            continue
        for expression in subject.expressions:
            said = await server.query(TOPIC, expression.text)
            if isinstance(said, Failure) and said.reason is Unknown.QUERY_ERROR:
                found.setdefault(subject.rule.id, []).append(_refusal(expression, said.detail))
    return found


def _is_refused(answer: Answer | Failure | None) -> bool:
    return isinstance(answer, Failure) and answer.reason is Unknown.QUERY_ERROR


def _refusal(expression: Expression, words: str) -> Problem:
    words = words.removeprefix('bad_data: invalid parameter "query": ')
    if _PARSE_ERROR.search(words) is None:
        hint = "It can be parsed there and not be evaluated: as long as that is so, the rule is unknown."
        return expression.problem(
            "online-query-error", f"the server refuses this: {words}", hint=hint, level=Level.ERROR
        )
    hint = "The server may be older, or another product, than the one that this was written for."
    message = f"the server does not understand this: {words}"
    return expression.problem(
        "online-syntax", message, hint=hint, level=Level.ERROR, place=_place(expression.text, words)
    )


def _place(text: str, words: str) -> int | None:
    """Return the character that a server names by line and column, in bytes as it counts."""
    position = _POSITION.search(words)
    if position is None:
        return None
    lines = text.split("\n")
    line, column = int(position[1]) - 1, int(position[2]) - 1
    if line >= len(lines):
        return None
    before = len(lines[line].encode()[:column].decode(errors="ignore"))
    return min(sum(len(each) + 1 for each in lines[:line]) + before, max(0, len(text) - 1))


def _outlook(subject: Subject, judgement: Judgement) -> list[Problem]:
    match judgement.verdict:
        case Verdict.PASS:
            return []
        case Verdict.BREACH:
            return [_breach(subject, judgement)]
        case Verdict.UNKNOWN:
            return [_unknown(subject, judgement)]


def _unknown(subject: Subject, judgement: Judgement) -> Problem:
    reason = judgement.reason or Unknown.ABSENT
    message = f"unknown now: {reason}{f': {judgement.detail}' if judgement.detail else ''}"
    hint = _MEANING.get(reason, "")
    return subject.expr.problem("online-unknown-now", message, hint=hint, level=Level.NOTICE)


_MEANING = {
    Unknown.NAN: "There is nothing to judge, such as 0/0: that is no blindness, and calls nobody.",
    Unknown.NO_TRAFFIC: "`when` does not hold, so there is nothing to judge: that is no blindness, and calls nobody.",
    Unknown.ABSENT: "It has no series now; `no_data` says what that means.",
}


def _breach(subject: Subject, judgement: Judgement) -> Problem:
    comparison = subject.rule.condition.comparison
    worst = most_telling(judgement, comparison)
    breaching = sum(each.verdict is Verdict.BREACH for each in judgement.series)
    value = worst.value if worst else None
    words = "no data" if value is None else f"value {number(value)}"
    if comparison is not None and value is not None:
        words += f" {comparison.op} {number(comparison.threshold)}"
    labels = quoted(series(worst.series)) if worst and worst.series else ""
    more = f", and {breaching - 1} more series" if breaching > 1 else ""
    message = f"breaches now: {words}{f' of {labels}' if labels else ''}{more}"
    hold = subject.rule.hold
    hint = f"It fires when that has lasted for {format_duration(hold)}." if hold else "It fires at once."
    return subject.expr.problem("online-breaches-now", message, hint=hint, level=Level.NOTICE)


def _cardinality(subject: Subject, observation: Observation) -> list[Problem]:
    answer, limit = observation.measured, subject.group.limit
    if isinstance(answer, Failure) or len(answer.samples) <= (limit or MANY_SERIES):
        return []
    if limit:
        message = f"{len(answer.samples)} series come back, and the group's limit is {limit}"
        hint = "When more than the limit of them breach, the rule is unknown: aggregate, or raise `limit`."
    else:
        message = f"{len(answer.samples)} series come back: each of them is an alert of its own"
        hint = "Aggregate, such as with `sum by (service)`, or select fewer."
    return [subject.expr.problem("online-many-series", message, hint=hint, level=Level.WARNING)]
