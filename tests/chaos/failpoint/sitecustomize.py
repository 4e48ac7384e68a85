"""Kill the daemon at a named point, once: loaded by Python at its start, from a test's PYTHONPATH only.

`CHAOS_POINT` names where: `before` or `after`, what, and which time that comes by, as in `before:intended:2`. What is a
record's kind (the commit of a batch that holds one), `notice` (the commit of a batch with notices), `sent` (the
mark that a letter was delivered) or `checkpoint`. `CHAOS_MARKER` is a file that is made just before the kill, so that
the next start lives. The product itself knows nothing of this.
"""

import contextlib
import os
import signal
import sys
from pathlib import Path


def install(point, marker):
    side, what, number = point.split(":")
    left = int(number)

    def reached(matches, at):
        nonlocal left
        if not matches or at != side:
            return
        left -= 1
        if left == 0:
            with contextlib.suppress(FileExistsError):
                os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
                os.kill(os.getpid(), signal.SIGKILL)

    def around(method, matches):
        async def wrapped(self, *args, **kwargs):
            hit = matches(*args)
            reached(hit, "before")
            result = await method(self, *args, **kwargs)
            reached(hit, "after")
            return result

        return wrapped

    def holds(records, notices=()):
        return bool(notices) if what == "notice" else any(record.kind == what for record in records)

    from rollback_guard.adapters.journal.outbox import SqliteOutbox
    from rollback_guard.adapters.journal.sqlite import SqliteJournal

    SqliteJournal.append = around(SqliteJournal.append, holds)
    SqliteJournal.checkpoint = around(SqliteJournal.checkpoint, lambda state: what == "checkpoint")
    SqliteOutbox.sent = around(SqliteOutbox.sent, lambda letter, at: what == "sent")


if "CHAOS_POINT" in os.environ and sys.argv[:1] == ["-m"] and not Path(os.environ["CHAOS_MARKER"]).exists():
    install(os.environ["CHAOS_POINT"], os.environ["CHAOS_MARKER"])
