"""People come between: they approve, veto, pause and trigger in a test as they do live, and are refused as they are live."""

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PAGE = Path(__file__).parents[3] / "docs" / "testing.md"
ERRORS = {"alert": "Errors", "expr": "errors > 1", "for": "2m", "labels": {"severity": "critical", "service": "shop"}}
STEPS = [
    {"action": "flag-off", "verify": {"within": "6m", "stable_for": "1m"}},
    {"action": "roll-back", "verify": {"within": "6m", "stable_for": "1m"}},
]
BROKEN = {"series": "errors", "values": "0x9 5x60", "cured": "0x1"}
"""It breaches from the tenth minute on, and fires from the twelfth."""

GUARD_TOML = """
[guard]
name = "shop"
rules = ["rules.yaml"]

[prometheus]
url = "http://127.0.0.1:9090"

[server]
listen = "127.0.0.1:9876"

[actions.flag-off]
type = "exec"
command = ["off"]
idempotent = true
undo = "flag-on"

[actions.flag-on]
type = "exec"
command = ["on"]
idempotent = true

[actions.roll-back]
type = "exec"
command = ["back"]
idempotent = true
"""


def rules(**guard):
    steps = guard.pop("steps", STEPS)
    shop = {"guard": "shop", "select": {"service": "shop"}, "playbook": steps, "limits": {"max_actions": 9}}
    return {"groups": [{"name": "shop", "rules": [ERRORS]}], "guards": [shop | guard]}


def asking(**step):
    """Return rules whose first step waits for approval: from 12m on, for four minutes."""
    return rules(steps=[{**STEPS[0], "approve": "4m", "unapproved": "skip", **step}, STEPS[1]])


def at(eval_time, *decisions):
    """Return an expectation; a decision is written as `decision/reason action`."""
    expected = []
    for text in decisions:
        words, _, action = text.partition(" ")
        decision, _, reason = words.partition("/")
        expected.append({"decision": decision, "reason": reason, **({"action": action} if action else {})})
    return {"eval_time": eval_time, "guard": "shop", "exp_decisions": expected}


@pytest.fixture(autouse=True)
def _guard_toml(tmp_path):
    (tmp_path / "guard.toml").write_text(GUARD_TOML)


@pytest.fixture
def verdict(play):
    """Play one test over an error, with some orders."""

    def played(rules_, orders, *decisions, file=None, **more):
        test = {"name": "one", "interval": "1m", "input_series": [BROKEN], "orders": orders, **more}
        return play(rules_, {**test, "decision_test": list(decisions) or [at("40m")]}, **(file or {}))

    return played


@pytest.fixture
def failures(verdict):
    """Play one test, and return what failed of it."""

    def played(*args, **more):
        found = verdict(*args, **more)
        assert found.problems == ()
        return [failure for trial in found.trials for failure in trial.failures]

    return played


@pytest.fixture
def mistakes(verdict):
    """Load one test with one order, and return what is wrong with it and how it is mended."""

    def found(order, *decisions):
        problems = verdict(rules(), [order], *decisions).problems
        return [(problem.id, problem.message, problem.hint) for problem in problems]

    return found


@pytest.mark.parametrize("unapproved", ["run", "skip", "hand_over"])
def test_an_approved_step_is_run_at_once_whatever_would_have_become_of_it(failures, unapproved):
    decisions = [at("13m", "hold/awaiting_approval flag-off"), at("13m1s", "act/approved flag-off")]
    orders = [{"at": "13m1s", "approve": "shop"}]
    assert failures(asking(unapproved=unapproved), orders, *decisions) == []


def test_a_step_that_is_approved_may_cure(failures):
    decisions = [at("14m", "act/approved flag-off"), at("30m", "none/healthy")]
    results = [{"action": "flag-off", "takes": "30s", "cures_after": "0s"}]
    assert failures(asking(), [{"at": "14m", "approve": "shop"}], *decisions, action_results=results) == []


def test_a_veto_in_its_time_leaves_everything_to_people(failures):
    decisions = [
        at("12m", "hold/awaiting_veto flag-off"),
        at("13m", "hand_over/vetoed"),
        at("40m", "hand_over/vetoed"),
    ]
    assert failures(rules(veto="2m"), [{"at": "13m", "veto": "shop", "reason": "we see it"}], *decisions) == []


