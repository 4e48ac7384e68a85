"""The page of a backtest as text: what it says, that it asks no network, and that no name in it can do harm."""

import base64
import hashlib
import html
import json
import math
import re
from dataclasses import replace
from datetime import timedelta
from importlib.resources import files
from itertools import combinations

import pytest

from findings import INCIDENTS, RULES, Scene, hours, line, period
from rollback_guard.workbench.backtest.events import Deploy, KnownIncident
from rollback_guard.workbench.backtest.page import page
from rollback_guard.workbench.backtest.page.scatter import REACH, scatter
from rollback_guard.workbench.backtest.page.span import Played, joined
from rollback_guard.workbench.backtest.page.words import is_share, number, rate, share, span
from rollback_guard.workbench.backtest.results import (
    BUCKETS,
    MOST_SLOT_VALUES,
    GuardResult,
    RuleResult,
    SlotValues,
)

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'-->"
PUBLISHED = "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f"
"""SHA-256 of dist/uPlot.iife.min.js in the package uplot 1.6.32 of npm."""


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path)


def text_of(drawn):
    """Return what people read, without tags, scripts and styles."""
    bare = re.sub(r"<(script|style)\b.*?</\1>", "", drawn, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", bare)))


def packed(drawn):
    """Return what is packed for the charts: of the page, then of each rule."""
    found = [
        json.loads(it, parse_constant=pytest.fail)
        for it in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', drawn)
    ]
    return found[-1], found[:-1]


def verdicts(drawn):
    return [text_of(it).strip() for it in re.findall(r'<p class="verdict" id="rule.*?</p>', drawn, flags=re.DOTALL)]


def test_the_first_sentence_says_whether_the_incidents_were_found_and_what_was_no_incident(scene):
    head = re.search("<h1>(.*?)</h1>", page(scene.data()))[1]
    assert head == (
        "The guard would have acted in 1 of 2 known incidents, 6m after the beginning on average, "
        "and once when nothing was known to be wrong."
    )


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"incidents": ()}, "The guard would have acted twice in 14d, once without a deploy."),
        (
            {"incidents": (), "deploys": ()},
            "The guard would have acted twice in 14d; whether rightly, only known incidents can tell.",
        ),
        ({"incidents": (), "guards": {"shop": GuardResult()}}, "The guard would not have acted once in 14d."),
        (
            {"incidents": INCIDENTS[1:], "guards": {"shop": GuardResult()}},
            "The guard would have acted in none of the known incidents, of which there is one, and at no other time.",
        ),
    ],
)
def test_the_first_sentence_claims_no_more_than_people_told(scene, changes, sentence):
    for name, value in changes.items():
        setattr(scene, name, value)
    assert re.search("<h1>(.*?)</h1>", page(scene.data()))[1] == sentence


def test_a_guard_that_was_blind_is_not_told_as_one_that_had_nothing_to_do(scene):
    scene.incidents, scene.deploys, scene.guards = (), (), {"shop": GuardResult()}
    data = scene.data()
    for rule in data["rules"]:
        rule["unknown"] = {"heartbeat": rule["slots"]}
    head = re.search("<h1>(.*?)</h1>", page(data))[1]
    assert head == "Little can be said of these 14d: in 100% of the evaluations the guard could not see."


def test_where_nothing_was_known_the_page_counts_nothing(scene):
    never = {"slots": 9, "unknown": {"heartbeat": 9}}
    scene.by_rule = {rule: RuleResult(**never) for rule in scene.by_rule}
    scene.guards = {"shop": GuardResult()}
    data = {**scene.data(), "compare": {"files": ["other.yaml"], "rules": [], "guards": []}}
    drawn = page(data)
    told = text_of(drawn)
    assert "Nothing can be said of these 14d: no rule was known in any evaluation." in told
    assert re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", drawn) == [("Firings", "?"), ("Blind", "100%")]
    assert re.findall(r'data-name="(?:Fired|Missed|Unknown)">(?:<b>)?([^<]*)', drawn)[:3] == [
        "?",
        "\u2013",
        "heartbeat 100%",
    ]
    assert told.count("Nothing can be said: none of its rules was ever known.") == 1
    assert "Nothing would have changed" not in told


def test_an_incident_that_concerns_a_guard_that_saw_nothing_is_not_missed(scene):
    scene.incidents = (INCIDENTS[0], replace(INCIDENTS[1], guard="shop"))
    data = scene.data()
    for rule in data["rules"]:
        rule |= {"firings": None, "firing": []}
    data["guards"][0] |= {"incidents": [], "score": None}
    data["guards"].append({**data["guards"][0], "name": "other", "rules": ["other/Seen"]})
    data["rules"].append({**data["rules"][1], "id": "other/Seen", "firings": 0})
    assert "in none of the known incidents, of which there is one" in page(data)


