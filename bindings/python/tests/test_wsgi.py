"""The WSGI middleware by hand, between two of wsgiref's validators. Under servers: test_served.py."""

import http.client
import io
import re
import sys
import threading
from pathlib import Path
from wsgiref.handlers import SimpleHandler
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest
from serving import receive
from shared_cache import strangers_share_nothing_but_what_is_static

import holdall
from holdall._response import ages_flash, with_session
from holdall.wsgi import SessionMiddleware

DOCUMENT = Path(__file__).resolve().parents[3] / "docs/python/wsgi.md"


@pytest.fixture
def manager(url):
    return holdall.SessionManager(url, cookie={"secure": False})


class Client:
    """A visitor of an application that wsgiref's own handler runs; what the server does wrong, a validator says."""

    def __init__(self, application):
        self.application = validator(application)
        self.cookies = {}

    def get(self, path="/", method="GET", scheme="http", cookie=None, **more):
        sent = "; ".join(f"{name}={value}" for name, value in self.cookies.items()) if cookie is None else cookie
        environ = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            **({"HTTP_COOKIE": sent} if sent else {}),
            **more,
        }
        out, errors = io.BytesIO(), io.StringIO()
        handler = SimpleHandler(io.BytesIO(), out, errors, environ)
        handler.http_version = "1.1"
        handler.get_scheme = lambda: scheme
        handler.run(self.application)
        response = Response(out.getvalue(), method, errors.getvalue())
        receive(self.cookies, response.cookies)
        return response


class Response:
    def __init__(self, text, method, errors):
        class Connection:
            def makefile(self, *_):
                return io.BytesIO(text)

        response = http.client.HTTPResponse(Connection(), method=method)
        response.begin()
        self.status, self.headers, self.errors = response.status, response.headers, errors
        self.body = response.read()
        self.cookies = response.headers.get_all("Set-Cookie") or []


def page(handle, status="200 OK", headers=()):
    """An application of one page: `handle` gets the session."""

    def application(environ, start_response):
        content = str(handle(environ["holdall.session"])).encode()
        start_response(status, [("Content-Type", "text/plain"), *headers])
        return [content]

    return application


def client(manager, application, **options):
    return Client(SessionMiddleware(validator(application), manager, **options))


def visit(manager, visitor, handle, status="200 OK", headers=(), **options):
    """One more page for the same visitor."""
    other = client(manager, page(handle, status, headers), **options.pop("middleware", {}))
    other.cookies = visitor.cookies
    return other.get(**options)


def test_a_visitor_is_known_again(manager):
    visitor = client(manager, page(lambda session: session.increment("n")))
    assert [visitor.get().body for _ in range(3)] == [b"1", b"2", b"3"]
    assert client(manager, page(lambda session: session.increment("n"))).get().body == b"1"


def test_a_session_that_nobody_looks_at_costs_nothing(manager):
    visitor = client(manager, page(lambda session: session.set("n", 1)))
    assert "Set-Cookie" in visitor.get().headers
    response = visit(manager, visitor, lambda session: "static")
    assert not {"Set-Cookie", "Vary", "Cache-Control"} & set(response.headers)
    assert visit(manager, visitor, lambda session: session["n"]).headers["Vary"] == "Cookie"


def test_what_the_generator_changes_before_its_first_chunk_is_saved(manager):
    closed = []

    class Late:
        def __init__(self, environ, start_response):
            self.chunks = self.run(environ, start_response)

        def run(self, environ, start_response):
            environ["holdall.session"].increment("n")
            start_response("200 OK", [("Content-Type", "text/plain")])
            environ["holdall.session"].increment("n")
            yield b"late "
            with pytest.raises(holdall.MisuseError, match="committed"):
                environ["holdall.session"]["n"] = 0
            yield str(environ["holdall.session"]["n"]).encode()

        def __iter__(self):
            return self.chunks

        def close(self):
            closed.append(True)

    visitor = client(manager, Late)
    assert (visitor.get().body, visitor.get().body) == (b"late 2", b"late 4")
    assert closed == [True, True]


def test_an_application_that_commits_to_know_the_outcome_loses_no_header(manager):
    def application(environ, start_response):
        session = environ["holdall.session"]
        session.increment("n")
        outcome = session.commit().outcome
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{outcome} {session['n']}".encode()]

    client = Client(SessionMiddleware(application, manager))
    assert client.get().body == b"saved 1" and client.get().body == b"saved 2"


def test_the_headers_leave_with_the_first_write(manager):
    def application(environ, start_response):
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        environ["holdall.session"]["a"] = 1
        write(b"written ")
        with pytest.raises(holdall.MisuseError):
            environ["holdall.session"]["a"] = 2
        return [b"returned"]

    visitor = client(manager, application)
    response = visitor.get()
    assert response.body == b"written returned" and len(response.cookies) == 1
    assert visit(manager, visitor, lambda session: session["a"]).body == b"1"


