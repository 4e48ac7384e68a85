"""The reference of the files and the schema say the same.

After a change of the schema: `UPDATE_DOCS=1 pytest tests/docs/test_config_docs.py`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rollback_guard.adapters.actions import registry
from rollback_guard.config import reference

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("rules.md", "configuration.md", "checks/README.md")
ACTIONS = registry.settings_types()

NOT_SHOWN = {"RecordRule"}
"""Recording rules are Prometheus' own; the page only says that they are left to it."""

TABLES = {**reference.SECTIONS, **ACTIONS}


@pytest.mark.parametrize("name", PAGES)
def test_the_tables_of_a_page_are_those_of_the_schema(name):
    page = (DOCS / name).read_text()
    expected = reference.refresh(page, ACTIONS)
    if os.environ.get("UPDATE_DOCS"):
        (DOCS / name).write_text(expected)
    assert page == expected


def test_every_section_every_action_and_the_checks_are_shown_once():
    shown = [name for page in PAGES for name in reference.asked_for((DOCS / page).read_text())]
    sections = [f"keys: {name}" for name in set(reference.SECTIONS) - NOT_SHOWN]
    assert sorted(shown) == sorted(["checks", "lints", *sections, *(f"action: {name}" for name in ACTIONS)])


@pytest.mark.parametrize("name", TABLES)
def test_every_key_says_what_it_means(name):
    for row in reference.keys_table(TABLES[name], nested=True).splitlines()[2:]:
        key, kind, _, meaning = (cell.strip() for cell in row.strip("|").split(" | "))
        assert key
        assert kind
        assert meaning.endswith("."), row


def test_an_outdated_table_is_noticed():
    page = (DOCS / "rules.md").read_text()
    assert reference.refresh(page.replace("| `shadow` |", "| `shade` |"), ACTIONS) == page


def test_a_page_that_asks_for_an_unknown_section_is_refused():
    with pytest.raises(KeyError):
        reference.refresh("<!-- keys: Nothing -->\n<!-- end -->", ACTIONS)
