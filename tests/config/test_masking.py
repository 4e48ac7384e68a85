"""No secret gets out of a file through a problem, whatever is wrong with it."""

from __future__ import annotations

import pytest

from rollback_guard.config.load import load
from rollback_guard.config.masking import holds_secret, mask, mask_unparsed

CANARY = "c4n4ry-7f3a9b"

GUARD = f"""[guard]
rules = []

[prometheus]
url = "http://guard:{CANARY}@prom:9090"
timeout = 5
bearer_token = "{CANARY}"
headers = {{ Authorization = "Bearer {CANARY}", X-Other = "{CANARY}", X-Number = 12345678 }}

[prometheus.basic_auth]
username = "guard"
password = "{CANARY}"

[actions.off]
type = "http"
url = "http://guard:{CANARY}@flags/x"
api_key = "{CANARY}"
retries = 1
json_ = {{ password = "{CANARY}" }}

[actions.off.headers]
X-Odd = ["{CANARY}"]
X-Long = \"\"\"
{CANARY}
\"\"\"
"""
RULES = f"""probes:
  - probe: a
    url: https://guard:{CANARY}@shop/
    headers:
      X-Auth: [{CANARY}]
      X-Api-Key: {CANARY}
      X-Text: |
        {CANARY}
        {CANARY}
      "X Y": {CANARY}
    expect: 5
  - probe: a
    url: shop
    hedaers: {{Cookie: {CANARY}}}
    password: {CANARY}
"""
BROKEN = {
    "unclosed quote": 'prometheus:\n  headers:\n    X-Odd: "%s\n',
    "unclosed list": "headers: {X-Odd: %s\n",
    "tab": "token:\n\t- %s\n",
    "duplicate": "headers:\n  a: %s\n  a: %s\n",
    "alias": "headers:\n  a: &a %s\n  b: *a\n",
    "control": "headers:\n  a: %s\x07\n",
}
BROKEN_TOML = {
    "unclosed text": '[prometheus]\nheaders = { X-Odd = "%s }\n',
    "section": "[prometheus.headers]\nX-Odd = %s\n",
    "twice": '[prometheus.headers]\nX-Odd = "%s"\nX-Odd = "%s"\n',
    "bare": "password = %s\n",
    "text over lines": 'password = """\n%s\n',
    "channel": '[notify.oncall]\nurl = "slack://%s"\nurl = "slack://%s"\n',
    "channel in a line": 'notify = { oncall = { url = "slack://%s }\n',
    "dead man": '[dead_man]\nurl = "https://ping/%s\n',
}
ADDRESSES = f"""[guard]
rules = ["rules.yaml"]

[notify.oncall]
url = "slack://{CANARY}"

[notify.lead]
url = "{CANARY}"

[notify.team]
type = "webhook"
url = "ftp://hooks/{CANARY}"

[dead_man]
url = "//ping/{CANARY}"
every = 5
"""


def said(path, text, action_types):
    path.write_text(text)
    loaded = load([path], action_types=action_types)
    assert loaded.problems
    return "\n".join(f"{problem.render()}\n{problem!r}" for problem in loaded.problems)


@pytest.mark.promise(36)
def test_no_secret_of_guard_toml_is_shown(tmp_path, action_types):
    text = said(tmp_path / "guard.toml", GUARD, action_types)
    assert text.count("(secret-in-url)") == 1
    assert "(literal-secret)" not in text  # the schema refused the file before
    assert "unknown key `bearer_token`" in text
    assert CANARY not in text
    assert "12345678" not in text


@pytest.mark.promise(36)
def test_no_address_of_a_channel_is_shown(tmp_path, action_types):
    text = said(tmp_path / "guard.toml", ADDRESSES, action_types)
    assert text.count("(bad-url)") == 3
    assert text.count("(secret-in-url)") == 1
    assert CANARY not in text


@pytest.mark.promise(36)
def test_no_secret_of_a_rule_file_is_shown(tmp_path, action_types):
    text = said(tmp_path / "rules.yaml", RULES, action_types)
    assert "unknown key `password`" in text
    assert "cannot be a header's name" in text
    assert CANARY not in text


@pytest.mark.promise(36)
@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_no_secret_of_a_broken_rule_file_is_shown(text, tmp_path, action_types):
    assert CANARY not in said(tmp_path / "rules.yaml", text.replace("%s", CANARY), action_types)


@pytest.mark.promise(36)
@pytest.mark.parametrize("text", BROKEN_TOML.values(), ids=BROKEN_TOML)
def test_no_secret_of_a_broken_guard_toml_is_shown(text, tmp_path, action_types):
    assert CANARY not in said(tmp_path / "guard.toml", text.replace("%s", CANARY), action_types)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("name = 'checkout'", "name = 'checkout'"),
        ("ca_file = 'ca.pem'", "ca_file = 'ca.pem'"),
        ("bearer_token_file = 'token'", "bearer_token_file = 'token'"),
        ("api_key = 'abc'", "api_key = <secret>"),
        ("url: http://u:p@host/path", "url: http://<secret>@host/path"),
        ("expr: sum(rate(tokens_total[1m])) > 1", "expr: sum(rate(tokens_total[1m])) > 1"),
    ],
)
def test_only_secrets_are_masked(line, expected):
    assert mask(line) == expected


def test_below_the_name_of_a_secret_every_value_of_a_broken_file_is_masked():
    assert mask_unparsed("  X-Odd: abc", ["headers:"]) == "  X-Odd: <secret>"
    assert mask_unparsed("  abc", ["password: |"]) == "<secret>"
    assert mask_unparsed("name: abc", ["groups:"]) == "name: abc"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("prometheus", "headers", "X-Odd"), True),
        (("prometheus", "headers"), False),
        (("actions", "a", "json", "password"), True),
        (("prometheus", "bearer_token_file"), False),
        (("groups", 0, "name"), False),
        (("notify", "oncall", "url"), True),
        (("notify", "oncall", "url_file"), False),
        (("dead_man", "url"), True),
        (("prometheus", "url"), False),
    ],
)
def test_a_path_tells_whether_its_value_may_be_secret(path, expected):
    assert holds_secret(path) is expected
