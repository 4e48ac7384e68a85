"""Intents are carried out once, within their time, and each ends with one outcome."""

import asyncio
from datetime import timedelta

import pytest

from fakes import LOST_ANSWER, START, CountingTarget, FakeClock, HastyClock, ScriptedAction, Tally, settle
from rollback_guard.core.records import Intended, Outcome
from rollback_guard.engine.runner import LONGEST_DELAY, READ_BACK_EVERY, Runner
from rollback_guard.ports import Goal, PermanentError, TransientError, UnknownOutcome

INTENT = Intended(
    key="checkout-1-1",
    incident="checkout-1",
    guard="checkout",
    step=0,
    action="flag-off",
    goal="flag off",
    at=START,
    within=timedelta(minutes=3),
    stable_for=timedelta(minutes=1),
)
BUSY = TransientError("busy")
REFUSED = PermanentError("404")
NO_ANSWER = UnknownOutcome("no answer")
CAN_NOT_TELL, REACHED, NOT_REACHED = Goal.CANNOT_TELL, Goal.REACHED, Goal.NOT_REACHED


class Bench:
    def __init__(self, clock=None, *, jitter=1.0):
        self.clock = clock or HastyClock()
        self.telemetry = Tally()
        self.ends = []
        self.is_over = asyncio.Event()
        self.wanted = True
        self.held = False
        self.runner = Runner(
            clock=self.clock,
            telemetry=self.telemetry,
            context=lambda intent: {"guard": intent.guard},
            on_end=self._on_end,
            is_wanted=self._is_wanted,
            is_over=lambda intent: not self.wanted,
            is_held=lambda intent: self.held,
            jitter=lambda: jitter,
        )

    async def _on_end(self, concluded):
        self.ends.append(concluded)
        self.is_over.set()

    async def _is_wanted(self, intent):
        await self.clock.sleep(timedelta(hours=1))
        return self.wanted

    async def run(self, action, *, resumed=False):
        """Carry the intent out with this action; its end."""
        self.runner.use({"flag-off": action} if action else {})
        self.runner.start(INTENT, resumed=resumed)
        async with asyncio.timeout(10):
            await self.is_over.wait()
        (ended,) = self.ends
        return ended


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture
def target():
    return CountingTarget()


async def test_an_action_is_executed_read_back_and_done(bench, target):
    action = ScriptedAction(target)
    ended = await bench.run(action)
    assert (ended.outcome, ended.attempts, ended.key) == (Outcome.SUCCEEDED, 1, INTENT.key)
    assert (ended.incident, ended.guard, ended.action) == (INTENT.incident, INTENT.guard, INTENT.action)
    assert action.did == ["execute", "inspect"]
    assert action.calls[0].key == INTENT.key
    assert action.calls[0].context == {"guard": "checkout"}
    assert target.effects == {INTENT.key: 1}


async def test_every_attempt_carries_the_same_key(bench, target):
    action = ScriptedAction(target, [BUSY, BUSY])
    ended = await bench.run(action)
    assert (ended.outcome, ended.attempts) == (Outcome.SUCCEEDED, 3)
    assert {call.key for call in action.calls} == {INTENT.key}


async def test_retries_wait_longer_and_longer_but_never_too_long(bench, target):
    await bench.run(ScriptedAction(target, [BUSY] * 8, timeout=timedelta(minutes=10)))
    waits = bench.clock.slept
    assert waits == sorted(waits)
    assert waits[0] == timedelta(seconds=1)
    assert waits[-1] == LONGEST_DELAY


@pytest.mark.promise(30)
async def test_retries_are_spread_so_that_guards_do_not_come_back_together(target):
    waits = set()
    for jitter in (0.0, 0.5, 1.0):
        bench = Bench(jitter=jitter)
        await bench.run(ScriptedAction(target, [BUSY]))
        waits.add(bench.clock.slept[0])
    assert waits == {timedelta(seconds=0.5), timedelta(seconds=0.75), timedelta(seconds=1)}


