"""A group ticks at once, then at its slots; whatever happens to the clock, to the loop or to a tick."""

import asyncio
import itertools
import selectors
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollback_guard.adapters.clock import SystemClock
from rollback_guard.adapters.ticker import SlotTicker
from rollback_guard.core.model import Group
from rollback_guard.core.slots import slot_at_or_before

BEGIN = datetime(2024, 5, 1, 12, 0, 1, tzinfo=UTC)
S15 = timedelta(seconds=15)


def group(name, interval=S15, offset=timedelta(seconds=4)):
    return Group(id=name, source="prometheus", interval=interval, offset=offset, rules=())


class VirtualSelector(selectors.DefaultSelector):
    """Instead of waiting for a timer, let its time come."""

    virtual_s = 0.0

    def select(self, timeout=None):
        ready = super().select(0)
        if not ready and timeout:
            # Rounded up, so that the timer that was waited for is due.
            self.virtual_s += timeout + 1e-6
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        self.virtual = VirtualSelector()
        super().__init__(self.virtual)

    def time(self):
        return self.virtual.virtual_s


class SteppableClock:
    """A wall clock that can be set, beside a steady one that can not."""

    def __init__(self, loop):
        self.loop = loop
        self.offset = timedelta(0)

    def elapsed(self):
        return timedelta(seconds=self.loop.time())

    def now(self):
        return BEGIN + self.elapsed() + self.offset

    async def sleep(self, span):
        await asyncio.sleep(span.total_seconds())


class Story:
    """A ticker in virtual time, and what it did: wall and steady time of every tick."""

    def __init__(self, monkeypatch, work=timedelta(0)):
        self.loop = asyncio.get_running_loop()
        self.clock = SteppableClock(self.loop)
        self.work = work
        self.ticks = []
        self.steps = []
        self.running = {}
        self.ticker = SlotTicker(self.tick, self.clock, self.step)

        class Wall(datetime):
            @classmethod
            def now(cls, tz=None):
                return self.clock.now().astimezone(tz)

        monkeypatch.setattr("apscheduler.schedulers.base.datetime", Wall)

    async def tick(self, name):
        assert not self.running.get(name), "two ticks of one group at the same time"
        self.running[name] = True
        self.ticks.append((name, self.clock.now(), self.clock.elapsed(), len(self.steps)))
        await asyncio.sleep(self.work.total_seconds())
        self.running[name] = False

    async def step(self, delta):
        self.steps.append(delta)

    async def live(self, span):
        await asyncio.sleep(span.total_seconds())

    def of(self, name):
        return [wall for each, wall, *_ in self.ticks if each == name]


def in_virtual_time(story):
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(story())


def on_slot(wall, interval=S15, offset=timedelta(seconds=4)):
    return wall - slot_at_or_before(wall, interval, offset) < timedelta(milliseconds=10)


def test_a_group_ticks_at_once_and_then_at_every_slot(monkeypatch):
    async def story():
        it = Story(monkeypatch)
        it.ticker.start([group("a"), group("b", timedelta(seconds=30), timedelta(seconds=29))])
        await it.live(timedelta(minutes=2))
        it.ticker.stop()
        first, *later = it.of("a")
        assert first - BEGIN < timedelta(milliseconds=10)
        assert len(later) == 8
        assert all(on_slot(wall) for wall in later)
        assert [wall.second for wall in it.of("b")[1:]] == [29, 59, 29, 59]

    in_virtual_time(story)


