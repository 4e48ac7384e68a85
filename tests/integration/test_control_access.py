"""Who may change what: every route that changes something, taken from the application, against every kind of caller."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from incidents import ID
from rollback_guard.adapters.web import TokenFile, access, create_app
from rollback_guard.adapters.web.entries import parse
from rollback_guard.adapters.web.limiter import ADDRESSES_REMEMBERED, OF_ALL, OF_ONE, Failures
from rollback_guard.adapters.web.routes import Endpoint
from rollback_guard.adapters.web.tokens import Scope, TokenFileError
from rollback_guard.secret import redact
from rollback_guard.wire.signature import HEADER, sign
from served import Daemon, client_within

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

BODIES = {
    "/-/reload": None,
    "/api/v1/pause": {"guard": "checkout", "reason": "looking", "for": "10m"},
    "/api/v1/resume": {"guard": "checkout"},
    "/api/v1/veto": {"guard": "checkout", "reason": "it is the network"},
    "/api/v1/extend": {"guard": "checkout", "for": "5m"},
    "/api/v1/approve": {"guard": "checkout"},
    "/api/v1/ack": {"incident": ID},
    "/api/v1/trigger": {"guard": "checkout", "all": True, "reason": "data corruption"},
    "/api/v1/undo": {"incident": ID, "reason": "false alarm"},
    "/api/v1/rollouts": {"guard": "checkout", "version": "42"},
    "/api/v1/rollouts/finish": {"guard": "checkout"},
    "/api/v1/alerts": {
        "version": "4",
        "alerts": [{"status": "firing", "labels": {"alertname": "Breach"}, "startsAt": "2026-03-01T11:59:00Z"}],
    },
}
"""For each route that changes something what it takes; a route that is missing here fails the matrix."""

SUFFICES = {
    **dict.fromkeys(BODIES, Scope.OPERATE),
    "/-/reload": Scope.ADMIN,
    "/api/v1/trigger": Scope.ACT,
    "/api/v1/undo": Scope.ACT,
    "/api/v1/alerts": Scope.ALERT,
}


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.past = timedelta(0)

    def now(self) -> datetime:
        return NOW + self.past

    def elapsed(self) -> timedelta:
        return self.past

    async def sleep(self, span: timedelta) -> None:
        raise AssertionError("nothing here waits")


TOKENS = {scope: f"{scope}-{'x' * 30}" for scope in Scope} | {
    "expired": "expired-" + "y" * 30,
    "lasting": "lasting-" + "z" * 30,
}

FILE = "".join(
    f'[[token]]\nname = "{scope}-robot"\nscopes = ["{scope}"]\nsha256 = "{hashlib.sha256(TOKENS[scope].encode()).hexdigest()}"\n'
    for scope in Scope
) + (
    f'[[token]]\nname = "ann"\nscopes = ["admin"]\ntoken = "{TOKENS["expired"]}"\nexpires = 2026-03-01T12:00:00Z\n'
    f'[[token]]\nname = "ann"\nscopes = ["operate", "act"]\ntoken = "{TOKENS["lasting"]}"\nexpires = 2026-03-01T12:00:01Z\n'
)


def token_file(folder: Path, text: str = FILE, clock: Hand | None = None) -> TokenFile:
    path = folder / "tokens.toml"
    path.write_text(text)
    path.chmod(0o600)
    return TokenFile(path, clock or Hand())


def changing() -> list[tuple[str, str]]:
    routes = create_app(Daemon().view()).routes
    return sorted(
        (method, route.path) for route in routes for method in route.methods if method not in {"GET", "HEAD", "OPTIONS"}
    )


ROUTES = changing()

READ = {("GET", "/api/v1/rollouts"), ("HEAD", "/api/v1/rollouts")}
"""What changes something by POST and is read by these."""


def daemon() -> Daemon:
    view = Daemon()
    view.takers = {"Breach": ("checkout",)}
    return view


def changed(view: Daemon) -> bool:
    return bool(view.asked or view.reloads)


async def call(client: httpx.AsyncClient, method: str, path: str, token: str | None, **headers: str) -> httpx.Response:
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    return await client.request(method, path, json=BODIES[path], headers=headers)


def test_the_matrix_knows_every_route_that_changes_something_and_no_other():
    assert {path for _, path in ROUTES} == BODIES.keys()


@pytest.mark.parametrize(("method", "needs"), [("POST", None), ("GET", Scope.ADMIN)])
def test_a_route_that_changes_something_cannot_be_written_down_without_a_scope(method, needs):
    with pytest.raises(ValueError, match="needs a scope"):
        Endpoint(path="/new", handler=None, answers={}, method=method, needs=needs)


@pytest.mark.promise(33)
@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("peer", ["127.0.0.1", "192.0.2.7"])
async def test_only_the_right_scope_gets_through(method, path, peer, tmp_path):
    tokens = token_file(tmp_path)
    callers = {
        None: 401,
        "no-such-token-" + "x" * 30: 401,
        TOKENS["expired"]: 401,
        hashlib.sha256(TOKENS["admin"].encode()).hexdigest(): 401,  # what stands in the file opens nothing
        **{TOKENS[scope]: 200 if scope in (SUFFICES[path], Scope.ADMIN) else 403 for scope in Scope},
    }
    for token, status in callers.items():
        view = daemon()
        async with client_within(view, url="http://127.0.0.1", peer=peer, tokens=tokens) as client:
            answer = await call(client, method, path, token)
        assert answer.status_code == status, (token, answer.text)
        assert changed(view) == (status == 200)
        if status == 401:
            assert answer.headers["www-authenticate"].startswith('Bearer realm="rollback-guard"')
            assert view.refusals == ["no_token" if token is None else "bad_token"]
        if status == 403:
            assert f"lacks the scope {SUFFICES[path]}" in answer.json()["error"]
            assert f'error="insufficient_scope", scope="{SUFFICES[path]}"' in answer.headers["www-authenticate"]
            assert view.refusals == ["scope"]


@pytest.mark.promise(33)
@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_without_a_token_file_only_this_machine_changes_anything(method, path):
    for peer, headers, status in (
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("192.0.2.7", {}, 403),
        ("127.0.0.1", {"x-forwarded-for": "192.0.2.7"}, 403),
        ("127.0.0.1", {"forwarded": "for=192.0.2.7"}, 403),
        ("192.0.2.7", {"authorization": f"Bearer {TOKENS['admin']}"}, 403),
    ):
        view = daemon()
        async with client_within(view, peer=peer) as client:
            answer = await client.request(method, path, json=BODIES[path], headers=headers)
        assert answer.status_code == status, (peer, headers)
        assert changed(view) == (status == 200)
        assert {each.by for each in view.asked} <= {"loopback"}


@pytest.mark.promise(34)
@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "https://evil.test"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://["}, 403),
        ({"origin": "http://127.0.0.1"}, 200),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-type": "multipart/form-data; boundary=x"}, 415),
        ({"host": "evil.test"}, 421),
    ],
)
async def test_another_sites_page_changes_nothing_on_this_machine(method, path, headers, status):
    view = daemon()
    async with client_within(view) as client:
        answer = await client.request(
            method, path, content=json.dumps(BODIES[path]), headers={"content-type": "application/json"} | headers
        )
    assert answer.status_code == status
    assert changed(view) == (status == 200)


@pytest.mark.promise(33)
@pytest.mark.parametrize("path", sorted({path for _, path in ROUTES}))
async def test_reading_methods_change_nothing(path, tmp_path):
    view = daemon()
    async with client_within(view, tokens=token_file(tmp_path)) as client:
        for method in ("GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"):
            answer = await call(client, method, path, TOKENS["admin"])
            assert answer.status_code == (200 if (method, path) in READ else 405), method
    assert not changed(view)


async def test_what_a_path_can_do_is_said_for_all_its_routes_together():
    async with client_within(daemon()) as client:
        assert (await client.delete("/api/v1/rollouts")).headers["allow"] == "GET, HEAD, POST"
        assert (await client.delete("/api/v1/pause")).headers["allow"] == "POST"


@pytest.mark.parametrize(
    "path", ["/api/v1/pause%0A", "/api/v1//pause", "/api/v1/pause/", "/API/v1/pause", "//api/v1/pause"]
)
async def test_another_spelling_of_a_path_leads_around_no_check(path, tmp_path):
    view = daemon()
    async with client_within(view, tokens=token_file(tmp_path)) as client:
        answer = await client.post(path, json=BODIES["/api/v1/pause"])
    assert answer.status_code in (401, 404)
    assert not changed(view)


async def test_a_person_is_told_to_the_journal_by_the_tokens_name(tmp_path):
    view = daemon()
    async with client_within(view, peer="192.0.2.7", tokens=token_file(tmp_path)) as client:
        answer = await call(client, "POST", "/api/v1/pause", TOKENS["lasting"])
    assert answer.json()["by"] == "ann"
    assert [each.by for each in view.asked] == ["ann"]


async def test_a_token_ends_at_its_time_and_not_before(tmp_path):
    clock = Hand()
    async with client_within(daemon(), tokens=token_file(tmp_path, clock=clock)) as client:
        assert (await call(client, "POST", "/api/v1/pause", TOKENS["lasting"])).status_code == 200
        clock.past = timedelta(seconds=1)
        answer = await call(client, "POST", "/api/v1/pause", TOKENS["lasting"])
    assert answer.status_code == 401
    assert answer.json()["error"] == "this token has expired on 2026-03-01"


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ("Bearer {}", 200),
        ("bearer {}", 200),
        ("BEARER   {} ", 200),
        ("Basic {}", 401),
        ("{}", 401),
        ("Bearer", 401),
        ("Bearer ", 401),
        ("Bearer {}x", 401),
        ("Bearer \xff\xfe", 401),
    ],
)
async def test_only_a_bearer_token_counts(value, status, tmp_path):
    async with client_within(daemon(), tokens=token_file(tmp_path)) as client:
        headers = [(b"authorization", value.format(TOKENS["operate"]).encode("latin-1"))]
        answer = await client.post("/api/v1/pause", json=BODIES["/api/v1/pause"], headers=headers)
    assert answer.status_code == status


@pytest.mark.promise(36)
async def test_nothing_that_a_caller_presented_is_repeated(tmp_path):
    secrets = [*TOKENS.values(), "wrong-" + "w" * 30]
    told = []
    with capture_logs() as logs:
        async with client_within(daemon(), tokens=token_file(tmp_path)) as client:
            for token in secrets:
                for method, path in ROUTES:
                    answer = await call(client, method, path, token)
                    told.append(answer.text + str(answer.headers))
    shown = "\n".join([*told, *map(str, logs)])
    for secret in secrets:
        assert secret not in shown
        assert hashlib.sha256(secret.encode()).hexdigest() not in shown
    assert any(each["event"] == "caller_refused" for each in logs)


async def test_who_fails_too_often_waits_and_a_right_token_does_not(tmp_path):
    clock, view = Hand(), daemon()
    async with client_within(view, peer="192.0.2.7", tokens=token_file(tmp_path, clock=clock)) as client:
        for _ in range(OF_ONE.burst):
            assert (await call(client, "POST", "/api/v1/pause", "wrong" * 9)).status_code == 401
        for _ in range(5):
            answer = await call(client, "POST", "/api/v1/pause", "wrong" * 9)
            assert answer.status_code == 429
            assert answer.headers["retry-after"] == "6"
        assert view.refusals[-1] == "rate_limited"
        assert (await call(client, "POST", "/api/v1/pause", TOKENS["operate"])).status_code == 200
        clock.past = timedelta(seconds=6)
        assert (await call(client, "POST", "/api/v1/pause", "wrong" * 9)).status_code == 401
        assert (await call(client, "POST", "/api/v1/pause", None)).status_code == 429


def test_one_address_does_not_use_up_the_patience_for_the_others():
    failures = Failures(Hand())
    for _ in range(1000):
        failures.count("192.0.2.7")
    assert failures.count("192.0.2.7") is not None
    assert failures.count("192.0.2.8") is None


def test_many_addresses_together_are_held_too_and_are_not_all_remembered():
    failures = Failures(Hand())
    waits = [failures.count(f"10.0.{index // 256}.{index % 256}") for index in range(5000)]
    assert sum(wait is None for wait in waits) == OF_ALL.burst
    assert len(failures._each) == ADDRESSES_REMEMBERED


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.7", "192.0.2.7", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("", "not an address", True),
    ],
)
def test_whoever_owns_a_network_is_one_caller(one, other, same):
    failures = Failures(Hand())
    for _ in range(OF_ONE.burst):
        assert failures.count(one) is None
    assert (failures.count(other) is not None) == same


def entry(**changes: str) -> str:
    values = {"name": '"ann"', "scopes": '["operate"]', "token": '"0123456789abcdefghij"'} | changes
    return "[[token]]\n" + "".join(f"{key} = {value}\n" for key, value in values.items() if value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[token]", "it is no TOML"),
        ("[[tokens]]\nname = 'a'", "unknown key 'tokens'"),
        (entry(token='"0123456789abcdefghi"'), "token.0.token: string should have at least 20 characters"),
        (entry(token='"01234567890123456789 a"'), "token.0.token"),
        (entry(token=""), "give either sha256 or token"),
        (entry(sha256=f'"{"a" * 64}"'), "give either sha256 or token"),
        (entry(token="", sha256='"abc"'), "token.0.sha256"),
        (entry(scopes="[]"), "token.0.scopes: list should have at least 1 item"),
        (entry(scopes='["root"]'), "token.0.scopes.0: input should be 'operate', 'act', 'alert' or 'admin'"),
        (entry(name='""'), "token.0.name"),
        (entry(name='"a\\nb"'), "token.0.name"),
        (entry(name=""), "token.0.name is missing"),
        (entry(expires="2027-01-01"), "token.0.expires"),
        (entry(expires="2027-01-01T00:00:00"), "token.0.expires: input should have timezone info"),
        (entry(expire="2027-01-01T00:00:00Z"), "unknown key 'token.0.expire'"),
        (entry() + entry(name='"bob"'), "it holds the same token twice"),
        ("[[signature]]\nname = 'a'\nsecret = 'short'", "signature.0.secret"),
    ],
)
def test_a_wrong_token_file_is_refused_in_words_that_repeat_no_token(text, words):
    with pytest.raises(TokenFileError) as refused:
        parse(text.encode())
    assert words in str(refused.value)
    assert "0123456789" not in str(refused.value)


def test_a_file_that_is_no_text_is_refused():
    with pytest.raises(TokenFileError, match="no UTF-8 text"):
        parse(b"\xff\xfe")


def test_what_a_token_file_holds_in_clear_is_masked_from_then_on():
    parse(entry(token='"in-clear-0123456789-abc"').encode())
    assert redact("log: in-clear-0123456789-abc!") == "log: <secret>!"


async def test_a_changed_file_counts_at_once_and_a_broken_one_leaves_the_old_tokens(tmp_path):
    tokens = token_file(tmp_path)
    path = tmp_path / "tokens.toml"
    async with client_within(daemon(), tokens=tokens) as client:

        async def status(token: str) -> int:
            return (await call(client, "POST", "/api/v1/pause", token)).status_code

        fresh = "fresh-" + "f" * 30
        assert await status(fresh) == 401
        path.write_text(entry(token=f'"{fresh}"'))
        assert (await status(fresh), await status(TOKENS["operate"])) == (200, 401)
        with capture_logs() as logs:
            for broken in ("[[token]", "x" * 70_000):
                path.write_text(broken)
                assert [await status(fresh) for _ in range(3)] == [200] * 3
            path.unlink()
            assert await status(fresh) == 200
        refused = [each for each in logs if each["event"] == "token_file_refused"]
        assert [each["log_level"] for each in refused] == ["error"] * 3
        path.write_text("")
        assert await status(fresh) == 401
        path.write_text(entry(token=f'"{fresh}"'))
        assert await status(fresh) == 200


async def test_a_file_that_was_never_there_lets_nobody_in(tmp_path):
    with capture_logs() as logs:
        tokens = TokenFile(tmp_path / "none.toml", Hand())
    assert [each["event"] for each in logs] == ["token_file_refused"]
    view = daemon()
    async with client_within(view, tokens=tokens) as client:
        assert (await call(client, "POST", "/api/v1/pause", None)).status_code == 401
        assert (await call(client, "POST", "/api/v1/pause", "")).status_code == 401
    assert not changed(view)


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, True), (0o604, True), (0o400, False)])
def test_a_file_that_others_can_read_is_warned_of(mode, warned, tmp_path):
    path = tmp_path / "tokens.toml"
    path.write_text(FILE)
    path.chmod(mode)
    with capture_logs() as logs:
        TokenFile(path, Hand())
    assert any(each["event"] == "token_file_readable_by_others" for each in logs) == warned


def test_that_this_machine_may_write_is_said_once_at_the_start(tmp_path):
    with capture_logs() as logs:
        create_app(Daemon().view())
    assert [each["event"] for each in logs] == ["writes_open_to_loopback"]
    with capture_logs() as logs:
        create_app(Daemon().view(), tokens=token_file(tmp_path))
    assert [each["event"] for each in logs] == ["token_file_read"]


SIGNED = FILE + '[[signature]]\nname = "pipeline"\nsecret = "shared-0123456789-abcdef"\n'
SECRET = b"shared-0123456789-abcdef"
ALERTS = json.dumps(BODIES["/api/v1/alerts"]).encode()


@pytest.mark.promise(39)
async def test_a_signed_alert_is_taken_once_and_only_as_it_was_signed(tmp_path):
    clock, view = Hand(), daemon()
    tokens = token_file(tmp_path, SIGNED, clock)
    good = sign(ALERTS, SECRET, NOW)
    async with client_within(view, peer="192.0.2.7", tokens=tokens) as client:

        async def send(body: bytes, signature: str, path: str = "/api/v1/alerts") -> int:
            return (await client.post(path, content=body, headers={HEADER: signature})).status_code

        assert await send(ALERTS, good) == 200
        assert [each.by for each in view.asked] == ["pipeline"]
        assert await send(ALERTS, good) == 401  # the same once more
        assert await send(ALERTS + b" ", sign(ALERTS, SECRET, NOW + timedelta(seconds=1))) == 401
        assert await send(ALERTS, sign(ALERTS, b"another-secret-0123456789", NOW)) == 401
        assert await send(ALERTS, sign(ALERTS, SECRET, NOW - timedelta(hours=1))) == 401
        assert await send(ALERTS, "nonsense") == 401
        pause = json.dumps(BODIES["/api/v1/pause"]).encode()
        assert await send(pause, sign(pause, SECRET, NOW), "/api/v1/pause") == 401
    assert len(view.asked) == 1
    assert view.refusals == ["signature"] * 5 + ["no_token"]


@pytest.mark.promise(39)
async def test_a_signature_counts_for_nothing_where_nobody_may_sign(tmp_path):
    view = daemon()
    async with client_within(view, peer="192.0.2.7", tokens=token_file(tmp_path)) as client:
        answer = await client.post("/api/v1/alerts", content=ALERTS, headers={HEADER: sign(ALERTS, SECRET, NOW)})
    assert answer.status_code == 401
    assert not changed(view)


async def answered_unread(app, path, **headers):
    """Ask, and return the answer's start; that the body is read is a failure."""
    sent = []

    async def receive_never():
        raise AssertionError("the body was read")

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"localhost"), *((name.encode(), text.encode()) for name, text in headers.items())],
        "client": ("192.0.2.7", 1),
        "server": ("127.0.0.1", 80),
        "scheme": "http",
    }
    await app(scope, receive_never, send)
    return sent[0]


