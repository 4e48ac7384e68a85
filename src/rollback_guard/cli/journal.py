"""Check and export the journal, from its file."""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

if TYPE_CHECKING:
    from rollback_guard.adapters.journal.audit import Verified

DEFAULT_STATE = "state/guard.db"
"""Where the journal is, beside guard.toml, unless that says otherwise."""

BROKEN = 1
UNREADABLE = 3

VERIFY_EXITS = """\b
Exit codes:
  0  the chain is whole
  1  it is broken; said is where first, and what is wrong
  2  wrong usage
  3  the file cannot be read"""

EXPORT_EXITS = """\b
Exit codes:
  0  all that was asked for is written
  2  wrong usage
  3  the file cannot be read"""

LEAST_HASH = 16
"""So many hexadecimal digits of a hash are enough to know it again."""

path_argument = click.argument("path", type=click.Path(path_type=Path, dir_okay=False), required=False)
config_option = click.option(
    "--config",
    "-c",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("guard.toml"),
    show_default=True,
    help="Whose [guard] state is the journal, where no PATH is given.",
)


class HeadType(click.ParamType[tuple[int, str]]):
    """A record's number and its hash: `1234:9f86d081…`."""

    name = "seq:hash"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, str]:
        """Return number and hash."""
        found = re.fullmatch(rf"([0-9]{{1,18}}):([0-9a-fA-F]{{{LEAST_HASH},64}})", str(value))
        if not found:
            self.fail(f"{value!r} is no head; write a record's number, a colon and its hash: 1234:9f86d081884c7d65…")
        return int(found[1]), found[2].lower()


class InstantType(click.ParamType[datetime]):
    """A date or an instant of ISO 8601; without an offset it is UTC."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return an aware instant."""
        try:
            at = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no time; write 2024-05-01 or 2024-05-01T12:30:00Z")
        return at if at.tzinfo else at.replace(tzinfo=UTC)


@click.group()
def command() -> None:
    """Check that nobody changed the journal, and get out what is in it.

    The journal is the file in which the guard writes what it saw, decided and did, before it does it. Both verbs read
    the file itself: the daemon may run or not, is not asked, and does not notice.
    """


@command.command(epilog=VERIFY_EXITS)
@path_argument
@config_option
@click.option(
    "--head",
    type=HeadType(),
    metavar="SEQ:HASH",
    help="A head that was published earlier: that record must still be there as it was.",
)
@click.option("--output", "-o", type=click.Choice(["text", "json"]), default="text", show_default=True)
def verify(path: Path | None, config: Path, head: tuple[int, str] | None, output: str) -> None:
    """Follow the chain of hashes through all records of the journal.

    Each record carries the SHA-256 of itself and the record before it, so a record that was changed, removed, added
    or moved shows. Who can write the file could make the whole chain anew, or cut off its end along with all that
    tells of it: give --head with what was published before, by this command or by the daemon in /api/v1/status, to
    see that too.
    """
    from rollback_guard.adapters.journal import audit
    from rollback_guard.ports import JournalError

    path = path or _journal_of(config)
    try:
        with audit.opened(path) as journal:
            found = audit.verify(journal, head)
    except JournalError as error:
        _end_unreadable(error)
    if output == "json":
        click.echo(json.dumps(_as_data(found)))
    else:
        click.echo(f"{path}: {_summary(found)}")
        click.echo(f"head {found.whole}" if found.flaw is None else f"whole up to {found.whole}")
    sys.exit(BROKEN if found.flaw else 0)


@command.command(epilog=EXPORT_EXITS)
@path_argument
@config_option
@click.option("--since", type=InstantType(), metavar="TIME", help="Only records from this instant on.")
@click.option("--until", type=InstantType(), metavar="TIME", help="Only records before this instant.")
@click.option("--incident", metavar="ID", help="Only the records of one incident.")
def export(
    path: Path | None, config: Path, since: datetime | None, until: datetime | None, incident: str | None
) -> None:
    """Write records to stdout as JSON Lines, oldest first, each with its number and hash.

    TIME is a date or an instant of ISO 8601, UTC unless it says otherwise: 2024-05-01, 2024-05-01T12:30:00Z. The
    chain is not checked here; `verify` does that.
    """
    from rollback_guard.adapters.journal import audit
    from rollback_guard.ports import JournalError

    try:
        with audit.opened(path or _journal_of(config)) as journal:
            for line in audit.export(journal, audit.Which(since=since, until=until, incident=incident)):
                click.echo(line)
    except JournalError as error:
        _end_unreadable(error)


def _journal_of(config: Path) -> Path:
    """Return the path that a guard.toml names, without checking the rest of it."""
    import tomllib

    try:
        written = tomllib.loads(config.read_text())
        state = written.get("guard", {}).get("state", DEFAULT_STATE)
        return config.parent / Path(state)
    except FileNotFoundError:
        raise click.UsageError(f"there is no {config}; give the PATH of a journal, or -c with a guard.toml") from None
    except OSError as error:
        raise click.UsageError(f"{config}: {error.strerror}; give the PATH of the journal") from None
    except (ValueError, AttributeError, TypeError) as error:
        raise click.UsageError(f"{config} names no journal ({error}); give its PATH") from None


def _end_unreadable(error: Exception) -> NoReturn:
    click.echo(f"{error}.", err=True)
    sys.exit(UNREADABLE)


def _summary(found: Verified) -> str:
    if found.flaw:
        return f"BROKEN: {found.flaw}."
    there = found.whole.seq - found.forgotten
    before = f", those up to {found.forgotten} were forgotten in order" if found.forgotten else ""
    return f"{there} {'record' if there == 1 else 'records'}, the chain is whole{before}."


def _as_data(found: Verified) -> dict[str, object]:
    return {
        "schema_version": 1,
        "whole": found.flaw is None,
        "flaw": found.flaw,
        "forgotten": found.forgotten,
        "seq": found.whole.seq,
        "hash": found.whole.hash.hex(),
    }
