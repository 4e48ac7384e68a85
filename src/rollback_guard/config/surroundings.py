"""Turn the settings of guard.toml into what the adapters are made of: endpoints, probes, channels, windows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from rollback_guard.config import crontab
from rollback_guard.config.anchor import anchored_path, headers_of, secret_in, secret_of
from rollback_guard.config.calendar import MaintenanceWindow
from rollback_guard.config.channels import AppriseChannel, Channel
from rollback_guard.config.inventory import Inventory
from rollback_guard.config.rulefile import Probe
from rollback_guard.config.settings import Datasource, ServerSection, split_listen
from rollback_guard.core import promql
from rollback_guard.secret import SecretText
from rollback_guard.specs import ChannelSpec, DeadManSpec, Endpoint, Expectation, MaintenanceSpec, ProbeSpec

PROBE_TIMEOUT = timedelta(seconds=5)
"""Bound of a probe that names none; a health check that takes longer is no good sign anyway."""

DEAD_MAN_TIMEOUT = timedelta(seconds=10)
"""Bound of a call of the dead-man's switch that names none."""


def endpoints_of(inventory: Inventory) -> Mapping[str, Endpoint]:
    """Return where each data source is."""
    return {name: _endpoint(inventory.base, name, source) for name, source in inventory.datasources.items()}


def probes_of(inventory: Inventory) -> Mapping[str, ProbeSpec]:
    """Return what each probe asks, by the id of its rule."""
    return {it.id: _probe(inventory.base, it.id, it.rule) for it in inventory.probes if isinstance(it.rule, Probe)}


def channels_of(inventory: Inventory) -> Mapping[str, ChannelSpec]:
    """Return the ways to reach people, by name."""
    channels = inventory.settings.model.notify if inventory.settings else {}
    return {name: _channel(inventory.base, name, channel) for name, channel in channels.items()}


def maintenance_of(inventory: Inventory) -> tuple[MaintenanceSpec, ...]:
    """Return the windows of the calendar."""
    return tuple(map(_window, inventory.settings.model.maintenance)) if inventory.settings else ()


def dead_man_of(inventory: Inventory) -> DeadManSpec | None:
    """Return what is called while all is well."""
    found = inventory.settings.model.dead_man if inventory.settings else None
    if found is None:
        return None
    return DeadManSpec(
        url=_address(inventory.base, found.url, found.url_file),
        every=found.every,
        timeout=found.timeout or min(DEAD_MAN_TIMEOUT, found.every),
        ca_file=_path(inventory.base, found.ca_file),
    )


def token_file_of(base: Path, server: ServerSection) -> Path | None:
    """Return the file that says who may give orders, if there is one."""
    return Path(anchored_path(base, server.token_file)) if server.token_file else None


def tls_of(base: Path, server: ServerSection) -> tuple[Path, Path] | None:
    """Return certificate and key of the server, if it has them."""
    if server.cert_file is None or server.key_file is None:
        return None
    return Path(anchored_path(base, server.cert_file)), Path(anchored_path(base, server.key_file))


def anchors_of(inventory: Inventory) -> tuple[tuple[str, int], ...]:
    """Return the hosts that tell whether the network is there."""
    return tuple(map(split_listen, inventory.settings.model.network.anchors)) if inventory.settings else ()


def _path(base: Path, name: str | None) -> str | None:
    return None if name is None else anchored_path(base, name)


def _address(base: Path, url: str | None, file: str | None) -> SecretText:
    return secret_in(base, file) if file is not None else secret_of(base, url or "")


def _channel(base: Path, name: str, channel: Channel) -> ChannelSpec:
    common: dict[str, Any] = {
        key: getattr(channel, key) for key in ("type", "timeout", "title", "body", "give_up_after", "max_per_hour")
    }
    if isinstance(channel, AppriseChannel):
        return ChannelSpec(name=name, url=_address(base, channel.url, channel.url_file), **common)
    return ChannelSpec(
        name=name,
        url=secret_of(base, channel.url),
        secret=secret_in(base, channel.secret_file) if channel.secret_file else None,
        headers=headers_of(base, channel.headers),
        ca_file=_path(base, channel.ca_file),
        **common,
    )


def _window(window: MaintenanceWindow) -> MaintenanceSpec:
    return MaintenanceSpec(
        name=window.name,
        cron=crontab.spelled_out(window.cron),
        lasting=window.for_,
        timezone=window.timezone,
        guards=tuple(window.guards),
    )


def _probe(base: Path, rule: str, probe: Probe) -> ProbeSpec:
    expect = probe.expect
    return ProbeSpec(
        rule=rule,
        url=probe.url,
        timeout=probe.timeout or min(PROBE_TIMEOUT, probe.interval),
        method=probe.method,
        headers=headers_of(base, probe.headers),
        expect=Expectation(
            status=tuple(expect.status),
            json=tuple(expect.json_.items()),
            body=expect.body,
            latency_below=expect.latency_below,
            tls_valid_for=expect.tls_valid_for,
        ),
        ca_file=_path(base, probe.ca_file),
    )


def _endpoint(base: Path, name: str, source: Datasource) -> Endpoint:
    auth = source.basic_auth
    return Endpoint(
        name=name,
        url=source.url.rstrip("/"),
        timeout=source.timeout,
        headers=headers_of(base, source.headers),
        bearer_token=secret_in(base, source.bearer_token_file) if source.bearer_token_file else None,
        basic_auth=(auth.username, secret_in(base, auth.password_file)) if auth else None,
        ca_file=_path(base, source.ca_file),
        cert_file=_path(base, source.cert_file),
        key_file=_path(base, source.key_file),
        trust_env=source.trust_env,
        max_response_bytes=source.max_response_bytes,
        max_series=source.max_series,
        concurrency=source.concurrency,
        batch_size=source.batch_size,
        heartbeat=source.heartbeat,
        heartbeat_selectors=selectors_of(source.heartbeat),
    )


def selectors_of(heartbeat: str) -> tuple[str, ...]:
    """Return whose samples a heartbeat rests on; of one that cannot be parsed the server will say what is wrong."""
    try:
        return promql.selectors(promql.parse(heartbeat)) if heartbeat else ()
    except promql.PromqlError:
        return ()
