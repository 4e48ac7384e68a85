"""What hostile servers and labels cannot do to an HTTP action: crash it, fill it up, mislead it or leave it unusable."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import ssl
import time
import zlib
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import trustme

from rollback_guard.adapters.actions import registry
from rollback_guard.adapters.clock import SystemClock
from rollback_guard.ports import Call, Goal, PermanentError, TransientError, UnknownOutcome
from targets import answer, drips, resets, says, silent, target

MEBIBYTE = 1024 * 1024


def action(port: int, path: str = "/flags/x", **settings):
    table = {"type": "http", "url": f"http://127.0.0.1:{port}{path}", "timeout": "20s"} | settings
    validated = registry.settings_types()["http"].model_validate(table)
    return registry.build("off", validated, clock=SystemClock(), telemetry=None, directory=Path())


def call(label: str = "x"):
    return Call(key="intent-1", context={"guard": {"name": "shop"}, "alerts": [{"labels": {"job": label}}]})


@contextlib.asynccontextmanager
async def recording(context: ssl.SSLContext | None = None):
    """Keep every request, head and body, and say that all is well."""
    asked: list[tuple[list[str], bytes]] = []

    async def speak(reader, writer):
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
        lengths = [int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length:")]
        asked.append((lines, await reader.readexactly(sum(lengths))))
        writer.write(answer(200, b"{}"))
        await writer.drain()

    async with target(speak, context=context) as port:
        yield port, asked


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def peak_bytes():
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def forget_peak():
    """Count the peak of memory from here on, and return what it is now."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_bytes()


async def until(condition, within=30.0):
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        await asyncio.sleep(0.01)


