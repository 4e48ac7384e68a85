"""Time from the slot in which a rule fires to the first byte of the action at an HTTP server.

Twenty-five guards, each with a rule in a group of its own, see the same gauge go bad, four times. Beside them, in the
same minutes, Prometheus evaluates such rules too and calls the same server by way of Alertmanager: at once
(`group_wait: 0s`) and as Alertmanager comes (30 s). Its gauge goes bad once and stays so, because Alertmanager waits
only for the first alert of a group. What a slot is each of them says itself: the guard by its policy,
Prometheus by `startsAt` in the call. How late an idle process wakes up on this machine stands beside it.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import contenders as c
from figures import goal, median, ms, quantile, ratio, show, times
from traffic import Traffic

from rollback_guard.config.compile import offset_of
from rollback_guard.core.slots import slot_at_or_before

GUARDS = 25
ROUNDS = 4
INTERVAL_S = 5
PEERS = 25
"""Rules of which Alertmanager is told once; each is a notification of its own."""

BAD_FOR_S = INTERVAL_S + 4
LONGEST_WAIT_S = 90
GROUP_WAITS = ("0s", "30s")


@dataclass(frozen=True)
class Arrival:
    """A request, at the moment in which its first byte was there."""

    path: str
    body: bytes
    at: float


class Server:
    """Note when each request arrives."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        arrivals = self.arrivals

        class Handler(BaseHTTPRequestHandler):
            def handle_one_request(self) -> None:
                self.rfile.peek(1)
                self.began = time.time()
                super().handle_one_request()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                arrivals.append(Arrival(self.path, body, self.began))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def of(self, path: str) -> list[Arrival]:
        return [each for each in self.arrivals if each.path.startswith(path)]


def group(seen_by: str, number: int) -> dict[str, object]:
    rule = {
        "alert": f"Bad{number}",
        "expr": f'shop_level{{seen_by="{seen_by}"}} + 0 * {number} > 0.5',
        "labels": {"severity": "critical", "shop": name(seen_by, number)},
    }
    return c.group(name(seen_by, number), [rule], interval=f"{INTERVAL_S}s")


def name(seen_by: str, number: int) -> str:
    return f"{seen_by}-{number}"


def guard_on(place: Path, prometheus: str, server: Server) -> c.Guard:
    """Return a guard with many guards, each with one rule and one action."""
    actions = "".join(
        f'[actions.act-{number}]\ntype = "http"\nurl = "{server.url}/guard/{name("guard", number)}"\n'
        for number in range(GUARDS)
    )
    settings = f"[limits]\nstorm = {{guards = {GUARDS + 1}, within = '1s'}}\n{actions}"
    guard = c.Guard(place, prometheus=prometheus, settings=settings)
    guards = [
        {
            "guard": name("guard", number),
            "select": {"shop": name("guard", number)},
            "playbook": [{"action": f"act-{number}", "verify": {"within": "1m", "stable_for": "0s"}}],
            "limits": {"max_actions": 2 * ROUNDS, "cooldown": "0s"},
        }
        for number in range(GUARDS)
    ]
    c.write_rules(guard.rules / "rules.yaml", *(group("guard", number) for number in range(GUARDS)), guards=guards)
    return guard


def alertmanager_on(place: Path, server: Server) -> c.Alertmanager:
    """Return an Alertmanager that calls the server twice about every rule: at once, and after its default wait."""
    routes = [
        {"receiver": wait, "group_wait": wait, "group_by": ["alertname"], "continue": True} for wait in GROUP_WAITS
    ]
    receivers = [
        {"name": wait, "webhook_configs": [{"url": f"{server.url}/alertmanager/{wait}", "send_resolved": False}]}
        for wait in GROUP_WAITS
    ]
    return c.Alertmanager(place, {"route": {"receiver": GROUP_WAITS[0], "routes": routes}, "receivers": receivers})


def of_guard(arrival: Arrival) -> float:
    """Return the seconds from the slot to the request."""
    interval = timedelta(seconds=INTERVAL_S)
    offset = offset_of(arrival.path.rpartition("/")[2], interval)
    slot = slot_at_or_before(datetime.fromtimestamp(arrival.at, UTC), interval, offset)
    return arrival.at - slot.timestamp()


