"""Deliver one notice through Apprise, in a process of its own: ``python -m rollback_guard.adapters.notify.child``.

Apprise takes tens of megabytes and its services can hang in any library; here both end with the process. What to send
comes as JSON on standard input, how it went leaves as JSON on standard output. It imports nothing of the daemon.
"""

from __future__ import annotations

import json
import logging
import os
import re
import resource
import signal
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from apprise import Apprise, NotifyType

SAID_CHARS = 2000

CONNECT_SHARE, READ_SHARE = 0.3, 0.6
"""Of the time there is; Apprise's own four seconds are short for a service that is in trouble itself."""

PAGERDUTY = "pagerduty://"
GIVEN_ACTION = re.compile(r"[?&]action=", re.IGNORECASE)


class Said(logging.Handler):
    """Keep what Apprise says of its troubles."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        self.lines.append(record.getMessage())

    def text(self) -> str:
        """Return the lines, bounded."""
        return "; ".join(self.lines)[:SAID_CHARS]


def main() -> None:
    """Read, deliver, answer."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the URL
    order = json.load(sys.stdin)
    signal.alarm(int(order["within_s"]) + 1)  # should the daemon die meanwhile, nobody else ends this
    answer = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # plugins may print, and what they print may be a secret
        os.dup2(nowhere, stream)
    result, said = _deliver(order)
    with os.fdopen(answer, "w") as out:
        json.dump({"result": result, "said": said[:SAID_CHARS]}, out)


def _deliver(order: dict[str, Any]) -> tuple[str, str]:
    try:
        import apprise
        from apprise.plugins.base import NotifyBase
    except ImportError as error:
        return "missing", str(error)
    said = Said()
    logger = logging.getLogger("apprise")
    logger.addHandler(said)
    logger.propagate = False
    # Cut rather than split into many, and rather than refused for its length; the URL may say otherwise.
    NotifyBase.overflow_mode = apprise.OverflowMode.TRUNCATE
    NotifyBase.socket_connect_timeout = order["within_s"] * CONNECT_SHARE
    NotifyBase.socket_read_timeout = order["within_s"] * READ_SHARE
    asset = apprise.AppriseAsset(
        app_id="rollback-guard", app_desc="rollback-guard", app_url=order["link"], async_mode=False
    )
    service = apprise.Apprise(asset=asset)
    if not service.add(_threaded(order["url"], order["thread"])):
        return "refused", said.text()
    if not _wanted(service, order):
        return "delivered", ""
    delivered = service.notify(
        title=order["title"],
        body=order["body"],
        notify_type=_loudness(apprise.NotifyType, order),
        body_format=apprise.NotifyFormat.TEXT,
    )
    return ("delivered" if delivered else "failed"), said.text()


def _wanted(service: Apprise, order: dict[str, Any]) -> bool:
    """Leave PagerDuty out where a notice only informs, and say whether anybody is left.

    PagerDuty knows no message that calls nobody: it would open an incident, and nothing would ever resolve it. Where
    the URL itself says what PagerDuty is to do, that counts.
    """
    if order["urgency"] != "info" or order["resolves"]:
        return True
    for place in reversed(range(len(service))):
        is_pagerduty = f"{service[place].secure_protocol}://" == PAGERDUTY
        if is_pagerduty and not GIVEN_ACTION.search(order["url"]):
            service.pop(place)
    return len(service) > 0


def _loudness(types: type[NotifyType], order: dict[str, Any]) -> NotifyType:
    if order["resolves"]:
        return types.SUCCESS
    return {"info": types.INFO, "warning": types.WARNING, "critical": types.FAILURE}[order["urgency"]]


def _threaded(url: str, thread: str) -> str:
    """Have PagerDuty keep one incident per thread, and resolve it, unless the URL says otherwise."""
    if not url.lower().startswith(PAGERDUTY) or "," in url:
        return url
    given = url.partition("?")[2]
    wanted = {"action": "map", "dedup": thread}
    more = "&".join(f"{key}={quote(value, safe='')}" for key, value in wanted.items() if f"{key}=" not in given)
    if not more:
        return url
    return f"{url}{'&' if given else '' if url.endswith('?') else '?'}{more}"


if __name__ == "__main__":
    main()
