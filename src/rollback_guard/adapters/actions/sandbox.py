"""Compile templates with jinja2, locked in: known names, no composition, nothing run before there is a call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from jinja2 import StrictUndefined, Template, Undefined, meta, nodes, pass_eval_context
from jinja2.exceptions import TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from rollback_guard.adapters.actions.template import KNOWN, MEMBERS, NONCE, Form, TemplateProblem, show
from rollback_guard.ports import PermanentError

_COMPOSING = (
    nodes.Include,
    nodes.Import,
    nodes.FromImport,
    nodes.Extends,
    nodes.Block,
    nodes.Macro,
    nodes.CallBlock,
    nodes.FilterBlock,
    nodes.AssignBlock,
)
"""Statements that need other templates, or that could change the text in which a secret's place is marked."""


class _Sandbox(ImmutableSandboxedEnvironment):
    """A sandbox in which ``labels.items`` is the label of that name, where there is one."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        found = super().getattr(obj, attribute)
        if isinstance(found, Undefined) and attribute in MEMBERS["rollout"]:
            return self.undefined(hint=f"nothing is known of {attribute!r}; is a rollout under way that says it?")
        return found


# The evaluation context is asked for so that jinja2 does not compute constant expressions while it compiles:
# checking a file must never run what stands in it.
@pass_eval_context
def _plain(_: object, value: Any) -> str:
    return _defined(value)


@pass_eval_context
def _quoted(_: object, value: Any) -> str:
    text = _defined(value)
    if text in {"", ".", ".."}:
        raise PermanentError(f"a template puts {text!r} into the URL, which would then name something else")
    return quote(text, safe="", errors="replace")


@pass_eval_context
def _one_line(_: object, value: Any) -> str:
    return "".join(char if char.isprintable() else " " for char in _defined(value))


def _defined(value: Any) -> str:
    # `str` of a StrictUndefined raises; `show` would look into it.
    return str(value) if isinstance(value, Undefined) else show(value)


def _sandbox(form: Form) -> _Sandbox:
    finalize = {Form.PLAIN: _plain, Form.URL: _quoted, Form.HEADER: _one_line}[form]
    sandbox = _Sandbox(
        undefined=StrictUndefined, finalize=finalize, optimized=False, keep_trailing_newline=True, autoescape=False
    )
    sandbox.globals.clear()
    # A retry under the same idempotency key has to send the same text.
    del sandbox.filters["random"]
    return sandbox


_SANDBOXES = {form: _sandbox(form) for form in Form}


def compiled(skeleton: str, form: Form) -> Template:
    """Compile a text whose references were set aside.

    Raises:
        TemplateProblem: It has a syntax error, or does what no template may do.
    """
    sandbox = _SANDBOXES[form]
    try:
        tree = sandbox.parse(skeleton)
        unknown = sorted(meta.find_undeclared_variables(tree) - set(KNOWN))
        template = sandbox.from_string(skeleton)
    except TemplateSyntaxError as error:
        raise TemplateProblem(f"template, line {error.lineno}: {error.message}") from None
    except (RecursionError, MemoryError, SyntaxError, OverflowError):
        raise TemplateProblem("template: nested too deeply") from None
    if unknown:
        raise TemplateProblem(f"template: unknown name {unknown[0]!r}; a template knows {', '.join(KNOWN)}")
    if any(NONCE in const.value for const in tree.find_all(nodes.Const) if isinstance(const.value, str)):
        raise TemplateProblem("template: a secret reference stands inside of an expression; put it outside of {{ }}")
    for member, known in _unknown_members(tree):
        raise TemplateProblem(f"template: unknown member {member!r}; there are {', '.join(sorted(known))}")
    if found := next(iter(tree.find_all(_COMPOSING)), None):
        raise TemplateProblem(f"template, line {found.lineno}: {type(found).__name__.lower()} is not allowed here")
    return template


def _unknown_members(tree: nodes.Template) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield what is asked of the context by name and is not in it; a label may have any name."""
    asked: list[tuple[object, nodes.Expr]] = [(got.attr, got.node) for got in tree.find_all(nodes.Getattr)]
    asked += [(getattr(got.arg, "value", None), got.node) for got in tree.find_all(nodes.Getitem)]
    for name, owner in asked:
        root = _root(owner)
        known = MEMBERS.get(root)
        is_member = isinstance(name, str) and not name.startswith("_") and not hasattr(dict, name)
        if known is not None and is_member and name not in known:
            yield f"{root}.{name}", known


def _root(owner: nodes.Expr) -> str:
    """Return the name whose members are asked for: of `alerts` those of one element, not of the list."""
    if isinstance(owner, nodes.Getitem) and isinstance(owner.node, nodes.Name) and owner.node.name == "alerts":
        return "alerts"
    return owner.name if isinstance(owner, nodes.Name) and owner.name != "alerts" else ""
