"""Give groups and rules ids that stay the same over restarts and reloads, and that people can read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePath

LabelSet = Mapping[str, str]


def group_ids(files: Sequence[tuple[str, Sequence[str]]]) -> list[list[str]]:
    """Return an id for each group of each file: its name, and its file's before it where two files use the name.

    Args:
        files: Of each file its path and the names of its groups.
    """
    users = Counter(name for _, names in files for name in set(names))
    stems = _short_names([path for path, _ in files])
    return [
        [name if users[name] == 1 else f"{stem}/{name}" for name in names]
        for (_, names), stem in zip(files, stems, strict=True)
    ]


def _short_names(paths: Sequence[str]) -> list[str]:
    """Return the files' names without folder and ending, with as many folders as it takes to tell them apart."""
    parts = [PurePath(path).with_suffix("").parts for path in paths]
    longest = max((len(it) for it in parts), default=0)
    names = ["/".join(it[-1:]) for it in parts]
    for length in range(2, longest + 1):
        often = Counter(names)
        names = ["/".join(it[-length:]) if often[name] > 1 else name for it, name in zip(parts, names, strict=True)]
    return names


def rule_ids(group: str, rules: Sequence[tuple[str, LabelSet]]) -> list[str]:
    """Return an id for each rule of a group: `group/Name`, with the labels that tell rules of one name apart."""
    same: dict[str, list[LabelSet]] = {}
    for name, labels in rules:
        same.setdefault(name, []).append(labels)
    telling = {name: _telling(sets) for name, sets in same.items()}
    return [f"{group}/{name}{_selector(labels, telling[name])}" for name, labels in rules]


def _telling(sets: Sequence[LabelSet]) -> list[str]:
    keys = {key for labels in sets for key in labels}
    return sorted(key for key in keys if len({labels.get(key) for labels in sets}) > 1)


def _selector(labels: LabelSet, keys: Sequence[str]) -> str:
    shown = ", ".join(f'{key}="{_escaped(labels[key])}"' for key in keys if key in labels)
    return f"{{{shown}}}" if shown else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
