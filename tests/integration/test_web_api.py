"""What the API answers, over real HTTP."""

from __future__ import annotations

import asyncio
import html
import json
import math
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from jsonschema import Draft202012Validator

import snapshots
from incidents import ID, RECOVERED
from rollback_guard.adapters.web import create_app
from rollback_guard.adapters.web.codec import members, plain, schema, to_json
from rollback_guard.adapters.web.page import STYLE
from rollback_guard.adapters.web.views import Condition, condition
from rollback_guard.core.model import Phase, Severity, Verdict
from rollback_guard.core.records import Decision, IncidentEnded, Paused, Reason, Record, RolloutStarted
from rollback_guard.core.snapshot import Matter, Snapshot
from served import Daemon, client_within, serving


async def get(path: str, daemon: Daemon | None = None, **settings) -> httpx.Response:
    return await call("GET", path, daemon, **settings)


async def call(method: str, path: str, daemon: Daemon | None = None, **settings) -> httpx.Response:
    async with client_within(daemon or Daemon()) as client:
        return await client.request(method, path, **settings)


def conforms(value, shape, known) -> None:
    """Check a value against the subset of JSON Schema that the document uses."""
    if "$ref" in shape:
        conforms(value, known[shape["$ref"].rpartition("/")[2]], known)
        return
    if "anyOf" in shape:
        failures = []
        for each in shape["anyOf"]:
            try:
                conforms(value, each, known)
            except AssertionError as failure:
                failures.append(failure)
            else:
                return
        raise AssertionError(failures)
    if "const" in shape:
        assert value == shape["const"]
    if "enum" in shape:
        assert value in shape["enum"]
    match shape.get("type"):
        case "object":
            assert isinstance(value, dict)
            assert set(shape.get("required", ())) <= value.keys()
            for key, each in value.items():
                inner = shape.get("properties", {}).get(key, shape.get("additionalProperties", {}))
                assert inner is not False, key
                conforms(each, inner, known)
        case "array":
            assert isinstance(value, list)
            parts = shape.get("prefixItems") or [shape["items"]] * len(value)
            for each, part in zip(value, parts, strict=True):
                conforms(each, part, known)
        case "string":
            assert isinstance(value, str)
        case "integer":
            assert isinstance(value, int)
            assert not isinstance(value, bool)
        case "number":
            assert isinstance(value, int | float)
        case "boolean":
            assert isinstance(value, bool)
        case "null":
            assert value is None


def document() -> dict:
    return asyncio.run(get("/api/v1/openapi.json")).json()


DOCUMENT = document()

READABLE = [path for path, item in DOCUMENT["paths"].items() if "get" in item]


def test_every_route_is_described_and_nothing_else_is():
    app = create_app(Daemon().view())
    served = {(route.path_format, method.lower()) for route in app.routes for method in route.methods - {"HEAD"}}
    described = {(path, method) for path, item in DOCUMENT["paths"].items() for method in item}
    assert served == described


def test_the_page_in_docs_names_every_route_and_no_other():
    text = (Path(__file__).parents[2] / "docs" / "http-api.md").read_text()
    written = set(re.findall(r"^\| `(/[^`]*)` \| ([A-Z]+) \|", text, re.MULTILINE))
    assert written == {(path, method.upper()) for path, item in DOCUMENT["paths"].items() for method in item}


def test_the_document_refers_only_to_what_it_holds():
    assert DOCUMENT["openapi"] == "3.1.0"
    referred = {part.partition('"')[0] for part in json.dumps(DOCUMENT).split('"#/components/schemas/')[1:]}
    assert referred
    assert referred <= DOCUMENT["components"]["schemas"].keys()
    operations = [item["operationId"] for path in DOCUMENT["paths"].values() for item in path.values()]
    assert len(set(operations)) == len(operations)


def named(path):
    """Return a path with the name of something that is there."""
    return path.replace("{id}", "checkout" if "/guards/" in path else ID)


async def test_the_story_of_a_guard_says_why_it_did_not_act():
    daemon = Daemon()
    paused = Paused(guard="checkout", at=snapshots.NOW, by="ann", why="a test of the payment provider")
    daemon.records = answering([paused])
    story = (await get("/api/v1/guards/checkout", daemon)).json()["story"]
    (line,) = story
    assert line["text"] == "ann paused guard checkout until further notice."
    assert any("a test of the payment provider" in note for note in line["notes"])


async def test_a_guard_that_is_not_there_is_named_with_those_that_are():
    answer = await get("/api/v1/guards/chekout")
    assert (answer.status_code, answer.json()["near"][0]) == (404, "checkout")


def answering(records):
    async def answer(name):
        return records

    return answer


async def test_every_route_answers_over_a_real_socket():
    async with (
        serving(Daemon()) as server,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", trust_env=False, timeout=30) as client,
    ):
        for path in READABLE:
            assert (await client.get(named(path))).status_code == 200, path


