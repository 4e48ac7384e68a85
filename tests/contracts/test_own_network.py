"""A guard that lost its own network does not call every service down."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Self
from urllib.parse import urlsplit

import pytest

from contracts.prometheus_server import lost_syn
from loopback import free_port
from probing import SLOT, Counts, group_of, look_at, not_made, spec_of, value_of
from rollback_guard.adapters.clock import SystemClock
from rollback_guard.adapters.probe import ProbeSource, anchor
from rollback_guard.adapters.probe.anchor import Anchor, OwnNetwork
from rollback_guard.app.parts import anchors_of
from rollback_guard.core.observation import Failure, Family, Observation, Reading, Unknown, family
from rollback_guard.wire import Resolver
from targets import answer, says, silent, target

SHORT = timedelta(milliseconds=200)


@pytest.fixture
def hasty(monkeypatch):
    """Wait a moment for anchors instead of a second."""
    monkeypatch.setattr(anchor, "PATIENCE", SHORT)


@contextlib.contextmanager
def silence() -> Iterator[Anchor]:
    """Yield an address that gives no sign of life."""
    with lost_syn() as url:
        place = urlsplit(url)
        yield str(place.hostname), int(place.port or 0)


def refusing() -> Anchor:
    return "127.0.0.1", free_port()


async def look(url: str, *anchors: Anchor, counts: Counts | None = None) -> Observation:
    spec = spec_of(url, timeout=SHORT)
    source = ProbeSource({spec.rule: spec}, SystemClock(), counts or Counts(), anchors=anchors)
    try:
        return (await source.read(group_of("shop"), SLOT, {}))[spec.rule]
    finally:
        await source.close()


def is_own(observation: Observation) -> bool:
    return isinstance(observation.measured, Failure) and observation.measured.reason is Unknown.OWN_NETWORK


def raises(number: int):
    def connect(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return connect


def test_a_missing_network_of_our_own_is_blindness_and_not_a_lost_slot():
    reading = Reading(group="g", slot=SLOT, observations={"r": Observation(measured=Failure(Unknown.OWN_NETWORK))})
    assert family(Unknown.OWN_NETWORK) is Family.BLIND
    assert not reading.is_lost


async def test_silence_is_held_against_the_target_only_while_an_anchor_gives_a_sign_of_life(hasty):
    async with target(silent) as port:
        accepting = ("127.0.0.1", port)
        with silence() as (host, dead), silence() as other:
            url = f"http://{host}:{dead}/"
            counts = Counts()
            for anchors, own in (
                ((), False),
                ((other,), True),
                ((other, (host, dead)), True),
                ((refusing(),), False),
                ((accepting,), False),
                ((other, accepting), False),
                ((other, ("localhost", port)), False),
                ((("no-such-name.invalid", 53),), True),
            ):
                observation = await look(url, *anchors, counts=counts)
                assert is_own(observation) is own, anchors
                if own:
                    assert observation.measured.detail == "no connection within 0.2s; no anchor answers either"
                else:
                    assert value_of(observation) == 0.0
                    assert observation.detail == "no connection within 0.2s"
    assert counts.queries == {"ok": 5, "own_network": 3}


async def test_what_came_from_the_other_side_is_believed_whatever_the_anchors_say():
    with silence() as dead:
        for speak, value in (
            (says(answer()), 1.0),
            (says(answer(500)), 0.0),
            (silent, 0.0),
        ):
            async with target(speak) as port:
                assert value_of(await look(f"http://127.0.0.1:{port}/", dead)) == value
        assert value_of(await look("http://{}:{}/".format(*refusing()), dead)) == 0.0


async def test_a_handshake_that_is_not_answered_came_after_a_connection():
    with silence() as dead:
        async with target(silent) as port:
            observation = await look(f"https://127.0.0.1:{port}/", dead)
    assert value_of(observation) == 0.0


@pytest.mark.parametrize(("number", "is_targets"), [(113, True), (101, False), (100, False)])
async def test_a_host_that_cannot_be_reached_is_gone_where_the_network_is_there(number, is_targets, monkeypatch, hasty):
    """EHOSTUNREACH comes from the last router on the way; no route and no network are our own."""
    connect = socket.socket.connect

    def route(sock: socket.socket, address: tuple[str, int]) -> None:
        raises(number)() if address[0] == "192.0.2.1" else connect(sock, address)

    monkeypatch.setattr(socket.socket, "connect", route)
    with silence() as dead:
        assert (
            "unreach" in (words := not_made(await look("http://192.0.2.1/"))) or "down" in words or "no route" in words
        )
        assert is_own(await look("http://192.0.2.1/", dead))
        alive = await look("http://192.0.2.1/", refusing())
    if is_targets:
        assert value_of(alive) == 0.0
    else:
        not_made(alive)


async def test_a_name_that_is_not_resolved_is_explained_by_a_missing_network(monkeypatch, hasty):
    with silence() as dead:
        assert is_own(await look("http://no-such-name.invalid/", dead))
        not_made(await look("http://no-such-name.invalid/", refusing()))


async def test_a_resolver_that_is_silent_is_explained_by_a_missing_network(monkeypatch, hasty):
    release, real = threading.Event(), socket.getaddrinfo

    def look_up(host, *args, **options):
        if host == "slow.invalid":
            release.wait(30)
        return real(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    try:
        with silence() as dead:
            assert is_own(await look("http://slow.invalid/", dead))
    finally:
        release.set()


async def test_without_trouble_no_anchor_is_asked():
    asked = []

    async def note(reader, writer) -> None:
        asked.append(writer.get_extra_info("peername"))

    async with target(note) as port, target(says(answer(503))) as sick:
        await look(f"http://127.0.0.1:{sick}/", ("127.0.0.1", port))
        await look("http://{}:{}/".format(*refusing()), ("127.0.0.1", port))
        assert value_of(await look_at(says(answer()))) == 1.0
    assert asked == []


class Turned:
    """The steady clock of a test; waiting is real."""

    def __init__(self) -> None:
        self.at = timedelta(0)
        self.now = SystemClock().now
        self.sleep = SystemClock().sleep

    def elapsed(self) -> timedelta:
        return self.at


async def test_anchors_are_asked_once_a_second_however_many_probes_fail():
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    listener.setblocking(False)

    def asked() -> int:
        count = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                listener.accept()[0].close()
                count += 1
        return count

    clock = Turned()
    with listener, silence() as (host, port):
        spec = spec_of(f"http://{host}:{port}/", timeout=SHORT)
        specs = {f"probe/{n}": replace(spec, rule=f"probe/{n}") for n in range(50)}
        source = ProbeSource(specs, clock, Counts(), anchors=[listener.getsockname()])

        async def all_of_them() -> None:
            found = await asyncio.gather(*(source.read(group_of(str(n)), SLOT, {}) for n in range(50)))
            assert {value_of(each) for observations in found for each in observations.values()} == {0.0}

        await all_of_them()
        assert asked() == 1
        clock.at += timedelta(milliseconds=999)
        await all_of_them()
        assert asked() == 0
        clock.at += timedelta(milliseconds=2)
        await all_of_them()
        assert asked() == 1
        await source.close()


async def test_silent_anchors_cost_a_second_and_who_gives_up_waiting_takes_the_answer_from_nobody():
    with silence() as one, silence() as two:
        network = OwnNetwork([one, two], SystemClock(), Resolver())
        begun = time.monotonic()
        impatient, patient = asyncio.ensure_future(network.is_there()), asyncio.ensure_future(network.is_there())
        await asyncio.sleep(0)
        impatient.cancel()
        assert await patient is False
        assert 0.9 < time.monotonic() - begun < 5
        assert impatient.cancelled()
        await network.close()


async def test_closing_ends_a_question_that_is_under_way():
    with silence() as dead:
        network = OwnNetwork([dead], SystemClock(), Resolver())
        waiting = asyncio.ensure_future(network.is_there())
        await asyncio.sleep(0)
        await network.close()
        await asyncio.wait({waiting})
        assert waiting.cancelled()
        assert len(asyncio.all_tasks()) == 1


# From here on: real network namespaces.

TARGET, ANCHOR = "203.0.113.10", "203.0.113.53"
SERVE = f"""
import socket, time
kept = [socket.create_server(place) for place in (("{TARGET}", 80), ("{ANCHOR}", 53))]
print("serving", flush=True)
time.sleep(600)
"""


def ip(*args: str) -> None:
    subprocess.run(["ip", *args], check=True, capture_output=True, timeout=20)


def can_make_namespaces() -> bool:
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False, timeout=20).returncode == 0


class TwoNetworks:
    """A namespace for the guard, and one for the world, which drops what is sent to anybody else."""

    def __init__(self) -> None:
        self.guard, self.world = (f"rg-{name}-{os.getpid()}" for name in ("guard", "world"))
        self._children: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            for name in (self.guard, self.world):
                ip("netns", "add", name)
                ip("-n", name, "link", "set", "lo", "up")
            ip(
                "-n",
                self.guard,
                "link",
                "add",
                "uplink",
                "type",
                "veth",
                "peer",
                "name",
                "downlink",
                "netns",
                self.world,
            )
            ip("-n", self.guard, "addr", "add", "10.99.0.2/24", "dev", "uplink")
            ip("-n", self.world, "addr", "add", "10.99.0.1/24", "dev", "downlink")
            ip("-n", self.guard, "link", "set", "uplink", "up")
            ip("-n", self.world, "link", "set", "downlink", "up")
            ip("-n", self.guard, "route", "add", "default", "via", "10.99.0.1")
            # What it does not know it drops; a router would say that it knows no way.
            ip("netns", "exec", self.world, "sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward")
            self.appear(TARGET)
            self.appear(ANCHOR)
            undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for child in self._children:
            child.kill()
            child.communicate()
        for name in (self.guard, self.world):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True, timeout=20)

    def appear(self, address: str) -> None:
        ip("-n", self.world, "addr", "add", f"{address}/32", "dev", "lo")

    def vanish(self, address: str) -> None:
        ip("-n", self.world, "addr", "del", f"{address}/32", "dev", "lo")

    def run(self, namespace: str, *args: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            ["ip", "netns", "exec", namespace, sys.executable, *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        )
        self._children.append(child)
        return child


def ask(prober: subprocess.Popen[str], url: str) -> tuple[float | str, str]:
    assert prober.stdin is not None
    assert prober.stdout is not None
    prober.stdin.write(url + "\n")
    prober.stdin.flush()
    value, detail = json.loads(prober.stdout.readline())
    return value, detail


@pytest.mark.promise(10)
@pytest.mark.skipif(not can_make_namespaces(), reason="needs to make network namespaces")
def test_in_a_real_network_a_dead_target_is_a_breach_and_a_cut_uplink_is_unknown():
    url = f"http://{TARGET}/"
    with TwoNetworks() as networks:
        serving = networks.run(networks.world, "-c", SERVE)
        assert serving.stdout is not None
        assert serving.stdout.readline() == "serving\n"
        helper = str(Path(__file__).with_name("network_prober.py"))
        guarded = networks.run(networks.guard, helper, f"{ANCHOR}:53")
        unguarded = networks.run(networks.guard, helper)

        assert ask(guarded, url) == (0.0, "no complete answer within 0.7s")  # it accepts and keeps silent
        networks.vanish(TARGET)
        assert ask(guarded, url) == (0.0, "no connection within 0.7s")
        networks.vanish(ANCHOR)
        assert ask(guarded, url) == ("own_network", "no connection within 0.7s; no anchor answers either")
        assert ask(unguarded, url) == (0.0, "no connection within 0.7s")
        networks.appear(ANCHOR)
        assert ask(guarded, url) == (0.0, "no connection within 0.7s")
        networks.appear(TARGET)
        ip("-n", networks.guard, "link", "set", "uplink", "down")
        assert ask(guarded, url)[0] == "own_network"
        assert ask(unguarded, url)[0] == "probe_not_made"
        ip("-n", networks.guard, "link", "set", "uplink", "up")
        ip("-n", networks.guard, "route", "add", "default", "via", "10.99.0.1")
        assert ask(guarded, url) == (0.0, "no complete answer within 0.7s")


def a_setup(*urls: str, anchors: tuple[Anchor, ...] = ()) -> SimpleNamespace:
    return SimpleNamespace(
        anchors=anchors, endpoints={str(number): SimpleNamespace(url=url) for number, url in enumerate(urls)}
    )


@pytest.mark.parametrize(
    ("setup", "anchors"),
    [
        (a_setup("http://prometheus:9090", "https://thanos/x"), (("prometheus", 9090), ("thanos", 443))),
        (a_setup("http://127.0.0.1:9090"), ()),
        (a_setup("http://localhost:9090", "http://[::1]:9090"), ()),
        (a_setup("http://127.0.0.1:9090", "http://10.0.0.5:9090", "http://10.0.0.5:9090/x"), (("10.0.0.5", 9090),)),
        (a_setup("http://prometheus:9090", anchors=(("127.0.0.1", 53),)), (("127.0.0.1", 53),)),
        (a_setup(), ()),
    ],
)
def test_the_default_anchors_are_the_data_sources_that_only_the_network_leads_to(setup, anchors):
    assert anchors_of(setup) == anchors


async def test_where_nothing_can_tell_the_silence_of_a_target_is_a_breach():
    with silence() as (host, port):
        assert value_of(await look(f"http://{host}:{port}/", *anchors_of(a_setup("http://127.0.0.1:9090")))) == 0
