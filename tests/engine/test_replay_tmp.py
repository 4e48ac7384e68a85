"""A replay is the loop without its world: the same film gives the same records, second for second."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from build import START, a_group, a_guard, a_policy, a_rule, a_step, minutes, seen, slot
from engine_world import World
from fakes import LOST
from rollback_guard.core.model import (
    PROBE,
    AlreadyBad,
    Approval,
    Armed,
    Blindness,
    BlindPolicy,
    Level,
    Limits,
    Otherwise,
    Storm,
)
from rollback_guard.core.observation import Observation
from rollback_guard.core.operations import Approve, FinishRollout, Pause, Refused, Resume, StartRollout, Veto
from rollback_guard.core.records import Concluded, Decided, Escalated, Evaluated, Intended, Outcome, Rewound, Started
from rollback_guard.engine.replay import Ending, Replay

SECOND = timedelta(seconds=1)
BEGAN = START


def lost(group):
    return {rule.id: Observation(measured=LOST) for rule in group.rules}


class Live:
    """A loop that is driven second by second, with actions that end as they are told to."""

    def __init__(self, policy, said, ending, *, outages=()):
        self.world = World(policy, said)
        self.world.clock.jump_to(BEGAN)
        self.ending = ending
        self.outages = outages
        self.open = []
        self.started = []

    def start(self, intent, *, resumed=False):
        ending = self.ending(intent)
        self.open.append((intent.at + ending.takes, intent, ending))

    async def play(self, slots, orders):
        self.world.doer = self
        await self.world.start()
        now = BEGAN
        while now <= slots[-1]:
            self.world.clock.jump_to(now)
            self.world.source.is_cut = any(first <= now < last for first, last in self.outages)
            for at, asked in orders:
                if at == now:
                    await self._turn(now)
                    await self._operate(asked)
            await self._turn(now)
            if now in slots:
                for group in self.world.policy.groups:
                    await self._turn(now)
                    await self.world.loop.tick(group)
                await self._turn(now)
            now += SECOND
        return [record for record in await self.world.journal.read() if is_compared(record)]

    async def _turn(self, now):
        """Let end what ends now, and let the clock do what it does."""
        while True:
            while any(at <= now for at, _, _ in self.open):
                due = min(self.open, key=lambda each: each[0])
                self.open.remove(due)
                await self.world.loop.conclude(concluded(due[1], due[2], now))
            await self.world.loop.attend(())
            if not any(at <= now for at, _, _ in self.open):
                return

    async def _operate(self, asked):
        await self.world.loop.operate(asked)


def concluded(intent, ending, at):
    return Concluded(
        key=intent.key,
        incident=intent.incident,
        guard=intent.guard,
        action=intent.action,
        at=at,
        outcome=ending.outcome,
        attempts=1,
        detail=ending.detail,
    )


def is_compared(record):
    """Say whether a record tells of more than that a slot passed without anything new."""
    if isinstance(record, Evaluated):
        return bool(record.alerts or record.transitions or record.sights or record.missed)
    return not isinstance(record, Started)


def replayed(policy, said, ending, slots, orders, *, outages=()):
    records = []
    replay = Replay(policy, began=BEGAN, ending=ending, heard=records.extend)

    def observe(group, at):
        if any(first <= replay.now < last for first, last in outages):
            return lost(group)
        return {rule.id: said(rule, at) for rule in group.rules}

    waiting = sorted(orders, key=lambda order: order[0])
    for at in slots:
        while waiting and waiting[0][0] <= at:
            when, asked = waiting.pop(0)
            replay.operate(asked, at=when)
        for group in policy.groups.values():
            replay.show(group, at, observe)
    replay.advance(slots[-1])
    return [record for record in records if is_compared(record)]


@st.composite
def policies(draw):
    rules = [a_rule("r", hold=draw(st.sampled_from([0, 1, 2]))), a_rule("s", keep=draw(st.sampled_from([0, 1])))]
    other = a_rule("t", group="h")
    approve = draw(
        st.sampled_from([None, Approval(within=timedelta(seconds=95), otherwise=draw(st.sampled_from(Otherwise)))])
    )
    steps = (
        a_step("flag-off", within=2, stable_for=1, approve=approve),
        a_step("rollback", within=3, stable_for=1, timeout=timedelta(seconds=20)),
    )[: draw(st.integers(1, 2))]
    guards = [
        replace(
            a_guard("checkout", rules=["g/r", "g/s"]),
            playbook=steps,
            limits=Limits(max_actions=draw(st.integers(1, 3)), cooldown=minutes(draw(st.integers(0, 3)))),
            veto=timedelta(seconds=draw(st.sampled_from([0, 37]))),
            armed=draw(st.sampled_from(Armed)),
            window=minutes(8),
            warm_up=minutes(draw(st.integers(0, 2))),
            already_bad=draw(st.sampled_from(AlreadyBad)),
            blind=Blindness(after=minutes(2), do=draw(st.sampled_from(BlindPolicy))),
            escalate=(Level(after=timedelta(seconds=150), notify=("lead",)), Level(after=minutes(5), notify=("boss",))),
        ),
        a_guard("search", rules=["h/t"]),
    ]
    return a_policy(
        [a_group(*rules), a_group(other, id="h")],
        guards,
        storm=Storm(guards=draw(st.integers(1, 3)), within=minutes(5)),
    )


letters = st.text(alphabet="bbbbpppnaqs", min_size=14, max_size=14)


def scripted(films):
    def said(rule, at):
        number = (at - START) // timedelta(minutes=1)
        film = films[rule.name]
        return seen(film[number] if 0 <= number < len(film) else "p")

    return said


ENDINGS = st.builds(
    Ending,
    outcome=st.sampled_from([Outcome.SUCCEEDED, Outcome.SUCCEEDED, Outcome.FAILED, Outcome.UNKNOWN]),
    takes=st.sampled_from([timedelta(0), 7 * SECOND, 61 * SECOND, 150 * SECOND]),
)
ORDERS = st.lists(
    st.tuples(
        st.integers(0, 800).map(lambda seconds: START + seconds * SECOND),
        st.sampled_from(
            [
                StartRollout(by="ci", guard="checkout", rollout="one", version="v2"),
                FinishRollout(by="ci", guard="checkout"),
                Pause(by="ann", why="look", guard="checkout", lasting=timedelta(seconds=100)),
                Resume(by="ann", guard="checkout"),
                Veto(by="ann", guard="checkout", why="no"),
                Approve(by="ann", guard="checkout"),
            ]
        ),
    ),
    max_size=4,
    unique_by=lambda order: order[0],
)


@settings(max_examples=500, deadline=None)
@given(
    policy=policies(),
    films=st.fixed_dictionaries({"r": letters, "s": letters, "t": letters}),
    endings=st.fixed_dictionaries({"flag-off": ENDINGS, "rollback": ENDINGS}),
    orders=ORDERS,
    outage=st.sampled_from([(), ((slot(3), slot(6)),), ((START + 200 * SECOND, START + 310 * SECOND),)]),
)
def test_a_replay_concludes_what_the_loop_concludes(policy, films, endings, orders, outage):
    slots = [slot(number) for number in range(14)]
    said = scripted(films)

    def ending(intent):
        return endings[intent.action]

    live = asyncio.run(Live(policy, said, ending, outages=outage).play(slots, sorted(orders, key=lambda it: it[0])))
    assert replayed(policy, said, ending, slots, orders, outages=outage) == live


def a_replay(policy, **endings):
    records = []
    ending = lambda intent: endings.get(intent.action.replace("-", "_"), Ending())  # noqa: E731
    return Replay(policy, began=START, ending=ending, heard=records.extend), records


def shown(replay, first, film, *, group="g"):
    for number, letter in enumerate(film, start=first):
        told = {rule.id: seen(letter) for rule in replay.policy.groups[group].rules}
        replay.show(replay.policy.groups[group], slot(number), lambda group, at, told=told: told)


def told(records, kind, of):
    return [of(record) for record in records if isinstance(record, kind)]


def test_countdowns_end_between_two_slots_and_not_at_the_next_one():
    guard = a_guard(veto=timedelta(seconds=37))
    replay, records = a_replay(a_policy([a_group(a_rule())], [guard]))
    shown(replay, 0, "bb")
    assert told(records, Intended, lambda it: it.at) == [slot(0) + 37 * SECOND]


def test_levels_of_escalation_are_called_at_their_time():
    guard = a_guard(escalate=(Level(after=timedelta(0), notify=("a",)), Level(after=90 * SECOND, notify=("b",))))
    replay, records = a_replay(a_policy([a_group(a_rule())], [guard]), flag_off=Ending(outcome=Outcome.UNKNOWN))
    shown(replay, 0, "bbbb")
    assert told(records, Escalated, lambda it: (it.level, it.at)) == [(1, slot(0)), (2, slot(0) + 90 * SECOND)]


def test_an_action_ends_when_it_is_told_to():
    replay, records = a_replay(a_policy([a_group(a_rule())], [a_guard()]), flag_off=Ending(takes=90 * SECOND))
    shown(replay, 0, "bb")
    assert told(records, Concluded, lambda it: it.at) == []
    shown(replay, 2, "p")
    assert told(records, Concluded, lambda it: it.at) == [slot(0) + 90 * SECOND]


def test_what_an_outage_hid_is_read_back_and_nothing_is_taken_back_where_nothing_can_be_read():
    policy = a_policy([a_group(a_rule(hold=2))], [a_guard()])
    for looks_back in (True, False):
        replay, records = a_replay(policy)
        for number in range(6):

            def observe(group, at, number=number, looks_back=looks_back):
                if number in (1, 2):
                    return lost(group)
                return {rule.id: seen("b") for rule in group.rules} if looks_back or at == slot(number) else {}

            replay.show(policy.groups["g"], slot(number), observe)
        fired = [record.slot for record in records if isinstance(record, Evaluated) for each in record.transitions]
        assert told(records, Rewound, lambda it: it.slot) == ([slot(0)] if looks_back else [])
        assert fired[-1] == (slot(2) if looks_back else slot(4))


def test_a_refused_order_says_why_and_changes_nothing():
    replay, records = a_replay(a_policy([a_group(a_rule())], [a_guard()]))
    before = replay.state
    assert isinstance(replay.operate(FinishRollout(by="ci", guard="checkout"), at=slot(1)), Refused)
    assert replay.state.guards == before.guards
    assert told(records, Decided, lambda it: it.reason) == []


@pytest.mark.parametrize("source", ["prometheus", PROBE])
def test_a_slot_that_was_shown_is_not_shown_again(source):
    policy = a_policy([a_group(a_rule(), source=source)], [a_guard()])
    replay, records = a_replay(policy)
    shown(replay, 0, "p")
    count = len(records)
    shown(replay, 0, "b")
    assert len(records) == count
