"""A team's service, simulated: metrics at rates, health, flags, deployments and channels, all as a test sets them.

    with (
        Service() as service,
        scraping(tmp_path / "prometheus", {"shop-api": service}) as prometheus,
        Daemon(tmp_path / "guard", pack=PACK, guard=guard_toml(..., service=service, prometheus=prometheus.url, port=0),
               rules={"shop.yaml": accelerated(text, by=60)}) as guard,
    ):
        service.rate("http_requests_total", 50, code="200")
        service.rate("http_requests_total", 1, code="500")
        service.on_flag_off("new-checkout", lambda: service.rate("http_requests_total", 0, code="500"))
        guard.wait(lambda: service.calls_to("/flags/new-checkout", "PATCH"), "the flag to go off")

`accelerated` and `guard_toml` make of a team's own files what runs within seconds; see `tests/accelerate.py`.
"""

from __future__ import annotations

import contextlib
import json
import math
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from accelerate import accelerated, guard_toml
from loopback import free_port
from team_daemon import Daemon, scraping

__all__ = ["BUCKETS", "HANGS_UP", "Call", "Daemon", "Health", "Service", "accelerated", "guard_toml", "scraping"]

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Seconds; those of the Python and Go client libraries, as far as they agree."""

Cure = Callable[[], object]
Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What an endpoint answers, and after how many seconds."""

    status: int = 200
    body: Any = field(default_factory=lambda: {"status": "ok"})
    after_s: float = 0.0


HANGS_UP = None
"""In place of a `Health`: the connection is accepted and closed without an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request to a flag, a deployment, an action, a channel or a health endpoint."""

    at: float
    """Seconds since the service began."""
    method: str
    path: str
    key: str | None
    """What `Idempotency-Key` said."""
    headers: Mapping[str, str]
    body: Any
    status: int


@dataclass(slots=True)
class _Line:
    """A counter or a gauge as a straight line over time."""

    value: float
    per_s: float
    since: float

    def at(self, now: float) -> float:
        return self.value + self.per_s * (now - self.since)


