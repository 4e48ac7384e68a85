"""Release v2 of the shop: a new checkout behind the flag ``new-checkout``, and a rewritten payment client.

Both hold a mistake of the kind that tests miss and customers find. The new checkout cannot read the coupons of a
running campaign: turning its flag off cures that. The payment client was rewritten without the yen: that is in the
release, whatever the flag says, and only the release before it helps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

COUPONS = {"SPRING": 10, "WELCOME": 5}
"""Percent off, by coupon."""

CAMPAIGNS: dict[str, dict[str, int]] = {"welcome-2": {"percent": 5, "limit": 1}}
"""The new checkout's coupons; those that are out with the customers were never moved over."""

MINOR_UNITS = {"EUR": 100, "USD": 100}
"""How many of the smallest unit make one."""


class PaymentError(Exception):
    """The payment did not go through."""


def checkout(order: Mapping[str, Any], *, flags: Mapping[str, bool], pay: Callable[[int, int], None]) -> int:
    """Take one order's payment and return what was paid, in the smallest unit of its currency.

    Args:
        order: ``items`` (``price``, ``count``), ``currency``, and perhaps a ``coupon``.
        flags: Feature flags: ``new-checkout`` chooses how the total is computed.
        pay: Calls the payment provider with an amount and its currency's minor unit.

    Raises:
        PaymentError: The payment client cannot handle the currency.
    """
    total = _new_total(order) if flags.get("new-checkout") else _old_total(order)
    try:
        minor_unit = MINOR_UNITS[order["currency"]]
    except KeyError as error:
        raise PaymentError(f"unknown currency {error}") from error
    pay(total, minor_unit)
    return total


def _old_total(order: Mapping[str, Any]) -> int:
    total = _sum(order)
    return total - total * COUPONS.get(order.get("coupon", ""), 0) // 100


def _new_total(order: Mapping[str, Any]) -> int:
    total = _sum(order)
    if "coupon" in order:
        total -= total * CAMPAIGNS[order["coupon"]]["percent"] // 100
    return total


def _sum(order: Mapping[str, Any]) -> int:
    amounts: list[int] = [item["price"] * item["count"] for item in order["items"]]
    return sum(amounts)
