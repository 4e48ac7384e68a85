"""A real Alertmanager sends its alerts: with a token, firing and resolved."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from loopback import free_port
from rollback_guard.adapters.clock import SystemClock
from rollback_guard.adapters.web import Certificate, TokenFile
from rollback_guard.core.operations import Report
from rollback_guard.core.orders import Signal
from rollback_guard.ports import JournalError
from served import Daemon, serving_apart

TOKEN = "alertmanager-" + "t" * 30

WITHIN_S = 60


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@contextlib.contextmanager
def alertmanager(folder: Path, receiver: str, *, token: str = TOKEN, ca_file: Path | None = None) -> Iterator[str]:
    """Run one that tells the receiver at once of all that changes; gives its URL."""
    http_config: dict[str, object] = {"authorization": {"credentials": token}}
    if ca_file is not None:
        http_config["tls_config"] = {"ca_file": str(ca_file)}
    config = {
        "route": {"receiver": "guard", "group_wait": "0s", "group_interval": "1s", "group_by": ["..."]},
        "receivers": [
            {"name": "guard", "webhook_configs": [{"url": receiver, "send_resolved": True, "http_config": http_config}]}
        ],
    }
    (folder / "alertmanager.yml").write_text(json.dumps(config))  # JSON is YAML
    port = free_port()
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [
                shutil.which("prometheus-alertmanager") or "alertmanager",
                f"--config.file={folder / 'alertmanager.yml'}",
                f"--storage.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--cluster.listen-address=",
                "--log.level=debug",
            ],
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"

    def is_ready() -> bool:
        assert process.poll() is None, (folder / "log").read_text()[-2000:]
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=1) as answer:
                return answer.status == 200
        except OSError:
            return False

    try:
        wait_for(is_ready, "Alertmanager is not ready")
        yield url
    finally:
        process.terminate()
        process.wait(20)


def tell(url: str, *alerts: dict) -> None:
    """Hand alerts to Alertmanager, as Prometheus does."""
    request = urllib.request.Request(
        f"{url}/api/v2/alerts", json.dumps(alerts).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def alert(name: str, *, began: datetime, ended: datetime | None = None, **labels: str) -> dict:
    times = {"startsAt": began.isoformat()} | ({"endsAt": ended.isoformat()} if ended else {})
    annotations = {"summary": f"{name} at 50%", "runbook": "https://runbooks"}
    return {"labels": {"alertname": name, **labels}, "annotations": annotations, **times}


def tokens(folder: Path) -> TokenFile:
    path = folder / "tokens.toml"
    path.write_text(f'[[token]]\nname = "alertmanager"\nscopes = ["alert"]\ntoken = "{TOKEN}"\n')
    path.chmod(0o600)
    return TokenFile(path, SystemClock())


def signals_of(daemon: Daemon) -> list[Signal]:
    assert all(isinstance(each, Report) for each in daemon.asked)
    return [signal for report in daemon.asked for signal in report.signals]


@pytest.fixture
def daemon() -> Daemon:
    view = Daemon()
    view.takers = {"DataCorruption": ("checkout", "search")}
    return view


def test_what_fires_and_what_is_resolved_arrives_as_signals_with_the_senders_name(daemon, tmp_path):
    began = datetime.now(UTC).replace(microsecond=123_000) - timedelta(minutes=5)
    with (
        serving_apart(daemon, tokens=tokens(tmp_path)) as guard,
        alertmanager(tmp_path, f"{guard}/api/v1/alerts") as url,
    ):
        tell(url, alert("DataCorruption", began=began, table="orders"), alert("DiskFull", began=began))
        wait_for(lambda: signals_of(daemon), "no alert has arrived")
        tell(url, alert("DataCorruption", began=began, ended=datetime.now(UTC), table="orders"))
        wait_for(lambda: any(not each.firing for each in signals_of(daemon)), "no end of an alert has arrived")
    signals = signals_of(daemon)
    assert {each.by for each in daemon.asked} == {"alertmanager"}
    for guard_name in ("checkout", "search"):
        own = [each for each in signals if each.guard == guard_name]
        assert [own[0].firing, own[-1].firing] == [True, False]
        assert {(each.name, each.labels, each.starts_at, each.summary) for each in own} == {
            ("DataCorruption", (("alertname", "DataCorruption"), ("table", "orders")), began, "DataCorruption at 50%")
        }
    assert {route for route, _, _ in daemon.served_requests} == {"/api/v1/alerts"}
    assert {code for _, _, code in daemon.served_requests} == {200}


def test_one_with_a_wrong_token_is_heard_by_nobody_and_logs_that_it_was_refused(daemon, tmp_path):
    with (
        serving_apart(daemon, tokens=tokens(tmp_path)) as guard,
        alertmanager(tmp_path, f"{guard}/api/v1/alerts", token="wrong-" + "w" * 30) as url,
    ):
        tell(url, alert("DataCorruption", began=datetime.now(UTC)))
        wait_for(lambda: daemon.refusals, "nobody was refused")
        wait_for(lambda: "401" in (tmp_path / "log").read_text(), "Alertmanager says nothing of it")
    assert daemon.refusals[0] == "bad_token"
    assert not daemon.asked


def test_one_that_was_answered_that_the_journal_fails_tries_again(daemon, tmp_path):
    daemon.outcome = JournalError("the disk is full")
    with (
        serving_apart(daemon, tokens=tokens(tmp_path)) as guard,
        alertmanager(tmp_path, f"{guard}/api/v1/alerts") as url,
    ):
        tell(url, alert("DataCorruption", began=datetime.now(UTC)))
        wait_for(lambda: len(daemon.asked) > 1, "it has not tried again")
        daemon.outcome = ()
        wait_for(lambda: daemon.served_requests[-1][2] == 200, "it has not come through")
    assert [code for _, _, code in daemon.served_requests][:2] == [503, 503]


def test_alerts_arrive_over_tls_too(daemon, tmp_path):
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    certificate = Certificate(cert_file=tmp_path / "cert.pem", key_file=tmp_path / "key.pem")
    issued.private_key_pem.write_to_path(certificate.key_file)
    issued.cert_chain_pems[0].write_to_path(certificate.cert_file)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with (
        serving_apart(daemon, tokens=tokens(tmp_path), certificate=certificate) as guard,
        alertmanager(tmp_path, f"{guard.replace('http:', 'https:')}/api/v1/alerts", ca_file=tmp_path / "ca.pem") as url,
    ):
        tell(url, alert("DataCorruption", began=datetime.now(UTC)))
        wait_for(lambda: signals_of(daemon), "no alert has arrived")
    assert {each.by for each in daemon.asked} == {"alertmanager"}
