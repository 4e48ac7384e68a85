"""Every lint has a page, and the examples on it are true: the one is found, the other is not."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from rollback_guard.adapters.actions import registry
from rollback_guard.config.catalog import CHECKS, LINTS, ONLINE, ONLINE_ERRORS, SWITCHABLE
from rollback_guard.config.load import load
from rollback_guard.config.problems import Level
from rollback_guard.config.report import Report

DOCS = Path(__file__).parents[2] / "docs" / "checks"
HEADINGS = ["Why it hurts", "Found", "Mended", "Switching it off"]


def sections(id_):
    title, *parts = re.split(r"^## ", (DOCS / f"{id_}.md").read_text(), flags=re.MULTILINE)
    return title, dict(part.split("\n", 1) for part in parts)


def checked(text, folder, monkeypatch, *, above=""):
    """Check the files that a part of a page holds: its yaml blocks, and guard.toml where it has one."""
    blocks = re.findall(r"^```(yaml|toml)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(folder)
    (folder / "rules.yaml").write_text("".join(body for kind, body in blocks if kind == "yaml"))
    toml = "".join(body for kind, body in blocks if kind == "toml")
    first = "guard.toml" if toml else "rules.yaml"
    (folder / "guard.toml").write_text(toml)
    (folder / first).write_text(above + (folder / first).read_text())
    return load([Path(first)], action_types=registry.settings_types(), lint=True)


def lints_in(loaded):
    assert loaded.policy is not None, [problem.render() for problem in loaded.problems]
    return [problem.id for problem in loaded.problems if problem.id in LINTS]


def test_every_lint_has_a_page_and_every_page_is_of_a_lint():
    assert {path.stem for path in DOCS.glob("*.md")} == {"README", "online", *LINTS}


@pytest.mark.parametrize("id_", LINTS)
def test_a_page_says_what_is_found_why_it_hurts_and_how_to_switch_it_off(id_):
    title, parts = sections(id_)
    assert title.startswith(f"# {id_}\n\n")
    assert list(parts) == HEADINGS
    assert f"# rollback-guard: ignore={id_} (" in parts["Switching it off"]


@pytest.mark.parametrize("id_", LINTS)
def test_the_bad_example_is_found_and_nothing_else_is_in_it(id_, tmp_path, monkeypatch):
    found = lints_in(checked(sections(id_)[1]["Found"], tmp_path, monkeypatch))
    assert found == [id_]


@pytest.mark.parametrize("id_", LINTS)
def test_no_lint_has_anything_against_the_mended_example(id_, tmp_path, monkeypatch):
    assert lints_in(checked(sections(id_)[1]["Mended"], tmp_path, monkeypatch)) == []


@pytest.mark.parametrize("id_", LINTS)
def test_every_lint_can_be_switched_off(id_, tmp_path, monkeypatch):
    above = f"# rollback-guard: ignore-file={id_} (an example)\n"
    loaded = checked(sections(id_)[1]["Found"], tmp_path, monkeypatch, above=above)
    assert lints_in(loaded) == []
    assert not {problem.id for problem in loaded.problems} & {"unknown-ignore", "bad-ignore", "unused-ignore"}


def test_no_lint_is_an_error(tmp_path, monkeypatch):
    for id_ in LINTS:
        levels = {it.severity for it in checked(sections(id_)[1]["Found"], tmp_path, monkeypatch).problems}
        assert Level.ERROR not in levels


def test_the_comments_of_the_index_do_what_it_says(tmp_path, monkeypatch):
    text = (DOCS / "README.md").read_text().partition("## Switching off")[2].partition("Several ids")[0]
    assert lints_in(checked(text, tmp_path, monkeypatch)) == []
    spoiled = text.replace("# rollback-guard: ignore=", "# ")
    assert lints_in(checked(spoiled, tmp_path, monkeypatch)) == ["raw-counter", "for-interval"]


def test_the_json_of_the_index_has_the_keys_that_are_written(tmp_path, monkeypatch):
    shown = json.loads(re.search(r"```json\n(.*?)```", (DOCS / "README.md").read_text(), re.DOTALL)[1])
    loaded = checked(sections("short-range")[1]["Found"], tmp_path, monkeypatch)
    written = Report(loaded=loaded, problems=loaded.problems).as_data()
    assert shown.keys() == written.keys()
    assert shown["problems"][0].keys() == written["problems"][0].keys()
    assert shown["problems"][0]["message"] == written["problems"][0]["message"]
    assert shown["schema_version"] == written["schema_version"]


def test_ids_are_of_one_kind_each():
    assert not set(LINTS) & set(CHECKS)
    assert not set(LINTS) & ONLINE
    assert set(LINTS) | set(CHECKS) | ONLINE >= SWITCHABLE


def test_the_page_of_what_is_asked_online_explains_every_id_and_no_other():
    headings = re.findall(r"^### (\S+)$", (DOCS / "online.md").read_text(), flags=re.MULTILINE)
    assert sorted(headings) == sorted(ONLINE | ONLINE_ERRORS)
