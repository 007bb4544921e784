"""The demo, as its visitors meet it: real requests, and a real browser, over the file and the memory driver.

The program comes from HOLDALL_DEMO (default: build/demo). Nothing here sleeps: what has to be waited for is waited on.
"""

import fcntl
import json
import shutil
import signal
import subprocess
from itertools import cycle
from pathlib import Path
from string import ascii_lowercase

import pytest
import requests
from demo.process import PROGRAM, Demo
from demo.visitor import TIMEOUT, Page, Visitor
from demo.volley import responses, volley

SCRIPT = "<script>alert(1)</script>"
# A race that goes well in one round may go wrong in the next. Six rounds have shown a demo that set the cart instead of pushing
# to it, or removed without an exclusive session, in 8 runs of 8; twelve are for a luckier machine.
ROUNDS = 12


@pytest.fixture(scope="module", params=["file", "memory"])
def demo(request, tmp_path_factory):
    sessions = "memory:" if request.param == "memory" else tmp_path_factory.mktemp("sessions").joinpath("s").as_uri()
    with Demo(sessions) as demo:
        yield demo


@pytest.fixture
def visitor(demo):
    return Visitor(demo.url)


def session_of(page):
    """What the page "your session" shows."""
    return json.loads(page.by_id["session"])


# ---------------------------------------------------------------------------------------------------------------- flash


def test_the_message_appears_once_after_the_redirect_and_on_no_second_page(visitor):
    after = visitor.submit("/cart/add", item="towel")

    assert after.notice == 'Added "towel".'
    assert visitor.get().notice is None
    assert visitor.get("/session").notice is None


def test_the_message_waits_through_redirects_until_a_page_shows_it(visitor):
    visitor.send("/cart/add", item="towel")
    visitor.send("/cart/add", item="")
    shown = visitor.get()

    assert shown.notice == 'Added "towel".' and shown.problem == "Please type what you want to add."
    assert visitor.get().notice is None and visitor.get().problem is None


def test_the_message_is_not_spent_on_assets_or_lost_pages_or_refused_forms_or_head(visitor):
    visitor.send("/cart/add", item="towel")
    for path in ["/style.css", "/icon.svg", "/nowhere"]:
        visitor.http.get(visitor.url + path, timeout=TIMEOUT)
    visitor.http.head(visitor.url + "/", timeout=TIMEOUT)
    assert visitor.send("/cart/add", csrf_token="wrong", item="book").status_code == 403

    assert visitor.get().notice == 'Added "towel".'


def test_a_form_with_a_mistake_comes_back_with_what_was_typed_once(visitor):
    long = "x" * 81

    after = visitor.submit("/cart/add", item=long)

    assert after.problem == "Please keep it to 80 characters." and after.fields["item"] == long and after.items == []
    assert visitor.get().problem is None and visitor.get().fields["item"] == ""


@pytest.mark.parametrize("text", ['"' * 81, "'" * 81, "&quot;" * 81], ids=["double quotes", "single quotes", "entities"])
def test_what_was_typed_does_not_break_out_of_its_field(visitor, text):
    assert visitor.submit("/cart/add", item=text).fields["item"] == text


# ---------------------------------------------------------------------------------------------------- sign in, sign out


def test_sign_in_changes_the_id_keeps_the_cart_and_makes_the_old_id_a_stranger(demo, visitor):
    visitor.submit("/cart/add", item="towel")
    before = visitor.cookie

    after = visitor.submit("/sign-in", name="Ada")

    assert after.notice == "Welcome, Ada." and after.by_id["user"] == "Ada" and after.items == ["towel"]
    assert visitor.cookie not in (None, before)
    stranger = Page(requests.get(demo.url, cookies={"sid": before}, timeout=TIMEOUT))
    assert "user" not in stranger.by_id and stranger.items == [] and stranger.visits == 1


def test_a_signed_out_session_stays_out_even_when_its_old_cookie_is_sent_again(demo, visitor):
    visitor.submit("/sign-in", name="Ada")
    visitor.submit("/cart/add", item="towel")
    before = visitor.cookie

    after = visitor.submit("/sign-out")

    assert after.notice == "You are signed out." and "user" not in after.by_id and after.items == []
    assert visitor.cookie not in (None, before)
    for _ in range(2):
        again = Page(requests.get(demo.url, cookies={"sid": before}, timeout=TIMEOUT))
        assert "user" not in again.by_id and again.items == [] and again.visits == 1


