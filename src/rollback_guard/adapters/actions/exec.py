"""Reach a goal by running a command: no shell, a clean environment, and nothing left running after its time."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import signal
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import structlog
from pydantic import AfterValidator, BeforeValidator, Field

from rollback_guard.adapters.actions import tree
from rollback_guard.adapters.actions.environment import PREFIX, transferable, variables
from rollback_guard.adapters.actions.output import excerpt
from rollback_guard.adapters.actions.process import Ended, run
from rollback_guard.adapters.actions.setting import Argument, Duration, Table, Templated, Undo
from rollback_guard.adapters.actions.template import Text
from rollback_guard.core.units import format_duration
from rollback_guard.ports import (
    Call,
    Clock,
    Goal,
    GuardError,
    PermanentError,
    Telemetry,
    TransientError,
    UnknownOutcome,
)

log = structlog.get_logger(__name__)

PASSED = frozenset({"PATH", "HOME", "LANG", "TZ", "TMPDIR"})
"""Variables of the guard that a command sees, and those that begin with `LC_`; the guard's own secrets are not."""

TEMPORARY = 75
"""`EX_TEMPFAIL` of sysexits.h: try again later."""

REACHED, NOT_REACHED = 0, 1
"""Exit statuses of an inspection; anything else, such as the 2 or 127 of a broken script, says nothing."""

_SCARCE = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ETXTBSY})


def _program(argv: list[str]) -> list[str]:
    if argv and "{{" in argv[0]:
        raise ValueError("the program itself cannot come from a template")
    return argv


def _variable(name: str) -> str:
    if not name or "=" in name or "\0" in name:
        raise ValueError(f"{name!r} is no name of a variable")
    if name.startswith(PREFIX):
        raise ValueError(f"{name}: variables that begin with {PREFIX} are set by the guard")
    return name


Command = Annotated[list[Argument], Field(min_length=1), AfterValidator(_program)]
Variable = Annotated[str, AfterValidator(_variable)]


def _table(value: Any) -> Any:
    return {"command": value} if isinstance(value, list) else value


class Inspection(Table):
    """Tell by a command whether the goal is reached: exit status 0 yes, 1 no, anything else cannot tell."""

    command: Command = Field(description="Program and arguments; templates allowed in the arguments.")
    timeout: Duration = Field(default=timedelta(seconds=30), description="After which it cannot tell.")


class Settings(Table):
    """Run a command."""

    type: Literal["exec"] = Field(description="Selects this kind of action.")
    command: Command = Field(
        description="Program and arguments. Templates are allowed in the arguments; each value stays one argument, "
        "and no shell sees it. Exit status 0 is done, 75 try again, anything else failed."
    )
    cwd: str | None = Field(
        default=None, description="Working directory, relative to the configuration file; its directory by default."
    )
    env: dict[Variable, Templated] = Field(
        default_factory=dict, description="Variables to set; templates and secret references allowed."
    )
    pass_env: list[Variable] = Field(
        default_factory=list,
        description="Names of the guard's own variables to pass on, beside PATH, HOME, LANG, LC_*, TZ and TMPDIR.",
    )
    timeout: Duration = Field(
        default=timedelta(minutes=2), description="After which the command and all that it started are ended."
    )
    idempotent: bool = Field(
        default=False, description="Whether repeating the command is harmless when its outcome is not known."
    )
    inspect: Annotated[
        Inspection | None, BeforeValidator(_table, json_schema_input_type=Command | Inspection | None)
    ] = Field(
        default=None,
        description="How to tell whether the goal is reached: a command, or a table with command and timeout. "
        "Exit status 0 is reached, 1 not reached, anything else cannot tell.",
    )
    undo: Undo = None


