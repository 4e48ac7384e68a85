"""A Prometheus of one's own: it starts, takes samples from any time, answers, and never outlives who started it."""

import math
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from installed import with_prometheus_2, with_prometheus_3
from rollback_guard.adapters.ephemeral import (
    STALE,
    EphemeralError,
    EphemeralPrometheus,
    PrometheusMissing,
    QueryRefused,
    Series,
    StartFailed,
    WriteRefused,
)
from rollback_guard.core.model import labels_of

GENEROUS_S = 30.0
PRESENT_MS = 1_700_000_000_000

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="prometheus is not installed (Debian: prometheus)"
)


def series(name, samples, **labels):
    return Series(labels=labels_of({"__name__": name, **labels}), samples=list(samples))


def eventually(holds):
    deadline = time.monotonic() + GENEROUS_S
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        threading.Event().wait(0.01)


@pytest.fixture(scope="module")
def server():
    with EphemeralPrometheus.start() as running:
        yield running


@needs_prometheus
class TestWhatIsWritten:
    def test_samples_from_all_times_are_taken_in_any_order_of_series(self, server):
        server.write([series("order", [(PRESENT_MS, 1)], at="present")])
        server.write([series("order", [(0, 2), (1, 3)], at="epoch"), series("order", [(-60_000, 4)], at="before")])
        assert server.query('order{at="present"}', PRESENT_MS)[0][1] == 1
        assert server.query('order{at="epoch"}', 0)[0][1] == 2
        assert server.query('order{at="epoch"}', 1)[0][1] == 3
        assert server.query('order{at="before"}', -60_000)[0][1] == 4

    @with_prometheus_2
    def test_samples_of_the_future_are_taken(self, server):
        server.write([series("future", [(4_000_000_000_000, 5)])])
        assert server.query("future", 4_000_000_000_000)[0][1] == 5

    @with_prometheus_3
    def test_samples_of_the_future_are_refused_in_the_words_of_the_server(self, server):
        with pytest.raises(WriteRefused, match="timestamp is too far in the future"):
            server.write([series("future", [(4_000_000_000_000, 5)])])

    def test_every_kind_of_value_comes_back(self, server):
        values = [0.0, -0.0, 0.1, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, math.nan]
        server.write([series("values", enumerate(values))])
        found = [server.query("values", at)[0][1] for at in range(len(values))]
        assert [struct.pack("d", each) for each in found[:-1]] == [struct.pack("d", each) for each in values[:-1]]
        assert math.isnan(found[-1])

    def test_a_stale_marker_ends_a_series_until_its_next_sample(self, server):
        server.write([series("ends", [(0, 1), (15_000, STALE), (30_000, math.nan)])])
        assert len(server.query("ends", 14_999)) == 1
        assert server.query("ends", 15_000) == []
        assert server.query("ends", 29_999) == []
        assert len(server.query("ends", 30_000)) == 1

    def test_labels_and_empty_labels_are_those_of_prometheus(self, server):
        server.write([series("labels", [(0, 1)], path='ä"\\\n', empty="")])
        assert server.query("labels", 0) == [(labels_of({"__name__": "labels", "path": 'ä"\\\n'}), 1.0)]

    def test_a_long_series_goes_in_several_requests(self, server):
        server.write([series("long", ((1000 * place, place) for place in range(120_000)))])
        assert server.query("count_over_time(long[120000s])", 119_999_000) == [((), 120_000.0)]

    def test_many_short_series_with_long_labels_go_in_several_requests(self, server):
        server.write(series("wide", [(0, 1)], number=f"{number:0500}") for number in range(5000))
        assert server.query("count(wide)", 0) == [((), 5000.0)]

    def test_a_series_goes_on_in_a_later_call(self, server):
        server.write([series("later", [(0, 1)])])
        server.write([series("later", [(1000, 2)])])
        assert server.query("sum_over_time(later[1m])", 1000) == [((), 3.0)]

    def test_many_threads_write_and_ask_at_once(self, server):
        def work(number):
            server.write([series("parallel", ((place, number) for place in range(2000)), number=str(number))])
            return server.query(f'parallel{{number="{number}"}}', 1999)[0][1]

        with ThreadPoolExecutor(16) as pool:
            assert list(pool.map(work, range(64))) == list(range(64))

    def test_a_name_that_is_no_plain_word_arrives_too(self, server):
        server.write([series("dots.in.name", [(0, 1)])])
        assert server.query('{__name__="dots.in.name"}', 0)[0][1] == 1

    def test_random_times_and_values_come_back(self, server):
        random_ = random.Random(7)
        times = sorted(random_.sample(range(-(10**9), PRESENT_MS), 50))
        samples = [(at, random_.uniform(-1e9, 1e9)) for at in times]
        server.write([series("random", samples)])
        assert [(at, server.query("random", at)[0][1]) for at in times] == samples

    @pytest.mark.parametrize("times", [[1, 0], [0, 0]])
    def test_samples_out_of_order_are_refused_before_they_are_sent(self, server, times):
        with pytest.raises(ValueError, match="are not in order"):
            server.write([series("disorder", [(at, 1) for at in times])])

    def test_what_the_server_refuses_is_said_in_its_words(self, server):
        server.write([series("late", [(1000, 1)])])
        with pytest.raises(WriteRefused, match="out of order"):
            server.write([series("late", [(0, 1)])])


