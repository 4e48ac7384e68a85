"""Examine all data sources that rules are read from, and say what was found and what was not asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from rollback_guard.config.found import Spot
from rollback_guard.config.inventory import DEFAULT_SOURCE, Inventory
from rollback_guard.config.load import Loaded
from rollback_guard.config.problems import Problem, in_order, printable
from rollback_guard.config.recordings import recordings_of
from rollback_guard.config.settings import Datasource
from rollback_guard.config.surroundings import selectors_of
from rollback_guard.ports import Clock
from rollback_guard.secret import redact
from rollback_guard.specs import Endpoint
from rollback_guard.workbench.online import cost, evaluation, metric_types, presence, scrape_interval, status
from rollback_guard.workbench.online.findings import Finding, Settled, Told, told_once, without_consequences
from rollback_guard.workbench.online.report import Report, ServerReport
from rollback_guard.workbench.online.rules import CheckedRule, rules_by_source
from rollback_guard.workbench.online.server import Progress, Server

TIME_LIMIT = timedelta(seconds=55)
"""For all questions together: a person waits for the answer, and so may a pull request."""

LONGEST_WORDS = 500
"""Characters of what a server says of itself or of a failure."""


class NotOnlineError(ValueError):
    """Say why there is nobody to ask."""


async def examine(
    loaded: Loaded,
    *,
    clock: Clock,
    prometheus: str | None = None,
    progress: Progress = lambda _: None,
    time_limit: timedelta = TIME_LIMIT,
) -> Report:
    """Ask every data source of the rules.

    Args:
        loaded: Files without an error.
        clock: Of this machine.
        prometheus: Base URL in place of that of `[prometheus]`; for rule files alone the only one there is.
        progress: Is told what is being asked.
        time_limit: For everything; what was not asked by then is said.

    Raises:
        NotOnlineError: There is nobody to ask, or the URL is none.
    """
    if loaded.policy is None or loaded.inventory is None:
        raise NotOnlineError("the files have errors")
    rules = rules_by_source(loaded.inventory, loaded.policy)
    endpoints = _endpoints(loaded, rules, prometheus)
    until = clock.elapsed() + time_limit
    examined = await asyncio.gather(
        *(
            _examine(Server(endpoints[name], clock, until=until, progress=progress), its, loaded, loaded.inventory)
            for name, its in rules.items()
        )
    )
    return Report(
        problems=in_order(problem for problems, _, _ in examined for problem in problems),
        settled=frozenset(each for _, settled, _ in examined for each in settled),
        servers=tuple(report for _, _, report in examined),
    )


async def _examine(
    server: Server, rules: Sequence[CheckedRule], loaded: Loaded, inventory: Inventory
) -> tuple[Sequence[Problem], Sequence[Settled], ServerReport]:
    begun = server.clock.elapsed()
    told: list[Told] = []
    try:
        who = await status.check(server, partial(_at_source, inventory, server.endpoint.name, rules[0]))
        if not who.unreachable:
            found, accepted = await evaluation.check(server, rules, has_data=who.has_data)
            told += found
            recorded = frozenset(recording.name for recording in recordings_of(inventory))
            told += await presence.check(server, accepted, recorded)
            for check in (scrape_interval.check, metric_types.check, cost.check):
                told += await check(server, accepted)
    finally:
        await server.close()
    report = ServerReport(
        name=server.endpoint.name,
        url=printable(server.endpoint.url),
        version=_harmless(who.version),
        unreachable=_harmless(who.unreachable),
        rules=len(rules),
        questions=server.tally.requests,
        took=server.clock.elapsed() - begun,
        not_asked=() if who.unreachable else tuple(map(_harmless, _not_asked(server))),
    )
    problems = [*loaded.ignores.sift(who.problems), *_problems(loaded, told)]
    return problems, [it for it in told if isinstance(it, Settled)], report


def _problems(loaded: Loaded, told: Iterable[Told]) -> Sequence[Problem]:
    """Return what is told of the rules; what one rule has switched off is still told of the others."""
    findings = without_consequences(it for it in told if isinstance(it, Finding))
    return told_once(it for it in findings if loaded.ignores.sift([it.problem]))


def _harmless(words: str) -> str:
    """Return what a server said as people may read it: without secrets that it repeats, on one line, bounded."""
    shown = printable(redact(words))
    return shown if len(shown) <= LONGEST_WORDS else f"{shown[:LONGEST_WORDS]}…"


def _not_asked(server: Server) -> Iterator[str]:
    for topic, count in server.unasked.items():
        yield f"{topic}: {count} {'question was' if count == 1 else 'questions were'} left when the time was over"
    for topic, (count, why) in server.unanswered.items():
        times = f" ({count} questions)" if count > 1 else ""
        yield f"{topic}: {why}{times}"


def _endpoints(
    loaded: Loaded, rules: Mapping[str, Sequence[CheckedRule]], prometheus: str | None
) -> Mapping[str, Endpoint]:
    """Return where each data source is; its credentials stay those that guard.toml names for it."""
    if prometheus is not None:
        _check_url(prometheus)
    known = dict(loaded.endpoints)
    if loaded.settings is None:
        if prometheus is None:
            raise NotOnlineError("rule files alone name no Prometheus: give --prometheus URL, or the guard.toml")
        return {name: _plain(name, prometheus) for name in rules}
    if prometheus is not None:
        default = known.get(DEFAULT_SOURCE) or _plain(DEFAULT_SOURCE, prometheus)
        known[DEFAULT_SOURCE] = default.at(prometheus.rstrip("/"))
    return known


def _plain(name: str, url: str) -> Endpoint:
    """Return a server of which nothing but the address is said."""
    source = Datasource(url=url)
    return Endpoint(
        name=name,
        url=url.rstrip("/"),
        timeout=source.timeout,
        heartbeat=source.heartbeat,
        heartbeat_selectors=selectors_of(source.heartbeat),
    )


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        raise NotOnlineError("--prometheus: write http://host:port, without user and password")


def _at_source(inventory: Inventory, name: str, first: CheckedRule, id_: str, message: str, **more: Any) -> Problem:
    """Return a finding at the data source in guard.toml; without one, at the first rule that asks it."""
    if inventory.settings is not None:
        path = ("prometheus",) if name == DEFAULT_SOURCE else ("datasources", name)
        spot = Spot(document=inventory.settings.document, path=path)
        if spot.has("url"):
            return spot.problem(id_, redact(message), "url", **more)
    return first.expr.finding(id_, message, **more).problem
