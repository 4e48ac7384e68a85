"""What people wrote becomes the policy that the engine runs by."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from textwrap import dedent

import pytest

from rollback_guard.config.compile import offset_of
from rollback_guard.config.load import load
from rollback_guard.core.condition import Comparison, Operator
from rollback_guard.core.model import Blindness, BlindPolicy, Limits, Mode, NoData, Severity, Storm, Verify

RULES = """
groups:
  - name: checkout
    interval: 10s
    labels: {service: checkout, severity: none}
    rules:
      - alert: Errors
        expr: sum(rate(errors_total[5m])) > 0.01
        for: 10m
        labels: {severity: critical}
        annotations: {summary: "{{ $value }}"}
        when: sum(rate(requests_total[1m])) > 1
        no_data: breach
      - alert: Slow
        expr: histogram_quantile(0.95, sum by (le) (rate(d_bucket[1h]))) > 0.5
        labels: {severity: warning}
        max_age: 0s
        shadow: true
probes:
  - probe: ready
    url: https://checkout/ready
    interval: 3s
    headers: {Authorization: "Bearer ${file:token}"}
    expect: {status: [200], json: {status: ok, ready: true, n: 1}, body: ok, latency_below: 500ms, tls_valid_for: 60d}
    for: 30s
    labels: {service: checkout, severity: critical}
    ca_file: ca.pem
guards:
  - guard: checkout
    select: {service: checkout}
    playbook:
      - action: flag-off
      - action: roll-back
        verify: {within: 20m, stable_for: 2m, idle: pass}
    warm_up: 2m
    blind: {after: 7m, do: act}
"""
GUARD = """
[guard]
name = "shop"
rules = ["*.yaml"]
mode = "dry-run"
state = "x/guard.db"

[prometheus]
url = "https://prom:9090/sub/"
query_offset = "5s"
max_sample_age = "90s"
bearer_token_file = "token"
headers = { X-Scope = "${env:SCOPE}" }
ca_file = "/etc/hosts"
cert_file = "client.pem"
key_file = "client.key"

[datasources.thanos]
url = "http://thanos:9090"
basic_auth = { username = "guard", password_file = "password" }

[limits]
storm = { guards = 5, within = "1m" }

[actions.flag-off]
type = "http"
url = "http://flags/x"
headers = { Authorization = "Bearer ${file:secrets/flags}" }
ca_file = "flags.pem"

