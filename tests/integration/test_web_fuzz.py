"""Whatever is sent to the API: no internal error, an answer as the document says, and no change but where it says 200."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from rollback_guard.adapters.clock import SystemClock
from rollback_guard.adapters.web import TokenFile
from rollback_guard.adapters.web.app import OPENAPI
from rollback_guard.core.operations import Refusal, Refused
from rollback_guard.core.orders import Paused
from served import Daemon, serving_apart

SEED = 20260301

EXAMPLES = 30
"""Of each operation and each kind: all of them together take some twenty seconds."""

TOKEN = "fuzzer-" + "f" * 30

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]

NOT_LET_IN = (401, 415, 429)

DONE = (Paused(guard=None, at=datetime(2026, 3, 1, tzinfo=UTC), by="fuzzer", why="because"),)


class Everyone(dict):
    """Guards that take every alert."""

    def get(self, name, default=None):
        return ("checkout",)


class Whimsical(Daemon):
    """Does what it is asked, or refuses it for one reason after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.takers = Everyone()
        self.outcomes = [DONE, *(Refused(refusal=each, detail="no", near=("a",)) for each in Refusal)]

    async def operate(self, operation):
        self.outcome = self.outcomes[len(self.asked) % len(self.outcomes)]
        return await super().operate(operation)


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[tuple[Whimsical, str]]:
    daemon = Whimsical()
    path = tmp_path_factory.mktemp("tokens") / "tokens.toml"
    path.write_text(f'[[token]]\nname = "fuzzer"\nscopes = ["admin"]\ntoken = "{TOKEN}"\n')
    path.chmod(0o600)
    with serving_apart(daemon, tokens=TokenFile(path, SystemClock())) as url:
        yield daemon, url


def changing(url: str) -> dict[str, schemathesis.APIOperation]:
    schema = schemathesis.openapi.from_url(url + OPENAPI)
    operations = [each.ok() for each in schema.get_all_operations()]
    return {each.path: each for each in operations if each.method == "post" and each.body}


def body_of(operation: schemathesis.APIOperation) -> Draft202012Validator:
    document = operation.schema.raw_schema
    (reference,) = document["paths"][operation.path]["post"]["requestBody"]["content"]["application/json"][
        "schema"
    ].values()
    return Draft202012Validator({"$ref": reference, "components": document["components"]})


def test_whatever_is_asked_for_is_done_or_refused_as_the_document_says(served):
    daemon, url = served
    with requests.Session() as session:
        session.trust_env = False
        found = changing(url)
        assert len(found) == 11
        for operation in found.values():
            reached = [fuzz(operation, mode, daemon, session) for mode in GenerationMode]
            assert reached[0], f"nothing that {operation.label} describes is done"


def fuzz(
    operation: schemathesis.APIOperation, mode: GenerationMode, daemon: Whimsical, session: requests.Session
) -> int:
    """Send many requests of one kind, each without and with a token; return how many of them reached the core."""
    reached, described = 0, body_of(operation)

    @seed(SEED)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: schemathesis.Case) -> None:
        nonlocal reached
        before = len(daemon.asked)
        bare = case.call(session=session, headers={"Authorization": ""})
        assert bare.status_code in NOT_LET_IN
        assert len(daemon.asked) == before
        answer = case.call(session=session, headers={"Authorization": f"Bearer {TOKEN}"})
        case.validate_response(answer, checks=CHECKS)
        came = len(daemon.asked) - before
        if came:
            assert answer.status_code == 200 or "refusal" in answer.json()
            described.validate(case.body)
        reached += came

    send()
    return reached


ALMOST = st.sampled_from(
    [
        b'{"guard": "a", "reason": "b"}',
        b'{"guard": "a", "for": "5m", "incident": "b"}',
        b'{"version": "4", "alerts": [{"status": "firing", "labels": {"alertname": "A"}, "startsAt": "2026-03-01T10:00:00Z"}]}',
    ]
)
"""What is close to a body, to be spoilt."""


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """Return a body with some bytes in the middle of it replaced by others."""
    body = draw(ALMOST)
    begin = draw(st.integers(0, len(body)))
    end = min(len(body), begin + draw(st.integers(0, 8)))
    return body[:begin] + draw(st.binary(max_size=8) | st.sampled_from(SPITE)) + body[end:]


SPITE = [
    b"\\ud800",
    b"NaN",
    b"1e999",
    b"-0",
    b"9" * 5000,
    b"[" * 2000,
    b'{"a":' * 2000,
    b"\x00",
    b"\xff",
    b"null",
    b"\\u0000",
]


def test_bytes_that_mean_nothing_are_refused_and_never_break_anything(served):
    daemon, url = served
    with requests.Session() as session:
        session.trust_env = False
        session.headers.update({"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"})

        @seed(SEED)
        @settings(max_examples=20 * EXAMPLES, deadline=None, database=None, phases=[Phase.generate])
        @given(path=st.sampled_from([*changing(url), "/-/reload"]), body=spoilt() | st.binary(max_size=200))
        def send(path: str, body: bytes) -> None:
            before = len(daemon.asked)
            answer = session.post(url + path, data=body, timeout=30)
            assert answer.status_code != 500
            assert answer.json()
            if len(daemon.asked) > before:
                assert answer.status_code == 200 or "refusal" in answer.json()
                json.loads(body)

        send()


def test_reading_answers_as_the_document_says_whatever_is_asked(served, tmp_path):
    daemon, url = served
    before = len(daemon.asked), daemon.reloads
    ran = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"),
            "run",
            url + OPENAPI,
            "--include-method=GET",
            f"--seed={SEED}",
            "--generation-deterministic",
            "--max-examples=10",
            "--phases=coverage,fuzzing",
            "--exclude-checks=unsupported_method,positive_data_acceptance",
            "--no-color",
        ],
        cwd=tmp_path,  # where it leaves its traces
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr
    assert (len(daemon.asked), daemon.reloads) == before
