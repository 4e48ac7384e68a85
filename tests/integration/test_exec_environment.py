"""What surrounds a command: variables, files, limits, and what is kept of its output."""

from __future__ import annotations

import json
import os
import resource
import sys

import pytest

from rollback_guard.adapters.actions import registry
from rollback_guard.adapters.actions.output import HEAD_BYTES, TAIL_BYTES
from rollback_guard.ports import Call, PermanentError, TransientError

CALL = Call(
    key="env-1",
    context={
        "guard": {"name": "checkout"},
        "incident": {"id": "inc-7", "opened_at": "2024-05-01T10:00:00Z"},
        "alerts": [{"labels": {"job": "a"}}],
        "action": {"name": "rollback", "step": 1, "last": False},
    },
)

LOOK = """
import json, os, resource, stat, sys
json.dump({
    "environ": dict(os.environ),
    "umask": os.umask(0),
    "core": resource.getrlimit(resource.RLIMIT_CORE),
    "stdin": sys.stdin.read(),
    "fds": sorted(int(fd) for fd in os.listdir("/proc/self/fd")),
    "session": os.getsid(0) == os.getpid(),
    "cwd": os.getcwd(),
}, sys.stdout)
"""


def action(directory, command, **table):
    settings = registry.settings_types()["exec"].model_validate({"type": "exec", "command": command, **table})
    return registry.build("rollback", settings, clock=None, telemetry=None, directory=directory)


def script(directory, body, name="script"):
    path = directory / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o700)
    return f"./{name}"


async def looked(directory, **table):
    return json.loads(await action(directory, [sys.executable, "-c", LOOK], **table).execute(CALL))


async def test_a_command_sees_the_allowed_variables_and_none_of_the_guards_others(tmp_path, monkeypatch):
    for name in list(os.environ):
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("KUBECONFIG", "/etc/kube")
    monkeypatch.setenv("GUARD_TOKEN", "canary-in-environment")
    (tmp_path / "token").write_text("from-a-file\n")

    seen = await looked(
        tmp_path,
        pass_env=["KUBECONFIG", "NOT_SET"],
        env={"TOKEN": f"x-${{file:{tmp_path}/token}}", "WHO": "{{ guard.name }}"},
    )

    assert seen["environ"] == {
        "PATH": "/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "KUBECONFIG": "/etc/kube",
        "TOKEN": "x-<secret>",
        "WHO": "checkout",
        "ROLLBACK_GUARD_KEY": "env-1",
        "ROLLBACK_GUARD_GUARD_NAME": "checkout",
        "ROLLBACK_GUARD_INCIDENT_ID": "inc-7",
        "ROLLBACK_GUARD_INCIDENT_OPENED_AT": "2024-05-01T10:00:00Z",
        "ROLLBACK_GUARD_ALERTS": '[{"labels": {"job": "a"}}]',
        "ROLLBACK_GUARD_ALERTS_COUNT": "1",
        "ROLLBACK_GUARD_ACTION_NAME": "rollback",
        "ROLLBACK_GUARD_ACTION_STEP": "1",
        "ROLLBACK_GUARD_ACTION_LAST": "false",
    }


async def test_a_command_reads_nothing_inherits_nothing_and_leaves_no_core(tmp_path):
    held = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(held, True)
    (tmp_path / "sub").mkdir()

    seen = await looked(tmp_path, cwd="sub")
    os.close(held)

    assert seen["stdin"] == ""
    assert seen["umask"] == 0o077
    assert seen["core"] == [0, 0]
    assert held not in seen["fds"][:-1]
    assert seen["session"] is True
    assert seen["cwd"] == str(tmp_path / "sub")


async def test_the_guards_own_core_limit_stays_what_it_was(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_CORE)

    await action(tmp_path, ["true"]).execute(CALL)

    assert resource.getrlimit(resource.RLIMIT_CORE) == before


