"""Have failed assertions of what the tests share explained, too."""

import pytest

pytest.register_assert_rewrite("chaos.scenario", "chaos.process")
