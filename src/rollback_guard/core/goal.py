"""Say what an action is to bring about in one incident: its goal as people wrote it, with what it names put in.

What is run is rendered by the action itself, with all that its templates can do. This is for reading: it puts in what
is known as one plain word, and leaves everything else as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from rollback_guard.core.model import Policy
from rollback_guard.core.state import Incident, Rollout, State

_VALUE = re.compile(r"(?P<quote>'?)\{\{-?\s*(?P<name>\w+\.\w+)\s*-?\}\}(?P=quote)", re.ASCII)
"""``{{ rollout.previous_version }}``, with the quotes that stand around it alone: a plain word needs none."""

_IF_ROLLOUT = re.compile(r"\{%-?\s*if\s+rollout\s*-?%\}(?P<then>(?:(?!\{%).)*)\{%-?\s*endif\s*-?%\}", re.DOTALL)

_PLAIN = re.compile(r"[\w.:+/@~=,-]{1,200}", re.ASCII)
"""What cannot be taken for anything else, neither by a reader nor by a shell that a goal is copied into."""


def goal_of(policy: Policy, state: State, incident: Incident, action: str, *, at: datetime) -> str:
    """Return the goal of an action in words.

    Args:
        policy: Knows the goal as it was written.
        state: Knows the rollout.
        incident: In which the action is run.
        action: Its name.
        at: When it is run, or when that was which it takes back.
    """
    rollout = rollout_behind(state, incident, at=at)
    known = {"guard.name": incident.guard, "incident.id": incident.id}
    known |= {f"rollout.{name}": value for name, value in told_of(rollout).items()}

    def filled(place: re.Match[str]) -> str:
        value = known.get(place["name"], "")
        return value if _PLAIN.fullmatch(value) else place[0]

    written = policy.goals.get(action, action)
    return _VALUE.sub(filled, _IF_ROLLOUT.sub(lambda place: place["then"] if rollout else "", written))


def rollout_behind(state: State, incident: Incident, *, at: datetime) -> Rollout | None:
    """Return the rollout that an incident befell; one that was over before is not to be rolled back.

    Args:
        state: Knows the last rollout.
        incident: It may be over.
        at: When something is done about it; a rollout that has begun since is another one.
    """
    guard = state.guards.get(incident.guard)
    rollout = guard.rollout if guard else None
    if rollout is None or rollout.started_at > at:
        return None
    return rollout if rollout.finished_at is None or rollout.finished_at >= incident.breached_at else None


def told_of(rollout: Rollout | None) -> Mapping[str, str]:
    """Return what is known of a rollout, as templates call it; what is not known is left out and not empty."""
    if rollout is None:
        return {}
    told = {
        "id": rollout.id,
        "version": rollout.version,
        "previous_version": rollout.previous_version,
        "started_at": f"{rollout.started_at:%Y-%m-%dT%H:%M:%SZ}",
    }
    return {name: value for name, value in told.items() if value}
