"""Warnings and notices can be switched off where they are, and nothing else is with them."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from rollback_guard.config.comments import comments_of
from rollback_guard.config.document import parse
from rollback_guard.config.load import load
from rollback_guard.config.problems import Level

RULES = """\
groups:
  - name: a
    rules:
      - alert: One
        expr: one_total > 5
        for: 10s
      - alert: Two
        expr: two_total > 5
        for: 10s
  - name: b
    rules:
      - alert: Three
        expr: three_total > 5
"""
ALL = {(5, "raw-counter"), (6, "for-interval"), (8, "raw-counter"), (9, "for-interval"), (13, "raw-counter")}


def found(folder, text, *, toml=None, lint=True):
    path = folder / "rules.yaml"
    path.write_text(text)
    paths = [path]
    if toml is not None:
        (folder / "guard.toml").write_text(toml)
        paths = [folder / "guard.toml"]
    return load(paths, action_types={}, lint=lint)


def said(folder, text, **more):
    return {(problem.line, problem.id) for problem in found(folder, text, **more).problems}


def above(number, comment, text=RULES):
    """Put a comment above a line, with its indentation."""
    lines = text.splitlines()
    lines.insert(number - 1, " " * (len(lines[number - 1]) - len(lines[number - 1].lstrip())) + comment)
    return "\n".join(lines) + "\n"


def behind(number, comment, text=RULES):
    lines = text.splitlines()
    lines[number - 1] += f"  {comment}"
    return "\n".join(lines) + "\n"


def without(*gone, down=0, since=0):
    return {(line + down * (line >= since), id_) for line, id_ in ALL - set(gone)}


def test_without_a_comment_everything_is_found(tmp_path):
    assert said(tmp_path, RULES) == ALL


@pytest.mark.parametrize(
    ("line", "ids", "gone"),
    [
        (4, "raw-counter", {(5, "raw-counter")}),
        (4, "raw-counter,for-interval", {(5, "raw-counter"), (6, "for-interval")}),
        (4, "raw-counter , for-interval (it is fine, really)", {(5, "raw-counter"), (6, "for-interval")}),
        (5, "raw-counter", {(5, "raw-counter")}),
        (5, "for-interval", set()),
        (6, "for-interval", {(6, "for-interval")}),
        (7, "raw-counter", {(8, "raw-counter")}),
        (2, "raw-counter", {(5, "raw-counter"), (8, "raw-counter")}),
        (1, "raw-counter", {(5, "raw-counter"), (8, "raw-counter"), (13, "raw-counter")}),
        (10, "raw-counter", {(13, "raw-counter")}),
    ],
)
def test_a_comment_above_a_thing_is_for_all_of_that_thing(tmp_path, line, ids, gone):
    text = above(line, f"# rollback-guard: ignore={ids}")
    assert said(tmp_path, text) == without(*gone, down=1, since=line)


@pytest.mark.parametrize(
    ("line", "id_", "gone"),
    [
        (4, "raw-counter", {(5, "raw-counter")}),
        (4, "for-interval", {(6, "for-interval")}),
        (5, "raw-counter", {(5, "raw-counter")}),
        (5, "for-interval", set()),
        (6, "for-interval", {(6, "for-interval")}),
        (2, "raw-counter", {(5, "raw-counter"), (8, "raw-counter")}),
        (3, "raw-counter", {(5, "raw-counter"), (8, "raw-counter")}),
    ],
)
def test_a_comment_behind_the_first_line_of_a_thing_is_for_that_thing(tmp_path, line, id_, gone):
    assert said(tmp_path, behind(line, f"# rollback-guard: ignore={id_}")) == without(*gone)


def test_other_comments_may_stand_between(tmp_path):
    text = above(4, "# A word about it", above(4, "# rollback-guard: ignore=raw-counter", above(4, "# What it is")))
    assert (8, "raw-counter") not in said(tmp_path, above(4, "# rollback-guard: ignore=raw-counter", text))
    assert (8, "for-interval") not in said(tmp_path, text)


def test_a_comment_at_the_top_is_for_the_file(tmp_path):
    text = "# A file\n\n# rollback-guard: ignore-file=raw-counter (old)\n# More\n\n" + RULES
    assert said(tmp_path, text) == {(11, "for-interval"), (14, "for-interval")}


def test_what_guard_toml_switches_off_is_off_everywhere(tmp_path):
    toml = '[guard]\nrules = ["rules.yaml"]\n[prometheus]\nurl = "http://127.0.0.1:9090"\n[check]\nignore = ["raw-counter"]\n'
    assert said(tmp_path, RULES, toml=toml) == {(6, "for-interval"), (9, "for-interval")}


def test_a_comment_in_guard_toml_is_for_the_table_below_it(tmp_path):
    toml = textwrap.dedent("""\
        [guard]
        rules = ["rules.yaml"]

        [prometheus]
        url = "http://127.0.0.1:9090"

        # rollback-guard: ignore=unused-channel (for later)
        [notify.first]
        url_file = "/dev/null"

        [notify.second]
        url_file = "/dev/null"  # rollback-guard: ignore=unused-channel
    """)
    rules = "groups:\n- name: a\n  rules:\n  - alert: A\n    expr: rate(a_total[1m]) > 1\n"
    assert said(tmp_path, rules, toml=toml) == {(11, "unused-channel"), (12, "unused-ignore")}


def test_an_error_cannot_be_switched_off(tmp_path):
    text = RULES.replace("for: 10s", "for: 10", 1)
    problems = found(tmp_path, above(6, "# rollback-guard: ignore=duration-unit", text)).problems
    assert {(it.id, it.severity) for it in problems} >= {
        ("duration-unit", Level.ERROR),
        ("unknown-ignore", Level.WARNING),
    }


@pytest.mark.parametrize("id_", ["online-syntax", "online-query-error"])
def test_an_error_of_a_server_is_known_and_cannot_be_switched_off_either(tmp_path, id_):
    (problem,) = [
        it for it in found(tmp_path, above(4, f"# rollback-guard: ignore={id_}")).problems if "ignore" in it.id
    ]
    assert (problem.id, "cannot be switched off" in problem.message) == ("unknown-ignore", True)


def test_the_daemon_heeds_the_comments_and_says_nothing_of_them(tmp_path):
    text = "groups:\n- name: a\n  rules:\n  - alert: A\n    expr: a > 1\n    labels: {severity: page}%s\n"
    assert said(tmp_path, text % "", lint=False) == {(6, "severity-unknown")}
    assert said(tmp_path, text % "  # rollback-guard: ignore=severity-unknown", lint=False) == set()
    assert said(tmp_path, text % "  # rollback-guard: ignore=nothing", lint=False) == {(6, "severity-unknown")}


YAML = {
    "in a block": ("a: |\n  # rollback-guard: ignore=x\n  b\n", []),
    "in a folded block": ("a: >-\n  b\n\n  # rollback-guard: ignore=x\n", []),
    "in a block behind words": ("a: |\n  b # rollback-guard: ignore=x\n", []),
    "below a block": ("a: |\n    b\n  # rollback-guard: ignore=x\nc: d\n", [3]),
    "below a block and a blank": ("a: |\n    b\n\n# rollback-guard: ignore=x\nc: d\n", [4]),
    "at the head of a block": ("a: |-  # rollback-guard: ignore=x\n  b\n", [1]),
    "in double quotes": ('a: "b # rollback-guard: ignore=x"\n', []),
    "in quotes of two lines": ("a: 'b\n  # rollback-guard: ignore=x\n  c'\n", []),
    "behind quotes": ('a: "b"  # rollback-guard: ignore=x\n', [1]),
    "behind brackets": ("a: {b: [c]}  # rollback-guard: ignore=x\n", [1]),
    "within brackets": ("a: [b,  # rollback-guard: ignore=x\n  c]\n", [1]),
    "behind a dash": ("a:\n  -  # rollback-guard: ignore=x\n    b: c\n", [2]),
    "behind an opening bracket": ("a: [  # rollback-guard: ignore=x\n  b]\n", [1]),
    "behind a key": ("a:  # rollback-guard: ignore=x\n  b: c\n", [1]),
    "in a plain text": ("a: b#rollback-guard:ignore=x\n", []),
    "with a tab": ("a: b\t# rollback-guard: ignore=x\n", [1]),
    "without blanks": ("a: b\n#rollback-guard:ignore=x\nc: d\n", [2]),
    "with a carriage return": ("a: b\r\n# rollback-guard: ignore=x\r\nc: d\r\n", [2]),
    "in another comment": ("# see # rollback-guard: ignore=x\na: b\n", []),
    "at the end without a line end": ("a: b  # rollback-guard: ignore=x", [1]),
}
TOML = {
    "above a table": ("# rollback-guard: ignore=x\n[a]\n", [1]),
    "behind a value": ("a = 1  # rollback-guard: ignore=x\n", [1]),
    "in a text": ('a = "# rollback-guard: ignore=x"\n', []),
    "in a text of several lines": ('a = """\n# rollback-guard: ignore=x\n"""\n', []),
}


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [("a.yaml", *YAML[it]) for it in YAML] + [("a.toml", *TOML[it]) for it in TOML],
    ids=[*YAML, *(f"toml {it}" for it in TOML)],
)
def test_only_a_real_comment_is_one(name, text, lines):
    assert [comment.mark.line for comment in comments_of(parse(name, text))] == lines


