"""What ours says of made-up rules and series, promtool says too: alerts with their texts, recorded series, `ALERTS`.

Ours plays a trial; what fired and what was recorded is written down as expectations, and promtool has to agree with
all of them, and to disagree where one of them was changed.
"""

import copy
import random
from itertools import count, pairwise

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rollback_guard.workbench.trials.failure import EvaluationError
from rollback_guard.workbench.trials.perform import perform
from rollback_guard.workbench.trials.seen import firing

SLOTS = 16

LEVELS = st.sampled_from(["0", "1", "2", "3x2", "0x3", "1+1x3", "5-1x4", "0.5"])


def courses(draw, *, ends):
    pieces = draw(st.lists(LEVELS, min_size=3, max_size=9))
    if ends and draw(st.booleans()):
        pieces.insert(draw(st.integers(1, len(pieces))), "stale")
    elif draw(st.booleans()):
        pieces.insert(draw(st.integers(1, len(pieces))), "_")
    return " ".join([*pieces, "1x20"] if not ends else pieces)


def counters(draw):
    return (
        f"0+{draw(st.integers(0, 9))}x{draw(st.integers(2, 9))} {draw(st.integers(0, 3))}+{draw(st.integers(1, 9))}x30"
    )


EXPRS = [
    "m > 1",
    "m >= 2 and m < 5",
    "sum by (pod) (rate(c[3m])) > 0.05",
    "rate(c[2m]) / on(pod) group_left() sum by (pod) (m) > 0.01",
    "max_over_time(m[3m:]) > 2",
    "m > on(pod) group_left() recorded",
    "recorded:twice > 2",
    "turns > 4",
    'count(ALERTS{alertstate="firing"}) > 1 and on() vector(1)',
    "absent(gone)",
    "gone > 1 or absent(gone)",
    "count({pod='x'}) > 2",
    "vector(time()) > 400",
]
RECORDINGS = [
    ("recorded", "avg by (pod) (m)"),
    ("recorded:twice", "recorded * 2"),
    ("turns", "(turns or vector(0)) + 1"),
    ("firing", "count by (alertname) (ALERTS)"),
    ("job:c:rate3m", "sum without (pod) (rate(c[3m]))"),
]


@st.composite
def rule_groups(draw):
    rules = []
    for number in range(draw(st.integers(2, 6))):
        if draw(st.integers(0, 2)) == 0:
            name, expr = draw(st.sampled_from(RECORDINGS))
            rule = {"record": name, "expr": expr}
            if draw(st.booleans()):
                rule["labels"] = {"by": "rule"}
        else:
            rule = {"alert": draw(st.sampled_from([f"Alert{number}", "Shared"])), "expr": draw(st.sampled_from(EXPRS))}
            rule |= draw(
                st.fixed_dictionaries(
                    {},
                    optional={
                        "for": st.sampled_from(["0s", "1m", "90s", "2m", "5m"]),
                        "keep_firing_for": st.sampled_from(["1m", "90s", "3m"]),
                        "labels": st.just(
                            {"number": str(number), "from": "{{ $externalLabels.region }}-{{ $labels.pod }}"}
                        ),
                        "annotations": st.just({"text": "{{ $value | humanize }} on {{ $labels.pod }}"}),
                    },
                )
            )
            rule.setdefault("labels", {})["number"] = str(number)
        rules.append(rule)
    cuts = sorted(draw(st.sets(st.integers(1, len(rules)), max_size=2)) | {0, len(rules)})
    groups = [{"name": f"group {a}", "rules": rules[a:b]} for a, b in pairwise(cuts)]
    return groups, draw(st.permutations([group["name"] for group in groups]))


