"""Guards do in a backtest what they would do live, as far as nobody has to say something."""

from datetime import timedelta

import pytest

import history as made_up
from rollback_guard.adapters.ephemeral import EphemeralPrometheus

HOURS = 6
PLAYBOOK = "    playbook:\n"
FIRST = "{action: flag-off,"


@pytest.fixture(scope="module")
def server():
    with EphemeralPrometheus.start() as running:
        running.write(made_up.past(HOURS, 5))
        yield running


def incidents(server, directory, text, guard="shop"):
    results, _ = made_up.played(made_up.policy_of(directory, text), server.url, hours=HOURS)
    return results.guards[guard].incidents, results.guards[guard].held


def test_a_step_that_needs_approval_is_never_run(server, tmp_path):
    usual, _ = incidents(server, tmp_path, made_up.RULES)
    text = made_up.RULES.replace(FIRST, "{action: flag-off, approve: 10m,")
    found, held = incidents(server, tmp_path, text)
    assert any(each.actions for each in usual)
    assert found
    assert held["awaiting_approval"]
    assert not any(begun.action == "flag-off" for each in found for begun in each.actions)


def test_a_step_that_runs_unapproved_is_run_when_the_time_is_up(server, tmp_path):
    text = made_up.RULES.replace(FIRST, "{action: flag-off, approve: 1m, unapproved: run,")
    found, _ = incidents(server, tmp_path, text)
    waited = [each.actions[0].at - each.opened_at for each in found if each.actions]
    assert waited
    assert set(waited) == {timedelta(minutes=1)}


def test_a_veto_that_nobody_speaks_only_delays(server, tmp_path):
    found, held = incidents(server, tmp_path, made_up.RULES.replace(PLAYBOOK, f"    veto: 45s\n{PLAYBOOK}"))
    waited = [each.actions[0].at - each.opened_at for each in found if each.actions]
    assert waited
    assert set(waited) == {timedelta(seconds=45)}
    assert held["awaiting_veto"]


def test_many_guards_that_breach_together_hold_for_the_cause_is_shared(server, tmp_path):
    services = [f"s{number}" for number in range(5)]
    text = "groups:\n"
    for service in services:
        text += f"""  - name: {service}
    interval: 15s
    rules:
      - {{alert: Slow, expr: max(latency_seconds) >= 0.5, for: 45s, labels: {{service: {service}, severity: critical}}}}
"""
    text += "guards:\n"
    for service in services:
        text += f"  - {{guard: {service}, select: {{service: {service}}}, playbook: [{{action: flag-off}}]}}\n"
    policy = made_up.policy_of(tmp_path, text)
    quick, _ = made_up.played(policy, server.url, hours=HOURS)
    slow, _ = made_up.played(policy, server.url, hours=HOURS, skips=False)
    held = [results.held.get("storm", 0) for results in quick.guards.values()]
    assert sum(held) > 0
    assert {guard: (each.incidents, each.held) for guard, each in quick.guards.items()} == {
        guard: (each.incidents, each.held) for guard, each in slow.guards.items()
    }


def test_shadowed_rules_fire_and_nothing_is_done(server, tmp_path):
    text = made_up.RULES.replace("labels: {severity: critical}", "labels: {severity: critical}\n        shadow: true")
    results, _ = made_up.played(made_up.policy_of(tmp_path, text), server.url, hours=HOURS)
    assert results.rules["shop/Errors"].firings
    assert not results.guards["shop"].incidents
    assert results.guards["shop"].held["shadow"]


def test_a_quiet_night_is_passed_over_and_counted(server, tmp_path):
    text = made_up.RULES.replace("rate(requests_total[1m])) > 2", "rate(requests_total[1m])) > 1000")
    policy = made_up.policy_of(tmp_path, text)
    usual, busy = made_up.played(made_up.policy_of(tmp_path), server.url, hours=HOURS)
    quick, player = made_up.played(policy, server.url, hours=HOURS)
    slow, thorough = made_up.played(policy, server.url, hours=HOURS, skips=False)
    night = quick.rules["shop/ErrorsOfPod"]
    assert night.unknown["no_traffic"] > 0.8 * night.slots
    assert night.unknown == slow.rules["shop/ErrorsOfPod"].unknown
    assert night.unseen == slow.rules["shop/ErrorsOfPod"].unseen
    assert player.shown <= busy.shown < thorough.shown
    assert not usual.rules["shop/ErrorsOfPod"].unknown.get("no_traffic", 0) > 0.8 * night.slots
