"""Serve metrics, health, the read-only API and a plain page."""

from rollback_guard.adapters.web.app import create_app
from rollback_guard.adapters.web.connection import Bounds
from rollback_guard.adapters.web.server import ListenError, Server
from rollback_guard.adapters.web.views import View

__all__ = ["Bounds", "ListenError", "Server", "View", "create_app"]
