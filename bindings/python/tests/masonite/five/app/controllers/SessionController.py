"""What the framework's documents do with a session, a route each."""

import json
import os
import threading
import time
from pathlib import Path

import tldextract
from masonite.authentication import Auth
from masonite.controllers import Controller
from masonite.facades import Session
from masonite.request import Request
from masonite.response import Response
from masonite.validation import MessageBag
from masonite.views import View

from holdall import HoldallError, MisuseError

# Masonite looks every host up in a list that this package would fetch from the network.
tldextract.extract = tldextract.TLDExtract(suffix_list_urls=())

OTHER, READ = threading.Event(), []


def _call(request, method, *names, **values):
    session = request.session.driver(request.input("driver")) if request.input("driver") else request.session
    given = [request.input("key")] if "key" in names else []
    given += [json.loads(request.input("value"))] if "value" in names else []
    return json.dumps(getattr(session, method)(*given, **values))


class SessionController(Controller):
    def set(self, request: Request):
        return _call(request, "set", "key", "value")

    def get(self, request: Request):
        return _call(request, "get", "key")

    def has(self, request: Request):
        return _call(request, "has", "key")

    def all(self, request: Request):
        return _call(request, "all")

    def pull(self, request: Request):
        return _call(request, "pull", "key")

    def delete(self, request: Request):
        return _call(request, "delete", "key")

    def flush(self, request: Request):
        return _call(request, "flush")

    def reset(self, request: Request):
        _call(request, "reset", flash_only=bool(request.input("flash_only")))
        return _call(request, "all")

    def flash(self, request: Request):
        return _call(request, "flash", "key", "value")

    def increment(self, request: Request):
        return _call(request, "increment", "key")

    def delete_then_set(self):
        Session.set("a", 1)
        Session.delete("a")
        Session.set("a", 2)
        return json.dumps(Session.get("a"))

    def separate(self, response: Response):
        Session.flash("danger", "Action is dangerous")
        return response.redirect("/dashboard")

    def succeeds(self, response: Response):
        return response.redirect("/dashboard").with_success("Action is successful")

    def errs(self, response: Response):
        return response.redirect("/dashboard").with_errors({"name": ["A name is required"]})

    def bag(self, response: Response):
        return response.redirect("/dashboard").with_errors(MessageBag({"name": ["A name is required"]}))

    def with_old(self, response: Response):
        return response.redirect("/dashboard").with_input()

    def twice(self, response: Response):
        Session.flash("success", "Through two redirects")
        return response.redirect("/hop")

    def hop(self, response: Response):
        return response.redirect("/dashboard")

    def dashboard(self, view: View):
        return view.render("dashboard")

    def fly(self, request: Request, view: View):
        driver = request.input("driver")
        Session.driver(driver).set("where", driver)
        return view.render("dashboard")

    def refused(self):
        try:
            Session.driver("redis")
        except ValueError as error:
            return str(error)

    def unserialisable(self):
        try:
            Session.set("when", {1})
        except TypeError as error:
            return str(error)

    def spoil(self):
        Session.set("list", [])
        Session.get("list").append({1})
        return "not stored"

    def headers(self, response: Response):
        Session.set("a", 1)
        response.header("Vary", "Accept")
        response.header("Cache-Control", "public, max-age=60")
        response.cookie("other", "kept")
        return "headers"

    def worker(self):
        Session.increment("count")
        return str(os.getpid())

    def set_and_get(self, request: Request):
        Session.set("now", json.loads(request.input("value")))
        return json.dumps(Session.get("now"))

    def delete_and_has(self):
        Session.set("a", 1)
        Session.delete("a")
        return json.dumps(Session.has("a"))

    def fails(self):
        Session.set("failed", True)
        raise RuntimeError("on purpose")

    def commits_and_fails(self):
        Session.set("a", 1)
        Session.session.commit()
        raise RuntimeError("on purpose")

    def form(self, request: Request):
        return f"posted by {request.session.get('name')}"

    def login(self, request: Request, auth: Auth, response: Response):
        if auth.attempt(request.input("email"), request.input("password")):
            request.session.session.regenerate()
            request.session.flash("success", "Welcome")
        return response.redirect("/dashboard")

    def register(self, auth: Auth):
        auth.register({"name": "Ann", "email": "ann@example.com", "password": "correct horse"})
        return "registered"

    def who(self, request: Request):
        return request.user().email if request.user() else "nobody"

    def count_alone(self):
        """Between reading and writing, others are kept out only by the lock."""
        Session.start(mode="exclusive")
        count = Session.get("count") or 0
        time.sleep(0.002)
        Session.set("count", count + 1)
        return str(os.getpid())

    def fails_alone(self):
        Session.start(mode="exclusive")
        Session.set("failed", True)
        raise RuntimeError("on purpose")

    def alone(self, view: View):
        Session.start(mode="exclusive")
        return view.render("dashboard")

    def only_reads(self, request: Request):
        Session.start(mode="read_only")
        try:
            Session.set("a", 2)
        except MisuseError as error:
            return f"{Session.get('a')}: {error}"

    def too_late(self, request: Request):
        Session.set("a", 2)
        try:
            Session.start(mode=request.input("mode"))
        except HoldallError as error:
            return str(error)

    def discarded(self):
        Session.set("a", 2)
        Session.discard()
        Session.set("b", 2)
        return json.dumps(Session.all())

    def refuses(self, response: Response):
        return response.view(json.dumps(Session.get("x")), 422)

    def figures(self):
        return json.dumps(sorted(Session.manager.stats()))

    def tuple(self):
        Session.set("pair", (1, 2))
        return json.dumps(Session.get("pair"))

    def flash_over_data(self):
        Session.set("k", "data")
        Session.flash("k", "flash")
        return json.dumps([Session.get("k"), Session.get("k")])

    def flash_then_flush(self):
        Session.flash("k", "flash")
        Session.flush()
        return json.dumps(Session.has("k"))

    def sessid(self, request: Request):
        return request.cookie("SESSID")

    def waits(self):
        """Reads when another request has come in between."""
        Path("waits").touch()
        assert OTHER.wait(60)
        READ.append(Session.get("name"))
        return "null"

    def comes(self):
        OTHER.set()
        return "null"

    def has_read(self):
        return json.dumps(READ)

    def perform(self, request: Request):
        session = Session
        answers = [getattr(session, name)(*given) for name, *given in json.loads(request.input("operations"))]
        return json.dumps(answers)

    def work(self):
        user = Session.get("user")
        time.sleep(0.001)
        Session.set("work", 1)
        return json.dumps(user)

    def sign_out(self):
        Session.session.invalidate()
        return "null"

    def regenerate(self):
        Session.session.regenerate()
        return "null"

    def bad(self):
        """What no session takes, and what it says."""
        session, loop = Session, []
        loop.append(loop)
        given = {"key": (1, 1), "set": ("a", {1}), "bytes": ("a", b""), "NaN": ("a", float("nan")), "loop": ("a", loop)}
        given |= {"long": ("a", "x" * 100_000_000), "long key": ("k" * 256, 1), "surrogate": ("a", "\ud800")}
        said = {}
        for name, (key, value) in given.items():
            for call in (session.set, session.flash):
                try:
                    call(key, value)
                except Exception as error:
                    said.setdefault(name, []).append([[kind.__name__ for kind in type(error).__mro__], str(error)])
        return json.dumps(said)

    def file(self, response: Response):
        Session.set("a", 1)
        return response.download("page", "templates/dashboard.html")
