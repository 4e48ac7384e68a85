"""Tell what happened in plain words, from nothing but records."""

from rollback_guard.core.story.account import Line
from rollback_guard.core.story.tale import tell, tell_guard

__all__ = ["Line", "tell", "tell_guard"]
