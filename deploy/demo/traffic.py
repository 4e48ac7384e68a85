"""Customers of the shop: a steady stream of orders.

    python deploy/demo/traffic.py --home DIRECTORY --url http://127.0.0.1:18080

``traffic.json`` in the directory says which share of them brings a coupon or pays in yen; it may change at any time:

    {"coupon": 0.3, "yen": 0.0}
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import signal
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CUSTOMERS = 4
TIMEOUT_S = 5.0


def order(mix: dict[str, float]) -> dict[str, Any]:
    """Return what one customer buys."""
    basket: dict[str, Any] = {
        "items": [{"price": random.randint(100, 9900), "count": random.randint(1, 3)}],  # noqa: S311  no secret
        "currency": "JPY" if random.random() < mix.get("yen", 0.0) else "EUR",  # noqa: S311
    }
    if random.random() < mix.get("coupon", 0.0):  # noqa: S311
        basket["coupon"] = "SPRING"
    return basket


def read(path: Path) -> dict[str, float]:
    """Return the mix; without a file nobody has a coupon or yen."""
    try:
        mix: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return mix


def shop(home: Path, host: str, pause_s: float, stopped: threading.Event) -> None:
    """Order again and again over one connection until stopped."""
    connection = http.client.HTTPConnection(host, timeout=TIMEOUT_S)
    while not stopped.wait(random.uniform(0.5, 1.5) * pause_s):  # noqa: S311
        body = json.dumps(order(read(home / "traffic.json")))
        try:
            connection.request("POST", "/checkout", body, {"Content-Type": "application/json"})
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            connection.close()  # the next order opens it again
    connection.close()


def main() -> None:
    """Send orders until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="Customers for rollback-guard's demo shop.")
    parser.add_argument("--home", type=Path, default=os.environ.get("SHOP_HOME"), help="where traffic.json is")
    parser.add_argument("--url", default="http://127.0.0.1:18080")
    parser.add_argument("--rate", type=float, default=60.0, help="orders per second")
    options = parser.parse_args()
    if options.home is None:
        parser.error("--home or SHOP_HOME is needed")
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    customers = [
        threading.Thread(
            target=shop, args=(options.home, urlsplit(options.url).netloc, CUSTOMERS / options.rate, stopped)
        )
        for _ in range(CUSTOMERS)
    ]
    for customer in customers:
        customer.start()
    for customer in customers:
        customer.join()


if __name__ == "__main__":
    main()
