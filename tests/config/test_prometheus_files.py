"""A Prometheus alerting rule file is a rule file, unchanged."""

from __future__ import annotations

import re
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from rollback_guard.config.load import load
from rollback_guard.config.problems import Level

HERE = Path(__file__).parent / "prometheus"
FILES = (HERE / "node.yml", HERE / "other" / "node.yml")


def loaded(*paths):
    found = load(paths, action_types={})
    assert found.policy is not None, [problem.render() for problem in found.problems]
    return found


@pytest.mark.parametrize("path", FILES, ids=str)
def test_promtool_takes_the_file_as_well(path, tmp_path):
    # Debian's promtool is older than these keys of a group.
    text = re.sub(r"^  (query_offset: .*|labels:\n    team: sre)\n", "", path.read_text(), flags=re.MULTILINE)
    (tmp_path / "rules.yml").write_text(text)
    ran = subprocess.run(["promtool", "check", "rules", tmp_path / "rules.yml"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_it_loads_with_notices_about_recording_rules_and_words_that_do_not_act():
    found = loaded(FILES[0])
    assert [(it.severity, it.id, it.line) for it in found.problems] == [
        (Level.NOTICE, "recording-rules", 10),
        (Level.NOTICE, "severity-unknown", 18),
    ]
    assert found.settings is None
    assert found.endpoints == {}


def test_rules_of_one_name_are_told_apart_by_the_labels_that_differ():
    assert list(loaded(FILES[0]).policy.rules) == [
        "example/InstanceDown",
        'example/HighErrorRate{severity="warning"}',
        'example/HighErrorRate{service="{{ $labels.job }}", severity="critical"}',
        "example/Absent job",
    ]


def test_groups_of_one_name_in_two_files_are_told_apart_by_the_path():
    assert list(loaded(*FILES).policy.groups) == ["prometheus/node/example", "other/node/example"]


def test_labels_are_the_text_that_was_written():
    labels = dict(loaded(FILES[0]).policy.rules["example/InstanceDown"].labels)
    assert labels == {
        "team": "sre",
        "severity": "page",
        "version": "1.10",
        "tier": "1",
        "enabled": "true",
        "nothing": "",
    }


def test_times_are_those_of_the_file():
    policy = loaded(FILES[0]).policy
    group = policy.groups["example"]
    assert (group.interval, group.query_offset, group.limit) == (timedelta(minutes=1), timedelta(seconds=30), 0)
    rule = policy.rules['example/HighErrorRate{severity="warning"}']
    assert (rule.hold, rule.keep_firing_for) == (timedelta(0), timedelta(hours=1, minutes=30))
