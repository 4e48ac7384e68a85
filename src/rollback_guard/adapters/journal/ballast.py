"""Keep a little room on the disk for the moment at which there is none left.

A full disk refuses even a deletion in the database. What must still be written then is how an action ended that was
begun before: for this, and for nothing that begins anew, the room is given away.
"""

from __future__ import annotations

import os
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

SIZE_BYTES = 512 * 1024
"""Some dozens of small commits with their index pages, and with what people are told of them."""

FREE_BEFORE_REFILL = 8
"""So many times the ballast must be free before it is taken from the disk again."""


class Ballast:
    """A file of no use but its size."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._there = False
        self._spent = False

    def is_spent(self) -> bool:
        """Say whether the room was given away and the disk still has not enough to take it again."""
        if self._spent:
            self.fill()
        return self._spent

    def fill(self) -> None:
        """Take the room, if it is not taken yet and the disk has plenty."""
        if self._there:
            return
        try:
            room = os.statvfs(self._path.parent)
            if room.f_bavail * room.f_frsize < FREE_BEFORE_REFILL * SIZE_BYTES:
                return
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(file, 0, SIZE_BYTES)
            finally:
                os.close(file)
            self._there, self._spent = True, False
        except OSError as error:
            log.warning("journal_ballast_missing", path=str(self._path), error=error.strerror)

    def spend(self) -> bool:
        """Give the room away; say whether there was any."""
        try:
            self._path.unlink()
        except OSError:
            return False
        self._there, self._spent = False, True
        log.warning("journal_ballast_spent", path=str(self._path))
        return True
