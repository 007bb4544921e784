"""The demo in Python, alone and beside the demo in C++, on one directory of sessions and with one cookie.

What the demos have in common is tested by tests/test_demo.py, whose cases run here against this one.
"""

import json
import os
import re
import subprocess
import sys
import threading
from contextlib import ExitStack
from html.parser import HTMLParser
from itertools import cycle
from pathlib import Path
from string import ascii_lowercase

import pytest
import requests

import holdall

ROOT = Path(__file__).resolve().parents[3]
sys.path.append(str(ROOT / "tests"))
from demo.process import Demo  # noqa: E402
from demo.visitor import TIMEOUT, Page, Visitor  # noqa: E402
from demo.volley import volley  # noqa: E402

# What one demo can do alone is in the other tests: here are those that need the C++ program, its libraries or its speed.
NOT_OURS = [
    "test_slow_requests_overtaken_by_a_change_of_the_id_are_told_and_bring_nothing_back",  # Slows the C++ program down.
    "test_everything_is_freed_at_the_end",  # Valgrind on an interpreter.
    "test_visits_at_once_all_count",  # 400 pages, 20 ms each; a smaller one is below.
    "test_visits_at_once_in_two_processes_all_count",
    # Three rounds of twelve.
    *(f"test_26_letters_added_at_once_in_two_processes_all_arrive[{again}]" for again in range(3, 12)),
    *("test_items_removed_in_one_process_while_others_are_added_in_another_neither_stay_nor_take_any_along"
      f"[{again}]" for again in range(3, 12)),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The demo in Python as one file to execute, under this interpreter."""
    script = tmp_path_factory.mktemp("program") / "demo"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT}/examples/demo-python/serve.py" "$@"\n')
    script.chmod(0o755)
    return script


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("shared") / "sessions"


@pytest.fixture(scope="module")
def demos(program, directory):
    """The demo in C++ and the demo in Python, on one directory."""
    with Demo(directory.as_uri()) as cpp, Demo(directory.as_uri(), program=program) as python:
        yield {"C++": cpp, "Python": python}


@pytest.fixture(params=["C++ and Python", "Python and C++"])
def pair(request, demos):
    """The addresses of both, in either order."""
    return [demos[name].url for name in request.param.split(" and ")]


@pytest.fixture
def python(demos):
    return demos["Python"].url


# ------------------------------------------------------------------------------------------------------------------ alone


def test_it_does_what_the_cases_of_the_demo_in_cpp_ask(program):
    deselected = [f"--deselect=tests/test_demo.py::{name}" for name in NOT_OURS]
    # One driver is enough: what the drivers do is tested without an application.
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-k", "not memory", *deselected, "tests/test_demo.py"],
                          cwd=ROOT, env={**os.environ, "HOLDALL_DEMO": str(program)}, capture_output=True, text=True, timeout=900)

    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 75


NO_FORMS = {
    "no type": ("", b"item=towel"),
    "broken JSON": ("application/json", b"{"),
    "no JSON": ("text/plain", b"\xff"),
    "a number": ("text/plain", b"5"),
    "no UTF-8": ("application/x-www-form-urlencoded", b"item=\xff\xfe"),
    "broken parts": ("multipart/form-data; boundary=x", b"--x\r\nnonsense"),
    "no boundary": ("multipart/form-data", b"--x--"),
}


@pytest.mark.parametrize("kind", NO_FORMS)
def test_what_cannot_be_read_as_a_form_is_refused_and_no_page_of_another_visitor_is_answered(python, kind):
    # The framework would answer on the response of the request before, with its headers.
    ada = Visitor(python)
    ada.submit("/sign-in", name="Ada")
    requests.get(python, timeout=TIMEOUT)
    content_type, body = NO_FORMS[kind]

    answer = requests.post(python + "/cart/add", body, headers={"Content-Type": content_type}, timeout=TIMEOUT)

    assert answer.status_code == 403 and "That form was out of date" in answer.text
    assert "Set-Cookie" not in answer.headers and answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_field_that_comes_as_a_list_is_no_field(python):
    visitor = Visitor(python)

    answers = [visitor.http.post(python + "/cart/add", {"csrf_token[a]": visitor.token, "item": "towel"}, timeout=TIMEOUT),
               visitor.http.post(python + "/cart/add", {"csrf_token": visitor.token, "item[a]": "towel"}, timeout=TIMEOUT)]

    assert answers[0].status_code == 403
    assert Page(answers[1]).problem == "Please type what you want to add." and visitor.get().items == []


def test_a_page_that_fails_stores_nothing_and_tells_whoever_runs_it_but_not_the_visitor(program, tmp_path):
    with Demo(tmp_path.as_uri(), program=program) as demo:
        visitor = Visitor(demo.url)
        manager = holdall.SessionManager(tmp_path.as_uri(), cookie={"secure": False})
        session = manager.open(f"sid={visitor.cookie}")
        # Not what an application with these keys would store.
        session.set("cart", 5)
        session.commit()

        page = visitor.http.get(demo.url, timeout=TIMEOUT)

        assert page.status_code == 500 and "That went wrong" in page.text and "TypeError" not in page.text
        assert demo.wait_for_complaint("TypeError") and visitor.cookie not in demo.complaints
        assert manager.open(f"sid={visitor.cookie}", mode="read_only").all() == {"visits": 1, "cart": 5}


def while_it_waits(manager, visitor, wanted, change):
    """Answers the response to a request that has read the session before `change`, and stores after it.

    Or nearly always: a request that is late by a tenth of a second finds the new state.
    """
    answers = []
    # Holds the record, so that the request waits where it wants to store.
    session = manager.open(f"sid={visitor.cookie}", mode="exclusive")
    change(session)
    request = threading.Thread(target=lambda: answers.append(
        requests.Session().send(wanted.prepare(), timeout=TIMEOUT, allow_redirects=False)))
    request.start()
    request.join(0.1)
    session.commit()
    request.join()
    return answers[0]


@pytest.mark.parametrize(("path", "status"), [("/", 303), ("/cart/add", 409)])
def test_a_request_that_is_overtaken_by_a_sign_out_says_so_and_stores_nothing(python, directory, path, status):
    manager = holdall.SessionManager(directory.as_uri(), cookie={"secure": False})
    for _ in range(20):
        visitor = Visitor(python)
        visitor.submit("/sign-in", name="Ada")
        form = visitor.form(path, item="towel")
        wanted = form if status == 409 else requests.Request("GET", python + path, cookies=visitor.cookies)
        answer = while_it_waits(manager, visitor, wanted, holdall.Session.invalidate)
        if answer.status_code == status:
            break

    assert answer.status_code == status and "Ada" not in answer.text
    assert "user" not in visitor.get().by_id


def test_a_visit_and_an_addition_that_meet_others_of_their_kind_lose_none(python, directory):
    manager = holdall.SessionManager(directory.as_uri(), cookie={"secure": False})
    visitor = Visitor(python)
    visitor.submit("/cart/add", item="towel")

    def more(session):
        session.increment("visits", 10)
        session.push("cart", "book")

    assert while_it_waits(manager, visitor, requests.Request("GET", python, cookies=visitor.cookies), more).status_code == 200
    assert while_it_waits(manager, visitor, visitor.form("/cart/add", item="lamp"), more).status_code == 303
    page = visitor.get()
    assert page.visits == 2 + 10 + 1 + 10 + 1 and sorted(page.items) == ["book", "book", "lamp", "towel"]


# --------------------------------------------------------------------------------------------------------------- together


def test_who_signs_in_on_one_is_signed_in_on_the_other_and_signs_out_of_both(pair):
    one, other = pair
    visitor = Visitor(one)
    visitor.submit("/sign-in", name="Ada")
    signed_in = visitor.cookies

    visitor.url = other
    assert visitor.get().by_id["user"] == "Ada"

    visitor.submit("/sign-out")
    for url in pair:
        visitor.url = url
        assert "user" not in visitor.get().by_id
        stranger = Page(requests.get(url, cookies=signed_in, timeout=TIMEOUT))
        assert "user" not in stranger.by_id and stranger.visits == 1


def test_the_cart_and_the_visits_are_one(pair):
    visitor = Visitor(pair[0])
    for url, item in zip(pair * 2, ["towel", "book", "\u00e4\u6f22\U0001f9f3", "lamp"], strict=True):
        # With the token of a page of the other.
        visitor.url = url
        page = visitor.submit("/cart/add", item=item)

    assert page.items == ["towel", "book", "\u00e4\u6f22\U0001f9f3", "lamp"] and page.visits == 5
    for url, item in zip(pair * 2, page.items, strict=True):
        visitor.url = url
        page = visitor.submit("/cart/remove", item=item)
    assert page.items == []


def test_a_message_set_on_one_is_shown_once_on_the_other(pair):
    one, other = pair
    visitor = Visitor(one)
    visitor.send("/cart/add", item="towel")
    visitor.send("/sign-in", name="x" * 81)

    visitor.url = other
    page = visitor.get()
    assert page.notice == 'Added "towel".' and page.problem == "Please keep it to 80 characters."
    assert page.fields["name"] == "x" * 81
    for visitor.url in pair:
        page = visitor.get()
        assert page.notice is None and page.problem is None and page.fields["name"] == ""


def test_what_is_done_on_both_at_once_all_arrives(pair):
    visitor = Visitor(pair[0])

    letters = [visitor.form("/cart/add", to, item=letter) for letter, to in zip(ascii_lowercase, cycle(pair), strict=False)]
    pages = [requests.Request("GET", url, cookies=visitor.cookies) for url in pair * 20]
    answers = volley(*letters, *pages)

    assert answers == [303] * 26 + [200] * 40
    page = visitor.get()
    assert sorted(page.items) == list(ascii_lowercase) and page.visits == 42


def test_items_removed_on_one_while_others_are_added_on_the_other_neither_stay_nor_take_any_along(pair):
    visitor = Visitor(pair[0])
    old, new = [f"old {number}" for number in range(24)], [f"new {number}" for number in range(24)]
    volley(*[visitor.form("/cart/add", item=item) for item in old], connections=1)

    answers = volley(*[visitor.form("/cart/remove", pair[0], item=item) for item in old],
                     *[visitor.form("/cart/add", pair[1], item=item) for item in new])

    assert answers == [303] * 48
    assert sorted(visitor.get().items) == sorted(new)


# ------------------------------------------------------------------------------------------------------------------ alike


class Elements(HTMLParser):
    """The elements of a page with their attributes, and its text; without what changes from page to page or is the language's."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(html)
        self.close()
        self.text = " ".join(self.text.partition("A demo of Holdall")[0].split())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if attributes.get("name") == "csrf_token":
            assert len(attributes.pop("value")) == 86
        self.elements.append((tag, attributes))

    def handle_data(self, text):
        # The engine's figures are a process's own.
        if not self.elements or self.elements[-1][1].get("id") != "stats":
            self.text += text


HEADERS = ["Content-Type", "Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "Cache-Control", "Vary", "Allow"]


def test_the_pages_are_the_same(demos):
    visitor = Visitor(demos["C++"].url)

    def is_the_same(method, path):
        # Without a message or a count that the page before would have used up.
        session = requests.Session()
        session.cookies.update(visitor.cookies)
        before = Page(session.get(demos["C++"].url, timeout=TIMEOUT)).visits
        answers = {}
        for name, demo in demos.items():
            visitor.url = demo.url
            visitor.send("/sign-in", name="")
            visitor.send("/cart/add", item=f'"{before}"')
            visitor.send("/cart/remove", item=f'"{before}"')
            answers[name] = session.request(method, demo.url + path, timeout=TIMEOUT, allow_redirects=False)
        cpp, python = answers["C++"], answers["Python"]
        assert [python.headers.get(name) for name in HEADERS] == [cpp.headers.get(name) for name in HEADERS]
        assert python.status_code == cpp.status_code
        cpp, python = Elements(cpp.text), Elements(python.text)
        assert python.elements == cpp.elements
        assert re.sub(r"\d+", "", python.text) == re.sub(r"\d+", "", cpp.text)

    for _ in range(2):
        for path in ["/", "/session", "/nowhere", "/sign-in"]:
            is_the_same("GET", path)
            is_the_same("POST", path)
        visitor.submit("/cart/add", item="<b>\"'&amp;</b>")
        visitor.submit("/sign-in", name="<i>Ada</i>")


@pytest.mark.parametrize("path", ["/style.css", "/icon.svg"])
def test_the_assets_are_the_same(demos, path):
    cpp, python = [requests.get(demo.url + path, timeout=TIMEOUT) for demo in demos.values()]

    assert python.content == cpp.content
    assert [python.headers.get(name) for name in HEADERS] == [cpp.headers.get(name) for name in HEADERS]


def test_the_keys_have_the_types_that_the_readme_promises(demos, pair):
    visitor = Visitor(pair[0])
    visitor.submit("/sign-in", name="Ada")
    visitor.submit("/cart/add", item="towel")
    visitor.send("/cart/add", item="")

    visitor.url = pair[1]
    shown = json.loads(visitor.get("/session").by_id["session"])

    assert shown == {"visits": 3, "user": "Ada", "cart": ["towel"], "problem": "Please type what you want to add.",
                     "_old_input": {"item": ""}}


# --------------------------------------------------------------------------------------------------------------- chromium


@pytest.fixture(scope="module")
def browser(demos, tmp_path_factory):
    chromium = pytest.importorskip("demo.browser")
    if not Path(chromium.CHROMEDRIVER).exists():
        pytest.skip("chromium-driver is not installed")
    with ExitStack() as ended:
        browser = chromium.Browser(tmp_path_factory.mktemp("profile"), demos["C++"].url)
        ended.callback(browser.close)
        yield browser


def test_one_browser_goes_to_and_fro(browser, pair):
    one, other = pair
    browser.url = one
    browser.get()
    browser.submit("/sign-in", name="Ada")
    browser.submit("/cart/add", item="towel")
    assert browser.text("#notice") == 'Added "towel".'

    browser.url = other
    browser.get()
    assert browser.text("#user") == "Ada" and browser.texts(".item") == ["towel"] and browser.text("#notice") is None
    browser.submit("/cart/add", item="book")
    assert browser.texts(".item") == ["towel", "book"] and browser.text("#notice") == 'Added "book".'

    browser.url = one
    browser.get()
    assert browser.texts(".item") == ["towel", "book"] and browser.text("#notice") is None
    browser.submit("/sign-out")

    for browser.url in [other, one]:
        browser.get()
        assert browser.text("h1") == "Hello, stranger." and browser.texts(".item") == []
    assert browser.complaints == []
