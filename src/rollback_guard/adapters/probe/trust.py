"""Decide which certificates are trusted: those of the system and of certifi, or those of one file."""

from __future__ import annotations

import ssl
from pathlib import Path

import certifi

from rollback_guard.adapters.probe.fault import NotMadeError

Version = tuple[int, int]


class Trust:
    """Keep TLS contexts, for making one takes tens of milliseconds; a CA file that changes is read again."""

    def __init__(self) -> None:
        self._contexts: dict[str | None, tuple[Version, ssl.SSLContext]] = {}

    def context(self, ca_file: str | None) -> ssl.SSLContext:
        """Return the context for a CA file, or for the usual authorities.

        Raises:
            NotMadeError: The file can not be read or holds no certificate.
        """
        try:
            version = _version(ca_file)
            known = self._contexts.get(ca_file)
            if known is None or known[0] != version:
                known = self._contexts[ca_file] = (version, _context(ca_file))
        except OSError as error:
            raise NotMadeError(f"{ca_file or 'trusted authorities'}: {error.strerror or error}") from error
        return known[1]


def _version(ca_file: str | None) -> Version:
    if ca_file is None:
        return (0, 0)
    stat = Path(ca_file).stat()
    return (stat.st_mtime_ns, stat.st_size)


def _context(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    if ca_file is None:
        # A slim container has no authorities of its own; every target would then look as if its certificate were bad.
        context.load_verify_locations(certifi.where())
    return context
