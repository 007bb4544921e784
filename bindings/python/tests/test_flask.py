"""Flask with its own client and a real server, over Holdall."""

import datetime
import decimal
import http.client
import pathlib
import re
import threading
import time
import uuid

import flask
import pytest
from markupsafe import Markup
from shared_cache import strangers_share_nothing_but_what_is_static
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.serving import make_server

import holdall
from holdall.flask import Holdall, SessionInterface

DOCUMENT = pathlib.Path(__file__).parents[3] / "docs" / "python" / "flask.md"


@pytest.fixture
def app(url):
    app = flask.Flask(__name__)
    app.config.update(TESTING=True, HOLDALL=url)
    app.session_interface = SessionInterface()
    return app


@pytest.fixture
def client(app):
    return app.test_client()


def run(app, client, view, **options):
    """One request, answered by this view."""
    app.view_functions["any"] = view
    if "any" not in {rule.endpoint for rule in app.url_map.iter_rules()}:
        app.url_map.add(app.url_rule_class("/", endpoint="any", methods=["GET", "HEAD", "OPTIONS"]))
    return client.open("/", **options)


def data(app, client):
    with client.session_transaction() as session:
        return dict(session)


def cookie_of(client):
    cookie = client.get_cookie("session")
    return None if cookie is None else cookie.value


def in_parallel(calls):
    threads = [threading.Thread(target=call) for call in calls]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]


# Parallel requests.


def test_26_parallel_requests_each_keep_their_key_on_a_real_server(app):
    everyone = threading.Barrier(26)

    @app.get("/set/<letter>")
    def put(letter):
        flask.session[letter] = letter
        flask.session.get("first")
        everyone.wait(10)
        return ""

    @app.get("/all")
    def show():
        flask.session.setdefault("first", 1)
        return "".join(sorted(key for key in flask.session if key != "first"))

    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:

        def get(path, cookie):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
            connection.request("GET", path, headers={"Cookie": cookie})
            response = connection.getresponse()
            body = response.read().decode()
            connection.close()
            assert response.status == 200
            return body, response.getheader("Set-Cookie")

        cookie = get("/all", "")[1].partition(";")[0]
        letters = "abcdefghijklmnopqrstuvwxyz"
        in_parallel([lambda letter=letter: get(f"/set/{letter}", cookie) for letter in letters])
        assert get("/all", cookie)[0] == letters
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_parallel_messages_and_appended_elements_all_arrive(app, client):
    def begin():
        flask.session["cart"] = ["apple"]
        return ""

    run(app, client, begin)
    both = threading.Barrier(2)

    def add():
        flask.flash("about " + flask.request.args["item"], "info")
        flask.session["cart"].append(flask.request.args["item"])
        both.wait(10)
        return ""

    run(app, client, begin)
    app.view_functions["any"] = add

    def request(item):
        mine = app.test_client()
        mine.set_cookie("session", cookie_of(client))
        mine.get("/", query_string={"item": item})

    in_parallel([lambda: request("pear"), lambda: request("plum")])

    def show():
        return {"messages": flask.get_flashed_messages(with_categories=True), "cart": flask.session["cart"]}

    shown = run(app, client, show).json
    assert sorted(shown["messages"]) == [["info", "about pear"], ["info", "about plum"]]
    assert shown["cart"][0] == "apple" and sorted(shown["cart"][1:]) == ["pear", "plum"]
    assert run(app, client, show).json["messages"] == []


def test_a_message_that_came_while_others_were_shown_is_shown_next(app, client):
    run(app, client, lambda: flask.flash("one") or "")
    cookie = cookie_of(client)

    def show_while_another_comes():
        shown = flask.get_flashed_messages()
        other = app.test_client()
        other.set_cookie("session", cookie)
        with other.session_transaction() as session:
            session["_flashes"] = [*session["_flashes"], ("message", "two")]
        return shown

    assert run(app, client, show_while_another_comes).json == ["one"]
    assert "two" in run(app, client, flask.get_flashed_messages).json


def test_after_messages_were_shown_new_ones_may_come_in_the_same_request(app, client):
    run(app, client, lambda: flask.flash("one") or "")

    def show_and_flash():
        shown = flask.get_flashed_messages()
        flask.flash("two")
        return shown

    assert run(app, client, show_and_flash).json == ["one"]
    assert run(app, client, flask.get_flashed_messages).json == ["two"]


