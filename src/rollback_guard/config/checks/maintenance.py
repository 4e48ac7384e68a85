"""Find maintenance windows for guards that there are not, and those that never close."""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo

from rollback_guard.config import crontab
from rollback_guard.config.inventory import Inventory
from rollback_guard.config.problems import Problem, did_you_mean, quoted


def check(inventory: Inventory) -> Iterator[Problem]:
    """Yield what is wrong with maintenance windows."""
    if inventory.settings is None:
        return
    known = {found.guard.guard for found in inventory.guards}
    document = inventory.settings.document
    for number, window in enumerate(inventory.settings.model.maintenance):
        path = inventory.settings.origin(("maintenance", number))
        for place, name in enumerate(window.guards):
            if name not in known and inventory.complete:
                mark, hint = document.value_mark((*path, "guards", place)), did_you_mean(name, known)
                message = f"there is no guard {quoted(name)}"
                yield document.problem("unknown-guard", message, mark, hint=hint or "Name one of a rule file.")
        if crontab.never_closes(crontab.spelled_out(window.cron), ZoneInfo(window.timezone), window.for_):
            message = f"the window {quoted(window.name)} never closes: it opens again before `for` is over"
            hint = "Shorten `for`. To take a guard's hands off for good there is `rollback-guard pause`."
            mark = document.value_mark((*path, "for"))
            yield document.problem("never-closes", message, mark, hint=hint)
