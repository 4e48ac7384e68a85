"""Describe guard.toml: how this instance runs."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from rollback_guard.config.calendar import MaintenanceWindows
from rollback_guard.config.channels import EITHER, Channel, SecretUrl
from rollback_guard.config.expressions import Heartbeat
from rollback_guard.config.fields import (
    Between,
    Duration,
    Flag,
    Flaw,
    Name,
    OneOf,
    PositiveDuration,
    Section,
    Text,
    Url,
    refuse,
)
from rollback_guard.config.guards import Names
from rollback_guard.config.tables import Headers

HIGHEST_PORT = 65535

SHORTEST_KEPT = timedelta(days=1)
"""A journal that forgets faster could not explain yesterday's rollback."""


def split_listen(listen: str) -> tuple[str, int]:
    """Return host and port of `host:port` or `[v6]:port`.

    Raises:
        ValueError: It is neither.
    """
    host, colon, port = listen.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("an IPv6 address stands in brackets")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port[:6]) > HIGHEST_PORT:
        raise ValueError("not host:port")
    return host, int(port)


def _listen(value: str) -> str:
    try:
        split_listen(value)
    except ValueError:
        hint = "Write `127.0.0.1:9876`, or `[::1]:9876`."
        raise refuse(Flaw("bad-value", "this is no address to listen on", hint)) from None
    return value


def _anchor(value: str) -> str:
    try:
        _, port = split_listen(value)
    except ValueError:
        port = 0
    if not port:
        raise refuse(Flaw("bad-value", "this is no host with a port", "Write `10.0.0.1:53`, or `[fd00::1]:53`."))
    return value


def _kept(value: timedelta) -> timedelta:
    if value < SHORTEST_KEPT:
        raise refuse(Flaw("bad-duration", "the journal is kept for a day at least", "Write for example `90d`."))
    return value


def _state(value: str) -> str:
    if "://" in value:
        hint = "Give the path of an SQLite file; this version knows no other journal."
        raise refuse(Flaw("not-yet", "a journal in a database server is not in this version", hint))
    return value


def _patterns(value: list[str]) -> list[str]:
    if not value:
        raise refuse(Flaw("bad-value", "`rules` names no file", 'Write for example `rules = ["rules/*.yaml"]`.'))
    return value


class GuardSection(Section):
    """What this instance is."""

    name: Name = Field(default="rollback-guard", description="Shown in metrics, logs and answers.")
    rules: Annotated[list[Name], AfterValidator(_patterns)] = Field(
        description="Rule files: paths or patterns, relative to this file.", json_schema_extra={"minItems": 1}
    )
    mode: Annotated[str, OneOf("enforce", "dry-run")] = Field(
        default="enforce", description="`dry-run` does everything but the effects."
    )
    state: Annotated[str, BeforeValidator(_state), Name] = Field(
        default="state/guard.db", description="Path of the SQLite journal."
    )
    keep: Annotated[PositiveDuration, AfterValidator(_kept)] = Field(
        default=timedelta(days=90), description="How long the journal remembers, open incidents aside; `1d` at least."
    )
    url: Url | None = Field(default=None, description="Where people find this instance, for links in messages.")
    catch_up: Duration = Field(default=timedelta(hours=1), description="How far back missed evaluations are read.")
    stop_timeout: Duration = Field(
        default=timedelta(seconds=30), description="How long a running action is waited for on stop."
    )


class BasicAuth(Section):
    """User name and password."""

    username: Name = Field(description="User name.")
    password_file: Name = Field(description="File that holds the password.")


class Datasource(Section):
    """A Prometheus, or what speaks its query API."""

    url: Url = Field(description="Base URL, without `/api/v1`.")
    timeout: PositiveDuration = Field(
        default=timedelta(seconds=5), description="Bound of one query, everything included."
    )
    query_offset: Duration = Field(default=timedelta(0), description="Ask for values of this much earlier.")
    max_sample_age: Duration = Field(
        default=timedelta(minutes=2), description="Samples older than this are no data; `0s` switches the check off."
    )
    scrape_interval: PositiveDuration | None = Field(
        default=None,
        description="How often its targets are scraped, for `check`. Default: 15s, or the interval of the group if "
        "that is shorter.",
    )
    heartbeat: Heartbeat = Field(
        default="count(up)",
        description="PromQL that a healthy server answers with something; where it does not, none of its answers "
        'counts. `""` switches the question off.',
    )
    bearer_token_file: Name | None = Field(default=None, description="File that holds a bearer token.")
    basic_auth: BasicAuth | None = Field(default=None, description="Basic authentication.")
    ca_file: Name | None = Field(default=None, description="Certificate authorities to trust instead of the system's.")
    cert_file: Name | None = Field(default=None, description="Client certificate.")
    key_file: Name | None = Field(default=None, description="Key of the client certificate.")
    headers: Headers = Field(
        default={}, description="Sent with every query; values may hold `${file:…}` and `${env:…}`."
    )
    max_response_bytes: Annotated[int, Between(1024, 1 << 30)] = Field(
        default=16 << 20, description="A longer answer is refused."
    )
    max_series: Annotated[int, Between(1, 10_000_000)] = Field(
        default=100_000, description="An answer of more series is refused."
    )
    concurrency: Annotated[int, Between(1, 64)] = Field(default=4, description="Most queries at the same time.")
    batch_size: Annotated[int, Between(1, 1000)] = Field(default=50, description="Most rules in one query.")
    trust_env: Flag = Field(default=False, description="Use the proxies of the environment.")