def test_a_slow_request_does_not_bring_back_what_was_signed_out(app, client):
    run(app, client, lambda: flask.session.update(user=7) or "")
    cookie = cookie_of(client)
    outcomes = []

    def slow():
        session = flask.session._get_current_object()
        assert session["user"] == 7
        session["note"] = "late"
        other = app.test_client()
        other.set_cookie("session", cookie)
        with other.session_transaction() as theirs:
            theirs.clear()
        flask.after_this_request(lambda response: outcomes.append(session) or response)
        return ""

    response = run(app, client, slow)
    assert outcomes[0].holdall.committed.outcome == "gone"
    assert "session=;" in response.headers["Set-Cookie"]
    client.set_cookie("session", cookie)
    assert data(app, client) == {}


def test_200_races_of_signing_out_against_a_write(app, client):
    @app.get("/sign-in")
    def sign_in():
        flask.session["user"] = 7
        return ""

    @app.get("/write")
    def write():
        if "user" in flask.session:
            flask.session["note"] = 1
        return ""

    @app.get("/sign-out")
    def sign_out():
        flask.session.clear()
        return ""

    @app.get("/show")
    def show():
        return dict(flask.session)

    def request(path, cookie):
        mine = app.test_client()
        mine.set_cookie("session", cookie)
        return mine.get(path)

    for _ in range(200):
        mine = app.test_client()
        mine.get("/sign-in")
        cookie = cookie_of(mine)
        in_parallel([lambda cookie=cookie, path=path: request(path, cookie) for path in ("/write", "/sign-out")])
        assert request("/show", cookie).json == {}
    assert app.extensions["holdall"].records() == []


def test_a_request_whose_session_got_a_new_id_meanwhile_sends_no_cookie(app, client):
    run(app, client, lambda: flask.session.update(a=1) or "")
    cookie = cookie_of(client)
    sessions = []

    def slow():
        sessions.append(flask.session._get_current_object())
        flask.session["late"] = 1
        other = app.test_client()
        other.set_cookie("session", cookie)
        with other.session_transaction() as theirs:
            theirs.holdall.regenerate()
        sessions.append(cookie_of(other))
        return ""

    response = run(app, client, slow)
    assert sessions[0].holdall.committed.outcome == "moved" and "Set-Cookie" not in response.headers
    client.set_cookie("session", sessions[1])
    assert data(app, client) == {"a": 1}


# Values.


def test_what_flask_keeps_comes_back(app, client):
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    values = {
        "tuple": (1, (2, [b"\xff"])),
        "markup": Markup("<b>"),
        "uuid": uuid.uuid4(),
        "datetime": now,
        "nested": {"at": now, "list": [(1, 2), {" t": "no tuple"}]},
        "tagged": {" d": 1},
        "none": None,
        "number": 2**70,
        "float": 0.5,
        "text": "\u00e9\u4e2d\U0001f600",
    }
    run(app, client, lambda: flask.session.update(values) or "")
    kept = data(app, client)
    assert kept == values and type(kept["tuple"]) is tuple and type(kept["markup"]) is Markup

    run(app, client, lambda: flask.session.update(keys={1: 2}, decimal=decimal.Decimal("1.5")) or "")
    kept = data(app, client)
    # As in Flask, whose JSON has text for both.
    assert (kept["keys"], kept["decimal"]) == ({"1": 2}, "1.5")


def test_a_tag_of_your_own(app, client):
    from flask.json.tag import JSONTag, TaggedJSONSerializer

    class TagSet(JSONTag):
        key = " s"

        def check(self, value):
            return isinstance(value, set)

        def to_json(self, value):
            return sorted(value)

        def to_python(self, value):
            return set(value)

    app.session_interface.serializer = TaggedJSONSerializer()
    app.session_interface.serializer.register(TagSet)
    run(app, client, lambda: flask.session.update(letters={"a", "b"}) or "")
    run(app, client, lambda: flask.session["letters"].add("c") or "")
    assert data(app, client) == {"letters": {"a", "b", "c"}}


