"""Examine all data sources that rules are read from, and say what was found and what was not asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from rollback_guard.config.found import Spot
from rollback_guard.config.inventory import DEFAULT_SOURCE, Inventory
from rollback_guard.config.load import Loaded
from rollback_guard.config.problems import Level, Problem, in_order, printable
from rollback_guard.config.recordings import recordings_of
from rollback_guard.config.settings import Datasource
from rollback_guard.config.surroundings import selectors_of
from rollback_guard.ports import Clock
from rollback_guard.secret import redact
from rollback_guard.specs import Endpoint
from rollback_guard.workbench.online import cadence, cost, host, kinds, outlook, presence
from rollback_guard.workbench.online.server import Progress, Server
from rollback_guard.workbench.online.subject import Subject, subjects_of

TIME_LIMIT = timedelta(seconds=55)
"""For all questions together: a person waits for the answer, and so may a pull request."""

LONGEST_WORDS = 500
"""Characters of what a server says of itself or of a failure."""


class NotOnlineError(ValueError):
    """Say why there is nobody to ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerReport:
    """What became of one data source.

    Attributes:
        unreachable: Why it gave no answer; empty where it did.
        questions: Requests that it got.
        not_asked: What is not known of it, each a phrase with its reason.
    """

    name: str
    url: str
    version: str = ""
    unreachable: str = ""
    rules: int = 0
    questions: int = 0
    took: timedelta = timedelta(0)
    not_asked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found online, beside what the files alone tell."""

    problems: tuple[Problem, ...]
    servers: tuple[ServerReport, ...]

    @property
    def is_reached(self) -> bool:
        """Whether every data source answered."""
        return not any(each.unreachable for each in self.servers)

    @property
    def has_errors(self) -> bool:
        """Whether a rule cannot work with its server at all."""
        return any(problem.severity is Level.ERROR for problem in self.problems)


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
    subjects = subjects_of(loaded.inventory, loaded.policy)
    endpoints = _endpoints(loaded, subjects, prometheus)
    until = clock.elapsed() + time_limit
    examined = await asyncio.gather(
        *(
            _examine(Server(endpoints[name], clock, until=until, progress=progress), its, loaded.inventory)
            for name, its in subjects.items()
        )
    )
    problems = in_order(problem for found, _ in examined for problem in found)
    return Report(problems=problems, servers=tuple(report for _, report in examined))


async def _examine(
    server: Server, subjects: Sequence[Subject], inventory: Inventory
) -> tuple[list[Problem], ServerReport]:
    begun = server.clock.elapsed()
    found: list[Problem] = []
    try:
        who = await host.check(server, partial(_at_source, inventory, server.endpoint.name, subjects[0]))
        found += who.problems
        if not who.unreachable:
            said, accepted = await outlook.check(server, subjects, has_data=who.has_data)
            found += said
            recorded = frozenset(recording.name for recording in recordings_of(inventory))
            found += await presence.check(server, accepted, recorded)
            for check in (cadence.check, kinds.check, cost.check):
                found += await check(server, accepted)
    finally:
        await server.close()
    return found, ServerReport(
        name=server.endpoint.name,
        url=printable(server.endpoint.url),
        version=_harmless(who.version),
        unreachable=_harmless(who.unreachable),
        rules=len(subjects),
        questions=server.tally.requests,
        took=server.clock.elapsed() - begun,
        not_asked=() if who.unreachable else tuple(map(_harmless, _not_asked(server))),
    )


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
    loaded: Loaded, subjects: Mapping[str, Sequence[Subject]], prometheus: str | None
) -> Mapping[str, Endpoint]:
    """Return where each data source is; its credentials stay those that guard.toml names for it."""
    if prometheus is not None:
        _check_url(prometheus)
    known = dict(loaded.endpoints)
    if loaded.settings is None:
        if prometheus is None:
            raise NotOnlineError("rule files alone name no Prometheus: give --prometheus URL, or the guard.toml")
        return {name: _plain(name, prometheus) for name in subjects}
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


def _at_source(inventory: Inventory, name: str, subject: Subject, id_: str, message: str, **more: Any) -> Problem:
    """Return a finding at the data source in guard.toml; without one, at the first rule that asks it."""
    if inventory.settings is not None:
        path = ("prometheus",) if name == DEFAULT_SOURCE else ("datasources", name)
        spot = Spot(document=inventory.settings.document, path=path)
        if spot.has("url"):
            return spot.problem(id_, redact(message), "url", **more)
    return subject.expr.problem(id_, message, **more)