@pytest.mark.promise(15)
@pytest.mark.parametrize(
    "step",
    [
        timedelta(hours=-1),
        timedelta(hours=1),
        timedelta(days=3652),
        timedelta(days=-3652),
        timedelta(seconds=-3),
        timedelta(minutes=-1, milliseconds=137),
    ],
    ids=str,
)
def test_ticks_go_on_within_two_intervals_and_without_a_burst_after_the_clock_was_set(monkeypatch, step):
    async def story():
        it = Story(monkeypatch)
        groups = [group(f"g{n}", offset=timedelta(seconds=n)) for n in range(15)]
        it.ticker.start(groups)
        await it.live(timedelta(seconds=100))
        it.clock.offset += step
        at = it.clock.elapsed()
        await it.live(timedelta(seconds=100))
        it.ticker.stop()

        assert len(it.steps) == 1
        assert abs(it.steps[0] - step) < timedelta(milliseconds=10)
        for each in groups:
            moments = [steady for name, _, steady, _ in it.ticks if name == each.id]
            gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
            assert max(gaps) <= 2 * S15
            after = [(wall, told) for name, wall, steady, told in it.ticks if name == each.id and steady > at]
            assert len(after) <= 8, "a burst"
            assert all(told == 1 for _, told in after), "a tick on a clock that nobody was told about"
            assert all(on_slot(wall, S15, each.offset) for wall, _ in after)

    in_virtual_time(story)


@pytest.mark.promise(15)
@settings(max_examples=25, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, 90_000), st.integers(-4_000_000, 4_000_000)), max_size=4))
def test_no_sequence_of_steps_stops_a_group(steps):
    async def story():
        with pytest.MonkeyPatch.context() as monkeypatch:
            it = Story(monkeypatch)
            it.ticker.start([group("a")])
            for wait_ms, by_ms in steps:
                await it.live(timedelta(milliseconds=wait_ms))
                it.clock.offset += timedelta(milliseconds=by_ms)
            await it.live(timedelta(seconds=60))
            it.ticker.stop()
            moments = [steady for _, _, steady, _ in it.ticks] + [it.clock.elapsed()]
            gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
            # Each step may start the wait for a slot anew; steps too small to be told delay by at most their size.
            assert max(gaps) <= (len(steps) + 1) * (S15 + timedelta(seconds=3))

    in_virtual_time(story)


def test_slewing_is_no_step(monkeypatch):
    async def story():
        it = Story(monkeypatch)
        it.ticker.start([group("a")])
        for _ in range(600):
            it.clock.offset += timedelta(milliseconds=50)
            await it.live(timedelta(seconds=1))
        it.ticker.stop()
        assert it.steps == []
        assert len(it.of("a")) >= 40

    in_virtual_time(story)


def test_a_tick_that_overruns_is_never_doubled_and_its_slot_follows_at_once(monkeypatch):
    async def story():
        it = Story(monkeypatch, work=timedelta(seconds=20))
        it.ticker.start([group("a")])
        await it.live(timedelta(seconds=100))
        it.ticker.stop()
        gaps = [later - earlier for earlier, later in zip(it.of("a"), it.of("a")[1:], strict=False)]
        assert len(gaps) >= 4
        assert all(gap - timedelta(seconds=20) < timedelta(milliseconds=10) for gap in gaps)

    in_virtual_time(story)


def test_a_loop_that_was_blocked_for_many_intervals_ticks_once(monkeypatch):
    async def story():
        it = Story(monkeypatch)
        it.ticker.start([group("a")])
        await it.live(timedelta(seconds=20))
        before = len(it.ticks)
        it.loop.virtual.virtual_s += 600  # SIGSTOP, a debugger, a frozen machine: both clocks went on
        await it.live(timedelta(milliseconds=100))
        assert len(it.ticks) == before + 1
        await it.live(timedelta(seconds=30))
        it.ticker.stop()
        assert all(on_slot(wall) for wall in it.of("a")[before + 1 :])
        assert it.steps == []

    in_virtual_time(story)


def test_a_tick_that_fails_is_logged_and_the_group_ticks_on(monkeypatch, capsys):
    async def story():
        it = Story(monkeypatch)
        ticks = []

        async def fail(name):
            ticks.append(name)
            raise RuntimeError("out of luck")

        it.ticker = SlotTicker(fail, it.clock, it.step)
        it.ticker.start([group("a")])
        await it.live(timedelta(seconds=60))
        it.ticker.stop()
        return len(ticks)

    assert in_virtual_time(story) == 5
    logged = capsys.readouterr().out
    assert "tick_failed" in logged
    assert "out of luck" in logged


