"""Write the values of a rule in the unit that its annotations or its metric name."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from rollback_guard.core import wording
from rollback_guard.core.model import Rule

PERCENT = "humanizePercentage"
DURATION = "humanizeDuration"
BINARY = "humanize1024"

SECONDS = re.compile(r"_seconds(_bucket)?\b")
BYTES = re.compile(r"_bytes\b")

KIBI = 1024.0
PREFIXES = ("", "Ki", "Mi", "Gi", "Ti", "Pi")


def scale_of(rule: Rule) -> Callable[[float], str]:
    """Return how a value of a rule is written."""
    texts = " ".join(text for _, text in rule.annotations)
    expr = rule.condition.expr
    if PERCENT in texts or rule.condition.ratio is not None:
        return percent
    if DURATION in texts or ("quantile" in expr and SECONDS.search(expr)):
        return seconds
    if BINARY in texts or (BYTES.search(expr) and "/" not in expr):
        return size
    return wording.number


def percent(value: float) -> str:
    """Return a ratio such as ``1.5%``."""
    return f"{value * 100:.3g}%" if math.isfinite(value) else wording.number(value)


def seconds(value: float) -> str:
    """Return seconds such as ``250ms`` or ``1m30s``."""
    if not math.isfinite(value) or abs(value) >= 3600:  # noqa: PLR2004  an hour; hours are seldom latencies
        return f"{wording.number(value)}s"
    return f"{value * 1000:.3g}ms" if abs(value) < 1 and value else f"{value:.3g}s"


def size(value: float) -> str:
    """Return bytes such as ``1.5GiB``."""
    place = 0
    while math.isfinite(value) and abs(value) >= KIBI and place < len(PREFIXES) - 1:
        value, place = value / KIBI, place + 1
    return f"{value:.4g}{PREFIXES[place]}B"
