"""Read what names promise: counters and gauges by their endings, good and bad outcomes by their words.

Names are conventions and not facts. Every list here is short on purpose: what is not surely known is not judged.
"""

from __future__ import annotations

import re

_GAUGE_ENDINGS = (
    "_ratio", "_percent", "_percentage", "_celsius", "_temperature", "_utilization", "_utilisation",
    "_timestamp", "_timestamp_seconds", "_info",
    "_memory_bytes", "_memory_usage_bytes", "_working_set_bytes", "_resident_bytes", "_heap_bytes", "_rss_bytes",
    "_free_bytes", "_avail_bytes", "_available_bytes", "_used_bytes", "_max_bytes", "_limit_bytes", "_capacity_bytes",
    "_queue_length", "_queue_depth", "_queue_size", "_backlog", "_lag", "_lag_seconds", "_in_flight", "_in_progress",
    "_inflight_requests", "_active_connections", "_connections_active", "_open_connections", "_connections_open",
    "_pool_size", "_goroutines", "_threads", "_open_fds", "_load1", "_load5", "_load15", "_uptime_seconds",
)  # fmt: skip

_GAUGES = frozenset(
    {
        "up", "probe_success", "go_goroutines", "go_threads", "process_open_fds", "process_max_fds",
        "process_resident_memory_bytes", "process_virtual_memory_bytes", "process_start_time_seconds",
        "container_memory_rss", "container_memory_cache", "container_memory_swap", "redis_connected_clients",
        "rabbitmq_queue_messages", "rabbitmq_queue_messages_ready", "rabbitmq_queue_messages_unacked",
        "pg_stat_activity_count", "hikaricp_connections", "hikaricp_connections_pending",
    }
)  # fmt: skip

_GAUGE_FAMILIES = (
    "node_memory_", "node_filesystem_", "go_memstats_", "jvm_memory_", "jvm_threads_", "kube_pod_status_",
    "kube_pod_container_status_", "kube_pod_container_resource_", "kube_deployment_status_", "kube_deployment_spec_",
    "kube_statefulset_status_", "kube_statefulset_replicas", "kube_daemonset_status_", "kube_replicaset_status_",
    "kube_node_status_", "kube_node_spec_", "kube_job_status_", "kube_job_failed", "kube_horizontalpodautoscaler_",
    "kube_persistentvolumeclaim_", "kube_resourcequota",
)  # fmt: skip
"""How metrics of node_exporter, client libraries and kube-state-metrics begin that are all gauges but for `_total`."""

_NO_GAUGE_ENDINGS = ("_total", "_created", "_bucket", "_count", "_sum", "_failcnt")

_SIZES = frozenset(
    {
        "memory", "mem", "swap", "disk", "capacity", "limit", "quota", "size", "space", "slots", "cores", "cpus",
        "cpu", "nodes", "replicas", "pods", "messages", "ready", "active", "idle", "workers", "pool", "queue",
        "queued", "connections", "threads", "devices", "shards", "partitions", "files", "inodes", "online",
        "offline", "sessions",
    }
)  # fmt: skip
"""Words before `_total` with which it may be a size: `memory_total`, `queue_messages_total`."""

SHARED = frozenset(
    {
        "up", "http_requests_total", "http_request_duration_seconds_bucket", "http_request_duration_seconds_count",
        "http_request_duration_seconds_sum", "http_server_requests_seconds_bucket",
        "http_server_requests_seconds_count", "http_server_requests_seconds_sum",
        "http_server_request_duration_seconds_bucket", "http_server_request_duration_seconds_count",
        "http_server_request_duration_seconds_sum", "grpc_server_handled_total", "grpc_server_started_total",
        "grpc_server_handling_seconds_bucket", "grpc_server_handling_seconds_count",
        "process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds", "go_goroutines",
        "container_memory_working_set_bytes", "container_memory_usage_bytes", "container_cpu_usage_seconds_total",
        "container_cpu_cfs_throttled_periods_total", "kube_pod_container_status_restarts_total",
        "kube_pod_status_phase", "kube_deployment_status_replicas_available",
        "kube_deployment_status_replicas_unavailable", "istio_requests_total", "envoy_cluster_upstream_rq_total",
        "traefik_service_requests_total", "nginx_ingress_controller_requests",
    }
)  # fmt: skip
"""Metrics that every service of a company exports under the same name."""

UNBOUNDED = frozenset(
    {
        "user_id", "userid", "user_uuid", "customer_id", "account_id", "session_id", "sessionid", "request_id",
        "requestid", "trace_id", "traceid", "span_id", "spanid", "transaction_id", "order_id", "booking_id",
        "payment_id", "message_id", "correlation_id", "email", "user_email", "client_ip", "remote_addr",
        "remote_ip", "source_ip", "user_agent", "url", "full_url", "raw_url", "raw_path", "full_path",
        "query_string", "sql", "error_message", "stack_trace", "stacktrace", "uuid", "guid", "token",
    }
)  # fmt: skip
"""Labels that get a new value with every request, customer or error."""

REPLACED = frozenset(
    {
        "pod", "pod_name", "pod_ip", "pod_uid", "container_id", "replicaset", "pod_template_hash",
        "rollouts_pod_template_hash", "version", "app_version", "build", "build_id", "revision", "commit",
        "git_sha", "git_commit", "image", "image_tag", "image_id",
    }
)  # fmt: skip
"""Labels whose value goes away when a release goes back: another pod, another version."""

