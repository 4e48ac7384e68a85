"""Slack, PagerDuty, Telegram and mail: the child as it is shipped, against servers that speak the products' formats."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
import trustme

from messengers import Mailbox, PagerDuty, Receiver, Slack, Telegram, internet, listening
from rollback_guard.adapters import notify
from rollback_guard.adapters.clock import SystemClock
from rollback_guard.core.notice import Notice, NoticeKind, Urgency
from rollback_guard.ports import PermanentError, TransientError, UnknownOutcome
from rollback_guard.secret import SecretText
from rollback_guard.specs import ChannelSpec

LABEL = 'CheckoutErrorRate{path="</b><!channel> *x* _y_ & <script>"}'

OPENED = Notice(
    id="checkout-20260301T100000Z/opened",
    thread="checkout-20260301T100000Z",
    at=datetime(2026, 3, 1, 10, tzinfo=UTC),
    kind=NoticeKind.OPENED,
    urgency=Urgency.CRITICAL,
    channels=("oncall",),
    title=f"checkout: incident: {LABEL} is 0.01824, above 0.01",
    body=f"{LABEL} is 0.01824, above 0.01\n  query: a / b > 0.01\nTo stop it: rollback-guard pause checkout --reason …",
    guard="checkout",
    incident="checkout-20260301T100000Z",
    data=(("url", "https://guard.example/"),),
)
RECOVERED = Notice(
    id="checkout-20260301T100000Z/recovered",
    thread=OPENED.thread,
    at=OPENED.at + timedelta(minutes=12),
    kind=NoticeKind.RECOVERED,
    urgency=Urgency.INFO,
    channels=("oncall",),
    title="checkout: recovered after 12m",
    body="All is well.",
    resolves=True,
)
LONG = Notice(**{name: getattr(OPENED, name) for name in Notice.__slots__} | {"body": "x\n" * 4000})


@pytest.fixture
def authority(tmp_path):
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "ca.pem")
    return made


@pytest.fixture
def channel(tmp_path):
    """Make channels whose URL stands in a file, and close them."""
    made = []

    def make(url, **changes):
        secret = tmp_path / f"url{len(made)}"
        secret.write_text(url)
        spec = ChannelSpec(
            name="oncall",
            type="apprise",
            url=SecretText(f"${{file:{secret}}}"),
            **{"ca_file": "ca.pem"} | changes,
        )
        made.append(notify.build(spec, clock=SystemClock(), directory=tmp_path))
        return made[-1]

    yield make
    for each in made:
        asyncio.run(each.close())


async def test_slack_gets_the_text_and_no_label_of_it_pings_anybody(authority, channel, monkeypatch):
    slack = Slack()
    async with internet(authority, slack=slack) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        await channel(Slack.URL).send(OPENED)
    (text,) = slack.texts
    assert "is 0.01824, above 0.01" in text
    assert "rollback-guard pause checkout" in text
    assert "<!channel>" not in text


async def test_pagerduty_keeps_one_incident_per_thread_and_resolves_it(authority, channel, monkeypatch):
    pager = PagerDuty()
    async with internet(authority, pager=pager) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        oncall = channel(PagerDuty.URL)
        await oncall.send(OPENED)
        await oncall.send(OPENED)
        assert list(pager.open) == [OPENED.thread]
        assert "is 0.01824, above 0.01" in pager.open[OPENED.thread][0]
        assert pager.requests[0].json()["payload"]["severity"] == "critical"
        await oncall.send(RECOVERED)
        assert not pager.open


ORDERED = Notice(
    id="pause/checkout/paused",
    thread="pause/checkout",
    at=OPENED.at,
    kind=NoticeKind.ORDERED,
    urgency=Urgency.INFO,
    channels=("oncall",),
    title="checkout: paused by alice",
    body="Nothing is done by it until then.",
)


async def test_pagerduty_is_not_called_for_what_calls_nobody(authority, channel, monkeypatch):
    pager, slack = PagerDuty(), Slack()
    async with internet(authority, pager=pager, slack=slack) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        await channel(PagerDuty.URL).send(ORDERED)
        await channel(f"{PagerDuty.URL}, {Slack.URL}").send(ORDERED)
    assert not pager.requests
    assert len(slack.texts) == 1


async def test_pagerduty_gets_everything_where_its_url_says_so(authority, channel, monkeypatch):
    pager = PagerDuty()
    async with internet(authority, pager=pager) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        await channel(f"{PagerDuty.URL}?action=trigger").send(ORDERED)
    assert list(pager.open) == [ORDERED.thread]


async def test_pagerduty_gets_a_long_text_cut_and_not_refused(authority, channel, monkeypatch):
    pager = PagerDuty()
    async with internet(authority, pager=pager) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        await channel(PagerDuty.URL).send(LONG)
    assert len(pager.requests) == 1


async def test_telegram_gets_a_text_that_it_can_parse_and_that_fits(authority, channel, monkeypatch):
    telegram = Telegram()
    async with internet(authority, telegram=telegram) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        oncall = channel(Telegram.URL)
        await oncall.send(OPENED)
        await oncall.send(LONG)
    assert "is 0.01824, above 0.01" in telegram.message(telegram.requests[0])["text"]
    assert len(telegram.requests) == 2


async def test_mail_arrives_with_subject_and_text(channel, tmp_path):
    mailbox = Mailbox()
    async with listening(mailbox.serve) as port:
        url = f"mailto://guard:correct%20horse@127.0.0.1:{port}?from=guard@example.com&to=oncall@example.com&mode=insecure"
        await channel(url, ca_file=None).send(OPENED)
    (mail,) = mailbox.messages
    assert mail["subject"] == OPENED.title
    assert "oncall@example.com" in mailbox.recipients[0]
    body = mail.get_body(("plain", "html")).get_content()
    assert "rollback-guard pause checkout --reason …" in body


async def test_a_mail_server_that_refuses_is_asked_again_later(channel):
    mailbox = Mailbox(refuses="450 4.2.0 try again later")
    async with listening(mailbox.serve) as port:
        url = f"mailto://guard:correct%20horse@127.0.0.1:{port}?from=guard@example.com&to=oncall@example.com&mode=insecure"
        with pytest.raises(TransientError):
            await channel(url, ca_file=None).send(OPENED)
    assert not mailbox.messages


async def test_the_generic_json_service_gets_everything(channel):
    receiver = Receiver()
    async with listening(receiver.serve) as port:
        await channel(f"json://127.0.0.1:{port}/hook", ca_file=None).send(OPENED)
    said = receiver.requests[0].json()
    assert said["title"] == OPENED.title
    assert said["message"] == OPENED.body
    assert said["type"] == "failure"


@pytest.mark.parametrize(
    ("urgency", "resolves", "loudness"),
    [
        (Urgency.INFO, False, "info"),
        (Urgency.WARNING, False, "warning"),
        (Urgency.CRITICAL, False, "failure"),
        (Urgency.INFO, True, "success"),
    ],
)
async def test_urgency_becomes_the_loudness_that_the_service_knows(channel, urgency, resolves, loudness):
    receiver = Receiver()
    fields = {name: getattr(OPENED, name) for name in Notice.__slots__}
    async with listening(receiver.serve) as port:
        notice = Notice(**fields | {"urgency": urgency, "resolves": resolves})
        await channel(f"json://127.0.0.1:{port}/", ca_file=None).send(notice)
    assert receiver.requests[0].json()["type"] == loudness


async def test_a_service_that_fails_is_asked_again_and_its_secrets_stay_out_of_the_error(
    authority, channel, monkeypatch
):
    slack = Slack()
    slack.outage = 500, b"server_error", "text/html"
    async with internet(authority, slack=slack) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        with pytest.raises(TransientError) as caught:
            await channel(Slack.URL).send(OPENED)
    assert "500" in str(caught.value)
    for part in Slack.URL.removeprefix("slack://").split("/"):
        assert part not in str(caught.value)


async def test_a_text_that_is_no_url_is_given_up_and_not_repeated_in_the_error(channel):
    with pytest.raises(PermanentError) as caught:
        await channel("hunter2-is-no-url", ca_file=None).send(OPENED)
    assert "hunter2" not in str(caught.value)
    assert "no Apprise URL" in str(caught.value)


async def test_a_secret_file_that_is_not_there_yet_is_looked_for_again(tmp_path):
    spec = ChannelSpec(name="oncall", type="apprise", url=SecretText(f"${{file:{tmp_path}/later}}"))
    oncall = notify.build(spec, clock=SystemClock(), directory=tmp_path)
    with pytest.raises(TransientError, match="later"):
        await oncall.send(OPENED)
    await oncall.close()


async def test_without_apprise_the_hint_says_what_to_install(channel, tmp_path, monkeypatch):
    (tmp_path / "shadow" / "apprise").mkdir(parents=True)
    (tmp_path / "shadow" / "apprise" / "__init__.py").write_text("raise ImportError('No module named apprise')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "shadow"))
    with pytest.raises(PermanentError, match=r"pip install 'rollback-guard\[notify\]'"):
        await channel("json://127.0.0.1:1/", ca_file=None).send(OPENED)


def children():
    return psutil.Process().children(recursive=True)


async def no_child_is_left():
    async with asyncio.timeout(20):
        while children():  # noqa: ASYNC110  a process tells nobody that it has ended
            await asyncio.sleep(0.01)


async def test_a_service_that_hangs_ends_with_its_time_and_leaves_no_process(channel):
    receiver = Receiver()
    receiver.is_hanging = True
    async with listening(receiver.serve) as port:
        oncall = channel(f"json://127.0.0.1:{port}/?rto=60", ca_file=None, timeout=timedelta(seconds=4))
        with pytest.raises(UnknownOutcome, match="no end within 4 seconds"):
            await oncall.send(OPENED)
    assert receiver.requests
    await no_child_is_left()


async def test_a_cancelled_delivery_leaves_no_process(channel):
    receiver = Receiver()
    receiver.is_hanging = True
    async with listening(receiver.serve) as port:
        oncall = channel(f"json://127.0.0.1:{port}/?rto=60", ca_file=None)
        sending = asyncio.create_task(oncall.send(OPENED))
        await asyncio.wait_for(receiver.arrived.wait(), 20)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await no_child_is_left()


async def test_the_url_is_in_no_argument_and_no_environment_and_other_secrets_are_not_handed_on(channel, monkeypatch):
    monkeypatch.setenv("FLAGS_TOKEN", "of-an-action")
    receiver = Receiver()
    receiver.is_hanging = True
    async with listening(receiver.serve) as port:
        oncall = channel(f"json://127.0.0.1:{port}/very-secret-path?rto=60", ca_file=None)
        sending = asyncio.create_task(oncall.send(OPENED))
        await asyncio.wait_for(receiver.arrived.wait(), 20)
        seen = [(child.cmdline(), child.environ()) for child in children()]
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    assert seen
    assert "very-secret-path" not in str(seen)
    assert "of-an-action" not in str(seen)


async def test_a_child_that_is_killed_may_have_delivered(channel):
    receiver = Receiver()
    receiver.is_hanging = True
    async with listening(receiver.serve) as port:
        oncall = channel(f"json://127.0.0.1:{port}/?rto=60", ca_file=None)
        sending = asyncio.create_task(oncall.send(OPENED))
        await asyncio.wait_for(receiver.arrived.wait(), 20)
        for child in children():
            child.kill()
        with pytest.raises(UnknownOutcome):
            await sending


async def test_the_loop_goes_on_while_a_child_is_started_and_runs(channel):
    receiver = Receiver()
    longest, ended = 0.0, False

    async def beat():
        nonlocal longest
        loop = asyncio.get_running_loop()
        last = loop.time()
        while not ended:
            await asyncio.sleep(0.005)
            now = loop.time()
            longest, last = max(longest, now - last), now

    async with listening(receiver.serve) as port:
        beating = asyncio.create_task(beat())
        await channel(f"json://127.0.0.1:{port}/", ca_file=None).send(OPENED)
        ended = True
        await beating
    assert longest < 0.5


def test_the_daemon_itself_never_imports_apprise():
    code = (
        "import sys; from rollback_guard.adapters import notify;"
        "from rollback_guard.adapters.notify import apprise, webhook; assert 'apprise' not in sys.modules"
    )
    assert os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", code]) == 0


def test_the_child_imports_nothing_of_the_daemon_but_its_own_module():
    code = (
        "import sys, rollback_guard.adapters.notify.child as _;"
        "heavy = {'httpx', 'structlog', 'pydantic', 'jinja2'} & set(sys.modules); assert not heavy, heavy"
    )
    assert os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", code]) == 0


@pytest.mark.parametrize("said", ["", "{", json.dumps({"result": "delivered"}), json.dumps([1])])
async def test_a_child_that_answers_nonsense_may_have_delivered(channel, tmp_path, monkeypatch, said):
    package = tmp_path / "odd" / "apprise"
    (package / "plugins").mkdir(parents=True)
    (package / "plugins" / "__init__.py").write_text("")
    (package / "plugins" / "base.py").write_text("")
    # Answers in the child's place, the way a crash in a library might cut it short.
    (package / "__init__.py").write_text(
        "import os\n"
        "for fd in range(3, 20):\n"
        "    try:\n"
        f"        os.write(fd, {said!r}.encode())\n"
        "    except OSError:\n"
        "        pass\n"
        "os._exit(3)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(Path(tmp_path / "odd")))
    with pytest.raises(UnknownOutcome, match="without an answer"):
        await channel("json://127.0.0.1:1/", ca_file=None).send(OPENED)
