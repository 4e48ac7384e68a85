"""Define the types of tables whose keys are people's own: labels, annotations, selectors, headers."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from rollback_guard.config.expressions import LabelTemplate, Template
from rollback_guard.config.fields import Flaw, LabelText, Text, empty_for_nothing, refuse
from rollback_guard.config.problems import quoted

_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")


def _label_name(name: str) -> str:
    if not _LABEL_NAME.match(name) or name == "__name__":
        raise refuse(Flaw("bad-label", f"{quoted(name)} cannot be a label's name", "Use letters, digits and `_`."))
    return name


def _header_name(name: str) -> str:
    if not _HEADER_NAME.match(name):
        raise refuse(Flaw("bad-value", f"{quoted(name)} cannot be a header's name", "Use letters, digits and `-`."))
    return name


LabelName = Annotated[str, AfterValidator(_label_name)]
HeaderName = Annotated[str, AfterValidator(_header_name)]

Annotations = Annotated[dict[LabelName, Template], BeforeValidator(empty_for_nothing)]
RuleLabels = Annotated[dict[LabelName, LabelTemplate], BeforeValidator(empty_for_nothing)]
Selector = Annotated[dict[LabelName, LabelText], BeforeValidator(empty_for_nothing)]
Headers = Annotated[dict[HeaderName, Text], BeforeValidator(empty_for_nothing)]
