"""What people ask for by HTTP, what the core is asked in turn, and what they are answered."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

import snapshots
from incidents import ID
from rollback_guard.adapters.web.replies import STATUS
from rollback_guard.core import operations
from rollback_guard.core.operations import Refusal, Refused
from rollback_guard.core.orders import Paused, Resumed, RolloutStarted, Signal, Triggered
from rollback_guard.core.records import Decided, Decision, IncidentEnded, Intended, Reason
from rollback_guard.core.state import Rollout
from rollback_guard.ports import JournalError
from served import Daemon, client_within

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PAUSE = {"guard": "checkout", "reason": "looking"}


async def post(path: str, body, daemon: Daemon | None = None, **settings):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with client_within(daemon or Daemon()) as client:
        return await client.post(path, content=content, **settings)


@pytest.mark.parametrize(
    ("path", "body", "asked"),
    [
        ("pause", {"reason": "a"}, operations.Pause(by="loopback", why="a")),
        ("pause", {"guard": None, "reason": "a", "for": None}, operations.Pause(by="loopback", why="a")),
        (
            "pause",
            {"guard": "shop/eu", "reason": "a", "for": "1h30m"},
            operations.Pause(by="loopback", why="a", guard="shop/eu", lasting=timedelta(minutes=90)),
        ),
        ("resume", {}, operations.Resume(by="loopback")),
        ("resume", {"guard": "a", "reason": "b"}, operations.Resume(by="loopback", guard="a", why="b")),
        ("veto", {"guard": "a", "reason": "b"}, operations.Veto(by="loopback", guard="a", why="b")),
        (
            "extend",
            {"guard": "a", "for": "5m"},
            operations.Extend(by="loopback", guard="a", lasting=timedelta(minutes=5)),
        ),
        ("approve", {"guard": "a"}, operations.Approve(by="loopback", guard="a")),
        ("ack", {"incident": ID}, operations.Acknowledge(by="loopback", incident=ID)),
        (
            "trigger",
            {"guard": "a", "step": "flag-off", "reason": "b"},
            operations.Trigger(by="loopback", guard="a", step="flag-off", why="b"),
        ),
        ("trigger", {"guard": "a", "all": True, "reason": "b"}, operations.Trigger(by="loopback", guard="a", why="b")),
        (
            "trigger",
            {"guard": "a", "all": False, "step": "s", "reason": "b"},
            operations.Trigger(by="loopback", guard="a", step="s", why="b"),
        ),
        ("undo", {"incident": ID, "reason": "b"}, operations.Undo(by="loopback", incident=ID, why="b")),
        ("rollouts", {"guard": "a"}, operations.StartRollout(by="loopback", guard="a")),
        (
            "rollouts",
            {"guard": "a", "id": "r1", "version": "42", "previous_version": "41", "window": "1d"},
            operations.StartRollout(
                by="loopback", guard="a", rollout="r1", version="42", previous_version="41", window=timedelta(days=1)
            ),
        ),
        ("rollouts/finish", {"guard": "a"}, operations.FinishRollout(by="loopback", guard="a")),
    ],
)
async def test_a_request_becomes_what_the_core_is_asked(path, body, asked):
    daemon = Daemon()
    answer = await post(f"/api/v1/{path}", body, daemon)
    assert answer.status_code == 200, answer.text
    assert daemon.asked == [asked]
    assert answer.json() == {"by": "loopback", "did": [], "incident": None}


async def test_what_was_done_is_answered_in_words():
    daemon = Daemon()
    until = NOW + timedelta(hours=1)
    daemon.outcome = (
        Paused(guard=None, at=NOW, by="ann", why="night", until=until),
        Paused(guard="checkout", at=NOW, by="ann", why="night"),
        Resumed(guard=None, at=NOW, by="ann"),
        RolloutStarted(rollout="r1", guard="checkout", at=NOW, until=until, by="ann", version="42"),
        Triggered(incident=ID, guard="checkout", at=NOW, steps=(0, 1), by="ann", why="corruption"),
        Decided(guard="checkout", at=NOW, decision=Decision.ACT, reason=Reason.TRIGGERED),
        Intended(
            key="k",
            incident=ID,
            guard="checkout",
            step=0,
            action="flag-off",
            goal="PATCH https://flags",
            at=NOW,
            within=timedelta(0),
            stable_for=timedelta(0),
        ),
        IncidentEnded(incident=ID, guard="checkout", at=NOW, decision=Decision.HAND_OVER, reason=Reason.VETOED),
    )
    body = (await post("/api/v1/pause", PAUSE, daemon)).json()
    assert body["incident"] == ID
    assert body["did"] == [
        "paused: all guards, until 2026-03-01 13:00:00 UTC: night",
        "paused: checkout, until it is resumed: night",
        "resumed: all guards",
        "rollout_started: checkout, r1 42, until 2026-03-01 13:00:00 UTC",
        "triggered: checkout, steps 1, 2: corruption",
        "decided: checkout, act: triggered",
        "intended: flag-off, PATCH https://flags",
        f"incident_ended: {ID}, hand_over: vetoed",
    ]


@pytest.mark.parametrize("refusal", Refusal)
async def test_every_refusal_has_its_status_and_names_what_was_perhaps_meant(refusal):
    daemon = Daemon()
    daemon.outcome = Refused(refusal=refusal, detail="there is no guard chekout", near=("checkout",))
    answer = await post("/api/v1/pause", PAUSE, daemon)
    assert answer.status_code == STATUS[refusal]
    assert answer.json() == {"error": "there is no guard chekout", "refusal": str(refusal), "near": ["checkout"]}


@pytest.mark.promise(24)
@pytest.mark.parametrize("path", ["/api/v1/pause", "/api/v1/alerts"])
async def test_what_cannot_be_written_down_is_answered_as_not_done(path):
    daemon = Daemon()
    daemon.takers = {"Breach": ("checkout",)}
    daemon.outcome = JournalError("the disk is full")
    body = PAUSE if path == "/api/v1/pause" else alerts(alert())
    answer = await post(path, body, daemon)
    assert answer.status_code == 503
    assert answer.json()["error"] == "nothing was changed, for it could not be written down: the disk is full"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "the body is empty"),
        (b"  \n", "the body is empty"),
        (b"{", "the body is no JSON: Expecting property name"),
        (b"\xff\xfe{}", "the body is no UTF-8 text"),
        (b'{"reason": "\xff"}', "the body is no UTF-8 text"),
        (b'{"reason": "a", "reason": "b"}', "the key 'reason' is there twice"),
        (b'{"reason": NaN}', "NaN is no number in JSON"),
        (b'{"reason": -Infinity}', "-Infinity is no number in JSON"),
        (b'{"reason": "\\ud800"}', "half a surrogate pair"),
        (b'{"\\ud800": 1}', "half a surrogate pair"),
        (b'{"reason": ' + b"9" * 5000 + b"}", "a number that is too long"),
        (b"[" * 17 + b"]" * 17, "nested more than 16 levels deep"),
        (b"[" * 60_000, "nested more than 16 levels deep"),
        (b'{"a":' * 10_000, "nested more than 16 levels deep"),
        (b'"' + b"[" * 100 + b'"', "valid dictionary"),
        (b'{"reason": "a"} x', "the body is no JSON: Extra data"),
        (b'\xef\xbb\xbf{"reason": "a"}', "the body is no JSON"),
        (b"[]", "valid dictionary"),
        (b"null", "valid dictionary"),
        (b"{}", "reason is missing"),
        (b'{"reason": ""}', "reason: string should have at least 1 character"),
        (b'{"reason": null}', "reason: input should be a valid string"),
        (b'{"reason": 1}', "reason: input should be a valid string"),
        (b'{"reason": "a\\u0000b"}', "reason: string should match"),
        (b'{"reason": "a\\u001bb"}', "reason: string should match"),
        (b'{"reason": "a", "guard": ""}', "guard: string should have at least 1 character"),
        (b'{"reason": "a", "guard": "a\\nb"}', "guard: string should match"),
        (b'{"reason": "a", "for": 600}', "for: write a duration such as 30s"),
        (b'{"reason": "a", "for": "600"}', 'for: duration "600" has no unit: write 600s, 600m or 600h'),
        (b'{"reason": "a", "for": "0s"}', "for: write a duration above zero and of at most 365d"),
        (b'{"reason": "a", "for": "366d"}', "for: write a duration above zero and of at most 365d"),
        (b'{"reason": "a", "lasting": "10m"}', "unknown key 'lasting'"),
        (b'{"reason": "' + b"x" * 1001 + b'"}', "reason: string should have at most 1000 characters"),
    ],
)
async def test_a_body_that_makes_no_sense_is_refused_in_words_and_changes_nothing(body, words):
    daemon = Daemon()
    answer = await post("/api/v1/pause", body, daemon)
    assert answer.status_code == 400, answer.text
    assert words in answer.json()["error"]
    assert not daemon.asked


async def test_all_mistakes_are_told_at_once_with_what_was_perhaps_meant():
    answer = await post("/api/v1/veto", {"gaurd": "a", "reasn": "b"})
    assert answer.json() == {
        "error": "guard is missing; reason is missing; unknown key 'gaurd'; unknown key 'reasn'",
        "near": ["guard", "reason"],
    }


@pytest.mark.parametrize("body", [{}, {"step": "a", "all": True}, {"all": False}, {"step": None}, {"step": ""}])
async def test_a_trigger_names_one_step_or_says_all(body):
    daemon = Daemon()
    answer = await post("/api/v1/trigger", {"guard": "a", "reason": "b"} | body, daemon)
    assert answer.status_code == 400
    assert not daemon.asked


async def test_ten_thousand_mistakes_make_no_long_answer():
    answer = await post("/api/v1/pause", {"reason": "a"} | {f"key{index}" * 20: 1 for index in range(500)})
    assert answer.status_code == 400
    assert len(answer.content) < 4000


@pytest.mark.parametrize(("path", "most"), [("/api/v1/pause", 64 * 1024), ("/api/v1/alerts", 1024 * 1024)])
async def test_a_body_has_its_largest_size(path, most):
    daemon = Daemon()
    body = json.dumps(PAUSE if path == "/api/v1/pause" else alerts()).encode()
    assert (await post(path, body.ljust(most), daemon)).status_code == 200
    asked = len(daemon.asked)
    assert (await post(path, body.ljust(most + 1), daemon)).status_code == 413

    async def chunks():
        for _ in range(20):
            yield b" " * 100_000

    async with client_within(daemon) as client:
        assert (await client.post(path, content=chunks())).status_code == 413
    assert len(daemon.asked) == asked


def alert(**changes):
    return {
        "status": "firing",
        "labels": {"alertname": "Breach", "service": "checkout"},
        "annotations": {"summary": "rows are missing"},
        "startsAt": "2026-03-01T11:59:00.5+02:00",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph",
        "fingerprint": "c4ffee",
    } | changes


def alerts(*each, **changes):
    return {
        "version": "4",
        "groupKey": "{}:{}",
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "rollback-guard",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager",
        "alerts": list(each),
    } | changes


SIGNAL = Signal(
    guard="checkout",
    name="Breach",
    labels=(("alertname", "Breach"), ("service", "checkout")),
    firing=True,
    starts_at=datetime(2026, 3, 1, 9, 59, 0, 500_000, tzinfo=UTC),
    summary="rows are missing",
)


async def test_an_alert_is_a_signal_for_every_guard_that_takes_it():
    daemon = Daemon()
    daemon.takers = {"Breach": ("checkout", "shop")}
    resolved = alert(status="resolved", annotations={"description": "x" * 600})
    answer = await post(
        "/api/v1/alerts", alerts(alert(), resolved, alert(labels={"alertname": "DiskFull"}), alert(labels={})), daemon
    )
    assert answer.json() == {"by": "loopback", "accepted": 2, "ignored": ["DiskFull", ""]}
    (report,) = daemon.asked
    assert report.by == "loopback"
    assert report.signals[0] == SIGNAL
    assert [(each.guard, each.firing) for each in report.signals] == [
        ("checkout", True),
        ("shop", True),
        ("checkout", False),
        ("shop", False),
    ]
    assert report.signals[2].summary == "x" * 500


async def test_alerts_that_no_guard_takes_are_answered_as_received_and_change_nothing():
    daemon = Daemon()
    with capture_logs() as logs:
        answer = await post("/api/v1/alerts", alerts(alert()), daemon)
    assert (answer.status_code, answer.json()) == (200, {"by": "loopback", "accepted": 0, "ignored": ["Breach"]})
    assert not daemon.asked
    assert {"event": "alerts_ignored", "by": "loopback", "names": ("Breach",), "log_level": "info"} in logs


async def test_alerts_that_were_left_out_are_logged():
    with capture_logs() as logs:
        await post("/api/v1/alerts", alerts(truncatedAlerts=7))
    assert {"event": "alerts_truncated", "by": "loopback", "left_out": 7, "log_level": "warning"} in logs


async def test_more_signals_than_are_kept_are_refused():
    daemon = Daemon()
    daemon.takers = {"Breach": ("checkout",)}
    daemon.outcome = Refused(refusal=Refusal.TOO_MANY, detail="1000 alerts fire already")
    assert (await post("/api/v1/alerts", alerts(alert()), daemon)).status_code == 429


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (alerts(version="3"), "version: input should be '4'"),
        ({"alerts": []}, "version is missing"),
        (alerts(alert(status="maybe")), "alerts.0.status"),
        (alerts(alert(labels={"alertname": 1})), "alerts.0.labels.alertname"),
        (alerts(alert(labels={"": "a"})), "alerts.0.labels"),
        (alerts(alert(labels={"alertname": "x" * 5000})), "alerts.0.labels.alertname: string should have at most 4096"),
        (alerts(alert(labels={str(index): "" for index in range(101)})), "alerts.0.labels"),
        (alerts(alert(annotations={"summary": 1})), "alerts.0.annotations.summary"),
        (alerts(alert(startsAt="yesterday")), "alerts.0.startsAt: this is no time"),
        (alerts(alert(startsAt=1772359200)), "alerts.0.startsAt: write a time such as"),
        (alerts(alert(startsAt="2026-03-01T11:59:00")), "alerts.0.startsAt: input should have timezone info"),
        (alerts(alert(startsAt="0001-01-01T00:00:00+14:00")), "alerts.0.startsAt: the year must be one from 1970"),
        (alerts(alert(startsAt="9999-12-31T23:59:59-14:00")), "alerts.0.startsAt: the year must be one from 1970"),
        (alerts(*[alert(labels={})] * 1001), "alerts: list should have at most 1000 items"),
        (alerts(truncatedAlerts=-1), "truncatedAlerts"),
        ({"version": "4", "alerts": {}}, "alerts: input should be a valid list"),
    ],
)
async def test_what_is_no_alert_is_refused_and_changes_nothing(body, words):
    daemon = Daemon()
    daemon.takers = {"Breach": ("checkout",)}
    answer = await post("/api/v1/alerts", body, daemon)
    assert answer.status_code == 400
    assert words in answer.json()["error"]
    assert not daemon.asked


async def test_a_change_is_counted_by_its_route():
    daemon = Daemon()
    await post("/api/v1/pause", PAUSE, daemon)
    assert daemon.served_requests == [("/api/v1/pause", "POST", 200)]


async def test_the_last_rollouts_are_told_with_those_under_way_first():
    def rollout(guard: str, **changes) -> Rollout:
        times = {"started_at": NOW, "until": NOW + timedelta(hours=24)}
        return Rollout(**{"id": f"{guard}-1", "guard": guard, "by": "ann"} | times | changes)

    daemon = Daemon(
        guards=(
            snapshots.guard("a", rollout=rollout("a", finished_at=NOW + timedelta(hours=1))),
            snapshots.guard("b"),
            snapshots.guard("c", rollout=rollout("c", started_at=NOW - timedelta(hours=9), version="42")),
            snapshots.guard("d", rollout=rollout("d")),
        )
    )
    async with client_within(daemon, url="http://127.0.0.1/api/v1") as client:
        found = (await client.get("/rollouts")).json()
        assert [each["guard"] for each in found["rollouts"]] == ["d", "c", "a"]
        assert found["total"] == 3
        (one,) = (await client.get("/rollouts?guard=c")).json()["rollouts"]
    assert (one["version"], one["finished_at"], one["by"]) == ("42", None, "ann")
