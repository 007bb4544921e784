"""The provider for Masonite 1.5 to 3.0: binds the session where the framework's own SessionProvider does.

It takes that one's place in the list of providers. Knows the container's keys, and not what a session does.
"""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace
from typing import Any

import masonite  # type: ignore
from masonite.provider import ServiceProvider  # type: ignore

from holdall._response import Headers
from holdall.errors import HoldallError, InvalidConfigError
from holdall.masonite.drivers import SessionManager
from holdall.masonite.handler import SessionHandler
from holdall.masonite.settings import Settings


class SessionProvider(ServiceProvider):  # type: ignore
    """Binds `Session`, `SessionManager`, `SessionMemoryDriver` and one more for each driver of `HOLDALL`."""

    wsgi = True

    def register(self) -> None:
        """Reads config/session.py, once."""
        config = import_module("config.session")
        given = getattr(config, "HOLDALL", {})
        if "default" in given:
            raise InvalidConfigError('HOLDALL["default"]: the default driver is what DRIVER says')
        key = getattr(import_module("config.application"), "KEY", None)
        manager = SessionManager(self.app, Settings(given, default=config.DRIVER, flash="next_request", key=key))
        # A copy, because containers from 2.3 on refuse modules.
        self.app.bind("SessionConfig", SimpleNamespace(**vars(config)))
        self.app.bind("SessionManager", manager)
        for name in manager.settings.drivers:
            self.app.bind(f"Session{name.capitalize()}Driver", manager.driver_class(name))
        # As WhitenoiseProvider does it: wsgi.py asks for this key in the end.
        if self.app.has("WSGI"):
            self.app.bind("WSGI", SessionHandler(self.app.make("WSGI"), failed=self._failed))

    def boot(self) -> None:
        """Binds the session of this request."""
        manager = self.app.make("SessionManager")
        session = manager.driver(manager.settings.default)
        self.app.bind("Session", session)
        if hasattr(masonite, "Session"):
            # From 2.1 on: what controllers annotate to have it injected.
            self.app.swap(masonite.Session, session)
        self.app.make("Request").session = session
        self.app.make("ViewClass").share({"session": session.helper})

    def _failed(self, error: HoldallError) -> tuple[str, Headers]:
        answer = _response(self.app)
        if answer is not None:
            # It keeps the status of the page that was not sent, otherwise.
            answer.status(500)
        self.app.make("ExceptionHandler").load_exception(error)
        if answer is None:
            # Masonite 1: the headers in the container are those of the page that was not sent.
            return self.app.make("StatusCode"), [("Content-Type", "text/html; charset=utf-8")]
        return answer.get_status_code(), answer.get_and_reset_headers()


def _response(app: Any) -> Any:
    """What knows status and headers: the response in 3.0, the request in 2; None before."""
    for holder in (_bound(app, "masonite.response", "Response"), app.make("Request")):
        if hasattr(holder, "get_and_reset_headers") and hasattr(holder, "get_status_code"):
            return holder
    return None


def _bound(app: Any, module: str, name: str) -> Any:
    try:
        return app.make(getattr(import_module(module), name))
    except ImportError:
        return None
