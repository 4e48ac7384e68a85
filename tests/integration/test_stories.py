"""What is read out of the journal to tell a story: enough, only what belongs to it, and at nobody else's cost."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from types import SimpleNamespace

import pytest

import snapshots
from build import a_film, a_guard, a_rule
from fakes import FakeClock
from incidents import ID
from journals import AT, Failures, after, concluded, ended, evaluated, intended, opened
from rollback_guard.adapters.journal.sqlite import SqliteJournal
from rollback_guard.adapters.web.queue import MOST_WAITING
from rollback_guard.app.picture import Gallery
from rollback_guard.core import records
from rollback_guard.core.alert import Because
from rollback_guard.core.model import Phase
from rollback_guard.core.story import tell_guard
from rollback_guard.ports import JournalError
from served import Daemon, client_within


def moved(number, rule="g/r"):
    change = records.Transition(
        rule=rule, series=(), before=Phase.INACTIVE, after=Phase.FIRING, because=Because.BREACHED
    )
    return records.Evaluated(group="g", slot=after(number), transitions=(change,))


PAUSED = records.Paused(guard="checkout", at=after(6), until=None, by="ann", why="database moves")
RESUMED = records.Resumed(guard="checkout", at=after(7), by="ann")


@pytest.fixture
async def gallery(tmp_path):
    """A daemon of which only the journal is real."""
    clock = FakeClock(after(60))
    film = a_film(a_rule(), guards=[a_guard()])
    gallery = Gallery(clock, tmp_path / "guard.db")
    gallery.journal = SqliteJournal(tmp_path / "guard.db", telemetry=Failures())
    gallery.loop = SimpleNamespace(policy=film.policy, state=film.state)
    yield gallery
    await gallery.journal.close()


async def test_an_incidents_story_has_all_of_it_and_of_evaluations_those_in_which_its_rules_moved(gallery):
    own = [opened(at=1), intended(at=2), concluded(at=3), ended(at=8)]
    around = [moved(1), PAUSED]
    await gallery.journal.append([*own, *around, evaluated(2), moved(3, "other/r"), moved(30), opened("b-1", at=4)])
    told = await gallery.records("checkout-1")
    assert told == [own[0], moved(1), own[1], own[2], PAUSED, own[3]]


async def test_a_guards_story_has_what_moved_of_late_and_its_incidents_by_name(gallery):
    long_ago = records.Paused(guard="checkout", at=AT - timedelta(days=2), until=None, by="bob", why="long ago")
    own = [opened(at=1), intended(at=2), concluded(at=3), ended(at=8)]
    await gallery.journal.append([long_ago, *own, moved(1), evaluated(2), moved(3, "other/r"), PAUSED, RESUMED])
    gallery.loop.state = SimpleNamespace(incidents={"checkout-1": SimpleNamespace(id="checkout-1", guard="checkout")})
    told = await gallery.guard_records("checkout")
    assert told == [moved(1), own[0], PAUSED, RESUMED, own[3]]
    whole = [moved(1), *own[:3], PAUSED, RESUMED, own[3]]
    rules = frozenset({"g/r"})
    assert tell_guard(told, "checkout", rules=rules) == tell_guard(whole, "checkout", rules=rules)


class Slow(Daemon):
    """A daemon whose journal answers when it is told to."""

    def __init__(self):
        super().__init__()
        self.gate = asyncio.Event()
        self.asked = self.at_once = self.most_at_once = 0

    async def records(self, incident):
        self.asked += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.gate.wait()
        self.at_once -= 1
        return await super().records(incident)


@pytest.mark.parametrize("path", [f"/api/v1/incidents/{ID}", f"/api/v1/guards/{snapshots.snapshot().guards[0].name}"])
async def test_stories_are_told_one_after_the_other_and_not_to_any_number_of_callers(path):
    daemon = Slow()
    async with client_within(daemon) as client:
        asking = [asyncio.create_task(client.get(path)) for _ in range(20)]
        turned_away = set()
        async with asyncio.timeout(30):
            while len(turned_away) < 19 - MOST_WAITING:
                done, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED, timeout=1)
                turned_away |= done
                asking = [each for each in asking if each not in done]
        daemon.gate.set()
        told = [(await each).status_code for each in asking]
        again = await client.get(path)
    assert {each.result().status_code for each in turned_away} == {503}
    assert {each.result().headers["retry-after"] for each in turned_away} == {"5"}
    assert told == [200] * (1 + MOST_WAITING)
    assert daemon.most_at_once == 1
    assert again.status_code == 200


@pytest.mark.parametrize("path", [f"/api/v1/incidents/{ID}", f"/api/v1/guards/{snapshots.snapshot().guards[0].name}"])
async def test_a_journal_that_cannot_be_read_is_no_error_of_the_daemon(path):
    class Broken(Daemon):
        async def records(self, incident):
            raise JournalError("state/guard.db: disk I/O error")

    async with client_within(Broken()) as client:
        answers = [await client.get(path) for _ in range(2 * MOST_WAITING)]
    assert {each.status_code for each in answers} == {503}
    assert answers[0].json()["error"] == "the journal cannot be read: state/guard.db: disk I/O error"
