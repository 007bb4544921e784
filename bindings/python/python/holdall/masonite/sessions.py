"""The sessions of one request: one for each driver that was used, opened at its first use, committed together.

They live in the request's environ, so that nothing is shared between requests. Knows WSGI and the settings; neither
Masonite's container nor its request.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

from holdall import Session
from holdall._response import ended
from holdall.masonite.settings import Settings

KEY = "holdall.masonite"


class RequestSessions:
    """What `environ["holdall.masonite"]` holds."""

    def __init__(self, environ: MutableMapping[str, Any], settings: Settings) -> None:
        self._environ = environ
        self._settings = settings
        self._sessions: dict[tuple[str, str | None], Session] = {}
        self.headers: list[tuple[str, str]] = []
        """What the commits want the response to carry."""
        self.active = settings.default
        """The driver that calls without a name mean."""

    @classmethod
    def of(cls, environ: MutableMapping[str, Any], settings: Settings) -> RequestSessions:
        """Those of a request, made at the first call."""
        sessions = environ.get(KEY)
        if not isinstance(sessions, cls):
            sessions = environ[KEY] = cls(environ, settings)
        return sessions

    def open(self, driver: str) -> Session:
        """The session that a driver keeps for this visitor, the same object all through the request."""
        manager = self._settings.manager(driver)
        address = self._settings.address(self._environ) if self._settings.identity == "ip" else None
        session = self._sessions.get((driver, address))
        if session is None:
            if address is None:
                secure = self._settings.is_secure(self._environ)
                # A server decodes header bytes as Latin-1 (PEP 3333).
                header = self._environ.get("HTTP_COOKIE", "").encode("latin-1", "replace")
                session = manager.open(header, secure=secure)
            else:
                session = manager.open_keyed(address)
            self._sessions[driver, address] = session
        return session

    def commit(self, status: int, shows_flash: Callable[[int], bool]) -> None:
        """Ends them for a response of this status."""
        if status >= 500 and not self._settings.save_on_error:
            return
        age_flash = None
        if self._settings.flash == "next_request":
            age_flash = shows_flash(status) and _is_looked_at(self._environ)
        while self._sessions:
            key = next(iter(self._sessions))
            self.headers += ended(self._sessions[key], age_flash).headers
            del self._sessions[key]


def _is_looked_at(environ: MutableMapping[str, Any]) -> bool:
    """Whether somebody sees the response: the message is not for a program that only asks ahead."""
    purpose = environ.get("HTTP_SEC_PURPOSE", "") or environ.get("HTTP_PURPOSE", "")
    return environ.get("REQUEST_METHOD") not in ("HEAD", "OPTIONS") and "prefetch" not in purpose.lower()
