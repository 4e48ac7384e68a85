"""A real browser without a window, driven over its debugging pipe."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE_S = 30.0
FREE_FROM = 10
"""Lower descriptors may be those that the browser expects its pipes at."""

AT_3_AND_4 = "import os, sys; a, b, *c = sys.argv[1:]; os.dup2(int(a), 3); os.dup2(int(b), 4); os.execv(c[0], c)"

Message = dict[str, Any]


class Tab:
    """One page of the browser, with all that went wrong in it and all that it asked the network for."""

    def __init__(self, process: subprocess.Popen[bytes], commands: int, answers: int) -> None:
        self._process, self._commands, self._answers = process, commands, answers
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self.complaints: list[str] = []
        self.requests: list[str] = []
        target = self.do("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.do(f"{domain}.enable")

    def do(self, method: str, **params: Any) -> Message:
        """Send a command and return its result."""
        self._number += 1
        session = {"sessionId": self._session} if self._session else {}
        sent = {"id": self._number, "method": method, "params": params, **session}
        os.write(self._commands, json.dumps(sent).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE_S
        while True:
            message = self._next(deadline)
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message.get('error')}"
                return message["result"]
            self._hear(message)

    def open(self, path: Path) -> None:
        """Open a file and wait until it is there, two frames included in which charts are drawn."""
        self.go(path)
        self.settle()

    def go(self, path: Path) -> None:
        """Open a file and wait until it is there; what its scripts do after that is not waited for."""
        self.complaints.clear()
        self.requests.clear()
        self.do("Page.navigate", url=path.as_uri())
        self.wait_for(f"document.readyState === 'complete' && location.href.startsWith({json.dumps(path.as_uri())})")

    def settle(self) -> None:
        """Wait for two frames, in which what was asked for is drawn."""
        self.ask("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))")

    def ask(self, script: str) -> Any:
        """Return what an expression of the page comes to."""
        found = self.do("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait_for(self, script: str) -> None:
        """Wait until an expression of the page comes true."""
        deadline = time.monotonic() + PATIENCE_S
        while not self.ask(script):
            assert time.monotonic() < deadline, f"never came true: {script}"

    def resize(self, width: int, height: int = 900, *, touch: bool = False) -> None:
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=touch)
        self.settle()

    def prefer(self, scheme: str) -> None:
        """Take the person to like `dark` or `light`."""
        self.do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.settle()

    def mouse(self, kind: str, x: float, y: float, *, clicks: int = 1) -> None:
        pressed = {"button": "left", "clickCount": clicks} if kind != "mouseMoved" else {}
        self.do("Input.dispatchMouseEvent", type=kind, x=x, y=y, **pressed)

    def drag(self, begin: tuple[float, float], end: tuple[float, float]) -> None:
        self.mouse("mouseMoved", *begin)
        self.mouse("mousePressed", *begin)
        middle = (begin[0] + end[0]) / 2, (begin[1] + end[1]) / 2
        for place in (middle, end):
            self.do("Input.dispatchMouseEvent", type="mouseMoved", x=place[0], y=place[1], button="left", buttons=1)
        self.mouse("mouseReleased", *end)
        self.settle()

    def double_click(self, x: float, y: float) -> None:
        self.mouse("mouseMoved", x, y)
        for clicks in (1, 2):
            self.mouse("mousePressed", x, y, clicks=clicks)
            self.mouse("mouseReleased", x, y, clicks=clicks)
        self.settle()

    def key(self, key: str, *, shift: bool = False) -> None:
        for kind in ("keyDown", "keyUp"):
            self.do("Input.dispatchKeyEvent", type=kind, key=key, modifiers=8 if shift else 0)
        self.settle()

    def picture(self, *, whole: bool = False) -> bytes:
        """Return what is to be seen as a PNG."""
        return base64.b64decode(self.do("Page.captureScreenshot", captureBeyondViewport=whole)["data"])

    def _next(self, deadline: float) -> Message:
        while b"\0" not in self._buffer:
            readable, _, _ = select.select([self._answers], [], [], max(0.0, deadline - time.monotonic()))
            assert readable, "the browser does not answer"
            read = os.read(self._answers, 1 << 20)
            assert read, f"the browser ended with {self._process.poll()}"
            self._buffer += read
        line, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(line)

    def _hear(self, message: Message) -> None:
        match message.get("method"), message.get("params", {}):
            case "Runtime.exceptionThrown", {"exceptionDetails": details}:
                self.complaints.append(str(details.get("exception", {}).get("description", details["text"])))
            case "Runtime.consoleAPICalled", {"type": "error" | "warning" as kind, "args": args}:
                self.complaints.append(f"{kind}: {args}")
            case "Log.entryAdded", {"entry": {"level": "error" | "warning", "text": text}}:
                self.complaints.append(text)
            case "Page.javascriptDialogOpening", {"message": text}:
                self.complaints.append(f"dialog: {text}")
                self._number += 1
                sent = {"id": self._number, "method": "Page.handleJavaScriptDialog", "params": {"accept": True}}
                os.write(self._commands, json.dumps({**sent, "sessionId": self._session}).encode() + b"\0")
            case "Network.requestWillBeSent", {"request": {"url": url}}:
                self.requests.append(url)


@contextmanager
def browser(profile: Path, *options: str) -> Iterator[Tab]:
    """Start a browser; it has ended when this has."""
    assert PROGRAM, "chromium is not installed"
    read_here, write_there = os.pipe()
    read_there, write_here = os.pipe()
    given = [fcntl.fcntl(fd, fcntl.F_DUPFD, FREE_FROM) for fd in (read_there, write_there)]
    command = [
        *(PROGRAM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
        *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--remote-debugging-pipe", f"--user-data-dir={profile}", *options),
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", AT_3_AND_4, *map(str, given), *command],
        pass_fds=given,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    for fd in (*given, read_there, write_there):
        os.close(fd)
    try:
        yield Tab(process, write_here, read_here)
    finally:
        _until_ended(process)
        os.close(write_here)
        os.close(read_here)


def _until_ended(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(5)
