"""What a session cannot keep, and configurations that are wrong, through every door: refused by name, and nothing is lost.

The applications are those of served.py, in this process. A page sets what is good, then what is bad; the error is the framework's to
answer. What was stored before is there afterwards, whole, and nothing of the request that failed.
"""

import asyncio
import math
import threading

import flask
import httpx2
import pytest
from django.core.exceptions import ImproperlyConfigured
from test_served import configuration

import holdall
import holdall.flask
import holdall.starlette
import holdall.wsgi

LOOP = []
LOOP.append(LOOP)
DEEP = []
for _ in range(200):
    DEEP = [DEEP]

# What the page does, the built-in and our own exception, and what the message has to say.
BAD = {
    "a key that is a number": (lambda s: s.__setitem__(1, 2), TypeError, "keys are str, not int"),
    "a key that is None": (lambda s: s.__setitem__(None, 2), TypeError, "keys are str, not NoneType"),
    "a key that is too long": (lambda s: s.__setitem__("k" * 300, 2), holdall.TooLargeError, "key.*255.*300"),
    "a key that is no text": (lambda s: s.__setitem__("\ud800", 2), holdall.InvalidValueError, "surrogate"),
    "a lock": (lambda s: s.__setitem__("bad", threading.Lock()), TypeError, "bad.*lock"),
    "a set": (lambda s: s.__setitem__("bad", {1}), TypeError, "bad.*set"),
    "a class in a list": (lambda s: s.__setitem__("bad", [{"a": object}]), TypeError, "bad.*type"),
    "not a number": (lambda s: s.__setitem__("bad", math.nan), holdall.InvalidValueError, "bad.*(NaN|nan)"),
    "infinity in a dict": (lambda s: s.__setitem__("bad", {"a": [-math.inf]}), holdall.InvalidValueError, "bad.*[iI]nf"),
    "a list in itself": (lambda s: s.__setitem__("bad", LOOP), holdall.InvalidValueError, "bad.*(contains itself|[cC]ircular)"),
    "two hundred lists": (lambda s: s.__setitem__("bad", DEEP), holdall.InvalidValueError, "bad.*(128|deep)"),
    "a lone surrogate": (lambda s: s.__setitem__("bad", ["\ud800"]), holdall.InvalidValueError, "bad.*(surrogate|escape)"),
    "2 MB": (lambda s: s.__setitem__("bad", "x" * 2_000_000), holdall.TooLargeError, "bad.*1048576.*200000"),
    "2 MB in a list": (lambda s: s["list"].append("x" * 2_000_000), holdall.TooLargeError, "list.*1048576.*200000"),
    "a set in a list": (lambda s: s["list"].append({1}), TypeError, "list.*set"),
    "a list in itself, in place": (lambda s: s["list"].append(s["list"]), holdall.InvalidValueError, "list.*(itself|[cC]ircular)"),
    "a dict whose keys are tuples": (lambda s: s.__setitem__("bad", {(1, 2): 3}), TypeError, "bad.*tuple"),
    "too many keys": (lambda s: s.update({f"k{n}": n for n in range(5000)}), holdall.TooLargeError, "keys.*4096.*50"),
}


class Page:
    """A page of one adapter. Calls `work(session)`; an error goes to the framework, which raises it here."""

    def __init__(self, adapter, driver, folder, request):
        config = configuration(driver, folder)
        self.work = lambda session: None
        self.manager = None if adapter == "django" else holdall.SessionManager(config)
        self.visit = getattr(self, adapter)(config, request)

    def wsgi(self, config, request):
        def application(environ, start_response):
            self.work(environ["holdall.session"])
            start_response("200 OK", [])
            return [b""]

        wrapped = holdall.wsgi.SessionMiddleware(application, self.manager)

        def visit(cookie):
            environ = {"REQUEST_METHOD": "GET", "wsgi.url_scheme": "http", "HTTP_COOKIE": cookie}
            b"".join(wrapped(environ, lambda status, headers: None))

        return visit

    def flask(self, config, request):
        application = flask.Flask(__name__)
        application.config.update(TESTING=True, HOLDALL=self.manager)
        holdall.flask.Holdall(application)
        application.add_url_rule("/", "page", lambda: self.work(flask.session) and "" or "")
        return lambda cookie: application.test_client(use_cookies=False).get("/", headers={"Cookie": cookie})

    def django(self, config, request):
        import django_settings

        django_settings.set_up()
        from django.http import HttpResponse
        from django.test import Client, override_settings
        from django.urls import path

        from holdall.django import manager

        def page(request):
            self.work(request.session)
            return HttpResponse()

        class Urls:
            urlpatterns = [path("", page)]

        override = override_settings(HOLDALL=config, SESSION_COOKIE_NAME="sid", ROOT_URLCONF=Urls)
        override.enable()
        request.addfinalizer(override.disable)
        self.manager = manager()
        return lambda cookie: Client(headers={"cookie": cookie}).get("/")

    def starlette(self, config, request):
        async def application(scope, receive, send):
            self.work(scope["session"])
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        wrapped = holdall.starlette.SessionMiddleware(application, manager=self.manager)

        async def visit(cookie):
            async with httpx2.AsyncClient(transport=httpx2.ASGITransport(wrapped), base_url="http://testserver") as client:
                await client.get("/", headers={"Cookie": cookie})

        return lambda cookie: asyncio.run(visit(cookie))


