"""What a probe sees, against real sockets: an answer, no answer, or nothing that says anything about the target."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import resource
import socket
import threading
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from probing import GENEROUS, SLOT, TIMEOUT, Counts, group_of, look, look_at, not_made, spec_of, value_of
from rollback_guard.adapters.clock import SystemClock
from rollback_guard.adapters.probe import ProbeSource
from rollback_guard.secret import SecretText
from targets import answer, drips, resets, says, silent, target

DOCUMENT = json.dumps({"status": "ok", "n": 1, "db": {"up": True, "peers": [{"lag": 0.5}]}, "a.b": 1}).encode()

GOOD = {
    "any 2xx": (answer(204, b""), {}),
    "the expected status": (answer(503), {"status": (200, 503)}),
    "a redirect that is itself expected": (answer(302, headers="Location: http://elsewhere/\r\n"), {"status": (302,)}),
    "body matches": (answer(body=b"all systems go"), {"body": "systems? go$"}),
    "json at top level": (answer(body=DOCUMENT), {"json": (("status", "ok"),)}),
    "json at a dotted path": (answer(body=DOCUMENT), {"json": (("db.up", True), ("db.peers.0.lag", 0.5))}),
    "json key with a dot": (answer(body=DOCUMENT), {"json": (("a.b", 1.0),)}),
    "body larger than looked at": (answer(body=b"x" * 300_000), {"max_body_bytes": 1000}),
    "fast enough": (answer(), {"latency_below": GENEROUS}),
    "encoded body that is not looked at": (answer(body=b"zzz", headers="Content-Encoding: gzip\r\n"), {}),
    "no length, closed at the end": (b"HTTP/1.1 200 OK\r\n\r\nfine", {"body": "fine"}),
}

BAD = {
    "wrong status": (answer(503), {"status": (200,)}, "HTTP 503, expected 200"),
    "no 2xx": (answer(404), {}, "HTTP 404, expected 2xx"),
    "wrong body": (answer(body=b"degraded"), {"body": "^ok$"}, "body does not match '^ok$'"),
    "wrong json": (answer(body=DOCUMENT), {"json": (("status", "up"),)}, 'status is "ok", expected "up"'),
    "json true is not 1": (answer(body=DOCUMENT), {"json": (("db.up", 1),)}, "db.up is true, expected 1"),
    "json path missing": (answer(body=DOCUMENT), {"json": (("db.down", None),)}, "db.down is missing, expected null"),
    "json list too short": (answer(body=DOCUMENT), {"json": (("db.peers.7", 1),)}, "db.peers.7 is missing"),
    "no json": (answer(body=b"<html>"), {"json": (("status", "ok"),)}, "body is not JSON"),
    "json too deep": (answer(body=b"[" * 100_000), {"json": (("status", "ok"),)}, "body is not JSON"),
    "everything at once": (answer(500, b"x"), {"body": "ok"}, "HTTP 500, expected 2xx; body does not match 'ok'"),
    "too large": (answer(body=b"x" * 300_000), {"body": "y", "max_body_bytes": 1000}, "larger than 1000 bytes"),
    "encoded": (
        answer(body=gzip.compress(b"ok"), headers="Content-Encoding: gzip\r\n"),
        {"body": "ok"},
        "encoded as gzip",
    ),
    "no http": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", {}, "illegal status line"),
    "closed at once": (b"", {}, "without sending a response"),
    "body cut short": (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab", {}, "without sending complete"),
    "redirect without end": (answer(302, headers="Location: /again\r\n"), {}, "more than 5 redirects"),
    "redirect to another host": (
        answer(302, headers="Location: http://169.254.169.254/latest\r\n"),
        {},
        "redirected to another place: http://169.254.169.254",
    ),
    "redirect to another port": (
        answer(307, headers="Location: http://127.0.0.1:1/\r\n"),
        {},
        "redirected to another place: http://127.0.0.1:1",
    ),
    "redirect to a file": (answer(302, headers="Location: file:///etc/passwd\r\n"), {}, "another place: file://"),
    "redirect to nonsense": (answer(302, headers="Location: http://[::/\r\n"), {}, "location"),
    "no TLS where a certificate is expected": (answer(), {"tls_valid_for": timedelta(days=1)}, "without TLS"),
}


@pytest.mark.parametrize(("raw", "settings"), GOOD.values(), ids=GOOD)
async def test_a_good_answer_is_one(raw, settings):
    observation = await look_at(says(raw), **settings)
    assert value_of(observation) == 1.0, observation
    assert observation.detail.startswith("HTTP ")


@pytest.mark.parametrize(("raw", "settings", "detail"), BAD.values(), ids=BAD)
async def test_a_bad_answer_is_zero_and_says_why(raw, settings, detail):
    observation = await look_at(says(raw), **settings)
    assert value_of(observation) == 0.0
    assert detail in observation.detail


async def test_slower_than_latency_below_is_a_breach_although_it_answers():
    speak = says(b"", answer(), pause_s=0.15)
    observation = await look_at(speak, latency_below=timedelta(milliseconds=100))
    assert value_of(observation) == 0.0
    assert "expected below 100ms" in observation.detail


async def test_a_redirect_on_the_same_host_is_followed():
    async def speak(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(body=b"here") if b"GET /new" in head else answer(301, headers="Location: /new\r\n"))

    assert value_of(await look_at(speak, "/old", body="here")) == 1.0


async def test_a_refused_connection_is_a_breach():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        observation = await look(spec_of(f"http://127.0.0.1:{free.getsockname()[1]}/"))
    assert value_of(observation) == 0.0
    assert "refused" in observation.detail


async def test_a_reset_connection_is_a_breach():
    observation = await look_at(resets)
    assert value_of(observation) == 0.0
    assert "reset" in observation.detail


@pytest.mark.promise(13)
@pytest.mark.parametrize(
    "speak",
    [
        silent,
        drips(b"x", before=b"HTTP/1.1 200 OK\r\n\r\n"),
        drips(b"X-Drip: y\r\n", before=b"HTTP/1.1 200 OK\r\n"),
        drips(b"H"),
        drips(b"HTTP/1.1 100 Continue\r\n\r\n"),
        drips(b"1\r\nx\r\n", before=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ],
    ids=["silent", "dripping body", "dripping headers", "dripping status line", "endless 100s", "dripping chunks"],
)
async def test_no_target_can_hold_a_probe_over_its_time_out(speak):
    clock = SystemClock()
    begun = clock.elapsed()
    observation = await look_at(speak, timeout=TIMEOUT)
    assert clock.elapsed() - begun < TIMEOUT + timedelta(seconds=0.5)
    assert value_of(observation) == 0.0
    assert observation.detail


@pytest.mark.promise(13)
async def test_a_word_shortly_before_the_time_out_buys_no_second_one():
    timeout = timedelta(seconds=1)
    clock = SystemClock()
    begun = clock.elapsed()

    async def speak(reader, writer):
        await asyncio.sleep(0.8)
        writer.write(b"H")
        await reader.read()
        await reader.read()

    assert value_of(await look_at(speak, timeout=timeout)) == 0.0
    assert clock.elapsed() - begun < timeout + timedelta(seconds=0.5)


@pytest.mark.promise(13)
async def test_a_target_that_never_accepts_is_left_at_the_time_out():
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = []
        for _ in range(4):  # fill the queue, so that the next SYN gets no answer
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            waiting.append(filler)
        observation = await look(spec_of(f"http://127.0.0.1:{port}/", timeout=TIMEOUT))
        for filler in waiting:
            filler.close()
    assert value_of(observation) == 0.0
    assert observation.detail in {"no connection within 0.4s", "no complete answer within 0.4s"}


@pytest.mark.promise(14)
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_an_endless_body_costs_no_memory(encoding):
    block = b"10000\r\n" + b"\0" * 0x10000 + b"\r\n"
    head = f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: {encoding}\r\n\r\n".encode()
    await look_at(says(answer()))
    before = psutil.Process().memory_info().rss
    observation = await look_at(drips(block * 16, before=head, every_s=0), body="never", max_body_bytes=1 << 20)
    assert value_of(observation) == 0.0
    assert psutil.Process().memory_info().rss - before < 30 << 20


@pytest.mark.promise(12)
async def test_after_many_drips_and_resets_a_good_target_is_seen_good():
    counts = Counts()
    descriptors = psutil.Process().num_fds()
    async with (
        target(drips(b"x", before=b"HTTP/1.1 200 OK\r\n\r\n")) as dripping,
        target(resets) as resetting,
        target(says(answer())) as good,
    ):
        bad = [dripping, resetting] * 100
        specs = {
            f"probe/{index}": spec_of(f"http://127.0.0.1:{port}/", timeout=timedelta(milliseconds=200))
            for index, port in enumerate(bad)
        } | {"probe/good": spec_of(f"http://127.0.0.1:{good}/")}
        source = ProbeSource(specs, SystemClock(), counts)
        for _ in range(3):
            seen = await asyncio.gather(*(source.read(group_of(str(index)), SLOT, {}) for index in range(len(bad))))
            assert all(value_of(next(iter(one.values()))) == 0.0 for one in seen)
            assert value_of((await source.read(group_of("good"), SLOT, {}))["probe/good"]) == 1.0
        await source.close()
    assert counts.queries == {"ok": 603}
    assert psutil.Process().num_fds() <= descriptors + 2


@pytest.mark.promise(12)
async def test_cancelled_checks_leave_nothing_behind():
    async with target(silent) as quiet, target(says(answer())) as good:
        specs = {
            "probe/quiet": spec_of(f"http://127.0.0.1:{quiet}/"),
            "probe/good": spec_of(f"http://127.0.0.1:{good}/"),
        }
        source = ProbeSource(specs, SystemClock(), Counts())
        for index in range(200):
            task = asyncio.create_task(source.read(group_of("quiet"), SLOT, {}))
            await asyncio.sleep(0.0001 * (index % 30))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert value_of((await source.read(group_of("good"), SLOT, {}))["probe/good"]) == 1.0


async def test_a_slow_target_does_not_delay_the_others():
    async with target(silent) as slow, target(says(answer())) as quick:
        specs = {
            "probe/slow": spec_of(f"http://127.0.0.1:{slow}/"),
            "probe/quick": spec_of(f"http://127.0.0.1:{quick}/"),
        }
        source = ProbeSource(specs, SystemClock(), Counts())
        waiting = [asyncio.create_task(source.read(group_of("slow"), SLOT, {})) for _ in range(50)]
        assert value_of((await source.read(group_of("quick"), SLOT, {}))["probe/quick"]) == 1.0
        assert not any(task.done() for task in waiting)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_each_check_connects_anew():
    peers = set()

    async def speak(reader, writer):
        while await reader.readuntil(b"\r\n\r\n"):
            peers.add(writer.get_extra_info("peername"))
            writer.write(answer(headers="Connection: keep-alive\r\n"))

    async with target(speak) as port:
        source = ProbeSource({"probe/shop": spec_of(f"http://127.0.0.1:{port}/")}, SystemClock(), Counts())
        for _ in range(3):
            await source.read(group_of("shop"), SLOT, {})
    assert len(peers) == 3


async def test_the_past_can_not_be_probed():
    source = ProbeSource({}, SystemClock(), Counts())
    assert await source.read_range(group_of("shop"), [SLOT], {}) == {}


async def test_without_a_descriptor_the_probe_was_not_made():
    counts = Counts()
    async with target(says(answer())) as port:
        source = ProbeSource({"probe/shop": spec_of(f"http://127.0.0.1:{port}/")}, SystemClock(), counts)
        before = (await source.read(group_of("shop"), SLOT, {}))["probe/shop"]
        with no_descriptors():
            without = (await source.read(group_of("shop"), SLOT, {}))["probe/shop"]
        after = (await source.read(group_of("shop"), SLOT, {}))["probe/shop"]
    assert not_made(without) == "too many open files"
    assert value_of(before) == value_of(after) == 1.0
    assert counts.queries == {"ok": 2, "probe_not_made": 1}


@contextlib.contextmanager
def no_descriptors():
    """Take every file descriptor that this process may still have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(int(fd.name) for fd in Path("/proc/self/fd").iterdir()) + 1, hard))
    hogs = []
    try:
        with contextlib.suppress(OSError):
            while True:
                hogs.append(os.dup(1))
        yield
    finally:
        for hog in hogs:
            os.close(hog)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("url", ["http://no-such-name.invalid/", "http://bad..name/", "http://" + "x" * 300 + "/"])
