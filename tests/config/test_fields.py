"""Each kind of value reads one notation and says what it refuses."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import TypeAdapter, ValidationError

from rollback_guard.config import fields
from rollback_guard.config.scalars import Plain, plain_data, resolve
from rollback_guard.config.settings import split_listen


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("FALSE", False),
        ("12", 12),
        ("-3", -3),
        ("0o17", 15),
        ("0x1f", 31),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-.inf", float("-inf")),
        ("nothing", "nothing"),
        ("1h", "1h"),
        ("0b1", "0b1"),
        ("1_000", "1_000"),
        ("2026-01-01", "2026-01-01"),
        ("yes", "yes"),
        ("012", 12),
    ],
)
def test_plain_scalars_are_resolved_as_yaml_1_2_does(text, value):
    found = plain_data(resolve(text))
    assert found == value
    assert type(found) is type(value) or isinstance(found, str)


def test_not_a_number_is_a_number():
    assert plain_data(resolve(".nan")) != plain_data(resolve(".nan"))


@pytest.mark.parametrize("text", ["yes", "No", "ON", "off", "12:30:00", "1:20", "190:20:30.15"])
def test_what_yaml_1_1_reads_otherwise_is_remembered(text):
    found = resolve(text)
    assert isinstance(found, Plain)
    assert found.trap


@pytest.mark.parametrize("text", ["true", "null", "12", "host:8080", "10.0.0.1:80", "yesterday", "a:1"])
def test_what_all_readers_read_alike_is_no_trap(text):
    assert not getattr(resolve(text), "trap", "")


def read(kind, value):
    return TypeAdapter(kind).validate_python(value)


def refused(kind, value):
    with pytest.raises(ValidationError) as caught:
        read(kind, value)
    (flaw,) = caught.value.errors()[0]["ctx"]["flaws"]
    return flaw.id, flaw.message


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (fields.Duration, "1h30m", timedelta(hours=1, minutes=30)),
        (fields.Duration, 0, timedelta(0)),
        (fields.Duration, resolve("0"), timedelta(0)),
        (fields.Flag, resolve("true"), True),
        (fields.Flag, False, False),
        (fields.LabelText, resolve("1.10"), "1.10"),
        (fields.LabelText, resolve(""), ""),
        (fields.Url, "https://[::1]:8080/x?y=1", "https://[::1]:8080/x?y=1"),
    ],
)
def test_a_value_is_read(kind, value, expected):
    assert read(kind, value) == expected


@pytest.mark.parametrize(
    ("kind", "value", "id_", "message"),
    [
        (fields.Duration, 5, "duration-unit", "the duration 5 has no unit"),
        (fields.Duration, resolve("1.5"), "duration-unit", "the duration 1.5 has no unit"),
        (fields.Duration, "5", "duration-unit", 'duration "5" has no unit'),
        (fields.Duration, True, "wrong-type", "expected a duration such as `90s`, found the boolean true"),
        (fields.Duration, ["5s"], "wrong-type", "expected a duration such as `90s`, found a list"),
        (
            fields.Duration,
            resolve("1:30"),
            "yaml-bool",
            "`1:30` is a base-60 number to some YAML readers and text to others",
        ),
        (fields.Duration, "2y", "bad-duration", "`2y` is longer than a year"),
        (fields.PositiveDuration, "0s", "bad-duration", "this duration must be longer than zero"),
        (fields.Flag, "true", "wrong-type", "expected true or false, found a text"),
        (fields.Flag, resolve("1"), "wrong-type", "expected true or false, found the number 1"),
        (fields.Text, 1, "wrong-type", "expected a text, found the number 1"),
        (fields.Text, resolve(""), "wrong-type", "expected a text, found nothing"),
        (fields.Url, "http://", "bad-url", "this is no http or https URL"),
        (fields.Url, "http://host:99999", "bad-url", "this is no URL: Port out of range 0-65535"),
        (fields.Url, "http://a b/", "bad-url", "this is no http or https URL"),
        (fields.Url, "http://u@h/", "secret-in-url", "the URL holds a user name or password"),
        (
            fields.Regex,
            "aaa(",
            "bad-regex",
            "the regular expression is not valid: missing ): aaa(",
        ),
    ],
)
def test_a_value_is_refused_in_plain_words(kind, value, id_, message):
    assert refused(kind, value) == (id_, message)


@pytest.mark.parametrize(
    ("listen", "expected"),
    [("127.0.0.1:9876", ("127.0.0.1", 9876)), ("[::1]:0", ("::1", 0)), ("guard.internal:80", ("guard.internal", 80))],
)
def test_an_address_is_split(listen, expected):
    assert split_listen(listen) == expected


@pytest.mark.parametrize(
    "listen", ["9876", ":9876", "host:", "host:65536", "::1:80", "host:80x", "host:" + "9" * 5000, "h:²"]
)
def test_what_is_no_address_is_refused(listen):
    with pytest.raises(ValueError, match=r"host:port|brackets"):
        split_listen(listen)
