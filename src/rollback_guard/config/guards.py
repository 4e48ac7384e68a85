"""Describe a guard in a rule file: what it listens to, when it may act, what it does and whom it tells."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from rollback_guard.config.fields import (
    Between,
    Duration,
    Flaw,
    Name,
    OneOf,
    PositiveDuration,
    Section,
    empty_for_nothing,
    no_items_for_nothing,
    refuse,
)
from rollback_guard.config.problems import quoted
from rollback_guard.config.tables import Selector
from rollback_guard.core.state import ACTIONS_REMEMBERED, OPENINGS_REMEMBERED
from rollback_guard.core.units import format_duration

MOST_NAMES = 200
"""Names in one list: more channels, signals or rules than any guard has."""


def _each_once(names: list[str]) -> list[str]:
    if len(names) > MOST_NAMES:
        raise refuse(Flaw("bad-value", f"{len(names)} names, more than {MOST_NAMES}", "Name fewer."))
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise refuse(Flaw("duplicate-name", f"{quoted(twice)} is there twice", "Remove one of them."))
    return names


def _somebody(names: list[str]) -> list[str]:
    if not names:
        raise refuse(Flaw("bad-value", "this names no channel", "Name a `[notify.NAME]` of guard.toml."))
    return names


Names = Annotated[list[Name], BeforeValidator(no_items_for_nothing), AfterValidator(_each_once)]
Channels = Annotated[Names, AfterValidator(_somebody)]


class Verification(Section):
    """How a step's success shows."""

    within: PositiveDuration | None = Field(
        default=None,
        description="Latest time for the recovery to be proven. Default: the longest range of the rules that tell it "
        "with its `query_offset`, plus `stable_for`, plus two intervals; a shorter one is an error.",
    )
    stable_for: Duration = Field(default=timedelta(minutes=1), description="How long all rules must pass.")
    rules: Names = Field(
        default=[],
        description="Rules and probes that tell it: names of its own, or ids of any. Default: what fired.",
    )
    idle: Annotated[str, OneOf("unknown", "pass")] = Field(
        default="unknown",
        description="What a rule says that has nothing to judge any more. `pass`: a flag takes its traffic with it.",
    )


class PlaybookStep(Section):
    """One action, or one message to people; and how its success shows."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["action"]}, {"required": ["notify"]}]})

    action: Name | None = Field(
        default=None, description="Name of an `[actions.NAME]` in guard.toml. A step has either this or `notify`."
    )
    notify: Channels | None = Field(
        default=None, description="Channels that are told, in place of an action: names of `[notify.NAME]`."
    )
    verify: Annotated[Verification, BeforeValidator(empty_for_nothing)] = Field(
        default=Verification(), description="How its success shows; the next step begins when it does not."
    )
    select: Selector = Field(
        default={},
        description="Labels of which a rule that fired must have all, or the step is skipped; `alertname` is its name.",
    )
    timeout: PositiveDuration | None = Field(
        default=None, description="Bound of all attempts together. Default: the action's own `timeout`."
    )
    approve: PositiveDuration | None = Field(
        default=None, description="Ask a person before, for this long. The guard's `veto` then does not apply."
    )
    unapproved: Annotated[str, OneOf("run", "skip", "hand_over")] | None = Field(
        default=None,
        description="What happens when nobody answered within `approve`: the step is run, the next step begins, or "
        "people take over. Default: `hand_over`.",
    )


class BlindSection(Section):
    """What to do when the guard cannot see."""

    after: PositiveDuration = Field(
        default=timedelta(minutes=5), description="How long it waits for its sight to come back."
    )
    do: Annotated[str, OneOf("notify", "act")] = Field(
        default="notify", description="`notify` says so; `act` runs the playbook."
    )


class FlappingSection(Section):
    """When a guard's incidents come and go too fast to be acted on."""

    incidents: Annotated[int, Between(1, OPENINGS_REMEMBERED - 1)] = Field(
        default=5, description="More incidents than this in any `per` are held, not acted on."
    )
    per: PositiveDuration = Field(default=timedelta(hours=1), description="The span that they are counted over.")


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
    flapping: Annotated[FlappingSection, BeforeValidator(empty_for_nothing)] = Field(
        default=FlappingSection(), description="When incidents come and go too fast to be acted on."
    )


class NotifySection(Section):
    """Whom a guard tells; names of `[notify.NAME]` in guard.toml."""

    warning: Names = Field(default=[], description="Told when a rule of severity `warning` fires.")
    critical: Names = Field(default=[], description="Told of everything that concerns an incident.")


class EscalationLevel(Section):
    """Whom to call when an incident lasts and nobody takes care of it."""

    after: PositiveDuration = Field(description="Time since the incident began, longer than that of the level before.")
    notify: Channels = Field(description="Channels that are told.")


def _some(steps: list[PlaybookStep]) -> list[PlaybookStep]:
    if not steps:
        raise refuse(Flaw("bad-value", "the playbook has no step", "Name at least one action."))
    return steps


def _rising(levels: list[EscalationLevel]) -> list[EscalationLevel]:
    for before, level in pairwise(levels):
        if level.after <= before.after:
            first, second = format_duration(before.after), format_duration(level.after)
            hint = "Each level says how long after the beginning of the incident it is called; put them in order."
            raise refuse(Flaw("bad-value", f"a level after {second} does not come behind one after {first}", hint))
    return levels


class GuardPolicy(Section):
    """The policy for one service: which rules it listens to, and what it does."""

    guard: Name = Field(description="Name of the guard, unique among all files.")
    select: Selector = Field(
        description="Labels that a rule or probe must carry, each compared for equality; `alertname` is its name."
    )
    signals: Names = Field(
        default=[],
        description="Names of alerts from elsewhere that make it act, with the labels of `select`.",
    )
    playbook: Annotated[list[PlaybookStep], BeforeValidator(no_items_for_nothing), AfterValidator(_some)] = Field(
        description="The ordered steps.", json_schema_extra={"minItems": 1}
    )
    armed: Annotated[str, OneOf("always", "rollout")] = Field(
        default="always",
        description="When it may act; `rollout` is while one is under way.",
    )
    window: PositiveDuration = Field(default=timedelta(hours=24), description="How long a rollout lasts at most.")
    warm_up: Duration = Field(
        default=timedelta(0), description="Time after the start in which it evaluates and does not act."
    )
    already_bad: Annotated[str, OneOf("exclude", "act")] = Field(
        default="exclude",
        description="What fired when the rollout began: `exclude` does not count it until it has recovered once.",
    )
    veto: Duration = Field(
        default=timedelta(0), description="Time before every action in which a person may cancel it."
    )
    blind: Annotated[BlindSection, BeforeValidator(empty_for_nothing)] = Field(
        default=BlindSection(), description="What it does when it cannot see."
    )
    limits: Annotated[LimitsSection, BeforeValidator(empty_for_nothing)] = Field(
        default=LimitsSection(), description="How much it may do."
    )
    notify: Annotated[NotifySection, BeforeValidator(empty_for_nothing)] = Field(
        default=NotifySection(), description="Whom it tells."
    )
    escalate: Annotated[list[EscalationLevel], BeforeValidator(no_items_for_nothing), AfterValidator(_rising)] = Field(
        default=[], description="Whom it calls when an incident lasts, level by level."
    )
    when_journal_fails: Annotated[str, OneOf("hold", "act")] = Field(
        default="hold",
        description="What it does with an action that cannot be written down first: `act` runs it all the same.",
    )
