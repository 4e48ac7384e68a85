"""What lints find in expressions, and above all what they leave alone."""

from __future__ import annotations

import pytest

from rollback_guard.config.catalog import LINTS
from rollback_guard.config.load import load

GUARD = """\
guards:
  - guard: shop
    select: {service: shop}
    playbook: [{action: back}]
"""


def lints_in(folder, expr, *, acts=False, more="", group="", guard=GUARD):
    """Return the ids of what is found in a rule, with `for: 10m` where nothing else is said."""
    span = "" if "for:" in more else "for: 10m, "
    severity = "critical" if acts else "info"
    quoted = expr.replace("'", "''")
    (folder / "rules.yaml").write_text(
        f"groups:\n- name: g\n  {group}\n  rules:\n"
        f"  - {{alert: A, expr: '{quoted}', {span}{more} labels: {{service: shop, severity: {severity}}}}}\n"
        + (guard if acts else "")
    )
    loaded = load([folder / "rules.yaml"], action_types={}, lint=True)
    assert loaded.policy is not None, [problem.render() for problem in loaded.problems]
    return sorted({problem.id for problem in loaded.problems} & set(LINTS))


SOUND = [
    # as they stand in rule collections that many run
    'up{job="node"} == 0',
    "up == 0",
    'probe_success{job="blackbox"} == 0',
    'avg_over_time(up{job="api"}[5m]) < 0.9',
    'sum(up{job="etcd"} == bool 1) without (instance) < ((count(up{job="etcd"}) without (instance) + 1) / 2)',
    'absent(up{job="kubelet"} == 1)',
    "max without (instance) (kube_node_spec_unschedulable) > 0",
    "increase(kube_pod_container_status_restarts_total[1h]) > 5",
    "rate(kube_pod_container_status_restarts_total[10m]) * 60 * 5 > 0",
    "kube_deployment_spec_replicas != kube_deployment_status_replicas_available",
    'max_over_time(kube_pod_container_status_waiting_reason{reason="CrashLoopBackOff"}[5m]) >= 1',
    'sum by (namespace, pod) (kube_pod_status_phase{phase=~"Pending|Unknown"}) > 0',
    '(node_filesystem_avail_bytes{fstype!=""} / node_filesystem_size_bytes{fstype!=""}) * 100 < 15',
    'predict_linear(node_filesystem_avail_bytes{fstype!=""}[6h], 24*60*60) < 0',
    '100 - (avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[5m])) * 100) > 80',
    "node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes < 0.1",
    "increase(node_network_receive_errs_total[2m]) / increase(node_network_receive_packets_total[2m]) > 0.01",
    "abs(node_timex_offset_seconds) > 0.05",
    "node_timex_sync_status == 0",
    'histogram_quantile(0.99, rate(etcd_network_peer_round_trip_time_seconds_bucket{job=~".*etcd.*"}[5m])) > 0.15',
    "histogram_quantile(0.99, sum by (le, job) (rate(http_request_duration_seconds_bucket[5m]))) > 1",
    'sum by (job) (rate(grpc_server_handled_total{grpc_code!="OK"}[5m])) / sum by (job) (rate(grpc_server_handled_total[5m])) > 0.05',
    "(time() - process_start_time_seconds) < 600",
    "time() - max(backup_last_success_timestamp_seconds) > 86400",
    "max by (job) (job_duration_seconds) > 3600",
    "histogram_quantile(0.9, sum by (le) (rate(batch_run_duration_seconds_bucket[1h]))) > 600",
    "rate(batch_run_duration_seconds_sum[5m]) / rate(batch_run_duration_seconds_count[5m]) > 300",
    "kafka_consumergroup_lag > 1000",
    "delta(kafka_consumergroup_lag[10m]) > 100",
    "changes(process_start_time_seconds[10m]) > 2",
    "resets(http_requests_total[10m]) > 3",
    "resets(node_uptime_seconds[10m]) > 0",
    "minio_cluster_nodes_offline_total > 0",
    "slo:period_error_budget_remaining:ratio < 0.1",
    'rate(pg_errors_total{code=~"53300|57014"}[5m]) > 0',
    "histogram_quantile(0.9, sum without (pod) (rate(x_seconds_bucket[5m]))) > 1",
    "histogram_quantile(0.9, sum(rate(x_seconds[5m]))) > 1",
    "histogram_quantile(0.9, rate(x_seconds_bucket[5m])) > 1",
    "histogram_quantile(0.9, topk by (job) (9, rate(x_seconds_bucket[5m]))) > 1",
    "count by (job) (up == 0) / count by (job) (up) > 0.5",
    "count(count by (version) (app_info)) > 1",
    'max(topk(3, rate(errors_total{job="a"}[5m]))) > 5',
    'sum(topk(3, rate(errors_total{job="a"}[5m]))) > 5',
    'ALERTS{alertname="Watchdog"} == 0',
    "vector(1) > 0",
    'count_over_time(up{job="a"}[5m]) < 3',
    'sum(increase(orders_total{job="a"}[1h])) == 0',
    "rate(orders_total[5m]) == 0",
    "rate(memory_used_bytes_total[5m]) > 1",
    "haproxy_server_memory_total > 5",
    "rabbitmq_queue_messages_ready_total > 1000",
    "job:errors:rate5m / job:requests:rate5m > 0.01",
    "job:slo_errors:ratio_rate1h > 14.4 * 0.001 and job:slo_errors:ratio_rate5m > 14.4 * 0.001",
    "1 - job:availability:ratio > 0.001",
    "job:availability:ratio < 0.999",
    "avg(job:availability:ratio) * 100 < 99.9",
    "job:error_percent:rate5m > 5",
    "compression_ratio > 5",
    'sum(rate(requests_retried_total{job="a"}[5m])) / sum(rate(requests_total{job="a"}[5m])) > 2',
    'sum(rate(x_total{version="canary"}[5m])) / sum(rate(x_total[5m])) > 0.5',
    'sum(rate(x_total{job="a-canary", code=~"5.."}[5m])) / sum(rate(x_total{job="a-stable", code=~"5.."}[5m])) > 2',
    'sum(rate(x_total{service="a"}[5m])) / sum(rate(x_total[5m])) > 0.5',
    'sum by (service) (rate(x_total{service="a", code=~"5.."}[5m])) / sum by (service) (rate(x_total[5m])) > 0.5',
    'sum(rate(cpu_seconds_total{container="a"}[5m])) / sum(rate(requests_total{job="a"}[5m])) > 0.5',
    '100 * sum(rate(x_total{code=~"5.."}[5m])) / sum(rate(x_total[5m])) > 5',
    'sum(rate(x_total{code=~"5..|429"}[5m])) > 5',
    'sum(rate(x_total{code=~"5xx"}[5m])) > 5',
    'sum(rate(x_total{code="5xx"}[5m])) > 5',
    'sum(rate(x_total{code!~"[123].."}[5m])) > 5',
    'sum(rate(x_total{code=~"(5..|4..)"}[5m])) > 5',
    'sum(rate(x_total{status=~"error|failed"}[5m])) > 5',
    'sum(rate(x_total{grpc_code=~"Unknown|Internal"}[5m])) > 5',
    'sum(rate(x_total{path=~"/api/.*"}[5m])) > 5',
    'sum(rate(x_total{pod=~".+"}[5m])) > 5',
    'sum(rate(x_total{pod!~""}[5m])) > 5',
    'sum(rate(x_total{pod!=""}[5m])) > 5',
    "avg by (instance) (memory_working_set_bytes / memory_limit_bytes) > 0.9",
    "max by (volume) (volume_used_bytes / volume_capacity_bytes) > 0.9",
    "x_total unless x_total offset 1h",
    "sum(rate(x_total[5m])) < 0.5 * sum(rate(x_total[5m] offset 1w))",
    "avg_over_time(job:latency:p95[30m]) > 1.1 * avg_over_time(job:latency:p95[30m] offset 1d)",
    "rate(x_total[1m]) > 0",
    "increase(x_total[30s]) > 0",
    "avg_over_time(x[15s]) > 1",
    "max_over_time(rate(x_total[1m])[10m:15s]) > 1",
    "max_over_time(rate(x_total[1m])[10m:]) > 1",
    "absent(x) or absent(y)",
    "absent_over_time(x[10m])",
    "min(day_of_week()) > 5 and x > 1",
    'sum(rate(x_total{a="b"}[5m])) / sum(rate(x_total[5m])) >= 1',
    "sgn(x) >= 1",
    "x > 0 or x < 0",
    '(count(up{job="a"} == 1) or vector(0)) < 2',
    'count(up{job="a"} == 1) < 2',
    'sum(up{job="a"}) < 1',
    "stddev_over_time(x[10m]) > 0",
    "quantile_over_time(0.9, job:availability:ratio[1h]) < 0.9",
    # divided by others, not by itself
    'sum by (job) (rate(x_total{code=~"5.."}[5m])) / sum by (job) (rate(x_total[5m])) > 0.01',
    'sum without (code) (rate(x_total{code=~"5.."}[5m])) / sum without (code) (rate(x_total[5m])) > 0.01',
    'rate(x_total{code=~"5.."}[5m]) / ignoring (code) group_left sum without (code) (rate(x_total[5m])) > 0.01',
    'sum by (code) (rate(x_total{code=~"5.."}[5m])) / ignoring (code) group_left sum (rate(x_total[5m])) > 0.01',
    'sum by (job, code) (rate(x_total{a="b", code=~"5.."}[5m])) / sum by (job, code) (rate(x_total[5m])) > 0.01',
    'rate(x_total{code="500"}[5m]) / rate(x_total{code="500"}[5m] offset 1w) > 3',
    'rate(errors_total{code=~"5.."}[5m]) / rate(requests_total[5m]) > 0.01',
    'sum by (le) (rate(x_seconds_bucket{le="0.5"}[5m])) / on () sum by (le) (rate(x_seconds_bucket{le="+Inf"}[5m])) < 1',
    # in the unit that they are compared in
    "container_memory_working_set_bytes / container_spec_memory_limit_bytes > 0.9",
    "100 * container_memory_working_set_bytes / container_spec_memory_limit_bytes > 90",
    "node_memory_Committed_AS_bytes / node_memory_CommitLimit_bytes > 1.5",
    "container_memory_working_set_bytes / container_spec_memory_limit_bytes > 1.2",
    "(node_filesystem_avail_bytes / node_filesystem_size_bytes) * 100 < 1",
    "100 - (node_filesystem_avail_bytes / node_filesystem_size_bytes) * 100 > 90",
    "app_memory_bytes / app_max_connections > 5000",
    "container_memory_working_set_bytes / kube_pod_container_resource_requests > 2",
    '100 * sum(rate(x_total{code=~"5.."}[5m])) / sum(rate(x_total[5m])) > 0.1',
    "100 * sum(rate(errors_total[5m])) / sum(rate(requests_total[5m])) > 0.5",
    'sum(rate(x_total{status="success"}[5m])) / sum(rate(x_total[5m])) * 100 < 99.9',
    '100 * sum(rate(x_total{code=~"5.."}[5m])) / sum(rate(x_total[5m])) > 0.05',
    '100 * sum(rate(x_total{code=~"5.."}[5m])) / sum(rate(x_total[5m])) >= 0.01',
    'sum(rate(x_total{status="success"}[5m])) / sum(rate(x_total[5m])) * 100 < 1',
    # more than once for each that was tried
    "sum(rate(retries_failed_total[5m])) / sum(rate(jobs_total[5m])) > 3",
    # seconds by seconds is how many at a time
    "sum(rate(http_request_duration_seconds_sum[5m])) > 500",
    "sum(rate(http_request_duration_seconds_sum[5m])) / count(up) > 500",
    "rate(http_request_duration_seconds_sum[5m]) / 2 > 500",
    "sum(rate(http_request_duration_seconds_sum[5m])) / sum(http_request_workers) > 100",
    "process_resident_memory_bytes > 512 * 1024 * 1024",
    "process_resident_memory_bytes > 512e6",
    "process_resident_memory_bytes / 1024 / 1024 > 512",
    "predict_linear(node_filesystem_avail_bytes[6h], 3600) < 0",
    "container_spec_memory_limit_bytes == 0",
    "message_size_bytes > 1000",
    "queue_bytes > 1000",
    "rate(process_cpu_seconds_total[5m]) > 0.8",
    "rate(process_cpu_seconds_total[5m]) * 100 > 80",
    "rate(process_cpu_seconds_total[5m]) > 4",
    "rate(process_cpu_seconds_total[5m]) > 28",
    "sum by (pod) (rate(container_cpu_usage_seconds_total[5m])) > 40",
    "sum(rate(container_cpu_usage_seconds_total[5m])) > 80",
    'sum by (instance) (rate(node_cpu_seconds_total{mode="idle"}[5m])) < 20',
    "sum by (pod) (rate(container_cpu_cfs_throttled_seconds_total[5m])) > 25",
    "quantile_over_time(1, x[10m]) > 5",
    "quantile by (job) (0.95, x) > 5",
    # counters and others that are not surely gauges
    "rate(node_network_receive_bytes[5m]) > 1e6",
    "rate(go_memstats_alloc_bytes_total[5m]) > 1e6",
    "rate(container_memory_failcnt[5m]) > 1",
    "rate(kube_pod_container_status_restarts_total[5m]) > 0",
    "rate(http_request_size_bytes_sum[5m]) > 1",
    "increase(jvm_memory_pool_allocated_bytes_total[5m]) > 1",
    "rate(http_response_bytes[5m]) > 1",
    "deriv(queue_depth[5m]) > 1",
    "deriv(node_memory_MemAvailable_bytes[10m]) < -1e6",
    # counters beside their own past
    "jobs_processed_total <= jobs_processed_total offset 1h",
    'up == 0 or sum(x_total{a="b"}) <= 1.1 * sum(x_total{a="b"} offset 1d)',
    "x_total > min_over_time(x_total[1h])",
    # chosen by two labels
    'sum(rate(orders_total{result="failed"}[5m])) / sum(rate(orders_total{stage="submitted"}[5m])) > 0.1',
    # chosen alike
    'sum(rate(x_total{path="/pay", code=~"5.."}[5m])) / sum(rate(x_total{path="/pay"}[5m])) > 0.1',
    'sum(rate(x_total{path="/pay", code=~"5.."}[5m])) / sum(rate(x_total[5m])) > 0.1',
    'sum(rate(x_total{code=~"5.."}[5m])) / sum(rate(x_total{path=~".+"}[5m])) > 0.1',
    'sum by (path) (rate(x_total{code=~"5.."}[5m])) / sum by (path) (rate(x_total{path="/pay"}[5m])) > 0.1',
    'sum(rate(x_total[5m])) / sum(rate(x_total{path="/pay"}[5m])) > 5',
]