def test_a_form_of_before_the_sign_in_is_refused_after_it(visitor):
    old_token = visitor.token
    visitor.submit("/sign-in", name="Ada")

    assert visitor.send("/cart/add", csrf_token=old_token, item="towel").status_code == 403


def test_two_visitors_do_not_see_each_other(demo):
    ada, bob = Visitor(demo.url), Visitor(demo.url)
    ada.submit("/sign-in", name="Ada")
    ada.submit("/cart/add", item="towel")
    bob.submit("/sign-in", name="Bob")

    assert bob.get().by_id["user"] == "Bob" and bob.get().items == []
    assert ada.get().by_id["user"] == "Ada" and ada.get().items == ["towel"]
    assert bob.send("/cart/add", csrf_token=ada.token, item="book").status_code == 403


# ----------------------------------------------------------------------------------------------------------------- forms


@pytest.mark.parametrize("token", [None, "", "wrong", "A" * 86], ids=["none", "empty", "short", "well-formed"])
@pytest.mark.parametrize("path", ["/sign-in", "/sign-out", "/cart/add", "/cart/remove"])
def test_a_post_without_a_valid_token_answers_403_and_changes_nothing(visitor, path, token):
    visitor.submit("/sign-in", name="Ada")
    visitor.submit("/cart/add", item="towel")
    before, cookie = session_of(visitor.get("/session")), visitor.cookie
    # Nothing is left to age, so whatever differs afterwards the refused form has done.
    before = session_of(visitor.get("/session"))

    refused = visitor.send(path, csrf_token=token, name="Eve", item="towel")

    assert refused.status_code == 403 and "Nothing was changed" in refused.text
    assert "Set-Cookie" not in refused.headers and visitor.cookie == cookie
    assert session_of(visitor.get("/session")) == before


def test_a_form_may_come_as_multipart_too(visitor):
    answer = visitor.http.post(visitor.url + "/cart/add", timeout=TIMEOUT, allow_redirects=False,
                               files={"csrf_token": (None, visitor.token), "item": (None, "towel")})

    assert answer.status_code == 303 and visitor.get().items == ["towel"]


def test_text_that_is_not_utf_8_is_refused_with_a_message(visitor):
    after = visitor.submit("/cart/add", item=b"\xff\xfe")

    assert after.problem == "That text is not valid UTF-8." and after.items == []


@pytest.mark.parametrize("text", [SCRIPT, "\"'&amp;<b>", "' onfocus=alert(1) '", "\u00e4\u6f22\U0001f9f3", "a\\u003cb"])
def test_what_was_typed_comes_back_as_the_text_it_was(visitor, text):
    after = visitor.submit("/cart/add", item=text)

    assert after.items == [text] and after.notice == f'Added "{text}".' and after.scripts == 0
    after = visitor.submit("/sign-in", name=text)
    assert after.by_id["user"] == text and after.scripts == 0
    shown = visitor.get("/session")
    assert session_of(shown) == {"cart": [text], "user": text, "visits": after.visits} and shown.scripts == 0
    assert visitor.submit("/cart/remove", item=text).items == []


