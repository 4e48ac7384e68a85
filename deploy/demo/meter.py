"""Count what the shop does and write it in Prometheus' text format."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping

BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Meter:
    """The shop's metrics. A series appears when it first counts, as with most client libraries."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._payments: Counter[str] = Counter()
        self._buckets: dict[str, list[int]] = {}
        self._seconds: Counter[str] = Counter()

    def served(self, path: str, code: int, seconds: float) -> None:
        """Count one answered request."""
        with self._lock:
            self._requests[path, code] += 1
            counts = self._buckets.setdefault(path, [0] * (len(BUCKETS_S) + 1))
            for place, bound in enumerate((*BUCKETS_S, float("inf"))):
                counts[place] += seconds <= bound
            self._seconds[path] += seconds  # type: ignore[assignment]  # a Counter adds fractions as well

    def paid(self, result: str) -> None:
        """Count one call of the payment provider."""
        with self._lock:
            self._payments[result] += 1

    def text(self, *, release: str, flags: Mapping[str, bool]) -> str:
        """Return all metrics as Prometheus reads them."""
        with self._lock:
            return "\n".join([*self._counters(), *self._histogram(), *_gauges(release, flags), ""])

    def _counters(self) -> Iterator[str]:
        yield "# HELP shop_http_requests_total Requests answered."
        yield "# TYPE shop_http_requests_total counter"
        for (path, code), count in self._requests.items():
            yield f'shop_http_requests_total{{path="{path}",code="{code}"}} {count}'
        yield "# HELP shop_payments_total Calls of the payment provider."
        yield "# TYPE shop_payments_total counter"
        for result, count in self._payments.items():
            yield f'shop_payments_total{{result="{result}"}} {count}'

    def _histogram(self) -> Iterator[str]:
        name = "shop_http_request_duration_seconds"
        yield f"# HELP {name} Time to answer a request."
        yield f"# TYPE {name} histogram"
        for path, counts in self._buckets.items():
            for bound, count in zip((*BUCKETS_S, "+Inf"), counts, strict=True):
                yield f'{name}_bucket{{path="{path}",le="{bound}"}} {count}'
            yield f'{name}_sum{{path="{path}"}} {self._seconds[path]:.6f}'
            yield f'{name}_count{{path="{path}"}} {counts[-1]}'


def _gauges(release: str, flags: Mapping[str, bool]) -> Iterator[str]:
    yield "# HELP shop_release_info The release that serves."
    yield "# TYPE shop_release_info gauge"
    yield f'shop_release_info{{release="{release}"}} 1'
    yield "# HELP shop_flag_enabled Whether a feature flag is on."
    yield "# TYPE shop_flag_enabled gauge"
    for flag, enabled in flags.items():
        yield f'shop_flag_enabled{{flag="{flag}"}} {int(enabled)}'
