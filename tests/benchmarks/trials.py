"""Play 100 test files with 20 rules each, and promtool the same files in the same minute.

promtool has it easier: it evaluates in its own process and knows neither unknown states nor the age of samples. Both
are run in turns, so that a busy machine is busy for both.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from figures import goal, median, ratio, show, times

FILES = 100
RULES = 20
ROUNDS = 3
AIM_S = 20.0


@dataclass
class Entry:
    """One contender, and what it took: seconds by the clock and of a processor."""

    name: str
    command: list[str]
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    def run(self, folder: Path) -> None:
        """Play all files once."""
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        done = subprocess.run(
            [*self.command, *map(str, sorted(folder.glob("*.test.yaml")))], capture_output=True, text=True, check=False
        )
        self.wall_s.append(time.monotonic() - began)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.cpu_s.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert done.returncode == 0, done.stdout + done.stderr


def write_files(folder: Path) -> None:
    """Write rules over ratios and tests in which each of them fires, fifteen minutes long at 15 seconds."""
    for number in range(FILES):
        rules = [
            {
                "alert": f"Errors{number}x{rule}",
                "expr": f'sum by (job) (rate(errors_total{{job="j{rule}"}}[1m])) '
                f'/ sum by (job) (rate(requests_total{{job="j{rule}"}}[1m])) > 0.01',
                "for": "2m",
                "labels": {"severity": "critical"},
                "annotations": {"summary": "{{ $value | humanizePercentage }} of {{ $labels.job }} fail"},
            }
            for rule in range(RULES)
        ]
        (folder / f"{number:03}.yaml").write_text(json.dumps({"groups": [{"name": f"g{number}", "rules": rules}]}))
        (folder / f"{number:03}.test.yaml").write_text(json.dumps(test_file(number)))


def test_file(number: int) -> dict[str, object]:
    """Return the test of one file of rules."""
    series = [
        each
        for rule in range(RULES)
        for each in (
            {"series": f'errors_total{{job="j{rule}"}}', "values": "0x20 0+5x60"},
            {"series": f'requests_total{{job="j{rule}"}}', "values": "0+100x80"},
        )
    ]
    expected = [
        {
            "eval_time": "15m",
            "alertname": f"Errors{number}x{rule}",
            "exp_alerts": [
                {
                    "exp_labels": {"severity": "critical", "job": f"j{rule}"},
                    "exp_annotations": {"summary": f"5% of j{rule} fail"},
                }
            ],
        }
        for rule in range(RULES)
    ]
    test = {"name": "all fire", "interval": "15s", "input_series": series, "alert_rule_test": expected}
    return {"rule_files": [f"{number:03}.yaml"], "evaluation_interval": "15s", "tests": [test]}


def main() -> None:
    """Run both in turns, and print the figures."""
    guard = Entry("rollback-guard test", [sys.executable, "-m", "rollback_guard.cli", "test"])
    promtool = Entry("promtool test rules", ["promtool", "test", "rules"])
    with tempfile.TemporaryDirectory() as directory:
        write_files(Path(directory))
        for _ in range(ROUNDS):
            for entry in (guard, promtool):
                entry.run(Path(directory))
    show(
        f"{FILES} test files with {RULES} rules each, median of {ROUNDS} runs in turns",
        ("", "wall", "CPU, without servers"),
        [(each.name, f"{median(each.wall_s):.1f} s", f"{median(each.cpu_s):.1f} s") for each in (guard, promtool)],
    )
    print(f"\n  rollback-guard / promtool: {times(ratio(median(guard.wall_s), median(promtool.wall_s)))}")
    goal("seconds", median(guard.wall_s), AIM_S)


if __name__ == "__main__":
    main()
