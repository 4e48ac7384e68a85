"""A server on real sockets that speaks the query API, well or in every wrong way.

It runs on threads of its own, so that a client that blocks is seen to block.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self
from urllib.parse import parse_qs

PART = re.compile(r'\(\(\n(.*?)\n\), "__rule__", "(\d+)"', re.DOTALL)
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends a reset."""


@dataclass(frozen=True, kw_only=True)
class Request:
    line: str
    headers: Mapping[str, str]
    form: Mapping[str, str]

    @property
    def queries(self) -> tuple[str, ...]:
        """What is asked, also when several queries travel in one."""
        query = self.form.get("query", "")
        return tuple(part for part, _ in PART.findall(query)) or (query,)


class Talk:
    """One connection, from the server's side."""

    def __init__(self, sock: socket.socket, stopping: threading.Event) -> None:
        self.sock = sock
        self.stopping = stopping

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def say(self, body: bytes | str | Mapping[str, Any], *, status: int = 200, **headers: str) -> None:
        """Send a whole answer; the connection stays open."""
        if isinstance(body, Mapping):
            body = json.dumps(body)
        data = body.encode() if isinstance(body, str) else body
        head = {"Content-Type": "application/json", "Content-Length": str(len(data))}
        head |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        self.send(f"HTTP/1.1 {status} Said\r\n{lines}\r\n".encode() + data)

    def drip(self, data: bytes, *, every: timedelta = timedelta(milliseconds=5)) -> None:
        """Send the same little piece now and then until somebody ends it."""
        while not self.stopping.wait(every.total_seconds()):
            self.send(data)

    def keep_silent(self) -> None:
        self.stopping.wait()

    def hang_up(self) -> None:
        self.sock.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        os.close(self.sock.detach())  # at once, whoever still refers to it


Behaviour = Callable[[Talk, Request], None]


class FaultyServer:
    """Serve one behaviour, which a test may change at any time."""

    def __init__(
        self, behaviour: Behaviour, *, tls: ssl.SSLContext | None = None, greets: bool = True, port: int = 0
    ) -> None:
        self.behaviour = behaviour
        self.requests: list[Request] = []
        self.connections = 0
        self._tls = tls
        self._greets = greets
        self._stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", port), backlog=128)
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://localhost:{self._listener.getsockname()[1]}"
        self._threads: list[threading.Thread] = []
        self._socks: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._run(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._socks:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    @property
    def queries(self) -> list[str]:
        return [query for request in self.requests for query in request.queries]

    def _run(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.connections += 1
                self._socks.append(sock)
                self._run(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), sock:
            if not self._greets:
                self._stopping.wait()
                return
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
                self._socks.append(sock)
            with sock, sock.makefile("rb") as stream:
                talk = Talk(sock, self._stopping)
                while (request := _read(stream)) is not None:
                    self.requests.append(request)
                    self.behaviour(talk, request)


def _read(stream: Any) -> Request | None:
    line = stream.readline().decode().strip()
    if not line:
        return None
    headers: dict[str, str] = {}
    while header := stream.readline().decode().strip():
        name, _, value = header.partition(":")
        headers[name.strip().lower()] = value.strip()
    body = stream.read(int(headers.get("content-length", 0))).decode()
    return Request(line=line, headers=headers, form={name: each[0] for name, each in parse_qs(body).items()})


def is_range(request: Request) -> bool:
    return "/query_range" in request.line


def matrix(series: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": "matrix", "result": list(series)}}


def vector(series: Iterable[Mapping[str, Any]], **envelope: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": "vector", "result": list(series)}, **envelope}


def error(kind: str, words: str) -> dict[str, Any]:
    return {"status": "error", "errorType": kind, "error": words}


def healthy(value: Callable[[str], str | None] = lambda query: "1") -> Behaviour:
    """Answer every query, single or in a batch, with one sample, or with none where the value is ``None``."""

    def behave(talk: Talk, request: Request) -> None:
        values = [(str(place), value(query)) for place, query in enumerate(request.queries)]
        alone = len(values) == 1
        talk.say(
            vector(
                {"metric": {} if alone else {"__rule__": place}, "value": [0, each]}
                for place, each in values
                if each is not None
            )
        )

    return behave


@contextlib.contextmanager
def lost_syn() -> Any:
    """Yield the URL of a listener whose queue is full: the kernel drops every further SYN, as a firewall would."""
    with contextlib.ExitStack() as held:
        listener = held.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = held.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
