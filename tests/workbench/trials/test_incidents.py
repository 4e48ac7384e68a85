"""Whole incidents are played: what breaks, what the guard does about it, whether that helps, and what it cannot see."""

import pytest

ERRORS = {
    "alert": "ErrorRate",
    "expr": 'sum(rate(requests{code="500"}[150s])) / sum(rate(requests[150s])) > 0.01',
    "for": "2m",
    "labels": {"severity": "critical", "service": "shop"},
    "annotations": {"summary": "Errors at {{ $value | humanizePercentage }}"},
}
PROBE = {
    "probe": "shop-live",
    "url": "https://shop.internal/live",
    "for": "2m",
    "labels": {"severity": "critical", "service": "shop"},
}
STEPS = [
    {"action": "disable-x", "verify": {"within": "6m", "stable_for": "1m"}},
    {"action": "roll-back", "verify": {"within": "6m", "stable_for": "1m"}},
]


def a_guard(**changes):
    return {
        "guard": "shop",
        "select": {"service": "shop"},
        "playbook": STEPS,
        "limits": {"max_actions": 4, "cooldown": "0s"},
    } | changes


def rules(*alerts, probes=(PROBE,), **guard):
    return {
        "groups": [{"name": "shop", "interval": "15s", "rules": list(alerts or (ERRORS,))}],
        "probes": list(probes),
        "guards": [a_guard(**guard)],
    }


GOOD = {"series": 'requests{code="200"}', "values": "0+6000x120"}
BAD = {"series": 'requests{code="500"}', "values": "0x10 600+600x109", "cured": "last+0x1"}
"""One request of eleven fails from the eleventh minute on."""


def concluded(eval_time, *decisions, guard="shop"):
    """Return an expectation; a decision is written as `decision/reason action`."""
    expected = []
    for text in decisions:
        words, _, action = text.partition(" ")
        decision, _, reason = words.partition("/")
        expected.append(
            {"decision": decision, **({"reason": reason} if reason else {}), **({"action": action} if action else {})}
        )
    return {"eval_time": eval_time, "guard": guard, "exp_decisions": expected}


@pytest.fixture
def passes(play):
    """Play a test over failing requests, and return what failed of it."""

    def played(rules_, *decisions, series=(GOOD, BAD), **more):
        test = {"name": "one", "interval": "1m", "input_series": list(series), "decision_test": list(decisions), **more}
        verdict = play(rules_, test)
        return [problem.message for problem in verdict.problems] + [
            (failure.what, failure.missing, failure.surplus) for trial in verdict.trials for failure in trial.failures
        ]

    return played


def test_a_step_that_cures_is_the_last_one(passes):
    decisions = [
        concluded("12m59s"),
        concluded("13m", "act/breach disable-x"),
        concluded("15m", "act/breach disable-x"),
        concluded("18m", "recovered/verified"),
        concluded("40m", "none/healthy"),
    ]
    assert (
        passes(rules(), *decisions, action_results=[{"action": "disable-x", "takes": "30s", "cures_after": "0s"}]) == []
    )


def test_a_step_that_does_not_help_is_followed_by_the_next(passes):
    decisions = [
        concluded("13m", "act/breach disable-x"),
        concluded("19m", "act/not_recovered roll-back"),
        concluded("30m", "recovered/verified"),
    ]
    results = [{"action": "roll-back", "takes": "90s", "cures_after": "30s"}]
    assert passes(rules(), *decisions, action_results=results) == []


def test_nothing_helps_and_people_are_called(passes):
    decisions = [concluded("13m", "act/breach disable-x"), concluded("60m", "hand_over/playbook_exhausted")]
    assert passes(rules(), *decisions) == []


def test_a_step_that_fails_is_followed_by_the_next_at_once(passes):
    decisions = [concluded("13m10s", "act/breach disable-x"), concluded("13m30s", "act/action_failed roll-back")]
    assert (
        passes(rules(), *decisions, action_results=[{"action": "disable-x", "result": "fails", "takes": "20s"}]) == []
    )


@pytest.mark.parametrize(
    ("result", "time_limit", "at"), [({}, None, "13m30s"), ({}, "45s", "13m45s"), ({"takes": "10s"}, None, "13m10s")]
)
def test_a_step_that_hangs_ends_with_people(passes, result, time_limit, at):
    steps = [{**STEPS[0], "timeout": time_limit}, STEPS[1]] if time_limit else STEPS
    results = [{"action": "disable-x", "result": "hangs", **result}]
    decisions = [concluded("13m9s", "act/breach disable-x"), concluded(at, "hand_over/outcome_unknown")]
    assert passes(rules(playbook=steps), *decisions, action_results=results) == []


def test_every_run_of_an_action_has_a_result_of_its_own(passes):
    results = [{"action": "disable-x", "result": "fails", "takes": "5s"}, {"action": "disable-x", "cures_after": "0s"}]
    decisions = [concluded("13m5s", "act/action_failed disable-x"), concluded("20m", "recovered/verified")]
    assert passes(rules(playbook=[STEPS[0], STEPS[0], STEPS[1]]), *decisions, action_results=results) == []


