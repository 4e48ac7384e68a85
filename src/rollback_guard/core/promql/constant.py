"""Evaluate constant PromQL, such as the threshold ``5 * 60`` or ``99.9 / 100``, with PromQL's float arithmetic.

Python raises where IEEE 754, and so Prometheus, has an infinity or NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from promql_parser import BinaryExpr, Expr, NumberLiteral, ParenExpr, UnaryExpr


def evaluate(tree: Expr) -> float | None:
    """Return the value of an expression of numbers, or ``None`` where it depends on anything else."""
    match tree:
        case NumberLiteral():
            return float(tree.val)
        case ParenExpr():
            return evaluate(tree.expr)
        case UnaryExpr():
            value = evaluate(tree.expr)
            return None if value is None else -value
        case BinaryExpr() if str(tree.op) in ARITHMETIC:
            left = evaluate(tree.lhs)
            right = None if left is None else evaluate(tree.rhs)
            return None if left is None or right is None else ARITHMETIC[str(tree.op)](left, right)
    return None


def _divide(left: float, right: float) -> float:
    if right != 0:
        return left / right
    return math.nan if left == 0 or math.isnan(left) else math.copysign(math.inf, left) * math.copysign(1, right)


def _modulo(left: float, right: float) -> float:
    return math.nan if math.isinf(left) or right == 0 else math.fmod(left, right)


def _power(base: float, exponent: float) -> float:
    odd = math.fmod(exponent, 2) in {-1, 1} if math.isfinite(exponent) else False
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return -math.inf if base < 0 and odd else math.inf
    except ValueError:
        if base != 0:
            return math.nan
        return math.copysign(math.inf, base) if odd else math.inf


ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": _divide,
    "%": _modulo,
    "^": _power,
    "atan2": math.atan2,
}
"""What PromQL's operators do to two numbers; none of them raises."""