async def test_a_target_that_names_its_time_is_heard(bench, target):
    await bench.run(ScriptedAction(target, [TransientError("busy", retry_after=timedelta(seconds=7))]))
    assert bench.clock.slept == [timedelta(seconds=7)]


async def test_attempts_end_within_the_time_of_the_step(bench, target):
    began = bench.clock.elapsed()
    ended = await bench.run(ScriptedAction(target, [BUSY] * 1000))
    assert ended.outcome is Outcome.FAILED
    assert bench.clock.elapsed() - began <= timedelta(seconds=30)
    assert target.effects == {}


async def test_a_target_that_names_a_time_too_far_away_has_failed(bench, target):
    ended = await bench.run(ScriptedAction(target, [TransientError("busy", retry_after=timedelta(hours=1))]))
    assert (ended.outcome, bench.clock.slept) == (Outcome.FAILED, [])


async def test_a_permanent_error_ends_it_at_once(bench, target):
    ended = await bench.run(ScriptedAction(target, [REFUSED]))
    assert (ended.outcome, ended.attempts, ended.detail) == (Outcome.FAILED, 1, "404")


async def test_a_goal_that_is_not_there_yet_is_waited_for(bench, target):
    ended = await bench.run(ScriptedAction(target, sees=[NOT_REACHED, NOT_REACHED, REACHED]))
    assert (ended.outcome, bench.clock.slept) == (Outcome.SUCCEEDED, [READ_BACK_EVERY] * 2)
    assert target.effects == {INTENT.key: 1}


async def test_a_goal_that_never_comes_is_a_failure_whatever_the_target_said(bench, target):
    ended = await bench.run(ScriptedAction(target, sees=[NOT_REACHED] * 100))
    assert ended.outcome is Outcome.FAILED
    assert "the goal is not reached" in ended.detail


@pytest.mark.promise(4)
@pytest.mark.parametrize(
    ("script", "sees", "idempotent", "outcome", "attempts", "effects"),
    [
        ([LOST_ANSWER], [], False, Outcome.SUCCEEDED, 1, 1),
        ([NO_ANSWER], [], False, Outcome.SUCCEEDED, 2, 1),
        ([NO_ANSWER], [CAN_NOT_TELL], False, Outcome.UNKNOWN, 1, 0),
        ([LOST_ANSWER], [CAN_NOT_TELL], False, Outcome.UNKNOWN, 1, 1),
        ([NO_ANSWER], [CAN_NOT_TELL], True, Outcome.SUCCEEDED, 2, 1),
        ([NO_ANSWER, REFUSED], [CAN_NOT_TELL], True, Outcome.UNKNOWN, 2, 0),
        ([NO_ANSWER, REFUSED], [NOT_REACHED], False, Outcome.FAILED, 2, 0),
        ([NO_ANSWER] * 99, [], False, Outcome.FAILED, None, 0),
        ([NO_ANSWER] * 99, [CAN_NOT_TELL] * 99, True, Outcome.UNKNOWN, None, 0),
    ],
    ids=[
        "lost answer, goal reached: done",
        "no answer, goal not reached: tried again",
        "no answer, nobody can tell: people",
        "lost answer, nobody can tell: never a second effect",
        "declared idempotent: tried again",
        "idempotent, refused after a doubtful attempt: people",
        "refused after one that certainly did nothing: failed",
        "never an answer and never reached: failed",
        "never an answer and nobody can tell: people",
    ],
)
async def test_an_unknown_outcome_is_inspected(  # noqa: PLR0917  each is a column of the table
    bench, target, script, sees, idempotent, outcome, attempts, effects
):
    ended = await bench.run(ScriptedAction(target, script, sees=sees, idempotent=idempotent))
    assert ended.outcome is outcome
    assert attempts in {None, ended.attempts}
    assert target.effects[INTENT.key] == effects


