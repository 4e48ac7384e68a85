"""Whatever a server or the road to it does, a read ends in time, in bounds, and says what it is that is not known."""

import asyncio
import gzip
import json
import socket
import threading
import time
from datetime import timedelta

import psutil
import pytest

from contracts.asking import MARGIN, SLOT, TIMEOUT, Counts, group, read, rule, source
from contracts.prometheus_server import FaultyServer, Talk, error, healthy, lost_syn, matrix, vector
from loopback import free_port
from rollback_guard.adapters.clock import SystemClock
from rollback_guard.adapters.prometheus.client import Client
from rollback_guard.adapters.prometheus.grid import Grid
from rollback_guard.adapters.prometheus.refusal import Refused
from rollback_guard.core.observation import Answer, Failure, Family, Sample, Unknown, family
from rollback_guard.specs import Endpoint

ONE = {"metric": {"job": "shop"}, "value": [1, "0.5"]}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def chunked(block: bytes, times: int):
    def behave(talk: Talk, request) -> None:
        talk.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(times):
            talk.send(b"%x\r\n%b\r\n" % (len(block), block))

    return behave


def drips_body(talk: Talk, request) -> None:
    talk.send(HEAD + b"Content-Length: 100000\r\n\r\n")
    talk.drip(b" ")


def drips_chunks(talk: Talk, request) -> None:
    talk.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    talk.drip(b"1\r\n \r\n")


def drips_headers(talk: Talk, request) -> None:
    talk.send(b"HTTP/1.1 200 OK\r\n")
    talk.drip(b"X-More: 1\r\n", every=timedelta(milliseconds=50))  # a hundred of them would be an error at once


def drips_one_header(talk: Talk, request) -> None:
    talk.send(b"HTTP/1.1 200 OK\r\nX-More: ")
    talk.drip(b"x")


def drips_continue(talk: Talk, request) -> None:
    talk.drip(b"HTTP/1.1 100 Continue\r\n\r\n")


def sends(data: bytes):
    return lambda talk, request: talk.send(data)


def is_silent(talk: Talk, request) -> None:
    talk.keep_silent()


def resets(talk: Talk, request) -> None:
    talk.reset()


def hangs_up(talk: Talk, request) -> None:
    talk.hang_up()


def cuts_body(talk: Talk, request) -> None:
    talk.send(HEAD + b'Content-Length: 1000\r\n\r\n{"status":')
    talk.hang_up()


def says(body, **options):
    return lambda talk, request: talk.say(body, **options)


def gzipped(body: bytes):
    return says(gzip.compress(body), Content_Encoding="gzip")


def scalar() -> dict:
    return {"status": "success", "data": {"resultType": "scalar", "result": [1, "5"]}}


WHOLE = json.dumps(vector([ONE]))
HISTOGRAM = {"metric": {}, "histogram": [1, {"count": "1", "sum": "1", "buckets": []}]}

