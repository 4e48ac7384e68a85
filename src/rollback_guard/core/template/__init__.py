"""Render the labels and annotations of alerts as Prometheus does.

A text without ``{{`` stands for itself, and a guard whose rules are healthy renders nothing: the parser and the
functions of the language are imported when there is a template to render.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["problems", "render", "syntax_problem", "uses_value"]

MARK = "{{"


def render(
    text: str,
    *,
    labels: Mapping[str, str],
    value: float,
    external_labels: Mapping[str, str] | None = None,
    external_url: str = "",
) -> str:
    """Return the text of a label or annotation for one series; what fails is said in the text, as in Prometheus.

    Args:
        text: As the rule file has it.
        labels: Of the series; a missing one is empty text.
        value: Of the series.
        external_labels: Of this instance.
        external_url: Where this instance is reached, for ``externalURL`` and ``pathPrefix``.
    """
    if MARK not in text:
        return text
    from rollback_guard.core.template import text as template

    return template.render(
        text, labels=labels, value=value, external_labels=external_labels or {}, external_url=external_url
    )


def syntax_problem(text: str) -> str | None:
    """Return why a template does not parse, which Prometheus would refuse too; ``None`` when it does."""
    from rollback_guard.core.template import text as template

    return template.syntax_problem(text) if MARK in text else None


def problems(text: str) -> list[str]:
    """Return what will go wrong with a template whatever the labels are; nothing when all is well."""
    from rollback_guard.core.template import text as template

    return template.problems(text) if MARK in text else []


def uses_value(text: str) -> bool:
    """Say whether a template reads the value, so that a label made of it would change in every slot."""
    from rollback_guard.core.template import text as template

    return MARK in text and template.uses_value(text)
