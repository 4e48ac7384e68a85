"""Where ours is not promtool, on purpose: each difference of docs/testing.md, with what promtool says beside it."""

import pytest
import yaml

from installed import PROMETHEUS, with_prometheus_3


def rules(*rules, **more):
    return {"groups": [{"name": "g", "rules": list(rules)}], **more}


ABOVE = {"alert": "Above", "expr": "m > 1"}


@pytest.fixture
def both(play, promtool_says, tmp_path):
    """Return whether promtool is content with a test, and whether ours is."""

    def asked(rules, test, **file):
        verdict = play(rules, test, **file)
        return promtool_says([tmp_path / "played.test.yaml"])[tmp_path / "played.test.yaml"], not verdict.is_failed

    return asked


def one(**test):
    return {"name": "one", "interval": "1m", **test}


def firing(eval_time, *labels, alertname="Above"):
    return {"eval_time": eval_time, "alertname": alertname, "exp_alerts": [{"exp_labels": each} for each in labels]}


def test_a_series_that_ends_has_not_recovered(both):
    series = [{"series": "m", "values": "2 2 stale"}]
    gone, stays = firing("3m"), firing("3m", {})
    assert both(rules(ABOVE), one(input_series=series, alert_rule_test=[gone])) == (True, False)
    assert both(rules(ABOVE), one(input_series=series, alert_rule_test=[stays])) == (False, True)


def test_nothing_is_judged_of_nan(both):
    series = [{"series": "m", "values": "NaNx5".replace("x5", " NaN NaN")}]
    other = {"alert": "Above", "expr": "m != 0"}
    assert both(rules(other), one(input_series=series, alert_rule_test=[firing("1m", {})])) == (True, False)
    assert both(rules(other), one(input_series=series, alert_rule_test=[firing("1m")])) == (False, True)


def test_samples_older_than_max_age_are_no_data(both):
    series = [{"series": "m", "values": "2 2 _x9"}]
    held = {**ABOVE, "for": "4m"}
    assert both(rules(held), one(input_series=series, alert_rule_test=[firing("4m", {})])) == (True, False)
    assert both(rules(held), one(input_series=series, alert_rule_test=[firing("4m")])) == (False, True)


def test_max_age_can_be_switched_off(play):
    series = [{"series": "m", "values": "2 2 _x9"}]
    held = {**ABOVE, "for": "4m", "max_age": "0s"}
    assert not play(rules(held), one(input_series=series, alert_rule_test=[firing("4m", {})])).is_failed


def test_an_absent_ratio_of_a_present_denominator_is_zero_and_passes(play):
    ratio = {"alert": "Ratio", "expr": "sum(rate(errors[2m])) / sum(rate(requests[2m])) > 0.01"}
    test = one(
        input_series=[{"series": "requests", "values": "0+60x20"}],
        alert_state_test=[
            {"eval_time": "0s", "alertname": "Ratio", "exp_states": [{"state": "unknown"}]},
            {"eval_time": "5m", "alertname": "Ratio", "exp_states": []},
        ],
    )
    assert not play(rules(ratio), test).is_failed


@pytest.mark.parametrize("expr", ["1", "vector(0)", '"text"', "m[5m]", "m > bool 1"])
def test_an_expression_that_is_no_condition_is_refused(play, expr):
    verdict = play(rules({"alert": "Above", "expr": expr}), one(alert_rule_test=[firing("1m")]))
    assert [problem.path.endswith("rules.yaml") for problem in verdict.problems] == [True]


def test_two_values_that_are_nan_are_equal(both):
    case = {"expr": "vector(NaN)", "eval_time": "1m", "exp_samples": [{"value": float("nan")}]}
    assert both(rules(ABOVE), one(promql_expr_test=[case])) == (False, True)


def test_an_empty_label_is_none(both):
    series = [{"series": "m", "values": "2x5"}]
    assert both(rules(ABOVE), one(input_series=series, alert_rule_test=[firing("1m", {"pod": ""})])) == (False, True)


