"""Doubles of the ports, for tests of the engine: a clock that is turned by hand, a source that follows a script.

They keep the contracts of `rollback_guard.ports`: the journal goes through the real codec, the source never raises.
"""

import asyncio
import heapq
import itertools
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rollback_guard.adapters.journal import checkpoint, codec
from rollback_guard.core.observation import Failure, Observation, Unknown
from rollback_guard.core.records import Evaluated
from rollback_guard.core.state import State
from rollback_guard.ports import Backlog, Goal, JournalError, Letter, Past, UnknownOutcome

START = datetime(2024, 5, 1, 12, tzinfo=UTC)


async def settle():
    """Let everything happen that can happen without time passing."""
    for _ in range(50):
        await asyncio.sleep(0)


class FakeClock:
    """Two clocks that stand still until they are turned."""

    def __init__(self, now=START):
        self._now = now
        self._elapsed = timedelta(hours=1)
        self._sleepers = []
        self._numbers = itertools.count()

    def now(self):
        return self._now

    def elapsed(self):
        return self._elapsed

    async def sleep(self, span):
        if span <= timedelta(0):
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + span, next(self._numbers), woken))
        await woken

    async def advance(self, span):
        """Let time pass, and wake everybody in their order."""
        until = self._elapsed + span
        await settle()
        while self._sleepers and self._sleepers[0][0] <= until:
            at, _, woken = heapq.heappop(self._sleepers)
            self._pass(max(at - self._elapsed, timedelta(0)))
            if not woken.done():
                woken.set_result(None)
            await settle()
        self._pass(until - self._elapsed)
        await settle()

    def step(self, by):
        """Set the wall clock; the steady one does not notice."""
        self._now += by

    def jump_to(self, now):
        """Let time pass up to an instant at which nobody sleeps."""
        self._pass(now - self._now)

    def _pass(self, span):
        self._now += span
        self._elapsed += span


class HastyClock(FakeClock):
    """A clock of one sleeper: who sleeps is woken at once, and the time has passed."""

    def __init__(self, now=START):
        super().__init__(now)
        self.slept = []

    async def sleep(self, span):
        self.slept.append(span)
        self._pass(max(span, timedelta(0)))
        await asyncio.sleep(0)


LOST = Failure(Unknown.CONNECT, "refused")


class ScriptedSource:
    """Say of a rule in a slot what the script says, whenever it is asked, as far as there is a road.

    Args:
        script: From a rule and a slot to an observation.
        looks_back: Whether past slots can be asked for.

    Attributes:
        is_cut: Whether the road is cut now.
        reads: The slots that were asked for one by one, with their group.
        ranges: The runs of slots that were asked for together, with their group.
        gate: Reads wait until it is set.
    """

    def __init__(self, script, *, looks_back=True):
        self._script = script
        self._looks_back = looks_back
        self._under_way = Counter()
        self.most_at_once = 0
        self.is_cut = False
        self.reads = []
        self.ranges = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def read(self, group, slot, expected):
        self.reads.append((group.id, slot))
        is_cut = self.is_cut
        await self._wait(group)
        if is_cut:
            return {rule.id: Observation(measured=LOST) for rule in group.rules}
        return self._said(group, slot)

    async def read_range(self, group, slots, expected):
        self.ranges.append((group.id, tuple(slots)))
        if self.is_cut or not self._looks_back:
            return {}
        await self._wait(group)
        return {slot: self._said(group, slot) for slot in slots}

    async def close(self):
        self.gate.set()

    def _said(self, group, slot):
        return {rule.id: self._script(rule, slot) for rule in group.rules}

    async def _wait(self, group):
        self._under_way[group.id] += 1
        self.most_at_once = max(self.most_at_once, self._under_way[group.id])
        await self.gate.wait()
        self._under_way[group.id] -= 1