class Service:
    """One service on three ports: what its users see, what Prometheus scrapes, and what operates it.

    Attributes:
        health: By path: a `Health`, a tuple of status and body, or `HANGS_UP`. Other paths are 404.
        flags: By name; a name that is not there is a 404.
        deployments: Which version of what is live; `POST /deployments/NAME/rollback` needs `{"to": VERSION}`.
        actions: By name, whether `POST /actions/NAME` has been called: what is neither flag nor deployment.
        refuses: By method and path (`"POST /deployments/api/rollback"`): the status that is answered, nothing is done.
        delays: By method and path: seconds until it is done and answered.
    """

    def __init__(self) -> None:
        self.health: dict[str, Health | tuple[int, Any] | None] = {}
        self.flags: dict[str, bool] = {}
        self.deployments: dict[str, str] = {}
        self.actions: dict[str, bool] = {}
        self.refuses: dict[str, int] = {}
        self.delays: dict[str, float] = {}
        self._lines: dict[str, dict[Labels, _Line]] = {}
        self._kinds: dict[str, str] = {}
        self._cures: dict[tuple[str, str], list[Cure]] = {}
        self._calls: list[Call] = []
        self._done: set[tuple[str, str]] = set()
        self._lock = threading.RLock()
        self._began = time.monotonic()
        self._ports = {name: free_port() for name in ("health", "metrics", "control")}
        self._servers: dict[str, _Server] = {}

    def __enter__(self) -> Self:
        for name in self._ports:
            self._listen(name)
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._servers):
            self._close(name)

    @property
    def url(self) -> str:
        """Where its users, and so probes, find it."""
        return f"http://127.0.0.1:{self._ports['health']}"

    @property
    def control_url(self) -> str:
        """Where flags, deployments, actions and channels are."""
        return f"http://127.0.0.1:{self._ports['control']}"

    @property
    def target(self) -> str:
        """Host and port of `/metrics`."""
        return f"127.0.0.1:{self._ports['metrics']}"

    def elapsed(self) -> float:
        """Return the seconds since the service began, the time of `Call.at`."""
        return time.monotonic() - self._began

    # What Prometheus sees. Series with a `job` label are shown to the scrapes of that job only, others to all.

    def rate(self, name: str, per_s: float, /, **labels: str) -> None:
        """Let a counter grow by so much per second from now on."""
        with self._lock:
            now = self.elapsed()
            series = self._series(name, "counter")
            before = series.get(_key(labels))
            series[_key(labels)] = _Line(before.at(now) if before else 0.0, per_s, now)

    def count(self, name: str, amount: float, /, **labels: str) -> None:
        """Let a counter jump; its rate stays."""
        with self._lock:
            self._series(name, "counter").setdefault(_key(labels), _Line(0.0, 0.0, self.elapsed())).value += amount

    def gauge(self, name: str, value: float, /, per_s: float = 0.0, **labels: str) -> None:
        """Set a gauge, and how fast it moves."""
        with self._lock:
            self._series(name, "gauge")[_key(labels)] = _Line(value, per_s, self.elapsed())

    def latency(
        self, name: str, p95_s: float, /, per_s: float = 20.0, buckets: Iterable[float] = BUCKETS, **labels: str
    ) -> None:
        """Let a histogram grow by so many observations per second, of which one in twenty is slower than `p95_s`.

        They are distributed exponentially, and a quantile is interpolated within a bucket: what Prometheus says is only
        near, so set values well beyond a threshold, or give it a bucket of its own.
        """
        with self._lock:
            for edge in (*buckets, math.inf):
                share = 1 - math.exp(-math.log(20) * edge / p95_s)
                le = "+Inf" if edge == math.inf else f"{edge:g}"
                self.rate(f"{name}_bucket", per_s * share, le=le, **labels)
            self.rate(f"{name}_sum", per_s * p95_s / math.log(20), **labels)
            self.rate(f"{name}_count", per_s, **labels)

    def forget(self, name: str, /, **labels: str) -> None:
        """Let series disappear: those of the name that have these labels, at least."""
        with self._lock:
            for key in [key for key in self._lines.get(name, {}) if labels.items() <= dict(key).items()]:
                del self._lines[name][key]

    def metrics(self, job: str = "") -> str:
        """Return what a scrape says, all of it of one moment."""
        with self._lock:
            now = self.elapsed()
            text = []
            for name, series in self._lines.items():
                text.append(f"# TYPE {name} {self._kinds[name]}\n")
                for key, line in series.items():
                    labels = dict(key)
                    if labels.pop("job", job) == job:
                        shown = ",".join(f"{label}={json.dumps(value)}" for label, value in labels.items())
                        text.append(f"{name}{{{shown}}} {line.at(now)!r}\n")
            return "".join(text)

    # What users see.

    def go_down(self, *, metrics: bool = False) -> None:
        """Refuse connections to the health endpoints; with `metrics`, to scrapes too."""
        for name in ("health", "metrics") if metrics else ("health",):
            self._close(name)

    def come_up(self) -> None:
        """Take connections again, on the same ports."""
        for name in ("health", "metrics"):
            if name not in self._servers:
                self._listen(name)

    def listen_tls(self, context: ssl.SSLContext) -> str:
        """Serve the health endpoints over TLS as well; give the URL."""
        self._ports["tls"] = free_port()
        self._listen("tls", context)
        return f"https://127.0.0.1:{self._ports['tls']}"

    # What operates it.

    def on_flag_off(self, name: str, cure: Cure) -> None:
        """Do this as soon as the flag has gone off."""
        self._cures.setdefault(("flag", name), []).append(cure)

    def on_rollback(self, name: str, cure: Cure) -> None:
        """Do this as soon as the deployment has been rolled back."""
        self._cures.setdefault(("deployment", name), []).append(cure)

    def on_action(self, name: str, cure: Cure) -> None:
        """Do this as soon as the action has been called."""
        self._cures.setdefault(("action", name), []).append(cure)

    def calls_to(self, path: str = "", method: str = "") -> list[Call]:
        """Return the calls whose path begins so, oldest first."""
        with self._lock:
            return [call for call in self._calls if call.path.startswith(path) and method in ("", call.method)]

    def notices(self, channel: str = "", kind: str = "") -> list[dict[str, Any]]:
        """Return the notices that a channel, or any, was sent, oldest first; see docs/notifications.md."""
        bodies = [call.body for call in self.calls_to(f"/notify/{channel}", "POST")]
        return [body for body in bodies if kind in ("", body["kind"])]

    def operate(self, method: str, path: str, body: Any, key: str | None) -> tuple[int, Any]:
        """Answer a call to the control port. What came under the same key before has no second effect."""
        where = f"{method} {path}"
        if where in self.delays:
            time.sleep(self.delays[where])
        if where in self.refuses:
            return self.refuses[where], {"error": "refused by the test"}
        with self._lock:
            is_repeated = key is not None and (where, key) in self._done
            self._done |= {(where, key)} if key is not None and method != "GET" else set()
            if is_repeated:
                return self._answer("GET", path.removesuffix("/rollback"), None)
            return self._answer(method, path, body)

    def _answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        match method, path.strip("/").split("/"), body:
            case "GET", ["flags"], _:
                return 200, dict(self.flags)
            case "PATCH", ["flags"], dict() if body and set(body) <= set(self.flags):
                for name, enabled in body.items():
                    self._set_flag(name, enabled=enabled)
                return 200, dict(self.flags)
            case "PATCH", ["flags", name], {"enabled": bool(enabled)} if name in self.flags:
                self._set_flag(name, enabled=enabled)
                return 200, {"flag": name, "enabled": enabled}
            case "GET", ["flags", name], _ if name in self.flags:
                return 200, {"flag": name, "enabled": self.flags[name]}
            case "POST", ["deployments", name, "rollback"], {"to": str(version)} if name in self.deployments:
                self.deployments[name] = version
                self._cure("deployment", name)
                return 200, {"deployment": name, "version": version}
            case "GET", ["deployments", name], _ if name in self.deployments:
                return 200, {"deployment": name, "version": self.deployments[name]}
            case "POST", ["actions", name], _:
                self.actions[name] = True
                self._cure("action", name)
                return 200, {"action": name, "done": True}
            case "GET", ["actions", name], _:
                return 200, {"action": name, "done": self.actions.get(name, False)}
            case _, ["notify", _], _:
                return 200, {}
        return 404, {"error": "not found"}

    def _set_flag(self, name: str, *, enabled: bool) -> None:
        self.flags[name] = enabled
        if not enabled:
            self._cure("flag", name)

    def _cure(self, kind: str, name: str) -> None:
        for cure in self._cures.get((kind, name), ()):
            cure()

    def record(self, call: Call) -> None:
        """Remember a call."""
        with self._lock:
            self._calls.append(call)

    def _series(self, name: str, kind: str) -> dict[Labels, _Line]:
        self._kinds.setdefault(name, kind)
        return self._lines.setdefault(name, {})

    def _listen(self, name: str, context: ssl.SSLContext | None = None) -> None:
        self._servers[name] = _Server(self, self._ports[name], role="health" if name == "tls" else name, tls=context)

    def _close(self, name: str) -> None:
        if server := self._servers.pop(name, None):
            server.close()