def test_health_checks_are_cured_too(passes):
    probes = [{"probe": "shop-live", "values": "1x4 0x100", "cured": "1x1"}]
    decisions = [
        concluded("6m"),
        concluded("7m", "act/breach disable-x"),
        concluded("20m", "recovered/verified"),
    ]
    results = [{"action": "disable-x", "cures_after": "1m"}]
    assert passes(rules(), *decisions, series=[GOOD], probe_results=probes, action_results=results) == []


def test_a_health_check_that_cannot_be_made_is_no_failure(passes):
    probes = [{"probe": "shop-live", "values": "1 _x60"}]
    states = [{"eval_time": "5m", "alertname": "shop-live", "exp_states": [{"labels": {}, "state": "unknown"}]}]
    states[0]["exp_states"][0]["labels"] = {"severity": "critical", "service": "shop"}
    decisions = [concluded("20m", "hold/blind")]
    assert passes(rules(), *decisions, series=[GOOD], probe_results=probes, alert_state_test=states) == []


def test_an_outage_withholds_what_is_read_back_after_it(passes):
    states = [
        {
            "eval_time": "12m",
            "alertname": "ErrorRate",
            "exp_states": [{"labels": LABELS, "state": "pending", "active_at": "11m"}],
        },
        {"eval_time": "14m", "alertname": "ErrorRate", "exp_states": [{"labels": LABELS, "state": "firing"}]},
    ]
    outages = [{"from": "11m30s", "to": "14m"}]
    decisions = [concluded("13m59s"), concluded("14m", "act/breach disable-x")]
    assert passes(rules(), *decisions, outages=outages, alert_state_test=states) == []


LABELS = {"severity": "critical", "service": "shop"}


def test_a_guard_that_is_blind_for_long_says_so_and_does_nothing(passes):
    decisions = [concluded("9m"), concluded("11m", "hold/blind"), concluded("30m", "hold/blind")]
    assert passes(rules(), *decisions, outages=[{"from": "5m", "to": "40m", "reason": "timeout"}]) == []


@pytest.mark.parametrize(
    ("expected", "id_", "hint"),
    [
        ({"decision": "act", "action": "disable-y"}, "unknown-action", "Did you mean `disable-x`?"),
        ({"decision": "act", "action": "zzz"}, "unknown-action", "It has `disable-x`, `roll-back`."),
        ({"decision": "actt", "action": "disable-x"}, "bad-value", "Did you mean `act`?"),
        ({"decision": "act", "reason": "braech"}, "bad-value", "Did you mean `breach`?"),
    ],
)
def test_a_decision_that_a_guard_can_never_make_is_a_mistake(play, expected, id_, hint):
    decision = {"eval_time": "1m", "guard": "shop", "exp_decisions": [{"decision": "act"}, expected]}
    (problem,) = play(rules(), {"name": "one", "decision_test": [decision]}).problems
    assert problem.id == id_
    assert hint in problem.hint


IDLE_HINT = (
    "`ErrorRate` has nothing to judge then (no_traffic). "
    "Where the step takes the traffic with it, give the step `verify: {idle: pass}`"
)


@pytest.mark.parametrize(("idle", "hint"), [("unknown", [IDLE_HINT]), ("pass", [])])
def test_a_flag_that_takes_its_traffic_with_it_is_told_of_the_key_that_says_so(play, idle, hint):
    alert = {**ERRORS, "when": "sum(rate(requests[150s])) > 1"}
    series = [{**GOOD, "cured": "last+0x1"}, BAD]
    results = [{"action": "disable-x", "cures_after": "0s"}]
    test = {
        "name": "one",
        "interval": "1m",
        "input_series": series,
        "action_results": results,
        "decision_test": [concluded("40m", "recovered/verified")],
    }
    steps = [{"action": "disable-x", "verify": {"within": "6m", "stable_for": "1m", "idle": idle}}]
    failures = play(rules(alert, probes=(), playbook=steps), test).trials[0].failures
    assert [hint for failure in failures for hint in failure.hints[1:]] == hint
    assert bool(failures) is bool(hint)


def test_an_outage_of_another_data_source_is_a_mistake(passes):
    assert passes(rules(), concluded("1m"), outages=[{"from": "5m", "to": "9m", "datasource": "other"}]) == [
        "the rule files have no data source `other`"
    ]


def test_countdowns_end_between_two_evaluations(passes):
    decisions = [
        concluded("13m", "hold/awaiting_veto disable-x"),
        concluded("13m36s", "hold/awaiting_veto disable-x"),
        concluded("13m37s", "act/breach disable-x"),
    ]
    assert passes(rules(veto="37s"), *decisions) == []


@pytest.mark.parametrize(
    ("unapproved", "decision"),
    [("run", "act/breach disable-x"), ("skip", "act/not_approved roll-back"), ("hand_over", "hand_over/not_approved")],
)
def test_nobody_approves_in_a_test_and_the_step_goes_on_as_it_says(passes, unapproved, decision):
    steps = [{**STEPS[0], "approve": "95s", "unapproved": unapproved}, STEPS[1]]
    decisions = [concluded("14m34s", "hold/awaiting_approval disable-x"), concluded("14m35s", decision)]
    assert passes(rules(playbook=steps), *decisions) == []


