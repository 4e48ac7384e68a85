"""What versions of Prometheus do differently, and what is made of it: tried with the one that is first on PATH."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from contracts.asking import INTERVAL, group, read, rule, source
from installed import PROMETHEUS, with_prometheus_3
from real_prometheus import RealPrometheus
from rollback_guard.adapters.ephemeral import EphemeralPrometheus, Series
from rollback_guard.adapters.prometheus.batch import NO_NUMBER, split
from rollback_guard.adapters.prometheus.grid import Grid, from_ms, to_ms
from rollback_guard.adapters.prometheus.refusal import Refused
from rollback_guard.adapters.prometheus.strands import Packed
from rollback_guard.core.model import labels_of
from rollback_guard.core.observation import Answer, Failure, Sample, Unknown

pytestmark = pytest.mark.skipif(not PROMETHEUS, reason="prometheus is not installed (Debian: prometheus)")

STEP_MS = 15_000
BEGIN_MS = 1_700_000_010_000
SLOT = from_ms(BEGIN_MS + 20 * STEP_MS)
GENEROUS = timedelta(seconds=60)


def series(name, count=41, *, each=1, first=0, **labels):
    samples = [(BEGIN_MS + place * STEP_MS, float(place)) for place in range(first, count, each)]
    return Series(labels=labels_of({"__name__": name, **labels}), samples=samples)


@pytest.fixture(scope="module")
def server():
    with EphemeralPrometheus.start() as running:
        running.write(
            [
                series("ticks_total", job="a"),
                series("rare", each=8),
                series("bucket", le="1"),
                series("bucket", le="+Inf"),
            ]
        )
        yield running


@pytest.fixture
async def asked(server):
    async with source(server.url, timeout=GENEROUS) as made:
        yield made


async def measured(made, query):
    return (await read(made, rule("r", query), slot=SLOT))["r"].measured


def value(number):
    return Answer((Sample((), float(number)),))


async def test_a_range_leaves_out_what_stands_at_its_beginning_from_3_on(asked):
    count = await measured(asked, "sum(count_over_time(ticks_total[1m]))")
    assert count == value(4 if PROMETHEUS >= (3,) else 5)


async def test_samples_of_exactly_max_age_are_fresh_live_read_back_and_in_a_backtest(asked):
    """The definition is ours, wherever a server lets ranges begin."""
    watched = rule("r", "sum(rare)", selectors=("rare",), max_age=8 * INTERVAL)
    slots = [SLOT + number * INTERVAL for number in range(20)]
    assert any(to_ms(slot) == BEGIN_MS + place * STEP_MS for slot in slots for place in (24, 32))
    back = await asked.read_range(group(watched), slots, {})
    survey = await asked.survey(group(watched), slots)
    for place, slot in enumerate(slots):
        live = (await read(asked, watched, slot=slot))["r"]
        assert live.measured.samples
        assert (live.stale_since, back[slot]["g/r"].stale_since) == (None, None), place
        assert survey.observe(place)["g/r"] == live, place


@with_prometheus_3
async def test_what_the_server_only_remarks_on_counts_and_what_it_warns_of_does_not(asked):
    """Remarks (`infos`) are about the expression; after a warning an answer may be wrong or lack something."""
    rules = [
        rule("remark", "sum(rate(rare[10m]))"),
        rule("warning", "histogram_quantile(1.5, sum by (le) (bucket))"),
        rule("fine", "sum(ticks_total)"),
    ]
    for _ in range(2):
        observations = await read(asked, *rules, slot=SLOT)
        assert observations["remark"].measured.samples
        assert observations["fine"].measured == value(20)
        failure = observations["warning"].measured
        assert failure.reason is Unknown.PARTIAL
        assert "PromQL warning: quantile value should be between 0 and 1, got 1.5" in failure.detail


@with_prometheus_3
async def test_names_of_any_letters_are_asked_for_and_told(server, asked):
    server.write([series("http.requests", **{"service.name": "künde"})])
    watched = [
        rule("all", '{"http.requests", "service.name"="künde"}', selectors=('{"http.requests"}',), max_age=GENEROUS),
        rule("by", 'sum by ("service.name") ({"http.requests"})'),
    ]
    observations = await read(asked, *watched, slot=SLOT)
    for observation in observations.values():
        assert observation.measured == Answer((Sample(labels_of({"service.name": "künde"}), 20.0),))
        assert observation.stale_since is None


@with_prometheus_3
async def test_a_native_histogram_is_no_number_and_harms_only_its_own_rule(tmp_path):
    name = 'prometheus_http_request_duration_seconds{handler="/metrics"}'
    rules = [rule("raw", name), rule("count", f"sum(histogram_count({name}))"), rule("up", "sum(up)")]
    native = ["--enable-feature=native-histograms"]
    with (
        RealPrometheus(tmp_path / "target") as target,
        RealPrometheus(tmp_path / "server", targets=[f"127.0.0.1:{target.port}"], args=native) as server,
    ):
        async with source(server.url, timeout=GENEROUS) as made, asyncio.timeout(GENEROUS.total_seconds()):
            slot = datetime.now(UTC)
            while not (await read(made, rules[1], slot=slot))["count"].measured.samples:
                await asyncio.sleep(0.1)
                slot = datetime.now(UTC)
            observations = await read(made, *rules, slot=slot)
            back = await made.read_range(group(rules[0]), [slot, slot + INTERVAL], {})
    for told in (observations["raw"].measured, back[slot]["g/raw"].measured):
        assert told == Failure(Unknown.BAD_RESPONSE, NO_NUMBER)
    assert observations["count"].measured.samples
    assert observations["up"].measured == value(1)


def test_a_series_with_numbers_and_histograms_is_none_either():
    """Else the instants of its histograms would be read back as absent, which live they are not."""
    mixed = {"metric": {}, "values": Packed([1.0], [2.0]), "histograms": [[16, {"count": "1", "sum": "1"}]]}
    with pytest.raises(Refused, match="the answer is a native histogram"):
        split(["q"], [mixed], Grid(start_ms=1000, step_ms=STEP_MS, count=2))