async def test_a_name_that_does_not_resolve_says_nothing_of_the_target(url):
    not_made(await look(spec_of(url)))


@pytest.mark.parametrize("address", ["240.0.0.1", "[2001:db8::1]"])
async def test_without_a_route_the_probe_was_not_made(address, monkeypatch):
    error = OSError(101, os.strerror(101))
    monkeypatch.setattr(socket.socket, "connect", lambda *_: (_ for _ in ()).throw(error))
    assert "unreachable" in not_made(await look(spec_of(f"http://{address}/")))


async def test_a_silent_resolver_is_not_the_targets_fault_and_holds_up_no_other_probe(monkeypatch):
    release = threading.Event()
    real = socket.getaddrinfo

    def ask(host, *arguments, **settings):
        if host == "slow.test":
            release.wait(30)
        return real("127.0.0.1", *arguments, **settings)

    monkeypatch.setattr(socket, "getaddrinfo", ask)
    async with target(says(answer())) as port:
        slow = {f"probe/{index}": spec_of(f"http://slow.test:{port}/", timeout=TIMEOUT) for index in range(20)}
        quick = {"probe/quick": spec_of(f"http://quick.test:{port}/")}
        source = ProbeSource(slow | quick, SystemClock(), Counts())
        before = threading.active_count()
        waiting = [asyncio.create_task(source.read(group_of(str(index)), SLOT, {})) for index in range(20)]
        assert value_of((await source.read(group_of("quick"), SLOT, {}))["probe/quick"]) == 1.0
        seen = await asyncio.gather(*waiting)
        assert threading.active_count() <= before + 1
        release.set()
    assert {not_made(next(iter(one.values()))) for one in seen} == {"the resolver gave no answer for slow.test"}


