"""Make what a configuration names: sources, actions, channels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from rollback_guard.adapters.actions import registry
from rollback_guard.adapters.notify import build as build_channel
from rollback_guard.adapters.probe import ProbeSource
from rollback_guard.adapters.prometheus import PrometheusSource
from rollback_guard.adapters.signals import SignalSource
from rollback_guard.core.host import is_own, place_of
from rollback_guard.core.model import PROBE, SIGNAL
from rollback_guard.ports import Action, Channel, Clock, Source, Telemetry
from rollback_guard.setup import Setup


class Closeable(Protocol):
    """Something with connections."""

    async def close(self) -> None:
        """Release them."""
        ...


@dataclass(slots=True)
class Parts:
    """What a configuration is made into, by name."""

    sources: dict[str, Source] = field(default_factory=dict)
    actions: dict[str, Action] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)

    @property
    def all(self) -> list[Closeable]:
        """Everything that has to be closed."""
        return [*self.sources.values(), *self.actions.values(), *self.channels.values()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """What every part is made with."""

    clock: Clock
    telemetry: Telemetry
    directory: Path
    signals: SignalSource

    def make(self, setup: Setup, kept: Mapping[str, Source]) -> Parts:
        """Make sources, actions and channels, but for the sources that are kept with what they remember."""
        parts = Parts(sources=dict(kept))
        for name, endpoint in setup.endpoints.items():
            if name not in kept:
                parts.sources[name] = PrometheusSource(endpoint, self.clock, self.telemetry)
        parts.sources[PROBE] = ProbeSource(setup.probes, self.clock, self.telemetry, anchors=anchors_of(setup))
        parts.sources[SIGNAL] = self.signals
        for name, settings in setup.actions.items():
            parts.actions[name] = registry.build(
                name, settings, clock=self.clock, telemetry=self.telemetry, directory=self.directory
            )
        for name, spec in setup.channels.items():
            parts.channels[name] = build_channel(spec, clock=self.clock, directory=self.directory)
        return parts


def anchors_of(setup: Setup) -> tuple[tuple[str, int], ...]:
    """Return what shows that the guard's own network is there: what people named, or else the data sources.

    One on this machine is none: the loopback answers, or refuses, also where there is no network at all.
    """
    places = (place_of(endpoint.url) for endpoint in setup.endpoints.values())
    return setup.anchors or tuple(dict.fromkeys(place for place in places if not is_own(place[0])))


async def close(parts: Iterable[Closeable]) -> None:
    """Close them all."""
    for part in parts:
        await part.close()
