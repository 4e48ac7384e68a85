"""Systemd hears how the daemon fares, over a real socket; and hears nothing more when evaluation is stuck."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from integration.test_daemon import Daemon
from loopback import free_port
from rollback_guard.adapters.clock import SystemClock
from rollback_guard.adapters.systemd import Systemd

SPAN_US = 40_000
WITHIN_S = 30
UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "rollback-guard.service"


class Manager:
    """The service manager's end of the socket."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind("\0" + name[1:] if name.startswith("@") else name)
        self._sock.settimeout(WITHIN_S)

    def environ(self, **more: str) -> dict[str, str]:
        return {"NOTIFY_SOCKET": self.name, **more}

    def next(self) -> list[str]:
        return self._sock.recv(4096).decode().split("\n")

    def waiting(self) -> list[list[str]]:
        """Return all that has come."""
        found = []
        self._sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(self.next())
        self._sock.settimeout(WITHIN_S)
        return found

    def is_silent_for(self, span_s: float) -> bool:
        self._sock.settimeout(span_s)
        try:
            self.next()
        except TimeoutError:
            return True
        finally:
            self._sock.settimeout(WITHIN_S)
        return False

    def close(self) -> None:
        self._sock.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "notify") if request.param == "path" else f"@rollback-guard-test/{os.getpid()}")
    yield made
    made.close()


async def test_the_course_of_a_service_is_told(manager):
    systemd = Systemd(manager.environ(), SystemClock())
    systemd.ready()
    assert manager.next() == ["READY=1", "STATUS=watching"]
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    systemd.reloading()
    reloading, monotonic, status = manager.next()
    assert (reloading, status) == ("RELOADING=1", "STATUS=loading the configuration")
    at = int(monotonic.removeprefix("MONOTONIC_USEC="))
    assert before - 1 <= at <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000 + 1
    systemd.ready()
    assert manager.next()[0] == "READY=1"
    systemd.stopping()
    assert manager.next() == ["STOPPING=1", "STATUS=stopping"]


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}])
async def test_without_a_socket_that_is_known_nothing_is_sent_and_nothing_is_watched(environ):
    systemd = Systemd({**environ, "WATCHDOG_USEC": "1000"}, SystemClock())
    systemd.ready()
    systemd.reloading()
    systemd.stopping()
    await asyncio.wait_for(systemd.watch(lambda: True), 10)


@pytest.mark.parametrize(
    "environ",
    [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}],
)
async def test_no_ping_is_sent_that_nobody_wants_of_this_process(manager, environ):
    await asyncio.wait_for(Systemd(manager.environ(**environ), SystemClock()).watch(lambda: True), 10)
    assert manager.waiting() == []


class Sleepless:
    """A clock on which every sleep is noted and over at once."""

    def __init__(self) -> None:
        self.slept: list[timedelta] = []
        self.now, self.elapsed = SystemClock().now, SystemClock().elapsed

    async def sleep(self, span: timedelta) -> None:
        self.slept.append(span)
        if len(self.slept) > 3:
            await asyncio.Event().wait()
        await asyncio.sleep(0)


async def test_pings_come_at_half_of_the_time_that_systemd_allows(manager):
    clock = Sleepless()
    environ = manager.environ(WATCHDOG_USEC="30000000", WATCHDOG_PID=str(os.getpid()))
    task = asyncio.create_task(Systemd(environ, clock).watch(lambda: True))
    while len(clock.slept) < 4:  # noqa: ASYNC110  nobody else tells
        await asyncio.sleep(0)
    task.cancel()
    assert set(clock.slept) == {timedelta(seconds=15)}
    assert manager.waiting() == [["WATCHDOG=1"]] * 4