@st.composite
def films(draw):
    groups, order = draw(rule_groups())
    test = {
        "name": "made up",
        "interval": draw(st.sampled_from(["1m", "30s"])),
        "external_labels": {"region": "eu"},
        "input_series": [
            *({"series": f'm{{pod="{pod}"}}', "values": courses(draw, ends=False)} for pod in ("x", "y")),
            *({"series": f'c{{pod="{pod}"}}', "values": counters(draw)} for pod in ("x", "y")),
            {"series": "gone", "values": courses(draw, ends=True)},
        ],
    }
    return {"groups": groups}, {"evaluation_interval": "1m", "group_eval_order": order}, test


def asking_for_all(test, rules):
    """Return the test with a question for everything that there may be; nothing is expected yet."""
    alerts = sorted({rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule})
    records = sorted({rule["record"] for group in rules["groups"] for rule in group["rules"] if "record" in rule})
    return {
        **test,
        "alert_rule_test": [
            {"eval_time": f"{slot}m", "alertname": name, "exp_alerts": []} for name in alerts for slot in range(SLOTS)
        ],
        "promql_expr_test": [
            {"expr": expr, "eval_time": f"{slot}m", "exp_samples": []}
            for expr in [*records, "ALERTS", "ALERTS_FOR_STATE"]
            for slot in range(0, SLOTS, 3)
        ],
    }


@pytest.fixture
def folders(tmp_path):
    """Return ever new folders: each film has its own."""

    def made():
        for number in count():
            folder = tmp_path / str(number)
            folder.mkdir()
            yield folder

    return made()


@settings(max_examples=15, phases=[Phase.generate], deadline=None, suppress_health_check=list(HealthCheck))
@given(film=st.tuples(films(), st.integers(0, 1000)))
def test_promtool_says_the_same_of_whatever_ours_has_seen(film, bench, world, promtool_says, folders):
    (rules, file, test), seed = film
    folder = next(folders)
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules))
    data = {**file, "rule_files": ["rules.yaml"]}
    path, mutated = folder / "as written.yaml", folder / "mutated.yaml"
    path.write_text(yaml.safe_dump({**data, "tests": [asking_for_all(test, rules)]}))
    trials, problems = bench.read(path)
    assert problems == []
    try:
        seen = all_seen(trials[0], perform(world, trials[0]), yaml.safe_load(path.read_text())["tests"][0])
    except EvaluationError:
        assert promtool_says([path]) == {path: False}
        return
    path.write_text(yaml.safe_dump({**data, "tests": [seen]}))
    mutated.write_text(yaml.safe_dump({**data, "tests": [spoilt(seen, random.Random(seed))]}))
    assert promtool_says([path, mutated]) == {path: True, mutated: False}
    assert not bench.run(path).is_failed
    assert bench.run(mutated).is_failed


def all_seen(trial, performance, test):
    """Return the test with what ours has seen in the place of its expectations."""
    for case, asked in zip(test["alert_rule_test"], trial.section.alert_rule_test, strict=True):
        case["exp_alerts"] = [
            {"exp_labels": dict(each.labels), "exp_annotations": dict(each.annotations)}
            for each in firing(trial, performance.film, asked.alertname, trial.slot_of(asked.eval_time))
        ]
    for case, asked in zip(test["promql_expr_test"], trial.section.promql_expr_test, strict=True):
        case["exp_samples"] = [
            {"labels": "{" + ",".join(f'{name}="{text}"' for name, text in labels) + "}", "value": value}
            for labels, value in performance.scene.ask(asked.expr, trial.start + asked.eval_time)
        ]
    return test


def spoilt(test, random_):
    """Return the test with one expectation changed."""
    changed = copy.deepcopy(test)
    case = random_.choice(changed["alert_rule_test"] or changed["promql_expr_test"])
    key = "exp_alerts" if "exp_alerts" in case else "exp_samples"
    if case[key]:
        case[key].pop(random_.randrange(len(case[key])))
    else:
        case[key].append({"exp_labels": {"no": "such"}} if key == "exp_alerts" else {"labels": "no_such", "value": 1})
    return changed
