"""What every channel owes the courier: it delivers, or says which of three things happened, and shows no secret."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from messengers import Receiver, listening
from rollback_guard.adapters import notify
from rollback_guard.adapters.clock import SystemClock
from rollback_guard.core.notice import Notice, NoticeKind, Urgency
from rollback_guard.ports import EmptyTextError, PermanentError, TransientError, UnknownOutcome
from rollback_guard.secret import SecretText
from rollback_guard.specs import ChannelSpec

NOTICE = Notice(
    id="checkout/warning/20260301T100000.000000Z",
    thread="warning/checkout",
    at=datetime(2026, 3, 1, 10, tzinfo=UTC),
    kind=NoticeKind.WARNING,
    urgency=Urgency.WARNING,
    channels=("hook",),
    title="checkout: warning: QueueLength is 12, above 10",
    body="QueueLength is 12, above 10\n  query: queue > 10",
    guard="checkout",
    data=(("rule", "checkout/QueueLength"), ("value", "12")),
)
TOKEN = "s3cr3t-t0ken-in-the-path"


def at(type_, port, tmp_path, **changes):
    """Return the channel of a type that leads to a port, with a secret in its URL."""
    scheme = {"apprise": "json", "webhook": "http"}[type_]
    file = tmp_path / "token"
    file.write_text(TOKEN)
    url = SecretText(f"{scheme}://127.0.0.1:{port}/${{file:{file}}}")
    spec = ChannelSpec(name="hook", type=type_, url=url, **{"timeout": timedelta(seconds=20)} | changes)
    return notify.build(spec, clock=SystemClock(), directory=tmp_path)


TYPES = pytest.mark.parametrize("type_", ["apprise", "webhook"])


@TYPES
async def test_it_delivers_title_and_body(type_, tmp_path):
    receiver = Receiver()
    async with listening(receiver.serve) as port:
        hook = at(type_, port, tmp_path)
        await hook.send(NOTICE)
        await hook.send(NOTICE)
        await hook.close()
    said = [request.json() for request in receiver.requests]
    assert [each["title"] for each in said] == [NOTICE.title] * 2
    assert {each.get("body") or each["message"] for each in said} == {NOTICE.body}


@TYPES
async def test_a_refused_connection_is_certain_and_shows_no_secret(type_, tmp_path):
    async with listening(Receiver().serve) as port:
        pass
    hook = at(type_, port, tmp_path)
    with pytest.raises(TransientError) as caught:
        await hook.send(NOTICE)
    assert TOKEN not in str(caught.value)
    await hook.close()


@TYPES
async def test_silence_ends_with_the_time_and_may_be_a_delivery(type_, tmp_path):
    receiver = Receiver()
    receiver.is_hanging = True
    async with listening(receiver.serve) as port:
        within_s = 3 if type_ == "apprise" else 0.5  # a process takes a while to begin
        hook = at(type_, port, tmp_path, timeout=timedelta(seconds=within_s))
        with pytest.raises((UnknownOutcome, TransientError)):
            async with asyncio.timeout(30):
                await hook.send(NOTICE)
        await hook.close()


@TYPES
async def test_a_server_in_trouble_is_never_taken_for_a_delivery(type_, tmp_path):
    receiver = Receiver()
    receiver.outage = 503, TOKEN.encode(), "text/plain"
    async with listening(receiver.serve) as port:
        hook = at(type_, port, tmp_path)
        with pytest.raises(TransientError) as caught:
            await hook.send(NOTICE)
        await hook.close()
    assert "503" in str(caught.value)
    assert TOKEN not in str(caught.value)


@TYPES
async def test_templates_make_title_and_body(type_, tmp_path):
    receiver = Receiver()
    async with listening(receiver.serve) as port:
        hook = at(
            type_,
            port,
            tmp_path,
            title="[{{ urgency }}] {{ guard }}",
            body="{{ data.rule }} is {{ data['value'] }}: {{ title }}",
        )
        await hook.send(NOTICE)
        await hook.close()
    said = receiver.requests[0].json()
    assert said["title"] == "[warning] checkout"
    assert (said.get("body") or said["message"]) == f"checkout/QueueLength is 12: {NOTICE.title}"


@pytest.mark.parametrize(
    ("type_", "given", "expected"),
    [
        ("apprise", {"title": ""}, ("", NOTICE.body)),
        ("webhook", {"title": ""}, ("", NOTICE.body)),
        ("apprise", {"body": "{% if kind == 'opened' %}We look into it.{% endif %}"}, ("", NOTICE.title)),
        ("webhook", {"body": "{% if kind == 'opened' %}We look into it.{% endif %}"}, (NOTICE.title, "")),
    ],
)
async def test_where_title_or_body_is_empty_the_other_one_is_sent(type_, given, expected, tmp_path):
    receiver = Receiver()
    async with listening(receiver.serve) as port:
        hook = at(type_, port, tmp_path, **given)
        await hook.send(NOTICE)
        await hook.close()
    said = receiver.requests[0].json()
    assert (said["title"], said["body" if type_ == "webhook" else "message"]) == expected


@TYPES
async def test_where_the_templates_leave_nothing_nothing_is_sent(type_, tmp_path):
    receiver = Receiver()
    async with listening(receiver.serve) as port:
        hook = at(type_, port, tmp_path, title=" {% if resolves %}Well again{% endif %}", body=" \n")
        with pytest.raises(EmptyTextError):
            await hook.send(NOTICE)
        await hook.send(replace(NOTICE, resolves=True))
        await hook.close()
    (said,) = [request.json() for request in receiver.requests]
    assert (said["title"] or said["message"]) == "Well again"


@pytest.mark.parametrize(
    ("type_", "template"),
    [
        ("apprise", "{{ data.nothing }}"),  # one is enough where each takes a process
        ("webhook", "{{ data.nothing }}"),
        ("webhook", "{{ unknown }}"),
        ("webhook", "{{ 1 / 0 }}"),
        ("webhook", "{% for a in 'x' * 90 %}{% for b in 'x' * 90 %}{{ title }}{% endfor %}{% endfor %}"),
        ("webhook", "{{ title.__class__.__mro__ }}"),
        ("webhook", "{% for a in data %}{{ a.x.y }}{% endfor %}"),
    ],
)
async def test_a_template_that_fails_costs_no_notice(type_, template, tmp_path):
    receiver = Receiver()
    async with listening(receiver.serve) as port:
        hook = at(type_, port, tmp_path, body=template)
        await hook.send(NOTICE)
        await hook.close()
    said = receiver.requests[0].json()
    body = said.get("body") or said["message"]
    assert body.startswith(NOTICE.body)
    assert "The template of this channel's body failed" in body


@TYPES
@pytest.mark.parametrize("template", ["{{ title", "{% if %}", "{{ 'a' | nofilter }}", "{{ " + "(" * 500])
def test_a_text_that_is_no_template_is_refused_when_it_is_loaded(type_, template, tmp_path):
    with pytest.raises(ValueError, match=r"\[notify.hook\] title: template"):
        at(type_, 1, tmp_path, title=template)


def test_a_type_that_there_is_not_is_refused_in_words(tmp_path):
    spec = ChannelSpec(name="hook", type="pigeon", url=SecretText("http://x"))
    with pytest.raises(ValueError, match="pigeon"):
        notify.build(spec, clock=SystemClock(), directory=tmp_path)


@TYPES
async def test_closing_twice_is_harmless_and_sending_afterwards_says_so(type_, tmp_path):
    hook = at(type_, 1, tmp_path)
    await hook.close()
    await hook.close()
    with pytest.raises((TransientError, PermanentError)):
        await hook.send(replace(NOTICE, id="late"))
