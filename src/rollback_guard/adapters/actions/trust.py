"""Keep the certificates of an action, and read them again when their files have changed."""

from __future__ import annotations

import ssl
from pathlib import Path

from rollback_guard.ports import PermanentError


class Trust:
    """Whom to trust and how to identify: the system's authorities or a file, and perhaps a client certificate."""

    def __init__(self, directory: Path, *, ca: str | None, cert: str | None, key: str | None) -> None:
        self._ca, self._cert, self._key = (directory / name if name else None for name in (ca, cert, key))
        self._context: ssl.SSLContext | None = None
        self._read_at: tuple[int, ...] = ()

    def context(self) -> ssl.SSLContext:
        """Return the TLS context of the files as they are now.

        Raises:
            PermanentError: One of them cannot be used.
        """
        try:
            changed_at = tuple(path.stat().st_mtime_ns for path in (self._ca, self._cert, self._key) if path)
            if self._context is None or changed_at != self._read_at:
                self._context = self._load()
                self._read_at = changed_at
        except OSError as error:
            reason = f"{error.filename or 'certificate or key'}: {error.strerror or error}"
        else:
            return self._context
        raise PermanentError(f"not sent: {reason}")

    def problem(self) -> str:
        """Return what is wrong with the files, or nothing."""
        try:
            self.context()
        except PermanentError as error:
            return str(error)
        return ""

    def _load(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._ca)
        if self._cert:
            # An empty password makes an encrypted key an error; without one OpenSSL would ask at the terminal.
            context.load_cert_chain(self._cert, self._key, password="")
        return context
