"""What the web server refuses, bounds and protects, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import socket
from datetime import timedelta

import httpx
import psutil
import pytest

from incidents import ID
from rollback_guard.adapters.clock import SystemClock
from rollback_guard.adapters.web import Bounds, ListenError, Server, create_app
from rollback_guard.adapters.web.page import STYLE
from served import Daemon, client_within, serving

SHORT = Bounds(request=timedelta(milliseconds=600), answer=timedelta(seconds=20))
LONG = Bounds(connections=2000, request=timedelta(seconds=60))


def client_of(server: Server, **settings) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", trust_env=False, timeout=30, **settings)


async def raw(server: Server, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(), 30)
    finally:
        writer.close()


PROTECTIVE = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
}


@pytest.mark.promise(34)
@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/", {}, 200),
        ("GET", "/metrics", {}, 200),
        ("GET", "/api/v1/status", {}, 200),
        ("GET", f"/api/v1/incidents/{ID}", {}, 200),
        ("GET", "/api/v1/rules?limit=x", {}, 400),
        ("GET", "/nowhere", {}, 404),
        ("PUT", "/", {}, 405),
        ("GET", "/", {"host": "evil.test"}, 421),
        ("POST", "/-/reload", {"sec-fetch-site": "cross-site"}, 403),
        ("POST", "/-/reload", {"content-type": "text/plain"}, 415),
    ],
)
async def test_every_answer_carries_the_protective_headers(method, path, headers, status):
    async with serving(Daemon()) as server, client_of(server) as client:
        answer = await client.request(method, path, headers=headers)
    assert answer.status_code == status
    for name, value in PROTECTIVE.items():
        assert answer.headers.get_list(name) == [value]
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "server" not in answer.headers


@pytest.mark.promise(34)
async def test_also_what_is_no_http_is_answered_with_them():
    async with serving(Daemon()) as server:
        answer = await raw(server, b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    for name, value in PROTECTIVE.items():
        assert f"{name}: {value}\r\n".encode() in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]


async def test_the_pages_style_is_the_one_that_the_policy_lets_in():
    async with serving(Daemon()) as server, client_of(server) as client:
        answer = await client.get("/")
    (style,) = re.findall(r"<style>(.*)</style>", answer.text, re.DOTALL)
    assert style == STYLE


@pytest.mark.promise(34)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1:9876"}, 403),
        ({"origin": "http://127.0.0.1:9876"}, 200),
        ({"origin": "https://evil.test"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:1"}, 403),
        ({"content-type": "application/json"}, 200),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-type": "multipart/form-data; boundary=x"}, 415),
        ({"content-type": "text/plain"}, 415),
        ({"x-forwarded-for": "10.0.0.7"}, 403),
        ({"forwarded": "for=10.0.0.7"}, 403),
        ({"host": "evil.test"}, 421),
    ],
)
async def test_a_reload_is_taken_from_no_other_site_and_no_other_machine(headers, status):
    daemon = Daemon()
    async with client_within(daemon, url="http://127.0.0.1:9876") as client:
        answer = await client.post("/-/reload", headers=headers)
    assert answer.status_code == status
    assert daemon.reloads == (status == 200)


@pytest.mark.promise(33)
async def test_no_route_changes_anything_for_a_client_of_another_machine():
    daemon = Daemon()
    async with client_within(daemon, url="http://guard.internal", peer="192.0.2.7") as client:
        for route in create_app(daemon.view()).routes:
            for method in route.methods - {"GET", "HEAD"}:
                answer = await client.request(method, route.path)
                assert answer.status_code == 403, (method, route.path)
    assert daemon.reloads == 0


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost", 200),
        ("LOCALHOST:80", 200),
        ("[::1]:9876", 200),
        ("127.0.0.2:9876", 200),
        ("guard.example.com", 421),
        ("127.0.0.1.evil.test", 421),
        ("localhost.evil.test:9876", 421),
        ("169.254.169.254", 421),
        ("[::", 421),
        ("localhost@evil.test", 421),
    ],
)
async def test_a_name_that_was_rebound_to_the_loopback_is_refused(host, status):
    async with client_within(Daemon()) as client:
        answer = await client.get("/api/v1/status", headers={"host": host})
    assert answer.status_code == status
    assert "firing" not in answer.text or status == 200


async def test_another_address_than_the_loopback_answers_to_any_name():
    async with client_within(Daemon(), url="http://guard.example.com", peer="192.0.2.7") as client:
        assert (await client.get("/api/v1/status")).status_code == 200


@pytest.mark.parametrize("length", [b"Content-Length: 70000", b"Transfer-Encoding: chunked"])
async def test_a_large_body_is_refused(length):
    daemon = Daemon()
    chunk = b"11170\r\n" + b"x" * 70000 + b"\r\n0\r\n\r\n"
    body = chunk if b"chunked" in length else b"x" * 70000
    async with serving(daemon) as server:
        answer = await raw(
            server, b"POST /-/reload HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + length + b"\r\n\r\n" + body
        )
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert daemon.reloads == 0


async def test_a_request_that_was_broken_off_changes_nothing():
    daemon = Daemon()
    async with serving(daemon) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST /-/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n12345")
        await writer.drain()
        writer.close()
        async with client_of(server) as client:
            for _ in range(5):
                await client.get("/-/healthy")
    assert daemon.reloads == 0


async def until_closed(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionError):
        while await reader.read(65536):
            pass


async def trickle(writer: asyncio.StreamWriter) -> None:
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
    with contextlib.suppress(ConnectionError):
        while not writer.is_closing():
            writer.write(b"X-A: b\r\n")
            await writer.drain()
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def attack(server: Server, *, idle: int, trickling: int):
    """Open many connections that never come to a request; gives what waits for their ends."""
    pairs = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(idle + trickling)]
    drips = [asyncio.create_task(trickle(writer)) for _, writer in pairs[idle:]]
    ends = [asyncio.create_task(until_closed(reader)) for reader, _ in pairs]
    try:
        yield ends
    finally:
        for task in (*drips, *ends):
            task.cancel()
        await asyncio.gather(*drips, *ends, return_exceptions=True)
        for _, writer in pairs:
            writer.transport.abort()


@pytest.mark.promise(29)
@pytest.mark.parametrize("bounds", [Bounds(), LONG], ids=["with the usual bounds", "even with room for all"])
async def test_a_thousand_slow_connections_do_not_shut_out_the_health_check(bounds):
    clock = SystemClock()
    async with serving(Daemon(), bounds=bounds) as server, attack(server, idle=500, trickling=500):
        for path in ("/-/healthy", "/metrics", "/-/healthy"):
            begun = clock.elapsed()
            async with client_of(server) as client:
                assert (await client.get(path)).status_code == 200
            assert clock.elapsed() - begun < timedelta(seconds=1)
        held = [
            each for each in psutil.Process().net_connections("tcp") if each.laddr and each.laddr.port == server.port
        ]
        established = [each for each in held if each.status == psutil.CONN_ESTABLISHED]
        assert len(established) <= bounds.connections + 1


@pytest.mark.promise(29)
async def test_slow_connections_are_closed_at_the_deadline():
    bounds = Bounds(connections=2000, request=timedelta(seconds=1))
    async with serving(Daemon(), bounds=bounds) as server, attack(server, idle=500, trickling=500) as ends:
        done, open_ = await asyncio.wait(ends, timeout=30)
    assert not open_
    assert len(done) == 1000


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n",
        b"POST /-/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n1",
        b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nX-Next: ",
    ],
    ids=["idle", "in the headers", "in the body", "in the second request"],
)
async def test_a_request_that_does_not_end_is_cut_off_wherever_it_is(start):
    daemon = Daemon()
    async with serving(daemon, bounds=SHORT) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(start)
        await asyncio.wait_for(until_closed(reader), 30)
        writer.close()
    assert daemon.reloads == 0


async def test_an_answer_that_nobody_takes_is_given_up():
    daemon = Daemon()

    async def endless():
        return b"x" * (64 << 20), "text/plain"

    daemon.metrics = endless
    async with serving(daemon, bounds=Bounds(request=timedelta(seconds=0.3), answer=timedelta(seconds=0.6))) as server:
        with socket.socket() as deaf:
            deaf.connect(("127.0.0.1", server.port))
            deaf.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            clock = SystemClock()
            until = clock.elapsed() + timedelta(seconds=30)
            while not daemon.served_requests or server._connections():
                assert clock.elapsed() < until
                await asyncio.sleep(0.02)


async def test_a_slow_answer_has_its_time():
    daemon = Daemon()

    async def slowly():
        await asyncio.sleep(1.5)
        return b"late 1\n", "text/plain"

    daemon.metrics = slowly
    async with serving(daemon, bounds=SHORT) as server, client_of(server) as client:
        assert (await client.get("/metrics")).text == "late 1\n"


async def test_a_connection_serves_many_requests():
    async with serving(Daemon(), bounds=SHORT) as server, client_of(server) as client:
        for _ in range(50):
            assert (await client.get("/-/healthy")).status_code == 200
        assert len(server._connections()) == 1


async def test_the_servers_own_port_is_told_and_freed_at_the_end():
    async with serving(Daemon()) as server:
        port = server.port
        assert port > 0
    again = Server(create_app(Daemon().view()), host="127.0.0.1", port=port, clock=SystemClock())
    await again.start()
    assert again.port == port
    await again.stop()
    await again.stop()


async def test_a_taken_address_is_told_in_words():
    async with serving(Daemon()) as server:
        second = Server(create_app(Daemon().view()), host="127.0.0.1", port=server.port, clock=SystemClock())
        with pytest.raises(ListenError, match=rf"cannot listen on 127.0.0.1:{server.port}: Address already in use"):
            await second.start()
        await second.stop()


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", 0), ("no-such-host.invalid", 0), ("127.0.0.1", 70000)])
async def test_an_address_that_is_not_ours_is_told_in_words(host, port):
    server = Server(create_app(Daemon().view()), host=host, port=port, clock=SystemClock())
    with pytest.raises(ListenError, match="cannot listen on"):
        await server.start()


async def test_signals_stay_the_daemons():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with serving(Daemon()):
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


async def test_stopping_answers_what_is_asked_and_waits_for_no_idle_client():
    daemon = Daemon()
    asked, go = asyncio.Event(), asyncio.Event()

    async def waiting():
        asked.set()
        await go.wait()
        return b"last 1\n", "text/plain"

    daemon.metrics = waiting
    server = Server(create_app(daemon.view()), host="127.0.0.1", port=0, clock=SystemClock(), bounds=LONG)
    await server.start()
    async with client_of(server) as client, attack(server, idle=20, trickling=20):
        last = asyncio.create_task(client.get("/metrics"))
        await asyncio.wait_for(asked.wait(), 30)
        stopping = asyncio.create_task(server.stop())
        go.set()
        assert (await last).text == "last 1\n"
        await asyncio.wait_for(stopping, 30)
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", server.port)
