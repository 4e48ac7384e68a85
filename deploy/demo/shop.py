"""A small shop over HTTP: something real for the guard to watch, break and mend.

    python deploy/demo/shop.py --home DIRECTORY --port 18080

The directory is how the shop is operated. Both files are watched and take effect between two requests:

    flags.json   {"new-checkout": true}       PATCH /flags/new-checkout writes it too
    release      v2                           which of deploy/demo/releases/ serves
    running      v2                           written by the shop: which one really does

    POST /checkout   GET /health/ready   GET /metrics   GET and PATCH /flags/NAME
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from meter import Meter

RELEASES = Path(__file__).parent / "releases"
WATCH_EVERY_S = 0.05
MAX_BODY_BYTES = 64 * 1024
PAYMENT_S = (0.002, 0.012)
"""How long the payment provider takes."""

Checkout = Callable[..., int]


def write(path: Path, text: str) -> None:
    """Replace a file in one piece, so that nobody reads half of it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


class Shop:
    """What is on sale, and the two files that say how."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.meter = Meter()
        self.flags: Mapping[str, bool] = {}
        self.release = ""
        self.problem = "starting"
        self._checkout: Checkout | None = None
        self._writing = threading.Lock()
        self.look()

    def look(self) -> None:
        """Take over what the files say now. What cannot be read leaves the shop as it is, and not ready."""
        try:
            self.flags = json.loads((self.home / "flags.json").read_text(encoding="utf-8"))
            wanted = (self.home / "release").read_text(encoding="utf-8").strip()
            if wanted != self.release:
                self._checkout = _load(wanted)
                self.release = wanted
                write(self.home / "running", f"{wanted}\n")
        except (OSError, ValueError, ImportError) as error:
            self.problem = str(error)
        else:
            self.problem = ""

    def watch(self, stopped: threading.Event) -> None:
        """Look at the files until stopped."""
        while not stopped.wait(WATCH_EVERY_S):
            self.look()

    def set_flag(self, name: str, *, enabled: bool) -> None:
        """Write a flag to the file and use it at once."""
        with self._writing:
            self.flags = {**self.flags, name: enabled}
            write(self.home / "flags.json", json.dumps(self.flags) + "\n")

    def checkout(self, order: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Sell one order: the status code and the answer's body."""
        if self._checkout is None:
            return 503, {"error": self.problem}
        try:
            paid = self._checkout(order, flags=self.flags, pay=self._pay)
        except Exception as error:  # noqa: BLE001  whatever a release gets wrong, the shop goes on
            name = type(error).__name__
            if name == "PaymentError":
                self.meter.paid("failed")
            return (502 if name == "PaymentError" else 500), {"error": f"{name}: {error}", "release": self.release}
        self.meter.paid("ok")
        return 200, {"paid": paid, "release": self.release}

    def _pay(self, _amount: int, _minor_unit: int) -> None:
        time.sleep(random.uniform(*PAYMENT_S))  # noqa: S311  a delay, no secret


def _load(name: str) -> Checkout:
    path = RELEASES / f"{name}.py"
    if not name.isalnum() or not path.is_file():
        raise ImportError(f"there is no release {name!r}")
    spec = importlib.util.spec_from_file_location(f"release_{name}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"release {name!r} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    checkout: Checkout = module.checkout
    return checkout


class Handler(BaseHTTPRequestHandler):
    """Answer one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 30

    def __init__(self, shop: Shop, *args: Any) -> None:
        self.shop = shop
        super().__init__(*args)

    def do_GET(self) -> None:
        """Answer health, metrics and flags."""
        shop = self.shop
        match self.path.strip("/").split("/"):
            case ["health", "ready"] if shop.problem:
                self._json(503, {"status": "not ready", "problem": shop.problem})
            case ["health", "ready"]:
                self._json(200, {"status": "ok", "release": shop.release})
            case ["metrics"]:
                self._send(200, shop.meter.text(release=shop.release, flags=shop.flags), "text/plain; version=0.0.4")
            case ["flags", name] if name in shop.flags:
                self._json(200, {"flag": name, "enabled": shop.flags[name]})
            case _:
                self._json(404, {"error": "not found"})

    def do_POST(self) -> None:
        """Sell."""
        began = time.perf_counter()
        body = self._body()
        if self.path != "/checkout" or body is None:
            self._json(404 if body is not None else 400, {"error": "POST a JSON order to /checkout"})
            return
        code, answer = self.shop.checkout(body)
        self.shop.meter.served("/checkout", code, time.perf_counter() - began)
        self._json(code, answer)

    def do_PATCH(self) -> None:
        """Turn a flag on or off."""
        body = self._body()
        match self.path.strip("/").split("/"), body:
            case ["flags", name], {"enabled": bool(enabled)} if name in self.shop.flags:
                self.shop.set_flag(name, enabled=enabled)
                self._json(200, {"flag": name, "enabled": enabled})
            case _:
                self._json(400, {"error": 'PATCH {"enabled": false} to /flags/NAME'})

    def _body(self) -> dict[str, Any] | None:
        size = int(self.headers.get("Content-Length") or 0)
        if not 0 < size <= MAX_BODY_BYTES:
            self.close_connection = True
            return None
        try:
            found = json.loads(self.rfile.read(size))
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    def _json(self, code: int, body: dict[str, Any]) -> None:
        self._send(code, json.dumps(body) + "\n", "application/json")

    def _send(self, code: int, text: str, content_type: str) -> None:
        payload = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class names it so
        """Say nothing per request; the metrics do."""


class Server(ThreadingHTTPServer):
    """One thread per connection; a customer who hangs up is no error."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report what is not the peer's doing."""
        if not isinstance(sys.exception() if sys.version_info >= (3, 12) else sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="A small shop for rollback-guard's demo.")
    parser.add_argument("--home", type=Path, default=os.environ.get("SHOP_HOME"), help="flags.json and release")
    parser.add_argument("--port", type=int, default=18080, help="on 127.0.0.1; 0 takes a free one")
    options = parser.parse_args()
    if options.home is None:
        parser.error("--home or SHOP_HOME is needed")
    shop = Shop(options.home)
    stopped = threading.Event()
    server = Server(("127.0.0.1", options.port), partial(Handler, shop))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    threading.Thread(target=shop.watch, args=(stopped,), daemon=True).start()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    print(f"shop release {shop.release} on http://127.0.0.1:{server.server_port}", flush=True)
    stopped.wait()
    server.shutdown()


if __name__ == "__main__":
    main()