@pytest.mark.parametrize("path", READABLE)
async def test_every_answer_is_as_the_document_says(path):
    answer = await get(named(path))
    assert answer.status_code == 200
    ((media_type, content),) = DOCUMENT["paths"][path]["get"]["responses"]["200"]["content"].items()
    assert answer.headers["content-type"].partition(";")[0] == media_type
    if media_type == "application/json":
        conforms(answer.json(), content["schema"], DOCUMENT["components"]["schemas"])


@pytest.mark.parametrize("path", READABLE)
async def test_reading_changes_nothing(path):
    daemon = Daemon()
    before = to_json(daemon.picture)
    for method in ("GET", "HEAD"):
        assert (await call(method, named(path), daemon)).status_code == 200
    assert to_json(daemon.picture) == before
    assert daemon.reloads == 0


async def test_status_counts_and_names_the_condition():
    body = (await get("/api/v1/status")).json()
    assert body["condition"] == "firing"
    assert (body["rules"], body["rules_firing"], body["rules_unknown"], body["rules_blind"]) == (5, 1, 2, 1)
    assert (body["guards"], body["guards_blind"], body["incidents_open"]) == (3, 1, 1)
    assert body["groups"][0]["interval_s"] == 15.0


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Condition.FINE),
        ({"ready": False}, Condition.STARTING),
        ({"rules": (snapshots.BLIND,)}, Condition.BLIND),
        ({"rules": (replace(snapshots.BLIND, shadow=True),)}, Condition.FINE),
        ({"rules": (snapshots.IDLE,)}, Condition.FINE),
        ({"guards": (snapshots.guard(blind_since=snapshots.NOW),)}, Condition.BLIND),
        ({"rules": (snapshots.BLIND, snapshots.FIRING)}, Condition.FIRING),
        ({"rules": (replace(snapshots.FIRING, shadow=True),)}, Condition.FINE),
        ({"rules": (snapshots.BLIND,), "incidents": (snapshots.incident(),)}, Condition.FIRING),
        ({"rules": (snapshots.rule(phase=Phase.PENDING, verdict=Verdict.BREACH),)}, Condition.FINE),
    ],
)
def test_the_condition_takes_not_seeing_for_neither_health_nor_failure(changes, expected):
    assert condition(snapshots.healthy(**changes)) is expected


async def test_rules_come_worst_first():
    body = (await get("/api/v1/rules")).json()
    assert [rule["name"] for rule in body["rules"]] == [
        "CheckoutErrorRate",
        "PaymentLatency",
        "NightlyRatio",
        "search-ready",
        "SearchErrorRate",
    ]
    assert body["rules"][0]["series"][0]["labels"] == {"alertname": "CheckoutErrorRate", "code": "500"}
    assert body["rules"][0]["hold_s"] == 600.0
    assert body["rules"][0]["value"] == 0.01824


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("guard=payment", ["PaymentLatency"]),
        ("limit=1", ["CheckoutErrorRate"]),
        ("guard=search&limit=2", ["NightlyRatio", "search-ready"]),
        ("guard=nobody", []),
    ],
)
async def test_lists_can_be_narrowed(query, names):
    body = (await get(f"/api/v1/rules?{query}")).json()
    assert [rule["name"] for rule in body["rules"]] == names
    assert body["total"] >= len(names)


