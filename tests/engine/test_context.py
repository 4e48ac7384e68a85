"""What actions are told is what their templates may ask for."""

from __future__ import annotations

from build import Film, a_group, a_guard, a_policy, a_rule, seen, slot
from rollback_guard.adapters.actions.template import MEMBERS
from rollback_guard.core.records import Intended
from rollback_guard.engine.context import context_of


def test_the_context_of_an_intent_has_exactly_the_members_that_templates_know():
    film = Film(a_policy([a_group(a_rule())], [a_guard()]))
    film.show(slot(0), {"g/r": seen("b")})
    told = context_of(film.of(Intended)[0], film.policy, film.state)
    assert told.keys() == MEMBERS.keys()
    assert {name: frozenset(value[0] if name == "alerts" else value) for name, value in told.items()} == dict(MEMBERS)
