"""Find regular expressions that match no status code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from promql_parser import VectorSelector

from rollback_guard.config.checks.lints.asked import Asked
from rollback_guard.config.problems import Problem, quoted
from rollback_guard.core.promql import names
from rollback_guard.core.promql.shape import Match, matches_of
from rollback_guard.core.regex import RegexError, compile_regex

SENT_BY_NOBODY = frozenset({111, 222, 333, 555})
"""With these, `5*` would match a status: whoever writes it means `5.*`. 444 is nginx's own."""

HTTP = (str(code) for code in (0, *range(100, 600)) if code not in SENT_BY_NOBODY)
CLASSES = (f"{digit}xx" for digit in range(1, 6))
GRPC = (str(code) for code in (0, *range(6, 17)))
CODES = "\n".join((*HTTP, *CLASSES, *GRPC))
"""What such a label holds, line by line: codes of HTTP, their classes as some write them, codes of gRPC.

Those of gRPC that are also the first digit of a class are left out: `5` is rather half of a pattern.
"""

NOT_HTTP = re.compile("[0-9]{4}")
"""A code of another kind, such as those of SQL, which have five characters."""

NUMERIC = frozenset("0123456789.[]()|^$*+?{},-xXdD\\")

HINT = "A pattern has to match the whole value: all server errors are `5..`, of clients too `[45]..`."


def check(asked: Asked) -> Iterator[Problem]:
    """Yield the matchers of status labels that nothing can match."""
    for node, _ in asked.nodes:
        if not isinstance(node, VectorSelector):
            continue
        for match in matches_of(node):
            if match.label in names.STATUS and _matches_none(match.operator, match.value):
                effect = "chooses" if match.operator in ("=", "=~") else "leaves out"
                written = quoted(f'{match.label}{match.operator}"{match.value}"')
                message = f"no status code matches: {written} {effect} nothing"
                yield asked.problem("status-pattern", message, hint=_hint(match), at=asked.places.matcher(node, match))


@lru_cache(maxsize=100)
def _matches_none(operator: str, value: str) -> bool:
    if not value or not set(value) <= NUMERIC or not any(char.isdigit() for char in value) or NOT_HTTP.search(value):
        return False
    if operator in ("=", "!="):
        return ".." in value or value.endswith((".*", ".+")) or "|" in value
    try:
        return not compile_regex(f"(?m)^(?:{value})$").found_in(CODES)
    except RegexError:
        return False


def _hint(match: Match) -> str:
    if match.operator in ("=", "!="):
        right = "=~" if match.operator == "=" else "!~"
        return f"`{match.operator}` compares letter by letter; a pattern needs `{right}`."
    return HINT
