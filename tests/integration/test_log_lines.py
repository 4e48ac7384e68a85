"""A line of the log is JSON that a machine can read, its times as ISO 8601 has them."""

from __future__ import annotations

import json
import subprocess
import sys

SAYS = """
from datetime import UTC, datetime
import structlog
from rollback_guard.adapters import log
log.set_up(level="info", log_format="json")
until = datetime(2026, 3, 1, 10, tzinfo=UTC)
structlog.get_logger().info("paused", until=until, slots=[until.replace(microsecond=5000)], guard="checkout")
"""


def test_every_time_is_written_alike():
    done = subprocess.run([sys.executable, "-c", SAYS], capture_output=True, text=True, timeout=60)
    line = json.loads(done.stderr)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "paused",
        "level": "info",
        "guard": "checkout",
        "until": "2026-03-01T10:00:00Z",
        "slots": ["2026-03-01T10:00:00.005000Z"],
    }
