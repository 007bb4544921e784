"""The cart: what goes in and what comes out."""

from masonite.controllers import Controller
from masonite.request import Request
from masonite.response import Response

from app.form import complain, complaint, field, typed

MAX_ITEMS = 100


class CartController(Controller):
    def add(self, request: Request, response: Response):
        session, item = request.session, typed(request, "item")
        why = complaint(item, "what you want to add")
        if not why and len(session.get("cart") or []) >= MAX_ITEMS:
            why = "The cart is full."
        if why:
            complain(session, why, "item", item)
        else:
            # A push and not a set of the whole list: what others add meanwhile stays.
            session.session.push("cart", item)
            session.flash("notice", f'Added "{item}".')
        return response.redirect("/", status=303)

    def remove(self, request: Request, response: Response):
        session, item = request.session, field(request, "item")
        cart = session.get("cart") or []
        if item in cart:
            # Safe because this session is exclusive: nobody can have added to it since it was read.
            cart.remove(item)
            if not cart:
                session.delete("cart")
            session.flash("notice", f'Removed "{item}".')
        else:
            session.flash("notice", "That was not in the cart any more.")
        return response.redirect("/", status=303)