@pytest.mark.promise(4)
@pytest.mark.parametrize(
    ("reached", "sees", "idempotent", "outcome", "executed"),
    [
        (True, [], False, Outcome.SUCCEEDED, 0),
        (False, [], False, Outcome.SUCCEEDED, 1),
        (False, [CAN_NOT_TELL], False, Outcome.UNKNOWN, 0),
        (False, [CAN_NOT_TELL], True, Outcome.SUCCEEDED, 1),
    ],
    ids=["goal reached: finish", "not reached: execute", "cannot tell: people", "cannot tell but idempotent: execute"],
)
async def test_a_resumed_intent_is_swept_and_inspected_before_anything_is_done(  # noqa: PLR0917  as above
    bench, target, reached, sees, idempotent, outcome, executed
):
    target.is_reached = reached
    action = ScriptedAction(target, sees=sees, idempotent=idempotent)
    ended = await bench.run(action, resumed=True)
    assert ended.outcome is outcome
    assert action.did[:2] == ["sweep", "inspect"]
    assert action.did.count("execute") == target.effects[INTENT.key] == executed


@pytest.mark.parametrize(
    ("reached", "sees", "idempotent", "outcome"),
    [
        (True, [], False, Outcome.SUCCEEDED),
        (False, [], True, Outcome.FAILED),
        (False, [CAN_NOT_TELL], True, Outcome.UNKNOWN),
    ],
    ids=["goal reached: finish", "not reached: it did not happen", "cannot tell: people"],
)
async def test_a_resumed_intent_that_nothing_calls_for_any_more_is_not_executed(  # noqa: PLR0917  as above
    bench, target, reached, sees, idempotent, outcome
):
    target.is_reached = reached
    bench.wanted = False
    action = ScriptedAction(target, sees=sees, idempotent=idempotent)
    ended = await bench.run(action, resumed=True)
    assert ended.outcome is outcome
    assert action.calls == []


async def test_the_time_of_a_resumed_intent_begins_when_it_is_known_to_be_wanted(bench, target):
    action = ScriptedAction(target, [BUSY])
    ended = await bench.run(action, resumed=True)
    assert (ended.outcome, ended.attempts) == (Outcome.SUCCEEDED, 2)


@pytest.mark.parametrize(("resumed", "outcome"), [(False, Outcome.FAILED), (True, Outcome.UNKNOWN)])
async def test_an_action_that_is_no_longer_configured(bench, resumed, outcome):
    """One that was under way before a restart may have had its effect."""
    ended = await bench.run(None, resumed=resumed)
    assert (ended.outcome, ended.attempts) == (outcome, 0)


@pytest.mark.parametrize("place", ["execute", "inspect", "sweep"])
async def test_a_defect_in_an_action_ends_in_the_hands_of_people(bench, target, place):
    class Broken(ScriptedAction):
        async def _fail(self, call):
            raise ZeroDivisionError("secret text")

    action = Broken(target)
    setattr(action, place, action._fail)
    ended = await bench.run(action, resumed=place == "sweep")
    assert ended.outcome is Outcome.UNKNOWN
    assert ended.detail == "defect in the action: ZeroDivisionError"


async def test_an_intent_that_is_started_twice_runs_once(target):
    bench = Bench(FakeClock())
    bench.runner.use({"flag-off": ScriptedAction(target)})
    bench.runner.start(INTENT)
    bench.runner.start(INTENT, resumed=True)
    await settle()
    assert target.effects == {INTENT.key: 1}
    assert len(bench.ends) == 1


async def test_an_intent_keeps_the_action_with_which_it_began(target):
    clock = FakeClock()
    bench = Bench(clock)
    before, after = ScriptedAction(target, [BUSY]), ScriptedAction(CountingTarget())
    bench.runner.use({"flag-off": before})
    bench.runner.start(INTENT)
    await settle()
    bench.runner.use({"flag-off": after})
    await clock.advance(timedelta(seconds=2))
    assert (before.did, after.did) == (["execute", "execute", "inspect"], [])


