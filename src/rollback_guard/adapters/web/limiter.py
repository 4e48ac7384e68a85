"""Slow down whoever fails to prove who they are, by address and all together."""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from dataclasses import dataclass
from datetime import timedelta

from rollback_guard.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """So many at once, and one more after each `every`."""

    burst: int
    every: timedelta


OF_ONE = Rate(burst=10, every=timedelta(seconds=6))

OF_ALL = Rate(burst=100, every=timedelta(milliseconds=600))

ADDRESSES_REMEMBERED = 1024
"""Who comes from more addresses than these is held by the bucket of all."""

IPV6_NETWORK = 64
"""Bits; whoever has one such address has all of its network."""


class Bucket:
    """A token bucket: full at first."""

    def __init__(self, rate: Rate, now: timedelta) -> None:
        self._rate = rate
        self._left = float(rate.burst)
        self._at = now

    def wait(self, now: timedelta) -> timedelta | None:
        """Return how long until there is one; ``None`` where there is."""
        self._left = min(self._rate.burst, self._left + (now - self._at) / self._rate.every)
        self._at = now
        return (1 - self._left) * self._rate.every if self._left < 1 else None

    def take(self, now: timedelta) -> timedelta | None:
        """Take one; where it is empty, return how long until there is one again."""
        wait = self.wait(now)
        if wait is None:
            self._left -= 1
        return wait


class Failures:
    """Count failures. Only they are counted: a caller who proves who they are never waits for the others."""

    def __init__(self, clock: Clock, *, of_one: Rate = OF_ONE, of_all: Rate = OF_ALL) -> None:
        self._clock = clock
        self._of_one = of_one
        self._all = Bucket(of_all, clock.elapsed())
        self._each: OrderedDict[str, Bucket] = OrderedDict()

    def count(self, address: str) -> int | None:
        """Count one failure; return after how many whole seconds to try again where there were too many."""
        now = self._clock.elapsed()
        place = _network(address)
        own = self._each.setdefault(place, Bucket(self._of_one, now))
        self._each.move_to_end(place)
        if len(self._each) > ADDRESSES_REMEMBERED:
            self._each.popitem(last=False)
        wait = own.take(now) or self._all.take(now)  # who has none left of their own takes nothing from the others
        return _seconds(wait)

    def wait(self, address: str) -> int | None:
        """Return after how many whole seconds an address may fail again; ``None`` where it may now."""
        own = self._each.get(_network(address))
        return _seconds(own.wait(self._clock.elapsed())) if own else None


def _seconds(wait: timedelta | None) -> int | None:
    return math.ceil(wait.total_seconds()) if wait else None


def _network(address: str) -> str:
    """Return what stands for one caller."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, IPV6_NETWORK), strict=False))