async def test_who_may_not_do_something_is_told_before_their_body_is_read(tmp_path):
    app = create_app(daemon().view(), tokens=token_file(tmp_path))
    assert (await answered_unread(app, "/api/v1/pause"))["status"] == 401


@pytest.mark.parametrize("header", ["nonsense", sign(b"body", SECRET, NOW - timedelta(hours=1))])
async def test_a_signature_of_another_form_or_time_is_refused_before_the_body_is_read(header, tmp_path):
    app = create_app(daemon().view(), tokens=token_file(tmp_path, SIGNED))
    assert (await answered_unread(app, "/api/v1/alerts", **{HEADER.lower(): header}))["status"] == 401


async def test_who_sent_too_many_wrong_signatures_waits_before_a_body_is_read(tmp_path):
    clock, view = Hand(), daemon()
    app = create_app(view.view(), tokens=token_file(tmp_path, SIGNED, clock))
    transport = httpx.ASGITransport(app, client=("192.0.2.7", 50000))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:

        async def send(body: bytes, secret: bytes) -> int:
            headers = {HEADER: sign(body, secret, clock.now())}
            return (await client.post("/api/v1/alerts", content=body, headers=headers)).status_code

        for _ in range(OF_ONE.burst):
            assert await send(ALERTS, b"another-secret-0123456789") == 401
        start = await answered_unread(app, "/api/v1/alerts", **{HEADER.lower(): sign(ALERTS, SECRET, NOW)})
        assert (start["status"], dict(start["headers"])[b"retry-after"]) == (429, b"6")
        assert view.refusals[-1] == "rate_limited"
        clock.past = OF_ONE.every
        assert await send(ALERTS, SECRET) == 200
        assert await send(ALERTS + b" ", SECRET) == 200, "what is right uses nothing up"