FAULTY = {
    "short-range": [
        "rate(x_total[15s]) > 1",
        "increase(x_total[29s]) > 1",
        "deriv(x[20s]) > 1",
        "avg_over_time(x[10s]) > 1",
        "rate(x_total[10m:6m]) > 1",
        "sum(rate(x_total[15s])) / sum(rate(x_total[5m])) > 1",
    ],
    "rate-of-gauge": [
        "rate(up[5m]) > 0",
        "increase(app_queue_depth[5m]) > 5",
        "irate(x_in_flight[1m]) > 1",
        "rate(node_memory_MemAvailable_bytes[5m]) < -1e6",
        "rate(go_memstats_heap_alloc_bytes[5m]) > 1e6",
        'rate(kube_pod_status_ready{condition="true"}[5m]) > 0',
        "increase(queue_depth[5m]) > 5",
        "rate(node_filesystem_avail_bytes[5m]) < 0",
    ],
    "raw-counter": [
        "errors_total > 5",
        "errors_total > 0",
        "sum(errors_total) > 0",
        "5 < max by (job) (errors_total)",
        "max_over_time(errors_total[1h]) > 5",
        "a > 1 and errors_total > 5",
        "deriv(errors_total[10m]) > 0.5",
        "sum(errors_total) * 2 > 10",
        "errors_total > requests_total offset 10m",
        'errors_total{a="b"} > errors_total{a="c"}',
    ],
    "rate-of-sum": [
        "rate(sum(x_total)[5m:1m]) > 1",
        "increase((sum by (job) (x_total))[1h:1m]) > 1",
        "rate(job:x:sum[5m]) > 1",
    ],
    "quantile-without-le": [
        "histogram_quantile(0.9, sum(rate(x_seconds_bucket[5m]))) > 1",
        "histogram_quantile(0.9, (sum by (job) (rate(x_seconds_bucket[5m])))) > 1",
        "1 < histogram_quantile(0.9, sum without (le) (rate(x_seconds_bucket[5m])))",
    ],
    "nan-in-aggregation": [
        "sum(rate(a_total[5m]) / rate(b_total[5m])) > 1",
        "avg by (job) (100 * (rate(a_total[5m]) / rate(b_total[5m]))) > 1",
    ],
    "divided-by-itself": [
        'rate(x_total{code=~"5.."}[5m]) / rate(x_total[5m]) > 0.01',
        'sum by (code) (rate(x_total{code=~"5.."}[5m])) / sum by (code) (rate(x_total[5m])) > 0.01',
        'sum by (job, code) (rate(x_total{code=~"5.."}[5m])) / on (job, code) sum by (job, code) (rate(x_total[5m])) > 0.01',
        'sum without (pod) (rate(x_total{code="500"}[5m])) / sum without (pod) (rate(x_total[5m])) > 0.01',
        '100 * (rate(x_total{code=~"5.."}[5m]) / rate(x_total[5m])) > 1',
        '1 - rate(x_total{code!~"5.."}[5m]) / (rate(x_total[5m]) > 0) > 0.01',
        'rate(x_total{job="a", code=~"5.."}[5m]) / ignoring (pod) rate(x_total{job="a", code!=""}[5m]) > 0.01',
        '(increase(x_total{result="error"}[5m]) or vector(0)) / clamp_min(increase(x_total[5m]), 1) > 0.01',
        'rate(x_total{a="b"}[5m]) > 1 and avg_over_time(y{a="b"}[5m]) / avg_over_time(y[5m]) > 0.5',
    ],
    "changing-selection": ["topk(3, x) > 5", "bottomk(1, x) < 5", "5 < topk by (job) (1, x)", "topk(3, x > 5)"],
    "unbounded-label": ["sum by (user_id) (rate(x_total[5m])) > 1", "max by (trace_id, job) (x) > 1"],
    "absent-label": [
        'sum(rate(x_total{job="a", code=~"5.."}[5m])) / sum(rate(x_total[5m])) > 0.1',
        'sum(rate(x_total{namespace="a", status="error"}[5m])) / sum(rate(x_total{status!=""}[5m])) > 0.1',
        'sum(rate(x_total{code=~"5.."}[5m])) / sum(rate(x_total{job="a"}[5m])) > 0.1',
        'sum(rate(errors_total{service="a"}[5m])) / sum(rate(requests_total[5m])) > 0.1',
        '1 - sum(rate(x_total{app="a", code!~"5.."}[5m])) / sum(rate(x_total[5m])) > 0.1',
        'sum(rate(x_total{code=~"5.."}[5m])) / sum(rate(x_total{path="/pay"}[5m])) > 0.1',
        'sum by (pod) (rate(x_total{result="error"}[5m])) / sum by (pod) (rate(x_total{method=~"GET|POST"}[5m])) > 0.1',
    ],
    "pattern-always-matches": [
        'x{a=~".*"} > 1',
        'x{a=~"(.*)"} > 1',
        'x{a=~"^.*$"} > 1',
        'x{a=~".+|"} > 1',
        'x{a=~"b|.*"} > 1',
        'x{a=~""} > 1',
        'x{a!~".*"} > 1',
        'x{b="c", a!~"|.+"} > 1',
    ],
    "status-pattern": [
        'rate(x_total{code=~"5"}[5m]) > 1',
        'rate(x_total{code=~"5*"}[5m]) > 1',
        'rate(x_total{status=~"5."}[5m]) > 1',
        'rate(x_total{status_code=~"5.0{2}."}[5m]) > 1',
        'rate(x_total{code=~"6.."}[5m]) > 1',
        'rate(x_total{code="5.."}[5m]) > 1',
        'rate(x_total{code!~"2"}[5m]) > 1',
        'rate(x_total{code="500|503"}[5m]) > 1',
    ],
    "threshold-side": [
        "up == 1",
        "up > 0",
        'min(probe_success{job="a"}) >= 1',
        "job:availability:ratio > 0.99",
        "avg(job:error_ratio:rate5m) < 0.01",
        "1 - job:availability:ratio < 0.01",
        'sum(rate(x_total{code=~"5.."}[5m])) / sum(rate(x_total[5m])) < 0.01',
        'sum(rate(x_total{status="success"}[5m])) / sum(rate(x_total[5m])) >= 0.99',
        "100 * sum(rate(failures_total[5m])) / sum(rate(requests_total[5m])) < 1",
        '0.99 < sum(rate(x_total{code!~"5.."}[5m])) / sum(rate(x_total[5m]))',
    ],
    "threshold-unit": [
        'sum(rate(x_total{code=~"5.."}[5m])) / sum(rate(x_total[5m])) > 5',
        "sum(rate(errors_total[5m])) / sum(rate(requests_total[5m])) > 5",
        '(sum(rate(x_total{code=~"5.."}[5m])) or vector(0)) / sum(rate(x_total[5m])) > 5',
        "sum(rate(errors_total[5m])) / clamp_min(sum(rate(requests_total[5m])), 1) > 5",
        'sum(rate(x_total{code=~"2.."}[5m])) / sum(rate(x_total[5m])) < 99',
        "job:availability:ratio < 99.9",
        "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[5m]))) > 500",
        "rate(http_request_duration_seconds_sum[5m]) / rate(http_request_duration_seconds_count[5m]) > 500",
        "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_milliseconds_bucket[5m]))) > 0.5",
        "node_filesystem_avail_bytes / node_filesystem_size_bytes < 10",
        "container_memory_working_set_bytes / container_spec_memory_limit_bytes > 90",
        "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes > 90",
        "sum by (pod) (container_memory_rss_bytes) / sum by (pod) (container_spec_memory_limit_bytes) > 90",
        "node_filesystem_files_free / node_filesystem_files < 10",
        "process_open_fds / process_max_fds >= 80",
        "max(jvm_memory_used_bytes / jvm_memory_max_bytes) > 90",
        "100 * sum(rate(errors_total[5m])) / sum(rate(requests_total[5m])) > 0.005",
        '(sum(rate(x_total{code=~"5.."}[5m])) / sum(rate(x_total[5m]))) * 100 > 0.001',
        'sum(rate(x_total{code=~"5.."}[5m])) / sum(rate(x_total[5m])) > 3',
        'sum(rate(x_total{status="success"}[5m])) / sum(rate(x_total[5m])) * 100 < 0.99',
        "100 * node_filesystem_avail_bytes / node_filesystem_size_bytes < 0.1",
        "process_resident_memory_bytes > 512",
        "max by (pod) (container_memory_working_set_bytes) > 4096",
        "node_memory_MemAvailable_bytes < 500",
        "rate(process_cpu_seconds_total[5m]) >= 64",
        "sum by (pod) (rate(container_cpu_usage_seconds_total[5m])) > 90",
        'avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[5m])) < 10',
        "histogram_quantile(95, sum by (le) (rate(x_seconds_bucket[5m]))) > 2",
        "histogram_quantile(99.9, sum by (le) (rate(x_seconds_bucket[5m]))) < 2",
        "x > 1 and quantile_over_time(-0.5, x[10m]) > 2",
        "quantile by (job) (50, x) > 2",
    ],
    "never-fires": [
        "rate(x_total[5m]) < 0",
        "count(up == 0) == 0",
        "count(x) < 1",
        "sum(up == 1) < 1",
        "up > 1",
        "absent(x) == 0",
        "count_over_time(x[5m]) == 0",
        "100 * avg(up) > 100",
        'sum(rate(x_total{a="b"}[5m])) * 100 / sum(rate(x_total[5m])) > 100',
        'sum(rate(x_total{a="b"}[5m])) / sum(rate(x_total[5m])) > 1',
        "x > 1 and rate(x_total[5m]) < 0",
        "-rate(x_total[5m]) > 0",
        "hour() == 24 and x > 1",
    ],
    "always-fires": [
        "rate(x_total[5m]) >= 0",
        "up <= 1",
        "abs(x) > -1",
        'sum(rate(x_total{a="b"}[5m])) / sum(rate(x_total[5m])) <= 1',
    ],
}


