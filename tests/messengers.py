"""Slack, PagerDuty, Telegram, an SMTP server and a webhook receiver, as far as a sender can tell them from the real ones.

Each checks what the product checks and answers as the product does. The first three have fixed names on the internet:
`internet` is an HTTP proxy that leads those names here, with certificates of an authority of its own.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from urllib.parse import parse_qsl

import trustme

BODY_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self):
        return json.loads(self.body)


Answer = tuple[int, bytes, str]
"""Status, body, media type."""


class Site:
    """An HTTP server that keeps what it got.

    Attributes:
        requests: All of them, also those that were refused.
        arrived: Set once there is one.
        outage: An answer to everything, as long as it is set.
        is_hanging: Whether it takes requests and answers none.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.arrived = asyncio.Event()
        self.outage: Answer | None = None
        self.is_hanging = False

    def answer(self, request: Request) -> Answer:
        return 200, b"{}", "application/json"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_request(reader)
        self.requests.append(request)
        self.arrived.set()
        if self.is_hanging:
            await reader.read()
            return
        status, body, media = self.outage or self.answer(request)
        head = (
            f"HTTP/1.1 {status} X\r\nContent-Type: {media}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        writer.write(head.encode() + body)
        await writer.drain()


async def read_request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *rest = head.split("\r\n")
    method, path, _ = line.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (each.partition(":") for each in rest if each)}
    length = int(headers.get("content-length", "0"))
    assert length <= BODY_BYTES
    return Request(method, path, headers, await reader.readexactly(length))


class Slack(Site):
    """https://hooks.slack.com: incoming webhooks."""

    HOST = "hooks.slack.com"
    PATH = "/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
    URL = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"

    def answer(self, request: Request) -> Answer:
        if request.path != self.PATH:
            return 404, b"no_service", "text/html"
        try:
            message = request.json()
        except ValueError:
            return 400, b"invalid_payload", "text/html"
        if not isinstance(message, dict) or not (message.keys() & {"text", "attachments", "blocks"}):
            return 400, b"no_text", "text/html"
        return 200, b"ok", "text/html"

    @property
    def texts(self) -> list[str]:
        """All that people see of each message."""
        return [json.dumps(request.json(), ensure_ascii=False) for request in self.requests]


class PagerDuty(Site):
    """https://events.pagerduty.com: Events API v2.

    Attributes:
        open: The summaries of the incidents that are open, by deduplication key.
    """

    HOST = "events.pagerduty.com"
    KEY = "0123456789abcdef0123456789abcdef"
    URL = f"pagerduty://{KEY}@u7yxPq3sT9vWkZ2mLh4b"

    def __init__(self) -> None:
        super().__init__()
        self.open: dict[str, list[str]] = {}

    def answer(self, request: Request) -> Answer:
        event = request.json()
        errors = list(self._errors(request, event))
        if errors:
            said = {"status": "invalid event", "message": "Event object is invalid", "errors": errors}
            return 400, json.dumps(said).encode(), "application/json"
        key = event.get("dedup_key") or f"made-{len(self.requests)}"
        if event["event_action"] == "resolve":
            self.open.pop(key, None)
        else:
            self.open.setdefault(key, []).append(event["payload"]["summary"])
        said = {"status": "success", "message": "Event processed", "dedup_key": key}
        return 202, json.dumps(said).encode(), "application/json"

    def _errors(self, request: Request, event):
        if request.path != "/v2/enqueue":
            yield "no such path"
        if event.get("routing_key") != self.KEY:
            yield "'routing_key' is invalid"
        action = event.get("event_action")
        if action not in {"trigger", "acknowledge", "resolve"}:
            yield "'event_action' is invalid"
        if action != "trigger" and not event.get("dedup_key"):
            yield "'dedup_key' is missing"
        if len(event.get("dedup_key") or "") > 255:
            yield "'dedup_key' is too long"
        payload = event.get("payload", {})
        if action == "trigger" and not (payload.get("summary") and payload.get("source")):
            yield "'payload' is incomplete"
        if action == "trigger" and payload.get("severity") not in {"critical", "error", "warning", "info"}:
            yield "'severity' is invalid"
        if len(payload.get("summary", "")) > 1024:
            yield "'summary' is too long"


