"""Talk to the running daemon, with nothing but the standard library."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

import click

from rollback_guard.cli.credential import read_token, token_file_option, travels_safely
from rollback_guard.cli.table import plain

if TYPE_CHECKING:
    from urllib.request import OpenerDirector, Request

DEFAULT_URL = "http://127.0.0.1:9876"

TIMEOUT_S = 10.0

MAX_ANSWER_BYTES = 64 * 1024 * 1024

USAGE, UNREACHABLE, REFUSED, UNKNOWN = 2, 3, 5, 7
"""Exit codes: a mistake of who asks; the daemon does not answer, or cannot see; a brake; nobody knows."""

url_option = click.option(
    "--url",
    envvar="ROLLBACK_GUARD_URL",
    default=DEFAULT_URL,
    show_default=True,
    show_envvar=True,
    metavar="URL",
    help="Where the daemon listens.",
)

ca_file_option = click.option(
    "--ca-file",
    envvar="ROLLBACK_GUARD_CA_FILE",
    show_envvar=True,
    metavar="PATH",
    help="Certificates that vouch for the daemon's, in place of the system's.",
)

output_option = click.option(
    "--output",
    "-o",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Text for people, or the API's own JSON.",
)


class NotThereError(click.ClickException):
    """The daemon answered that there is no such thing.

    Attributes:
        near: What may have been meant.
    """

    exit_code = USAGE

    def __init__(self, message: str, near: tuple[str, ...]) -> None:
        super().__init__(message)
        self.near = near


class RefusedError(Exception):
    """The daemon understood an order and does not do it.

    Attributes:
        code: The HTTP status.
        answer: What it said, with the members ``error``, ``refusal`` and ``near`` as far as it sent them.
    """

    def __init__(self, code: int, answer: dict[str, Any]) -> None:
        super().__init__(str(answer["error"]))
        self.code = code
        self.answer = answer


class RedirectedError(ValueError):
    """The daemon is said to be somewhere else; nothing was done here, and nothing is asked there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """One daemon, and what is needed to talk to it.

    Attributes:
        token: Sent with orders only: looking needs none.
        timeout_s: Bound of connecting, and of every wait for a part of the answer.
    """

    url: str
    token: str = field(default="", repr=False)
    ca_file: str | None = None
    timeout_s: float = TIMEOUT_S

    def ask(self, path: str) -> dict[str, Any]:
        """Return an answer of the API; where there is none, say why and end with exit code 3.

        Raises:
            NotThereError: The path names a thing that the daemon does not know.
        """
        try:
            return self.exchange(path)
        except RefusedError as refused:
            if refused.code == HTTPStatus.NOT_FOUND:
                raise NotThereError(str(refused), tuple(map(str, refused.answer.get("near", ())))) from refused
            _give_up(self.url, f"HTTP {refused.code}, {refused}")
        except (OSError, ValueError) as error:
            _give_up(self.url, _words(error))

    def tell(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Give an order and return the answer; where there is none, say why and end with exit code 3.

        When the order may have arrived although no answer came, the exit code is 7: it is never sent twice.

        Raises:
            RefusedError: The daemon did not do it.
        """
        try:
            return self.exchange(path, body)
        except (OSError, ValueError) as error:
            if _never_arrived(error):
                _give_up(self.url, _words(error))
            click.echo(f"{self.url} took the order, but its answer got lost: {plain(_words(error))}.", err=True)
            click.echo("It may have been done: look with `rollback-guard status` before you repeat it.", err=True)
            sys.exit(UNKNOWN)

    def exchange(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what the daemon answers; with a body it is an order.

        Raises:
            RefusedError: It answered with an error.
            OSError: There is no answer.
            ValueError: What answers is no rollback-guard.
        """
        import http.client
        import urllib.error
        import urllib.request

        headers = {"Accept": "application/json"}
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
            if self.token:
                headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(self.url.rstrip("/") + path, content, headers)  # noqa: S310  checked before
        try:
            with self._opener(request).open(request, timeout=self.timeout_s) as response:
                return _document(response.read(MAX_ANSWER_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error) from error
        except http.client.HTTPException as error:
            raise ValueError(str(error) or type(error).__name__) from error

    def _opener(self, request: Request) -> OpenerDirector:
        import urllib.request

        class Stay(urllib.request.HTTPRedirectHandler):
            """A redirect would carry the token, or an order, to where nobody meant it to go."""

            def redirect_request(self, *_: object) -> None:
                return None

        # The daemon is on this machine or in its network: a proxy of the environment knows neither.
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({}), Stay()]
        if request.type == "https":
            import ssl

            handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=self.ca_file)))
        return urllib.request.build_opener(*handlers)


