"""Load the configuration in a process of its own, and bring home what the daemon needs of it.

A rule file is parsed by native code that hostile input has been seen to kill, and the schema of all that people may
write takes ten megabytes. Both stay in a child that ends when it has answered: the daemon survives any file, and stays
as small as a sidecar should be.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollback_guard.core.model import Mode, Policy
from rollback_guard.specs import ChannelSpec, DeadManSpec, Endpoint, MaintenanceSpec, ProbeSpec

if TYPE_CHECKING:
    from rollback_guard.config.load import Loaded as Files
    from rollback_guard.config.settings import GuardFile

LONGEST_S = 300
"""Ten thousand rules take a few seconds."""

DEFAULT_SOURCE = "prometheus"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What the command line says in place of guard.toml."""

    listen: str | None = None
    prometheus_url: str | None = None
    state: str | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """A configuration without an error, with the overrides in it.

    Attributes:
        listen: Host and port.
        actions: By name, the settings of its type.
        channels: By name.
        token_file: Who may give orders; without it only this machine may.
        tls: Certificate and key of the server.
        anchors: Hosts and ports that tell whether the network is there; empty where the data sources do.
        keep: How long the journal remembers.
    """

    policy: Policy
    endpoints: Mapping[str, Endpoint]
    probes: Mapping[str, ProbeSpec]
    actions: Mapping[str, Any]
    channels: Mapping[str, ChannelSpec]
    maintenance: tuple[MaintenanceSpec, ...]
    dead_man: DeadManSpec | None
    token_file: Path | None
    tls: tuple[Path, Path] | None
    anchors: tuple[tuple[str, int], ...]
    keep: timedelta
    listen: tuple[str, int]
    state: Path
    catch_up: timedelta
    stop_timeout: timedelta
    log_level: str
    log_format: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What became of loading: every problem as people read it, and the setup where none of them is an error."""

    problems: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    setup: Setup | None = field(default=None, repr=False)


class Loading:
    """A child that reads a guard.toml and all that it names."""

    def __init__(self, path: Path, overrides: Overrides) -> None:
        self._path = path
        self._child = subprocess.Popen(
            [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        self._asked = pickle.dumps((str(path), asdict(overrides)))

    def result(self) -> Loaded:
        """Wait for the child and return what it found; whatever happens to it is a problem of the files."""
        try:
            said, _ = self._child.communicate(self._asked, timeout=LONGEST_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.communicate()
            return _unreadable(self._path, f"reading it takes longer than {LONGEST_S} seconds")
        if self._child.returncode:
            return _unreadable(self._path, f"reading it ended with status {self._child.returncode}")
        loaded: Loaded = pickle.loads(said)  # noqa: S301  said by our own child over a pipe
        return loaded


def load(path: Path, overrides: Overrides) -> Loaded:
    """Load a guard.toml with all that it names."""
    return Loading(path, overrides).result()


def _unreadable(path: Path, why: str) -> Loaded:
    problem = f"{path}:1:1: error: {why} (unreadable)\n  `rollback-guard check {path}` may say more."
    return Loaded(problems=(problem,), errors=(problem,))


# What follows runs in the child.


def read(path: Path, overrides: Overrides) -> Loaded:
    """Read the files in this process."""
    from rollback_guard.adapters.actions import registry
    from rollback_guard.config.load import load as load_files
    from rollback_guard.config.problems import Level

    found = load_files([path], action_types=registry.settings_types())
    problems = tuple(problem.render() for problem in found.problems)
    errors = tuple(problem.render() for problem in found.problems if problem.severity is Level.ERROR)
    if found.policy is not None and found.settings is None:
        errors = (f"{path}:1:1: error: this is a rule file; give the guard.toml that names it (no-guard-file)",)
    if not errors:
        errors = tuple(_wrong_overrides(overrides))
    if errors or found.policy is None or found.settings is None:
        return Loaded(problems=problems or errors, errors=errors)
    return Loaded(problems=problems, setup=_setup(path, found, found.policy, found.settings, overrides))


def _setup(path: Path, found: Files, policy: Policy, settings: GuardFile, overrides: Overrides) -> Setup:
    """Return what the files say, with the overrides in it."""
    from rollback_guard.config.settings import split_listen
    from rollback_guard.config.surroundings import tls_of, token_file_of

    endpoints = dict(found.endpoints)
    if overrides.prometheus_url and DEFAULT_SOURCE in endpoints:
        endpoints[DEFAULT_SOURCE] = replace(endpoints[DEFAULT_SOURCE], url=overrides.prometheus_url)
    return Setup(
        policy=replace(policy, mode=Mode.DRY_RUN if overrides.dry_run else policy.mode),
        endpoints=endpoints,
        probes=found.probes,
        actions=found.actions,
        channels=found.channels,
        maintenance=found.maintenance,
        dead_man=found.dead_man,
        token_file=token_file_of(found.base, settings.server),
        tls=tls_of(found.base, settings.server),
        anchors=found.anchors,
        keep=settings.guard.keep,
        listen=split_listen(overrides.listen or settings.server.listen),
        state=Path(overrides.state) if overrides.state else path.parent / settings.guard.state,
        catch_up=settings.guard.catch_up,
        stop_timeout=settings.guard.stop_timeout,
        log_level=settings.log.level,
        log_format=settings.log.format,
    )


def _wrong_overrides(overrides: Overrides) -> Iterator[str]:
    from rollback_guard.config.settings import split_listen

    if overrides.listen is not None:
        try:
            split_listen(overrides.listen)
        except ValueError:
            yield f"--listen {overrides.listen}: error: this is no address to listen on; write 127.0.0.1:9876"
    url = overrides.prometheus_url
    if url is not None and (
        not url.startswith(("http://", "https://")) or "@" in url.partition("://")[2].split("/")[0]
    ):
        yield "--prometheus-url: error: write http://host:port, without user and password"


def main() -> None:
    """Answer the parent: read what is asked on standard input, write what was found to standard output."""
    # What is made here must be found again by the parent under the module's real name.
    from rollback_guard import setup as here  # noqa: PLW0406  under its other name

    if not (asked := sys.stdin.buffer.read()):
        return  # the parent was ended before it asked
    path, overrides = pickle.loads(asked)  # noqa: S301  asked by our own parent over a pipe
    answer = here.read(Path(path), here.Overrides(**overrides))
    with suppress(BrokenPipeError), open(sys.stdout.fileno(), "wb", closefd=False) as parent:
        parent.write(pickle.dumps(answer))  # unless it was ended meanwhile


if __name__ == "__main__":
    main()