async def test_of_a_flood_of_output_the_beginning_and_the_end_are_kept(tmp_path):
    flood = (
        "import sys\n"
        "print('first'); sys.stdout.flush()\n"
        "for number in range(200_000): print('line', number, 'x' * 90)\n"
        "print('last')\n"
        "sys.stderr.write('e' * 1_000_000 + 'end of errors')\n"
    )

    said = await action(tmp_path, [sys.executable, "-c", flood], timeout="2m").execute(CALL)

    assert said.startswith("first\n")
    assert "\nlast\n" in said
    assert said.endswith("end of errors")
    assert "bytes left out" in said
    assert 2 * (HEAD_BYTES + TAIL_BYTES) * 0.9 < len(said.encode()) <= 64 * 1024


async def test_a_secret_at_the_edge_of_what_is_kept_is_not_shown_by_halves(tmp_path):
    secret = "canary" * 20
    (tmp_path / "token").write_text(secret)
    for shift in (0, 1, 50, 119):
        flood = f"import os\nprint(('x' * {shift}) + (os.environ['TOKEN'] + ' ') * 3000)"
        rollback = action(tmp_path, [sys.executable, "-c", flood], env={"TOKEN": f"${{file:{tmp_path}/token}}"})

        assert "canary" not in await rollback.execute(CALL)


async def test_control_sequences_of_a_command_never_reach_a_terminal(tmp_path):
    said = await action(tmp_path, ["printf", r"\033[2J\007ok\n\tthere"]).execute(CALL)

    assert said == "\ufffd[2J\ufffdok\n\tthere"


async def test_a_failure_quotes_the_end_of_the_error_output(tmp_path):
    rollback = action(tmp_path, [script(tmp_path, "seq 10000 >&2; echo 'no such deployment' >&2; exit 4")])

    with pytest.raises(PermanentError, match="no such deployment") as caught:
        await rollback.execute(CALL)

    assert str(caught.value).startswith("exit status 4: …")
    assert len(str(caught.value)) < 600


async def test_a_failure_without_error_output_quotes_the_other(tmp_path):
    with pytest.raises(PermanentError, match="exit status 1: said on stdout"):
        await action(tmp_path, [script(tmp_path, "echo said on stdout; exit 1")]).execute(CALL)


async def test_exit_status_75_asks_for_another_attempt(tmp_path):
    with pytest.raises(TransientError, match="locked"):
        await action(tmp_path, [script(tmp_path, "echo locked >&2; exit 75")]).execute(CALL)


async def test_a_program_that_is_not_there_is_a_permanent_error(tmp_path):
    with pytest.raises(PermanentError, match=r"no-such-program: No such file"):
        await action(tmp_path, ["no-such-program"]).execute(CALL)


async def test_a_program_that_may_not_be_run_is_a_permanent_error(tmp_path):
    (tmp_path / "plain").write_text("#!/bin/sh\n")

    with pytest.raises(PermanentError, match=r"\./plain: Permission denied"):
        await action(tmp_path, ["./plain"]).execute(CALL)


async def test_a_script_without_interpreter_says_what_it_lacks(tmp_path):
    path = tmp_path / "bare"
    path.write_text("echo hello\n")
    path.chmod(0o700)

    with pytest.raises(PermanentError, match="begins with #!"):
        await action(tmp_path, ["./bare"]).execute(CALL)


async def test_a_working_directory_that_is_not_there_is_named(tmp_path):
    with pytest.raises(PermanentError, match=r"working directory .*/gone"):
        await action(tmp_path, ["true"], cwd="gone").execute(CALL)


async def test_an_argument_that_the_kernel_refuses_is_a_permanent_error(tmp_path):
    with pytest.raises(PermanentError, match="too long"):
        await action(tmp_path, ["echo", *["x" * 60_000] * 50]).execute(CALL)


async def test_hundreds_of_commands_leave_no_descriptor_open(tmp_path):
    rollback = action(tmp_path, ["true"])
    await rollback.execute(CALL)
    before = len(os.listdir("/proc/self/fd"))

    for _ in range(200):
        await rollback.execute(CALL)

    assert len(os.listdir("/proc/self/fd")) == before
