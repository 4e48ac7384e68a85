"""Ask the shop itself how it is: the demo does not take the guard's word for it."""

from __future__ import annotations

import re
from collections.abc import Mapping

import httpx

from rollback_guard.demo.failure import DemoFailed

TIMEOUT_S = 3.0
_REQUESTS = re.compile(r'^shop_http_requests_total\{path="/checkout",code="(\d+)"\} (\d+)$', re.MULTILINE)


class ShopApi:
    """The shop's metrics and flags over HTTP."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=TIMEOUT_S, trust_env=False)

    def orders(self) -> tuple[int, int]:
        """Return how many orders there were since the shop opened, and how many of them failed."""
        answer = self._ask("GET", "/metrics")
        counts = [(int(code), int(count)) for code, count in _REQUESTS.findall(answer.text)]
        return sum(count for _, count in counts), sum(count for code, count in counts if code >= 500)  # noqa: PLR2004

    def set_flag(self, name: str, *, enabled: bool) -> None:
        """Turn a flag on or off, as people would."""
        self._ask("PATCH", f"/flags/{name}", json={"enabled": enabled})

    def close(self) -> None:
        """Release the connection."""
        self._client.close()

    def _ask(self, method: str, path: str, json: Mapping[str, bool] | None = None) -> httpx.Response:
        try:
            return self._client.request(method, path, json=json).raise_for_status()
        except httpx.HTTPError as error:
            raise DemoFailed(f"the shop does not answer {method} {path}: {error}") from error
