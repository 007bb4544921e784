"""Starlette and FastAPI: `request.session` as a dict whose data stays on the server. Any other ASGI application, too.

A drop-in for Starlette's own SessionMiddleware. Loads before the application runs, if the browser sent the cookie, and
commits before the headers leave. What does I/O runs in a thread, and what waits for a lock awaits: the event loop never
stands still. Knows ASGI and anyio, and nothing of Starlette itself.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

import anyio
import anyio.lowlevel
import anyio.to_thread

from holdall._holdall import Commit, SessionManager
from holdall._holdall import Session as EngineSession
from holdall._response import LOOKED_AT, Headers, ages_flash, ended, unsaved, with_session
from holdall._timeouts import absolute_timeout_s
from holdall.errors import HoldallError, InvalidArgumentError, InvalidConfigError, MisuseError, UnavailableError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send
    from typing_extensions import Self

__all__ = ["Session", "SessionMiddleware"]

_T = TypeVar("_T")

_DAY_S = 24 * 60 * 60
_STARTS = ("http.response.start", "websocket.accept", "websocket.http.response.start")
"""The messages that carry the headers of a response."""
_FIRST_PAUSE_S = 0.0001
_LONGEST_PAUSE_S = 0.002
"""Between two tries of a lock: short for a commit that is under way, longer for somebody who works."""


class SessionMiddleware:
    """Gives the application a `Session` as `request.session`.

    Either with a `manager`, whose configuration says everything, or with Starlette's own arguments, under their own
    defaults, and `config`: where the records live, as a URL or a mapping of `docs/config.md`, whose fields win. Without
    it they live in the memory of this process. `secret_key` is taken and not needed: the cookie is a random id.

    `driver`: another of the manager's drivers. `scope_key`: where the session is in the scope, so that several of these
    can stand in each other. `mode`: as for `SessionManager.open`, or a function that tells it from the scope.
    `save_on_error`: whether a response of 500 and above saves, too. `off_loop`: whether loads and commits run in a
    thread; None: those that do I/O.
    """

    def __init__(
        self,
        app: ASGIApp,
        secret_key: object = None,
        session_cookie: str = "session",
        max_age: int | None = 14 * _DAY_S,
        path: str = "/",
        same_site: str = "lax",
        https_only: bool = False,
        domain: str | None = None,
        partitioned: bool = False,
        *,
        manager: SessionManager | None = None,
        config: str | Mapping[str, Any] | None = None,
        driver: str | None = None,
        scope_key: str = "session",
        mode: str | Callable[[Scope], str] = "shared",
        save_on_error: bool = False,
        off_loop: bool | None = None,
    ) -> None:
        arguments = (session_cookie, max_age, path, same_site, https_only, domain, partitioned)
        if manager is None:
            manager = SessionManager(_configuration(config, *arguments))
        elif config is not None or arguments != ("session", 14 * _DAY_S, "/", "lax", False, None, False):
            raise InvalidArgumentError("a manager has its configuration: leave out `config` and the cookie's arguments")
        settings = manager.config()
        self.app = app
        self.manager = manager if driver is None else manager.driver(driver)
        self.scope_key = scope_key
        self.mode = mode
        self.save_on_error = save_on_error
        fields = settings["drivers"][self.manager.driver_name]
        capabilities = manager.stats()["drivers"][self.manager.driver_name]["capabilities"]
        self.cookie_name = self.manager.cookie_name.encode("ascii")
        # A driver without locks has no such field, and never says that it is locked.
        self.lock_timeout_ms: int = fields.get("lock_timeout_ms", 0)
        if off_loop is None:
            # What the browser keeps is no I/O here, but where it grows too large for that.
            in_the_browser = capabilities["client_side"] and fields.get("spill_to") is None
            off_loop = capabilities["shared_between_processes"] and not in_the_browser
        self.off_loop = off_loop
        self.looks_for_locks = off_loop and not capabilities["client_side"]
        # Those who wait for a lock, in their order; by their loop, and by the cookies that brought them.
        self.lines: WeakValueDictionary[tuple[object, bytes], anyio.Lock] = WeakValueDictionary()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        session = await self.open(scope)
        scope[self.scope_key] = session

        async def send_with_session(message: Message) -> None:
            if message["type"] in _STARTS:
                message = _with_session(message, await self.end(session, scope, message))
            await send(message)

        try:
            await self.app(scope, receive, send_with_session)
        finally:
            session.close()

    async def open(self, scope: Scope) -> Session:
        header = _header(scope, b"cookie")
        mode = self.mode(scope) if callable(self.mode) else self.mode
        opening = functools.partial(
            self.manager.open,
            mode=mode,  # type: ignore[arg-type]
            secure=scope.get("scheme") in ("https", "wss"),
            # On the loop nothing waits for a lock, not even where the application itself commits or destroys.
            lock_timeout_ms=None if self.off_loop and mode != "exclusive" else 0,
        )
        if self.cookie_name not in header:
            # There is nothing to be found, so that nothing is looked for.
            return Session(opening())

        def load() -> Session:
            return Session.loaded(opening(header), looks_for_a_lock=self.looks_for_locks and mode == "shared")

        if mode != "exclusive":
            return await self.run(load)

        session = await self.run_unlocked(load, scope)
        session.has_lock = True
        # Who asks for the lock means to use the session.
        session.mark_accessed()
        return session

    async def end(self, session: Session, scope: Scope, message: Message) -> Headers:
        """Saves the session or not, and tells what the response says about it."""
        if not session.accessed:
            return []
        is_http = message["type"] != "websocket.accept"
        status = message["status"] if is_http else 101
        if status >= 500 and not self.save_on_error:
            return [*session.give_up(), *LOOKED_AT]
        if session.is_blank:
            return LOOKED_AT
        purpose = _header(scope, b"sec-purpose", b"purpose").decode("latin-1")
        ages = ages_flash(scope.get("method", "GET"), status, purpose) if is_http else False
        commit_it = functools.partial(session.commit, self.manager, ages)
        # Who has the lock does not stand in line behind those who wait for it.
        commit = await (self.run(commit_it) if session.has_lock else self.run_unlocked(commit_it, scope))
        return [*commit.headers, *LOOKED_AT]

    async def run(self, call: Callable[[], _T]) -> _T:
        # A request that is cancelled waits for its thread: a session is in one place at a time.
        return await anyio.to_thread.run_sync(call) if self.off_loop else call()

    async def run_unlocked(self, call: Callable[[], _T], scope: Scope) -> _T:
        """Runs what tries a lock once, until the lock is free, but no longer than the lock timeout.

        First come, first served: who came last sees a lock that is free soonest, and would starve the others.
        """
        place = (anyio.lowlevel.current_token(), _header(scope, b"cookie"))
        line = self.lines.get(place)
        if line is None:
            try:
                return await self.run(call)
            except UnavailableError as told:
                if not told.locked:
                    raise
                line = self.lines.setdefault(place, anyio.Lock())
        try:
            with anyio.fail_after(self.lock_timeout_ms / 1000):
                async with line:
                    return await self.run_again_and_again(call)
        except TimeoutError:
            waited = f"the session is locked by another request; waited {self.lock_timeout_ms} ms"
            error = UnavailableError(waited)
            error.retryable = error.locked = True
            raise error from None

    async def run_again_and_again(self, call: Callable[[], _T]) -> _T:
        pause = _FIRST_PAUSE_S
        while True:
            try:
                return await self.run(call)
            except UnavailableError as told:
                if not told.locked:
                    raise
            await anyio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)


class Session(dict[str, Any]):
    """What is kept of the visitor, as a dict. A change goes to the engine at once, into the record with the response.

    Its lists and dicts may be changed in place. `session.holdall` is the engine's session, for what a dict does not
    have: `flash`, `increment`, `regenerate`, `csrf_token`. To clear the session and leave it empty signs the visitor
    out: the record is destroyed and the cookie removed.
    """

    accessed = False
    modified = False
    has_lock = False
    """For the middleware: whether others wait until this is committed."""

    def __init__(self, engine: EngineSession) -> None:
        super().__init__()
        self._engine: EngineSession | None = engine
        self._failure: HoldallError | None = None
        # Of the record that a commit first looks whether it is locked. None where the commit waits for nothing.
        self._token: str | None = None
        self._was_loaded = False
        self._engine_is_out = False
        self._was_cleared = False

    @classmethod
    def loaded(cls, engine: EngineSession, looks_for_a_lock: bool) -> Self:
        session = cls(engine)
        try:
            dict.update(session, engine.all())
            session._was_loaded = True
            if looks_for_a_lock and not engine.is_new:
                session._token = engine.id
        except HoldallError as error:
            # A page that has no use for the session can do without it.
            session._failure = error
        return session

    @property
    def holdall(self) -> EngineSession:
        """The engine's session. What is changed there is seen here."""
        self.mark_accessed()
        self._engine_is_out = True
        return self._open_engine()

    @property
    def is_blank(self) -> bool:
        """For the middleware: whether there was nothing and still is, so that nothing is committed."""
        return not (self._was_loaded or self.modified or self._engine_is_out)

    def mark_accessed(self) -> None:
        """Starlette calls this when `request.session` is looked at."""
        if self._failure is not None:
            raise self._failure
        self.accessed = True
        if self._engine_is_out and self._engine is not None:
            content = self._engine.all()
            for key in [key for key in dict.keys(self) if key not in content]:
                super().__delitem__(key)
            # In place, so that who goes through the keys meanwhile can go on.
            super().update(content)

    def mark_modified(self) -> None:
        self.mark_accessed()
        self.modified = True

    def __setitem__(self, key: str, value: Any) -> None:
        self._changed()[key] = value
        super().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        if key not in self:
            raise KeyError(key)
        self._changed().delete(key)
        super().__delitem__(key)

    def clear(self) -> None:
        self._changed().flush()
        super().clear()
        self._was_cleared = True

    def pop(self, key: str, *default: Any) -> Any:
        if key in self:
            self._changed().pop(key)
        return super().pop(key, *default)

    def popitem(self) -> tuple[str, Any]:
        if not self:
            raise KeyError("the session is empty")
        key = next(reversed(self))
        return key, self.pop(key)

    def setdefault(self, key: str, default: Any = None) -> Any:
        if key not in self:
            self._changed().setdefault(key, default)
        return super().setdefault(key, default)

    def update(self, *others: Any, **more: Any) -> None:
        content = dict(*others, **more)
        self._changed().update(content)
        super().update(content)

    def __ior__(self, other: Any) -> Self:  # type: ignore[override,misc]
        self.update(other)
        return self

    def __reduce_ex__(self, protocol: object) -> tuple[type, tuple[dict[str, Any]]]:
        # A copy, deep or not, is a plain dict: one that was tied to the engine would write what it copies.
        return dict, (dict(self),)

    def __repr__(self) -> str:
        # No value in a log.
        return f"<holdall.starlette.Session of {dict.__len__(self)} keys>"

    def commit(self, manager: SessionManager, ages_flash: bool | None) -> Commit:
        """For the middleware: commits, or says at once that another request has the lock, for which it would wait."""
        engine = self._open_engine()
        if self._token is not None:
            # In a thread the commit waits, as what the application itself does there should; not many of them, though.
            manager.open_token(self._token, mode="exclusive", lock_timeout_ms=0)
        if self._was_cleared and not engine.is_new and not engine.all():
            engine.destroy()
        return ended(engine, ages_flash)

    def give_up(self) -> Headers:
        """For the middleware: ends it unsaved. Gives the headers of what the application has committed itself."""
        headers = unsaved(self._open_engine())
        self.close()
        return headers

    def close(self) -> None:
        """For the middleware: lets go of a session that was not saved, and of its lock. It can still be read."""
        # Closed by the application, or in the hands of a thread that it has left behind: then that lets go of it.
        with suppress(MisuseError):
            if self._engine is not None and self._engine.committed is None:
                engine, self._engine = self._engine, None
                engine.close()

    def _open_engine(self) -> EngineSession:
        if self._engine is None:
            raise MisuseError("this session has ended with its request, which did not save it")
        return self._engine

    def _changed(self) -> EngineSession:
        self.mark_modified()
        return self._open_engine()


