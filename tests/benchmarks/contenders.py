"""Run the guard and its peers as processes, and read from outside what they cost."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a script does not get pytest's path

from real_prometheus import RealPrometheus, free_port

READY_WITHIN_S = 120

Rules = Sequence[Mapping[str, object]]


def group(name: str, rules: Rules, *, interval: str, **more: object) -> dict[str, object]:
    """Return a rule group as all of them read it."""
    return {"name": name, "interval": interval, **more, "rules": list(rules)}


def write_rules(path: Path, *groups: Mapping[str, object], **more: object) -> Path:
    """Write a rule file; JSON is YAML."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"groups": groups, **more}))
    return path


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process so far, to the nanosecond: the kernel's clock of that process."""
    return time.clock_gettime((~pid << 3) | 2)


def memory_bytes(pid: int, key: str = "VmRSS") -> int:
    """Return one line of a process' memory, `VmHWM` for the most it ever had."""
    found = re.search(rf"^{key}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found, f"no {key} of {pid}"
    return int(found[1]) * 1024


def get(url: str, timeout_s: float = 10) -> str:
    """Return what stands under a URL."""
    with urllib.request.urlopen(url, timeout=timeout_s) as answer:
        return answer.read().decode()


def wait_until(
    done: Callable[[], object], what: str, *, within_s: float = READY_WITHIN_S, every_s: float = 0.02
) -> Any:
    """Return what `done` returns as soon as it is true."""
    deadline = time.monotonic() + within_s
    while not (found := done()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {within_s:g} s in vain: {what}")
        time.sleep(every_s)
    return found


def sleep_until(at: float) -> None:
    """Return at a time of the wall clock."""
    while (left := at - time.time()) > 0:
        time.sleep(left)


class Running:
    """A process with an HTTP server, ended on the way out of a `with`."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} is not running"
        return self._process.pid

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> Self:
        """Start it without waiting for anything."""
        with (self.directory / f"{self.name}.log").open("ab") as log:
            self._process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=self.directory)
        return self

    def stop(self) -> None:
        """End it, gently first."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def answers(self, path: str) -> bool:
        """Say whether a GET is answered with success."""
        if self._process is not None and self._process.poll() is not None:
            raise RuntimeError(f"{self.name} ended: {self.log()[-2000:]}")
        try:
            get(self.url + path)
        except (urllib.error.URLError, OSError):
            return False
        return True

    def log(self) -> str:
        """Return all that it wrote."""
        return (self.directory / f"{self.name}.log").read_text()

    def figure(self, metric: str, **labels: str) -> float:
        """Return the sum over the samples of one of its metrics."""
        return total(get(self.url + "/metrics", 60), metric, **labels)


def total(text: str, metric: str, **labels: str) -> float:
    """Return the sum over the samples of a metric that carry these labels."""
    return sum(values(text, metric, **labels))


def values(text: str, metric: str, **labels: str) -> list[float]:
    """Return the samples of a metric that carry these labels."""
    wanted = [f'{name}="{value}"' for name, value in labels.items()]
    lines = re.findall(rf"^{re.escape(metric)}(?:\{{(.*)\}})? (\S+)$", text, re.MULTILINE)
    return [float(value) for found, value in lines if all(each in found for each in wanted)]


class Guard(Running):
    """`rollback-guard run`, on rule files of its own."""

    def __init__(
        self, directory: Path, *, prometheus: str, settings: str = "", python: Path = Path(sys.executable)
    ) -> None:
        super().__init__("guard", directory)
        self._python = python
        self.config = directory / "guard.toml"
        self.rules = directory / "rules"
        self.config.write_text(
            '[guard]\nname = "benchmark"\nrules = ["rules/*.yaml"]\nstate = "guard.db"\n'
            f'[prometheus]\nurl = "{prometheus}"\n[server]\nlisten = "127.0.0.1:{self.port}"\n{settings}'
        )

    def command(self) -> list[str]:
        return [str(self._python.parent / "rollback-guard"), "run", "--config", str(self.config)]

    def await_ready(self, every_s: float = 0.02) -> Self:
        """Wait until every group has been evaluated once."""
        wait_until(lambda: self.answers("/-/ready"), "the guard's first evaluation", every_s=every_s)
        return self


class Vmalert(Running):
    """vmalert, asking the same Prometheus; where its alerts go nobody listens."""

    def __init__(self, directory: Path, *, prometheus: str, name: str = "vmalert") -> None:
        super().__init__(name, directory)
        self._prometheus = prometheus
        self.rules = directory / f"{name}.yaml"

    @staticmethod
    def is_there() -> bool:
        """Say whether it can run; print why not."""
        if shutil.which("vmalert"):
            return True
        print("vmalert is left out: it is not on PATH (Debian's package victoria-metrics has it)")
        return False

    def command(self) -> list[str]:
        return [
            "vmalert",
            f"-rule={self.rules}",
            f"-datasource.url={self._prometheus}",
            "-notifier.url=http://127.0.0.1:9",
            f"-httpListenAddr=127.0.0.1:{self.port}",
            "-loggerLevel=WARN",
        ]


class Alertmanager(Running):
    """Alertmanager with the given configuration."""

    def __init__(self, directory: Path, config: Mapping[str, object]) -> None:
        super().__init__("alertmanager", directory)
        (directory / "alertmanager.yml").write_text(json.dumps(config))

    def command(self) -> list[str]:
        return [
            "prometheus-alertmanager",
            f"--config.file={self.directory / 'alertmanager.yml'}",
            f"--storage.path={self.directory / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",
            "--log.level=warn",
        ]


def prometheus(
    directory: Path, target: str, *, scrape_interval: str = "5s", rules: Path | None = None, alertmanager: str = ""
) -> RealPrometheus:
    """Return a Prometheus that scrapes the target, evaluates the rules and sends its alerts."""
    server = RealPrometheus(
        directory,
        targets=[target],
        scrape_interval=scrape_interval,
        rules=[rules] if rules else [],
        args=["--web.enable-lifecycle"],
    )
    if alertmanager:
        file = directory / "prometheus.yml"
        config = json.loads(file.read_text())
        config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
        file.write_text(json.dumps(config))
    return server


def reload(server: RealPrometheus) -> None:
    """Have a Prometheus read its rule files again."""
    urllib.request.urlopen(f"{server.url}/-/reload", data=b"", timeout=60).close()
