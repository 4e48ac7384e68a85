"""Ask the running daemon, with nothing but the standard library."""

from __future__ import annotations

import json
import sys
from http import HTTPStatus
from typing import Any, NoReturn

import click

from rollback_guard.cli.table import plain

DEFAULT_URL = "http://127.0.0.1:9876"

TIMEOUT_S = 10

MAX_ANSWER_BYTES = 64 * 1024 * 1024

UNREACHABLE = 3
"""Exit code: the daemon does not answer, or cannot see."""

url_option = click.option(
    "--url",
    envvar="ROLLBACK_GUARD_URL",
    default=DEFAULT_URL,
    show_default=True,
    show_envvar=True,
    metavar="URL",
    help="Where the daemon listens.",
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

    exit_code = 2

    def __init__(self, message: str, near: tuple[str, ...]) -> None:
        super().__init__(message)
        self.near = near


def ask(url: str, path: str) -> dict[str, Any]:
    """Return an answer of the API; where there is none, say why and end with exit code 3.

    Raises:
        NotThereError: The path names a thing that the daemon does not know.
        click.UsageError: The URL is none.
    """
    import http.client
    import urllib.error
    import urllib.request

    if not url.startswith(("http://", "https://")):
        raise click.UsageError(f"--url must begin with http:// or https://, not {url!r}")
    # The daemon is on this machine or in its network: a proxy of the environment knows neither.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url.rstrip("/") + path, timeout=TIMEOUT_S) as response:
            return _document(response.read(MAX_ANSWER_BYTES))
    except urllib.error.HTTPError as error:
        with error:
            _refused(url, error)
    except urllib.error.URLError as error:
        _give_up(url, getattr(error.reason, "strerror", None) or str(error.reason))
    except (OSError, http.client.HTTPException, ValueError) as error:
        _give_up(url, str(error) or type(error).__name__)


def _document(body: bytes) -> dict[str, Any]:
    document = json.loads(body)
    if not isinstance(document, dict):
        raise ValueError("what answers there is no rollback-guard")  # noqa: TRY004  the same as what is no JSON
    return document


def _refused(url: str, answer: Any) -> NoReturn:
    try:
        said = _document(answer.read(MAX_ANSWER_BYTES))
        words, near = str(said["error"]), tuple(map(str, said["near"]))
    except (OSError, ValueError, KeyError, TypeError):
        _give_up(url, f"HTTP {answer.code}, which is no answer of rollback-guard")
    if answer.code == HTTPStatus.NOT_FOUND:
        raise NotThereError(words, near)
    _give_up(url, f"HTTP {answer.code}, {words}")


def _give_up(url: str, words: str) -> NoReturn:
    click.echo(f"No answer from {url}: {plain(words)}.", err=True)
    click.echo("Is the daemon running? --url or ROLLBACK_GUARD_URL name another address.", err=True)
    sys.exit(UNREACHABLE)


def member(answer: Any, name: str, url: str) -> Any:
    """Return a part of an answer; end with exit code 3 where another server answered."""
    if isinstance(answer, dict) and name in answer:
        return answer[name]
    click.echo(f"{plain(url)} answers, but not as a rollback-guard does.", err=True)
    sys.exit(UNREACHABLE)