def test_an_error_before_the_headers_leave_replaces_them_and_saves_nothing(manager):
    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        environ["holdall.session"]["a"] = 1
        try:
            raise ValueError("of the application")
        except ValueError:
            start_response("500 Oops", [("Content-Type", "text/plain")], sys.exc_info())
        return [b"sorry"]

    visitor = client(manager, application)
    response = visitor.get()
    assert (response.status, response.body, response.cookies, manager.records()) == (500, b"sorry", [], [])
    assert response.headers["Vary"] == "Cookie"


def test_an_error_page_that_comes_after_the_commit_carries_its_cookie(manager):
    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        environ["holdall.session"]["a"] = 1

        def body():
            try:
                raise ValueError("of the application")
            except ValueError:
                start_response("500 Oops", [("Content-Type", "text/plain")], sys.exc_info())
            yield b"sorry"

        return body()

    visitor = client(manager, application)
    response = visitor.get()
    # It was saved: without its cookie it would be an orphan, and after a regenerate the visitor would be signed out.
    assert (response.status, len(response.cookies), len(manager.records())) == (500, 1, 1)


def test_an_error_after_the_headers_have_left_is_raised_by_the_server(manager):
    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"begun"
        try:
            raise ValueError("of the application")
        except ValueError:
            start_response("500 Oops", [("Content-Type", "text/plain")], sys.exc_info())

    response = client(manager, application).get()
    assert response.status == 200 and "ValueError: of the application" in response.errors


def test_start_response_twice_without_a_reason_is_an_error(manager):
    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    assert "AssertionError" in client(manager, application).get().errors


@pytest.mark.parametrize("late", [False, True])
def test_an_exception_saves_nothing_and_frees_the_lock(manager, late):
    visitor = client(manager, page(lambda session: session.set("n", 1)))
    visitor.get()

    def application(environ, start_response):
        environ["holdall.session"]["n"] = 2
        raise ValueError("of the application")
        yield b""

    def at_once(environ, start_response):
        return list(application(environ, start_response))

    failing = client(manager, application if late else at_once, mode="exclusive")
    failing.cookies = visitor.cookies
    assert failing.get().status == 500
    exclusive = {"mode": "exclusive"}
    assert visit(manager, visitor, lambda session: session["n"], middleware=exclusive).body == b"1"


def test_an_error_that_is_kept_keeps_no_lock(manager):
    visitor = client(manager, page(lambda session: session.set("n", 1)))
    visitor.get()

    def fail(environ, start_response):
        environ["holdall.session"]["n"] = 2
        raise ValueError("of the application")

    sid = f"sid={visitor.cookies['sid']}"
    environ = {"REQUEST_METHOD": "GET", "wsgi.url_scheme": "http", "HTTP_COOKIE": sid}
    # As a debugger's page does, with every frame.
    with pytest.raises(ValueError, match="of the application") as kept:
        SessionMiddleware(fail, manager, mode="exclusive")(environ, lambda status, headers: None)
    assert manager.open(sid, mode="exclusive", lock_timeout_ms=0)["n"] == 1 and kept.tb is not None


def test_an_error_response_is_saved_only_if_asked_for(manager):
    visitor = client(manager, page(lambda session: session.set("n", 1)))
    visitor.get()
    for status, options, expected in [
        ("500 Oops", {}, b"1"),
        ("503 Later", {"mode": "exclusive"}, b"1"),
        ("404 Not Found", {}, b"2"),
        ("500 Oops", {"save_on_error": True}, b"3"),
    ]:
        visit(manager, visitor, lambda session: session.increment("n"), status, middleware=options)
        assert visit(manager, visitor, lambda session: session["n"]).body == expected


@pytest.mark.parametrize("status", ["200 OK", "302 Found", "503 Later"])
def test_what_the_application_itself_commits_or_destroys_reaches_the_browser(manager, status):
    visitor = client(manager, page(lambda session: (session.set("a", 1), session.commit()), status))
    visitor.get()
    before = dict(visitor.cookies)
    visit(manager, visitor, lambda session: (session.regenerate(), session.commit()), status)
    assert visitor.cookies != before and manager.open_token(visitor.cookies["sid"])["a"] == 1
    response = visit(manager, visitor, lambda session: session.destroy(), status)
    assert response.headers["Cache-Control"] == "no-store" and visitor.cookies == {} and manager.records() == []