def test_what_was_changed_in_place_is_saved_and_modified_says_so(app, client):
    run(app, client, lambda: flask.session.update(cart={"items": [(1, b"x")]}, when=[(1, [2])]) or "")

    def change():
        assert flask.session["cart"] is flask.session["cart"]
        assert not flask.session.modified
        flask.session["cart"]["items"].append((2, b"y"))
        assert flask.session.modified
        flask.session["when"][0][1].append(3)
        flask.session.setdefault("new", []).append("z")
        return ""

    run(app, client, change)
    assert data(app, client) == {"cart": {"items": [(1, b"x"), (2, b"y")]}, "when": [(1, [2, 3])], "new": ["z"]}

    def read():
        assert flask.session["cart"] and flask.session["when"] and not flask.session.modified
        return ""

    before = app.extensions["holdall"].stats()["commits"]["saved"]
    run(app, client, read)
    assert app.extensions["holdall"].stats()["commits"]["saved"] == before


def test_changes_in_place_and_by_the_engines_session_go_together(app, client):
    run(app, client, lambda: flask.session.update(cart=[1], other=[(1,)]) or "")

    def view():
        cart, other = flask.session["cart"], flask.session["other"]
        cart.append(2)
        other.append((2,))
        flask.session.holdall.push("cart", 3)
        other.append((3,))
        assert flask.session["cart"] == [1, 2, 3] and flask.session["other"] is other and flask.session.modified
        flask.session["cart"].append(4)
        return ""

    run(app, client, view)
    assert data(app, client) == {"cart": [1, 2, 3, 4], "other": [(1,), (2,), (3,)]}


def test_update_sets_all_or_nothing_and_keeps_what_was_given(app, client):
    def view():
        with pytest.raises(TypeError, match="lock"):
            flask.session.update(fine=1, lock=threading.Lock())
        given = [1]
        flask.session.update(given=given)
        given.append(2)
        return ""

    run(app, client, view)
    assert data(app, client) == {"given": [1, 2]}


def test_of_two_defaults_the_first_is_kept(app, client):
    run(app, client, lambda: flask.session.update(a=1) or "")
    cookie = cookie_of(client)

    def view():
        assert flask.session.setdefault("theme", "mine") == "mine"
        other = app.test_client()
        other.set_cookie("session", cookie)
        with other.session_transaction() as session:
            session.setdefault("theme", "first")
        return ""

    run(app, client, view)
    assert data(app, client) == {"a": 1, "theme": "first"}


