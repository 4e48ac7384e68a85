"""Write what a backtest found as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def as_json(data: Mapping[str, Any]) -> str:
    """Return one line of JSON; values that it has no form for are texts, as in Prometheus' own answers: ``"+Inf"``.

    On one line, for it has some thousand points of a chart for each rule: programs do not mind, and people use jq.
    """
    try:
        return json.dumps(data, allow_nan=False)
    except ValueError:
        return json.dumps(_spelled(data), allow_nan=False)


def _spelled(value: Any) -> Any:
    match value:
        case dict():
            return {key: _spelled(each) for key, each in value.items()}
        case list():
            return [_spelled(each) for each in value]
        case float() if math.isnan(value):
            return "NaN"
        case float() if math.isinf(value):
            return "+Inf" if value > 0 else "-Inf"
        case _:
            return value
