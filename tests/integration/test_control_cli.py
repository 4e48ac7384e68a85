"""The verbs of people against the real API and the real core, as a person and as a script use them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pty
import re
import socket
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import click
import pytest
import trustme
from click.shell_completion import BashComplete
from click.testing import CliRunner

from build import MINUTE, START, Film, a_group, a_guard, a_policy, a_rule, a_step, minutes, seen, series, slot
from rollback_guard.adapters.clock import SystemClock
from rollback_guard.adapters.web import Certificate, TokenFile
from rollback_guard.cli import VERBS, main
from rollback_guard.core.model import Approval, Armed, Mode
from rollback_guard.core.operate import operate
from rollback_guard.core.operations import Refused
from rollback_guard.core.records import (
    Acknowledged,
    Approved,
    Extended,
    Intended,
    Outcome,
    Paused,
    Resumed,
    RolloutFinished,
    RolloutStarted,
    Triggered,
    Vetoed,
)
from rollback_guard.core.snapshot import ReloadView, Running, build
from rollback_guard.ports import JournalError
from served import Daemon, serving_apart

GROUP = a_group(a_rule())
TOKEN = "rg_" + "a" * 40
WEAK = "rg_" + "b" * 40
ORDERS = ["ack", "approve", "extend", "pause", "resume", "rollout", "trigger", "undo", "veto"]


def a_fleet(*, step=None, **changes):
    """Return a policy with a guard of two steps, and one that is armed by rollouts."""
    steps = (step or a_step("flag-off"), a_step("rollback"))
    checkout = a_guard(playbook=steps)
    search = a_guard("search", rules=(), actions=("search-back",), armed=Armed.ROLLOUT)
    return a_policy(
        [GROUP], [checkout, search], undos={"flag-off": "flag-on"}, goals={"flag-off": "flag is off"}, **changes
    )


class Guarding(Daemon):
    """A daemon whose core is the real one; its minutes pass when a test says so."""

    def __init__(self, policy=None):
        super().__init__()
        self.film = Film(policy or a_fleet())
        self.now = START
        self.fails = None

    def show(self, letters):
        for letter in letters:
            self.film.show(self.now, {"g/r": seen(letter)})
            self.now += MINUTE

    def snapshot(self):
        reload = ReloadView(at=START, successful=True, succeeded_at=START)
        running = Running(version="test", started_at=START, reload=reload)
        return build(self.film.policy, self.film.state, running, now=self.now)

    async def operate(self, operation):
        if self.fails:
            raise self.fails
        done = operate(self.film.policy, self.film.state, operation, now=self.now)
        return done if isinstance(done, Refused) else self.film.take(done)

    async def records(self, incident):
        return [each for each in self.film.records if getattr(each, "incident", None) == incident]

    def of(self, kind):
        return [each for each in self.film.records if isinstance(each, kind)]

    @property
    def incident(self):
        return next(iter(self.film.state.incidents))


@pytest.fixture
def guarding():
    """Serve a daemon; gives a function that runs a command against it."""
    with contextlib.ExitStack() as running:

        def serve(daemon, **settings):
            url = running.enter_context(serving_apart(daemon, **settings))
            return lambda *arguments, **options: run(*arguments, ROLLBACK_GUARD_URL=url, **options)

        yield serve


def run(*arguments, **environment):
    return CliRunner().invoke(main, arguments, env={"ROLLBACK_GUARD_TOKEN": None, **environment})


def test_a_pause_says_what_it_means_and_how_to_take_it_back(guarding):
    daemon = Guarding()
    order = guarding(daemon)
    done = order("pause", "checkout", "--reason", "database moves", "--for", "1h")
    assert done.exit_code == 0, done.output
    assert done.output == (
        "Done, in the name of loopback:\n"
        "  paused: checkout, until 2024-05-01 13:00:00 UTC: database moves\n"
        "It goes on watching and tells what it would do. An action that is running ends, and is not tried again.\n"
        "To take it back: rollback-guard resume checkout\n"
    )
    assert daemon.of(Paused) == [
        Paused(guard="checkout", at=START, by="loopback", why="database moves", until=START + timedelta(hours=1))
    ]
    assert order("resume", "checkout").exit_code == 0
    assert daemon.of(Resumed)[0].guard == "checkout"


def test_everything_is_only_paused_when_somebody_says_so(guarding):
    daemon = Guarding()
    order = guarding(daemon)
    for arguments in (("pause", "-r", "x"), ("pause", "checkout", "--all", "-r", "x"), ("resume",)):
        refused = order(*arguments)
        assert refused.exit_code == 2
        assert "name one guard, or say --all" in refused.output
    assert daemon.of(Paused) == []
    done = order("pause", "--all", "-r", "x")
    assert daemon.of(Paused)[0].guard is None
    assert "No end was given" in done.output
    assert "rollback-guard resume --all" in done.output
    assert order("resume", "--all").exit_code == 0


def test_a_waiting_step_is_extended_approved_and_vetoed(guarding):
    for verb, kind in (("approve", Approved), ("veto", Vetoed)):
        daemon = Guarding(a_fleet(step=a_step("flag-off", approve=Approval(within=10 * MINUTE))))
        daemon.show("b")
        order = guarding(daemon)
        assert order("extend", "checkout", "--for", "10m").exit_code == 0
        assert daemon.of(Extended)[0].until == slot(0) + minutes(20)
        done = order(verb, "checkout", "--reason", "seen to it")
        assert done.exit_code == 0, done.output
        assert daemon.of(kind)[0].why == "seen to it"
        assert [each.action for each in daemon.of(Intended)] == (["flag-off"] if kind is Approved else [])
    assert "rollback-guard trigger checkout --step ACTION" in done.output


def test_an_incident_is_acknowledged_once(guarding):
    daemon = Guarding()
    daemon.show("b")
    order = guarding(daemon)
    done = order("ack", daemon.incident)
    assert done.exit_code == 0
    assert f"rollback-guard explain {daemon.incident}" in done.output
    assert daemon.of(Acknowledged)[0].by == "loopback"
    again = order("ack", daemon.incident)
    assert again.exit_code == 5
    assert again.stderr == "Not done (nothing_to_do): loopback has acknowledged it already\n"


def test_a_trigger_shows_its_plan_and_runs_only_what_was_named(guarding):
    daemon = Guarding()
    order = guarding(daemon)
    planned = order("trigger", "checkout", "--step", "rollback", "-r", "corrupt data", "--plan")
    assert planned.exit_code == 0
    assert planned.stdout == ("Guard checkout runs now, whatever its rules say:\n  1. rollback\nReason: corrupt data\n")
    assert daemon.of(Triggered) == []
    done = order("trigger", "checkout", "--step", "rollback", "-r", "corrupt data", "--yes")
    assert done.exit_code == 0, done.output
    assert "  1. rollback" in done.stderr
    assert daemon.of(Triggered)[0].steps == (1,)
    assert f"rollback-guard undo {daemon.incident} --reason …" in done.stdout


def test_a_trigger_of_all_steps_takes_them_in_their_order(guarding):
    daemon = Guarding()
    order = guarding(daemon)
    planned = order("trigger", "checkout", "--all", "--plan", "-o", "json")
    assert json.loads(planned.stdout) == {
        "guard": "checkout",
        "steps": ["flag-off", "rollback"],
        "would_be_skipped": [],
        "would_be_asked_for": [],
        "refused_because": [],
    }
    assert order("trigger", "checkout", "--all", "-r", "x", "-y").exit_code == 0
    assert daemon.of(Triggered)[0].steps == (0, 1)


def test_a_plan_marks_the_steps_that_the_guard_by_itself_would_skip_or_ask_for(guarding):
    restore = a_step("restore", select=series(alertname="DataCorruption"), approve=Approval(within=5 * MINUTE))
    cheap = a_step("flag-off", select=series(alertname="r"))
    policy = a_policy([GROUP], [a_guard(playbook=(cheap, restore, a_step("rollback")), warm_up=60 * MINUTE)])
    daemon = Guarding(policy)
    order = guarding(daemon)
    planned = order("trigger", "checkout", "--all", "--plan")
    assert planned.stdout == (
        "Guard checkout runs now, whatever its rules say:\n"
        '  1. flag-off (by itself the guard would skip it, for nothing with alertname="r" fires)\n'
        '  2. restore (by itself the guard would skip it, for nothing with alertname="DataCorruption" fires, '
        "and would ask for approval first)\n"
        "  3. rollback\n"
        "For you nothing is skipped and nobody is asked: every step of this plan is run.\n"
    )
    daemon.show("b")
    assert "  1. flag-off\n  2. restore (by itself" in order("trigger", "checkout", "--all", "--plan").stdout
    document = json.loads(order("trigger", "checkout", "--all", "--plan", "-o", "json").stdout)
    assert (document["would_be_skipped"], document["would_be_asked_for"]) == (["restore"], ["restore"])
    assert order("trigger", "checkout", "--all", "-r", "breach", "-y").exit_code == 0
    for _ in range(3):
        daemon.film.conclude(Outcome.SUCCEEDED, at=daemon.now)
    assert [each.action for each in daemon.of(Intended)] == ["flag-off", "restore", "rollback"]


@pytest.mark.parametrize("arguments", [("--step", "rollback", "--all"), ()])
def test_a_trigger_needs_one_step_or_the_word_all(guarding, arguments):
    daemon = Guarding()
    refused = guarding(daemon)("trigger", "checkout", *arguments, "-r", "x", "-y")
    assert refused.exit_code == 2
    assert daemon.of(Triggered) == []


@pytest.mark.parametrize(
    ("policy", "pause", "word", "foreseen"),
    [
        (a_fleet(mode=Mode.DRY_RUN), False, "dry_run", "this instance is a dry run"),
        (a_fleet(), True, "paused", "loopback paused it (hands off)"),
    ],
)
def test_a_brake_refuses_with_its_word_and_the_plan_foresees_it(guarding, policy, pause, word, foreseen):
    daemon = Guarding(policy)
    order = guarding(daemon)
    if pause:
        order("pause", "--all", "-r", "hands off")
    planned = order("trigger", "checkout", "--all", "-r", "x", "--plan")
    assert planned.exit_code == 0
    assert f"It will be refused: {foreseen}" in planned.stdout
    refused = order("trigger", "checkout", "--all", "-r", "x", "--yes")
    assert refused.exit_code == 5
    assert f"Not done ({word}): " in refused.stderr
    document = order("trigger", "checkout", "--all", "-r", "x", "--yes", "-o", "json")
    assert document.exit_code == 5
    assert json.loads(document.stdout)["refusal"] == word


def test_an_action_under_way_is_not_overtaken(guarding):
    daemon = Guarding()
    daemon.show("b")
    refused = guarding(daemon)("trigger", "checkout", "--step", "rollback", "-r", "x", "--yes")
    assert refused.exit_code == 5
    assert "It will be refused: an action is under way." in refused.stderr
    assert "Not done (in_progress): flag-off is under way" in refused.stderr


def test_what_was_done_is_taken_back_after_a_false_alarm(guarding):
    daemon = Guarding()
    daemon.show("b")
    daemon.film.conclude(Outcome.SUCCEEDED, at=daemon.now)
    daemon.show("ppp")
    order = guarding(daemon)
    planned = order("undo", daemon.incident, "-r", "the probe lied", "--plan")
    assert planned.stdout.endswith("\nReason: the probe lied\n")
    assert order("undo", daemon.incident, "--plan").stdout + "Reason: the probe lied\n" == planned.stdout
    silent = order("undo", daemon.incident, "--yes")
    assert silent.exit_code == 2
    assert "Missing option '--reason' / '-r'. say why, or only --plan" in silent.stderr
    assert planned.exit_code == 0
    assert "  1. flag-off of 2024-05-01 12:00:00 UTC (its goal was: flag is off)\n" in planned.stdout
    assert [each.undoes for each in daemon.of(Intended)] == [""]
    done = order("undo", daemon.incident, "-r", "the probe lied", "--yes")
    assert done.exit_code == 0, done.output
    assert daemon.of(Intended)[-1].action == "flag-on"
    assert "rollback-guard trigger checkout --step ACTION" in done.stdout
    again = order("undo", daemon.incident, "-r", "once more", "--yes")
    assert again.exit_code == 5
    assert "(nothing_to_do)" in again.stderr


def test_a_rollout_begins_is_listed_and_ends(guarding):
    daemon = Guarding()
    order = guarding(daemon)
    assert order("rollout", "list").output == "No rollout so far.\n"
    versions = ("--version", "41", "--previous-version", "40", "--window", "2h", "--id", "r-1")
    begun = order("rollout", "start", "search", *versions)
    assert begun.exit_code == 0, begun.output
    assert "rollback-guard rollout finish search" in begun.output
    started = daemon.of(RolloutStarted)[0]
    assert (started.rollout, started.version, started.previous_version) == ("r-1", "41", "40")
    assert started.until == START + timedelta(hours=2)
    line = order("rollout", "list").output.splitlines()[1]
    assert line.split()[:6] == ["search", "r-1", "under", "way", "41", "40"]
    assert json.loads(order("rollout", "list", "-o", "json").stdout)["rollouts"][0]["id"] == "r-1"
    assert order("rollout", "finish", "search", "-r", "went well").exit_code == 0
    assert daemon.of(RolloutFinished)[0].why == "went well"
    assert "finished" in order("rollout", "list").output
    assert order("rollout", "finish", "search").exit_code == 5


def test_a_rollout_is_told_to_every_guard_that_is_named_whatever_one_of_them_says(guarding):
    daemon = Guarding()
    order = guarding(daemon)
    wrong = order("rollout", "start", "search", "chekout", "--version", "41")
    assert wrong.exit_code == 2
    assert "there is no guard chekout; did you mean checkout?" in wrong.stderr
    assert daemon.of(RolloutStarted) == []
    assert order("rollout", "start", "search", "checkout", "search", "--version", "41").exit_code == 0
    assert [(each.guard, each.version) for each in daemon.of(RolloutStarted)] == [("search", "41"), ("checkout", "41")]
    assert order("rollout", "finish", "search").exit_code == 0
    assert order("rollout", "finish", "search", "checkout").exit_code == 5
    assert [each.guard for each in daemon.of(RolloutFinished)] == ["search", "checkout"]
    order("rollout", "start", "search", "checkout", "--version", "42")
    assert order("rollout", "finish", "search", "checkout", "-r", "went well").exit_code == 0
    assert [each.guard for each in daemon.of(RolloutFinished)][2:] == ["search", "checkout"]
    assert order("rollout", "start").exit_code == 2


UNKNOWN_NAMES = [
    ("pause", "chekout", "-r", "x"),
    ("veto", "chekout", "-r", "x"),
    ("approve", "chekout"),
    ("extend", "chekout", "--for", "1m"),
    ("trigger", "chekout", "--all", "-r", "x", "-y"),
    ("rollout", "start", "chekout"),
    ("rollout", "finish", "chekout"),
]


@pytest.mark.parametrize("arguments", UNKNOWN_NAMES, ids=" ".join)
def test_an_unknown_guard_is_a_usage_error_that_names_near_ones(guarding, arguments):
    refused = guarding(Guarding())(*arguments)
    assert refused.exit_code == 2
    assert "there is no guard chekout" in refused.stderr
    assert "checkout" in refused.stderr.split("ean ")[1]


def test_an_unknown_step_or_incident_is_a_usage_error_that_names_near_ones(guarding):
    daemon = Guarding()
    daemon.show("b")
    order = guarding(daemon)
    refused = order("trigger", "checkout", "--step", "rolback", "-r", "x", "-y")
    assert refused.exit_code == 2
    assert "guard checkout has no step rolback; did you mean rollback?" in refused.stderr
    for verb in (("ack",), ("undo", "-r", "x", "-y")):
        refused = order(*verb, daemon.incident[:-2])
        assert refused.exit_code == 2
        assert daemon.incident in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("pause", "checkout"), "Missing option '--reason'"),
        (("pause", "checkout", "-r", " \t"), "say why"),
        (("veto", "checkout", "-r", ""), "say why"),
        (("extend", "checkout"), "Missing option '--for'"),
        (("extend", "checkout", "--for", "soon"), "--for"),
        (("extend", "checkout", "--for", "0s"), "longer than nothing"),
        (("pause", "checkout", "-r", "x", "--token", "secret"), "No such option"),
    ],
)
def test_a_mistake_is_seen_before_anything_is_sent(arguments, words):
    result = run(*arguments, ROLLBACK_GUARD_URL="http://127.0.0.1:1")
    assert result.exit_code == 2
    assert words in result.stderr


# Tokens


def tokens_in(folder):
    entries = {"ann": (TOKEN, ["operate", "act"]), "ci": (WEAK, ["alert"])}
    path = folder / "tokens.toml"
    path.write_text(
        "\n".join(
            f'[[token]]\nname = "{name}"\nscopes = {json.dumps(scopes)}\nsha256 = "{hashlib.sha256(token.encode()).hexdigest()}"'
            for name, (token, scopes) in entries.items()
        )
    )
    path.chmod(0o600)
    return TokenFile(path, SystemClock())


def written(folder, content):
    path = folder / "token"
    path.write_bytes(content)
    return str(path)


@pytest.mark.promise(33)
def test_a_token_from_a_file_or_the_environment_says_who_it_was(guarding, tmp_path):
    daemon = Guarding()
    order = guarding(daemon, tokens=tokens_in(tmp_path))
    path = written(tmp_path, f"{TOKEN}\n".encode())
    for environment in ({"ROLLBACK_GUARD_TOKEN": TOKEN}, {"ROLLBACK_GUARD_TOKEN_FILE": path}):
        done = order("pause", "checkout", "-r", "x", **environment)
        assert done.stdout.startswith("Done, in the name of ann:\n")
    done = order("pause", "checkout", "-r", "x", "--token-file", path, ROLLBACK_GUARD_TOKEN=WEAK)
    assert done.exit_code == 0
    assert {each.by for each in daemon.of(Paused)} == {"ann"}


@pytest.mark.promise(33)
def test_without_the_right_token_nothing_happens_and_the_hint_says_what_is_missing(guarding, tmp_path):
    daemon = Guarding()
    order = guarding(daemon, tokens=tokens_in(tmp_path))
    nobody = order("pause", "checkout", "-r", "x")
    assert nobody.exit_code == 2
    assert "A token is needed there: name a file that holds a valid one with --token-file" in nobody.stderr
    unknown = order("pause", "checkout", "-r", "x", ROLLBACK_GUARD_TOKEN="rg_" + "z" * 40)
    assert unknown.exit_code == 2
    assert "Your token is not known there" in unknown.stderr
    weak = order("pause", "checkout", "-r", "x", ROLLBACK_GUARD_TOKEN=WEAK)
    assert weak.exit_code == 2
    assert "the token of ci lacks the scope operate" in weak.stderr
    assert "Use a token with the scope" in weak.stderr
    assert daemon.of(Paused) == []
    assert not any(secret in each.output for each in (nobody, unknown, weak) for secret in (TOKEN, WEAK))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"one two", "must hold one token and nothing else"),
        (b"one\ntwo", "must hold one token and nothing else"),
        (b"a\r\nX-Header: b", "must hold one token and nothing else"),
        ("schlüssel".encode(), "must hold one token and nothing else"),
        (b"\xff\xfe", "it is no text"),
        (b"x" * 10_000, "must hold one token and nothing else"),
        (None, "No such file or directory"),
    ],
)
def test_a_file_that_holds_no_token_is_a_usage_error_that_repeats_nothing_of_it(tmp_path, content, words):
    path = str(tmp_path / "none") if content is None else written(tmp_path, content)
    result = run("pause", "x", "-r", "x", "--token-file", path)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "one two" not in result.stderr
    assert "X-Header" not in result.stderr


@pytest.mark.promise(36)
@pytest.mark.parametrize("url", ["http://guard.internal:9876", "http://10.0.0.7:9876", "http://127.0.0.1.example:9876"])
def test_a_token_never_travels_in_clear_text(url):
    result = run("pause", "x", "-r", "x", "--url", url, ROLLBACK_GUARD_TOKEN=TOKEN)
    assert result.exit_code == 2
    assert "in clear text: use https://, or a tunnel that ends on this machine" in result.stderr
    assert TOKEN not in result.output


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1@evil.example",
        "http://user:word@127.0.0.1:9876",
        "http://127.0.0.1\\@evil.example",
        "http://127.0.0.1:9876#@evil.example",
        "http://127.0.0.1:9876/?x=y",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:abc",
        "http://",
        "http://local host",
        "http://lo\u200bcalhost",
        "http://[::1",
        "gopher://127.0.0.1",
    ],
)
def test_an_address_that_can_be_read_in_two_ways_is_none(url):
    result = run("pause", "x", "-r", "x", "--url", url, ROLLBACK_GUARD_TOKEN=TOKEN)
    assert result.exit_code == 2
    assert "--url must" in result.stderr


class Scripted:
    """A server that says one thing and remembers what it was asked."""

    def __init__(self, answer, *, times=1):
        self.asked = []
        self.answer = answer
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self.serve, args=(times,))

    def serve(self, times):
        for _ in range(times):
            peer, _ = self.listener.accept()
            with peer:
                self.asked.append(peer.recv(65536))
                if self.answer is None:
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                else:
                    peer.sendall(self.answer)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.thread.join(30)
        self.listener.close()


def answer(status, body=b"", *headers):
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers))
    return head.encode() + b"\r\n" + body


@pytest.mark.promise(36)
def test_a_redirect_gets_neither_the_order_nor_the_token():
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.setblocking(False)
        where = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/api/v1/pause"
        for status in ("301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"):
            with Scripted(answer(status, b"", f"Location: {where}")) as server:
                result = run("pause", "x", "-r", "x", "--url", server.url, ROLLBACK_GUARD_TOKEN=TOKEN)
            assert result.exit_code == 3
            assert f"a redirect to {where}, which is not followed" in result.stderr
        with pytest.raises(BlockingIOError):
            elsewhere.accept()


def test_an_order_whose_answer_got_lost_is_of_unknown_outcome_and_is_not_repeated():
    for said in (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", answer("200 OK", b"<html>"), None):
        with Scripted(said) as server:
            result = run("pause", "x", "-r", "x", "--url", server.url)
        assert result.exit_code == 7, result.output
        assert "It may have been done: look with `rollback-guard status`" in result.stderr
        assert len(server.asked) == 1


def test_an_order_that_reached_nobody_was_not_given():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        result = run("veto", "x", "-r", "x", "--url", url)
    assert result.exit_code == 3
    assert result.stderr.startswith(f"No answer from {url}: Connection refused.\n")


def test_what_could_not_be_written_down_was_not_done(guarding):
    daemon = Guarding()
    daemon.fails = JournalError("disk full")
    result = guarding(daemon)("pause", "checkout", "-r", "x")
    assert result.exit_code == 3
    assert "nothing was changed, for it could not be written down: disk full" in result.stderr


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        ("400 Bad Request", {"error": "reason: too long", "near": []}, 2),
        ("404 Not Found", {"error": "there is no such path"}, 2),
        ("409 Conflict", {"error": "no", "refusal": "in_progress", "near": []}, 5),
        ("429 Too Many Requests", {"error": "try again in 9s", "near": []}, 5),
        ("500 Internal Server Error", {"error": "internal error", "near": []}, 3),
        ("503 Service Unavailable", {"error": "starting", "near": []}, 3),
    ],
)
def test_every_refusal_has_its_exit_code(status, body, code):
    with Scripted(answer(status, json.dumps(body).encode())) as server:
        result = run("pause", "x", "-r", "x", "--url", server.url)
    assert result.exit_code == code, result.output
    assert body["error"] in result.stderr


def test_a_name_with_blanks_and_quotes_stays_one_argument_of_the_command_to_copy(guarding):
    name = "check out's \x1b[2J"
    daemon = Guarding(a_policy([GROUP], [a_guard(name)]))
    with Scripted(
        answer("200 OK", json.dumps({"by": "a\x1b", "did": ["\x1b]0;"], "incident": None}).encode())
    ) as server:
        result = run("pause", name, "-r", "x", "--url", server.url)
    assert result.exit_code == 0
    assert "rollback-guard resume 'check out'\"'\"'s  [2J'" in result.output
    assert "\x1b" not in result.output
    assert guarding(daemon)("status").exit_code == 3, "it has not seen everything yet"


# TLS


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def test_a_certificate_is_checked_and_its_authority_can_be_named(guarding, authority, tmp_path):
    issued = authority.issue_cert("localhost")
    cert, key, ca = (tmp_path / name for name in ("cert.pem", "key.pem", "ca.pem"))
    issued.cert_chain_pems[0].write_to_path(str(cert))
    issued.private_key_pem.write_to_path(str(key))
    authority.cert_pem.write_to_path(str(ca))
    daemon = Guarding()
    serving = serving_apart(daemon, certificate=Certificate(cert_file=cert, key_file=key), tokens=tokens_in(tmp_path))
    with serving as served_at:
        url = served_at.replace("http://127.0.0.1", "https://localhost")
        untrusted = run("pause", "checkout", "-r", "x", "--url", url, ROLLBACK_GUARD_TOKEN=TOKEN)
        assert untrusted.exit_code == 3
        assert "its certificate is not trusted" in untrusted.stderr
        assert "--ca-file" in untrusted.stderr
        assert daemon.of(Paused) == []
        done = run("pause", "checkout", "-r", "x", "--url", url, "--ca-file", str(ca), ROLLBACK_GUARD_TOKEN=TOKEN)
        assert done.exit_code == 0, done.output
        assert run("status", "--url", url, "--ca-file", str(ca)).stdout
    none = run("status", "--url", url, "--ca-file", str(tmp_path / "none.pem"))
    assert none.exit_code == 2
    assert "holds no certificates: No such file or directory" in none.stderr


# Asking


def on_a_terminal(url, typed, *arguments):
    """Run a command on a terminal where somebody types; its exit code and what was seen."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "rollback_guard.cli", *arguments, "--url", url],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={"PATH": os.environ["PATH"], "TERM": "dumb"},
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # the other end of a terminal is gone
        while chunk := os.read(ours, 65536):
            shown += chunk
            if b"[y/N]" in shown and typed:
                os.write(ours, typed)
                typed = b""
    os.close(ours)
    return process.wait(30), shown.decode()


