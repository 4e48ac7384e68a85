"""State is the fold of the journal's records, and of nothing else."""

from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from typing import get_args

import pytest

from build import START, Film, a_group, a_guard, a_policy, a_rule, a_step, answered, minutes, seen, series, slot
from rollback_guard.adapters.journal.codec import decode, encode
from rollback_guard.core import step as core
from rollback_guard.core.fold import fold, fold_all, shift
from rollback_guard.core.model import Approval, Level, Otherwise, Storm
from rollback_guard.core.operations import (
    Acknowledge,
    Approve,
    Extend,
    FinishRollout,
    Pause,
    Report,
    StartRollout,
    Trigger,
    Undo,
    Veto,
)
from rollback_guard.core.records import (
    ClockStepped,
    Decided,
    IncidentOpened,
    MaintenanceChanged,
    Outcome,
    Record,
    Signal,
    Stopped,
    Window,
)
from rollback_guard.core.state import ACTIONS_REMEMBERED, INCIDENTS_REMEMBERED, IncidentPhase, State

TOLD_ONLY = {"configured_at", "last", "acknowledged_at", "ended_at", "closed_at", "starts_at"}
"""When something was, for people; no span is counted from it."""


def times(value, path=()):
    """Return every time in a value, by the path to it."""
    if isinstance(value, datetime):
        return {path: value}
    if is_dataclass(value):
        parts = ((each.name, getattr(value, each.name)) for each in fields(value))
    elif isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, tuple):
        parts = enumerate(value)
    else:
        return {}
    return {place: at for name, part in parts for place, at in times(part, (*path, name)).items()}


def a_full_state():
    """Return a state in which every time is set somewhere."""
    groups = [
        a_group(a_rule("keeps", keep=60), a_rule("pends", hold=60), a_rule("fires"), id="g"),
        a_group(a_rule("blind", group="h"), id="h"),
    ]
    guards = [
        a_guard("one", ["g/keeps"], stable_for=30),
        a_guard("two", ["g/fires"], within=1, actions=("flag-off",)),
        a_guard("three", ["h/blind"]),
        a_guard("four", ["g/keeps"], veto=minutes(90)),
    ]
    film = Film(a_policy(groups, guards, undos={"flag-off": "flag-on"}))
    film.show(slot(0), {"g/keeps": seen("b"), "g/pends": answered(a=2.0, b=2.0), "g/fires": seen("b")})
    film.conclude(Outcome.SUCCEEDED, at=slot(0), guard="one")
    film.conclude(Outcome.UNKNOWN, at=slot(0), guard="two")
    film.show(slot(1), {"g/keeps": seen("p"), "g/pends": answered(a=2.0), "g/fires": seen("b")})
    film.show(slot(1), {"h/blind": seen("p")}, group="h")
    film.show(slot(2), {"h/blind": seen("u")}, group="h")
    film.operate(Pause(by="ann", why="look", guard="three", lasting=minutes(9)), at=slot(2))
    film.operate(StartRollout(by="ci", guard="three"), at=slot(2))
    film.operate(Acknowledge(by="ann", incident=film.incident("two").id), at=slot(2))
    signal = Signal(guard="three", name="Leak", labels=(), firing=True, starts_at=slot(0))
    film.operate(Report(by="am", signals=(signal,)), at=slot(2))
    return film.state


def test_a_set_clock_moves_every_time_from_which_a_span_is_counted():
    state, by = a_full_state(), timedelta(minutes=17)
    before, after = times(state), times(fold(state, ClockStepped(at=START, by=by)))
    assert before.keys() == after.keys()
    names = {next(part for part in reversed(path) if isinstance(part, str)) for path in before}
    assert names >= {
        "started_at",
        "slot",
        "active_at",
        "fired_at",
        "unknown_since",
        "blind_since",
        "passing_since",
        "since",
        "until",
        "opened_at",
        "breached_at",
        "acted_at",
        "rested_at",
        "concluded_at",
        "heard_at",
    }
    assert {"waiting", "rollout", "pauses"} <= {part for path in before for part in path}
    assert any("before_outage" in path for path in before)
    for path, at in before.items():
        moved = timedelta(0) if TOLD_ONLY & set(path) else by
        assert after[path] - at == moved, path


def test_a_rollout_that_is_over_keeps_its_times():
    film = Film(a_policy([a_group(a_rule())], [a_guard()]))
    film.operate(StartRollout(by="ci", guard="checkout"), at=slot(0))
    film.operate(FinishRollout(by="ci", guard="checkout"), at=slot(1))
    rollout = film.state.guards["checkout"].rollout
    assert shift(film.state, minutes(5)).guards["checkout"].rollout == rollout


def test_a_closed_incident_keeps_its_times():
    film = Film(a_policy([a_group(a_rule())], [a_guard()]))
    film.show(slot(0), {"g/r": seen("b")})
    film.conclude(Outcome.SUCCEEDED, at=slot(0))
    for number in (1, 2):
        film.show(slot(number), {"g/r": seen("p")})
    (incident,) = film.state.incidents.values()
    assert incident.phase is IncidentPhase.CLOSED
    assert shift(film.state, minutes(5)).incidents == film.state.incidents


def test_closed_incidents_are_forgotten_after_the_newest_hundred():
    film = Film(a_policy([a_group(a_rule())], [a_guard(warm_up=minutes(10_000))]))
    for number in range(INCIDENTS_REMEMBERED + 20):
        film.show(slot(2 * number), {"g/r": seen("b")})
        film.show(slot(2 * number + 1), {"g/r": seen("p")})
    closed = [each for each in film.state.incidents.values() if each.phase is IncidentPhase.CLOSED]
    assert len(closed) == INCIDENTS_REMEMBERED + 1
    assert closed[-1].id == film.of(IncidentOpened)[-1].incident


