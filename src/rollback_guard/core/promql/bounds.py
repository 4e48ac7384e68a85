"""Say between which values an expression can lie, as far as its functions and names tell."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from promql_parser import AggregateExpr, BinaryExpr, Call, Expr, MatrixSelector, SubqueryExpr, UnaryExpr, VectorSelector

from rollback_guard.core.condition import Operator
from rollback_guard.core.promql import constant, is_comparison, names, value_type, without_parentheses
from rollback_guard.core.promql.shape import metric_of
from rollback_guard.core.promql.share import division


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the greatest value; NaN apart."""

    low: float = -math.inf
    high: float = math.inf

    def __str__(self) -> str:
        """Say it as a sentence about a value goes on."""
        if self.low == self.high:
            return f"is {self.low:g}"
        if math.isinf(self.low):
            return f"is {self.high:g} at most"
        return f"is {self.low:g} at least" if math.isinf(self.high) else f"lies between {self.low:g} and {self.high:g}"

    @property
    def is_infinite(self) -> bool:
        """Whether it is infinite whatever is measured, as a quantile is that is no share of 1."""
        return self.low == self.high and math.isinf(self.low)

    def never(self, operator: Operator, threshold: float) -> bool:
        """Say whether no value within fulfils a comparison."""
        return _NEVER[operator](self, threshold)

    def always(self, operator: Operator, threshold: float) -> bool:
        """Say whether every value within fulfils a comparison."""
        return _NEVER[_OPPOSITE[operator]](self, threshold)


_NEVER: Mapping[Operator, Callable[[Bounds, float], bool]] = {
    Operator.GREATER: lambda it, threshold: it.high <= threshold,
    Operator.GREATER_EQUAL: lambda it, threshold: it.high < threshold,
    Operator.LESS: lambda it, threshold: it.low >= threshold,
    Operator.LESS_EQUAL: lambda it, threshold: it.low > threshold,
    Operator.EQUAL: lambda it, threshold: not it.low <= threshold <= it.high,
    Operator.NOT_EQUAL: lambda it, threshold: it.low == threshold == it.high,
}

_OPPOSITE: Mapping[Operator, Operator] = {
    Operator.GREATER: Operator.LESS_EQUAL,
    Operator.GREATER_EQUAL: Operator.LESS,
    Operator.LESS: Operator.GREATER_EQUAL,
    Operator.LESS_EQUAL: Operator.GREATER,
    Operator.EQUAL: Operator.NOT_EQUAL,
    Operator.NOT_EQUAL: Operator.EQUAL,
}

ANY = Bounds()
NOT_NEGATIVE = Bounds(0.0)
ONE_OR_MORE = Bounds(1.0)
ONE = Bounds(1.0, 1.0)
SHARE = Bounds(0.0, 1.0)

_FUNCTIONS: Mapping[str, Bounds] = {
    **dict.fromkeys(("rate", "irate", "increase", "changes", "resets", "sqrt", "abs", "time"), NOT_NEGATIVE),
    **dict.fromkeys(("stddev_over_time", "stdvar_over_time", "histogram_count"), NOT_NEGATIVE),
    **dict.fromkeys(("absent", "absent_over_time", "present_over_time"), ONE),
    "count_over_time": ONE_OR_MORE,
    "sgn": Bounds(-1.0, 1.0),
    "minute": Bounds(0.0, 59.0),
    "hour": Bounds(0.0, 23.0),
    "day_of_week": Bounds(0.0, 6.0),
}

_KEEP = frozenset(
    {
        "avg_over_time", "min_over_time", "max_over_time", "last_over_time", "sort", "sort_desc", "label_replace",
        "label_join", "vector", "scalar",
    }
)  # fmt: skip

_AGGREGATIONS: Mapping[str, Bounds] = {
    "count": ONE_OR_MORE,
    "count_values": ONE_OR_MORE,
    "group": ONE,
    "stddev": NOT_NEGATIVE,
    "stdvar": NOT_NEGATIVE,
}

_KEEP_AGGREGATIONS = frozenset({"avg", "min", "max", "topk", "bottomk", "limitk"})