def test_it_is_a_mapping(app, client):
    def walk():
        session = flask.session
        assert session.new and not session.permanent
        session.update({"a": 1}, b=(2,))
        assert dict(session) == session.copy() == {"a": 1, "b": (2,)} and session == {"a": 1, "b": (2,)}
        assert "a" in session and 1 not in session and len(session) == 2 and sorted(session) == ["a", "b"]
        assert session.pop("b") == (2,) and session.pop("b", None) is None and session.get("b", 3) == 3
        with pytest.raises(KeyError, match="b"):
            session.pop("b")
        with pytest.raises(KeyError, match="b"):
            del session["b"]
        with pytest.raises(KeyError, match="b"):
            session["b"]
        assert session.setdefault("a", 9) == 1 and session.popitem() == ("a", 1) and not session
        session["c"] = 3
        del session["c"]
        assert "3" not in repr(session)
        return ""

    run(app, client, walk)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda session: session.__setitem__("lock", threading.Lock()), TypeError, "lock"),
        (lambda session: session.__setitem__(1, 2), TypeError, "keys are str, not int"),
        (lambda session: session.__setitem__("number", float("nan")), ValueError, "number"),
        (lambda session: session.__setitem__("large", "x" * 2_000_000), holdall.TooLargeError, "1048576"),
        (lambda session: session.update(fine=1, lock=threading.Lock()), TypeError, "lock"),
        (lambda session: session["list"].append({1}), TypeError, "list.*set"),
        (lambda session: session["list"].append(session["list"]), ValueError, "list.*contains itself"),
        (lambda session: session["list"].append("x" * 2_000_000), holdall.TooLargeError, "1048576"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name_and_nothing_is_stored(app, client, change, error, message):
    run(app, client, lambda: flask.session.update(list=[1]) or "")

    def view():
        flask.session["before"] = 1
        change(flask.session)
        return ""

    with pytest.raises(error, match=message):
        run(app, client, view)
    assert data(app, client) == {"list": [1]}


# The end of a request.


def test_an_error_of_the_commit_reaches_the_error_handlers(app, client):
    app.config.update(TESTING=False)
    app.register_error_handler(holdall.TooLargeError, lambda error: ("too much", 413))
    app.register_error_handler(500, lambda error: (type(error.original_exception).__name__, 500))
    run(app, client, lambda: flask.session.update(list=[1]) or "")
    response = run(app, client, lambda: flask.session["list"].append("x" * 2_000_000) or "")
    assert (response.status_code, response.text) == (500, "TooLargeError")
    assert data(app, client) == {"list": [1]}


def test_a_failed_response_saves_nothing_unless_told_to(app, client):
    app.config.update(TESTING=False, PROPAGATE_EXCEPTIONS=False)
    run(app, client, lambda: flask.session.update(a=1) or "")
    for status in (500, 503):
        run(app, client, lambda status=status: flask.session.clear() or ("", status))
    run(app, client, lambda: flask.session.clear() or 1 / 0)
    assert data(app, client) == {"a": 1}
    run(app, client, lambda: flask.session.update(b=2) or ("", 404))
    app.config["HOLDALL_SAVE_ON_ERROR"] = True
    run(app, client, lambda: flask.session.update(c=3) or ("", 500))
    assert data(app, client) == {"a": 1, "b": 2, "c": 3}


def test_redirects_and_streams_are_committed_before_their_headers(app, client):
    response = run(app, client, lambda: flask.session.update(a=1) or flask.redirect("/elsewhere"))
    assert response.status_code == 302 and "session=" in response.headers["Set-Cookie"]

    def stream():
        flask.session["b"] = 2

        @flask.stream_with_context
        def chunks():
            yield str(flask.session["b"])
            with pytest.raises(holdall.MisuseError):
                flask.session["late"] = 1
            yield "end"

        return flask.Response(chunks())

    assert run(app, client, stream).text == "2end"
    assert data(app, client) == {"a": 1, "b": 2}


def test_a_request_that_does_not_look_at_the_session_loads_nothing(app, client):
    client.set_cookie("session", "A" * 43)
    response = run(app, client, lambda: "")
    assert "Vary" not in response.headers and "Set-Cookie" not in response.headers
    assert app.extensions["holdall"].stats()["events"]["unknown_token"] == 0
    response = run(app, client, lambda: str(flask.session.get("a")))
    assert response.headers["Vary"] == "Cookie" and "Set-Cookie" not in response.headers
    assert app.extensions["holdall"].stats()["events"]["unknown_token"] == 1


def test_a_shared_cache_hands_nobody_the_session_of_another(app):
    def answering(work):
        def view():
            return flask.Response(work(), headers={"Cache-Control": "public, max-age=60"})

        return view

    numbers = iter(range(1000))
    app.add_url_rule("/static", "same", answering(lambda: "static"))
    app.add_url_rule("/begin", "begin", answering(lambda: flask.session.update(secret=str(next(numbers))) or ""))
    app.add_url_rule("/show", "show", answering(lambda: flask.session.get("secret", "none")))

    def fetch(path, headers):
        response = app.test_client(use_cookies=False).get(path, headers=headers)
        return response.status_code, list(response.headers), response.data

    strangers_share_nothing_but_what_is_static(fetch)


LOOKS = {
    "in": lambda session: "a" in session,
    "iter": list,
    "len": len,
    "bool": bool,
    "get": lambda session: session.get("a"),
    "equal": lambda session: session == {},
    "new": lambda session: session.new,
    "permanent": lambda session: session.permanent,
    "copy": lambda session: session.copy(),
    "pop": lambda session: session.pop("a", None),
    "messages": lambda session: flask.get_flashed_messages(),
    "holdall": lambda session: session.holdall.get("a"),
    "set": lambda session: session.update(b=1),
    "clear": lambda session: session.clear(),
}


@pytest.mark.parametrize("how", LOOKS)
@pytest.mark.parametrize("known", [True, False])
def test_whichever_way_it_was_looked_at_caches_are_told(app, client, how, known):
    if known:
        run(app, client, lambda: flask.session.update(a=1) or "")
    response = run(app, client, lambda: LOOKS[how](flask.session) and "" or "")
    assert response.headers.getlist("Vary") == ["Cookie"]
    assert ("Set-Cookie" in response.headers) == (response.headers.get("Cache-Control") == "no-store")


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (None, "no-store"),
        ("public, max-age=60", "public, max-age=60, no-store"),
        ("private, max-age=60", "private, max-age=60"),
        ('private="x-field"', 'private="x-field", no-store'),
        ("no-store", "no-store"),
    ],
)
def test_headers_that_are_there_are_kept_and_not_weakened(app, client, given, sent):
    def view():
        flask.session["a"] = 1
        response = flask.Response("")
        response.vary.add("Accept-Language")
        response.set_cookie("other", "1")
        if given:
            response.headers["Cache-Control"] = given
        return response

    response = run(app, client, view)
    assert response.headers["Cache-Control"] == sent
    assert response.headers.getlist("Vary") == ["Accept-Language, Cookie"]
    assert len(response.headers.getlist("Set-Cookie")) == 2


