"""Find ports for the demo: the usual ones where they are free."""

from __future__ import annotations

import socket

HOST = "127.0.0.1"

CLAIM = "\0rollback-guard-demo"
"""A name in Linux' abstract space of sockets; it goes with its process."""


def claim() -> socket.socket | None:
    """Return a claim on the usual ports until it is closed, or nothing where another demo has it.

    Two demos that look at the same moment would both find them free.
    """
    held = socket.socket(socket.AF_UNIX)
    try:
        held.bind(CLAIM)
    except OSError:
        held.close()
        return None
    return held


def choose(preferred: int, *, claimed: bool) -> int:
    """Return the preferred port, or a free one where something else has it."""
    return preferred if claimed and _is_free(preferred) else _any_free()


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