@pytest.mark.parametrize("expr", SOUND)
def test_a_sound_rule_is_left_alone(expr, tmp_path):
    assert lints_in(tmp_path, expr) == []


@pytest.mark.parametrize(("id_", "expr"), [(id_, expr) for id_, group in FAULTY.items() for expr in group])
def test_a_faulty_rule_is_found_and_nothing_else_in_it(id_, expr, tmp_path):
    assert lints_in(tmp_path, expr) == [id_]


RATIO = 'sum(rate(x_total{job="a", code=~"5.."}[5m])) / sum(rate(x_total{job="a"}[5m])) > 0.1'


@pytest.mark.parametrize(
    ("expr", "more", "expected"),
    [
        (RATIO, "", ["ratio-without-floor"]),
        (RATIO, 'when: "sum(rate(x_total[5m])) > 1",', []),
        (RATIO.replace("/ sum(", "/ clamp_min(sum(").replace(" > 0.1", ""), None, None),
        (f'{RATIO} and sum(rate(x_total{{job="a"}}[5m])) > 1', "", []),
        ("memory_bytes{job='a'} / limit_bytes{job='a'} > 0.9", "", []),
        ("rate(http_requests_total[5m]) > 5", "", ["unscoped-selector"]),
        ("up == 0", "", ["unscoped-selector"]),
        ('up{job="a"} == 0', "", []),
        ('rate(http_requests_total{path="/pay"}[5m]) > 5', "", []),
        ("sum by (service) (rate(http_requests_total[5m])) > 5", "", []),
        ("rate(shop_orders_failed_total[5m]) > 5", "", []),
        ("sum by (pod) (rate(x_total[5m])) > 5", "", ["vanishing-label"]),
        ("max by (job, version) (x) > 5", "", ["vanishing-label"]),
        ("sum by (pod) (rate(x_total[5m])) > 5", "no_data: ok,", []),
        ("max(sum by (pod) (rate(x_total[5m]))) > 5", "", []),
        ("histogram_quantile(0.9, sum by (le, pod) (rate(x_bucket[5m]))) > 5", "", ["vanishing-label"]),
        ("x > 2 * x offset 10m", "", ["offset-sees-rollout"]),
        ("x > 2 * x offset 11m", "for: 10m,", ["offset-sees-rollout"]),
        ("x > 2 * x offset 12m", "for: 10m,", []),
        ("x > 2 * x offset 1h", "", []),
        ("x > 2 * x offset 1d", "", []),
    ],
)
def test_more_is_found_in_rules_that_a_guard_acts_on(expr, more, expected, tmp_path):
    if expected is None:
        expr, more, expected = f"{expr}, 0.1) > 0.1", "", []
    assert lints_in(tmp_path, expr, acts=True, more=more) == expected
    if expected and "offset" not in expr:
        assert lints_in(tmp_path, expr, more=more) == []