def test_ticks_go_on_even_when_nobody_can_take_the_news_of_a_step(monkeypatch, capsys):
    async def story():
        it = Story(monkeypatch)

        async def fail(delta):
            raise RuntimeError("the journal is full")

        it.ticker = SlotTicker(it.tick, it.clock, fail)
        it.ticker.start([group("a")])
        await it.live(timedelta(seconds=20))
        it.clock.offset -= timedelta(hours=1)
        before = len(it.ticks)
        await it.live(timedelta(seconds=60))
        it.ticker.stop()
        return len(it.ticks) - before

    assert in_virtual_time(story) == 4
    assert "clock_step_failed" in capsys.readouterr().out


@pytest.mark.promise(18)
def test_groups_that_a_reload_leaves_alone_keep_their_rhythm(monkeypatch):
    async def story():
        it = Story(monkeypatch)
        it.ticker.start([group("same"), group("gone"), group("changed")])
        await it.live(timedelta(seconds=40))
        it.ticks.clear()
        it.ticker.start([group("same"), group("new"), group("changed", timedelta(seconds=10), timedelta(seconds=2))])
        await it.live(timedelta(seconds=1))
        assert sorted(name for name, *_ in it.ticks) == ["changed", "new"]
        await it.live(timedelta(seconds=30))
        it.ticker.stop()
        assert it.of("gone") == []
        assert all(on_slot(wall) for wall in it.of("same"))
        assert len(it.of("same")) == 2
        assert all(on_slot(wall, timedelta(seconds=10), timedelta(seconds=2)) for wall in it.of("changed")[1:])

    in_virtual_time(story)


def test_a_reload_never_runs_a_group_beside_itself(monkeypatch):
    async def story():
        it = Story(monkeypatch, work=timedelta(seconds=5))
        it.ticker.start([group("a")])
        for n in range(10):
            await it.live(timedelta(seconds=1))
            it.ticker.start([group("a", offset=timedelta(seconds=n))])
        await it.live(timedelta(seconds=20))
        it.ticker.stop()
        assert len(it.ticks) >= 3

    in_virtual_time(story)


@pytest.mark.promise(26)
def test_stopping_ends_no_tick_that_is_under_way_and_begins_no_other(monkeypatch):
    async def story():
        it = Story(monkeypatch, work=timedelta(seconds=20))
        it.ticker.start([group("a")])
        await it.live(timedelta(seconds=16))  # a slot has come meanwhile and would follow
        it.ticker.stop()
        assert it.running["a"]
        await it.live(timedelta(seconds=100))
        assert not it.running["a"], "the tick was cut off"
        assert len(it.ticks) == 1
        it.ticker.stop()
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []

    in_virtual_time(story)


def test_it_can_be_started_again_after_a_stop(monkeypatch):
    async def story():
        it = Story(monkeypatch)
        it.ticker.start([group("a")])
        await it.live(timedelta(seconds=1))
        it.ticker.stop()
        it.ticker.start([group("a")])
        await it.live(timedelta(seconds=20))
        it.ticker.stop()
        assert len(it.ticks) == 4

    in_virtual_time(story)


def test_a_thousand_groups_tick_in_their_own_time(monkeypatch):
    async def story():
        it = Story(monkeypatch)
        it.ticker.start([group(f"g{n}", offset=timedelta(milliseconds=15 * n)) for n in range(1000)])
        await it.live(timedelta(seconds=31))
        it.ticker.stop()
        assert len(it.ticks) == pytest.approx(3067, abs=5)

    in_virtual_time(story)


async def test_with_the_clock_of_the_system_ticks_come_at_real_slots():
    clock = SystemClock()
    ticks = asyncio.Queue()

    async def tick(name):
        ticks.put_nowait(clock.now())

    async def step(delta):
        raise AssertionError(f"nobody set the clock by {delta}")

    ticker = SlotTicker(tick, clock, step)
    begun = clock.now()
    interval = timedelta(milliseconds=500)
    ticker.start([group("a", interval, timedelta(0))])
    seen = [await asyncio.wait_for(ticks.get(), 10) for _ in range(4)]
    ticker.stop()
    assert seen[0] - begun < timedelta(seconds=1)
    slots = [slot_at_or_before(wall, interval, timedelta(0)) for wall in seen[1:]]
    assert slots == sorted(set(slots)), "two ticks in one slot"
