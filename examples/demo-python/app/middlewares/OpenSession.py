"""Opens the session of a request and commits it before the response leaves.

A page's commit ages flash; a form's does not, because a redirect shows nothing. A request that failed, and HEAD, end without a
commit: nobody has seen the page, so nothing has happened.
"""

from masonite.cookies import Cookie
from masonite.middleware import Middleware

from app.problem import problem


class SessionCookie(Cookie):
    """A Set-Cookie line as the engine has written it."""

    def render(self):
        return self.value


class OpenSession(Middleware):
    def before(self, request, response, mode="shared"):
        # WSGI hands bytes over as Latin-1.
        header = request.environ.get("HTTP_COOKIE", "").encode("latin-1")
        request.session = request.app.make("sessions").open(header, mode=mode)
        request.app.bind("session", request.session)
        return request

    def after(self, request, response, mode="shared"):
        is_page = request.get_request_method() == "GET"
        if request.get_request_method() == "HEAD" or response.get_status() >= 500:
            return request
        commit = request.session.commit(age_flash=is_page)
        if commit.outcome in ("gone", "moved"):
            self.overtaken(request, response, is_page)
        for name, value in commit.headers:
            if name == "Set-Cookie":
                response.cookie_jar.cookies[value.partition("=")[0]] = SessionCookie(name, value, encrypt=False)
            else:
                response.with_headers({name: value})
        return request

    def overtaken(self, request, response, is_page):
        """Another request has ended the session or changed its id under this one, which then stored nothing."""
        if is_page:
            # The page is of a session that is no more, perhaps of somebody who has just signed out. The browser comes
            # again with the cookie that it has by then.
            response.redirect(request.get_path(), status=303)
        else:
            problem(
                request.app,
                409,
                "Your session has changed",
                "You signed in or out elsewhere at the same moment, so nothing was stored. "
                "Go back to the start and try once more.",
            )
