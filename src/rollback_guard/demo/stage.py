"""Set the demo up in a directory of its own: the shop, its customers, a Prometheus, the guard."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType
from typing import Self

from rollback_guard.adapters import ephemeral
from rollback_guard.demo import child, port
from rollback_guard.demo.child import Child
from rollback_guard.demo.failure import UNREACHABLE, USAGE, DemoFailed

GUARD_PORT, PROMETHEUS_PORT, SHOP_PORT = 9876, 9090, 18080
"""As the repository's guard.toml, rules and prometheus.yml have them."""

FLAG = "new-checkout"
NEEDED = ("guard.toml", "rules", "deploy/demo/shop.py")


@dataclass(kw_only=True)
class Stage:
    """Everything the demo runs, and the levers by which it is broken.

    Attributes:
        root: A checkout of rollback-guard.
        home: The demo's own directory; gone when the stage is left.
        notes: What differs from the ordinary, for people.
    """

    root: Path
    home: Path = field(init=False)
    guard_port: int = field(init=False)
    prometheus_port: int = field(init=False)
    shop_port: int = field(init=False)
    children: list[Child] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _exits: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        """Choose ports and lay the files out."""
        missing = [name for name in NEEDED if not (self.root / name).exists()]
        if missing:
            raise DemoFailed(
                f"{self.root} is no checkout of rollback-guard: {missing[0]} is missing",
                code=USAGE,
                advice="Run it in a clone of the repository, or name one with --directory.",
                logs=False,
            )
        with child.undisturbed():
            self._set_up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every process and remove every file."""
        with child.undisturbed():
            self._exits.close()

    @property
    def guard_url(self) -> str:
        """Where the guard answers."""
        return f"http://{port.HOST}:{self.guard_port}"

    @property
    def shop_url(self) -> str:
        """Where the shop answers."""
        return f"http://{port.HOST}:{self.shop_port}"

    @property
    def prometheus_url(self) -> str:
        """Where Prometheus answers."""
        return f"http://{port.HOST}:{self.prometheus_port}"

    def start_shop(self) -> None:
        """Open the shop, and let customers in."""
        here = self.root / "deploy" / "demo"
        home = ["--home", str(self.home)]
        self._start("shop", [sys.executable, str(here / "shop.py"), *home, "--port", str(self.shop_port)])
        self._start("traffic", [sys.executable, str(here / "traffic.py"), *home, "--url", self.shop_url])

    def start_prometheus(self) -> None:
        """Start a Prometheus that looks at the shop once a second."""
        config = self.root / "deploy" / "demo" / "prometheus.yml"
        if self.shop_port != SHOP_PORT:
            config = self._write("prometheus.yml", self._readdressed(config))
        self._start(
            "prometheus",
            [
                find_prometheus(),
                f"--config.file={config}",
                f"--storage.tsdb.path={self.home / 'prometheus'}",
                f"--web.listen-address={port.HOST}:{self.prometheus_port}",
                "--log.level=warn",
            ],
        )

    def start_guard(self) -> None:
        """Start the guard on the repository's own files."""
        self._start("guard", [sys.executable, "-m", "rollback_guard.cli", *self.guard_arguments()])

    def guard_arguments(self) -> list[str]:
        """Return how the guard is started: only what the machine forces differs from ``run --config guard.toml``."""
        arguments = ["run", "--config", str(self._guard_file()), "--state", str(self.home / "guard.db")]
        if self.guard_port != GUARD_PORT:
            arguments += ["--listen", f"{port.HOST}:{self.guard_port}"]
        if self.prometheus_port != PROMETHEUS_PORT:
            arguments += ["--prometheus-url", self.prometheus_url]
        return arguments

    def set_traffic(self, **mix: float) -> None:
        """Say which share of the customers brings a ``coupon`` or pays in ``yen``; nobody does by default."""
        self._write("traffic.json", json.dumps(mix))

    def flag_is_on(self) -> bool:
        """Return what the shop's flag file says."""
        flags: Mapping[str, bool] = json.loads((self.home / "flags.json").read_text(encoding="utf-8"))
        return flags[FLAG]

    def release(self) -> str:
        """Return which release the shop says it runs."""
        running = self.home / "running"
        return running.read_text(encoding="utf-8").strip() if running.exists() else ""

    def dead(self) -> Child | None:
        """Return a process that should be running and is not."""
        return next((each for each in self.children if each.died()), None)

    def _set_up(self) -> None:
        self.home = Path(mkdtemp(prefix="rollback-guard-demo-"))
        self._exits.callback(shutil.rmtree, self.home, ignore_errors=True)
        held = port.claim()
        if held is not None:
            self._exits.callback(held.close)
        self._exits.callback(self._stop)
        self.guard_port = self._port("the guard", GUARD_PORT, claimed=held is not None)
        self.prometheus_port = self._port("Prometheus", PROMETHEUS_PORT, claimed=held is not None)
        self.shop_port = self._port("the shop", SHOP_PORT, claimed=held is not None)
        self.set_traffic()
        self._write("flags.json", json.dumps({FLAG: True}))
        self._write("release", "v2\n")

    def _guard_file(self) -> Path:
        if self.shop_port == SHOP_PORT:
            return self.root / "guard.toml"
        copy = self.home / "copy"
        (copy / "rules").mkdir(parents=True, exist_ok=True)
        (copy / "guard.toml").write_text(self._readdressed(self.root / "guard.toml"), encoding="utf-8")
        for rules in sorted((self.root / "rules").glob("*.yaml")):
            (copy / "rules" / rules.name).write_text(self._readdressed(rules), encoding="utf-8")
        if not (copy / "deploy").exists():
            (copy / "deploy").symlink_to(self.root / "deploy")
        return copy / "guard.toml"

    def _readdressed(self, path: Path) -> str:
        text = path.read_text(encoding="utf-8")
        return text.replace(f"{port.HOST}:{SHOP_PORT}", f"{port.HOST}:{self.shop_port}")

    def _port(self, who: str, preferred: int, *, claimed: bool) -> int:
        chosen = port.choose(preferred, claimed=claimed)
        if chosen != preferred:
            self.notes.append(f"port {preferred} is taken, so {who} listens on {chosen}")
        return chosen

    def _start(self, name: str, command: list[str]) -> None:
        # Unbuffered, so that the log tells everything even of a process that was killed.
        env = {"SHOP_HOME": str(self.home), "PYTHONUNBUFFERED": "1", "NO_PROXY": port.HOST}
        log = self.home / f"{name}.log"
        with child.undisturbed():
            self.children.append(child.start(name, command, log=log, env=env, cwd=self.root))

    def _write(self, name: str, text: str) -> Path:
        path = self.home / name
        draft = self.home / f".{name}.draft"
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
        return path

    def _stop(self) -> None:
        child.stop(self.children)


def find_prometheus() -> str:
    """Return where the `prometheus` program is.

    Raises:
        DemoFailed: It is not installed.
    """
    try:
        return ephemeral.find_prometheus()
    except ephemeral.PrometheusMissing as missing:
        raise DemoFailed(
            f"the demo needs a real Prometheus, and {missing.message}",
            code=UNREACHABLE,
            advice=ephemeral.HOW_TO_INSTALL,
            logs=False,
        ) from missing