def test_on_a_terminal_the_plan_is_shown_first_and_no_is_the_default():
    daemon = Guarding()
    with serving_apart(daemon) as url:
        code, shown = on_a_terminal(url, b"\n", "trigger", "checkout", "--all", "-r", "x")
        assert code == 1
        assert shown.index("1. flag-off") < shown.index("Run them now? [y/N]")
        assert daemon.of(Triggered) == []
        code, shown = on_a_terminal(url, b"y\n", "trigger", "checkout", "--step", "flag-off", "-r", "x")
        assert code == 0, shown
        assert daemon.of(Triggered)[0].steps == (0,)
        daemon.film.conclude(Outcome.SUCCEEDED, at=daemon.now)
        daemon.show("ppppp")
        code, shown = on_a_terminal(url, b"n\n", "undo", daemon.incident, "-r", "x")
        assert code == 1
        assert "Take it back now? [y/N]" in shown
        assert [each.undoes for each in daemon.of(Intended)] == [""]


def test_where_nobody_can_be_asked_only_yes_is_an_answer(guarding):
    daemon = Guarding()
    order = guarding(daemon)
    refused = order("trigger", "checkout", "--all", "-r", "x")
    assert refused.exit_code == 2
    assert "look at the plan with --plan, then say --yes" in refused.stderr
    assert daemon.of(Triggered) == []


