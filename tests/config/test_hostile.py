"""No file can crash or hang the loader: it ends in problems, quickly, whatever stands in it."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollback_guard.config.load import load
from rollback_guard.config.problems import Level

CASES = Path(__file__).parent / "cases"
DEADLINE_S = 30.0
"""Generous: each of these takes well below a second on an idle machine."""

RULE = "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: '%s'\n"

YAML = {
    "10,000 nested parentheses": (RULE % ("(" * 10_000 + "a" + ")" * 10_000), "promql-too-complex"),
    "a sum of 5,000 operands": (RULE % ("+".join(["a"] * 5_000) + " > 1"), "promql-too-complex"),
    "a regular expression of classes": (RULE % ('a{b=~"' + r"\w{900}" * 100 + '"} > 1'), "promql-too-complex"),
    "a bomb of aliases": (
        "a: &a [x,x]\n" + "".join(f"{b}: &{b} [*{a},*{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
        "yaml-alias",
    ),
    "brackets": ("[" * 100_000, "too-deep"),
    "braces": ("{a: " * 100_000, "too-deep"),
    "dashes": ("- " * 100_000, "too-deep"),
    "a set of half a million keys": ("{" + "".join(f"{n:x}," for n in range(120_000)) + "}", "too-large"),
    "question marks": ("? " * 100_000, "yaml-key"),
    "faults on one line": ("{" + "".join(f"k{n}: 1, " for n in range(40_000)) + "}", "more-problems"),
    "a hundred thousand signals": (
        "guards:\n- guard: g\n  select: {a: b}\n  playbook: [{action: a}]\n  signals: [" + "a," * 90_000 + "]\n",
        "bad-value",
    ),
    "names of secrets": ("a: {" + "token" * 150_000 + ": [}", "yaml-syntax"),
    "the same key again and again": ("a: 1\n" * 150_000, "duplicate-key"),
    "unknown keys": ("".join(f"k{n}: 1\n" for n in range(40_000)), "more-problems"),
    "a huge integer": (RULE.replace("'%s'", "a > 1") + "    for: " + "9" * 100_000 + "\n", "duration-unit"),
    "a huge limit": ("groups:\n- name: g\n  limit: " + "9" * 100_000 + "\n  rules: []\n", "wrong-type"),
    "a huge duration": (RULE.replace("'%s'", "a > 1") + "    for: " + "9" * 5_000 + "y\n", "bad-duration"),
    "a long line": ("a" * 900_000, "wrong-type"),
    "percent directives": ("%YAML 1.1\n" * 50_000, "yaml-syntax"),
    "tags": ("!<tag:a> " * 50_000, "yaml-tag"),
    "control characters": ("groups: \x1b[31m\x07\n", "not-text"),
    "a NUL": ("groups: []\0", "not-text"),
    "a lone carriage return": ("groups:\r- name: ''\r  rules: []\r", "bad-value"),
    "line separators": ("groups:\u2028- nam: ''\u2028", "unknown-key"),
    "right-to-left marks": ("gro\u202eups: []\n", "unknown-key"),
}
TOML = {
    "windows that never open": (
        "[guard]\nrules = ['*.toml']\n" + "[[maintenance]]\nname='a'\ncron='0 0 30 2 *'\nfor='1h'\n" * 5_000,
        "bad-value",
    ),
    "a long line of cron": (
        "[[maintenance]]\nname='a'\ncron='" + "1," * 200_000 + "1 * * * *'\nfor='1h'\n",
        "bad-cron",
    ),
    "a long address": ("[guard]\nrules = ['*.toml']\n[notify.a]\nurl='http://" + "a" * 500_000 + "'\n", "bad-url"),
    "a deep message": (
        "[notify.a]\nurl_file='x'\ntitle='{{ " + "(" * 8_000 + "'\n",
        "bad-template",
    ),
    "a dotted key of 400,000 parts": ("a." * 400_000 + "b = 1", "too-large"),
    "a dotted key of 10,000 parts": ("a." * 10_000 + "b = 1", "too-deep"),
    "brackets": ("a = " + "[" * 50_000, "too-deep"),
    "inline tables": ("a = " + "{b = " * 20_000, "too-deep"),
    "tables": ("[[a]]\n" * 150_000, "too-large"),
    "a huge integer": ("a = " + "9" * 900_000, "toml-syntax"),
    "an endless text": ('a = "' + "x" * 900_000, "toml-syntax"),
    "escapes": ('a = """' + "\\x" * 400_000, "toml-syntax"),
    "a long array": ("a = [" + "1," * 400_000 + "]", "too-large"),
    "quotes": ("'" * 900_000, "too-large"),
}
BINARY = {
    "an executable": (Path("/bin/ls").read_bytes()[:500_000], "not-text"),
    "UTF-16": ("groups: []".encode("utf-16"), "not-text"),
    "Latin-1": ("groups: [] # é".encode("latin-1"), "not-text"),
    "zeros": (b"\0" * 900_000, "not-text"),
    "more than a megabyte": (b"#" * 1_000_001, "too-large"),
}


