"""Release v1 of the shop: the checkout that has served for a year."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

COUPONS = {"SPRING": 10, "WELCOME": 5}
"""Percent off, by coupon."""

MINOR_UNITS = {"EUR": 100, "USD": 100, "JPY": 1}
"""How many of the smallest unit make one; the payment provider wants to be told."""


def checkout(order: Mapping[str, Any], *, flags: Mapping[str, bool], pay: Callable[[int, int], None]) -> int:
    """Take one order's payment and return what was paid, in the smallest unit of its currency.

    Args:
        order: ``items`` (``price``, ``count``), ``currency``, and perhaps a ``coupon``.
        flags: Feature flags; this release knows none.
        pay: Calls the payment provider with an amount and its currency's minor unit.
    """
    total = sum(item["price"] * item["count"] for item in order["items"])
    total -= total * COUPONS.get(order.get("coupon", ""), 0) // 100
    pay(total, MINOR_UNITS[order["currency"]])
    return total
