"""What people read of an action's goal is what is done in this incident, and nothing that could be taken for more."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from build import START, Film, a_group, a_guard, a_policy, a_rule, seen, slot
from rollback_guard.core.operations import Undo
from rollback_guard.core.orders import RolloutFinished, RolloutStarted
from rollback_guard.core.records import Intended, Outcome

ROLLOUT = RolloutStarted(
    rollout="r-42",
    guard="checkout",
    at=START - timedelta(minutes=1),
    until=START + timedelta(hours=1),
    by="ci",
    version="v2.0.0",
    previous_version="v1.9.3",
)
OVER = RolloutFinished(rollout="r-42", guard="checkout", at=START - timedelta(seconds=1))
BEFORE = "./rollback.sh '{{ rollout.previous_version }}'"


def acting(goal, *orders, **known):
    """A guard that acts on a breach in slot 0, after these orders."""
    policy = a_policy([a_group(a_rule())], [a_guard(actions=("rollback",))], goals={"rollback": goal}, **known)
    film = Film(policy, began=START - timedelta(minutes=2))
    film.take(orders)
    film.show(slot(0), {"g/r": seen("b")})
    return film


def goal(written, *orders):
    (intent,) = acting(written, *orders).of(Intended)
    return intent.goal


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (BEFORE, "./rollback.sh v1.9.3"),
        ("./rollback.sh '--to={{rollout.previous_version}}'", "./rollback.sh '--to=v1.9.3'"),
        ("./live.py --to '{% if rollout %}{{ rollout.previous_version }}{% endif %}'", "./live.py --to v1.9.3"),
        ("POST http://d/{{ guard.name }}/{{- rollout.version -}}/undo", "POST http://d/checkout/v2.0.0/undo"),
        ("./rollback.sh --rollout '{{ rollout.id }}' '{{ guard.name }}'", "./rollback.sh --rollout r-42 checkout"),
    ],
)
def test_what_a_goal_names_is_put_in(written, read):
    assert goal(written, ROLLOUT) == read


def test_the_incident_is_named_too():
    film = acting("POST http://d/undo?incident={{ incident.id }}")
    assert film.of(Intended)[0].goal == f"POST http://d/undo?incident={film.incident().id}"


@pytest.mark.parametrize(
    "written",
    [
        "./rollback.sh '{{ rollout.previous_version | upper }}'",
        "./rollback.sh '{% if rollout %}{{ alerts[0].rule }}{% else %}none{% endif %}'",
        "./rollback.sh '{{ action.key }}' '${file:/run/secrets/token}'",
        "./rollback.sh {{ }} {% %} '{{ rollout. }}'",
    ],
)
def test_what_needs_more_than_putting_in_stays_as_it_was_written(written):
    assert goal(written, ROLLOUT) == written


@pytest.mark.parametrize(
    "version", ["", "v1'; rm -rf /", "v1 v2", "v1\nGoal: all is well", "{{ rollout.version }}", "v" * 500]
)
def test_a_value_that_could_be_taken_for_something_else_is_not_put_in(version):
    assert goal(BEFORE, replace(ROLLOUT, previous_version=version)) == BEFORE


@pytest.mark.parametrize("orders", [(), (ROLLOUT, OVER)], ids=["none", "over before the breach"])
def test_without_a_rollout_nothing_is_made_up(orders):
    assert goal(BEFORE, *orders) == BEFORE
    assert goal("./live.py --to '{% if rollout %}{{ rollout.version }}{% endif %}'", *orders) == "./live.py --to ''"


def test_an_undo_names_the_rollout_of_what_it_takes_back_and_none_that_began_since():
    film = acting(BEFORE, ROLLOUT, undos={"rollback": "forward"})
    film.policy = replace(film.policy, goals={"forward": "./forward.sh '{{ rollout.version }}'"})
    film.conclude(Outcome.SUCCEEDED, at=slot(1))
    film.show(slot(2), {"g/r": seen("p")})
    film.show(slot(3), {"g/r": seen("p")})
    asked = Undo(by="ann", why="false alarm", incident=film.of(Intended)[0].incident)
    later = Film(film.policy)
    later.records, later.state = list(film.records), film.state
    film.operate(asked, at=slot(4))
    assert film.of(Intended)[-1].goal == "./forward.sh v2.0.0"
    later.take([replace(ROLLOUT, at=slot(4), rollout="r-43", version="v3")])
    later.operate(asked, at=slot(5))
    assert later.of(Intended)[-1].goal == "./forward.sh '{{ rollout.version }}'"