def test_many_comments_take_no_time(tmp_path):
    text = "# rollback-guard: ignore=raw-counter\n" * 20_000 + RULES
    assert found(tmp_path, text).policy is not None


def test_the_place_of_a_finding_is_the_word_that_it_is_about(tmp_path):
    text = "groups:\n- name: a\n  rules:\n  - alert: A\n    expr: |\n      a > 0\n        and b_total > 5\n"
    problem = next(it for it in found(Path(tmp_path), text).problems if it.id == "raw-counter")
    assert (problem.line, problem.column) == (7, 13)


BURIED = {
    "alone": "      # rollback-guard: ignore=raw-counter (why)\n      a_total > 5\n",
    "behind words": "      a_total > 5 # rollback-guard: ignore=raw-counter (why)\n",
    "behind a pattern": "      a_total{b='#c'} > 5 # rollback-guard: ignore=raw-counter (why)\n",
}


@pytest.mark.parametrize("key", ["expr", "when"])
@pytest.mark.parametrize("text", BURIED.values(), ids=list(BURIED))
@pytest.mark.parametrize("style", ["|", ">-"])
def test_a_comment_within_an_expression_is_told_that_nobody_reads_it_there(tmp_path, key, text, style):
    if style == ">-" and text == BURIED["alone"]:
        text = "      a_total > 5\n      # rollback-guard: ignore=raw-counter (why)\n"  # folded, it ends the expression
    other = "    expr: b > 1\n" if key == "when" else ""
    rules = f"groups:\n- name: a\n  rules:\n  - alert: A\n{other}    {key}: {style}\n{text}"
    (problem,) = [it for it in found(tmp_path, rules).problems if "ignore" in it.id]
    line = rules.splitlines()[problem.line - 1]
    assert (problem.id, problem.severity) == ("bad-ignore", Level.WARNING)
    assert line[problem.column - 1 :].startswith("# rollback-guard")
    assert "part of the expression" in problem.message
    assert "`# rollback-guard: ignore=raw-counter (why)` above a rule" in problem.hint