def test_a_session_that_was_given_up_is_closed_and_its_lock_free_whoever_holds_it(manager):
    visitor = client(manager, page(lambda session: session.set("n", 1)))
    visitor.get()
    held = []

    def keep(session):
        held.append(session)
        session["n"] = 2

    visit(manager, visitor, keep, "503 Later", middleware={"mode": "exclusive"})
    with pytest.raises(holdall.MisuseError, match="closed"):
        held[0]["n"] = 3
    assert manager.open_token(visitor.cookies["sid"], mode="exclusive", lock_timeout_ms=0)["n"] == 1


def test_a_flash_message_is_seen_once_behind_redirects(manager):
    visitor = client(manager, page(lambda session: session.flash("notice", "saved"), "302 Found", [("Location", "/")]))
    visitor.get()

    def notice(session):
        return session.get("notice")

    location = [("Location", "/")]
    assert visit(manager, visitor, notice, "302 Found", location).body == b"saved"
    assert visit(manager, visitor, notice, method="HEAD").status == 200
    assert visit(manager, visitor, notice, HTTP_SEC_PURPOSE="prefetch;prerender").body == b"saved"
    assert visit(manager, visitor, notice).body == b"saved"
    assert visit(manager, visitor, notice).body == b"None"


def test_who_sees_flash():
    assert ages_flash("GET", 200, "") is None and ages_flash("POST", 404, "") is None
    unseen = [("HEAD", 200, ""), ("OPTIONS", 200, ""), ("GET", 303, ""), ("GET", 304, ""), ("GET", 200, "Prefetch")]
    assert [ages_flash(*request) for request in unseen] == [False] * 5


COMMITTED = [("Set-Cookie", "sid=x"), ("Cache-Control", "no-store"), ("Vary", "Cookie")]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], COMMITTED),
        ([("vary", "Accept")], [("vary", "Accept, Cookie")]),
        ([("Vary", "Accept, cookie")], [("Vary", "Accept, cookie")]),
        ([("Vary", "*")], [("Vary", "*")]),
        ([("Vary", "Accept"), ("Vary", "Origin")], [("Vary", "Accept"), ("Vary", "Origin, Cookie")]),
        ([("Vary", "")], [("Vary", "Cookie")]),
        ([("Vary", "X-Cookie")], [("Vary", "X-Cookie, Cookie")]),
        ([("Cache-Control", "private, max-age=60")], [("Cache-Control", "private, max-age=60")]),
        ([("Cache-Control", "no-store")], [("Cache-Control", "no-store")]),
        ([("Cache-Control", "public, max-age=60")], [("Cache-Control", "public, max-age=60, no-store")]),
        ([("Set-Cookie", "theme=dark")], [("Set-Cookie", "theme=dark"), ("Set-Cookie", "sid=x")]),
    ],
)
def test_headers_are_added_and_none_is_weakened(before, after):
    given = list(before)
    got = with_session(before, COMMITTED)
    assert before == given
    assert got[: len(after)] == after and len([1 for name, _ in got if name == "Set-Cookie"]) >= 1


def test_the_headers_of_the_application_stay(manager):
    theirs = [("Set-Cookie", "theme=dark; Path=/"), ("Vary", "Accept-Encoding"), ("Cache-Control", "public, max-age=60")]
    response = client(manager, page(lambda session: session.set("a", 1), headers=theirs)).get()
    assert response.cookies[0] == "theme=dark; Path=/" and response.cookies[1].startswith("sid=")
    assert response.headers.get_all("Vary") == ["Accept-Encoding, Cookie"]
    assert response.headers.get_all("Cache-Control") == ["public, max-age=60, no-store"]


def test_a_shared_cache_hands_nobody_the_session_of_another(manager):
    numbers = iter(range(1000))

    def application(environ, start_response):
        path, content = environ["PATH_INFO"], "static"
        if path == "/begin":
            environ["holdall.session"]["secret"], content = next(numbers), ""
        elif path == "/show":
            content = str(environ["holdall.session"].get("secret", "none"))
        start_response("200 OK", [("Content-Type", "text/plain"), ("Cache-Control", "public, max-age=60")])
        return [content.encode()]

    def fetch(path, headers):
        response = client(manager, application).get(path, cookie=headers.get("cookie", ""))
        return response.status, response.headers.items(), response.body

    strangers_share_nothing_but_what_is_static(fetch)


LOOKS = {
    "in": lambda session: "a" in session,
    "iter": list,
    "len": len,
    "bool": bool,
    "get": lambda session: session.get("a"),
    "flash": lambda session: session.get("notice"),
    "equal": lambda session: session == {},
    "dict": dict,
    "is_new": lambda session: session.is_new,
    "id": lambda session: session.id,
    "pop": lambda session: session.pop("a", None),
    "set": lambda session: session.set("b", 1),
}


