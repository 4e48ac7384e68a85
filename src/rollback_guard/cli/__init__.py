"""The command line: one module per verb, imported only when its verb is used.

Exit codes everywhere: 0 fine, 1 findings, 2 usage, 3 source unreachable or blind, 4 configuration invalid, 5 refused by
a brake, 6 action failed, 7 outcome unknown.
"""

from __future__ import annotations

from importlib import import_module

import click

from rollback_guard import __version__

VERBS: dict[str, str] = {
    "run": "Watch, decide and act: the daemon.",
    "check": "Find what is wrong with guard.toml and rule files.",
    "test": "Try rules and guards on made-up data.",
    "backtest": "Play rules over history: when would they have fired and acted?",
    "schema": "Print the JSON Schema of the files for your editor.",
    "status": "Show what the running guard sees and does.",
    "explain": "Tell an incident's story in plain words.",
    "ack": "Take care of an incident: nobody further is called.",
    "veto": "Cancel what a guard is about to do.",
    "extend": "Give people more time before a step is run.",
    "approve": "Let a waiting step be run at once.",
    "pause": "Take the hands off one guard, or off everything.",
    "resume": "End a pause.",
    "trigger": "Run steps of a playbook now, because you say so.",
    "undo": "Take back what was done, after a false alarm.",
    "rollout": "Tell guards that a change begins or is over.",
    "token": "Make a token for those who may change something.",
    "journal": "Check that nobody changed the journal, and export it.",
    "demo": "Break a small shop and watch the guard mend it.",
}
"""What each verb does, so that --help needs none of their modules."""

EPILOG = """\b
Exit codes:
  0 fine                          4 configuration invalid
  1 findings                      5 refused by a brake
  2 usage                         6 action failed
  3 source unreachable or blind   7 outcome unknown"""


class Verbs(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order in which people meet them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a verb's command, from its module."""
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"rollback_guard.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.command(cls=Verbs, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rollback-guard")
def main() -> None:
    """Watch a rollout, roll it back when it hurts, and check that this helped."""