async def test_a_large_body_is_checked_beside_the_event_loop_and_counts_once(tmp_path, monkeypatch):
    threads = []
    proof = access._proof
    monkeypatch.setattr(access, "_proof", lambda *what: threads.append(threading.current_thread()) or proof(*what))
    view = daemon()
    large = ALERTS + b" " * 500_000
    async with client_within(view, peer="192.0.2.7", tokens=token_file(tmp_path, SIGNED)) as client:
        headers = {HEADER: sign(large, SECRET, NOW)}
        asking = [client.post("/api/v1/alerts", content=large, headers=headers) for _ in range(4)]
        answers = sorted([(await each).status_code for each in asyncio.as_completed(asking)])
        small = await client.post("/api/v1/alerts", content=ALERTS, headers={HEADER: sign(ALERTS, SECRET, NOW)})
    assert answers == [200, 401, 401, 401]
    assert small.status_code == 200
    assert [each is threading.main_thread() for each in threads] == [False] * 4 + [True]


def test_looking_whether_an_address_may_fail_uses_nothing_up():
    clock = Hand()
    failures = Failures(clock)
    assert failures.wait("192.0.2.7") is None
    for _ in range(OF_ONE.burst):
        assert failures.wait("192.0.2.7") is None
        assert failures.count("192.0.2.7") is None
    assert [failures.wait("192.0.2.7"), failures.wait("192.0.2.7")] == [6, 6]
    assert failures.wait("192.0.2.8") is None
    clock.past = OF_ONE.every
    assert failures.wait("192.0.2.7") is None
