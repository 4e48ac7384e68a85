"""Show people how far long work has come, and when it will be done."""

from __future__ import annotations

import sys
from datetime import timedelta

from rollback_guard.core.units import format_duration
from rollback_guard.ports import Clock


class Meter:
    """One line on a terminal's standard error, written over and over; nothing where nobody looks."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._shows = sys.stderr.isatty()
        self._what = ""
        self._began = clock.elapsed()
        self._first = 0.0

    def tell(self, what: str, share: float) -> None:
        """Show a share between 0 and 1 of some work."""
        now = self._clock.elapsed()
        if what != self._what:
            self._what, self._began, self._first = what, now, share
        if not self._shows:
            return
        done = share - self._first
        left = (now - self._began) * ((1 - share) / done) if done > 0 else None
        words = f", about {format_duration(timedelta(seconds=round(left.total_seconds())))} left" if left else ""
        sys.stderr.write(f"\r\x1b[K{what}: {share:.0%}{words}")
        sys.stderr.flush()

    def end(self) -> None:
        """Leave the line empty."""
        if self._shows:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
