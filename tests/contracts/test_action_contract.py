"""What every type of action promises to the engine, tried on real processes and real sockets."""

from __future__ import annotations

import asyncio
import json
import os
import time
import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rollback_guard.adapters.actions import registry
from rollback_guard.ports import Call, Goal, GuardError, PermanentError, TransientError, UnknownOutcome

CANARY = 'canary-7f3a"b&c/d'
CALL = Call(
    key="intent-0001",
    context={
        "guard": {"name": "checkout"},
        "incident": {"id": "inc-1"},
        "alerts": [{"name": "ErrorRate", "labels": {"job": "checkout"}, "value": 0.05}],
        "action": {"name": "off", "step": 0},
    },
)


class RealClock:
    def now(self):
        return datetime.now(UTC)

    def elapsed(self):
        return timedelta(seconds=time.monotonic())

    async def sleep(self, span):
        await asyncio.sleep(span.total_seconds())


def build(table, directory):
    settings = registry.settings_types()[table["type"]].model_validate(table)
    return registry.build("off", settings, clock=RealClock(), telemetry=None, directory=directory)


class ExecSubject:
    """Commands whose effect is a line in a file."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "effects"
        self.state = directory / "state"

    async def start(self):
        (self.directory / "token").write_text(CANARY)
        bodies = {
            "done": 'echo off > state; echo "$ROLLBACK_GUARD_KEY" >> effects; echo done for {who}',
            "later": 'echo "not now $TOKEN" >&2; exit 75',
            "never": 'echo "denied $TOKEN" >&2; exit 3',
            "hang": 'echo "$ROLLBACK_GUARD_KEY" >> effects; echo "waiting $TOKEN"; exec sleep 600',
            "telling": 'echo "hello $TOKEN"',
            "is-off": 'test "$(cat state)" = off',
            "broken": 'echo "cannot look $TOKEN" >&2; exit 127',
        }
        for name, body in bodies.items():
            script = self.directory / name
            script.write_text(f"#!/bin/sh\n{body.replace('{who}', '$1')}\n")
            script.chmod(0o700)

    async def stop(self):
        pass

    def action(self, what, *, inspect=None, timeout="20s", value="{{ guard.name }}"):
        table = {
            "type": "exec",
            "command": [f"./{what}", value],
            "env": {"TOKEN": f"${{file:{self.directory}/token}}"},
            "timeout": timeout,
        }
        if inspect:
            table["inspect"] = [f"./{inspect}"]
        return build(table, self.directory)

    def effects(self):
        return self.log.read_text().split() if self.log.exists() else []

    def snapshot(self):
        return self.state.read_text()


class HttpSubject:
    """A flag server whose effect is in memory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.keys: list[str] = []
        self.enabled = True
        self.open = 0

    async def start(self):
        (self.directory / "token").write_text(CANARY)
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.base = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"

    async def stop(self):
        self.server.close()
        await self.server.wait_closed()

    async def serve(self, reader, writer):
        self.open += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            line, *lines = head.rstrip().split("\r\n")
            headers = dict(field.split(": ", 1) for field in lines)
            await reader.readexactly(int(headers.get("Content-Length", 0)))
            await self.answer(line.split()[1].split("?")[0].strip("/"), headers, reader, writer)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def answer(self, what, headers, reader, writer):
        told = headers.get("Authorization", "")
        code, body = {
            "done": (200, "done for checkout"),
            "later": (503, f"not now {told}"),
            "never": (403, f"denied {told}"),
            "telling": (200, json.dumps({"hello": told})),
            "is-off": (200, json.dumps({"enabled": self.enabled, "told": told})),
            "broken": (500, f"cannot look {told}"),
            "hang": (0, ""),
        }[what]
        if what in {"done", "hang"}:
            self.keys.append(headers["Idempotency-Key"])
            self.enabled = False
        if what == "hang":
            await reader.read()
            return
        writer.write(f"HTTP/1.1 {code} X\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())

    def action(self, what, *, inspect=None, timeout="20s", value="{{ guard.name }}"):
        table = {
            "type": "http",
            "method": "PATCH",
            "url": f"{self.base}/{what}?for={value}",
            "headers": {"Authorization": f"Bearer ${{file:{self.directory}/token}}"},
            "json": {"enabled": False, "by": value},
            "timeout": timeout,
        }
        if inspect:
            table["inspect"] = {"url": f"{self.base}/{inspect}", "expect": {"json": {"enabled": False}}}
        return build(table, self.directory)

    def effects(self):
        return self.keys

    def snapshot(self):
        return self.enabled


@pytest.fixture(params=[ExecSubject, HttpSubject], ids=["exec", "http"])
async def subject(request, tmp_path):
    subject = request.param(tmp_path)
    await subject.start()
    yield subject
    await subject.stop()


async def until(condition, within=20.0):
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        await asyncio.sleep(0.01)


def processes_with(key):
    mark = f"ROLLBACK_GUARD_KEY={key}".encode()
    found = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and mark in Path(f"/proc/{entry}/environ").read_bytes().split(b"\0"):
                found.append(int(entry))
        except OSError:
            continue
    return found


async def failure_of(action, kind):
    with pytest.raises(kind) as caught:
        await action.execute(CALL)
    return caught.value


async def test_an_action_that_works_says_what_the_target_said_and_sends_the_key(subject):
    action = subject.action("done")

    assert "done for checkout" in await action.execute(CALL)
    assert subject.effects() == ["intent-0001"]


@pytest.mark.promise(5)
async def test_running_an_action_twice_leaves_the_state_that_running_it_once_left(subject):
    action = subject.action("done", inspect="is-off")
    await action.execute(CALL)
    once = subject.snapshot()

    await action.execute(CALL)

    assert subject.snapshot() == once
    assert subject.effects() == ["intent-0001", "intent-0001"]
    assert (await action.inspect(CALL))[0] is Goal.REACHED


async def test_a_target_that_asks_to_come_back_later_is_a_transient_error(subject):
    assert "not now" in str(await failure_of(subject.action("later"), TransientError))


async def test_a_target_that_refuses_is_a_permanent_error(subject):
    assert "denied" in str(await failure_of(subject.action("never"), PermanentError))


async def test_a_target_that_does_not_end_in_time_has_an_unknown_outcome(subject):
    action = subject.action("hang", timeout="500ms")

    await failure_of(action, UnknownOutcome)

    assert subject.effects() == ["intent-0001"]


async def test_an_inspection_sees_whether_the_goal_is_reached(subject):
    action = subject.action("done", inspect="is-off")
    if isinstance(subject, ExecSubject):
        subject.state.write_text("on")
    assert action.inspectable
    assert (await action.inspect(CALL))[0] is Goal.NOT_REACHED

    await action.execute(CALL)

    assert (await action.inspect(CALL))[0] is Goal.REACHED


async def test_an_inspection_that_fails_cannot_tell(subject):
    goal, detail = await subject.action("done", inspect="broken").inspect(CALL)

    assert goal is Goal.CANNOT_TELL
    assert "cannot look" in detail


async def test_an_inspection_that_does_not_end_cannot_tell(subject, tmp_path):
    action = subject.action("done", inspect="hang", timeout="500ms")
    if isinstance(subject, ExecSubject):
        action = build(
            {"type": "exec", "command": ["./done"], "inspect": {"command": ["./hang"], "timeout": "500ms"}}, tmp_path
        )

    assert (await action.inspect(CALL))[0] is Goal.CANNOT_TELL
    assert processes_with(CALL.key) == []


async def test_an_action_without_inspection_says_so(subject):
    action = subject.action("done")

    assert not action.inspectable
    assert (await action.inspect(CALL))[0] is Goal.CANNOT_TELL


async def test_a_value_that_is_missing_is_a_permanent_error_and_nothing_is_done(subject):
    error = await failure_of(subject.action("done", value="{{ alerts[0].labels.nothing }}"), PermanentError)

    assert "nothing" in str(error)
    assert subject.effects() == []


@pytest.mark.promise(36)
@pytest.mark.parametrize("what", ["telling", "later", "never", "hang"])
async def test_a_secret_that_the_target_repeats_is_in_no_result_and_no_exception(subject, what):
    action = subject.action(what, inspect="broken", timeout="700ms" if what == "hang" else "20s")

    try:
        said = await action.execute(CALL)
    except GuardError as error:
        said = "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
        chain = [error.__cause__, error.__context__]
        assert "canary" not in repr(chain)
    said += str(await action.inspect(CALL)) + action.goal + repr(action)

    assert "canary" not in said
    if what != "hang":
        assert "<secret>" in said


async def test_the_goal_shows_references_and_never_what_they_refer_to(subject):
    action = subject.action("done")
    await action.execute(CALL)

    assert "{{ guard.name }}" in action.goal
    assert "canary" not in action.goal


async def test_a_cancelled_action_ends_at_once_and_leaves_nothing_running(subject):
    task = asyncio.create_task(subject.action("hang", timeout="10m").execute(CALL))
    await until(lambda: subject.effects() == ["intent-0001"])

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await until(lambda: processes_with(CALL.key) == [])
    if isinstance(subject, HttpSubject):
        await until(lambda: subject.open == 0)


async def test_sweeping_and_closing_are_harmless_where_nothing_is_left(subject):
    action = subject.action("done")

    await action.sweep(CALL)
    await action.close()

    assert subject.effects() == []


async def test_a_secret_that_is_not_there_is_a_permanent_error_that_names_its_place(subject):
    action = subject.action("done")
    (subject.directory / "token").unlink()

    error = await failure_of(action, PermanentError)

    assert f"${{file:{subject.directory}/token}}" in str(error)
    assert subject.effects() == []


async def test_a_secret_is_read_anew_for_each_attempt(subject):
    action = subject.action("telling")
    await action.execute(CALL)
    (subject.directory / "token").write_text("another-canary")

    assert "another" not in await action.execute(CALL)


@pytest.mark.parametrize("idempotent", [True, False])
async def test_an_action_is_idempotent_only_if_declared_so(subject, idempotent, tmp_path):
    table = (
        {"type": "exec", "command": ["true"], "idempotent": idempotent}
        if isinstance(subject, ExecSubject)
        else {"type": "http", "url": "http://127.0.0.1/", "idempotent": idempotent}
    )

    assert build(table, tmp_path).idempotent is idempotent
