"""Ports for servers that are started by tests, and started again on the same one."""

from __future__ import annotations

import random
import socket

BELOW_EPHEMERAL = range(20_000, 32_000)
"""From higher ones the kernel takes the near ends of outgoing connections, also while a server is down for a moment."""


def free_port() -> int:
    """Return a port that was free a moment ago."""
    for port in random.sample(BELOW_EPHEMERAL, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port among a hundred")
