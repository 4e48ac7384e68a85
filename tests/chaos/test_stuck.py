"""A daemon whose evaluation is stuck is a daemon that watches nothing: systemd and Kubernetes hear of it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from chaos import figures
from chaos.process import Guard, wait_for
from chaos.target import probe, target, write_commands

SHRUNK = {"rollback_guard.app.chores.SILENCE_TOLERATED": 1}


class Manager:
    """The service manager's end: counts the pings of the watchdog."""

    def __init__(self) -> None:
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind("")  # a free abstract name
        self.environ = {"NOTIFY_SOCKET": "@" + self._sock.getsockname()[1:].decode(), "WATCHDOG_USEC": "400000"}
        self.pings = 0
        self.last_at = time.monotonic()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while said := self._sock.recv(4096):
            if b"WATCHDOG=1" in said.split(b"\n"):
                self.pings += 1
                self.last_at = time.monotonic()

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", self._sock.getsockname())
        self._thread.join(10)
        self._sock.close()


@pytest.fixture
def manager() -> Iterator[Manager]:
    made = Manager()
    yield made
    made.close()


@pytest.mark.promise(16)
@pytest.mark.parametrize(
    ("how", "healthy"), [("stuck", 503), ("blocked", 0)], ids=["evaluations never end", "the event loop stands still"]
)
def test_while_evaluation_is_stuck_no_watchdog_is_fed_and_the_health_check_fails(how, healthy, tmp_path, manager):
    with target() as services, Guard(tmp_path) as guard:
        write_commands(tmp_path)
        services.say("shop", up=True)
        guard.configure(
            services.action("mend", cures="shop"),
            {
                "probes": [probe(services, "shop", interval="500ms", timeout="450ms")],
                "guards": [
                    {
                        "guard": "shop",
                        "select": {"service": "shop"},
                        "playbook": [{"action": "mend", "verify": {"within": "1m", "stable_for": "1s"}}],
                    }
                ],
            },
        )
        guard.start(points={"set": SHRUNK, how: str(tmp_path / how)}, **manager.environ)
        guard.wait_ready()
        wait_for(lambda: manager.pings > 3, "pings", log=guard.log)
        assert guard.get("/-/healthy")[0] == 200

        (tmp_path / how).touch()
        services.say("shop", up=False)
        wait_for(
            lambda: guard.get("/-/healthy", timeout_s=0.5)[0] == healthy, "the health check to fail", log=guard.log
        )
        wait_for(lambda: time.monotonic() - manager.last_at > 1, "the pings to stop", log=guard.log)
        pings = manager.pings
        assert guard.get("/-/healthy", timeout_s=0.5)[0] == healthy
        if how == "stuck":
            beat = guard.metric("rollback_guard_heartbeat_timestamp_seconds")
            wait_for(lambda: guard.events("evaluation_stuck"), "the log to say so", log=guard.log)
            assert guard.metric("rollback_guard_heartbeat_timestamp_seconds") == beat, "the heartbeat is stale"
        assert manager.pings == pings
        assert services.steps() == []

        # What a supervisor does then.
        (tmp_path / how).unlink()
        guard.kill()
        guard.start(**manager.environ)
        wait_for(lambda: manager.pings > pings, "pings again", log=guard.log)
        wait_for(lambda: services.steps() == ["mend"], "what was missed meanwhile", log=guard.log)
        guard.stop()
        figures.add(faults_injected=1)
