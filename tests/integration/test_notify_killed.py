"""A process that is killed around a delivery: the receiver hears of it at least once, always under one id."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from messengers import Receiver, listening

COURIER = '''
import asyncio, os, signal, sys
from datetime import UTC, datetime, timedelta

from fakes import Tally
from rollback_guard.adapters import notify
from rollback_guard.adapters.clock import SystemClock
from rollback_guard.adapters.journal.sqlite import SqliteJournal
from rollback_guard.core.model import Mode
from rollback_guard.core.notice import Notice, NoticeKind, Urgency
from rollback_guard.core.records import Started
from rollback_guard.engine.courier import Courier
from rollback_guard.secret import SecretText
from rollback_guard.specs import ChannelSpec

path, url, dies, begins = sys.argv[1:]
clock, telemetry = SystemClock(), Tally()


class Outbox:
    """The real one; it may die in the middle."""

    def __init__(self, inner):
        self._inner = inner

    def __getattr__(self, name):
        return getattr(self._inner, name)

    async def sent(self, letter, at):
        if dies == "before the mark":
            os.kill(os.getpid(), signal.SIGKILL)
        await self._inner.sent(letter, at)
        if dies == "after the mark":
            os.kill(os.getpid(), signal.SIGKILL)


async def main():
    journal = SqliteJournal(path, telemetry=telemetry)
    now = clock.now()
    if begins == "yes":
        notices = [
            Notice(id=f"i/{number}", thread="i", at=now, kind=NoticeKind.OPENED, urgency=Urgency.CRITICAL,
                   channels=("hook",), title=f"number {number}", body="body")
            for number in range(3)
        ]
        await journal.append([Started(at=now, version="1", digest="d", mode=Mode.ENFORCE)], notices)
    spec = ChannelSpec(name="hook", type="webhook", url=SecretText(url))
    channels = {"hook": notify.build(spec, clock=clock)}
    courier = Courier(Outbox(journal.outbox), channels, {"hook": spec}, clock=clock, telemetry=telemetry)
    running = asyncio.create_task(courier.run())
    async with asyncio.timeout(40):
        while await journal.outbox.backlog():
            await asyncio.sleep(0.05)
    await courier.stop(timedelta(seconds=1))
    await running
    await journal.close()


asyncio.run(main())
'''


async def a_courier(tmp_path: Path, port: int, *, dies: str, begins: bool) -> asyncio.subprocess.Process:
    script = tmp_path / "courier.py"
    script.write_text(COURIER)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(script),
        str(tmp_path / "guard.db"),
        f"http://127.0.0.1:{port}/",
        dies,
        "yes" if begins else "no",
        env={"PYTHONPATH": str(Path(__file__).parents[1])},
    )


def heard(receiver: Receiver) -> list[str]:
    return [request.json()["id"] for request in receiver.requests]


@pytest.mark.promise(40)
@pytest.mark.parametrize(
    ("dies", "expected"),
    [
        ("before the mark", ["i/0", "i/0", "i/0", "i/1", "i/2"]),
        ("after the mark", ["i/0", "i/1", "i/2"]),
    ],
)
async def test_a_guard_killed_around_the_mark_tells_everything_in_order(dies, expected, tmp_path):
    receiver = Receiver()
    async with listening(receiver.serve) as port, asyncio.timeout(90):
        for number in range(2):
            killed = await a_courier(tmp_path, port, dies=dies, begins=number == 0)
            assert await killed.wait() == -9
        whole = await a_courier(tmp_path, port, dies="never", begins=False)
        assert await whole.wait() == 0
    assert heard(receiver) == expected
    keys = {request.headers["idempotency-key"] for request in receiver.requests}
    assert keys == {"i/0", "i/1", "i/2"}


@pytest.mark.promise(40)
async def test_a_guard_killed_while_the_receiver_reads_tells_it_again_under_the_same_id(tmp_path):
    receiver = Receiver()
    receiver.is_hanging = True
    async with listening(receiver.serve) as port, asyncio.timeout(90):
        killed = await a_courier(tmp_path, port, dies="never", begins=True)
        await receiver.arrived.wait()
        killed.kill()
        await killed.wait()
        receiver.is_hanging = False
        whole = await a_courier(tmp_path, port, dies="never", begins=False)
        assert await whole.wait() == 0
    assert heard(receiver) == ["i/0", "i/0", "i/1", "i/2"]