@pytest.mark.parametrize("path", ["rules", "guards", "incidents", "decisions"])
@pytest.mark.parametrize(
    "query", ["limit=0", "limit=-1", "limit=x", "limit=10001", "limit=1&limit=2", "gard=a", "limit=٣"]
)
async def test_a_senseless_query_is_refused_and_never_ignored(path, query):
    answer = await get(f"/api/v1/{path}?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert answer.json()["near"] == (["guard"] if query == "gard=a" else [])


async def test_guards_incidents_and_decisions_can_be_narrowed_too():
    async with client_within(Daemon(), url="http://127.0.0.1/api/v1") as client:
        guards = (await client.get("/guards?guard=checkout")).json()["guards"]
        assert [guard["name"] for guard in guards] == ["checkout"]
        assert (await client.get("/incidents?guard=checkout")).json()["incidents"][0]["id"] == ID
        assert (await client.get("/incidents?guard=search")).json() == {
            "at": "2026-03-01T10:01:30Z",
            "total": 0,
            "incidents": [],
        }
        decision = (await client.get("/decisions?guard=checkout&limit=1")).json()["decisions"][0]
        assert decision["reason"] == "breach"
        assert decision["evidence"][0]["series"] == {"code": "500"}


async def test_an_incident_comes_with_its_story_and_its_records():
    body = (await get(f"/api/v1/incidents/{ID}")).json()
    assert body["incident"]["phase"] == "verifying"
    assert body["story"][0]["text"] == "The first breach: CheckoutErrorRate."
    assert body["story"][-1]["text"] == "Not over yet: the effect is being watched."
    assert [record["kind"] for record in body["records"]] == [
        "incident_opened",
        "decided",
        "intended",
        "concluded",
        "watched",
    ]


async def test_an_answer_with_excused_series_is_as_the_document_says():
    series = (("code", "500"), ("pod", "a"))
    excused = (("checkout/CheckoutErrorRate", series), ("checkout/Other", ()))
    at = snapshots.NOW
    told = (
        *RECOVERED,
        IncidentEnded(
            incident=ID,
            guard="checkout",
            at=at,
            decision=Decision.RECOVERED,
            reason=Reason.VERIFIED,
            excused=excused,
        ),
        RolloutStarted(rollout="r", guard="checkout", at=at, until=at, by="ci", excused=excused),
    )
    daemon = Daemon()

    async def records(incident):
        return told

    daemon.records = records
    body = (await get(f"/api/v1/incidents/{ID}", daemon)).json()
    assert [each["excused"] for each in body["records"][-2:]] == [
        [["checkout/CheckoutErrorRate", {"code": "500", "pod": "a"}], ["checkout/Other", {}]]
    ] * 2
    shape = {"$ref": "#/components/schemas/IncidentView", "components": DOCUMENT["components"]}
    Draft202012Validator(shape).validate(body)
    body["records"][-1]["excused"][0].append("more")
    assert not Draft202012Validator(shape).is_valid(body)


async def test_an_unknown_incident_is_told_with_those_that_are_near():
    answer = await get(f"/api/v1/incidents/{ID[:-1]}X")
    assert answer.status_code == 404
    assert answer.json()["near"] == [ID]


async def test_metrics_are_passed_on_as_they_are():
    answer = await get("/metrics")
    assert answer.content == b"up 1\n"
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


async def test_health_follows_the_evaluation_loop_and_readiness_the_first_evaluation():
    daemon = Daemon()
    assert (await get("/-/healthy", daemon)).json()["ok"] is True
    assert (await get("/-/ready", daemon)).json()["ok"] is True
    daemon.is_alive = False
    daemon.picture = snapshots.snapshot(ready=False)
    for path in ("/-/healthy", "/-/ready"):
        answer = await get(path, daemon)
        assert answer.status_code == 503
        assert answer.json()["ok"] is False


async def test_a_reload_answers_with_its_result():
    daemon = Daemon()
    answer = await call("POST", "/-/reload", daemon)
    assert answer.status_code == 200
    assert answer.json()["successful"] is True
    assert daemon.reloads == 1


@pytest.mark.promise(17)
async def test_a_refused_configuration_is_answered_with_every_problem():
    daemon = Daemon()
    daemon.problems = ("rules/a.yaml:3:5: error: unknown key", "rules/b.yaml:1:1: error: empty")
    answer = await call("POST", "/-/reload", daemon)
    assert answer.status_code == 400
    assert answer.json()["successful"] is False
    assert answer.json()["problems"] == list(daemon.problems)
    shape = DOCUMENT["paths"]["/-/reload"]["post"]["responses"]["400"]["content"]["application/json"]["schema"]
    conforms(answer.json(), shape, DOCUMENT["components"]["schemas"])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/metrics/", 404),
        ("GET", "/api/v1/incidents/", 404),
        ("GET", "/api/v1/incidents/a/b", 404),
        ("POST", "/api/v1/status", 405),
        ("GET", "/-/reload", 405),
        ("DELETE", "/", 405),
        ("BREW", "/", 405),
    ],
)
async def test_what_no_route_answers_is_refused_as_json(method, path, status):
    daemon = Daemon()
    answer = await call(method, path, daemon)
    assert answer.status_code == status
    assert answer.json()["error"]
    assert daemon.reloads == 0
    if status == 405:
        assert answer.headers["allow"]


async def test_an_error_inside_is_answered_without_its_words():
    daemon = Daemon()
    daemon.metrics = None
    answer = await get("/metrics", daemon)
    assert answer.status_code == 500
    assert answer.json() == {"error": "internal error; the log says more", "near": []}
    assert daemon.served_requests == [("/metrics", "GET", 500)]


async def test_requests_are_counted_by_route_and_never_by_path():
    daemon = Daemon()
    await get(f"/api/v1/incidents/{ID}", daemon)
    await get("/some/path", daemon)
    await call("BREW", "/", daemon)
    assert daemon.served_requests == [
        ("/api/v1/incidents/{id}", "GET", 200),
        ("unmatched", "GET", 404),
        ("/", "other", 405),
    ]


