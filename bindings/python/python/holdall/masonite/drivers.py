"""The session drivers of Masonite 1.5 to 3.0 and their manager: the documents' calls over the engine's session.

A flash message lives until the end of the first 200 response after the request that set it. Values are JSON and come
back as they were: 0, "" and False too. Knows the framework's request, and not where sessions are kept.
"""

# No `from __future__ import annotations` here: the container resolves by what the annotation of `request` is.
import sys
from collections.abc import MutableMapping
from typing import Any

from masonite.contracts.SessionContract import SessionContract  # type: ignore
from masonite.drivers.BaseDriver import BaseDriver  # type: ignore
from masonite.managers.SessionManager import SessionManager as FrameworkManager  # type: ignore
from masonite.request import Request  # type: ignore

from holdall.masonite.sessions import EngineSession
from holdall.masonite.settings import Settings

# They end a 200 response with `reset(flash_only=True)`, which would take a message that this very request has set. The
# handler ages flash in their place.
AGERS = ("masonite.providers.StartResponseProvider", "masonite.middleware.ResponseMiddleware")


class SessionDriver(EngineSession, SessionContract, BaseDriver):  # type: ignore
    """A visitor's session. `SessionManager.driver_class` gives the one of each driver, for the container."""

    def __init__(self, request: Request) -> None:
        self.request = request

    @property
    def _environ(self) -> MutableMapping[str, Any]:
        environ: MutableMapping[str, Any] = self.request.environ
        return environ

    def start(self, *, mode: str) -> "SessionDriver":
        """Opens the session "exclusive", so that nobody else changes it until this request has ended, or "read_only".
        Comes before what changes it; what was read before is read again."""
        return self._start(mode)

    def get(self, key: str) -> Any:
        """The value of a key, data or flash; None where it is missing."""
        return self._seen.get(key)

    def set(self, key: str, value: Any) -> None:
        """Sets a key."""
        self.session.set(key, value)

    def has(self, key: str) -> bool:
        """Whether a key is there, whatever its value."""
        return self._seen.exists(key)

    def all(self) -> dict[str, Any]:
        """All data and flash, in a dict of its own."""
        return self._seen.all()

    def delete(self, key: str) -> bool:
        """Deletes a key, data and flash. Whether there was one."""
        was_there = self._seen.exists(key)
        self.session.delete(key)
        return was_there

    def flash(self, key: str, value: Any) -> "Request | None":
        """Keeps a value until it has been shown. In a request that redirects it gives the request, so that
        `return request().redirect("/dashboard").session.flash(...)` answers the redirect."""
        self.session.flash(key, value)
        return self.request if getattr(self.request, "redirect_url", False) else None

    def reset(self, flash_only: bool = False) -> None:
        """Clears the data and leaves flash; with `flash_only`, clears flash alone."""
        if flash_only and sys._getframe(1).f_globals.get("__name__") in AGERS:
            return
        self.session.reset(flash_only)

    def helper(self) -> "SessionDriver":
        """What `session()` in a template gives."""
        return self

    # Masonite 2.3 and 3.0.

    def get_flashed(self, key: str) -> Any:
        """The value of a key, which is deleted."""
        return self.session.pull(key)

    def delete_flash(self, key: str) -> bool:
        """As `delete`."""
        return self.delete(key)

    def get_flashed_messages(self) -> dict[str, Any]:
        """All flash that no data hides. It is cleared."""
        everything = self._seen.all()
        self.session.reset(flash_only=True)
        return {key: value for key, value in everything.items() if not self._seen.exists(key)}

    def get_error_messages(self) -> list[Any]:
        """The messages of the flashed `errors`, in one list. Clears flash."""
        errors = self.get_flashed_messages().get("errors", {})
        return [message for messages in errors.values() for message in messages]


class SessionManager(FrameworkManager):  # type: ignore
    """Gives the session of a driver: `SessionManager.driver("file")`."""

    def __init__(self, container: Any, settings: Settings) -> None:
        super().__init__(container)
        self.settings = settings

    def driver_class(self, name: str) -> type[SessionDriver]:
        """The class that the container knows a driver by."""
        members = {"settings": self.settings, "_driver": name, "_manager": self}
        return type(f"Session{name.capitalize()}Driver", (SessionDriver,), members)

    def driver(self, driver: Any) -> SessionDriver:
        """The visitor's session of a driver. `InvalidArgumentError` where there is none of that name."""
        if driver is None or driver == "default":
            driver = self.settings.default
        if isinstance(driver, str) and not self.container.has(f"Session{driver.capitalize()}Driver"):
            self.settings.manager(driver)
        session: SessionDriver = super().driver(driver)
        return session
