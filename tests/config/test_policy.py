"""Who is told, what waits, what comes from elsewhere: all of it becomes part of the policy."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from rollback_guard.config.load import load
from rollback_guard.core.model import (
    SIGNAL,
    AlreadyBad,
    Approval,
    Armed,
    Flapping,
    Fleet,
    JournalPolicy,
    Level,
    Notify,
    Otherwise,
    Severity,
)
from rollback_guard.core.notice import NoticeKind
from rollback_guard.setup import Overrides
from rollback_guard.setup import load as load_setup
from rollback_guard.specs import DeadManSpec, MaintenanceSpec

MINUTE = timedelta(minutes=1)

RULES = """
groups:
  - name: checkout
    labels: {service: checkout}
    rules:
      - alert: Errors
        expr: sum(rate(errors_total[1m])) > 0.01
        labels: {severity: critical}
      - alert: Budget
        expr: sum(rate(errors_total[30m])) > 0.01
        labels: {severity: warning}
probes:
  - {probe: ready, url: "http://checkout/ready", labels: {service: other}}
guards:
  - guard: checkout
    select: {service: checkout}
    signals: [DataCorruption, SecurityBreach]
    armed: rollout
    window: 6h
    already_bad: act
    veto: 30s
    notify: {warning: [team], critical: [team, oncall]}
    escalate: [{after: 15m, notify: [lead]}, {after: 30m, notify: [lead, team]}]
    when_journal_fails: act
    limits: {flapping: {incidents: 3, per: 30m}}
    playbook:
      - action: flag-off
        select: {alertname: Errors}
        timeout: 2m
        verify: {rules: [Budget, probe/ready]}
      - notify: [oncall]
        verify: {within: 5m}
      - action: roll-back
        approve: 10m
      - action: flag-off
        approve: 5m
        unapproved: skip
"""
GUARD = """
[guard]
rules = ["rules.yaml"]
url = "https://guard.example.org/checkout"
keep = "30d"

[prometheus]
url = "http://prom:9090"

[datasources.thanos]
url = "http://thanos:9090"
heartbeat = ""

[datasources.mimir]
url = "http://mimir:9090"
heartbeat = "vector(1)"

[server]
token_file = "tokens"
cert_file = "tls.crt"
key_file = "/etc/hosts"

[network]
anchors = ["10.0.0.1:53", "[fd00::1]:53"]

[limits]
max_actions = 5
per = "30m"

[[maintenance]]
name = "nightly"
cron = "0 3 * * 0"
for = "2h"
timezone = "Europe/Berlin"
guards = ["checkout"]

[dead_man]
url = "https://ping.example.org/${env:PING}"
every = "30s"
ca_file = "ping.pem"

[notify.team]
url = "slack://${file:slack}"
title = "{{ guard }}: {{ title }}"
timeout = "5s"

[notify.oncall]
url_file = "secrets/pagerduty"
give_up_after = "1h"
max_per_hour = 10

[notify.lead]
type = "webhook"
url = "https://hooks.example.org/${file:hook}"
secret_file = "key"
headers = { X-Team = "${env:TEAM}" }
ca_file = "hooks.pem"
kinds = ["escalated", "recovered", "escalated"]

[actions.flag-off]
type = "http"
url = "http://flags/off"
undo = "flag-on"

[actions.flag-on]
type = "http"
url = "http://flags/on"

