"""Kill the daemon at a named point, or make it stuck: loaded by Python at its start, from a test's PYTHONPATH only.

The variable CHAOS holds JSON:

    point     side, what, and which time that comes by, as in `before:intended:2`. What is a record's kind (the commit of a
              batch that holds one), `undo` (the intent of one), `verify` (a slot during a verification), `notice` (the
              commit of a batch with notices), `sent` (the mark that a letter was delivered), `checkpoint` and `prune`
              (the whole of it), `keep` and `forget` (within their transaction)
    set       module constants by dotted name, spans in seconds
    forget    once a second forget all that may be, as if nothing had to be remembered for long
    stuck     a file: once it is there, evaluations never end
    blocked   a file: while it is there, the event loop stands still
    faketime  sleep in another way: libfaketime spoils the one that Python uses (clock_nanosleep) for a clock it leaves alone

The product itself knows nothing of this.
"""

import asyncio
import functools
import importlib
import json
import os
import select
import signal
import sys
import threading
import time
import traceback
from datetime import timedelta
from pathlib import Path


def install_point(point):
    side, what, number = point.split(":")
    left, counting = int(number), threading.Lock()

    def reached(matches, at):
        nonlocal left
        if matches and at == side:
            with counting:
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                    signal.pause()  # not one instruction further

    def around(method, matches):
        if asyncio.iscoroutinefunction(method):

            @functools.wraps(method)
            async def wrapped(*args):
                hit = matches(*args)
                reached(hit, "before")
                result = await method(*args)
                reached(hit, "after")
                return result
        else:

            @functools.wraps(method)
            def wrapped(*args):
                reached(True, "before")
                result = method(*args)
                reached(True, "after")
                return result

        return wrapped

    def holds(journal, records, notices=()):
        if what == "notice":
            return bool(notices)
        if what == "undo":
            return any(record.kind == "intended" and record.undoes for record in records)
        return any(record.kind == what for record in records)

    def verifies(ledger, records):
        phases = {incident.phase.value for incident in ledger.state.incidents.values()}
        return "verifying" in phases and any(record.kind == "evaluated" for record in records)

    from rollback_guard.adapters.journal import checkpoint, retention
    from rollback_guard.adapters.journal.outbox import SqliteOutbox
    from rollback_guard.adapters.journal.sqlite import SqliteJournal
    from rollback_guard.engine.ledger import Ledger

    if what == "verify":
        Ledger.write = around(Ledger.write, verifies)
    else:
        SqliteJournal.append = around(SqliteJournal.append, holds)
    for owner, name, called in (
        (SqliteOutbox, "sent", "sent"),
        (SqliteJournal, "checkpoint", "checkpoint"),
        (SqliteJournal, "prune", "prune"),
        (checkpoint, "keep", "keep"),
        (retention, "forget", "forget"),
    ):
        if called == what:
            setattr(owner, name, around(getattr(owner, name), lambda *_: True))


def install_forgetting():
    from rollback_guard.engine.loop import Loop

    attend = Loop.attend

    async def forgetful(self, windows):
        await attend(self, windows)
        await self.forget(timedelta(0))

    Loop.attend = forgetful


def install_sticking(plan):
    from rollback_guard.engine.loop import Loop

    tick = Loop.tick

    def block():
        while Path(plan.get("blocked", "/nowhere")).exists():
            time.sleep(0.05)

    def is_stuck():
        return Path(plan.get("stuck", "/nowhere")).exists()

    async def sticky(self, group):
        block()
        if is_stuck():
            await asyncio.Event().wait()
        await tick(self, group)

    Loop.tick = sticky


def install(plan):
    for name, value in plan.get("set", {}).items():
        module, _, constant = name.rpartition(".")
        owner = importlib.import_module(module)
        span = isinstance(getattr(owner, constant), timedelta)
        setattr(owner, constant, timedelta(seconds=value) if span else value)
    if "point" in plan:
        install_point(plan["point"])
    if plan.get("forget"):
        install_forgetting()
    if plan.get("faketime"):
        time.sleep = lambda seconds: select.select([], [], [], seconds)
    if plan.keys() & {"stuck", "blocked"}:
        install_sticking(plan)


if "CHAOS" in os.environ and sys.argv[:1] == ["-m"]:
    try:
        install(json.loads(os.environ.pop("CHAOS")))
    except Exception:  # noqa: BLE001  whatever it is
        # Python would go on without, and the test would wait in vain.
        traceback.print_exc()
        os._exit(70)