[actions.roll-back]
type = "exec"
command = ["./roll-back.sh"]
env = { ca_file = "mine" }
"""


@pytest.fixture
def found(tmp_path, action_types):
    return write(tmp_path, action_types)


FILES = ("token", "ca.pem", "client.pem", "client.key", "password", "secrets/flags", "flags.pem", "roll-back.sh")


def write(path, action_types, rules=RULES, guard=GUARD):
    for name in FILES:
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).touch(mode=0o700)
    (path / "rules.yaml").write_text(rules)
    (path / "guard.toml").write_text(guard)
    loaded = load([path / "guard.toml"], action_types=action_types)
    assert loaded.policy is not None, [problem.render() for problem in loaded.problems]
    return loaded


def test_guard_toml_becomes_the_head_of_the_policy(found):
    policy = found.policy
    assert (policy.name, policy.mode) == ("shop", Mode.DRY_RUN)
    assert policy.storm == Storm(guards=5, within=timedelta(minutes=1))
    assert found.settings.guard.catch_up == timedelta(hours=1)
    assert found.settings.server.listen == "127.0.0.1:9876"
    assert (found.rules, found.guards, len(found.files)) == (3, 1, 2)


def test_a_rule_carries_all_that_was_written(found):
    rule = found.policy.rules["checkout/Errors"]
    assert rule.condition.comparison == Comparison(op=Operator.GREATER, threshold=0.01)
    assert rule.condition.longest_range == timedelta(minutes=5)
    assert rule.when.query == "sum(rate(requests_total[1m]))"
    assert (rule.hold, rule.no_data, rule.severity) == (timedelta(minutes=10), NoData.BREACH, Severity.CRITICAL)
    assert rule.labels == (("service", "checkout"), ("severity", "critical"))
    assert rule.max_age == timedelta(seconds=90)
    other = found.policy.rules["checkout/Slow"]
    assert (other.severity, other.shadow, other.max_age) == (Severity.WARNING, True, None)


def test_a_group_has_a_stable_phase_below_its_interval(found):
    group = found.policy.groups["checkout"]
    assert (group.source, group.query_offset) == ("prometheus", timedelta(seconds=5))
    assert group.offset == offset_of("checkout", group.interval) == timedelta(milliseconds=7101)
    offsets = {offset_of(f"group-{number}", timedelta(seconds=15)) for number in range(200)}
    assert all(timedelta(0) <= offset < timedelta(seconds=15) for offset in offsets)
    assert len({offset // timedelta(seconds=1) for offset in offsets}) == 15


def test_a_probe_is_a_group_of_its_own(found, tmp_path):
    group = found.policy.groups["probe/ready"]
    assert (group.source, group.interval, [rule.id for rule in group.rules]) == (
        "probe",
        timedelta(seconds=3),
        ["probe/ready"],
    )
    rule = group.rules[0]
    assert rule.condition.comparison == Comparison(op=Operator.LESS, threshold=1.0)
    assert (rule.hold, rule.severity) == (timedelta(seconds=30), Severity.CRITICAL)
    spec = found.probes["probe/ready"]
    assert spec.timeout == timedelta(seconds=3)
    assert spec.ca_file == str(tmp_path / "ca.pem")
    assert [(name, str(value)) for name, value in spec.headers] == [
        ("Authorization", f"Bearer ${{file:{tmp_path}/token}}")
    ]
    assert spec.expect.json == (("status", "ok"), ("ready", True), ("n", 1))
    assert spec.expect.tls_valid_for == timedelta(days=60)


def test_a_guard_listens_to_what_carries_its_labels(found):
    guard = found.policy.guards["checkout"]
    assert guard.rules == {"checkout/Errors", "checkout/Slow", "probe/ready"}
    assert guard.limits == Limits(max_actions=2, per=timedelta(hours=1), cooldown=timedelta(minutes=15))
    assert guard.blind == Blindness(after=timedelta(minutes=7), do=BlindPolicy.ACT)
    assert guard.warm_up == timedelta(minutes=2)


def test_within_defaults_to_the_memory_of_the_critical_rules(found):
    first, second = found.policy.guards["checkout"].playbook
    assert first.verify == Verify(
        # range and query_offset, stable_for, two intervals
        within=timedelta(minutes=5, seconds=5) + timedelta(minutes=1) + 2 * timedelta(seconds=10),
        stable_for=timedelta(minutes=1),
    )
    assert second.verify == Verify(within=timedelta(minutes=20), stable_for=timedelta(minutes=2), idle_passes=True)


def test_endpoints_refer_to_their_credentials_by_absolute_paths(found, tmp_path):
    prometheus, thanos = found.endpoints["prometheus"], found.endpoints["thanos"]
    assert prometheus.url == "https://prom:9090/sub"
    assert str(prometheus.bearer_token) == f"${{file:{tmp_path}/token}}"
    assert (prometheus.ca_file, prometheus.cert_file) == ("/etc/hosts", str(tmp_path / "client.pem"))
    assert [str(value) for _, value in prometheus.headers] == ["${env:SCOPE}"]
    user, password = thanos.basic_auth
    assert (user, str(password)) == ("guard", f"${{file:{tmp_path}/password}}")


def test_actions_are_instances_of_their_types_models(found, tmp_path, action_types):
    off, back = found.actions["flag-off"], found.actions["roll-back"]
    assert isinstance(off, action_types["http"])
    assert off.headers == {"Authorization": f"Bearer ${{file:{tmp_path}/secrets/flags}}"}
    assert off.ca_file == str(tmp_path / "flags.pem")
    assert back.command == ["./roll-back.sh"]
    assert back.env == {"ca_file": "mine"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("> 0.01", "> 0.02"),
        ("when: sum", "when: avg"),
        ("no_data: breach", "no_data: ok"),
        ("service: checkout, severity: none", "service: checkout, team: a"),
        ("name: checkout", "name: payment"),
    ],
)
def test_a_rule_that_measures_something_else_has_another_fingerprint(old, new, tmp_path, action_types):
    before = fingerprints(write(tmp_path, action_types))
    after = fingerprints(write(tmp_path, action_types, rules=RULES.replace(old, new)))
    assert before["Errors"] != after["Errors"]
    assert before["ready"] == after["ready"]


@pytest.mark.parametrize(
    ("old", "new"),
    [("for: 10m", "for: 5m"), ('summary: "{{ $value }}"', "summary: other"), ("interval: 10s", "interval: 20s")],
)
def test_a_rule_that_measures_the_same_keeps_its_fingerprint(old, new, tmp_path, action_types):
    before = fingerprints(write(tmp_path, action_types))
    assert fingerprints(write(tmp_path, action_types, rules=RULES.replace(old, new))) == before


@pytest.mark.parametrize(
    ("old", "new"), [("/ready\n", "/health\n"), ("status: [200]", "status: [204]"), ("body: ok", "body: fine")]
)
def test_a_probe_that_asks_something_else_has_another_fingerprint(old, new, tmp_path, action_types):
    before = fingerprints(write(tmp_path, action_types))
    after = fingerprints(write(tmp_path, action_types, rules=RULES.replace(old, new)))
    assert before["ready"] != after["ready"]
    assert before["Errors"] == after["Errors"]


def fingerprints(found):
    return {rule.name: rule.fingerprint for rule in found.policy.rules.values()}


def test_the_digest_tells_every_change_and_nothing_else(tmp_path, action_types):
    first = write(tmp_path, action_types).policy.digest
    assert write(tmp_path, action_types).policy.digest == first
    assert write(tmp_path, action_types, rules=RULES + "# changed\n").policy.digest != first
    assert write(tmp_path, action_types, guard=GUARD + "# changed\n").policy.digest != first


def test_the_same_files_give_an_equal_policy(tmp_path, action_types):
    assert write(tmp_path, action_types).policy == write(tmp_path, action_types).policy


def test_a_rule_file_that_is_named_twice_is_read_once(tmp_path, action_types):
    write(tmp_path, action_types)
    loaded = load([tmp_path / "guard.toml", tmp_path / "rules.yaml"], action_types=action_types)
    assert loaded.policy is not None
    assert len(loaded.files) == 2


def test_rule_files_alone_are_checked_without_the_names_of_actions(tmp_path, action_types):
    write(tmp_path, action_types)
    loaded = load([tmp_path / "rules.yaml"], action_types=action_types)
    assert loaded.problems == ()
    assert loaded.policy.guards["checkout"].playbook[0].action == "flag-off"


def test_relative_paths_begin_at_guard_toml_wherever_the_process_is(tmp_path, action_types, monkeypatch):
    write(tmp_path, action_types)
    monkeypatch.chdir(tmp_path.parent)
    loaded = load([Path(tmp_path.name) / "guard.toml"], action_types=action_types)
    assert str(loaded.endpoints["prometheus"].bearer_token) == f"${{file:{tmp_path}/token}}"
    assert [problem.render() for problem in loaded.problems] == []


def test_all_problems_of_all_files_come_at_once_and_in_order(tmp_path, action_types):
    (tmp_path / "a.yaml").write_text("groups:\n  - nam: x\n    rules: []\n")
    (tmp_path / "b.yaml").write_text(
        dedent("""
            groups:
              - name: y
                rules:
                  - alert: A
                    expr: up
                    for: 5
                  - alert: B
                    expr: a > 1
                    labels: {service: y}
            guards:
              - guard: g
                select: {service: y}
                playbook: [{action: nothing}]
        """)
    )
    (tmp_path / "guard.toml").write_text('[guard]\nrules = ["*.yaml"]\nmod = 1\n\n[prometheus]\nurl = "x"\n')
    loaded = load([tmp_path / "guard.toml"], action_types=action_types)
    assert [(Path(it.path).name, it.line, it.id) for it in loaded.problems] == [
        ("a.yaml", 2, "missing-key"),
        ("a.yaml", 2, "unknown-key"),
        ("b.yaml", 6, "promql-no-condition"),
        ("b.yaml", 7, "duration-unit"),
        ("b.yaml", 14, "unknown-action"),
        ("guard.toml", 3, "unknown-key"),
        ("guard.toml", 6, "bad-url"),
    ]


@pytest.mark.promise(19)
@pytest.mark.parametrize(
    "select", ["{}", "", '{service: "*"}', '{service: ".*"}', '{alertname: ""}', "{service: shop}"]
)
def test_a_guard_of_everything_or_of_nothing_is_refused(select, tmp_path, action_types):
    (tmp_path / "rules.yaml").write_text(RULES.replace("{service: checkout}\n    playbook", f"{select}\n    playbook"))
    loaded = load([tmp_path / "rules.yaml"], action_types=action_types)
    assert loaded.policy is None
    assert {problem.id for problem in loaded.problems} <= {"empty-selector", "selects-nothing"}


def test_ids_that_meet_although_the_names_differ_are_refused(tmp_path, action_types):
    groups = """
        groups:
          - name: a/b
            rules: [{alert: c, expr: x > 1}]
          - name: a
            rules: [{alert: b/c, expr: x > 1}]
          - name: probe/ready
            rules: [{alert: d, expr: x > 1}]
        probes:
          - {probe: ready, url: "http://shop"}
    """
    (tmp_path / "rules.yaml").write_text(dedent(groups))
    loaded = load([tmp_path / "rules.yaml"], action_types=action_types)
    assert [(it.line, it.id) for it in loaded.problems] == [(6, "duplicate-rule"), (7, "duplicate-group")]


def test_a_selector_of_labels_that_no_rule_has_together_is_explained(tmp_path, action_types):
    (tmp_path / "rules.yaml").write_text(
        RULES.replace("select: {service: checkout}", "select: {alertname: ready, severity: warning}")
    )
    (problem,) = load([tmp_path / "rules.yaml"], action_types=action_types).problems
    assert problem.hint == "Each of these labels exists, but no rule carries all of them."
