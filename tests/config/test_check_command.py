"""`rollback-guard check` and `rollback-guard schema`, as people and scripts call them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from rollback_guard.cli import main

ROOT = Path(__file__).parents[2]
CASES = Path(__file__).parent / "cases"


def call(*words, cwd=ROOT):
    return subprocess.run(
        [sys.executable, "-m", "rollback_guard.cli", *words], cwd=cwd, capture_output=True, text=True, timeout=60
    )


def test_the_repositorys_own_files_are_fine():
    ran = call("check")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert ran.stderr.endswith(": fine\n")
    assert "rules, 1 guard in 2 files" in ran.stderr


def test_an_error_ends_with_4_and_is_shown_on_stdout():
    ran = call("check", "duration-unit.yaml", "wrong-type.yaml", cwd=CASES)
    assert ran.returncode == 4
    assert ran.stdout == (CASES / "duration-unit.txt").read_text() + (CASES / "wrong-type.txt").read_text()
    assert ran.stderr == "2 errors in 2 files; more is checked once these are mended\n"


def test_where_everything_was_checked_no_more_is_promised():
    ran = call("check", "within-too-short.yaml", cwd=CASES)
    assert ran.returncode == 4
    assert ran.stderr == "1 error in 1 file\n"


def test_a_warning_alone_is_fine():
    ran = call("check", "selects-no-critical.yaml", cwd=CASES)
    assert ran.returncode == 0
    assert "warning: " in ran.stdout
    assert ran.stderr == "1 rule, 1 guard in 1 file: 1 warning\n"


def test_without_a_guard_toml_the_reason_is_said(tmp_path):
    ran = call("check", cwd=tmp_path)
    assert ran.returncode == 4
    assert "guard.toml:1:1: error: this does not exist (unreadable-file)" in ran.stdout


def test_a_wrong_option_is_a_matter_of_usage():
    assert call("check", "--outptu", "json").returncode == 2


def test_json_holds_all_that_the_text_holds():
    ran = call("check", "--output", "json", "duration-unit.yaml", cwd=CASES)
    assert ran.returncode == 4
    found = json.loads(ran.stdout)
    assert found["schema_version"] == 1
    assert found["valid"] is False
    assert found["problems"] == [
        {
            "path": "duration-unit.yaml",
            "line": 7,
            "column": 14,
            "severity": "error",
            "id": "duration-unit",
            "message": "the duration 5 has no unit",
            "hint": "Write `5s` for seconds.",
            "also": [],
        }
    ]


PRODUCTION = """\
[guard]
rules = ["rules.yaml"]
[prometheus]
url = "http://127.0.0.1:9090"
bearer_token_file = "/run/secrets/of-production-only/token"
[actions.back]
type = "exec"
command = ["./back.sh"]
idempotent = true
"""
RULES = """\
groups:
- name: shop
  rules:
  - {alert: Failed, expr: "failed_total > 5", labels: {service: shop, severity: critical}}
guards:
- guard: shop
  select: {service: shop}
  playbook: [{action: back, verify: {within: 2m}}]
"""


def invoke(*words, cwd):
    with contextlib.chdir(cwd):
        return CliRunner().invoke(main, [*words])


def ids_of(ran):
    return {problem["id"] for problem in json.loads(ran.stdout)["problems"]}


def test_a_file_that_only_production_has_is_passed_over_where_that_is_said_and_nowhere_else(tmp_path):
    (tmp_path / "guard.toml").write_text(PRODUCTION)
    (tmp_path / "rules.yaml").write_text(RULES)
    told = {"missing-file", "missing-program", "raw-counter"}
    assert ids_of(invoke("check", "--output", "json", cwd=tmp_path)) >= told
    ran = invoke("check", "--output", "json", "--ignore", "missing-file", cwd=tmp_path)
    assert ids_of(ran) & told == {"missing-program", "raw-counter"}
    (tmp_path / "back.sh").touch(mode=0o755)
    words = ("check", "--strict", "--ignore", "missing-file")
    assert invoke(*words, "--ignore", "raw-counter", cwd=tmp_path).exit_code == 0
    ran = invoke(*words, cwd=tmp_path)
    assert (ran.exit_code, "(raw-counter)" in ran.stdout) == (1, True)


def test_what_is_passed_over_is_not_counted(tmp_path):
    (tmp_path / "rules.yaml").write_text(RULES.partition("guards:")[0])
    ran = invoke("check", "rules.yaml", "--ignore", "raw-counter", cwd=tmp_path)
    assert (ran.stdout, ran.stderr) == ("", "1 rule, 0 guards in 1 file: fine\n")


@pytest.mark.parametrize(
    ("id_", "words"),
    [
        ("mising-file", "there is no check `mising-file`. Did you mean `missing-file`?"),
        *(
            (id_, f"`{id_}` cannot be switched off")
            for id_ in ("promql-syntax", "online-syntax", "bad-ignore", "unknown-ignore", "unused-ignore")
        ),
        ("", "there is no check ``. docs/checks/README.md lists them"),
    ],
)
def test_what_cannot_be_passed_over_is_a_matter_of_usage(id_, words, tmp_path):
    ran = invoke("check", "--ignore", id_, "rules.yaml", cwd=tmp_path)
    assert ran.exit_code == 2
    assert words in ran.stderr


@pytest.mark.parametrize("which", ["rules", "guard"])
def test_the_schema_is_draft_7_and_refers_only_to_itself(which):
    ran = call("schema", which)
    assert ran.returncode == 0
    schema = json.loads(ran.stdout)
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    text = json.dumps(schema)
    assert "$defs" not in text
    assert "prefixItems" not in text
    for reference in references(schema):
        assert reference.removeprefix("#/definitions/") in schema["definitions"]


def references(value):
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from references(item)


def test_every_key_of_the_schemas_has_a_description():
    for which in ("rules", "guard"):
        schema = json.loads(call("schema", which).stdout)
        for name, section in {"": schema, **schema["definitions"]}.items():
            for key, value in section.get("properties", {}).items():
                described = "description" in value or "allOf" in value or "$ref" in value
                assert described, f"{which}: {name}.{key}"


def test_the_commands_help_needs_no_pydantic():
    script = (
        "import sys\nfrom click.testing import CliRunner\nfrom rollback_guard.cli import main\n"
        "for verb in ('check', 'schema'):\n    assert CliRunner().invoke(main, [verb, '--help']).exit_code == 0\n"
        "assert 'pydantic' not in sys.modules and 'httpx' not in sys.modules\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
