"""What a server says counts only while it has a heartbeat, and asking for that costs next to nothing."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from contracts.asking import SLOT, Counts, group, read, rule, source
from contracts.prometheus_server import FaultyServer, Request, Talk, error, healthy, vector
from fakes import FakeClock
from real_prometheus import RealPrometheus
from rollback_guard.adapters.prometheus import PrometheusSource
from rollback_guard.core.judgement import judge
from rollback_guard.core.model import Group, NoData, Rule, Verdict
from rollback_guard.core.observation import (
    ROAD,
    Answer,
    Failure,
    Family,
    Observation,
    Reading,
    Sample,
    Unknown,
    family,
)
from rollback_guard.core.split import split
from rollback_guard.specs import Endpoint

HEARTBEAT = "count(up)"
AGE = "max(timestamp(up))"
MAX_AGE = timedelta(minutes=1)
GENEROUS = timedelta(seconds=60)


def answers(**values: str | None):
    """Answer every query with one, but for the heartbeat and the time of its newest sample."""
    said = {HEARTBEAT: values.get("heartbeat", "3"), AGE: values.get("newest", str(SLOT.timestamp()))}
    return healthy(lambda query: said.get(query, "1"))


def whole(expr: str, *, max_age: timedelta | None = None, no_data: NoData = NoData.HOLD) -> Rule:
    """A rule as the configuration makes it."""
    return replace(rule("r", expr), condition=split(expr), max_age=max_age, no_data=no_data)


def verdict_of(watched: Rule, observation: Observation) -> Verdict:
    return judge(watched, observation, {}).verdict


def doubt_of(observation: Observation) -> Unknown:
    assert isinstance(observation.measured, Failure), observation
    assert observation.measured.detail
    return observation.measured.reason


def test_a_missing_heartbeat_is_blindness_and_not_a_lost_slot():
    reading = Reading(group="g", slot=SLOT, observations={"r": Observation(measured=Failure(Unknown.HEARTBEAT))})
    assert family(Unknown.HEARTBEAT) is Family.BLIND
    assert Unknown.HEARTBEAT not in ROAD
    assert not reading.is_lost


async def test_an_answer_with_a_heartbeat_counts_and_costs_one_request():
    counts = Counts()
    with FaultyServer(answers()) as server:
        async with source(server.url, counts=counts, heartbeat=HEARTBEAT) as made:
            observations = await read(made, rule("a", "one", max_age=MAX_AGE), rule("b", "two", when="three"))
    assert observations["a"].measured == Answer((Sample((), 1.0),))
    assert observations["b"].when == Answer((Sample((), 1.0),))
    assert counts.results == {"ok": 1}
    assert server.queries == [HEARTBEAT, AGE, "one", "two", "three"]


async def test_a_group_whose_rules_do_not_care_for_age_does_not_ask_for_that_of_the_heartbeat():
    with FaultyServer(answers(newest="1")) as server:
        async with source(server.url, heartbeat=HEARTBEAT) as made:
            assert isinstance((await read(made, rule("a", "one")))["a"].measured, Answer)
    assert server.queries == [HEARTBEAT, "one"]


@pytest.mark.promise(10)
@pytest.mark.parametrize("value", [None, "0", "-1", "NaN", "+Inf", "-Inf"])
async def test_without_a_sample_above_zero_nothing_that_the_server_says_counts(value):
    counts = Counts()
    with FaultyServer(answers(heartbeat=value)) as server:
        async with source(server.url, counts=counts, heartbeat=HEARTBEAT) as made:
            observations = await read(made, rule("a", "one", denominator="two"), rule("b", "three"))
    assert {doubt_of(each) for each in observations.values()} == {Unknown.HEARTBEAT}
    assert HEARTBEAT in observations["a"].measured.detail
    assert counts.requests == 1  # denominators and ages are not asked for in vain


async def test_one_sample_above_zero_among_several_is_enough():
    def behave(talk: Talk, request: Request) -> None:
        place = request.queries.index("up")
        beats = [
            {"metric": {"__rule__": str(place), "job": job}, "value": [0, value]}
            for job, value in (("a", "0"), ("b", "NaN"), ("c", "1"))
        ]
        talk.say(vector(beats))

    with FaultyServer(behave) as server:
        async with source(server.url, heartbeat="up") as made:
            assert (await read(made, rule("r", "one")))["r"].measured == Answer()


async def test_an_empty_heartbeat_asks_nothing():
    with FaultyServer(healthy()) as server:
        async with source(server.url) as made:
            assert isinstance((await read(made, rule("r", "one")))["r"].measured, Answer)
    assert server.queries == ["one"]


@pytest.mark.promise(11)
@pytest.mark.parametrize(
    ("age", "max_age", "counts"),
    [
        (timedelta(seconds=119), MAX_AGE, True),
        (timedelta(seconds=121), MAX_AGE, False),
        (timedelta(seconds=121), timedelta(minutes=3), True),
        (timedelta(seconds=200), timedelta(minutes=3), False),
        (timedelta(hours=1), None, True),
    ],
)
async def test_a_heartbeat_that_rests_on_old_samples_is_none(age, max_age, counts):
    with FaultyServer(answers(newest=str((SLOT - age).timestamp()))) as server:
        async with source(server.url, heartbeat=HEARTBEAT) as made:
            observation = (await read(made, rule("r", "one", max_age=max_age)))["r"]
    if counts:
        assert isinstance(observation.measured, Answer)
    else:
        assert doubt_of(observation) is Unknown.HEARTBEAT
        assert f"{SLOT - age:%H:%M:%SZ}" in observation.measured.detail


@pytest.mark.promise(10)
@pytest.mark.parametrize("newest", ["NaN", "+Inf", "-Inf", "1e308", "-1e308", str(SLOT.timestamp() + 3600)])
async def test_a_newest_sample_that_cannot_be_is_a_lie(newest):
    with FaultyServer(answers(newest=newest)) as server:
        async with source(server.url, heartbeat=HEARTBEAT) as made:
            observation = (await read(made, rule("r", "one", max_age=MAX_AGE)))["r"]
    assert doubt_of(observation) is Unknown.BAD_RESPONSE


async def test_a_heartbeat_that_the_server_refuses_says_so_in_the_servers_words():
    def behave(talk: Talk, request: Request) -> None:
        if any("count(" in query for query in request.queries):
            talk.say(error("bad_data", "unclosed parenthesis"), status=400)
        else:
            healthy()(talk, request)

    with FaultyServer(behave) as server:
        async with source(server.url, heartbeat="count(") as made:
            observations = await read(made, rule("a", "one"), rule("b", "two"))
    assert {doubt_of(each) for each in observations.values()} == {Unknown.QUERY_ERROR}
    assert "unclosed parenthesis" in observations["a"].measured.detail
    assert "heartbeat count(" in observations["a"].measured.detail


async def test_where_only_the_heartbeat_is_not_answered_a_rule_of_its_own_trouble_keeps_that():
    def behave(talk: Talk, request: Request) -> None:
        if "broken" in request.queries:
            talk.say(error("execution", "no such thing"), status=422)
        elif HEARTBEAT in request.queries:
            talk.say(error("timeout", "query timed out"), status=503)
        else:
            healthy()(talk, request)

    with FaultyServer(behave) as server:
        async with source(server.url, heartbeat=HEARTBEAT, concurrency=8) as made:
            observations = await read(made, rule("a", "one"), rule("b", "broken"))
    assert doubt_of(observations["a"]) is Unknown.TIMEOUT
    assert doubt_of(observations["b"]) is Unknown.QUERY_ERROR


async def test_a_broken_rule_does_not_cost_the_heartbeat():
    def behave(talk: Talk, request: Request) -> None:
        if "broken" in request.queries:
            talk.say(error("execution", "no such thing"), status=422)
        else:
            answers()(talk, request)

    with FaultyServer(behave) as server:
        async with source(server.url, heartbeat=HEARTBEAT) as made:
            for _ in range(2):
                observations = await read(made, rule("a", "one"), rule("b", "broken"))
                assert isinstance(observations["a"].measured, Answer)
                assert doubt_of(observations["b"]) is Unknown.QUERY_ERROR


def one_group(place: int, *, no_data: NoData = NoData.HOLD) -> Group:
    watched = replace(rule("r", f"one{place}", max_age=MAX_AGE), no_data=no_data)
    return replace(group(watched), id=f"g{place}")


async def test_groups_that_read_the_same_second_share_one_question():
    counts = Counts()
    with FaultyServer(answers()) as server:
        async with source(server.url, counts=counts, heartbeat=HEARTBEAT) as made:
            for place in range(200):
                slot = SLOT.replace(microsecond=0) + timedelta(milliseconds=5 * place)
                assert isinstance((await made.read(one_group(place), slot, {}))["g/r"].measured, Answer)
            assert counts.results == {"ok": 200}
            asked = server.queries.count(HEARTBEAT)
            assert asked <= 3  # one, and one more for every two seconds that this machine takes
            assert server.queries.count(AGE) == asked
            await made.read(one_group(0), SLOT + timedelta(seconds=1), {})
            assert server.queries.count(HEARTBEAT) == asked + 1


async def test_a_question_without_ages_does_not_serve_a_group_that_wants_them():
    with FaultyServer(answers()) as server:
        async with source(server.url, heartbeat=HEARTBEAT) as made:
            await read(made, rule("r", "one"))
            await made.read(one_group(0), SLOT, {})
            await read(made, rule("r", "one"))
    assert (server.queries.count(HEARTBEAT), server.queries.count(AGE)) == (2, 1)


async def test_what_was_said_a_moment_ago_serves_and_not_what_was_said_before_the_clock_was_set_back():
    clock = FakeClock()
    with FaultyServer(answers()) as server:
        made = PrometheusSource(Endpoint(name="p", url=server.url, heartbeat=HEARTBEAT), clock, Counts())
        try:
            for _ in range(2):
                await made.read(one_group(0), SLOT, {})
            assert server.queries.count(HEARTBEAT) == 1
            await clock.advance(timedelta(hours=1))
            await made.read(one_group(0), SLOT, {})
            assert server.queries.count(HEARTBEAT) == 2
        finally:
            await made.close()


async def test_an_absent_heartbeat_is_shared_too_but_one_that_was_not_answered_is_asked_again():
    with FaultyServer(answers(heartbeat=None)) as server:
        async with source(server.url, heartbeat=HEARTBEAT) as made:
            for _ in range(2):
                assert doubt_of((await read(made, rule("r", "one")))["r"]) is Unknown.HEARTBEAT
            assert server.queries.count(HEARTBEAT) == 1
    with FaultyServer(lambda talk, request: talk.hang_up()) as server:
        async with source(server.url, heartbeat=HEARTBEAT) as made:
            assert doubt_of((await read(made, rule("r", "one")))["r"]) is Unknown.CONNECT
            server.behaviour = answers()
            assert isinstance((await read(made, rule("r", "one")))["r"].measured, Answer)


SENSITIVE = {
    "no data is fine": replace(rule("r", "one"), no_data=NoData.OK),
    "no data is a breach": replace(rule("r", "one"), no_data=NoData.BREACH),
    "a condition that cannot be split": replace(rule("r", "one"), condition=split("absent(one)")),
    "a `when` that cannot be split": replace(rule("r", "one"), when=split("two > 1 and three > 1")),
}


@pytest.mark.promise(10)
@pytest.mark.parametrize("watched", SENSITIVE.values(), ids=SENSITIVE.keys())
async def test_to_a_rule_that_takes_nothing_for_a_verdict_the_answer_of_a_moment_ago_proves_nothing(watched):
    with FaultyServer(answers()) as server:
        async with source(server.url, heartbeat=HEARTBEAT) as made:
            assert isinstance((await made.read(one_group(0), SLOT, {}))["g/r"].measured, Answer)
            server.behaviour = healthy(lambda query: None)  # it was restarted, and its data are gone
            assert doubt_of((await read(made, watched))["r"]) is Unknown.HEARTBEAT


async def test_past_slots_whose_heartbeat_got_no_answer_can_be_asked_for_again():
    def behave(talk: Talk, request: Request) -> None:
        if HEARTBEAT in request.queries:
            talk.say("busy", status=503)
        else:
            talk.say({"status": "success", "data": {"resultType": "matrix", "result": []}})

    with FaultyServer(behave) as server:
        async with source(server.url, heartbeat=HEARTBEAT, batch_size=1) as made:
            found = await made.read_range(group(rule("r", "one")), [SLOT, SLOT + timedelta(seconds=15)], {})
    assert found == {}


BASE = datetime(2024, 3, 1, 12, tzinfo=UTC)
EXPRESSIONS = {
    "absent": whole('absent(up{job="shop"})', max_age=timedelta(minutes=2)),
    "no data is fine": whole('errors_total{job="shop"} > 5', no_data=NoData.OK),
    "no data is a breach": whole('errors_total{job="shop"} > 5', no_data=NoData.BREACH),
    "a condition of two": whole('errors_total{job="shop"} > 5 and on (job) up'),
}


def every_15s(start: timedelta, end: timedelta, value: float) -> list[tuple[datetime, float]]:
    return [(BASE + start + n * timedelta(seconds=15), value) for n in range((end - start) // timedelta(seconds=15))]


@pytest.mark.promise(10)
async def test_a_real_server_that_lost_its_data_is_not_believed(tmp_path):
    minutes = timedelta(minutes=20)
    samples = {
        'up{job="shop"}': every_15s(timedelta(0), minutes, 1),
        'errors_total{job="shop"}': every_15s(timedelta(0), minutes, 9),
    }
    slot = BASE + timedelta(minutes=15)
    server = RealPrometheus(tmp_path / "prometheus").load(samples)
    try:
        server.start()
        verdicts = {"absent": Verdict.PASS} | dict.fromkeys([*EXPRESSIONS][1:], Verdict.BREACH)
        async with source(server.url, timeout=GENEROUS, heartbeat=HEARTBEAT) as made:
            for name, watched in EXPRESSIONS.items():
                observation = (await read(made, watched, slot=slot))["r"]
                assert verdict_of(watched, observation) is verdicts[name], name

        server.stop()
        shutil.rmtree(tmp_path / "prometheus" / "data")
        server.start()
        misjudged = set()
        async with (
            source(server.url, timeout=GENEROUS, heartbeat=HEARTBEAT) as made,
            source(server.url, timeout=GENEROUS) as unguarded,
        ):
            for watched in EXPRESSIONS.values():
                observation = (await read(made, watched, slot=slot))["r"]
                assert doubt_of(observation) is Unknown.HEARTBEAT
                assert verdict_of(watched, observation) is Verdict.UNKNOWN
                misjudged.add(verdict_of(watched, (await read(unguarded, watched, slot=slot))["r"]))
        assert misjudged == {Verdict.PASS, Verdict.BREACH}  # without the heartbeat
    finally:
        server.stop()


@pytest.mark.promise(11)
async def test_past_slots_have_a_heartbeat_exactly_where_the_present_had_one(tmp_path):
    gap = {
        'up{job="other"}': [
            *every_15s(timedelta(0), timedelta(minutes=5), 1),
            *every_15s(timedelta(minutes=15), timedelta(minutes=20), 1),
        ],
        'errors_total{job="shop"}': every_15s(timedelta(0), timedelta(minutes=20), 9),
    }
    slots = [BASE + timedelta(seconds=3.137 + 30 * n) for n in range(2, 40)]
    for max_age in (None, timedelta(minutes=3)):
        watched = group(rule("r", "errors_total", max_age=max_age), interval=timedelta(seconds=30))
        with RealPrometheus(tmp_path / str(max_age)).load(gap) as server:
            async with source(server.url, timeout=GENEROUS, heartbeat=HEARTBEAT) as made:
                past = await made.read_range(watched, slots, {})
                present = {slot: await made.read(watched, slot, {}) for slot in slots}
        assert {slot: each["g/r"].measured for slot, each in past.items()} == {
            slot: each["g/r"].measured for slot, each in present.items()
        }
        blind = [slot for slot in slots if isinstance(present[slot]["g/r"].measured, Failure)]
        lookback = timedelta(minutes=5) if max_age is None else max_age
        begins = BASE + timedelta(minutes=4, seconds=45) + lookback
        assert blind == [slot for slot in slots if begins < slot < BASE + timedelta(minutes=15)]
