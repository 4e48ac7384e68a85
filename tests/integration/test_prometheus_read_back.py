"""What is read back of a slot is what was read in it, on a real Prometheus with gaps, births and deaths of series."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from contracts.asking import Counts, group, rule, source
from real_prometheus import RealPrometheus
from rollback_guard.adapters.prometheus import source as source_module
from rollback_guard.core.observation import Answer, Failure, Unknown

BASE = datetime(2024, 3, 1, 12, tzinfo=UTC)
MINUTES = 40
SCRAPE = timedelta(seconds=10)
INTERVAL = timedelta(seconds=15)
SLOTS = [BASE + timedelta(seconds=3.137) + place * INTERVAL for place in range(4, MINUTES * 4)]
SEEDS = range(4)
MAX_AGES = [timedelta(seconds=20), timedelta(seconds=50), timedelta(minutes=4)]


def life(chance: random.Random, *, gaps: float) -> list[tuple[datetime, float]]:
    """Return the samples of a counter which is scraped now and then."""
    samples, value, here = [], 0.0, chance.random() < 0.5
    for place in range(MINUTES * 6):
        if chance.random() < gaps:
            here = not here
        value += chance.randrange(5)
        if here:
            samples.append((BASE + place * SCRAPE + timedelta(milliseconds=chance.randrange(400)), value))
    return samples


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    samples = {}
    for seed in SEEDS:
        chance = random.Random(seed)
        samples[f'errors_total{{job="j{seed}",instance="a"}}'] = life(chance, gaps=0.03)
        samples[f'errors_total{{job="j{seed}",instance="b"}}'] = life(chance, gaps=0.03)
        samples[f'requests_total{{job="j{seed}",instance="a"}}'] = life(chance, gaps=0.02)
        samples[f'requests_total{{job="j{seed}",instance="b"}}'] = life(chance, gaps=0.02)
    samples['twin_a{job="j0"}'] = samples['errors_total{job="j0",instance="a"}']
    samples['twin_b{job="j0"}'] = samples['errors_total{job="j0",instance="b"}']
    with RealPrometheus(tmp_path_factory.mktemp("prometheus")).load(samples) as server:
        yield server


def rules():
    for seed in SEEDS:
        errors, requests = f'errors_total{{job="j{seed}"}}', f'requests_total{{job="j{seed}"}}'
        for by in ("", " by (instance)"):
            denominator = f"sum{by} (rate({requests}[1m]))"
            for max_age in MAX_AGES:
                yield rule(
                    f"ratio{seed}{by}{max_age}",
                    f"sum{by} (rate({errors}[1m])) / {denominator}",
                    denominator=denominator,
                    when=denominator,
                    selectors=(errors, requests),
                    max_age=max_age,
                )
        yield rule(f"plain{seed}", errors, selectors=(errors,), max_age=MAX_AGES[1])
        fixed = f"sum(rate({requests}[1m] @ end()))"
        yield rule(f"ends{seed}", f"sum(rate({errors}[1m] @ start())) / {fixed}", denominator=fixed, when=fixed)
        yield rule(f"within{seed}", f"max_over_time(({errors} @ end () offset 20s)[1m:15s])")
    yield rule("twins", '{__name__=~"twin_.*"} # both')
    yield rule("twins at the end", '{__name__=~"twin_.*"} @ END # both\n()')
    yield rule("broken", "foo * on () group_left () {__name__=~'errors_total|requests_total'} + on () errors_total")


@pytest.mark.promise(11)
@pytest.mark.parametrize("slots_at_once", [1000, 17])
@pytest.mark.parametrize("offset", [timedelta(0), timedelta(seconds=7)])
async def test_slots_that_are_read_back_say_what_they_said_when_they_were_read(
    prometheus, offset, slots_at_once, monkeypatch
):
    monkeypatch.setattr(source_module, "SLOTS_AT_ONCE", slots_at_once)
    watched = group(*rules(), query_offset=offset)
    every_series = frozenset({(), (("instance", "a"),), (("instance", "b"),)})
    expected = {each.id: every_series for each in watched.rules}
    timeout = timedelta(seconds=60)
    async with (
        source(prometheus.url, timeout=timeout) as unbroken,
        source(prometheus.url, timeout=timeout) as restarted,
    ):
        lived = {slot: await unbroken.read(watched, slot, expected) for slot in SLOTS}
        told = await restarted.read_range(watched, SLOTS, expected)
        for slot in SLOTS[::40]:
            async with source(prometheus.url, timeout=timeout) as new:
                assert await new.read(watched, slot, expected) == lived[slot]
    assert list(told) == SLOTS
    for slot in SLOTS:
        for each in watched.rules:
            live, back = lived[slot][each.id], told[slot][each.id]
            assert (back.when, back.stale_since) == (live.when, live.stale_since), (slot, each.id)
            assert back.denominator == live.denominator, (slot, each.id)
            if isinstance(live.measured, Answer):
                assert dict(in_order(back.measured)) == dict(in_order(live.measured)), (slot, each.id)
            else:
                assert isinstance(back.measured, Failure)
                assert back.measured.reason is live.measured.reason
    seen = [observation for observations in lived.values() for observation in observations.values()]
    assert sum(each.stale_since is not None for each in seen) > 100
    assert sum(each.denominator is not None for each in seen) > 100
    assert {
        each["g/twins"].measured.reason for each in lived.values() if isinstance(each["g/twins"].measured, Failure)
    } == {Unknown.DUPLICATE}


def in_order(answer: Answer):
    return ((sample.labels, sample.value) for sample in answer.samples)


async def test_a_series_that_comes_and_goes_within_what_is_read_back_has_its_denominator(prometheus):
    ratios = [each for each in rules() if each.condition.ratio is not None and "by" in each.name]
    async with source(prometheus.url, timeout=timedelta(seconds=60)) as made:
        told = await made.read_range(group(*ratios), SLOTS, {})
    came_and_went = 0
    for each in ratios:
        before: set = set()
        for slot in SLOTS:
            observation = told[slot][each.id]
            labels = {sample.labels for sample in observation.measured.samples}
            if before - labels:
                assert observation.denominator is not None
                came_and_went += bool(labels)
            before |= labels
    assert came_and_went > 20


async def test_slots_are_read_back_in_few_requests(prometheus):
    counts = Counts()
    watched = group(*(rule(f"r{number}", f"sum(requests_total) > {number}") for number in range(100)))
    async with source(prometheus.url, counts=counts) as made:
        told = await made.read_range(watched, SLOTS[:100], {})
    assert len(told) == 100
    assert counts.results == {"ok": 2}


async def test_what_cannot_be_read_back_now_is_left_out(prometheus):
    counts = Counts()
    async with source("http://127.0.0.1:1", counts=counts) as made:
        assert await made.read_range(group(rule("r", "up")), SLOTS, {}) == {}
    assert counts.results.keys() == {"connect"}