def test_the_engines_own_flash_stays_until_a_page_has_shown_it(app, client):
    def page(status=200):
        return flask.session.holdall.get("notice", "-"), status

    run(app, client, lambda: flask.session.holdall.flash("notice", "saved") or "")
    run(app, client, page, method="HEAD")
    run(app, client, page, method="OPTIONS")
    run(app, client, page, headers={"Sec-Purpose": "prefetch;prerender"})
    run(app, client, page, headers={"Purpose": "prefetch"})
    run(app, client, lambda: page(302))
    run(app, client, lambda: page(304))
    assert [run(app, client, page).text for _ in range(2)] == ["saved", "-"]


@pytest.mark.parametrize(("policy", "shown"), [("next_request", "s--"), ("on_read", "s--"), ("explicit", "sss")])
def test_the_flash_policy_is_the_configured_one(app, client, url, policy, shown):
    app.config["HOLDALL"] = {"url": url, "flash": policy}
    run(app, client, lambda: flask.session.holdall.flash("notice", "s") or "")
    # Under on_read a page that does not look takes nothing away.
    run(app, client, lambda: str("notice" in flask.session)) if policy != "next_request" else None
    assert "".join(run(app, client, lambda: flask.session.holdall.get("notice", "-")).text for _ in range(3)) == shown


# Identity.


def test_regenerate_gives_a_new_id_and_keeps_the_data(app, client):
    run(app, client, lambda: flask.session.update(a=(1,)) or "")
    before = cookie_of(client)
    run(app, client, lambda: flask.session.holdall.regenerate() or "")
    assert cookie_of(client) != before and data(app, client) == {"a": (1,)}
    client.set_cookie("session", before)
    assert data(app, client) == {}


@pytest.mark.parametrize("end", [lambda session: session.clear(), lambda session: session.holdall.destroy()])
def test_a_session_that_was_cleared_or_destroyed_ends(app, client, end):
    run(app, client, lambda: flask.session.update(a=[1]) or "")
    before = cookie_of(client)

    def view():
        flask.session["a"].append(2)
        end(flask.session)
        return ""

    response = run(app, client, view)
    assert "session=;" in response.headers["Set-Cookie"] and cookie_of(client) is None
    assert app.extensions["holdall"].records() == []
    client.set_cookie("session", before)
    assert data(app, client) == {}


def test_a_cleared_session_goes_on_with_what_came_after(app, client):
    run(app, client, lambda: flask.session.update(a=1) or "")
    run(app, client, lambda: flask.session.clear() or flask.session.update(b=2) or "")
    assert data(app, client) == {"b": 2}
    token = run(app, client, lambda: flask.session.clear() or flask.session.holdall.csrf_token()).text
    assert run(app, client, lambda: str(flask.session.holdall.csrf_matches(token))).text == "True"


# Settings.