async def test_the_page_shows_everything_and_escapes_it():
    hostile = "<script>alert(1)</script>"
    rules = (
        snapshots.rule(hostile, detail='"><img src=x onerror=alert(1)>', severity=Severity.WARNING),
        snapshots.FIRING,
    )
    daemon = Daemon(rules=rules, reload=replace(Daemon().picture.reload, successful=False, problems=(hostile,)))
    answer = await get("/", daemon)
    text = answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<script" not in text
    assert "<img" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    for word in ("CheckoutErrorRate", "0.01824", "&gt; 0.01", "payment", "verifying", f'href="/api/v1/incidents/{ID}"'):
        assert word in text, word


async def test_the_page_says_what_people_have_to_know_and_which_command_answers_it():
    daemon = Daemon()
    daemon.picture = snapshots.hard_day()
    text = (await get("/", daemon)).text
    told = html.unescape(re.sub(r"<[^>]+>", "", text))
    remarks = [*daemon.picture.remarks, *(each for guard in daemon.picture.guards for each in guard.remarks)]
    assert {remark.matter for remark in remarks} >= {
        Matter.JOURNAL,
        Matter.PAUSED,
        Matter.STORM,
        Matter.BLIND,
        Matter.MAINTENANCE,
        Matter.OUTBOX,
        Matter.WAITING,
        Matter.ROLLOUT,
        Matter.NOT_ARMED,
        Matter.EXCUSED,
        Matter.SIGNAL,
    }
    for remark in remarks:
        assert remark.text in told
        for command in remark.commands:
            assert f"<code>{html.escape(command.text)}</code>" in text
    assert "<party>" not in text
    assert "Step 2, rollback-checkout, waits another 8m, until 10:09:30 UTC" in told
    assert "rollback-guard veto checkout --reason …" in told
    assert "no: paused" in told


async def test_the_page_changes_nothing_and_asks_nobody():
    daemon = Daemon()
    daemon.picture = snapshots.hard_day()
    text = (await get("/", daemon)).text
    for word in ("<form", "<button", "<input", "<script", "<img", " src=", " onclick"):
        assert word not in text


def test_the_style_reaches_browsers_as_it_was_hashed():
    assert html.escape(STYLE) == STYLE  # the page escapes all that is put into it, and one sign more than that hides it


async def test_what_people_have_to_know_is_told_by_the_api_too():
    daemon = Daemon()
    daemon.picture = snapshots.hard_day()
    status = (await get("/api/v1/status", daemon)).json()
    assert [remark["matter"] for remark in status["remarks"]][:3] == ["journal", "paused", "storm"]
    assert status["paused"]["by"] == "alice"
    assert status["maintenance"][0]["name"] == "night"
    assert (status["guards_waiting"], status["guards_paused"], status["fleet_actions_left"]) == (1, 3, 3)
    assert status["journal"]["head_seq"] == 812
    assert status["outbox"] == [{"channel": "oncall", "letters": 3, "oldest": "2026-03-01T09:52:30Z"}]
    (first, *_) = (await get("/api/v1/guards", daemon)).json()["guards"]
    assert (first["name"], first["waiting"]["what"], first["rollout"]["previous_version"]) == (
        "checkout",
        "approval",
        "41",
    )
    assert first["remarks"][0]["commands"][0] == {
        "text": "rollback-guard approve checkout",
        "effect": "runs it at once",
    }


async def test_the_page_shows_the_worst_of_very_many_rules():
    many = tuple(snapshots.rule(f"Rule{index}") for index in range(1000))
    text = (await get("/", Daemon(rules=(*many, snapshots.FIRING)))).text
    assert "(200 of 1001)" in text
    assert "CheckoutErrorRate" in text


def test_numbers_that_json_does_not_know_are_words():
    view = snapshots.rule(value=math.nan, threshold=math.inf, margin=-math.inf)
    body = json.loads(to_json(view), parse_constant=pytest.fail)
    assert (body["value"], body["threshold"], body["margin"]) == ("NaN", "+Inf", "-Inf")


def test_spans_are_seconds_and_their_names_say_so():
    view = snapshots.rule(hold=timedelta(milliseconds=1500))
    assert plain(view)["hold_s"] == 1.5
    assert [member.key for member in members(type(view)) if member.name == "hold"] == ["hold_s"]


def test_half_a_surrogate_pair_breaks_nothing():
    assert b"\\ud800" in to_json(snapshots.rule(detail="\ud800"))


def test_everything_that_is_shown_and_recorded_has_a_form_in_json():
    known = {}
    schema(Snapshot, known)
    schema(Record, known)
    assert {"Snapshot", "RuleView", "Evaluated", "IncidentOpened", "Reason"} <= known.keys()
    for picture in (snapshots.snapshot(), snapshots.hard_day()):
        conforms(json.loads(to_json(picture)), known["Snapshot"], known)
