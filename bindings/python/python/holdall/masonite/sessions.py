"""The sessions of one request: one for each driver that was used, opened at its first use, committed together.

They live in the request's environ, so that nothing is shared between requests. Knows WSGI and the settings; neither
Masonite's container nor its request.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any, TypeVar

import holdall
from holdall._response import LOOKED_AT, Headers, ages_flash, ended
from holdall.errors import InvalidArgumentError, MisuseError
from holdall.masonite.settings import Settings

KEY = "holdall.masonite"
MODES = ("shared", "exclusive", "read_only")

UNDER_WAY: ContextVar[MutableMapping[str, Any] | None] = ContextVar("UNDER_WAY", default=None)
"""The environ of the request that this thread works on. The framework itself knows one for the whole process, which is
somebody else's as soon as there are two threads."""


class RequestSessions:
    """What `environ["holdall.masonite"]` holds."""

    def __init__(self, environ: MutableMapping[str, Any], settings: Settings) -> None:
        self._environ = environ
        self._settings = settings
        self._sessions: dict[tuple[str, str | None], holdall.Session] = {}
        self._modes: dict[str, str] = {}
        self._discarded: set[str] = set()
        self._has_begun = False
        self.headers: Headers = []
        """What the response is to carry."""
        self.active = settings.default
        """The driver that calls without a name mean."""
        self.changed: set[str] = set()
        """The drivers whose sessions may have been changed."""
        self.taken: dict[tuple[str, str], Any] = {}
        """The messages that were taken, by driver and key, as they were handed out. They count as no change: the framework
        takes `errors` before any controller could call `start`."""

    @classmethod
    def of(cls, environ: MutableMapping[str, Any], settings: Settings) -> RequestSessions:
        """Those of a request, made at the first call."""
        sessions = environ.get(KEY)
        if not isinstance(sessions, cls):
            sessions = environ[KEY] = cls(environ, settings)
        return sessions

    def open(self, driver: str) -> holdall.Session:
        """The session that a driver keeps for this visitor, the same object all through the request."""
        manager = self._settings.manager(driver)
        address = self._settings.address(self._environ) if self._settings.is_keyed(driver) else None
        session = self._sessions.get((driver, address))
        if session is None:
            if self._has_begun:
                raise MisuseError("the response has begun, and what its session had to save is saved")
            mode: Any = self._modes.get(driver, "shared")
            if address is None:
                secure = self._settings.is_secure(self._environ)
                # A server decodes header bytes as Latin-1 (PEP 3333).
                header = self._environ.get("HTTP_COOKIE", "").encode("latin-1", "replace")
                session = manager.open(header, mode=mode, secure=secure)
            else:
                session = manager.open_keyed(address, mode=mode)
            self._sessions[driver, address] = session
        return session

    def start(self, driver: str, mode: str) -> None:
        """Opens a driver's session in this mode, for the rest of the request."""
        if mode not in MODES:
            raise InvalidArgumentError(f"a session's mode is one of {', '.join(MODES)}, not {mode!r}")
        if mode != self._modes.get(driver, "shared"):
            if driver in self.changed:
                # What was set so far would be lost.
                raise MisuseError(f'start(mode="{mode}") comes before what changes the session, not after it')
            self._modes[driver] = mode
            for opened in [opened for opened in self._sessions if opened[0] == driver]:
                self._sessions.pop(opened).close()
        session = self.open(driver)
        if mode != "read_only":
            for key in [key for of, key in self.taken if of == driver]:
                session.pull(key)

    def discard(self, driver: str) -> None:
        """Leaves a driver's session as it was before this request."""
        self._discarded.add(driver)

    def commit(self, status: int) -> None:
        """Ends them for a response of this status."""
        is_saved = status < 500 or self._settings.save_on_error
        for (driver, _), session in self._sessions.items():
            # What the application has committed itself is saved, whatever came after it.
            if session.committed is not None or (is_saved and driver not in self._discarded):
                self.headers += ended(session, self._ages_flash(status)).headers
            else:
                self.headers += LOOKED_AT

    def close(self) -> None:
        """Lets go of what was not committed, and of its locks. From here on nothing can be set."""
        self._has_begun = True
        for session in self._sessions.values():
            if session.committed is None:
                session.close()

    def _ages_flash(self, status: int) -> bool | None:
        if self._settings.flash != "next_request":
            return None
        purpose = self._environ.get("HTTP_SEC_PURPOSE") or self._environ.get("HTTP_PURPOSE", "")
        # Only a page that somebody sees: not a refused form, nor an error, nor a redirect.
        return status == 200 and ages_flash(self._environ.get("REQUEST_METHOD", "GET"), status, purpose) is None


S = TypeVar("S", bound="EngineSession")


class EngineSession:
    """What the sessions of all versions have beyond the framework's calls."""

    settings: Settings
    _driver: str | None = None
    """None: the driver that this request has chosen."""

    @property
    def session(self) -> holdall.Session:
        """The engine's session, with all it can do beyond the framework's calls."""
        sessions = self._sessions
        sessions.changed.add(self._driver_name)
        return sessions.open(self._driver_name)

    @property
    def manager(self) -> holdall.SessionManager:
        """The engine's manager of this driver, or of the default: its figures, its events, what sweeps and destroys."""
        return self.settings.manager(self._driver or self.settings.default)

    def discard(self) -> None:
        """Saves nothing of this request: neither what was set before nor what is set after."""
        self._sessions.discard(self._driver_name)

    @property
    def _seen(self) -> holdall.Session:
        """The engine's session, for a look that changes nothing."""
        return self._sessions.open(self._driver_name)

    @property
    def environ(self) -> MutableMapping[str, Any]:
        """The request's environ."""
        return UNDER_WAY.get() or self._environ

    @property
    def _sessions(self) -> RequestSessions:
        return RequestSessions.of(self.environ, self.settings)

    @property
    def _environ(self) -> MutableMapping[str, Any]:
        """The environ that the framework knows, where the handler is not around it: in its own tests."""
        raise NotImplementedError

    @property
    def _driver_name(self) -> str:
        return self._driver or self._sessions.active

    def _start(self: S, mode: str | None) -> S:
        if mode is not None:
            self._sessions.start(self._driver_name, mode)
        return self
