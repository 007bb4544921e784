"""The demos in Python and in Node, alone and beside the demo in C++, on one directory of sessions and with one cookie.

What the demos have in common is tested by tests/test_demo.py, whose cases run here against these two.
"""

import json
import os
import re
import subprocess
import sys
import textwrap
import threading
from contextlib import ExitStack
from html.parser import HTMLParser
from itertools import cycle, permutations
from pathlib import Path
from string import ascii_lowercase

import pytest
import requests
from demo.process import PROGRAM, ROOT, Demo
from demo.visitor import TIMEOUT, Page, Visitor
from demo.volley import volley

import holdall

LANGUAGES = ["C++", "Python", "Node"]
# Valgrind on an interpreter.
NOT_IN_NODE = ["test_everything_is_freed_at_the_end"]
# And what needs more than one request at a time, or the others' speed.
NOT_IN_PYTHON = [
    *NOT_IN_NODE,
    "test_slow_requests_overtaken_by_a_change_of_the_id_are_told_and_bring_nothing_back",
    "test_visits_at_once_all_count",  # 400 pages, 20 ms each; a smaller one is below.
    "test_visits_at_once_in_two_processes_all_count",
    # Three rounds of twelve.
    *(f"test_26_letters_added_at_once_in_two_processes_all_arrive[{again}]" for again in range(3, 12)),
    *("test_items_removed_in_one_process_while_others_are_added_in_another_neither_stay_nor_take_any_along"
      f"[{again}]" for again in range(3, 12)),
]


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Each demo as one file to execute; that in Python under this interpreter."""
    script = tmp_path_factory.mktemp("program") / "demo"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT}/examples/demo-python/serve.py" "$@"\n')
    script.chmod(0o755)
    return {"C++": PROGRAM, "Python": script, "Node": ROOT / "examples/demo-node/serve.js"}


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("shared") / "sessions"


@pytest.fixture(scope="module")
def demos(programs, directory):
    """All of them, on one directory."""
    with ExitStack() as started:
        yield {name: started.enter_context(Demo(directory.as_uri(), program=programs[name])) for name in LANGUAGES}


@pytest.fixture(params=permutations(LANGUAGES, 2), ids=" and ".join)
def pair(request, demos):
    """The addresses of two of them, in either order."""
    return [demos[name].url for name in request.param]


@pytest.fixture(params=LANGUAGES)
def url(request, demos):
    """The address of each."""
    return demos[request.param].url


# ------------------------------------------------------------------------------------------------------------------ alone


@pytest.mark.parametrize(("language", "without", "at_least"), [("Python", NOT_IN_PYTHON, 75), ("Node", NOT_IN_NODE, 100)])
def test_it_does_what_the_cases_of_the_demo_in_cpp_ask(programs, language, without, at_least):
    deselected = [f"--deselect=tests/test_demo.py::{name}" for name in without]
    environment = {**os.environ, "HOLDALL_DEMO": str(programs[language])}
    # One driver is enough: what the drivers do is tested without an application.
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-k", "not memory", *deselected, "tests/test_demo.py"],
                          cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)

    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= at_least


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
def test_what_cannot_be_read_as_a_form_is_refused_and_no_page_of_another_visitor_is_answered(url, kind):
    # Masonite would answer on the response of the request before, with its headers.
    ada = Visitor(url)
    ada.submit("/sign-in", name="Ada")
    requests.get(url, timeout=TIMEOUT)
    content_type, body = NO_FORMS[kind]

    answer = requests.post(url + "/cart/add", body, headers={"Content-Type": content_type}, timeout=TIMEOUT)

    assert answer.status_code == 403 and "That form was out of date" in answer.text
    assert "Set-Cookie" not in answer.headers and answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_field_that_comes_as_a_list_is_no_field(url):
    visitor = Visitor(url)

    answers = [visitor.http.post(url + "/cart/add", {"csrf_token[a]": visitor.token, "item": "towel"}, timeout=TIMEOUT),
               visitor.http.post(url + "/cart/add", {"csrf_token": visitor.token, "item[a]": "towel"}, timeout=TIMEOUT)]

    assert answers[0].status_code == 403
    assert Page(answers[1]).problem == "Please type what you want to add." and visitor.get().items == []


# Neither is what an application with these keys would store.
@pytest.mark.parametrize(("language", "cart"), [("Python", 5), ("Node", {"length": 1})])
def test_a_page_that_fails_stores_nothing_and_tells_whoever_runs_it_but_not_the_visitor(programs, tmp_path, language, cart):
    with Demo(tmp_path.as_uri(), program=programs[language]) as demo:
        visitor = Visitor(demo.url)
        manager = holdall.SessionManager(tmp_path.as_uri(), cookie={"secure": False})
        session = manager.open(f"sid={visitor.cookie}")
        session.set("cart", cart)
        session.commit()

        page = visitor.http.get(demo.url, timeout=TIMEOUT)

        assert page.status_code == 500 and "That went wrong" in page.text and "TypeError" not in page.text
        assert demo.wait_for_complaint("TypeError") and visitor.cookie not in demo.complaints
        assert manager.open(f"sid={visitor.cookie}", mode="read_only").all() == {"visits": 1, "cart": cart}


# One waits for the lock when its session is opened: nobody is left to answer. The other has changed it and waits in its own commit, which
# is done.
@pytest.mark.parametrize(("path", "items"), [("/cart/remove", ["towel"]), ("/cart/add", ["towel", "towel"])])
def test_a_visitor_who_leaves_while_the_request_waits_takes_nothing_back_and_is_no_failure(programs, tmp_path, path, items):
    with Demo(tmp_path.as_uri(), program=programs["Node"]) as demo:
        visitor = Visitor(demo.url)
        visitor.submit("/cart/add", item="towel")
        manager = holdall.SessionManager(tmp_path.as_uri(), cookie={"secure": False})
        session = manager.open(f"sid={visitor.cookie}", mode="exclusive")
        session.get("cart")
        with pytest.raises(requests.ReadTimeout):
            requests.Session().send(visitor.form(path, item="towel").prepare(), timeout=0.3)
        # Answered after the demo has heard of it.
        assert requests.get(demo.url, timeout=TIMEOUT).status_code == 200
        session.close()

        assert visitor.submit("/cart/remove", item="lamp").items == items
    assert demo.complaints == ""


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
def test_a_request_that_is_overtaken_by_a_sign_out_says_so_and_stores_nothing(url, directory, path, status):
    manager = holdall.SessionManager(directory.as_uri(), cookie={"secure": False})
    for _ in range(20):
        visitor = Visitor(url)
        visitor.submit("/sign-in", name="Ada")
        form = visitor.form(path, item="towel")
        wanted = form if status == 409 else requests.Request("GET", url + path, cookies=visitor.cookies)
        answer = while_it_waits(manager, visitor, wanted, holdall.Session.invalidate)
        if answer.status_code == status:
            break

    assert answer.status_code == status and "Ada" not in answer.text
    assert "user" not in visitor.get().by_id


def test_a_visit_and_an_addition_that_meet_others_of_their_kind_lose_none(url, directory):
    manager = holdall.SessionManager(directory.as_uri(), cookie={"secure": False})
    visitor = Visitor(url)
    visitor.submit("/cart/add", item="towel")

    def more(session):
        session.increment("visits", 10)
        session.push("cart", "book")

    assert while_it_waits(manager, visitor, requests.Request("GET", url, cookies=visitor.cookies), more).status_code == 200
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
        said = [[answer.status_code, *(answer.headers.get(name) for name in HEADERS)] for answer in answers.values()]
        assert said[1] == said[0] and said[2] == said[0]
        cpp, *others = [Elements(answer.text) for answer in answers.values()]
        for other in others:
            assert other.elements == cpp.elements
            assert re.sub(r"\d+", "", other.text) == re.sub(r"\d+", "", cpp.text)

    for _ in range(2):
        for path in ["/", "/session", "/nowhere", "/sign-in"]:
            is_the_same("GET", path)
            is_the_same("POST", path)
        visitor.submit("/cart/add", item="<b>\"'&amp;</b>")
        visitor.submit("/sign-in", name="<i>Ada</i>")


@pytest.mark.parametrize("path", ["/style.css", "/icon.svg"])
def test_the_assets_are_the_same(demos, path):
    cpp, *others = [requests.get(demo.url + path, timeout=TIMEOUT) for demo in demos.values()]

    for other in others:
        assert other.content == cpp.content
        assert [other.headers.get(name) for name in HEADERS] == [cpp.headers.get(name) for name in HEADERS]


def test_the_keys_have_the_types_that_the_readme_promises(demos, pair):
    visitor = Visitor(pair[0])
    visitor.submit("/sign-in", name="Ada")
    visitor.submit("/cart/add", item="towel")
    visitor.send("/cart/add", item="")

    visitor.url = pair[1]
    shown = json.loads(visitor.get("/session").by_id["session"])

    assert shown == {"visits": 3, "user": "Ada", "cart": ["towel"], "problem": "Please type what you want to add.",
                     "_old_input": {"item": ""}}


@pytest.mark.parametrize(("language", "source"), [
    ("cpp", "demo/application.cpp"), ("python", "demo-python/app/controllers/SignInController.py"),
    ("javascript", "demo-node/sign-in.js")])
def test_the_readme_shows_what_stands_in_the_source(language, source):
    _, section = (ROOT / "README.md").read_text().split("## One application in three languages\n")
    (shown,) = re.findall(rf"```{language}\n(.*?)```", section.split("\n## ")[0], re.DOTALL)

    lines = (ROOT / "examples" / source).read_text().splitlines()
    assert shown.count("\n") >= 10 and any(
        textwrap.dedent("\n".join(lines[at : at + shown.count("\n")])) + "\n" == shown for at in range(len(lines)))


# --------------------------------------------------------------------------------------------------------------- chromium


@pytest.fixture(scope="module")
def browser(demos, tmp_path_factory):
    chromium = pytest.importorskip("demo.browser")
    if not Path(chromium.CHROMEDRIVER).exists():
        pytest.skip("chromium-driver is not installed")
    browser = chromium.Browser(tmp_path_factory.mktemp("profile"), demos["C++"].url)
    try:
        yield browser
    finally:
        browser.close()


@pytest.mark.parametrize("first", range(3), ids=LANGUAGES)
def test_one_browser_signs_in_on_one_is_signed_in_on_all_and_signs_out_of_all(browser, demos, first):
    urls = [demos[name].url for name in LANGUAGES[first:] + LANGUAGES[:first]]

    def at(url):
        browser.url = url
        browser.get()

    browser.driver.delete_all_cookies()
    at(urls[0])
    browser.submit("/sign-in", name="Ada")
    assert browser.text("#notice") == "Welcome, Ada."
    signed_in = browser.cookie["value"]
    for url in urls[1:]:
        at(url)
        assert browser.text("h1") == "Hello, Ada." and browser.text("#user") == "Ada" and browser.text("#notice") is None
    assert browser.text("#visits") == "4"

    # Each adds, each sees what the others have added, and each removes what another has added.
    items = []
    for url, item in zip(urls, ["towel", "book", "lamp"], strict=True):
        at(url)
        assert browser.texts(".item") == items
        browser.submit("/cart/add", item=item)
        items.append(item)
        assert browser.texts(".item") == items and browser.text("#notice") == f'Added "{item}".'
    for url in urls:
        at(url)
        browser.submit("/cart/remove")
        assert browser.text("#notice") == f'Removed "{items.pop(0)}".' and browser.texts(".item") == items

    assert browser.cookie["value"] == signed_in
    browser.submit("/sign-out")
    assert browser.text("#notice") == "You are signed out."
    for url in urls:
        at(url)
        assert browser.text("h1") == "Hello, stranger." and browser.text("#user") is None and browser.text("#notice") is None
        stranger = Page(requests.get(url, cookies={"sid": signed_in}, timeout=TIMEOUT))
        assert "user" not in stranger.by_id and stranger.visits == 1
    assert browser.complaints == []


# Sends the form for the cart without going where its redirect leads.
POST = """
const [item, done] = arguments;
const fields = new URLSearchParams(new FormData(document.querySelector("form[action='/cart/add']")));
fields.set("item", item);
fetch("/cart/add", {method: "POST", body: fields, redirect: "manual"}).then(answer => done(answer.type), done);
"""


def test_in_one_browser_a_message_of_one_is_shown_once_on_another(browser, pair):
    one, other = pair
    # The pages allow no script to fetch anything.
    browser.driver.execute_cdp_cmd("Page.setBypassCSP", {"enabled": True})
    browser.url = one
    browser.get()
    answer = browser.driver.execute_async_script(POST, "towel")
    browser.driver.execute_cdp_cmd("Page.setBypassCSP", {"enabled": False})

    assert answer == "opaqueredirect"
    browser.url = other
    browser.get()
    assert browser.text("#notice") == 'Added "towel".'
    for browser.url in pair:
        browser.get()
        assert browser.text("#notice") is None