class MemoryJournal:
    """Keep records as the journal's rows, so that nothing is kept that a file could not keep.

    Attributes:
        is_broken: Whether appends fail.
        before: Called with the records just before they are kept; may raise.
        outbox: What was to be told to people.
        forgotten: How many of the oldest records were pruned.
        kept: The last checkpoints: after how many records, and the state as JSON.
    """

    def __init__(self, rows=(), *, outbox=None, forgotten=0, kept=()):
        self._rows = list(rows)
        self.is_broken = False
        self.attempts = 0
        self.before = lambda records: None
        self.outbox = outbox or MemoryOutbox()
        self.forgotten = forgotten
        self.kept = list(kept)

    async def append(self, records, notices=()):
        self.attempts += 1
        await asyncio.sleep(0)
        if self.is_broken:
            raise JournalError("disk full")
        rows = [codec.encode(record) for record in records]
        self.before(records)
        self._rows += rows
        self.outbox.put(notices, self.forgotten + len(self._rows))

    async def load(self):
        after, state = 0, State()
        if self.kept:
            after, body = self.kept[-1]
            state = checkpoint.decode(body)
        return Past(state=state, records=[codec.decode(row.body) for row in self._rows[after - self.forgotten :]])

    async def checkpoint(self, state):
        body = checkpoint.encode(state)
        if self.is_broken:
            raise JournalError("disk full")
        last = self.forgotten + len(self._rows)
        self.kept = [*(each for each in self.kept if each[0] != last), (last, body)][-checkpoint.KEPT :]

    async def prune(self, before):
        if self.is_broken:
            raise JournalError("disk full")
        if not self.kept:
            return 0
        of_open = [each for each in checkpoint.decode(self.kept[-1][1]).incidents.values() if each.phase != "closed"]
        before = codec.as_text(min([before, *(each.breached_at for each in of_open)]))
        most = self.kept[0][0] - self.forgotten
        ids = {each.id for each in of_open}
        kept = (n for n, row in enumerate(self._rows) if n >= most or row.at >= before or row.incident in ids)
        count = next(kept, most)
        del self._rows[:count]
        self.forgotten += count
        self.outbox.prune(self.forgotten)
        return count

    async def read(self, *, incident=None):
        return [codec.decode(row.body) for row in self._rows if incident is None or row.incident == incident]

    async def around(self, start, end):
        rows = [
            row for row in self._rows if row.incident is None and codec.as_text(start) <= row.at <= codec.as_text(end)
        ]
        found = [codec.decode(row.body) for row in sorted(rows, key=lambda row: row.at)]
        return [each for each in found if not isinstance(each, Evaluated) or each.transitions or each.sights]

    async def close(self):
        """Nothing to release."""

    def copy(self):
        """Return what a process finds that starts now."""
        return MemoryJournal(self._rows, outbox=self.outbox.copy(), forgotten=self.forgotten, kept=self.kept)


