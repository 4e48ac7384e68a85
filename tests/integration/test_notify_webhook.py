"""The webhook: one signed request per notice, and what each answer means."""

from __future__ import annotations

import asyncio
import json
import ssl
from datetime import UTC, datetime, timedelta

import pytest
import trustme

import targets
from messengers import Receiver, listening
from rollback_guard.adapters import notify
from rollback_guard.adapters.clock import SystemClock
from rollback_guard.core.notice import Notice, NoticeKind, Urgency
from rollback_guard.ports import PermanentError, TransientError, UnknownOutcome
from rollback_guard.secret import SecretText
from rollback_guard.specs import ChannelSpec
from rollback_guard.wire.signature import ReplayCache, verify

NOTICE = Notice(
    id="Kasse ü-20260301T100000Z/opened",
    thread="Kasse ü-20260301T100000Z",
    at=datetime(2026, 3, 1, 10, tzinfo=UTC),
    kind=NoticeKind.OPENED,
    urgency=Urgency.CRITICAL,
    channels=("hook",),
    title="Kasse ü: incident",
    body="two\nlines",
    guard="Kasse ü",
    incident="Kasse ü-20260301T100000Z",
    data=(("rule", "a/b"),),
)
CLOCK = SystemClock()


def hook(port, tmp_path, *, scheme="http", **changes):
    spec = ChannelSpec(name="hook", type="webhook", url=SecretText(f"{scheme}://127.0.0.1:{port}/in"), **changes)
    return notify.build(spec, clock=CLOCK, directory=tmp_path)


async def test_it_says_all_fields_of_the_notice_as_json(tmp_path):
    receiver = Receiver()
    async with listening(receiver.serve) as port:
        await hook(port, tmp_path).send(NOTICE)
    (request,) = receiver.requests
    assert (request.method, request.path) == ("POST", "/in")
    assert request.json() == {
        "version": 1,
        "id": NOTICE.id,
        "thread": NOTICE.thread,
        "at": "2026-03-01T10:00:00+00:00",
        "kind": "opened",
        "urgency": "critical",
        "title": "Kasse ü: incident",
        "body": "two\nlines",
        "guard": "Kasse ü",
        "incident": NOTICE.incident,
        "resolves": False,
        "data": {"rule": "a/b"},
    }
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("rollback-guard/")


@pytest.mark.promise(40)
async def test_every_attempt_carries_the_same_idempotency_key(tmp_path):
    receiver = Receiver()
    receiver.outage = 500, b"", "text/plain"
    async with listening(receiver.serve) as port:
        for _ in range(2):
            with pytest.raises(UnknownOutcome):
                await hook(port, tmp_path).send(NOTICE)
    assert {request.headers["idempotency-key"] for request in receiver.requests} == {
        "Kasse%20%C3%BC-20260301T100000Z/opened"
    }


@pytest.mark.promise(39)
async def test_with_a_secret_the_body_is_signed_with_what_the_file_says_now(tmp_path):
    file = tmp_path / "key"
    receiver = Receiver()
    async with listening(receiver.serve) as port:
        signed = hook(port, tmp_path, secret=SecretText(f"${{file:{file}}}"))
        for key in ("first key", "second key"):
            file.write_text(f"{key}\n")
            await signed.send(NOTICE)
            request = receiver.requests[-1]
            header = request.headers["rollback-guard-signature"]
            assert verify(header, request.body, [key.encode()], CLOCK.now(), seen=ReplayCache()) == key.encode()


async def test_without_a_secret_nothing_is_signed(tmp_path):
    receiver = Receiver()
    async with listening(receiver.serve) as port:
        await hook(port, tmp_path).send(NOTICE)
    assert "rollback-guard-signature" not in receiver.requests[0].headers


async def test_headers_of_the_configuration_come_along_and_take_precedence(tmp_path):
    receiver = Receiver()
    (tmp_path / "token").write_text("abc123")
    headers = (
        ("Authorization", SecretText(f"Bearer ${{file:{tmp_path}/token}}")),
        ("user-agent", SecretText("ours")),
    )
    async with listening(receiver.serve) as port:
        await hook(port, tmp_path, headers=headers).send(NOTICE)
    assert receiver.requests[0].headers["authorization"] == "Bearer abc123"
    assert receiver.requests[0].headers["user-agent"] == "ours"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *((status, None) for status in (200, 202, 204)),
        *((status, TransientError) for status in (408, 425, 429, 503)),
        *((status, PermanentError) for status in (301, 307, 400, 401, 403, 404, 410, 422)),
        *((status, UnknownOutcome) for status in (500, 502, 504)),
    ],
)
async def test_each_answer_means_one_thing(status, error, tmp_path):
    receiver = Receiver()
    receiver.outage = status, b"" if status == 204 else b"words of the receiver", "text/plain"
    async with listening(receiver.serve) as port:
        if error is None:
            await hook(port, tmp_path).send(NOTICE)
            return
        with pytest.raises(error) as caught:
            await hook(port, tmp_path).send(NOTICE)
        assert type(caught.value) is error
        assert "words of the receiver" in str(caught.value)