def test_a_guard_that_is_armed_by_a_rollout_acts_only_then(passes):
    armed = rules(armed="rollout", window="30m", warm_up="0s", already_bad="exclude")
    rollout = {"guard": "shop", "version": "v2", "previous_version": "v1"}
    assert passes(armed, concluded("13m", "hold/not_armed"), concluded("50m", "hold/not_armed")) == []
    assert passes(armed, concluded("13m", "act/breach disable-x"), rollouts=[{**rollout, "at": "9m"}]) == []
    assert (
        passes(armed, concluded("13m", "hold/not_armed"), rollouts=[{**rollout, "at": "1m", "finished": "12m"}]) == []
    )
    assert passes(armed, concluded("25m", "hold/already_bad"), rollouts=[{**rollout, "at": "20m"}]) == []


def test_what_is_refused_fails_the_test_and_says_why(play):
    armed = rules(armed="rollout", window="30m")
    test = {
        "name": "one",
        "interval": "1m",
        "input_series": [GOOD],
        "rollouts": [
            {"guard": "shop", "at": "1m"},
            {"guard": "shop", "at": "1m", "finished": "2m"},
            {"guard": "shop", "at": "5m", "finished": "4m"},
        ],
        "decision_test": [concluded("10m")],
    }
    failures = [failure for trial in play(armed, test).trials for failure in trial.failures]
    assert [failure.what for failure in failures] == ["what `rollouts` asks for is refused"]
    assert "no rollout" in failures[0].detail


def test_alerts_from_elsewhere_act_and_end(passes):
    listening = rules(signals=["DataCorruption"])
    signal = {"alertname": "DataCorruption", "labels": {"service": "shop"}, "from": "2m", "to": "5m"}
    decisions = [
        concluded("1m"),
        concluded("2m", "act/breach disable-x"),
        concluded("10m", "recovered/verified"),
    ]
    assert passes(listening, *decisions, series=[GOOD], signals=[signal]) == []


def test_an_alert_from_elsewhere_that_goes_on_is_repeated(passes):
    listening = rules(signals=["DataCorruption"], playbook=[STEPS[0]])
    signal = {"alertname": "DataCorruption", "labels": {"service": "shop"}, "from": "2m"}
    states = [
        {"eval_time": "30h", "alertname": "DataCorruption", "exp_states": [{"labels": LABELS, "state": "firing"}]}
    ]
    verdict = passes(listening, series=[], signals=[signal], alert_state_test=states)
    assert verdict == []


def test_an_alert_from_elsewhere_that_no_guard_takes_is_a_mistake(passes):
    listening = rules(signals=["DataCorruption"])
    signal = {"alertname": "DataCorruption", "labels": {"service": "other"}}
    assert passes(listening, concluded("1m"), signals=[signal]) == [
        "no guard takes the signal `DataCorruption` with these labels"
    ]
    assert passes(listening, concluded("1m"), signals=[{**signal, "alertname": "DataCorruptoin"}]) == [
        "the rule files have no signal `DataCorruptoin`"
    ]


def test_a_cure_of_a_series_that_had_no_value_cannot_be_played(passes):
    late = {"series": "late", "values": "_x60 1", "cured": "last+0x1"}
    (failure,) = passes(
        rules(),
        concluded("20m", "recovered"),
        series=[GOOD, BAD, late],
        action_results=[{"action": "disable-x", "cures_after": "0s"}],
    )
    assert failure[0] == "the test cannot be played"


def test_states_are_those_of_every_series_that_is_not_inactive(passes):
    pods = {"alert": "Pods", "expr": "m > 1", "for": "3m", "labels": {"severity": "warning"}}
    series = [
        {"series": 'm{pod="quiet"}', "values": "0x20"},
        {"series": 'm{pod="pending"}', "values": "0x4 2x20"},
        {"series": 'm{pod="firing"}', "values": "2x20"},
        {"series": 'm{pod="nan"}', "values": "0 NaN NaN NaN NaN NaN NaN NaN"},
    ]

    def labels(pod):
        return {"pod": pod, "severity": "warning"}

    expected = [
        {"labels": labels("pending"), "state": "pending", "active_at": "5m"},
        {"labels": labels("firing"), "state": "firing"},
        {"labels": labels("nan"), "state": "unknown"},
    ]
    states = [{"eval_time": "6m", "alertname": "Pods", "exp_states": expected}]
    assert passes(rules(pods, ERRORS), series=series, alert_state_test=states) == []
    wrong = [{**states[0], "exp_states": [{**expected[0], "active_at": "4m"}, *expected[1:]]}]
    ((_, missing, surplus),) = passes(rules(pods, ERRORS), series=series, alert_state_test=wrong)
    assert (missing, surplus) == (
        ('pending {pod="pending", severity="warning"} since 4m',),
        ('pending {pod="pending", severity="warning"} since 5m',),
    )
