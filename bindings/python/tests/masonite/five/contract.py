"""What Masonite 4 and 5 hold of a session, with the framework's own test case: a case for each of their tests that does not ask
for the cookies of one driver, in other words."""

from masonite.middleware import Middleware
from masonite.routes import Route
from masonite.tests import TestCase


class Fills(Middleware):
    def before(self, request, response):
        request.session.set("name", "ann")
        request.session.flash("message", "hello")
        return request

    def after(self, request, response):
        return request


class FillsAndRedirects(Fills):
    def before(self, request, response):
        request.session.set("name", "ann")
        return response.redirect("/home").with_success("done").with_errors("name is missing")


class Contract:
    def setUp(self):
        super().setUp()
        self.make_request()
        self.session = self.application.make("session").start(self.driver)

    def test_what_was_set_is_got(self):
        self.session.set("name", "ann")
        self.session.set("dict", {"id": 1, "name": "Ann"})
        assert self.session.get("name") == "ann" and self.session.get("dict") == {"id": 1, "name": "Ann"}

    def test_numbers_go_up_and_down(self):
        self.session.set("one", 1)
        self.session.set("five", 5)
        self.session.increment("one")
        self.session.decrement("five")
        assert self.session.get("one") == 2 and self.session.get("five") == 4

    def test_what_was_deleted_is_gone(self):
        self.session.set("name", "ann")
        self.session.delete("name")
        assert self.session.get("name") is None

    def test_what_was_pulled_is_gone(self):
        self.session.set("name", "ann")
        assert self.session.pull("name") == "ann" and self.session.get("name") is None

    def test_a_flash_is_got_once(self):
        self.session.flash("message", {"id": 1})
        assert self.session.get("message") == {"id": 1} and self.session.get("message") is None

    def test_a_flush_leaves_nothing(self):
        self.session.set("dict", {"id": 1})
        self.session.flash("message", "hello")
        self.session.flush()
        assert self.session.get("dict") is None and self.session.get("message") is None


class TestMemory(Contract, TestCase):
    driver = "memory"


class TestFile(Contract, TestCase):
    driver = "file"


class TestCookie(Contract, TestCase):
    driver = "cookie"


class TestRequests(TestCase):
    def setUp(self):
        super().setUp()
        self.application.make("middleware").add({"fills": Fills, "fills_and_redirects": FillsAndRedirects})
        self.setRoutes(
            Route.get("/", "SessionController@all").middleware("fills"),
            Route.get("/redirect", "SessionController@all").middleware("fills_and_redirects"),
            Route.get("/home", "SessionController@all"),
        )

    def test_what_a_middleware_sets_is_there(self):
        self.get("/").assertOk().assertSessionHas("name", "ann").assertSessionHas("message", "hello")

    def test_what_a_middleware_sets_and_redirects_is_there(self):
        response = self.get("/redirect").assertRedirect("/home").assertSessionHas("name", "ann")
        response.assertSessionHas("success", "done").assertSessionHas("errors", "name is missing")
