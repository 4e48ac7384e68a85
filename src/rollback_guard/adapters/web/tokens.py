"""Know whose tokens may change what; they come from a file that is read again whenever its content changes.

Of a token only its SHA-256 is kept in memory, and only that needs to stand in the file. Tokens are long and random, so
that a fast hash is enough: there is no list of likely ones to try.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import structlog

from rollback_guard.ports import Clock, GuardError

log = structlog.get_logger()

FILE_BYTES = 64 * 1024
"""A larger file is a mistake in the path."""

READABLE_BY_OTHERS = 0o044


class Scope(StrEnum):
    """What a token may do."""

    OPERATE = "operate"  # pause, resume, acknowledge, veto, extend, approve, rollouts
    ACT = "act"  # trigger, undo
    ALERT = "alert"  # send alerts
    ADMIN = "admin"  # reload, and everything else


class TokenFileError(GuardError):
    """The token file cannot be used; the words never hold anything of a token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token, without itself; several may have one name, while one takes the other's place."""

    name: str
    scopes: frozenset[Scope]
    digest: bytes
    expires: datetime | None = None

    def grants(self, scope: Scope) -> bool:
        """Say whether it lets its holder do what needs this scope."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Another system that signs the alerts which it sends."""

    name: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """All that the token file says."""

    tokens: tuple[Token, ...] = ()
    signers: tuple[Signer, ...] = ()

    def find(self, presented: bytes) -> Token | None:
        """Return the token that this is; how long it takes says nothing about those that there are."""
        digest, found = digest_of(presented), None
        for each in self.tokens:
            if hmac.compare_digest(each.digest, digest):
                found = each
        return found


def digest_of(token: bytes) -> bytes:
    """Return what of a token is stored."""
    return hashlib.sha256(token).digest()


class TokenFile:
    """The token file, as it stands now; while it is broken, as it last stood.

    Attributes:
        clock: Says whether a token has expired, and how fast callers fail.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self.clock = clock
        self._keys = Keys()
        self._seen = b""
        self._trouble = ""
        self.keys()

    def keys(self) -> Keys:
        """Return what the file says; before it was ever readable, that nobody may do anything."""
        try:
            content, mode = self._content()
            seen = hashlib.sha256(content).digest()
            if seen != self._seen:
                from rollback_guard.adapters.web.entries import parse  # many guards have no token file

                self._keys = parse(content)
                self._seen = seen
                self._tell(mode)
            self._trouble = ""
        except OSError as error:
            self._refuse(error.strerror or type(error).__name__)
        except TokenFileError as error:
            self._refuse(str(error))
        return self._keys

    def _content(self) -> tuple[bytes, int]:
        with self.path.open("rb") as file:
            content = file.read(FILE_BYTES + 1)
            mode = os.fstat(file.fileno()).st_mode
        if len(content) > FILE_BYTES:
            raise TokenFileError(f"it is larger than {FILE_BYTES} bytes")
        return content, mode

    def _tell(self, mode: int) -> None:
        log.info("token_file_read", path=str(self.path), names=sorted({each.name for each in self._keys.tokens}))
        if mode & READABLE_BY_OTHERS:
            log.warning("token_file_readable_by_others", path=str(self.path), mode=f"{mode & 0o777:o}", advice="600")

    def _refuse(self, why: str) -> None:
        """Say once what is wrong; the file is looked at with every request."""
        if why != self._trouble:
            log.error("token_file_refused", path=str(self.path), why=why, tokens_kept=len(self._keys.tokens))
        self._trouble = why
