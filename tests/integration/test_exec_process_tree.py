"""A command's time is over: nothing of it is left, wherever its processes went."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rollback_guard.adapters.actions import registry, tree
from rollback_guard.ports import Call, Goal, PermanentError, UnknownOutcome

CALL = Call(key=f"tree-{os.getpid()}", context={"guard": {"name": "checkout"}})

STUBBORN = """\
import os, signal, sys, time

def stay(name, ready):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with open(ready, "a") as file:
        file.write(f"{name} {os.getpid()}\\n")
    while True:
        time.sleep(60)

ready = sys.argv[1]
if os.fork() == 0:                      # an ordinary child
    stay("child", ready)
if os.fork() == 0:                      # in a session of its own
    os.setsid()
    stay("session", ready)
if os.fork() == 0:                      # a daemon: session of its own, and adopted by init
    os.setsid()
    if os.fork() == 0:
        stay("daemon", ready)
    os._exit(0)
if os.fork() == 0:                      # with an empty environment
    os.execve(sys.executable, [sys.executable, "-c", STAY.replace("READY", ready)], {})
sys.stdout.write("x" * 100_000)
sys.stdout.flush()
stay("leader", ready)
"""

STAY = """\
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
with open("READY", "a") as file:
    file.write(f"bare {os.getpid()}\\n")
while True:
    time.sleep(60)
"""


@pytest.fixture
def stubborn(tmp_path):
    script = tmp_path / "stubborn.py"
    script.write_text(f"STAY = {STAY!r}\n{STUBBORN}")
    return script


def action(directory, command, **table):
    settings = registry.settings_types()["exec"].model_validate({"type": "exec", "command": command, **table})
    return registry.build("rollback", settings, clock=None, telemetry=None, directory=directory)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def started(ready):
    return dict(line.split() for line in ready.read_text().splitlines()) if ready.exists() else {}


async def until(condition, within=30.0):
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        await asyncio.sleep(0.02)


@pytest.fixture(autouse=True)
def nothing_is_left_behind():
    before = set(os.listdir("/proc/self/fd"))
    yield
    for process in tree.members(CALL.key, None):
        os.kill(process.pid, signal.SIGKILL)
    assert set(os.listdir("/proc/self/fd")) <= before | {str(max(map(int, before)) + 1)}


@pytest.mark.promise(31)
async def test_at_the_time_out_every_process_of_the_tree_is_gone_and_the_output_is_bounded(stubborn, tmp_path):
    ready = tmp_path / "ready"
    rollback = action(tmp_path, [sys.executable, str(stubborn), str(ready)], timeout="4s")
    begun = time.monotonic()

    with pytest.raises(UnknownOutcome) as caught:
        await rollback.execute(CALL)

    pids = started(ready)
    assert set(pids) == {"child", "session", "daemon", "bare", "leader"}
    assert [name for name, pid in pids.items() if alive(pid)] == []
    assert time.monotonic() - begun < 4 + 3 + 15
    assert len(str(caught.value)) < 2000


@pytest.mark.promise(31)
async def test_a_cancelled_command_takes_its_whole_tree_with_it(stubborn, tmp_path):
    ready = tmp_path / "ready"
    rollback = action(tmp_path, [sys.executable, str(stubborn), str(ready)], timeout="10m")
    task = asyncio.create_task(rollback.execute(CALL))
    await until(lambda: len(started(ready)) == 5)

    task.cancel()
    await asyncio.sleep(0.2)
    task.cancel()  # an impatient second time does not leave half of it
    with pytest.raises(asyncio.CancelledError):
        await task

    assert [name for name, pid in started(ready).items() if alive(pid)] == []


@pytest.mark.promise(31)
async def test_a_sweep_ends_what_a_killed_guard_left_running(stubborn, tmp_path):
    ready = tmp_path / "ready"
    orphan = subprocess.Popen(
        [sys.executable, str(stubborn), str(ready)],
        env={"ROLLBACK_GUARD_KEY": CALL.key},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    other = subprocess.Popen(["sleep", "600"], env={"ROLLBACK_GUARD_KEY": f"{CALL.key}0"})
    await until(lambda: len(started(ready)) == 5)
    try:
        await action(tmp_path, ["true"]).sweep(CALL)

        assert [name for name, pid in started(ready).items() if alive(pid)] == []
        assert other.poll() is None, "a process of another run was ended"
    finally:
        other.kill()
        other.wait()
        orphan.wait(10)


async def test_a_command_that_ends_on_sigterm_is_not_waited_for_any_longer(tmp_path):
    begun = time.monotonic()

    with pytest.raises(UnknownOutcome, match="no end within 300ms"):
        await action(tmp_path, ["sleep", "600"], timeout="300ms").execute(CALL)

    assert time.monotonic() - begun < tree.GRACE.total_seconds()


async def test_sigterm_gives_a_command_time_to_clean_up(tmp_path):
    script = tmp_path / "tidy"
    script.write_text(
        "#!/bin/sh\ntrap 'echo tidied > lock; exit 1' TERM\necho held > lock\nwhile :; do sleep 0.05; done\n"
    )
    script.chmod(0o700)

    with pytest.raises(UnknownOutcome):
        await action(tmp_path, ["./tidy"], timeout="1s").execute(CALL)

    assert (tmp_path / "lock").read_text() == "tidied\n"


async def test_a_process_left_in_the_background_does_not_hold_up_a_command_that_is_done(tmp_path):
    script = tmp_path / "daemonise"
    script.write_text("#!/bin/sh\nsleep 600 &\necho started\n")
    script.chmod(0o700)
    begun = time.monotonic()

    assert await action(tmp_path, ["./daemonise"]).execute(CALL) == "started"

    assert time.monotonic() - begun < 10
    assert len(tree.members(CALL.key, None)) == 1, "what a command that worked leaves running is its own business"


async def test_a_command_that_fails_leaves_nothing_that_could_run_into_the_next_attempt(tmp_path):
    script = tmp_path / "fail"
    script.write_text("#!/bin/sh\nsleep 600 &\nexit 9\n")
    script.chmod(0o700)

    with pytest.raises(PermanentError, match="exit status 9"):
        await action(tmp_path, ["./fail"]).execute(CALL)

    assert tree.members(CALL.key, None) == ()


async def test_a_command_that_is_killed_from_elsewhere_has_an_unknown_outcome(tmp_path):
    script = tmp_path / "victim"
    script.write_text("#!/bin/sh\nkill -KILL $$\n")
    script.chmod(0o700)

    with pytest.raises(UnknownOutcome, match="SIGKILL"):
        await action(tmp_path, ["./victim"]).execute(CALL)


async def test_an_inspection_that_is_killed_cannot_tell(tmp_path):
    script = tmp_path / "victim"
    script.write_text("#!/bin/sh\nkill -KILL $$\n")
    script.chmod(0o700)

    goal, detail = await action(tmp_path, ["true"], inspect=["./victim"]).inspect(CALL)

    assert goal is Goal.CANNOT_TELL
    assert "-9" in detail or "SIGKILL" in detail