@pytest.mark.parametrize(
    ("more", "group", "expected"),
    [
        ("for: 0s,", "", []),
        ("for: 15s,", "", []),
        ("for: 5m,", "", []),
        ("for: 10s,", "", ["for-interval"]),
        ("for: 20s,", "", ["for-interval"]),
        ("for: 90s,", "interval: 1m", ["for-interval"]),
        ("for: 2m,", "interval: 1m", []),
    ],
)
def test_for_is_held_against_the_interval(more, group, expected, tmp_path):
    assert lints_in(tmp_path, "x > 1", more=more, group=group) == expected


@pytest.mark.parametrize(
    ("expr", "more", "expected"),
    [
        ("absent(x)", "for: 0s,", ["absent-for"]),
        ("absent(x)", "for: 15s,", ["absent-for"]),
        ("absent(x)", "for: 30s,", []),
        ("y > 1 or absent(x) == 1", "for: 0s,", ["absent-for"]),
        ("absent_over_time(x[1m])", "for: 0s,", []),
        ("y > 1 unless absent(x)", "for: 0s,", []),
        ("y > 1 and absent(x)", "for: 0s,", []),
    ],
)
def test_absence_has_to_last_for_two_intervals(expr, more, expected, tmp_path):
    assert lints_in(tmp_path, expr, more=more) == expected


