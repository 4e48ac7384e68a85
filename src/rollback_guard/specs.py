"""Describe what is out there, as people configured it: data sources, health checks, channels, windows.

Every credential is a reference or a path, never a value.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from rollback_guard.secret import SecretText


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a Prometheus is and how to talk to it; every credential is a reference or a path.

    Attributes:
        headers: Sent with every request; values may refer to secrets.
        bearer_token: Text that refers to a secret, e.g. ``${file:…}``.
        basic_auth: User name and a text that refers to the password.
        trust_env: Whether proxies from the environment are used.
        max_series: More series than this in one answer are refused.
        heartbeat: PromQL that every healthy server of this kind answers with something; where the answer is empty,
            nothing that it says counts. Empty switches the question off.
        heartbeat_selectors: Whose samples the heartbeat rests on. They stand here because a parser of PromQL is no part
            of the daemon: it takes memory, and hostile input has been seen to kill it.
    """

    name: str
    url: str
    timeout: timedelta = timedelta(seconds=5)
    headers: tuple[tuple[str, SecretText], ...] = ()
    bearer_token: SecretText | None = None
    basic_auth: tuple[str, SecretText] | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    trust_env: bool = False
    max_response_bytes: int = 16 * 1024 * 1024
    max_series: int = 100_000
    concurrency: int = 4
    batch_size: int = 50
    heartbeat: str = ""
    heartbeat_selectors: tuple[str, ...] = ()

    def at(self, url: str) -> Endpoint:
        """Return the same at an address that somebody just typed.

        Its credentials go there only where it is the same server: a slip of the hand must not give them away.
        """
        if _origin(url) == _origin(self.url):
            return replace(self, url=url)
        return replace(
            self, url=url, headers=(), bearer_token=None, basic_auth=None, ca_file=None, cert_file=None, key_file=None
        )


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What a good HTTP answer looks like.

    Attributes:
        status: Empty means any 2xx.
        json: Dotted path or top-level key, and the value that must stand there.
        body: Regular expression that must match somewhere in the body.
    """

    status: tuple[int, ...] = ()
    json: tuple[tuple[str, Any], ...] = ()
    body: str | None = None
    latency_below: timedelta | None = None
    tls_valid_for: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSpec:
    """One health check; it belongs to the rule with the same id."""

    rule: str
    url: str
    timeout: timedelta
    method: str = "GET"
    headers: tuple[tuple[str, SecretText], ...] = ()
    expect: Expectation = Expectation()
    ca_file: str | None = None
    max_body_bytes: int = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSpec:
    """One way to reach people.

    Attributes:
        type: ``apprise`` (an Apprise URL) or ``webhook`` (a signed HTTP request).
        url: Text that refers to a secret, for an Apprise URL is one.
        secret: Signs the requests of a webhook; ``None`` signs nothing.
        title: Template of the title; ``None`` is the default text.
        body: Template of the body; ``None`` is the default text.
        give_up_after: A notice that could not be delivered for so long is given up, loudly.
        max_per_hour: More notices than this within an hour are held back and told as one.
    """

    name: str
    type: str
    url: SecretText
    secret: SecretText | None = None
    headers: tuple[tuple[str, SecretText], ...] = ()
    ca_file: str | None = None
    timeout: timedelta = timedelta(seconds=20)
    title: str | None = None
    body: str | None = None
    give_up_after: timedelta = timedelta(hours=24)
    max_per_hour: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceSpec:
    """A window that opens by the calendar; `cron` is five fields in `timezone`, no `guards` means all of them."""

    name: str
    cron: str
    lasting: timedelta
    timezone: str = "UTC"
    guards: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadManSpec:
    """An URL that is called as long as evaluation is healthy; somebody outside complains when the calls cease."""

    url: SecretText
    every: timedelta = timedelta(minutes=1)
    timeout: timedelta = timedelta(seconds=10)
    ca_file: str | None = None