@pytest.mark.promise(12)
async def test_thousands_of_dripped_reset_and_cancelled_requests_leave_nothing_behind():
    chance = random.Random(12)
    dripped = drips(b"x", before=b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", every_s=0.01)

    async def moody(reader, writer):
        await chance.choice((dripped, resets, silent, says(answer(200))))(reader, writer)

    async def ask(off, slots):
        async with slots:
            task = asyncio.create_task(off.execute(call()))
            if chance.random() < 0.3:
                await asyncio.sleep(chance.random() * 0.03)
                task.cancel()
            return (await asyncio.gather(task, return_exceptions=True))[0]

    async with target(moody) as port:
        off = action(port, timeout="30ms")
        await asyncio.gather(off.execute(call()), return_exceptions=True)
        before = descriptors()
        slots = asyncio.Semaphore(50)
        ended = await asyncio.gather(*(ask(off, slots) for _ in range(5000)))
        kinds = {type(each) for each in ended}
        assert asyncio.CancelledError in kinds
        assert kinds <= {UnknownOutcome, TransientError, asyncio.CancelledError, str}
        await until(lambda: descriptors() <= before)
    async with target(says(answer(200, b"done"))) as port:
        assert "done" in await action(port).execute(call())


@pytest.mark.promise(14)
@pytest.mark.parametrize("what", ["two gigabytes in chunks", "two gigabytes announced", "a gzip bomb"])
async def test_no_answer_makes_the_guard_grow(what):
    def bomb():
        packer = zlib.compressobj(9, wbits=31)
        return b"".join(packer.compress(bytes(MEBIBYTE)) for _ in range(200)) + packer.flush()

    async def flood(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        chunked = what.endswith("chunks")
        writer.write(b"HTTP/1.1 200 OK\r\n")
        writer.write(b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Content-Length: 2147483648\r\n\r\n")
        piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n" if chunked else b"x" * 0x10000
        for _ in range(2**31 // 0x10000):
            writer.write(piece)
            await writer.drain()

    speak = says(answer(200, bomb(), "Content-Encoding: gzip\r\n")) if "gzip" in what else flood
    async with target(speak) as port:
        off = action(port, timeout="60s", expect={"body": "never"})
        for _ in range(2):  # the first time may load what is loaded once
            before = forget_peak()
            with pytest.raises(UnknownOutcome, match="body not read"):
                await off.execute(call())

        assert peak_bytes() - before < 5 * MEBIBYTE


@pytest.mark.promise(13)
async def test_a_server_that_takes_in_nothing_is_given_up_at_the_deadline():
    async def full(reader, writer):
        writer.transport.pause_reading()
        await asyncio.Event().wait()

    async with target(full) as port:
        began = time.monotonic()
        with pytest.raises(UnknownOutcome):
            await action(port, timeout="500ms", body="x" * 32 * MEBIBYTE).execute(call())
        assert time.monotonic() - began < 0.5 + 5


async def test_where_only_a_status_is_expected_a_body_that_is_not_read_does_not_matter():
    async with target(says(answer(200, b"\x1f\x8b", "Content-Encoding: gzip\r\n"))) as port:
        assert "body not read" in await action(port).execute(call())


@pytest.mark.parametrize("value", ["ünï ☃ \U0001f600", "\ud800 half", "a\r\nX-Evil: 1", "\0", "\x1b[2J"])
@pytest.mark.promise(32)
async def test_any_label_can_be_sent_in_any_place_and_breaks_out_of_none(value):
    text = "{{ alerts[0].labels.job }}"
    async with recording() as (port, asked):
        for body in ({"json": {"job": text}}, {"form": {"job": text}}, {"body": text}):
            await action(port, f"/{text}?job={text}", headers={"X-Job": text}, **body).execute(call(value))

    whole = value.replace("\ud800", "?")
    for lines, _ in asked:
        assert len([line for line in lines if line.lower().startswith("x-job:")]) == 1
        assert not [line for line in lines if line.lower().startswith("x-evil")]
        assert len(lines[0].split(" ")) == 3
        assert lines[0].isascii()
    assert json.loads(asked[0][1]) == {"job": value}
    assert parse_qs(asked[1][1].decode()) == {"job": [whole]}
    assert asked[2][1].decode() == whole


@pytest.mark.parametrize("value", ["", ".", ".."])
async def test_a_label_cannot_shorten_the_path(value):
    async with recording() as (port, asked):
        with pytest.raises(PermanentError, match="name something else"):
            await action(port, "/flags/{{ alerts[0].labels.job }}", method="DELETE").execute(call(value))
    assert asked == []


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("7", 7),
        ("86400", 300),
        ("9" * 5000, 300),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 300),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 0),
        ("Mon, 01 Jan 2024 00:00:00 +99999999999999", None),
        ("Mon, 99999999999 Jan 2024 00:00:00 GMT", None),
        ("-5", None),
        ("soon", None),
    ],
)
async def test_a_wish_for_a_later_attempt_is_bounded_and_never_trusted(retry_after, seconds):
    async with target(says(answer(503, b"", f"Retry-After: {retry_after}\r\n"))) as port:
        with pytest.raises(TransientError) as caught:
            await action(port).execute(call())

    assert caught.value.retry_after == (None if seconds is None else timedelta(seconds=seconds))


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000 + b"\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 599 Odd\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["nothing", "garbage", "bad length", "bad chunk", "cut short", "endless headers", "upgrade", "odd status"],
)
async def test_an_answer_that_is_none_leaves_the_outcome_unknown(reply):
    async with target(says(reply)) as port:
        with pytest.raises(UnknownOutcome):
            await action(port).execute(call())


@pytest.mark.parametrize(
    "body", [b"[" * 100_000 + b"]" * 100_000, b"1" * 10_000, b"\xff\xfe", b'{"other": 1}', b'"text"', b""]
)
async def test_a_body_that_does_not_say_what_was_asked_is_no_success_and_cannot_tell(body):
    expect = {"json": {"enabled": False}}
    async with target(says(answer(200, body))) as port:
        off = action(port, expect=expect, inspect={"expect": expect})
        with pytest.raises(PermanentError):
            await off.execute(call())
        assert (await off.inspect(call()))[0] is Goal.CANNOT_TELL