def test_nothing_is_made_of_what_could_not_be_read(tmp_path):
    text = "groups:\n- name: g\n  interval: 1\n  rules:\n  - {alert: A, expr: 'rate(x_total[5s]) > 1', for: 5s}\n"
    (tmp_path / "rules.yaml").write_text(text)
    found = load([tmp_path / "rules.yaml"], action_types={}, lint=True)
    assert [problem.id for problem in found.problems] == ["duration-unit"]


def test_a_short_interval_tells_of_short_scrapes(tmp_path):
    assert lints_in(tmp_path, "rate(x_total[10s]) > 1", group="interval: 5s") == []
    assert lints_in(tmp_path, "rate(x_total[9s]) > 1", group="interval: 5s", more="for: 10m,") == ["short-range"]


def test_the_scrape_interval_of_guard_toml_counts(tmp_path):
    lints_in(tmp_path, "rate(x_total[1m]) > 1")
    toml = '[guard]\nrules = ["rules.yaml"]\n[prometheus]\nurl = "http://127.0.0.1:9090"\nscrape_interval = "%s"\n'
    for interval, expected in (("1m", ["short-range"]), ("30s", []), ("1s", [])):
        (tmp_path / "guard.toml").write_text(toml % interval)
        found = load([tmp_path / "guard.toml"], action_types={}, lint=True)
        assert [problem.id for problem in found.problems] == expected


