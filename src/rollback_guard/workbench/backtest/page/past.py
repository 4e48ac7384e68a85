"""Find in what people know of the past what a firing was: which incident, after which deploy."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from rollback_guard.workbench.backtest.page import words
from rollback_guard.workbench.backtest.page.span import Data, Piece, Played, overlap


class Deployed(NamedTuple):
    """A deploy."""

    at: int
    version: str
    guard: str


class Broken(NamedTuple):
    """A known incident."""

    piece: Piece
    name: str
    guard: str


@dataclass(frozen=True)
class Past:
    """What people know of the time that was played; what names no guard concerns all of them."""

    deploys: Sequence[Deployed]
    incidents: Sequence[Broken]

    @classmethod
    def of(cls, data: Data, played: Played) -> Past:
        """Return what people told a backtest."""
        return cls(
            deploys=[Deployed(played.place(it["at"]), it["version"], it["guard"]) for it in data["deploys"]],
            incidents=[
                Broken(played.piece(it["start"], it["end"]), it["name"] or words.clock(it["start"]), it["guard"])
                for it in data["incidents"]
            ],
        )

    def what(self, piece: Piece, kind: str | None, guards: Collection[str]) -> str:
        """Return what a firing was, by name; nothing where nobody can know."""
        concerned = {"", *guards}
        match kind:
            case "incident":
                names = [it.name for it in self.incidents if overlap(piece, it.piece) and it.guard in concerned]
                return words.listed(names) or words.KINDS[kind]
            case "deploy":
                return f"after deploy {self._deployed_before(piece[0], concerned)}".rstrip()
        return words.KINDS.get(kind or "", "")

    def _deployed_before(self, at: int, concerned: Collection[str]) -> str:
        before = self.deploys[: bisect_right(self._deployed_at, at)]
        return next((it.version for it in reversed(before) if it.guard in concerned), "")

    @cached_property
    def _deployed_at(self) -> Sequence[int]:
        return [it.at for it in self.deploys]


def numbers(happened: Sequence[Deployed | Broken], guards: Collection[str]) -> list[int] | None:
    """Return the numbers of those that concern some guards; ``None`` for all, so that a page need not list them."""
    concerned = {"", *guards}
    found = [number for number, it in enumerate(happened) if it.guard in concerned]
    return None if len(found) == len(happened) else found
