"""Signatures of webhooks: what was changed, is old, comes again or was made with no known key does not pass."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_guard.wire import signature
from rollback_guard.wire.signature import TOLERANCE, ReplayCache, SignatureError, sign, verify

NOW = datetime(2026, 3, 1, 10, tzinfo=UTC)
KEY, NEXT, OTHER = b"a key of this year", b"a key of next year", b"somebody else's"

pytestmark = pytest.mark.promise(39)

bodies = st.binary(max_size=200)
seconds = st.integers(min_value=-3600, max_value=3600)


def is_accepted(header, body, keys=(KEY,), now=NOW, seen=None):
    try:
        return bool(verify(header, body, keys, now, seen=seen or ReplayCache()))
    except SignatureError:
        return False


@given(body=bodies, key=st.binary(min_size=1, max_size=64))
def test_what_was_signed_is_accepted_by_whoever_has_the_key(body, key):
    assert verify(sign(body, key, NOW), body, [key], NOW, seen=ReplayCache()) == key


@given(body=bodies, off=seconds)
def test_it_is_accepted_only_within_the_tolerance_both_ways(body, off):
    header = sign(body, KEY, NOW + timedelta(seconds=off))
    assert is_accepted(header, body) == (abs(timedelta(seconds=off)) <= TOLERANCE)


@given(body=st.binary(min_size=1, max_size=100), data=st.data())
def test_one_flipped_bit_in_the_body_is_refused(body, data):
    place = data.draw(st.integers(0, len(body) * 8 - 1))
    changed = bytearray(body)
    changed[place // 8] ^= 1 << place % 8
    assert not is_accepted(sign(body, KEY, NOW), bytes(changed))


@given(body=bodies, data=st.data())
def test_one_changed_character_in_the_header_is_refused(body, data):
    header = sign(body, KEY, NOW)
    place = data.draw(st.integers(0, len(header) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda char: char != header[place]))
    assert not is_accepted(header[:place] + other + header[place + 1 :], body)


@given(body=bodies, later=st.integers(1, 300))
def test_the_time_cannot_be_changed_without_the_key(body, later):
    old = int(NOW.timestamp()) - 600
    code = sign(body, KEY, NOW - timedelta(seconds=600)).partition(",")[2]
    assert not is_accepted(f"t={old + 300 + later},{code}", body)


@given(body=bodies)
def test_every_key_that_is_active_counts_and_no_other(body):
    assert verify(sign(body, KEY, NOW), body, [NEXT, KEY], NOW, seen=ReplayCache()) == KEY
    assert verify(sign(body, NEXT, NOW), body, [NEXT, KEY], NOW, seen=ReplayCache()) == NEXT
    assert not is_accepted(sign(body, KEY, NOW), body, [NEXT])
    assert not is_accepted(sign(body, OTHER, NOW), body, [NEXT, KEY])
    assert not is_accepted(sign(body, KEY, NOW), body, [])


def test_a_body_is_read_once_for_each_key_however_many_codes_there_are(monkeypatch):
    made = []
    code = signature._code
    monkeypatch.setattr(signature, "_code", lambda *what: made.append(what) or code(*what))
    header = f"t={int(NOW.timestamp())}" + f",v1={'0' * 64}" * 4
    assert not is_accepted(header, b"body", [KEY, NEXT, OTHER])
    assert len(made) == 3


@pytest.mark.parametrize("header", ["nonsense", sign(b"body", KEY, NOW - timedelta(hours=1))])
def test_a_body_is_not_read_for_a_header_of_another_form_or_time(header, monkeypatch):
    monkeypatch.setattr(signature, "_code", lambda *what: pytest.fail("the body was read"))
    assert not is_accepted(header, b"body")


def test_an_empty_key_never_counts():
    assert not is_accepted(sign(b"body", b"", NOW), b"body", [b""])


@given(body=bodies, after=st.integers(0, 300))
def test_a_request_counts_once(body, after):
    seen, header = ReplayCache(), sign(body, KEY, NOW)
    assert is_accepted(header, body, seen=seen)
    with pytest.raises(SignatureError, match="accepted before"):
        verify(header, body, [KEY], NOW + timedelta(seconds=after), seen=seen)


def test_a_request_that_two_keys_signed_counts_once_whichever_code_is_taken_out():
    body, seen = b"{}", ReplayCache()
    one, two = sign(body, KEY, NOW), sign(body, NEXT, NOW).partition(",")[2]
    assert is_accepted(f"{one},{two}", body, [KEY, NEXT], seen=seen)
    assert not is_accepted(one, body, [KEY, NEXT], seen=seen)
    assert not is_accepted(f"{one.partition(',')[0]},{two}", body, [KEY, NEXT], seen=seen)


def test_the_memory_of_accepted_requests_is_bounded_and_empties_with_time():
    seen = ReplayCache(most=3)
    for number in range(3):
        assert is_accepted(sign(b"%d" % number, KEY, NOW), b"%d" % number, seen=seen)
    with pytest.raises(SignatureError, match="too many"):
        verify(sign(b"one more", KEY, NOW), b"one more", [KEY], NOW, seen=seen)
    later = NOW + TOLERANCE + timedelta(seconds=1)
    assert is_accepted(sign(b"one more", KEY, later), b"one more", now=later, seen=seen)
    assert seen.size == 1


def test_what_is_not_accepted_fills_no_memory():
    seen = ReplayCache()
    for number in range(10):
        assert not is_accepted(sign(b"x", OTHER, NOW), b"%d" % number, seen=seen)
    assert seen.size == 0


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "t=,v1=",
        "v1=" + "0" * 64,
        f"t=1,t=2,v1={'0' * 64}",
        f"t=-1,v1={'0' * 64}",
        f"t=\N{ARABIC-INDIC DIGIT ONE},v1={'0' * 64}",
        f"t={'9' * 5000},v1={'0' * 64}",
        "t=1" + f",v1={'0' * 64}" * 5,
        f"t=1,v1={'0' * 64}\n",
        "\x00",
    ],
)
def test_a_header_of_another_form_is_refused_in_words(header):
    with pytest.raises(SignatureError):
        verify(header, b"", [KEY], NOW, seen=ReplayCache())


@given(header=st.text(max_size=200), body=bodies)
def test_no_header_at_all_does_anything_but_be_refused(header, body):
    assert not is_accepted(header, body)