def test_rates_have_as_many_digits_as_mean_something(scene):
    scene.swept = "Errors"
    data = scene.data()
    for each in (data["rules"][0]["score"], *data["sweep"]["tried"]):
        each["false_alarms_per_week"] = 7.001
    told = text_of(page(data))
    assert "7.001" not in told
    assert ": 7 a week," in page(data)
    assert (rate(1234.5), rate(0.4567), rate(7.001)) == ("1230", "0.457", "7")


def test_a_rate_from_less_than_a_week_is_said_to_be_projected(scene):
    data = {**scene.data(), "start": "2026-03-13T00:00:00Z"}
    assert "1 in all, projected" in page(data)
    assert "projected" not in page(scene.data())


@pytest.mark.parametrize(("value", "expected"), [(0.005, "0.5%"), (5, "500%"), (0.3333, "33.3%"), (math.inf, "+Inf")])
def test_shares_are_percents_however_large(value, expected):
    assert number(value, percent=True) == expected


def test_without_a_guard_the_first_sentence_is_about_the_rules(scene):
    scene.rules, scene.guards = RULES.partition("guards:")[0], {}
    drawn = page(scene.data())
    assert "The rules would have fired in all 2 known incidents" in drawn
    assert "What the guards would have done" not in drawn


def test_each_rule_has_its_verdict_in_words_those_that_fired_first(scene):
    fired = (
        "Fired twice, for 1h in all: 1 in a known incident and 1 false alarm; the value went as far as 23%, "
        "with > 1% as the threshold. It was pending once without firing, for 3m at the longest of the 5m that it takes. "
        "It did not fire in INC-2. Unknown in 9.97% of its evaluations: no traffic 9.92%, timeout <0.1%."
    )
    assert verdicts(page(scene.data())) == [
        fired,
        "Fired once, for 24m, in a known incident. It did not fire in INC-1.",
        "Never fired; the value came as near as 0.4 to > 0.5. It did not fire in INC-1 and INC-2.",
        "It was unknown in every evaluation (absent 100%): nothing can be said of it.",
    ]


def test_a_firing_is_named_after_the_incident_or_the_deploy_that_it_belongs_to(scene):
    scene.by_rule["shop/Errors"].firing.append(period(100.2, 100.5, active=100.1))
    tags = re.findall(r'<span class="tag (\w+)">(.*?)</span>', page(scene.data()))
    assert tags[:3] == [("incident", "INC-1"), ("false_alarm", "false alarm"), ("deploy", "after deploy v2")]


def test_what_a_guard_would_have_done_is_told_with_what_would_have_come_had_it_not_helped(scene):
    told = text_of(page(scene.data()))
    assert "2 incidents, acting in 2, 1 false alarm. Held back: not critical once." in told
    assert (
        "2026-03-02 06:06:00 flag-off had that not helped, roll-back at 06:12:00 Errors hand over: playbook exhausted INC-1"
        in told
    )


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ('sum(rate(requests_total{code="500"}[5m])) / sum(rate(requests_total[5m])) > 0.01', True),
        ('100 * sum(rate(requests_total{code="500"}[5m])) / sum(rate(requests_total[5m])) > 1', False),
        ("sum(rate(latency_seconds_sum[5m])) / sum(rate(latency_seconds_count[5m])) > 0.5", False),
        ("error_ratio > 0.01", False),
        ("absent(up)", False),
        ("this is no PromQL", False),
    ],
)
def test_percents_are_shown_only_of_what_surely_is_a_part_of_a_whole(expr, expected):
    assert is_share(expr) is expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(None, "\u2013"), (321.1, "5m21s"), (90000, "1d1h"), (14 * 86400, "14d"), (694860, "8d1h")],
)
def test_spans_are_as_long_as_they_need_to_be(seconds, expected):
    assert span(seconds) == expected


def test_what_is_not_nothing_is_never_shown_as_nothing():
    assert (share(0, 10), share(1, 100_000), share(1, 3)) == ("0%", "<0.1%", "33.3%")