class Exec:
    """One `exec` action; see `ports.Action`."""

    def __init__(
        self, name: str, settings: Settings, *, clock: Clock, telemetry: Telemetry, directory: Path = Path()
    ) -> None:
        self._name = name
        self._settings = settings
        self._cwd = directory / (settings.cwd or ".")
        self._command = [Text.parse(part) for part in settings.command]
        self._env = {variable: Text.parse(text) for variable, text in settings.env.items()}
        self._inspection = [Text.parse(part) for part in settings.inspect.command] if settings.inspect else []
        self._inspect_timeout = settings.inspect.timeout if settings.inspect else timedelta(0)
        for program in (settings.command[0], *(settings.inspect.command[:1] if settings.inspect else ())):
            if "{" not in program and shutil.which(program) is None and not (self._cwd / program).exists():
                log.warning("program_not_found", action=name, program=program)

    @property
    def timeout(self) -> timedelta:
        """Time for the command; ending its tree takes a grace more."""
        return self._settings.timeout

    @property
    def idempotent(self) -> bool:
        """Whether people declared that repeating it is harmless."""
        return self._settings.idempotent

    @property
    def inspectable(self) -> bool:
        """Whether there is an inspection command."""
        return bool(self._inspection)

    @property
    def lingers(self) -> bool:
        """A command is ended by `sweep`."""
        return False

    @property
    def goal(self) -> str:
        """The command as it was written."""
        return shlex.join(self._settings.command)

    async def execute(self, call: Call) -> str:
        """Run the command; see `ports.Action.execute`."""
        ended = await self._run(self._command, call, self.timeout)
        said = ended.stdout + ended.stderr
        match ended.code:
            case 0:
                return said.strip()
            case None:
                late = f"no end within {format_duration(self.timeout)}; the command and all that it started were ended"
                raise UnknownOutcome(f"{late}{_said(ended)}")
            case status if status == TEMPORARY:
                raise TransientError(f"exit status {TEMPORARY}{_said(ended)}")
            case status if status > 0:
                raise PermanentError(f"exit status {status}{_said(ended)}")
            case status:
                raise UnknownOutcome(f"ended from elsewhere by {_signal_name(-status)}{_said(ended)}")

    async def inspect(self, call: Call) -> tuple[Goal, str]:
        """Run the inspection command; see `ports.Action.inspect`."""
        if not self._inspection:
            return Goal.CANNOT_TELL, "no inspection command"
        try:
            ended = await self._run(self._inspection, call, self._inspect_timeout)
        except GuardError as error:
            return Goal.CANNOT_TELL, str(error)
        match ended.code:
            case status if status == REACHED:
                return Goal.REACHED, f"exit status {status}{_said(ended)}"
            case status if status == NOT_REACHED:
                return Goal.NOT_REACHED, f"exit status {status}{_said(ended)}"
            case None:
                return Goal.CANNOT_TELL, f"no end within {format_duration(self._inspect_timeout)}{_said(ended)}"
            case status:
                return Goal.CANNOT_TELL, f"exit status {status}{_said(ended)}"

    async def sweep(self, call: Call) -> None:
        """End what an earlier run under this key left running, found by the key in its environment."""
        if left := await tree.end(call.key):
            log.warning("processes_left", action=self._name, key=call.key, pids=left)

    async def close(self) -> None:
        """Release nothing: a command holds nothing between its runs."""

    async def _run(self, command: list[Text], call: Call, within: timedelta) -> Ended:
        argv = [transferable(part.fill(call.context)) for part in command]
        env = self._environment(call)
        try:
            ended = await run(argv, env=env, cwd=self._cwd, within=within, key=call.key)
        except OSError as error:
            failure = _not_started(argv[0], self._cwd, error)
        else:
            if ended.left:
                log.warning("processes_left", action=self._name, key=call.key, pids=ended.left)
            return ended
        raise failure

    def _environment(self, call: Call) -> Mapping[str, str]:
        passed = PASSED.union(self._settings.pass_env)
        inherited = {name: os.environ[name] for name in os.environ if name in passed or name.startswith("LC_")}
        own = {name: transferable(text.fill(call.context)) for name, text in self._env.items()}
        return inherited | own | variables(call)


def _said(ended: Ended) -> str:
    text = excerpt(ended.stderr, end=True) or excerpt(ended.stdout, end=True)
    left = f"; still running: {', '.join(map(str, ended.left))}" if ended.left else ""
    return f"{left}: {text}" if text else left


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _not_started(program: str, cwd: Path, error: OSError) -> GuardError:
    reason = error.strerror or type(error).__name__
    if error.errno in _SCARCE:
        return TransientError(f"{program}: {reason}")
    if error.errno == errno.ENOEXEC:
        return PermanentError(f"{program}: {reason}; a script begins with #! and its interpreter")
    if error.errno == errno.E2BIG:
        return PermanentError(f"{program}: arguments and environment are too long for the kernel")
    if not cwd.is_dir():
        return PermanentError(f"working directory {cwd}: not a directory")
    return PermanentError(f"{program}: {reason}")
