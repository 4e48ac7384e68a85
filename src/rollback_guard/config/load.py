"""Load a configuration: all problems of all files at once, or the policy.

The way of the data:

    paths ──▶ documents ──▶ schema ──▶ inventory ──▶ cross-checks ──▶ policy
                 └────────────┴─────────── problems ──────┘
"""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from rollback_guard.config import compile as compiler
from rollback_guard.config import surroundings
from rollback_guard.config.anchor import anchored_data, anchored_path
from rollback_guard.config.catalog import ONLINE, SWITCHABLE
from rollback_guard.config.checks import CHECKS
from rollback_guard.config.document import Document, decode, parse, read
from rollback_guard.config.ignores import Ignores
from rollback_guard.config.inventory import Inventory
from rollback_guard.config.places import DocumentError, Mark
from rollback_guard.config.problems import Level, Problem, did_you_mean, quoted
from rollback_guard.config.recordings import Recording, recordings_of
from rollback_guard.config.rulefile import RuleFile
from rollback_guard.config.settings import GuardFile
from rollback_guard.config.validate import Valid, validate
from rollback_guard.core.model import Policy
from rollback_guard.specs import ChannelSpec, DeadManSpec, Endpoint, MaintenanceSpec, ProbeSpec

ActionTypes = Mapping[str, type[BaseModel]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What the files say.

    Attributes:
        problems: In the order of the files; may be warnings and notices only.
        policy: None when there is any error.
        settings: guard.toml; None when there is any error, or no guard.toml. Its relative paths are as written.
        endpoints: By data source.
        probes: By rule id.
        channels: By name.
        maintenance: The windows of the calendar.
        dead_man: What is called while all is well.
        anchors: Hosts and ports that tell whether the network is there.
        base: What relative paths are relative to.
        actions: By name, each an instance of its type's model.
        recordings: Recording rules; they are left to Prometheus.
        rules: Rules and probes that were found.
        guards: Guards that were found.
        files: Files that were looked at.
        complete: Nothing was left unchecked because of a mistake elsewhere.
        ignores: What is switched off; `problems` has been sifted by it.
        inventory: What the policy was compiled from, each thing with its place; None when there is any error.
    """

    problems: tuple[Problem, ...]
    policy: Policy | None = None
    settings: GuardFile | None = None
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    probes: Mapping[str, ProbeSpec] = field(default_factory=dict)
    channels: Mapping[str, ChannelSpec] = field(default_factory=dict)
    maintenance: tuple[MaintenanceSpec, ...] = ()
    dead_man: DeadManSpec | None = None
    anchors: tuple[tuple[str, int], ...] = ()
    base: Path = Path()
    actions: Mapping[str, BaseModel] = field(default_factory=dict)
    recordings: tuple[Recording, ...] = ()
    rules: int = 0
    guards: int = 0
    files: tuple[str, ...] = ()
    complete: bool = True
    ignores: Ignores = field(default_factory=Ignores)
    inventory: Inventory | None = None


def load(paths: Sequence[Path], *, action_types: ActionTypes, lint: bool = False) -> Loaded:
    """Read the files and everything they refer to.

    Args:
        paths: A guard.toml, rule files, or both; the rule files that guard.toml names need not be given.
        action_types: The settings' model of each `type` of action.
        lint: Also look for what is allowed and will hurt; nothing that a daemon needs.

    Returns:
        The problems, and the policy when none of them is an error. Never raises for what a file holds.
    """
    return _Loading(action_types).load(paths, lint=lint)


class _Loading:
    """One run of `load`: collects problems and the bytes that were read."""

    def __init__(self, action_types: ActionTypes) -> None:
        self._types = action_types
        self._problems: list[Problem] = []
        self._digest = hashlib.sha256()
        self._seen: dict[str, str] = {}
        self._documents: list[Document] = []

    def load(self, paths: Sequence[Path], *, lint: bool) -> Loaded:
        """Go the whole way."""
        tomls = [path for path in paths if path.suffix == ".toml"]
        base = Path(anchored_path(Path(), str(tomls[0].parent))) if tomls else Path.cwd()
        settings_file = self._settings_file(tomls)
        rule_paths = [path for path in paths if path.suffix != ".toml"]
        if settings_file:
            rule_paths = [*self._matches(tomls[0].parent, settings_file), *rule_paths]
        settings, actions = self._settings(settings_file, base)
        inventory = Inventory(
            files=tuple(valid for path in rule_paths if (valid := self._rule_file(path))),
            settings=settings,
            actions=actions if settings_file else None,
            complete=not any(problem.severity is Level.ERROR for problem in self._problems),
            base=base,
        )
        for check in CHECKS:
            self._problems.extend(check(inventory))
        # Where something could not be read, its default stands there, and whoever judges that judges nobody's words.
        if lint and inventory.complete:
            from rollback_guard.config.checks import lints  # the daemon's loader never needs them

            self._problems.extend(lints.check(inventory))
        return self._loaded(inventory, lint=lint)

    def _loaded(self, inventory: Inventory, *, lint: bool) -> Loaded:
        ignores = Ignores.of(self._documents, inventory.settings)
        # What a rule file alone has switched off may well be found once its guards are there.
        asked = SWITCHABLE - ONLINE if lint and inventory.complete and inventory.settings else ()
        found = Loaded(
            problems=ignores.sift([*self._problems, *(ignores.problems if lint else ())], asked=asked),
            rules=len(inventory.rules),
            guards=len(inventory.guards),
            files=tuple(self._seen.values()),
            complete=inventory.complete,
            ignores=ignores,
        )
        if any(problem.severity is Level.ERROR for problem in found.problems):
            return found
        return replace(
            found,
            policy=compiler.policy_of(inventory, self._digest.hexdigest()[:12]),
            settings=inventory.settings.model if inventory.settings else None,
            endpoints=surroundings.endpoints_of(inventory),
            probes=surroundings.probes_of(inventory),
            channels=surroundings.channels_of(inventory),
            maintenance=surroundings.maintenance_of(inventory),
            dead_man=surroundings.dead_man_of(inventory),
            anchors=surroundings.anchors_of(inventory),
            recordings=recordings_of(inventory),
            inventory=inventory,
            base=inventory.base,
            actions={name: action for name, action in (inventory.actions or {}).items() if action is not None},
        )

    def _document(self, path: Path) -> Document | None:
        """Read a file once; a path that was there already is passed over."""
        if (key := anchored_path(Path(), str(path))) in self._seen:
            return None
        self._seen[key] = str(path)
        text = ""
        try:
            data = read(path)
            self._digest.update(len(data).to_bytes(8) + data)
            text = decode(data)
            document = parse(str(path), text)
        except DocumentError as error:
            self._refuse(Document(path=str(path), text=text), [error])
            return None
        self._refuse(document, document.parsed.flaws if document.parsed else ())
        self._documents.append(document)
        return document

    def _refuse(self, document: Document, errors: Iterable[DocumentError]) -> None:
        for error in errors:
            self._problems.append(document.problem(error.id, error.message, error.mark, hint=error.hint))

    def _settings_file(self, tomls: Sequence[Path]) -> Document | None:
        for other in tomls[1:]:
            hint = "Check one instance at a time."
            document = Document(path=str(other))
            self._problems.append(document.problem("two-guard-files", "a second guard.toml", Mark(), hint=hint))
        return self._document(tomls[0]) if tomls else None

    def _matches(self, base: Path, document: Document) -> list[Path]:
        """Return the rule files that guard.toml names, each pattern's in order."""
        section = document.data.get("guard")
        patterns = section.get("rules") if isinstance(section, dict) else None
        found: dict[Path, None] = {}
        for index, pattern in enumerate(patterns if isinstance(patterns, list) else []):
            if not isinstance(pattern, str) or not pattern.strip():
                continue  # the schema says so
            matches = sorted(glob.glob(str(base / pattern), recursive=True))  # noqa: PTH207  the pattern may be absolute
            found.update(dict.fromkeys(map(Path, matches)))
            if not matches:
                mark, message = document.value_mark(("guard", "rules", index)), f"no file matches {quoted(pattern)}"
                hint = f"It is taken from the directory of {quoted(document.path)}."
                self._problems.append(document.problem("no-rule-file", message, mark, hint=hint))
        return list(found)

    def _rule_file(self, path: Path) -> Valid[RuleFile] | None:
        document = self._document(path)
        if document is None:
            return None
        if document.data is None or document.data == "":
            document = replace(document, parsed=replace(document.parsed, data={})) if document.parsed else document
        valid, problems = validate(document, RuleFile)
        self._problems.extend(problems)
        return valid

    def _settings(
        self, document: Document | None, base: Path
    ) -> tuple[Valid[GuardFile] | None, Mapping[str, BaseModel | None]]:
        if document is None:
            return None, {}
        valid, problems = validate(document, GuardFile)
        self._problems.extend(problems)
        tables = document.data.get("actions")
        actions: dict[str, BaseModel | None] = {}
        for name, table in (tables if isinstance(tables, dict) else {}).items():
            actions[name] = self._action(document, base, name, table)
        return valid, actions

    def _action(self, document: Document, base: Path, name: str, table: Any) -> BaseModel | None:
        path = ("actions", name)
        known = ", ".join(f"`{type_}`" for type_ in sorted(self._types))
        if not isinstance(table, dict) or "type" not in table:
            message = f"the action {quoted(name)} has no `type`"
            problem = document.problem("missing-key", message, document.key_mark(path), hint=f"Known types: {known}.")
        elif not isinstance(table["type"], str) or table["type"] not in self._types:
            message = f"the action {quoted(name)} has the unknown type {quoted(table['type'])}"
            hint = f"{did_you_mean(str(table['type']), self._types)} Known types: {known}.".strip()
            mark = document.value_mark((*path, "type"))
            problem = document.problem("unknown-action-type", message, mark, hint=hint)
        else:
            data = anchored_data(base, table)
            valid, problems = validate(document, self._types[table["type"]], at=path, data=data)
            self._problems.extend(problems)
            return valid.model if valid and not problems else None
        self._problems.append(problem)
        return None
