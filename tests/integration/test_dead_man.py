"""The dead-man's switch is called while evaluation is healthy, and nothing that comes of it disturbs anybody."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import trustme
from structlog.testing import capture_logs

from contracts.prometheus_server import lost_syn
from loopback import free_port
from rollback_guard.adapters.clock import SystemClock
from rollback_guard.adapters.dead_man import DeadMan
from rollback_guard.secret import SecretText
from rollback_guard.specs import DeadManSpec
from targets import answer, drips, resets, says, silent, target

OFTEN = timedelta(milliseconds=20)
GENEROUS = timedelta(seconds=20)
SHORT = timedelta(milliseconds=200)


class Listener:
    """Who is called: counts the calls and answers as it is told."""

    def __init__(self, raw: bytes = answer(200, b"OK")) -> None:
        self.raw = raw
        self.heads: list[str] = []

    async def speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(self.raw)
        await writer.drain()


class Health:
    def __init__(self, *, healthy: bool = True) -> None:
        self.healthy = healthy
        self.asked = 0

    def __call__(self) -> bool:
        self.asked += 1
        return self.healthy


async def until(condition) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  nobody else tells
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def calling(url: str, health: Health | None = None, **settings) -> AsyncIterator[Health]:
    health = health or Health()
    spec = DeadManSpec(url=SecretText(url), **{"every": OFTEN, "timeout": GENEROUS, **settings})
    task = asyncio.create_task(DeadMan(spec, SystemClock(), health).run())
    try:
        yield health
        assert not task.done(), "it gave up"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_it_is_called_again_and_again_with_a_plain_get():
    listener = Listener()
    async with target(listener.speak) as port, calling(f"http://127.0.0.1:{port}/ping/secret-path?a=b"):
        await until(lambda: len(listener.heads) >= 3)
    head = listener.heads[0]
    assert head.startswith("GET /ping/secret-path?a=b HTTP/1.1\r\n")
    assert "user-agent: rollback-guard/" in head.lower()


@pytest.mark.promise(16)
async def test_it_falls_silent_while_evaluation_is_not_healthy_and_speaks_as_soon_as_it_is_again():
    listener, health = Listener(), Health(healthy=False)
    async with target(listener.speak) as port, calling(f"http://127.0.0.1:{port}/", health, every=OFTEN):
        with capture_logs() as logs:
            await until(lambda: health.asked >= 5)
            assert listener.heads == []
            assert logs == []  # before its first evaluation no daemon is healthy
            health.healthy = True
            await until(lambda: len(listener.heads) >= 2)
            health.healthy = False
            asked = health.asked
            await until(lambda: health.asked >= asked + 2)
            silent_since = len(listener.heads)
            await until(lambda: health.asked >= asked + 10)
            assert len(listener.heads) == silent_since
            health.healthy = True
            await until(lambda: len(listener.heads) > silent_since)
    assert [line["event"] for line in logs if line["log_level"] in {"error", "info"}] == [
        "dead_man_not_called",
        "dead_man_called_again",
    ]


async def test_after_a_time_without_health_it_does_not_wait_for_the_next_round():
    listener, health = Listener(), Health(healthy=False)
    async with target(listener.speak) as port:
        async with calling(f"http://127.0.0.1:{port}/", health, every=timedelta(hours=1)):
            await until(lambda: health.asked >= 1)
            health.healthy = True
            await until(lambda: listener.heads)
        assert len(listener.heads) == 1


FAILURES = {
    "an error": (says(answer(500)), "HTTP 500"),
    "gone": (says(answer(404)), "HTTP 404"),
    "a redirect": (says(answer(302, headers="Location: http://127.0.0.1:1/\r\n")), "HTTP 302"),
    "silence": (silent, "no answer within 0.2s"),
    "dripping headers": (drips(b"X: y\r\n", before=b"HTTP/1.1 200 OK\r\n", every_s=0.03), "no answer within 0.2s"),
    "a reset": (resets, "reset"),
    "no HTTP": (says(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "illegal status line"),
}


@pytest.mark.parametrize(("speak", "words"), FAILURES.values(), ids=FAILURES)
async def test_a_failure_is_logged_once_and_calling_goes_on(speak, words):
    async with target(speak) as port:
        with capture_logs() as logs:
            timeout = SHORT if "no answer" in words else GENEROUS
            async with calling(f"http://127.0.0.1:{port}/", timeout=timeout) as health:
                await until(lambda: health.asked >= 4)
    (line,) = logs
    assert line["event"] == "dead_man_not_reached"
    assert words in line["error"]


async def test_an_endless_answer_is_not_read():
    async with target(drips(b"x" * 1000, before=b"HTTP/1.1 200 OK\r\n\r\n", every_s=0)) as port:
        with capture_logs() as logs:
            async with calling(f"http://127.0.0.1:{port}/") as health:
                await until(lambda: health.asked >= 4)
    assert logs == []


async def test_a_listener_that_comes_back_is_logged_once():
    listener = Listener(answer(503))
    async with target(listener.speak) as port:
        with capture_logs() as logs:
            async with calling(f"http://127.0.0.1:{port}/"):
                await until(lambda: len(listener.heads) >= 3)
                listener.raw = answer(200)
                seen = len(listener.heads)
                await until(lambda: len(listener.heads) >= seen + 3)
    assert [line["event"] for line in logs] == ["dead_man_not_reached", "dead_man_reached"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://no-such-name.invalid/", "could not be resolved"),
        ("ftp://127.0.0.1/", "none that can be called"),
        ("http://[::/", "none that can be called"),
        ("nonsense", "none that can be called"),
        ("${env:NO_SUCH_VARIABLE}", "not set"),
        ("${file:/no/such/file}", "/no/such/file"),
    ],
)
async def test_an_url_that_cannot_be_called_is_said_to_be_one(url, words):
    with capture_logs() as logs:
        async with calling(url) as health:
            await until(lambda: health.asked >= 3)
    (line,) = logs
    assert words in line["error"]


async def test_a_refused_connection_and_a_lost_one_are_told_apart():
    with lost_syn() as lost:
        for url, words in ((f"http://127.0.0.1:{free_port()}/", "refused"), (lost, "no answer within")):
            with capture_logs() as logs:
                async with calling(url, timeout=SHORT if url == lost else GENEROUS) as health:
                    await until(lambda: health.asked >= 2)
            assert words in logs[0]["error"]


async def test_a_certificate_that_is_not_trusted_is_refused_and_one_of_the_named_authority_is_fine(tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    listener = Listener()
    async with target(listener.speak, context=context) as port:
        with capture_logs() as logs:
            async with calling(f"https://localhost:{port}/") as health:
                await until(lambda: health.asked >= 2)
            assert listener.heads == []
            async with calling(f"https://localhost:{port}/", ca_file=str(tmp_path / "ca.pem")):
                await until(lambda: len(listener.heads) >= 2)
    (line,) = logs
    assert "TLS failed" in line["error"]


async def test_the_url_which_is_a_secret_stands_in_no_log(tmp_path, capsys):
    secret = "https://hc.invalid/0b1d9c1e-secret-uuid"
    (tmp_path / "url").write_text(secret + "\n")
    with capture_logs() as logs:
        async with calling(f"${{file:{tmp_path}/url}}") as health:
            await until(lambda: health.asked >= 2)
    assert logs
    assert "secret-uuid" not in str(logs)
    assert str(tmp_path / "url") in str(logs)
