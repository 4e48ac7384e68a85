"""History is read whole, or it is said why not: servers that allow little, are late, refuse, or have nothing."""

from dataclasses import replace
from datetime import timedelta

import pytest

import history as made_up
from history import Gate, slots_of
from real_prometheus import RealPrometheus
from rollback_guard.adapters.clock import SystemClock
from rollback_guard.adapters.ephemeral import EphemeralPrometheus
from rollback_guard.adapters.ephemeral.message import requests
from rollback_guard.core.observation import Unknown
from rollback_guard.workbench.backtest import history
from rollback_guard.workbench.backtest.history import History, HistoryError
from rollback_guard.workbench.backtest.plan import plan

HOURS = 3
END = made_up.START + timedelta(hours=HOURS)


@pytest.fixture(scope="module")
def server():
    with EphemeralPrometheus.start() as running:
        running.write(made_up.past(HOURS, 7))
        yield running


@pytest.fixture
def policy(tmp_path):
    return made_up.policy_of(tmp_path)


@pytest.fixture
def gate(server):
    with Gate(server.url) as opened:
        yield opened


def told(results):
    return {id_: (each.slots, each.unknown, each.firing, each.pending) for id_, each in results.rules.items()}


def test_a_server_that_allows_few_samples_is_asked_for_less(server, policy, tmp_path):
    args = ["--web.enable-remote-write-receiver", "--query.max-samples=900"]
    args += ["--storage.tsdb.min-block-duration=290y", "--storage.tsdb.max-block-duration=290y"]
    with RealPrometheus(tmp_path / "few", args=args) as few:
        for message in requests(made_up.past(HOURS, 7)):
            made_up.write(few.url, message)
        allowed, _ = made_up.played(policy, few.url, hours=HOURS)
    whole, _ = made_up.played(policy, server.url, hours=HOURS)
    assert told(allowed) == told(whole)


TOO_LATE = 503, {"status": "error", "errorType": "timeout", "error": "query timed out in expression evaluation"}
TOO_LONG = 422, {"status": "error", "errorType": "execution", "error": "the query exceeds the limit of 300 points"}


@pytest.mark.parametrize("words", [TOO_LATE, TOO_LONG])
def test_a_server_to_which_a_stretch_is_too_long_is_asked_for_shorter_ones(server, policy, gate, words):
    whole, _ = made_up.played(policy, server.url, hours=HOURS)
    gate.answer = lambda asked: words if slots_of(asked) > 300 else None
    assert told(made_up.played(policy, gate.url, hours=HOURS)[0]) == told(whole)
    too_long = [asked for asked in gate.asked if slots_of(asked) > 300]
    assert len(too_long) < len(gate.asked) / 3, "what was too long once is not tried again and again"


def test_what_is_late_at_any_length_ends_it(policy, gate):
    gate.answer = lambda asked: TOO_LATE if "latency" in asked["query"] else None
    with pytest.raises(HistoryError, match=r"even 10 evaluations at once are too much.*query timed out"):
        made_up.played(policy, gate.url, hours=HOURS)


def test_what_is_too_large_at_any_length_ends_it_and_names_the_query(policy, server):
    with pytest.raises(HistoryError, match=r"too_large: .* The query: sum by \(pod\)"):
        made_up.played(policy, server.url, hours=HOURS, max_series=1)


def test_a_rule_that_is_refused_at_any_length_is_only_a_rule(server, policy, gate):
    whole, _ = made_up.played(policy, server.url, hours=HOURS)
    gate.answer = lambda asked: TOO_LONG if asked["query"] == "max(latency_seconds)" else None
    results, _ = made_up.played(policy, gate.url, hours=HOURS)
    slow = results.rules["shop/Slow"]
    assert slow.unknown == {Unknown.QUERY_ERROR: slow.slots}
    assert slow.refused == slow.asked
    assert "the limit of 300 points" in slow.details[Unknown.QUERY_ERROR]
    assert told(results)["slow/Queue"] == told(whole)["slow/Queue"]
    assert results.rules["shop/Errors"].firing == whole.rules["shop/Errors"].firing != []


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (made_up.DROPPED, "connect: "),
        ((502, {}), "http_error: HTTP 502"),
        ((200, {"status": "success", "warnings": ["a store is away"], "data": {}}), "partial: a store is away"),
        ((200, {"status": "success", "data": {"resultType": "matrix", "result": [{}]}}), "bad_response"),
        (
            (
                200,
                {
                    "status": "success",
                    "data": {"resultType": "matrix", "result": [{"metric": {}, "values": [[1, "1"], [2, "2"]]}]},
                },
            ),
            "other times than were asked for",
        ),
    ],
)
def test_what_was_not_told_is_not_taken_for_blindness(policy, gate, answer, words):
    gate.answer = lambda asked: answer
    with pytest.raises(HistoryError, match=words):
        made_up.played(policy, gate.url, hours=HOURS)


def test_every_query_is_asked_once_for_each_stretch(policy, gate, monkeypatch):
    monkeypatch.setattr(history, "FIRST_SLOTS", history.MOST_SLOTS)
    shop = policy.groups["shop"]
    twin = replace(shop, id="twin", rules=tuple(replace(rule, id=f"{rule.id}-2", group="twin") for rule in shop.rules))
    groups = [shop, twin]
    sources = {"prometheus": made_up.source_of(gate.url)}
    with History(groups, sources, SystemClock(), start=made_up.START, end=END) as read:
        (stretch,) = read.stretches()
    assert set(stretch.surveys) == {"shop", "twin"}
    queries = [asked["query"] for asked in gate.asked]
    assert len(queries) == len(set(queries))


def test_what_is_older_than_all_data_was_not_played(server, policy, tmp_path):
    early = made_up.START - timedelta(hours=2)
    results, player = made_up.played(policy, server.url, hours=HOURS, start=early)
    usual, _ = made_up.played(policy, server.url, hours=HOURS)
    assert made_up.START <= results.data_since["prometheus"] < made_up.START + timedelta(minutes=1)
    assert not results.rules["shop/Gone"].firings or results.rules["shop/Gone"].firing[0].began_at > made_up.START
    assert {id_: each.firing for id_, each in results.rules.items()} == {
        id_: each.firing for id_, each in usual.rules.items()
    }
    assert abs(results.rules["shop/Slow"].slots - usual.rules["shop/Slow"].slots) <= 2
    assert player.shown < usual.rules["shop/Slow"].slots * 2


def test_a_server_without_any_data_has_nothing_to_tell(policy):
    with EphemeralPrometheus.start() as empty:
        results, player = made_up.played(policy, empty.url, hours=HOURS)
    assert results.data_since == {}
    assert player.shown == 0
    assert {each.slots for each in results.rules.values()} == {0}


def test_a_step_longer_than_for_is_played_at_its_slots(policy):
    planned = plan(policy, made_up.START, END, step=timedelta(minutes=7))
    assert {group.interval for group in planned.policy.groups.values()} == {timedelta(minutes=7)}
    assert all(group.offset < group.interval for group in planned.policy.groups.values())
