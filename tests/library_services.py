"""What services show whom the packs of rules/library watch: well, and with one rule broken at a time.

Each line is a series and what it does: `20/s` is a counter that grows, a bare number a gauge. `@` is the service's name.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from prometheus_client import CollectorRegistry, Counter, start_http_server

from rollback_guard.core.notation import parse_series
from simulated import Service

TICK_S = 0.05

FLAG, ROLLBACK = 1, 2
"""The steps of a pack's playbook."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A series, and what it does."""

    metric: str
    labels: Mapping[str, str]
    value: float
    grows: bool

    def show(self, service: Service) -> None:
        """Let a simulated service expose it."""
        (service.rate if self.grows else service.gauge)(self.metric, self.value, **self.labels)


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """One critical rule of a pack, broken by itself.

    Attributes:
        name: Of the service that shows it.
        steps: What the guard runs until it helps; the last one cures.
        past: Which `offset` the rule has, in minutes; 0 for none.
    """

    pack: str
    rule: str
    name: str
    well: tuple[Line, ...]
    broken: tuple[Line, ...]
    steps: tuple[int, ...]
    past: int


def lines(text: str, name: str) -> tuple[Line, ...]:
    """Read lines, for the service of a name."""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        series, _, value = line.replace("@", name).rpartition(" ")
        labels = dict(parse_series(series))
        grows = value.endswith("/s")
        metric = labels.pop("__name__")
        found.append(Line(metric=metric, labels=labels, value=float(value.removesuffix("/s")), grows=grows))
    return tuple(found)


def triggers() -> Iterator[Trigger]:
    """Yield every critical rule of every pack; every other one is cured by the flag, as far as the pack tries that."""
    number = 0
    for pack, (well, rules) in SERVICES.items():
        for rule, broken in rules.items():
            number += 1
            name = f"{pack}-{rule}".lower()
            steps = (FLAG,) if number % 2 else (FLAG, ROLLBACK)
            if pack == "slo-burn-rate":
                steps = (FLAG,)  # a slow burn takes its time to show, without a second step already
            if pack == "kubernetes-workload":
                steps = (FLAG,) if rule == "OOMKills" else (ROLLBACK,)
            yield Trigger(
                pack=pack,
                rule=rule,
                name=name,
                well=lines(well, name),
                broken=lines(broken, name),
                steps=steps,
                past=LOOKS_BACK.get(rule, 0),
            )


