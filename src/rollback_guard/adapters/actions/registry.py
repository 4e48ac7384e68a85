"""Name the types of actions there are. A new type is one module and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from pydantic import BaseModel

from rollback_guard.adapters.actions import exec as exec_
from rollback_guard.adapters.actions import http
from rollback_guard.ports import Action, Clock, Telemetry


class Maker(Protocol):
    """Make an action of its settings."""

    def __call__(
        self, name: str, settings: Any, *, clock: Clock, telemetry: Telemetry, directory: Path = ...
    ) -> Action:
        """Return the action; paths in the settings are relative to the directory."""
        ...


TYPES: Mapping[str, tuple[type[BaseModel], Maker]] = MappingProxyType(
    {
        "exec": (exec_.Settings, exec_.Exec),
        "http": (http.Settings, http.Http),
    }
)
"""By the word in `type`: the settings that people write, and what makes the action of them.

The settings of every type have `undo`, which names another action; the configuration looks it up.
"""


def settings_types() -> Mapping[str, type[BaseModel]]:
    """Return the settings of each type, for the schema and the reference."""
    return {name: settings for name, (settings, _) in TYPES.items()}


def build(name: str, settings: Any, *, clock: Clock, telemetry: Telemetry, directory: Path = Path()) -> Action:
    """Return the action that settings describe.

    Args:
        name: As in ``[actions.NAME]``.
        settings: An instance of one of `settings_types`.
        clock: Bounds requests and reads dates in answers.
        telemetry: For types that keep connections.
        directory: Of the configuration file; relative paths start there.
    """
    _, make = TYPES[settings.type]
    return make(name, settings, clock=clock, telemetry=telemetry, directory=directory)
