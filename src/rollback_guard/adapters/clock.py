"""Read the system's clocks. No other module does."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Linux' boot-time clock goes on while the machine sleeps; the monotonic clock, the next best, stands still."""

NANOSECONDS = 1000
"""In one microsecond, the resolution of a `timedelta`."""


class SystemClock:
    """The clocks of this machine."""

    def now(self) -> datetime:
        """Return the wall clock, aware UTC."""
        return datetime.now(UTC)  # noqa: TID251  this is the module that may

    def elapsed(self) -> timedelta:
        """Return the time since boot; setting the wall clock does not change it."""
        return timedelta(microseconds=time.clock_gettime_ns(STEADY) // NANOSECONDS)

    async def sleep(self, span: timedelta) -> None:
        """Return after the span; at once when it is not positive."""
        await asyncio.sleep(span.total_seconds())