@pytest.mark.promise(26)
async def test_a_stop_waits_for_what_is_under_way(target):
    gate = asyncio.Event()
    bench = Bench(FakeClock())
    bench.runner.use({"flag-off": ScriptedAction(target, takes=gate.wait)})
    bench.runner.start(INTENT)
    await settle()
    stopping = asyncio.create_task(bench.runner.stop(timedelta(seconds=10)))
    await settle()
    assert not stopping.done()
    gate.set()
    assert await stopping == ()
    assert [each.outcome for each in bench.ends] == [Outcome.SUCCEEDED]


@pytest.mark.promise(26)
async def test_a_stop_that_can_wait_no_longer_leaves_the_intent_open_and_says_so(target):
    bench = Bench(FakeClock())
    bench.runner.use({"flag-off": ScriptedAction(target, takes=asyncio.Event().wait)})
    bench.runner.start(INTENT)
    await settle()
    assert await bench.runner.stop(timedelta(0)) == (INTENT.key,)
    assert bench.ends == []
    assert not bench.runner.is_busy


async def test_attempts_and_inspections_are_counted(bench, target):
    await bench.run(ScriptedAction(target, [BUSY, NO_ANSWER, REFUSED], sees=[NOT_REACHED]))
    assert [result for _, result, _ in bench.telemetry.of("attempted")] == ["transient", "unknown", "failed"]
    assert bench.telemetry.of("inspected") == [["flag-off", NOT_REACHED]]


async def test_what_a_target_says_is_cut(bench, target):
    ended = await bench.run(ScriptedAction(target, [PermanentError("x" * 100_000)]))
    assert len(ended.detail) == 2000


async def test_an_attempt_is_not_repeated_once_nothing_calls_for_it(bench, target):
    bench.wanted = False
    ended = await bench.run(ScriptedAction(target, [BUSY, BUSY]))
    assert (ended.outcome, ended.attempts) == (Outcome.FAILED, 1)
    assert "nothing calls for it" in ended.detail
    assert target.effects == {}


async def test_what_may_still_be_on_its_way_is_waited_for_before_it_is_inspected(bench, target):
    action = ScriptedAction(target, lingers=True)
    began = bench.clock.now()
    await bench.run(action, resumed=True)
    assert action.did[:2] == ["sweep", "inspect"]
    assert bench.clock.slept[0] == max(timedelta(0), INTENT.at + action.timeout - began)


async def test_what_was_seen_before_a_repetition_is_told(bench, target):
    ended = await bench.run(ScriptedAction(target), resumed=True)
    assert "ended before the outcome was known; inspected: looked; executed again" in ended.detail


@pytest.mark.promise(23)
async def test_an_attempt_is_not_repeated_while_a_person_holds_it_and_is_when_that_ends(bench, target):
    action = ScriptedAction(target, [BUSY], timeout=timedelta(minutes=5))
    bench.held = True
    release_at = bench.clock.elapsed() + timedelta(seconds=30)
    bench.runner._is_held = lambda intent: bench.held and bench.clock.elapsed() < release_at
    ended = await bench.run(action)
    assert (ended.outcome, ended.attempts) == (Outcome.SUCCEEDED, 2)
    assert bench.clock.elapsed() >= release_at


@pytest.mark.promise(23)
@pytest.mark.parametrize("first", [BUSY, NO_ANSWER])
async def test_an_attempt_that_is_held_until_its_time_is_up_is_not_repeated(bench, target, first):
    bench.held = True
    ended = await bench.run(ScriptedAction(target, [first, BUSY], sees=[NOT_REACHED]))
    assert (ended.outcome, ended.attempts) == (Outcome.FAILED, 1)
    assert "held back" in ended.detail
    assert target.effects.total() == 0