def problems_of(path, content, action_types):
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    started = time.monotonic()
    loaded = load([path], action_types=action_types)
    assert time.monotonic() - started < DEADLINE_S
    assert loaded.policy is None
    for problem in loaded.problems:
        text = problem.render()
        assert len(text) < 2_000
        assert all(char.isprintable() or char == "\n" for char in text)
    return {problem.id for problem in loaded.problems if problem.severity is Level.ERROR}


@pytest.mark.promise(37)
@pytest.mark.parametrize(("content", "expected"), YAML.values(), ids=YAML)
def test_hostile_yaml_is_refused_fast(content, expected, tmp_path, action_types):
    assert expected in problems_of(tmp_path / "rules.yaml", content, action_types)


@pytest.mark.promise(37)
@pytest.mark.parametrize(("content", "expected"), TOML.values(), ids=TOML)
def test_hostile_toml_is_refused_fast(content, expected, tmp_path, action_types):
    assert expected in problems_of(tmp_path / "guard.toml", content, action_types)


@pytest.mark.promise(37)
@pytest.mark.parametrize("name", ["rules.yaml", "guard.toml"])
@pytest.mark.parametrize(("content", "expected"), BINARY.values(), ids=BINARY)
def test_what_is_no_text_is_refused_fast(content, expected, name, tmp_path, action_types):
    assert expected in problems_of(tmp_path / name, content, action_types)


@pytest.mark.promise(37)
def test_a_file_of_50_megabytes_is_refused_without_being_read(tmp_path, action_types):
    path = tmp_path / "rules.yaml"
    with path.open("wb") as file:
        file.truncate(50_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    loaded = load([path], action_types=action_types)
    assert [problem.id for problem in loaded.problems] == ["too-large"]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB


@pytest.mark.promise(37)
def test_a_bomb_costs_no_memory(tmp_path, action_types):
    path = tmp_path / "rules.yaml"
    path.write_text(YAML["a bomb of aliases"][0])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    load([path], action_types=action_types)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB


def test_what_is_no_file_is_said(tmp_path, action_types):
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "folder.yaml").mkdir()
    for name in ("pipe.yaml", "folder.yaml", "absent.yaml", "absent.toml", "a\0b.yaml"):
        loaded = load([tmp_path / name], action_types=action_types)
        assert [problem.id for problem in loaded.problems] == ["unreadable-file"]


def test_two_guard_files_are_refused(action_types):
    loaded = load([CASES / "unused-action.toml", CASES / "toml-literal-secret.toml"], action_types=action_types)
    assert "two-guard-files" in {problem.id for problem in loaded.problems}


TEXTS = {path.name: path.read_text() for path in sorted(CASES.iterdir()) if path.suffix in {".yaml", ".toml"}}
TOKENS = [
    "\t",
    "\n",
    "  ",
    "- ",
    ": ",
    "[",
    "]",
    "{",
    "}",
    '"',
    "'",
    "|",
    ">",
    "&a",
    "*a",
    "!!",
    "#",
    "=",
    "yes",
    "~",
    "9" * 30,
    "{{",
    "\0",
    "é",
    "\ud800",
    "\u2028",
    "groups:\n",
    "$",
    "%",
    "expr: (",
    "..",
    "0x",
    "1e999",
]


@st.composite
def mutated(draw):
    name = draw(st.sampled_from(sorted(TEXTS)))
    text = TEXTS[name]
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(text)))
        kind = draw(st.sampled_from(["insert", "delete", "double"]))
        length = draw(st.integers(1, 12))
        if kind == "insert":
            text = text[:at] + draw(st.sampled_from(TOKENS)) + text[at:]
        elif kind == "delete":
            text = text[:at] + text[at + length :]
        else:
            text = text[: at + length] + text[at:]
    return Path(name).suffix, text


@pytest.mark.promise(17)
@pytest.mark.promise(37)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mutated())
def test_a_mutated_file_gives_a_policy_or_an_error_and_never_both(tmp_path, action_types, case):
    suffix, text = case
    path = tmp_path / f"mutated{suffix}"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    loaded = load([path], action_types=action_types)
    errors = [problem for problem in loaded.problems if problem.severity is Level.ERROR]
    assert (loaded.policy is None) == bool(errors)
    for problem in loaded.problems:
        assert problem.line >= 1
        assert problem.column >= 1
        assert problem.render().encode()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.sampled_from([".yaml", ".toml"]))
def test_any_bytes_end_in_a_result(tmp_path, action_types, data, suffix):
    path = tmp_path / f"any{suffix}"
    path.write_bytes(data)
    loaded = load([path], action_types=action_types)
    assert (loaded.policy is None) == any(problem.severity is Level.ERROR for problem in loaded.problems)
