"""Describe a test file: promtool's format, and what is added to play whole incidents."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from rollback_guard.config.fields import (
    DURATION,
    Flag,
    Flaw,
    LabelText,
    Name,
    OneOf,
    Section,
    Text,
    empty_for_nothing,
    no_items_for_nothing,
    refuse,
)
from rollback_guard.config.fields import (
    Duration as BoundedDuration,
)
from rollback_guard.config.problems import quoted
from rollback_guard.config.scalars import Plain
from rollback_guard.core.notation import NotationError, parse_series, parse_values
from rollback_guard.core.observation import ROAD
from rollback_guard.core.reasons import Decision, Reason
from rollback_guard.core.units import parse_duration

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Where the time of a test begins unless it says otherwise, as promtool's does."""

EARLIEST, LATEST = EPOCH - timedelta(days=25_000), EPOCH + timedelta(days=75_000)
"""A test may begin between 1901 and 2175: Prometheus counts nanoseconds in 63 bits."""


def _values(value: object) -> str:
    """Read a notation; a lone number needs no quotes, as in promtool."""
    return _notation(value, parse_values, "values such as `0+1x10`")


def _cured(value: object) -> str:
    return _notation(value, partial(parse_values, with_last=True), "values such as `last+0x1`")


def _series(value: object) -> str:
    return _notation(value, parse_series, 'a series such as `up{job="api"}`')


def _sample(value: object) -> str:
    """Read the labels of an expected sample, which may have none."""
    text = str(value) if isinstance(value, str) and not _is_nothing(value) else ""
    return "" if NO_LABELS.fullmatch(text) else _notation(value, parse_series, 'labels such as `{job="api"}`')


def _notation(value: object, read: Callable[[str], object], expected: str) -> str:
    if not isinstance(value, str) or _is_nothing(value):
        raise refuse(Flaw("wrong-type", f"expected {expected}", "Write it as one text."))
    try:
        read(value)
    except NotationError as error:
        hint = "docs/testing.md explains the notation."
        raise refuse(Flaw("bad-notation", error.message, hint, offset=error.offset)) from None
    return str(value)


def _is_nothing(value: str) -> bool:
    return isinstance(value, Plain) and value.value is None


def _instant(value: object) -> datetime:
    """Read seconds since 1970, or a time such as 2026-01-02T15:04:05Z."""
    plain = value.value if isinstance(value, Plain) else value
    try:
        if isinstance(plain, int | float) and not isinstance(plain, bool):
            return _in_reach(EPOCH + timedelta(seconds=plain))
        at = datetime.fromisoformat(str(plain))
        return _in_reach(at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC))
    except (ValueError, OverflowError):
        hint = "Write seconds since 1970, or a time between 1902 and 2175 such as `2026-01-02T15:04:05Z`."
        raise refuse(Flaw("bad-value", f"{quoted(value)} is no time", hint)) from None


def _in_reach(at: datetime) -> datetime:
    if not EARLIEST <= at <= LATEST:
        raise ValueError(at)
    return at


def _number(value: object) -> float:
    """Read a sample's value in any spelling that Prometheus has."""
    plain = value.value if isinstance(value, Plain) else value
    try:
        if isinstance(plain, bool):
            raise ValueError  # noqa: TRY004, TRY301  told like any other wrong text
        return float(plain if isinstance(plain, int | float) else str(plain).strip())
    except (ValueError, OverflowError):
        raise refuse(Flaw("wrong-type", f"expected a number, found {quoted(value)}", "Write a number.")) from None


def _long(value: object) -> object:
    """Read a duration of any length; nobody waits for those of a test."""
    try:
        return parse_duration(str(value)) if isinstance(value, str) else value
    except ValueError:
        return value


def _or_minute(value: timedelta) -> timedelta:
    """Take zero for the default, as promtool does."""
    return value or timedelta(minutes=1)


def _label(value: object) -> object:
    """Take any scalar for its text, as promtool does: here is nothing that it could be mistaken for."""
    return ("" if _is_nothing(value) else str(value)) if isinstance(value, str) else value


NO_LABELS = re.compile(r"\s*(\{\s*\})?\s*")
"""A sample without a name and without labels."""

_TEXT_OR_NUMBER = WithJsonSchema({"type": ["string", "number"]})
_SPAN = WithJsonSchema({"type": ["string", "integer"], "pattern": DURATION})