UNNOTICED = {
    "a pattern that matches no file": (
        {"rule_files": ["nothing*.yaml"]},
        one(promql_expr_test=[{"expr": "m"}]),
        "no-rule-file",
    ),
    "an alert that no rule has": ({}, one(alert_rule_test=[firing("1m", alertname="Abvoe")]), "unknown-alert"),
    "a test that asserts nothing": ({}, one(input_series=[{"series": "m", "values": "1"}]), "no-assertion"),
    "a group that is not there": (
        {"group_eval_order": ["gg"]},
        one(promql_expr_test=[{"expr": "m"}]),
        "unknown-group",
    ),
}


@pytest.mark.parametrize("name", UNNOTICED)
def test_what_promtool_lets_pass_unnoticed_is_a_mistake(play, promtool_says, tmp_path, name):
    file, test, mistake = UNNOTICED[name]
    verdict = play(rules(ABOVE), test, **file)
    assert [problem.id for problem in verdict.problems] == [mistake]
    assert promtool_says([tmp_path / "played.test.yaml"]) == {tmp_path / "played.test.yaml": True}


def test_a_file_without_a_test_is_a_mistake(play, promtool_says, tmp_path):
    assert [problem.id for problem in play(rules(ABOVE)).problems] == ["no-assertion"]
    assert promtool_says([tmp_path / "played.test.yaml"]) == {tmp_path / "played.test.yaml": True}


def test_groups_without_an_order_come_after_those_whose_recordings_they_read(play):
    groups = {
        "groups": [
            {"name": "alerts", "rules": [{"alert": "Above", "expr": "recorded > 1"}]},
            {"name": "recordings", "rules": [{"record": "recorded", "expr": "m"}]},
        ]
    }
    test = one(input_series=[{"series": "m", "values": "0 0 2x5"}], alert_rule_test=[firing("2m", {})])
    assert not play(groups, test).is_failed
    assert play(groups, test, group_eval_order=["alerts", "recordings"]).is_failed


@pytest.mark.parametrize(("second", "is_well"), [("m * 2", False), ("m * 1", True), ("m > 5", True)])
def test_two_rules_may_write_one_series_as_long_as_they_agree(both, second, is_well):
    groups = rules({"record": "twice", "expr": "m"}, {"record": "twice", "expr": second}, ABOVE)
    case = {"expr": "twice", "eval_time": "2m", "exp_samples": [{"labels": "twice", "value": 1}]}
    test = one(input_series=[{"series": "m", "values": "1x5"}], promql_expr_test=[case])
    assert both(groups, test) == (is_well, is_well)


NEWER = {
    "the spacing of samples is the evaluation interval": {
        "name": "x",
        "input_series": [{"series": "m", "values": "0 1 2"}],
        "promql_expr_test": [{"expr": "m", "eval_time": "2m", "exp_samples": [{"labels": "m", "value": 2}]}],
    },
    "a test begins when it says": {
        "name": "x",
        "start_timestamp": "2026-01-02T03:04:00Z",
        "input_series": [{"series": "m", "values": "0 1 2"}],
        "promql_expr_test": [
            {"expr": "time()", "eval_time": "1m", "exp_samples": [{"value": 1767323100}]},
            {"expr": "hour()", "eval_time": "1m", "exp_samples": [{"value": 3}]},
            {"expr": "m", "eval_time": "2m", "exp_samples": [{"labels": "m", "value": 2}]},
        ],
    },
    "seconds since 1970 are a time too": {
        "name": "x",
        "start_timestamp": 3600,
        "promql_expr_test": [{"expr": "time()", "eval_time": "1m", "exp_samples": [{"value": 3660}]}],
    },
}


@pytest.mark.parametrize("name", NEWER)
def test_what_only_newer_promtools_know_works(play, name):
    assert play(rules(ABOVE), NEWER[name]).problems == ()
    assert not play(rules(ABOVE), NEWER[name]).is_failed


def test_neighbours_in_floating_point_are_equal_where_the_file_says_so(play):
    case = {"expr": "vector(0.1) + 0.2", "exp_samples": [{"value": 0.3}]}
    assert play(rules(ABOVE), one(promql_expr_test=[case])).is_failed
    assert not play(rules(ABOVE), one(promql_expr_test=[case]), fuzzy_compare=True).is_failed


