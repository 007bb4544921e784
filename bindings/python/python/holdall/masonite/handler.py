"""The handler: a WSGI application around Masonite's, which commits a request's sessions when its response begins.

Only there are the final status and the headers known, in all versions. An error of the engine becomes the response that
the framework's own error handling makes, before any header has left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from holdall._response import Headers, with_session
from holdall.errors import HoldallError
from holdall.masonite.sessions import KEY, UNDER_WAY, RequestSessions


class SessionHandler:
    """`application`, with its sessions saved.

    `failed` hands an error to the framework and gives status and headers of its answer.
    """

    def __init__(
        self,
        application: Callable[..., Iterable[bytes]],
        *,
        failed: Callable[[HoldallError], tuple[str, Headers]],
    ) -> None:
        self._application = application
        self._failed = failed

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(status: str, headers: Headers, *more: Any) -> Any:
            sessions = environ.get(KEY)
            if isinstance(sessions, RequestSessions):
                try:
                    sessions.commit(int(status[:3]))
                except HoldallError as error:
                    status, headers = self._failed(error)
                finally:
                    sessions.close()
                headers = with_session(headers, sessions.headers)
            return start_response(status, headers, *more)

        before = UNDER_WAY.set(environ)
        try:
            return self._application(environ, start)
        except BaseException:
            sessions = environ.get(KEY)
            if isinstance(sessions, RequestSessions):
                sessions.close()
            raise
        finally:
            UNDER_WAY.reset(before)