@pytest.mark.parametrize(
    ("verify", "interval", "expected"),
    [
        ("", "15s", []),
        ("verify: {stable_for: 0s}", "15s", ["unverified-step"]),
        ("verify: {stable_for: 15s}", "15s", []),
        ("", "5m", ["unverified-step"]),
        ("verify: {stable_for: 10m}", "5m", []),
    ],
)
def test_one_good_evaluation_is_no_recovery(verify, interval, expected, tmp_path):
    guard = GUARD.replace("{action: back}", f"{{action: back, {verify}}}")
    found = lints_in(tmp_path, 'x{job="a"} > 1', acts=True, group=f"interval: {interval}", guard=guard)
    assert found == expected


def test_a_rule_behind_a_guard_of_another_file_does_not_act_alone(tmp_path):
    assert lints_in(tmp_path, "up == 0", acts=True, guard="") == []


PLACES = {
    "short-range": [
        "sum(rate(x_total[5m])) / sum(rate(x_total^[15s])) > 1",
        'rate(x_total[5m]) > 1 and increase(x_total{a="[15s]"}^[15s]) > 1',
        "x > 0 and max_over_time(rate(x_total[1m])^[10m:20m]) > 1",
    ],
    "rate-of-gauge": ["deriv(app_queue_depth[5m]) > 1 and rate(^app_queue_depth[5m]) > 1"],
    "raw-counter": [
        "rate(errors_total[5m]) > 1 and ^errors_total > 5",
        "max by (errors_total) (^errors_total) > 5",
        "rate(x_total[5m]) > 1 or deriv(^x_total[5m]) > 1",
    ],
    "rate-of-sum": ["rate(x_total[5m]) > 1 and ^rate(sum(x_total)[5m:1m]) > 1"],
    "quantile-without-le": [
        "sum(rate(x_seconds_count[5m])) > 1 and histogram_quantile(0.9, ^sum(rate(x_seconds_bucket[5m]))) > 1"
    ],
    "nan-in-aggregation": ["sum(rate(b_total[5m])) > 1 and ^sum(rate(a_total[5m]) / rate(b_total[5m])) > 1"],
    "divided-by-itself": [
        'a / b > 1 and rate(x_total{code=~"5../6"}[5m]) ^/ rate(x_total[5m]) > 0.01',
        'sum by (code) (x_total{code="5"} / 2) > 1 and sum by (code) (x_total{code="5"}) ^/ sum by (code) (x_total) > 0.01',
    ],
    "changing-selection": ["max(topk(3, x)) > 5 and ^topk(3, x) > 5"],
    "unbounded-label": [
        'rate(x_total{user_id="a"}[5m]) > 1 and sum by (job, ^user_id) (rate(x_total[5m])) > 1',
        "max(max by (user_id) (x)) > 1 or max(x) by (^user_id) > 1",
    ],
    "absent-label": [
        'rate(x_total{job="a"}[5m]) > 1 and sum(rate(x_total{job="a", code=~"5.."}[5m])) / sum(rate(^x_total[5m])) > 0.1',
        'sum(rate(^x_total{code=~"5.."}[5m])) / sum(rate(x_total{path="/pay"}[5m])) > 0.1',
    ],
    "pattern-always-matches": [
        'x{a=".*"} > 1 and x{b!="", a=~^".*"} > 1',
        'x{b=""} > 1 and x{a=~^""} > 1',
        "x{a=~'b', b=~^'.*'} > 1",
    ],
    "status-pattern": ['rate(x_total{path="5"}[5m]) > 1 and rate(x_total{path=~"5", code=~^"5"}[5m]) > 1'],
    "threshold-side": ['up{a=">"} ^> 0'],
    "threshold-unit": [
        'x > 5 and sum(rate(x_total{code=~"5.."}[5m])) / sum(rate(x_total[5m])) > ^5',
        '^5 < sum(rate(x_total{code=~"5.."}[5m])) / sum(rate(x_total[5m]))',
        "x > 512 and process_resident_memory_bytes > ^512",
        "rate(x_total[5m]) > 80 and rate(process_cpu_seconds_total[5m]) > ^80",
        "x > 95 and histogram_quantile(^95, sum by (le) (rate(x_seconds_bucket[5m]))) > 2",
        "quantile(0.5, x) > 1 or quantile by (job, pod) (^95, x) > 2",
        "quantile(^95, x) by (job) > 2",
        "quantile_over_time((^50 + 1), x[10m]) > 2".replace("(^50 + 1)", "^(50 + 1)"),
    ],
    "never-fires": ["x < 0 and rate(x_total[5m]) ^< 0", "0 ^> rate(x_total[5m])"],
    "always-fires": ["0 ^<= rate(x_total[5m])", 'up{a="<="} ^<= 1'],
    "absent-for": ['x{a="absent"} > 1 or ^absent(x)'],
}
"""In each expression another such word comes first; the mark stands before the one that is meant."""

