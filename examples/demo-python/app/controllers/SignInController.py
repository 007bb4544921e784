"""Signing in and out. Any name will do, and there is no password."""

from masonite.controllers import Controller
from masonite.request import Request
from masonite.response import Response

from app.form import complain, complaint, typed


class SignInController(Controller):
    def sign_in(self, request: Request, response: Response):
        session, name = request.session, typed(request, "name")
        if why := complaint(name, "a name"):
            complain(session, why, "name", name)
        else:
            session.set("user", name)
            # Rights are gained: whoever knew the id of before must not know the one of after (OWASP, session fixation).
            session.session.regenerate()
            session.flash("notice", f"Welcome, {name}.")
        return response.redirect("/", status=303)

    def sign_out(self, request: Request, response: Response):
        request.session.session.invalidate()
        # After invalidate(), so it is the first thing in the new session.
        request.session.flash("notice", "You are signed out.")
        return response.redirect("/", status=303)