def of_alertmanager(arrival: Arrival) -> float:
    """Return the seconds from the evaluation to the request."""
    alerts = json.loads(arrival.body)["alerts"]
    return arrival.at - min(datetime.fromisoformat(each["startsAt"]).timestamp() for each in alerts)


@contextmanager
def noise() -> Iterator[list[float]]:
    """Collect how much later than asked a thread that does nothing else wakes up."""
    late: list[float] = []
    over = threading.Event()

    def sleep() -> None:
        while not over.is_set():
            began = time.perf_counter()
            time.sleep(0.02)
            late.append(time.perf_counter() - began - 0.02)

    thread = threading.Thread(target=sleep)
    thread.start()
    try:
        yield late
    finally:
        over.set()
        thread.join()


def break_often(traffic: Traffic, guard: c.Guard, server: Server) -> None:
    """Let the gauge go bad and good, until every guard has acted that often."""
    for number in range(1, ROUNDS + 1):
        traffic.levels = {"guard": 1.0, "peers": 1.0}
        time.sleep(BAD_FOR_S)
        traffic.levels = {"guard": 0.0, "peers": 1.0}
        acted = number * GUARDS
        c.wait_until(lambda acted=acted: len(server.of("/guard/")) >= acted, f"{acted} actions", within_s=60)
        c.wait_until(lambda: guard.figure("rollback_guard_incidents_open") == 0, "recovery", within_s=60, every_s=0.5)


def run() -> tuple[Server, list[float]]:
    """Return the server with all that arrived, and the noise."""
    with tempfile.TemporaryDirectory() as folder, Traffic(1) as traffic, ExitStack() as running:
        place, server = Path(folder), Server()
        running.callback(server.close)
        alertmanager = running.enter_context(alertmanager_on(place / "alertmanager", server))
        c.wait_until(lambda: alertmanager.answers("/-/ready"), "Alertmanager")
        rules = c.write_rules(place / "rules.yaml", *(group("peers", number) for number in range(PEERS)))
        target = f"127.0.0.1:{alertmanager.port}"
        prometheus = c.prometheus(
            place / "prometheus", traffic.target, scrape_interval="1s", rules=rules, alertmanager=target
        )
        running.enter_context(prometheus)
        guard = running.enter_context(guard_on(place / "guard", prometheus.url, server)).await_ready()
        with noise() as late:
            time.sleep(INTERVAL_S)
            break_often(traffic, guard, server)
            waiting = [f"/alertmanager/{wait}" for wait in GROUP_WAITS]
            c.wait_until(
                lambda: all(len(server.of(each)) >= PEERS for each in waiting), "Alertmanager", within_s=LONGEST_WAIT_S
            )
        return server, late


def main() -> None:
    """Run it and print the figures."""
    print(f"{GUARDS * ROUNDS} actions, every rule each {INTERVAL_S} s without `for`; takes two minutes …")
    server, late = run()
    guard = [of_guard(each) for each in server.of("/guard/")]
    rows = [("rollback-guard", guard)]
    for wait in GROUP_WAITS:
        arrived = [of_alertmanager(each) for each in server.of(f"/alertmanager/{wait}")]
        rows.append((f"Prometheus, Alertmanager, group_wait {wait}", arrived))
    show(
        "from the slot to the first byte of the action; ratios are to the guard",
        ("", "actions", "median", "", "worst", ""),
        [
            (
                name,
                f"{len(all_)}",
                ms(median(all_)),
                times(ratio(median(all_), median(guard))),
                ms(max(all_)),
                times(ratio(max(all_), max(guard))),
            )
            for name, all_ in rows
        ],
    )
    print(f"  a sleeping thread woke up late by {ms(quantile(late, 0.99))} (99 of 100), {ms(max(late))} at worst")
    goal("worst of the guard without that noise, in ms", 1000 * (max(guard) - max(late)), 250)


if __name__ == "__main__":
    main()
