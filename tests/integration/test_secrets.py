"""Canary secrets stand everywhere a secret may stand, and show nowhere."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.world import wait_for
from loopback import free_port

CANARIES = {
    "bearer": "canary-bearer-4f1d9a",
    "password": "canary-password-77ab21",
    "header": "canary-header-9c33e0",
    "action": "canary-action-b81f6d",
    "body": "canary-body-e2470c",
    "probe": "canary-probe-1d5a93",
    "env": "canary-env-60cf48",
}


class Parrot(http.server.BaseHTTPRequestHandler):
    """Answer every request with what it sent, as careless servers do in their errors."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.parrot()

    def do_POST(self) -> None:
        self.parrot()

    def parrot(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        said = f"{self.path} {self.headers} {body}"
        self.server.said.append(said)
        if "/api/v1/query" in self.path:
            self.say(400, json.dumps({"status": "error", "errorType": "bad_data", "error": said}).encode())
        else:
            self.say(500 if self.path == "/unsure" else 403, said.encode())

    def say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@contextlib.contextmanager
def parrot() -> Iterator[http.server.ThreadingHTTPServer]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Parrot)
    server.daemon_threads = True
    server.said = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


CONFIG = """
[guard]
name = "canaries"
rules = ["rules.yaml"]
state = "guard.db"
[log]
level = "debug"
format = "json"
[server]
listen = "127.0.0.1:{listen}"
[prometheus]
url = "http://127.0.0.1:{port}"
bearer_token_file = "bearer"
headers = {{ X-Scope = "${{file:{home}/header}}" }}
[datasources.second]
url = "http://127.0.0.1:{port}"
basic_auth = {{ username = "guard", password_file = "password" }}
[actions.call]
type = "http"
method = "POST"
url = "http://127.0.0.1:{port}/refused"
headers = {{ Authorization = "Bearer ${{file:{home}/action}}" }}
json = {{ key = "${{file:{home}/body}}" }}
timeout = "5s"
[actions.unsure]
type = "http"
method = "POST"
url = "http://127.0.0.1:{port}/unsure"
headers = {{ Authorization = "Bearer ${{file:{home}/action}}" }}
timeout = "5s"
[actions.script]
type = "exec"
command = ["/bin/sh", "-c", "echo $CANARY; echo $CANARY >&2; sleep 1.5; exit 3"]
env = {{ CANARY = "${{env:CANARY_ENV}}" }}
timeout = "5s"
"""

RULES = """
groups:
  - name: first
    interval: 1s
    rules: [{{alert: Asked, expr: up == 0, labels: {{service: shop}}}}]
  - name: other
    interval: 1s
    datasource: second
    rules: [{{alert: Other, expr: up == 0, labels: {{service: shop}}}}]
probes:
  - probe: shop
    url: http://127.0.0.1:{port}/health
    interval: 1s
    headers: {{X-Probe: "${{file:{home}/probe}}"}}
    expect: {{body: fine}}
    labels: {{service: shop, severity: critical}}
guards:
  - guard: shop
    select: {{service: shop}}
    playbook:
      - {{action: script, verify: {{within: 5s, stable_for: 1s}}}}
      - {{action: call, verify: {{within: 5s, stable_for: 1s}}}}
      - {{action: unsure, verify: {{within: 5s, stable_for: 1s}}}}
"""


def command_lines(of: int) -> str:
    """Return the command lines of a process and its children, as any user of the machine can read them."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, IndexError):
            status = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            if entry.name.isdigit() and (int(entry.name) == of or int(status[1]) == of):
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return "\n".join(found)


@pytest.mark.promise(36)
def test_no_secret_is_in_log_metrics_api_journal_or_process_list(tmp_path):
    for name, value in CANARIES.items():
        (tmp_path / name).write_text(value + "\n")
    listen = free_port()
    with parrot() as server:
        filled = {"home": tmp_path, "port": server.server_port, "listen": listen}
        (tmp_path / "guard.toml").write_text(CONFIG.format(**filled))
        (tmp_path / "rules.yaml").write_text(RULES.format(**filled))
        environment = os.environ | {"CANARY_ENV": CANARIES["env"]}
        command = [sys.executable, "-m", "rollback_guard.cli"]

        def verb(*words: str) -> str:
            done = subprocess.run([*command, *words], cwd=tmp_path, env=environment, capture_output=True, text=True)
            return done.stdout + done.stderr

        def get(path: str) -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{listen}{path}", timeout=10) as answer:
                return answer.read().decode()

        with (tmp_path / "log").open("wb") as log:
            guard = subprocess.Popen([*command, "run"], cwd=tmp_path, env=environment, stderr=log, stdout=log)
        seen: dict[str, str] = {"process list": ""}

        def ended() -> bool:
            seen["process list"] += command_lines(guard.pid)
            with contextlib.suppress(OSError):
                return "handed_over" in get("/api/v1/incidents")
            return False

        try:
            wait_for(ended, "the playbook to be exhausted")
            incident = json.loads(get("/api/v1/incidents"))
            found = incident.get("incidents", incident) if isinstance(incident, dict) else incident
            for path in ["/metrics", "/", "/api/v1/openapi.json"]:
                seen[path] = get(path)
            for path in ["status", "rules", "guards", "incidents", "decisions", f"incidents/{found[0]['id']}"]:
                seen[path] = get(f"/api/v1/{path}")
            url = f"http://127.0.0.1:{listen}"
            seen["explain"] = verb("explain", found[0]["id"], "--url", url)
            seen["status verb"] = verb("status", "--url", url)
            seen["check"] = verb("check", "guard.toml")
        finally:
            guard.terminate()
            guard.wait(30)
        said = "\n".join(server.said)
    seen["log"] = (tmp_path / "log").read_text()
    seen["journal"] = "".join(path.read_bytes().decode("latin-1") for path in tmp_path.glob("guard.db*"))

    assert "handed_over" in seen["incidents"]
    assert "sh -c" in seen["process list"], "the script was seen running"
    for name in ("bearer", "header", "action", "body", "probe"):
        assert CANARIES[name] in said, f"{name} was really sent"
    leaks = [(name, place) for name, value in CANARIES.items() for place, text in seen.items() if value in text]
    assert leaks == []
