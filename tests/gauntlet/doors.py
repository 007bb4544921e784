"""Doors: the ways in which requests reach sessions, each as a function from a request to a response.

A door runs an act, a function of the session that the framework hands to its application, in a real application of that
framework, in this process. Its other calls are the framework's words for the same things.
"""

import asyncio
import io
import itertools
import json
import sys
import types
import urllib.parse

import django
import flask
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse
from django.urls import re_path
from masonite.foundation import Application, CoreKernel
from masonite.middleware import SessionMiddleware as MasoniteMiddleware
from masonite.providers import FrameworkProvider, Provider
from masonite.providers import SessionProvider as MasoniteSessions
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware as StarletteSessions
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import holdall
import holdall.flask
import holdall.masonite
import holdall.starlette
import holdall.wsgi
from gauntlet.base import Answer, Door, Visitor
from gauntlet.c_library import CManager
from gauntlet.node import NODE_DOORS, Lunox
from gauntlet.row import Subject

ENGINE_LOOKS = {
    "has": lambda session: session.has("k"),
    "exists": lambda session: session.exists("k"),
    "missing": lambda session: session.missing("k"),
    "all": lambda session: session.all(),
    "only": lambda session: session.only("k"),
    "except": lambda session: session.except_("k"),
    "old": lambda session: session.old("k"),
    "get_json": lambda session: session.get_json("k"),
    "id": lambda session: session.id,
    "is_new": lambda session: session.is_new,
    "previous_url": lambda session: session.previous_url,
    "csrf_matches": lambda session: session.csrf_matches("x"),
}


class Python(Door):
    """The package by hand: open, use, commit."""

    name = "python"

    def __init__(self, document):
        super().__init__(document)
        self._manager = holdall.SessionManager(document)

    @property
    def manager(self):
        return self._manager

    @property
    def looks(self):
        return super().looks | ENGINE_LOOKS

    def ask(self, act, cookie="", **environ):
        session = self._manager.open(cookie, secure=True)
        result = act(session)
        return Answer(200, session.commit().headers, str(result), result)


class C(Door):
    """The C library by hand."""

    name = "c"

    def __init__(self, document):
        super().__init__(document)
        self.library = CManager(document)

    def ask(self, act, cookie="", **environ):
        session = self.library.open(cookie.encode() if isinstance(cookie, str) else cookie)
        try:
            result = act(session)
            return Answer(200, session.commit()[1], str(result), result)
        finally:
            session.free()

    def put(self, session, key, value):
        session.set(key, value)

    def every(self, session):
        return json.loads(session.text("all"))

    def renew(self, session):
        session.call("regenerate")

    def end(self, session):
        session.call("destroy")

    def other_person(self, session):
        session.call("invalidate")

    def end_meanwhile(self, visitor):
        session = self.library.open(visitor.cookies[self.cookie_name].encode(), "manager_open_token")
        session.call("destroy")
        session.commit()
        session.free()

    def records(self):
        return json.loads(self.library.text("stats"))["events"]["created"]

    @property
    def looks(self):
        key = b"k", 1
        return {
            "get_json": lambda session: session.get("k"),
            "has": lambda session: session.flag("has", *key),
            "exists": lambda session: session.flag("exists", *key),
            "missing": lambda session: session.flag("missing", *key),
            "all": lambda session: session.text("all"),
            "is_new": lambda session: session.flag("is_new"),
            "id": lambda session: session.view("id"),
            "get_string": lambda session: session.text("get_string", *key) if session.get("k") else None,
            "previous_url": lambda session: session.text("previous_url"),
        }

    def close(self):
        self.library.close()