def test_flasks_settings_are_the_engines(app, url):
    app.config.update(
        SESSION_COOKIE_NAME="shop",
        SESSION_COOKIE_DOMAIN=".example.org",
        SESSION_COOKIE_PATH="/shop",
        SESSION_COOKIE_SECURE=True,
        SESSION_COOKIE_HTTPONLY=False,
        SESSION_COOKIE_SAMESITE="Strict",
        SESSION_COOKIE_PARTITIONED=True,
        PERMANENT_SESSION_LIFETIME=datetime.timedelta(hours=1),
    )
    config = app.session_interface.get_manager(app).config()
    assert config["idle_timeout_s"] == 3600 and config["absolute_timeout_s"] == 30 * 24 * 3600
    assert config["cookie"] == {
        "name": "shop",
        "domain": "example.org",
        "path": "/shop",
        "secure": True,
        "http_only": False,
        "same_site": "strict",
        "partitioned": True,
        "persistent": False,
    }


def test_a_session_in_use_ends_after_thirty_days_or_twice_its_lifetime(app, url):
    def absolute_days(**settings):
        app.config.update(settings)
        app.extensions.pop("holdall", None)
        return app.session_interface.get_manager(app).config()["absolute_timeout_s"] / (24 * 3600)

    # Flask's default lifetime is 31 days, and use extends it.
    assert absolute_days() == 62
    assert absolute_days(PERMANENT_SESSION_LIFETIME=datetime.timedelta(days=14)) == 30
    assert absolute_days(PERMANENT_SESSION_LIFETIME=datetime.timedelta(days=365)) == 730
    assert absolute_days(HOLDALL={"url": url, "absolute_timeout_s": 43200}) == 0.5


def test_a_session_that_ends_early_is_removed_soon_after(tmp_path):
    """A sweep looks at a file once it is as old as the shortest of the configured timeouts, ten minutes."""
    app = flask.Flask(__name__)
    app.config.update(TESTING=True, HOLDALL=f"file://{tmp_path}/sessions")
    Holdall(app)
    client = app.test_client()
    run(app, client, lambda: flask.session.update(a=1) or "")
    run(app, client, lambda: flask.session.holdall.set_idle_timeout(60) or "")
    begins_ms, manager = time.time_ns() // 1_000_000, app.extensions["holdall"]
    assert manager.sweep(now_ms=begins_ms + 61_000)["removed"] == 0
    assert manager.sweep(now_ms=begins_ms + 601_000)["removed"] == 1


def test_fields_of_holdall_go_before_flasks_settings(app, url):
    app.config["HOLDALL"] = {"url": url, "idle_timeout_s": 60, "absolute_timeout_s": 600, "cookie": {"secure": "auto"}}
    config = app.session_interface.get_manager(app).config()
    assert (config["idle_timeout_s"], config["absolute_timeout_s"]) == (60, 600)
    assert (config["cookie"]["secure"], config["cookie"]["name"]) == ("auto", "session")


def test_the_scheme_is_the_one_that_flask_knows(app, client, url):
    app.config["HOLDALL"] = {"url": url, "cookie": {"secure": "auto"}}

    def view():
        flask.session["a"] = 1
        return ""

    forwarded = {"X-Forwarded-Proto": "https"}
    assert "Secure" not in run(app, client, view, headers=forwarded).headers["Set-Cookie"]
    client.delete_cookie("session")
    assert "Secure" in run(app, client, view, base_url="https://localhost").headers["Set-Cookie"]
    app.wsgi_app = ProxyFix(app.wsgi_app, x_proto=1)
    assert "Secure" in run(app, app.test_client(), view, headers=forwarded).headers["Set-Cookie"]


def test_a_permanent_session_has_a_cookie_that_outlives_the_browser(app, client):
    def view():
        flask.session.permanent = True
        return ""

    assert "Max-Age=2678400" in run(app, client, view).headers["Set-Cookie"]
    assert data(app, client) == {"_permanent": True}
    response = run(app, client, lambda: setattr(flask.session, "permanent", False) or "")
    assert "Max-Age" not in response.headers["Set-Cookie"]
    run(app, client, view)
    response = run(app, client, lambda: flask.session.clear() or flask.session.update(a=1) or "")
    assert "Max-Age" not in response.headers["Set-Cookie"]


