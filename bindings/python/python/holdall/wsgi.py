"""WSGI: a session in the environ of any WSGI application.

Commits when the headers are about to leave: after the application has returned, or at the first chunk of a body that
only then calls `start_response`, or at the first `write`. Until then an error may still replace the response. Knows no
framework.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from holdall._holdall import Session, SessionManager
from holdall._response import LOOKED_AT, Headers, ages_flash, ended, unsaved, with_session

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

    Environ = dict[str, Any]

__all__ = ["SessionMiddleware"]


class SessionMiddleware:
    """Gives the application a `holdall.Session` as `environ["holdall.session"]`. Nothing is read before its first use.

    `environ_key`: where the session is, so that several of these can stand in each other. `mode`: as for
    `SessionManager.open`, or a function that tells it from the environ. `save_on_error`: whether a response of 500 and
    above saves, too.
    """

    def __init__(
        self,
        application: WSGIApplication,
        manager: SessionManager,
        environ_key: str = "holdall.session",
        *,
        mode: str | Callable[[Environ], str] = "shared",
        save_on_error: bool = False,
    ) -> None:
        self.application = application
        self.manager = manager
        self.environ_key = environ_key
        self.mode = mode
        self.save_on_error = save_on_error

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        exchange = _Exchange(self, environ, start_response)
        try:
            body = self.application(environ, exchange.start)
        except BaseException:
            exchange.give_up()
            raise
        if not exchange.is_started:
            return _Body(exchange, body)
        try:
            exchange.send_headers_once()
        except BaseException:
            exchange.give_up()
            _close(body)
            raise
        # Handed on as it is, so that a server still knows its own `wsgi.file_wrapper`.
        return body

    def open(self, environ: Environ) -> Session:
        mode = self.mode(environ) if callable(self.mode) else self.mode
        return self.manager.open(
            environ.get("HTTP_COOKIE", "").encode("latin-1"),  # PEP 3333: bytes, in the shape of text
            mode=mode,  # type: ignore[arg-type]
            secure=environ["wsgi.url_scheme"] == "https",
        )


class _Exchange:
    """One request and its response. Keeps what the application said back until the headers leave."""

    def __init__(self, middleware: SessionMiddleware, environ: Environ, start_response: StartResponse) -> None:
        self.middleware = middleware
        self.environ = environ
        self.start_response = start_response
        self.session = middleware.open(environ)
        self.added: Headers | None = None
        self.response: Any = None
        self.server_write: Callable[[bytes], object] | None = None
        environ[middleware.environ_key] = self.session

    @property
    def is_started(self) -> bool:
        return self.response is not None

    def start(self, status: str, headers: Headers, exc_info: Any = None, /) -> Callable[[bytes], object]:
        """The `start_response` that the application gets."""
        if self.is_started and exc_info is None:
            raise AssertionError("start_response was called a second time, and without exc_info")
        self.response = (status, headers, exc_info)
        if self.server_write is not None:
            # The server raises what happened if its headers are gone. If not, these replace them, with the same cookie.
            self.send_headers()
        return self.write

    def write(self, data: bytes) -> None:
        self.send_headers_once()
        assert self.server_write is not None
        self.server_write(data)

    def send_headers_once(self) -> None:
        if self.server_write is None:
            self.send_headers()

    def send_headers(self) -> None:
        status, headers, exc_info = self.response
        try:
            added = self.session_headers(status)
            arguments = (status, with_session(headers, added), *([exc_info] if exc_info else []))
            self.server_write = self.start_response(*arguments)
        finally:
            # PEP 3333: a traceback that is kept keeps itself.
            exc_info = arguments = None  # type: ignore[assignment]
            self.response = (status, headers, None)

    def session_headers(self, status: str) -> Headers:
        """Ends the session, once, and tells what the response says about it."""
        if self.added is None:
            code = int(status[:3])
            if code >= 500 and not self.middleware.save_on_error:
                self.give_up(unsaved(self.session))
            else:
                purpose = self.environ.get("HTTP_SEC_PURPOSE") or self.environ.get("HTTP_PURPOSE", "")
                ages = ages_flash(self.environ["REQUEST_METHOD"], code, purpose)
                self.added = ended(self.session, ages).headers
        assert self.added is not None
        return self.added

    def give_up(self, added: Headers = LOOKED_AT) -> None:
        """Ends a session that is not saved, and frees its lock, whoever still holds it: a traceback, a generator."""
        if self.added is None:
            self.added = added
            self.session.close()


class _Body:
    """A body that has not called `start_response` yet."""

    def __init__(self, exchange: _Exchange, body: Iterable[bytes]) -> None:
        self.exchange = exchange
        self.body = body
        self.chunks: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        exchange = self.exchange
        try:
            if self.chunks is None:
                self.chunks = iter(self.body)
            chunk = next(self.chunks, None)
        except BaseException:
            exchange.give_up()
            raise
        if exchange.is_started:
            exchange.send_headers_once()
        if chunk is None:
            raise StopIteration
        return chunk

    def close(self) -> None:
        _close(self.body)
        self.exchange.give_up()


def _close(body: Iterable[bytes]) -> None:
    close = getattr(body, "close", None)
    if close is not None:
        close()
