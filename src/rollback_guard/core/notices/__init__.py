"""Say which record is told to whom, and in which words.

The ids come from the records alone, so that a restart or a replay makes the same ones: what is known in the outbox is
not told again. Without a channel there is no notice.
"""

from rollback_guard.core.notices.tell import notices, trouble

__all__ = ["notices", "trouble"]