# -------------------------------------------------------------------------------------------------------------- parallel


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The addresses of two processes that share their sessions."""
    sessions = tmp_path_factory.mktemp("shared").joinpath("s").as_uri()
    with Demo(sessions) as one, Demo(sessions) as other:
        yield [one.url, other.url]


def test_26_letters_added_at_once_all_arrive(visitor):
    answers = volley(*[visitor.form("/cart/add", item=letter) for letter in ascii_lowercase])

    assert answers == [303] * 26
    assert sorted(visitor.get().items) == list(ascii_lowercase)


@pytest.mark.parametrize("again", range(ROUNDS))
def test_26_letters_added_at_once_in_two_processes_all_arrive(pair, again):
    visitor = Visitor(pair[again % 2])

    answers = volley(*[visitor.form("/cart/add", to, item=letter)
                       for letter, to in zip(ascii_lowercase, cycle(pair), strict=False)])

    assert answers == [303] * 26
    assert sorted(visitor.get().items) == list(ascii_lowercase)


@pytest.mark.parametrize("again", range(ROUNDS))
def test_items_removed_in_one_process_while_others_are_added_in_another_neither_stay_nor_take_any_along(pair, again):
    visitor = Visitor(pair[again % 2])
    old, new = [f"old {number}" for number in range(48)], [f"new {number}" for number in range(48)]
    volley(*[visitor.form("/cart/add", item=item) for item in old], connections=1)

    removals = [visitor.form("/cart/remove", pair[0], item=item) for item in old]
    additions = [visitor.form("/cart/add", pair[1], item=item) for item in new]
    answers = volley(*removals, *additions)

    assert answers == [303] * 96
    assert sorted(visitor.get().items) == sorted(new)


def test_visits_at_once_all_count(demo, visitor):
    before = visitor.get().visits

    answers = volley(*[requests.Request("GET", demo.url + "/", cookies=visitor.cookies)] * 400)

    assert answers == [200] * 400
    assert visitor.get().visits == before + 401


def test_visits_at_once_in_two_processes_all_count(pair):
    visitor = Visitor(pair[0])

    answers = volley(*[requests.Request("GET", url + "/", cookies=visitor.cookies) for url in pair * 400])

    assert answers == [200] * 800
    assert visitor.get().visits == 1 + 801


def test_a_session_that_is_signed_out_while_others_write_to_it_does_not_come_back(demo, visitor):
    visitor.submit("/sign-in", name="Ada")
    before = visitor.cookies

    additions = [visitor.form("/cart/add", item="towel")] * 10
    answers = volley(*additions, visitor.form("/sign-out"), *additions)

    # Stored before the sign-out, refused after it, or overtaken by it and told so.
    assert set(answers) <= {303, 403, 409} and answers[10] == 303
    stranger = Page(requests.get(demo.url, cookies=before, timeout=TIMEOUT))
    assert "user" not in stranger.by_id and stranger.items == [] and stranger.visits == 1


@pytest.fixture(scope="module", params=["file", "memory"])
def slow_demo(request, repo, run, tmp_path_factory):
    """A demo whose requests are slow between reading and committing, and the driver's name."""
    directory = tmp_path_factory.mktemp("slow")
    shim = directory / "slow.so"
    run("gcc", "-shared", "-fPIC", "-O1", f"-I{repo / 'include'}", repo / "tests" / "demo" / "slow.c", "-o", shim, "-ldl")
    sessions = "memory:" if request.param == "memory" else directory.joinpath("s").as_uri()
    # Each for a demo in another language: what one of them hears of, the other does not.
    slow = [f"LD_PRELOAD={shim}", f"NODE_OPTIONS=--require \"{repo / 'bindings' / 'node' / 'tests' / 'slow.js'}\""]
    with Demo(sessions, under=["env", *slow]) as demo:
        yield demo, request.param


