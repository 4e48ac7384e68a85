"""The page about the metrics is the table of the metrics."""

import subprocess
import sys
from pathlib import Path

from rollback_guard.adapters.metrics.document import document
from rollback_guard.adapters.metrics.registry import METRICS

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_the_page_is_what_the_table_makes_of_it():
    assert PAGE.read_text() == document(), "run: python -m rollback_guard.adapters.metrics.document > docs/metrics.md"


def test_the_command_prints_the_page():
    printed = subprocess.run(
        [sys.executable, "-m", "rollback_guard.adapters.metrics.document"], capture_output=True, text=True, check=True
    )
    assert printed.stdout == document()
    assert printed.stderr == ""


def test_every_metric_has_a_heading_a_question_and_an_end_to_its_sentence():
    page = document()
    for metric in METRICS:
        assert f"\n### {metric.name}\n" in page
        assert metric.question in page
        assert metric.question.endswith(("?", "."))
        assert metric.help.endswith(".")
        assert all(label.values or label.what for label in metric.labels)
