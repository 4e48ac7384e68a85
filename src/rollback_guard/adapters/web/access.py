"""Decide who a caller is, and whether they may do what they ask for.

Where there is a token file, everybody needs a token, also on this machine. Where there is none, only callers on this
machine may change anything. Nothing that a caller presented is repeated in an answer or in the log.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from starlette.datastructures import Headers
from starlette.types import Scope as Connection

from rollback_guard.adapters.web.limiter import Failures
from rollback_guard.adapters.web.refusal import Refusal
from rollback_guard.adapters.web.tokens import Scope, Token, TokenFile
from rollback_guard.ports import Telemetry
from rollback_guard.wire.signature import HEADER, Claim, ReplayCache, SignatureError, digest_of, key_of, read_claim

log = structlog.get_logger()

LOOPBACK = "loopback"
"""The name of whoever needs no token."""

AT_ONCE_BYTES = 16 * 1024
"""A longer body is not hashed on the event loop; of twenty keys this takes about a millisecond."""

CHALLENGE = 'Bearer realm="rollback-guard"'


class Access:
    """The one place where callers are let in or refused."""

    def __init__(self, tokens: TokenFile | None, telemetry: Telemetry) -> None:
        self._tokens = tokens
        self._telemetry = telemetry
        self._replays = ReplayCache()
        self._failures = Failures(tokens.clock) if tokens is not None else None
        if tokens is None:
            log.warning("writes_open_to_loopback", advice="[server] token_file names who may change what")

    def admit(self, connection: Connection, need: Scope) -> str:
        """Return the name of the caller.

        Raises:
            Refusal: They may not do what needs this scope.
        """
        if self._tokens is None:
            return self._local(connection)
        presented = _presented(Headers(scope=connection))
        if presented is None:
            raise self._unknown(connection, "no_token", "this needs a token: Authorization: Bearer …")
        found = self._tokens.keys().find(presented)
        if found is None:
            raise self._unknown(connection, "bad_token", "this token is not known here")
        if found.expires is not None and found.expires <= self._tokens.clock.now():
            raise self._unknown(connection, "bad_token", f"this token has expired on {found.expires:%Y-%m-%d}")
        if not found.grants(need):
            raise self._short(found, need)
        return found.name

    def claim(self, connection: Connection, need: Scope) -> Claim | None:
        """Return what a caller claims who proves by a signature who they are; only senders of alerts may.

        Nothing of the body is needed for this. To check a signature costs as much as the body is long, so who failed
        too often has to wait; one that is right is held up with those that are not, for nobody can tell them apart yet.

        Returns:
            The claim, ``None`` where a token is what counts.

        Raises:
            Refusal: The claim is none, or too old, or too many from there did not hold.
        """
        headers = Headers(scope=connection)
        if need is not Scope.ALERT or HEADER not in headers or "authorization" in headers:
            return None
        if self._tokens is None or self._failures is None or not self._tokens.keys().signers:
            return None
        if (wait_s := self._failures.wait(_address(connection))) is not None:
            raise self._too_many(wait_s)
        try:
            return read_claim(headers[HEADER], self._tokens.clock.now())
        except SignatureError as error:
            raise self._unknown(connection, "signature", str(error)) from None

    async def verify(self, connection: Connection, claim: Claim, body: bytes) -> str:
        """Return the name of whoever signed a body.

        Raises:
            Refusal: The signature does not hold, or was here before.
        """
        assert self._tokens is not None  # noqa: S101  only then there is a claim
        signers = {each.secret.encode(): each.name for each in self._tokens.keys().signers}
        try:
            if len(body) > AT_ONCE_BYTES:
                key, digest = await asyncio.to_thread(_proof, claim, body, tuple(signers))
            else:
                key, digest = _proof(claim, body, tuple(signers))
            self._replays.take(digest, until=claim.until, now=self._tokens.clock.now())
        except SignatureError as error:
            raise self._unknown(connection, "signature", str(error)) from None
        return signers[key]

    def _local(self, connection: Connection) -> str:
        if is_local(connection):
            return LOOPBACK
        self._telemetry.refused("no_token")
        raise Refusal(403, "only a client on this machine may do this, for the daemon has no [server] token_file")

    def _unknown(self, connection: Connection, kind: str, words: str) -> Refusal:
        """Count one who did not prove who they are; return what they are told."""
        address = _address(connection)
        wait_s = self._failures.count(address) if self._failures is not None else None
        if wait_s is not None:
            return self._too_many(wait_s)
        self._telemetry.refused(kind)
        log.warning("caller_refused", kind=kind, client=address)
        invalid = ', error="invalid_token"' if kind == "bad_token" else ""
        return Refusal(401, words, headers={"www-authenticate": CHALLENGE + invalid})

    def _too_many(self, wait_s: int) -> Refusal:
        self._telemetry.refused("rate_limited")
        words = f"too many requests from here did not prove who sent them; try again in {wait_s}s"
        return Refusal(429, words, headers={"retry-after": str(wait_s)})

    def _short(self, token: Token, need: Scope) -> Refusal:
        self._telemetry.refused("scope")
        log.warning("caller_refused", kind="scope", by=token.name, needs=str(need))
        return Refusal(
            403,
            f"the token of {token.name} lacks the scope {need}",
            headers={"www-authenticate": f'{CHALLENGE}, error="insufficient_scope", scope="{need}"'},
        )


def _address(connection: Connection) -> str:
    return str((connection.get("client") or ("",))[0])


def _proof(claim: Claim, body: bytes, secrets: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Return the key that signed a body, and by what the request is known again."""
    return key_of(claim, body, secrets), digest_of(claim, body)


def _presented(headers: Mapping[str, str]) -> bytes | None:
    """Return the token as it came, ``None`` where there is none."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip().encode("latin-1") if scheme.lower() == "bearer" and token.strip() else None


def is_loopback(address: Any) -> bool:
    """Say whether a host and port are of this machine itself."""
    try:
        parsed = ipaddress.ip_address(address[0])
    except (TypeError, ValueError):
        return False
    return (getattr(parsed, "ipv4_mapped", None) or parsed).is_loopback


def is_local(connection: Connection) -> bool:
    """Say whether a request was made on this machine, and not passed on by a proxy for somebody else."""
    headers = Headers(scope=connection)
    passed_on = any(name in headers for name in ("forwarded", "x-forwarded-for", "x-real-ip", "via"))
    return is_loopback(connection.get("client")) and not passed_on
