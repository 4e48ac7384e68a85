"""Which Prometheus is tried: the one that is first on PATH. What only some versions do is tried with those."""

import re
import shutil
import subprocess

import pytest


def version() -> tuple[int, ...]:
    """Return that of `prometheus`, such as ``(2, 42, 0)``; nothing where there is none."""
    path = shutil.which("prometheus")
    if path is None:
        return ()
    done = subprocess.run([path, "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)
    found = re.search(r"prometheus, version ([0-9.]+)", done.stdout.decode())
    assert found is not None, done.stdout
    return tuple(map(int, found[1].split(".")))


PROMETHEUS = version()

with_prometheus_3 = pytest.mark.skipif(PROMETHEUS < (3,), reason="the `prometheus` first on PATH is no 3.x")
with_prometheus_2 = pytest.mark.skipif(PROMETHEUS >= (3,), reason="the `prometheus` first on PATH is a 3.x")
