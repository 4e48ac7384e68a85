"""What a backtest tells people fits on a screen, claims no more than is known, and steers no terminal."""

import json
import math
from dataclasses import replace
from datetime import timedelta

import pytest

from findings import INCIDENTS, LENGTH, RULES, START, Scene, hours, period
from rollback_guard.adapters.actions import registry
from rollback_guard.config.load import load
from rollback_guard.core.model import Mode
from rollback_guard.core.observation import Unknown
from rollback_guard.workbench.backtest.data import as_json
from rollback_guard.workbench.backtest.events import Deploy
from rollback_guard.workbench.backtest.plan import plan
from rollback_guard.workbench.backtest.remarks import CURES, Circumstances, refused, remarks_of, without_data
from rollback_guard.workbench.backtest.report import WIDTH, lines_of
from rollback_guard.workbench.backtest.results import MOST_KEPT, GuardResult, Nearest, Results, RuleResult
from rollback_guard.workbench.backtest.score import Past


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path)


def text(data):
    return "\n".join(lines_of(data))


def rows(data):
    """Return the lines as lists of words."""
    return [line.split() for line in lines_of(data)]


def test_values_and_thresholds_are_written_as_people_write_them(scene):
    told = text(scene.data())
    assert "rules.yaml, from 2026-03-01 00:00:00 to 2026-03-15 00:00:00 UTC" in told
    found = rows(scene.data())
    assert ["shop/Errors", "2", "1h", "1", "3m", "23%", ">", "1%", "no", "traffic,", "…", "9.97%"] in found
    assert ["shop/Latency", "0", "0", "0.4", ">", "0.5", "0%"] in found


def test_a_rule_of_which_nothing_was_known_is_not_said_to_have_been_silent(scene):
    data = scene.data()
    assert ["shop/Silent", "?", "?", "<", "1", "absent", "100%"] in rows(data)
    assert ["shop/Silent", "?", "?", "?", "?", "?"] in rows(data)
    silent = data["rules"][3]
    assert {key: silent[key] for key in ("firings", "firing_s", "pendings", "nearest", "score")} == dict.fromkeys(
        ("firings", "firing_s", "pendings", "nearest", "score")
    )


def all_blind(scene):
    """Have a server without the heartbeat that it is asked for: values are there, and none of them counts."""
    for rule in scene.by_rule:
        nearest = Nearest(value=0.3, at=START)
        scene.by_rule[rule] = RuleResult(slots=9, asked=9, unknown={"heartbeat": 9}, nearest=nearest)
    scene.guards = {"shop": GuardResult()}
    return scene.data()


def test_where_nothing_was_known_nothing_is_told_of_rules_guards_or_what_would_have_changed(scene):
    data = all_blind(scene)
    told = text(data)
    assert ["shop/Errors", "?", "?", ">", "1%", "heartbeat", "100%"] in rows(data)
    assert "missed" not in told
    assert "30%" not in told
    assert "guard shop: nothing can be told, none of its rules was ever known" in told
    assert data["guards"][0]["score"] is None
    data["compare"] = {"files": ["other.yaml"], "rules": [], "guards": []}
    assert "compared with other.yaml:\n  nothing can be told" in text(data)


def test_a_guard_that_acted_though_it_was_blind_is_told_of(scene):
    guards = scene.guards
    all_blind(scene)
    scene.guards = guards
    assert "guard shop: 2 incidents, acting in 2" in text(scene.data())
    assert scene.data()["guards"][0]["score"]["false_alarms"] == 1


def test_firings_are_scored_where_people_told_what_happened(scene):
    assert ["shop/Errors", "1", "0", "1", "0.5", "1", "of", "2", "6m", "6m"] in rows(scene.data())
    scene.deploys = scene.incidents = ()
    assert not any(row[:3] == ["rule", "or", "guard"] for row in rows(scene.data()))
    assert "flag-off (breach), for shop/Errors\n" in text(scene.data())


def test_actions_of_guards_are_scored_like_firings(scene):
    assert ["guard", "shop", "1", "0", "1", "0.5", "1", "of", "2", "6m", "6m"] in rows(scene.data())


def test_what_a_guard_would_have_done_is_told_step_by_step(scene):
    told = text(scene.data())
    assert "guard shop: 2 incidents, acting in 2\n  held by: not critical once\n" in told
    assert "  2026-03-02 06:06:00  flag-off (breach), for shop/Errors: known incident\n" in told
    assert "  2026-03-07 06:00:00  flag-off (breach), for shop/Errors: false alarm" in told
    assert "      had that not helped: roll-back at 2026-03-02 06:12:00\n" in told


