"""Answer each request from one snapshot."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from rollback_guard.adapters.web.page import draw
from rollback_guard.adapters.web.query import read_query
from rollback_guard.adapters.web.queue import Queue
from rollback_guard.adapters.web.refusal import Refusal, json_response
from rollback_guard.adapters.web.replies import RolloutsView
from rollback_guard.adapters.web.views import (
    DecisionsView,
    GuardStoryView,
    GuardsView,
    HealthView,
    IncidentsView,
    IncidentView,
    RulesView,
    View,
    status,
    troubled_first,
    worst_first,
)
from rollback_guard.core.fold import fold_all
from rollback_guard.core.records import Record
from rollback_guard.core.snapshot import Snapshot
from rollback_guard.core.state import State
from rollback_guard.core.story import tell, tell_guard
from rollback_guard.ports import JournalError
from rollback_guard.secret import redact

RULES_SHOWN = 1000

ENTRIES_SHOWN = 100

NEAR = 3
"""Ids that are offered in place of one that is not there."""


class Handlers:
    """What stands behind the routes. Only `reload` changes anything; `control` lets callers in to it."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._stories = Queue()

    async def overview(self, request: Request) -> Response:
        """Show guards, rules and incidents to a person."""
        snapshot = self._view.snapshot()
        return HTMLResponse(await asyncio.to_thread(draw, snapshot))

    async def metrics(self, request: Request) -> Response:
        """Expose the metrics."""
        body, content_type = await self._view.metrics()
        return Response(body, headers={"content-type": content_type})

    async def healthy(self, request: Request) -> Response:
        """Say whether the evaluation loop goes on; that Prometheus is away is no reason to be restarted."""
        if self._view.alive():
            return json_response(HealthView(ok=True, detail="the evaluation loop goes on"))
        return json_response(HealthView(ok=False, detail="the evaluation loop has stopped"), 503)

    async def ready(self, request: Request) -> Response:
        """Say whether every group has been evaluated once."""
        if self._view.ready():
            return json_response(HealthView(ok=True, detail="every group has been evaluated"))
        return json_response(HealthView(ok=False, detail="not every group has been evaluated yet"), 503)

    async def reload(self, request: Request) -> Response:
        """Load the configuration again; with an error in it the old one stays in force."""
        result = await self._view.reload()
        return await _json(lambda: result, 200 if result.successful else 400)

    async def status(self, request: Request) -> Response:
        """Answer with the instance at a glance."""
        snapshot = self._view.snapshot()
        return await _json(lambda: status(snapshot))

    async def rules(self, request: Request) -> Response:
        """Answer with the rules, worst first."""
        query, snapshot = read_query(request.query_params, limit=RULES_SHOWN), self._view.snapshot()

        def answer() -> RulesView:
            found = worst_first(each for each in snapshot.rules if query.guard is None or query.guard in each.guards)
            return RulesView(at=snapshot.at, total=len(found), rules=tuple(found[: query.limit]))

        return await _json(answer)

    async def guards(self, request: Request) -> Response:
        """Answer with the guards."""
        query, snapshot = read_query(request.query_params, limit=RULES_SHOWN), self._view.snapshot()

        def answer() -> GuardsView:
            found = troubled_first(each for each in snapshot.guards if query.guard in (None, each.name))
            return GuardsView(at=snapshot.at, total=len(found), guards=tuple(found[: query.limit]))

        return await _json(answer)

    async def guard(self, request: Request) -> Response:
        """Answer with one guard and its story of late: why it did or did not act."""
        name, snapshot = request.path_params["id"], self._view.snapshot()
        found = next((each for each in snapshot.guards if each.name == name), None)
        if found is None:
            known = [each.name for each in snapshot.guards]
            raise Refusal(404, f"there is no guard {name}", near=_close(name, known))
        async with self._stories.turn():
            records = await _read(self._view.guard_records(name))
            return await _json(
                lambda: GuardStoryView(
                    at=snapshot.at, guard=found, story=tell_guard(records, name, rules=frozenset(found.rules))
                )
            )

    async def incidents(self, request: Request) -> Response:
        """Answer with the incidents."""
        query, snapshot = read_query(request.query_params, limit=ENTRIES_SHOWN), self._view.snapshot()
        found = tuple(each for each in snapshot.incidents if query.guard in (None, each.guard))
        return await _json(lambda: IncidentsView(at=snapshot.at, total=len(found), incidents=found[: query.limit]))

    async def incident(self, request: Request) -> Response:
        """Answer with one incident, its story and its records."""
        id_, snapshot = request.path_params["id"], self._view.snapshot()

        def answer(records: tuple[Record, ...]) -> IncidentView:
            own = [record for record in records if getattr(record, "incident", None) == id_]
            found = fold_all(State(), own).incidents.get(id_)
            if found is None:
                raise Refusal(404, f"there is no incident {id_}", near=_near(id_, snapshot))
            return IncidentView(at=snapshot.at, incident=found, story=tell(records), records=records)

        async with self._stories.turn():
            records = tuple(await _read(self._view.records(id_)))
            return await _json(lambda: answer(records))

    async def rollouts(self, request: Request) -> Response:
        """Answer with the last rollout of each guard."""
        query, snapshot = read_query(request.query_params, limit=RULES_SHOWN), self._view.snapshot()

        def answer() -> RolloutsView:
            found = [
                each.rollout for each in snapshot.guards if each.rollout and query.guard in (None, each.rollout.guard)
            ]
            found.sort(key=lambda rollout: (rollout.finished_at is None, rollout.started_at), reverse=True)
            return RolloutsView(at=snapshot.at, total=len(found), rollouts=tuple(found[: query.limit]))

        return await _json(answer)

    async def decisions(self, request: Request) -> Response:
        """Answer with the decisions."""
        query, snapshot = read_query(request.query_params, limit=ENTRIES_SHOWN), self._view.snapshot()
        found = tuple(each for each in snapshot.decisions if query.guard in (None, each.guard))
        return await _json(lambda: DecisionsView(at=snapshot.at, total=len(found), decisions=found[: query.limit]))


async def _read(records: Awaitable[Sequence[Record]]) -> Sequence[Record]:
    try:
        return await records
    except JournalError as error:
        raise Refusal(503, f"the journal cannot be read: {redact(str(error))}") from error


async def _json(answer: Callable[[], Any], code: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Make an answer in a thread: ten thousand rules take long enough to be missed by the evaluation loop."""
    return await asyncio.to_thread(lambda: json_response(answer(), code, headers))


def _near(id_: str, snapshot: Snapshot) -> tuple[str, ...]:
    """Return ids that were perhaps meant, the newest where none is alike."""
    return _close(id_, [incident.id for incident in snapshot.incidents])


def _close(name: str, known: Sequence[str]) -> tuple[str, ...]:
    return tuple(difflib.get_close_matches(name, known, n=NEAR)) or tuple(known[:NEAR])
