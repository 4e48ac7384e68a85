"""Append to a journal in a child process, kill it in the middle, and see that what it acknowledged is there.

Usage: journal_killer.py PATH ROUNDS. Prints per round how many records the journal holds and how many of them were
acknowledged; ends with 1 at the first one that is missing, doubled or out of order.
"""

import asyncio
import os
import random
import signal
import sys
from datetime import UTC, datetime, timedelta

from rollback_guard.adapters.journal.sqlite import SqliteJournal
from rollback_guard.core.records import ClockStepped, Intended

AT = datetime(2024, 5, 1, tzinfo=UTC)


class Failures:
    def journal_failed(self, kind):
        sys.exit(f"the journal failed: {kind}")


def batch_of(number):
    """Two records that belong together."""
    intended = Intended(
        key=str(number),
        incident=f"i-{number}",
        guard="g",
        step=0,
        action="a",
        goal="x" * (number * 37 % 5000),
        at=AT,
        within=timedelta(minutes=3),
        stable_for=timedelta(minutes=1),
    )
    return [intended, ClockStepped(at=AT, by=timedelta(microseconds=number))]


async def append_for_ever(path, first, acknowledge):
    journal = SqliteJournal(path, telemetry=Failures())
    number = first
    while True:
        await journal.append(batch_of(number))
        os.write(acknowledge, b".")
        number += 1


async def read(path):
    journal = SqliteJournal(path, telemetry=Failures())
    found = list(await journal.read())
    await journal.close()
    return found


def kill_in_the_middle(path, first, chance):
    """Return how many batches the child acknowledged before it was killed."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        asyncio.run(append_for_ever(path, first, theirs))
    os.close(theirs)
    wanted, count = chance.randrange(1, 40), 0
    while count < wanted:
        got = os.read(ours, 1)
        if not got:
            sys.exit("the child died by itself")
        count += 1
    # Somewhere within the next appends, not right after an answer.
    for _ in range(chance.randrange(20_000)):
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while rest := os.read(ours, 65536):
        count += len(rest)
    os.close(ours)
    return count


def main(path, rounds):
    chance = random.Random(20240501)
    acknowledged = there = 0
    for _ in range(rounds):
        acknowledged = there + kill_in_the_middle(path, there, chance)
        found = asyncio.run(read(path))
        there = len(found) // 2
        if found != [record for number in range(there) for record in batch_of(number)]:
            sys.exit("a record is missing, cut, doubled or out of order")
        # The last commit may be there although nobody was told any more.
        if not acknowledged <= there <= acknowledged + 1:
            sys.exit(f"{acknowledged} batches were acknowledged, {there} are there")
        print(there, acknowledged, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