[actions.roll-back]
type = "exec"
command = ["./roll-back.sh"]
"""


FILES = ("tokens", "tls.crt", "ping.pem", "slack", "secrets/pagerduty", "hook", "key", "hooks.pem", "roll-back.sh")


def write(path, action_types, rules=RULES, guard=GUARD):
    for name in FILES:
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).touch(mode=0o700)
    (path / "rules.yaml").write_text(rules)
    (path / "guard.toml").write_text(guard)
    return load([path / "guard.toml"], action_types=action_types)


@pytest.fixture
def found(tmp_path, action_types):
    found = write(tmp_path, action_types)
    assert [problem.render() for problem in found.problems] == []
    return found


def test_a_guard_carries_when_it_may_act_and_whom_it_tells(found):
    guard = found.policy.guards["checkout"]
    assert (guard.armed, guard.window, guard.already_bad) == (Armed.ROLLOUT, timedelta(hours=6), AlreadyBad.ACT)
    assert (guard.veto, guard.when_journal_fails) == (timedelta(seconds=30), JournalPolicy.ACT)
    assert guard.notify == Notify(warning=("team",), critical=("team", "oncall"))
    assert guard.escalate == (
        Level(after=15 * MINUTE, notify=("lead",)),
        Level(after=30 * MINUTE, notify=("lead", "team")),
    )
    assert guard.limits.flapping == Flapping(incidents=3, per=30 * MINUTE)
    assert guard.limits.max_actions == 4


def test_a_step_acts_or_tells_and_may_wait_for_approval(found):
    first, second, third, fourth = found.policy.guards["checkout"].playbook
    assert (first.action, first.notify, first.timeout, first.approve) == ("flag-off", (), 2 * MINUTE, None)
    assert (second.action, second.notify) == ("", ("oncall",))
    assert third.approve == Approval(within=10 * MINUTE, otherwise=Otherwise.HAND_OVER)
    assert fourth.approve == Approval(within=5 * MINUTE, otherwise=Otherwise.SKIP)


def test_a_step_is_verified_by_named_rules_for_as_long_as_they_remember(found):
    first, second, third, _ = found.policy.guards["checkout"].playbook
    assert first.verify.rules == ("checkout/Budget", "probe/ready")
    assert first.verify.within == 30 * MINUTE + 2 * timedelta(seconds=15) + MINUTE
    assert (second.verify.rules, second.verify.within) == ((), 5 * MINUTE)
    # Another system may say five minutes late that its alert is over.
    assert third.verify.within == 5 * MINUTE + 2 * timedelta(seconds=15) + MINUTE


def test_a_step_suits_the_rules_that_have_its_labels(found):
    first, second, *_ = found.policy.guards["checkout"].playbook
    rules = {rule.name: rule for rule in found.policy.rules.values()}
    assert first.suits(rules["Errors"])
    assert not first.suits(rules["DataCorruption"])
    assert second.suits(rules["DataCorruption"])


def test_signals_are_rules_of_a_group_of_their_own(found):
    guard, group = found.policy.guards["checkout"], found.policy.groups["signal/checkout"]
    assert (guard.signals, guard.select) == (("DataCorruption", "SecurityBreach"), (("service", "checkout"),))
    assert (group.source, group.interval, group.offset) == (SIGNAL, timedelta(seconds=5), timedelta(0))
    assert [rule.id for rule in group.rules] == ["signal/checkout/DataCorruption", "signal/checkout/SecurityBreach"]
    assert {rule.id for rule in group.rules} < guard.rules
    rule = group.rules[0]
    assert (rule.name, rule.severity, rule.hold) == ("DataCorruption", Severity.CRITICAL, timedelta(0))
    assert rule.labels == (("service", "checkout"), ("severity", "critical"))
    assert rule.condition.comparison is None
    assert rule.condition.query == "alert DataCorruption from elsewhere"
    assert found.policy.listeners["signal/checkout"] == (guard,)


def test_labels_that_only_choose_among_rules_are_not_asked_of_signals(tmp_path, action_types):
    rules = RULES.replace("select: {service: checkout}", "select: {service: checkout, severity: critical}")
    rules = rules.replace("[Budget, probe/ready]", "[checkout/Budget]")
    assert write(tmp_path, action_types, rules).policy.guards["checkout"].select == (("service", "checkout"),)


def test_a_guard_of_signals_alone_is_fine(tmp_path, action_types):
    rules = """
        guards:
          - guard: vault
            select: {service: vault}
            signals: [SecurityBreach]
            playbook: [{action: seal, select: {alertname: SecurityBreach}}]
    """
    (tmp_path / "rules.yaml").write_text(rules)
    found = load([tmp_path / "rules.yaml"], action_types=action_types)
    assert [problem.render() for problem in found.problems] == []
    assert found.policy.guards["vault"].playbook[0].verify.within == 5 * MINUTE + timedelta(seconds=10) + MINUTE


def test_a_guard_that_acts_on_signals_only_needs_no_critical_rule(tmp_path, action_types):
    rules = RULES.replace("severity: critical", "severity: none").replace("alertname: Errors", "service: checkout")
    assert write(tmp_path, action_types, rules).problems == ()
    rules = rules.replace("    signals: [DataCorruption, SecurityBreach]\n", "")
    assert "selects-no-critical" in {it.id for it in write(tmp_path, action_types, rules).problems}


@pytest.mark.promise(19)
@pytest.mark.parametrize("select", ["{severity: critical}", "{alertname: Errors}", "{}"])
def test_signals_of_every_service_are_refused(select, tmp_path, action_types):
    rules = RULES.replace("select: {service: checkout}", f"select: {select}")
    found = write(tmp_path, action_types, rules)
    assert found.policy is None
    assert {problem.id for problem in found.problems} & {"signal-selector", "empty-selector"}


def test_rule_files_alone_are_checked_without_the_names_of_channels(tmp_path, action_types):
    (tmp_path / "rules.yaml").write_text(RULES)
    found = load([tmp_path / "rules.yaml"], action_types=action_types)
    assert found.problems == ()
    assert found.policy.guards["checkout"].notify.critical == ("team", "oncall")


def test_a_channel_with_a_mistake_in_it_is_not_called_unknown(tmp_path, action_types):
    guard = GUARD.replace('url_file = "secrets/pagerduty"', 'url = "pagerduty"')
    assert [it.id for it in write(tmp_path, action_types, guard=guard).problems] == ["bad-url"]


def test_a_step_with_a_mistake_in_it_is_not_called_idle(tmp_path, action_types):
    rules = RULES.replace("approve: 5m", "approve: 5").replace("action: roll-back", "action: [roll-back]")
    assert [it.id for it in write(tmp_path, action_types, rules).problems] == ["wrong-type", "duration-unit"]


def test_the_instance_has_its_limits_undos_and_address(found):
    policy = found.policy
    assert policy.fleet == Fleet(max_actions=5, per=30 * MINUTE)
    assert policy.undos == {"flag-off": "flag-on"}
    assert policy.url == "https://guard.example.org/checkout"


def test_every_data_source_is_asked_for_its_heartbeat_unless_that_is_switched_off(found):
    asked = {name: endpoint.heartbeat for name, endpoint in found.endpoints.items()}
    assert asked == {"prometheus": "count(up)", "thanos": "", "mimir": "vector(1)"}


def test_channels_refer_to_their_secrets_by_absolute_paths(found, tmp_path):
    team, oncall, lead = (found.channels[name] for name in ("team", "oncall", "lead"))
    assert (team.type, str(team.url), team.timeout) == (
        "apprise",
        f"slack://${{file:{tmp_path}/slack}}",
        timedelta(seconds=5),
    )
    assert (team.title, team.body) == ("{{ guard }}: {{ title }}", None)
    assert str(oncall.url) == f"${{file:{tmp_path}/secrets/pagerduty}}"
    assert (oncall.give_up_after, oncall.max_per_hour) == (timedelta(hours=1), 10)
    assert (lead.type, str(lead.url)) == ("webhook", f"https://hooks.example.org/${{file:{tmp_path}/hook}}")
    assert (str(lead.secret), lead.ca_file) == (f"${{file:{tmp_path}/key}}", str(tmp_path / "hooks.pem"))
    assert [(name, str(value)) for name, value in lead.headers] == [("X-Team", "${env:TEAM}")]


def test_a_channel_hears_of_the_kinds_that_it_names_and_else_of_all(found):
    assert found.policy.kinds == {"lead": {NoticeKind.ESCALATED, NoticeKind.RECOVERED}}
    assert found.policy.hears("lead", NoticeKind.ESCALATED)
    assert not found.policy.hears("lead", NoticeKind.ORDERED)
    assert found.policy.hears("team", NoticeKind.ORDERED)


def test_the_calendar_and_the_dead_mans_switch_are_there(found, tmp_path):
    assert found.maintenance == (
        MaintenanceSpec(
            name="nightly",
            cron="0 3 * * sun",
            lasting=timedelta(hours=2),
            timezone="Europe/Berlin",
            guards=("checkout",),
        ),
    )
    assert isinstance(found.dead_man, DeadManSpec)
    assert str(found.dead_man.url) == "https://ping.example.org/${env:PING}"
    assert (found.dead_man.every, found.dead_man.ca_file) == (timedelta(seconds=30), str(tmp_path / "ping.pem"))


@pytest.mark.parametrize(("every", "timeout"), [("2s", 2), ("10s", 10), ("1m", 10)])
def test_a_call_of_the_dead_mans_switch_never_lasts_until_the_next_one(every, timeout, tmp_path, action_types):
    guard = GUARD.replace('every = "30s"', f'every = "{every}"')
    assert write(tmp_path, action_types, guard=guard).dead_man.timeout == timedelta(seconds=timeout)


def test_the_setup_comes_home_from_the_child(found, tmp_path):
    guard = GUARD.replace(
        'command = ["./roll-back.sh"]', 'command = ["./roll-back.sh", "{{ rollout.previous_version }}"]'
    )
    (tmp_path / "guard.toml").write_text(guard)
    loaded = load_setup(tmp_path / "guard.toml", Overrides())
    assert loaded.problems == ()
    setup = loaded.setup
    assert (setup.channels, setup.maintenance, setup.dead_man) == (found.channels, found.maintenance, found.dead_man)
    assert setup.token_file == tmp_path / "tokens"
    assert setup.tls == (tmp_path / "tls.crt", Path("/etc/hosts"))
    assert setup.anchors == (("10.0.0.1", 53), ("fd00::1", 53))
    assert setup.keep == timedelta(days=30)
    assert setup.policy.undos == {"flag-off": "flag-on"}
    assert setup.policy.kinds == found.policy.kinds


def test_what_nobody_wrote_is_as_it_was(tmp_path):
    (tmp_path / "rules.yaml").write_text("groups:\n  - {name: a, rules: [{alert: A, expr: a > 1}]}\n")
    (tmp_path / "guard.toml").write_text('[guard]\nrules = ["rules.yaml"]\n[prometheus]\nurl = "http://prom:9090"\n')
    setup = load_setup(tmp_path / "guard.toml", Overrides()).setup
    assert (setup.channels, setup.maintenance, setup.dead_man, setup.token_file, setup.tls) == (
        {},
        (),
        None,
        None,
        None,
    )
    assert (setup.anchors, setup.keep) == ((), timedelta(days=90))
    assert (setup.policy.fleet, setup.policy.undos, setup.policy.url) == (Fleet(), {}, "")


def test_a_rollout_has_no_member_that_nobody_fills_in(tmp_path):
    (tmp_path / "rules.yaml").write_text(RULES)
    guard = GUARD.replace('command = ["./roll-back.sh"]', 'command = ["./roll-back.sh", "{{ rollout.next_version }}"]')
    (tmp_path / "guard.toml").write_text(guard)
    (error,) = load_setup(tmp_path / "guard.toml", Overrides()).errors
    assert "unknown member 'rollout.next_version'" in error
