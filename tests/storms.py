"""A shop whose every service breaks at once, the guards of all of them, and the people who are told.

One HTTP server is all of the world: it has the gauge that Prometheus scrapes, takes what the guard does and what it
tells, and can be down for the latter.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

CHANNELS = ("team", "oncall")
"""Both hear of every guard."""

CALLED_LATER = "lead"
"""Called by the escalation of every guard."""


class Shop:
    """The world outside of Prometheus and the guard.

    Attributes:
        level: Of the gauge; above 0.5 all rules breach.
        is_deaf: Whether messages are answered with 503.
        effects: The bodies of actions.
        messages: By channel, the notices that were taken.
        refused: How many were answered with 503.
    """

    def __init__(self) -> None:
        self.level = 0.0
        self.is_deaf = False
        self.effects: list[str] = []
        self.messages: dict[str, list[dict[str, Any]]] = {name: [] for name in (*CHANNELS, CALLED_LATER)}
        self.refused = 0
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._say(200, f"# TYPE shop_level gauge\nshop_level {shop.level}\n".encode())

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                self._say(shop.take(self.path, body))

            def _say(self, status: int, body: bytes = b"") -> None:
                self.send_response(status)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._lock = threading.Lock()
        self.target = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.target}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def take(self, path: str, body: str) -> int:
        """Take an action or a message, and return the status of the answer."""
        with self._lock:
            kind, _, name = path.strip("/").partition("/")
            if kind == "undo":
                self.effects.append(body)
            elif self.is_deaf:
                self.refused += 1
                return 503
            else:
                self.messages[name].append(json.loads(body))
            return 200

    def told(self, channel: str) -> Counter[str]:
        """Return how many different notices of each kind a channel took."""
        return Counter(kind for kind, _ in {(each["kind"], each["id"]) for each in self.messages[channel]})

    def storms(self, channel: str) -> list[dict[str, Any]]:
        """Return the notices that speak of the storm as a whole and not of its end."""
        return [each for each in self.messages[channel] if "guards breach at once" in each["title"]]


def settings(shop: Shop) -> str:
    """Return what guard.toml says of the world: the action and the channels."""
    hooks = "".join(
        f'[notify.{name}]\ntype = "webhook"\nurl = "{shop.url}/hook/{name}"\n' for name in (*CHANNELS, CALLED_LATER)
    )
    return f'[actions.undo]\ntype = "http"\nmethod = "POST"\nurl = "{shop.url}/undo"\n{hooks}'


def write_rules(folder: Path, *, guards: int, rules: int, interval: str, veto: str = "1m", **more: object) -> None:
    """Write so many guards, each with so many rules that look at the one gauge, in ten files.

    Time to veto lets no guard act before it can be known that the cause is shared.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(10):
        mine = range(number, guards, 10)
        document = {
            "groups": [_group(each, rules, interval) for each in mine],
            "guards": [_guard(each, veto, more) for each in mine],
        }
        (folder / f"part-{number}.yaml").write_text(json.dumps(document))


def services(guards: int) -> Iterator[str]:
    """Yield the names of the guards."""
    return (f"service-{number}" for number in range(guards))


def _group(service: int, rules: int, interval: str) -> dict[str, object]:
    return {
        "name": f"service-{service}",
        "interval": interval,
        "labels": {"service": f"service-{service}", "severity": "critical"},
        "rules": [
            {
                "alert": f"Bad{rule}",
                "expr": f"shop_level + 0 * {service * rules + rule} > 0.5",
                "annotations": {"summary": "Level at {{ $value }}"},
            }
            for rule in range(rules)
        ],
    }


def _guard(service: int, veto: str, more: dict[str, object]) -> dict[str, object]:
    return {
        "guard": f"service-{service}",
        "select": {"service": f"service-{service}"},
        "veto": veto,
        "playbook": [{"action": "undo", "verify": {"within": "2m", "stable_for": "30s"}}],
        "notify": {"critical": list(CHANNELS)},
        **more,
    }