ACTING_PLACES = {
    "unscoped-selector": ["rate(shop_total[5m]) > 1 and rate(^http_requests_total[5m]) > 5"],
    "ratio-without-floor": [
        'sum(rate(x_total{code=~"5..", job="a"}[5m]) / 60) ^/ sum(rate(x_total{job="a"}[5m])) > 0.1'
    ],
    "vanishing-label": [
        'scalar(max by (pod) (y{job="a"})) < sum by (^pod) (rate(x_total[5m]))',
        "max by (job, ^pod) (sum by (pod, job) (y)) > 5",
    ],
    "offset-sees-rollout": [
        'x - x offset 1w > 2 * x{job="a"} ^offset 10m',
        'max_over_time(x{job="a"}[5m] offset 1d) < sum(x) - sum_over_time(x{a="offset"}[1m] ^offset 2m)',
    ],
}


MARKED = [
    (id_, marked, acts)
    for group, acts in ((PLACES, False), (ACTING_PLACES, True))
    for id_, each in group.items()
    for marked in each
]


@pytest.mark.parametrize(("id_", "marked", "acts"), MARKED)
def test_a_finding_stands_at_the_very_part_that_it_is_about(id_, marked, acts, tmp_path):
    before, _, behind = marked.partition("^")
    more = "for: 0s," if id_ == "absent-for" else ""
    lints_in(tmp_path, before + behind, acts=acts, more=more)
    text = (tmp_path / "rules.yaml").read_text()
    if id_ == "absent-for":  # which is told at `for` where that is written
        (tmp_path / "rules.yaml").write_text(text := text.replace(" for: 0s,", ""))
    found = [it for it in load([tmp_path / "rules.yaml"], action_types={}, lint=True).problems if it.id == id_]
    written = (before + behind).replace("'", "''")
    expected = text.splitlines()[4].index(written) + len(before.replace("'", "''")) + 1
    assert [(it.line, it.column) for it in found] == [(5, expected)], [it.render() for it in found]


@pytest.mark.parametrize(
    ("step", "interval"), [("{action: back, verify: {stable_for: ^0s}}", "15s"), ("^{action: back}", "5m")]
)
def test_a_step_that_nothing_verifies_is_told_at_its_stable_for_where_that_is_written(step, interval, tmp_path):
    guard = GUARD.replace("{action: back}", step.replace("^", ""))
    lints_in(tmp_path, 'x{job="a"} > 1', acts=True, group=f"interval: {interval}", guard=guard)
    text = (tmp_path / "rules.yaml").read_text().splitlines()
    (found,) = [
        it for it in load([tmp_path / "rules.yaml"], action_types={}, lint=True).problems if it.id == "unverified-step"
    ]
    assert text[found.line - 1][found.column - 1 :].startswith(step.partition("^")[2].partition("}")[0])


def test_every_lint_of_an_expression_is_held_to_its_place():
    held = {*PLACES, *ACTING_PLACES}
    of_files = {"for-interval", "for-exceeds-window", "unverified-step", "uninspected-action"}
    of_labels = {"critical-unselected", "selects-no-critical"}
    assert held | of_files | of_labels == set(LINTS)


def hint_in(folder, expr, id_, **more):
    """Return what to do about the one finding of a lint."""
    lints_in(folder, expr, **more)
    (found,) = [it for it in load([folder / "rules.yaml"], action_types={}, lint=True).problems if it.id == id_]
    return found.hint