Values = Annotated[str, BeforeValidator(_values), _TEXT_OR_NUMBER]
CuredValues = Annotated[str, BeforeValidator(_cured), _TEXT_OR_NUMBER]
Series = Annotated[str, BeforeValidator(_series)]
SampleLabels = Annotated[str, BeforeValidator(_sample)]
Duration = Annotated[BoundedDuration, BeforeValidator(_long), _SPAN]
Interval = Annotated[Duration, AfterValidator(_or_minute)]
Instant = Annotated[datetime, BeforeValidator(_instant), _TEXT_OR_NUMBER]
Number = Annotated[float, BeforeValidator(_number), _TEXT_OR_NUMBER]
LabelMap = Annotated[dict[str, Annotated[LabelText, BeforeValidator(_label)]], BeforeValidator(empty_for_nothing)]


class InputSeries(Section):
    """A series and its samples."""

    series: Series = Field(description='The series, as in `http_requests_total{job="api", code="500"}`.')
    values: Values = Field(description="Its samples, one per `interval`, in promtool's notation.")
    cured: CuredValues | None = Field(
        default=None,
        description="Its samples from the moment on in which an action cures; `last` is the value before. The last "
        "item is prolonged. Default: as if nothing had been done.",
    )


class ProbeResult(Section):
    """What a health check finds."""

    probe: Name = Field(description="The probe.")
    values: Values = Field(description="One per `interval`: 1 answers well, 0 does not, `_` could not be made.")
    cured: CuredValues | None = Field(default=None, description="As of `input_series`.")


class SignalSpan(Section):
    """An alert that another system sends."""

    alertname: Name = Field(description="Its name; a guard lists it in `signals`.")
    labels: LabelMap = Field(default={}, description="Its other labels; those of the guard's `select` among them.")
    from_: Duration = Field(default=timedelta(0), alias="from", description="When it begins to fire.")
    to: Duration | None = Field(default=None, description="When it is resolved. Default: never.")


class RolloutSpan(Section):
    """A change under a guard."""

    guard: Name = Field(description="The guard.")
    at: Duration = Field(default=timedelta(0), description="When it begins.")
    finished: Duration | None = Field(default=None, description="When people say that it is over. Default: never.")
    version: LabelText = Field(default="", description="What is rolled out.")
    previous_version: LabelText = Field(default="", description="What ran before.")


class Outage(Section):
    """A time in which the road to a data source is cut."""

    from_: Duration = Field(default=timedelta(0), alias="from", description="First instant without an answer.")
    to: Duration = Field(description="First instant that is answered again.")
    datasource: Name = Field(default="prometheus", description="Which data source.")
    reason: Annotated[str, OneOf(*sorted(reason.value for reason in ROAD))] = Field(
        default="connect", description="How it fails."
    )


class ActionResult(Section):
    """How an action ends, and whether it helps."""

    action: Name = Field(description="An action of a playbook.")
    result: Annotated[str, OneOf("succeeds", "fails", "hangs")] = Field(
        default="succeeds",
        description="`fails`: for good, so the next step begins. `hangs`: no answer within its time limit, and nobody "
        "can tell what happened, so people are called.",
    )
    takes: Duration | None = Field(
        default=None,
        description="From its beginning to its end. Default: `0s`; of one that hangs the step's `timeout`, or `30s`.",
    )
    cures_after: Duration | None = Field(
        default=None,
        description="So long after its success every series goes on as its `cured` says. Default: it cures nothing.",
    )


class ExpectedAlert(Section):
    """An alert that fires."""

    exp_labels: LabelMap = Field(default={}, description="All its labels but `alertname`.")
    exp_annotations: LabelMap = Field(default={}, description="All its annotations.")


class AlertRuleTest(Section):
    """Which alerts of a name fire at a time."""

    eval_time: Duration = Field(default=timedelta(0), description="Time since the beginning of the test.")
    alertname: Name = Field(description="Name of the alerts; also of a probe's or a signal's.")
    exp_alerts: Annotated[list[ExpectedAlert], BeforeValidator(no_items_for_nothing)] = Field(
        default=[], description="Those that fire. Default: none."
    )


class ExpectedState(Section):
    """A series of a rule that is not inactive."""

    labels: LabelMap = Field(default={}, description="All its labels but `alertname`.")
    state: Annotated[str, OneOf("pending", "firing", "unknown")] = Field(
        description="`unknown`: nothing is known of it, and it has no alert."
    )
    active_at: Duration | None = Field(
        default=None, description="When it first breached, since the beginning of the test. Default: not compared."
    )


class AlertStateTest(Section):
    """Every series of an alert that is not inactive at a time."""

    eval_time: Duration = Field(default=timedelta(0), description="Time since the beginning of the test.")
    alertname: Name = Field(description="Name of the alerts; also of a probe's or a signal's.")
    exp_states: Annotated[list[ExpectedState], BeforeValidator(no_items_for_nothing)] = Field(
        default=[], description="Those series. Default: none."
    )


