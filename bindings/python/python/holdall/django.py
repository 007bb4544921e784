"""Django: Holdall as `SESSION_ENGINE = "holdall.django"`.

`SessionStore` keeps Django's contract, sync and async. It promises that a save stores what this request changed and
nothing else, so that parallel requests do not overwrite each other's keys, and that changes in place are noticed. It
knows nothing of requests and responses. `SessionMiddleware` is Django's own, which reads and writes the cookie, and
tells caches what Django's does not.
"""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessionMiddleware
from django.contrib.sessions.serializers import JSONSerializer
from django.core import signing
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_cache_control, patch_vary_headers

from holdall import InvalidValueError, SessionManager
from holdall import Session as EngineSession
from holdall._timeouts import LONGEST_S, absolute_timeout_s
from holdall._values import written

__all__ = ["SessionMiddleware", "SessionStore", "manager"]


_SCALARS = frozenset((str, int, float, bool, type(None)))
"""Types that nothing can change in place."""


class _Configured(NamedTuple):
    """What the setting `HOLDALL` made."""

    manager: SessionManager
    has_absolute_timeout: bool


_configured: dict[str, _Configured] = {}
"""By the text of the setting, which tests override."""


def _make(document: str) -> _Configured:
    if "django.contrib.sessions.middleware.SessionMiddleware" in settings.MIDDLEWARE:
        warnings.warn(
            "MIDDLEWARE names Django's own SessionMiddleware. It sends a new cookie without Cache-Control: no-store, so "
            'that a shared cache may hand it to another visitor. Name "holdall.django.SessionMiddleware" instead',
            RuntimeWarning,
            stacklevel=2,
        )
    # How long a session lives is said at each save, as Django counts it.
    try:
        fields = json.loads(document) if document.lstrip().startswith("{") else {"url": document}
        made = SessionManager({"idle_timeout_s": LONGEST_S, "absolute_timeout_s": LONGEST_S, **fields})
    except ValueError as error:
        raise ImproperlyConfigured(f"HOLDALL: {error}") from error
    if made.stats()["drivers"][made.driver_name]["capabilities"]["client_side"]:
        raise ImproperlyConfigured(
            f"HOLDALL: the driver {made.driver_name!r} keeps sessions in cookies, and Django writes the cookie itself, with a key"
        )
    return _Configured(made, "absolute_timeout_s" in fields)