@pytest.mark.parametrize(
    ("id_", "expr", "pasted"),
    [
        (
            "divided-by-itself",
            'rate(x_total{code=~"5..", a="b"}[5m]) / rate(x_total{a="b"}[5m]) > 0.01',
            'sum without (code) (rate(x_total{a="b", code=~"5.."}[5m])) / sum without (code) (rate(x_total{a="b"}[5m]))',
        ),
        (
            "divided-by-itself",
            'rate(x_total{code="5"}[5m]) / on (pod, code) rate(x_total[5m]) > 0.01',
            'sum without (code) (rate(x_total{code="5"}[5m])) / sum without (code) (rate(x_total[5m]))',
        ),
        (
            "divided-by-itself",
            'sum by (le) (rate(h_bucket{le="0.5"}[5m])) / sum by (le) (rate(h_bucket[5m])) < 0.9',
            'sum(rate(h_bucket{le="0.5"}[5m])) / sum(rate(h_count[5m]))',
        ),
        (
            "divided-by-itself",
            'sum by (le) (rate(h_bucket{le="0.5"}[5m])) / sum by (le) (rate(h_bucket{le!=""}[5m])) < 0.9',
            'sum(rate(h_bucket{le="0.5"}[5m])) / sum(rate(…_count[…]))',
        ),
        (
            "divided-by-itself",
            'avg by (code) (rate(x_total{code="5"}[5m])) / avg by (code) (rate(x_total[5m])) > 0.01',
            'sum(rate(x_total{code="5"}[5m])) / sum(rate(x_total[5m]))',
        ),
        (
            "divided-by-itself",
            'max by (job, code) (x_ready{code="5"}) / max by (job, code) (x_ready) > 0.01',
            'sum by (job) (x_ready{code="5"}) / sum by (job) (x_ready)',
        ),
        (
            "divided-by-itself",
            '100 * sum by (code) (rate(x_total{code="5"}[5m])) / clamp_min(sum by (code) (rate(x_total[5m])), 1) > 1',
            '100 * sum(rate(x_total{code="5"}[5m])) / clamp_min(sum(rate(x_total[5m])), 1)',
        ),
        (
            "divided-by-itself",
            '(sum by (code) (rate(x_total{code="5"}[5m])) or vector(0)) / (sum by (code) (rate(x_total[5m])) > 0) > 1',
            '(sum(rate(x_total{code="5"}[5m])) or vector(0)) / (sum(rate(x_total[5m])) > 0)',
        ),
        (
            "divided-by-itself",
            'sum by (job, code) (rate(x_total{code="5"}[5m])) / sum by (job, code) (rate(x_total[5m])) > 0.01',
            'sum by (job) (rate(x_total{code="5"}[5m])) / sum by (job) (rate(x_total[5m]))',
        ),
        (
            "divided-by-itself",
            'sum without (pod) (rate(x_total{code="5"}[5m])) / sum without (pod) (rate(x_total[5m])) > 0.01',
            'sum without (pod, code) (rate(x_total{code="5"}[5m])) / sum without (pod, code) (rate(x_total[5m]))',
        ),
        (
            "quantile-without-le",
            'histogram_quantile(0.9, sum by (job) (rate(x_seconds_bucket{a="b"}[5m]))) > 1',
            'sum by (job, le) (rate(x_seconds_bucket{a="b"}[5m]))',
        ),
        (
            "quantile-without-le",
            "histogram_quantile(0.9, sum without (le, pod) (rate(x_seconds_bucket[5m]))) > 1",
            "sum without (pod) (rate(x_seconds_bucket[5m]))",
        ),
        ("rate-of-sum", 'rate(sum by (job) (x_total{a="b"})[10m:1m]) > 1', 'sum by (job) (rate(x_total{a="b"}[10m]))'),
        ("rate-of-sum", "rate(job:x:sum[5m]) > 1", "sum(rate(…))"),
        ("rate-of-sum", "rate(sum(x_total)[10m:1m] offset 1d) > 1", "sum(rate(…))"),
        ("rate-of-sum", "rate(sum(x_total offset 1d)[10m:1m]) > 1", "sum(rate(x_total[10m] offset 1d))"),
        ("changing-selection", 'topk(3, rate(x_total{a="b"}[5m])) > 5', 'max(rate(x_total{a="b"}[5m]))'),
        ("changing-selection", "bottomk(3, x) < 5", "min(x)"),
        ("changing-selection", "topk(3, x > 5)", "x > 5"),
        ("raw-counter", 'errors_total{a="b", c=~"d.*"} > 5', 'increase(errors_total{a="b", c=~"d.*"}[5m])'),
        ("raw-counter", "errors_total offset 1h > 5", "rate(errors_total[5m] offset 1h)"),
        ("raw-counter", 'deriv(errors_total{a="b"}[10m]) > 5', 'rate(errors_total{a="b"}[10m])'),
        ("rate-of-gauge", 'rate(queue_depth{a="b"}[10m]) > 5', 'deriv(queue_depth{a="b"}[10m])'),
        (
            "nan-in-aggregation",
            'avg by (job) (rate(a_total{x="y"}[5m]) / rate(b_total[5m])) > 1',
            'sum by (job) (rate(a_total{x="y"}[5m])) / sum by (job) (rate(b_total[5m]))',
        ),
        ("threshold-unit", "process_resident_memory_bytes > 512", "512 * 1024 * 1024"),
        ("threshold-unit", "histogram_quantile(99, rate(x_bucket[5m])) > 1", "0.99"),
    ],
)
def test_what_a_hint_says_to_write_is_made_of_the_expression_and_finds_nothing_more(id_, expr, pasted, tmp_path):
    assert f"`{pasted}`" in hint_in(tmp_path, expr, id_)


def test_a_part_that_is_too_long_to_be_read_becomes_dots(tmp_path):
    matchers = ", ".join(f'label_number_{it}="a long value of it"' for it in range(9))
    hint = hint_in(tmp_path, f"x_total{{{matchers}}} > 5", "raw-counter")
    assert "`increase(…[5m])`" in hint
    long = f"sum(rate(x_total{{{matchers}}}[5m]))"
    hint = hint_in(tmp_path, f"{long.replace('{', '{code=~`5..`, ')} / {long} > 0.1", "ratio-without-floor", acts=True)
    assert "`when: … > 1`" in hint


def test_a_rate_that_should_fall_is_told_of_functions_that_do(tmp_path):
    assert "`deriv`" in hint_in(tmp_path, "rate(my_bytes[5m]) < -1e6", "never-fires")
    assert "`deriv`" in hint_in(tmp_path, "sum(rate(my_bytes[5m])) < 0", "never-fires")
    assert "`deriv`" not in hint_in(tmp_path, "rate(x_total[5m]) < 0", "never-fires")


@pytest.mark.parametrize(
    "expr", ["errors_total > 5 and failures_total > 3", "errors_total > requests_total", "deriv(a_total[5m]) < b_total"]
)
def test_raw_counters_of_one_expression_are_told_once(expr, tmp_path):
    assert hint_in(tmp_path, expr, "raw-counter")


def test_series_divided_by_themselves_are_not_said_to_be_1_where_they_are_multiplied(tmp_path):
    lints_in(tmp_path, '100 * rate(x_total{code="5"}[5m]) / rate(x_total[5m]) > 1')
    (message,) = [
        it.message
        for it in load([tmp_path / "rules.yaml"], action_types={}, lint=True).problems
        if it.id == "divided-by-itself"
    ]
    assert message.endswith("each series is divided by itself, and the ratio says nothing")