@pytest.mark.parametrize(("said", "expected"), [("7", timedelta(seconds=7)), ("soon", None), ("9" * 30, None)])
async def test_a_receiver_may_ask_for_time(said, expected, tmp_path):
    async with targets.target(targets.says(targets.answer(429, headers=f"Retry-After: {said}\r\n"))) as port:
        with pytest.raises(TransientError) as caught:
            await hook(port, tmp_path).send(NOTICE)
    assert caught.value.retry_after == expected


@pytest.mark.parametrize(
    "speak",
    [
        targets.drips(b"x", before=b"HTTP/1.1 200 X\r\nContent-Length: 1000000\r\n\r\n"),
        targets.drips(b"H"),
        targets.silent,
        targets.resets,
    ],
    ids=["drips its body", "drips its head", "says nothing", "resets"],
)
async def test_a_hostile_receiver_ends_with_the_time(speak, tmp_path):
    async with targets.target(speak) as port, asyncio.timeout(30):
        with pytest.raises((UnknownOutcome, TransientError)):
            await hook(port, tmp_path, timeout=timedelta(seconds=1)).send(NOTICE)


async def test_an_endless_answer_is_read_to_its_beginning_only(tmp_path):
    flood = targets.drips(b"x" * 65536, before=b"HTTP/1.1 400 X\r\nConnection: close\r\n\r\n", every_s=0)
    async with targets.target(flood) as port, asyncio.timeout(30):
        with pytest.raises(PermanentError) as caught:
            await hook(port, tmp_path).send(NOTICE)
    assert len(str(caught.value)) < 400


async def test_a_certificate_of_an_unknown_authority_is_not_trusted_but_of_a_named_one(tmp_path):
    authority, receiver = trustme.CA(), Receiver()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with listening(receiver.serve, context=context) as port:
        with pytest.raises(TransientError, match="not sent"):
            await hook(port, tmp_path, scheme="https").send(NOTICE)
        assert not receiver.requests
        await hook(port, tmp_path, scheme="https", ca_file="ca.pem").send(NOTICE)
    assert len(receiver.requests) == 1


async def test_a_link_local_address_is_never_called(tmp_path):
    spec = ChannelSpec(name="hook", type="webhook", url=SecretText("http://169.254.169.254/latest/meta-data"))
    with pytest.raises(PermanentError, match="link-local"):
        await notify.build(spec, clock=CLOCK, directory=tmp_path).send(NOTICE)


async def test_no_proxy_of_the_environment_sees_the_notice(tmp_path, monkeypatch):
    proxy, receiver = Receiver(), Receiver()
    async with listening(proxy.serve) as near, listening(receiver.serve) as port:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{near}")
        await hook(port, tmp_path).send(NOTICE)
    assert not proxy.requests
    assert len(receiver.requests) == 1


async def test_a_bad_url_or_header_is_given_up_without_repeating_it(tmp_path):
    for changes in ({"headers": (("X-Key", SecretText("hunter2\r\nX-Evil: 1")),)},):
        async with listening(Receiver().serve) as port:
            with pytest.raises(PermanentError) as caught:
                await hook(port, tmp_path, **changes).send(NOTICE)
        assert "hunter2" not in str(caught.value)
    spec = ChannelSpec(name="hook", type="webhook", url=SecretText("ht!tp://hunter2"))
    with pytest.raises(PermanentError) as caught:
        await notify.build(spec, clock=CLOCK, directory=tmp_path).send(NOTICE)
    assert "hunter2" not in str(caught.value)


def test_the_recipe_of_the_documentation_verifies_what_is_sent(tmp_path):
    """Run the code block of docs/notifications.md itself."""
    from pathlib import Path

    from rollback_guard.wire.signature import sign

    page = (Path(__file__).parents[2] / "docs" / "notifications.md").read_text()
    code = page.split("```python\n")[1].split("```")[0]
    space = {}
    exec(code, space)
    body = json.dumps({"id": "a"}).encode()
    header = sign(body, b"the key", CLOCK.now())
    assert space["is_genuine"](header, body, b"the key")
    assert not space["is_genuine"](header, body + b" ", b"the key")
    assert not space["is_genuine"](header, body, b"another key")
    assert not space["is_genuine"](sign(body, b"the key", CLOCK.now() - timedelta(minutes=10)), body, b"the key")
    assert not space["is_genuine"]("", body, b"the key")