@pytest.mark.parametrize("how", LOOKS)
@pytest.mark.parametrize("known", [True, False])
def test_whichever_way_it_was_looked_at_caches_are_told(manager, how, known):
    visitor = client(manager, page(lambda session: known and (session.set("a", 1), session.flash("notice", "hello"))))
    visitor.get()
    response = visit(manager, visitor, lambda session: bool(LOOKS[how](session)))
    assert response.headers.get_all("Vary") == ["Cookie"]
    assert bool(response.cookies) == (response.headers.get("Cache-Control") == "no-store")


def test_cookies_of_others_may_be_any_bytes(manager):
    visitor = client(manager, page(lambda session: session.increment("n")))
    visitor.get()
    beside = f"name=\u00e9\u00ff; sid={visitor.cookies['sid']}; other=\x80"
    assert visitor.get(cookie=beside).body == b"2"


def test_secure_follows_the_scheme_of_the_request(url):
    manager = holdall.SessionManager(url, cookie={"secure": "auto"})
    lines = [client(manager, page(lambda session: session.set("a", 1))).get(scheme=scheme).cookies[0] for scheme in ("http", "https")]
    assert ["; Secure" in line for line in lines] == [False, True]


def test_several_sessions_in_one_request(tmp_path):
    drivers = {"main": {"type": "file", "path": str(tmp_path)}, "cart": {"type": "memory"}}
    manager = holdall.SessionManager(default="main", drivers=drivers, cookie={"secure": False})

    def application(environ, start_response):
        numbers = (environ["holdall.session"].increment("n"), environ["test.cart"].increment("n", 10))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [str(numbers).encode()]

    inner = SessionMiddleware(validator(application), manager.driver("cart"), environ_key="test.cart")
    visitor = client(manager, inner)
    assert visitor.get().headers.get_all("Vary") == ["Cookie"] and set(visitor.cookies) == {"sid", "sid-cart"}
    assert visitor.get().body == b"(2, 20)"


def test_a_file_is_handed_to_the_server_as_it_is(manager):
    def application(environ, start_response):
        environ["holdall.session"]["a"] = 1
        start_response("200 OK", [("Content-Type", "text/plain")])
        return environ["wsgi.file_wrapper"](io.BytesIO(b"a file"))

    bodies = []
    environ = {"REQUEST_METHOD": "GET", "wsgi.url_scheme": "http", "wsgi.file_wrapper": FileWrapper}
    bodies.append(SessionMiddleware(application, manager)(environ, lambda status, headers: None))
    assert isinstance(bodies[0], FileWrapper) and b"".join(bodies[0]) == b"a file"


def test_a_commit_that_fails_reaches_the_server_before_any_header(url):
    (driver,) = holdall.SessionManager(url).config()["drivers"].values()
    quick = {"drivers": {"main": {**driver, "lock_timeout_ms": 20}}, "cookie": {"secure": False}}
    manager = holdall.SessionManager(quick)
    visitor = client(manager, page(lambda session: session.set("n", 1)))
    visitor.get()
    holder = manager.open(f"sid={visitor.cookies['sid']}", mode="exclusive")
    response = visit(manager, visitor, lambda session: session.set("n", 2))
    assert response.status == 500 and "UnavailableError" in response.errors and response.cookies == []
    holder.commit()
    assert visit(manager, visitor, lambda session: session["n"]).body == b"1"


def test_gone_and_moved_are_flags_and_say_what_becomes_of_the_cookie(manager):
    visitor = client(manager, page(lambda session: session.set("n", 1)))
    for end, outcome, cookies in [("regenerate", "moved", 0), ("destroy", "gone", 1)]:
        visitor.cookies.clear()
        visitor.get()
        seen = []

        def meanwhile(session, end=end, seen=seen):
            session["n"] = 2
            other = manager.open(f"sid={visitor.cookies['sid']}")
            getattr(other, end)()
            other.commit()
            seen.append(session)

        response = visit(manager, visitor, meanwhile)
        assert seen[0].committed.outcome == outcome and len(response.cookies) == cookies


def test_requests_wait_for_an_exclusive_session(manager):
    visitor = client(manager, page(lambda session: session.set("n", 0)))
    visitor.get()

    def count(session):
        session["n"] = session["n"] + 1

    threads = [
        threading.Thread(target=visit, args=(manager, visitor, count), kwargs={"middleware": {"mode": lambda environ: "exclusive"}})
        for _ in range(20)
    ]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert visit(manager, visitor, lambda session: session["n"]).body == b"20"


def test_the_application_in_the_document_runs():
    (source,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)[:1]
    names = {}
    exec(source, names)
    visitor = Client(names["application"])
    assert [visitor.get().body for _ in range(2)] == [b"visit 1\n", b"visit 2\n"]
