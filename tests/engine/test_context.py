"""What actions are told is what their templates may ask for."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from build import START, Film, a_group, a_guard, a_policy, a_rule, seen, slot
from rollback_guard.adapters.actions.template import MEMBERS, Text
from rollback_guard.core.orders import RolloutFinished, RolloutStarted
from rollback_guard.core.records import Intended
from rollback_guard.engine.context import context_of
from rollback_guard.ports import PermanentError

ROLLOUT = RolloutStarted(
    rollout="r-42",
    guard="checkout",
    at=START - timedelta(minutes=1),
    until=START + timedelta(hours=1),
    by="ci",
    version="42",
    previous_version="41",
)
FINISHED = RolloutFinished(rollout="r-42", guard="checkout", at=START - timedelta(seconds=1))
BEFORE = Text.parse("{{ rollout.previous_version }}")


def acting(*orders) -> Film:
    """A guard that acts on a breach in slot 0, after these orders."""
    film = Film(a_policy([a_group(a_rule())], [a_guard()]), began=START - timedelta(minutes=2))
    film.take(orders)
    film.show(slot(0), {"g/r": seen("b")})
    return film


def told(film: Film, **changes):
    return context_of(replace(film.of(Intended)[0], **changes), film.policy, film.state)


def test_the_context_of_an_intent_has_exactly_the_members_that_templates_know():
    context = told(acting(ROLLOUT))
    assert context.keys() == MEMBERS.keys()
    assert {name: frozenset(value[0] if name == "alerts" else value) for name, value in context.items()} == dict(
        MEMBERS
    )


def test_a_step_rolls_back_to_the_version_before_the_rollout_under_way():
    assert BEFORE.fill(told(acting(ROLLOUT))) == "41"


@pytest.mark.parametrize(
    "orders",
    [(), (ROLLOUT, FINISHED), (replace(ROLLOUT, previous_version=""),)],
    ids=["none", "over before the breach", "without a version before"],
)
def test_without_a_rollout_nothing_is_rolled_back_to_a_version_without_a_name(orders):
    with pytest.raises(PermanentError, match="nothing is known of 'previous_version'; is a rollout under way"):
        BEFORE.fill(told(acting(*orders)))


def test_a_template_may_ask_whether_there_is_a_rollout():
    text = Text.parse("{% if rollout %}{{ rollout.version }}{% else %}none{% endif %}")
    assert text.fill(told(acting(ROLLOUT))) == "42"
    assert text.fill(told(acting())) == "none"
    assert Text.parse("{{ rollout.version | default('?') }}").fill(told(acting())) == "?"


def test_a_rollout_that_ends_while_its_incident_is_open_is_still_the_one_to_roll_back():
    film = acting(ROLLOUT)
    film.take([replace(FINISHED, at=slot(1))])
    assert BEFORE.fill(told(film, at=slot(2))) == "41"


def test_an_undo_is_told_what_it_takes_back_and_nothing_of_a_rollout_that_began_since():
    film = acting(ROLLOUT)
    (intent,) = film.of(Intended)
    film.take([replace(ROLLOUT, at=slot(5), rollout="r-43", version="43", previous_version="42")])
    context = told(film, key=f"{intent.key}-undo", undoes=intent.key, at=slot(6), by="alice", why="false alarm")
    assert context["action"]["undoes"] == intent.key
    assert (context["incident"]["by"], context["incident"]["why"]) == ("alice", "false alarm")
    assert context["rollout"] == {}