@needs_prometheus
class TestWhatIsAsked:
    def test_a_scalar_is_one_sample_without_labels(self, server):
        assert server.query("time()", 1234) == [((), 1.234)]
        assert server.query("time()", -1234) == [((), -1.234)]
        assert server.query("1 / 0", 0) == [((), math.inf)]

    @pytest.mark.parametrize(
        ("expr", "says"),
        [
            ("x +", "parse error: unexpected end of input"),
            ('"text"', "gives a string: expected a vector or a scalar"),
            ("x[5m]", "gives a matrix: expected a vector or a scalar"),
            (
                "vector(1) * on () group_left () (vector(1) or label_replace(vector(1), 'a', 'b', '', ''))",
                "many-to-many",
            ),
        ],
    )
    def test_what_has_no_samples_for_an_answer_is_refused(self, server, expr, says):
        with pytest.raises(QueryRefused, match=says):
            server.query(expr, 0)


PARENT = """
import sys, threading
from rollback_guard.adapters.ephemeral import EphemeralPrometheus, Series
server = EphemeralPrometheus.start()
print(server.pid, server._keeper.process.pid, server._keeper.home, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def parent(tmp_path):
    """Return a process with a server, the server's process, its keeper's, and its directory."""
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    pid, keeper, home = process.stdout.readline().decode().split()
    running = psutil.Process(int(pid)), psutil.Process(int(keeper))
    yield process, *running, Path(home)
    for each in (process, *running):
        if psutil.pid_exists(each.pid):
            each.kill()
    process.stdin.close()
    process.stdout.close()
    process.wait()


@needs_prometheus
class TestWhenItEnds:
    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    def test_nothing_is_left_however_its_owner_is_ended(self, parent, number):
        process, server, keeper, home = parent
        assert server.is_running()
        assert home.exists()
        process.send_signal(number)
        eventually(lambda: not server.is_running() and not keeper.is_running() and not home.exists())

    def test_nothing_is_left_when_its_keeper_is_asked_to_end(self, parent):
        _, server, keeper, home = parent
        keeper.terminate()
        eventually(lambda: not server.is_running() and not home.exists())

    def test_nothing_is_left_when_it_is_stopped_once_or_twice(self):
        with EphemeralPrometheus.start() as server:
            process, home = psutil.Process(server.pid), server._keeper.home
            assert home.exists()
            server.stop()
        assert not process.is_running()
        assert not home.exists()

    def test_nothing_is_left_when_its_keeper_was_killed(self):
        with EphemeralPrometheus.start() as server:
            process, home = psutil.Process(server.pid), server._keeper.home
            server._keeper.process.kill()
        eventually(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)
        assert not home.exists()

    def test_it_survives_the_thread_that_started_it(self):
        with ThreadPoolExecutor(1) as pool:
            server = pool.submit(EphemeralPrometheus.start).result()
        with server:
            assert server.query("vector(1)", 0) == [((), 1.0)]

    def test_a_server_that_has_died_is_an_error_with_words(self):
        with EphemeralPrometheus.start() as server:
            os.kill(server.pid, signal.SIGKILL)
            assert server._keeper.ended_within(GENEROUS_S)
            with pytest.raises(EphemeralError, match="does not answer"):
                server.query("vector(1)", 0)


def a_program(tmp_path, text):
    path = tmp_path / "prometheus"
    path.write_text(f"#!{sys.executable}\n{textwrap.dedent(text)}")
    path.chmod(0o755)
    return str(path)


FAKE = """
    import http.server, json, sys
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        asked = 0
        def say(self, status, text):
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        def do_GET(self):
            Handler.asked += 1
            if self.path == "/metrics":
                self.say(200, "# TYPE x counter\\nprometheus_api_remote_write_invalid_labels_samples_total LOST\\n")
            elif Handler.asked < 4:
                self.say(503, "Service Unavailable")
            else:
                self.say(200, json.dumps({"data": {"version": "2.53.0"}}))
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.say(204, "")
        def log_message(self, *_):
            pass
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    print(f'time=now level=INFO source=tls_config.go:347 msg="Listening on" component=web '
          f'address=127.0.0.1:{server.server_port}', flush=True)
    server.serve_forever()
