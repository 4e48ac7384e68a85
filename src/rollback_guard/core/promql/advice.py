"""Say what to do about an expression that is not PromQL, for the mistakes that people make."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence

from rollback_guard.core.promql.tokens import BEFORE_LABELS, Kind, PromqlError, Token, is_operator, join, scan

AGGREGATIONS = frozenset(
    {
        "avg", "bottomk", "count", "count_values", "group", "limit_ratio", "limitk", "max", "min", "quantile",
        "stddev", "stdvar", "sum", "topk",
    }
)  # fmt: skip

FUNCTIONS = AGGREGATIONS | {
    "abs", "absent", "absent_over_time", "acos", "acosh", "asin", "asinh", "atan", "atanh", "avg_over_time", "ceil",
    "changes", "clamp", "clamp_max", "clamp_min", "cos", "cosh", "count_over_time", "day_of_month", "day_of_week",
    "day_of_year", "days_in_month", "deg", "delta", "deriv", "double_exponential_smoothing", "exp", "floor",
    "histogram_avg", "histogram_count", "histogram_fraction", "histogram_quantile", "histogram_stddev",
    "histogram_stdvar", "histogram_sum", "holt_winters", "hour", "idelta", "increase", "info", "irate", "label_join",
    "label_replace", "last_over_time", "ln", "log10", "log2", "mad_over_time", "max_over_time", "min_over_time",
    "minute", "month", "pi", "predict_linear", "present_over_time", "quantile_over_time", "rad", "rate", "resets",
    "round", "scalar", "sgn", "sin", "sinh", "sort", "sort_by_label", "sort_by_label_desc", "sort_desc", "sqrt",
    "stddev_over_time", "stdvar_over_time", "sum_over_time", "tan", "tanh", "time", "timestamp", "vector", "year",
}  # fmt: skip
"""What can stand before a parenthesis; of what is mistyped, the nearest is named."""

OTHERWISE = "try the expression in Prometheus"

_NEAR = 0.6
"""How alike a function has to be; few names are, so that less than for other words is enough."""


def advice(text: str, error: PromqlError) -> str:
    """Return what to do about the first thing that is wrong with an expression, as half a sentence."""
    for pattern, answer in _ANSWERS:
        if found := pattern.search(error.message):
            said = answer if isinstance(answer, str) else answer(text, error.offset, found)
            if said:
                return said
    return OTHERWISE


def _split(text: str, at: int | None) -> tuple[list[Token], list[Token]]:
    """Return the tokens before a place and those from it on; none where the text cannot be cut."""
    try:
        tokens = scan(text)
    except PromqlError:
        return [], []
    if at is None:
        return list(tokens), []
    return [it for it in tokens if it.start < at], [it for it in tokens if it.start >= at]


def _unknown_function(_text: str, _at: int | None, found: re.Match[str]) -> str:
    near = difflib.get_close_matches(found[1].lower(), sorted(FUNCTIONS), n=1, cutoff=_NEAR)
    return f"did you mean `{near[0]}`?" if near else "Prometheus has no function of that name"


def _without_range(text: str, at: int | None, found: re.Match[str]) -> str:
    function = found[1]
    inner = _only_argument(_split(text, at)[1]) if at is not None else ""
    if inner:
        return f"`{function}` looks at a span of time: write `{function}({inner}[5m])`"
    return f"`{function}` looks at a span of time, which stands behind a metric: `{function}(…[5m])`"


def _only_argument(call: Sequence[Token]) -> str:
    """Return the one selector that a call has in its parentheses, if that is all it has."""
    depth = call[0].depth if call else 0
    end = next((place for place, it in enumerate(call) if it.text == ")" and it.depth == depth), 0)
    inside = call[2:end]
    plain = [it for it in inside if not it.braces and it.text not in ("{", "}")]
    return join(inside) if len(plain) == 1 and plain[0].kind is Kind.WORD else ""


def _unexpected(text: str, at: int | None, found: re.Match[str]) -> str:
    before, rest = _split(text, at)
    if not before or not rest:
        return ""
    last, word = before[-1], found[1]
    if last.word in BEFORE_LABELS:
        label = word if rest[0].kind is Kind.WORD and not is_operator(rest[0]) else "…"
        return f"labels stand in parentheses: `{last.word} ({label})`"
    if last.text == "<" and word == ">":
        return "write `!=`"
    opening = next(
        (i for i in reversed(range(len(before))) if before[i].text == "(" and before[i].depth == last.depth), 0
    )
    if last.text == ")" and opening and before[opening - 1].word in {"by", "without"}:
        return f"what is aggregated stands in parentheses: `{join(before[max(opening - 2, 0) :])} (…)`"
    if last.word in FUNCTIONS and rest[0].kind is Kind.WORD:
        return f"what it is of stands in parentheses: `{last.word}(…)`"
    return ""


def _single_equals(text: str, at: int | None, _found: re.Match[str]) -> str:
    if at is not None and text[at + 1 : at + 2] in {">", "<"}:
        return f"write `{text[at + 1]}=`"
    return "write `==`"


def _too_early(text: str, _at: int | None, _found: re.Match[str]) -> str:
    if text.rstrip().endswith("%"):
        return "`%` is the remainder of a division: of a ratio, 5% is written `0.05`"
    return "something is missing at its end"


def _no_operand(text: str, _at: int | None, _found: re.Match[str]) -> str:
    tokens, _ = _split(text, None)
    if any(it.kind is Kind.STRING and not it.braces and it.depth == 0 for it in tokens):
        return "a number has no quotes"
    return "put a function around the range that makes one value of it: `rate(…[5m])`, `avg_over_time(…[5m])`"


def _wrong_type(_text: str, _at: int | None, found: re.Match[str]) -> str:
    if found[1] == "scalar" and "quantile" in found[2]:
        return f"the number comes first: `{found[2]}(0.95, …)`"
    return f"give `{found[2]}` {_TYPES.get(found[1], 'something else')} there"


def _of_no_vector(text: str, _at: int | None, _found: re.Match[str]) -> str:
    """Return how an aggregation is written whose parameter stands at its end."""
    tokens, _ = _split(text, None)
    for number, name in enumerate(tokens):
        if name.word not in _PARAMETERS:
            continue
        end = _closing(tokens, number + 1)
        if end and tokens[number + 1].word in {"by", "without"}:
            end = _closing(tokens, end + 1)
        if tokens[end - 2].text == "," and tokens[end - 1].kind in (Kind.NUMBER, Kind.STRING):
            what, example = _PARAMETERS[name.word]
            return f"{what} comes first: `{name.word}({example}, …)`"
    return ""


def _closing(tokens: Sequence[Token], first: int) -> int:
    """Return where the first parenthesis from a place on closes; 0 where none opens there."""
    opened = next((it for it in tokens[first : first + 2] if it.text == "("), None)
    closing = (it for it in range(first, len(tokens)) if tokens[it].text == ")")
    return 0 if opened is None else next((it for it in closing if tokens[it].depth == opened.depth), 0)


_PARAMETERS = {
    "quantile": ("the number", "0.95"),
    "topk": ("the number", "3"),
    "bottomk": ("the number", "3"),
    "limitk": ("the number", "3"),
    "limit_ratio": ("the number", "0.1"),
    "count_values": ("the label", '"version"'),
}

_TYPES = {
    "scalar": "a number",
    "vector": "a metric, without a range,",
    "matrix": "the range of a metric, `…[5m]`,",
    "string": "text in quotes",
}

_CLOSERS = {"parenthesis": ")", "square bracket": "]", "brace": "}"}

_ANSWERS: tuple[tuple[re.Pattern[str], str | Callable[[str, int | None, re.Match[str]], str]], ...] = (
    (re.compile(r"unknown function with name '(\w+)'"), _unknown_function),
    (re.compile(r"expected type matrix in call to function '(\w+)', got vector"), _without_range),
    (re.compile(r"expected type (\w+) in call to function '(\w+)'"), _wrong_type),
    (re.compile(r"expected type vector in aggregation expression, got (?:scalar|string)"), _of_no_vector),
    (
        re.compile(r"wrong number of arguments for aggregate .* expected 2"),
        "a number or a label comes first: `topk(3, …)`",
    ),
    (re.compile(r"wrong number of arguments for aggregate"), "labels stand behind `by`: `sum by (job) (…)`"),
    (re.compile(r"argument\(s\) in call to"), "give it that many, with commas between them"),
    (
        re.compile(r"ranges only allowed"),
        "a range stands right behind a metric, `sum(rate(…[5m]))`; of anything else it is a subquery, `[5m:1m]`",
    ),
    (re.compile(r"only scalar and instant vector"), _no_operand),
    (re.compile(r'unexpected character "&"'), "write `and`"),
    (re.compile(r'unexpected character "\|"'), "write `or`"),
    (re.compile(r'unexpected character "~"'), "a pattern is matched by `=~`, and left out by `!~`"),
    (re.compile(r'unexpected character "!"'), "write `!=`, or `unless` for what must not be"),
    (re.compile(r'unexpected "="'), _single_equals),
    (re.compile(r"unexpected identifier '(\w+)' in label"), lambda _t, _a, it: f'write it in quotes: `"{it[1]}"`'),
    (re.compile(r"unexpected '=' in label"), "a label is matched by `=`, `!=`, `=~` or `!~`"),
    (re.compile(r'unexpected "(.+)"'), _unexpected),
    (re.compile(r"ends too early"), _too_early),
    (re.compile(r"quoted text is never closed"), "close the quotes on the same line"),
    (re.compile(r"(\w[\w ]*) is never closed"), lambda _t, _a, it: f"close it by a `{_CLOSERS[it[1]]}`"),
    (re.compile(r"is closed and was never opened"), "remove it, or open it before"),
    (re.compile(r'"(.)" is closed by'), lambda _t, _a, it: f"close the one that was opened last, `{it[1]}`, first"),
    (re.compile(r"bad number or duration"), "a duration is a number and one of `s`, `m`, `h`, `d` or `w`: `5m`"),
    (re.compile(r"is empty"), "write a condition, such as `up == 0`"),
)
"""What the parser and the scan say, and what to do about it; the first that fits and has something to say."""
