"""Decide which certificates are trusted, and with which one a client identifies itself."""

from __future__ import annotations

import ssl
from pathlib import Path

import certifi


class TrustError(Exception):
    """A file of certificates or keys can not be used; the message names it."""


class Trust:
    """Keep one TLS context, made when TLS is first spoken: it takes tens of milliseconds and megabytes.

    Files that change are read again.


    Args:
        ca: Authorities to trust in place of the usual ones.
        cert: A client certificate, perhaps with its key in the same file.
        key: The key of the client certificate.
    """

    def __init__(
        self, ca: Path | str | None = None, *, cert: Path | str | None = None, key: Path | str | None = None
    ) -> None:
        self._ca, self._cert, self._key = ca, cert, key
        self._context: ssl.SSLContext | None = None
        self._read_at: tuple[tuple[int, int], ...] = ()

    def context(self) -> ssl.SSLContext:
        """Return the TLS context of the files as they are now.

        Raises:
            TrustError: A file can not be read or is not what it should be.
        """
        try:
            read_at = tuple(_version(path) for path in (self._ca, self._cert, self._key) if path)
            if self._context is None or read_at != self._read_at:
                self._context = self._load()
                self._read_at = read_at
        except OSError as error:
            named = error.filename or next((path for path in (self._cert, self._ca) if path), "trusted authorities")
            raise TrustError(f"{named}: {error.strerror or error}") from error
        return self._context

    def _load(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._ca)
        if self._ca is None:
            # A slim container has no authorities of its own; there every certificate would look bad.
            context.load_verify_locations(certifi.where())
        if self._cert:
            # An empty password makes an encrypted key an error; without one OpenSSL would ask at the terminal.
            context.load_cert_chain(self._cert, self._key, password="")
        return context


def _version(path: Path | str) -> tuple[int, int]:
    stat = Path(path).stat()
    return stat.st_mtime_ns, stat.st_size
