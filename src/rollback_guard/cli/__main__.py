"""Let `python -m rollback_guard.cli` do what `rollback-guard` does."""

from rollback_guard.cli import main

main(prog_name="rollback-guard")
