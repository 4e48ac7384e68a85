"""Set the wall clock of the real daemon by an hour while four spans are under way: each lasts as long as was promised.

libfaketime changes what the process sees of the wall clock while it runs; the steady clock stays true, as it does when
somebody sets the clock of a machine.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from chaos import figures
from chaos.process import Guard, wait_for
from chaos.target import probe, target, write_commands
from rollback_guard.core.records import ClockStepped

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)

SPAN_S = 18
SPANS = ("pending", "vetoed", "paused", "cooling")
EVALUATIONS = 5
"""That a group has to go on with after the clock was set, well within the spans."""

GUARDS = {
    "pending": {},
    "vetoed": {"veto": f"{SPAN_S}s"},
    "paused": {},
    "cooling": {"limits": {"cooldown": f"{SPAN_S}s", "max_actions": 5}},
}


class Story:
    """Four spans, and a clock that is set in the middle of them."""

    def __init__(self, home: Path, jump: str) -> None:
        self.home, self.jump = home, jump
        self.guard = Guard(home)
        self.began: dict[str, float] = {}
        self.acted: dict[str, float] = {}

    def play(self) -> None:
        with target() as self.services, self.guard:
            self.configure()
            self.set_clock("+0")
            self.guard.start(
                points={"faketime": True},
                LD_PRELOAD=str(LIBRARY),
                FAKETIME_DONT_FAKE_MONOTONIC="1",
                FAKETIME_TIMESTAMP_FILE=str(self.home / "clock"),
                FAKETIME_CACHE_DURATION="1",
            )
            self.guard.wait_ready()
            self.begin()
            self.assert_nothing_early()
            self.wait(lambda: set(self.services.steps()[1:]) == set(SPANS), "all four to act")
            self.acted = {span: self.acted_last(span) for span in SPANS}
            self.guard.stop()

    def configure(self) -> None:
        write_commands(self.home)
        for span in SPANS:
            self.services.say(span, up=True)
        hold = {"for": f"{SPAN_S}s"}
        self.guard.configure(
            '[limits]\nstorm = { guards = 9, within = "1m" }\n'
            + "".join(self.services.action(span, cures=span) for span in SPANS),
            {
                "probes": [
                    probe(self.services, span, interval="1s", timeout="900ms", **(hold if span == "pending" else {}))
                    for span in SPANS
                ],
                "guards": [
                    {
                        "guard": span,
                        "select": {"service": span},
                        "playbook": [{"action": span, "verify": {"within": "1m", "stable_for": "1s"}}],
                        **more,
                    }
                    for span, more in GUARDS.items()
                ],
            },
        )

    def begin(self) -> None:
        """Begin all four spans, and set the clock."""
        self.services.say("cooling", up=False)
        self.wait(lambda: self.services.acted_at("cooling"), "the first action")
        self.began["cooling"] = time.monotonic()  # it ends with the incident, which is later
        self.wait(lambda: self.phase("cooling") == "closed", "the end that it cools down from")
        self.services.say("cooling", up=False)

        self.began["paused"] = time.monotonic()
        said = self.guard.post("/api/v1/pause", {"guard": "paused", "reason": "moving house", "for": f"{SPAN_S}s"})
        assert said[0] == 200, said
        for span in ("paused", "vetoed", "pending"):
            self.began[span] = time.monotonic()
            self.services.say(span, up=False)
        self.wait(lambda: self.phase("vetoed") == "waiting", "the countdown")
        self.wait(lambda: {self.phase("paused"), self.phase("cooling")} == {"holding"}, "both brakes to hold")
        self.wait(lambda: self.alert("pending") == "pending", "the pending alert")
        self.set_clock(self.jump)

    def assert_nothing_early(self) -> None:
        before = self.evaluations()
        self.wait(lambda: self.guard.metric("rollback_guard_clock_steps_total"), "the step to be noticed")
        self.wait(lambda: self.evaluations() >= before + EVALUATIONS, "evaluation to go on")
        assert self.services.steps() == ["cooling"], "nothing acts early"
        assert self.wall_clock_is_set()

    def acted_last(self, span: str) -> float:
        return max(at for kind, each, at in self.services.seen() if kind == "effect" and each["step"] == span)

    def evaluations(self) -> float:
        return self.guard.metric("rollback_guard_group_evaluations_total", group="probe/pending") or 0

    def wall_clock_is_set(self) -> bool:
        at = datetime.fromisoformat(self.guard.ask("/api/v1/status")["at"]).timestamp()
        return abs(at - time.time() - float(self.jump)) < 60

    def phase(self, guard: str) -> str | None:
        return next((each["phase"] for each in self.guard.incidents() if each["guard"] == guard), None)

    def alert(self, name: str) -> str:
        return next(each["phase"] for each in self.guard.ask("/api/v1/rules")["rules"] if each["name"] == name)

    def set_clock(self, offset: str) -> None:
        new = self.home / "clock.new"
        new.write_text(f"{offset}\n")
        new.replace(self.home / "clock")

    def wait(self, condition, what: str) -> None:
        # libfaketime makes every look at a clock dear; so the guard is not asked all the time.
        wait_for(condition, f"{self.jump}: {what}", log=self.tell, every_s=0.25)

    def tell(self) -> str:
        return f"{self.guard.incidents()}\n{self.guard.log()}"


@pytest.mark.promise(15)
@pytest.mark.skipif(LIBRARY is None, reason="needs libfaketime, which Debian calls faketime")
async def test_a_clock_that_is_set_by_an_hour_changes_no_span_and_stops_no_evaluation(tmp_path):
    stories = [Story(tmp_path / jump, jump) for jump in ("+3600", "-3600")]
    with ThreadPoolExecutor(len(stories)) as hands:
        for run in [hands.submit(story.play) for story in stories]:
            run.result()
    for story in stories:
        steps = [each.by for each in await story.guard.records() if isinstance(each, ClockStepped)]
        figures.add_run(others=1, flaw=story.guard.flaw())
        assert [round(by / timedelta(seconds=10)) for by in steps] == [int(story.jump) / 10]
        assert story.guard.flaw() is None
        for span in SPANS:
            lasted = story.acted[span] - story.began[span]
            assert lasted >= SPAN_S - 0.6, f"{story.jump}: {span} lasted {lasted:.1f} s"
