"""How the problems of a check are shown to machines, and what it ends with."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from click.testing import CliRunner

from rollback_guard.cli import main
from rollback_guard.config.problems import Elsewhere, Level, Problem
from rollback_guard.config.report import annotation

WARNED = "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: errors_total > 5\n"
NOTICED = "groups:\n- name: g\n  rules:\n  - {alert: A, expr: a > 5, for: 20s}\n"
WRONG = "groups:\n- name: g\n  rules:\n  - {alert: A, expr: a > 5, for: 20}\n"


def check(folder, text, *words):
    (folder / "rules.yaml").write_text(text)
    return CliRunner().invoke(main, ["check", *words, str(folder / "rules.yaml")])


@pytest.mark.parametrize(
    ("text", "plain", "strict"),
    [(WARNED, 0, 1), (NOTICED, 0, 0), (WRONG, 4, 4), (WARNED + "    # rollback-guard: ignore=raw-counter\n", 0, 1)],
)
def test_with_strict_a_warning_is_a_finding_and_an_error_stays_an_error(text, plain, strict, tmp_path):
    assert check(tmp_path, text).exit_code == plain
    assert check(tmp_path, text, "--strict").exit_code == strict


def test_a_warning_that_is_switched_off_is_no_finding(tmp_path):
    text = WARNED.replace("    expr", "    # rollback-guard: ignore=raw-counter\n    expr")
    assert check(tmp_path, text, "--strict").exit_code == 0


def test_the_summary_counts_each_kind(tmp_path):
    text = WARNED + "    for: 20s\n"
    assert check(tmp_path, text).stderr == "1 rule, 0 guards in 1 file: 1 warning, 1 notice\n"


def test_the_summary_calls_nothing_fine_of_which_it_warns_and_a_matter_of_taste_may_be(tmp_path):
    assert "fine" not in check(tmp_path, WARNED).stderr
    assert check(tmp_path, NOTICED).stderr == "1 rule, 0 guards in 1 file: fine, with 1 notice\n"


def test_github_shows_a_problem_beside_its_line(tmp_path):
    ran = check(tmp_path, WARNED, "--output", "github")
    (line,) = ran.stdout.splitlines()
    place, _, said = line.removeprefix("::").partition("::")
    assert place == f"warning file={tmp_path}/rules.yaml,line=5,col=11,title=raw-counter"
    message, hint = said.split("%0A")
    assert message.startswith("the counter `errors_total` is compared as it is: ")
    assert hint.startswith("Write `increase(errors_total[5m])` for how often, ")
    assert ran.stderr == "1 rule, 0 guards in 1 file: 1 warning\n"


def test_nothing_in_a_problem_can_end_or_forge_an_annotation():
    problem = Problem(
        path="a,line=9:100%.yaml",
        line=1,
        column=2,
        severity=Level.ERROR,
        message="100% of `::error::`, a: b",
        id="bad-value",
        hint="One.\r\n::warning::Two",
    )
    line = annotation(problem)
    assert "\n" not in line
    assert "\r" not in line
    command, properties, message = re.fullmatch(r"::(\w+) ([^:]*)::(.*)", line).groups()
    assert command == "error"
    assert dict(item.split("=", 1) for item in properties.split(",")) == {
        "file": "a%2Cline=9%3A100%25.yaml",
        "line": "1",
        "col": "2",
        "title": "bad-value",
    }
    assert unquote(message) == f"{problem.message}\n{problem.hint}"


def test_people_are_shown_a_file_by_its_one_name_and_its_other_places_with_an_end():
    problem = Problem(
        path="deploy/../rules/a.yaml",
        line=1,
        column=2,
        severity=Level.WARNING,
        message="gone",
        id="online-gone",
        hint="Mend it.",
        also=tuple(Elsewhere(f"R{it}", "deploy/../rules/a.yaml" if it else "b/../c.yaml", it, 1) for it in range(7)),
    )
    assert problem.render() == (
        "rules/a.yaml:1:2: warning: gone (online-gone)\n  Mend it. The same in 7 other rules: `R0` (c.yaml:0), "
        "`R1` (line 1), `R2` (line 2), `R3` (line 3), `R4` (line 4) and 2 more."
    )


@pytest.mark.parametrize(("text", "word"), [(WRONG, "error"), (WARNED, "warning"), (NOTICED, "notice")])
def test_the_levels_are_those_of_github(text, word, tmp_path):
    assert check(tmp_path, text, "--output", "github").stdout.startswith(f"::{word} file=")
