"""Judge whether an answer says what was expected of it: a 200 alone can be a silent no-op."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, Field, JsonValue

from rollback_guard.adapters.actions import document
from rollback_guard.adapters.actions.exchange import Answer
from rollback_guard.adapters.actions.output import excerpt, presentable
from rollback_guard.adapters.actions.setting import Pattern, Table
from rollback_guard.core.regex import compile_regex

VALUE_CHARS = 60
"""Of a JSON value in a message."""


class Match(StrEnum):
    """How an answer compares with what was expected."""

    MET = "met"
    STATUS = "status"  # another status
    DIFFERS = "differs"  # the expected status, and a body that says something else
    UNCLEAR = "unclear"  # the expected status, and a body that says nothing about it
    UNREAD = "unread"  # the expected status, and a body that was too long or encoded


def _documents(values: dict[str, JsonValue]) -> dict[str, JsonValue]:
    document.compiled(values)
    return values


class Expect(Table):
    """What a good answer looks like."""

    status: list[Annotated[int, Field(ge=200, le=599)]] = Field(
        default_factory=list, description="Statuses that are good; any 2xx if left out."
    )
    json_: Annotated[dict[str, JsonValue], AfterValidator(_documents)] = Field(
        default_factory=dict,
        alias="json",
        description="Values that must stand in a JSON answer, by top-level name or dotted path (`items.0.name`). "
        "Templates are allowed in strings.",
    )
    body: Pattern | None = Field(default=None, description="Regular expression that must match somewhere in the body.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What an answer was found to be, and the words for it."""

    match: Match
    detail: str


class Expectation:
    """What is expected of an answer; its values are filled before anything is sent, so that this cannot fail later."""

    def __init__(self, expect: Expect) -> None:
        self.status = frozenset(expect.status)
        self._json = document.compiled(expect.json_)
        self._body = compile_regex(expect.body) if expect.body is not None else None

    @property
    def of_body(self) -> bool:
        """Whether more than the status is expected."""
        return bool(self._json) or self._body is not None

    def values(self, context: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the expected JSON values for one call, to be given to `judge`.

        Raises:
            PermanentError: A value or a secret is missing.
        """
        expected: Mapping[str, Any] = document.filled(self._json, context)
        return expected

    def judge(self, answer: Answer, expected: Mapping[str, Any]) -> Finding:
        """Compare an answer with what is expected."""
        if not (answer.status in self.status if self.status else 200 <= answer.status < 300):  # noqa: PLR2004  2xx
            return Finding(match=Match.STATUS, detail=str(answer))
        if self.of_body and answer.unread:
            return Finding(match=Match.UNREAD, detail=str(answer))
        if expected and (finding := _compared(answer, expected)):
            return finding
        if self._body is not None and not self._body.found_in(answer.body):
            match = Match.DIFFERS if answer.body.strip() else Match.UNCLEAR
            return Finding(match=match, detail=f"the body does not match {self._body.pattern!r}; {answer}")
        return Finding(match=Match.MET, detail=str(answer))


def _compared(answer: Answer, expected: Mapping[str, Any]) -> Finding | None:
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        return Finding(match=Match.UNCLEAR, detail=f"the body is not JSON; {answer}")
    for path, value in expected.items():
        actual = document.found(body, path)
        if actual is document.ABSENT:
            return Finding(match=Match.UNCLEAR, detail=f"{path} is not in the answer; {answer}")
        if not document.same(value, actual):
            detail = f"{path} is {_shown(actual)} and not {_shown(value)}; {answer}"
            return Finding(match=Match.DIFFERS, detail=detail)
    return None


def _shown(value: Any) -> str:
    text = presentable(json.dumps(value, ensure_ascii=False))
    return excerpt(text) if len(text) <= VALUE_CHARS else f"{text[:VALUE_CHARS]}…"
