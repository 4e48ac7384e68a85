"""Stories with kills in them: what the guard is to do, where it dies, and how the story has to end all the same."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chaos import figures
from chaos.process import Guard, wait_for
from chaos.target import Target, probe, target, write_commands
from rollback_guard.core.records import Concluded, IncidentEnded, Intended, Outcome

SHIM = {
    "set": {
        "rollback_guard.engine.ledger.CHECKPOINT_EVERY": 1,
        "rollback_guard.adapters.journal.retention.STEP": 1,
    },
    "forget": True,
}
"""Checkpoints with every look, and everything forgotten that may be: so that there is a moment to die in."""

FORGETTING = {"checkpoint", "keep", "prune", "forget"}

LIFE_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One story.

    Attributes:
        name: Its name in the test's id.
        points: Where the daemon dies, one per life: those of the failpoint shim, `effect:before` and `effect:after` for
            the action's own process, and `time:1.3` for whatever it is doing then.
        playbook: The guard's steps.
        steps: The effects, in the order in which they have to happen.
        ends: The reason of each incident's end.
        kinds: What people have to hear of.
        more: Further keys of the guard.
        order: What a person asks for, again and again until it is seen to be done.
        orders_last: Whether that person comes only when the deaths are over.
        begins_up: Whether the service is fine at first.
        is_complete: Whether every point has to be reached; not where chance has a hand in it.
    """

    name: str
    points: Sequence[str]
    playbook: Sequence[Mapping[str, Any]]
    steps: Sequence[str]
    ends: Sequence[str] = ("verified",)
    kinds: frozenset[str] = frozenset({"opened", "acting", "acted", "recovered"})
    more: Mapping[str, Any]
    order: Callable[[Guard], None] = lambda guard: None
    orders_last: bool = False
    begins_up: bool = False
    is_complete: bool = True

    def shuffled(self, number: int) -> Scenario:
        """Return it with some deaths left out and others at any time: then each follows upon another state."""
        chance = random.Random(f"{self.name} {number}")
        points = [
            f"time:{chance.uniform(0.3, 2.5):.2f}" if chance.random() < 0.3 else point
            for point in self.points
            if chance.random() < 0.8
        ]
        return replace(self, points=points, is_complete=False)


def play(scenario: Scenario, home: Path) -> Story:
    """Play a scenario to its end, through all of its deaths."""
    with target() as counting, Guard(home) as guard:
        write_commands(home)
        counting.say("shop", up=scenario.begins_up)
        guard.configure(
            "".join(
                counting.action(
                    step,
                    cures="shop" if step in {"rollback", "mend"} else "",
                    more='undo = "flag-on"' if "flag-on" in scenario.steps and step != "flag-on" else "",
                )
                for step in scenario.steps
            )
            + counting.webhook(),
            {
                "probes": [probe(counting, "shop")],
                "guards": [
                    {
                        "guard": "shop",
                        "select": {"service": "shop"},
                        "notify": {"critical": ["people"]},
                        "playbook": scenario.playbook,
                        **scenario.more,
                    }
                ],
            },
        )
        story = Story(scenario, guard, counting)
        story.play()
        return story


