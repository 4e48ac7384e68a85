"""Switch warnings and notices off: for one thing in a file, for a file, everywhere.

    # rollback-guard: ignore=for-interval (the gateway batches)      above a rule or a key, or behind its first line
    # rollback-guard: ignore-file=rate-of-gauge                      at the top of a file
    [check] ignore = ["unscoped-selector"]                           in guard.toml
    rollback-guard check --ignore missing-file                       on this machine, this time

An error is never switched off, and neither is what is said of ignores. What switches off nothing is said, so that no
old comment hides a new mistake.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rollback_guard.config.catalog import CHECKS, LINTS, ONLINE_ERRORS, SWITCHABLE
from rollback_guard.config.comments import Comment, comments_of
from rollback_guard.config.document import Document
from rollback_guard.config.places import Mark, Place
from rollback_guard.config.problems import Level, Problem, did_you_mean, in_order, quoted
from rollback_guard.config.settings import GuardFile
from rollback_guard.config.validate import Valid

_DIRECTIVE = re.compile(r"(?P<word>[\w-]+)[ \t]*=[ \t]*(?P<ids>[^()]*?)[ \t]*(?:\(.*\)?)?\Z")
_ID = re.compile(r"[a-z][a-z0-9-]*\Z")
_WORD = re.compile(r"[a-z][a-z0-9-]*")

WORDS = ("ignore", "ignore-file")
TOP = "Put it above the first key of the file; above a rule or a key it is `ignore=`."

MOST_COMMENTS = 1_000
"""Comments of one file that are heeded; more are a machine's, and it can use `[check] ignore`."""

LONGEST_COMMENT = 50
"""Lines of comment that may stand between a comment of ours and what it is for."""