def _key(labels: Mapping[str, str]) -> Labels:
    return tuple(sorted(labels.items()))


class _Server(ThreadingHTTPServer):
    """One port; a peer that hangs up is no error."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, service: Service, port: int, *, role: str, tls: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", port), type("Handler", (_Handler,), {"service": service, "role": role}))
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join(10)

    def handle_error(self, *_: object) -> None:
        """Say nothing: what is wrong shows in what the test waits for."""


class _Handler(BaseHTTPRequestHandler):
    """Answer one request; HTTP/1.0, so that a closed port leaves no connection behind."""

    service: Service
    role: str
    timeout = 30

    def _handle(self) -> None:
        path, _, query = self.path.partition("?")
        if self.role == "metrics":
            self._send(200, self.service.metrics(query.removeprefix("job=")), "text/plain; version=0.0.4")
            return
        at = self.service.elapsed()
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = None
        with contextlib.suppress(ValueError):
            body = json.loads(data)
        key = self.headers.get("Idempotency-Key")
        is_control = self.role == "control"
        found = self.service.operate(self.command, path, body, key) if is_control else self._health(path)
        call = Call(
            at=at,
            method=self.command,
            path=path,
            key=key,
            headers=dict(self.headers),
            body=body,
            status=found[0] if found else 0,
        )
        self.service.record(call)
        if found is not None:
            status, answer = found
            is_text = isinstance(answer, str)
            self._send(
                status, answer if is_text else json.dumps(answer), "text/html" if is_text else "application/json"
            )

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815  the base class names them so

    def _health(self, path: str) -> tuple[int, Any] | None:
        match self.service.health.get(path, (404, {"error": "not found"})):
            case None:
                return None
            case (status, body):
                return status, body
            case Health() as health:
                time.sleep(health.after_s)
                return health.status, health.body

    def _send(self, status: int, text: str, content_type: str) -> None:
        payload = text.encode()
        with contextlib.suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(payload)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class names it so
        """Say nothing per request."""