# What status shows


def test_status_shows_who_paused_what_waits_and_which_rollout_is_under_way(guarding):
    daemon = Guarding(a_fleet(step=a_step("flag-off", approve=Approval(within=10 * MINUTE))))
    order = guarding(daemon)
    daemon.show("b")
    order("rollout", "start", "search", "--version", "41")
    order("pause", "search", "-r", "holiday")
    order("pause", "--all", "-r", "database moves", "--for", "1h")
    order("ack", daemon.incident)
    shown = order("status").output
    assert "loopback paused all guards until 13:01" in shown
    assert "database moves" in shown
    assert "  rollback-guard resume --all  ends the pause" in shown
    assert "checkout: Step 1, flag-off, waits another 9m" in shown
    assert "loopback takes care of it" in shown
    assert re.search(r"\n  rollback-guard veto checkout --reason … +cancels the playbook\n", shown)
    assert "search: Rollout 41 under way" in shown
    rows = {line.split()[0]: line.split()[1] for line in shown.splitlines() if line and not line.startswith(" ")}
    assert rows["checkout"] == "waiting"
    assert rows["search"] == "paused"


# Completion


def completed(url, *arguments, **environment):
    """Return what the shell would offer after these words."""
    words = ["rollback-guard", *arguments]
    shell = BashComplete(main, {}, "rollback-guard", "_ROLLBACK_GUARD_COMPLETE")
    runner = CliRunner(env={"ROLLBACK_GUARD_URL": url, **environment})
    with runner.isolation():
        return [each.value for each in shell.get_completions(words[1:-1], words[-1])]


