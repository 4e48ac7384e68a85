"""Serve metrics, health, the API and a plain page."""

from rollback_guard.adapters.web.app import create_app
from rollback_guard.adapters.web.connection import Bounds
from rollback_guard.adapters.web.server import ListenError, Server
from rollback_guard.adapters.web.tls import Certificate
from rollback_guard.adapters.web.tokens import TokenFile
from rollback_guard.adapters.web.views import View

__all__ = ["Bounds", "Certificate", "ListenError", "Server", "TokenFile", "View", "create_app"]
