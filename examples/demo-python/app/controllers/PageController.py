"""The pages: the cart, the visits and who is signed in; and the session as it stands."""

import json

from masonite.controllers import Controller
from masonite.request import Request
from masonite.views import View


def pretty(value):
    """Indented, for people."""
    return json.dumps(value, indent=2, ensure_ascii=False)


class PageController(Controller):
    def home(self, request: Request, view: View):
        request.session.increment("visits")
        return view.render("home", {"visits": request.session.get("visits")})

    def session(self, request: Request, view: View):
        figures = request.session.manager.stats()
        return view.render("session", {"data": pretty(request.session.all()), "figures": pretty(figures)})
