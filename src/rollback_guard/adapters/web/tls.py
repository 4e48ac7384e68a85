"""Speak TLS: with a certificate that may be replaced while the server runs, and a handshake that comes to an end.

asyncio tells nobody of a connection before its handshake is over, so that neither a deadline nor a number of
connections could be held for those that never finish it. Here a connection is known from its first moment, and the
handshake is part of its first turn.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from rollback_guard.adapters.web.connection import BoundedConfig, BoundedProtocol

log = structlog.get_logger()

SHUTDOWN_S = 2
"""Seconds that a client may take for its part of the end."""

Fingerprint = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """Where the certificate, with those between it and the authority, and its key stand as PEM."""

    cert_file: Path
    key_file: Path


class Identity:
    """The certificate as it stands in its files; while they are broken, as it last stood."""

    def __init__(self, certificate: Certificate) -> None:
        """Load it.

        Raises:
            OSError: It cannot be used; `ssl.SSLError` is one.
        """
        self._certificate = certificate
        self._seen = self._fingerprint()
        self._context = self._load()

    def context(self) -> ssl.SSLContext:
        """Return what the next connection is greeted with."""
        seen = self._fingerprint()
        if seen == self._seen:
            return self._context
        self._seen = seen  # a broken pair of files is tried once, and again when one of them changes
        try:
            self._context = self._load()  # a new one: a context that has refused a key has forgotten the old one
            log.info("certificate_read", path=str(self._certificate.cert_file))
        except OSError as error:
            log.error("certificate_refused", path=str(self._certificate.cert_file), why=reason_of(error))  # noqa: TRY400
        return self._context

    def _fingerprint(self) -> Fingerprint:
        try:
            stats = [path.stat() for path in (self._certificate.cert_file, self._certificate.key_file)]
        except OSError:
            return ()
        return tuple((each.st_mtime_ns, each.st_size, each.st_ino) for each in stats)

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(["http/1.1"])
        # Without a password function OpenSSL would ask for one on the terminal, and the daemon would stand still.
        context.load_cert_chain(self._certificate.cert_file, self._certificate.key_file, password=_no_password)
        return context


def _no_password() -> str:
    raise PermissionError(1, "the key is encrypted; give one that is not, readable by the daemon alone")


def reason_of(error: OSError) -> str:
    """Return why a certificate was not taken, in words."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or "these are no PEM certificate and key").lower().replace("_", " ")
    return error.strerror or type(error).__name__


class Door(asyncio.Protocol):
    """A connection until its TLS handshake is done; then its place is taken by the protocol that speaks HTTP.

    It stands among uvicorn's connections under the same rules as they: it is cut off when its turn has lasted too long,
    and gives way where there are too many.
    """

    is_answering = False

    def __init__(
        self, config: BoundedConfig, identity: Identity, server_state: Any, make: Callable[[], BoundedProtocol]
    ) -> None:
        self._config = config
        self._identity = identity
        self._state = server_state
        self._make = make
        self._early = bytearray()
        self._inner: BoundedProtocol | None = None
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin the handshake, and make room where there is none."""
        self.transport = transport
        self._began = self._config.clock.elapsed()
        self._state.connections.add(self)
        self._config.make_room(self, self._state.connections)
        self._task = asyncio.get_running_loop().create_task(self._negotiate(), name="tls handshake")

    def data_received(self, data: bytes) -> None:
        """Keep what came together with the end of the handshake."""
        self._early += data

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass it on, if the connection was lost in the moment in which its protocol changed."""
        if self._inner is not None:
            self._inner.connection_lost(exc)

    def shutdown(self) -> None:
        """End it: there is no request yet that could be answered."""
        self.transport.abort()

    @property
    def held(self) -> timedelta:
        """How long it has lasted."""
        return self._config.clock.elapsed() - self._began

    def end_if_overdue(self) -> None:
        """Cut it off if it has lasted too long."""
        if self.held > self._config.bounds.request:
            self.transport.abort()

    async def _negotiate(self) -> None:
        try:
            if self.transport.is_closing():
                return
            context = self._identity.context()
            transport = await asyncio.get_running_loop().start_tls(
                self.transport, self, context, server_side=True, ssl_shutdown_timeout=SHUTDOWN_S
            )
        except OSError:
            self.transport.abort()  # no TLS, none that is safe, or cut off by us
            return
        finally:
            self._state.connections.discard(self)
        if transport is None or transport.is_closing():
            return
        self._inner = inner = self._make()
        transport.set_protocol(inner)
        inner.connection_made(transport)
        inner.began(self._began)
        if self._early:
            inner.data_received(bytes(self._early))
