"""What is written comes back as it was, and nothing else is taken for a record."""

import dataclasses
import math
import typing
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollback_guard.adapters.journal.codec import decode, encode
from rollback_guard.core import records
from rollback_guard.core.alert import Alert
from rollback_guard.core.model import Phase
from rollback_guard.ports import JournalError

KINDS = typing.get_args(records.Record)
AT = datetime(2024, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)

st.register_type_strategy(datetime, st.datetimes(timezones=st.just(UTC)))


def plain(value):
    """Return the record as nested tuples that compare exactly: types too, and NaN equal to NaN."""
    if dataclasses.is_dataclass(value):
        return type(value), tuple(plain(getattr(value, each.name)) for each in dataclasses.fields(value))
    if isinstance(value, tuple):
        return tuple(plain(each) for each in value)
    if isinstance(value, float):
        return float, value.hex()
    if isinstance(value, datetime):
        return datetime, value.isoformat()
    return type(value), value


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_of_record_comes_back_exactly(kind):
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.from_type(kind))
    def comes_back(record):
        row = encode(record)
        assert plain(decode(row.body)) == plain(record)
        assert row.kind == record.kind

    comes_back()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308, 0.1 + 0.2])
def test_every_float_comes_back_exactly(value):
    transition = records.Transition(
        rule="g/r", series=(), before=Phase.INACTIVE, after=Phase.PENDING, because=records.Because.BREACHED, value=value
    )
    decoded = decode(encode(records.Evaluated(group="g", slot=AT, transitions=(transition,))).body)
    assert plain(decoded.transitions[0].value) == plain(value)


def test_times_come_back_aware_and_to_the_microsecond():
    record = records.ClockStepped(at=AT, by=timedelta(days=-3652, microseconds=1))
    decoded = decode(encode(record).body)
    assert decoded == record
    assert decoded.at.utcoffset() == timedelta(0)


def test_the_searchable_columns_are_those_of_the_record():
    opened = records.IncidentOpened(incident="c-1", guard="c", at=AT, breached_at=AT, rules=("g/r",))
    assert (encode(opened).at, encode(opened).kind, encode(opened).incident) == (
        "2024-05-01T12:00:00.123456+00:00",
        "incident_opened",
        "c-1",
    )
    evaluated = encode(records.Evaluated(group="g", slot=AT))
    assert (evaluated.at, evaluated.incident) == ("2024-05-01T12:00:00.123456+00:00", None)


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ('{"kind": "teleported", "at": "2024-05-01T12:00:00Z"}', "teleported"),
        ('{"at": "2024-05-01T12:00:00Z"}', "kind"),
        ('{"kind": "stopped", "at": "2024-05-01T12:00:00Z", "mood": "good"}', "mood"),
        ('{"kind": "stopped"}', "at"),
        ('{"kind": "stopped", "at": "yesterday"}', "at"),
        ('{"kind": "stopped", "at', "JSON"),
        ("[]", ""),
    ],
)
def test_what_this_version_does_not_know_is_refused_by_name(body, names):
    with pytest.raises(JournalError) as caught:
        decode(body)
    assert names in str(caught.value)


def test_an_unknown_field_deep_inside_is_refused_too():
    alert = Alert(rule="g/r", series=(), labels=(), phase=Phase.PENDING, active_at=AT)
    body = encode(records.Evaluated(group="g", slot=AT, alerts=(alert,))).body
    with pytest.raises(JournalError, match=r"alerts\.0\.omen"):
        decode(body.replace('"rule":"g/r"', '"rule":"g/r","omen":1'))


def test_a_record_that_could_not_be_read_back_is_refused():
    with pytest.raises(JournalError, match="group"):
        encode(records.Evaluated(group=None, slot=AT))


def test_half_a_character_from_outside_blocks_no_record():
    record = records.Concluded(
        key="k", incident="i", guard="g", action="a", at=AT, outcome=records.Outcome.FAILED, detail="cut \ud83d off"
    )
    assert decode(encode(record).body).detail == "cut ? off"
