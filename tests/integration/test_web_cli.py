"""`status` and `explain` against a real server, as a person and as a script use them."""

from __future__ import annotations

import json
import os
import pty
import socket
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
from click.testing import CliRunner

import snapshots
from incidents import ID
from rollback_guard.cli.explain import command as explain
from rollback_guard.cli.status import command as status
from rollback_guard.core.remarks import of_instance
from rollback_guard.core.snapshot import ReloadView
from served import Daemon, serving_apart

STATUS = """\
shop: firing (enforce, rollback-guard 0.1.0, 2026-03-01 10:01:30 UTC)

GUARD     STATE      INCIDENT                   LAST DECISION           ACTIONS LEFT
checkout  verifying  checkout-20260301T100000Z  act: breach, 1m30s ago  1
payment   blind      none                       none: healthy, 1h ago   2
search    watching   none                       none: healthy, 1h ago   2

RULE                        STATE     SINCE  VALUE    BREACH WHEN  SEVERITY  DETAIL
checkout/CheckoutErrorRate  firing    1m30s  0.01824  > 0.01       critical  Checkout errors at 1.824%
payment/PaymentLatency      blind     6m     none     > 0.01       critical  connect: connection refused
search/NightlyRatio         idle      2h     none     > 0.01       critical  no_traffic
probe/search-ready          inactive         1        < 1          critical  HTTP 200
search/SearchErrorRate      inactive         0.0004   > 0.01       critical

INCIDENT                   STATE      OPEN FOR  RULES
checkout-20260301T100000Z  verifying  1m30s     checkout/CheckoutErrorRate

rollback-guard explain checkout-20260301T100000Z
"""


def run(verb, *arguments, **environment):
    return CliRunner().invoke(verb, arguments, env=environment)


def ask(daemon: Daemon, verb, *arguments):
    with serving_apart(daemon) as url:
        return run(verb, *arguments, "--url", url)


def test_status_shows_guards_rules_and_incidents_worst_first():
    result = ask(Daemon(), status)
    assert result.exit_code == 1
    assert result.output == STATUS


@pytest.mark.parametrize(
    ("picture", "code"),
    [
        (snapshots.healthy(), 0),
        (snapshots.snapshot(), 1),
        (snapshots.healthy(incidents=(snapshots.incident(),)), 1),
        (snapshots.healthy(rules=(snapshots.BLIND,)), 3),
        (snapshots.healthy(ready=False), 3),
    ],
    ids=["fine", "firing", "incident open", "blind", "starting"],
)
@pytest.mark.parametrize("output", ["table", "json"])
def test_the_exit_code_says_how_it_stands(picture, code, output):
    daemon = Daemon()
    daemon.picture = picture
    result = ask(daemon, status, "--output", output)
    assert result.exit_code == code, result.output


def test_status_names_what_hinders_the_guard():
    refused = ReloadView(
        at=snapshots.NOW, successful=False, succeeded_at=snapshots.STARTED_AT, problems=("a.yaml:1:1: error: bad",)
    )
    changes = {"reload": refused, "storm": True, "journal_failed_since": snapshots.NOW, "intents_open": ("k-1",)}
    daemon = Daemon(ready=False, fleet_actions_left=0, **changes)
    daemon.picture = replace(daemon.picture, remarks=of_instance(daemon.picture))
    output = ask(daemon, status).output
    assert "Not every group has been evaluated yet." in output
    assert "A storm holds all actions" in output
    assert "The journal cannot be written since 10:01:30 UTC" in output
    assert "The configuration was refused at 10:01:30 UTC" in output
    assert "  a.yaml:1:1: error: bad" in output
    assert "Actions left to all guards together: 0." in output
    assert "An action is under way or of unknown outcome: k-1" in output


def test_status_as_json_holds_what_the_api_says():
    document = json.loads(ask(Daemon(), status, "--output", "json").stdout)
    assert document.keys() == {"status", "guards", "rules", "incidents"}
    assert document["rules"][0]["name"] == "CheckoutErrorRate"


def test_status_tells_of_rules_that_it_does_not_show():
    many = tuple(snapshots.rule(f"Rule{index:04}") for index in range(1005))
    assert "and 5 more rules; the API has them all" in ask(Daemon(rules=many), status).output


def test_what_a_target_says_can_not_steer_the_terminal():
    hostile = snapshots.rule("Bad", detail="\x1b]0;owned\x07\x1b[2J\r\nnew line \u202e")
    output = ask(Daemon(rules=(hostile,)), status).output
    assert not set(output) & set("\x1b\x07\r\u202e")