def test_names_are_completed_from_the_running_daemon():
    daemon = Guarding()
    daemon.show("b")
    with serving_apart(daemon) as url:
        for verb in ("pause", "resume", "veto", "extend", "approve", "trigger"):
            assert completed(url, verb, "ch") == ["checkout"]
        assert completed(url, "rollout", "start", "") == ["checkout", "search"]
        assert completed(url, "ack", "check") == [daemon.incident]
        assert completed(url, "explain", "") == [daemon.incident]
        assert completed(url, "undo", "nothing") == []
        assert completed(url, "trigger", "checkout", "--step", "") == ["flag-off", "rollback"]
        assert completed(url, "trigger", "checkout", "--step", "ro") == ["rollback"]
        assert completed("http://127.0.0.1:1", "pause", "--url", url, "s") == ["search"]


def test_completion_without_a_daemon_is_silent_and_does_not_wait():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for url in (f"http://127.0.0.1:{silent.getsockname()[1]}", "http://127.0.0.1:1", "nonsense"):
            began = time.monotonic()
            assert completed(url, "pause", "") == []
            assert time.monotonic() - began < 10


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_is_printed(shell):
    printed = subprocess.run(
        [str(Path(sys.executable).with_name("rollback-guard"))],
        env={"PATH": os.environ["PATH"], "_ROLLBACK_GUARD_COMPLETE": f"{shell}_source"},
        capture_output=True,
        text=True,
    )
    if shell == "bash" and "requires" in printed.stderr:
        pytest.skip(printed.stderr)
    assert "_ROLLBACK_GUARD_COMPLETE" in printed.stdout


# Help


@pytest.mark.parametrize("verb", ORDERS)
def test_help_of_an_order_needs_no_heavy_library(verb):
    code = (
        "import sys; from click.testing import CliRunner; from rollback_guard.cli import main;"
        f"result = CliRunner().invoke(main, [{verb!r}, '--help']); assert result.exit_code == 0, result.output;"
        "print(sorted(sys.modules.keys() & {'httpx', 'pydantic', 'starlette', 'requests', 'rich', 'asyncio', 'ssl',"
        " 'http.client'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_verb_takes_a_token_as_an_option():
    context = click.Context(main)
    for verb in VERBS:
        command = main.get_command(context, verb)
        commands = [command, *getattr(command, "commands", {}).values()]
        options = {name for each in commands for parameter in each.params for name in parameter.opts}
        assert "--token" not in options