class Telegram(Site):
    """https://api.telegram.org: the Bot API."""

    HOST = "api.telegram.org"
    TOKEN = "123456789:AAG-abcdefghijklmnopqrstuvwxyz12345"
    CHAT = "-1001234567890"
    URL = f"tgram://{TOKEN}/{CHAT}/"

    TAGS = re.compile(r"</?(b|strong|i|em|u|s|code|pre|a)( [^<>]*)?>")

    def answer(self, request: Request) -> Answer:
        if request.path != f"/bot{self.TOKEN}/sendMessage":
            return self._said(401, "Unauthorized")
        message = self.message(request)
        if str(message.get("chat_id")) != self.CHAT:
            return self._said(400, "Bad Request: chat not found")
        text = message.get("text", "")
        if not text:
            return self._said(400, "Bad Request: message text is empty")
        if len(text) > 4096:
            return self._said(400, "Bad Request: message is too long")
        if message.get("parse_mode", "").upper() == "HTML" and re.search(r"[<>]", self.TAGS.sub("", text)):
            return self._said(400, "Bad Request: can't parse entities: Unsupported start tag")
        return 200, json.dumps({"ok": True, "result": {"message_id": len(self.requests)}}).encode(), "application/json"

    @staticmethod
    def message(request: Request):
        if "json" in request.headers.get("content-type", ""):
            return request.json()
        return dict(parse_qsl(request.body.decode()))

    @staticmethod
    def _said(status: int, text: str) -> Answer:
        said = {"ok": False, "error_code": status, "description": text}
        return status, json.dumps(said).encode(), "application/json"


class Receiver(Site):
    """Somebody's own webhook receiver."""


@dataclass
class Mailbox:
    """A mail server for one user; it delivers into a list.

    Attributes:
        refuses: What it says to every recipient, if it takes nobody's mail.
    """

    user: str = "guard"
    password: str = "correct horse"
    refuses: str = ""
    messages: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def say(line: str) -> None:
            writer.write(f"{line}\r\n".encode())
            await writer.drain()

        is_known = False
        await say("220 mail.example ESMTP")
        while line := (await reader.readline()).decode("utf-8", "replace").rstrip("\r\n"):
            verb, _, rest = line.partition(" ")
            match verb.upper():
                case "EHLO":
                    await say("250-mail.example")
                    await say("250-AUTH PLAIN LOGIN")
                    await say("250 8BITMIME")
                case "AUTH":
                    mechanism, _, initial = rest.partition(" ")
                    if mechanism.upper() != "PLAIN":
                        await say("504 5.5.4 not this one")
                        continue
                    if not initial:
                        await say("334 ")
                        initial = (await reader.readline()).decode().strip()
                    _, user, password = base64.b64decode(initial).decode().split("\0")
                    is_known = (user, password) == (self.user, self.password)
                    await say("235 2.7.0 welcome" if is_known else "535 5.7.8 who are you?")
                case "MAIL":
                    await say("250 2.1.0 ok" if is_known else "530 5.7.0 authenticate first")
                case "RCPT":
                    if not self.refuses:
                        self.recipients.append(rest)
                    await say(self.refuses or "250 2.1.5 ok")
                case "DATA":
                    await say("354 go on")
                    data = await reader.readuntil(b"\r\n.\r\n")
                    text = data[:-3].replace(b"\r\n..", b"\r\n.")
                    message = message_from_bytes(text, policy=policy.default)
                    assert isinstance(message, EmailMessage)
                    self.messages.append(message)
                    await say("250 2.0.0 queued")
                case "RSET" | "NOOP":
                    await say("250 2.0.0 ok")
                case "QUIT":
                    await say("221 2.0.0 bye")
                    return
                case _:
                    await say("502 5.5.2 what?")


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]


@contextlib.asynccontextmanager
async def listening(serve: Serve, *, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve on a free port of the loopback; gone, with every connection, at the end."""
    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                await serve(reader, writer)  # type: ignore[misc]
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            talks.discard(task)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context, limit=BODY_BYTES)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tuple(talks):
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        await server.wait_closed()


@contextlib.asynccontextmanager
async def internet(authority: trustme.CA, **sites: Site) -> AsyncIterator[str]:
    """Lead the names of these sites here, over TLS; gives the URL of the proxy that does it."""
    by_name = {site.HOST: site for site in sites.values()}  # type: ignore[attr-defined]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*by_name).configure_cert(context)

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[0]
        verb, place, _ = line.split(" ")
        host, _, port = place.partition(":")
        if verb != "CONNECT" or port != "443" or host not in by_name:
            writer.write(b"HTTP/1.1 502 No such place\r\nContent-Length: 0\r\n\r\n")
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.drain()
        await writer.start_tls(context)
        await by_name[host].serve(reader, writer)

    async with listening(tunnel) as port:
        yield f"http://127.0.0.1:{port}"