FAULTS = {
    "silence": (is_silent, Unknown.TIMEOUT),
    "a dripping body": (drips_body, Unknown.TIMEOUT),
    "dripping chunks": (drips_chunks, Unknown.TIMEOUT),
    "dripping headers": (drips_headers, Unknown.TIMEOUT),
    "one dripping header": (drips_one_header, Unknown.TIMEOUT),
    "continue for ever": (drips_continue, Unknown.TIMEOUT),
    "a reset": (resets, Unknown.CONNECT),
    "hanging up": (hangs_up, Unknown.CONNECT),
    "a cut body": (cuts_body, Unknown.BAD_RESPONSE),
    "another protocol": (sends(b"SSH-2.0-OpenSSH_9.2\r\n"), Unknown.BAD_RESPONSE),
    "too many headers": (sends(b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 200), Unknown.BAD_RESPONSE),
    "too long a header": (sends(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n"), Unknown.BAD_RESPONSE),
    "chunks of no size": (sends(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"), Unknown.BAD_RESPONSE),
    "truncated JSON": (says(WHOLE[:-10]), Unknown.BAD_RESPONSE),
    "deeply nested JSON": (says("[" * 200_000), Unknown.BAD_RESPONSE),
    "a login page": (says("<html>log in</html>", Content_Type="text/html"), Unknown.BAD_RESPONSE),
    "JSON of something else": (says({"hello": "world"}), Unknown.BAD_RESPONSE),
    "a JSON list": (says("[1, 2]"), Unknown.BAD_RESPONSE),
    "no body": (says(""), Unknown.BAD_RESPONSE),
    "missing data": (says({"status": "success"}), Unknown.BAD_RESPONSE),
    "missing result": (says({"status": "success", "data": {}}), Unknown.BAD_RESPONSE),
    "a scalar": (says(scalar()), Unknown.BAD_RESPONSE),
    "a sample without value": (says(vector([{"metric": {}}])), Unknown.BAD_RESPONSE),
    "a histogram": (says(vector([HISTOGRAM])), Unknown.BAD_RESPONSE),
    "a value that is no number": (says(vector([{"metric": {}, "value": [1, "abc"]}])), Unknown.BAD_RESPONSE),
    "a value beyond all numbers": (says(vector([{"metric": {}, "value": [1, 10**400]}])), Unknown.BAD_RESPONSE),
    "a label that is no text": (says(vector([{"metric": {"job": ["a"]}, "value": [1, "1"]}])), Unknown.BAD_RESPONSE),
    "labels that are none": (says(vector([{"metric": None, "value": [1, "1"]}])), Unknown.BAD_RESPONSE),
    "series that are none": (says(vector(["a", 1, None])), Unknown.BAD_RESPONSE),
    "a matrix": (says(matrix([{"metric": {}, "values": [[1, "1"]]}])), Unknown.BAD_RESPONSE),
    "a string": (
        says({"status": "success", "data": {"resultType": "string", "result": [1, "1"]}}),
        Unknown.BAD_RESPONSE,
    ),
    "a parse error": (says(error("bad_data", "no"), status=400), Unknown.QUERY_ERROR),
    "an execution error": (says(error("execution", "no"), status=422), Unknown.QUERY_ERROR),
    "an error under status 200": (says(error("execution", "no")), Unknown.QUERY_ERROR),
    "the server's own time-out": (says(error("timeout", "query timed out"), status=503), Unknown.TIMEOUT),
    "not ready": (says("Service Unavailable", status=503, Content_Type="text/plain"), Unknown.HTTP_ERROR),
    "wrong credentials": (says("Unauthorized", status=401), Unknown.HTTP_ERROR),
    "no permission": (says("Forbidden", status=403), Unknown.HTTP_ERROR),
    "a gateway's page": (says("<html>502</html>", status=502, Content_Type="text/html"), Unknown.HTTP_ERROR),
    "a success that is none": (says(WHOLE, status=500), Unknown.HTTP_ERROR),
    "warnings": (says(vector([ONE], warnings=["store a is down"])), Unknown.PARTIAL),
    "a partial answer": (says(vector([ONE], isPartial=True)), Unknown.PARTIAL),
    "an encoded answer": (gzipped(WHOLE.encode()), Unknown.BAD_RESPONSE),
    "a redirect": (says("", status=302, Location="http://localhost:1/"), Unknown.HTTP_ERROR),
    "retry later": (says("busy", status=503, Retry_After="30"), Unknown.HTTP_ERROR),
    "too many requests": (says("busy", status=429, Retry_After="30"), Unknown.HTTP_ERROR),
    "an endless body": (chunked(b" " * 65536, 10**9), Unknown.TOO_LARGE),
    "too many series": (says(vector([ONE] * 11)), Unknown.TOO_LARGE),
}


@pytest.mark.promise(10)
@pytest.mark.promise(13)
@pytest.mark.parametrize(("behaviour", "reason"), FAULTS.values(), ids=FAULTS.keys())
async def test_a_fault_is_its_own_reason_not_to_know_and_is_seen_in_time(behaviour, reason):
    counts = Counts()
    with FaultyServer(behaviour) as server:
        async with source(server.url, counts=counts, max_response_bytes=1_000_000, max_series=10) as made:
            begun = time.monotonic()
            observation = (await read(made, rule("r", "up")))["r"]
            took = time.monotonic() - begun
            async with asyncio.timeout(5):  # the thread is free again too, while the server goes on
                await asyncio.gather(*map(asyncio.wrap_future, made._client._running), return_exceptions=True)
    assert isinstance(observation.measured, Failure)
    assert observation.measured.reason is reason
    assert observation.measured.detail
    assert family(reason) is Family.BLIND
    assert took < (TIMEOUT + MARGIN).total_seconds()
    assert counts.results == {reason.value: 1}
    assert len(server.requests) == 1


@pytest.mark.promise(13)
async def test_a_refused_connection_is_seen_at_once():
    async with source(f"http://127.0.0.1:{free_port()}", timeout=timedelta(seconds=60)) as made:
        begun = time.monotonic()
        observation = (await read(made, rule("r", "up")))["r"]
    assert observation.measured == Failure(Unknown.CONNECT, "Connection refused")
    assert time.monotonic() - begun < 5


@pytest.mark.promise(13)
async def test_a_lost_syn_ends_at_the_deadline():
    with lost_syn() as url:
        async with source(url) as made:
            begun = time.monotonic()
            observation = (await read(made, rule("r", "up")))["r"]
            took = time.monotonic() - begun
    assert observation.measured.reason is Unknown.TIMEOUT
    assert took < (TIMEOUT + MARGIN).total_seconds()


@pytest.mark.promise(13)
async def test_a_server_that_never_reads_ends_at_the_deadline():
    with FaultyServer(healthy(), greets=False) as server:
        client = Client(Endpoint(name="p", url=server.url, timeout=TIMEOUT), SystemClock(), Counts())
        begun = time.monotonic()
        with pytest.raises(Refused) as refused:
            await client.ask(("x" * 16_000_000,), Grid(start_ms=0, step_ms=1))
        took = time.monotonic() - begun
        await client.close()
    assert refused.value.reason is Unknown.TIMEOUT
    assert took < (TIMEOUT + MARGIN).total_seconds()


@pytest.mark.promise(13)
async def test_a_handshake_that_is_not_answered_ends_at_the_deadline():
    with FaultyServer(healthy(), greets=False) as server:
        async with source(server.url.replace("http:", "https:")) as made:
            begun = time.monotonic()
            observation = (await read(made, rule("r", "up")))["r"]
            took = time.monotonic() - begun
    assert observation.measured.reason is Unknown.TIMEOUT
    assert took < (TIMEOUT + MARGIN).total_seconds()


@pytest.mark.promise(13)
async def test_a_resolver_that_hangs_is_not_waited_for(monkeypatch):
    answers, resolve = threading.Event(), socket.getaddrinfo

    def hang(host, *args, **options):
        if host == "hangs.invalid":
            answers.wait(30)
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    async with source("http://hangs.invalid:9090", concurrency=2) as made:
        for _ in range(3):
            begun = time.monotonic()
            observations = await read(made, *(rule(str(number), f"up{number}") for number in range(200)))
            assert time.monotonic() - begun < (TIMEOUT + MARGIN).total_seconds()
            assert {each.measured.reason for each in observations.values()} == {Unknown.TIMEOUT}
        answers.set()


async def test_a_name_that_does_not_exist_is_said_to_be_one():
    async with source("http://nowhere.invalid:9090", timeout=timedelta(seconds=30)) as made:
        observation = (await read(made, rule("r", "up")))["r"]
    assert observation.measured.reason is Unknown.CONNECT
    assert "name cannot be resolved" in observation.measured.detail


async def test_an_address_that_is_dead_leaves_time_for_the_next_one(monkeypatch):
    with lost_syn() as dead, FaultyServer(healthy()) as server:
        live = int(server.url.rpartition(":")[2])
        resolve = socket.getaddrinfo
        dead_port = int(dead.rpartition(":")[2])

        def twice(host, port, *args, **options):
            if host == "two.invalid":
                return [*resolve("127.0.0.1", port, *args, **options), *resolve("127.0.0.2", port, *args, **options)]
            return resolve(host, port, *args, **options)

        connect = socket.socket.connect

        def route(sock, address):
            return connect(sock, ("127.0.0.1", dead_port if address[0] == "127.0.0.1" else live))

        monkeypatch.setattr(socket, "getaddrinfo", twice)
        monkeypatch.setattr(socket.socket, "connect", route)
        async with source(f"http://two.invalid:{live}", timeout=timedelta(seconds=2)) as made:
            observation = (await read(made, rule("r", "up")))["r"]
    assert observation.measured == Answer((Sample((), 1.0),))


@pytest.mark.promise(13)
async def test_a_server_that_never_answers_costs_one_time_out_however_many_rules_there_are():
    with FaultyServer(is_silent) as server:
        async with source(server.url, batch_size=5) as made:
            begun = time.monotonic()
            observations = await read(made, *(rule(str(number), f"up{number}") for number in range(200)))
            took = time.monotonic() - begun
    assert {each.measured.reason for each in observations.values()} == {Unknown.TIMEOUT}
    assert took < (TIMEOUT + MARGIN).total_seconds()
    assert len(server.requests) <= 4


@pytest.mark.promise(14)
@pytest.mark.parametrize(
    "behaviour", [gzipped(bytes(200_000_000)), chunked(b" " * 1_000_000, 2_000)], ids=["bomb", "2 GB"]
)
async def test_memory_does_not_grow_with_what_a_server_sends(behaviour):
    with FaultyServer(behaviour) as server:
        async with source(server.url, max_response_bytes=1_000_000, timeout=timedelta(seconds=20)) as made:
            await read(made, rule("r", "up"))
            before = psutil.Process().memory_info().rss
            observation = (await read(made, rule("r", "up")))["r"]
            rise = psutil.Process().memory_info().rss - before
    assert observation.measured.reason in {Unknown.TOO_LARGE, Unknown.BAD_RESPONSE}
    assert rise < 5_000_000


@pytest.mark.promise(12)
async def test_slow_cut_and_cancelled_requests_never_use_up_the_connections():
    behaviours = [drips_body, drips_headers, resets, hangs_up, cuts_body, is_silent]
    with FaultyServer(resets) as server:
        async with source(server.url, timeout=timedelta(milliseconds=20), batch_size=1) as made:
            rules = tuple(rule(str(number), f"up{number}") for number in range(8))
            for round_ in range(120):
                server.behaviour = behaviours[round_ % len(behaviours)]
                reading = asyncio.ensure_future(read(made, *rules))
                if round_ % 5 == 0:
                    await asyncio.wait({reading}, timeout=0.01)
                    reading.cancel()
                await asyncio.wait({reading})
            server.behaviour = healthy()
            async with asyncio.timeout(30):
                while isinstance((await read(made, *rules))["0"].measured, Failure):
                    pass
            port = int(server.url.rpartition(":")[2])
            ours = [each for each in psutil.Process().net_connections("tcp") if each.raddr and each.raddr.port == port]
            assert len([each for each in ours if each.status == psutil.CONN_ESTABLISHED]) <= 4
            assert sum("prometheus-p" in thread.name for thread in threading.enumerate()) <= 4
    assert server.connections > 50


async def test_values_are_read_as_they_are_with_the_metric_name_dropped():
    series = [
        {"metric": {"__name__": "m", "job": "b", "code": "500"}, "value": [1, "NaN"]},
        {"metric": {"job": "a"}, "value": [1, "+Inf"]},
        {"metric": {}, "value": [1, "-1e-3"]},
    ]
    with FaultyServer(says(vector(series))) as server:
        async with source(server.url) as made:
            samples = (await read(made, rule("r", "m")))["r"].measured.samples
    assert [sample.labels for sample in samples] == [(("code", "500"), ("job", "b")), (("job", "a"),), ()]
    assert samples[0].value != samples[0].value
    assert [sample.value for sample in samples[1:]] == [float("inf"), -0.001]


async def test_two_series_that_differ_only_by_name_say_nothing():
    series = [{"metric": {"__name__": name, "job": "a"}, "value": [1, "1"]} for name in ("m", "n")]
    with FaultyServer(says(vector(series))) as server:
        async with source(server.url) as made:
            observation = (await read(made, rule("r", '{__name__=~"m|n"}')))["r"]
    assert observation.measured.reason is Unknown.DUPLICATE


@pytest.mark.promise(10)
@pytest.mark.parametrize("place", ["-1", "2", "x", None])
async def test_a_sample_that_belongs_to_no_question_spoils_the_answer_and_is_nobodys(place):
    def mixes_up(talk: Talk, request) -> None:
        if len(request.queries) == 1:
            talk.say(vector([]))
        else:
            talk.say(vector([{"metric": {} if place is None else {"__rule__": place}, "value": [1, "9"]}]))

    with FaultyServer(mixes_up) as server:
        async with source(server.url) as made:
            observations = await read(made, rule("a", "one"), rule("b", "two"))
    assert [each.measured for each in observations.values()] == [Answer(), Answer()]  # each asked alone
    assert len(server.requests) == 3


@pytest.mark.promise(10)
@pytest.mark.parametrize("values", [[["1e400", "1"]], [[1, 10**400]], [[1]], [1], [[1, {}]], "x", None])
async def test_points_of_the_past_that_are_none_are_a_bad_answer(values):
    with FaultyServer(
        says(json.dumps(matrix([{"metric": {}, "values": values}])).replace('"1e400"', "1e400"))
    ) as server:
        async with source(server.url) as made:
            watched = group(rule("r", "one"))
            found = await made.read_range(watched, [SLOT, SLOT + watched.interval], {})
    assert {each["g/r"].measured.reason for each in found.values()} == {Unknown.BAD_RESPONSE}


@pytest.mark.promise(10)
@pytest.mark.parametrize("time_", ["NaN", "+Inf", "-Inf", "1e308", "-1e308", "-1", "99999999999"])
async def test_a_newest_sample_of_an_impossible_time_proves_nothing(time_):
    watched = rule("r", "one", selectors=("up",), max_age=timedelta(minutes=1))
    with FaultyServer(healthy(lambda query: time_ if "timestamp" in query else "5")) as server:
        async with source(server.url) as made:
            observation = (await read(made, watched))["r"]
    assert isinstance(observation.measured, Failure)
    assert observation.measured.reason is Unknown.BAD_RESPONSE


async def test_infos_do_not_make_an_answer_partial():
    with FaultyServer(says(vector([ONE], infos=["metric might not be a counter"]))) as server:
        async with source(server.url) as made:
            assert isinstance((await read(made, rule("r", "up")))["r"].measured, Answer)


async def test_a_query_travels_in_the_body_with_its_time_and_nothing_in_the_url():
    with FaultyServer(healthy()) as server:
        async with source(server.url + "/prefix/") as made:
            observations = await made.read(group(rule("r", "up"), query_offset=timedelta(minutes=1)), SLOT, {})
    assert isinstance(observations["g/r"].measured, Answer)
    (request,) = server.requests
    assert request.line == "POST /prefix/api/v1/query HTTP/1.1"
    assert request.form["query"] == "up"
    assert float(request.form["time"]) == (SLOT - timedelta(minutes=1)).timestamp()
    assert 0 < float(request.form["timeout"]) <= TIMEOUT.total_seconds()
    assert request.headers["accept-encoding"] == "identity"


async def test_a_connection_is_used_again_and_one_that_was_closed_meanwhile_does_no_harm():
    first_of_connection: set[int] = set()

    def closes_after_each_but_the_first(talk: Talk, request) -> None:
        if id(talk) in first_of_connection:
            talk.reset()
        else:
            first_of_connection.add(id(talk))
            kept.append(talk)
            talk.say(vector([ONE]))

    kept: list[Talk] = []
    with FaultyServer(closes_after_each_but_the_first) as server:
        async with source(server.url) as made:
            for _ in range(3):
                assert isinstance((await read(made, rule("r", "up")))["r"].measured, Answer)
    assert server.connections == 3
    assert len(server.requests) == 5


async def test_no_proxy_of_the_environment_is_used_unless_asked(monkeypatch):
    with FaultyServer(healthy()) as server, FaultyServer(healthy()) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        for trust_env, expected in ((False, server), (True, proxy)):
            async with source(server.url, trust_env=trust_env) as made:
                assert isinstance((await read(made, rule("r", "up")))["r"].measured, Answer)
            assert len(expected.requests) == 1
    assert proxy.requests[0].line == f"POST {server.url}/api/v1/query HTTP/1.1"


async def test_details_are_bounded():
    with FaultyServer(says(error("execution", "x" * 10_000), status=422)) as server:
        async with source(server.url) as made:
            assert len((await read(made, rule("r", "up")))["r"].measured.detail) == 500


async def test_a_source_that_is_closed_says_so():
    with FaultyServer(healthy()) as server:
        async with source(server.url) as made:
            await made.close()
            assert (await read(made, rule("r", "up")))["r"].measured.reason is Unknown.CONNECT