def test_a_veto_during_an_action_waits_for_its_end(failures):
    decisions = [at("13m29s", "act/breach flag-off"), at("13m30s", "hand_over/vetoed")]
    results = [{"action": "flag-off", "takes": "90s"}]
    assert failures(rules(), [{"at": "13m", "veto": "shop"}], *decisions, action_results=results) == []


def test_a_veto_of_a_step_that_waits_for_approval_is_one_of_the_whole_playbook(failures):
    assert failures(asking(), [{"at": "13m", "veto": "shop"}], at("40m", "hand_over/vetoed")) == []


def test_people_may_take_more_time(failures):
    decisions = [at("20m59s", "hold/awaiting_approval flag-off"), at("21m", "act/not_approved roll-back")]
    assert failures(asking(), [{"at": "15m", "extend": "shop", "for": "5m"}], *decisions) == []


@pytest.mark.parametrize("whom", ["shop", "--all"])
def test_a_pause_holds_until_its_time_is_up_or_somebody_resumes(failures, whom):
    pause = {"at": "5m", "pause": whom, "for": "15m"}
    held = [at("19m", "hold/paused")]
    assert failures(rules(), [pause], *held, at("20m", "act/breach flag-off")) == []
    ended = [pause, {"at": "13m10s", "resume": whom}]
    assert failures(rules(), ended, at("13m", "hold/paused"), at("14m", "act/breach flag-off")) == []
    endless = {"at": "5m", "pause": whom}
    assert failures(rules(), [endless], at("60m", "hold/paused")) == []


def test_steps_are_triggered_one_or_all_although_nothing_fires(failures):
    one = [{"at": "3m", "trigger": "shop", "step": "roll-back"}]
    assert failures(rules(), one, at("2m"), at("3m", "act/triggered roll-back")) == []
    both = [{"at": "3m", "trigger": "shop"}]
    assert failures(rules(), both, at("3m", "act/triggered flag-off", "act/triggered roll-back")) == []


def test_what_was_done_is_taken_back_once_and_that_takes_its_time(failures):
    orders = [
        {"at": "1m", "undo": "shop", "exp_refusal": "no_such_incident"},
        {"at": "13m", "undo": "shop", "exp_refusal": "in_progress"},
        {"at": "14m", "veto": "shop"},
        {"at": "15m", "undo": "shop"},
        {"at": "15m29s", "undo": "shop", "exp_refusal": "in_progress"},
        {"at": "15m30s", "undo": "shop", "exp_refusal": "nothing_to_do"},
    ]
    results = [{"action": "flag-on", "takes": "30s"}]
    decisions = [at("20m", "hand_over/vetoed")]
    with_settings = {"rule_files": ["guard.toml"]}
    assert failures(rules(), orders, *decisions, action_results=results, file=with_settings) == []


def test_a_guard_toml_brings_its_mode_and_a_dry_run_triggers_nothing(failures, tmp_path):
    (tmp_path / "guard.toml").write_text(GUARD_TOML.replace("[guard]", '[guard]\nmode = "dry-run"'))
    orders = [{"at": "3m", "trigger": "shop", "exp_refusal": "dry_run"}]
    assert failures(rules(), orders, at("14m", "hold/dry_run"), file={"rule_files": ["guard.toml"]}) == []


def test_without_guard_toml_an_undo_is_refused_and_it_is_said_where_undos_stand(failures):
    orders = [{"at": "14m", "veto": "shop"}, {"at": "15m", "undo": "shop"}]
    (failure,) = failures(rules(), orders, at("20m", "hand_over/vetoed"))
    assert failure.hints[0] == "no action has an `undo` here: they stand in guard.toml, which `rule_files` may name"


def test_an_order_that_is_refused_fails_the_test_at_its_line_and_says_when_it_would_be_taken(failures, tmp_path):
    (failure,) = failures(asking(), [{"at": "5m", "approve": "shop"}], at("40m", "hand_over/playbook_exhausted"))
    lines = (tmp_path / "played.test.yaml").read_text().splitlines()
    assert "at: 5m" in lines[failure.line - 1]
    assert failure.what == "order `approve: shop` at 5m"
    assert failure.missing == ("done",)
    assert failure.surplus == ("refused/nothing_to_do: no step of guard shop waits for anybody",)
    assert failure.hints == (
        "a step waits from 12m to 16m",
        "write `exp_refusal: nothing_to_do` if that is what is tested",
    )


