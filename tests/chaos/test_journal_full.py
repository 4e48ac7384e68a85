"""The disk of the journal is full while two guards have something to do: who said `act` acts, who did not does not."""

from __future__ import annotations

import pytest

from chaos import figures
from chaos.process import Guard, wait_for
from chaos.target import probe, target, write_commands
from journals import SmallDisk
from rollback_guard.core.records import Concluded, IncidentEnded, Intended


@pytest.fixture
def disk(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    disk = SmallDisk(place, "4m")
    yield disk
    disk.end()


@pytest.mark.promise(24)
async def test_on_a_full_disk_only_a_guard_that_was_told_to_acts_and_both_say_what_is_wrong(tmp_path, disk):
    names = ("bold", "careful")
    with target() as services, Guard(tmp_path / "guard", state=disk.place / "guard.db") as guard:
        write_commands(guard.home)
        for name in names:
            services.say(name, up=True)
        guard.configure(
            "".join(services.action(name, cures=name) for name in names) + services.webhook(),
            {
                "probes": [probe(services, name) for name in names],
                "guards": [
                    {
                        "guard": name,
                        "select": {"service": name},
                        "notify": {"critical": ["people"]},
                        "when_journal_fails": "act" if name == "bold" else "hold",
                        "playbook": [{"action": name, "verify": {"within": "1m", "stable_for": "1s"}}],
                    }
                    for name in names
                ],
            },
        )
        guard.start()
        guard.wait_ready()
        disk.fill()
        for name in names:
            services.say(name, up=False)
        wait_for(lambda: services.steps() == ["bold"], "the bold one to act", log=guard.log)
        wait_for(lambda: phase(guard, "bold") == "closed", "it to be verified", log=guard.log)
        wait_for(lambda: "trouble" in kinds(services), "people to be told past the journal", log=guard.log)
        before = guard.metric("rollback_guard_group_evaluations_total", group="probe/careful") or 0
        wait_for(
            lambda: (guard.metric("rollback_guard_group_evaluations_total", group="probe/careful") or 0) > before + 4,
            "evaluation to go on",
            log=guard.log,
        )
        assert services.steps() == ["bold"], "what is not written down is not done"
        assert guard.metric("rollback_guard_journal_failing") == 1
        assert guard.ask("/api/v1/status")["condition"] in {"firing", "unable"}
        assert guard.events("journal_failed")

        told = kinds(services).count("trouble")
        disk.free()
        wait_for(lambda: services.steps() == ["bold", "careful"], "the careful one, now that it can", log=guard.log)
        wait_for(lambda: phase(guard, "careful") == "closed", "it to be verified", log=guard.log)
        wait_for(lambda: kinds(services).count("trouble") > told, "people to be told that it is over", log=guard.log)
        assert guard.metric("rollback_guard_journal_failing") == 0
        assert guard.events("journal_writes_again")
        guard.stop()

        records = await guard.records()
        keys = [each.key for each in records if isinstance(each, Intended)]
        figures.add_run(others=1, flaw=guard.flaw())
        figures.add_effects(keys, [each["key"] for each in services.effects()])
        assert guard.flaw() is None
        assert keys == [each["key"] for each in services.effects()], "what was done without the journal is in it now"
        assert sorted(each.key for each in records if isinstance(each, Concluded)) == sorted(keys)
        assert [each.guard for each in records if isinstance(each, IncidentEnded)] == list(names)


def phase(guard: Guard, name: str) -> str | None:
    return next((each["phase"] for each in guard.incidents() if each["guard"] == name), None)


def kinds(services) -> list[str]:
    return [each["kind"] for each in services.told()]
