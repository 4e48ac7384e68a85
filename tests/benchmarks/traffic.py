"""Serve the metrics of many services to a real Prometheus, with traffic that goes on while nobody looks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

REQUESTS_PER_S = 10.0
ERROR_RATIO = 0.002
"""Of the requests of a healthy service; the rules of the benchmarks breach above 1%."""

METRIC = "http_requests_total"


class Traffic:
    """Services with two instances each, and beside them gauges that can be set.

    Attributes:
        levels: Values of the gauge `shop_level` by its label `seen_by`.
    """

    def __init__(self, services: int, *, paths: int = 1) -> None:
        self.levels = {"guard": 0.0, "peers": 0.0}
        self._labels = [
            (f'{METRIC}{{service="s{service}",path="/{path}",instance="{instance}",code="{code}"}}', part)
            for service in range(services)
            for path in range(paths)
            for instance in range(2)
            for code, part in (("200", 1 - ERROR_RATIO), ("500", ERROR_RATIO))
        ]
        self._began = time.monotonic()
        traffic = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = traffic.text().encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.target = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def text(self) -> str:
        """Return all series as of now."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        requests = REQUESTS_PER_S * (time.monotonic() - self._began)
        yield f"# TYPE {METRIC} counter"
        for labels, part in self._labels:
            yield f"{labels} {requests * part:.3f}"
        yield "# TYPE shop_level gauge"
        for name, level in self.levels.items():
            yield f'shop_level{{seen_by="{name}"}} {level}'


def error_ratio(service: int, path: int = 0) -> str:
    """Return the measured side of a ratio rule over one service's path."""
    of = f'service="s{service}",path="/{path}"'
    return f'sum(rate({METRIC}{{{of},code=~"5.."}}[1m])) / sum(rate({METRIC}{{{of}}}[1m]))'


def ratio_rules(count: int, *, paths: int = 1, first: int = 0) -> list[dict[str, object]]:
    """Return so many alerting rules over different services and paths."""
    return [
        {
            "alert": f"Errors{number}",
            "expr": f"{error_ratio(number // paths, number % paths)} > 0.01",
            "for": "2m",
            "labels": {"severity": "critical"},
        }
        for number in range(first, first + count)
    ]
