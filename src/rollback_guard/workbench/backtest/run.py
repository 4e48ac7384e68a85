"""Run a backtest: read history and play it, stretch by stretch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from rollback_guard.adapters.prometheus import PrometheusSource
from rollback_guard.ports import Clock
from rollback_guard.specs import Endpoint
from rollback_guard.workbench.backtest.happenings import Deploy, HappeningError
from rollback_guard.workbench.backtest.history import MICROSECOND, History, HistoryError
from rollback_guard.workbench.backtest.keep import Part, Progress
from rollback_guard.workbench.backtest.play import Player
from rollback_guard.workbench.backtest.tally import GuardTally, RuleTally, Tally
from rollback_guard.workbench.backtest.window import Plan, orders_of
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

    tally: Tally
    read_s: float
    played_s: float
    resumed_at: datetime | None = None


def run(
    plan: Plan,
    endpoints: Mapping[str, Endpoint],
    clock: Clock,
    *,
    deploys: list[Deploy],
    part: Part,
    told: Callable[[float], None],
    remark: Callable[[str], None],
) -> Played:
    """Play a policy over history.

    Args:
        plan: What is played.
        endpoints: The data sources.
        clock: For time limits and measuring.
        deploys: Each begins a rollout.
        part: Keeps how far it has come.
        told: Hears now and then which share of the time is done, between 0 and 1.
        remark: Hears where it goes on.

    Raises:
        HistoryError: A data source does not answer; what was played so far is kept.
        HappeningError: A data source is missing.
    """
    kept = part.load(plan.policy.rules, plan.policy.guards)
    tally = kept.tally if kept else _empty(plan)
    start = kept.done_until + MICROSECOND if kept else plan.start
    if kept:
        remark(f"goes on at {start:%Y-%m-%d %H:%M:%S}, where it was interrupted; --fresh begins anew")
    player = Player(
        policy=plan.policy,
        tally=tally,
        orders=orders_of(deploys, plan.policy, start, plan.end),
        began=plan.began,
        state=kept.state if kept else None,
    )
    if start > plan.end:
        return Played(tally=tally, read_s=0.0, played_s=0.0, resumed_at=plan.end)
    began, saved = clock.elapsed(), clock.elapsed()
    read = timedelta(0)
    done_until = kept.done_until if kept else None
    with History(
        tuple(plan.policy.groups.values()), sources(plan, endpoints, clock), clock, start=start, end=plan.end
    ) as history:
        try:
            for stretch in history.stretches():
                player.play(stretch)
                done_until = stretch.end
                read += stretch.took
                told((stretch.end - plan.start) / (plan.end - plan.start))
                if clock.elapsed() - saved > SAVED_EVERY or stretch.end >= plan.end:
                    part.save(Progress(tally=tally, state=player.replay.state, done_until=stretch.end))
                    saved = clock.elapsed()
        except HistoryError:
            if done_until is not None:
                part.save(Progress(tally=tally, state=player.replay.state, done_until=done_until))
            raise
    return Played(
        tally=tally,
        read_s=read.total_seconds(),
        played_s=(clock.elapsed() - began).total_seconds(),
        resumed_at=start if kept else None,
    )


def _empty(plan: Plan) -> Tally:
    return Tally(
        start=plan.start,
        end=plan.end,
        rules={rule: RuleTally() for rule in plan.policy.rules},
        guards={guard: GuardTally() for guard in plan.policy.guards},
    )


def sources(
    plan: Plan, endpoints: Mapping[str, Endpoint], clock: Clock, *, names: Collection[str] = ()
) -> dict[str, PrometheusSource]:
    """Return the data sources of a plan, or those with the given names; they wait for answers over long spans.

    Raises:
        HappeningError: One is missing.
    """
    wanted = names or {group.source for group in plan.policy.groups.values()}
    for name in sorted(set(wanted) - endpoints.keys()):
        raise HappeningError(f"no data source is called {name!r}: give the guard.toml that has it, or --prometheus URL")
    return {name: _patient(endpoints[name], clock) for name in wanted}


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
