"""Ask a server who it is, what time it has, and whether it has data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from rollback_guard.adapters.prometheus.catalog import Reply
from rollback_guard.config.problems import Level, Problem
from rollback_guard.core.observation import Failure
from rollback_guard.core.wording import span
from rollback_guard.workbench.online.server import Server

TOPIC = "who the server is"

SIGN_OF_LIFE = "vector(1)"

CLOCKS_APART = timedelta(seconds=2)
"""From here on a slot asks for samples that are not there yet, or for older ones than it should."""

Place = Callable[..., Problem]
"""Makes a finding at what names the data source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What a server says of itself.

    Attributes:
        unreachable: Why it gives no answer; empty where it does.
        version: Empty where it does not say.
        has_data: Its heartbeat is there; where it is not, the daemon believes nothing that it says.
    """

    unreachable: str = ""
    version: str = ""
    has_data: bool = True
    problems: tuple[Problem, ...] = ()


async def check(server: Server, place: Place) -> Status:
    """Find out whether it answers at all, and as whom."""
    alive = await server.query(TOPIC, SIGN_OF_LIFE)
    if isinstance(alive, Failure):
        return Status(unreachable=f"{alive.reason}: {alive.detail}")
    built = await server.get("which version it is", "/api/v1/status/buildinfo")
    version = built.get("version", "") if isinstance(built, dict) else ""
    no_data = await _heartbeat(server, place)
    problems = (*_clock(alive, place), *no_data)
    return Status(version=str(version), has_data=not no_data, problems=problems)


def _clock(alive: Reply, place: Place) -> list[Problem]:
    if abs(alive.ahead) <= CLOCKS_APART:
        return []
    side = "ahead of" if alive.ahead > timedelta(0) else "behind"
    message = f"the server's clock is {span(abs(alive.ahead))} {side} this machine's"
    hint = "Slots are asked for by this clock: samples seem to be missing, or older than they are. Mend NTP."
    return [place("online-clock", message, hint=hint, level=Level.WARNING)]


async def _heartbeat(server: Server, place: Place) -> list[Problem]:
    query = server.endpoint.heartbeat.strip()
    if not query:
        return []
    samples = (await server.instant("the heartbeat", [query]))[query]
    if samples is None or any(sample.value > 0 for sample in samples):
        return []  # that it had no answer is told with the rest that had none
    told = ", ".join(f"{sample.value:g}" for sample in samples[:3]) or "nothing"
    message = f"the heartbeat `{query}` is answered with {told}: nothing that this server says would count"
    hint = "Name in `heartbeat` what this server always has, or fill it: until then every rule is unknown."
    return [place("online-heartbeat", message, hint=hint, level=Level.WARNING)]
