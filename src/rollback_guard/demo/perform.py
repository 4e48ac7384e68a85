"""Perform the demo from start to end, and clean up whatever happens."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import NoReturn, Protocol, Self

from rollback_guard.demo.failure import DemoFailed
from rollback_guard.demo.proof import Claim, prove
from rollback_guard.demo.sight import IncidentSight
from rollback_guard.demo.stage import Stage
from rollback_guard.demo.story import DISABLE, ROLL_BACK, Audience, Story

EXPLAIN_WITHIN_S = 20.0

CURED_BY_FLAG = Claim(
    did=((DISABLE, "succeeded"),),
    reasons=(("act", "breach"), ("recovered", "verified")),
    flag_on=False,
    release="v2",
)
CURED_BY_ROLLBACK = Claim(
    did=((DISABLE, "succeeded"), (ROLL_BACK, "succeeded")),
    reasons=(("act", "breach"), ("act", "not_recovered"), ("recovered", "verified")),
    flag_on=False,
    release="v1",
)


class Theatre(Audience, AbstractContextManager["Theatre"], Protocol):
    """An audience that is let in and out."""

    def __enter__(self) -> Self:
        """Let in."""
        ...


def perform(root: Path, theatre: Theatre, *, keep: bool) -> None:
    """Play both acts.

    Args:
        root: A checkout of rollback-guard.
        theatre: Where it is shown.
        keep: Leave everything running after the last act until Ctrl-C.

    Raises:
        DemoFailed: The guard did not do what the demo promises, or something is missing.
    """
    with _signals_raise(), Stage(root=root) as stage:
        story = Story(stage=stage, audience=theatre)
        try:
            with theatre:
                last = _play(story)
            theatre.say(_closing(stage, last, story.took().total_seconds()))
            if keep:
                _stay(story, theatre)
        except DemoFailed as failure:
            _save_logs(failure, stage, theatre)
            raise
        finally:
            story.close()


def _play(story: Story) -> IncidentSight:
    story.prologue()
    first = story.act_one()
    _check(story, CURED_BY_FLAG, first)
    story.interlude()
    last = story.act_two()
    _check(story, CURED_BY_ROLLBACK, last)
    return last


def _check(story: Story, claim: Claim, incident: IncidentSight) -> None:
    found = prove(claim, incident, story.sight, story.stage, story.shop)
    story.report(found)


def _closing(stage: Stage, last: IncidentSight, seconds: float) -> str:
    return "\n".join(
        (
            "",
            f"The guard's own words (rollback-guard explain {last.id}):",
            "",
            _explain(stage, last),
            "",
            f"Done in {seconds:.0f} s: both times the guard saw it, acted, and proved that it helped.",
            "",
            "Where to go from here",
            "  docs/tutorial.md                       write your own first rule, in ten minutes",
            "  guard.toml, rules/shop.yaml            what the guard was told",
            "  make demo KEEP=1                       leave it running: rollback-guard status, explain, /metrics",
            "  rollback-guard run --config guard.toml --dry-run     look without touching",
        )
    )


def _explain(stage: Stage, incident: IncidentSight) -> str:
    command = [sys.executable, "-m", "rollback_guard.cli", "explain", incident.id, "--url", stage.guard_url]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=EXPLAIN_WITHIN_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise DemoFailed(f"rollback-guard explain {incident.id} did not end") from error
    if ended.returncode:
        raise DemoFailed(f"rollback-guard explain {incident.id} ended with code {ended.returncode}: {ended.stderr}")
    return ended.stdout.rstrip()


def _stay(story: Story, theatre: Theatre) -> None:
    stage = story.stage
    theatre.say(
        f"\nStill running, until Ctrl-C:\n"
        f"  rollback-guard status --url {stage.guard_url}\n"
        f"  {stage.guard_url}/metrics    {stage.prometheus_url}/graph\n"
        f"  logs and journal in {stage.home}"
    )
    with suppress(KeyboardInterrupt):
        story.keep()


def _save_logs(failure: DemoFailed, stage: Stage, theatre: Theatre) -> None:
    """Keep the logs of a failed demo where the people are: its own directory goes."""
    if not failure.logs:
        return
    saved = []
    for child in stage.children:
        target = Path.cwd() / f"demo-{child.name}.log"
        shutil.copyfile(child.log, target)
        saved.append(target.name)
        if tail := child.tail():
            theatre.say(f"\n--- the end of the log of {child.name}\n{tail}")
    if saved:
        theatre.say(f"\nWhole logs: {', '.join(saved)}")


@contextmanager
def _signals_raise() -> Iterator[None]:
    """Let a request to end run the cleaning up, as Ctrl-C does."""

    def end(number: int, _frame: object) -> NoReturn:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
