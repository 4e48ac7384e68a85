"""Run a real Prometheus of one's own for as long as it is needed: the only PromQL engine that tests are judged by."""

from rollback_guard.adapters.ephemeral.binary import HOW_TO_INSTALL, find_prometheus
from rollback_guard.adapters.ephemeral.failure import (
    EphemeralError,
    PrometheusMissing,
    QueryRefused,
    StartFailed,
    WriteRefused,
)
from rollback_guard.adapters.ephemeral.message import STALE, Series
from rollback_guard.adapters.ephemeral.server import EphemeralPrometheus

__all__ = [
    "HOW_TO_INSTALL",
    "STALE",
    "EphemeralError",
    "EphemeralPrometheus",
    "PrometheusMissing",
    "QueryRefused",
    "Series",
    "StartFailed",
    "WriteRefused",
    "find_prometheus",
]
