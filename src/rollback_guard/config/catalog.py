"""List every check by its id, as the reference explains it.

What refuses a file, or looks at how its parts hang together, is in `CHECKS`. A lint finds what is allowed and will
hurt: each has a page of its own in docs/checks.
"""

from __future__ import annotations

from collections.abc import Mapping

CHECKS: Mapping[str, str] = {
    # reading
    "unreadable-file": "The file is not there, is a directory, or may not be read.",
    "too-large": "The file has more than a megabyte, or more parts than anybody writes.",
    "too-deep": "Lists and tables are nested deeper than any rule file needs.",
    "not-text": "The file is not UTF-8, or holds control characters.",
    "yaml-syntax": "The file is not YAML.",
    "yaml-alias": "Anchors, aliases and merge keys are refused: a few hundred bytes of them can stand for gigabytes.",
    "yaml-tag": "Tags such as `!!python/object` are refused.",
    "yaml-bool": "`yes`, `no`, `on`, `off` and `12:30:00` mean different things to different YAML readers.",
    "yaml-documents": "A rule file is one YAML document; Prometheus would silently read the first only.",
    "yaml-key": "A key is a list or a table.",
    "toml-syntax": "The file is not TOML.",
    "duplicate-key": "A key is there twice; most readers silently keep the last.",
    # values
    "unknown-key": "The key is not known here; often a typing mistake.",
    "not-yet": "The key or value belongs to a later version. Nothing is accepted and then ignored.",
    "missing-key": "A key that is needed is not there.",
    "wrong-type": "A text, number, list or table stands where something else is expected.",
    "bad-value": "The value is not among those that are allowed.",
    "duration-unit": "A duration has no unit: `5` could be seconds or minutes.",
    "bad-duration": "The text is no duration as Prometheus writes it, or one that cannot be meant.",
    "bad-url": "The text is no http or https URL.",
    "secret-in-url": "A URL holds a user name, a password or a token; URLs are shown to people.",
    "bad-regex": "A regular expression does not compile.",
    "bad-cron": "The text is not the five fields of cron, or names a day that never comes.",
    "bad-label": "A label's name is not one that Prometheus allows.",
    "more-problems": "The file has more problems than are shown.",
    # expressions and templates
    "promql-syntax": "The expression is not PromQL.",
    "promql-type": "The expression is a number or text, not a set of series.",
    "promql-bool": "A comparison with `bool` returns 0 or 1 for every series, so the rule would always breach.",
    "promql-no-condition": "The expression compares nothing, so the rule would breach whenever the series exists.",
    "promql-too-complex": "The expression is longer, deeper or has more operators than is safe to parse.",
    "bad-template": "A template in a label, an annotation or a message cannot be rendered.",
    "value-in-label": "A label holds `$value`: the alert would become another one with each new value.",
    # across files
    "no-rule-file": "A pattern of `rules` matches no file.",
    "two-guard-files": "More than one guard.toml was given.",
    "duplicate-group": "Two groups of one file have the same name.",
    "duplicate-rule": "Two rules of one group have the same name and labels, or two things share an id.",
    "duplicate-name": "Two probes, guards or maintenance windows have the same name, or a list names one thing twice.",
    "empty-selector": "A guard selects by no label: it would act on everything.",
    "selects-nothing": "No rule and no probe carries the labels that a guard selects by, and it knows no signal.",
    "severity-unknown": "A severity is none of `critical`, `warning`, `info` and `none`, and is only shown.",
    "template-in-selector": "A guard selects by a template; labels are compared as they are written.",
    "signal-selector": "A guard with signals selects by nothing that an alert from elsewhere carries.",
    "step-kind": "A step has both an action and a message, or neither.",
    "step-key": "A key of a step says nothing beside its other keys.",
    "step-selects-nothing": "Nothing that a guard acts on carries the labels that a step asks for.",
    "unknown-rule": "A step is verified by a rule that there is not.",
    "ambiguous-rule": "A step is verified by a name that several rules have.",
    "within-too-short": "A step would be judged while old errors are still in the range of a rule.",
    "unknown-action": "A playbook, or an `undo`, names an action that guard.toml does not have.",
    "unknown-action-type": "An action's `type` is not one that this version has.",
    "rollout-unknown": "An action needs a rollout, and its guard also acts without one.",
    "unused-action": "No playbook and no `undo` names an action.",
    "undo-itself": "An action is said to take itself back.",
    "unknown-channel": "A guard names a channel that guard.toml does not have.",
    "unused-channel": "No guard names a channel.",
    "nobody-told": "A guard tells nobody, or waits for people whom it does not tell.",
    "left-out": "No channel of a guard, a level or a step hears of what it is to be told.",
    "unknown-guard": "A maintenance window names a guard that no rule file has.",
    "never-closes": "A maintenance window opens again before it has closed.",
    "unknown-datasource": "A group asks a data source that guard.toml does not have.",
    "reserved-name": "A data source has a name that means something else.",
    "literal-secret": "A header seems to hold a secret as plain text.",
    "probe-timeout": "A probe may take longer than its interval.",
    "probe-tls": "`tls_valid_for` is asked of a URL without TLS.",
    "no-anchor": "No anchor is named or can be derived, so a lost network of one's own looks as if all were down.",
    "recording-rules": "Recording rules are left to Prometheus.",
    "no-rules": "The files hold no alerting rule and no probe.",
    "client-certificate": "A client certificate is given without its key, or a key without its certificate.",
    "server-certificate": "The server's certificate is given without its key, or the key without its certificate.",
    "no-tokens": "The server listens to others than this machine and has no tokens, so it takes no orders.",
    "two-addresses": "Both a URL and a file that holds it are given.",
    "dead-man-timeout": "A call of the dead-man's switch may take longer than the time until the next one.",
    "missing-file": "A secret or a certificate that is named is not there, or may not be read by this user.",
    "missing-program": "The path of an action's program leads to none, or to one that this user may not execute.",
    "two-credentials": "Both a bearer token and basic authentication are given.",
    # switching off
    "bad-ignore": "A comment for `check` cannot be read, or stands where it says nothing.",
    "unknown-ignore": "What should be switched off is no check, or an error.",
    "unused-ignore": "What is switched off is not there.",
}