def connects(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb that only looks the options of a connection, and the daemon as `remote`."""

    @url_option
    @ca_file_option
    @functools.wraps(verb)
    def with_remote(*args: Any, url: str, ca_file: str | None, **options: Any) -> Any:
        return verb(*args, remote=Remote(url=check_url(url), ca_file=_check_ca_file(ca_file)), **options)

    return with_remote


def commands(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb that orders something the options of a connection and of a token, and the daemon as `remote`."""

    @url_option
    @token_file_option
    @ca_file_option
    @functools.wraps(verb)
    def with_remote(*args: Any, url: str, token_file: str | None, ca_file: str | None, **options: Any) -> Any:
        token = read_token(token_file)
        if token and not travels_safely(check_url(url)):
            raise click.UsageError(
                f"the token would go to {plain(url)} in clear text: use https://, or a tunnel that ends on this machine"
            )
        remote = Remote(url=check_url(url), token=token, ca_file=_check_ca_file(ca_file))
        return verb(*args, remote=remote, **options)

    return with_remote


def check_url(url: str) -> str:
    """Return the URL of a daemon.

    Raises:
        click.UsageError: It is none.
    """
    if not url.startswith(("http://", "https://")):
        raise click.UsageError(f"--url must begin with http:// or https://, not {url!r}")
    try:
        parts = urlsplit(url)
        fine = parts.hostname and parts.port != 0 and not (parts.username or parts.password or parts.query)
    except ValueError:
        fine = False
    # What two parsers could read in two ways is no address to send a token to.
    if not fine or "@" in url or "#" in url or "\\" in url or not url.isascii() or not url.isprintable() or " " in url:
        raise click.UsageError(f"--url must be like http://host:port, not {url!r}")
    return url


def _check_ca_file(path: str | None) -> str | None:
    if path is None:
        return None
    import ssl

    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as error:
        raise click.UsageError(
            f"--ca-file {path!r} holds no certificates: {getattr(error, 'strerror', None) or error}"
        ) from error
    return path


def _document(body: bytes) -> dict[str, Any]:
    document = json.loads(body)
    if not isinstance(document, dict):
        raise ValueError("what answers there is no rollback-guard")  # noqa: TRY004  the same as what is no JSON
    return document


def _refusal(answer: Any) -> RefusedError | ValueError:
    if HTTPStatus.MULTIPLE_CHOICES <= answer.code < HTTPStatus.BAD_REQUEST:
        where = plain(answer.headers.get("Location", "another address"))
        return RedirectedError(f"HTTP {answer.code}, a redirect to {where}, which is not followed")
    try:
        said = _document(answer.read(MAX_ANSWER_BYTES))
        said["error"] = str(said["error"])
        said["near"] = list(map(str, said.get("near") or ()))
    except (OSError, ValueError, KeyError, TypeError):
        return ValueError(f"HTTP {answer.code}, which is no answer of rollback-guard")
    return RefusedError(answer.code, said)


def _never_arrived(error: Exception) -> bool:
    """Say whether an order certainly reached nobody: no connection was made, or the daemon is said to be elsewhere."""
    if isinstance(error, RedirectedError):
        return True
    reason = getattr(error, "reason", None)  # of urllib.error.URLError, which stands for connecting and sending
    return isinstance(reason, Exception | str) and not isinstance(reason, ConnectionResetError | BrokenPipeError)


def _words(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    said = getattr(reason, "verify_message", None) or getattr(reason, "strerror", None) or str(reason)
    if getattr(reason, "verify_message", None):
        said = f"its certificate is not trusted, {said} (--ca-file names those that are)"
    return said or type(reason).__name__


def _give_up(url: str, words: str) -> NoReturn:
    click.echo(f"No answer from {url}: {plain(words)}.", err=True)
    click.echo("Is the daemon running? --url or ROLLBACK_GUARD_URL name another address.", err=True)
    sys.exit(UNREACHABLE)


def member(answer: Any, name: str, remote: Remote) -> Any:
    """Return a part of an answer; end with exit code 3 where another server answered."""
    if isinstance(answer, dict) and name in answer:
        return answer[name]
    click.echo(f"{plain(remote.url)} answers, but not as a rollback-guard does.", err=True)
    sys.exit(UNREACHABLE)
