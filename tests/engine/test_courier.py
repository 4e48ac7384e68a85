"""The courier: at least once, in order per thread, for hours if need be, and nobody waits for a channel that hangs."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from datetime import timedelta

import pytest

from fakes import START, CountingTarget, FakeClock, ScriptedAction, Tally, settle
from rollback_guard.core.notice import Notice, NoticeKind, Urgency
from rollback_guard.core.records import Intended, Outcome
from rollback_guard.engine.courier import Courier
from rollback_guard.engine.runner import Runner
from rollback_guard.ports import (
    Backlog,
    EmptyTextError,
    JournalError,
    Letter,
    PermanentError,
    TransientError,
    UnknownOutcome,
)
from rollback_guard.secret import SecretText
from rollback_guard.specs import ChannelSpec

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


class MemoryOutbox:
    """Letters in memory, as the port wants them kept.

    Attributes:
        is_broken: Whether everything is refused.
        refuses: Names of the methods that are refused.
    """

    def __init__(self):
        self.rows = {}
        self.known = set()
        self.sent_at = {}
        self.given_up = {}
        self.is_broken = False
        self.refuses = set()
        self.reads = 0

    def put(self, *notices):
        for notice in notices:
            if notice.id in self.known:
                continue
            self.known.add(notice.id)
            for channel in notice.channels:
                number = len(self.rows) + len(self.sent_at) + len(self.given_up) + 1
                letter = Letter(number=number, channel=channel, notice=notice, put_at=notice.at)
                self.rows[number] = [letter, notice.at]

    def _may(self, what):
        if self.is_broken or what in self.refuses:
            raise JournalError("disk full")

    async def due(self, now, *, most, without=()):
        self.reads += 1
        self._may("due")
        heads = {}
        for number in sorted(self.rows):
            letter, at = self.rows[number]
            if letter.channel in without:
                continue
            heads.setdefault((letter.channel, letter.notice.thread), (letter, at))
        return [letter for letter, at in heads.values() if at <= now][:most]

    async def left(self, channel, *, after, most, thread=None):
        self._may("left")
        letters = [self.rows[number][0] for number in sorted(self.rows) if number > after]
        mine = [each for each in letters if each.channel == channel and thread in {None, each.notice.thread}]
        return mine[:most]

    async def sent(self, letter, at):
        self._may("sent")
        if self.rows.pop(letter.number, None):
            self.sent_at[letter.number] = (letter.channel, at)

    async def postpone(self, letter, until, error):
        self._may("postpone")
        if letter.number in self.rows:
            known = self.rows[letter.number][0]
            self.rows[letter.number] = [replace(known, attempts=known.attempts + 1), until]

    async def give_up(self, letter, at, why):
        self._may("give_up")
        if self.rows.pop(letter.number, None):
            self.given_up[letter.number] = why

    async def sent_since(self, channel, since):
        self._may("sent_since")
        return sum(name == channel and at >= since for name, at in self.sent_at.values())

    async def backlog(self):
        found = {}
        for letter, _ in self.rows.values():
            known = found.get(letter.channel, Backlog())
            oldest = min(known.oldest or letter.notice.at, letter.notice.at)
            found[letter.channel] = Backlog(letters=known.letters + 1, oldest=oldest)
        return found

    async def shift(self, by):
        self.rows = {
            number: [replace(letter, put_at=letter.put_at + by), at + by] for number, (letter, at) in self.rows.items()
        }
        self.sent_at = {number: (channel, at + by) for number, (channel, at) in self.sent_at.items()}


class QuietChannel:
    """Take what begins with one of these; of all else its templates leave nothing."""

    def __init__(self, *ids):
        self.wanted = ids
        self.ids = []

    async def send(self, notice):
        if not notice.id.startswith(self.wanted):
            raise EmptyTextError("nothing")
        self.ids.append(notice.id)

    async def close(self):
        """Nothing to release."""


class ScriptedChannel:
    """Take notices; the script says for each attempt an error to raise, past its end all is well."""

    def __init__(self, *script, always=None):
        self.script = list(script)
        self.always = always
        self.got = []
        self.tries = []
        self.at_once = self.most_at_once = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def send(self, notice):
        self.tries.append(notice.id)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.gate.wait()
        finally:
            self.at_once -= 1
        error = self.script.pop(0) if self.script else self.always
        if isinstance(error, Exception):
            if isinstance(error, UnknownOutcome):
                self.got.append(notice)
            raise error
        self.got.append(notice)

    async def close(self):
        """Nothing to release."""

    @property
    def ids(self):
        return [notice.id for notice in self.got]


def a_notice(id_, *, thread="", at=START, kind=NoticeKind.ACTED, urgency=Urgency.INFO, channels=("slack",), **changes):
    return Notice(
        id=id_,
        thread=thread or id_,
        at=at,
        kind=kind,
        urgency=urgency,
        channels=channels,
        title=f"title of {id_}",
        body="body",
        **changes,
    )


def critical(id_, **changes):
    return a_notice(id_, **{"kind": NoticeKind.OPENED, "urgency": Urgency.CRITICAL} | changes)


class Town:
    """A courier at work, with its outbox and its channels."""

    def __init__(self, outbox=None, clock=None, jitter=lambda: 1.0, **channels):
        self.clock = clock or FakeClock()
        self.outbox = outbox or MemoryOutbox()
        self.tally = Tally()
        self.channels = channels or {"slack": ScriptedChannel()}
        self.specs = {name: self.spec(name) for name in self.channels}
        self.courier = Courier(self.outbox, clock=self.clock, telemetry=self.tally, jitter=jitter)
        self.courier.use(self.channels, self.specs)
        self.task = None

    @staticmethod
    def spec(name, **changes):
        return ChannelSpec(name=name, type="webhook", url=SecretText("http://x"), **changes)

    def configure(self, **changes):
        self.specs = {name: replace(spec, **changes) for name, spec in self.specs.items()}
        self.courier.use(self.channels, self.specs)

    async def __aenter__(self):
        self.task = asyncio.create_task(self.courier.run())
        await settle()
        return self

    async def __aexit__(self, *_):
        await self.courier.stop(timedelta(0))
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def put(self, *notices):
        self.outbox.put(*notices)
        self.courier.wake()
        await self.passes(SECOND)

    async def passes(self, span):
        await self.clock.advance(span)

    def results(self, channel="slack"):
        return [result for name, result in self.tally.of("notified") if name == channel]


async def test_a_letter_is_delivered_once_and_forgotten():
    async with Town() as town:
        await town.put(a_notice("a"))
        await town.passes(HOUR)
        assert town.channels["slack"].ids == ["a"]
        assert not town.outbox.rows
        assert town.results() == ["delivered"]


async def test_what_an_earlier_process_left_is_delivered_at_the_start():
    outbox = MemoryOutbox()
    outbox.put(a_notice("a"))
    async with Town(outbox) as town:
        await town.passes(SECOND)
        assert town.channels["slack"].ids == ["a"]


async def test_a_notice_goes_to_every_channel_it_names():
    async with Town(slack=ScriptedChannel(), pager=ScriptedChannel()) as town:
        await town.put(a_notice("a", channels=("slack", "pager")))
        assert [channel.ids for channel in town.channels.values()] == [["a"], ["a"]]


async def test_a_failure_is_tried_again_with_growing_delays_up_to_an_hour():
    down = ScriptedChannel(always=TransientError("down"))
    async with Town(slack=down) as town:
        await town.put(a_notice("a"))
        times = []
        for _ in range(10 * 3600):
            if len(down.tries) > len(times):
                times.append(town.clock.now())
            await town.passes(SECOND) if len(times) < 5 else await town.passes(10 * SECOND)
            if len(times) == 13:
                break
        gaps = [(b - a).total_seconds() for a, b in itertools.pairwise(times)]
        assert gaps[:4] == pytest.approx([5, 10, 20, 40], abs=1.5)
        assert gaps[-1] == pytest.approx(3600, abs=30)
        assert max(gaps) <= 3630


async def test_the_jitter_is_full_and_never_nothing():
    for jitter, expected in ((0.0, 1), (0.5, 2.5), (1.0, 5)):
        down = ScriptedChannel(TransientError("down"))
        town = Town(slack=down, jitter=lambda jitter=jitter: jitter)
        async with town:
            await town.put(a_notice("a"))
            (until,) = [at for _, at in town.outbox.rows.values()]
            assert (until - START).total_seconds() == pytest.approx(expected, abs=0.5)


async def test_a_receiver_may_ask_for_more_time():
    async with Town(slack=ScriptedChannel(TransientError("busy", retry_after=10 * MINUTE))) as town:
        await town.put(a_notice("a"))
        await town.passes(9 * MINUTE)
        assert town.channels["slack"].tries == ["a"]
        await town.passes(2 * MINUTE)
        assert town.channels["slack"].ids == ["a"]


async def test_order_holds_within_a_thread_and_threads_do_not_wait_for_each_other():
    slack = ScriptedChannel(TransientError("no"), TransientError("no"))
    async with Town(slack=slack) as town:
        await town.put(a_notice("1a", thread="one"), a_notice("1b", thread="one"), a_notice("2a", thread="two"))
        await town.passes(5 * MINUTE)
        assert sorted(slack.ids) == ["1a", "1b", "2a"]
        assert slack.ids.index("1a") < slack.ids.index("1b")


async def test_a_letter_that_no_receiver_takes_holds_up_only_its_own_thread():
    class Picky(ScriptedChannel):
        async def send(self, notice):
            if notice.thread == "bad":
                self.tries.append(notice.id)
                raise TransientError("400 it says")
            await super().send(notice)

    picky = Picky()
    async with Town(slack=picky) as town:
        await town.put(a_notice("bad1", thread="bad"), a_notice("bad2", thread="bad"), a_notice("good"))
        await town.passes(MINUTE)
        assert picky.ids == ["good"]
        assert "bad2" not in picky.tries


async def test_a_channel_never_works_at_two_letters_at_once():
    slack = ScriptedChannel()
    slack.gate.clear()
    async with Town(slack=slack) as town:
        await town.put(*(a_notice(f"n{number}") for number in range(5)))
        await town.put(a_notice("late"))
        slack.gate.set()
        await town.passes(MINUTE)
        assert slack.most_at_once == 1
        assert len(slack.ids) == 6


@pytest.mark.promise(41)
async def test_a_hanging_channel_delays_no_other_and_no_action():
    hanging, pager = ScriptedChannel(), ScriptedChannel()
    hanging.gate.clear()
    target, ended = CountingTarget(), []
    async with Town(slack=hanging, pager=pager) as town:

        async def on_end(concluded):
            ended.append(concluded)

        async def is_wanted(intent):
            return True

        runner = Runner(
            clock=town.clock,
            telemetry=Tally(),
            context=lambda intent: {},
            on_end=on_end,
            is_wanted=is_wanted,
            is_over=lambda intent: False,
            is_held=lambda intent: False,
        )
        runner.use({"flag-off": ScriptedAction(target)})
        await town.put(*(a_notice(f"n{number}", channels=("slack", "pager")) for number in range(300)))
        assert hanging.tries == ["n0"]
        runner.start(
            Intended(
                key="k",
                incident="i",
                guard="g",
                step=0,
                action="flag-off",
                goal="off",
                at=START,
                within=MINUTE,
                stable_for=MINUTE,
            )
        )
        before = town.clock.now()
        await settle()
        assert [each.outcome for each in ended] == [Outcome.SUCCEEDED]
        assert town.clock.now() == before
        town.configure(max_per_hour=1000)
        await town.passes(10 * MINUTE)
        assert len(pager.ids) == 300
        assert hanging.got == []


async def test_many_threads_of_a_dead_channel_do_not_hide_the_letters_of_another():
    down, pager = ScriptedChannel(always=TransientError("down")), ScriptedChannel()
    async with Town(slack=down, pager=pager) as town:
        await town.put(*(a_notice(f"n{number}") for number in range(1000)))
        await town.put(critical("fire", channels=("pager",)))
        await town.passes(2 * MINUTE)
        assert pager.ids == ["fire"]


async def test_a_dead_channel_is_tried_once_a_minute_however_many_letters_wait():
    down = ScriptedChannel(always=TransientError("down"))
    async with Town(slack=down) as town:
        await town.put(*(a_notice(f"n{number}") for number in range(500)))
        await town.passes(10 * MINUTE)
        tried = len(down.tries)
        await town.passes(10 * MINUTE)
        assert 5 <= len(down.tries) - tried <= 12


async def test_after_a_day_it_gives_up_and_says_so():
    down = ScriptedChannel(always=TransientError("down"))
    async with Town(slack=down) as town:
        await town.put(a_notice("a"))
        for _ in range(26):
            await town.passes(HOUR)
        assert list(town.outbox.given_up.values()) == ["down"]
        assert town.results()[-1] == "given_up"


async def test_what_waited_longer_than_that_while_nobody_ran_is_tried_before_it_is_given_up():
    outbox = MemoryOutbox()
    outbox.put(a_notice("a", at=START - timedelta(days=3)))
    async with Town(outbox) as town:
        await town.passes(SECOND)
        assert town.channels["slack"].ids == ["a"]


async def test_a_permanent_error_is_given_up_at_once_and_the_next_letter_goes():
    slack = ScriptedChannel(PermanentError("no such webhook"))
    async with Town(slack=slack) as town:
        await town.put(a_notice("a"), a_notice("b"))
        assert list(town.outbox.given_up.values()) == ["no such webhook"]
        assert slack.ids == ["b"]
        assert town.results() == ["given_up", "delivered"]


async def test_what_a_channel_has_no_words_for_is_forgotten_counted_and_takes_no_room_in_its_hour():
    async with Town(slack=QuietChannel("news")) as town:
        town.configure(max_per_hour=2)
        for number in range(6):
            await town.put(a_notice(f"quiet{number}"))
        await town.put(a_notice("news1"), a_notice("news2"))
        assert town.channels["slack"].ids == ["news1", "news2"]
        assert not town.outbox.rows
        assert town.results() == ["empty"] * 6 + ["delivered"] * 2


async def test_what_is_urgent_and_has_no_words_is_not_tried_again():
    async with Town(slack=QuietChannel("news")) as town:
        town.courier.urgent(a_notice("trouble"))
        town.courier.urgent(a_notice("news"))
        await town.passes(MINUTE)
        assert town.channels["slack"].ids == ["news"]
        assert town.results() == ["empty", "delivered"]


@pytest.mark.parametrize("make", [a_notice, critical])
async def test_where_a_channel_has_no_words_for_many_at_once_they_come_one_by_one(make):
    async with Town(slack=QuietChannel("news")) as town:
        town.configure(max_per_hour=5)
        await town.put(*(make(f"{'quiet' if number % 2 else 'news'}{number}") for number in range(30)))
        for _ in range(24):
            await town.passes(10 * MINUTE)
        assert sorted(town.channels["slack"].ids) == sorted(f"news{number}" for number in range(0, 30, 2))
        assert not town.outbox.rows
        assert town.results().count("empty") < 15 + 24, "the digest is not tried in a loop"


@pytest.mark.promise(40)
async def test_what_may_have_arrived_is_sent_again_under_the_same_id():
    slack = ScriptedChannel(UnknownOutcome("no answer"))
    async with Town(slack=slack) as town:
        await town.put(a_notice("a"))
        await town.passes(MINUTE)
        assert slack.ids == ["a", "a"]
        assert town.results() == ["unknown", "delivered"]


@pytest.mark.promise(40)
async def test_what_was_sent_and_not_marked_before_a_crash_is_sent_again_under_the_same_id():
    outbox, slack = MemoryOutbox(), ScriptedChannel()
    outbox.refuses.add("sent")
    async with Town(outbox, slack=slack) as town:
        await town.put(a_notice("a"))
        assert slack.ids == ["a"]
    outbox.refuses.clear()
    async with Town(outbox, slack=slack) as town:
        await town.passes(SECOND)
    assert slack.ids == ["a", "a"]
    assert not outbox.rows


async def test_while_the_journal_cannot_hear_that_it_was_sent_nothing_is_sent_twice():
    outbox, slack = MemoryOutbox(), ScriptedChannel()
    outbox.refuses.add("sent")
    async with Town(outbox, slack=slack) as town:
        await town.put(a_notice("a"), a_notice("b"))
        await town.passes(10 * MINUTE)
        assert slack.ids == ["a"]
        outbox.refuses.clear()
        await town.passes(MINUTE)
        assert slack.ids == ["a", "b"]
        assert not outbox.rows


async def test_an_outbox_that_fails_is_asked_again_later_and_not_in_a_loop():
    async with Town() as town:
        town.outbox.is_broken = True
        before = town.outbox.reads
        await town.put(a_notice("a"))
        await town.passes(10 * MINUTE)
        assert town.outbox.reads - before <= 130
        town.outbox.is_broken = False
        await town.passes(MINUTE)
        assert town.channels["slack"].ids == ["a"]


async def test_an_idle_courier_hardly_looks():
    async with Town() as town:
        before = town.outbox.reads
        await town.passes(10 * MINUTE)
        assert town.outbox.reads - before <= 25


async def test_being_woken_all_the_time_it_looks_a_few_times_a_second():
    async with Town() as town:
        before = town.outbox.reads
        for _ in range(1000):
            town.courier.wake()
            await town.passes(timedelta(milliseconds=10))
        assert town.outbox.reads - before <= 45


async def test_what_is_urgent_is_delivered_while_the_journal_fails():
    async with Town() as town:
        town.outbox.is_broken = True
        town.courier.urgent(a_notice("trouble", kind=NoticeKind.TROUBLE))
        town.courier.urgent(a_notice("trouble", kind=NoticeKind.TROUBLE))
        await town.passes(SECOND)
        assert town.channels["slack"].ids == ["trouble"]


async def test_what_is_urgent_is_delivered_while_a_letter_waits_to_be_marked():
    async with Town() as town:
        town.outbox.refuses.add("sent")
        await town.put(a_notice("a"))
        town.courier.urgent(a_notice("trouble", kind=NoticeKind.TROUBLE))
        await town.passes(10 * SECOND)
        assert town.channels["slack"].ids == ["a", "trouble"]


async def test_what_is_urgent_is_tried_again():
    slack = ScriptedChannel(TransientError("no"), TransientError("no"))
    async with Town(slack=slack) as town:
        town.courier.urgent(a_notice("trouble"))
        await town.passes(MINUTE)
        assert slack.ids == ["trouble"]


async def test_letters_of_a_channel_that_is_gone_are_given_up_loudly():
    async with Town() as town:
        await town.put(a_notice("a", channels=("pager",)), a_notice("b"))
        assert list(town.outbox.given_up.values()) == ["the configuration has no such channel any more"]
        assert town.results("pager") == ["given_up"]
        assert town.channels["slack"].ids == ["b"]


async def test_after_a_reload_letters_go_through_the_new_channel_at_once():
    down, mended = ScriptedChannel(always=TransientError("down")), ScriptedChannel()
    async with Town(slack=down) as town:
        await town.put(*(a_notice(f"n{number}") for number in range(3)))
        town.courier.use({"slack": mended}, town.specs)
        await town.passes(SECOND)
        assert mended.ids == ["n1", "n2"]  # the first one has been postponed
        await town.passes(MINUTE)
        assert mended.ids == ["n1", "n2", "n0"]


async def test_a_defect_in_a_channel_stops_nobody():
    slack = ScriptedChannel(ZeroDivisionError())
    async with Town(slack=slack) as town:
        await town.put(a_notice("a"))
        await town.passes(MINUTE)
        assert slack.ids == ["a"]


async def test_stopping_waits_for_what_is_under_way_and_leaves_the_rest():
    slack = ScriptedChannel()
    town = Town(slack=slack)
    town.task = asyncio.create_task(town.courier.run())
    slack.gate.clear()
    await town.put(a_notice("a"), a_notice("b"))
    stopping = asyncio.create_task(town.courier.stop(timedelta(seconds=30)))
    await settle()
    slack.gate.set()
    await stopping
    await town.passes(MINUTE)
    await town.task
    left = [letter.notice.id for letter, _ in town.outbox.rows.values()]
    assert slack.ids[0] == "a"
    assert sorted(slack.ids + left) == ["a", "b"]


async def test_stopping_ends_a_letter_that_hangs():
    slack = ScriptedChannel()
    slack.gate.clear()
    async with Town(slack=slack) as town:
        await town.put(a_notice("a"))
        await town.courier.stop(timedelta(milliseconds=50))
        assert slack.at_once == 0
        assert len(town.outbox.rows) == 1


async def test_above_the_limit_letters_are_held_back_and_told_as_one():
    async with Town() as town:
        town.configure(max_per_hour=5)
        await town.put(*(a_notice(f"n{number}") for number in range(42)))
        await town.passes(10 * MINUTE)
        slack = town.channels["slack"]
        assert len(slack.ids) == 5
        await town.passes(HOUR)
        assert len(slack.ids) == 6
        digest = slack.got[-1]
        assert digest.title.startswith("37 more notices were held back")
        assert "title of n" in digest.body
        assert not town.outbox.rows
        assert town.results().count("held_back") == 36


async def test_a_flapping_rule_in_one_thread_is_held_back_to_its_end():
    async with Town() as town:
        town.configure(max_per_hour=5)
        await town.put(*(a_notice(f"n{number}", thread="one") for number in range(42)))
        await town.passes(10 * MINUTE)
        await town.passes(HOUR)
        slack = town.channels["slack"]
        assert slack.ids[:5] == [f"n{number}" for number in range(5)]
        assert len(slack.ids) == 6
        assert slack.got[-1].title.startswith("37 more")
        assert not town.outbox.rows


async def test_a_new_fire_is_told_while_others_are_held_back():
    async with Town() as town:
        town.configure(max_per_hour=5)
        await town.put(*(a_notice(f"n{number}") for number in range(20)))
        await town.put(critical("fire"))
        assert town.channels["slack"].ids[-1] == "fire"


def handed_over(id_, **changes):
    return critical(id_, kind=NoticeKind.HANDED_OVER, **changes)


@pytest.mark.parametrize("thread", ["", "inc"])
async def test_what_resolves_an_incident_is_never_swallowed(thread):
    async with Town() as town:
        town.configure(max_per_hour=2)
        await town.put(*(a_notice(f"n{number}", thread=thread) for number in range(20)))
        await town.put(a_notice("over", thread=thread, resolves=True))
        for _ in range(8):
            await town.passes(20 * MINUTE)
        assert "over" in town.channels["slack"].ids
        assert not town.outbox.rows


async def test_people_are_called_at_once_also_behind_what_is_held_back_in_the_same_incident():
    async with Town() as town:
        town.configure(max_per_hour=4)
        await town.put(*(a_notice(f"n{number}") for number in range(6)))
        await town.put(
            critical("opened", thread="inc"),
            a_notice("running", thread="inc", kind=NoticeKind.ACTING),
            handed_over("people", thread="inc"),
        )
        slack = town.channels["slack"]
        assert slack.ids[4:] == ["opened", "people"]
        assert "Held back before this:" in slack.got[-1].body
        assert "title of running" in slack.got[-1].body
        await town.put(a_notice("late", thread="inc"), a_notice("over", thread="inc", resolves=True))
        assert slack.ids[6:] == ["over"]
        await town.passes(2 * HOUR)
        assert slack.ids[7:] == ["held_back/slack/5"]
        assert not town.outbox.rows
        assert sorted(town.outbox.given_up.values()) == [
            "held back, and told in held_back/slack/5",
            "held back, and told in over",
            "held back, and told in people",
        ]


async def test_pressing_letters_of_one_incident_keep_their_order():
    async with Town() as town:
        town.configure(max_per_hour=1)
        await town.put(a_notice("n"), a_notice("begun", thread="inc"))
        await town.put(*(critical(f"level{number}", thread="inc") for number in range(3)))
        assert town.channels["slack"].ids == ["n", "level0", "level1", "level2"]


async def test_what_presses_behind_others_and_fails_is_tried_again_within_a_minute_and_in_its_place():
    async with Town() as town:
        town.configure(max_per_hour=1)
        await town.put(a_notice("n"), a_notice("begun", thread="inc"))
        slack = town.channels["slack"]
        slack.script = [TransientError("down")] * 3
        await town.put(handed_over("people", thread="inc"))
        assert slack.ids == ["n"]
        assert [letter.notice.id for letter, _ in town.outbox.rows.values()] == ["begun", "people"]
        await town.passes(MINUTE)
        assert slack.ids == ["n", "people"]


async def test_a_letter_that_no_receiver_takes_does_not_keep_other_fires_from_the_reserve():
    class Picky(ScriptedChannel):
        async def send(self, notice):
            if notice.id == "bad":
                raise TransientError("400 it says")
            await super().send(notice)

    async with Town(slack=Picky()) as town:
        town.configure(max_per_hour=1)
        await town.put(a_notice("n"), a_notice("x", thread="one"), handed_over("bad", thread="one"))
        await town.put(a_notice("y", thread="two"), handed_over("good", thread="two"))
        await town.passes(MINUTE)
        assert town.channels["slack"].ids == ["n", "good"]


async def test_every_fire_beyond_the_reserve_is_named_and_what_resolves_it_comes_by_itself():
    long = "x" * 150
    async with Town() as town:
        town.configure(max_per_hour=8)
        fires = [
            replace(critical(f"fire{number}", thread=f"t{number}"), title=f"{number}! {long}") for number in range(60)
        ]
        await town.put(*fires, a_notice("over", thread="t50", resolves=True))
        for _ in range(30):
            await town.passes(10 * MINUTE)
        slack = town.channels["slack"]
        told = "\n".join(f"{notice.title}\n{notice.body}" for notice in slack.got)
        assert all(f"{notice.title}" in told for notice in fires)
        assert slack.ids[-1] == "over"
        assert max(len(notice.body) for notice in slack.got) < 3500
        assert not town.outbox.rows


async def test_a_full_hour_of_one_channel_hides_no_letter_of_another():
    async with Town(slack=ScriptedChannel(), pager=ScriptedChannel()) as town:
        town.configure(max_per_hour=1)
        await town.put(*(a_notice(f"n{number}") for number in range(600)))
        await town.put(handed_over("fire", channels=("pager",)))
        assert town.channels["pager"].ids == ["fire"]


async def test_the_end_of_an_order_does_not_use_up_the_reserve():
    async with Town() as town:
        town.configure(max_per_hour=1)
        await town.put(*(a_notice(f"n{number}", kind=NoticeKind.ORDERED, resolves=True) for number in range(20)))
        await town.put(handed_over("fire"))
        assert town.channels["slack"].ids == ["n0", "fire"]


async def test_what_nobody_foresaw_in_the_outbox_ends_no_notice_for_good():
    async with Town() as town:
        due, odd = town.outbox.due, [ZeroDivisionError("an odd row")] * 3

        async def raising(now, **asked):
            if odd:
                raise odd.pop()
            return await due(now, **asked)

        town.outbox.due = raising
        await town.put(critical("a"))
        town.courier.urgent(critical("trouble"))
        await town.passes(SECOND)
        assert town.channels["slack"].ids == ["trouble"]
        await town.passes(MINUTE)
        assert not town.task.done()
        assert town.channels["slack"].ids == ["trouble", "a"]


async def test_what_nobody_foresaw_in_the_courier_itself_ends_no_notice_for_good(monkeypatch):
    async with Town() as town:
        breaks = [ZeroDivisionError("a defect")] * 3
        dispatch = town.courier._dispatch

        def raising(letters):
            if breaks:
                raise breaks.pop()
            dispatch(letters)

        monkeypatch.setattr(town.courier, "_dispatch", raising)
        await town.put(critical("a"))
        await town.passes(MINUTE)
        assert town.channels["slack"].ids == ["a"]


async def test_a_defect_in_a_desk_is_tried_again_after_a_rest_and_not_in_a_loop():
    async with Town() as town:
        tries = []

        async def raising(channel, since):
            tries.append(since)
            raise ZeroDivisionError("a defect")

        kept, town.outbox.sent_since = town.outbox.sent_since, raising
        await town.put(critical("a"))
        await town.passes(MINUTE)
        assert 2 <= len(tries) <= 13
        town.outbox.sent_since = kept
        await town.passes(MINUTE)
        assert town.channels["slack"].ids == ["a"]


async def test_a_reload_that_takes_a_channel_away_while_the_outbox_is_read_stops_nobody():
    async with Town(slack=ScriptedChannel(), pager=ScriptedChannel(always=TransientError("down"))) as town:
        due = town.outbox.due

        async def reloading(now, **asked):
            letters = await due(now, **asked)
            town.courier.use({"slack": town.channels["slack"]}, town.specs)
            return letters

        town.outbox.due = reloading
        await town.put(*(a_notice(f"n{number}", channels=("pager",)) for number in range(300)), critical("a"))
        await town.passes(10 * SECOND)
        assert not town.task.done()
        assert town.channels["slack"].ids == ["a"]


async def test_a_clock_that_is_set_back_silences_nobody():
    slack = ScriptedChannel(TransientError("503"))
    async with Town(slack=slack) as town:
        town.configure(max_per_hour=2)
        await town.put(critical("opened", thread="inc"))
        town.clock.step(-HOUR)
        await town.outbox.shift(-HOUR)
        await town.put(handed_over("people", thread="inc", at=town.clock.now()))
        await town.passes(MINUTE)
        assert slack.ids == ["opened", "people"]
        town.clock.step(-HOUR)
        await town.outbox.shift(-HOUR)
        await town.put(a_notice("more", at=town.clock.now()))
        await town.passes(61 * MINUTE)
        assert slack.ids == ["opened", "people", "more"]


async def test_a_clock_that_is_set_ahead_gives_nothing_up():
    slack = ScriptedChannel(*[TransientError("503")] * 3)
    async with Town(slack=slack) as town:
        await town.put(a_notice("a"))
        town.courier.urgent(a_notice("trouble"))
        town.clock.step(48 * HOUR)
        await town.outbox.shift(48 * HOUR)
        await town.passes(5 * MINUTE)
        assert sorted(slack.ids) == ["a", "trouble"]


async def test_even_fires_are_bounded_and_the_rest_of_them_told_as_one():
    async with Town() as town:
        town.configure(max_per_hour=8)
        await town.put(*(critical(f"fire{number}") for number in range(100)))
        await town.passes(10 * MINUTE)
        assert len(town.channels["slack"].ids) == 8 + 3
        await town.passes(HOUR)
        assert town.channels["slack"].got[11].title.startswith("89 more")
        assert town.channels["slack"].got[11].urgency is Urgency.CRITICAL
        assert not town.outbox.rows


async def test_the_limit_survives_a_restart():
    outbox = MemoryOutbox()
    first = Town(outbox)
    async with first:
        first.configure(max_per_hour=5)
        await first.put(*(a_notice(f"n{number}") for number in range(5)))
    async with Town(outbox, clock=first.clock) as town:
        town.configure(max_per_hour=5)
        await town.put(a_notice("more"))
        assert town.channels["slack"].ids == []


async def test_a_single_letter_that_was_held_back_is_sent_as_it_is():
    async with Town() as town:
        town.configure(max_per_hour=5)
        await town.put(*(a_notice(f"n{number}") for number in range(6)))
        for _ in range(7):
            await town.passes(10 * MINUTE)
        assert town.channels["slack"].ids == [f"n{number}" for number in range(6)]


async def test_a_digest_that_fails_is_tried_again_and_nothing_of_it_is_lost():
    async with Town() as town:
        town.configure(max_per_hour=5)
        await town.put(*(a_notice(f"n{number}") for number in range(42)))
        slack = town.channels["slack"]
        slack.script = [TransientError("down")] * 3
        await town.passes(HOUR)
        assert len(slack.ids) == 5
        assert len(town.outbox.rows) == 37
        await town.passes(10 * MINUTE)
        assert slack.got[-1].title.startswith("37 more")
        assert not town.outbox.rows