def test_a_page_runs_its_own_script_and_style_and_asks_no_network_for_anything(scene):
    scene.swept, scene.compared = "Errors", True
    drawn = page(scene.data())
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', drawn)[1]
    directives = dict(part.split(" ", 1) for part in html.unescape(policy).split("; "))
    inline = {
        "script-src": re.findall(r"<script>(.*?)</script>", drawn, flags=re.DOTALL),
        "style-src": re.findall(r"<style>(.*?)</style>", drawn, flags=re.DOTALL),
    }
    for directive, [only] in inline.items():
        digest = base64.b64encode(hashlib.sha256(only.encode()).digest()).decode()
        assert directives.pop(directive) == f"'sha256-{digest}'"
    assert directives == {"default-src": "'none'", "base-uri": "'none'", "form-action": "'none'"}
    without_script = re.sub(r"<script>.*?</script>", "", drawn, flags=re.DOTALL)
    assert not re.search(r"""(?:src|href)=(?!"#)|url\((?!#)|@import|\bstyle=|\son\w+=""", without_script)


def test_no_name_ends_a_script_or_becomes_a_tag(scene):
    scene.deploys = (Deploy(at=hours(29), guard="", version=HOSTILE),)
    scene.incidents = (KnownIncident(start=hours(30), end=hours(31), name=HOSTILE),)
    errors = scene.by_rule["shop/Errors"]
    errors.firing[0].series = (("pod", HOSTILE),)
    errors.unseen[0].why = HOSTILE
    scene.guards["shop"].incidents[0].actions[0].action = HOSTILE
    scene.swept, scene.compared = "Errors", True
    data = scene.data()
    data["rules"][0] |= {"name": HOSTILE, "group": HOSTILE, "expr": HOSTILE}
    data["files"] = data["compare"]["files"] = data["not_played"] = [HOSTILE]
    data["guards"][0] |= {"name": HOSTILE, "playbook": [HOSTILE], "held": {HOSTILE: 1}}
    drawn = page(data)
    assert drawn.count("<script>alert") == 0
    assert "<img" not in drawn
    assert drawn.count("<script") == drawn.count("</script>") == 2 + len(data["rules"])
    shared, _ = packed(drawn)
    assert (shared["deploys"][0][1], shared["incidents"][0][2]) == (HOSTILE, HOSTILE)
    assert HOSTILE in text_of(drawn).replace("' \"", "'\"") or html.escape("<img src=x", quote=False) in drawn


def test_values_without_end_are_told_and_not_drawn(scene):
    scene.by_rule["shop/Latency"] = line(RuleResult(slots=9), lambda n: -math.inf, lambda n: math.inf, known=[3])
    _, charts = packed(page(scene.data()))
    chart = next(it for it in charts if it["threshold"] == 0.5)
    assert (chart["at"], chart["low"], chart["high"]) == ([3], ["-Inf"], ["+Inf"])


def test_a_chart_has_each_value_at_its_bucket_and_what_a_rule_was_in_seconds_from_the_beginning(scene):
    shared, charts = packed(page(scene.data()))
    chart = charts[0]
    assert (shared["start"], shared["length"]) == (hours(0).timestamp(), timedelta(days=14).total_seconds())
    assert chart["at"] == list(range(BUCKETS))
    assert (chart["high"][178], chart["high"][177], chart["low"][178]) == (0.23, 0.003, 0.002)
    assert chart["firing"][0] == [30.1 * 3600, 30.9 * 3600]
    assert chart["pending"][0] == [30.0 * 3600, 30.1 * 3600]  # the time before it fired
    assert chart["unknown"] == [[0, 7200, "no traffic", True], [288000, 288720, "timeout", False]]
    assert chart["acts"][0]["steps"] == [[108360, "flag-off"], [108720, "roll-back"]]
    assert chart["incidents"] is None  # all of them


def test_a_chart_has_each_slot_of_a_bucket_of_which_all_are_known(scene):
    errors, length = scene.by_rule["shop/Errors"], timedelta(days=14) / BUCKETS  # 40.32 slots of 15 s
    begin = hours(0) + 100 * length
    whole = [0.02] * 40
    errors.slot_values = [
        SlotValues(bucket=100, began_at=begin, values=[*whole[:9], None], breaches=9),
        SlotValues(bucket=100, began_at=begin + timedelta(seconds=150), values=[0.123456, *whole[1:]], breaches=40),
        SlotValues(bucket=101, began_at=begin + length + timedelta(seconds=30), values=whole, breaches=40),
    ]
    _, charts = packed(page(scene.data()))
    ((bucket, at, values),) = charts[0]["slots"]  # what lacks a slot may lack the peak
    assert (bucket, at, charts[0]["interval"]) == (100, 60480, 15)
    assert values == [*whole[:9], None, 0.12346, *whole[1:]]


def test_a_rule_is_shown_only_the_deploys_and_incidents_that_concern_its_guards(scene):
    data = scene.data()
    data["incidents"][0]["guard"] = "another"
    _, charts = packed(page(data))
    assert charts[0]["incidents"] == [1]
    assert charts[0]["deploys"] is None


