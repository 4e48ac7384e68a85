"""For a rule without unknown slots an alert's times are those of Prometheus, slot by slot: asked of promtool itself.

One promtool run evaluates every generated rule over every generated series, and compares in each slot all samples of
`ALERTS` with the alerts that the core has then.
"""

import json
import math
import random
import shutil
import subprocess
from dataclasses import dataclass, replace

import pytest

from build import Film, a_group, a_policy, a_rule, minutes, series, slot
from installed import PROMETHEUS
from rollback_guard.core.condition import Comparison, Condition, Operator
from rollback_guard.core.model import NoData
from rollback_guard.core.observation import Answer, Observation, Sample

CASES = 240
SLOTS = 24
LOOKBACK = 4 if PROMETHEUS >= (3,) else 5
"""Slots over which a sample is still seen: five minutes, whose beginning is one of them in Prometheus 2 alone."""

PROMTOOL = shutil.which("promtool")
pytestmark = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian: prometheus)")

STALE = "stale"
GAP = "_"


@dataclass(frozen=True)
class Case:
    """One rule, and the series that only it looks at."""

    number: int
    op: str
    hold: float
    keep: float
    values: dict[str, list]

    @property
    def name(self):
        return f"Case{self.number}"

    @property
    def expr(self):
        return f'm{{case="{self.number}"}} {self.op} 5'


def duration(in_minutes):
    return f"{round(in_minutes * 60)}s"


def a_course(random_):
    """Return the samples of one series: levels that last, flaps, gaps no longer than the lookback, ends and returns."""
    course = []
    while len(course) < SLOTS:
        kind = random_.choice(["level", "level", "flap", "gap", "stale", "edge"])
        length = random_.randint(1, 6)
        match kind:
            case "level":
                course += [random_.choice([0, 5, 9, 9])] * length
            case "flap":
                course += [random_.choice([0, 9]) for _ in range(length)]
            case "edge":
                course += [random_.choice([4.999, 5, 5.001, math.inf, -math.inf])] * random_.randint(1, 3)
            case "gap":
                course += [GAP] * min(length, LOOKBACK)
            case "stale":
                course += [STALE] + [GAP] * random_.randint(0, 8)
    return course[:SLOTS]


def cases(seed):
    random_ = random.Random(seed)
    return [
        Case(
            number=number,
            op=random_.choice([">", ">", ">=", "<", "<=", "==", "!="]),
            hold=random_.choice([0, 1, 2, 5, 1.5]),
            keep=random_.choice([0, 0, 1, 2, 3.5]),
            values={f"pod{pod}": a_course(random_) for pod in range(random_.randint(1, 3))},
        )
        for number in range(CASES)
    ]


def sample_at(course, number):
    """Return what Prometheus sees in a slot: the newest sample within the lookback, unless it says that all is over."""
    for age in range(LOOKBACK + 1):
        if number - age >= 0 and course[number - age] != GAP:
            found = course[number - age]
            return None if found == STALE else found
    return None


def engine_says(all_cases):
    """Return, for each slot, the active alerts as (rule's name, pod, phase)."""
    rules = [
        a_rule(
            case.name,
            hold=case.hold,
            keep=case.keep,
            no_data=NoData.OK,
            condition=Condition(expr=case.expr, query="m", comparison=Comparison(op=Operator(case.op), threshold=5.0)),
        )
        for case in all_cases
    ]
    film = Film(a_policy([a_group(*rules)]))
    told = []
    for number in range(SLOTS):
        shown = {}
        for case, rule in zip(all_cases, rules, strict=True):
            found = {pod: sample_at(course, number) for pod, course in case.values.items()}
            samples = [Sample(series(pod=pod), float(value)) for pod, value in found.items() if value is not None]
            shown[rule.id] = Observation(measured=Answer(tuple(samples)))
        film.show(slot(number), shown)
        alerts = [alert for of_rule in film.state.groups["g"].alerts.values() for alert in of_rule.values()]
        told.append({(alert.rule.split("/")[1], dict(alert.series)["pod"], str(alert.phase)) for alert in alerts})
    return told


def notation(course):
    words = {math.inf: "+Inf", -math.inf: "-Inf"}
    return " ".join(words.get(value, str(value)) for value in course)


def rule_file(all_cases):
    return {
        "groups": [
            {
                "name": "g",
                "rules": [
                    {
                        "alert": case.name,
                        "expr": case.expr,
                        "for": duration(case.hold),
                        **({"keep_firing_for": duration(case.keep)} if case.keep else {}),
                    }
                    for case in all_cases
                ],
            }
        ]
    }


def test_file(all_cases, told):
    number_of = {case.name: str(case.number) for case in all_cases}
    return {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": f'm{{case="{case.number}",pod="{pod}"}}', "values": notation(course)}
                    for case in all_cases
                    for pod, course in case.values.items()
                ],
                "promql_expr_test": [
                    {
                        "expr": "ALERTS",
                        "eval_time": f"{number}m",
                        "exp_samples": [
                            {
                                "labels": f'ALERTS{{alertname="{name}",alertstate="{phase}",'
                                f'case="{number_of[name]}",pod="{pod}"}}',
                                "value": 1,
                            }
                            for name, pod, phase in sorted(alerts)
                        ],
                    }
                    for number, alerts in enumerate(told)
                ],
            }
        ],
    }


test_file.__test__ = False


def promtool(folder, all_cases, told):
    # Each JSON file is a YAML file too.
    (folder / "rules.yaml").write_text(json.dumps(rule_file(all_cases)))
    (folder / "test.yaml").write_text(json.dumps(test_file(all_cases, told)))
    return subprocess.run(
        [PROMTOOL, "test", "rules", "test.yaml"], cwd=folder, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("seed", [2024, 7])
def test_pending_and_firing_slots_are_those_of_promtool(tmp_path, seed):
    all_cases = cases(seed)
    told = engine_says(all_cases)
    phases = [phase for alerts in told for _, _, phase in alerts]
    assert min(phases.count("pending"), phases.count("firing")) > CASES, "the cases have to say something"
    said = promtool(tmp_path, all_cases, told)
    assert said.returncode == 0, said.stdout + said.stderr[-4000:]


@pytest.mark.parametrize("change", ["later", "other phase", "one more"])
def test_promtool_would_notice_a_difference(tmp_path, change):
    all_cases = [replace(case, number=number) for number, case in enumerate(cases(1)[:5])]
    told = engine_says(all_cases)
    number, alert = next((number, min(alerts)) for number, alerts in enumerate(told) if alerts)
    match change:
        case "later":
            told[number] -= {alert}
        case "other phase":
            other = "firing" if alert[2] == "pending" else "pending"
            told[number] = told[number] - {alert} | {(*alert[:2], other)}
        case "one more":
            told[number] |= {(alert[0], "pod9", "firing")}
    assert promtool(tmp_path, all_cases, told).returncode != 0


def test_what_is_gone_for_good_is_seen_for_the_lookback():
    course = [9, *[GAP] * (LOOKBACK + 1), STALE, GAP, 0]
    assert [sample_at(course, number) for number in range(len(course))] == [9] * (LOOKBACK + 1) + [None, None, None, 0]
    assert minutes(LOOKBACK).total_seconds() == (240 if PROMETHEUS >= (3,) else 300)
