"""Find the `prometheus` program."""

from __future__ import annotations

import os
import shutil

from rollback_guard.adapters.ephemeral.failure import PrometheusMissing

PLACES = ("/usr/bin", "/usr/local/bin", "/opt/prometheus")
"""Where packages and people put it; systemd and cron give a shorter PATH than people have."""

HOW_TO_INSTALL = (
    "Debian, Ubuntu: sudo apt-get install --no-install-recommends prometheus\n"
    "Elsewhere: unpack https://prometheus.io/download/ and put its directory on PATH."
)


def find_prometheus(binary: str | None = None) -> str:
    """Return the path of the program.

    Args:
        binary: A path, or a name to look for on PATH, that a person gave; ``None`` looks in the usual places.

    Raises:
        PrometheusMissing: There is none.
    """
    if binary is not None:
        found = shutil.which(binary)
        if found is None:
            raise PrometheusMissing(f"{binary} is no program that can be run", hint=HOW_TO_INSTALL)
        return found
    found = shutil.which("prometheus") or shutil.which("prometheus", path=os.pathsep.join(PLACES))
    if found is None:
        raise PrometheusMissing(
            "there is no `prometheus` program", hint=f"{HOW_TO_INSTALL}\nOr name it with --prometheus-binary."
        )
    return found
