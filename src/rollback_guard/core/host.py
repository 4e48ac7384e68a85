"""Tell the machine itself from the places that only a network leads to."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def place_of(url: str) -> tuple[str, int]:
    """Return the host and port that a URL leads to.

    Raises:
        ValueError: It leads nowhere.
    """
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def is_own(host: str) -> bool:
    """Say whether a host is this machine by its name or number: it answers also where there is no network at all."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    # What is unspecified is connected to on the loopback.
    return address.is_loopback or address.is_unspecified