@pytest.fixture(params=["wsgi", "flask", "django", "starlette"])
def page(request, driver, tmp_path):
    return Page(request.param, driver, tmp_path, request)


@pytest.fixture
def token(page):
    session = page.manager.open()
    session.update(good=1, list=[1], text="\u00e9" * 1000)
    session.commit()
    return session.id


BEFORE = {"good": 1, "list": [1], "text": "\u00e9" * 1000}


@pytest.mark.parametrize("bad", BAD)
def test_what_cannot_be_kept_is_refused_by_name_and_nothing_is_lost(page, token, bad):
    change, error, message = BAD[bad]

    def work(session):
        session["good"] = 2
        session["other"] = 3
        change(session)

    page.work = work
    with pytest.raises(error, match=message) as raised:
        page.visit(f"sid={token}")
    assert isinstance(raised.value, holdall.HoldallError) and len(str(raised.value)) < 500
    assert page.manager.open_token(token).all() == BEFORE and len(page.manager.records()) == 1
    # Nor does a newcomer's request that fails leave anything behind.
    page.work = lambda session: (session.update({"list": []}), work(session))
    with pytest.raises(error, match=message):
        page.visit("")
    assert len(page.manager.records()) == 1
    # It is no worse for it: the next request is served.
    page.work = lambda session: session.__setitem__("good", 4)
    page.visit(f"sid={token}")
    assert page.manager.open_token(token).all() == {**BEFORE, "good": 4}


@pytest.mark.parametrize("driver", ["memory"], indirect=True)
@pytest.mark.parametrize("how", ["set", "in place"])
def test_a_hundred_megabytes_are_refused_with_limit_and_size(page, token, how):
    large = "x" * 100_000_000
    page.work = lambda session: session["list"].append(large) if how == "in place" else session.__setitem__("list", large)
    with pytest.raises(holdall.TooLargeError, match="list.*1048576.*10000000"):
        page.visit(f"sid={token}")
    assert page.manager.open_token(token).all() == BEFORE


WRONG = [
    ({"url": "memory:", "idle": 1}, "idle"),
    ({"url": "memory:", "idle_timeout_s": "7200"}, "idle_timeout_s"),
    ({"url": "memory:", "idle_timeout_s": -1}, "idle_timeout_s"),
    ({"url": "memory:", "touch_after": 2}, "touch_after"),
    ({"url": "memory:", "cookie": {"name": "a b"}}, "cookie.name"),
    ({"url": "memory:", "cookie": {"same_site": "none", "secure": False}}, "cookie.same_site"),
    ({"url": "memory:", "cookie": {"colour": "red"}}, "colour"),
    ({"url": "redis:"}, "url"),
    ({"drivers": {"main": {"type": "file"}}}, "path"),
    ({"drivers": {"main": {"type": "tape"}}}, "tape"),
    ({}, "driver"),
]


@pytest.mark.parametrize(("config", "named"), WRONG)
@pytest.mark.parametrize("adapter", ["core", "flask", "django", "starlette"])
def test_a_wrong_configuration_is_found_at_the_start_and_named(adapter, config, named):
    error = ImproperlyConfigured if adapter == "django" else holdall.InvalidConfigError
    with pytest.raises(error, match=named):
        start(adapter, config)


def start(adapter, config):
    if adapter == "core":
        holdall.SessionManager(config)
    elif adapter == "flask":
        application = flask.Flask(__name__)
        application.config["HOLDALL"] = config
        holdall.flask.Holdall(application)
    elif adapter == "starlette":
        holdall.starlette.SessionMiddleware(None, config=config)
    else:
        import django_settings

        django_settings.set_up()
        from django.test import override_settings

        from holdall.django import manager

        with override_settings(HOLDALL=config):
            manager()
