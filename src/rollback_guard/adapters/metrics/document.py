"""Write the page about the metrics out of their table.

``python -m rollback_guard.adapters.metrics.document > docs/metrics.md``
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from rollback_guard.adapters.metrics.metric import Label, Metric
from rollback_guard.adapters.metrics.registry import METRICS

HEAD = """# Metrics

This page is generated from the table in `rollback_guard.adapters.metrics.registry`; edit that.

`GET /metrics` answers in Prometheus' text format, at most one second old. All names begin with `rollback_guard_`;
beside them stand the usual `process_*` metrics of the process itself. Times are Unix time stamps: `time() - x` is an
age.
What is not known has no series: a rule that measures nothing has no `rollback_guard_rule_value`, never a zero.

A label's values are the words of a closed list or names out of the configuration. When a rule, group, guard or action
goes, its series go with the next scrape. Counters start at zero for everything that the configuration names, so that
`increase()` sees the first event too.

Alerts on the guard itself are in `deploy/prometheus/rollback-guard-alerts.yaml`.
"""


def document() -> str:
    """Return the page."""
    return "\n".join([HEAD, *_overview(), "", *_details()]).rstrip() + "\n"


def _overview() -> Iterator[str]:
    yield "## Which question does which metric answer?"
    yield ""
    yield "| question | metric |"
    yield "|---|---|"
    for metric in METRICS:
        yield f"| {metric.question} | [`{metric.name}`](#{metric.name}) |"


def _details() -> Iterator[str]:
    yield "## All metrics"
    for metric in METRICS:
        yield ""
        yield f"### {metric.name}"
        yield ""
        yield f"{metric.kind.capitalize()}{_unit(metric)}. {metric.help}"
        if metric.labels:
            yield ""
            yield from (f"- `{label.name}`: {_values(label)}" for label in metric.labels)
        if metric.buckets:
            yield ""
            yield f"Buckets: {', '.join(f'{bound:g}' for bound in metric.buckets)}."


def _unit(metric: Metric) -> str:
    return f" in {metric.unit}" if metric.unit else ""


def _values(label: Label) -> str:
    return label.what or ", ".join(f"`{value}`" for value in label.values)


if __name__ == "__main__":
    sys.stdout.write(document())
