"""`rollback-guard check --online`: what only the Prometheus can know is found where it is, and nowhere else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from contracts.prometheus_server import FaultyServer, healthy, is_range, matrix, vector
from installed import PROMETHEUS
from loopback import free_port
from real_prometheus import RealPrometheus
from rollback_guard.adapters.actions import registry
from rollback_guard.adapters.clock import SystemClock
from rollback_guard.cli import main
from rollback_guard.config.load import load
from rollback_guard.workbench.online import NotOnlineError, examine

GENEROUS_S = 60
ERROR, WARNING, NOTICE = "error", "warning", "notice"

EXPOSED = b"""\
# TYPE shop_requests_total counter
shop_requests_total{code="200"} 500
shop_requests_total{code="404"} 5
# TYPE shop_depth gauge
shop_depth{queue="mail"} 3
# TYPE shop_queue_depth gauge
shop_queue_depth 3
# TYPE shop_seats_total gauge
shop_seats_total 40
# TYPE sold_in_progress counter
sold_in_progress 7
# TYPE shop_latency_seconds histogram
shop_latency_seconds_bucket{le="0.1"} 5
shop_latency_seconds_bucket{le="+Inf"} 9
shop_latency_seconds_sum 2
shop_latency_seconds_count 9
"""

NONE: set[tuple[str, str]] = set()
ABSENT = ("online-unknown-now", NOTICE)
REQUESTS = 'sum(rate(shop_requests_total{job="target"}[10s]))'

RULES = {
    # the server takes it, and all is well
    "Fine": ({"expr": f"{REQUESTS} > 1e6"}, NONE),
    "FineRatio": ({"expr": 'sum(rate(shop_requests_total{code="404"}[10s])) / sum(shop_depth) > 1e6'}, NONE),
    "FineQuantile": ({"expr": "histogram_quantile(0.9, sum by (le) (rate(shop_latency_seconds_bucket[10s]))) > 60"}, {ABSENT}),
    # it does not take it
    "Unknown": (
        {"expr": f"{REQUESTS} > 1 and double_exponential_smoothing(shop_depth[5m], 0.5, 0.5) > 1"},
        {("online-syntax", ERROR)},
    ),
    "UnknownWhen": (
        {"expr": f"{REQUESTS} > 1e6", "when": "double_exponential_smoothing(shop_depth[5m], 0.5, 0.5) > 1"},
        {("online-syntax", ERROR)},
    ),
    "ManyToMany": ({"expr": "shop_requests_total / on (job) shop_requests_total > 1"}, {("online-query-error", ERROR)}),
    # selectors
    "Never": ({"expr": "sum(rate(shop_requets_total[10s])) > 1"}, {("online-never", WARNING)}),
    "WrongValue": ({"expr": 'sum(shop_depth{queue="mial"}) > 9'}, {("online-no-match", WARNING)}),
    "WrongLabel": ({"expr": 'sum(shop_depth{queu="mail"}) > 9'}, {("online-no-match", WARNING)}),
    "SwappedLabel": ({"expr": 'sum(shop_depth{jbo="target"}) > 9'}, {("online-no-match", WARNING)}),
    "WrongPair": ({"expr": 'sum(shop_depth{queue="mail", job="batch"}) > 9'}, {("online-no-match", WARNING)}),
    "Gone": ({"expr": "sum(old_total) < 3"}, {("online-gone", WARNING)}),
    "NotYet": (
        {"expr": "sum(shop_depth) / sum(shop_depth offset 1w) > 9"},
        {("online-no-history", WARNING)},
    ),
    "NeverWhen": (
        {"expr": f"{REQUESTS} > 1e6", "when": "sum(rate(shop_requests_totl[10s])) > 1"},
        {("online-never", WARNING)},
    ),
    "NoErrorYet": (
        {"expr": f'sum(rate(shop_requests_total{{job="target", code=~"5.."}}[10s])) / {REQUESTS} > 1e6'},
        {("online-no-match", NOTICE), ABSENT},
    ),
    "NoPast": (
        {"expr": f"{REQUESTS} > 1e6 * {REQUESTS.replace('[10s]', '[10s] offset 1w')}"},
        {("online-no-history", WARNING)},
    ),
    "RatioOfNothing": (
        {"expr": 'sum(rate(shop_requests_total{job="shop", code=~"5.."}[10s])) / sum(rate(shop_requests_total{job="shop"}[10s])) > 1'},
        {("online-no-match", WARNING)},
    ),
    "NoAlerts": ({"expr": 'ALERTS{alertname="Elsewhere"} > 0'}, {ABSENT, ("online-never", NOTICE)}),
    # how much comes back
    "Many": ({"expr": "many > 1e9"}, {("online-many-series", WARNING)}),
    "NotSoMany": ({"expr": 'many{n=~"1.*"} > 1e9'}, NONE),
    # how often samples come
    "Short": ({"expr": "sum(rate(shop_requests_total[1s])) > 1e6"}, {("online-short-range", WARNING)}),
    "Tight": ({"expr": "sum(increase(shop_requests_total[3s])) > 1e6"}, {("online-short-range", NOTICE)}),
    "ShortOfBatch": ({"expr": "sum(rate(batch_total[20s])) > 1e6"}, {("online-short-range", WARNING)}),
    "NoneAtTimes": ({"expr": "max(max_over_time(batch_total[10s])) > 1e6"}, {("online-short-range", WARNING)}),
    "OneIsEnough": ({"expr": "max(max_over_time(shop_depth[1s])) > 9"}, NONE),
    "Impatient": ({"expr": "sum(shop_depth) > 9", "max_age": "1s"}, {("online-max-age", WARNING)}),
    # types
    "RateOfGauge": ({"expr": "sum(rate(shop_depth[10s])) > 9"}, {("online-rate-of-gauge", WARNING)}),
    "RawCounter": ({"expr": "sum(shop_requests_total) > 1e6"}, {("online-raw-counter", WARNING)}),
    "IncreaseByHand": ({"expr": "sum(shop_requests_total) - sum(shop_requests_total offset 2s) > 1e6"}, NONE),
    "CountOfCounters": ({"expr": "count(shop_requests_total) > 1e6"}, NONE),
    "ResetsOfGauge": ({"expr": "sum(resets(shop_depth[10s])) > 9"}, NONE),
    "NoHistogram": (
        {"expr": "histogram_quantile(0.9, shop_depth) > 9"},
        {("online-no-histogram", WARNING), *([("online-unknown-now", NOTICE)] if PROMETHEUS >= (3,) else [])},
    ),
    # the present
    "Breach": ({"expr": "sum(shop_depth) > 2.5", "for": "10m"}, {("online-breaches-now", NOTICE)}),
    "Absent": ({"expr": 'absent(up{job="gone"})'}, {("online-breaches-now", NOTICE), ("online-no-match", WARNING)}),
}  # fmt: skip


class Exposition(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(EXPOSED)))
        self.end_headers()
        self.wfile.write(EXPOSED)

    def log_message(self, *_):
        pass


@cache
def began() -> datetime:
    """Return when these tests began, which may be long after the file was read."""
    return datetime.now(UTC)


def samples(*, end: datetime, spacing: timedelta = timedelta(seconds=15), count: int = 60):
    return [(end - spacing * place, float(count - place)) for place in range(count, 0, -1)]


def stored():
    series = {f'many{{n="{number}"}}': samples(end=began(), count=4) for number in range(201)}
    series |= {f'batch_total{{job="batch",shard="{number}"}}': samples(end=began()) for number in range(2)}
    return series | {'old_total{job="batch"}': samples(end=began() - timedelta(days=2))}


def ask(url: str, query: str):
    data = urllib.parse.urlencode({"query": query}).encode()
    with urllib.request.urlopen(f"{url}/api/v1/query", data, timeout=5) as answer:
        return json.load(answer)["data"]["result"]


def wait_for(what, condition):
    deadline = time.monotonic() + GENEROUS_S
    while not condition():
        assert time.monotonic() < deadline, what
        threading.Event().wait(0.05)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    target = ThreadingHTTPServer(("127.0.0.1", 0), Exposition)
    serving = threading.Thread(target=target.serve_forever, daemon=True)
    serving.start()
    made = RealPrometheus(tmp_path_factory.mktemp("prometheus"), targets=[f"127.0.0.1:{target.server_port}"])
    try:
        with made.load(stored()) as server:
            scraped = "min(count_over_time(shop_requests_total[1m])) >= 4"
            wait_for("four scrapes", lambda: ask(server.url, scraped))
            yield server
    finally:
        target.shutdown()
        target.server_close()
        serving.join()


@pytest.fixture(scope="module")
def victoria(tmp_path_factory):
    binary = shutil.which("victoria-metrics")
    if binary is None:
        pytest.skip("victoria-metrics is not installed")
    port, directory = free_port(), tmp_path_factory.mktemp("victoria")
    url = f"http://127.0.0.1:{port}"
    words = [binary, f"-httpListenAddr=127.0.0.1:{port}", f"-storageDataPath={directory}", "-retentionPeriod=10y"]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        wait_for("the server", lambda: answers(f"{url}/health"))
        until = datetime.now(UTC) + timedelta(minutes=5)  # the present goes on while the tests are running
        series = {f'{name}{{job="shop"}}': samples(end=until) for name in ("up", "shop_requests_total")}
        lines = [f"{name} {value} {at.timestamp() * 1000:.0f}" for name, all_ in series.items() for at, value in all_]
        urllib.request.urlopen(f"{url}/api/v1/import/prometheus", "\n".join(lines).encode(), timeout=5).close()
        urllib.request.urlopen(f"{url}/internal/force_flush", timeout=5).close()
        wait_for("the samples", lambda: ask(url, "count(up)"))
        yield url
    finally:
        process.terminate()
        process.wait(20)


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=1).close()
    except OSError:
        return False
    return True


def write(directory: Path, rules, **group) -> Path:
    """Write a rule file with one rule on each line, from the sixth on."""
    head = json.dumps(group or {"interval": "15s"})[1:-1]
    lines = [json.dumps({"alert": name, **rule}) for name, rule in rules.items()]
    text = f"groups:\n  - name: shop\n    {head.replace(', ', chr(10) + '    ')}\n    labels: {{service: shop}}\n    rules:\n"
    path = directory / "rules.yaml"
    path.write_text(text + "".join(f"      - {line}\n" for line in lines))
    return path


def configure(directory: Path, url: str, *more: str) -> Path:
    lines = ['[guard]\nrules = ["rules.yaml"]', f'[prometheus]\nurl = "{url}"\ntimeout = "500ms"', *more]
    (directory / "guard.toml").write_text("\n".join(lines))
    return directory / "guard.toml"


def loaded(*paths: Path):
    found = load(paths, action_types=registry.settings_types(), lint=True)
    assert found.policy is not None, [problem.render() for problem in found.problems]
    return found


def look(path: Path, url: str | None = None, **options):
    return asyncio.run(examine(loaded(path), clock=SystemClock(), prometheus=url, **options))


def by_rule(path: Path, report):
    """Return the findings by the rules that have them: that on whose line they stand, and those that are named."""
    lines = path.read_text().splitlines()
    found = {}
    for problem in report.problems:
        name = json.loads(lines[problem.line - 1].strip().removeprefix("- "))["alert"]
        for each in (name, *(other.rule for other in problem.also)):
            found.setdefault(each, []).append(problem)
    return found


def the(report, id_):
    (found,) = [problem for problem in report.problems if problem.id == id_]
    return found


@dataclass(frozen=True)
class Ran:
    returncode: int
    stdout: str
    stderr: str


def check(*words, cwd) -> Ran:
    with contextlib.chdir(cwd):
        result = CliRunner().invoke(main, ["check", *words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)


@pytest.fixture(scope="module")
def examined(prometheus, tmp_path_factory):
    path = write(tmp_path_factory.mktemp("rules"), {name: rule for name, (rule, _) in RULES.items()})
    report = look(path, prometheus.url)
    assert report.is_reached
    return by_rule(path, report), report


@pytest.mark.parametrize("name", RULES)
def test_each_finding_is_where_it_should_be_and_no_other_is_there(examined, name):
    found = {(problem.id, problem.severity.value) for problem in examined[0].get(name, ())}
    _, expected = RULES[name]
    assert found == expected, [problem.render() for problem in examined[0].get(name, ())]


def said(examined, name, id_):
    (problem,) = [each for each in examined[0][name] if each.id == id_]
    return f"{problem.message}\n{problem.hint}"


def test_the_words_say_what_to_do(examined):
    refused = "is not enabled" if PROMETHEUS >= (3,) else "unknown function with name"
    words = said(examined, "Unknown", "online-syntax")
    assert refused in words
    assert '"double_exponential_smoothing"' in words
    assert "many-to-many" in said(examined, "ManyToMany", "online-query-error")
    assert "Did you mean `shop_requests_total`?" in said(examined, "Never", "online-never")
    assert "can never fire" in said(examined, "Never", "online-never")
    assert "Did you mean `mail`? The values of `queue` are `mail`." in said(examined, "WrongValue", "online-no-match")
    assert "Did you mean `queue`?" in said(examined, "WrongLabel", "online-no-match")
    assert "Did you mean `job`?" in said(examined, "SwappedLabel", "online-no-match")
    assert "The values of `job` are `target`" in said(examined, "WrongPair", "online-no-match")
    until = began() - timedelta(days=2, seconds=15)
    assert f"it was there until {until:%Y-%m-%d %H:%M} UTC" in said(examined, "Gone", "online-gone")
    assert "That is 2d ago" in said(examined, "Gone", "online-gone")
    assert "was not 1w ago" in said(examined, "NotYet", "online-no-history")
    assert "`when` never holds" in said(examined, "NeverWhen", "online-never")
    assert "The values of `code` are `200`, `404`." in said(examined, "NoErrorYet", "online-no-match")
    assert "201 series come back" in said(examined, "Many", "online-many-series")
    assert "has a sample every 1s: write [4s] or more" in said(examined, "Short", "online-short-range")
    assert "has a sample every 15s: write [1m] or more" in said(examined, "ShortOfBatch", "online-short-range")
    assert "value 3 > 2.5" in said(examined, "Breach", "online-breaches-now")
    assert "lasted for 10m" in said(examined, "Breach", "online-breaches-now")


def test_a_finding_stands_at_the_part_of_the_expression_that_it_is_about(examined):
    for name, id_, part in (
        ("Unknown", "online-syntax", "double_exponential_smoothing"),
        ("Never", "online-never", "shop_requets_total"),
        ("NotYet", "online-no-history", "shop_depth offset 1w"),
        ("NeverWhen", "online-never", "shop_requests_totl"),
    ):
        (problem,) = [each for each in examined[0][name] if each.id == id_]
        line, caret = problem.excerpt.splitlines()
        assert line[caret.index("^") :].startswith(part), problem.render()


def test_the_server_is_named_with_its_version_and_asked_each_question_once(examined):
    (server,) = examined[1].servers
    assert server.version.startswith(".".join(map(str, PROMETHEUS)))
    assert [each for each in server.not_asked if "PromQL warning: bucket label" not in each] == []
    assert server.rules == len(RULES)
    pieces = 20 if PROMETHEUS >= (3,) else 0  # it warns of one query, and those that were asked with it are asked again
    assert server.questions < 5 * len(RULES) + pieces


def test_a_limit_of_the_group_is_what_many_is_held_against(prometheus, tmp_path):
    path = write(tmp_path, {"Many": {"expr": "many > 1e9"}}, interval="15s", limit=300)
    assert look(path, prometheus.url).problems == ()
    path = write(tmp_path, {"Few": {"expr": "shop_requests_total offset 1ms > 1e9"}}, interval="15s", limit=1)
    assert (
        "2 series come back, and the group's limit is 1"
        in the(look(path, prometheus.url), "online-many-series").message
    )


def test_a_metric_that_a_recording_rule_of_the_files_makes_is_said_to_be_so(prometheus, tmp_path):
    path = write(tmp_path, {"Recorded": {"expr": "shop:requests:rate5m > 9"}})
    with path.open("a") as file:
        file.write("      - {record: 'shop:requests:rate5m', expr: 'sum(rate(shop_requests_total[5m]))'}\n")
    assert "load them into the Prometheus too" in the(look(path, prometheus.url), "online-never").hint


def test_a_selector_without_a_name_is_looked_for_too(prometheus, tmp_path):
    rules = {
        "Wrong": {"expr": 'count({job="target", queue="mial"}) > 9'},
        "There": {"expr": 'count({__name__=~"shop_.*", queue="mail"}) > 9'},
        "NoSuchName": {"expr": 'count({__name__=~"shp_.*"}) > 9'},
    }
    path = write(tmp_path, rules)
    told = {name: {each.id for each in its} for name, its in by_rule(path, look(path, prometheus.url)).items()}
    assert told == {
        "Wrong": {"online-no-match"},
        "NoSuchName": {"online-never"},
    }


MISTYPED = 'sum(rate(shop_requets_total{job="target"}[%s])) > 1'


def test_what_several_rules_share_is_told_once_and_names_them(prometheus, tmp_path):
    rules = {f"Uses{number}": {"expr": MISTYPED % f"{number + 20}s"} for number in range(8)}
    rules["Depth"] = {"expr": "sum(shop_depth) > 9"}
    report = look(write(tmp_path, rules), prometheus.url)
    problem = the(report, "online-never")
    assert report.problems == (problem,)
    assert problem.line == 6
    assert [(it.rule, it.line) for it in problem.also] == [(f"Uses{number}", 6 + number) for number in range(1, 8)]
    assert {it.column for it in problem.also} == {problem.column}
    told = problem.render().splitlines()[-1]
    named = ", ".join(f"`Uses{number}` (line {6 + number})" for number in range(1, 6))
    assert told.endswith(f"The same in 7 other rules: {named} and 2 more.")
    assert "Did you mean `shop_requests_total`?" in told


def test_a_metric_that_is_not_there_is_told_once_however_its_series_are_chosen(prometheus, tmp_path):
    rules = {
        "Ratio": {"expr": 'sum(rate(nothing_total{code=~"5.."}[1m])) / sum(rate(nothing_total[1m])) > 0.1'},
        "Slow": {"expr": 'sum(rate(nothing_total{job="target"}[1m])) > 9'},
    }
    problem = the(look(write(tmp_path, rules), prometheus.url), "online-never")
    assert "there is no metric `nothing_total`" in problem.message
    assert (problem.line, [it.rule for it in problem.also]) == (6, ["Slow"])


def test_what_several_rules_share_is_told_where_it_is_worst(prometheus, tmp_path):
    missing = 'sum(rate(shop_requests_total{code="500"}[10s]))'
    rules = {"Ratio": {"expr": f"{missing} / {REQUESTS} > 1e6"}, "Alone": {"expr": f"{missing} > 1e6"}}
    problem = the(look(write(tmp_path, rules), prometheus.url), "online-no-match")
    assert (problem.severity, problem.line) == (WARNING, 7)
    assert [(it.rule, it.line) for it in problem.also] == [("Ratio", 6)]
    assert problem.render().endswith("The same in 1 other rule: `Ratio` (line 6).")


def test_what_the_first_of_several_rules_has_switched_off_is_told_at_the_next(prometheus, tmp_path):
    path = write(tmp_path, {name: {"expr": MISTYPED % "20s"} for name in ("First", "Second", "Third")})
    ignore = "      # rollback-guard: ignore=online-never (not deployed yet)\n      - "
    path.write_text(path.read_text().replace("      - ", ignore, 1))
    problem = the(look(path, prometheus.url), "online-never")
    assert (problem.line, [it.rule for it in problem.also]) == (8, ["Third"])


def test_programs_are_told_of_all_rules_and_github_once(prometheus, tmp_path):
    write(tmp_path, {name: {"expr": MISTYPED % "1m"} for name in ("First", "Second", "Third")})
    online = ("rules.yaml", "--online", "--prometheus", prometheus.url, "--output")
    (found,) = json.loads(check(*online, "json", cwd=tmp_path).stdout)["problems"]
    assert found["id"] == "online-never"
    column = found["column"]
    assert found["also"] == [
        {"rule": "Second", "path": "rules.yaml", "line": 7, "column": column + 1},
        {"rule": "Third", "path": "rules.yaml", "line": 8, "column": column},
    ]
    (annotation,) = check(*online, "github", cwd=tmp_path).stdout.splitlines()
    assert annotation.endswith("The same in 2 other rules: `Second` (line 7), `Third` (line 8).")


def test_a_lint_that_goes_by_names_is_silent_where_the_server_knows(prometheus, tmp_path):
    rules = {
        "Gauge": {"expr": "sum(rate(shop_queue_depth[10s])) > 9"},
        "Counter": {"expr": 'sum(shop_requests_total{job="target"}) > 1e6'},
        "CounterAfterAll": {"expr": "sum(rate(sold_in_progress[10s])) > 1e6"},
        "GaugeAfterAll": {"expr": "max(shop_seats_total) > 1e6"},
        "Short": {"expr": "sum(rate(shop_requests_total[10s])) > 0 and sum(rate(shop_requests_total[1s])) > 1e6"},
        "LongEnough": {"expr": "sum(rate(shop_requests_total[10s])) > 1e6"},
        "Unasked": {"expr": "sum(rate(elsewhere_total[10s])) > 1e6"},
    }
    guesses = {
        "Gauge": {"rate-of-gauge", "short-range"},
        "Counter": {"raw-counter"},
        "CounterAfterAll": {"rate-of-gauge", "short-range"},
        "GaugeAfterAll": {"raw-counter"},
        "Short": {"short-range"},
        "LongEnough": {"short-range"},
        "Unasked": {"short-range"},
    }
    known = {
        "Gauge": {"online-rate-of-gauge"},
        "Counter": {"online-raw-counter"},
        "Short": {"online-short-range"},
        "Unasked": {"online-never", "short-range"},
    }
    path = write(tmp_path, rules)
    online = ("--online", "--prometheus", prometheus.url)
    for words, expected in (((), guesses), (online, known)):
        problems = json.loads(check("rules.yaml", *words, "--output", "json", cwd=tmp_path).stdout)["problems"]
        told: dict[str, set[str]] = {}
        for problem in problems:
            name = list(rules)[problem["line"] - 6]
            told.setdefault(name, set()).add(problem["id"])
        assert {
            name: ids - {"online-unknown-now"} for name, ids in told.items() if ids - {"online-unknown-now"}
        } == expected
    assert path.exists()


def test_a_lint_that_goes_by_names_speaks_where_the_server_does_not_know(tmp_path):
    write(tmp_path, {"Raw": {"expr": "sum(x_total) > 9"}})
    with FaultyServer(healthy()) as server:
        ran = check("rules.yaml", "--online", "--prometheus", server.url, cwd=tmp_path)
    assert "(raw-counter)" in ran.stdout


def test_a_pattern_that_matches_nothing_is_told_once(prometheus, tmp_path):
    write(tmp_path, {"Pattern": {"expr": 'sum(rate(shop_requests_total{code=~"5"}[1m])) > 1e6'}})
    ran = check("rules.yaml", "--online", "--prometheus", prometheus.url, "--output", "json", cwd=tmp_path)
    assert [each["id"] for each in json.loads(ran.stdout)["problems"]] == ["online-no-match"]


def test_what_whoever_checks_passes_over_is_passed_over_online_too(prometheus, tmp_path):
    write(tmp_path, {"Never": {"expr": MISTYPED % "20s"}})
    words = ("rules.yaml", "--online", "--strict", "--prometheus", prometheus.url)
    assert check(*words, cwd=tmp_path).returncode == 1
    ran = check(*words, "--ignore", "online-never", "--ignore", "short-range", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (0, "")


def test_two_hundred_rules_are_asked_about_in_less_than_a_minute(prometheus, tmp_path):
    rules = {f"R{number}": {"expr": f'sum(rate(batch_total{{shard!="{number}"}}[1m])) > 1e6'} for number in range(200)}
    report = look(write(tmp_path, rules), prometheus.url)
    assert (
        report.servers[0].not_asked == ("the types of metrics: the server declares none",)
        or report.servers[0].not_asked == ()
    )
    assert report.servers[0].took < timedelta(minutes=1)
    assert report.servers[0].questions < 800


def test_what_there_was_no_time_for_is_said(prometheus, tmp_path):
    path = write(tmp_path, {"Fine": {"expr": f"{REQUESTS} > 1e6"}})

    class Hurried(SystemClock):
        """A clock on which each look takes half a second."""

        passed = timedelta(0)

        def elapsed(self):
            Hurried.passed += timedelta(milliseconds=500)
            return super().elapsed() + Hurried.passed

    report = asyncio.run(
        examine(loaded(path), clock=Hurried(), prometheus=prometheus.url, time_limit=timedelta(seconds=9))
    )
    assert report.is_reached
    assert any("left when the time was over" in line for line in report.servers[0].not_asked)
    assert report.problems == ()


def slow(seconds: float):
    answer = healthy()

    def behave(talk, request):
        if "stats" in request.form and "lazy" in request.form["query"]:
            talk.stopping.wait(seconds)
        answer(talk, request)

    return behave


def test_a_query_that_takes_more_than_a_fifth_of_the_interval_is_told(tmp_path):
    rules = {"Lazy": {"expr": "sum(lazy) > 9"}, "Quick": {"expr": "sum(quick) > 9"}}
    with FaultyServer(slow(1.1)) as server:
        path = write(tmp_path, rules, interval="5s")
        report = look(path, server.url)
    (problem,) = [each for each in report.problems if each.id == "online-slow-query"]
    assert "and is asked every 5s" in problem.message
    assert problem in by_rule(path, report)["Lazy"]


def test_a_query_that_times_out_is_told_and_the_others_are_asked(tmp_path):
    write(tmp_path, {"Lazy": {"expr": "sum(lazy) > 9"}, "Quick": {"expr": "sum(quick) > 9"}})
    with FaultyServer(slow(GENEROUS_S)) as server:
        report = look(configure(tmp_path, server.url))
    assert report.is_reached
    assert "no answer within the time-out of 500ms" in the(report, "online-slow-query").message


@pytest.mark.parametrize(("ahead_s", "words"), [(0, None), (1, None), (30, "ahead of"), (-30, "behind")])
def test_a_server_whose_clock_is_off_is_told_at_its_address(tmp_path, ahead_s, words):
    def behave(talk, request):
        at = datetime.now(UTC) + timedelta(seconds=ahead_s)
        talk.say(vector([{"metric": {}, "value": [0, "1"]}]), Date=format_datetime(at, usegmt=True))

    write(tmp_path, {"Fine": {"expr": "sum(shop) > 9"}})
    with FaultyServer(behave) as server:
        report = look(configure(tmp_path, server.url))
    found = [problem for problem in report.problems if problem.id == "online-clock"]
    assert [words in problem.message for problem in found] == ([True] if words else [])
    assert all((problem.path.endswith("guard.toml"), problem.line) == (True, 4) for problem in found)


def test_a_server_without_a_heartbeat_is_told_once(prometheus, tmp_path):
    write(
        tmp_path,
        {"Fine": {"expr": f"{REQUESTS} > 1e6"}, "Wrong": {"expr": "nothing(shop_depth) > 1 and shop_depth > 1"}},
    )
    (tmp_path / "rules.yaml").write_text(
        (tmp_path / "rules.yaml")
        .read_text()
        .replace("nothing(", "double_exponential_smoothing(")
        .replace("(shop_depth)", "(shop_depth[1m], 0.5, 0.5)")
    )
    report = look(configure(tmp_path, prometheus.url, 'heartbeat = "count(nobody_has_this)"'))
    assert "is answered with nothing" in the(report, "online-heartbeat").message
    assert {problem.id for problem in report.problems} == {"online-heartbeat", "online-syntax"}


def test_each_group_asks_its_own_data_source(prometheus, tmp_path):
    path = write(tmp_path, {"There": {"expr": "sum(shop_depth) > 9"}}, interval="15s", datasource="other")
    with FaultyServer(healthy()) as unasked:
        config = configure(tmp_path, unasked.url, f'[datasources.other]\nurl = "{prometheus.url}"')
        report = look(config)
        assert unasked.requests == []
    assert report.problems == ()
    assert [server.name for server in report.servers] == ["other"]
    assert path.exists()


def test_victoria_metrics_is_asked_only_for_what_it_has(victoria, tmp_path):
    rules = {
        "Fine": {"expr": 'sum(rate(shop_requests_total{job="shop"}[1m])) > 1e6'},
        "FineToo": {"expr": 'sum(rate(shop_requests_total{job="shop"}[2m])) > 1e6'},
        "Raw": {"expr": "sum(shop_requests_total) > 1e6"},
        "Quantile": {"expr": "histogram_quantile(0.9, shop_requests_total) > 1e6"},
        "Never": {"expr": "sum(shop_requets_total) > 1e6"},
        "Value": {"expr": 'sum(shop_requests_total{job="shp"}) > 1e6'},
        "Short": {"expr": "sum(increase(shop_requests_total[20s])) > 1e6"},
    }
    path = write(tmp_path, rules)
    report = look(path, victoria)
    found = by_rule(path, report)
    told = {name: {problem.id for problem in its} - {"online-unknown-now"} for name, its in found.items()}
    assert {name: ids for name, ids in told.items() if ids} == {
        "Never": {"online-never"},
        "Value": {"online-no-match"},
        "Short": {"online-short-range"},
    }, [problem.render() for problem in report.problems]
    assert report.servers[0].not_asked == ("the types of metrics: the server declares none",)


def test_a_query_that_victoria_metrics_does_not_know_harms_no_other(victoria, tmp_path):
    rules = {
        "Fine": {"expr": "sum(shop_requests_total) > 1e6"},
        "Unknown": {"expr": "info(shop_requests_total) > 1e9"},
    }
    found = by_rule(write(tmp_path, rules), look(tmp_path / "rules.yaml", victoria))
    told = [problem.render() for its in found.values() for problem in its]
    assert {name: [problem.id for problem in its] for name, its in found.items()} == {"Unknown": ["online-syntax"]}, (
        told
    )


def test_a_server_that_hangs_ends_with_3_and_says_so(tmp_path):
    with RealPrometheus(tmp_path / "p") as server:
        server.pause()
        write(tmp_path, {"Fine": {"expr": "sum(shop) > 9"}})
        configure(tmp_path, server.url)
        ran = check("--online", cwd=tmp_path)
        server.resume()
    assert ran.returncode == 3
    assert f"{server.url} cannot be asked: timeout" in ran.stderr


def test_a_server_that_falls_silent_in_the_middle_is_given_up(tmp_path):
    asked = []

    def behave(talk, request):
        asked.append(request)
        if len(asked) > 3:
            talk.keep_silent()
        healthy()(talk, request)

    rules = {f"R{number}": {"expr": f"sum(rate(shop{number}_total[1m])) > 9"} for number in range(40)}
    write(tmp_path, rules)
    with FaultyServer(behave) as server:
        report = look(configure(tmp_path, server.url))
    assert report.servers[0].took < timedelta(seconds=GENEROUS_S / 2)
    assert len(asked) < 60
    topics = " ".join(report.servers[0].not_asked)
    assert "selectors" in topics
    assert "cost" in topics
    assert not any(problem.severity.value == ERROR for problem in report.problems)


def drips(talk):
    talk.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{")
    talk.drip(b" ")


@pytest.mark.parametrize(
    "misbehave",
    [
        drips,
        lambda talk: talk.say(b" " * 2000),
        lambda talk: talk.say("", status=302, Location="http://elsewhere.example/"),
        lambda talk: talk.say({"status": "success", "data": {"x_total": "no list", "activeTargets": [1, {}]}}),
        lambda talk: talk.say({"status": "success", "data": [[], 7]}),
        lambda talk: talk.hang_up(),
    ],
    ids=["drips", "too large", "redirects", "wrong shape", "wrong list", "hangs up"],
)
def test_where_the_rest_of_the_api_misbehaves_nothing_is_made_up(tmp_path, misbehave):
    def behave(talk, request):
        if request.line.startswith("GET"):
            misbehave(talk)
        elif is_range(request):
            talk.say(matrix([]))
        else:
            healthy(lambda query: None if "typo" in query else "1")(talk, request)

    write(tmp_path, {"Fine": {"expr": "sum(rate(x_total[1m])) > 9"}, "Typo": {"expr": "sum(typo_total) > 9"}})
    with FaultyServer(behave) as server:
        report = look(configure(tmp_path, server.url, "max_response_bytes = 1024"))
    assert report.is_reached
    assert {problem.id for problem in report.problems} == {"online-never", "online-unknown-now"}


@pytest.mark.parametrize(
    ("body", "options", "words"),
    [
        ("<html><title>Sign in</title></html>", {"Content_Type": "text/html"}, "not an answer of the query API"),
        ("", {"status": 302, "Location": "http://elsewhere.example/"}, "not followed"),
        ("<html>bad gateway</html>", {"status": 502, "Content_Type": "text/html"}, "HTTP 502"),
    ],
)
def test_what_is_no_prometheus_ends_with_3_and_says_why(tmp_path, body, options, words):
    write(tmp_path, {"Fine": {"expr": "sum(shop) > 9"}})
    with FaultyServer(lambda talk, request: talk.say(body, **options)) as server:
        configure(tmp_path, server.url)
        ran = check("--online", cwd=tmp_path)
    assert ran.returncode == 3
    assert words in ran.stderr


def test_what_the_files_alone_tell_is_printed_also_when_nobody_answers(tmp_path):
    write(tmp_path, {"Fine": {"expr": "sum(shop) > 9", "labels": {"severity": "blocker"}}})
    ran = check("rules.yaml", "--online", "--prometheus", f"http://127.0.0.1:{free_port()}", cwd=tmp_path)
    assert ran.returncode == 3
    assert "(severity-unknown)" in ran.stdout
    assert "Connection refused" in ran.stderr


@pytest.mark.promise(36)
def test_credentials_are_sent_with_every_question_and_never_shown(tmp_path):
    secret = "s3cr3t-0f-the-prometheus"
    (tmp_path / "token").write_text(secret)

    def behave(talk, request):
        if "/query" in request.line:
            talk.say({"status": "error", "errorType": "bad_data", "error": f"1:1: parse error: {request.headers}"}) if (
                "echo" in request.form["query"]
            ) else healthy()(talk, request)
        else:
            talk.say({"status": "success", "data": {"version": f"you said {request.headers}"}})

    write(tmp_path, {"Echo": {"expr": "rate(echo_total[1m]) > 9"}})
    with FaultyServer(behave) as server:
        configure(tmp_path, server.url, 'bearer_token_file = "token"')
        for output in ("human", "json", "github"):
            ran = check("--online", "--output", output, cwd=tmp_path)
            assert ran.returncode == 1
            assert secret not in ran.stdout + ran.stderr
            assert "<secret>" in ran.stdout
    assert {request.headers.get("authorization") for request in server.requests} == {f"Bearer {secret}"}
    assert any(request.line.startswith("GET") for request in server.requests)


def test_errors_of_the_files_end_with_4_and_nothing_is_asked(tmp_path):
    write(tmp_path, {"Wrong": {"expr": "sum("}})
    with FaultyServer(healthy()) as server:
        configure(tmp_path, server.url)
        ran = check("--online", cwd=tmp_path)
    assert ran.returncode == 4
    assert "nothing was asked" in ran.stderr
    assert server.requests == []


def test_the_exit_code_tells_findings_of_each_kind_apart(prometheus, tmp_path):
    online = ("rules.yaml", "--online", "--prometheus", prometheus.url)
    write(tmp_path, {"Fine": {"expr": 'sum(rate(shop_requests_total{job="target"}[1m])) > 1e6'}})
    ran = check(*online, "--strict", cwd=tmp_path)
    assert ran.returncode == 0
    assert f"version {'.'.join(map(str, PROMETHEUS))}" in ran.stderr
    write(tmp_path, {"Never": {"expr": 'sum(rate(shop_requets_total{job="target"}[1m])) > 1'}})
    assert check(*online, cwd=tmp_path).returncode == 0
    assert check(*online, "--strict", cwd=tmp_path).returncode == 1
    write(tmp_path, {"Broken": {"expr": "double_exponential_smoothing(shop_depth[5m], 0.5, 0.5) > 1"}})
    ran = check(*online, cwd=tmp_path)
    assert ran.returncode == 1
    assert ran.stderr.endswith("1 rule, 0 guards in 1 file: 1 error\n")


def test_the_findings_of_both_kinds_stand_in_the_order_of_the_files(prometheus, tmp_path):
    rules = {
        "Never": {"expr": 'sum(rate(shop_requets_total{job="target"}[1m])) > 1'},
        "Short": {"expr": "sum(rate(shop_depth_total[1ms])) > 1"},
    }
    write(tmp_path, rules)
    words = ("rules.yaml", "--online", "--prometheus", prometheus.url, "--output", "json")
    found = json.loads(check(*words, cwd=tmp_path).stdout)["problems"]
    assert [each["line"] for each in found] == sorted(each["line"] for each in found)
    assert {"online-never", "short-range"} <= {each["id"] for each in found}


def test_json_and_annotations_hold_the_findings_too(prometheus, tmp_path):
    write(tmp_path, {"Never": {"expr": 'sum(rate(shop_requets_total{job="target"}[1m])) > 1'}})
    online = ("rules.yaml", "--online", "--prometheus", prometheus.url)
    data = json.loads(check(*online, "--output", "json", cwd=tmp_path).stdout)
    assert "online-never" in {problem["id"] for problem in data["problems"]}
    (server,) = data["online"]
    assert server["reached"] is True
    assert server["url"] == prometheus.url
    annotations = check(*online, "--output", "github", cwd=tmp_path).stdout
    assert "::warning file=rules.yaml,line=6" in annotations
    assert "title=online-never" in annotations


def test_a_finding_can_be_switched_off_where_it_is(prometheus, tmp_path):
    path = write(tmp_path, {"Never": {"expr": 'sum(rate(shop_requets_total{job="target"}[1m])) > 1'}})
    ignore = "      # rollback-guard: ignore=online-never (not deployed yet)\n      - "
    path.write_text(path.read_text().replace("      - ", ignore))
    ran = check("rules.yaml", "--online", "--strict", "--prometheus", prometheus.url, cwd=tmp_path)
    assert "online-never" not in ran.stdout
    assert ran.returncode == 0, ran.stdout


def test_without_anybody_to_ask_it_is_a_matter_of_usage(tmp_path):
    write(tmp_path, {"Fine": {"expr": "sum(shop) > 9"}})
    for words in (
        ("rules.yaml", "--online"),
        ("rules.yaml", "--prometheus", "http://127.0.0.1:9"),
        ("rules.yaml", "--online", "--prometheus", "http://user:pass@127.0.0.1:9"),
        ("rules.yaml", "--online", "--prometheus", "127.0.0.1:9"),
    ):
        ran = check(*words, cwd=tmp_path)
        assert ran.returncode == 2, words
        assert "pass" not in ran.stderr.replace("password", "")
    with pytest.raises(NotOnlineError):
        look(tmp_path / "rules.yaml")
