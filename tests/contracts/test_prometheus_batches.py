"""Many rules travel in few requests, and a broken one harms only itself."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.asking import INTERVAL, SLOT, TIMEOUT, Counts, group, read, rule, source
from contracts.prometheus_server import FaultyServer, Request, Talk, error, healthy, vector
from rollback_guard.adapters.prometheus.batch import BATCH_CHARS, Allowance, combine
from rollback_guard.core.observation import Answer, Failure, Sample, Unknown

RULES = tuple(rule(f"r{number}", f"up{number}") for number in range(10))


def broken(answer: dict, *queries: str, status: int = 200):
    """Answer well, except to requests in which one of the queries stands."""

    def behave(talk: Talk, request: Request) -> None:
        if set(queries) & set(request.queries):
            talk.say(answer, status=status)
        else:
            healthy()(talk, request)

    return behave


def reasons(observations) -> dict[str, str | None]:
    return {
        name: each.measured.reason.value if isinstance(each.measured, Failure) else None
        for name, each in observations.items()
    }


def only(name: str, reason: str) -> dict[str, str | None]:
    return {each.name: reason if each.name == name else None for each in RULES}


async def test_each_rule_gets_the_answer_to_its_own_query():
    values = {f"up{number}": str(number) if number % 3 else None for number in range(10)}
    with FaultyServer(healthy(values.get)) as server:
        async with source(server.url, batch_size=4) as made:
            observations = await read(made, *RULES)
    assert len(server.requests) == 3
    for number in range(10):
        expected = (Sample((), float(number)),) if number % 3 else ()
        assert observations[f"r{number}"].measured == Answer(expected)


async def test_equal_queries_are_asked_once():
    with FaultyServer(healthy()) as server:
        async with source(server.url) as made:
            observations = await read(made, rule("a", "up"), rule("b", "up", when="up"), rule("c", "up", when="rate"))
    assert sorted(server.queries) == ["rate", "up"]
    assert observations["b"].when == observations["b"].measured == Answer((Sample((), 1.0),))
    assert observations["a"].when is None


FAULTS = {
    "query_error": (error("execution", "many-to-many matching"), 422),
    "bad_response": ({"status": "success", "data": {"resultType": "scalar", "result": [1, "1"]}}, 200),
    "partial": (vector([], warnings=["no such bucket"]), 200),
    "too_large": (vector([{"metric": {}, "value": [1, "1"]}] * 50), 200),
}


@pytest.mark.parametrize(("reason", "fault"), FAULTS.items(), ids=FAULTS.keys())
async def test_a_broken_rule_harms_only_itself_and_from_then_on_costs_one_request(reason, fault):
    answer, status = fault
    with FaultyServer(broken(answer, "up3", status=status)) as server:
        async with source(server.url, max_series=40) as made:
            assert reasons(await read(made, *RULES)) == only("r3", reason)
            assert len(server.requests) == 1 + len(RULES)
            server.requests.clear()
            assert reasons(await read(made, *RULES)) == only("r3", reason)
            assert len(server.requests) == 2
            server.behaviour = healthy()
            for _ in range(15):
                server.requests.clear()
                assert set(reasons(await read(made, *RULES)).values()) == {None}
            assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("reason", "answer", "status"),
    [
        ("timeout", error("timeout", "query timed out"), 503),
        ("http_error", {}, 503),
        ("query_error", error("unavailable", "starting"), 503),
        ("bad_response", "<html>log in</html>", 200),
    ],
)
async def test_a_batch_that_fails_through_the_server_is_not_asked_again_in_pieces(reason, answer, status):
    with FaultyServer(lambda talk, request: talk.say(answer, status=status, Content_Type="text/x")) as server:
        async with source(server.url) as made:
            assert set(reasons(await read(made, *RULES)).values()) == {reason}
    assert len(server.requests) == 1


async def test_a_slow_rule_is_found_within_a_few_slots_without_many_requests():
    def slow(talk: Talk, request: Request) -> None:
        if "up3" in request.queries:
            talk.keep_silent()
        else:
            healthy()(talk, request)

    with FaultyServer(slow) as server:
        async with source(server.url, timeout=timedelta(milliseconds=300)) as made:
            for _ in range(7):
                server.requests.clear()
                observations = await read(made, *RULES)
                assert len(server.requests) <= 6
    assert reasons(observations) == only("r3", "timeout")


async def test_queries_that_are_too_much_only_together_travel_in_smaller_batches():
    def limited(talk: Talk, request: Request) -> None:
        if len(request.queries) > 6:
            talk.say(error("execution", "query processing would load too many samples into memory"), status=422)
        else:
            healthy()(talk, request)

    with FaultyServer(limited) as server:
        async with source(server.url) as made:
            assert set(reasons(await read(made, *RULES)).values()) == {None}
            server.requests.clear()
            assert set(reasons(await read(made, *RULES)).values()) == {None}
    assert len(server.requests) == 2


@pytest.mark.promise(30)
async def test_after_an_outage_no_more_is_asked_than_before():
    rules = tuple(rule(f"r{number}", f"up{number}") for number in range(200))
    counts = Counts()
    with FaultyServer(healthy()) as server:
        async with source(server.url, counts=counts) as made:
            await read(made, *rules)
            usual = counts.requests
            server.behaviour = lambda talk, request: talk.say("starting", status=503, Content_Type="text/plain")
            for _ in range(5):
                counts.results.clear()
                await read(made, *rules)
                assert counts.requests <= usual
            server.behaviour = healthy()
            counts.results.clear()
            assert None in reasons(await read(made, *rules)).values()
            assert counts.requests <= usual


async def test_the_denominator_is_asked_for_only_where_the_ratio_is_absent():
    missing = {"errors_b / all_b", "errors_c / all_c"}
    values = {"all_b": "7"}
    with FaultyServer(
        healthy(lambda query: values.get(query) if query not in values and query in missing else "7")
    ) as server:
        async with source(server.url) as made:
            rules = [rule(name, f"errors_{name} / all_{name}", denominator=f"all_{name}") for name in "abcd"]
            gone = frozenset({(("instance", "1"),)})
            observations = await read(made, *rules, expected={"g/d": gone})
    assert observations["a"].denominator is None
    assert observations["b"].denominator == Answer((Sample((), 7.0),))
    assert observations["d"].denominator == Answer((Sample((), 7.0),))
    assert observations["d"].measured == Answer((Sample((), 7.0),))
    assert sorted(server.requests[-1].queries) == ["all_b", "all_c", "all_d"]
    assert len(server.requests) == 2


async def test_a_slot_whose_time_is_used_up_gives_up_what_was_not_asked():
    def slow(talk: Talk, request: Request) -> None:
        talk.stopping.wait(0.1)
        healthy()(talk, request)

    with FaultyServer(slow) as server:
        async with source(server.url, batch_size=1, concurrency=1, timeout=TIMEOUT) as made:
            observations = await read(made, *RULES, interval=timedelta(milliseconds=500))
    found = list(reasons(observations).values())
    assert found[0] is None
    assert found[-1] == "timeout"
    assert len(server.requests) < len(RULES)


@given(count=st.integers(1, 60))
@settings(deadline=None)
def test_a_combination_holds_every_query_once_and_is_balanced(count):
    queries = [f"q{number} # a comment" for number in range(count)]
    combined = combine(queries)
    assert combined.count("(") == combined.count(")")
    assert [combined.count(f"q{number} ") for number in range(count)] == [1] * count
    depth = max(combined[:place].count("(") - combined[:place].count(")") for place in range(len(combined)))
    assert depth <= 2 + 6  # label_replace((…)) and the logarithm of 60


@given(
    sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=120),
    batch_size=st.integers(1, 50),
    troubled=st.sets(st.integers(0, 119)),
)
@settings(deadline=None)
def test_packing_loses_no_query_and_keeps_the_bounds(sizes, batch_size, troubled):
    queries = [f"{number}" + "x" * size for number, size in enumerate(sizes)]
    allowance = Allowance(batch_size)
    alone = {queries[number] for number in troubled if number < len(queries)}
    for query in alone:
        allowance.isolate(query)
    batches = list(allowance.pack(queries))
    assert sorted(query for batch in batches for query in batch) == sorted(queries)
    assert all(len(batch) <= batch_size for batch in batches)
    assert all(len(batch) == 1 or sum(map(len, batch)) <= BATCH_CHARS for batch in batches)
    assert all(len(batch) == 1 for batch in batches if alone & set(batch))


async def test_a_reason_is_counted_for_each_request():
    counts = Counts()
    with FaultyServer(broken(error("execution", "no"), "up3", status=422)) as server:
        async with source(server.url, counts=counts) as made:
            await read(made, *RULES)
    assert counts.results == {"query_error": 2, "ok": 9}
    assert counts.longest < TIMEOUT
    assert Unknown.QUERY_ERROR.value in counts.results


async def test_a_server_that_names_errors_by_their_status_harms_only_the_broken_rule():
    """VictoriaMetrics answers `errorType: "422"`."""
    counts = Counts()
    with FaultyServer(broken(error("422", "unknown function"), "up3", status=422)) as server:
        async with source(server.url, counts=counts) as made:
            await read(made, *RULES)
    assert counts.results == {"query_error": 2, "ok": 9}


async def test_after_silence_what_names_the_ends_of_its_query_is_read_back_like_anything_else():
    watched = rule("r", "up @ end()")
    slots = [SLOT + number * INTERVAL for number in range(3)]
    with FaultyServer(lambda talk, _: talk.keep_silent()) as server:
        async with source(server.url, timeout=timedelta(milliseconds=300)) as made:
            assert reasons(await read(made, watched)) == {"r": "timeout"}
            server.behaviour = healthy()
            found = await made.read_range(group(watched), slots, {})
    assert [found[slot]["g/r"].measured for slot in slots] == [Answer((Sample((), 1.0),))] * len(slots)
