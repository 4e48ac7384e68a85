"""Find the guards that take an alert from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rollback_guard.core.model import Guard, Policy


class Takers:
    """The guards of one policy by the names of the alerts that they take.

    One message of Alertmanager may hold a thousand alerts, and there may be a thousand guards.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._by_name: dict[str, list[Guard]] = {}
        for guard in policy.guards.values():
            for name in dict.fromkeys(guard.signals):
                self._by_name.setdefault(name, []).append(guard)

    def of(self, labels: Mapping[str, str]) -> Sequence[str]:
        """Return the names of the guards that take an alert with these labels, in the order of the files."""
        return [
            guard.name
            for guard in self._by_name.get(labels.get("alertname", ""), ())
            if all(labels.get(name) == value for name, value in guard.select)
        ]
