"""Describe a test file: promtool's format, and what is added to play whole incidents."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from rollback_guard.config.fields import Flag, LabelText, Name, OneOf, PositiveDuration, Section, Text
from rollback_guard.core.observation import ROAD
from rollback_guard.core.operations import Refusal
from rollback_guard.core.reasons import Decision, Reason
from rollback_guard.core.units import format_duration
from rollback_guard.workbench.trials.fields import (
    EPOCH,
    CuredValues,
    Duration,
    Instant,
    Interval,
    Items,
    LabelMap,
    NoHistogram,
    Number,
    SampleLabels,
    Series,
    Title,
    Values,
)

VERBS = ("approve", "extend", "veto", "pause", "resume", "trigger", "undo")
"""What people may ask of a guard in a test, in the words of the commands."""

EVERY_GUARD = "--all"
"""Every guard of an instance, in the word of the commands: no guard can be called so there."""

OF_EVERY_GUARD = ("pause", "resume")
"""What can be asked of all of them at once."""

POSSIBLE = tuple(word for word in Refusal if word not in (Refusal.NO_SUCH_GUARD, Refusal.TOO_MANY))
"""Why an order of a test may be refused: it names no unknown guard, and there are no signals in it."""


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


class GivenOrder(Section):
    """What a person asks of a guard: one verb, with the guard's name."""

    at: Duration = Field(
        description="When, since the beginning of the test; before what is evaluated at the same instant."
    )
    approve: Name | None = Field(default=None, description="The guard whose waiting step is run at once.")
    extend: Name | None = Field(default=None, description="The guard whose step waits longer, by `for`.")
    veto: Name | None = Field(default=None, description="The guard whose playbook is cancelled.")
    pause: Name | None = Field(
        default=None, description=f"The guard that does nothing any more, or `{EVERY_GUARD}`: as long as `for`."
    )
    resume: Name | None = Field(default=None, description=f"The guard whose pause is over, or `{EVERY_GUARD}`.")
    trigger: Name | None = Field(default=None, description="The guard whose playbook is run now, or one `step` of it.")
    undo: Name | None = Field(
        default=None, description="The guard of whose latest incident all is taken back that can be."
    )
    for_: PositiveDuration | None = Field(
        default=None, alias="for", description="Of `extend`, and of `pause`. Default: until it is resumed."
    )
    step: Name | None = Field(
        default=None, description="Of `trigger`: the step with this action. Default: all of them."
    )
    reason: LabelText = Field(default="the test says so", description="Why.")
    exp_refusal: Annotated[str, OneOf(*(word.value for word in POSSIBLE))] | None = Field(
        default=None, description="It is refused, for this reason. Default: it is done, and the test fails otherwise."
    )

    @property
    def verb(self) -> str:
        """What is asked for; of several verbs the first, of none an empty word."""
        return next((verb for verb in VERBS if getattr(self, verb) is not None), "")

    @property
    def guard(self) -> str | None:
        """Of whom; ``None`` is every guard."""
        name: str = getattr(self, self.verb)
        return None if name == EVERY_GUARD else name

    @property
    def words(self) -> str:
        """What is asked for, as it is written, but for the time and the reason."""
        lasting = f", for: {format_duration(self.for_)}" if self.for_ is not None else ""
        return f"{self.verb}: {getattr(self, self.verb)}{lasting}" + (f", step: {self.step}" if self.step else "")


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
    exp_alerts: Items[ExpectedAlert] = Field(default=[], description="Those that fire. Default: none.")


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
    exp_states: Items[ExpectedState] = Field(default=[], description="Those series. Default: none.")


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
    exp_decisions: Items[ExpectedDecision] = Field(
        default=[],
        description="What it concluded at the latest instant, not after `eval_time`, at which it concluded anything "
        "but `none`; where one of these is `none`, its last decisions whatever they are. Default: nothing yet.",
    )


class ExpectedSample(Section):
    """A sample that a query returns."""

    labels: SampleLabels = Field(default="", description='The series, as in `{job="api"}`.')
    value: Number = Field(default=0.0, description="Its value.")
    histogram: NoHistogram = Field(
        default="", description="A native histogram, as promtool 3 compares them. None is played here: leave it out."
    )


class PromqlExprTest(Section):
    """What a query returns at a time."""

    expr: Text = Field(description="PromQL.")
    eval_time: Duration = Field(default=timedelta(0), description="Time since the beginning of the test.")
    exp_samples: Items[ExpectedSample] = Field(
        default=[], description="All samples of the answer, in any order. Default: none."
    )


class TrialSection(Section):
    """One test: what happens, and what is expected."""

    name: Title = Field(default="", description="What is tested, as a sentence.")
    interval: Duration | None = Field(
        default=None, description="Time between two samples. Default: the file's `evaluation_interval`."
    )
    start_timestamp: Instant = Field(
        default=EPOCH, description="When the test begins: seconds since 1970 or a time. Default: 1970."
    )
    external_labels: LabelMap = Field(default={}, description="For templates: `$externalLabels`.")
    external_url: LabelText = Field(default="", description="For templates: `externalURL`.")
    input_series: Items[InputSeries] = Field(default=[], description="The series that there are.")
    probe_results: Items[ProbeResult] = Field(
        default=[], description="What health checks find. One that is not listed always answers well."
    )
    signals: Items[SignalSpan] = Field(default=[], description="Alerts that other systems send.")
    rollouts: Items[RolloutSpan] = Field(default=[], description="Changes under a guard.")
    orders: Items[GivenOrder] = Field(default=[], description="What people ask of guards.")
    outages: Items[Outage] = Field(default=[], description="Times in which a data source cannot be reached.")
    action_results: Items[ActionResult] = Field(
        default=[], description="How actions end. One that is not listed succeeds at once and cures nothing."
    )
    alert_rule_test: Items[AlertRuleTest] = Field(default=[], description="Which alerts fire.")
    alert_state_test: Items[AlertStateTest] = Field(
        default=[], description="Which series are pending, firing or unknown."
    )
    decision_test: Items[DecisionTest] = Field(default=[], description="What guards conclude.")
    promql_expr_test: Items[PromqlExprTest] = Field(
        default=[], description="What queries return; they may ask for `ALERTS` too."
    )


class TrialFile(Section):
    """A file of tests."""

    rule_files: Items[Name] = Field(
        default=[],
        description="Rule files that are tested, as patterns relative to this file; or a guard.toml, with its own.",
    )
    evaluation_interval: Interval = Field(
        default=timedelta(minutes=1), description="Every group is evaluated at every multiple of it."
    )
    group_eval_order: Items[Name] = Field(
        default=[], description="Groups in the order in which they are evaluated; the others come first."
    )
    fuzzy_compare: Flag = Field(default=False, description="Values that are neighbours in floating point are equal.")
    tests: Items[TrialSection] = Field(description="The tests.")