def test_nothing_is_wider_than_a_screen(scene):
    long = "CheckoutServicePaymentErrorsOfTheThirdKindInEurope"
    scene.rules = RULES.replace("alert: Errors", f"alert: {long}")
    scene.by_rule = {key.replace("Errors", long): each for key, each in scene.by_rule.items()}
    scene.by_rule[f"shop/{long}"].nearest = Nearest(value=0.123456789, at=START)
    scene.by_rule["shop/Latency"].nearest = Nearest(value=-123456.789, at=START)
    scene.guards["shop"].held = dict.fromkeys(("not_critical", "limit_reached", "cooldown", "blind"), 12345)
    scene.swept = f"shop/{long}"
    data = {
        **scene.data(),
        "remarks": ["a sentence that goes on and on " * 9],
        "refused": [{"id": "shop/X", "detail": "no " * 99}],
    }
    lines = list(lines_of(data))
    assert max(map(len, lines)) <= WIDTH, max(lines, key=len)
    assert f"…{long[-20:]}" in text(data)


def test_names_are_cut_only_where_there_is_no_room_for_them(scene):
    long = "LatencyOfProviders"
    scene.rules = RULES.replace("alert: Latency", f"alert: {long}")
    scene.by_rule = {key.replace("Latency", long): each for key, each in scene.by_rule.items()}
    assert [f"shop/{long}", "0", "0", "0.4", ">", "0.5", "0%"] in rows(scene.data())


def test_all_thresholds_of_a_sweep_are_written_alike(scene):
    data = a_sweep(scene)
    data["sweep"]["tried"][1]["threshold"] = 5
    told = text(data)
    assert "> 500% " in told
    assert "> 1% " in told


def test_no_name_steers_the_terminal(scene):
    scene.incidents = (replace(INCIDENTS[0], name="\x1b[2J"),)
    data = {**scene.data(), "remarks": ["\x1b]0;owned\x07"], "files": ["\x1b[31m.yaml"]}
    data["refused"] = [{"id": "shop/X", "detail": "\x1b[2J\nnext"}]
    assert all(line.isprintable() for line in lines_of(data))


def test_a_comparison_pairs_what_moved(scene):
    scene.compared = True
    told = text(scene.data())
    assert "  ~ guard shop begins flag-off 3m earlier, at 2026-03-02 06:03:00" in told
    assert "  - guard shop begins flag-off at 2026-03-07 06:00:00" in told
    assert "guard shop begins flag-off at 2026-03-02" not in told


def test_a_comparison_is_in_the_order_of_time(scene):
    scene.compared = True
    data = scene.data()
    changed = data["compare"]["rules"][0]
    gone, moved = changed["only_before"][0], changed["moved"][0]
    new = {**gone, "began_at": "2026-03-12T00:00:00Z"}
    later = {**moved, "after": {**moved["after"], "began_at": "2026-03-13T00:00:00Z"}, "earlier_s": -60.0}
    changed |= {"only_after": [new], "moved": [later, moved]}
    lines = [line for line in lines_of(data) if "shop/Errors fires" in line]
    assert [line.split()[0] for line in lines] == ["~", "-", "+", "~"]
    assert lines[-1] == "  ~ shop/Errors fires 1m later, at 2026-03-13 00:00:00"


def test_json_is_json_whatever_was_measured(scene):
    scene.by_rule["shop/Errors"].nearest = Nearest(value=math.inf, at=START)
    scene.by_rule["shop/Latency"].low[3] = -math.inf
    found = json.loads(as_json(scene.data()), parse_constant=pytest.fail)
    assert found["rules"][0]["nearest"]["value"] == "+Inf"
    assert found["rules"][1]["line"]["low"][3] == "-Inf"


def remarks(tmp_path, *, rules=RULES, results=None, past=None, step=None, **known):
    path = tmp_path / "rules.yaml"
    path.write_text(rules)
    loaded = load([path], action_types=registry.settings_types())
    assert loaded.policy, [problem.render() for problem in loaded.problems]
    planned = plan(loaded.policy, START, START + LENGTH, step=step)
    results = results or a_result()
    past = past or Past(start=START, end=START + LENGTH)
    circumstances = Circumstances(**{"written": loaded.policy, "now": START + LENGTH, "has_step": bool(step)} | known)
    return list(remarks_of(planned, results, past, circumstances))


def a_result(**rules):
    known = {f"shop/{name}": RuleResult(slots=9, asked=9) for name in ("Errors", "Latency", "Gone", "Silent")}
    return Results(
        start=START,
        end=START + LENGTH,
        data_since={"prometheus": START},
        rules=known | {f"shop/{name}": each for name, each in rules.items()},
        guards={"shop": GuardResult()},
    )