@pytest.mark.parametrize("key", ["when", "expr"])
def test_an_annotation_of_an_expressions_name_is_a_text(tmp_path, key):
    rules = (
        "groups:\n- name: a\n  rules:\n  - alert: A\n    expr: a > 5\n    annotations:\n"
        f"      {key}: |\n        a > 5\n        # rollback-guard: ignore=raw-counter (why)\n"
    )
    assert said(tmp_path, rules) == set()


def test_a_text_that_is_no_expression_may_speak_of_comments(tmp_path):
    rules = (
        "groups:\n- name: a\n  rules:\n  - alert: A\n    expr: a > 5\n    annotations:\n"
        "      description: |\n        Write this:\n        # rollback-guard: ignore=raw-counter\n"
    )
    assert said(tmp_path, rules) == set()


@pytest.mark.parametrize(
    ("comment", "named"),
    [
        ("ignore=raw-counter for-interval", "ignore=raw-counter,for-interval (why)"),
        ("ignore raw-counter", "ignore=raw-counter (why)"),
        ("ignore=", "ignore=ID (why)"),
        ("ignores=raw-counter", "Did you mean `ignore`?"),
    ],
)
def test_the_hint_names_what_was_written(tmp_path, comment, named):
    problems = found(tmp_path, above(4, f"# rollback-guard: {comment}")).problems
    (hint,) = [it.hint for it in problems if it.id == "bad-ignore"]
    assert named in hint
    assert "for-interval" not in hint.replace(named, "")
