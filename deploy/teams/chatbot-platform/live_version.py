#!/usr/bin/env python3
"""Send all traffic to the colour of a version, or say whether it goes there.

    live_version.py --to VERSION       exit code 0: done, 1: not done, 75: try again
    live_version.py --is VERSION       exit code 0: it is live, 1: another one is, 3: cannot tell

DEPLOY_URL is the deployment, DEPLOY_TOKEN who asks. It names a goal ("v1 is live") and no step ("switch"): to run it
twice does no harm. An empty VERSION is refused, for nobody said what to go back to.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from typing import Any

DONE, NOT_DONE, USAGE, CANNOT_TELL, TRY_AGAIN = 0, 1, 2, 3, 75
PASSING = frozenset({408, 425, 429, 503})
"""Answers of a server that did nothing and may do it later."""
TIMEOUT_S = 20


def ask(path: str, body: dict[str, str] | None = None) -> Any:
    """Return what the deployment system answers."""
    headers = {
        "Authorization": f"Bearer {os.environ.get('DEPLOY_TOKEN', '')}",
        "Content-Type": "application/json",
        "Idempotency-Key": os.environ.get("ROLLBACK_GUARD_KEY", ""),
    }
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(os.environ["DEPLOY_URL"] + path, data, headers)  # noqa: S310  the team's own URL
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
        return json.load(answer)


def switch_to(version: str) -> int:
    """Make a version live."""
    if not version:
        print("nobody said which version to go back to: no rollout is under way", file=sys.stderr)
        return NOT_DONE
    try:
        live = ask("/rollback", {"to": version})["version"]
    except urllib.error.HTTPError as error:
        print(f"HTTP {error.code}", file=sys.stderr)
        return TRY_AGAIN if error.code in PASSING else NOT_DONE
    print(f"{live} is live")
    return DONE if live == version else NOT_DONE


def is_live(version: str) -> int:
    """Say whether a version is live."""
    try:
        live = ask("")["version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"cannot tell: {error}", file=sys.stderr)
        return CANNOT_TELL
    print(f"{live} is live")
    return DONE if live == version else NOT_DONE


def main() -> int:
    """Do what was asked."""
    match sys.argv[1:]:
        case ["--to", version]:
            return switch_to(version)
        case ["--is", version]:
            return is_live(version)
    print("usage: live_version.py --to VERSION | --is VERSION", file=sys.stderr)
    return USAGE


if __name__ == "__main__":
    sys.exit(main())
