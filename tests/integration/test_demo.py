"""The demo, as people run it: a real shop, a real Prometheus, the real guard."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from rollback_guard.demo.failure import DemoFailed
from rollback_guard.demo.stage import GUARD_PORT, PROMETHEUS_PORT, SHOP_PORT, Stage, find_prometheus

ROOT = Path(__file__).parents[2]
PROMISED_S = 90
GIVE_UP_S = 150


class Demo:
    """A running demo whose directory is known, so that what it leaves behind can be seen."""

    def __init__(self, tmp_path, root=ROOT, *arguments):
        self.temp = tmp_path / "temp"
        self.temp.mkdir()
        self.cwd = tmp_path / "cwd"
        self.cwd.mkdir()
        self.lines = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rollback_guard.cli", "demo", "--directory", str(root), *arguments],
            cwd=self.cwd,
            env={**os.environ, "TMPDIR": str(self.temp)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._watchdog = threading.Timer(GIVE_UP_S, self.process.kill)
        self._watchdog.start()

    def read_until(self, text):
        for line in self.process.stdout:
            self.lines.append(line)
            if text in line:
                return
        pytest.fail(f"the demo ended before it said {text!r}:\n{self.said}")

    def finish(self):
        self.lines += self.process.stdout
        return self.process.wait()

    @property
    def said(self):
        return "".join(self.lines)

    @property
    def left_processes(self):
        mine = str(self.temp)
        left = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("SHOP_HOME", "").startswith(mine):
                    left.append(process.cmdline())
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return left

    @property
    def left_files(self):
        return list(self.temp.iterdir())

    def close(self):
        self._watchdog.cancel()
        self.process.kill()
        self.process.stdout.close()
        self.process.wait()
        for process in psutil.process_iter():
            try:
                if process.environ().get("SHOP_HOME", "").startswith(str(self.temp)):
                    process.kill()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue


@contextmanager
def running(*arguments):
    demo = Demo(*arguments)
    try:
        yield demo
    finally:
        demo.close()


@contextmanager
def occupied(*ports):
    with ExitStack() as stack:
        for port in ports:
            taker = stack.enter_context(socket.socket())
            # A connection of an earlier demo may linger; that does not make the port taken.
            taker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                taker.bind(("127.0.0.1", port))
                taker.listen()
            except OSError:
                pass  # somebody else holds it: just as taken
        yield


def assert_told_in_order(said, *patterns):
    place = 0
    for pattern in patterns:
        found = re.compile(pattern).search(said, place)
        assert found, f"{pattern!r} is missing, or comes too early, in:\n{said}"
        place = found.end()


def test_the_demo_heals_the_shop_twice_within_its_time_and_leaves_nothing_behind(tmp_path):
    began = time.monotonic()
    with running(tmp_path) as demo:
        code = demo.finish()
        took = time.monotonic() - began
        assert code == 0, demo.said
        assert_told_in_order(
            demo.said,
            "act 1 of 2",
            "35% of the customers bring a coupon",
            r"rule   CheckoutErrorRate pending: \d+\.\d% > 1\.0%",
            r"CheckoutErrorRate pending \d s of 4 s .* next: if it goes on, CheckoutErrorRate fires in",
            "decides act: breach → disable-new-checkout",
            "disable-new-checkout succeeded",
            "rule   CheckoutErrorRate passes again",
            "decides recovered: verified",
            r"checked at the shop itself: flag off, release v2, \d+ orders, none failed",
            "act 2 of 2",
            "40% of the customers pay in yen",
            "decides act: breach → disable-new-checkout",
            "next: has disable-new-checkout helped",
            "decides act: not_recovered → rollback-shop",
            "rollback-shop succeeded",
            "decides recovered: verified",
            r"checked at the shop itself: flag off, release v1, \d+ orders, none failed",
            "rollback-guard explain shop-",
            "Recovered",
            "docs/tutorial.md",
        )
        assert "\x1b" not in demo.said
        assert took < PROMISED_S
        assert demo.left_processes == []
        assert demo.left_files == []
        assert list(demo.cwd.iterdir()) == []


def test_where_ports_are_taken_it_uses_others_and_ctrl_c_cleans_up(tmp_path):
    with occupied(GUARD_PORT, PROMETHEUS_PORT, SHOP_PORT), running(tmp_path) as demo:
        demo.read_until("next: nothing: everything passes")
        assert len(demo.left_processes) == 4, "the shop, its customers, Prometheus, the guard"
        for port in (GUARD_PORT, PROMETHEUS_PORT, SHOP_PORT):
            assert f"port {port} is taken" in demo.said
        demo.process.send_signal(signal.SIGINT)
        assert demo.finish() == 130
        assert "everything is cleaned up" in demo.said
        assert demo.left_processes == []
        assert demo.left_files == []


def test_sigterm_cleans_up_too(tmp_path):
    with running(tmp_path) as demo:
        demo.read_until("rollback-guard run --config guard.toml")
        demo.process.send_signal(signal.SIGTERM)
        assert demo.finish() == 128 + signal.SIGTERM
        assert demo.left_processes == []
        assert demo.left_files == []


def test_a_guard_that_does_not_act_makes_the_demo_fail_and_keeps_its_logs(tmp_path):
    root = checkout(tmp_path)
    guard = root / "guard.toml"
    guard.write_text(guard.read_text().replace('mode  = "enforce"', 'mode  = "dry-run"'))
    with running(tmp_path, root) as demo:
        code = demo.finish()
        assert code == 1, demo.said
        assert "decides hold: dry_run" in demo.said
        assert "The demo failed: waited" in demo.said
        assert "until the guard turns the flag off" in demo.said
        assert demo.left_processes == []
        assert demo.left_files == []
        assert {path.name for path in demo.cwd.iterdir()} == {
            "demo-shop.log",
            "demo-traffic.log",
            "demo-prometheus.log",
            "demo-guard.log",
        }


def test_a_guard_that_cannot_start_makes_the_demo_fail_with_its_words(tmp_path):
    root = checkout(tmp_path)
    guard = root / "guard.toml"
    guard.write_text(guard.read_text().replace("[server]", "[serverr]"))
    with running(tmp_path, root) as demo:
        assert demo.finish() == 1
        assert "guard ended with code 4" in demo.said
        assert "unknown key `serverr`" in demo.said
        assert demo.left_processes == []


def test_of_two_demos_at_once_the_second_leaves_the_usual_ports_to_the_first():
    with Stage(root=ROOT) as first, Stage(root=ROOT) as second:
        ports = {first.guard_port, first.prometheus_port, first.shop_port}
        others = {second.guard_port, second.prometheus_port, second.shop_port}
        assert len(ports | others) == 6
        assert not others & {GUARD_PORT, PROMETHEUS_PORT, SHOP_PORT}


def test_outside_of_a_checkout_it_says_so(tmp_path):
    with running(tmp_path, tmp_path) as demo:
        assert demo.finish() == 2
        assert "is no checkout of rollback-guard: guard.toml is missing" in demo.said


def test_without_prometheus_it_says_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("rollback_guard.adapters.ephemeral.binary.PLACES", ("/nowhere",))
    with pytest.raises(DemoFailed) as failure:
        find_prometheus()
    assert failure.value.code == 3
    assert "apt-get install --no-install-recommends prometheus" in failure.value.advice


def test_the_guard_runs_on_the_repositorys_own_file_where_the_ports_are_free(monkeypatch):
    monkeypatch.setattr("rollback_guard.demo.port.choose", lambda preferred, claimed: preferred)
    with Stage(root=ROOT) as stage:
        home = stage.home
        assert stage.guard_arguments() == ["run", "--config", f"{ROOT}/guard.toml", "--state", f"{home}/guard.db"]
    assert not home.exists()


def checkout(tmp_path):
    root = tmp_path / "checkout"
    root.mkdir()
    shutil.copy(ROOT / "guard.toml", root)
    for part in ("rules", "deploy"):
        shutil.copytree(ROOT / part, root / part)
    return root