@pytest.mark.parametrize(
    ("expected", "body", "goal"),
    [
        ({"a.b": False}, b'{"a": {"b": false}}', Goal.REACHED),
        ({"a.b": False}, b'{"a.b": false}', Goal.REACHED),
        ({"a.1.b": 2}, b'{"a": [0, {"b": 2.0}]}', Goal.REACHED),
        ({"a": {"b": [1]}}, b'{"a": {"b": [1]}}', Goal.REACHED),
        ({"a": "{{ guard.name }}"}, b'{"a": "shop"}', Goal.REACHED),
        ({"a": False}, b'{"a": 0}', Goal.NOT_REACHED),
        ({"a": 1}, b'{"a": true}', Goal.NOT_REACHED),
        ({"a": "1"}, b'{"a": 1}', Goal.NOT_REACHED),
        ({"a": False}, b'{"a": null}', Goal.NOT_REACHED),
        ({"a": {"b": [1]}}, b'{"a": {"b": [1, 2]}}', Goal.NOT_REACHED),
        ({"a": False}, b'\xef\xbb\xbf{"a": false}', Goal.REACHED),
    ],
)
async def test_json_is_compared_as_json_and_not_as_python(expected, body, goal):
    async with target(says(answer(200, body))) as port:
        assert (await action(port, inspect={"expect": {"json": expected}}).inspect(call()))[0] is goal


@pytest.mark.parametrize(
    ("expected", "status", "goal"),
    [
        ([404], 404, Goal.REACHED),
        ([404], 200, Goal.NOT_REACHED),
        ([200], 404, Goal.NOT_REACHED),
        ([200], 401, Goal.CANNOT_TELL),
        ([200], 302, Goal.CANNOT_TELL),
        ([200], 503, Goal.CANNOT_TELL),
    ],
)
async def test_an_inspection_by_status_does_not_take_a_refusal_for_an_answer(expected, status, goal):
    async with target(says(answer(status, b"x"))) as port:
        assert (await action(port, inspect={"expect": {"status": expected}}).inspect(call()))[0] is goal


async def test_an_inspection_is_a_read_of_its_own_and_carries_no_key():
    async with recording() as (port, asked):
        url = f"http://127.0.0.1:{port}/evaluate"
        inspect = {"method": "POST", "url": url, "json": {"flag": "x"}, "headers": {"X-Own": "1"}}
        off = action(port, headers={"X-Act": "1"}, inspect=inspect | {"expect": {"status": [200]}})
        assert (await off.inspect(call()))[0] is Goal.REACHED

    lines, body = asked[0]
    heads = {line.split(":")[0].lower() for line in lines[1:]}
    assert lines[0] == "POST /evaluate HTTP/1.1"
    assert json.loads(body) == {"flag": "x"}
    assert "x-own" in heads
    assert not {"x-act", "idempotency-key"} & heads


async def test_a_redirect_takes_neither_the_request_nor_its_token_elsewhere(tmp_path):
    (tmp_path / "token").write_text("s3cret-token")
    async with recording() as (elsewhere, asked):
        moved = answer(307, b"", f"Location: http://127.0.0.1:{elsewhere}/\r\n")
        async with target(says(moved)) as port:
            headers = {"Authorization": f"Bearer ${{file:{tmp_path}/token}}"}
            with pytest.raises(PermanentError, match="redirects are not followed"):
                await action(port, headers=headers).execute(call())
    assert asked == []


async def test_proxies_of_the_environment_are_not_used(monkeypatch):
    async with recording() as (proxy, proxied), recording() as (port, asked):
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")
        await action(port).execute(call())
    assert len(asked) == 1
    assert proxied == []


async def test_a_secret_with_a_line_break_is_refused_without_being_shown(tmp_path):
    (tmp_path / "token").write_text("canary-one\ncanary-two")
    async with recording() as (port, asked):
        with pytest.raises(PermanentError, match="header Authorization") as caught:
            await action(port, headers={"Authorization": f"${{file:{tmp_path}/token}}"}).execute(call())
    assert "canary" not in str(caught.value)
    assert asked == []


