"""Count nothing: what is tried at the workbench is no operation of the guard."""

from __future__ import annotations

from rollback_guard.ports import Goal


class Unheard:
    """Implement `ports.Telemetry` for those who do not listen."""

    def queried(self, source: str, result: str, seconds: float) -> None:
        """Forget it."""

    def evaluated(self, group: str, seconds: float) -> None:
        """Forget it."""

    def attempted(self, action: str, result: str, seconds: float) -> None:
        """Forget it."""

    def inspected(self, action: str, goal: Goal) -> None:
        """Forget it."""

    def journal_failed(self, kind: str) -> None:
        """Forget it."""

    def notified(self, channel: str, result: str) -> None:
        """Forget it."""

    def refused(self, kind: str) -> None:
        """Forget it."""

    def client_rebuilt(self, client: str) -> None:
        """Forget it."""

    def served(self, route: str, method: str, code: int) -> None:
        """Forget it."""
