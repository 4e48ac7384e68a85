"""How long Hypothesis looks: `HYPOTHESIS_PROFILE=nightly make test` looks for much longer than people wait for."""

import os

from hypothesis import settings

settings.register_profile("nightly", max_examples=1000, deadline=None)
if profile := os.environ.get("HYPOTHESIS_PROFILE"):
    settings.load_profile(profile)