EVERYWHERE = 0
"""The line from which an ignore counts that is for a whole file."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ignore:
    """One check that is switched off.

    Attributes:
        document: Where that is said.
        path: The file that it is for; ``None`` for all of them.
        first: The first line that it is for.
        last: The last line; ``None`` for all that follow.
    """

    document: Document
    mark: Mark
    id: str
    path: str | None = None
    first: int = EVERYWHERE
    last: int | None = None

    def covers(self, problem: Problem) -> bool:
        """Say whether a problem is switched off by it."""
        return (
            self.id == problem.id
            and problem.severity is not Level.ERROR
            and self.path in (None, problem.path)
            and self.first <= problem.line
            and (self.last is None or problem.line <= self.last)
        )


@dataclass(frozen=True, kw_only=True)
class Ignores:
    """All that is switched off in some files.

    Attributes:
        problems: What is wrong with the ignores themselves.
        everywhere: The ids that are switched off by whoever checks, whatever the files say.
    """

    problems: tuple[Problem, ...] = ()
    everywhere: frozenset[str] = frozenset()
    _of: Mapping[str, tuple[Ignore, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, documents: Iterable[Document], settings: Valid[GuardFile] | None) -> Ignores:
        """Return what files and guard.toml switch off."""
        reader = _Reader()
        for document in documents:
            reader.read(document)
        if settings:
            reader.take_settings(settings)
        by_id: dict[str, list[Ignore]] = {}
        for ignore in reader.found:
            by_id.setdefault(ignore.id, []).append(ignore)
        return cls(problems=tuple(reader.problems), _of={id_: tuple(each) for id_, each in by_id.items()})

    def sift(self, problems: Iterable[Problem], *, asked: Collection[str] = ()) -> tuple[Problem, ...]:
        """Return the problems that are not switched off.

        Args:
            problems: What checks found.
            asked: The ids of all these checks, where they looked at everything: what is switched off of them and was
                not found becomes a notice.
        """
        used: set[Ignore] = set()
        kept: list[Problem] = []
        for problem in problems:
            covering = [ignore for ignore in self._of.get(problem.id, ()) if ignore.covers(problem)]
            used.update(covering)
            passed_over = problem.id in self.everywhere and problem.severity is not Level.ERROR
            if not covering and not passed_over:
                kept.append(problem)
        idle = (it for id_ in asked for it in self._of.get(id_, ()) if it not in used)
        return in_order([*kept, *map(_unused, idle)])


def refusal_of(id_: str) -> tuple[str, str] | None:
    """Return why a check cannot be switched off, and what to do; ``None`` where it can."""
    if id_ in SWITCHABLE:
        return None
    if id_ in CHECKS or id_ in ONLINE_ERRORS:
        return f"{quoted(id_)} cannot be switched off", "Mend it, and remove this."
    hint = did_you_mean(id_, SWITCHABLE)
    return (
        f"there is no check {quoted(id_)}",
        hint or f"docs/checks/README.md lists them; one is {quoted(next(iter(LINTS)))}.",
    )


def _how(ids: Sequence[str] = ()) -> str:
    """Return how a comment has to be written, with the ids that somebody wrote."""
    named = ",".join(ids) or "ID"
    listed = "" if ids else " docs/checks/README.md lists the ids."
    comment = f"`# rollback-guard: ignore={named} (why)`"
    return f"Write {comment} above a rule, a key or a guard, or behind its first line.{listed}"


def _unused(ignore: Ignore) -> Problem:
    message = f"{quoted(ignore.id)} is switched off here and was not found"
    hint = "Remove it, or it will hide the next one."
    return ignore.document.problem("unused-ignore", message, ignore.mark, hint=hint, level=Level.NOTICE)


class _Reader:
    """Collects ignores, and what is wrong with them."""

    def __init__(self) -> None:
        self.found: list[Ignore] = []
        self.problems: list[Problem] = []

    def read(self, document: Document) -> None:
        """Read the comments of a file."""
        comments = [it for it, _ in zip(comments_of(document), range(MOST_COMMENTS), strict=False)]
        if not comments:
            return
        spans = Spans(document)
        for comment in comments:
            self._comment(document, comment, spans)

    def take_settings(self, settings: Valid[GuardFile]) -> None:
        """Read `[check] ignore`."""
        for index, id_ in enumerate(settings.model.check.ignore):
            mark = settings.document.value_mark(settings.origin(("check", "ignore", index)))
            if self._known(settings.document, id_, mark):
                self.found.append(Ignore(document=settings.document, mark=mark, id=id_))

    def _comment(self, document: Document, comment: Comment, spans: Spans) -> None:
        directive = _DIRECTIVE.match(comment.text)
        word = directive["word"] if directive else comment.text.partition(" ")[0]
        if word not in WORDS:
            if directive or word.startswith("ignore"):
                message = f"`check` does not know {quoted(word)}"
                self._bad(document, comment.mark, message, did_you_mean(word, WORDS) or _how())
            return  # a sentence that happens to begin with our name
        ids = [text.strip() for text in directive["ids"].split(",")] if directive else []
        if not ids or not all(map(_ID.match, ids)):
            meant = [it for it in _WORD.findall(comment.text) if it in SWITCHABLE]
            hint = f"{_how(meant)} Several ids have commas between them, and a reason stands in parentheses."
            self._bad(document, comment.mark, "this names no check to ignore", hint)
            return
        if comment.buried:
            message = "this comment is a part of the expression, where `check` does not look for it"
            self._bad(document, comment.mark, message, _how(ids))
            return
        for id_ in ids:
            if self._known(document, id_, comment.mark):
                self._add(document, comment, id_, word, spans.whole if word == WORDS[1] else spans.at(comment))

    def _add(self, document: Document, comment: Comment, id_: str, word: str, span: Span | None) -> None:
        if word == WORDS[1] and not (comment.alone and span and comment.mark.line < span[0]):
            self._bad(document, comment.mark, "`ignore-file` does not stand at the top of the file", TOP)
        elif span is None:
            self._bad(document, comment.mark, "this comment stands above nothing that it could be for", _how([id_]))
        else:
            first, last = (EVERYWHERE, None) if word == WORDS[1] else span
            self.found.append(
                Ignore(document=document, mark=comment.mark, id=id_, path=document.path, first=first, last=last)
            )

    def _known(self, document: Document, id_: str, mark: Mark) -> bool:
        refusal = refusal_of(id_)
        if refusal is None:
            return True
        message, hint = refusal
        self.problems.append(document.problem("unknown-ignore", message, mark, hint=hint, level=Level.WARNING))
        return False

    def _bad(self, document: Document, mark: Mark, message: str, hint: str) -> None:
        self.problems.append(document.problem("bad-ignore", message, mark, hint=hint, level=Level.WARNING))


Span = tuple[int, int | None]
"""The first and the last line of a thing; without a last one it ends with the file."""


class Spans:
    """Know on which lines each thing of a file stands."""

    def __init__(self, document: Document) -> None:
        places = document.parsed.places if document.parsed else {}
        order = sorted(places.items(), key=lambda it: (_begins(it[1]), len(it[0])))
        self._things = [(path, _begins(place).line) for path, place in order if path]
        self._toml = document.path.endswith(".toml")
        self._document = document
        self._ends = _ends([(len(path), line) for path, line in self._things])
        self._on: dict[int, list[int]] = {}
        for number, (_, line) in enumerate(self._things):
            self._on.setdefault(line, []).append(number)

    @property
    def whole(self) -> Span | None:
        """The lines of all things together."""
        return (self._things[0][1], None) if self._things else None

    def at(self, comment: Comment) -> Span | None:
        """Return the lines of the thing that a comment stands above, or behind."""
        line = comment.mark.line
        if comment.alone:
            behind = range(line + 1, line + LONGEST_COMMENT)
            line = next((it for it in behind if not self._document.line(it).lstrip().startswith("#")), line)
        begun = self._on.get(line)
        if not begun:
            return None
        number = begun[0]
        if self._toml and self._document.line(line).lstrip().startswith("["):
            number = begun[-1]  # a header begins all tables of its name that no other header began
        return line, self._ends[number]


def _begins(place: Place) -> Mark:
    return min(place.key or place.value, place.value)


def _ends(things: list[tuple[int, int]]) -> list[int | None]:
    """Return the last line of each thing, given the depth and the line of all of them in the order of the file."""
    ends: list[int | None] = [None] * len(things)
    open_: list[int] = []
    for number, (depth, line) in enumerate(things):
        while open_ and things[open_[-1]][0] >= depth:
            before = open_.pop()
            ends[before] = max(line - 1, things[before][1])
        open_.append(number)
    return ends
