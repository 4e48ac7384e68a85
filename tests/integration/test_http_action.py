"""What an HTTP action makes of real servers, from the polite to the hostile."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import time
from pathlib import Path

import psutil
import pytest

from rollback_guard.adapters.actions import registry
from rollback_guard.adapters.clock import SystemClock
from rollback_guard.ports import Call, Goal, PermanentError, TransientError, UnknownOutcome
from targets import answer, drips, resets, says, silent, target

CALL = Call(
    key="shop-20260101T000000Z-1",
    context={
        "guard": {"name": "shop"},
        "incident": {"id": "shop-1"},
        "alerts": [{"labels": {"job": "$(id) {{ 7*7 }} ${file:/etc/passwd}"}, "value": 0.05}],
        "action": {"name": "off"},
    },
)


def action(port: int, directory: Path = Path(), path: str = "/flags/x", **settings):
    table = {"type": "http", "url": f"http://127.0.0.1:{port}{path}", "timeout": "2s"} | settings
    validated = registry.settings_types()["http"].model_validate(table)
    return registry.build("off", validated, clock=SystemClock(), telemetry=None, directory=directory)


@contextlib.asynccontextmanager
async def recording(reply: bytes):
    """Answer every request in the same way, and keep what was asked."""
    asked: list[bytes] = []

    async def speak(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if b"content-length" in line), 0
        )
        asked.append(head + await reader.readexactly(length))
        writer.write(reply)
        await writer.drain()

    async with target(speak) as port:
        yield port, asked


async def test_the_request_carries_the_key_the_templates_and_the_secret_of_now(tmp_path):
    (tmp_path / "token").write_text("s3cret-of-today\n")
    async with recording(answer(200, b"{}")) as (port, asked):
        off = action(
            port,
            method="PATCH",
            headers={"Authorization": f"Bearer ${{file:{tmp_path}/token}}"},
            json={"enabled": False, "why": "{{ incident.id }}", "job": "{{ alerts[0].labels.job }}"},
        )
        await off.execute(CALL)
    head, body = asked[0].split(b"\r\n\r\n", 1)
    assert head.startswith(b"PATCH /flags/x HTTP/1.1")
    assert b"idempotency-key: " + CALL.key.encode() in head.lower().replace(
        CALL.key.lower().encode(), CALL.key.encode()
    )
    assert b"Bearer s3cret-of-today" in head
    assert b"accept-encoding: identity" in head.lower()
    hostile = "$(id) {{ 7*7 }} ${file:/etc/passwd}"
    assert json.loads(body) == {"enabled": False, "why": "shop-1", "job": hostile}


@pytest.mark.parametrize(
    ("status", "headers", "raised"),
    [
        (400, "", PermanentError),
        (401, "", PermanentError),
        (404, "", PermanentError),
        (302, "Location: http://127.0.0.1:1/\r\n", PermanentError),
        (501, "", PermanentError),
        (429, "Retry-After: 7\r\n", TransientError),
        (503, "", TransientError),
        (500, "", UnknownOutcome),
        (502, "", UnknownOutcome),
        (504, "", UnknownOutcome),
    ],
)
async def test_a_status_says_whether_it_happened_and_whether_to_try_again(status, headers, raised):
    async with target(says(answer(status, b"no", headers))) as port:
        with pytest.raises(raised) as caught:
            await action(port).execute(CALL)
    assert str(status) in str(caught.value)
    if status == 429:
        assert caught.value.retry_after.total_seconds() == 7


async def test_an_expected_status_is_success_even_where_it_is_no_2xx():
    async with target(says(answer(409, b"already off"))) as port:
        assert "already off" in await action(port, expect={"status": [200, 409]}).execute(CALL)


async def test_a_200_that_changed_nothing_is_no_success():
    async with target(says(answer(200, b'{"flag": {"enabled": true}}'))) as port:
        with pytest.raises(PermanentError, match="enabled"):
            await action(port, expect={"json": {"flag.enabled": False}}).execute(CALL)


@pytest.mark.parametrize(
    ("body", "status", "goal"),
    [
        (b'{"enabled": false}', 200, Goal.REACHED),
        (b'{"enabled": true}', 200, Goal.NOT_REACHED),
        (b"<html>sign in</html>", 200, Goal.CANNOT_TELL),
        (b"", 500, Goal.CANNOT_TELL),
    ],
)
async def test_an_inspection_tells_reached_from_not_reached_from_not_known(body, status, goal):
    async with target(says(answer(status, body))) as port:
        assert (await action(port, inspect={"expect": {"json": {"enabled": False}}}).inspect(CALL))[0] is goal


async def test_a_refused_connection_certainly_did_nothing():
    async with target(silent) as port:
        pass
    with pytest.raises(TransientError, match="not sent"):
        await action(port).execute(CALL)


async def test_a_connection_lost_after_sending_may_have_done_it():
    async with target(resets) as port:
        with pytest.raises(UnknownOutcome, match="sent"):
            await action(port).execute(CALL)


@pytest.mark.promise(13)
@pytest.mark.parametrize(
    "hostile",
    [
        silent,
        drips(b"X"),
        drips(b"X-More: 1\r\n", before=b"HTTP/1.1 200 OK\r\n"),
        drips(b"x", before=b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"),
    ],
    ids=["silent", "dripping status", "dripping headers", "dripping body"],
)
async def test_every_request_ends_by_its_deadline_and_its_outcome_is_not_known(hostile):
    async with target(hostile) as port:
        began = time.monotonic()
        with pytest.raises(UnknownOutcome):
            await action(port, timeout="400ms").execute(CALL)
        assert time.monotonic() - began < 0.4 + 5  # generous: the machine is shared, the peer would drip for ever


@pytest.mark.promise(12)
async def test_hundreds_of_bad_exchanges_leave_the_next_good_one_as_it_was():
    async with target(drips(b"x", before=b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")) as bad:
        calls = [action(bad, timeout="50ms").execute(CALL) for _ in range(300)]
        ended = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(each) for each in ended} <= {UnknownOutcome, TransientError}
    async with target(says(answer(200, b"done"))) as port:
        assert "done" in await action(port).execute(CALL)


@pytest.mark.promise(14)
async def test_neither_an_endless_nor_an_encoded_answer_fills_the_memory():
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    endless = drips(chunk, before=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", every_s=0)
    bomb = gzip.compress(b"\0" * 200_000_000, compresslevel=1)
    before = psutil.Process().memory_info().rss
    async with target(endless) as port:
        with pytest.raises(UnknownOutcome, match="longer than"):
            await action(port, timeout="20s", expect={"body": "fine"}).execute(CALL)
    async with target(says(answer(200, bomb, "Content-Encoding: gzip\r\n"))) as port:
        with pytest.raises(UnknownOutcome, match="encoded"):
            await action(port, timeout="20s", expect={"body": "fine"}).execute(CALL)
    assert psutil.Process().memory_info().rss - before < 50_000_000


@pytest.mark.promise(35)
@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "2852039166"])
async def test_link_local_addresses_are_refused_in_every_spelling(host):
    settings = {"type": "http", "url": f"http://{host}/latest", "timeout": "1s"}
    validated = registry.settings_types()["http"].model_validate(settings)
    refused = registry.build("off", validated, clock=SystemClock(), telemetry=None, directory=Path())
    with pytest.raises(PermanentError, match="link-local"):
        await refused.execute(CALL)


async def test_a_host_cannot_come_from_a_template():
    with pytest.raises(ValueError, match="host"):
        action(1, path="", url="http://{{ alerts[0].labels.job }}/")


async def test_a_value_in_a_url_is_encoded_and_cannot_leave_its_place():
    async with recording(answer(200)) as (port, asked):
        await action(port, path="/flags/{{ alerts[0].labels.job }}").execute(CALL)
    path = asked[0].split(b" ")[1]
    assert path == b"/flags/%24%28id%29%20%7B%7B%207%2A7%20%7D%7D%20%24%7Bfile%3A%2Fetc%2Fpasswd%7D"
