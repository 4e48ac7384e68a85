"""promtool's test files mean here what they mean to promtool: asked of promtool itself, file by file, test by test.

What is to succeed succeeds for both, and whatever is changed in an expectation fails for both.
"""

from pathlib import Path

import pytest
import yaml

HERE = Path(__file__).parent
OURS = Path(__file__).parents[3] / "deploy" / "prometheus" / "rollback-guard-alerts-test.yaml"


@pytest.mark.parametrize("path", sorted((HERE / "parity").glob("*.test.yaml")), ids=lambda path: path.name)
def test_a_file_of_promtool_is_judged_as_promtool_judges_it(agree, path):
    verdicts = agree(path, yaml.safe_load(path.read_text()), most_mutants=2)
    differing = {told: both for told, both in verdicts.items() if both[0] is not both[1]}
    assert differing == {}
    assert not any(theirs for (_, kind), (theirs, _) in verdicts.items() if kind != "as written")
    assert sum(theirs for theirs, _ in verdicts.values()) >= 1


def test_the_alerts_that_we_ship_for_prometheus_pass_their_tests_here_too(agree):
    data = yaml.safe_load(OURS.read_text())
    verdicts = agree(OURS, data, most_mutants=0)
    assert {told: both for told, both in verdicts.items() if both[0] is not both[1]} == {}
    assert sum(theirs for theirs, _ in verdicts.values()) == len(data["tests"])