"""


class TestTheProgram:
    def test_without_one_it_is_said_what_to_do(self, monkeypatch):
        monkeypatch.setenv("PATH", "/nowhere")
        monkeypatch.setattr("rollback_guard.adapters.ephemeral.binary.PLACES", ("/nowhere",))
        with pytest.raises(PrometheusMissing, match="there is no `prometheus` program") as missing:
            EphemeralPrometheus.start()
        assert "apt-get install" in missing.value.hint
        assert "--prometheus-binary" in missing.value.hint

    def test_a_given_one_that_is_not_there_is_not_replaced_by_another(self):
        with pytest.raises(PrometheusMissing, match="/nowhere/prometheus is no program"):
            EphemeralPrometheus.start("/nowhere/prometheus")

    def test_one_that_ends_at_once_is_quoted(self, tmp_path):
        program = a_program(tmp_path, "import sys; sys.exit('error: unknown long flag')")
        with pytest.raises(StartFailed, match="ended at once:\nerror: unknown long flag"):
            EphemeralPrometheus.start(program)

    def test_one_that_hangs_up_is_an_error(self, tmp_path, monkeypatch):
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setattr(tempfile, "tempdir", None)
        program = a_program(
            tmp_path,
            """
            import socket
            listener = socket.create_server(("127.0.0.1", 0))
            print(f'msg="Listening on" address=127.0.0.1:{listener.getsockname()[1]}', flush=True)
            while True:
                listener.accept()[0].close()
            """,
        )
        with pytest.raises(StartFailed, match="does not answer"):
            EphemeralPrometheus.start(program)
        assert [path.name for path in tmp_path.iterdir()] == ["prometheus"]

    def test_one_that_does_not_get_ready_is_given_up(self, tmp_path, monkeypatch):
        monkeypatch.setattr("rollback_guard.adapters.ephemeral.server.READY_TRIES", 20)
        program = a_program(tmp_path, "import time\nprint('replaying', flush=True)\nwhile True: time.sleep(1)")
        with pytest.raises(StartFailed, match="does not get ready"):
            EphemeralPrometheus.start(program)

    def test_no_room_for_its_directory_is_an_error(self, tmp_path, monkeypatch):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
        with pytest.raises(StartFailed, match="no directory for Prometheus") as failure:
            EphemeralPrometheus.start(a_program(tmp_path, ""))
        assert "TMPDIR" in failure.value.hint

    def test_a_newer_one_is_waited_for_until_its_storage_is_open(self, tmp_path):
        with EphemeralPrometheus.start(a_program(tmp_path, FAKE.replace("LOST", "0"))) as server:
            assert server.version == "2.53.0"
            server.write([series("dots.in.name", [(0, 1)])])

    @pytest.mark.parametrize("labels", [{"__name__": "a.b"}, {"job": "api"}, {"__name__": "up", "a:b": "c"}])
    def test_names_that_it_throws_away_are_refused(self, tmp_path, labels):
        with EphemeralPrometheus.start(a_program(tmp_path, FAKE.replace("LOST", "1"))) as server:
            server.write([series("plain:name", [(0, 1)], label="any.thing")])
            with pytest.raises(WriteRefused, match=r"Prometheus 2\.53\.0 does not take the names"):
                server.write([Series(labels=labels_of(labels), samples=[(0, 1.0)])])
