"""The hooks and the jobs that people copy call what there is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from rollback_guard.cli import main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "ci.md").read_text()
HOOKS = {hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())}
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, flags=re.DOTALL)
CALLS = [
    line.strip().lstrip("- ").removeprefix("run: ")
    for _, block in BLOCKS
    for line in block.splitlines()
    if re.match(r"(- )?(run: )?rollback-guard ", line.strip())
]


def parsed(command):
    """Let click read a command line, as far as it is ours."""
    words = shlex.split(re.split(r"[|>]", command)[0])
    assert words[0] == "rollback-guard"
    return main.get_command(click.Context(main), words[1]).make_context(words[1], words[2:])


@pytest.mark.parametrize("id_", HOOKS)
def test_a_hook_calls_a_verb_with_options_that_it_has(id_):
    hook = HOOKS[id_]
    assert parsed(" ".join([hook["entry"], *hook.get("args", ())]))
    assert set(hook) <= {"id", "name", "description", "entry", "language", "files", "pass_filenames", "args"}


def test_the_page_shows_every_hook_and_no_other():
    assert set(re.findall(r"id: (rollback-guard-[\w-]+)", PAGE)) == set(HOOKS)


@pytest.mark.parametrize(
    ("path", "hooks"),
    [
        ("guard.toml", {"rollback-guard-check", "rollback-guard-test"}),
        ("deploy/guard.toml", {"rollback-guard-check", "rollback-guard-test"}),
        ("rules/shop.yaml", {"rollback-guard-check", "rollback-guard-test"}),
        ("teams/a/rules/shop.yml", {"rollback-guard-check", "rollback-guard-test"}),
        ("tests/shop.test.yaml", {"rollback-guard-test"}),
        ("src/shop.py", set()),
        ("compose.yaml", set()),
        ("my-guard.toml", set()),
    ],
)
def test_a_hook_runs_when_files_change_that_it_is_about(path, hooks):
    assert {id_ for id_, hook in HOOKS.items() if re.search(hook["files"], path)} == hooks


def test_there_are_jobs_for_both_commands():
    assert {shlex.split(call)[1] for call in CALLS} == {"check", "test"}
    assert len(CALLS) >= 5


@pytest.mark.parametrize("call", CALLS)
def test_every_command_on_the_page_can_be_run(call):
    assert parsed(call)


@pytest.mark.parametrize("block", [body for kind, body in BLOCKS if kind == "yaml"])
def test_what_people_copy_is_yaml(block):
    assert yaml.safe_load(block)


GUARD_FILE = """\
[guard]
rules = ["rules.yaml"]
[prometheus]
url = "http://127.0.0.1:9090"
bearer_token_file = "/run/secrets/of-production-only/token"
[actions.back]
type = "exec"
command = ["deploy/back.sh"]
idempotent = true
"""
RULE_FILE = """\
groups:
- name: shop
  rules:
  - {alert: Failed, expr: "rate(failed_total[1m]) > 5", labels: {service: shop, severity: critical}}
guards:
- guard: shop
  select: {service: shop}
  playbook: [{action: back}]
"""
STRICT = [HOOKS["rollback-guard-check"]["entry"] + " --strict", *(call for call in CALLS if "--strict" in call)]


@pytest.mark.parametrize("call", STRICT)
def test_a_build_is_red_for_a_lost_program_and_not_for_a_secret_of_production(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "guard.toml").write_text(GUARD_FILE)
    (tmp_path / "rules.yaml").write_text(RULE_FILE)
    words = shlex.split(call)[1:]
    lost = CliRunner().invoke(main, words)
    assert (lost.exit_code, "missing-program" in lost.stdout) == (1, True), lost.output
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "back.sh").touch(mode=0o755)
    found = CliRunner().invoke(main, words)
    assert found.exit_code == 0, found.output
    assert CliRunner().invoke(main, ["check", "--strict"]).exit_code == 1
