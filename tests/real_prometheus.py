"""Run a real Prometheus for tests: start, stop, pause, resume, restart, with given samples or scraping given targets."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from loopback import free_port

READY_WITHIN = timedelta(seconds=60)
STOPPED_WITHIN = timedelta(seconds=20)

Samples = Mapping[str, Iterable[tuple[datetime, float]]]
"""By series, written as in PromQL: `errors_total{job="shop"}`."""


class NotReadyError(Exception):
    """The server did not become ready in time; the message holds the end of its log."""


class RealPrometheus:
    """One server in a directory of its own, on a port that stays the same over restarts.

    `load` works only before the first `start`; use it as a context manager to be sure that nothing is left running.
    """

    def __init__(
        self,
        directory: Path,
        *,
        targets: Iterable[str] = (),
        scrape_interval: str = "1s",
        rules: Iterable[Path] = (),
        args: Iterable[str] = (),
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._directory = directory
        self._args = tuple(args)
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)
        config = {
            "global": {"scrape_interval": scrape_interval, "evaluation_interval": scrape_interval},
            "rule_files": [str(path) for path in rules],
            "scrape_configs": [{"job_name": "target", "static_configs": [{"targets": list(targets)}]}],
        }
        (directory / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        assert self._process is not None, "not running"
        return self._process.pid

    def load(self, samples: Samples) -> Self:
        """Put samples into its storage, at the times they carry."""
        return self.load_text(openmetrics(samples))

    def load_text(self, text: str) -> Self:
        """Put samples into its storage, given as OpenMetrics text with timestamps."""
        file = self._directory / "samples.om"
        file.write_text(text)
        subprocess.run(
            ["promtool", "tsdb", "create-blocks-from", "openmetrics", "--quiet", file, self._directory / "data"],
            check=True,
            capture_output=True,
            timeout=60,
        )
        return self

    def start(self) -> Self:
        """Start and wait until it answers queries."""
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    shutil.which("prometheus") or "prometheus",
                    f"--config.file={self._directory / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self._directory / 'data'}",
                    "--storage.tsdb.retention.time=100y",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                    "--log.level=warn",
                    *self._args,
                ],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + READY_WITHIN.total_seconds()
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise NotReadyError((self._directory / "log").read_text()[-2000:])
            time.sleep(0.02)
        return self

    def stop(self) -> None:
        """End it, whatever state it is in; harmless when it is not running."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(STOPPED_WITHIN.total_seconds())
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def restart(self) -> Self:
        """Stop and start it on the same port with the same storage."""
        self.stop()
        return self.start()

    def pause(self) -> None:
        """Stop its process: the kernel goes on accepting connections for it, and nothing answers them."""
        assert self._process is not None, "not running"
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(
            os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT
        )  # the last of its threads stops a little later

    def resume(self) -> None:
        """Let it go on."""
        assert self._process is not None, "not running"
        self._process.send_signal(signal.SIGCONT)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=1) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False


def openmetrics(samples: Samples) -> str:
    """Return the samples as OpenMetrics text, one gauge family per metric name."""
    families: dict[str, list[str]] = {}
    for series, values in samples.items():
        lines = families.setdefault(series.partition("{")[0], [])
        lines.extend(f"{series} {value} {at.timestamp():.3f}" for at, value in values)
    return "".join(f"# TYPE {name} gauge\n" + "\n".join(lines) + "\n" for name, lines in families.items()) + "# EOF\n"
