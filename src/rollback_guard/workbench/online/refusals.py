"""Tell what a server says to an expression that it does not take.

It is asked alone and as it was written, so that the server's line and column are those of the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from rollback_guard.config.problems import Level
from rollback_guard.core.observation import Answer, Failure, Observation, Unknown
from rollback_guard.workbench.online.findings import Finding
from rollback_guard.workbench.online.rules import CheckedRule, Expression
from rollback_guard.workbench.online.server import Server

TOPIC = "which expressions it takes"

_POSITION = re.compile(r"\b(\d+):(\d+): ")
_PARSE_ERROR = re.compile(
    r"pars(?:e|ing)|unknown func|unexpected token|unsupported function|unexpected character", re.IGNORECASE
)


async def refusals(
    server: Server, rules: Iterable[CheckedRule], observations: Mapping[str, Observation]
) -> Mapping[str, Sequence[Finding]]:
    """Return by rule what the server says to the expressions that it does not take."""
    found: dict[str, list[Finding]] = {}
    for checked in rules:
        observation = observations[checked.rule.id]
        if not any(map(_is_refused, (observation.measured, observation.when, observation.denominator))):
            continue
        for expression in checked.expressions:
            said = await server.query(TOPIC, expression.text)
            if isinstance(said, Failure) and said.reason is Unknown.QUERY_ERROR:
                found.setdefault(checked.rule.id, []).append(_refusal(expression, said.detail))
    return found


def _is_refused(answer: Answer | Failure | None) -> bool:
    return isinstance(answer, Failure) and answer.reason is Unknown.QUERY_ERROR


def _refusal(expression: Expression, words: str) -> Finding:
    words = words.removeprefix('bad_data: invalid parameter "query": ')
    if _PARSE_ERROR.search(words) is None:
        hint = "It can be parsed there and not be evaluated: as long as that is so, the rule is unknown."
        return expression.finding(
            "online-query-error", f"the server refuses this: {words}", hint=hint, level=Level.ERROR
        )
    hint = "The server may be older, or another product, than the one that this was written for."
    message = f"the server does not understand this: {words}"
    return expression.finding("online-syntax", message, hint=hint, level=Level.ERROR, at=_place(expression.text, words))


def _place(text: str, words: str) -> int | None:
    """Return the character that a server names by line and column, in bytes as it counts."""
    position = _POSITION.search(words)
    if position is None:
        return None
    lines = text.split("\n")
    line, column = int(position[1]) - 1, int(position[2]) - 1
    if line >= len(lines):
        return None
    before = len(lines[line].encode()[:column].decode(errors="ignore"))
    return min(sum(len(each) + 1 for each in lines[:line]) + before, max(0, len(text) - 1))