class ExpectedDecision(Section):
    """Something that a guard concluded."""

    decision: Annotated[str, OneOf(*(word.value for word in Decision))] = Field(description="What.")
    reason: Annotated[str, OneOf(*(word.value for word in Reason))] | None = Field(
        default=None, description="Why. Default: not compared."
    )
    action: Text | None = Field(default=None, description="Which action it begins. Default: not compared.")


class DecisionTest(Section):
    """What a guard concluded last at a time."""

    eval_time: Duration = Field(default=timedelta(0), description="Time since the beginning of the test.")
    guard: Name = Field(description="The guard.")
    exp_decisions: Annotated[list[ExpectedDecision], BeforeValidator(no_items_for_nothing)] = Field(
        default=[],
        description="What it concluded at the latest instant, not after `eval_time`, at which it concluded anything "
        "but `none`; where one of these is `none`, its last decisions whatever they are. Default: nothing yet.",
    )


class ExpectedSample(Section):
    """A sample that a query returns."""

    labels: SampleLabels = Field(default="", description='The series, as in `{job="api"}`.')
    value: Number = Field(default=0.0, description="Its value.")


class PromqlExprTest(Section):
    """What a query returns at a time."""

    expr: Text = Field(description="PromQL.")
    eval_time: Duration = Field(default=timedelta(0), description="Time since the beginning of the test.")
    exp_samples: Annotated[list[ExpectedSample], BeforeValidator(no_items_for_nothing)] = Field(
        default=[], description="All samples of the answer, in any order. Default: none."
    )


class TrialSection(Section):
    """One test: what happens, and what is expected."""

    name: Annotated[str, BeforeValidator(lambda value: str(value) if isinstance(value, str) else value)] = Field(
        default="", description="What is tested, as a sentence."
    )
    interval: Duration | None = Field(
        default=None, description="Time between two samples. Default: the file's `evaluation_interval`."
    )
    start_timestamp: Instant = Field(
        default=EPOCH, description="When the test begins: seconds since 1970 or a time. Default: 1970."
    )
    external_labels: LabelMap = Field(default={}, description="For templates: `$externalLabels`.")
    external_url: LabelText = Field(default="", description="For templates: `externalURL`.")
    input_series: Annotated[list[InputSeries], BeforeValidator(no_items_for_nothing)] = Field(
        default=[], description="The series that there are."
    )
    probe_results: Annotated[list[ProbeResult], BeforeValidator(no_items_for_nothing)] = Field(
        default=[], description="What health checks find. One that is not listed always answers well."
    )
    signals: Annotated[list[SignalSpan], BeforeValidator(no_items_for_nothing)] = Field(
        default=[], description="Alerts that other systems send."
    )
    rollouts: Annotated[list[RolloutSpan], BeforeValidator(no_items_for_nothing)] = Field(
        default=[], description="Changes under a guard."
    )
    outages: Annotated[list[Outage], BeforeValidator(no_items_for_nothing)] = Field(
        default=[], description="Times in which a data source cannot be reached."
    )
    action_results: Annotated[list[ActionResult], BeforeValidator(no_items_for_nothing)] = Field(
        default=[], description="How actions end. One that is not listed succeeds at once and cures nothing."
    )
    alert_rule_test: Annotated[list[AlertRuleTest], BeforeValidator(no_items_for_nothing)] = Field(
        default=[], description="Which alerts fire."
    )
    alert_state_test: Annotated[list[AlertStateTest], BeforeValidator(no_items_for_nothing)] = Field(
        default=[], description="Which series are pending, firing or unknown."
    )
    decision_test: Annotated[list[DecisionTest], BeforeValidator(no_items_for_nothing)] = Field(
        default=[], description="What guards conclude."
    )
    promql_expr_test: Annotated[list[PromqlExprTest], BeforeValidator(no_items_for_nothing)] = Field(
        default=[], description="What queries return; they may ask for `ALERTS` too."
    )


class TrialFile(Section):
    """A file of tests."""

    rule_files: Annotated[list[Name], BeforeValidator(no_items_for_nothing)] = Field(
        default=[], description="Rule files that are tested, as patterns relative to this file."
    )
    evaluation_interval: Interval = Field(
        default=timedelta(minutes=1), description="Every group is evaluated at every multiple of it."
    )
    group_eval_order: Annotated[list[Name], BeforeValidator(no_items_for_nothing)] = Field(
        default=[], description="Groups in the order in which they are evaluated; the others come first."
    )
    fuzzy_compare: Flag = Field(default=False, description="Values that are neighbours in floating point are equal.")
    tests: Annotated[list[TrialSection], BeforeValidator(no_items_for_nothing)] = Field(description="The tests.")
