"""A real Prometheus with a made-up past, for tests that play it: errors that come and go, gaps, NaN, series that end."""

import json
import math
import random
import threading
import urllib.error
import urllib.parse
import urllib.request
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from rollback_guard.adapters.actions import registry
from rollback_guard.adapters.clock import SystemClock
from rollback_guard.adapters.ephemeral import STALE, Series
from rollback_guard.adapters.ephemeral.message import snappy
from rollback_guard.adapters.prometheus import PrometheusSource
from rollback_guard.config.load import load
from rollback_guard.specs import Endpoint
from rollback_guard.workbench.backtest.history import History
from rollback_guard.workbench.backtest.plan import orders_of, plan
from rollback_guard.workbench.backtest.player import Player
from rollback_guard.workbench.backtest.results import GuardResult, Results, RuleResult
from rollback_guard.workbench.unheard import Unheard

START = datetime(2026, 3, 1, tzinfo=UTC)
SCRAPE = timedelta(seconds=15)

RULES = """
groups:
  - name: shop
    interval: 15s
    labels: {service: shop}
    rules:
      - alert: Errors
        expr: sum(rate(errors_total[1m])) / sum(rate(requests_total[1m])) > 0.01
        for: 2m
        keep_firing_for: 30s
        labels: {severity: critical}
      - alert: ErrorsOfPod
        expr: sum by (pod) (rate(errors_total[1m])) / sum by (pod) (rate(requests_total[1m])) > 0.02
        for: 1m
        when: sum by (pod) (rate(requests_total[1m])) > 2
        labels: {severity: warning}
      - alert: Slow
        expr: max(latency_seconds) >= 0.5
        for: 45s
        labels: {severity: critical}
      - alert: Both
        expr: sum(rate(errors_total[1m])) > 1 and max(latency_seconds) > 0.5
        when: sum(rate(requests_total[1m])) > 8
        labels: {severity: warning}
      - alert: Gone
        expr: absent(up)
        for: 1m
        labels: {severity: warning}
  - name: slow
    interval: 40s
    labels: {service: shop}
    rules:
      - alert: Queue
        expr: queue_length != 0
        for: 2m
        labels: {severity: warning}
guards:
  - guard: shop
    select: {service: shop}
    playbook:
      - {action: flag-off, verify: {within: 4m, stable_for: 1m}}
      - {action: roll-back, verify: {within: 4m, stable_for: 1m}}
    limits: {cooldown: 3m}
    warm_up: 1m
"""


def ms(at):
    return int(at.timestamp() * 1000)


def past(hours, seed):
    """Return the series of some hours: what happens in them is drawn from the seed."""
    draw = random.Random(seed)
    count = int(timedelta(hours=hours) / SCRAPE)
    times = [ms(START + number * SCRAPE) for number in range(count)]
    periods = [
        (draw.randrange(count), draw.randrange(2, 40), draw.choice([0.015, 0.05, 0.3])) for _ in range(4 * hours)
    ]
    gaps = [(draw.randrange(count), draw.randrange(10, 60)) for _ in range(hours)]
    share = [0.0] * count
    for first, length, height in periods:
        share[first : first + length] = [height] * len(share[first : first + length])
    dark = {number for first, length in gaps for number in range(first, first + length)}
    for pod in ("a", "b"):
        requests = errors = 0.0
        asked, failed = [], []
        for number, at in enumerate(times):
            busy = 100 if draw.random() < 0.95 else 1
            requests, errors = requests + busy, errors + busy * share[number] * (pod == "a")
            if number not in dark:
                asked.append((at, requests))
                if errors:  # no error has happened yet: there is no series
                    failed.append((at, errors))
        yield Series(labels=(("__name__", "requests_total"), ("pod", pod)), samples=asked)
        if len(failed) > 200:  # its target is gone for a while, and Prometheus says that it has ended
            ended = draw.randrange(100, len(failed) - 60)
            failed[ended : ended + 40] = [(failed[ended][0], STALE)]
        yield Series(labels=(("__name__", "errors_total"), ("pod", pod)), samples=failed)
    latency = [(at, math.nan if draw.random() < 0.02 else draw.choice([0.1, 0.1, 0.1, 0.7])) for at in times]
    slow = draw.randrange(count - 60)
    latency[slow : slow + 20] = [(at, 0.9) for at, _ in latency[slow : slow + 20]]
    yield Series(labels=(("__name__", "latency_seconds"),), samples=latency)
    up = [(at, 1.0) for number, at in enumerate(times) if number not in dark]
    gone = draw.randrange(10, len(up) - 80)
    yield Series(labels=(("__name__", "up"),), samples=[*up[:gone], (up[gone][0], STALE), *up[gone + 40 :]])
    yield Series(
        labels=(("__name__", "queue_length"),),
        samples=[(at, float(share[number] > 0.2)) for number, at in enumerate(times)],
    )


def write(url, message):
    """Write a message of remote write to any server that takes one."""
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
    urllib.request.urlopen(urllib.request.Request(f"{url}/api/v1/write", snappy(message), headers), timeout=60).close()


def source_of(url, **changes):
    endpoint = Endpoint(name="prometheus", url=url, timeout=timedelta(minutes=1), **changes)
    return PrometheusSource(endpoint, SystemClock(), Unheard(), patience=timedelta(minutes=2))


def policy_of(directory: Path, text=RULES):
    path = directory / "rules.yaml"
    path.write_text(text)
    loaded = load([path], action_types=registry.settings_types())
    assert loaded.policy, [problem.render() for problem in loaded.problems]
    return loaded.policy


def played(policy, url, *, hours, skips=True, deploys=(), step=None, heard=None, start=START, end=None, **changes):
    """Play a policy over the past; what was counted, and the player."""
    end = end or START + timedelta(hours=hours)
    planned = plan(policy, start, end, step=step)
    results = Results(
        start=start,
        end=end,
        rules={rule: RuleResult() for rule in planned.policy.rules},
        guards={guard: GuardResult() for guard in planned.policy.guards},
    )
    orders = orders_of(list(deploys), planned.policy, start, end)
    player = Player(policy=planned.policy, results=results, orders=orders, began=planned.began, skips=skips)
    if heard is not None:
        recorded = player.replay._heard
        player.replay._heard = lambda records: (heard.extend(records), recorded(records))
    sources = {"prometheus": source_of(url, **changes)}
    with History(tuple(planned.policy.groups.values()), sources, SystemClock(), start=start, end=end) as history:
        for stretch in history.stretches():
            player.play(stretch)
    return results, player


class Gate:
    """A way to a real Prometheus on which a test can stand in the way.

    Attributes:
        asked: The range queries that came, as the parameters of their form.
        answer: Returns a status and an envelope in place of the server's, or nothing to let the question through.
    """

    def __init__(self, url):
        self.asked = []
        self.answer = lambda asked: None
        gate = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                asked = dict(urllib.parse.parse_qsl(body.decode()))
                if "step" in asked:
                    gate.asked.append(asked)
                answer = gate.answer(asked)
                if answer is DROPPED:
                    self.close_connection = True
                    return
                status, told = (answer[0], json.dumps(answer[1]).encode()) if answer else through(self.path, body)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)

            def log_message(self, *args):
                pass

        def through(path, body):
            try:
                with urllib.request.urlopen(url + path, body, timeout=60) as answer:
                    return answer.status, answer.read()
            except urllib.error.HTTPError as error:
                return error.code, error.read()

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


DROPPED = object()
"""The connection ends without an answer."""


def slots_of(asked):
    """Return for how many instants a range query asks."""
    return round((float(asked["end"]) - float(asked["start"])) / float(asked["step"])) + 1
