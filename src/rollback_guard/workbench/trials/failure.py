"""Say why a trial cannot be played."""

from __future__ import annotations


class EvaluationError(Exception):
    """An expression of a trial cannot be evaluated; the message has the server's words."""
