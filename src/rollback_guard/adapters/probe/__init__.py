"""Probe health endpoints: connect anew each time, ask once, judge the answer."""

from rollback_guard.adapters.probe.source import ProbeSource

__all__ = ["ProbeSource"]
