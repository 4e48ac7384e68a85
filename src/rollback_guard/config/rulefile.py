"""Describe a rule file: what Prometheus knows, and what the guard adds."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from rollback_guard.config.expressions import Expression, LabelTemplate, Template
from rollback_guard.config.fields import (
    Between,
    Duration,
    Flag,
    Flaw,
    Interval,
    Json,
    LabelText,
    Name,
    OneOf,
    PositiveDuration,
    Regex,
    Section,
    Text,
    Url,
    empty_for_nothing,
    no_items_for_nothing,
    refuse,
)
from rollback_guard.config.problems import quoted
from rollback_guard.core.state import ACTIONS_REMEMBERED

_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")


def _label_name(name: str) -> str:
    if not _LABEL_NAME.match(name) or name == "__name__":
        raise refuse(Flaw("bad-label", f"{quoted(name)} cannot be a label's name", "Use letters, digits and `_`."))
    return name


def _header_name(name: str) -> str:
    if not re.match(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z", name):
        raise refuse(Flaw("bad-value", f"{quoted(name)} cannot be a header's name", "Use letters, digits and `-`."))
    return name


LabelName = Annotated[str, AfterValidator(_label_name)]
Annotations = Annotated[dict[LabelName, Template], BeforeValidator(empty_for_nothing)]
RuleLabels = Annotated[dict[LabelName, LabelTemplate], BeforeValidator(empty_for_nothing)]
Selector = Annotated[dict[LabelName, LabelText], BeforeValidator(empty_for_nothing)]
Headers = Annotated[dict[Annotated[str, AfterValidator(_header_name)], Text], BeforeValidator(empty_for_nothing)]


class AlertRule(Section):
    """A threshold: a PromQL condition that must hold for a time before it fires."""

    alert: Name = Field(description="Name of the alert.")
    expr: Expression = Field(description="PromQL condition: it breaches for every series that it returns.")
    for_: Duration = Field(
        default=timedelta(0), alias="for", description="How long it must breach without a break before it fires."
    )
    keep_firing_for: Duration = Field(
        default=timedelta(0), description="How long it goes on firing after the last breach."
    )
    labels: RuleLabels = Field(
        default={},
        description="Added to every series. `severity: critical` makes guards act, `warning` is shown; values may be "
        "templates over `$labels`.",
    )
    annotations: Annotations = Field(default={}, description="Text for people; templates over `$labels` and `$value`.")
    when: Expression | None = Field(
        default=None,
        description="Condition under which there is enough to judge; where it does not hold, nothing is judged.",
    )
    no_data: Annotated[str, OneOf("hold", "ok", "breach")] = Field(
        default="hold", description="What an absent series means: `hold` is unknown, `ok` passes, `breach` breaches."
    )
    shadow: Flag = Field(default=False, description="Evaluated, shown and counted; never acts.")
    max_age: Duration | None = Field(
        default=None,
        description="Samples older than this are no data; `0s` switches that off. Default: the data source's "
        "`max_sample_age`.",
    )


class RecordRule(Section):
    """A recording rule; it is left to Prometheus."""

    record: Name = Field(description="Name of the series that Prometheus records.")
    expr: Text = Field(description="PromQL expression.")
    labels: Selector = Field(default={}, description="Added to the recorded series.")


ALERT, RECORD = "alert-rule", "record-rule"


def _kind(value: Any) -> str:
    return RECORD if isinstance(value, dict) and "record" in value and "alert" not in value else ALERT


AnyRule = Annotated[Annotated[AlertRule, Tag(ALERT)] | Annotated[RecordRule, Tag(RECORD)], Discriminator(_kind)]


class RuleGroup(Section):
    """Rules that are evaluated together, at the same instants."""

    name: Name = Field(description="Unique in its file.")
    interval: Interval = Field(default=timedelta(seconds=15), description="Time between two evaluations.")
    query_offset: Duration | None = Field(
        default=None, description="Ask for values of this much earlier. Default: the data source's `query_offset`."
    )
    limit: Annotated[int, Between(0, 1_000_000)] = Field(
        default=0, description="More active series than this in one rule are an error of that rule; 0 is no limit."
    )
    labels: Selector = Field(default={}, description="Added to every rule of the group; a rule's own labels win.")
    datasource: Name | None = Field(
        default=None,
        description="Which data source to ask: the NAME of a `[datasources.NAME]`. Default: `[prometheus]`.",
    )
    rules: Annotated[list[AnyRule], BeforeValidator(no_items_for_nothing)] = Field(description="The rules.")


class Expect(Section):
    """What a good answer looks like; all that is given must hold."""

    status: list[Annotated[int, Between(100, 599)]] = Field(
        default=[], description="Accepted status codes. Default: any 2xx."
    )
    json_: Json = Field(
        default={},
        alias="json",
        description="Values that a JSON body must hold, by key or dotted path: `{status: ok}`.",
    )
    body: Regex | None = Field(default=None, description="Regular expression that must match somewhere in the body.")
    latency_below: PositiveDuration | None = Field(
        default=None, description="The whole answer must come faster than this."
    )
    tls_valid_for: PositiveDuration | None = Field(
        default=None, description="The certificate must be valid for at least this much longer."
    )


class Probe(Section):
    """An HTTP health check that the guard makes itself."""

    probe: Name = Field(description="Name of the probe, unique among all files; its alert has the same name.")
    url: Url = Field(description="What is asked: an http or https URL.")
    method: Annotated[str, OneOf("GET", "HEAD", "POST")] = Field(default="GET", description="HTTP method.")
    headers: Headers = Field(
        default={}, description="Sent with the request; values may hold `${file:…}` and `${env:…}`."
    )
    interval: Interval = Field(default=timedelta(seconds=15), description="Time between two checks.")
    timeout: PositiveDuration | None = Field(
        default=None, description="Bound of the whole check. Default: 5s, or the interval if that is shorter."
    )
    expect: Annotated[Expect, BeforeValidator(empty_for_nothing)] = Field(
        default=Expect(), description="What a good answer looks like."
    )
    for_: Duration = Field(default=timedelta(0), alias="for", description="How long it must be down before it fires.")
    keep_firing_for: Duration = Field(
        default=timedelta(0), description="How long it goes on firing after it came back."
    )
    labels: RuleLabels = Field(default={}, description="Labels of its alert; `severity` as in rules.")
    annotations: Annotations = Field(default={}, description="Text for people; templates over `$labels` and `$value`.")
    ca_file: Name | None = Field(default=None, description="Certificate authorities to trust instead of the system's.")


class Verification(Section):
    """How a step's success shows."""

    within: PositiveDuration | None = Field(
        default=None,
        description="Latest time for the recovery to be proven. Default: the longest range of the guard's rules with "
        "its `query_offset`, plus `stable_for`, plus two intervals; a shorter one is an error.",
    )
    stable_for: Duration = Field(default=timedelta(minutes=1), description="How long all rules must pass.")


