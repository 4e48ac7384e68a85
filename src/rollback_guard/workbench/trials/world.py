"""Keep one real Prometheus in which trials are laid out, each in a time of its own.

PromQL does not care when it is: a trial that is moved by whole weeks, far enough from its neighbours that no range or
offset reaches them, sees exactly what it would see alone. What does ask for the absolute time is rewritten.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Self

from rollback_guard.adapters.clock import SystemClock
from rollback_guard.adapters.ephemeral import EphemeralError, EphemeralPrometheus
from rollback_guard.adapters.prometheus import PrometheusSource
from rollback_guard.core.model import Group
from rollback_guard.core.observation import Observation
from rollback_guard.core.promql.reach import reach
from rollback_guard.core.promql.shift import alignment, with_default_step
from rollback_guard.specs import Endpoint
from rollback_guard.workbench.trials.chapter import expressions_of
from rollback_guard.workbench.trials.fields import EPOCH
from rollback_guard.workbench.trials.trial import Trial
from rollback_guard.workbench.unheard import Unheard

WEEK = timedelta(weeks=1)
PATIENCE = timedelta(minutes=2)

FAR = timedelta(days=365_000)
"""A millennium: no trial that must be moved so far is moved at all."""

LATEST = datetime(2020, 1, 1, tzinfo=UTC)
"""Up to here a server is filled; Prometheus 3 takes nothing that is ahead of the present."""

Observations = Mapping[datetime, Mapping[str, Observation]]
"""By slot and rule id."""


class World:
    """One server, started when it is needed, and the time that is still free in it.

    Args:
        binary: The `prometheus` program; ``None`` is the one on PATH.
        starting: The first server, where somebody began to start one; it is ended too if nobody needs it.
    """

    def __init__(self, binary: str | None = None, *, starting: Future[EphemeralPrometheus] | None = None) -> None:
        self._binary = binary
        self._starting = starting
        self._server: EphemeralPrometheus | None = None
        self._source: PrometheusSource | None = None
        self._runner = asyncio.Runner()
        self._free_from = EPOCH

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the server."""
        if self._starting is not None:
            with contextlib.suppress(EphemeralError):  # nobody needed it
                self._starting.result().stop()
        self.forget()
        self._runner.close()

    @property
    def server(self) -> EphemeralPrometheus:
        """The server.

        Raises:
            PrometheusMissing: There is no such program.
            StartFailed: It does not get ready.
        """
        if self._server is None:
            starting, self._starting = self._starting, None
            self._server = starting.result() if starting else EphemeralPrometheus.start(self._binary)
        return self._server

    def forget(self) -> None:
        """End the server; the next trial has a new one."""
        source, self._source = self._source, None
        if source is not None:
            self._runner.run(source.close())
        server, self._server = self._server, None
        if server is not None:
            server.stop()
        self._free_from = EPOCH

    def make_room(self, trial: Trial) -> timedelta:
        """Return by how much a trial is moved: behind all that was laid out, and out of its reach.

        A trial for which there is no room any more has a new server, and is not moved at all if it would be too far.
        """
        exprs = _expressions(trial)
        try:
            unit = alignment((with_default_step(expr, trial.slot_interval) for expr in exprs), WEEK)
            margin = sum(map(reach, exprs), timedelta(0))
        except OverflowError:
            unit = margin = FAR
        shift = self._shift(trial, unit, margin)
        if shift is None:
            self.forget()
            shift = self._shift(trial, unit, margin) or timedelta(0)
        self._free_from = LATEST if margin > LATEST - EPOCH else trial.start + shift + trial.end + margin
        return shift

    def read(self, group: Group, slots: Iterable[datetime]) -> Observations:
        """Observe the rules of a group, as they are asked for in the server's time."""
        if self._source is None:
            endpoint = Endpoint(
                name="ephemeral",
                url=self.server.url,
                timeout=PATIENCE,
                max_series=1_000_000,
                max_response_bytes=512 * 1024 * 1024,
            )
            self._source = PrometheusSource(endpoint, SystemClock(), Unheard(), patience=PATIENCE)
        return self._runner.run(self._source.read_range(group, list(slots), {}))

    def _shift(self, trial: Trial, unit: timedelta, margin: timedelta) -> timedelta | None:
        """Return the shortest shift, a multiple of the unit, that keeps the trial apart from all before it."""
        if margin > LATEST - EPOCH or self._free_from > LATEST - margin:
            return None
        earliest = self._free_from + margin
        shift = math.ceil((earliest - trial.start) / unit) * unit
        return shift if shift <= LATEST - trial.start - trial.end - margin else None


def _expressions(trial: Trial) -> frozenset[str]:
    return trial.queries.union(*(expressions_of(item) for chapter in trial.chapters for item in chapter.items))