def test_an_ordinary_backtest_needs_no_remark(tmp_path):
    assert remarks(tmp_path) == []


def test_it_is_said_from_when_on_there_is_data(tmp_path):
    results = a_result()
    results.data_since["prometheus"] = hours(30)
    assert remarks(tmp_path, results=results) == [
        "prometheus has nothing of these rules before 2026-03-02 06:00: what is older was not played"
    ]


def test_it_is_said_that_there_is_none(tmp_path):
    results = a_result()
    results.data_since.clear()
    assert (
        remarks(tmp_path, results=results)[0]
        == "prometheus has nothing of these rules in all this time: nothing was played"
    )


def test_a_server_that_refuses_all_rules_is_not_without_data(tmp_path):
    never = {"slots": 9, "asked": 9, "refused": 9, "details": {Unknown.QUERY_ERROR: "bad"}}
    results = a_result(**{name: RuleResult(**never) for name in ("Errors", "Latency", "Silent")})
    results.data_since.clear()
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    planned = plan(load([path], action_types=registry.settings_types()).policy, START, START + LENGTH, step=None)
    assert list(without_data(planned, results)) == []
    assert [id_ for id_, _ in refused(results)] == ["shop/Errors", "shop/Latency", "shop/Silent"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("    armed: rollout\n", "guard shop is armed by rollouts only, and no deploy is known: it holds all the time"),
        ("    veto: 5m\n", "guard shop waits 5m for a veto: nobody vetoes here"),
    ],
)
def test_what_nobody_does_in_a_backtest_is_said(tmp_path, text, words):
    rules = RULES.replace("    playbook:", f"{text}    playbook:")
    assert any(each.startswith(words) for each in remarks(tmp_path, rules=rules))


@pytest.mark.parametrize(
    ("otherwise", "words"),
    [("run", "it is run when the time is up"), ("skip", "it is skipped"), ("hand_over", "people are called")],
)
def test_a_step_that_needs_approval_is_said_to_get_none(tmp_path, otherwise, words):
    step = f"approve: 10m, unapproved: {otherwise}"
    rules = RULES.replace("action: roll-back,", f"action: roll-back, {step},")
    (found,) = remarks(tmp_path, rules=rules)
    assert found.startswith("guard shop asks before roll-back: nobody approves here, and ")
    assert words in found


def test_deploys_arm_what_is_armed_by_rollouts(tmp_path):
    rules = RULES.replace("    playbook:", "    armed: rollout\n    playbook:")
    past = Past(start=START, end=START + LENGTH, deploys=[Deploy(at=hours(3))])
    assert remarks(tmp_path, rules=rules, past=past) == []


def test_what_is_not_played_is_said(tmp_path):
    rules = RULES.replace("guards:", "probes:\n  - {probe: ready, url: 'https://x', labels: {service: shop}}\nguards:")
    assert remarks(tmp_path, rules=rules) == [
        "not played, for Prometheus has no history of it: probe/ready",
        "guard shop listens to some of that too: it may act where this says nothing",
    ]
    assert remarks(tmp_path, recordings=2) == ["2 recording rules are left to Prometheus, which has the results or not"]
    assert "maintenance" in remarks(tmp_path, has_calendar=True)[0]


