"""Say what a failing disk or database means, in the words of the metric and in words for people."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Mapping

SQLITE_KINDS: Mapping[int, str] = {
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_IOERR: "io_error",
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_LOCKED: "locked",
    sqlite3.SQLITE_READONLY: "read_only",
    sqlite3.SQLITE_PERM: "read_only",
}
"""By primary result code."""

SYSTEM_KINDS: Mapping[int, str] = {
    errno.ENOSPC: "full",
    errno.EDQUOT: "full",
    errno.EIO: "io_error",
    errno.EROFS: "read_only",
    errno.EACCES: "read_only",
    errno.EPERM: "read_only",
}

ADVICE: Mapping[str, str] = {
    "full": "the disk is full; make room, the guard goes on by itself",
    "io_error": "the disk fails; look at the kernel's log before trusting it again",
    "locked": "another program holds a lock on the file; end it",
    "read_only": "the file or its folder cannot be written by this user",
}

DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

PRIMARY = 0xFF
"""The low byte of a result code; the rest tells the varieties of an error apart."""


def kind_of(error: Exception) -> str:
    """Return full, io_error, locked, read_only or other."""
    match error:
        case OSError(errno=int(number)):
            return SYSTEM_KINDS.get(number, "other")
        case sqlite3.Error():
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_IOERR_SHMSIZE:
                return "full"  # the index of the write-ahead log could not be made as large as it must be
            return SQLITE_KINDS.get(_code(error), "other")
        case _:
            return "other"


def words_of(error: Exception) -> str:
    """Return what went wrong and what to do about it."""
    if isinstance(error, sqlite3.Error) and _code(error) in DAMAGED:
        return f"this is no SQLite database, or a damaged one ({error}); put a backup in its place or move it away"
    advice = ADVICE.get(kind_of(error))
    return f"{error}: {advice}" if advice else str(error)


def _code(error: sqlite3.Error) -> int:
    # Errors that the sqlite3 module itself raises carry no code.
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & PRIMARY
