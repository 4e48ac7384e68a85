"""Reach people: through Apprise, in a child process, or by a signed HTTP request."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rollback_guard.ports import Channel, Clock
    from rollback_guard.specs import ChannelSpec


def build(spec: ChannelSpec, *, clock: Clock, directory: Path = Path()) -> Channel:
    """Return the channel that a part of the configuration describes.

    Args:
        spec: As compiled from ``[notify.NAME]``.
        clock: Bounds every delivery, and dates signatures.
        directory: Of the configuration file; relative paths start there.

    Raises:
        ValueError: There is no such type, or a template is none; the words say which and why.
    """
    # The child imports this package too, and must not pay for what only the daemon needs.
    if spec.type == "apprise":
        from rollback_guard.adapters.notify.apprise import AppriseChannel

        return AppriseChannel(spec, clock=clock, directory=directory)
    if spec.type == "webhook":
        from rollback_guard.adapters.notify.webhook import WebhookChannel

        return WebhookChannel(spec, clock=clock, directory=directory)
    raise ValueError(f"[notify.{spec.name}]: there is no type {spec.type!r}; there are apprise and webhook")