class Story:
    """One scenario as it is played."""

    def __init__(self, scenario: Scenario, guard: Guard, counting: Target) -> None:
        self.scenario = scenario
        self.guard = guard
        self._target = counting
        self.effects: list[dict[str, str]] = []
        self.told: list[dict[str, str]] = []

    def play(self) -> None:
        """Die at every point, then come to the end."""
        for point in self.scenario.points:
            if not self._live(point):
                break
        else:
            self.guard.start()
        wait_for(self._is_over, "the story to end, and people to know", log=self.guard.log)
        self.guard.stop()
        self.effects, self.told = self._target.effects(), self._target.told()

    def _live(self, point: str) -> bool:
        """Live until death at this point; return whether it came before the story was over."""
        side, _, what = point.partition(":")
        if side == "effect":
            (self.guard.home / f"die-{what}").touch()
            self.guard.start()
        elif side == "time":
            self.guard.start()
        else:
            forgets = point.split(":")[1] in FORGETTING
            self.guard.start(points={**(SHIM if forgets else {}), "point": point})
        process, began = self.guard.process, time.monotonic()
        assert process is not None
        while process.poll() is None:
            lasted = time.monotonic() - began
            if side == "time" and lasted > float(what):
                process.kill()
                process.wait(10)
            elif not self.scenario.is_complete and self._is_over(may_order=not self.scenario.orders_last):
                (self.guard.home / f"die-{what}").unlink(missing_ok=True)
                return False
            else:
                assert lasted < LIFE_S, f"it never came to {point}\n{self.guard.log()}"
                if not self.scenario.orders_last:
                    self.scenario.order(self.guard)
                time.sleep(0.05)
        self.guard.wait_killed()
        return True

    def _is_over(self, *, may_order: bool = True) -> bool:
        if may_order:
            self.scenario.order(self.guard)
        if len(self._target.effects()) < len(self.scenario.steps):
            return False
        found = self.guard.incidents()
        if not found or any(each["phase"] != "closed" for each in found) or not self._is_settled():
            return False
        return all(ended == "sent" for *_, ended in self.guard.letters())

    def _is_settled(self) -> bool:
        """Say whether the last action, which may be an undo, is known to have ended."""
        ids = [each["id"] for each in self.guard.incidents()]
        records = [each for id_ in ids for each in _records(self.guard, id_)]
        kinds = [each["kind"] for each in records]
        return kinds.count("concluded") == kinds.count("intended") == len(self.scenario.steps)

    async def assert_whole(self) -> None:
        """Nothing lost, nothing doubled, nothing in another order, and the journal's chain is whole."""
        records, scenario = await self.guard.records(), self.scenario
        intents = [each for each in records if isinstance(each, Intended)]
        keys, seen = [each.key for each in intents], [each["key"] for each in self.effects]
        letters, ids = self.guard.letters(), [each["id"] for each in self.told]
        flaw = self.guard.flaw()
        figures.add_run(kills=self.guard.kills, flaw=flaw)
        figures.add_effects(keys, seen)
        figures.add_notices([each[0] for each in letters], ids)

        assert flaw is None
        assert seen == keys, "each effect once, in the order of the intents and under their keys"
        assert [each["step"] for each in self.effects] == list(scenario.steps)
        outcomes = {each.key: each.outcome for each in records if isinstance(each, Concluded)}
        assert outcomes == dict.fromkeys(keys, Outcome.SUCCEEDED)
        assert [each.reason.value for each in records if isinstance(each, IncidentEnded)] == list(scenario.ends)
        for thread in {thread for _, _, thread, _ in letters}:
            arrived = dict.fromkeys(each["id"] for each in self.told if each["thread"] == thread)
            assert list(arrived) == [id_ for id_, _, of, _ in letters if of == thread], "every notice, in its order"
        assert {each["kind"] for each in self.told} >= scenario.kinds
        if scenario.is_complete:
            assert self.guard.kills == len(scenario.points)


def approve(guard: Guard) -> None:
    """Have a person let the step be run that waits for it."""
    if any(each["phase"] == "waiting" for each in guard.incidents()):
        guard.post("/api/v1/approve", {"guard": "shop", "reason": "it is ours"})


def undo(guard: Guard) -> None:
    """Have a person take back what was done, once the incident is over."""
    for incident in guard.incidents():
        if incident["phase"] == "closed" and not any(each.get("undoes") for each in _records(guard, incident["id"])):
            guard.post("/api/v1/undo", {"incident": incident["id"], "reason": "a false alarm"})


def trigger(guard: Guard) -> None:
    """Have a person run the whole playbook, although nothing fires."""
    if guard.ask("/api/v1/status") and not guard.incidents():
        guard.post("/api/v1/trigger", {"guard": "shop", "all": True, "reason": "data is being corrupted"})


def _records(guard: Guard, incident: str) -> list[dict[str, Any]]:
    found = guard.ask(f"/api/v1/incidents/{incident}")
    return found["records"] if found else []
