"""The page about the command line knows every verb, every exit code and every option of an order, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from rollback_guard.cli import VERBS, main
from rollback_guard.core.operations import Refusal

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()

ORDERS = ("ack", "veto", "extend", "approve", "pause", "resume", "trigger", "undo", "rollout")


def commands_of(verb):
    command = main.get_command(click.Context(main), verb)
    inner = getattr(command, "commands", {})
    return {f"{verb} {name}": each for name, each in inner.items()} or {verb: command}


EVERY = {name: command for verb in VERBS for name, command in commands_of(verb).items()}


def test_every_verb_is_on_the_page_and_no_other():
    table = PAGE.partition("## Exit codes")[0]
    named = {
        verb
        for line in table.splitlines()
        if line.startswith("| `")
        for verb in re.findall(r"`([a-z ]+)`", line.split("|")[1])
    }
    assert named == set(EVERY)


@pytest.mark.parametrize("verb", [name for name in EVERY if name.split()[0] in ORDERS])
def test_every_option_of_an_order_is_on_the_page(verb):
    options = {
        name
        for each in EVERY[verb].params
        if isinstance(each, click.Option)
        for name in each.opts
        if name.startswith("--")
    }
    assert {name for name in options if name not in PAGE} == set()


def test_every_option_on_the_page_is_one():
    known = {name for command in EVERY.values() for each in command.params for name in each.opts}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", PAGE)) <= known | {"--help"}


def test_every_variable_on_the_page_is_read_and_every_one_that_is_read_is_on_the_page():
    read = {each.envvar for command in EVERY.values() for each in command.params if each.envvar}
    assert set(re.findall(r"\bROLLBACK_GUARD_\w+", PAGE)) == read | {"ROLLBACK_GUARD_TOKEN"}


def test_every_refusal_of_a_brake_is_on_the_page():
    mistakes = {Refusal.NO_SUCH_GUARD, Refusal.NO_SUCH_INCIDENT, Refusal.NO_SUCH_STEP, Refusal.NO_REASON}
    line = next(line for line in PAGE.splitlines() if line.startswith("| 5 |"))
    assert set(re.findall(r"`(\w+)`", line)) == {each.value for each in set(Refusal) - mistakes}


def test_every_command_line_on_the_page_can_be_parsed():
    lines = [line.strip().partition(" #")[0] for line in PAGE.splitlines() if line.startswith("    rollback-guard ")]
    assert len(lines) > 10
    for line in lines:
        words = re.findall(r'"[^"]*"|\S+', line)[1:]
        verb = next(name for name in (" ".join(words[:2]), words[0]) if name in EVERY)
        rest = [word.strip('"') for word in words[len(verb.split()) :]]
        EVERY[verb].make_context(verb, rest)
