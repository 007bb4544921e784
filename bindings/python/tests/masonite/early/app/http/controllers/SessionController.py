"""What the documents do with a session, a route each."""

import json
import threading
import time
from pathlib import Path

import masonite

OTHER, READ = threading.Event(), []


def _given(name):
    return request().input(name)  # noqa: F821


def _value():
    return json.loads(_given("value"))


def _session():
    driver = _given("driver")
    return request().session.driver(driver) if driver else request().session  # noqa: F821


class SessionController:
    def set(self):
        return json.dumps(_session().set(_given("key"), _value()))

    def get(self):
        return json.dumps(_session().get(_given("key")))

    def has(self):
        return json.dumps(_session().has(_given("key")))

    def all(self):
        return json.dumps(_session().all())

    def delete(self):
        return json.dumps(_session().delete(_given("key")))

    def flash(self):
        return json.dumps(_session().flash(_given("key"), _value()))

    def reset(self):
        _session().reset(flash_only=bool(_given("flash_only")))
        return json.dumps(_session().all())

    def append(self):
        request().session.get("list").append(1)  # noqa: F821
        return "null"

    def spoil(self):
        request().session.set("list", [])  # noqa: F821
        request().session.get("list").append({1})  # noqa: F821
        return "not stored"

    def poke(self):
        """What the framework's own tests do to a driver."""
        session = request().session  # noqa: F821
        session._session = {}
        session._flash = {}
        session.environ["REMOTE_ADDR"] = "198.51.100.1"
        return json.dumps(isinstance(session.helper(), type(session)))

    def chained(self):
        return request().redirect("/dashboard").session.flash("success", "Action is successful")  # noqa: F821

    def separate(self):
        request().session.flash("danger", "Action is dangerous")  # noqa: F821
        return request().redirect("/dashboard")  # noqa: F821

    def twice(self):
        request().session.flash("success", "Through two redirects")  # noqa: F821
        return request().redirect("/hop")  # noqa: F821

    def hop(self):
        return request().redirect("/dashboard")  # noqa: F821

    def peek(self):
        request().session.get("success")  # noqa: F821
        return request().redirect("/dashboard")  # noqa: F821

    def gone(self):
        request().status("410 Gone" if not hasattr(masonite, "Session") else 410)  # noqa: F821
        return json.dumps(request().session.get("success"))  # noqa: F821

    def dashboard(self):
        return view("dashboard")  # noqa: F821

    def fly(self):
        driver = _given("driver")
        self._manager().driver(driver).set("where", driver)
        return view("dashboard")  # noqa: F821

    def refused(self):
        try:
            self._manager().driver("redis").set("where", "redis")
        except ValueError as error:
            return str(error)

    def unserialisable(self):
        try:
            request().session.set("when", {1})  # noqa: F821
        except TypeError as error:
            return str(error)

    def fails(self):
        request().session.set("failed", True)  # noqa: F821
        raise RuntimeError("on purpose")

    def fails_alone(self):
        request().session.start(mode="exclusive")  # noqa: F821
        raise RuntimeError("on purpose")

    def count_alone(self):
        session = request().session.start(mode="exclusive")  # noqa: F821
        session.set("count", (session.get("count") or 0) + 1)
        return json.dumps(session.get("count"))

    def only_reads(self):
        session = request().session.start(mode="read_only")  # noqa: F821
        try:
            session.set("a", 2)
        except RuntimeError as error:
            return f"{session.get('a')}: {error}"

    def too_late(self):
        request().session.set("a", 2)  # noqa: F821
        try:
            request().session.start(mode=_given("mode"))  # noqa: F821
        except (RuntimeError, ValueError) as error:
            return str(error)

    def discarded(self):
        session = request().session  # noqa: F821
        session.set("a", 2)
        session.discard()
        session.set("b", 2)
        return json.dumps(session.all())

    def waits(self):
        """Reads when another request has come in between."""
        Path("waits").touch()
        assert OTHER.wait(60)
        READ.append(request().session.get("name"))  # noqa: F821
        return "null"

    def comes(self):
        OTHER.set()
        return "null"

    def has_read(self):
        return json.dumps(READ)

    def figures(self):
        return json.dumps(sorted(request().session.manager.stats()))  # noqa: F821

    def perform(self):
        session = request().session  # noqa: F821
        answers = [getattr(session, name)(*given) for name, *given in json.loads(_given("operations"))]
        return json.dumps(answers)

    def work(self):
        user = request().session.get("user")  # noqa: F821
        time.sleep(0.001)
        request().session.set("work", 1)  # noqa: F821
        return json.dumps(user)

    def sign_out(self):
        request().session.session.invalidate()  # noqa: F821
        return "null"

    def regenerate(self):
        request().session.session.regenerate()  # noqa: F821
        return "null"

    def bad(self):
        """What no session takes, and what it says."""
        session, loop = request().session, []  # noqa: F821
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

    def messages(self):
        """2.3 and 3.0 have these besides."""
        return json.dumps(request().session.get_flashed_messages())  # noqa: F821

    def errors(self):
        return json.dumps(request().session.get_error_messages())  # noqa: F821

    def _manager(self):
        return container().make("SessionManager")  # noqa: F821


# By annotation where the framework has a name for it (2.1 on), by the parameter's name before.
if hasattr(masonite, "Session"):

    def injected(self, session: masonite.Session):
        return json.dumps(session.get("a"))
else:

    def injected(self, Session):
        return json.dumps(Session.get("a"))


SessionController.injected = injected