@pytest.mark.torture
@pytest.mark.parametrize("what", ["sign-in", "sign-out"])
def test_slow_requests_overtaken_by_a_change_of_the_id_are_told_and_bring_nothing_back(slow_demo, what, scaled, figure):
    (demo, driver), (races, overtaken) = slow_demo, (scaled(30, 1000), 0)
    new = [f"new {number}" for number in range(6)]
    for number in range(races):
        visitor = Visitor(demo.url)
        visitor.submit("/cart/add", item="a lamp")
        if what == "sign-out":
            visitor.submit("/sign-in", name="Ada B.")
        old, visits = visitor.cookies, visitor.get().visits
        wanted = [visitor.form("/cart/add", item=item) for item in new]
        wanted += [requests.Request("GET", demo.url + "/", cookies=old)] * 6
        # Among the first in one race, among the last in another.
        place = number % 13
        wanted.insert(place, visitor.form(f"/{what}", name="Ada B."))

        answers = responses(*wanted, connections=13)

        change = answers.pop(place)
        assert change.status == 303
        visitor.http.cookies.set("sid", change.getheader("Set-Cookie").removeprefix("sid=")[:43])
        # Stored before it, refused after it, or overtaken by it. No cookie takes the place of the one it gave.
        added = answers[:6]
        assert {answer.status for answer in added} <= {303, 403, 409}
        assert all(answer.getheader("Set-Cookie") is None for answer in added)
        stored = [item for item, answer in zip(new, added, strict=True) if answer.status == 303]
        # A page comes from before it, or from after it and is a stranger's. Whoever was overtaken is sent to look again.
        strange = [answer for answer in answers[6:] if answer.getheader("Set-Cookie")]
        shown = [answer for answer in answers[6:] if answer not in strange]
        assert {answer.status for answer in shown} <= {200, 303} and {answer.status for answer in strange} <= {200}
        # With spaces, which no token has by chance.
        assert not any(b"a lamp" in answer.body or b"Ada B." in answer.body for answer in strange)
        overtaken += [answer.status for answer in added].count(409) + [answer.status for answer in shown].count(303)

        after = visitor.get()
        if what == "sign-in":
            assert after.by_id["user"] == "Ada B." and sorted(after.items) == sorted(["a lamp", *stored])
            assert after.visits == visits + [answer.status for answer in shown].count(200) + 1
        else:
            assert "user" not in after.by_id and after.items == [] and after.visits == 1
        again = Page(requests.get(demo.url, cookies=old, timeout=TIMEOUT))
        assert "user" not in again.by_id and again.items == [] and again.visits == 1
    # Or there was no race.
    assert overtaken >= races / 2
    figure("R13", driver, f"sessions that came back in races with a {what} over HTTP", f"0 of {races:,}", "0")
    figure("R13", driver, f"requests overtaken by a {what} over HTTP that were told", f"{overtaken:,} of {overtaken:,}", "all")


# ------------------------------------------------------------------------------------------------------------------ http


def test_the_cookie_is_httponly_and_samesite_lax_and_not_secure_and_the_program_says_so(demo):
    answer = requests.get(demo.url, timeout=TIMEOUT)
    name, *attributes = answer.headers["Set-Cookie"].split("; ")

    assert name.startswith("sid=") and len(name) == 4 + 43
    assert sorted(attributes) == ["HttpOnly", "Path=/", "SameSite=Lax"]
    assert "no-store" in answer.headers["Cache-Control"] and answer.headers["Vary"] == "Cookie"
    assert "The session cookie is not Secure, because this is plain http." in demo.printed


@pytest.mark.parametrize("path", ["/", "/session", "/style.css", "/nowhere"])
def test_every_answer_forbids_scripts_and_guessing_of_types(demo, path):
    headers = requests.get(demo.url + path, timeout=TIMEOUT).headers

    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'") and "script" not in policy and "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_an_unknown_path_answers_404(demo):
    answer = requests.get(demo.url + "/nowhere", timeout=TIMEOUT)

    assert answer.status_code == 404 and "Nothing here" in answer.text and "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(("method", "path", "allowed"), [
    ("POST", "/", "GET, HEAD"), ("PUT", "/session", "GET, HEAD"), ("DELETE", "/style.css", "GET, HEAD"),
    ("GET", "/sign-out", "POST"), ("HEAD", "/cart/add", "POST")])
def test_a_wrong_method_answers_405_and_says_which_are_allowed(demo, method, path, allowed):
    answer = requests.request(method, demo.url + path, timeout=TIMEOUT)

    assert answer.status_code == 405 and answer.headers["Allow"] == allowed


def test_a_body_over_64_kib_answers_413_and_changes_nothing(visitor):
    answer = visitor.send("/cart/add", item="towel", more="x" * 64 * 1024)

    assert answer.status_code == 413
    assert visitor.get().items == [] and visitor.submit("/cart/add", item="x", more="y" * 60_000).items == ["x"]


def test_head_answers_as_get_without_a_body_and_is_no_visit(visitor):
    before = visitor.get().visits

    answer = visitor.http.head(visitor.url + "/", timeout=TIMEOUT)

    assert answer.status_code == 200 and answer.content == b"" and int(answer.headers["Content-Length"]) > 0
    assert visitor.get().visits == before + 1


