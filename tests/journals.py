"""What tests of the journal share: records, notices, and hands that reach into the file from outside."""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rollback_guard.core import records
from rollback_guard.core.notice import Notice, NoticeKind, Urgency

CHILD_ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
"""In which a script of the tests finds this module."""

AT = datetime(2024, 5, 1, 12, tzinfo=UTC)


class Failures:
    """The part of the telemetry that a journal talks to."""

    def __init__(self):
        self.kinds = []

    def journal_failed(self, kind):
        self.kinds.append(kind)


def after(seconds):
    return AT + timedelta(seconds=seconds)


def evaluated(number, group="g"):
    return records.Evaluated(group=group, slot=after(number))


def opened(incident="checkout-1", *, at=0, guard="checkout"):
    return records.IncidentOpened(incident=incident, guard=guard, at=after(at), breached_at=after(at), rules=("g/r",))


def intended(number=0, incident="checkout-1", *, at=0):
    return records.Intended(
        key=f"{incident}-{number}",
        incident=incident,
        guard="checkout",
        step=number,
        action="flag-off",
        goal="flag off",
        at=after(at),
        within=timedelta(minutes=3),
        stable_for=timedelta(minutes=1),
    )


def concluded(number=0, incident="checkout-1", *, detail="", at=0):
    return records.Concluded(
        key=f"{incident}-{number}",
        incident=incident,
        guard="checkout",
        action="flag-off",
        at=after(at),
        outcome=records.Outcome.SUCCEEDED,
        detail=detail,
    )


def ended(incident="checkout-1", *, at=0, decision=records.Decision.RECOVERED):
    return records.IncidentEnded(
        incident=incident,
        guard="checkout",
        at=after(at),
        decision=decision,
        reason=next(iter(records.Reason)),
    )


def notice(number=1, *, thread="checkout-1", channels=("oncall",), at=0, **changes):
    known = {
        "id": f"n-{number}",
        "thread": thread,
        "at": after(at),
        "kind": NoticeKind.OPENED,
        "urgency": Urgency.CRITICAL,
        "channels": channels,
        "title": f"checkout: notice {number}",
        "body": "The error rate is 4.2%, more than 1%.",
        "guard": "checkout",
        "incident": "checkout-1",
        "data": (("rule", "g/r"), ("value", "0.042")),
    }
    return Notice(**known | changes)


def tamper(path, *statements, drop_triggers=True):
    """Change a journal as somebody with another tool would."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        triggers = other.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        if drop_triggers:
            for name, _ in triggers:
                other.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            other.execute(statement)
        if drop_triggers:
            for _, sql in triggers:
                other.execute(sql)


def rows(path, sql, *values):
    with closing(sqlite3.connect(path)) as other:
        return other.execute(sql, values).fetchall()


class SmallDisk:
    """A file system of a few megabytes that can be filled and freed."""

    def __init__(self, place, size):
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], capture_output=True, text=True
        )
        if made.returncode:
            pytest.skip(f"a file system of a few megabytes cannot be mounted here: {made.stderr.strip()}")
        self.place = place

    def fill(self):
        """Leave not a byte."""
        with (self.place / "rubbish").open("ab", buffering=0) as rubbish:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while True:
                        rubbish.write(b"x" * size)
                except OSError:
                    continue

    def free(self):
        (self.place / "rubbish").unlink(missing_ok=True)

    def end(self):
        subprocess.run(["umount", "-l", self.place], check=True)


def strace(*arguments):
    """Run a command under strace, which sees its threads too; skip where nothing may be traced."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    probe = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True)
    if probe.returncode:
        pytest.skip("processes cannot be traced here")
    return subprocess.run(
        ["strace", "-f", "--seccomp-bpf", "-qq", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=CHILD_ENVIRONMENT,
    )
