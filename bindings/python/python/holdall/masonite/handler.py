"""The handler: a WSGI application around Masonite's, which commits a request's sessions when its response begins.

Only there are the final status and the headers known, in all versions. An error of the engine becomes the response that
the framework's own error handling makes, before any header has left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from holdall.errors import HoldallError
from holdall.masonite.headers import Headers, with_commit
from holdall.masonite.sessions import KEY, RequestSessions


class SessionHandler:
    """`application`, with its sessions saved.

    `shows_flash` says for a status whether flash messages have been shown; `failed` hands an error to the framework and
    gives status and headers of its answer.
    """

    def __init__(
        self,
        application: Callable[..., Iterable[bytes]],
        *,
        shows_flash: Callable[[int], bool],
        failed: Callable[[HoldallError], tuple[str, Headers]],
    ) -> None:
        self._application = application
        self._shows_flash = shows_flash
        self._failed = failed

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(status: str, headers: Headers, *more: Any) -> Any:
            sessions = environ.get(KEY)
            if isinstance(sessions, RequestSessions):
                try:
                    sessions.commit(int(status[:3]), self._shows_flash)
                except HoldallError as error:
                    status, headers = self._failed(error)
                headers = with_commit(headers, sessions.headers)
            return start_response(status, headers, *more)

        return self._application(environ, start)
