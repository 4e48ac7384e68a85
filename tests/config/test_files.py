"""What is said of the files that a configuration names; tests/config/cases holds the words."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rollback_guard.config.load import load
from rollback_guard.config.problems import Level, Problem
from rollback_guard.config.report import annotation

GUARD = """
[guard]
rules = ["rules.yaml"]

[prometheus]
url = "http://127.0.0.1:9090"
"""
RULES = """
groups:
  - name: shop
    rules:
      - alert: Errors
        expr: rate(errors_total[1m]) > 1
        labels: {service: shop, severity: critical}
guards:
  - guard: shop
    select: {service: shop}
    playbook:
      - action: rollback
"""


def problems(path, action_types, action, rules=RULES):
    (path / "rules.yaml").write_text(rules)
    (path / "guard.toml").write_text(f'{GUARD}\n[actions.rollback]\ntype = "exec"\n{action}\n')
    found = load([path / "guard.toml"], action_types=action_types).problems
    return [(it.id, it.message) for it in found]


def test_a_program_that_is_only_a_name_is_looked_for_where_the_guard_runs(tmp_path, action_types):
    assert problems(tmp_path, action_types, 'command = ["no-such-program", "./no-argument"]') == []


def test_programs_begin_at_the_actions_own_directory_and_inspections_are_looked_at_too(tmp_path):
    from rollback_guard.adapters.actions import registry

    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "back.sh").touch(mode=0o755)
    action = 'cwd = "deploy"\ncommand = ["./back.sh"]\ninspect = ["./is-back.sh"]'
    said = ("missing-program", f"the program `{tmp_path}/deploy/is-back.sh` does not exist")
    assert problems(tmp_path, registry.settings_types(), action) == [said]
    table = action.replace('["./is-back.sh"]', '{ command = ["./is-back.sh"] }')
    assert problems(tmp_path, registry.settings_types(), table) == [said]


@pytest.mark.parametrize("name", ["a\\u0000b", "x" * 5_000, "x/" * 3_000])
def test_a_name_that_no_file_can_have_is_a_file_that_is_not_there(name, tmp_path, action_types):
    ((id_, said),) = problems(tmp_path, action_types, f'command = ["./{name}"]')
    assert id_ == "missing-program"
    assert said.endswith("` does not exist")
    assert len(said) < 1_100


def test_rule_files_alone_name_files_relative_to_a_guard_toml_that_is_not_here(tmp_path, action_types):
    rules = "probes:\n  - {probe: a, url: 'http://127.0.0.1', ca_file: no.pem}\n"
    (tmp_path / "rules.yaml").write_text(rules)
    assert load([tmp_path / "rules.yaml"], action_types=action_types).problems == ()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_what_another_user_may_not_read_is_said_and_never_shown(tmp_path, action_types):
    for path in (tmp_path, *list(tmp_path.parents)[:3]):
        path.chmod(0o755)
    (tmp_path / "token").write_text("hunter2-hunter2")
    (tmp_path / "token").chmod(0o600)
    (tmp_path / "closed").mkdir(mode=0o700)
    (tmp_path / "closed" / "token").write_text("hunter2-hunter2")
    flaw = "from pathlib import Path; from rollback_guard.config.checks.files import _flaw; import os, sys; os.setuid(65534)"
    code = f"{flaw}; print(*(_flaw(Path(name), os.R_OK) for name in sys.argv[1:]), sep='|')"
    source = Path(__file__).parents[2] / "src"
    ran = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "token", tmp_path / "closed" / "token"],
        env={**os.environ, "PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "may not be read by this user|may not be looked at by this user\n"


def test_thousands_of_unheard_rules_and_guards_are_compared_in_bounded_time(tmp_path, action_types):
    rules = "".join(
        f"      - {{alert: A{n}, expr: a > 1, labels: {{service: s{n}, severity: critical}}}}\n" for n in range(1_000)
    )
    heard = "      - {alert: H, expr: a > 1, labels: {severity: critical, service: own}}\n"
    guards = "".join(
        f"  - {{guard: g{n}, select: {{service: own}}, playbook: [{{action: rollback}}]}}\n" for n in range(1_000)
    )
    (tmp_path / "rules.yaml").write_text(f"groups:\n  - name: a\n    rules:\n{heard}{rules}guards:\n{guards}")
    found = load([tmp_path / "rules.yaml"], action_types=action_types).problems
    assert sum(it.id == "critical-unselected" for it in found) == 1_000


def test_a_file_that_is_named_often_is_missing_once(tmp_path, action_types):
    more = "".join(
        f'\n[actions.a{number}]\ntype = "http"\nurl = "http://127.0.0.1/{number}"\n'
        'headers = { Authorization = "Bearer ${file:/no/such/token}" }\n'
        for number in range(5)
    )
    found = problems(tmp_path, action_types, f'command = ["true"]\n{more}')
    assert [id_ for id_, message in found if "/no/such/token" in message] == ["missing-file"]


def test_github_is_told_a_file_by_its_one_name():
    problem = Problem(path="deploy/x/../../rules/a.yaml", line=3, column=5, severity=Level.WARNING, message="m", id="i")
    assert annotation(problem).startswith("::warning file=rules/a.yaml,line=3,")