def test_only_as_many_actions_are_remembered_as_any_limit_can_ask_for():
    film = Film(a_policy([a_group(a_rule())], [a_guard()]))
    for number in range(ACTIONS_REMEMBERED + 5):
        film.show(slot(100 * number), {"g/r": seen("b")})
        film.conclude(Outcome.SUCCEEDED, at=slot(100 * number))
        for later in (1, 2):
            film.show(slot(100 * number + later), {"g/r": seen("p")})
    assert len(film.state.guards["checkout"].acted_at) == ACTIONS_REMEMBERED


def test_a_stop_changes_nothing():
    state = a_full_state()
    assert fold(state, Stopped(at=START)) is state


def a_film_of_everything():
    """Return a film in which every kind of record stands."""
    ask = Approval(within=minutes(5), otherwise=Otherwise.SKIP)
    steps = (a_step("", notify=("dba",)), a_step("flag-off", approve=ask), a_step("rollback", timeout=minutes(2)))
    level = Level(after=minutes(1), notify=("lead",))
    guards = [
        a_guard("one", ["g/a", "g/b"], playbook=steps, escalate=(level,), window=minutes(9)),
        a_guard("two", ["g/c"], playbook=(a_step(rules=("g/a",)),)),
    ]
    rules = [a_rule("a", labels=series(team="x")), a_rule("b"), a_rule("c", keep=5)]
    film = Film(a_policy([a_group(*rules)], guards, undos={"flag-off": "flag-on"}, storm=Storm(guards=9)))

    def show(at, a, b, c):
        film.show(slot(at), {"g/a": seen(a), "g/b": seen(b), "g/c": seen(c)})

    film.operate(StartRollout(by="ci", guard="one", version="42"), at=slot(0))
    film.take((MaintenanceChanged(at=slot(0), windows=(Window(name="night", until=slot(0), guards=("two",)),)),))
    signal = Signal(guard="one", name="Leak", labels=series(shard="a"), firing=True, starts_at=slot(0))
    film.operate(Report(by="am", signals=(signal,)), at=slot(0))
    show(0, "b", "p", "b")
    film.conclude(Outcome.SUCCEEDED, at=slot(0), guard="two")
    show(1, "p", "b", "n")
    film.attend(at=slot(1))
    film.operate(Acknowledge(by="ann", incident=film.incident("one").id, why="mine"), at=slot(1))
    for at in range(2, 5):
        show(at, "p", "b", "b")
    film.operate(Extend(by="ann", guard="one", lasting=minutes(1)), at=slot(4))
    film.operate(Pause(by="ann", why="look", guard="one", lasting=minutes(1)), at=slot(4))
    film.operate(Approve(by="ann", guard="one"), at=slot(4))
    show(5, "p", "b", "b")
    film.attend(at=slot(5))
    film.conclude(Outcome.SUCCEEDED, at=slot(5), guard="one")
    film.set_clock(minutes(1), at=slot(6))
    film.operate(Trigger(by="ann", why="leak", guard="one", step="rollback"), at=slot(6))
    film.operate(Veto(by="ann", why="enough", guard="one"), at=slot(6))
    film.conclude(Outcome.FAILED, at=slot(6), guard="one")
    film.operate(Undo(by="ann", why="false alarm", incident=film.incident("one").id), at=slot(7))
    film.take(core.rewind(film.state, "g", now=slot(7)))
    show(7, "u", "u", "u")
    film.take(core.rewind(film.state, "g", now=slot(8)))
    for at in range(8, 20):
        show(at, "p", "p", "p")
    film.attend(at=slot(20))
    film.take((Stopped(at=slot(20), open_intents=("it",)),))
    return film


def test_a_journal_tells_the_same_as_the_records_that_were_written_to_it():
    film = a_film_of_everything()
    assert {each.kind for each in film.records} == {
        field.default for kind in get_args(Record) for field in fields(kind) if field.name == "kind"
    }
    read_back = [decode(encode(each).body) for each in film.records]
    assert read_back == film.records
    assert fold_all(State(), read_back) == film.state


def test_the_state_is_the_fold_of_the_records_at_every_one_of_them():
    film = a_film_of_everything()
    state = State()
    for number, record in enumerate(film.records, start=1):
        state = fold(state, record)
        assert state == fold_all(State(), film.records[:number])
    assert state == film.state


def test_folding_in_two_parts_is_folding_at_once():
    film = Film(a_policy([a_group(a_rule(hold=2))], [a_guard()]))
    for number, letter in enumerate("bbubpbb"):
        film.show(slot(number), {"g/r": seen(letter)})
    for cut in range(len(film.records)):
        half = fold_all(State(), film.records[:cut])
        assert fold_all(half, film.records[cut:]) == film.state


@pytest.mark.parametrize("group", ["g", "h"])
def test_a_reload_forgets_the_groups_that_are_gone(group):
    film = Film(a_policy([a_group(a_rule("r", group=each), id=each) for each in "gh"]))
    for each in "gh":
        film.show(slot(0), {f"{each}/r": seen("b")}, group=each)
    film.reload(a_policy([a_group(a_rule("r", group=group), id=group)]), at=slot(1))
    assert set(film.state.groups) == {group}
    assert film.of(Decided) == []
