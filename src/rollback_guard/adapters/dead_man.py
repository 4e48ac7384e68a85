"""Call an URL as long as evaluation is healthy: whoever listens there complains when the calls cease.

Silence is the signal, so nothing is called where something is wrong, and a call that fails is not made up for. The
calls disturb nothing: they have a connection and a deadline of their own, and what comes of them is only logged.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta

import httpx
import structlog

from rollback_guard import __version__
from rollback_guard.ports import Clock
from rollback_guard.secret import SecretError, redact, remember
from rollback_guard.specs import DeadManSpec
from rollback_guard.wire import (
    Deadline,
    Network,
    Resolver,
    Trust,
    TrustError,
    certificate_problem,
    fresh_client,
    number_of,
    tls_problem,
)

log = structlog.get_logger()

HEADERS = {
    "accept": "*/*",
    "accept-encoding": "identity",
    "connection": "close",
    "user-agent": f"rollback-guard/{__version__}",
}

LOOKED_EVERY = timedelta(seconds=1)
"""How often an evaluation that is not healthy is looked at again."""

SHOWN = 200
"""Characters of an error; it is for people."""


class CallError(Exception):
    """A call did not arrive, or was not welcome; the message is free of secrets."""


class DeadMan:
    """Make the calls.

    Args:
        spec: Whom to call, and how often.
        clock: Spaces and bounds the calls.
        healthy: Says whether evaluation goes on and is written down.
    """

    def __init__(self, spec: DeadManSpec, clock: Clock, healthy: Callable[[], bool]) -> None:
        self._spec = spec
        self._clock = clock
        self._healthy = healthy
        self._resolver = Resolver()
        self._trust = Trust(spec.ca_file)
        self._was_healthy: bool | None = None
        self._problem: str | None = None

    async def run(self) -> None:
        """Call now and then, for ever; after a time without health as soon as there is some again."""
        while True:
            begun = self._clock.elapsed()
            is_healthy = self._healthy()
            self._tell(is_healthy=is_healthy)
            if is_healthy:
                self._note(await self._call())
            pause = self._spec.every if is_healthy else min(self._spec.every, LOOKED_EVERY)
            await self._clock.sleep(begun + pause - self._clock.elapsed())

    def _tell(self, *, is_healthy: bool) -> None:
        """Log that the calls cease or begin again. Before the first evaluation no daemon is healthy."""
        if self._was_healthy is not None and is_healthy != self._was_healthy:
            if is_healthy:
                log.info("dead_man_called_again")
            else:
                log.error("dead_man_not_called", because="evaluation is not healthy")
        if is_healthy or self._was_healthy is not None:
            self._was_healthy = is_healthy

    def _note(self, problem: str | None) -> None:
        """Log a change, not every failure: a service that is down for a day would fill the log."""
        if problem == self._problem:
            return
        self._problem = problem
        if problem is None:
            log.info("dead_man_reached", url=str(self._spec.url))
        else:
            log.warning("dead_man_not_reached", url=str(self._spec.url), error=problem)

    async def _call(self) -> str | None:
        """Call once, and return what was wrong."""
        try:
            await self._get(self._spec.url.reveal())
        except (CallError, SecretError, TrustError) as error:
            return redact(str(error))[:SHOWN]
        except httpx.TimeoutException:
            return f"no answer within {self._spec.timeout.total_seconds():g}s"
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return _words(error)
        return None

    async def _get(self, url: str) -> None:
        # Most of these services know their callers by the path alone.
        remember(url)
        network = Network(self._resolver, self._trust, Deadline(self._clock, self._spec.timeout))
        async with fresh_client(network) as client:
            response = await client.send(client.build_request("GET", url, headers=HEADERS), stream=True)
            await response.aclose()  # the status has said it all
        if not response.is_success:
            raise CallError(f"HTTP {response.status_code}")


def _words(error: Exception) -> str:
    """Return what went wrong without the words of the library, which may quote the URL."""
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol | httpx.LocalProtocolError):
        return "the URL is none that can be called"
    problem = certificate_problem(error) or tls_problem(error)
    if problem is not None:
        return f"TLS failed: {problem}"
    if (number := number_of(error)) is not None:
        return os.strerror(number).lower()
    return redact(str(error))[:SHOWN] or type(error).__name__
