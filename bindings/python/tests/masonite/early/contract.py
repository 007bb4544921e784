"""What Masonite 1.5 to 3.0 hold of a session driver, in a container without a server.

Their own session tests are in no archive that they have published, so these say the same in other words: a case for each of
theirs. wsgi.py, which readies the framework for this Python, comes first.
"""

import os
import unittest
from importlib import import_module

from masonite.app import App
from masonite.request import Request

import holdall
from holdall.masonite.drivers import SessionDriver, SessionManager
from holdall.masonite.settings import Settings

ENVIRON = {
    "REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": "", "REMOTE_ADDR": "192.0.2.1", "HTTP_HOST": "localhost",
    "SERVER_NAME": "localhost", "SERVER_PORT": "80", "wsgi.url_scheme": "http", "RAW_URI": "/",
}  # fmt: skip
SETTINGS = Settings(
    {"drivers": {"file": {"type": "file", "path": os.path.abspath("contract")}}, "keys": [holdall.generate_key()]},
    default="memory",
    flash="next_request",
)
IS_LATER = hasattr(Request, "with_flash")


class Contract:
    def setUp(self):
        self.app = App()
        self.request = Request(dict(ENVIRON))
        self.app.bind("Request", self.request)
        if IS_LATER:
            self.request.load_app(self.app)
            self.app.bind("Response", import_module("masonite.response").Response(self.app))
        manager = SessionManager(self.app, SETTINGS)
        self.app.bind("SessionManager", manager)
        for name in SETTINGS.drivers:
            self.app.bind(f"Session{name.capitalize()}Driver", manager.driver_class(name))
        self.session = self.app.make("SessionManager").driver(self.driver)
        self.request.session = self.session

    def test_the_manager_gives_a_session_that_keeps_what_it_is_told(self):
        self.session.set("name", "ann")
        self.session.set("word", "plum")
        self.assertEqual([self.session.get("name"), self.session.get("word")], ["ann", "plum"])

    def test_a_session_whose_insides_were_emptied_has_nothing(self):
        self.session._session = self.session._flash = {}
        self.assertIs(self.session.has("anything"), False)

    def test_it_goes_on_where_the_address_changes(self):
        self.session.environ["REMOTE_ADDR"] = "198.51.100.7"
        self.session.set("name", "ann")
        self.assertEqual(self.session.get("name"), "ann")

    def test_all_is_data_and_flash(self):
        self.session.set("name", "ann")
        self.session.flash("message", "hello")
        self.assertEqual(self.session.all(), {"name": "ann", "message": "hello"})

    def test_it_has_what_was_set_and_nothing_else(self):
        self.session.set("name", "ann")
        self.assertIs(self.session.has("name"), True)
        self.assertIs(self.session.has("has_name"), False)

    def test_the_helper_gives_the_session(self):
        self.assertIsInstance(self.session.helper(), type(self.session))
        self.assertIsInstance(self.session, SessionDriver)

    def test_flash_is_there_in_the_request_that_sets_it(self):
        self.session.flash("message", "hello")
        self.session.flash("other", "bye")
        self.assertEqual([self.session.get("message"), self.session.get("other")], ["hello", "bye"])

    def test_a_reset_of_flash_takes_flash_and_leaves_data(self):
        self.session.set("name", "ann")
        self.session.flash("message", "hello")
        self.session.reset(flash_only=True)
        self.assertIsNone(self.session.get("message"))
        self.assertEqual(self.session.get("name"), "ann")

    def test_a_reset_takes_data_and_leaves_flash(self):
        self.session.set("name", "ann")
        self.session.flash("message", "hello")
        self.session.reset()
        self.assertIsNone(self.session.get("name"))
        self.assertEqual(self.session.get("message"), "hello")

    def test_a_dict_comes_back_from_data_and_from_flash(self):
        self.session.flash("flashed", {"id": 1})
        self.session.set("set", {"id": 1})
        self.assertEqual([self.session.get("flashed"), self.session.get("set")], [{"id": 1}] * 2)

    def test_a_list_comes_back_from_flash(self):
        self.session.flash("flashed", [1, 2, 3])
        self.assertEqual(self.session.get("flashed"), [1, 2, 3])

    def test_a_deletion_is_done_and_says_so(self):
        self.session.set("one", "1")
        self.session.set("two", "2")
        self.assertIs(self.session.delete("one"), True)
        self.assertIs(self.session.has("one"), False)
        self.assertIs(self.session.delete("one"), False)
        self.assertIs(self.session.has("two"), True)


class Later:
    """What the request of later versions does with its session."""

    def test_a_redirect_keeps_what_was_typed_and_no_bytes(self):
        self.request.request_variables = {"name": "ann", "photo": b"\xff"}
        self.request.with_input()
        self.assertIs(self.session.has("name"), True)
        self.assertIs(self.session.has("photo"), False)

    def test_a_redirect_carries_messages(self):
        redirect = self.request.redirect(url="/dashboard")
        redirect.with_flash("any", "thing")
        redirect.with_success("done")
        redirect.with_errors("name is missing")
        self.assertEqual([self.session.get(key) for key in ("any", "success", "errors")], ["thing", "done", "name is missing"])

    def test_a_redirect_back_to_what_was_intended_happens_once(self):
        self.request.path = "/wanted"
        self.request.redirect(url="/login").then_back()
        self.assertEqual(self.session.get("__intend"), "/wanted")
        self.request.redirect_intended()
        self.assertIsNone(self.session.get("__intend"))


for name in SETTINGS.drivers:
    bases = (Contract, *([Later] if IS_LATER else []), unittest.TestCase)
    globals()[f"Contract of {name}"] = type(f"{name}Contract", bases, {"driver": name})