def test_several_sessions_in_one_request(app, client):
    cart = SessionInterface(holdall.SessionManager("memory:", cookie={"name": "cart", "secure": False}))

    @app.before_request
    def open_cart():
        flask.g.cart = cart.open_session(app, flask.request)

    @app.after_request
    def save_cart(response):
        cart.save_session(app, flask.g.cart, response)
        return response

    def view():
        flask.session["n"] = flask.session.get("n", 0) + 1
        flask.g.cart["items"] = [*flask.g.cart.get("items", ()), flask.session["n"]]
        return {"n": flask.session["n"], "items": flask.g.cart["items"]}

    assert len(run(app, client, view).headers.getlist("Set-Cookie")) == 2
    assert run(app, client, view).json == {"n": 2, "items": [1, 2]}


def test_without_a_configuration_it_reads_as_empty_and_says_what_is_missing():
    app = flask.Flask(__name__)
    app.session_interface = SessionInterface()
    with app.test_request_context():
        assert flask.session.get("a") is None and not flask.session
        with pytest.raises(RuntimeError, match="HOLDALL"):
            flask.session["a"] = 1
    with pytest.raises(holdall.InvalidConfigError, match="HOLDALL"):
        Holdall(app)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"HOLDALL": 7}, "HOLDALL"),
        ({"HOLDALL": "redis:"}, "url"),
        ({"HOLDALL": "{not JSON"}, "HOLDALL"),
        ({"HOLDALL": {"url": "memory:", "idle": 1}}, "idle"),
        ({"HOLDALL": "memory:", "SESSION_COOKIE_NAME": "__Host-sid"}, "cookie.secure"),
    ],
)
def test_a_wrong_configuration_is_found_at_the_start_and_named(settings, named):
    app = flask.Flask(__name__)
    app.config.update(settings)
    with pytest.raises(holdall.InvalidConfigError, match=named):
        Holdall(app)


def test_a_ready_manager_and_json_text():
    manager = holdall.SessionManager("memory:", cookie={"secure": False})
    app = flask.Flask(__name__)
    app.config["HOLDALL"] = manager
    Holdall().init_app(app)
    assert "sid=" in run(app, app.test_client(), lambda: flask.session.update(a=1) or "").headers["Set-Cookie"]
    assert manager.stats()["commits"]["saved"] == 1

    app = flask.Flask(__name__)
    app.config["HOLDALL"] = '{"url": "memory:", "idle_timeout_s": 60}'
    Holdall(app)
    assert app.extensions["holdall"].config()["idle_timeout_s"] == 60


def test_the_application_of_the_document_runs():
    code = re.search(r"```python\n(.*?)```", DOCUMENT.read_text(), re.S).group(1)
    names = {"__name__": "application"}
    exec(code, names)
    client = names["app"].test_client()
    assert [client.get("/").text for _ in range(2)] == ["Seen: /", "Seen: /, /"]


@pytest.mark.parametrize("status", [200, 302, 503])
@pytest.mark.parametrize("permanent", [False, True])
def test_what_the_view_itself_commits_or_destroys_reaches_the_browser(app, client, status, permanent):
    app.config.update(TESTING=False, PROPAGATE_EXCEPTIONS=False)

    def begin():
        flask.session.update(a=[1])
        flask.session.permanent = permanent
        flask.session.holdall.commit()
        return "", status

    assert run(app, client, begin).status_code == status
    before = cookie_of(client)

    def renew():
        flask.session.holdall.regenerate()
        assert flask.session.holdall.commit().outcome == "saved"
        return "", status

    assert run(app, client, renew).status_code == status
    assert cookie_of(client) != before and data(app, client)["a"] == [1]

    def end():
        flask.session["a"].append(2)
        flask.session.holdall.destroy()
        return "", status

    response = run(app, client, end)
    assert response.status_code == status and cookie_of(client) is None and app.extensions["holdall"].records() == []


def test_a_view_that_commits_to_know_the_outcome_loses_no_header(app, client):
    def view():
        flask.session["n"] = flask.session.get("n", 0) + 1
        return flask.session.holdall.commit().outcome

    assert run(app, client, view).text == "saved" and cookie_of(client)
    assert run(app, client, view).text == "saved" and data(app, client) == {"n": 2}