def test_explain_tells_the_story():
    result = ask(Daemon(), explain, ID)
    assert result.exit_code == 0
    assert result.output.startswith(
        f"""\
Incident {ID} of guard checkout: verifying

2026-03-01 (UTC)
  09:50:00     +0s  The first breach: CheckoutErrorRate.
  10:00:00    +10m  Guard checkout opened incident {ID}: the breach had lasted for 10m.
  10:00:00    +10m  Decided to run step 1, disable-new-checkout: a critical rule fires.
                    CheckoutErrorRate{{code="500"}} is 0.01824, above 0.01
                    checkout-ready: HTTP 503, expected 200
"""
    )
    assert result.output.endswith("Not over yet: the effect is being watched.\n")


def test_explain_without_an_id_lists_the_incidents():
    result = ask(Daemon(), explain)
    assert result.exit_code == 0
    assert result.output.splitlines()[1].startswith(f"{ID}  2026-03-01 10:00:00 UTC  verifying")
    assert ask(Daemon(incidents=()), explain).output == "No incident so far.\n"


def test_explain_as_json_holds_story_and_records():
    document = json.loads(ask(Daemon(), explain, ID, "-o", "json").stdout)
    assert document.keys() == {"at", "incident", "story", "records"}
    assert json.loads(ask(Daemon(), explain, "-o", "json").stdout)["total"] == 1


def test_explain_tells_of_a_guard_too():
    result = ask(Daemon(), explain, "checkout")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "Guard checkout, of late"


@pytest.mark.parametrize("id_", [ID[:-2], "../status", "a/b?c#d", "ünknown\n"])
def test_an_unknown_incident_is_a_usage_error_that_names_near_ones(id_):
    result = ask(Daemon(), explain, id_)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert f"Did you mean {ID} or " in result.stderr


def test_an_unknown_incident_where_there_was_none():
    result = ask(Daemon(incidents=()), explain, "x")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[0] == "There is no incident and no guard x."


@pytest.mark.parametrize("verb", [status, explain])
def test_without_a_daemon_the_exit_code_is_three_and_says_what_to_do(verb):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        result = run(verb, ROLLBACK_GUARD_URL=url, HTTP_PROXY="http://127.0.0.1:1")
    assert result.exit_code == 3
    assert result.stdout == ""
    assert result.stderr == (
        f"No answer from {url}: Connection refused.\n"
        "Is the daemon running? --url or ROLLBACK_GUARD_URL name another address.\n"
    )


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope",
        b"HTTP/1.1 500 Oops\r\nContent-Length: 28\r\n\r\n" + b'{"error": "oops","near": []}',
        b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n",
    ],
)
def test_something_else_at_that_address_is_no_answer(answer):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            peer, _ = listener.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        result = run(status, "--url", f"http://127.0.0.1:{listener.getsockname()[1]}")
        thread.join(30)
    assert result.exit_code == 3, result.output
    assert result.stderr.startswith("No answer from http://127.0.0.1:")
    assert "Traceback" not in result.output


def test_a_url_that_is_none_is_a_usage_error():
    result = run(status, "--url", "file:///etc/passwd")
    assert result.exit_code == 2
    assert "must begin with http:// or https://" in result.stderr


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_colours_are_for_terminals_that_want_them(environment, coloured):
    with serving_apart(Daemon()) as url:
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-c", "from rollback_guard.cli.status import command; command()", "--url", url],
            stdout=theirs,
            stdin=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], **environment},
        )
        os.close(theirs)
        seen = b""
        try:
            while chunk := os.read(ours, 65536):
                seen += chunk
        except OSError:  # the other end of a terminal is gone
            pass
        finally:
            os.close(ours)
        assert process.wait(30) == 1
    assert b"firing" in seen
    assert (b"\x1b[" in seen) is coloured


@pytest.mark.parametrize("verb", ["status", "explain"])
def test_help_needs_no_heavy_library(verb):
    code = (
        "import sys; from click.testing import CliRunner;"
        f"from rollback_guard.cli.{verb} import command;"
        "result = CliRunner().invoke(command, ['--help']); assert result.exit_code == 0, result.output;"
        "print(sorted(sys.modules.keys() & {'httpx', 'pydantic', 'starlette', 'requests', 'rich', 'asyncio', 'http.client'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
