"""Tell the demo line by line, for logs and for terminals that cannot redraw."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from rollback_guard.demo.view import Entry, View, describe, forecast

EVERY = timedelta(seconds=2)


class Plain:
    """Print what is new, and now and then the state of things."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._told: set[Entry] = set()
        self._scene = ""
        self._state = ""
        self._state_at: datetime | None = None

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End; every line is out already."""

    def show(self, view: View) -> None:
        """Print what the lines so far do not say."""
        if view.scene != self._scene:
            self._scene = view.scene
            self._write(f"\n{view.scene}")
        for entry in view.timeline:
            if entry not in self._told:
                self._told.add(entry)
                self._write(f"{view.second(entry.at)}  {entry.who:<5}  {' '.join(entry.text.split())}")
        state = " · ".join(describe(view))
        if state != self._state and (self._state_at is None or view.now - self._state_at >= EVERY):
            self._state, self._state_at = state, view.now
            self._write(f"{view.second(view.now)}         {state} · next: {forecast(view.sight, view.now)}")

    def say(self, text: str) -> None:
        """Print a line."""
        self._write(text)