def test_fifty_rules_with_all_that_is_kept_of_them_stay_below_seven_megabytes(scene):
    data = scene.data()
    rule = data["rules"][0]
    stamps = [(hours(0) + timedelta(seconds=100 * number)).isoformat() for number in range(10_000)]
    unseen = [{**rule["unseen"][0], "began_at": at, "ended_at": at, "why": "timeout"} for at in stamps]
    rule["line"]["low"] = [1 / (number + 3) for number in range(BUCKETS)]
    rule["line"]["high"] = [1 / (number + 2) for number in range(BUCKETS)]
    slots = [
        {"bucket": number, "at": 0, "values": rule["line"]["low"][:40]} for number in range(MOST_SLOT_VALUES // 40)
    ]
    rule["line"]["slots"] = slots
    rule |= {"unseen": unseen, "firing": rule["firing"] * 2000, "firings": 4000}
    data["rules"] = [rule, *({**rule, "id": f"shop/{number}"} for number in range(3))]
    four, one = len(page(data)), len(page({**data, "rules": [rule]}))
    assert one + (four - one) / 3 * 49 < 7_000_000


def test_what_is_too_much_for_a_table_is_said_to_be_left_out(scene):
    data = scene.data()
    data["rules"][0] |= {"firing": data["rules"][0]["firing"] * 400, "firings": 800}
    data["guards"][0]["incidents"] *= 200
    data["guards"][0]["score"]["kinds"] *= 200
    told = text_of(page(data))
    assert "800 firings, the first 200 of them" in told
    assert "The first 200 of 400; --output json has all of them." in told


def test_a_sweep_is_a_grid_with_the_best_choices_marked(scene):
    scene.swept = "Errors"
    data = scene.data()
    drawn = page(data)
    grid = re.search('<table class="heat">(.*?)</table>', drawn, flags=re.DOTALL)[1]
    assert re.findall(r'<th scope="row">(.*?)</th>', grid) == ["&gt; 0.5%", "&gt; 1%", "&gt; 2%"]
    assert re.findall(r'<th scope="col">(.*?)</th>', grid) == ["Threshold", "for 2m", "for 5m"]
    assert grid.count("★") == sum(it["pareto"] and not it["same_as"] for it in data["sweep"]["tried"]) > 0
    assert len(re.findall(r'<td class="shade[^"]* now"', grid)) == 1
    assert 'class="point' in drawn


def choices(*figures):
    """Return a sweep that tried a choice for each triple of false alarms per week, delay and missed incidents."""
    missed = [{"start": None, "name": "INC"}]
    return {
        "rule": "r",
        "op": ">",
        "tried": [
            {
                "threshold": number + 1,
                "for_s": 60,
                "firings": 1,
                "false_alarms_per_week": per_week,
                "mean_detection_delay_s": delay,
                "incidents_missed": missed * many,
                "pareto": False,
                "same_as": None,
                "current": False,
            }
            for number, (per_week, delay, many) in enumerate(figures)
        ],
    }


def test_every_choice_that_detects_something_is_at_a_point_that_tells_of_it():
    sweep = choices(*((per_week, delay, per_week % 3) for per_week in range(12) for delay in range(60, 900, 60)))
    drawn = scatter(sweep, percent=False)
    told = [words for point in drawn.points for words in point.told]
    assert len(told) == len(set(told)) == len(sweep["tried"]) == len(drawn.places)
    for each in sweep["tried"]:
        point = drawn.points[drawn.places[each["threshold"], each["for_s"]]]
        assert any(words.startswith(f"> {each['threshold']}, 1m:") for words in point.told)
    for one, other in combinations(drawn.points, 2):
        assert math.dist((one.x, one.y), (other.x, other.y)) >= REACH  # none hides another


def test_a_choice_that_misses_incidents_is_seen_also_where_another_one_misses_none():
    drawn = scatter(choices((1, 60, 0), (1, 60, 2), (5, 60, 0)), percent=False)
    assert [list(point.kinds) for point in drawn.points] == [["some", "misses"], ["some"]]
    assert drawn.points[0].told == [
        "> 1, 1m: 1 a week, 1m delay, none missed",
        "> 2, 1m: 1 a week, 1m delay, 2 missed",
    ]


def test_a_point_shows_the_rule_as_it_is_before_all_others_that_are_there():
    sweep = choices((1, 60, 0), (1, 60, 0), (1, 60, 0))
    sweep["tried"][1] |= {"pareto": True}
    sweep["tried"][2] |= {"current": True, "pareto": True, "same_as": {"threshold": 2, "for_s": 60}}
    (point,) = scatter(sweep, percent=False).points
    assert [words.partition(":")[0] for words in point.told] == ["☆ > 3, 1m (now)", "★ > 2, 1m", "> 1, 1m"]
    assert set(point.kinds) == {"some", "best", "now"}
    assert point.label == "now: > 3, 1m +1"


def test_the_line_joins_the_best_of_those_that_miss_the_fewest():
    sweep = choices((0, 600, 1), (4, 60, 1), (0, 60, 2))
    for each in sweep["tried"]:
        each["pareto"] = True
    drawn = scatter(sweep, percent=False)
    ends = [drawn.points[drawn.places[threshold, 60]] for threshold in (1, 2)]
    assert drawn.front == " ".join(f"{point.x},{point.y}" for point in ends)


def test_a_choice_that_comes_to_the_same_as_a_marked_one_says_as_which(scene):
    scene.swept = "Errors"
    data = scene.data()
    first, second = data["sweep"]["tried"][1:3]
    for each in data["sweep"]["tried"]:
        each |= {"pareto": False, "same_as": None}
    first["pareto"] = second["pareto"] = True
    second["same_as"] = {"threshold": first["threshold"], "for_s": first["for_s"]}
    grid = re.search('<table class="heat">(.*?)</table>', page(data), flags=re.DOTALL)[1]
    assert grid.count("★") == 1
    assert re.findall(r'<span class="star" title="(.*?)">☆</span>', grid) == ["as &gt; 0.5%, 2m"]


def test_a_rule_that_is_none_of_the_choices_is_told_beside_them(scene):
    scene.swept = "Errors"
    data = scene.data()
    current = next(it for it in data["sweep"]["tried"] if it["current"])
    current |= {"threshold": 0.03}
    assert "As it is now (> 3%, 5m):" in text_of(page(data))


def test_a_sweep_without_known_incidents_says_how_to_have_the_best_marked(scene):
    scene.swept, scene.incidents, scene.deploys = "Errors", (), ()
    drawn = page(scene.data())
    assert "Give --incidents" in drawn
    assert 'class="scatter"' not in drawn


def test_a_comparison_lists_what_came_what_went_and_what_moved(scene):
    scene.compared = True
    told = text_of(page(scene.data()))
    assert "With other.yaml instead" in told
    assert "\u2212 no longer fires at 2026-03-07 06:00:00" in told
    assert "+ fires at 2026-03-09 09:00:00" in told
    assert "~ fires 3m earlier, at 2026-03-02 06:03:00" in told
    assert "~ flag-off 3m earlier, at 2026-03-02 06:03:00" in told
    assert "\u2212 flag-off at 2026-03-07 06:00:00" in told


def test_a_comparison_that_changes_nothing_says_so(scene):
    scene.compared = True
    data = scene.data()
    data["compare"] |= {"rules": [], "guards": []}
    assert "Nothing would have changed." in page(data)


def test_a_backtest_without_rules_is_a_page_too(scene):
    data = scene.data()
    data |= {"rules": [], "guards": [], "deploys": [], "incidents": []}
    assert "No rule was played." in page(data)


def test_what_the_figures_do_not_say_is_on_the_page_too(scene):
    data = {**scene.data(), "remarks": ["not played, for Prometheus has no history of it: probe/ready"]}
    assert "Note: not played, for Prometheus has no history of it: probe/ready." in text_of(page(data))


def test_a_link_to_a_moment_leads_somewhere_without_a_script_too(scene):
    scene.compared = True
    drawn = page(scene.data())
    places = set(re.findall(r'\bid="([^"]+)"', drawn))
    links = re.findall(r'href="#([^"]+)"', drawn)
    assert len(links) > 10
    assert set(links) <= places


def test_what_lies_close_together_is_joined_only_where_there_is_too_much_to_be_told_apart():
    played = Played(start=0, length_s=10_000)
    assert joined([(5, 7), (0, 2), (6, 9)]) == [(0, 2), (5, 9)]
    few = [
        {"began_at": f"1970-01-01T00:00:{2 * n:02}Z", "ended_at": f"1970-01-01T00:00:{2 * n + 1:02}Z"}
        for n in range(20)
    ]
    assert len(played.pieces(few)) == 20


def test_the_library_is_the_published_one_and_its_licence_goes_with_every_report(scene):
    assets = files("rollback_guard.workbench.backtest.page") / "assets"
    assert hashlib.sha256((assets / "uPlot.iife.min.js").read_bytes()).hexdigest() == PUBLISHED
    drawn = page(scene.data())
    assert (assets / "uPlot.LICENSE").read_text() in drawn
