"""Write to a journal for tests that watch, break or kill this process; say on stdout what was acknowledged.

Usage: journal_writer.py PATH PLAN COUNT. A line is said after the journal took what it names, and before anything else
is done: ``records N`` (N records are in it), ``put ID``, ``told ID`` (delivered, not noted yet), ``sent ID``,
``checkpoint``, ``pruned N``, ``refused WHAT WHY``.
"""

import asyncio
import os
import sys
from datetime import timedelta

from journals import AT, Failures, after, concluded, evaluated, intended, notice
from rollback_guard.adapters.journal.sqlite import SqliteJournal
from rollback_guard.core.state import State
from rollback_guard.ports import JournalError


def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def batch_of(number):
    """Two records that belong together, of changing size."""
    return [
        intended(number, incident="checkout-1", at=number),
        concluded(number, detail="x" * (number * 397 % 3000), at=number),
    ]


async def refusable(what, work):
    try:
        return await work
    except JournalError as error:
        say("refused", what, error)
        return None


async def append(journal, first, count):
    """Append batches with a notice each; a refused one is not tried again."""
    for number in range(first, first + count):
        try:
            await journal.append(batch_of(number), [notice(number)])
        except JournalError as error:
            say("refused", f"n-{number}", error)
            continue
        say("records", journal.head.seq)
        say("put", f"n-{number}")


async def deliver(journal, first, count):
    """Put in one notice after the other and deliver them."""
    for number in range(first, first + count):
        await journal.append([evaluated(number)], [notice(number)])
        say("put", f"n-{number}")
        for letter in await journal.outbox.due(after(10**9), most=1):
            say("told", letter.notice.id)
            await journal.outbox.sent(letter, AT)
            say("sent", letter.notice.id)


async def everything(journal, first, count):
    """Append, checkpoint, prune, deliver: all that a daemon does."""
    for number in range(first, first + count):
        await append(journal, number, 1)
        if number % 5 == 4:
            await refusable("checkpoint", journal.checkpoint(State(digest=f"{journal.head.seq}")))
            say("checkpoint")
        if number % 10 == 9:
            say("pruned", await refusable("prune", journal.prune(AT + timedelta(seconds=number - 5))))
        for letter in await refusable("due", journal.outbox.due(after(10**9), most=1)) or ():
            await refusable("sent", journal.outbox.sent(letter, AT))


async def vanish(journal, first, count):
    """Append as above, and be gone without a word: what is in the write-ahead log stays there."""
    await append(journal, first, count)
    os._exit(0)


async def begin(path, count):
    """Begin one journal after the other, and put one batch into each."""
    for number in range(count):
        try:
            journal = SqliteJournal(f"{path}-{number}", telemetry=Failures())
        except JournalError as error:
            say("refused", number, error)
            continue
        try:
            await journal.append(batch_of(number))
            say("put", number)
        except JournalError as error:
            say("refused", number, error)
        await journal.close()


PLANS = {"append": append, "deliver": deliver, "everything": everything, "vanish": vanish}


async def main(path, plan, count):
    if plan == "begin":
        await begin(path, count)
        return
    failures = Failures()
    journal = SqliteJournal(path, telemetry=failures)
    await journal.load()
    say("open", journal.head.seq)
    first = journal.head.seq if plan == "deliver" else journal.head.seq // 2
    await PLANS[plan](journal, first, count)
    await journal.close()
    say("closed", *sorted(set(failures.kinds)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