LINTS: Mapping[str, str] = {
    # what is measured
    "short-range": "A range is too short to hold two samples.",
    "rate-of-gauge": "A function for counters is given a gauge.",
    "raw-counter": "A counter is compared as it is, and it only ever rises.",
    "rate-of-sum": "The rate of a sum of counters: one restart looks like a huge increase.",
    "quantile-without-le": "A quantile of buckets that are not told apart any more.",
    "nan-in-aggregation": "Ratios are summed up: one that is 0/0 makes all of them unknown.",
    "divided-by-itself": "A label that chooses the numerator stays on both sides, so the ratio says nothing.",
    "changing-selection": "`topk` and the like return other series each time, so no alert lasts.",
    "unbounded-label": "Results are told apart by a label that has a new value with every request.",
    # what is selected
    "absent-label": "One side of a ratio is chosen by a label, and the other counts all.",
    "unscoped-selector": "A rule that acts measures a metric that everybody has, of everybody.",
    "pattern-always-matches": "A regular expression matches everything, or nothing.",
    "status-pattern": "A regular expression matches no status code there is.",
    # what it is compared with
    "threshold-side": "The comparison breaches when all is well.",
    "threshold-unit": "A threshold is in another unit than what is measured, or a quantile in percent.",
    "never-fires": "No value can fulfil the comparison.",
    "always-fires": "Every value fulfils the comparison.",
    # time
    "for-interval": "`for` is shorter than the interval, or not a multiple of it.",
    "absent-for": "`absent()` fires at the first missing sample.",
    "for-exceeds-window": "`for` is as long as the rollout that the guard watches.",
    "offset-sees-rollout": "The past that a rule compares with is the incident itself.",
    # guards and actions
    "ratio-without-floor": "One failure of two requests at night is an error ratio of 50%.",
    "vanishing-label": "A rule that acts keeps a label that a rollback takes away.",
    "unverified-step": "Nothing can show whether a step helped.",
    "uninspected-action": "After a crash nobody can tell whether the action was done.",
    "critical-unselected": "No guard selects a critical rule or probe, so nothing happens when it fires.",
    "selects-no-critical": "A guard selects no critical rule and knows no signal, so it can never act.",
}

ONLINE: frozenset[str] = frozenset(
    {
        "online-breaches-now",
        "online-clock",
        "online-gone",
        "online-heartbeat",
        "online-many-series",
        "online-max-age",
        "online-never",
        "online-no-histogram",
        "online-no-history",
        "online-no-match",
        "online-rate-of-gauge",
        "online-raw-counter",
        "online-short-range",
        "online-slow-query",
        "online-unknown-now",
    }
)
"""The lints that only a Prometheus can answer; docs/checks/online.md explains each."""

ONLINE_ERRORS: frozenset[str] = frozenset({"online-query-error", "online-syntax"})
"""What a Prometheus may refuse; on the same page."""

SWITCHABLE: frozenset[str] = (
    frozenset(LINTS)
    | ONLINE
    | {
        "literal-secret",
        "missing-file",
        "missing-program",
        "no-anchor",
        "no-rules",
        "no-tokens",
        "nobody-told",
        "recording-rules",
        "rollout-unknown",
        "secret-in-url",
        "severity-unknown",
        "unused-action",
        "unused-channel",
    }
)
"""What can be switched off, where it is no error."""
