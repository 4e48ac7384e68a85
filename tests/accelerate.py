"""A team's rule file and guard.toml, changed so that minutes pass within seconds and all addresses lead to a test."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import yaml

from rollback_guard.core.units import format_duration, parse_duration

SECOND = timedelta(seconds=1)

LEAST_INTERVAL = SECOND
"""What Prometheus scrapes at in these tests."""

LEAST_RANGE = 3 * SECOND
"""Three scrapes: `rate` needs two, and one may be late."""

THRESHOLDS = frozenset({"latency_below", "tls_valid_for"})
"""Durations that say how good something has to be, not how long it takes."""

TOLERANCES = frozenset({"timeout", "max_age"})
"""How slow the machine may be; it is no faster than elsewhere."""

PERIODS = frozenset({"interval", "for", "keep_firing_for", "stable_for"})
"""What is worth nothing below the interval of the groups."""

SPANS = PERIODS | {"within", "veto", "approve", "window", "warm_up", "after", "per", "cooldown", "query_offset"}

DURATION = r"(?:[0-9]+(?:ms|[ywdhms]))+"
RANGE = re.compile(rf"\[({DURATION})(:)?({DURATION})?\]")
OFFSET = re.compile(rf"\boffset\s+(-?)({DURATION})")

CREDENTIALS = ("bearer_token_file", "basic_auth", "ca_file", "cert_file", "key_file", "headers", "trust_env")


class Operated(Protocol):
    """The simulated service, as far as files lead to it."""

    @property
    def url(self) -> str: ...
    @property
    def control_url(self) -> str: ...


def accelerated(
    text: str,
    *,
    by: float,
    offset: str | Mapping[str, str] = "10s",
    replace: Mapping[str, str] | None = None,
    longest_range: str = "",
) -> str:
    """Return a rule file in which time passes faster: every duration is divided.

    Intervals become a second at least, ranges three seconds; `for`, `keep_firing_for` and `stable_for` a second, where
    they are not zero. `within` grows by what these bounds add, so that what `check` accepted it accepts still. A step's
    or probe's `timeout` and `max_age` stay (a probe's becomes no longer than its interval), and so does what is a
    threshold and no span: `latency_below`, `tls_valid_for`, numbers in expressions. So a rule on `increase(x[10m])`
    needs a counter that is faster by the same factor, or a `rate`.

    Args:
        text: The file as the team wrote it.
        by: What durations are divided by: with 60 minutes become seconds.
        offset: What `offset …` in an expression becomes, for a day ago divided by anything sensible is before the test
            began: one duration for all, or one for each that is used. A test first lets the service run for so long, and
            a rule's `for` must be shorter. `"keep"` leaves them as they are.
        replace: Texts to put in place of others, such as the team's addresses; also before `tls_valid_for` is looked at,
            which is dropped where no https is left.
        longest_range: Ranges above this become this: burn rates look back over days.
    """
    for old, new in (replace or {}).items():
        assert old in text, f"{old} is not in the file"
        text = text.replace(old, new)
    rules = yaml.safe_load(text)
    ranges = [parse_duration(found[1]) for found in RANGE.finditer(text)]
    intervals = [each.get("interval", "15s") for each in (*rules.get("groups", ()), *rules.get("probes", ()))]
    nested = 2 if any(found[2] for found in RANGE.finditer(text)) else 1
    distortion = (
        nested * max(timedelta(0), LEAST_RANGE - min(ranges, default=LEAST_RANGE) / by)
        + 2 * max(timedelta(0), LEAST_INTERVAL - min(map(parse_duration, intervals), default=LEAST_INTERVAL) / by)
        + (LEAST_INTERVAL if by > 1 else timedelta(0))
    )
    faster = _Faster(by=by, distortion=distortion, offset=offset, longest=longest_range)
    for probe in rules.get("probes", ()):
        if not probe["url"].startswith("https:"):
            probe.get("expect", {}).pop("tls_valid_for", None)
    return json.dumps(faster.walk(rules), indent=1)  # JSON is YAML


class _Faster:
    def __init__(self, *, by: float, distortion: timedelta, offset: str | Mapping[str, str], longest: str) -> None:
        self._by = by
        self._distortion = distortion
        self._offset = offset
        self._longest = parse_duration(longest) if longest else None

    def walk(self, value: Any, key: str = "") -> Any:
        match value:
            case dict():
                walked = {name: self.walk(each, name) for name, each in value.items()}
                return _bounded_by_interval(walked) if "probe" in value else walked
            case list():
                return [self.walk(each, key) for each in value]
            case str() if key in SPANS:
                return format_duration(self._span(parse_duration(value), key))
            case str() if key in {"expr", "when"}:
                return OFFSET.sub(self._ago, RANGE.sub(self._range, value))
        return value

    def _span(self, span: timedelta, key: str) -> timedelta:
        if not span:
            return span
        if key == "within":
            return span / self._by + self._distortion
        return max(span / self._by, LEAST_INTERVAL if key in PERIODS else timedelta(milliseconds=1))

    def _range(self, found: re.Match[str]) -> str:
        span = max(parse_duration(found[1]) / self._by, LEAST_RANGE)
        span = min(span, self._longest) if self._longest else span
        step = f":{format_duration(LEAST_INTERVAL)}" if found[2] else ""
        return f"[{format_duration(span)}{step}]"

    def _ago(self, found: re.Match[str]) -> str:
        if self._offset == "keep":
            return found[0]
        ago = self._offset if isinstance(self._offset, str) else self._offset[found[2]]
        return f"offset {found[1]}{ago}"


def _bounded_by_interval(probe: dict[str, Any]) -> dict[str, Any]:
    interval = parse_duration(probe.get("interval", "1s"))
    timeout = parse_duration(probe.get("timeout", "5s"))
    return {**probe, "interval": format_duration(interval), "timeout": format_duration(min(timeout, interval))}


def guard_toml(
    text: str,
    *,
    service: Operated,
    prometheus: str,
    port: int = 0,
    replace: Mapping[str, str] | None = None,
    rules: Sequence[str] = ("rules/*.yaml",),
    secrets: Path | None = None,
    extra: str = "",
) -> str:
    """Return a team's guard.toml that leads to the simulated service and a Prometheus, and to nothing else.

    Every data source is that Prometheus, without credentials. Every channel is a webhook of the simulated service, whose
    `notices` shows what it was sent. Actions keep all they are: their hosts are replaced.

    Args:
        text: The file as the team wrote it.
        service: Takes the notices.
        prometheus: Its URL.
        port: Where the daemon listens; `Daemon` sets its own in place of 0.
        replace: Texts in actions to put in place of others: `{"https://flags.internal": service.control_url}`.
        rules: Where the rule files will be, from guard.toml.
        secrets: A folder in which a file is made for each `${file:…}` that an action names, holding `secret-NAME`.
        extra: TOML to add at the end, tables that the text does not have.
    """
    for old, new in (replace or {}).items():
        assert old in text, f"{old} is not in guard.toml"
        text = text.replace(old, new)
    if secrets is not None:
        text = re.sub(r"\$\{file:([^}]+)\}", lambda found: f"${{file:{_secret(secrets, found[1])}}}", text)
    data = tomllib.loads(text)
    data["guard"] |= {"rules": list(rules), "state": "guard.db", "stop_timeout": "2s"}
    data["server"] = {"listen": f"127.0.0.1:{port}"}
    for source in (data.setdefault("prometheus", {}), *data.get("datasources", {}).values()):
        source["url"] = prometheus
        for key in CREDENTIALS:
            source.pop(key, None)
    kept = ("title", "body", "kinds")
    data["notify"] = {
        name: {"type": "webhook", "url": f"{service.control_url}/notify/{name}", "max_per_hour": 1000}
        | {key: channel[key] for key in kept if key in channel}
        for name, channel in data.get("notify", {}).items()
    }
    for section in ("dead_man", "log", "network"):
        data.pop(section, None)
    return toml(data) + extra


def _secret(folder: Path, named: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / Path(named).name
    path.write_text(f"secret-{path.name}\n")
    return path


def toml(data: Mapping[str, Any]) -> str:
    """Return a document as TOML."""
    return "\n".join(_lines(data)) + "\n"


def _lines(data: Mapping[str, Any], above: str = "") -> list[str]:
    """Write TOML: plain keys of a table before the tables below it."""
    tables = {key: value for key, value in data.items() if isinstance(value, dict)}
    lists = {
        key: value for key, value in data.items() if isinstance(value, list) and value and isinstance(value[0], dict)
    }
    lines = [f"{json.dumps(key)} = {_value(data[key])}" for key in data if key not in tables and key not in lists]
    for key, table in tables.items():
        lines += [f"[{above}{json.dumps(key)}]", *_lines(table, f"{above}{json.dumps(key)}.")]
    for key, many in lists.items():
        for table in many:
            lines += [f"[[{above}{json.dumps(key)}]]", *_lines(table, f"{above}{json.dumps(key)}.")]
    return lines


def _value(value: Any) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{json.dumps(key)} = {_value(each)}" for key, each in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_value, value)) + "]"
        case str() | bool() | int() | float():
            return json.dumps(value, ensure_ascii=False)
    raise TypeError(f"no TOML for {value!r}")