class ServerSection(Section):
    """The guard's own HTTP server."""

    listen: Annotated[Text, AfterValidator(_listen)] = Field(
        default="127.0.0.1:9876",
        description="Address and port. Without `token_file` only a loopback address takes orders.",
    )
    token_file: Name | None = Field(
        default=None, description="File of the tokens that people and machines need to give orders."
    )
    cert_file: Name | None = Field(default=None, description="Certificate of the server, for HTTPS.")
    key_file: Name | None = Field(default=None, description="Key of the certificate.")


class StormSection(Section):
    """When a cause is taken to be shared."""

    guards: Annotated[int, Between(1, 10_000)] = Field(
        default=3, description="More guards than this breaching together are a storm."
    )
    within: PositiveDuration = Field(default=timedelta(minutes=2), description="What counts as together.")


class InstanceLimits(Section):
    """Brakes over all guards."""

    max_actions: Annotated[int, Between(1, 10_000)] | None = Field(
        default=None, description="Most actions of all guards together in any `per`. Default: no bound."
    )
    per: PositiveDuration = Field(
        default=timedelta(hours=1), description="The span that `max_actions` is counted over."
    )
    storm: StormSection = Field(default=StormSection(), description="When to hold because the cause is shared.")


class NetworkSection(Section):
    """How the guard tells that it is its own network that is down."""

    anchors: list[Annotated[Name, AfterValidator(_anchor)]] = Field(
        default=[],
        description="Hosts with a port, such as `10.0.0.1:53`, one of which answers as long as the network is there. "
        "Default: the data sources that are not on this machine.",
    )


class DeadManSection(Section):
    """An address that is called as long as evaluation is healthy; somebody outside complains when the calls cease."""

    model_config = ConfigDict(json_schema_extra=EITHER)

    url: SecretUrl | None = Field(
        default=None, description="What is called; may hold `${file:…}` and `${env:…}`. Either this or `url_file`."
    )
    url_file: Name | None = Field(default=None, description="File that holds the whole URL.")
    every: PositiveDuration = Field(default=timedelta(minutes=1), description="Time between two calls.")
    timeout: PositiveDuration | None = Field(
        default=None, description="Bound of one call. Default: 10s, or `every` if that is shorter."
    )
    ca_file: Name | None = Field(default=None, description="Certificate authorities to trust instead of the system's.")


class LogSection(Section):
    """What is logged, and how."""

    level: Annotated[str, OneOf("debug", "info", "warning", "error")] = Field(
        default="info", description="Least level that is logged."
    )
    format: Annotated[str, OneOf("auto", "json", "console")] = Field(
        default="auto", description="`auto` is console on a terminal and JSON elsewhere."
    )


class CheckSection(Section):
    """What `rollback-guard check` is told to pass over."""

    ignore: Names = Field(
        default=[], description="Ids of warnings and notices that are switched off everywhere; errors cannot be."
    )


class GuardFile(Section):
    """How this instance runs."""

    guard: GuardSection = Field(description="What this instance is.")
    prometheus: Datasource | None = Field(default=None, description="The default data source.")
    datasources: dict[str, Datasource] = Field(default={}, description="Further data sources, by name.")
    server: ServerSection = Field(default=ServerSection(), description="The guard's own HTTP server.")
    limits: InstanceLimits = Field(default=InstanceLimits(), description="Brakes over all guards.")
    network: NetworkSection = Field(
        default=NetworkSection(), description="How the guard tells that its own network is down."
    )
    log: LogSection = Field(default=LogSection(), description="What is logged, and how.")
    check: CheckSection = Field(default=CheckSection(), description="What `rollback-guard check` is told to pass over.")
    notify: dict[str, Channel] = Field(
        default={}, description="Channels that rule files may name: the ways in which people are told."
    )
    dead_man: DeadManSection | None = Field(default=None, description="Who is told, by silence, that the guard died.")
    maintenance: MaintenanceWindows = Field(default=[], description="Times by the calendar in which guards only watch.")
    actions: dict[str, Any] = Field(
        default={}, description="Actions that playbooks may name; `type` says which keys each has."
    )
