"""Say first what matters most: whether the known incidents were found, and how often nothing was the matter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rollback_guard.workbench.backtest.page import words
from rollback_guard.workbench.backtest.page.past import Past
from rollback_guard.workbench.backtest.page.span import Data, Piece, Played, overlap

WEEK_S = 7 * 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One figure of the summary.

    Attributes:
        tone: `good`, `bad` or nothing, where it is neither.
    """

    name: str
    value: str
    note: str = ""
    tone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The known incidents, held against what would have been done, or would have fired where there is no guard.

    Attributes:
        missed: Names of those in which nothing came.
        delays_s: Of the others, from their beginning to the first of it.
    """

    missed: Sequence[str]
    delays_s: Sequence[int]

    @property
    def total(self) -> int:
        """How many there are."""
        return len(self.missed) + len(self.delays_s)

    @property
    def mean_delay_s(self) -> float | None:
        """The mean detection delay; ``None`` where nothing was detected."""
        return sum(self.delays_s) / len(self.delays_s) if self.delays_s else None


def known(data: Data, past: Past, played: Played) -> Known:
    """Hold the known incidents against what a guard that they concern would have done."""
    missed, delays = [], []
    answers = list(_answers(data, played))
    seeing = _seeing(data)
    for broken in past.incidents:
        if not (broken.guard in seeing if broken.guard and data["guards"] else seeing):
            continue  # nobody could have seen it: it was not missed
        own = (piece for guard, piece in answers if broken.guard in ("", guard) and overlap(piece, broken.piece))
        first = min((begin for begin, _ in own), default=None)
        if first is None:
            missed.append(broken.name)
        else:
            delays.append(max(0, first - broken.piece[0]))
    return Known(missed=missed, delays_s=delays)


def _seeing(data: Data) -> set[str]:
    """Return who saw anything at all: guards, or rules where there is no guard."""
    rules = data["rules"]
    if data["guards"]:
        return {guard["name"] for guard in data["guards"] if words.could_act(guard, rules)}
    return {rule["id"] for rule in rules if words.is_seen(rule)}


def _answers(data: Data, played: Played) -> Iterator[tuple[str, Piece]]:
    """Yield when a guard would have been at work, or a rule firing where there is no guard."""
    for guard in data["guards"]:
        yield from ((guard["name"], played.piece(it["opened_at"], it["closed_at"])) for it in acting(guard))
    if not data["guards"]:
        for rule in data["rules"]:
            yield from (("", played.piece(it["began_at"], it["ended_at"])) for it in rule["firing"])


def acting(guard: Data) -> list[Data]:
    """Return the incidents in which a guard would have done something."""
    return [it for it in guard["incidents"] if it["actions"]]


def false_alarms(data: Data) -> int | None:
    """Return how often nothing was the matter; ``None`` where nobody said when something was."""
    scores = [it["score"] for it in data["guards"] or data["rules"] if it["score"]]
    return sum(it["false_alarms"] for it in scores) if scores else None


def lede(data: Data, found: Known, played: Played) -> str:
    """Return the sentence that matters most."""
    guards, length, false = data["guards"], words.span(played.length_s), false_alarms(data)
    if not any(map(words.is_seen, data["rules"])):
        return f"Nothing can be said of these {length}: no rule was known in any evaluation."
    if (blind := blindness(data["rules"])) > MOSTLY:
        most = words.share(blind, 1)
        return f"Little can be said of these {length}: in {most} of the evaluations the guard could not see."
    who = ("The guard" if len(guards) == 1 else "The guards") if guards else "The rules"
    would = f"{who} would have {'acted' if guards else 'fired'}"
    if found.total:
        late = f", {words.span(found.mean_delay_s)} after the beginning on average" if found.delays_s else ""
        return f"{would} in {_of(found)}{late}{_needless(false)}."
    many = sum(len(acting(it)) for it in guards) if guards else _firings(data["rules"])
    if not many:
        return f"{would.replace(' have', ' not have')} once in {length}."
    if false is None:
        return f"{would} {words.times(many)} in {length}; whether rightly, only known incidents can tell."
    where = f"{words.times(false)} without" if false else "each time after"
    return f"{would} {words.times(many)} in {length}, {where} a deploy."


MOSTLY = 0.5
"""A guard that was blind for longer than this would have done nothing, and that is no good news."""


def blindness(rules: Sequence[Data]) -> float:
    """Return in which part of all evaluations nothing could be seen; all of them where there was none."""
    slots = sum(it["slots"] for it in rules)
    return sum(words.blind_slots(it["unknown"]) for it in rules) / slots if slots else 1.0


def _of(found: Known) -> str:
    detected, total = len(found.delays_s), found.total
    if total == 1:
        return "the one known incident" if detected else "none of the known incidents, of which there is one"
    if detected == total:
        return f"all {total} known incidents"
    return f"{detected or 'none'} of {total} known incidents"


def _needless(false: int | None) -> str:
    return f", and {words.times(false)} when nothing was known to be wrong" if false else ", and at no other time"


def tiles(data: Data, found: Known, played: Played) -> Iterator[Tile]:
    """Yield the figures of the summary."""
    rules, guards = data["rules"], data["guards"]
    seen = [it for it in rules if words.is_seen(it)]
    fired, firing_s = sum(bool(it["firings"]) for it in seen), sum(it["firing_s"] for it in seen)
    note = f"{fired} of {words.count(len(rules), 'rule')}, {words.span(firing_s)}" if seen else "nothing was known"
    yield Tile(name="Firings", value=str(_firings(rules)) if seen else "?", note=note)
    if any(words.could_act(it, rules) for it in guards):
        incidents = [it for guard in guards for it in acting(guard)]
        further = sum(len(it["actions"]) - 1 for it in incidents)
        note = f"{words.count(further, 'further step')} had those not helped" if further else "first steps"
        yield Tile(name="Actions", value=str(len(incidents)), note=note)
    if found.total:
        names = f"missed: {words.listed(found.missed[:3])}{' …' if len(found.missed) > 3 else ''}"  # noqa: PLR2004
        yield Tile(
            name="Incidents detected",
            value=f"{len(found.delays_s)} of {found.total}",
            note=names if found.missed else "none missed",
            tone="bad" if found.missed else "good",
        )
    if (false := false_alarms(data)) is not None:
        weekly, is_short = false * WEEK_S / played.length_s, played.length_s < WEEK_S
        tone = "bad" if false else "good"
        note = f"{false} in all{', projected' if is_short and false else ''}"
        yield Tile(name="False alarms per week", value=words.rate(weekly), note=note, tone=tone)
    if found.delays_s:
        note = f"{words.span(max(found.delays_s))} at the longest"
        yield Tile(name="Mean detection delay", value=words.span(found.mean_delay_s), note=note)
    yield _unknown(rules)


def _firings(rules: Sequence[Data]) -> int:
    return sum(it["firings"] or 0 for it in rules)


def _unknown(rules: Sequence[Data]) -> Tile:
    slots = sum(it["slots"] for it in rules)
    blind = sum(words.blind_slots(it["unknown"]) for it in rules)
    idle = sum(words.idle_slots(it["unknown"]) for it in rules)
    note = f"and {words.share(idle, slots)} idle: nothing to judge" if idle else "of all evaluations"
    return Tile(name="Blind", value=words.share(blind, slots), note=note, tone="bad" if blind > slots / 100 else "")