def test_a_dry_run_is_said_to_be_none_here(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    written = load([path], action_types=registry.settings_types()).policy
    assert "dry-run" in remarks(tmp_path, written=replace(written, mode=Mode.DRY_RUN))[0]


def test_a_step_that_is_longer_than_for_is_said_to_delay(tmp_path):
    (found,) = remarks(tmp_path, step=timedelta(minutes=6))
    assert found == "--step is longer than the `for` of shop/Errors, shop/Gone: they fire later here than they would"


NEVER = {"slots": 9, "asked": 9}


@pytest.mark.parametrize(
    ("why", "detail", "words"),
    [
        (
            "heartbeat",
            "the server answers count(up) with nothing",
            "nothing can be told of shop/Silent, unknown all the time (heartbeat, among others: the server answers count(up) with nothing). "
            + CURES["heartbeat"],
        ),
        (
            "absent",
            "",
            "nothing can be told of shop/Silent, unknown all the time (absent, among others). " + CURES["absent"],
        ),
        (
            "too_large",
            "9999 series",
            "nothing can be told of shop/Silent, unknown all the time (too large, among others: 9999 series)",
        ),
    ],
)
def test_why_nothing_was_known_of_a_rule_is_said_with_what_to_do(tmp_path, why, detail, words):
    silent = RuleResult(**NEVER, unknown={why: 8, "timeout": 1}, details={why: detail})
    assert remarks(tmp_path, results=a_result(Silent=silent))[0] == words


def test_blindness_is_named_before_idleness_that_was_longer(tmp_path):
    silent = RuleResult(**NEVER, unknown={"no_traffic": 6, "absent": 3})
    said = remarks(tmp_path, results=a_result(Silent=silent))[0]
    assert said.startswith("nothing can be told of shop/Silent, unknown all the time (absent, among others)")


def test_where_nothing_was_known_of_any_rule_it_is_said_once(tmp_path):
    never = {name: RuleResult(**NEVER, unknown={"heartbeat": 9}) for name in ("Errors", "Latency", "Gone", "Silent")}
    found = [each for each in remarks(tmp_path, results=a_result(**never)) if "nothing can be told" in each]
    assert len(found) == 1
    assert found[0].startswith("nothing can be told of any rule, unknown all the time (heartbeat)")


def test_false_alarms_per_week_that_are_projected_from_less_are_said_to_be(tmp_path):
    results = a_result()
    results.data_since["prometheus"] = START + LENGTH - timedelta(days=2)
    past = Past(start=START, end=START + LENGTH, is_told=True)
    assert "false alarms per week are projected from 2d" in remarks(tmp_path, results=results, past=past)
    assert not any("projected" in each for each in remarks(tmp_path, results=results))


def test_a_time_that_is_yet_to_come_is_said(tmp_path):
    assert "lies in the future" in remarks(tmp_path, now=START)[0]


def test_what_fires_still_and_what_is_unknown_are_said(tmp_path):
    results = a_result(
        Errors=RuleResult(slots=9, asked=9, firing=[period(300)], firings=MOST_KEPT + 1),
        Latency=RuleResult(slots=9, asked=9, unknown={"absent": 4}, unseen=[period(0, 100, why="absent")]),
        Silent=RuleResult(slots=9, asked=9, refused=3, details={"query_error": "many-to-many"}),
    )
    assert remarks(tmp_path, results=results) == [
        f"shop/Errors fired {MOST_KEPT + 1} times: only the first {MOST_KEPT} are listed and classified",
        "shop/Latency measures nothing before 2026-03-05 04:00",
        "the server refuses shop/Silent for a part of the time: many-to-many",
        "shop/Errors still fires at the end",
        "where a rule is unknown none of its alerts begins, advances or ends: it may have fired there",
    ]


def test_what_lies_outside_of_the_time_is_counted_and_left_out():
    early, late = Deploy(at=hours(-2)), Deploy(at=hours(500))
    known = replace(INCIDENTS[0], start=hours(-1), end=hours(1))
    gone = replace(INCIDENTS[0], start=hours(-9), end=hours(-8))
    past = Past(start=START, end=START + LENGTH, deploys=[early, late], incidents=[gone, known]).within(
        START, START + LENGTH
    )
    assert past.left_out == 3
    assert [(each.start, each.end) for each in past.incidents] == [(START, hours(1))]


def a_sweep(scene, **same_as):
    """Return a backtest with a sweep whose choices come to the same as others where that is said, by their numbers."""
    scene.swept = "Errors"
    data = scene.data()
    tried = data["sweep"]["tried"]
    for number, each in enumerate(tried):
        other = same_as.get(f"n{number}")
        each["pareto"] = number == 0 or other is not None
        each["same_as"] = None if other is None else {key: tried[other][key] for key in ("threshold", "for_s")}
    return data


def test_choices_that_come_to_the_same_are_named_beside_the_one_that_is_marked(scene):
    told = text(a_sweep(scene, n1=0, n3=0))
    (marked,) = [line for line in told.splitlines() if "*" in line and line.startswith(">")]
    assert marked.startswith("> 1%")
    assert marked.endswith("  * now same: > 0.5% 2m, > 1% 2m")
    assert "*" not in next(line for line in told.splitlines() if line.startswith("> 0.5%"))


def test_of_many_that_come_to_the_same_some_are_named_and_the_others_counted(scene):
    assert "same: > 0.5% 2m, > 0.5% 5m, > 1% 2m and 2 more" in text(a_sweep(scene, n1=0, n2=0, n3=0, n4=0, n5=0))


def test_the_marks_of_a_sweep_stand_below_each_other(scene):
    data = a_sweep(scene)
    data["sweep"]["tried"][3]["mean_detection_delay_s"] = None
    data["sweep"]["tried"][3]["pareto"] = True
    lines = [line for line in text(data).splitlines() if line.startswith("> ") and "*" in line]
    assert len({line.index("*") for line in lines}) == 1 < len(lines)