def bounds(tree: Expr) -> Bounds:
    """Return between which values an expression lies; everything where that is not known."""
    number = constant.evaluate(tree)
    if number is not None:
        return ANY if math.isnan(number) else Bounds(number, number)
    tree = without_parentheses(tree)
    match tree:
        case VectorSelector():
            return _of_name(metric_of(tree))
        case MatrixSelector(vector_selector=inner):
            return bounds(inner)
        case SubqueryExpr(expr=inner):
            return bounds(inner)
        case UnaryExpr(expr=inner):
            return _negated(bounds(inner))
        case Call(func=func, args=[*args]):
            return _of_call(func.name, args)
        case AggregateExpr(op=op, expr=inner, param=param):
            return _of_aggregation(str(op), inner, param if isinstance(param, Expr) else None)
        case BinaryExpr():
            return _of_operator(tree)
    return ANY


def _of_name(name: str) -> Bounds:
    if name in ("up", "probe_success"):
        return SHARE
    # The JVM says -1 for a size without a limit.
    is_size = name.endswith("_bytes") and not name.endswith(("_max_bytes", "_limit_bytes"))
    return NOT_NEGATIVE if is_size or names.is_counter(name) or name.endswith("_bucket") else ANY


def _of_call(name: str, args: list[Expr]) -> Bounds:
    if name in _FUNCTIONS:
        return _FUNCTIONS[name]
    if name in _KEEP and args:
        return bounds(args[0])
    if name in ("histogram_quantile", "quantile_over_time") and args:
        return _of_quantile(constant.evaluate(args[0]), ANY)
    return _summed(bounds(args[0])) if name == "sum_over_time" and args else ANY


def _of_quantile(share: float | None, each: Bounds) -> Bounds:
    """Return the bounds of a quantile; one that is no share of 1 is infinite, whatever it is of."""
    if share is None or not (share < 0 or share > 1):
        return each
    return Bounds(math.copysign(math.inf, share), math.copysign(math.inf, share))


def _of_aggregation(name: str, inner: Expr, param: Expr | None) -> Bounds:
    if name == "quantile":
        return _of_quantile(constant.evaluate(param) if param is not None else None, bounds(inner))
    if name in _AGGREGATIONS:
        return _AGGREGATIONS[name]
    if name in _KEEP_AGGREGATIONS:
        return bounds(inner)
    return _summed(bounds(inner)) if name == "sum" else ANY


def _summed(each: Bounds) -> Bounds:
    """Return the bounds of a sum of one or more such values."""
    return Bounds(each.low if each.low >= 0 else -math.inf, each.high if each.high <= 0 else math.inf)


def _negated(each: Bounds) -> Bounds:
    return Bounds(-each.high, -each.low)


def _of_operator(tree: BinaryExpr) -> Bounds:
    operator = str(tree.op)
    if is_comparison(tree):
        return _compared(tree)
    if tree.modifier is not None and tree.modifier.return_bool:
        return SHARE
    left, right = bounds(tree.lhs), bounds(tree.rhs)
    match operator:
        case "and" | "unless":
            return left
        case "or":
            return Bounds(min(left.low, right.low), max(left.high, right.high))
        case "+":
            return Bounds(left.low + right.low, left.high + right.high)
        case "-":
            return Bounds(left.low - right.high, left.high - right.low)
        case "*":
            return _product(left, right)
        case "/":
            found = division(tree)
            return Bounds(0.0, found.scale) if found and found.is_share else _quotient(left, right)
    return ANY


def _compared(tree: BinaryExpr) -> Bounds:
    """Return the bounds of what a comparison lets through."""
    if value_type(tree.lhs) == "scalar":
        return bounds(tree.rhs)
    left, threshold = bounds(tree.lhs), constant.evaluate(tree.rhs)
    if threshold is None:
        return left
    match str(tree.op):
        case "==":
            return Bounds(threshold, threshold)
        case ">" | ">=":
            return Bounds(max(left.low, threshold), left.high)
        case "<" | "<=":
            return Bounds(left.low, min(left.high, threshold))
    return left


def _product(left: Bounds, right: Bounds) -> Bounds:
    if left.low == left.high:
        left, right = right, left
    if right.low != right.high:
        return NOT_NEGATIVE if left.low >= 0 and right.low >= 0 else ANY
    return _scaled(left, right.low)


def _scaled(each: Bounds, factor: float) -> Bounds:
    if factor == 0 or not math.isfinite(factor):
        return ANY
    ends = (each.low * factor, each.high * factor)
    return Bounds(min(ends), max(ends))


def _quotient(left: Bounds, right: Bounds) -> Bounds:
    if right.low == right.high:
        return _scaled(left, 1 / right.low) if right.low else ANY
    return NOT_NEGATIVE if left.low >= 0 and right.low >= 0 else ANY
