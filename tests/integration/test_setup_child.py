"""The child that reads the configuration ends quietly when the daemon is ended before it has been read."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import asdict

from rollback_guard.setup import Overrides

CHILD = [sys.executable, "-m", "rollback_guard.setup"]


def test_a_parent_that_is_ended_before_it_asks_leaves_no_traceback():
    done = subprocess.run(CHILD, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_parent_that_is_ended_before_it_is_answered_leaves_no_traceback(tmp_path):
    child = subprocess.Popen(CHILD, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    child.stdout.close()
    child.stdin.write(pickle.dumps((str(tmp_path / "guard.toml"), asdict(Overrides()))))
    child.stdin.close()
    with child.stderr as errors:
        assert (errors.read(), child.wait(60)) == (b"", 0)
