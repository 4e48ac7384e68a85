"""Tell people and programs what became of the questions: who was asked, what was not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rollback_guard.core.wording import span
from rollback_guard.workbench.online.examine import Report, ServerReport


def lines(report: Report) -> Iterator[str]:
    """Yield what is told beside the findings, one line for each thing."""
    for server in report.servers:
        if server.unreachable:
            yield f"{server.name}: {server.url} cannot be asked: {server.unreachable}"
            continue
        yield f"{server.name}: {server.url}{_version(server)}: {server.questions} questions in {span(server.took)}"
        yield from (f"{server.name}: not known: {it}" for it in server.not_asked)


def as_data(report: Report) -> list[dict[str, Any]]:
    """Return the same as JSON has it."""
    return [
        {
            "name": server.name,
            "url": server.url,
            "reached": not server.unreachable,
            "unreachable": server.unreachable,
            "version": server.version,
            "rules": server.rules,
            "questions": server.questions,
            "seconds": round(server.took.total_seconds(), 3),
            "not_asked": list(server.not_asked),
        }
        for server in report.servers
    ]


def _version(server: ServerReport) -> str:
    return f", version {server.version}" if server.version else ""
