"""A real Prometheus that is stopped, paused, restarted, or whose target is gone."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from contracts.asking import MARGIN, Counts, read, rule, source
from installed import PROMETHEUS
from real_prometheus import RealPrometheus
from rollback_guard.core.observation import Answer, Failure, Sample, Unknown

BASE = datetime(2024, 3, 1, 12, tzinfo=UTC)
RULES = 1000
TIMEOUT = timedelta(seconds=2)
GENEROUS = timedelta(seconds=60)


def counter(*, steps: int = 120, each: float = 10.0, end: timedelta = timedelta(minutes=20)):
    return [(BASE + place * end / steps, each * place) for place in range(steps + 1)]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    samples = {f'requests_total{{job="j{number}"}}': counter() for number in range(RULES)}
    samples |= {f'errors_total{{job="j{number}"}}': counter(each=1) for number in range(0, RULES, 2)}
    samples['gone_total{job="a"}'] = counter(end=timedelta(minutes=10))
    with RealPrometheus(tmp_path_factory.mktemp("prometheus")).load(samples) as server:
        yield server


SLOT = BASE + timedelta(minutes=15, seconds=3.137)


def ratio(number: int, max_age: timedelta | None = None):
    errors, requests = f'errors_total{{job="j{number}"}}', f'requests_total{{job="j{number}"}}'
    denominator = f"sum(rate({requests}[2m]))"
    return rule(
        f"r{number}",
        f"sum(rate({errors}[2m])) / {denominator}",
        denominator=denominator,
        selectors=(errors, requests),
        max_age=max_age,
    )


async def test_a_thousand_ratios_are_read_in_few_requests(prometheus):
    counts = Counts()
    rules = [ratio(number, timedelta(minutes=5)) for number in range(RULES)]
    async with source(prometheus.url, counts=counts, timeout=GENEROUS) as made:
        for place, most in ((0, 110), (1, 32), (2, 32)):
            counts.results.clear()
            observations = await read(made, *rules, slot=SLOT + place * timedelta(seconds=15))
            assert counts.requests <= most
            assert counts.results.keys() == {"ok"}
    for number in range(RULES):
        observation = observations[f"r{number}"]
        assert observation.stale_since is None
        if number % 2 == 0:
            (sample,) = observation.measured.samples
            assert sample.value == pytest.approx(0.1)
            assert observation.denominator is None
        else:
            assert observation.measured == Answer()
            assert observation.denominator.samples[0].value == pytest.approx(1.0)


@pytest.mark.promise(11)
async def test_samples_of_a_target_that_is_gone_stop_counting_long_before_prometheus_forgets_them(prometheus):
    gone = BASE + timedelta(minutes=10)
    watched = rule("r", "sum(gone_total)", selectors=("gone_total",), max_age=timedelta(minutes=1))
    async with source(prometheus.url, timeout=GENEROUS) as made:
        for second in range(-60, 330, 15):
            slot = gone + timedelta(seconds=second)
            observation = (await read(made, watched, slot=slot))["r"]
            if second > 300 or (second == 300 and PROMETHEUS >= (3,)):  # which looks back for a little less than 5m
                assert observation.measured == Answer()
            else:
                assert observation.measured.samples, second
                assert observation.stale_since == (gone if second > 60 else None), second


@pytest.mark.promise(11)
async def test_a_ratio_is_not_taken_for_zero_because_of_an_old_denominator(prometheus):
    gone = BASE + timedelta(minutes=10)
    watched = rule(
        "r",
        "sum(nothing_total) / sum(gone_total)",
        denominator="sum(gone_total)",
        selectors=("nothing_total", "gone_total"),
        max_age=timedelta(minutes=1),
    )
    async with source(prometheus.url, timeout=GENEROUS) as made:
        for second, since in ((30, None), (90, gone)):
            observation = (await read(made, watched, slot=gone + timedelta(seconds=second)))["r"]
            assert observation.measured == Answer()
            assert observation.denominator.samples
            assert observation.stale_since == since


async def test_a_rule_that_prometheus_refuses_harms_only_itself(prometheus):
    rules = [
        rule("good", "sum(requests_total)"),
        rule("parse", "sum(requests_total"),
        rule("unknown", "no_such_function(requests_total)"),
        rule("scalar", "1 + 1"),
        rule("matching", "requests_total / on () errors_total"),
        rule("also_good", "count(errors_total) # with a comment"),
        rule("or", 'requests_total{job="j1"} or requests_total{job="j2"}'),
        rule("comparison", "sum(requests_total) > 1e9"),
    ]
    async with source(prometheus.url, timeout=GENEROUS) as made:
        observations = await read(made, *rules, slot=SLOT)
    assert observations["also_good"].measured == Answer((Sample((), 500.0),))
    assert len(observations["good"].measured.samples) == 1
    assert [sample.labels for sample in observations["or"].measured.samples] == [(("job", "j1"),), (("job", "j2"),)]
    assert observations["comparison"].measured == Answer()
    for name in ("parse", "unknown", "matching"):
        assert observations[name].measured.reason is Unknown.QUERY_ERROR, name
    assert "unclosed left parenthesis" in observations["parse"].measured.detail
    assert observations["scalar"].measured.reason is Unknown.BAD_RESPONSE


@pytest.fixture
def server(tmp_path):
    server = RealPrometheus(tmp_path / "prometheus").load({"m": counter()})
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.mark.promise(10)
@pytest.mark.promise(13)
async def test_one_that_is_paused_stopped_and_restarted_is_unknown_in_between_and_seen_again_at_once(server):
    watched = rule("r", "sum(m)")
    async with source(server.url, timeout=TIMEOUT) as made:

        async def sees() -> object:
            begun = time.monotonic()
            measured = (await read(made, watched, slot=SLOT))["r"].measured
            assert time.monotonic() - begun < (TIMEOUT + MARGIN).total_seconds()
            return measured.reason if isinstance(measured, Failure) else len(measured.samples)

        assert await sees() == 1
        server.pause()
        assert await sees() is Unknown.TIMEOUT
        assert await sees() is Unknown.TIMEOUT
        server.resume()
        async with asyncio.timeout(30):
            while await sees() != 1:
                pass
        server.stop()
        assert await sees() is Unknown.CONNECT
        server.start()
        assert await sees() == 1
        server.restart()
        assert await sees() == 1


async def test_the_servers_own_time_out_is_one(prometheus):
    heavy = rule("r", "count_over_time(vector(time())[30d:1s])")
    async with source(prometheus.url, timeout=timedelta(milliseconds=50)) as made:
        measured = (await read(made, heavy, slot=SLOT))["r"].measured
    assert measured.reason is Unknown.TIMEOUT
