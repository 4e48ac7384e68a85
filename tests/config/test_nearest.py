"""A mistyped word is answered with the word that was meant, a short one too; another word is not."""

from __future__ import annotations

import pytest

from rollback_guard.config.load import load
from rollback_guard.config.problems import did_you_mean

KEYS = ["alert", "expr", "for", "keep_firing_for", "labels", "annotations", "when", "no_data"]


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("fro", "for"),
        ("fr", "for"),
        ("ofr", "for"),
        ("epxr", "expr"),
        ("lables", "labels"),
        ("wehn", "when"),
        ("x", ""),
        ("id", ""),
        ("team", ""),
        ("query", ""),
        ("summary", ""),
    ],
)
def test_the_nearest_key_is_named(word, near):
    assert did_you_mean(word, KEYS) == (f"Did you mean `{near}`?" if near else "")


@pytest.mark.parametrize(("word", "near"), [("jbo", "job"), ("Job", "job"), ("pdo", "pod"), ("le", ""), ("code", "")])
def test_the_nearest_label_is_named(word, near):
    labels = ["job", "instance", "pod", "namespace"]
    assert did_you_mean(word, labels) == (f"Did you mean `{near}`?" if near else "")


def test_a_mistyped_for_of_a_rule_is_told(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text("groups:\n- name: a\n  rules:\n  - alert: A\n    expr: a > 5\n    fro: 5m\n")
    (problem,) = [it for it in load([path], action_types={}).problems if it.id == "unknown-key"]
    assert (problem.line, problem.hint) == (6, "Did you mean `for`?")
