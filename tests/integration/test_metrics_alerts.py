"""The alerts on the guard itself fire when they should, and speak of metrics that there are."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from rollback_guard.adapters.metrics.registry import METRICS

FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"
ALERTS = FOLDER / "rollback-guard-alerts.yaml"
TESTS = FOLDER / "rollback-guard-alerts-test.yaml"
RULES = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
BY_NAME = {metric.name: metric for metric in METRICS}


def promtool(*arguments):
    return subprocess.run(["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True)


def test_promtool_accepts_the_alerts():
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", ALERTS.name)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_alert_fires_when_it_should_and_not_one_step_before():
    tested = promtool("test", "rules", TESTS.name)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_a_changed_threshold_would_be_noticed(tmp_path):
    (tmp_path / TESTS.name).write_text(TESTS.read_text())
    (tmp_path / ALERTS.name).write_text(ALERTS.read_text().replace("for: 2m", "for: 4m"))
    tested = subprocess.run(["promtool", "test", "rules", TESTS.name], cwd=tmp_path, capture_output=True, text=True)
    assert tested.returncode == 1
    assert "RollbackGuardDown" in tested.stderr


def test_every_alert_has_a_test():
    tests = yaml.safe_load(TESTS.read_text())["tests"]
    fired = {each["alertname"] for test in tests for each in test["alert_rule_test"] if each["exp_alerts"]}
    silent = {each["alertname"] for test in tests for each in test["alert_rule_test"] if not each["exp_alerts"]}
    assert fired == silent == {rule["alert"] for rule in RULES}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_and_what_to_do(rule):
    assert rule["for"]
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert len(rule["annotations"]["summary"]) < 120
    assert len(rule["annotations"]["description"]) > 60


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_speaks_of_metrics_and_label_values_that_there_are(rule):
    text = " ".join([rule["expr"], *rule["annotations"].values()])
    for name in re.findall(r"rollback_guard_\w+", text):
        assert name in BY_NAME
    for name, matchers in re.findall(r"(rollback_guard_\w+)\{([^}]*)\}", rule["expr"]):
        labels = {label.name: label for label in BY_NAME[name].labels}
        for label, value in re.findall(r'(\w+)="([^"]*)"', matchers):
            assert value in labels[label].values
    for label in re.findall(r"\$labels\.(\w+)", text):
        known = {each.name for name in re.findall(r"rollback_guard_\w+", rule["expr"]) for each in BY_NAME[name].labels}
        assert label in known | {"instance", "job"}