def _reading(name: str) -> Callable[..., Any]:
    method = getattr(dict, name)

    @functools.wraps(method)
    def read(self: Session, *arguments: Any) -> Any:
        self.mark_accessed()
        return method(self, *arguments)

    return read


for _name in (
    *("__contains__", "__eq__", "__getitem__", "__iter__", "__len__", "__ne__", "__or__", "__reversed__", "__ror__"),
    *("copy", "get", "items", "keys", "values"),
):
    setattr(Session, _name, _reading(_name))


def _configuration(
    config: str | Mapping[str, Any] | None,
    session_cookie: str,
    max_age: int | None,
    path: str,
    same_site: str,
    https_only: bool,
    domain: str | None,
    partitioned: bool,
) -> dict[str, Any]:
    """The document that says what Starlette's arguments say, with the fields of `config` over it."""
    cookie = {
        "name": session_cookie,
        "persistent": max_age is not None,
        "path": path,
        "same_site": same_site,
        "secure": https_only,
        "domain": domain,
        "partitioned": partitioned,
    }
    document: dict[str, Any] = {}
    if max_age is not None:
        if max_age < 1:
            raise InvalidConfigError(f"max_age: at least a second, or None for a browser's session, not {max_age}")
        # As there: it lives that long, whether or not its cookie has come back before.
        document["idle_timeout_s"] = document["new_idle_timeout_s"] = max_age
        document["absolute_timeout_s"] = absolute_timeout_s(max_age)
    if config is None or isinstance(config, str):
        return {**document, "url": config or "memory:", "cookie": cookie}
    return {**document, **config, "cookie": {**cookie, **config.get("cookie", {})}}


def _header(scope: Scope, *names: bytes) -> bytes:
    return b"; ".join(value for name, value in scope["headers"] if name in names)


def _with_session(message: Message, added: Headers) -> Message:
    if not added:
        return message
    said = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message.get("headers", ())]
    sent = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in with_session(said, added)]
    return {**message, "headers": sent}
