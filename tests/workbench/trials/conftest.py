"""Run the same test files through promtool and through ours."""

import copy
import json
import shutil
import subprocess
import tempfile
from functools import cache
from itertools import islice
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml

from rollback_guard.adapters.actions import registry
from rollback_guard.adapters.clock import SystemClock
from rollback_guard.workbench.trials.run import Bench
from rollback_guard.workbench.trials.world import World

PROMTOOL = shutil.which("promtool")


@pytest.fixture(scope="session")
def world():
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed (Debian: prometheus)")
    with World() as world:
        yield world


@pytest.fixture
def bench(world):
    return Bench(world, SystemClock(), action_types=registry.settings_types())


@pytest.fixture
def promtool_says():
    if PROMTOOL is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    return promtool


@pytest.fixture
def play(bench, tmp_path):
    """Write rules and tests given as data, play them, and return the verdict."""

    def played(rules, *tests, name="played.test.yaml", **file):
        (tmp_path / "rules.yaml").write_text(json.dumps(rules))  # JSON is YAML
        data = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": list(tests), **file}
        (tmp_path / name).write_text(yaml.safe_dump(data, allow_unicode=True, sort_keys=False))
        return bench.run(tmp_path / name)

    return played


@pytest.fixture
def agree(bench, promtool_says, tmp_path):
    """Play tests one by one and mutated ones too, by promtool and by ours; return who thinks what of each."""

    def played(path, data, *, most_mutants=4):
        files = {}
        for number, test in enumerate(data["tests"]):
            for kind, changed in (("as written", test), *islice(mutants(test), most_mutants)):
                file = tmp_path / f"{number:03}-{len(files):03}.yaml"
                patterns = [str(path.parent / pattern) for pattern in data["rule_files"]]
                file.write_text(yaml.safe_dump({**data, "rule_files": patterns, "tests": [changed]}))
                files[file] = (test.get("name", str(number)), kind)
        theirs = promtool_says(files)
        return {told: (theirs[file], not bench.run(file).is_failed) for file, told in files.items()}

    return played


def promtool(files):
    """Return for each file whether promtool is content with it."""
    said = by_report(files) if "--junit" in help_of_promtool() else by_print(files)
    assert set(said) == set(map(str, files)), said
    return {file: said[str(file)] for file in files}


@cache
def help_of_promtool():
    done = subprocess.run(
        [PROMTOOL, "test", "rules", "--help"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True
    )
    return done.stdout.decode()


def by_print(files):
    """Read what promtool 2.42 prints: the name of each file, and what it thinks of it."""
    done = subprocess.run(
        [PROMTOOL, "test", "rules", *map(str, files)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    _, *parts = done.stdout.decode().split("Unit Testing:  ")
    said = {part.split("\n", 1)[0].strip(): part for part in parts}
    assert all(("SUCCESS" in part) is not ("FAILED:" in part) for part in said.values())
    return {file: "SUCCESS" in part for file, part in said.items()}


def by_report(files):
    """Read the report of newer ones: they print no names of files any more."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "junit.xml")
        command = [PROMTOOL, "test", "rules", f"--junit={report}", *map(str, files)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        suites = ET.parse(report).getroot().findall("testsuite")
    said = {suite.get("name"): not suite.findall("*/failure") + suite.findall("*/error") for suite in suites}
    assert len(said) == len(suites)
    assert all(said.values()) is (done.returncode == 0), done.stdout
    return said


def mutants(test):
    """Yield the test with one expectation changed, for each kind of expectation: all of them must fail."""
    for key, spoil in (("alert_rule_test", spoilt_alert), ("promql_expr_test", spoilt_sample)):
        for place in {0, len(test.get(key) or []) - 1} & set(range(len(test.get(key) or []))):
            changed = copy.deepcopy(test)
            changed[key][place] = spoil(changed[key][place])
            yield f"{key} {place} mutated", changed


def spoilt_alert(case):
    alerts = case.get("exp_alerts") or []
    if not alerts:
        return {**case, "exp_alerts": [{"exp_labels": {"not": "there"}}]}
    first, *rest = alerts
    return {
        **case,
        "exp_alerts": [{**first, "exp_annotations": {**first.get("exp_annotations", {}), "no": "no"}}, *rest],
    }


def spoilt_sample(case):
    samples = case.get("exp_samples") or []
    if not samples:
        return {**case, "exp_samples": [{"labels": "not_there", "value": 1}]}
    return {**case, "exp_samples": [*samples[1:], {**samples[0], "value": samples[0]["value"] + 1}]}