OWNERS = frozenset(
    {
        "job", "namespace", "exported_namespace", "kubernetes_namespace", "service", "service_name", "app",
        "application", "app_kubernetes_io_name", "component", "team", "cluster", "env", "environment", "region",
        "tenant", "deployment", "workload", "destination_service", "destination_service_name",
        "destination_workload", "exported_service", "ingress", "host", "server_name",
    }
)  # fmt: skip
"""Labels that say whose a series is."""

TRAFFIC = frozenset({"path", "route", "handler", "method", "uri", "endpoint"})
"""Labels that say which part of the traffic a series is of."""

STATUS = frozenset({"code", "status", "status_code", "response_code", "http_status", "http_code", "http_status_code"})
"""Labels that hold an HTTP status."""

_BAD = frozenset({"error", "errors", "err", "failure", "failures", "failed", "fail", "fails", "unsuccessful"})
_GOOD = frozenset({"success", "successes", "successful", "succeeded", "availability", "available"})
_BAD_VALUES = _BAD | {"timeout", "rejected", "declined", "denied", "aborted", "dropped", "exception"}
_GOOD_VALUES = frozenset({"success", "succeeded", "successful", "ok", "passed"})

_PARTS = frozenset({"avail", "available", "free", "used", "usage", "rss", "resident", "working", "open", "active"})
_WHOLES = frozenset({"size", "limit", "limits", "max", "maximum", "capacity", "quota", "total"})
_UNITS = frozenset({"bytes", "fds", "inodes", "connections", "threads", "files", "slots"})
_LARGE = frozenset(
    {"memory", "mem", "memstats", "heap", "rss", "resident", "working", "filesystem", "disk", "volume"}
)  # fmt: skip
"""Words of what has millions of bytes."""

_WORDS = re.compile(r"[a-z0-9]+")
_WORDS_OF_CASES = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+")
"""The same where an upper-case letter begins a word, as in `MemAvailable`."""

_CLASS = re.compile(r"\(?(?P<digits>\[[2-5]+\]|[2-5])(?:[0-9]{2}|\.\.|xx|\\d\\d|\\d\{2\}|\[0-9\]\{2\}|\.[+*]|\.\{2\})")
"""A regular expression of status codes, up to its first alternative: `5..`, `[45]..`, `(5xx|…`."""


def words_of(name: str) -> frozenset[str]:
    """Return the words that a name is made of."""
    return frozenset(_WORDS.findall(name.lower()))


def is_counter(name: str) -> bool:
    """Say whether a name is surely that of a counter."""
    before = name.removesuffix("_total").rpartition("_")[2]
    return name.endswith("_total") and ":" not in name and before not in _SIZES


def is_gauge(name: str) -> bool:
    """Say whether a name is surely that of a gauge."""
    if name in _GAUGES:
        return True
    if ":" in name or name.endswith(_NO_GAUGE_ENDINGS):
        return False
    # A name may be nothing but such an ending: `queue_depth`.
    return f"_{name}".endswith(_GAUGE_ENDINGS) or name.startswith(_GAUGE_FAMILIES)


def is_part_of(part: str, whole: str) -> bool:
    """Say whether one is surely a part of the other, in the same unit: what is free of a size, what is used of a limit.

    A size alone is a whole only where the part says that it is one.
    """
    mine, all_ = _words_of_cases(part), _words_of_cases(whole)
    if is_counter(part) or is_counter(whole) or not _PARTS.intersection(mine) or _PARTS.intersection(all_):
        return False
    same_unit = mine[-1:] == all_[-1:] and mine[-1] in _UNITS
    return (same_unit and not _WHOLES.isdisjoint(all_)) or part.startswith(f"{whole}_")


def is_large(name: str) -> bool:
    """Say whether a name is that of a gauge of bytes that nobody has only thousands of."""
    return name.endswith("_bytes") and is_gauge(name) and not _LARGE.isdisjoint(_words_of_cases(name))


def _words_of_cases(name: str) -> list[str]:
    return [word.lower() for word in _WORDS_OF_CASES.findall(name)]


def is_ratio(name: str) -> bool:
    """Say whether a recorded series is a ratio."""
    return bool(words_of(name) & {"ratio", "percent", "percentage"}) or bool(
        re.search(r"(?:^|[_:])(?:ratio|error_rate|success_rate|availability)", name)
    )


def tone(name: str) -> int:
    """Return 1 for a metric of good outcomes, -1 for one of bad ones, 0 for neither, or for both."""
    words = words_of(name)
    if "budget" in words:
        return 0  # of an error budget, what is left is good and what was burnt is bad
    return bool(words & _GOOD) - bool(words & _BAD)


def tone_of_value(label: str, operator: str, value: str) -> int:
    """Return the same for what a matcher chooses."""
    sign = -1 if operator.startswith("!") else 1
    if label in STATUS and (match := _CLASS.match(value)):
        classes = set(match["digits"].strip("[]"))
        return sign * (-1 if classes <= {"4", "5"} else 1 if classes <= {"2", "3"} else 0)
    chosen = [it.strip("()^$ ").lower() for it in value.split("|")] if operator.endswith("~") else [value.lower()]
    if all(it in _BAD_VALUES for it in chosen):
        return -sign
    return sign if all(it in _GOOD_VALUES for it in chosen) else 0
