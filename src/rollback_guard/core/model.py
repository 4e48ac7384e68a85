"""Name the things of the field: what is watched, what is concluded, and the policy between them.

Everything here is frozen. A `Policy` is what the people wrote, compiled; it holds no state. What happened lives in
`core.state`, which is the fold of `core.records`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from functools import cached_property

from rollback_guard.core.condition import Condition
from rollback_guard.core.notice import NoticeKind

PROBE = "probe"
"""The source of groups that hold one health check."""

SIGNAL = "signal"
"""The source of groups that hold the alerts that other systems send."""

Labels = tuple[tuple[str, str], ...]
"""Label names and values, sorted by name, so that equal sets are equal and hashable."""


def labels_of(mapping: Mapping[str, str]) -> Labels:
    """Return a mapping of labels as its one canonical, hashable form."""
    return tuple(sorted(mapping.items()))


class Verdict(StrEnum):
    """What one slot said of one series."""

    PASS = "pass"  # noqa: S105  a verdict, no password
    BREACH = "breach"
    UNKNOWN = "unknown"


PRECEDENCE: tuple[Verdict, ...] = (Verdict.BREACH, Verdict.UNKNOWN, Verdict.PASS)
"""Which verdict stands for several: a breach is evidence, not knowing is not health."""


def worst(verdicts: set[Verdict]) -> Verdict:
    """Return the verdict that stands for all of them; nothing at all is UNKNOWN."""
    return next((verdict for verdict in PRECEDENCE if verdict in verdicts), Verdict.UNKNOWN)


class Phase(StrEnum):
    """Where an alert is in its life."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"


class Severity(StrEnum):
    """What a rule may cause: critical acts, warning notifies, anything else is only shown."""

    CRITICAL = "critical"
    WARNING = "warning"
    NONE = "none"


class NoData(StrEnum):
    """What an absent series means for a rule."""

    HOLD = "hold"
    OK = "ok"
    BREACH = "breach"


class Mode(StrEnum):
    """Whether this instance acts."""

    ENFORCE = "enforce"
    DRY_RUN = "dry-run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Watch one threshold: a PromQL condition or a probe, with its `for`.

    Attributes:
        id: Unique in a policy and stable over reloads: ``group/name``; of a probe ``probe/name``.
        fingerprint: Digest of all that makes the rule measure something else when it changes. State is carried over a
            reload only under the same fingerprint; ``hold`` and annotations are not part of it.
        condition: What is measured and compared. For a probe the measured value is 1 (answers well) or 0.
        when: Holds where there is enough to judge; where it does not, the verdict is idle.
        hold: How long a breach must last before the alert fires (`for`).
        labels: May hold templates over ``$labels`` and ``$externalLabels``.
        external_labels: What templates know as ``$externalLabels``: those of a Prometheus that a test plays.
        external_url: What templates know as ``externalURL``.
        max_age: Samples older than this count as no data; ``None`` switches the check off.
    """

    id: str
    group: str
    name: str
    fingerprint: str
    condition: Condition
    when: Condition | None = None
    hold: timedelta = timedelta(0)
    keep_firing_for: timedelta = timedelta(0)
    labels: Labels = ()
    annotations: Labels = ()
    severity: Severity = Severity.NONE
    no_data: NoData = NoData.HOLD
    shadow: bool = False
    max_age: timedelta | None = None
    external_labels: Labels = ()
    external_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rules that are evaluated together, at the same slots.

    Attributes:
        source: Who reads it: ``prometheus``, another data source's name, ``probe`` or ``signal``.
        offset: Distance of its slots from multiples of ``interval``, below ``interval``.
        query_offset: A slot asks for the values of this much earlier.
        limit: More active series of one rule than this are an error of that rule; 0 is no limit.
    """

    id: str
    source: str
    interval: timedelta
    offset: timedelta
    rules: tuple[Rule, ...]
    query_offset: timedelta = timedelta(0)
    limit: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verify:
    """Say how a step's success shows: rules pass for `stable_for`, not later than `within`.

    Attributes:
        rules: Ids of the rules and probes that tell it; empty means those of the incident.
        idle_passes: Whether a rule passes that has nothing to judge: a flag that is off takes its traffic with it.
    """

    within: timedelta
    stable_for: timedelta
    rules: tuple[str, ...] = ()
    idle_passes: bool = False


class Otherwise(StrEnum):
    """What becomes of a step that nobody approved in time."""

    RUN = "run"
    SKIP = "skip"
    HAND_OVER = "hand_over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """Ask a person before a step is run, for at most `within`."""

    within: timedelta
    otherwise: Otherwise = Otherwise.HAND_OVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Run one action of a playbook, or only tell people; then watch whether it helped.

    Attributes:
        action: Empty for a step that only notifies.
        notify: Channels that are told; empty for a step that acts.
        select: Labels of which one of the incident's rules must have all, or the step is skipped.
        timeout: Bound of all attempts together; ``None`` is the action's own.
        approve: Who is asked first; ``None`` is nobody.
    """

    action: str
    verify: Verify
    notify: tuple[str, ...] = ()
    select: Labels = ()
    timeout: timedelta | None = None
    approve: Approval | None = None

    @property
    def name(self) -> str:
        """What people call it: its action, or whom it tells."""
        return self.action or f"notify {', '.join(self.notify)}"

    def suits(self, rule: Rule) -> bool:
        """Say whether a rule has all the labels that the step asks for; `alertname` is its name."""
        return set(self.select) <= {*rule.labels, ("alertname", rule.name)}

    def applies(self, rules: Iterable[Rule]) -> bool:
        """Say whether an incident of these rules concerns the step; where it does not, the step is skipped."""
        return not self.select or any(map(self.suits, rules))