def test_assets_set_no_cookie(demo):
    for path, kind in [("/style.css", "text/css; charset=utf-8"), ("/icon.svg", "image/svg+xml")]:
        answer = requests.get(demo.url + path, timeout=TIMEOUT)
        assert answer.status_code == 200 and answer.headers["Content-Type"] == kind
        assert "Set-Cookie" not in answer.headers and "Vary" not in answer.headers


# --------------------------------------------------------------------------------------------------------------- process


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_the_demo_ends_with_0_when_it_is_told_to(tmp_path, by):
    demo = Demo(tmp_path.joinpath("s").as_uri())
    Visitor(demo.url).submit("/cart/add", item="towel")

    assert demo.stop(by) == 0
    assert demo.complaints == ""


def test_everything_is_freed_at_the_end(tmp_path):
    if shutil.which("valgrind") is None:
        pytest.skip("valgrind is not installed")
    demo = Demo(tmp_path.joinpath("s").as_uri(), under=["valgrind", "-q", "--error-exitcode=99", "--leak-check=full",
                                                        "--errors-for-leak-kinds=definite,possible"])
    visitor = Visitor(demo.url)
    visitor.submit("/cart/add", item="towel")
    visitor.submit("/sign-in", name="Ada")
    visitor.submit("/cart/remove", item="towel")
    visitor.get("/session")
    visitor.submit("/sign-out")

    assert demo.stop() == 0, demo.complaints


def test_file_sessions_outlive_the_demo(tmp_path):
    sessions = tmp_path.joinpath("with a space").as_uri()
    with Demo(sessions) as demo:
        visitor = Visitor(demo.url)
        visitor.submit("/cart/add", item="towel")

    with Demo(sessions) as demo:
        visitor.url = demo.url
        assert visitor.get().items == ["towel"]


def test_sessions_go_to_the_build_directory_unless_told_otherwise(tmp_path):
    (tmp_path / "build").mkdir()
    with Demo(cwd=tmp_path) as demo:
        Visitor(demo.url)

    assert any((tmp_path / "build" / "demo-sessions").iterdir())


def test_storage_that_is_busy_answers_503_with_retry_after_and_loses_nothing(tmp_path):
    config = {"drivers": {"main": {"type": "file", "path": str(tmp_path / "s"), "lock_timeout_ms": 50}},
              "cookie": {"secure": True, "name": "__Host-demo"}}
    with Demo(json.dumps(config)) as demo:
        visitor = Visitor(demo.url)
        visitor.submit("/cart/add", item="towel")
        held = [path.open("rb") for path in Path(tmp_path / "s").rglob("*") if path.is_file()]
        for file in held:
            fcntl.flock(file, fcntl.LOCK_EX)

        busy = visitor.send("/cart/add", item="book")

        assert busy.status_code == 503 and busy.headers["Retry-After"] == "1" and "out of order" in busy.text
        assert demo.wait_for_complaint("POST /cart/add: unavailable") and visitor.http.cookies["sid"] not in demo.complaints
        for file in held:
            file.close()
        assert visitor.submit("/cart/add", item="book").items == ["towel", "book"]


@pytest.mark.parametrize(("words", "said"), [
    (["--port", "x"], "--port"), (["--port", "65536"], "--port"), (["--nonsense"], "usage"), (["more"], "no arguments")])
def test_options_that_make_no_sense_are_refused_with_2(words, said):
    done = subprocess.run([PROGRAM, *words], check=False, capture_output=True, text=True, timeout=TIMEOUT)

    assert done.returncode == 2 and said in done.stderr


@pytest.mark.parametrize("sessions", ["nonsense", "file:relative", "{nonsense", '{"drivers": {}}'])
def test_sessions_that_make_no_sense_are_refused_with_1(sessions):
    done = subprocess.run([PROGRAM, "--sessions", sessions], check=False, capture_output=True, text=True, timeout=TIMEOUT)

    assert done.returncode == 1 and done.stderr.startswith("demo: ") and len(done.stderr) > 15


def test_help_is_given():
    done = subprocess.run([PROGRAM, "--help"], check=False, capture_output=True, text=True, timeout=TIMEOUT)

    assert done.returncode == 0 and "--sessions" in done.stdout