class Counting:
    """A service whose counters are those of the real Python client library; start it with `with`."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._rates: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._worker = threading.Thread(target=self._work, daemon=True)
        self.target = ""

    def __enter__(self) -> Self:
        self._server, self._serving = start_http_server(0, addr="127.0.0.1", registry=self._registry)
        self.target = f"127.0.0.1:{self._server.server_port}"
        self._worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._worker.join(10)
        self._server.shutdown()
        self._server.server_close()
        self._serving.join(10)

    def show(self, line: Line) -> None:
        """Count at this rate from now on."""
        labels = {name: value for name, value in line.labels.items() if name != "job"}
        with self._lock:
            if line.metric not in self._counters:
                self._counters[line.metric] = Counter(line.metric, line.metric, tuple(labels), registry=self._registry)
            self._rates[line.metric, tuple(labels.items())] = line.value

    def _work(self) -> None:
        while not self._stopping.wait(TICK_S):
            with self._lock:
                for (metric, labels), per_s in self._rates.items():
                    counter = self._counters[metric]
                    (counter.labels(**dict(labels)) if labels else counter).inc(per_s * TICK_S)


LOOKS_BACK = {"HTTPTrafficGone": 30, "BacklogGrows": 60, "SuccessesDrop": 7 * 24 * 60}


def http(
    requests: str, duration: str, own: str, *, well: str, failed: str, at: str = "1", above: str = "2.5"
) -> tuple[str, dict[str, str]]:
    """Return what is shown of requests: a selector, labels of one that is well and of one that failed, two edges."""
    fast = f'{duration}{{{own}, le="{at}"}}'
    fine = f"{requests}{{{own}, {well}}}"
    return (
        f"""
        {fine} 20/s
        {requests}{{{own}, {failed}}} 0/s
        {fast} 20/s
        {duration}{{{own}, le="{above}"}} 20/s
        {duration}{{{own}, le="+Inf"}} 20/s
        """,
        {
            "HTTPErrors": f"{requests}{{{own}, {failed}}} 5/s",
            "HTTPSlow": f"{fast} 0/s",
            "HTTPTrafficGone": f"{fine} 0/s",
        },
    )


OF_DEPLOYMENT = 'namespace="shop", deployment="@"'
OF_POD = 'namespace="shop", pod="@-5d8f7c9b6-x2x4z", container="app"'
PROGRESSING = f'kube_deployment_status_condition{{{OF_DEPLOYMENT}, condition="Progressing", status="false"}}'
CRASHING = f'kube_pod_container_status_waiting_reason{{{OF_POD}, reason="CrashLoopBackOff"}}'
TASKS = 'queue_name="@", name="shop.mail", hostname="worker-1"'
VISIBLE = "aws_sqs_approximate_number_of_messages_visible_average"

SERVICES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "http-red-go": http(
        "http_requests_total",
        "http_request_duration_seconds_bucket",
        'job="@"',
        well='code="200"',
        failed='code="500"',
    ),
    "http-red-micrometer": http(
        "http_server_requests_seconds_count",
        "http_server_requests_seconds_bucket",
        'job="@"',
        well='uri="/orders", status="200"',
        failed='uri="/orders", status="500"',
        at="1.0",
    ),
    "http-red-otel": http(
        "http_server_request_duration_seconds_count",
        "http_server_request_duration_seconds_bucket",
        'job="@"',
        well='http_response_status_code="200"',
        failed='http_response_status_code="503"',
    ),
    "http-red-fastapi": http(
        "http_requests_total",
        "http_request_duration_highr_seconds_bucket",
        'job="@"',
        well='handler="/orders", status="2xx"',
        failed='handler="/orders", status="5xx"',
        at="1.0",
        above="1.5",
    ),
    "http-red-express": http(
        "http_request_duration_seconds_count",
        "http_request_duration_seconds_bucket",
        'job="@"',
        well='status_code="200"',
        failed='status_code="500"',
        at="1.5",
        above="10",
    ),
    "http-red-istio": http(
        "istio_requests_total",
        "istio_request_duration_milliseconds_bucket",
        'destination_workload="@", reporter="source"',
        well='response_code="200"',
        failed='response_code="503"',
        at="1000",
        above="2500",
    ),
    "http-red-envoy": http(
        "envoy_cluster_upstream_rq_xx",
        "envoy_cluster_upstream_rq_time_bucket",
        'envoy_cluster_name="@"',
        well='envoy_response_code_class="2"',
        failed='envoy_response_code_class="5"',
        at="1000",
        above="2500",
    ),
    "http-red-ingress-nginx": http(
        "nginx_ingress_controller_requests",
        "nginx_ingress_controller_request_duration_seconds_bucket",
        'ingress="@", exported_namespace="shop"',
        well='status="200"',
        failed='status="502"',
    ),
    "kubernetes-workload": (
        f"""
        kube_deployment_spec_replicas{{{OF_DEPLOYMENT}}} 4
        kube_deployment_status_replicas_available{{{OF_DEPLOYMENT}}} 4
        {PROGRESSING} 0
        kube_pod_container_status_restarts_total{{{OF_POD}}} 0/s
        kube_pod_container_status_last_terminated_reason{{{OF_POD}, reason="OOMKilled"}} 1
        {CRASHING} 0
        """,
        {
            "DeploymentDown": f"kube_deployment_status_replicas_available{{{OF_DEPLOYMENT}}} 0",
            "ReplicasUnavailable": f"kube_deployment_status_replicas_available{{{OF_DEPLOYMENT}}} 2",
            "RolloutStuck": f"{PROGRESSING} 1",
            "ContainersCannotStart": f"{CRASHING} 1",
            "OOMKills": f"kube_pod_container_status_restarts_total{{{OF_POD}}} 2/s",
        },
    ),
    "queue-lag-kafka": (
        """
        kafka_topic_partition_current_offset{topic="@", partition="0"} 3000/s
        kafka_consumergroup_lag{consumergroup="@", topic="@", partition="0"} 0
        kafka_consumergroup_members{consumergroup="@"} 2
        """,
        {
            "MessagesWait": 'kafka_consumergroup_lag{consumergroup="@", topic="@", partition="0"} 20000',
            "BacklogGrows": 'kafka_consumergroup_lag{consumergroup="@", topic="@", partition="0"} 5000',
            "NobodyConsumes": 'kafka_consumergroup_members{consumergroup="@"} 0',
        },
    ),
    "queue-lag-rabbitmq": (
        """
        rabbitmq_detailed_queue_messages_ready{queue="@", vhost="/"} 0
        rabbitmq_detailed_queue_consumers{queue="@", vhost="/"} 2
        rabbitmq_detailed_queue_head_message_timestamp{queue="@", vhost="/"} 99999999999
        """,
        {
            "MessagesWait": """
                rabbitmq_detailed_queue_head_message_timestamp{queue="@", vhost="/"} 1
                rabbitmq_detailed_queue_messages_ready{queue="@", vhost="/"} 900
            """,
            "BacklogGrows": 'rabbitmq_detailed_queue_messages_ready{queue="@", vhost="/"} 5000',
            "NobodyConsumes": 'rabbitmq_detailed_queue_consumers{queue="@", vhost="/"} 0',
        },
    ),
    "queue-lag-sqs": (
        f"""
        aws_sqs_approximate_age_of_oldest_message_maximum{{dimension_QueueName="@"}} 2
        {VISIBLE}{{dimension_QueueName="@"}} 0
        {VISIBLE}{{dimension_QueueName="@-dlq"}} 0
        """,
        {
            "MessagesWait": 'aws_sqs_approximate_age_of_oldest_message_maximum{dimension_QueueName="@"} 900',
            "BacklogGrows": f"""
                {VISIBLE}{{dimension_QueueName="@"}} 5000
                aws_sqs_approximate_age_of_oldest_message_maximum{{dimension_QueueName="@"}} 5/s
            """,
            "MessagesDie": f'{VISIBLE}{{dimension_QueueName="@-dlq"}} 50/s',
        },
    ),
    "queue-lag-celery": (
        f"""
        celery_queue_length{{queue_name="@"}} 0
        celery_active_worker_count{{queue_name="@"}} 2
        celery_task_started_total{{{TASKS}}} 30/s
        celery_task_succeeded_total{{{TASKS}}} 20/s
        celery_task_failed_total{{{TASKS}, exception="KeyError"}} 0/s
        """,
        {
            "TasksWait": 'celery_queue_length{queue_name="@"} 20000',
            "BacklogGrows": 'celery_queue_length{queue_name="@"} 5000',
            "NobodyWorks": 'celery_active_worker_count{queue_name="@"} 0',
            "TasksFail": f'celery_task_failed_total{{{TASKS}, exception="KeyError"}} 5/s',
        },
    ),
    "queue-lag-sidekiq": (
        """
        sidekiq_queue_latency_seconds{job="@", name="@"} 1
        sidekiq_queue_enqueued_jobs{job="@", name="@"} 0
        sidekiq_processes{job="@"} 2
        sidekiq_processed_jobs_total{job="@"} 20/s
        sidekiq_failed_jobs_total{job="@"} 0/s
        """,
        {
            "JobsWait": 'sidekiq_queue_latency_seconds{job="@", name="@"} 900',
            "BacklogGrows": """
                sidekiq_queue_enqueued_jobs{job="@", name="@"} 5000
                sidekiq_queue_latency_seconds{job="@", name="@"} 5/s
            """,
            "NobodyWorks": 'sidekiq_processes{job="@"} 0',
            "JobsFail": 'sidekiq_failed_jobs_total{job="@"} 5/s',
        },
    ),
    "payments": (
        """
        payments_total{job="@", provider="stripe", result="succeeded"} 20/s
        payments_total{job="@", provider="stripe", result="failed"} 0/s
        payment_duplicate_charges_total{job="@"} 0/s
        payment_webhooks_total{job="@", provider="stripe", result="processed"} 20/s
        payment_webhooks_total{job="@", provider="stripe", result="failed"} 0/s
        """,
        {
            "PaymentsFail": 'payments_total{job="@", provider="stripe", result="failed"} 5/s',
            "SuccessesDrop": 'payments_total{job="@", provider="stripe", result="succeeded"} 5/s',
            "ChargedTwice": 'payment_duplicate_charges_total{job="@"} 1/s',
            "WebhooksFail": 'payment_webhooks_total{job="@", provider="stripe", result="failed"} 5/s',
        },
    ),
    "slo-burn-rate": (
        """
        http_requests_total{job="@", code="200"} 1000/s
        http_requests_total{job="@", code="500"} 0/s
        http_request_duration_seconds_bucket{job="@", le="0.5"} 1000/s
        http_request_duration_seconds_count{job="@"} 1000/s
        """,
        {
            "AvailabilityBurnFast": 'http_requests_total{job="@", code="500"} 500/s',
            "AvailabilityBurnSlow": 'http_requests_total{job="@", code="500"} 13/s',
            "LatencyBurnFast": 'http_request_duration_seconds_bucket{job="@", le="0.5"} 500/s',
            "LatencyBurnSlow": 'http_request_duration_seconds_bucket{job="@", le="0.5"} 870/s',
        },
    ),
}