def _document() -> str:
    given = getattr(settings, "HOLDALL", None)
    if isinstance(given, str):
        return given
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(
            "The session engine holdall.django needs the setting HOLDALL: the URL of a driver, as "
            '"file:///var/lib/app/sessions", or a mapping'
        )
    try:
        # A path made from BASE_DIR is text here.
        return json.dumps(dict(given), default=os.fspath, sort_keys=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise ImproperlyConfigured(f"HOLDALL: {error}") from error


def _in_force() -> _Configured:
    document = _document()
    configured = _configured.get(document)
    if configured is None:
        # Of two threads that come first, both get the one that was set. Without a lock, which a fork could leave held.
        configured = _configured.setdefault(document, _make(document))
    return configured


def manager() -> SessionManager:
    """The manager of the setting `HOLDALL`, one in a process: two would not share what they keep in memory."""
    return _in_force().manager


def _let_go(*, setting: str, enter: bool, **_: object) -> None:
    """Where a test's `override_settings` ends, its manager ends too, with the directory it holds open."""
    if setting == "HOLDALL" and not enter:
        try:
            restored = _document()
        except ImproperlyConfigured:
            # There was none, or a wrong one: that is for whoever opens a session to hear.
            restored = ""
        for document in [document for document in _configured if document != restored]:
            del _configured[document]


setting_changed.connect(_let_go)


class _Base:
    """What a dict of session data was when it was loaded or saved last: a save stores the difference."""

    def __init__(self, data: dict[str, Any], marks: dict[str, Any], *, cleared: bool = False) -> None:
        self.data = data
        self.marks = marks
        self.objects = dict(data) if marks else {}
        self.cleared = cleared
        # What `modified` compares with. Set to False, it begins anew.
        self.seen = marks


class SessionStore(SessionBase):
    """A visitor's session as Django knows it. Its key is the engine's id: chosen by the engine, and never adopted."""

    # Django's own: the data, loaded at the first access. Its stubs leave it out.
    _session: dict[str, Any]

    ended = False
    """For the middleware: whether this request has ended the session."""

    def __init__(self, session_key: str | None = None) -> None:
        self._manager, self._has_absolute_timeout = _in_force()
        self._last: _Base | None = None
        super().__init__(session_key)

    # What was changed.

    @property
    def modified(self) -> bool:
        """Whether anything was changed since it was loaded or since this was set to False, in place or not."""
        if self._modified or not hasattr(self, "_session_cache"):
            return self._modified
        return self._seen() != self._base().seen

    @modified.setter
    def modified(self, modified: bool) -> None:
        self._modified = modified
        if not modified and hasattr(self, "_session_cache"):
            self._base().seen = self._seen()

    def _base(self) -> _Base:
        if self._last is None or self._last.data is not self._session_cache:
            # A new dict, of a visitor without a record.
            self._last = _Base(self._session_cache, {})
        return self._last

    def _seen(self) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        for key, value in self._session_cache.items():
            try:
                seen[key] = self._mark(key, value)
            except InvalidValueError:
                # The save says why it cannot be kept; asking whether it has changed must not.
                seen[key] = None
        return seen

    def clear(self) -> None:
        super().clear()
        self._last = _Base(self._session_cache, {}, cleared=True)

    # Values.

    def _text(self, key: str, value: Any) -> str:
        """The serializer's text of a value."""
        return written(key, value, lambda value: str(self.serializer().dumps(value), "latin-1"), is_json=self._keeps_json)

    def _mark(self, key: str, value: Any) -> Any:
        """What tells whether a value has changed: the text of what can be changed in place, and a scalar itself."""
        kind = type(value)
        return (kind, value) if kind in _SCALARS else self._text(key, value)

    @property
    def _keeps_json(self) -> bool:
        return issubclass(self.serializer, JSONSerializer)

    def _to_json(self, key: str, value: Any) -> str:
        """What is stored of a value: the serializer's text if that is JSON, else a signed string."""
        if self._keeps_json:
            return self._text(key, value)
        signer = signing.TimestampSigner(salt=self.key_salt)
        return json.dumps(signer.sign_object(value, serializer=self.serializer, compress=True))

    def _of_json(self, text: str) -> Any:
        if self._keeps_json:
            # Django's serializer reads Latin-1, another language may have written UTF-8.
            ascii_text = text if text.isascii() else json.dumps(json.loads(text))
            return self.serializer().loads(ascii_text.encode("ascii"))
        signer = signing.TimestampSigner(salt=self.key_salt)
        return signer.unsign_object(json.loads(text), serializer=self.serializer)

    # The store.

    def load(self) -> dict[str, Any]:
        opened = self._manager.open_token(self.session_key, mode="read_only")
        if opened.is_new:
            self._session_key = None
            return {}
        try:
            if self.serializer is JSONSerializer:
                data = opened.all()
            else:
                data = {key: self._of_json(opened.get_json(key) or "null") for key in opened}
        except signing.BadSignature:
            # As Django does it after SECRET_KEY has changed.
            logging.getLogger("django.security.SuspiciousSession").warning("Session data corrupted")
            self._session_key = None
            return {}
        if not hasattr(self, "_session_cache"):
            self._last = _Base(data, self._marks(data))
        return data

    def _marks(self, data: dict[str, Any]) -> dict[str, Any]:
        return {key: self._mark(key, value) for key, value in data.items()}

    def exists(self, session_key: str | None) -> bool:
        return bool(session_key) and not self._manager.open_token(session_key, mode="read_only").is_new

    def create(self) -> None:
        # Nothing is loaded: it begins with what was set so far.
        self._session_cache: dict[str, Any] = getattr(self, "_session_cache", {})
        self._save(self._manager.open_token(), self._session_cache, creates=True)
        self.modified = True

    def save(self, must_create: bool = False) -> None:
        """Stores what was changed since the load, on the record as it is stored now.

        Raises `UpdateError` where another request has ended the session or given it a new key meanwhile.
        """
        key = self.session_key
        if must_create and self.exists(key):
            raise CreateError
        if key is None or must_create:
            return self.create()
        # Loads, if that has not been done; the key is forgotten where the record has vanished.
        data = self._session
        self._save(self._manager.open_token(key), data, creates=False)

    def cycle_key(self) -> None:
        """A new key for the same session, and for what another request is storing in it.

        Where another request has ended it meanwhile its data does not come back: what was set here begins a new one.
        """
        data = self._session
        if self.session_key is None:
            return self.create()
        opened = self._manager.open_token(self.session_key)
        opened.regenerate()
        try:
            self._save(opened, data, creates=False)
        except UpdateError:
            before, now = self._base().marks, self._marks(data)
            self._session_cache = {key: data[key] for key in data if now[key] != before.get(key)}
            return self.create()
        self.modified = True

    async def acycle_key(self) -> None:
        await sync_to_async(self.cycle_key)()

    def delete(self, session_key: str | None = None) -> None:
        if session_key is None:
            self.ended = True
            session_key = self.session_key
        if session_key is not None:
            self._manager.open_token(session_key).destroy()

    @classmethod
    def clear_expired(cls) -> None:
        manager().sweep()

    def _get_new_session_key(self) -> str:
        return str(self._manager.open_token().id)

    async def _aget_new_session_key(self) -> str:
        return self._get_new_session_key()

    def _save(self, opened: EngineSession, data: dict[str, Any], *, creates: bool) -> None:
        if opened.is_new and not creates:
            raise UpdateError
        marks = self._marks(data)
        age_s = self.get_expiry_age(expiry=data.get("_session_expiry"))
        if age_s <= 0:
            # It is over already, and what is over is not stored.
            self._session_key = opened.id
            opened.destroy()
            self._last = _Base(data, {})
            return
        self._write(opened, data, marks, creates)
        opened.set_idle_timeout(min(age_s, LONGEST_S))
        opened.set_absolute_timeout(self._absolute_timeout_s(data))
        opened.touch()
        if creates:
            # A record of its own also where there is no data yet: Django's contract.
            opened.csrf_token()
        if opened.commit(age_flash=False).outcome in ("gone", "moved"):
            raise UpdateError
        self._session_key = opened.id
        self._last = _Base(data, marks)
        if creates:
            # The engine keeps a new record short until its cookie comes back. Django's requests that only read save
            # nothing, so that it would end early.
            came_back = self._manager.open_token(self.session_key)
            came_back.touch()
            came_back.commit(age_flash=False)

    def _absolute_timeout_s(self, data: dict[str, Any]) -> int | None:
        """How long it lives however often it is used; None: as long as `HOLDALL` says, or as there is no end."""
        if self._has_absolute_timeout or data.get("_session_expiry"):
            # `set_expiry` has said when it ends, and Django's `get_expiry_age` answers by that.
            return None
        return absolute_timeout_s(self.get_session_cookie_age())

    def _write(self, opened: EngineSession, data: dict[str, Any], marks: dict[str, Any], creates: bool) -> None:
        base = _Base(data, {}) if creates else self._base()
        if base.cleared:
            opened.flush()
        opened.delete(*(base.marks.keys() - marks.keys()))
        for key, mark in marks.items():
            if key in base.marks and mark == base.marks[key]:
                continue
            stored = self._to_json(key, data[key])
            if key not in base.marks or base.objects[key] is not data[key]:
                opened.set_json(key, stored)
            elif opened.exists(key):
                # Changed in place. What was appended to a list is, also where another request has appended to it too.
                added = self._added(base.marks[key], mark)
                for element in added:
                    opened.push(key, element)
                if not added:
                    opened.replace_json(key, stored)

    def _added(self, before: str, now: str) -> list[Any]:
        if not self._keeps_json or before[0] != "[" or now[0] != "[":
            return []
        old, new = json.loads(before), json.loads(now)
        return new[len(old) :] if new[: len(old)] == old else []


class SessionMiddleware(DjangoSessionMiddleware):
    """Django's own, to be named in `MIDDLEWARE` in its place.

    Keeps a response that sets or removes the cookie out of caches. Django says `Vary: Cookie` alone: that keeps apart who
    has a cookie, but all who have none are one to a cache, and the next of them would get the cookie of the first.

    Removes the cookie where this request ended the session, and not where there was none under it: there another request
    may have just signed in, and its new cookie would be the one that goes.
    """

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        name = settings.SESSION_COOKIE_NAME
        status = response.status_code
        if status >= 500 and getattr(settings, "HOLDALL_SAVE_ON_ERROR", False):
            # Django's saves nothing then, and has no setting for it. The status is all that it looks at.
            response.status_code = 200
        is_set_by_view = name in response.cookies
        try:
            response = super().process_response(request, response)
        finally:
            response.status_code = status
        if name not in response.cookies:
            return response
        if not (response.cookies[name].value or is_set_by_view or getattr(request.session, "ended", True)):
            del response.cookies[name]
            return response
        patch_vary_headers(response, ("Cookie",))
        said = {word.strip().lower() for word in response.get("Cache-Control", "").split(",")}
        if not said & {"no-store", "private"}:
            patch_cache_control(response, no_store=True)
        return response