async def test_a_second_address_is_tried_when_the_first_refuses(monkeypatch):
    rows = [(socket.AF_INET, 1, 6, "", (ip, 0)) for ip in ("127.0.0.2", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: rows)
    async with target(says(answer())) as port:
        assert value_of(await look(spec_of(f"http://twofold.test:{port}/"))) == 1.0


async def test_a_stalled_guard_does_not_blame_the_target():
    class Stalling(SystemClock):
        """A clock that finds an hour gone once a probe waits for its answer."""

        stalled = timedelta(0)

        def elapsed(self):
            return super().elapsed() + self.stalled

    clock = Stalling()

    async def speak(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        clock.stalled = timedelta(hours=1)
        writer.write(b"HTTP/1.1 200 OK\r\n")
        await reader.read()

    async with target(speak) as port:
        spec = spec_of(f"http://127.0.0.1:{port}/")
        observation = (await ProbeSource({spec.rule: spec}, clock, Counts()).read(group_of("shop"), SLOT, {}))[
            spec.rule
        ]
    assert "the guard itself was held up" in not_made(observation)


async def test_headers_go_out_with_their_secrets_and_identity_encoding(tmp_path):
    (tmp_path / "token").write_text("s3cr3t-tökén\n")
    heads = []

    async def speak(reader, writer):
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer())

    token = SecretText(f"Bearer ${{file:{tmp_path}/token}}")
    assert value_of(await look_at(speak, headers=(("Authorization", token),), method="HEAD")) == 1.0
    assert heads[0].startswith(b"HEAD / HTTP/1.1\r\n")
    assert "authorization: Bearer s3cr3t-tökén\r\n".encode() in heads[0]
    assert b"accept-encoding: identity\r\n" in heads[0]
    assert b"user-agent: rollback-guard/" in heads[0]


async def test_a_secret_that_can_not_be_read_means_that_the_probe_was_not_made():
    token = SecretText("${file:/no/such/file}")
    assert "/no/such/file" in not_made(await look_at(silent, headers=(("Authorization", token),)))


@pytest.mark.promise(36)
async def test_a_secret_never_stands_in_what_people_are_shown(tmp_path):
    (tmp_path / "broken").write_text("canary-0815\nX-Second: line")
    (tmp_path / "good").write_text("canary-4711")
    refused = await look_at(says(answer()), headers=(("X-Key", SecretText(f"${{file:{tmp_path}/broken}}")),))
    assert not_made(refused) == "the request can not be written as HTTP"
    echo = json.dumps({"status": "canary-4711"}).encode()
    key = SecretText(f"${{file:{tmp_path}/good}}")
    echoed = await look_at(says(answer(body=echo)), headers=(("X-Key", key),), json=(("status", "ok"),))
    assert echoed.detail == 'status is "<secret>", expected "ok"'


async def test_a_detail_is_short_and_holds_no_terminal_codes():
    body = json.dumps({"status": "\x1b[2J" + "x" * 5000}, ensure_ascii=False).encode().replace(b"\\u001b", b"\\u001b")
    observation = await look_at(says(answer(body=body)), json=(("status", "ok"),))
    assert "\x1b" not in observation.detail
    assert len(observation.detail) <= 300


async def test_proxies_of_the_environment_are_not_used(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert value_of(await look_at(says(answer()))) == 1.0
