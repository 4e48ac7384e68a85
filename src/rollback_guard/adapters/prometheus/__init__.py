"""Read rules from a Prometheus, or from anything that speaks its query API.

A read goes through these modules from top to bottom:

    source      what a slot needs: measured, `when`, denominators, ages
    heartbeat   is it a server that has data?
    answers     from what was said to observations                             pure
    ages        which selectors to ask for, how old the samples are
    freshness   the definition of old                                          pure
    inquiry     batches, falling back to single queries, giving up
    batch       joining queries, taking answers apart                          pure
    client      threads and PrometheusConnect
    session     one request: credentials, bounds
    wire        one deadline for all that a connection does
    envelope    is this a complete answer?                                     pure
    refusal     why there is none
    catalog     what no slot asks: version, types of metrics, targets, costs
    library     requests, without what it needs for nobody here
"""

import rollback_guard.adapters.prometheus.library  # noqa: F401  before anything else imports requests
from rollback_guard.adapters.prometheus.source import PrometheusSource

__all__ = ["PrometheusSource"]
