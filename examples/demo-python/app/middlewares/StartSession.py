"""Gives a request its session, and ends it before the response leaves, so that the response can say how it ended.

A page's commit ages flash; a form's does not, because a redirect shows nothing. For HEAD nobody has seen the page, so nothing
has happened.
"""

from masonite.middleware import Middleware

from app.problem import problem


class StartSession(Middleware):
    def before(self, request, response, mode="shared"):
        request.session = request.app.make("session").start(mode=mode)
        return request

    def after(self, request, response, mode="shared"):
        method = request.get_request_method()
        if method == "HEAD":
            request.session.discard()
        elif response.get_status() < 500:
            commit = request.session.session.commit(age_flash=method == "GET")
            if commit.outcome in ("gone", "moved"):
                self.overtaken(request, response, method)
        return request

    def overtaken(self, request, response, method):
        """Another request has ended the session or changed its id under this one, which then stored nothing."""
        if method == "GET":
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
