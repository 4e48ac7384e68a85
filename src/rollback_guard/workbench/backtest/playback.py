"""Read history and play it, stretch by stretch, and keep how far that has come."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from rollback_guard.adapters.prometheus import PrometheusSource
from rollback_guard.ports import Clock
from rollback_guard.specs import Endpoint
from rollback_guard.workbench.backtest.events import Deploy, InputError
from rollback_guard.workbench.backtest.history import MICROSECOND, History, HistoryError, Stretch
from rollback_guard.workbench.backtest.plan import Plan, orders_of
from rollback_guard.workbench.backtest.player import Order, Player
from rollback_guard.workbench.backtest.progress import Progress, ProgressFile
from rollback_guard.workbench.backtest.results import GuardResult, Results, RuleResult
from rollback_guard.workbench.unheard import Unheard

QUERY_LASTS = timedelta(minutes=2)
"""As long as Prometheus itself works on one query."""

STRETCH_LASTS = timedelta(minutes=10)
LARGEST_ANSWER = 256 * 1024 * 1024

SAVED_EVERY = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What came of a backtest.

    Attributes:
        read_s: How long Prometheus was waited for, in this run.
        played_s: How long all of it took, in this run.
        resumed_at: Where this run went on; ``None`` where it began anew.
    """

    results: Results
    read_s: float
    played_s: float
    resumed_at: datetime | None = None


def play_back(
    plan: Plan,
    endpoints: Mapping[str, Endpoint],
    clock: Clock,
    *,
    deploys: list[Deploy],
    file: ProgressFile,
    on_progress: Callable[[float], None],
    remark: Callable[[str], None],
) -> Played:
    """Play a policy over history, from its beginning or from where an earlier run was interrupted.

    Args:
        plan: What is played.
        endpoints: The data sources.
        clock: For time limits and measuring.
        deploys: Each begins a rollout.
        file: Keeps how far it has come.
        on_progress: Hears now and then which share of the time is done, between 0 and 1.
        remark: Hears where it goes on.

    Raises:
        HistoryError: A data source does not answer; what was played so far is kept.
        InputError: A data source is missing.
    """
    began, kept = clock.elapsed(), file.load(plan.policy.rules, plan.policy.guards)
    start = kept.done_until + MICROSECOND if kept else plan.start
    if kept:
        remark(f"goes on at {start:%Y-%m-%d %H:%M:%S}, where it was interrupted; --fresh begins anew")
    player, read = _player(plan, kept, orders_of(deploys, plan.policy, start, plan.end)), timedelta(0)
    history = History([*plan.policy.groups.values()], sources(plan, endpoints, clock), clock, start=start, end=plan.end)
    try:
        for stretch in _played(history, player, _Saver(player, file, clock)):
            read += stretch.took
            on_progress((stretch.end - plan.start) / (plan.end - plan.start))
    except HistoryError as error:
        raise HistoryError(f"{address_of(endpoints[error.source])}: {error}") from error
    return Played(
        results=player.results,
        read_s=read.total_seconds(),
        played_s=(clock.elapsed() - began).total_seconds(),
        resumed_at=min(start, plan.end) if kept else None,
    )


def _player(plan: Plan, kept: Progress | None, orders: list[Order]) -> Player:
    """Return a player that begins, or goes on from where an earlier one has come."""
    results, state = (kept.results, kept.state) if kept else (_empty(plan), None)
    return Player(policy=plan.policy, results=results, orders=orders, began=plan.began, state=state)


class _Saver:
    """Keep how far a player has come, every few seconds."""

    def __init__(self, player: Player, file: ProgressFile, clock: Clock) -> None:
        self._player = player
        self._file = file
        self._clock = clock
        self._saved_at = clock.elapsed()
        self._done_until: datetime | None = None

    def reached(self, at: datetime) -> None:
        """Take note that everything until then was played."""
        self._done_until = at
        if self._clock.elapsed() - self._saved_at > SAVED_EVERY:
            self.save()

    def save(self) -> None:
        """Keep it now, if there is anything that was not kept before."""
        if self._done_until is not None:
            state = self._player.replay.state
            self._file.save(Progress(results=self._player.results, state=state, done_until=self._done_until))
            self._saved_at, self._done_until = self._clock.elapsed(), None


def _played(history: History, player: Player, saver: _Saver) -> Iterator[Stretch]:
    """Play all stretches, and yield each that was played; what was played is kept also where history breaks off."""
    with history:
        try:
            for stretch in history.stretches():
                player.play(stretch)
                saver.reached(stretch.end)
                yield stretch
        except HistoryError:
            saver.save()
            raise
        saver.save()


def _empty(plan: Plan) -> Results:
    return Results(
        start=plan.start,
        end=plan.end,
        rules={rule: RuleResult() for rule in plan.policy.rules},
        guards={guard: GuardResult() for guard in plan.policy.guards},
    )


def sources(
    plan: Plan, endpoints: Mapping[str, Endpoint], clock: Clock, *, names: Collection[str] = ()
) -> dict[str, PrometheusSource]:
    """Return the data sources of a plan, or those with the given names; they wait for answers over long spans.

    Raises:
        InputError: One is missing.
    """
    wanted = names or {group.source for group in plan.policy.groups.values()}
    for name in sorted(set(wanted) - endpoints.keys()):
        raise InputError(f"no data source is called {name!r}: give the guard.toml that has it, or --prometheus URL")
    return {name: _patient(endpoints[name], clock) for name in wanted}


def address_of(endpoint: Endpoint) -> str:
    """Return who was asked, and where, as people may see it: without user, password and parameters."""
    parts = urlsplit(endpoint.url)
    host = parts.netloc.rpartition("@")[2]
    return f"{endpoint.name} at {parts.scheme}://{host}{parts.path.rstrip('/')}"


def _patient(endpoint: Endpoint, clock: Clock) -> PrometheusSource:
    return PrometheusSource(
        replace(
            endpoint,
            timeout=max(endpoint.timeout, QUERY_LASTS),
            max_response_bytes=max(endpoint.max_response_bytes, LARGEST_ANSWER),
        ),
        clock,
        Unheard(),
        patience=STRETCH_LASTS,
    )
