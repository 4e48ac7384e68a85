"""Import requests without the detectors of character sets that it looks for.

They guess in which encoding a text is that does not say so, and nobody here asks for that: answers are read as bytes of
JSON. Their tables are 3 MB of the memory of a sidecar. requests does without them, as where none is installed.
"""

from __future__ import annotations

import sys
import warnings

DETECTORS = ("chardet", "charset_normalizer")
COMPLAINT = "Unable to find acceptable character detection dependency"


def import_requests() -> None:
    """Import requests; where somebody has imported it before, or a detector, this changes nothing."""
    hidden = [name for name in DETECTORS if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # what makes an import fail
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=COMPLAINT)
            import requests  # noqa: F401  from here on it is there for everybody
    finally:
        for name in hidden:
            del sys.modules[name]


import_requests()