class PlaybookStep(Section):
    """One action, and how its success shows."""

    action: Name = Field(description="Name of an `[actions.NAME]` in guard.toml.")
    verify: Annotated[Verification, BeforeValidator(empty_for_nothing)] = Field(
        default=Verification(), description="How its success shows; the next step begins when it does not."
    )


class BlindSection(Section):
    """What to do when the guard cannot see."""

    after: PositiveDuration = Field(
        default=timedelta(minutes=5), description="How long it waits for its sight to come back."
    )
    do: Annotated[str, OneOf("notify", "act")] = Field(
        default="notify", description="`notify` says so; `act` runs the playbook."
    )


class LimitsSection(Section):
    """How much a guard may do."""

    max_actions: Annotated[int, Between(1, ACTIONS_REMEMBERED)] | None = Field(
        default=None, description="Most actions in any `per`. Default: the number of steps of its playbook."
    )
    per: PositiveDuration = Field(
        default=timedelta(hours=1), description="The span that `max_actions` is counted over."
    )
    cooldown: Duration = Field(
        default=timedelta(minutes=15), description="Time after an incident in which no new playbook run begins."
    )


def _some(steps: list[PlaybookStep]) -> list[PlaybookStep]:
    if not steps:
        raise refuse(Flaw("bad-value", "the playbook has no step", "Name at least one action."))
    return steps


class GuardPolicy(Section):
    """The policy for one service: which rules it listens to, and what it does."""

    guard: Name = Field(description="Name of the guard, unique among all files.")
    select: Selector = Field(
        description="Labels that a rule or probe must carry, each compared for equality; `alertname` is its name."
    )
    playbook: Annotated[list[PlaybookStep], BeforeValidator(no_items_for_nothing), AfterValidator(_some)] = Field(
        description="The ordered steps.", json_schema_extra={"minItems": 1}
    )
    armed: Annotated[str, OneOf("always")] = Field(default="always", description="When it may act.")
    warm_up: Duration = Field(
        default=timedelta(0), description="Time after the start in which it evaluates and does not act."
    )
    blind: Annotated[BlindSection, BeforeValidator(empty_for_nothing)] = Field(
        default=BlindSection(), description="What it does when it cannot see."
    )
    limits: Annotated[LimitsSection, BeforeValidator(empty_for_nothing)] = Field(
        default=LimitsSection(), description="How much it may do."
    )


class RuleFile(Section):
    """A Prometheus alerting rule file, with probes and guards."""

    groups: Annotated[list[RuleGroup], BeforeValidator(no_items_for_nothing)] = Field(
        default=[], description="Rule groups."
    )
    probes: Annotated[list[Probe], BeforeValidator(no_items_for_nothing)] = Field(
        default=[], description="Health checks."
    )
    guards: Annotated[list[GuardPolicy], BeforeValidator(no_items_for_nothing)] = Field(
        default=[], description="Policies."
    )
