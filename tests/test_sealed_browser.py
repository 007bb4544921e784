"""Sealed sessions in a real browser: what it stores of the lines it is given, and what it brings back.

Chromium alone says whether the sizes that are counted here are those that count, and whether parts of a cookie come and go.
"""

import http.server
import json
import threading
from urllib.parse import parse_qs, urlsplit

import pytest

import holdall

chromium = pytest.importorskip("demo.browser")

KEY, NEW_KEY = holdall.generate_key(), holdall.generate_key()
# The lines are counted to the byte here, so the name must not change with the port.
COOKIE = {"name": "sid", "secure": False, "persistent": True}


class Site:
    """A site of one page, which shows the session as JSON after it was changed as the address says."""

    def __init__(self):
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                address = urlsplit(self.path)
                if address.path != "/":
                    self.send_error(404)
                    return
                body, headers = site.answer(self.headers.get("Cookie"), dict(parse_qs(address.query, keep_blank_values=True)))
                self.send_response(200)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                """The tests print nothing that holds a cookie."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def configure(self, keys=(KEY,), **options):
        drivers = {"main": {"type": "cookie", **options}, "store": {"type": "memory"}}
        self.manager = holdall.SessionManager({"default": "main", "drivers": drivers, "keys": list(keys), "cookie": COOKIE})
        self.lines = []

    def answer(self, header, query):
        session = self.manager.open(header)
        shown = {"is_new": session.is_new, "bytes": len(session.get("much", "")), "n": session.get("n")}
        if "destroy" in query:
            session.destroy()
        elif "bytes" in query:
            size = int(query["bytes"][0])
            session["much"] = "x" * size
            session["n"] = size
        elif "leave" not in query:
            session.touch()
        headers = session.commit().headers
        self.lines = [value for name, value in headers if name == "Set-Cookie"]
        return json.dumps(shown).encode(), headers

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture(scope="module")
def site():
    site = Site()
    yield site
    site.close()


@pytest.fixture(scope="module")
def opened(site, tmp_path_factory):
    browser = chromium.Browser(tmp_path_factory.mktemp("browser"), site.url)
    yield browser
    browser.close()


@pytest.fixture
def browser(site, opened):
    site.configure()
    opened.get("/?leave")
    opened.driver.delete_all_cookies()
    return opened


def seen(browser, query=""):
    browser.get(f"/?{query}")
    return json.loads(browser.text("body"))


def names(browser):
    return sorted(cookie["name"] for cookie in browser.driver.get_cookies())


def longest(site):
    """How many bytes of a value the largest session has that a commit takes, found by trying, and the length of its line."""
    fits, too_many = 0, 5000
    while too_many - fits > 1:
        size = (fits + too_many) // 2
        session = site.manager.open()
        session.update(much="x" * size, n=size)
        try:
            line = dict(session.commit().headers)["Set-Cookie"]
        except holdall.TooLargeError:
            too_many = size
        else:
            fits, length = size, len(line)
    return fits, length


def test_the_largest_session_that_is_taken_comes_back(site, browser):
    size, length = longest(site)
    # base64 grows by four characters for three bytes: to the byte it cannot always be.
    assert 4096 - 4 < length <= 4096

    for bytes_ in [size, size - 1, 1, size]:
        seen(browser, f"bytes={bytes_}")
        assert len(site.lines) == 1 and len(site.lines[0]) <= 4096
        assert seen(browser, "leave") == {"is_new": False, "bytes": bytes_, "n": bytes_}
    assert names(browser) == ["sid"]


def test_the_parts_of_a_session_come_and_go_with_its_size(site, browser):
    site.configure(overflow="chunk")
    for size, parts in [(9000, 4), (6000, 3), (3000, 2), (10, 1), (3000, 2), (9000, 4), (10, 1)]:
        seen(browser, f"bytes={size}")
        assert names(browser) == ["sid", "sid.1", "sid.2", "sid.3"][:parts]
        assert seen(browser, "leave") == {"is_new": False, "bytes": size, "n": size}

    seen(browser, "bytes=9000")
    seen(browser, "destroy")
    assert names(browser) == []
    assert seen(browser, "leave")["is_new"]


def test_a_session_that_has_lost_a_part_is_absent_and_the_next_one_leaves_no_stale_part(site, browser):
    site.configure(overflow="chunk")
    seen(browser, "bytes=9000")
    browser.driver.delete_cookie("sid.2")

    assert seen(browser, "leave") == {"is_new": True, "bytes": 0, "n": None}
    seen(browser, "bytes=7")
    assert names(browser) == ["sid"]
    assert seen(browser, "leave") == {"is_new": False, "bytes": 7, "n": 7}


def test_a_session_that_spills_has_one_cookie_and_comes_back(site, browser):
    site.configure(overflow="spill", spill_to="store")
    for size in [10, 100_000, 10, 100_000]:
        seen(browser, f"bytes={size}")
        assert names(browser) == ["sid"]
        assert seen(browser, "leave") == {"is_new": False, "bytes": size, "n": size}
    reference = len(browser.cookie["value"])
    assert reference < 300

    seen(browser, "destroy")
    assert names(browser) == []


def test_a_cookie_under_the_old_key_is_sealed_anew_and_one_under_none_is_absent(site, browser):
    site.configure(overflow="chunk")
    seen(browser, "bytes=5000")
    before = {cookie["name"]: cookie["value"] for cookie in browser.driver.get_cookies()}

    site.configure(keys=[NEW_KEY, KEY], overflow="chunk")
    assert seen(browser, "leave")["bytes"] == 5000
    after = {cookie["name"]: cookie["value"] for cookie in browser.driver.get_cookies()}
    assert sorted(before) == sorted(after) and all(before[name] != after[name] for name in before)

    site.configure(keys=[NEW_KEY], overflow="chunk")
    assert seen(browser, "leave")["bytes"] == 5000
    site.configure(keys=[KEY], overflow="chunk")
    assert seen(browser, "leave")["is_new"]
