"""Read what a request asks for beside its path: which guard, and how many."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from starlette.datastructures import QueryParams

from rollback_guard.adapters.web.refusal import Refusal

MOST = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """The part of a list that is wanted."""

    guard: str | None
    limit: int


def read_query(given: QueryParams, *, limit: int) -> Query:
    """Return what was asked for.

    Args:
        given: The parameters as they came.
        limit: How many where nothing is said.

    Raises:
        Refusal: A parameter is unknown, given twice or has no sense; nothing is ignored.
    """
    known = ("guard", "limit")
    for name in given:
        if name not in known:
            near = tuple(difflib.get_close_matches(name, known))
            raise Refusal(400, f"unknown parameter {name!r}; known are guard and limit", near=near)
        if len(given.getlist(name)) > 1:
            raise Refusal(400, f"parameter {name!r} is given more than once")
    text = given.get("limit", str(limit))
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(MOST)) and 1 <= int(text) <= MOST):
        raise Refusal(400, f"limit must be a whole number from 1 to {MOST}")
    return Query(guard=given.get("guard"), limit=int(text))
