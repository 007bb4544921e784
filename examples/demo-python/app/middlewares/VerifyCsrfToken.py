"""Compares the token of a form with the session's, before anything else is done."""

from masonite.middleware import Middleware

from app.form import field
from app.problem import problem


class VerifyCsrfToken(Middleware):
    def before(self, request, response):
        if request.session.session.csrf_matches(field(request, "csrf_token")):
            return request
        request.session.discard()
        return problem(
            request.app,
            403,
            "That form was out of date",
            "Nothing was changed. The page it came from was older than your last sign-in or sign-out, or it was not ours. "
            "Go back to the start and try once more.",
        )

    def after(self, request, response):
        return request
