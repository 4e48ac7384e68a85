"""Make one HTTP exchange: a connection of its own, one deadline for everything, checked addresses, no proxy.

Probes and actions ask for different things and fear the same: a peer that drips, a name that never resolves, a
connection that was closed while it was kept. Whoever uses this says what an error means; nothing here retries.
"""

from rollback_guard.wire.network import (
    TARGETS_OWN,
    Deadline,
    Network,
    RefusedAddressError,
    certificate_problem,
    fresh_client,
    number_of,
    tls_problem,
)
from rollback_guard.wire.resolver import ResolveError, Resolver
from rollback_guard.wire.trust import Trust, TrustError

__all__ = [
    "TARGETS_OWN",
    "Deadline",
    "Network",
    "RefusedAddressError",
    "ResolveError",
    "Resolver",
    "Trust",
    "TrustError",
    "certificate_problem",
    "fresh_client",
    "number_of",
    "tls_problem",
]
