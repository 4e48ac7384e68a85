"""Say what is wrong with a notation."""

from __future__ import annotations


class NotationError(ValueError):
    """Say what was expected in a notation, and where.

    Attributes:
        message: One sentence, without the notation itself.
        offset: Character of the text at which it goes wrong.
    """

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
