"""What a label says stays one argument, and nothing ever reads it as a command, an option list or a template."""

from __future__ import annotations

import json
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollback_guard.adapters.actions import registry
from rollback_guard.ports import Call, PermanentError

HOSTILE = [
    "plain",
    'it\'s "quoted"',
    "$(touch pwned)",
    "`touch pwned`",
    "; touch pwned; #",
    "two\nlines\r\nthree",
    "--flag",
    "-rf",
    "a b\tc",
    "*",
    "~root",
    "$HOME ${HOME} %s %(x)s {0}",
    "${file:/etc/passwd}",
    "${env:PATH}",
    "{{ 7*7 }}",
    "{% for x in range(9) %}x{% endfor %}",
    "{{ guard.__class__.__mro__ }}",
    "\\",
    "",
    "ünï ☃ \U0001f600",
    "\x1b[31m",
]

RECORD = "import json, os, sys; json.dump([sys.argv[1:], dict(os.environ)], open('record', 'w'))"


def action(directory, command, **table):
    settings = registry.settings_types()["exec"].model_validate({"type": "exec", "command": command, **table})
    return registry.build("rollback", settings, clock=None, telemetry=None, directory=directory)


def call(value, key="args-1"):
    alerts = [{"labels": {"job": value, "items": "of the label"}}]
    return Call(key=key, context={"guard": {"name": "checkout"}, "incident": {"id": "i1"}, "alerts": alerts})


@pytest.mark.promise(32)
async def test_hostile_label_values_arrive_as_the_arguments_they_are(tmp_path):
    for value in HOSTILE:
        rollback = action(
            tmp_path,
            [sys.executable, "-c", RECORD, "{{ alerts[0].labels.job }}", "--job={{ alerts[0].labels.job }}", "last"],
            env={"JOB": "{{ alerts[0].labels.job }}"},
        )

        await rollback.execute(call(value))

        argv, environ = json.loads((tmp_path / "record").read_text())
        assert argv == [value, f"--job={value}", "last"]
        assert environ["JOB"] == value
        assert json.loads(environ["ROLLBACK_GUARD_ALERTS"])[0]["labels"]["job"] == value
    assert not (tmp_path / "pwned").exists()


@pytest.mark.promise(32)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.text(max_size=60))
async def test_any_text_is_one_argument(tmp_path, value):
    rollback = action(tmp_path, [sys.executable, "-SEc", RECORD, "{{ alerts[0].labels.job }}", "last"])

    await rollback.execute(call(value))

    argv, _ = json.loads((tmp_path / "record").read_text())
    assert argv == [value.replace("\0", "\N{REPLACEMENT CHARACTER}"), "last"]


@pytest.mark.promise(32)
async def test_a_command_is_not_read_by_a_shell(tmp_path):
    rollback = action(tmp_path, ["echo", "$HOME", "&&", "touch", "pwned", "*"])

    assert await rollback.execute(call("x")) == "$HOME && touch pwned *"
    assert not (tmp_path / "pwned").exists()


async def test_a_label_named_like_a_method_is_still_a_label(tmp_path):
    assert await action(tmp_path, ["echo", "{{ alerts[0].labels.items }}"]).execute(call("x")) == "of the label"


async def test_half_of_a_surrogate_pair_does_not_stop_a_rollback(tmp_path):
    assert await action(tmp_path, ["echo", "{{ alerts[0].labels.job }}"]).execute(call("\ud800!")) == "?!"


async def test_a_million_alerts_do_not_stop_a_rollback(tmp_path):
    alerts = [{"labels": {"pod": f"checkout-{number}", "note": "ü" * 500}} for number in range(5000)]
    rollback = action(tmp_path, [sys.executable, "-c", RECORD])

    await rollback.execute(Call(key="k", context={"alerts": alerts}))

    _, environ = json.loads((tmp_path / "record").read_text())
    shown = json.loads(environ["ROLLBACK_GUARD_ALERTS"])
    assert 0 < len(shown) < 5000
    assert shown == alerts[: len(shown)]
    assert environ["ROLLBACK_GUARD_ALERTS_COUNT"] == "5000"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{ guard.name", "template, line 1"),
        ("{% if guard %}", "template, line 1"),
        ("{{ incidnt.id }}", "unknown name 'incidnt'"),
        ("{{ incident.nope }}", "unknown member 'incident.nope'"),
        ("{{ alerts[0]['labls'] }}", "unknown member 'alerts.labls'"),
        ("{{ deployment.previous }}", "unknown name 'deployment'"),
        ("{{ range(9) }}", "unknown name 'range'"),
        ("{{ guard.name | nosuchfilter }}", "nosuchfilter"),
        ("{% include 'x' %}", "include is not allowed"),
        ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "nested too deeply"),
        ("${file:/run/token}", "put it into env"),
    ],
)
def test_a_text_that_cannot_work_is_refused_when_it_is_loaded(text, words):
    with pytest.raises(ValueError, match="validation error") as caught:
        registry.settings_types()["exec"].model_validate({"type": "exec", "command": ["echo", text]})

    assert words in str(caught.value)


def test_a_template_is_not_computed_when_it_is_loaded():
    text = "{{ 9**9**9**9 }}{{ 'x' * 99999999999 }}{{ 'x'|center(99999999999) }}"

    loaded = registry.settings_types()["exec"].model_validate({"type": "exec", "command": ["echo", text]})

    assert str(loaded.command[1]) == text


@pytest.mark.parametrize(
    ("table", "place"),
    [
        ({"command": []}, ("command",)),
        ({"command": "rm -rf x"}, ("command",)),
        ({"command": ["{{ guard.name }}"]}, ("command",)),
        ({"command": ["true"], "timeout": 5}, ("timeout",)),
        ({"command": ["true"], "timeout": "5"}, ("timeout",)),
        ({"command": ["true"], "timeout": "0s"}, ("timeout",)),
        ({"command": ["true"], "tiemout": "5s"}, ("tiemout",)),
        ({"command": ["true"], "env": {"ROLLBACK_GUARD_KEY": "x"}}, ("env", "ROLLBACK_GUARD_KEY", "[key]")),
        ({"command": ["true"], "env": {"A=B": "x"}}, ("env", "A=B", "[key]")),
        ({"command": ["true"], "inspect": ["{{ x }}"]}, ("inspect", "command", 0)),
        ({"command": ["true"], "idempotent": "yes"}, ("idempotent",)),
    ],
)
def test_a_wrong_setting_is_refused_at_its_place(table, place):
    with pytest.raises(ValueError, match="validation error") as caught:
        registry.settings_types()["exec"].model_validate({"type": "exec", **table})

    assert [error["loc"] for error in caught.value.errors()] == [place]


@pytest.mark.parametrize("text", ["{{ guard.__class__ }}", "{{ alerts.append(1) }}", "{{ 1 / 0 }}", "{{ alerts[7] }}"])
async def test_a_template_that_fails_is_a_permanent_error(tmp_path, text):
    with pytest.raises(PermanentError, match="template"):
        await action(tmp_path, ["echo", text]).execute(call("x"))


async def test_a_template_that_grows_without_end_is_stopped(tmp_path):
    text = (
        "{% for a in alerts %}{% for b in alerts %}{% for c in alerts %}xxxxxxxxxx{% endfor %}{% endfor %}{% endfor %}"
    )

    with pytest.raises(PermanentError, match="longer than"):
        await action(tmp_path, ["echo", text]).execute(Call(key="k", context={"alerts": [1] * 1000}))