class Wsgi(Door):
    """Any WSGI application; the act is in `self.act` while it runs."""

    def application(self, environ, start_response):
        raise NotImplementedError

    def ask(self, act, cookie="", path="/", **environ):
        heard = []
        self.act, self.result = act, None
        environ = {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "443",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "localhost",
            "REMOTE_ADDR": "192.0.2.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "https",
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            **environ,
        }
        if cookie:
            environ["HTTP_COOKIE"] = (cookie.encode() if isinstance(cookie, str) else cookie).decode("latin-1")
        body = self.application(environ, lambda status, headers, *_: heard.extend((status, headers)))
        try:
            content = b"".join(body)
        finally:
            getattr(body, "close", lambda: None)()
        return Answer(int(heard[0][:3]), list(heard[1]), content.decode(), self.result)

    def run(self, session):
        self.result = self.act(session)
        return str(self.result)


class PlainWsgi(Wsgi):
    name = "wsgi"

    def __init__(self, document):
        super().__init__(document)
        self._manager = holdall.SessionManager(document)
        self.application = holdall.wsgi.SessionMiddleware(self.page, self._manager)

    @property
    def manager(self):
        return self._manager

    @property
    def looks(self):
        return super().looks | ENGINE_LOOKS

    def page(self, environ, start_response):
        text = self.run(environ["holdall.session"])
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [text.encode()]


class Flask(Wsgi):
    name = "flask"
    cookie_name = "session"
    line = "session=T; Path=/; HttpOnly; SameSite=Lax; Secure"
    removal = "session=; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"

    def __init__(self, document):
        super().__init__(document)
        app = flask.Flask(__name__)
        app.config["SESSION_COOKIE_SECURE"] = True
        app.add_url_rule("/", "page", lambda path="": self.run(flask.session))
        app.add_url_rule("/<path:path>", "page")
        self.application, self.app = app, app
        self.install(app)

    def install(self, app):
        app.config["HOLDALL"] = self.document
        holdall.flask.Holdall(app)

    @property
    def manager(self):
        return self.app.session_interface.get_manager(self.app)

    def renew(self, session):
        session.holdall.regenerate()

    def other_person(self, session):
        session.holdall.invalidate()

    def end(self, session):
        session.clear()

    @property
    def looks(self):
        more = {
            "get_flashed_messages": lambda session: flask.get_flashed_messages(),
            "copy": lambda session: session.copy() if hasattr(session, "copy") else dict(session),
            "permanent": lambda session: session.permanent,
            "holdall": lambda session: session.holdall.exists("k") if hasattr(session, "holdall") else "k" in session,
        }
        return super().looks | more


class Asgi(Door):
    """Any ASGI application, on a loop of its own."""

    cookie_name = "session"

    def __init__(self, document):
        super().__init__(document)
        self.loop = asyncio.new_event_loop()

        async def page(request):
            self.result = self.act(request.session)
            return PlainTextResponse(str(self.result))

        self.application = Starlette(routes=[Route("/{path:path}", page)], middleware=self.middleware())

    def ask(self, act, cookie="", path="/", **environ):
        self.act, self.result = act, None
        cookie = cookie.encode() if isinstance(cookie, str) else cookie
        status, headers, body = self.loop.run_until_complete(asgi_request(self.application, cookie, path))
        return Answer(status, headers, body.decode(), self.result)

    def close(self):
        self.loop.close()


