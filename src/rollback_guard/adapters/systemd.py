"""Tell systemd how the daemon fares, so that it restarts one whose evaluation is stuck.

The protocol is a datagram of lines to a socket that the environment names. Without that variable nothing is sent.

Source: sd_notify(3).
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from datetime import timedelta

import structlog

from rollback_guard.ports import Clock

log = structlog.get_logger()

PINGS_PER_SPAN = 2
"""Half of the time within which a ping must come, as systemd's own manual advises."""


class Systemd:
    """The service manager, if there is one.

    Args:
        environ: Of the process: where the manager listens, and whether it wants pings.
        clock: Spaces the pings.
    """

    def __init__(self, environ: Mapping[str, str], clock: Clock) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self._span = _watchdog_span(environ)
        self._clock = clock
        self._is_heard = True

    def ready(self) -> None:
        """Say that the daemon watches, after its start or after a reload."""
        self._send("READY=1", "STATUS=watching")

    def reloading(self) -> None:
        """Say that a configuration is being loaded; `ready` ends it."""
        # What the manager compares this with is CLOCK_MONOTONIC, and so is the clock of the event loop.
        now_us = round(asyncio.get_running_loop().time() * 1_000_000)
        self._send("RELOADING=1", f"MONOTONIC_USEC={now_us}", "STATUS=loading the configuration")

    def stopping(self) -> None:
        """Say that the daemon is ending in order."""
        self._send("STOPPING=1", "STATUS=stopping")

    async def watch(self, healthy: Callable[[], bool]) -> None:
        """Ping for as long as evaluation goes on; return at once where nobody wants pings.

        This runs on the event loop that evaluates: where that is blocked, no ping is sent either.
        """
        if self._address is None or self._span is None:
            return
        was_healthy = True
        while True:
            is_healthy = healthy()
            if is_healthy:
                self._send("WATCHDOG=1", *(() if was_healthy else ("STATUS=watching",)))
            elif was_healthy:
                log.error("evaluation_stuck", watchdog_s=self._span.total_seconds())
                self._send("STATUS=evaluation is stuck: waiting to be restarted")
            was_healthy = is_healthy
            await self._clock.sleep(self._span / PINGS_PER_SPAN)

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                sock.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            if self._is_heard:
                log.warning("systemd_not_reached", error=str(error))
            self._is_heard = False
        else:
            self._is_heard = True


def _address(name: str) -> str | None:
    """Return the socket's address; a leading `@` stands for the zero byte of an abstract one."""
    if not name:
        return None
    if name[0] not in "/@":
        log.warning("systemd_socket_unknown", kind=name.partition(":")[0])
        return None
    return "\0" + name[1:] if name[0] == "@" else name


def _watchdog_span(environ: Mapping[str, str]) -> timedelta | None:
    """Return within which time a ping must come; ``None`` where none is wanted of this process."""
    span_us = environ.get("WATCHDOG_USEC", "")
    if not span_us.isdecimal() or int(span_us) == 0:
        return None
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return timedelta(microseconds=int(span_us))
