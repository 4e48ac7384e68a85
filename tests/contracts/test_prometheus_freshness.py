"""Old data is told from new by one definition, whatever is remembered and however seldom is asked."""

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.asking import SLOT, Counts, read, rule, source
from contracts.prometheus_server import FaultyServer, Request, Talk, error, healthy
from rollback_guard.adapters.prometheus.freshness import (
    Age,
    Seen,
    age,
    is_due,
    known_age,
    stale_since,
    what_proves_longest,
    window,
)
from rollback_guard.adapters.prometheus.grid import Grid, from_ms, runs_of, to_ms
from rollback_guard.core.observation import Unknown

INTERVAL = 15_000
MAX_AGE = 60_000
AT = 1_000_000_000


@pytest.mark.parametrize(
    ("newest", "expected"),
    [
        ({}, (Age.ABSENT, None)),
        ({AT: AT}, (Age.FRESH, AT)),
        ({AT: AT - MAX_AGE}, (Age.FRESH, AT - MAX_AGE)),
        ({AT: AT - MAX_AGE - 1}, (Age.STALE, AT - MAX_AGE - 1)),
        ({AT - 45_000: AT - 45_000}, (Age.FRESH, AT - 45_000)),
        ({AT - 60_000: AT - 60_000}, (Age.ABSENT, None)),
        ({AT + 15_000: AT}, (Age.ABSENT, None)),
        ({AT: AT - 90_000, AT - 15_000: AT - 20_000}, (Age.FRESH, AT - 20_000)),
    ],
)
def test_a_selector_is_as_old_as_its_newest_sample_seen_within_max_age(newest, expected):
    assert age(newest, AT, INTERVAL, MAX_AGE) == expected


@pytest.mark.parametrize(
    ("ages", "since"),
    [
        ([(Age.FRESH, AT)], None),
        ([(Age.FRESH, AT), (Age.ABSENT, None)], None),
        ([(Age.FRESH, AT), (Age.STALE, AT - 90_000)], AT - 90_000),
        ([(Age.STALE, AT - 70_000), (Age.STALE, AT - 90_000)], AT - 90_000),
        ([(Age.ABSENT, None)], AT - MAX_AGE),
        ([(Age.ABSENT, None), (Age.STALE, AT - 90_000)], AT - 90_000),
    ],
)
def test_a_rule_is_stale_with_its_worst_selector_but_one_that_never_had_samples_is_no_reason(ages, since):
    assert stale_since(ages, AT, MAX_AGE) == since


@given(data=st.data(), max_age=st.integers(1_000, 200_000), lookback=st.integers(1_000, 300_000))
@settings(max_examples=300, deadline=None)
def test_what_memory_proves_is_what_the_definition_says(data, max_age, lookback):
    """Play a selector's life slot by slot, asking at some slots only, and compare with full knowledge."""
    slots = [AT + place * INTERVAL for place in range(40)]
    times = sorted(data.draw(st.sets(st.integers(AT - 100_000, slots[-1]), max_size=30)))
    truth = {
        at: newest
        for at in range(AT - 20 * INTERVAL, slots[-1] + 1, INTERVAL)
        if (newest := max((each for each in times if at - lookback < each <= at), default=None)) is not None
    }
    seen: Seen | None = None
    for at in slots:
        how = data.draw(st.sampled_from(["not", "instant", "range"]))
        if how != "not":
            asked = Grid(start_ms=at, step_ms=INTERVAL) if how == "instant" else window(at, INTERVAL, max_age)
            seen = what_proves_longest({each: truth[each] for each in asked if each in truth}, asked)
        known, (exact, _) = known_age(seen, at, max_age), age(truth, at, INTERVAL, max_age)
        if known is Age.FRESH:
            assert exact is Age.FRESH
        if known is Age.ABSENT:
            assert exact is not Age.STALE


@pytest.mark.promise(30)
def test_selectors_seen_together_are_asked_for_again_at_times_spread_over_half_of_max_age():
    seen = Seen(at_ms=AT, newest_ms=AT)
    interval = 5_000
    due = Counter(
        next(at for at in range(AT, AT + 300_001, interval) if is_due(f"up{number}", seen, at, 300_000))
        for number in range(2000)
    )
    assert min(due) > AT + 145_000
    assert max(due) <= AT + 300_000
    assert max(due.values()) < 2000 / 30 * 2  # 30 slots share the work


@given(start=st.integers(0, 10**12), step=st.integers(100, 10**6), count=st.integers(1, 50), back=st.integers(0, 10**6))
@settings(deadline=None)
def test_a_grid_prolonged_into_the_past_keeps_its_instants(start, step, count, back):
    grid = Grid(start_ms=start, step_ms=step, count=count)
    longer = grid.after(start - back)
    assert list(grid) == list(longer)[-count:]
    assert all(at > start - back or at == start for at in longer)
    assert longer.start_ms - step <= start - back or back == 0
    assert len(list(longer)) == longer.count


def test_slots_are_asked_for_in_runs_without_gaps():
    step = timedelta(seconds=15)
    slots = [SLOT + place * step for place in (0, 1, 2, 5, 6, 7, 8, 20)]
    assert [len(run) for run in runs_of(slots[::-1], step, longest=3)] == [3, 3, 1, 1]
    assert [at for run in runs_of(slots, step, longest=3) for at in run] == slots
    assert from_ms(to_ms(SLOT)) == SLOT


RATIO = rule("r", "errors / all", denominator="all", selectors=("errors", "all"), max_age=timedelta(minutes=1))


def ages(**newest: str | None):
    """Answer queries for ages with these times, and all others with 1."""
    by_query = {f"max(timestamp({selector}))": value for selector, value in newest.items()}
    return lambda query: by_query.get(query) if query.startswith("max(timestamp(") else "1"


async def test_while_samples_are_known_to_be_new_nothing_is_asked():
    newest = str(SLOT.timestamp() - 2)
    with FaultyServer(healthy(ages(errors=newest, all=newest))) as server:
        async with source(server.url) as made:
            for place in range(2):
                observation = (await read(made, RATIO, slot=SLOT + place * timedelta(seconds=15)))["r"]
                assert observation.stale_since is None
    assert sorted(server.queries) == ["errors / all"] * 2 + ["max(timestamp(all))", "max(timestamp(errors))"]


async def test_a_rule_without_max_age_or_samples_is_asked_nothing_more():
    idle = rule("r", "sum(x)", selectors=("x",), max_age=timedelta(minutes=1))
    with FaultyServer(healthy(lambda query: None)) as server:
        async with source(server.url) as made:
            for place in range(5):
                await read(made, idle, rule("n", "y", selectors=("y",)), slot=SLOT + place * timedelta(seconds=15))
    assert Counter(server.queries) == {"sum(x)": 5, "y": 5, "max(timestamp(x))": 1}


async def test_where_the_age_cannot_be_found_out_the_rule_is_unknown_for_that_reason():
    def behave(talk: Talk, request: Request) -> None:
        if any("timestamp" in query for query in request.queries):
            talk.say(error("execution", "too many samples"), status=422)
        else:
            healthy()(talk, request)

    with FaultyServer(behave) as server:
        async with source(server.url) as made:
            measured = (await read(made, RATIO, rule("s", "up")))["r"].measured
    assert measured.reason is Unknown.QUERY_ERROR
    assert "how old the samples of errors are" in measured.detail


async def test_counts_are_unused_where_nothing_is_asked():
    counts = Counts()
    async with source("http://127.0.0.1:1", counts=counts) as made:
        assert await read(made) == {}
    assert counts.requests == 0
