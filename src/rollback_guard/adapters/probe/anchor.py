"""Find out whether the guard's own network is there, where the silence of a target leaves that open.

A guard that lost its network sees every service down at once. So an address that gave no sign of life at all is
believed to be down only while one of a few anchors, places that are as good as always there, gives one. Accepting a
connection is a sign of life, and refusing it too: both came back from the other side.
"""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import socket
from collections.abc import Collection, Sequence
from datetime import timedelta

from rollback_guard.ports import Clock
from rollback_guard.wire import ResolveError, Resolver

Anchor = tuple[str, int]
"""Host and port."""

PATIENCE = timedelta(seconds=1)
"""How long the anchors have, the look-up of their names included; one round trip on any network is far shorter."""

LIVES = timedelta(seconds=1)
"""How long an answer serves other probes: a thousand that fail together ask once."""

MOST_ADDRESSES = 4
"""Of one anchor; more of them do not make it more of an anchor."""


class OwnNetwork:
    """Ask the anchors, at most once a second, whoever wants to know.

    Args:
        anchors: None of them means that nobody can tell.
        clock: For how long an answer serves.
        resolver: For anchors that are names.
    """

    def __init__(self, anchors: Sequence[Anchor], clock: Clock, resolver: Resolver) -> None:
        self.anchors = tuple(anchors)
        self._clock = clock
        self._resolver = resolver
        self._asked_at: timedelta | None = None
        self._answer: asyncio.Future[bool] | None = None

    async def is_there(self) -> bool:
        """Say whether any anchor gave a sign of life within a second."""
        now = self._clock.elapsed()
        if self._answer is None or self._asked_at is None or self._is_used_up(self._answer, now - self._asked_at):
            self._asked_at = now
            self._answer = asyncio.ensure_future(self._ask())
        # Whoever waits may be cancelled; the answer is for the others too.
        return await asyncio.shield(self._answer)

    async def close(self) -> None:
        """End a question that is under way."""
        if self._answer is not None:
            self._answer.cancel()
            await asyncio.wait({self._answer})

    def _is_used_up(self, answer: asyncio.Future[bool], age: timedelta) -> bool:
        return answer.cancelled() or (answer.done() and age >= LIVES)

    async def _ask(self) -> bool:
        asking = {asyncio.create_task(self._lives(*anchor)) for anchor in self.anchors}
        left = asking
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                while left:
                    done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
                    if any(task.result() for task in done):
                        return True
        except TimeoutError:
            return False
        finally:
            await _end(asking)
        return False

    async def _lives(self, host: str, port: int) -> bool:
        try:
            addresses = await self._resolver.resolve(host, port, PATIENCE.total_seconds())
        except ResolveError:
            return False
        asking = [
            asyncio.create_task(_answers(address, port)) for address in itertools.islice(addresses, MOST_ADDRESSES)
        ]
        try:
            for each in asyncio.as_completed(asking):
                if await each:
                    return True
        finally:
            await _end(asking)
        return False


async def _answers(address: str, port: int) -> bool:
    """Say whether anybody at an address takes a connection or turns it away."""
    family = socket.AF_INET6 if ipaddress.ip_address(address.partition("%")[0]).version == 6 else socket.AF_INET  # noqa: PLR2004
    try:
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, (address, port))
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    except OSError:
        return False
    return True


async def _end(tasks: Collection[asyncio.Task[bool]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