@pytest.mark.parametrize(
    ("order", "hint"),
    [
        ({"at": "5m", "veto": "shop"}, "there is something to veto from 12m to 24m"),
        ({"at": "5m", "extend": "shop", "for": "1m"}, "at no time of this test a step waits"),
        (
            {"at": "12m", "veto": "shop"},
            "what is ordered comes before what is evaluated in the same instant: order it later",
        ),
    ],
)
def test_what_is_ordered_too_early_is_told_when(failures, order, hint):
    (failure,) = failures(rules(), [order], at("40m", "hand_over/playbook_exhausted"))
    assert failure.hints[0] == hint


def test_a_refusal_that_is_expected_and_does_not_come_fails_the_test(failures):
    done = {"at": "13m", "approve": "shop", "exp_refusal": "nothing_to_do"}
    (failure,) = failures(asking(), [done], at("13m", "act/approved flag-off"))
    assert (failure.missing, failure.surplus) == (("refused/nothing_to_do",), ("done",))
    other = {"at": "5m", "approve": "shop", "exp_refusal": "paused"}
    (failure,) = failures(asking(), [other], at("11m"))
    words = "refused/nothing_to_do: no step of guard shop waits for anybody"
    assert (failure.missing, failure.surplus) == (("refused/paused",), (words,))


def test_an_empty_reason_is_refused_as_it_is_live(failures):
    orders = [{"at": "13m", "veto": "shop", "reason": "", "exp_refusal": "no_reason"}]
    assert failures(rules(), orders, at("14m", "act/breach flag-off")) == []


def test_orders_stand_between_the_decisions_and_beneath_the_picture(failures):
    orders = [{"at": "13m", "veto": "shop"}, {"at": "20m", "approve": "shop", "exp_refusal": "nothing_to_do"}]
    (failure,) = failures(rules(veto="2m"), orders, at("24m", "act/breach flag-off"))
    lines = failure.detail.splitlines()
    assert lines[:5] == [
        "what it was told and concluded:",
        "       12m  hold/awaiting_veto flag-off",
        "       13m  order veto: shop",
        "       13m  hand_over/vetoed",
        "       20m  order approve: shop, refused/nothing_to_do",
    ]
    states = next(line for line in lines if "state │" in line)
    marks = next(line for line in lines if "orders │" in line)
    width = (len(states) - states.index("│") - 1) // 25  # the slots from 0m to 24m
    axis = marks.index("│") + 1
    assert {place: mark for place, mark in enumerate(marks[axis:]) if mark != " "} == {13 * width: "V", 20 * width: "A"}
    assert lines[-1].endswith("V veto, A approve")


def test_several_orders_of_one_column_have_one_mark(failures):
    orders = [{"at": "5m", "pause": "shop"}, {"at": "5m10s", "resume": "shop"}, {"at": "6m", "pause": "shop"}]
    (failure,) = failures(rules(), orders, at("30m", "act/breach"))
    marks = next(line for line in failure.detail.splitlines() if "orders │" in line)
    assert marks.partition("│")[2].split() == ["+", "P"]


def test_a_guard_that_is_not_there_is_a_mistake_with_the_nearest_name(mistakes):
    unknown = ("unknown-guard", "the rule files have no guard `shpo`", "Did you mean `shop`?")
    for verb in ("approve", "veto", "pause", "resume", "trigger", "undo"):
        assert mistakes({"at": "1m", verb: "shpo"}) == [unknown]
    assert [found[:2] for found in mistakes({"at": "1m", "veto": "--all"})] == [
        ("unknown-guard", "the rule files have no guard `--all`")
    ]


def test_a_step_that_is_not_there_is_a_mistake_with_the_nearest_name(mistakes):
    assert mistakes({"at": "1m", "trigger": "shop", "step": "rollback"}) == [
        ("unknown-action", "the guard `shop` has no step `rollback`", "Did you mean `roll-back`?")
    ]
    assert mistakes({"at": "1m", "trigger": "shop", "step": "x"})[0][2] == "It has `flag-off`, `roll-back`."


