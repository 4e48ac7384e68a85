"""Say no: a request is answered with a status and words instead of what it asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from rollback_guard.adapters.web.codec import to_json
from rollback_guard.adapters.web.views import ErrorView


class Refusal(Exception):  # noqa: N818  it is an answer, no error
    """A request is answered with this status and these words instead of what it asked for."""

    def __init__(
        self, status: int, error: str, *, near: tuple[str, ...] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(error)
        self.status = status
        self.near = near
        self.headers = headers

    def response(self) -> Response:
        """Return it as JSON."""
        return json_response(ErrorView(error=str(self), near=self.near), self.status, self.headers)


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a value of frozen dataclasses as an answer."""
    return Response(to_json(value), status, headers, media_type="application/json")
