"""Let those in one after the other who ask for much, and turn away whom the wait would be too long for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rollback_guard.adapters.web.refusal import Refusal

MOST_WAITING = 8
"""Each has the longest story that there is told within a few seconds, and an answer has a minute."""

RETRY_S = 5


class Queue:
    """One at a time: what is decoded for one caller holds up the interpreter for everybody else."""

    def __init__(self, most_waiting: int = MOST_WAITING) -> None:
        self._turn = asyncio.Lock()
        self._most = 1 + most_waiting
        self._inside = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for one's turn, and have it.

        Raises:
            Refusal: Too many wait already.
        """
        if self._inside >= self._most:
            words = f"too many ask for a story at once; try again in {RETRY_S}s"
            raise Refusal(503, words, headers={"retry-after": str(RETRY_S)})
        self._inside += 1
        try:
            async with self._turn:
                yield
        finally:
            self._inside -= 1