async def test_a_url_that_is_a_secret_is_called_and_never_shown(tmp_path):
    async with recording() as (port, asked):
        (tmp_path / "url").write_text(f"http://127.0.0.1:{port}/hook/canary-trigger")
        off = action(0, url=f"${{file:{tmp_path}/url}}")
        said = await off.execute(call())
        (tmp_path / "url").write_text("ftp://canary-host/x")
        with pytest.raises(PermanentError) as caught:
            await off.execute(call())

    assert asked[0][0][0] == "POST /hook/canary-trigger HTTP/1.1"
    assert "canary" not in said + off.goal + str(caught.value)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def pems(authority, tmp_path):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    client = authority.issue_cert("guard@example.org")
    client.private_key_and_cert_chain_pem.write_to_path(tmp_path / "client.pem")
    return tmp_path


def server_context(authority, *, ask_client: bool = False):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    if ask_client:
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def test_a_server_with_a_certificate_of_nobody_known_is_sent_nothing(authority):
    async with recording(server_context(authority)) as (port, asked):
        with pytest.raises(PermanentError, match=r"not sent: .*certificate"):
            await action(port, url=f"https://localhost:{port}/").execute(call())
    assert asked == []


async def test_a_certificate_for_another_host_is_refused(authority, pems):
    async with recording(server_context(authority)) as (port, asked):
        with pytest.raises(PermanentError, match="not sent"):
            await action(port, url=f"https://127.0.0.1:{port}/", ca_file=str(pems / "ca.pem")).execute(call())
    assert asked == []


async def test_a_client_certificate_opens_a_door_that_is_closed_without_it(authority, pems):
    async with recording(server_context(authority, ask_client=True)) as (port, asked):
        files = {"url": f"https://localhost:{port}/", "ca_file": str(pems / "ca.pem")}
        with pytest.raises((UnknownOutcome, TransientError)):
            await action(port, **files).execute(call())
        assert asked == []
        await action(port, **files, cert_file=str(pems / "client.pem")).execute(call())
    assert len(asked) == 1


async def test_a_certificate_file_that_is_gone_is_named(authority, pems):
    async with recording(server_context(authority)) as (port, asked):
        off = action(port, url=f"https://localhost:{port}/", ca_file=str(pems / "ca.pem"))
        await off.execute(call())
        (pems / "ca.pem").unlink()
        with pytest.raises(PermanentError, match=r"not sent: .*ca\.pem"):
            await off.execute(call())
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"url": "flags.internal/x"}, "begins with http"),
        ({"url": "ftp://flags.internal/x"}, "begins with http"),
        ({"url": "http:///x"}, "begins with http"),
        ({"url": "http://user:word@flags.internal/"}, "no user and password"),
        ({"url": "http://{{ guard.name }}.internal/"}, "host cannot come from a template"),
        ({"url": "${env:BASE}{{ guard.name }}/x"}, "host cannot come from a template"),
        ({"headers": {"Idempotency-Key": "x"}}, "set by the guard"),
        ({"headers": {"X Y": "x"}}, "no name of a header"),
        ({"json": {"a": 1}, "body": "x"}, "one body"),
        ({"form": {}, "body": ""}, "one body"),
        ({"json": {"a": ["{{ nobody.id }}"]}}, "unknown name 'nobody'"),
        ({"json": {"a": "{{ '${file:/x}' | upper }}"}}, "inside of an expression"),
        ({"expect": {"body": "("}}, "regular expression"),
        ({"expect": {"status": [99]}}, "greater than or equal to 200"),
        ({"expect": {"sttus": [200]}}, "Extra inputs"),
        ({"inspect": {"expect": {}}}, "expect is empty"),
        ({"inspect": {}}, "Field required"),
        ({"key_file": "k.pem"}, "key_file without cert_file"),
        ({"method": "BREW"}, "'GET', 'HEAD'"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_when_it_is_loaded(table, words):
    with pytest.raises(ValueError, match="validation error") as caught:
        registry.settings_types()["http"].model_validate({"type": "http", "url": "http://flags.internal/x"} | table)

    assert words in str(caught.value)
