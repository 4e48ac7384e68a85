#!/usr/bin/env python3
"""Turn feature flags of Felix hub off on Render, or say whether they are off.

    flags.py felix-hub.json off ENABLE_TG_ADMIN_NOTIFS    set the variable, deploy, come back when the flag is off
    flags.py felix-hub.json off --all                     all six at once; the frontend gets its older deploy back
    flags.py felix-hub.json on ENABLE_TG_ADMIN_NOTIFS     the way back after a false alarm
    flags.py felix-hub.json inspect ENABLE_CAR_NUMBER     exit 0: off, 1: not off, 3: cannot tell

The file says which services of Render are meant, and where the key for its API is. A backend flag is an environment
variable: it takes a deploy without a build, about 30 seconds. A frontend flag is built in: 5 to 10 minutes. `--all`
does not wait for a build: it publishes the deploy that the file names as `frontend_before_flags` again.

What a flag is, is read from where users get it: the backend's /api/config/feature-flags, and feature-flags.json, which
the frontend's build writes beside its pages. Only the standard library is needed.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

BACKEND = ("ENABLE_CAR_NUMBER", "ENABLE_PART_CATEGORIES", "ENABLE_TG_ADMIN_NOTIFS", "ENABLE_TG_MECH_NOTIFS")
FRONTEND = ("ENABLE_MECH_I18N", "ENABLE_UI_REFRESH")

REQUEST_TIMEOUT_S = 10
LOOK_EVERY_S = 2

DONE, FAILED, USAGE, CANNOT_TELL, TRY_AGAIN = 0, 1, 2, 3, 75


class Render:
    """The two services on Render."""

    def __init__(self, where: Mapping[str, str]) -> None:
        self._api = where["api"]
        self._key = Path(where["api_key_file"]).read_text(encoding="utf-8").strip()
        self._backend = where["backend"]
        self._frontend = where["frontend"]
        self._before_flags = where.get("frontend_before_flags", "")

    def write(self, flag: str, value: str) -> None:
        """Set a flag's variable; it counts from the next deploy on."""
        service, name = (self._frontend, f"VITE_{flag}") if flag in FRONTEND else (self._backend, flag)
        self._call("PUT", f"/services/{service}/env-vars/{name}", {"value": value})

    def deploy_backend(self) -> None:
        """Start what is built already with the variables of now."""
        self._call("POST", f"/services/{self._backend}/deploys", {"deployMode": "deploy_only"})

    def build_frontend(self) -> None:
        """Build and publish the frontend with the variables of now."""
        self._call("POST", f"/services/{self._frontend}/deploys", {})

    def restore_frontend(self) -> None:
        """Publish the deploy before the flags again, or build where none is named."""
        if self._before_flags:
            self._call("POST", f"/services/{self._frontend}/rollback", {"deployId": self._before_flags})
        else:
            self.build_frontend()

    def _call(self, method: str, path: str, body: Mapping[str, Any]) -> None:
        fetch(self._api + path, method=method, body=body, headers={"Authorization": f"Bearer {self._key}"})


def fetch(url: str, *, method: str = "GET", body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
    """Return the JSON of an answer, ``None`` for an empty one."""
    data = None if body is None else json.dumps(body).encode()
    all_headers = {"Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(url, data, all_headers, method=method)  # noqa: S310  addresses of the team's own file
    with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_S) as answer:  # noqa: S310  the same
        text = answer.read()
    return json.loads(text) if text else None


def served(flags: Sequence[str], where: Mapping[str, str]) -> dict[str, Any]:
    """Return the flags as users get them."""
    found: dict[str, Any] = {}
    if any(flag in BACKEND for flag in flags):
        found |= fetch(f"{where['backend_url']}/api/config/feature-flags")
    if any(flag in FRONTEND for flag in flags):
        found |= {name: value for name, value in _frontend(where).items() if name in FRONTEND}
    return {flag: found[flag] for flag in flags}


def _frontend(where: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = fetch(f"{where['frontend_url']}/feature-flags.json")
    return found


def inspect(flags: Sequence[str], where: Mapping[str, str]) -> int:
    """Say whether all of the flags are off."""
    try:
        on = [flag for flag, value in served(flags, where).items() if value is not False]
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"cannot tell: {error!r}")
        return CANNOT_TELL
    print(f"on: {', '.join(on)}" if on else f"off: {', '.join(flags)}")
    return FAILED if on else DONE


def switch(render: Render, flags: Sequence[str], *, enabled: bool, everything: bool) -> None:
    """Write all variables first, then deploy each service once."""
    for flag in flags:
        render.write(flag, "true" if enabled else "false")
    if any(flag in BACKEND for flag in flags):
        render.deploy_backend()
    if everything:
        render.restore_frontend()
    elif any(flag in FRONTEND for flag in flags):
        render.build_frontend()


def wait_until(flags: Sequence[str], where: Mapping[str, str], *, enabled: bool) -> None:
    """Come back when users get the flags so; the guard's timeout ends the wait."""
    while True:
        try:
            if all(value is enabled for value in served(flags, where).values()):
                return
        except (OSError, ValueError, KeyError, TypeError) as error:
            print(f"not yet: {error!r}", file=sys.stderr)  # it is restarting
        time.sleep(LOOK_EVERY_S)


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says; the exit status is for the guard."""
    file, verb, *flags = arguments if len(arguments) > 1 else ("", "")
    everything = flags == ["--all"]
    if everything:
        flags = [*BACKEND, *FRONTEND]
    if verb not in {"off", "on", "inspect"} or not flags or (everything and verb == "on"):
        print(__doc__, file=sys.stderr)
        return USAGE
    if unknown := [flag for flag in flags if flag not in BACKEND + FRONTEND]:
        print(f"no flag of Felix hub: {', '.join(unknown)}", file=sys.stderr)
        return USAGE
    where: dict[str, str] = json.loads(Path(file).read_text(encoding="utf-8"))
    if verb == "inspect":
        return inspect(flags, where)
    enabled = verb == "on"
    try:
        switch(Render(where), flags, enabled=enabled, everything=everything)
    except urllib.error.HTTPError as error:
        print(f"Render refuses: HTTP {error.code} for {error.url}", file=sys.stderr)
        return TRY_AGAIN if error.code in {429, 502, 503, 504} else FAILED
    except OSError as error:
        print(f"Render cannot be reached: {error}", file=sys.stderr)
        return TRY_AGAIN  # every variable and deploy names a goal: doing it again is harmless
    wait_until(flags, where, enabled=enabled)
    print(f"{'on' if enabled else 'off'}: {', '.join(flags)}")
    return DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
