"""Match regular expressions as Go does, in time linear in the text, with RE2 itself.

Python's own engine takes exponential time for patterns such as ``(a+)+$``. Templates and expectations are matched
beside decisions, against text that anybody may have written: a slow match could hold up a rollback.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

LONGEST_PATTERN = 1_000
MAX_MEMORY_BYTES = 1 << 20
"""Bound of one compiled pattern; RE2 refuses what needs more."""

_REFERENCE = re.compile(r"\$(?:\$|\{(\w+)\}|(\w+))?", re.ASCII)
"""What Go's `Expand` replaces in a replacement text; the longest name wins, so that `$1x` is the group `1x`."""


class RegexError(ValueError):
    """A pattern is not RE2, or too large."""


class Regex:
    """A compiled pattern.

    Attributes:
        pattern: As it was written.
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        import re2  # a native library that most instances never need

        if len(pattern) > LONGEST_PATTERN:
            raise RegexError(f"the pattern is longer than {LONGEST_PATTERN} characters")
        options = re2.Options()
        options.max_mem = MAX_MEMORY_BYTES
        options.log_errors = False
        try:
            self._compiled: Any = re2.compile(pattern, options)
        except re2.error as error:
            said = error.args[0] if error.args else error
            raise RegexError(said.decode(errors="replace") if isinstance(said, bytes) else str(said)) from None
        self._names: dict[str, int] = dict(self._compiled.groupindex)

    def found_in(self, text: str) -> bool:
        """Say whether the pattern matches somewhere in the text."""
        return self._compiled.search(text) is not None

    def replace_all(self, text: str, replacement: str) -> str:
        """Replace every match; `$1` and `${name}` stand for what a group matched."""
        parts: list[str] = []
        done = 0
        for match in self._compiled.finditer(text):
            if match.start() == match.end() == done and done > 0:
                continue  # Go allows no empty match right behind another match
            parts += [text[done : match.start()], self._expand(match, replacement)]
            done = match.end()
        return "".join([*parts, text[done:]])

    def _expand(self, match: Any, replacement: str) -> str:
        def value(reference: re.Match[str]) -> str:
            name = reference[1] or reference[2]
            if name is None:
                return "$"
            number = int(name) if name.isdigit() else self._names.get(name, -1)
            return (match.group(number) or "") if 0 <= number <= self._compiled.groups else ""

        return _REFERENCE.sub(value, replacement)


@lru_cache(maxsize=256)
def compile_regex(pattern: str) -> Regex:
    """Return the compiled pattern.

    Raises:
        RegexError: It is not RE2, or beyond our limits.
    """
    return Regex(pattern)
