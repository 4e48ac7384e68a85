"""Describe a rule file: what Prometheus knows, and what the guard adds."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag

from rollback_guard.config.expressions import Expression
from rollback_guard.config.fields import (
    Between,
    Duration,
    Flag,
    Interval,
    Json,
    Name,
    OneOf,
    PositiveDuration,
    Regex,
    Section,
    Text,
    Url,
    empty_for_nothing,
    no_items_for_nothing,
)
from rollback_guard.config.guards import GuardPolicy
from rollback_guard.config.tables import Annotations, Headers, RuleLabels, Selector


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