@pytest.mark.promise(16)
async def test_the_pinging_stops_while_evaluation_is_stuck(manager):
    healthy, asked = True, 0

    def is_healthy() -> bool:
        nonlocal asked
        asked += 1
        return healthy

    async def asked_again(times: int) -> None:
        until = asked + times
        async with asyncio.timeout(WITHIN_S):
            while asked < until:  # noqa: ASYNC110  nobody else tells
                await asyncio.sleep(0.002)

    environ = manager.environ(WATCHDOG_USEC=str(SPAN_US))
    with capture_logs() as logs:
        task = asyncio.create_task(Systemd(environ, SystemClock()).watch(is_healthy))
        await asked_again(3)
        assert manager.waiting()[:2] == [["WATCHDOG=1"]] * 2
        healthy = False
        await asked_again(2)
        told = manager.waiting()
        assert told[-1] == ["STATUS=evaluation is stuck: waiting to be restarted"]
        await asked_again(5)
        assert manager.waiting() == []
        healthy = True
        await asked_again(2)
        assert manager.waiting()[0] == ["WATCHDOG=1", "STATUS=watching"]
        task.cancel()
    assert [line["event"] for line in logs] == ["evaluation_stuck"]


@pytest.mark.promise(16)
async def test_the_pinging_stops_while_the_event_loop_is_blocked(manager):
    environ = manager.environ(WATCHDOG_USEC=str(SPAN_US))
    task = asyncio.create_task(Systemd(environ, SystemClock()).watch(lambda: True))
    await asyncio.to_thread(manager.next)
    heard_nothing, found = threading.Event(), []

    def listen() -> None:
        manager.waiting()
        found.append(manager.is_silent_for(10 * SPAN_US / 1_000_000))
        heard_nothing.set()

    threading.Thread(target=listen).start()
    assert heard_nothing.wait(WITHIN_S)  # this blocks the event loop
    assert found == [True]
    assert await asyncio.to_thread(manager.next) == ["WATCHDOG=1"]
    task.cancel()


async def test_a_manager_that_is_gone_is_logged_once_and_disturbs_nobody(tmp_path):
    systemd = Systemd({"NOTIFY_SOCKET": str(tmp_path / "nobody")}, SystemClock())
    with capture_logs() as logs:
        systemd.ready()
        systemd.stopping()
    assert [line["event"] for line in logs] == ["systemd_not_reached"]


async def test_a_manager_that_does_not_read_holds_nobody_up(manager):
    systemd = Systemd(manager.environ(), SystemClock())
    with capture_logs() as logs:
        for _ in range(5000):
            systemd.ready()
    assert [line["event"] for line in logs] == ["systemd_not_reached"]
    assert manager.waiting()
    systemd.stopping()
    assert manager.next() == ["STOPPING=1", "STATUS=stopping"]


def test_the_real_daemon_tells_its_course_and_pings(tmp_path, monkeypatch):
    manager = Manager(str(tmp_path / "notify"))
    for name, value in manager.environ(WATCHDOG_USEC="400000").items():
        monkeypatch.setenv(name, value)
    guard = Daemon(tmp_path / "guard", f"http://127.0.0.1:{free_port()}")  # blind, and alive all the same

    def heard(line: str) -> bool:
        return any(line in manager.next() for _ in range(100))

    with guard:
        assert heard("READY=1")
        assert heard("WATCHDOG=1")
        guard.process.send_signal(signal.SIGHUP)
        assert heard("RELOADING=1")
        assert heard("READY=1")
        assert heard("WATCHDOG=1")
        guard.process.send_signal(signal.SIGSTOP)
        manager.waiting()
        assert manager.is_silent_for(1)
        guard.process.send_signal(signal.SIGCONT)
        assert heard("WATCHDOG=1")
        guard.process.terminate()
        assert heard("STOPPING=1")
        guard.process.wait(30)
    manager.close()


needs_analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")


def analyze(*args: str | Path) -> str:
    done = subprocess.run(["systemd-analyze", *args], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_the_unit_lets_the_watchdog_bite():
    text = UNIT.read_text()
    for line in ("Type=notify", "WatchdogSec=30", "Restart=always", "ExecReload=/bin/kill -HUP $MAINPID"):
        assert f"\n{line}\n" in text


@needs_analyze
def test_systemd_understands_the_unit(tmp_path):
    unit = tmp_path / UNIT.name
    unit.write_text(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text()))  # it is not installed here
    assert analyze("verify", unit) == ""


@needs_analyze
@pytest.mark.promise(44)
def test_the_hardening_of_the_unit_does_not_regress():
    last = analyze("security", "--offline=true", UNIT).strip().splitlines()[-1]
    (exposure,) = re.findall(r"exposure level for \S+: ([\d.]+)", last)
    assert float(exposure) <= 1.5
