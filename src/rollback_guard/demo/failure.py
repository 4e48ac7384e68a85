"""Say why the demo ended without having shown what it promises."""

from __future__ import annotations

from rollback_guard.ports import GuardError

NOT_SHOWN = 1
USAGE = 2
UNREACHABLE = 3


class DemoFailed(GuardError):  # noqa: N818  it reads as what happened
    """The demo cannot go on.

    Attributes:
        code: The exit code that says so.
        advice: What to do about it, if something can be.
        logs: Whether the children's logs tell more.
    """

    def __init__(self, message: str, *, code: int = NOT_SHOWN, advice: str = "", logs: bool = True) -> None:
        super().__init__(message)
        self.code = code
        self.advice = advice
        self.logs = logs