# -------------------------------------------------------------------------------------------------------------- chromium


@pytest.fixture(scope="module")
def browsers(demo, tmp_path_factory):
    """Two browsers, each with a profile of its own."""
    chromium = pytest.importorskip("demo.browser")
    if not Path(chromium.CHROMEDRIVER).exists():
        pytest.skip("chromium-driver is not installed")
    opened = []
    try:
        for name in ["one", "two"]:
            opened.append(chromium.Browser(tmp_path_factory.mktemp(name), demo.url))
        yield opened
    finally:
        for browser in opened:
            browser.close()


@pytest.fixture
def browser(browsers):
    """The first of them, without cookies."""
    browsers[0].driver.delete_all_cookies()
    browsers[0].get()
    return browsers[0]


def test_in_a_browser_the_message_appears_once_and_a_reload_does_not_post_again(browser):
    browser.submit("/cart/add", item="towel")
    assert browser.text("#notice") == 'Added "towel".'

    browser.driver.refresh()

    assert browser.text("#notice") is None
    assert browser.texts(".item") == ["towel"]


def test_in_a_browser_a_script_in_the_cart_is_text_and_does_not_run(browser):
    browser.submit("/cart/add", item='"><b>' + SCRIPT)
    browser.submit("/cart/remove")
    browser.submit("/cart/add", item=SCRIPT)
    browser.submit("/sign-in", name="<img src=x onerror=alert(2)>")

    # An open alert would fail every call of the driver: that these answer says that there is none.
    assert browser.texts(".item") == [SCRIPT]
    assert browser.text("#user") == "<img src=x onerror=alert(2)>"
    browser.get("/session")
    assert browser.driver.execute_script("return [document.scripts.length, document.images.length]") == [0, 1]
    assert browser.complaints == []


def test_in_a_browser_one_signs_in_fills_the_cart_and_signs_out(browser):
    before = browser.cookie
    browser.submit("/sign-in", name="Ada")
    assert browser.text("h1") == "Hello, Ada." and browser.text("#notice") == "Welcome, Ada."
    assert browser.cookie["value"] != before["value"]
    assert browser.cookie["httpOnly"] and browser.cookie["sameSite"] == "Lax" and not browser.cookie["secure"]
    assert browser.driver.execute_script("return document.cookie") == ""

    browser.submit("/cart/add", item="towel")
    browser.submit("/cart/add", item="book")
    assert browser.text("#cart-count") == "2"
    browser.submit("/cart/remove")
    assert browser.texts(".item") == ["book"]

    browser.submit("/sign-out")
    assert browser.text("h1") == "Hello, stranger." and browser.texts(".item") == []


def test_two_browsers_do_not_see_each_other(browsers):
    for browser, name in zip(browsers, ["Ada", "Bob"], strict=True):
        browser.driver.delete_all_cookies()
        browser.get()
        browser.submit("/sign-in", name=name)
        browser.submit("/cart/add", item=f"{name}'s towel")

    for browser, name in zip(browsers, ["Ada", "Bob"], strict=True):
        browser.get()
        assert browser.text("#user") == name and browser.texts(".item") == [f"{name}'s towel"]


def test_in_a_browser_a_second_tab_has_the_same_session_and_a_stale_form_is_refused_kindly(browser):
    first = browser.driver.current_window_handle
    browser.driver.switch_to.new_window("tab")
    browser.get()
    browser.submit("/sign-in", name="Ada")
    browser.driver.close()
    browser.driver.switch_to.window(first)

    browser.submit("/cart/add", item="towel")

    assert browser.text("h1") == "That form was out of date"
    browser.get()
    assert browser.text("#user") == "Ada" and browser.texts(".item") == []


@pytest.mark.parametrize("width", [320, 390, 1200])
def test_in_a_browser_no_page_is_wider_than_the_screen(browser, width):
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.submit("/sign-in", name="W" * 80)
    browser.submit("/cart/add", item="M" * 80)
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        for path in ["/", "/session", "/nowhere"]:
            browser.get(path)
            assert browser.driver.execute_script("return document.documentElement.scrollWidth") <= width, path
    finally:
        browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
