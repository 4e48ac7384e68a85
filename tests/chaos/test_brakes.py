"""What the brakes hold back in the real daemon, over kills, restarts, reloads and configurations that were written over."""

from __future__ import annotations

import signal
from datetime import timedelta
from itertools import pairwise

import pytest

from chaos import figures
from chaos.process import Guard, wait_for
from chaos.target import Target, probe, target, write_commands
from rollback_guard.core.records import Decided, Intended, Reason

FLEET = 50
BUDGET = 4
WINDOW = timedelta(seconds=6)
KILLED_EVERY_S = 2
KILLS = 5

VETO_S = 4
SERVICES = 20


def breaching(services: Target, count: int, **more: object) -> dict[str, object]:
    """Return the rules of so many services, each with a guard of its own."""
    names = [f"s{number}" for number in range(count)]
    guards = [
        {
            "guard": name,
            "select": {"service": name},
            "notify": {"critical": ["people", "managers"]},
            "playbook": [{"action": "rollback", "verify": {"within": "1m", "stable_for": "1s"}}],
            **more,
        }
        for name in names
    ]
    return {"probes": [probe(services, name, interval="1s", timeout="900ms") for name in names], "guards": guards}


@pytest.mark.promise(20)
async def test_fifty_services_that_breach_for_ever_get_no_more_actions_than_the_fleet_may_run(tmp_path):
    with target() as services, Guard(tmp_path) as guard:
        write_commands(tmp_path)
        guard.configure(
            f'[limits]\nmax_actions = {BUDGET}\nper = "{WINDOW.seconds}s"\nstorm = {{ guards = 1000, within = "1m" }}\n'
            + services.action("rollback")
            + services.webhook()
            + services.webhook("managers"),
            breaching(services, FLEET),
        )
        for _ in range(KILLS):
            guard.start()
            guard.wait_ready()
            guard.live_for(KILLED_EVERY_S)
            guard.kill()
        guard.start()
        guard.wait_ready()
        wait_for(lambda: len(services.steps()) > 2 * BUDGET, "a third window", log=guard.log)
        guard.stop()

        intents = [each for each in await guard.records() if isinstance(each, Intended)]
        figures.add_run(kills=guard.kills, flaw=guard.flaw())
        figures.add_effects([each.key for each in intents], [each["key"] for each in services.effects()])
        assert guard.flaw() is None
        assert sorted(each["key"] for each in services.effects()) == sorted(each.key for each in intents)
        for first, after in zip(intents, intents[BUDGET:], strict=False):
            assert after.at - first.at >= WINDOW, "never more than the budget in any window"
        for before, after in pairwise(intents):
            assert before.at <= after.at


def storm_over(guard: Guard) -> bool:
    return {each["phase"] for each in guard.incidents()} == {"closed"}


@pytest.mark.promise(21)
async def test_twenty_services_that_fail_together_are_one_page_and_no_rollback_and_one_that_fails_is_one_rollback(
    tmp_path,
):
    with target() as services, Guard(tmp_path) as guard:
        write_commands(tmp_path)
        names = [f"s{number}" for number in range(SERVICES)]
        for name in names:
            services.say(name, up=True)
        guard.configure(
            '[limits]\nstorm = { guards = 3, within = "20s" }\n'
            + services.action("rollback")
            + services.webhook()
            + services.webhook("managers"),
            breaching(services, SERVICES, veto=f"{VETO_S}s", limits={"cooldown": "0s"}),
        )
        guard.start()
        guard.wait_ready()
        for name in names:
            services.say(name, up=False)
        wait_for(lambda: len(guard.incidents()) == SERVICES, "all of them to breach", log=guard.log)
        assert guard.metric("rollback_guard_storm_brake_active") == 1
        wait_for(lambda: reasons(guard) == {"storm"}, "every countdown to end, and to be held", log=guard.log)
        assert services.steps() == []
        for channel in ("people", "managers"):
            wait_for(lambda channel=channel: pages(services, channel), "the page", log=guard.log)
        for name in names:
            services.say(name, up=True)
        wait_for(lambda: storm_over(guard), "the storm to pass", log=guard.log)
        guard.stop()
        for channel in ("people", "managers"):
            assert len(pages(services, channel)) == 1, services.told(channel)
        decided = [each for each in await guard.records() if isinstance(each, Decided)]
        assert {each.guard for each in decided if each.reason is Reason.STORM} == set(names)

    with target() as services, Guard(tmp_path / "calm") as guard:
        write_commands(guard.home)
        for name in names:
            services.say(name, up=name != "s7")
        guard.configure(
            '[limits]\nstorm = { guards = 3, within = "20s" }\n'
            + services.action("rollback", cures="s7")
            + services.webhook()
            + services.webhook("managers"),
            breaching(services, SERVICES, veto=f"{VETO_S}s"),
        )
        guard.start()
        wait_for(lambda: guard.incidents() and storm_over(guard), "the one to recover", log=guard.log)
        guard.stop()
        assert services.steps() == ["rollback"]


def reasons(guard: Guard) -> set[str]:
    return {each["last"]["reason"] for each in guard.ask("/api/v1/guards")["guards"]}


def pages(services: Target, channel: str) -> list[dict[str, str]]:
    """Return what a channel was told of the storm's beginning."""
    return [each for each in services.told(channel) if each["thread"] == "storm" and each["kind"] == "holding"]


@pytest.mark.promise(23)
def test_a_pause_outlives_kills_restarts_a_reload_and_a_configuration_that_was_written_over(tmp_path):
    settings = '[limits]\nstorm = { guards = 9, within = "1m" }\n'
    with target() as services, Guard(tmp_path) as guard:
        write_commands(tmp_path)
        settings += services.action("rollback", cures="s0") + services.webhook() + services.webhook("managers")
        guard.configure(settings, breaching(services, 1))
        services.say("s0", up=True)
        guard.start()
        guard.wait_ready()
        assert guard.post("/api/v1/pause", {"guard": "s0", "reason": "hands off"})[0] == 200
        services.say("s0", up=False)

        def held() -> bool:
            return bool(guard.guard("s0").get("last")) and guard.guard("s0")["last"]["reason"] == "paused"

        for number in range(5):
            wait_for(held, "the pause to hold", log=guard.log)
            assert guard.metric("rollback_guard_guard_paused", guard="s0") == 1
            if number % 2:
                guard.stop()
            else:
                guard.kill()
            guard.start()
            guard.wait_ready()
        # Configuration management puts its own file in place, and has it loaded.
        services.say("s1", up=True)
        guard.configure(settings, breaching(services, 2, warm_up="1s"))
        assert guard.process is not None
        guard.process.send_signal(signal.SIGHUP)
        wait_for(lambda: len(guard.ask("/api/v1/guards")["guards"]) == 2, "the reload", log=guard.log)
        wait_for(held, "the pause to hold", log=guard.log)
        assert guard.metric("rollback_guard_guard_paused", guard="s0") == 1
        assert services.steps() == []

        assert guard.post("/api/v1/resume", {"guard": "s0"})[0] == 200
        wait_for(services.steps, "what was held back to be done", log=guard.log)
        guard.stop()
