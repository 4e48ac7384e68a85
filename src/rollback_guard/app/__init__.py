"""Put the daemon together: the only package that knows concrete classes."""

from rollback_guard.app.daemon import Daemon

__all__ = ["Daemon"]
