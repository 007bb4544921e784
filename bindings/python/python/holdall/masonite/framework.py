"""The session of Masonite 4 and 5, and its provider: what is behind the container key `session`, and so the facade.

The framework's calls, over the engine's session, with JSON values that come back as they were set. By default `get` and
`pull` consume flash, as there; HOLDALL["flash"] "next_request" keeps it through the next request. Knows the
application's environ.
"""

from __future__ import annotations

import json
from typing import Any

from masonite.configuration import config  # type: ignore
from masonite.providers import Provider  # type: ignore
from masonite.validation import MessageBag  # type: ignore

import holdall
from holdall.errors import HoldallError, UnsupportedError
from holdall.masonite.handler import SessionHandler
from holdall.masonite.headers import Headers
from holdall.masonite.sessions import RequestSessions
from holdall.masonite.settings import Settings


class Session:
    """The sessions of whichever request is under way."""

    def __init__(self, application: Any, settings: Settings, driver: str | None = None) -> None:
        self.application = application
        self.settings = settings
        self._driver = driver

    @property
    def session(self) -> holdall.Session:
        """The engine's session, with all it can do beyond the framework's calls."""
        sessions = self._sessions
        return sessions.open(self._driver or sessions.active)

    @property
    def _sessions(self) -> RequestSessions:
        return RequestSessions.of(self.application.make("environ"), self.settings)

    def get(self, key: str) -> Any:
        """The value of a key, data or flash; None where it is missing."""
        text = self.session.get_json(key)
        if text is None or self.session.exists(key):
            return self.session.get(key)
        # A message that was consumed: the caller's own, whatever is flashed under the same key from here on.
        return json.loads(text)

    def set(self, key: str, value: Any) -> None:
        """Sets a key."""
        self.session.set(key, _plain(value))

    def has(self, key: str) -> bool:
        """Whether a key is there, whatever its value."""
        return self.session.exists(key)

    def all(self) -> dict[str, Any]:
        """All data and flash, in a dict of its own."""
        return self.session.all()

    get_data = all

    def pull(self, key: str) -> Any:
        """The value of a key, which is deleted."""
        return self.session.pull(key)

    def delete(self, key: str) -> None:
        """Deletes a key, data and flash."""
        self.session.delete(key)

    def flush(self) -> None:
        """Clears data and flash."""
        self.session.flush()

    def reset(self, flash_only: bool = False) -> None:
        """Clears the data and leaves flash; with `flash_only`, clears flash alone."""
        self.session.reset(flash_only)

    def flash(self, key: str, value: Any) -> None:
        """Keeps a value until it has been shown."""
        self.session.flash(key, _plain(value))

    def increment(self, key: str, count: int = 1) -> None:
        """Adds to a number, which is 0 where the key is missing. Parallel requests all count."""
        self.session.increment(key, count)

    def decrement(self, key: str, count: int = 1) -> None:
        """Takes from a number."""
        self.session.decrement(key, count)

    def start(self, driver: str | None = None) -> Session:
        """Chooses the driver for the rest of the request: the default where none is named."""
        name = driver or self.settings.default
        self.settings.manager(name)
        self._sessions.active = name
        return self

    def driver(self, driver: str) -> Session:
        """The session of another driver, in the same request."""
        self.settings.manager(driver)
        return Session(self.application, self.settings, driver)

    def get_driver(self, name: str | None = None) -> Session:
        """As `driver`; without a name, this one."""
        return self if name is None else self.driver(name)

    def save(self, driver: str | None = None) -> None:
        """Nothing: what was set is saved when the response begins."""

    def add_driver(self, name: str, driver: Any) -> None:
        """Refused: the drivers are those of HOLDALL in config/session.py."""
        raise UnsupportedError(f'the session driver "{name}": HOLDALL["drivers"] in config/session.py names them')

    def helper(self) -> Session:
        """Itself, for templates."""
        return self


class SessionProvider(Provider):  # type: ignore
    """Puts the session behind the key `session`. Comes after the framework's SessionProvider."""

    def __init__(self, application: Any) -> None:
        self.application = application

    def register(self) -> None:
        """Reads HOLDALL in config/session.py, once."""
        given = dict(config("session.holdall") or {})
        settings = Settings(given, default=given.pop("default", "memory"), flash="on_read")
        self.application.bind("session", Session(self.application, settings))
        handler = SessionHandler(
            self.application.get_response_handler(),
            shows_flash=lambda status: not 300 <= status < 400,
            failed=self._failed,
        )
        self.application.set_response_handler(handler)

    def boot(self) -> None:
        """Nothing is left to do at a request: what it needs is in its environ."""

    def _failed(self, error: HoldallError) -> tuple[str, Headers]:
        response = self.application.make("response")
        response.status(500)
        self.application.make("exception_handler").handle(error)
        response = self.application.make("response")
        headers = response.get_headers() + response.cookie_jar.render_response()
        return response.get_status_code(), [pair for pair in headers if pair[0].lower() != "location"]


def _plain(value: Any) -> Any:
    """A message bag as the dict that the framework makes of it again."""
    return value.all() if isinstance(value, MessageBag) else value