class BlindPolicy(StrEnum):
    """What a guard does once it has been blind for too long."""

    NOTIFY = "notify"
    ACT = "act"


@dataclass(frozen=True, slots=True, kw_only=True)
class Blindness:
    """Bound the time for which a guard waits for its sight to come back."""

    after: timedelta = timedelta(minutes=5)
    do: BlindPolicy = BlindPolicy.NOTIFY


@dataclass(frozen=True, slots=True, kw_only=True)
class Flapping:
    """Tell a rule that comes and goes from an incident: more than `incidents` of one guard in any `per`."""

    incidents: int = 5
    per: timedelta = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bound what one guard may do: at most `max_actions` in any `per`, and `cooldown` between incidents."""

    max_actions: int
    per: timedelta = timedelta(hours=1)
    cooldown: timedelta = timedelta(minutes=15)
    flapping: Flapping = Flapping()


class Armed(StrEnum):
    """When a guard may act."""

    ALWAYS = "always"
    ROLLOUT = "rollout"


class AlreadyBad(StrEnum):
    """What becomes of that which fired when the rollout began."""

    EXCLUDE = "exclude"
    ACT = "act"


class JournalPolicy(StrEnum):
    """What a guard does with an intent that cannot be written down."""

    HOLD = "hold"
    ACT = "act"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """Channels that hear of a guard's warnings, and of all that concerns its incidents."""

    warning: tuple[str, ...] = ()
    critical: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One level of escalation: whom to call once an incident has lasted for `after` without acknowledgement."""

    after: timedelta
    notify: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """The policy for one service.

    Attributes:
        rules: Ids of the rules and probes it listens to, resolved from its selector, and of its signals.
        select: Labels that an incoming alert must have to be one of its signals.
        signals: Names of alerts from elsewhere that make it act; each is the rule ``signal/<guard>/<name>``.
        warm_up: Time after the start of the guard in which it evaluates and does not act.
        window: How long a rollout lasts at most.
        veto: Time before every action in which a person may cancel it.
        escalate: By time since the incident began, in this order.
    """

    name: str
    rules: frozenset[str]
    playbook: tuple[Step, ...]
    limits: Limits
    select: Labels = ()
    signals: tuple[str, ...] = ()
    armed: Armed = Armed.ALWAYS
    window: timedelta = timedelta(hours=24)
    warm_up: timedelta = timedelta(0)
    already_bad: AlreadyBad = AlreadyBad.EXCLUDE
    veto: timedelta = timedelta(0)
    blind: Blindness = Blindness()
    notify: Notify = Notify()
    escalate: tuple[Level, ...] = ()
    when_journal_fails: JournalPolicy = JournalPolicy.HOLD

    def next_step(self, index: int, rules: Collection[Rule]) -> tuple[int, Step] | None:
        """Return the first step from an index on that applies, with its place: one of the rules has its labels."""
        for number, step in enumerate(self.playbook):
            if number >= index and step.applies(rules):
                return number, step
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """Tell a shared cause from a bad rollout: more than `guards` of them breaching within `within`."""

    guards: int = 3
    within: timedelta = timedelta(minutes=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Bound what all guards together may do: at most `max_actions` in any `per`; ``None`` is no bound."""

    max_actions: int | None = None
    per: timedelta = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """All that the people wrote, compiled and cross-checked.

    Attributes:
        digest: Of the files it came from; shown as the configuration's hash.
        goals: What each action brings about, as people wrote it, by its name.
        kinds: By channel the kinds of notices that it hears of; one that is not named here hears of all.
        undos: By an action's name the action that takes it back.
        url: Where people find this instance, for links in notifications; may be empty.
    """

    name: str = "rollback-guard"
    mode: Mode = Mode.ENFORCE
    groups: Mapping[str, Group] = field(default_factory=dict)
    guards: Mapping[str, Guard] = field(default_factory=dict)
    storm: Storm = Storm()
    fleet: Fleet = Fleet()
    goals: Mapping[str, str] = field(default_factory=dict)
    undos: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, frozenset[NoticeKind]] = field(default_factory=dict)
    url: str = ""
    digest: str = ""

    def hears(self, channel: str, kind: NoticeKind) -> bool:
        """Say whether a channel is told of a kind of notices."""
        return channel not in self.kinds or kind in self.kinds[channel]

    @cached_property
    def rules(self) -> Mapping[str, Rule]:
        """Every rule by its id, probes included."""
        return {rule.id: rule for group in self.groups.values() for rule in group.rules}

    @cached_property
    def rules_of(self) -> Mapping[str, tuple[Rule, ...]]:
        """The rules that each guard listens to, by the guard's name, in the order of the files."""
        order = {id_: place for place, id_ in enumerate(self.rules)}
        return {
            guard.name: tuple(self.rules[id_] for id_ in sorted(guard.rules & order.keys(), key=order.__getitem__))
            for guard in self.guards.values()
        }

    @cached_property
    def listeners(self) -> Mapping[str, tuple[Guard, ...]]:
        """The guards that listen to each group, by the group's id."""
        heard: dict[str, dict[str, Guard]] = {group: {} for group in self.groups}
        for name, rules in self.rules_of.items():
            for rule in rules:
                heard[rule.group][name] = self.guards[name]
        return {group: tuple(guards.values()) for group, guards in heard.items()}
