"""Slots are the same instants in every process, and exact however far from the epoch."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_guard.core.slots import EPOCH, next_slot, slot_at_or_before, slots_between

INSTANTS = st.datetimes(
    min_value=datetime(1971, 1, 1),  # noqa: DTZ001  Hypothesis wants bounds without a zone
    max_value=datetime(2500, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
INTERVALS = st.timedeltas(min_value=timedelta(milliseconds=1), max_value=timedelta(days=2))


@st.composite
def rhythms(draw):
    interval = draw(INTERVALS)
    offset = draw(st.timedeltas(min_value=timedelta(0), max_value=interval - timedelta.resolution))
    return interval, offset


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


S15 = timedelta(seconds=15)
S4 = timedelta(seconds=4)


@pytest.mark.parametrize(
    ("now", "before", "after"),
    [
        ("2024-05-01T12:00:04", "2024-05-01T12:00:04", "2024-05-01T12:00:19"),
        ("2024-05-01T12:00:03.999999", "2024-05-01T11:59:49", "2024-05-01T12:00:04"),
        ("2024-05-01T12:00:18.999999", "2024-05-01T12:00:04", "2024-05-01T12:00:19"),
        ("1969-12-31T23:59:50", "1969-12-31T23:59:49", "1970-01-01T00:00:04"),
    ],
)
def test_a_slot_is_a_multiple_of_the_interval_plus_the_offset(now, before, after):
    assert slot_at_or_before(at(now), S15, S4) == at(before)
    assert next_slot(at(now), S15, S4) == at(after)


@given(INSTANTS, rhythms())
def test_every_instant_lies_between_its_slot_and_the_next_one(now, rhythm):
    interval, offset = rhythm
    slot = slot_at_or_before(now, interval, offset)
    assert slot <= now < slot + interval == next_slot(now, interval, offset)
    assert (slot - EPOCH - offset) % interval == timedelta(0)
    assert slot.tzinfo is UTC


@given(INSTANTS, rhythms())
def test_a_slot_is_its_own_slot(now, rhythm):
    slot = slot_at_or_before(now, *rhythm)
    assert slot_at_or_before(slot, *rhythm) == slot
    assert slot_at_or_before(slot - timedelta.resolution, *rhythm) == slot - rhythm[0]


@given(INSTANTS, rhythms(), st.integers(-3, 40), st.timedeltas(timedelta(0), timedelta(days=1)))
def test_the_slots_of_a_span_are_those_met_by_walking_through_it(after, rhythm, steps, rest):
    until = after + steps * rhythm[0] + rest % rhythm[0]
    walked = []
    slot = next_slot(after, *rhythm)
    while slot <= until:
        walked.append(slot)
        slot = next_slot(slot, *rhythm)
    assert list(slots_between(after, until, *rhythm)) == walked


@given(INSTANTS, rhythms(), st.integers(0, 30), st.integers(0, 30))
def test_two_spans_that_touch_share_no_slot_and_lose_none(after, rhythm, first, second):
    middle = after + first * rhythm[0]
    until = middle + second * rhythm[0]
    halves = [*slots_between(after, middle, *rhythm), *slots_between(middle, until, *rhythm)]
    assert halves == list(slots_between(after, until, *rhythm))


def test_ten_years_of_slots_are_counted_and_cut_without_being_made():
    slots = slots_between(at("2014-01-01T00:00:00"), at("2024-01-01T00:00:00"), timedelta(microseconds=1), timedelta(0))
    assert len(slots) == 3652 * 86_400 * 1_000_000
    assert list(slots[-2:]) == [at("2023-12-31T23:59:59.999999"), at("2024-01-01T00:00:00")]
    assert slots[0] == at("2014-01-01T00:00:00.000001")
