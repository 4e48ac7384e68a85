"""Words that stand in several places are made in one."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_guard.core import wording
from rollback_guard.core.model import Otherwise
from rollback_guard.core.records import Reason, Wait

AT = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)


@given(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=("Cs",))))
def test_a_name_is_one_argument_of_a_shell_whatever_is_in_it(name):
    assert shlex.split(wording.argument(name)) == [name]


def test_a_plain_name_is_not_quoted():
    assert wording.argument("checkout-eu.1") == "checkout-eu.1"
    assert wording.argument("it's $(rm -rf /)") == "'it'\"'\"'s $(rm -rf /)'"


def test_a_time_of_another_day_comes_with_its_date():
    assert wording.moment(AT, AT) == "10:00:00"
    assert wording.moment(AT.replace(day=2), AT) == "2026-03-02 10:00:00"


def test_a_rollout_that_is_called_by_its_version_is_called_so_once():
    assert wording.rollout("r-42", "42") == "r-42 of version 42"
    assert wording.rollout("v2.0.0", "v2.0.0") == "v2.0.0"
    assert wording.rollout("r-42", "") == "r-42"


@pytest.mark.parametrize("otherwise", Otherwise)
def test_every_way_in_which_waiting_may_end_has_words_of_its_own(otherwise):
    said = {wording.awaited(Wait.APPROVAL, each) for each in Otherwise}
    assert len(said) == len(Otherwise)
    assert wording.awaited(Wait.VETO, otherwise) not in said


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_is_a_clause_that_follows_because(reason):
    clause = wording.why(reason)
    assert clause[0].islower()
    assert not clause.endswith(".")
    assert wording.to_do(reason, "an-action", "a goal").endswith(".")
