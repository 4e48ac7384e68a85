"""Measure what each query costs: how long it takes, how many samples it touches."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from rollback_guard.adapters.prometheus.catalog import Reply
from rollback_guard.config.problems import Level
from rollback_guard.core.observation import Failure, Unknown
from rollback_guard.core.wording import span
from rollback_guard.workbench.online.findings import Finding, Told
from rollback_guard.workbench.online.rules import CheckedRule, Expression
from rollback_guard.workbench.online.server import Server, shown

TOPIC = "what the queries cost"

SHARE = 5
"""A query may take this part of its group's interval: beside it the group has others, and the server has other work."""


async def check(server: Server, rules: Sequence[CheckedRule]) -> list[Told]:
    """Return a finding for every query that takes too much of its group's interval."""
    asked = [(rule, expression) for rule in rules for expression in rule.expressions]
    found = await asyncio.gather(*(_measure(server, rule, expression) for rule, expression in asked))
    return [finding for finding in found if finding is not None]


async def _measure(server: Server, rule: CheckedRule, expression: Expression) -> Finding | None:
    query, most = expression.condition.query, rule.group.interval / SHARE
    reply = await server.query(TOPIC, query, stats=True)
    if isinstance(reply, Reply) and reply.took > most:
        # Once may be chance: a cold cache, a busy moment, our own other questions.
        again = await server.query(TOPIC, query, stats=True, again=True)
        reply = again if isinstance(again, Reply) and again.took < reply.took else reply
    every = shown(rule.group.interval)
    if isinstance(reply, Failure):
        if reply.reason is not Unknown.TIMEOUT or not server.has_time or "not asked" in reply.detail:
            return None
        message = f"the query had no answer within the time-out of {span(server.endpoint.timeout)}"
        hint = f"Such a rule is unknown, every {every}: {_ADVICE}"
        return expression.finding("online-slow-query", message, hint=hint, level=Level.WARNING)
    if reply.took <= most:
        return None
    message = f"the query takes {span(reply.took)}, and is asked every {every}{_samples(reply)}"
    hint = f"More than a fifth of the interval is too much: {_ADVICE}"
    return expression.finding("online-slow-query", message, hint=hint, level=Level.WARNING)


_ADVICE = "make a recording rule of its heavy part, or give the group a longer interval."


def _samples(reply: Reply) -> str:
    """Return how many samples it touched, where the server counts them."""
    stats: Any = reply.data.get("stats")
    samples = stats.get("samples") if isinstance(stats, dict) else None
    touched = samples.get("totalQueryableSamples") if isinstance(samples, dict) else None
    return f"; it touches {touched} samples" if isinstance(touched, int) else ""
