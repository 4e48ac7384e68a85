"""Say what a source answered for one rule and one slot: samples, or why there are none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from rollback_guard.core.model import Labels


class Family(StrEnum):
    """Tell not being able to see from there being nothing to judge."""

    BLIND = "blind"
    IDLE = "idle"


class Unknown(StrEnum):
    """Why a verdict is unknown. The same word stands in log, metric, journal, API and test."""

    CONNECT = "connect"  # refused, reset, no route, name not resolved
    TIMEOUT = "timeout"  # no complete answer by the deadline
    HTTP_ERROR = "http_error"  # a status that is no answer of the query API (4xx and 5xx without an envelope)
    QUERY_ERROR = "query_error"  # the server understood and refused: status "error"
    BAD_RESPONSE = "bad_response"  # HTML, truncated JSON, unexpected shape or result type
    TOO_LARGE = "too_large"  # more bytes or series than allowed, the group's `limit` included
    PARTIAL = "partial"  # the answer carries warnings: something is missing from it
    STALE = "stale"  # the newest sample is older than max_age
    ABSENT = "absent"  # the series is not there
    DUPLICATE = "duplicate"  # two series became one label set
    HEARTBEAT = "heartbeat"  # the server answers, but not as one that has data: its heartbeat query is empty or old
    OWN_NETWORK = "own_network"  # a probe got no answer, and nothing else on the guard's network answers either
    PROBE_NOT_MADE = "probe_not_made"  # the guard itself could not probe: no descriptor, resolver, route
    MISSED = "missed"  # the slot was not evaluated and can not be read back
    NAN = "nan"  # 0/0, a quantile of nothing
    NO_TRAFFIC = "no_traffic"  # `when` does not hold


IDLE: frozenset[Unknown] = frozenset({Unknown.NAN, Unknown.NO_TRAFFIC})


ROAD: frozenset[Unknown] = frozenset({Unknown.CONNECT, Unknown.TIMEOUT, Unknown.HTTP_ERROR})
"""Failures of the way to a source: it may well have the samples, and tell them later.

A missing heartbeat is none of them: that server was reached, and what an empty storage does not hold now it will never
tell of that time. Reading such slots back would only ask for the same nothing again and again.
"""


def family(reason: Unknown) -> Family:
    """Return the family of a reason: only blindness calls people."""
    return Family.IDLE if reason in IDLE else Family.BLIND


@dataclass(frozen=True, slots=True)
class Sample:
    """One series' value in one slot; its labels are without the metric's name."""

    labels: Labels
    value: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What the source said, whole: possibly nothing."""

    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the source said nothing that can be used. `detail` is for people and free of secrets."""

    reason: Unknown
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """All that was asked for one rule in one slot.

    Attributes:
        measured: The answer to the condition's query.
        when: The answer to the query of `when`; ``None`` where the rule has none.
        denominator: The answer to the ratio's denominator; ``None`` where it was not needed.
        stale_since: Set only where no sample is younger than the rule's ``max_age``: no sample is newer than this.
        detail: What a probe saw, for people: "HTTP 503, expected 200".
    """

    measured: Answer | Failure
    when: Answer | Failure | None = None
    denominator: Answer | Failure | None = None
    stale_since: datetime | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was observed for one group in one slot, by rule id. A rule that is missing here was missed."""

    group: str
    slot: datetime
    observations: Mapping[str, Observation]

    @property
    def is_lost(self) -> bool:
        """Whether the source could not be reached for any rule, so that the slot has to be read back later."""
        return bool(self.observations) and all(
            isinstance(each.measured, Failure) and each.measured.reason in ROAD for each in self.observations.values()
        )
