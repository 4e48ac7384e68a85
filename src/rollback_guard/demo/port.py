"""Find ports for the demo: the usual ones where they are free."""

from __future__ import annotations

import socket

HOST = "127.0.0.1"


def choose(preferred: int) -> int:
    """Return the preferred port, or a free one where something else listens on it."""
    return preferred if _is_free(preferred) else _any_free()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _any_free() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