class MemoryOutbox:
    """Keep letters as an outbox does, in memory.

    Attributes:
        is_broken: Whether everything fails.
        letters: Those that are left, by number, with the instant from which they are due.
        delivered: Those that were sent, oldest first, with the instant of it.
        given_up: Those that never will be, oldest first, with the reason.
        notices: All that are known, by id.
    """

    def __init__(self):
        self.is_broken = False
        self.letters = {}
        self.delivered = []
        self.given_up = []
        self.notices = {}
        self._came_with = {}
        self._count = 0

    def put(self, notices, number=0):
        """Put in what is not known yet; `number` is that of the record that it came with."""
        for notice in notices:
            if notice.id in self.notices:
                continue
            self.notices[notice.id] = notice
            self._came_with[notice.id] = number
            for channel in dict.fromkeys(notice.channels):
                self._count += 1
                letter = Letter(number=self._count, channel=channel, notice=notice, put_at=notice.at)
                self.letters[self._count] = (letter, notice.at)

    def prune(self, until):
        """Forget the notices that came with forgotten records, but for those that are still to be told."""
        left = {letter.notice.id for letter, _ in self.letters.values()}
        gone = [id_ for id_, number in self._came_with.items() if number <= until and id_ not in left]
        for id_ in gone:
            del self.notices[id_], self._came_with[id_]
        self.delivered = [each for each in self.delivered if each[0].notice.id in self.notices]

    async def due(self, now, *, most, without=()):
        self._may_break()
        first = {}
        for number, (letter, _) in self.letters.items():
            if letter.channel not in without:
                first.setdefault((letter.channel, letter.notice.thread), number)
        return [self.letters[number][0] for number in sorted(first.values()) if self.letters[number][1] <= now][:most]

    async def left(self, channel, *, after, most, thread=None):
        self._may_break()
        return [
            letter
            for number, (letter, _) in self.letters.items()
            if letter.channel == channel and number > after and thread in {None, letter.notice.thread}
        ][:most]

    async def sent(self, letter, at):
        self._may_break()
        if self.letters.pop(letter.number, None):
            self.delivered.append((letter, at))

    async def postpone(self, letter, until, error):
        self._may_break()
        if letter.number in self.letters:
            self.letters[letter.number] = (replace(letter, attempts=letter.attempts + 1), until)

    async def give_up(self, letter, at, why):
        self._may_break()
        if self.letters.pop(letter.number, None):
            self.given_up.append((letter, why))

    async def sent_since(self, channel, since):
        self._may_break()
        return sum(letter.channel == channel and at >= since for letter, at in self.delivered)

    async def backlog(self):
        self._may_break()
        held = {}
        for letter, _ in self.letters.values():
            held.setdefault(letter.channel, []).append(letter.put_at)
        return {channel: Backlog(letters=len(times), oldest=min(times)) for channel, times in held.items()}

    async def shift(self, by):
        self._may_break()
        self.letters = {
            number: (replace(letter, put_at=letter.put_at + by), next_at + by)
            for number, (letter, next_at) in self.letters.items()
        }
        self.delivered = [(letter, at + by) for letter, at in self.delivered]

    def copy(self):
        """Return what a process finds that starts now."""
        other = MemoryOutbox()
        other.letters, other.delivered, other.given_up = dict(self.letters), [*self.delivered], [*self.given_up]
        other.notices, other._came_with, other._count = dict(self.notices), dict(self._came_with), self._count
        return other

    def _may_break(self):
        if self.is_broken:
            raise JournalError("disk full")


class CountingTarget:
    """A target that counts its effects by key, and remembers which goals are reached."""

    def __init__(self):
        self.effects = Counter()
        self.is_reached = False


class ScriptedAction:
    """Do to a target what the script says, attempt by attempt.

    Args:
        target: Whom it acts on.
        script: For each attempt ``"ok"``, or an error to raise before the effect; an `UnknownOutcome` that is given as
            ``("did", error)`` is raised after it. Past its end everything is ok.
        sees: For each inspection a `Goal`; past its end whether the target has been reached.
    """

    def __init__(
        self,
        target,
        script=(),
        *,
        sees=(),
        timeout=timedelta(seconds=30),
        idempotent=False,
        inspectable=True,
        takes=None,
        lingers=False,
    ):
        self._target = target
        self._script = list(script)
        self._sees = list(sees)
        self._takes = takes
        self.timeout = timeout
        self.idempotent = idempotent
        self.inspectable = inspectable
        self.goal = "flag off"
        self.lingers = lingers
        self.calls = []
        self.did = []

    async def execute(self, call):
        self.calls.append(call)
        self.did.append("execute")
        if self._takes:
            await self._takes()
        line = self._script.pop(0) if self._script else "ok"
        if isinstance(line, Exception):
            raise line
        self._target.effects[call.key] += 1
        self._target.is_reached = True
        if isinstance(line, tuple):
            raise line[1]
        return "done"

    async def inspect(self, call):
        self.did.append("inspect")
        if self._sees:
            return self._sees.pop(0), "scripted"
        if not self.inspectable:
            return Goal.CANNOT_TELL, "there is no inspection"
        return (Goal.REACHED if self._target.is_reached else Goal.NOT_REACHED), "looked"

    async def sweep(self, call):
        self.did.append("sweep")

    async def close(self):
        """Nothing to release."""


LOST_ANSWER = ("did", UnknownOutcome("no answer"))


class Tally:
    """Telemetry that remembers what it was told."""

    def __init__(self):
        self.told = []

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *what: self.told.append((name, *what))

    def of(self, name):
        return [what for each, *what in self.told if each == name]
