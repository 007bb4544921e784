"""The session of Masonite 4 and 5, and its provider: what is behind the container key `session`, and so the facade.

The framework's calls, over the engine's session, with JSON values that come back as they were set. By default `get` and
`pull` consume flash, as there; HOLDALL["flash"] "next_request" keeps it through the next request. Knows the
application's environ.
"""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from typing import Any

from masonite.configuration import config  # type: ignore
from masonite.providers import Provider  # type: ignore
from masonite.validation import MessageBag  # type: ignore

from holdall._response import Headers
from holdall.errors import HoldallError, UnsupportedError
from holdall.masonite.handler import SessionHandler
from holdall.masonite.sessions import EngineSession
from holdall.masonite.settings import Settings


class Session(EngineSession):
    """The sessions of whichever request is under way."""

    def __init__(self, application: Any, settings: Settings, driver: str | None = None) -> None:
        self.application = application
        self.settings = settings
        self._driver = driver

    @property
    def _environ(self) -> MutableMapping[str, Any]:
        environ: MutableMapping[str, Any] = self.application.make("environ")
        return environ

    def get(self, key: str) -> Any:
        """The value of a key, data or flash; None where it is missing."""
        session = self._seen
        text = session.get_json(key)
        if text is None or session.exists(key):
            return session.get(key)
        # A message that was consumed: the caller's own, whatever is flashed under the same key from here on.
        value = self._sessions.taken[self._driver_name, key] = json.loads(text)
        return value

    def set(self, key: str, value: Any) -> None:
        """Sets a key."""
        self.session.set(key, _plain(value))

    def has(self, key: str) -> bool:
        """Whether a key is there, whatever its value."""
        return self._seen.exists(key)

    def all(self) -> dict[str, Any]:
        """All data and flash, in a dict of its own."""
        return self._seen.all()

    get_data = all

    def pull(self, key: str) -> Any:
        """The value of a key, which is deleted."""
        if self._seen.data_json(key) is not None:
            return self.session.pull(key)
        value = self._seen.pull(key)
        if value is not None:
            self._sessions.taken[self._driver_name, key] = value
        return value

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
        taken = self._sessions.taken
        if value is not None and value is taken.get((self._driver_name, key)):
            # How SessionMiddleware looks at `errors`.
            del taken[self._driver_name, key]
            self._seen.flash(key, value)
        else:
            self.session.flash(key, _plain(value))

    def increment(self, key: str, count: int = 1) -> None:
        """Adds to a number, which is 0 where the key is missing. Parallel requests all count."""
        self.session.increment(key, count)

    def decrement(self, key: str, count: int = 1) -> None:
        """Takes from a number."""
        self.session.decrement(key, count)

    def start(self, driver: str | None = None, *, mode: str | None = None) -> Session:
        """Chooses the driver for the rest of the request: the default where none is named.

        `mode` "exclusive": nobody else changes the session until this request has ended; "read_only": it is not changed.
        Comes before what changes it; what was read before is read again.
        """
        name = driver or self.settings.default
        self.settings.manager(name)
        self._sessions.active = name
        return self._start(mode)

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
        settings = Settings(given, default=given.pop("default", None), flash="on_read", key=config("application.key"))
        self.application.bind("session", Session(self.application, settings))
        handler = SessionHandler(
            self.application.get_response_handler(),
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