def test_the_url_of_a_test_is_known_to_templates(play):
    linked = {**ABOVE, "labels": {"at": "{{ externalURL }}"}, "annotations": {"link": "{{ externalURL }}/x"}}
    alert = {"exp_labels": {"at": "https://prom.test"}, "exp_annotations": {"link": "https://prom.test/x"}}
    test = one(
        external_url="https://prom.test",
        input_series=[{"series": "m", "values": "2x5"}],
        alert_rule_test=[{"eval_time": "1m", "alertname": "Above", "exp_alerts": [alert]}],
    )
    assert not play(rules(linked), test).is_failed


def test_anchors_and_merge_keys_are_read_as_promtool_reads_them(bench, promtool_says, tmp_path):
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules(ABOVE)))
    path = tmp_path / "anchors.test.yaml"
    path.write_text(
        """
        rule_files: [rules.yaml]
        tests:
          - &first
            name: first
            interval: 1m
            input_series: &series
              - &m {series: m, values: 2x5}
              - {<<: *m, series: n, values: 3x5}
            alert_rule_test: [{eval_time: 2m, alertname: Above, exp_alerts: [{}]}]
          - <<: *first
            name: second
            promql_expr_test:
              - {expr: n, eval_time: 1m, exp_samples: [{labels: n, value: 3}]}
          - {name: third, interval: 1m, input_series: *series, promql_expr_test: [{expr: count(n), eval_time: 1m, exp_samples: [{value: 1}]}]}
        """
    )
    assert promtool_says([path]) == {path: True}
    assert [trial.failures for trial in bench.run(path).trials] == [(), (), ()]


UTF8 = {"alert": "Above", "expr": 'sum by ("service.name") ({"http.requests", "service.name"=~"k.*"}) > 1'}


@with_prometheus_3
def test_names_of_any_letters_are_played_as_promtool_plays_them(both):
    series = [{"series": '{"http.requests", "service.name"="künde"}', "values": "2x5"}]
    fires, other = firing("3m", {"service.name": "künde"}), firing("3m", {"service.name": "kunde"})
    assert both(rules(UTF8), one(input_series=series, alert_rule_test=[fires])) == (True, True)
    assert both(rules(UTF8), one(input_series=series, alert_rule_test=[other])) == (False, False)


@with_prometheus_3
def test_a_native_histogram_is_played_by_promtool_alone(play, promtool_says, tmp_path):
    native = "{{schema:0 sum:5 count:4 buckets:[1 2 1]}}"
    counted = {"expr": "histogram_count(h)", "eval_time": "1m", "exp_samples": [{"value": 4}]}
    expected = native.replace(" buckets", " counter_reset_hint:not_reset buckets")
    compared = {"expr": "h", "eval_time": "1m", "exp_samples": [{"labels": "h", "histogram": expected}]}
    series = [{"series": "h", "values": f"{native}x5"}]
    verdict = play(rules(ABOVE), one(input_series=series, promql_expr_test=[counted, compared]))
    assert [problem.id for problem in verdict.problems] == ["bad-notation", "bad-value"]
    assert promtool_says([tmp_path / "played.test.yaml"]) == {tmp_path / "played.test.yaml": True}


def test_that_no_native_histogram_is_expected_may_be_said(play):
    case = {"expr": "vector(1)", "exp_samples": [{"value": 1, "histogram": ""}]}
    assert not play(rules(ABOVE), one(promql_expr_test=[case])).is_failed


@pytest.mark.parametrize(("held", "expected"), [("1m", 5 if PROMETHEUS < (3,) else 4), ("70s", 5)])
def test_a_range_begins_where_the_server_has_it_begin(both, held, expected):
    series = [{"series": "m", "values": "0x40"}]
    case = {"expr": f"count_over_time(m[{held}])", "eval_time": "5m", "exp_samples": [{"value": expected}]}
    test = one(input_series=series, promql_expr_test=[case]) | {"interval": "15s"}
    assert both(rules(ABOVE), test) == (True, True)
