"""The verb that makes tokens."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from rollback_guard.adapters.clock import SystemClock
from rollback_guard.adapters.web import TokenFile
from rollback_guard.adapters.web.entries import SHORTEST, parse
from rollback_guard.adapters.web.tokens import Scope
from rollback_guard.cli.token import SCOPES, command
from served import Daemon, client_within


def run(*arguments: str):
    return CliRunner().invoke(command, arguments)


def test_the_token_goes_to_stdout_and_its_entry_to_stderr():
    result = run("ann", "--scope", "operate", "--scope", "act", "--expires", "2027-01-01")
    assert result.exit_code == 0
    token = result.stdout.strip()
    assert re.fullmatch(r"rg_[\w-]{43}", token)
    assert len(token) >= SHORTEST
    assert token not in result.stderr
    (entry,) = parse(result.stderr.encode()).tokens
    assert parse(result.stderr.encode()).find(token.encode()) == entry
    assert (entry.name, entry.scopes) == ("ann", {Scope.OPERATE, Scope.ACT})
    assert f"{entry.expires:%Y-%m-%dT%H:%M:%SZ}" == "2027-01-01T00:00:00Z"


def test_it_can_be_the_other_way_round():
    result = run("ci", "--scope", "alert", "--entry")
    assert parse(result.stdout.encode()).find(result.stderr.strip().encode()).name == "ci"


def test_no_token_is_made_twice():
    assert len({run("ann", "--scope", "operate").stdout for _ in range(50)}) == 50


def test_it_knows_every_scope():
    assert set(SCOPES) == set(Scope)


@pytest.mark.parametrize("name", ['a "quoted" \\ name', "Ärzte", "team@example.com"])
def test_a_name_stands_in_the_entry_as_it_was_given(name):
    (entry,) = parse(run(name, "--scope", "operate").stderr.encode()).tokens
    assert entry.name == name


@pytest.mark.parametrize(
    "arguments",
    [
        ["ann"],
        ["ann", "--scope", "root"],
        ["", "--scope", "act"],
        ["a\nb", "--scope", "act"],
        ["x" * 101, "--scope", "act"],
    ],
)
def test_what_makes_no_sense_is_a_mistake_of_usage(arguments):
    assert run(*arguments).exit_code == 2


async def test_its_token_is_let_in(tmp_path):
    made = run("ann", "--scope", "operate")
    path = tmp_path / "tokens.toml"
    path.write_text(made.stderr)
    async with client_within(Daemon(), tokens=TokenFile(path, SystemClock())) as client:
        headers = {"authorization": f"Bearer {made.stdout.strip()}"}
        answer = await client.post("/api/v1/resume", json={}, headers=headers)
    assert (answer.status_code, answer.json()["by"]) == (200, "ann")
