"""Run the daemon."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command()
@click.option(
    "--config",
    "-c",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("guard.toml"),
    show_default=True,
    help="How this instance runs.",
)
@click.option("--listen", metavar="HOST:PORT", help="In place of [server] listen.")
@click.option("--prometheus-url", metavar="URL", help="In place of [prometheus] url.")
@click.option("--state", type=click.Path(path_type=Path, dir_okay=False), help="In place of [guard] state.")
@click.option("--dry-run", is_flag=True, help="Do everything but the effects, whatever [guard] mode says.")
def command(config: Path, listen: str | None, prometheus_url: str | None, state: Path | None, *, dry_run: bool) -> None:
    """Watch, decide and act, until SIGTERM or SIGINT.

    SIGHUP or `POST /-/reload` loads the configuration again; with an error in it the old one stays in force. A second
    instance on the same journal is refused.
    """
    from rollback_guard.setup import Loading, Overrides

    overrides = Overrides(
        listen=listen, prometheus_url=prometheus_url, state=str(state) if state else None, dry_run=dry_run
    )
    loading = Loading(config, overrides)

    # While the child reads the files, the daemon is imported.
    import asyncio

    from rollback_guard.adapters import log
    from rollback_guard.app import Daemon
    from rollback_guard.ports import GuardError
    from rollback_guard.secret import redact

    loaded = loading.result()
    for problem in loaded.problems:
        click.echo(problem, err=True)
    setup = loaded.setup
    if setup is None:
        click.echo(f"Nothing was started. `rollback-guard check {config}` says more about the files.", err=True)
        sys.exit(4)
    log.set_up(level=setup.log_level, log_format=setup.log_format)

    async def serve() -> None:
        await Daemon(config, overrides, setup).run()

    try:
        asyncio.run(serve())
    except (GuardError, OSError) as error:
        click.echo(f"rollback-guard cannot run: {redact(str(error))}", err=True)
        sys.exit(4)