@pytest.mark.parametrize(
    ("order", "id_", "message"),
    [
        ({"at": "1m"}, "missing-key", "nothing is ordered here"),
        ({"approve": "shop"}, "missing-key", "`at` is missing"),
        ({"at": "1m", "approve": "shop", "veto": "shop"}, "bad-value", "`approve` and `veto` are 2 orders"),
        ({"at": "1m", "extend": "shop"}, "missing-key", "`for` is missing"),
        ({"at": "1m", "veto": "shop", "for": "2m"}, "bad-value", "`veto` has no end"),
        ({"at": "1m", "pause": "shop", "for": "0s"}, "bad-duration", "this duration must be longer than zero"),
        ({"at": "1m", "veto": "shop", "step": "flag-off"}, "bad-value", "`veto` has no step"),
        ({"at": "41m", "veto": "shop"}, "bad-value", "the test is over before this is ordered"),
        ({"at": "1m", "aprove": "shop"}, "unknown-key", "unknown key `aprove`"),
    ],
)
def test_what_is_no_order_is_a_mistake(mistakes, order, id_, message):
    ((found, words, hint),) = mistakes(order)
    assert (found, words) == (id_, message)
    assert hint


def test_a_mistake_is_shown_where_it_stands(verdict, tmp_path):
    problems = verdict(rules(), [{"at": "1m", "pause": "shop"}, {"at": "2m", "veto": "shpo"}]).problems
    (problem,) = problems
    assert "shpo" in (tmp_path / "played.test.yaml").read_text().splitlines()[problem.line - 1]


VERBS = ("approve", "extend", "veto", "pause", "resume", "trigger", "undo")


@st.composite
def orders_of_anybody(draw):
    order = {"at": f"{draw(st.integers(0, 40 * 60))}s", draw(st.sampled_from(VERBS)): "shop"}
    if "extend" in order or ("pause" in order and draw(st.booleans())):
        order["for"] = f"{draw(st.integers(1, 20))}m"
    return order


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(orders=st.lists(orders_of_anybody(), min_size=1, max_size=6), veto=st.sampled_from(["0s", "3m"]))
def test_whatever_people_order_is_done_or_refused_and_the_refusals_can_be_expected(play, tmp_path, orders, veto):
    guard = asking()
    guard["guards"][0]["veto"] = veto
    query = {"expr": "errors", "eval_time": "40m", "exp_samples": [{"labels": "errors", "value": 5}]}
    test = {"name": "one", "interval": "1m", "input_series": [BROKEN], "promql_expr_test": [query]}
    (first,) = play(guard, {**test, "orders": orders}, rule_files=["guard.toml"]).trials
    refused = {each.line: each.surplus[0].partition(":")[0].removeprefix("refused/") for each in first.failures}
    lines = lines_of_orders((tmp_path / "played.test.yaml").read_text())
    assert refused.keys() <= set(lines)
    expecting = [
        {**order, "exp_refusal": refused[line]} if line in refused else order
        for line, order in zip(lines, orders, strict=True)
    ]
    (second,) = play(guard, {**test, "orders": expecting}, rule_files=["guard.toml"]).trials
    assert second.failures == ()


def lines_of_orders(text):
    """Return the line of each order of the first test."""
    file = {key.value: value for key, value in yaml.compose(text).value}
    test = {key.value: value for key, value in file["tests"].value[0].value}
    return [order.start_mark.line + 1 for order in test["orders"].value]


def test_the_example_of_the_page_succeeds_and_can_fail(bench, tmp_path):
    blocks = dict(re.findall(r"```yaml\n# (\S+)\n(.*?)```", PAGE.read_text(), re.DOTALL))
    for name in ("payments.yaml", "payments.test.yaml"):
        (tmp_path / name).write_text(blocks[name])
    data = yaml.safe_load(blocks["payments.test.yaml"])
    with_people = [name for test in data["tests"] for name in [test["name"]] if test.pop("orders", None)]
    whole = bench.run(tmp_path / "payments.test.yaml")
    assert (whole.problems, [trial.name for trial in whole.trials if trial.failures]) == ((), [])
    (tmp_path / "payments.test.yaml").write_text(yaml.safe_dump(data))
    alone = bench.run(tmp_path / "payments.test.yaml")
    assert [trial.name for trial in alone.trials if trial.failures] == with_people
