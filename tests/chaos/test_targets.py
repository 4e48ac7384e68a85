"""Let every target of an action misbehave in its own way: the effect happens once, or people are told that nobody knows.

One daemon and one guard per behaviour, so that all of them go on at the same time. The witness counts the requests and
the effects; what the guard believes is read from its journal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from chaos import figures
from chaos.process import Guard, wait_for
from chaos.target import Target, probe, target, write_commands
from loopback import free_port
from rollback_guard.core.records import Concluded, IncidentCleared, IncidentEnded

DONE = {"effect": True, "say": 200}
SOME = -1
"""Requests, as many as there is time for."""


def done_but(say: object) -> dict[str, object]:
    """Have the effect, and let nobody know."""
    return {"effect": True, "say": say}


def not_done_but(say: object) -> dict[str, object]:
    return {"effect": False, "say": say}


@dataclass(frozen=True, kw_only=True)
class Case:
    """How one target behaves, and what has to come of it.

    Attributes:
        answers: What it does, request by request; the last one stays. None is a target that refuses connections.
        goal: What it does when it is asked for its goal; nothing where nobody can tell.
        more: Further keys of the action.
        requests: How many requests it gets.
        effects: How many of them have an effect.
        outcomes: Of the action, and of the step after it where there is one.
        reason: Of the incident's end.
    """

    answers: Sequence[dict[str, object]]
    goal: Sequence[object] = (200,)
    more: str = ""
    requests: int = 1
    effects: int = 1
    outcomes: tuple[str, ...] = ("succeeded",)
    reason: str = "verified"


UNKNOWN = {"outcomes": ("unknown",), "reason": "outcome_unknown"}
FALLS_BACK = {"outcomes": ("failed", "succeeded"), "effects": 0}

CASES = {
    # What it says is not known, and its goal says that it was done.
    "hangs after the effect": Case(answers=[done_but("hang")]),
    "drips after the effect": Case(answers=[done_but("drip")]),
    "closes after the effect": Case(answers=[done_but("close")]),
    "fails after the effect": Case(answers=[done_but(500)]),
    # Its goal says that it was not.
    "hangs and then works": Case(answers=[not_done_but("hang"), DONE], requests=2),
    "closes and then works": Case(answers=[not_done_but("close"), DONE], requests=2),
    "fails and then works": Case(answers=[not_done_but(500), DONE], requests=2),
    "is busy and then works": Case(answers=[not_done_but(503), not_done_but(429), DONE], requests=3),
    # Nobody can tell.
    "hangs, and nobody can tell": Case(answers=[done_but("hang")], goal=(), **UNKNOWN),
    "closes, and nobody can tell": Case(answers=[done_but("close")], goal=(), **UNKNOWN),
    "fails, and nobody can tell": Case(answers=[not_done_but(500)], goal=(), effects=0, **UNKNOWN),
    "closes, and its goal is broken": Case(answers=[done_but("close")], goal=(500,), **UNKNOWN),
    "closes, and its goal hangs": Case(answers=[done_but("close")], goal=("hang",), **UNKNOWN),
    # People said that repeating it is harmless.
    "closes, and may be repeated": Case(
        answers=[not_done_but("close"), DONE], goal=(), more="idempotent = true", requests=2
    ),
    # It is known that nothing happened, and that nothing will.
    "forbids": Case(answers=[not_done_but(403)], **FALLS_BACK),
    "refuses": Case(answers=[], requests=0, **FALLS_BACK),
    "is busy for ever": Case(answers=[not_done_but(503)], requests=SOME, **FALLS_BACK),
}


def step_of(name: str) -> str:
    return name.replace(" ", "-").replace(",", "")


def settings(case: Case, step: str, services: Target) -> str:
    url = services.url if case.answers else f"http://127.0.0.1:{free_port()}"
    inspect = f"""
[actions.{step}.inspect]
url = "{services.url}/goal/{step}"
expect = {{ json = {{ reached = true }} }}
"""
    return f"""
[actions.{step}]
type = "http"
url = "{url}/effects/{step}?cures={step}"
timeout = "1s"
{case.more}
{inspect if case.goal else ""}
"""


def rules(services: Target) -> dict[str, object]:
    steps = {step_of(name): case for name, case in CASES.items()}
    return {
        "probes": [probe(services, step, timeout="450ms") for step in steps],
        "guards": [
            {
                "guard": step,
                "select": {"service": step},
                "playbook": [
                    {"action": step, "timeout": "5s", "verify": {"within": "30s", "stable_for": "1s"}},
                    *([{"action": f"{step}-else", "verify": {"within": "30s", "stable_for": "1s"}}] * falls_back(case)),
                ],
            }
            for step, case in steps.items()
        ],
    }


def falls_back(case: Case) -> bool:
    return len(case.outcomes) > 1


def play(home: Path) -> tuple[Guard, list[dict[str, str]], Counter[str]]:
    """Have every case play, and return what the guard and the witness know of it."""
    with target() as services, Guard(home) as guard:
        write_commands(home)
        written = ['\n[limits]\nstorm = { guards = 100, within = "1m" }\n']
        for name, case in CASES.items():
            step = step_of(name)
            services.plan(f"/effects/{step}", *case.answers or [DONE])
            services.plan(f"/goal/{step}", *case.goal or [200])
            written.append(settings(case, step, services))
            if falls_back(case):
                written.append(services.action(f"{step}-else", cures=step))
        guard.configure("".join(written), rules(services))
        guard.start()
        wait_for(
            lambda: [each["phase"] in {"closed", "handed_over"} for each in guard.incidents()] == [True] * len(CASES),
            "every incident to end",
            log=guard.log,
        )
        for name in CASES:
            services.say(step_of(name), up=True)
        wait_for(lambda: {each["phase"] for each in guard.incidents()} == {"closed"}, "all to be over", log=guard.log)
        guard.stop()
        return guard, services.effects(), services.asked()


@pytest.mark.promise(4)
async def test_a_target_that_misbehaves_has_its_effect_once_or_people_hear_that_nobody_knows(tmp_path):
    guard, effects, asked = play(tmp_path)
    records = await guard.records()
    figures.add_run(others=len(CASES), flaw=guard.flaw())
    assert guard.flaw() is None
    for name, case in CASES.items():
        step = step_of(name)
        own = [each for each in records if getattr(each, "guard", None) == step]
        concluded = [each for each in own if isinstance(each, Concluded)]
        seen = [each["key"] for each in effects if each["step"] == step]
        expected = [concluded[0].key] * case.effects
        figures.add_effects(expected, seen)

        assert seen == expected, name
        assert case.requests in {asked[f"/effects/{step}"], SOME}, name
        assert tuple(each.outcome for each in concluded) == case.outcomes, name
        assert [each.reason for each in own if isinstance(each, IncidentEnded)] == [case.reason], name
        cleared = any(isinstance(each, IncidentCleared) for each in own)
        assert cleared == (case.reason == "outcome_unknown"), name
