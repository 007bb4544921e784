"""Flask: Holdall behind `flask.session`.

`SessionInterface` opens a session at a request and commits it before the response's headers leave. It promises Flask's
own session API with Flask's own value types, and that parallel requests do not overwrite each other's keys. It knows
nothing of records and ids: the engine's session is `session.holdall`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from flask import Flask, Request, Response, request
from flask.sessions import NullSession, SessionMixin, session_json_serializer
from flask.sessions import SessionInterface as FlaskSessionInterface
from werkzeug.datastructures import Headers

from holdall import Commit, SessionManager
from holdall import Session as EngineSession
from holdall._response import LOOKED_AT, ages_flash, ended, unsaved, with_session
from holdall._response import Headers as Added
from holdall._timeouts import absolute_timeout_s
from holdall._values import written
from holdall.errors import InvalidConfigError, MisuseError

__all__ = ["Holdall", "NoSession", "Session", "SessionInterface"]

_FLASHES = "_flashes"
"""Where Flask's `flash()` keeps its messages."""


class Session(SessionMixin):
    """`flask.session`: a dict of what Flask can keep, one value at a time.

    A value is the JSON text of Flask's tagged serializer. One that was handed out is written again at the end and
    compared, so a change in place is saved without `modified = True`.
    """

    accessed = False

    def __init__(self, opened: EngineSession, serializer: Any = session_json_serializer) -> None:
        self._opened = opened
        self._serializer = serializer
        self._handed: dict[str, tuple[Any, str]] = {}
        self._modified = False
        self._cleared = False

    @property
    def holdall(self) -> EngineSession:
        """The engine's session: `regenerate()`, `increment()`, `csrf_token()`, `destroy()` and the rest of its calls.

        It gives values as they are stored, with Flask's tags. Read a value anew after changing it here: what was handed
        out before is the session's no more.
        """
        self._settle()
        # Whoever clears the session and goes on with this, say for a CSRF token, still wants a session.
        self._cleared = False
        return self._enter()

    @property
    def new(self) -> bool:  # type: ignore[override]
        """Whether there is no record yet."""
        return self._enter().is_new

    @property
    def modified(self) -> bool:
        """Whether anything was changed, in place or not. To set it is harmless and not needed."""
        return self._modified or any(self._changes())

    @modified.setter
    def modified(self, modified: bool) -> None:
        self._modified = modified

    @property
    def permanent(self) -> bool:
        """Whether the cookie outlives the browser."""
        return bool(self.get("_permanent", False))

    @permanent.setter
    def permanent(self, permanent: bool) -> None:
        self["_permanent"] = bool(permanent)
        self._enter().set_persistent(bool(permanent))

    def __getitem__(self, key: str) -> Any:
        text = self._enter().get_json(key)
        if text is None:
            raise KeyError(key)
        if text[0] not in "[{":
            # No tag, and nothing that could be changed in place.
            return json.loads(text)
        value, known = self._handed.get(key, (None, None))
        if known != text:
            value = self._serializer.loads(text)
            self._handed[key] = value, text
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        text = self._text(key, value)
        if key == _FLASHES:
            self._flash(json.loads(text))
        else:
            self._enter().set_json(key, text)
        self._wrote(key, value)

    def __delitem__(self, key: str) -> None:
        del self._enter()[key]
        self._handed.pop(key, None)
        self._modified = True

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._enter().exists(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._enter())

    def __len__(self) -> int:
        return len(self._enter())

    def pop(self, key: str, *default: Any) -> Any:
        """As of a dict. A value that another request has changed meanwhile stays for the next one."""
        try:
            value = self[key]
        except KeyError:
            if default:
                return default[0]
            raise
        self._enter().pull(key)
        self._handed.pop(key, None)
        self._modified = True
        return value

    def setdefault(self, key: str, default: Any = None) -> Any:
        """As of a dict. Of two requests that do it, the first one's default is kept."""
        if key in self:
            return self[key]
        plain = json.loads(self._text(key, default))
        self._enter().remember(key, lambda: plain)
        self._wrote(key, default)
        return default

    def update(  # type: ignore[override]
        self, other: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), /, **more: Any
    ) -> None:
        """As of a dict. All are checked before the first is set."""
        values = dict(other, **more)
        self._enter().update({key: json.loads(self._text(key, value)) for key, value in values.items()})
        for key, value in values.items():
            self._wrote(key, value)

    def clear(self) -> None:
        """Drops everything, also what another request has stored meanwhile. Left empty, record and cookie end."""
        if self.permanent:
            self._enter().set_persistent(False)
        self._enter().flush()
        self._handed.clear()
        self._modified = self._cleared = True

    def copy(self) -> dict[str, Any]:
        """What there is now, as a dict of its own."""
        return dict(self)

    def __repr__(self) -> str:
        # Printing must neither load it nor show what a visitor keeps in it.
        return f"<holdall.flask.Session {self._opened!r}>"

    def commit(self, *, age_flash: bool | None, refresh: bool) -> Commit:
        """Ends the request. `refresh`: a permanent session that was looked at lives on in full, and its cookie too."""
        opened = self._opened
        # Flask drops the cookie of a session that became empty. Only after clear(): where single keys were deleted, a
        # parallel request may be about to store one.
        if self._cleared and not len(opened):
            opened.destroy()
            return opened.commit()
        try:
            self._settle()
            if refresh and self.accessed and opened.committed is None and opened.get("_permanent"):
                opened.touch()
        except MisuseError:
            # Destroyed by the application: there is nothing left to change, and the commit drops the cookie.
            if opened.committed is not None:
                raise
            return opened.commit()
        return ended(opened, age_flash)

    def give_up(self) -> Added:
        """Ends the request without saving. Gives the headers of what the application has committed itself."""
        return unsaved(self._opened)

    def _enter(self) -> EngineSession:
        self.accessed = True
        return self._opened

    def _wrote(self, key: str, value: Any) -> None:
        text = self._opened.get_json(key)
        if text is not None and text[0] in "[{":
            self._handed[key] = value, text
        self._modified = True

    def _flash(self, messages: list[Any]) -> None:
        """Sets the messages. Flask reads the list, appends and sets it; pushed, those of all requests arrive."""
        opened = self._enter()
        before = json.loads(opened.get_json(_FLASHES) or "[]")
        if messages[: len(before)] != before:
            opened.set_json(_FLASHES, json.dumps(messages))
            return
        for message in messages[len(before) :]:
            opened.push(_FLASHES, message)

    def _settle(self) -> None:
        """Tells the engine what was changed in place."""
        for key, text in list(self._changes()):
            self._opened.replace_json(key, text)
            self._handed[key] = self._handed[key][0], self._opened.get_json(key) or text
            self._modified = True

    def _changes(self) -> Iterator[tuple[str, str]]:
        """The values that were changed in place, with their new texts."""
        for key, (value, before) in self._handed.items():
            text = self._text(key, value)
            if text == before or self._opened.get_json(key) != before:
                continue
            # Another language may have written the same value in another way.
            if text != self._text(key, self._serializer.loads(before)):
                yield key, text

    def _text(self, key: str, value: Any) -> str:
        return written(key, value, self._serializer.dumps)


