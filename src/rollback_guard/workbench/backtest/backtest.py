"""Make a backtest as a person asks for it: read files and times, play, sweep, compare."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import BaseModel

from rollback_guard.config.load import Loaded, load
from rollback_guard.config.problems import Level, Problem
from rollback_guard.core.model import Policy
from rollback_guard.core.units import parse_duration
from rollback_guard.ports import Clock
from rollback_guard.specs import Endpoint
from rollback_guard.workbench.backtest.compare import compare
from rollback_guard.workbench.backtest.data import Findings, Swept
from rollback_guard.workbench.backtest.deploys import deploys_of
from rollback_guard.workbench.backtest.events import (
    CsvFile,
    Deploy,
    InputError,
    deploys_in,
    incidents_in,
    time_of,
)
from rollback_guard.workbench.backtest.history import HistoryError
from rollback_guard.workbench.backtest.plan import LONGEST, Plan, plan
from rollback_guard.workbench.backtest.playback import Played, address_of, play_back, sources
from rollback_guard.workbench.backtest.progress import ProgressFiles, cache_directory
from rollback_guard.workbench.backtest.remarks import Circumstances, never_known, remarks_of
from rollback_guard.workbench.backtest.results import Results
from rollback_guard.workbench.backtest.score import Past
from rollback_guard.workbench.backtest.sweep import axes_of, policy_of, tried, variants_of

DEFAULT_SOURCE = "prometheus"

OnProgress = Callable[[str, float], None]
"""Hears what is being done, and which share of it is."""


class InvalidRules(Exception):  # noqa: N818  it says what is invalid
    """Rule files have errors; it holds them."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(f"{len(problems)} errors in rule files")
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What stands on the command line, as it was given."""

    rules: tuple[Path, ...]
    start: str = "7d"
    end: str = "now"
    prometheus: str | None = None
    step: str | None = None
    deploys: Path | None = None
    deploys_query: str | None = None
    deploy_window: str = "1h"
    incidents: Path | None = None
    sweep: tuple[str, ...] = ()
    rule: str | None = None
    compare: tuple[Path, ...] = ()
    fresh: bool = False


class Backtest:
    """One backtest, from what stands on the command line to what was found.

    Args:
        request: What is asked for.
        clock: For the present and for measuring.
        action_types: The settings' model of each type of action.
        on_progress: Hears of progress.
        remark: Hears what people have to know while it is under way.

    Raises:
        InvalidRules: A rule file has an error.
        InputError: A time or a CSV file cannot be understood.
    """

    def __init__(
        self,
        request: Request,
        clock: Clock,
        *,
        action_types: Mapping[str, type[BaseModel]],
        on_progress: OnProgress,
        remark: Callable[[str], None],
    ) -> None:
        self._request = request
        self._clock = clock
        self._on_progress = on_progress
        self._remark = remark
        self._loaded, self._policy = _load(request.rules, action_types)
        self._other = _load(request.compare, action_types)[1] if request.compare else None
        self._endpoints = _endpoints(self._loaded, request.prometheus)
        self._axes = axes_of(request.sweep)
        self._step = _duration("--step", request.step) if request.step else None
        self._deploys = CsvFile.read(request.deploys) if request.deploys else None
        self._incidents = CsvFile.read(request.incidents) if request.incidents else None
        self._progress = ProgressFiles(cache_directory(os.environ), self._question(), complain=remark)
        if request.fresh:
            self._progress.forget()
        self._now = clock.now().replace(microsecond=0)
        self._start, self._end = self._progress.times(*_times(request, self._now))

    def run(self) -> Findings:
        """Play everything, and return what was found.

        Raises:
            HistoryError: Prometheus does not tell; what was played so far is kept.
            InputError: There is nothing to play, or nobody to ask.
            SweepError: There is nothing to sweep.
        """
        planned = self._plan(self._policy)
        if not planned.policy.groups:
            raise InputError("these files have no rule that Prometheus has a history of")
        past = self._past(planned)
        played = self._play("played", planned, past)
        swept = self._swept(planned, past, played.results) if self._axes else None
        remarks = list(remarks_of(planned, played.results, past, self._circumstances()))
        if self._axes and swept is None:
            remarks.append("not swept: what is not known without other thresholds is not known with them")
        findings = Findings(
            files=list(map(str, self._request.rules)),
            plan=planned,
            played=played,
            past=past,
            swept=swept,
            remarks=remarks,
        )
        if self._other is not None:
            other = self._plan(self._other)
            theirs = self._play("compared", other, past)
            changes = compare((planned.policy, played.results), (other.policy, theirs.results), until=self._end)
            files = list(map(str, self._request.compare))
            remarks = [*remarks, *(f"{', '.join(files)}: {each}" for each in never_known(theirs.results))]
            findings = replace(findings, compared=(files, changes), remarks=remarks)
        self._progress.forget()
        return findings

    @property
    def is_kept(self) -> bool:
        """Whether the same command would go on where this one is, or was interrupted before."""
        return self._progress.has_any

    def _circumstances(self) -> Circumstances:
        return Circumstances(
            written=self._policy,
            now=self._now,
            has_step=self._step is not None,
            has_calendar=bool(self._loaded.maintenance),
            recordings=len(self._loaded.recordings),
        )

    def _plan(self, policy: Policy) -> Plan:
        return plan(policy, self._start, self._end, step=self._step)

    def _play(self, what: str, planned: Plan, past: Past) -> Played:
        return play_back(
            planned,
            self._endpoints,
            self._clock,
            deploys=list(past.deploys),
            file=self._progress.file(what),
            on_progress=lambda share: self._on_progress(what, share),
            remark=self._remark,
        )

    def _swept(self, planned: Plan, past: Past, results: Results) -> Swept | None:
        """Try other thresholds of a rule; ``None`` where nothing was ever known of it."""
        variants = variants_of(planned.policy, self._request.rule, self._axes)
        first = variants[0].rule
        rule, comparison = first.id.rpartition(" #")[0], first.condition.comparison
        if not results.rules[rule].was_known:
            return None
        swept = replace(planned, policy=policy_of(planned.policy, variants))
        played = self._play("swept", swept, replace(past, deploys=[]))
        guards = [name for name, rules in planned.policy.rules_of.items() if any(each.id == rule for each in rules)]
        op = comparison.op.value if comparison else ""
        known = past.of(guards).within(played.results.begins(planned.policy.groups[first.group].source), self._end)
        return Swept(rule=rule, op=op, tried=tried(variants, played.results, known))

    def _past(self, planned: Plan) -> Past:
        request, guards = self._request, list(self._policy.guards)
        deploys: list[Deploy] = deploys_in(self._deploys, guards) if self._deploys else []
        if request.deploys_query:
            deploys += asyncio.run(self._queried(request.deploys_query, planned))
        incidents = incidents_in(self._incidents, guards) if self._incidents else []
        past = Past(
            start=self._start,
            end=self._end,
            deploys=sorted(deploys, key=lambda it: it.at),
            incidents=incidents,
            deploy_window=_duration("--deploy-window", request.deploy_window),
            is_told=bool(self._deploys or self._incidents or request.deploys_query),
        )
        return past.within(self._start, self._end)

    async def _queried(self, query: str, planned: Plan) -> list[Deploy]:
        (source,) = sources(planned, self._endpoints, self._clock, names={DEFAULT_SOURCE}).values()
        try:
            return await deploys_of(source, query, planned, guards=set(self._policy.guards))
        except HistoryError as error:
            raise HistoryError(f"{address_of(self._endpoints[DEFAULT_SOURCE])}: {error}") from error
        finally:
            await source.close()

    def _question(self) -> dict[str, str]:
        request = self._request
        return {
            "policy": self._policy.digest,
            "other": self._other.digest if self._other else "",
            "urls": " ".join(f"{name}={each.url}" for name, each in sorted(self._endpoints.items())),
            "times": f"{request.start} {request.end} {request.step}",
            "deploys": f"{_digest(self._deploys)} {request.deploys_query}",
            "sweep": f"{request.sweep} {request.rule}",
        }


def _load(paths: Sequence[Path], types: Mapping[str, type[BaseModel]]) -> tuple[Loaded, Policy]:
    loaded = load(paths, action_types=types)
    if loaded.policy is None:
        raise InvalidRules([problem for problem in loaded.problems if problem.severity is Level.ERROR])
    return loaded, loaded.policy


def _endpoints(loaded: Loaded, url: str | None) -> dict[str, Endpoint]:
    endpoints = dict(loaded.endpoints)
    if url is None:
        return endpoints
    if not url.startswith(("http://", "https://")):
        raise InputError("--prometheus: write http://host:port")
    known = endpoints.get(DEFAULT_SOURCE)
    endpoints[DEFAULT_SOURCE] = known.at(url) if known else Endpoint(name=DEFAULT_SOURCE, url=url)
    return endpoints


def _times(request: Request, now: datetime) -> tuple[datetime, datetime]:
    start, end = time_of(request.start, now), time_of(request.end, now)
    if start >= end:
        raise InputError(f"--from {request.start} is not before --to {request.end}")
    if end - start > LONGEST:
        raise InputError("this is more than five years")
    return start, end


def _duration(name: str, text: str) -> timedelta:
    try:
        span = parse_duration(text)
    except ValueError as error:
        raise InputError(f"{name}: {error}") from None
    if span <= timedelta(0):
        raise InputError(f"{name}: this must be longer than zero")
    return span


def _digest(sheet: CsvFile | None) -> str:
    return hashlib.sha256(sheet.body).hexdigest() if sheet else ""