async def asgi_request(application, cookie, path="/"):
    """One GET: status, headers, body."""
    headers, sent = [(b"host", b"localhost"), *([(b"cookie", cookie)] if cookie else [])], []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "https"}
    scope |= {"path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"", "headers": headers}
    scope |= {"client": ("192.0.2.1", 1), "server": ("localhost", 443)}
    await application(scope, receive, send)
    start, *rest = sent
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"]]
    return start["status"], pairs, b"".join(message.get("body", b"") for message in rest)


class StarletteDoor(Asgi):
    name = "starlette"
    line = "session=T; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=1209600"
    removal = Flask.removal

    def middleware(self):
        self._manager = None
        return [Middleware(holdall.starlette.SessionMiddleware, config=self.document, https_only=True)]

    @property
    def manager(self):
        if self.application.middleware_stack is None:
            self.application.middleware_stack = self.application.build_middleware_stack()
        layer = self.application.middleware_stack
        while not isinstance(layer, holdall.starlette.SessionMiddleware):
            layer = layer.app
        return layer.manager

    def renew(self, session):
        session.holdall.regenerate()

    def other_person(self, session):
        session.holdall.invalidate()

    def end(self, session):
        session.clear()

    @property
    def looks(self):
        more = {
            "copy": lambda session: session.copy(),
            "reversed": lambda session: list(reversed(session)),
            "|": lambda session: session | {},
            "holdall": lambda session: session.holdall.exists("k") if hasattr(session, "holdall") else "k" in session,
        }
        return super().looks | more


class Django(Wsgi):
    name = "django"
    cookie_name = "sessionid"
    # Written by Django, in its order.
    line = "sessionid=T; expires=WHEN; HttpOnly; Max-Age=1209600; Path=/; SameSite=Lax; Secure"
    removal = 'sessionid=""; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/; SameSite=Lax'
    middleware = "holdall.django.SessionMiddleware"
    engine = "holdall.django"
    # The door whose request runs: Django knows one application in a process.
    current = None
    numbers = itertools.count(4096)

    def __init__(self, document):
        # The adapter makes one manager of a document; each test wants its own.
        super().__init__({**document, "max_keys": next(self.numbers)})
        if not settings.configured:
            settings.configure(
                SECRET_KEY="the gauntlet's key of Django",
                ALLOWED_HOSTS=["*"],
                ROOT_URLCONF=(re_path("", lambda request: Django.current.view(request)),),
                CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
                SESSION_COOKIE_SECURE=True,
            )
            django.setup()
        self.configure()
        self.handler = WSGIHandler()

    def configure(self):
        settings.HOLDALL = self.document
        settings.SESSION_ENGINE, settings.MIDDLEWARE = self.engine, [self.middleware]

    def application(self, environ, start_response):
        self.configure()
        Django.current = self
        return self.handler(environ, start_response)

    def view(self, request):
        return HttpResponse(self.run(request.session))

    @property
    def manager(self):
        from holdall.django import manager

        self.configure()
        return manager()

    def renew(self, session):
        session.cycle_key()

    def end(self, session):
        session.flush()

    other_person = end

    @property
    def looks(self):
        # A session of Django's has neither a length nor an order nor a truth of its own.
        kept = ("in", "not in", "get", "[]", "keys", "values", "items")
        more = {"has_key": lambda session: session.has_key("k"), "test_cookie": lambda session: session.test_cookie_worked()}
        return {name: look for name, look in super().looks.items() if name in kept} | more


class Masonite(Wsgi):
    """Masonite 5, with its own providers but for its router: the last provider runs the act."""

    name = "masonite"

    def __init__(self, document):
        super().__init__(document)
        application = self.masonite = Application("/nowhere")
        # What the framework's own functions take for the application.
        self.module = types.SimpleNamespace(application=application)
        sys.modules["wsgi"] = self.module
        kernel = CoreKernel(application)
        kernel.register_framework()
        kernel.register_capsules()
        application.bind("config", Settings(self.configuration()))
        application.bind("config.location", "config")
        # Pages without templates.
        application.bind("view", types.SimpleNamespace(share=lambda values: None))
        door = self

        class Page(Provider):
            def __init__(self, application):
                self.application = application

            def register(self):
                pass

            def boot(self):
                self.application.make("response").view(door.run(door.session(self.application)))

        application.bind("exception_handler", Failing())
        application.add_providers(FrameworkProvider, MasoniteSessions, *self.providers(), Page)

    def configuration(self):
        drivers = {"default": "cookie", "cookie": {}}
        key = "Z2F1bnRsZXQtZ2F1bnRsZXQtZ2F1bnRsZXQtZ2F1bjA="
        document = self.document
        if "url" in document:
            kind = document["url"].partition(":")[0]
            one = {"type": kind} | ({"path": urllib.parse.urlsplit(document["url"]).path} if kind == "file" else {})
            document = {**{name: value for name, value in document.items() if name != "url"}, "default": kind, "drivers": {kind: one}}
        return {"session.drivers": drivers, "session.holdall": document, "application.key": key, "application.debug": False}

    def providers(self):
        return [holdall.masonite.SessionProvider]

    def session(self, application):
        """What is behind the facade."""
        return application.make("session")

    def application(self, environ, start_response):
        sys.modules["wsgi"] = self.module
        return self.masonite(environ, start_response)

    @property
    def manager(self):
        sys.modules["wsgi"] = self.module
        made = self.masonite.make("session").settings
        return made.manager(made.default)

    def put(self, session, key, value):
        session.set(key, value)

    def every(self, session):
        return session.all()

    def renew(self, session):
        session.session.regenerate()

    def end(self, session):
        session.session.destroy()

    def other_person(self, session):
        session.session.invalidate()

    @property
    def looks(self):
        return {
            "get": lambda session: session.get("k"),
            "has": lambda session: session.has("k"),
            "all": lambda session: session.all(),
            "get_data": lambda session: session.get_data(),
        }


class Settings:
    """Masonite's configuration without files."""

    def __init__(self, values):
        self.values = values

    def get(self, key, default=None):
        if key == "session.drivers.cookie":
            return {}
        return self.values.get(key, default)

    def has(self, key):
        return key in self.values


class Failing:
    """An application's errors are those of its test."""

    def handle(self, error):
        raise error


DOORS = [Python, C, PlainWsgi, Flask, StarletteDoor, Django, Masonite, *NODE_DOORS]


KEYS = ["ewOGfDQ9qlDO-vX2mzo0GU4cVXCjSv1PsqaADCiXbGY", "R0zD0ZXDpz8POOoh9ug9PVi-6cxRJOaqD8Et-hbbt9o"]
"""Keys of the gauntlet: what is printed with one of them in it is a leak."""


def document(driver, directory, **fields):
    """The configuration of a driver that keeps its records in a directory of the test. "sealed": files, encrypted."""
    url = f"file://{directory}/sessions" if driver in ("file", "sealed") else f"{driver}:"
    more = {"memory": {}, "file": {}, "sealed": {"at_rest": "sealed_only", "keys": KEYS}, "cookie": {"keys": KEYS}}[driver]
    return {"url": url, **more, **fields}


def through(*drivers, doors=DOORS, **fields):
    """A subject for each of these doors over each of these drivers, but for what there is not.

    Django writes its cookie itself, and so cannot carry one. Lunox has a process of its own each time, and is not asked about its memory.
    """
    return [
        Subject(f"{door.name}-{driver}", lambda directory, door=door, driver=driver: door(document(driver, directory, **fields)))
        for driver in drivers
        for door in doors
        if (door.name, driver) != ("django", "cookie") and not (door is Lunox and driver in ("memory", "sealed"))
    ]


# The frameworks' own sessions: what some advisories are about, and what shows that a check can fail.


class FlaskOwn(Flask):
    name = "flask's own"

    def install(self, app):
        app.secret_key = "the gauntlet's key of Flask"

    def renew(self, session):
        """There is no id that could change."""

    def end_meanwhile(self, visitor):
        Visitor(self, visitor.cookies).ask(self.end)


class StarletteOwn(StarletteDoor):
    name = "starlette's own"

    def middleware(self):
        return [Middleware(StarletteSessions, secret_key="the gauntlet's key of Starlette", https_only=True)]

    def renew(self, session):
        """There is no id that could change."""


class DjangoOwn(Django):
    name = "django's own"
    engine = "django.contrib.sessions.backends.cache"
    middleware = "django.contrib.sessions.middleware.SessionMiddleware"


class MasoniteOwn(Masonite):
    name = "masonite's own"

    def providers(self):
        return []

    def session(self, application):
        request = application.make("request")
        MasoniteMiddleware().before(request, application.make("response"))
        return request.session


def own(*doors):
    return [Subject(door.name, lambda directory, door=door: door({})) for door in doors]