class NoSession(NullSession):
    """What an application without a configuration gets: it reads as empty, and says what is missing when written to."""

    def _fail(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            'The session is unavailable because HOLDALL is not set. Set app.config["HOLDALL"] to the URL of a driver: '
            '"file:///var/lib/app/sessions", or "memory:" where there is one process.'
        )

    __setitem__ = __delitem__ = clear = pop = popitem = update = setdefault = _fail
    del _fail


class SessionInterface(FlaskSessionInterface):
    """`app.session_interface = SessionInterface()`, configured by `app.config`; or with a manager of its own."""

    null_session_class = NoSession
    serializer: Any = session_json_serializer
    """Writes and reads one value. Types of yours: `app.session_interface.serializer.register(Tag)`, as in Flask."""

    def __init__(self, manager: SessionManager | None = None) -> None:
        self._manager = manager

    def get_manager(self, app: Flask) -> SessionManager | None:
        """The manager of this request: the one given, or the application's, made once; None without a configuration."""
        if self._manager is not None:
            return self._manager
        manager = app.extensions.get("holdall")
        if manager is None and app.config.get("HOLDALL") is not None:
            # Of two threads that come first, both get the one that was set.
            manager = app.extensions.setdefault("holdall", self._make_manager(app))
        return manager

    def _make_manager(self, app: Flask) -> SessionManager:
        given = app.config["HOLDALL"]
        if isinstance(given, SessionManager):
            return given
        if isinstance(given, str):
            try:
                given = json.loads(given) if given.lstrip().startswith("{") else {"url": given}
            except ValueError as error:
                raise InvalidConfigError(f"HOLDALL: {error}") from error
        elif not isinstance(given, Mapping):
            kind = type(given).__name__
            raise InvalidConfigError(f"HOLDALL is a URL, a mapping or a SessionManager, not {kind}")
        domain = self.get_cookie_domain(app)
        same_site = self.get_cookie_samesite(app)
        cookie = {
            "name": self.get_cookie_name(app),
            # A leading dot is ignored by browsers (RFC 6265, section 5.2.3), and left out by Flask.
            "domain": domain.lstrip(".") if domain else None,
            "path": self.get_cookie_path(app),
            "http_only": self.get_cookie_httponly(app),
            "secure": self.get_cookie_secure(app),
            "same_site": same_site.lower() if same_site else "lax",
            # Flask has it since 3.1.
            "partitioned": app.config.get("SESSION_COOKIE_PARTITIONED", False),
        }
        lifetime_s = int(app.permanent_session_lifetime.total_seconds())
        config = {
            "idle_timeout_s": lifetime_s,
            "absolute_timeout_s": absolute_timeout_s(lifetime_s),
            **given,
            "cookie": {**cookie, **given.get("cookie", {})},
        }
        return SessionManager(config)

    def open_session(self, app: Flask, request: Request) -> Session | None:
        """Opens the session of a request. Reads nothing yet."""
        manager = self.get_manager(app)
        if manager is None:
            return None
        # WSGI hands over the header's bytes as Latin-1.
        header = request.environ.get("HTTP_COOKIE", "").encode("latin-1")
        return Session(manager.open(header, secure=request.is_secure), self.serializer)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Commits, and adds what the browser and caches must be told. A failed response (5xx) saves nothing."""
        assert isinstance(session, Session)
        if not session.accessed:
            return
        if response.status_code >= 500 and not app.config.get("HOLDALL_SAVE_ON_ERROR", False):
            headers = session.give_up()
        else:
            refresh = bool(app.config["SESSION_REFRESH_EACH_REQUEST"])
            purpose = request.headers.get("Sec-Purpose") or request.headers.get("Purpose") or ""
            ages = ages_flash(request.method, response.status_code, purpose)
            headers = session.commit(age_flash=ages, refresh=refresh).headers
        response.headers = Headers(with_session(list(response.headers), [*headers, *LOOKED_AT]))


class Holdall:
    """The extension: `Holdall(app)`, or `init_app(app)` later. A wrong configuration is found here, at no request."""

    def __init__(self, app: Flask | None = None) -> None:
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Puts Holdall behind `flask.session` of this application."""
        interface = SessionInterface()
        if interface.get_manager(app) is None:
            raise InvalidConfigError("HOLDALL is not set in app.config: a URL, a mapping or a SessionManager")
        app.session_interface = interface
