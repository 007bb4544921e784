"""The ASGI middleware in Starlette and FastAPI: through their test client, and many requests on one loop. Under uvicorn: test_served.py."""

import asyncio
import copy
import json
import pickle
import re
import resource
import threading
import time
from pathlib import Path
from typing import Annotated

import anyio
import httpx2
import pytest
from fastapi import Body, FastAPI, Request
from shared_cache import strangers_share_nothing_but_what_is_static
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

import holdall
from holdall.starlette import Session, SessionMiddleware

DOCUMENT = Path(__file__).resolve().parents[3] / "docs/python/starlette.md"
PLAIN = {"cookie": {"secure": False}}


@pytest.fixture
def manager(url):
    return holdall.SessionManager(url, **PLAIN)


def application(manager, handle, **options):
    """An application whose every page is `handle(request)`, or what that returns."""

    async def endpoint(request):
        answer = handle(request)
        answer = await answer if asyncio.iscoroutine(answer) else answer
        return answer if callable(answer) else JSONResponse(answer)

    routes = [Route("/{path:path}", endpoint, methods=["GET", "POST", "HEAD", "OPTIONS"])]
    return Starlette(routes=routes, middleware=[Middleware(SessionMiddleware, manager=manager, **options)])


def client(manager, handle, cookies=None, **options):
    made = TestClient(application(manager, handle, **options), follow_redirects=False, raise_server_exceptions=False)
    if cookies is not None:
        made.cookies = cookies.cookies
    return made


def set_to(**values):
    return lambda request: request.session.update(values)


def everything(request):
    return request.session


def token(visitor):
    return visitor.cookies["sid"]


def test_a_visitor_is_known_again(manager):
    visitor = client(manager, lambda request: request.session.holdall.increment("n"))
    assert [visitor.get("/").json() for _ in range(3)] == [1, 2, 3]
    assert client(manager, everything).get("/").json() == {}


def test_the_session_is_a_dict_and_what_is_done_to_it_is_kept(manager):
    def work(request):
        session = request.session
        assert isinstance(session, dict) and not session and list(session) == []
        session["a"] = {"deep": [1]}
        session.update({"b": 2}, c=3)
        session |= {"d": (4, 5)}
        assert session.setdefault("e", []) == [] and session.setdefault("b", 0) == 2
        session["e"].append("in place")
        session["a"]["deep"].append(2)
        assert session.pop("c") == 3 and session.pop("c", "none") == "none"
        session["last"] = 6
        assert session.popitem() == ("last", 6)
        del session["b"]
        for missing in (lambda: session["b"], lambda: session.pop("b"), lambda: session.__delitem__("b")):
            with pytest.raises(KeyError, match="b"):
                missing()
        assert session | {"x": 1} == {**session, "x": 1} and {"x": 1} | session == {"x": 1, **session}
        assert session.copy() == dict(session) == dict(session.items()) and "x" not in session
        assert list(reversed(session)) == ["e", "d", "a"] and len(session) == 3 and session.get("b") is None
        return session

    visitor = client(manager, work)
    kept = {"a": {"deep": [1, 2]}, "d": [4, 5], "e": ["in place"]}
    assert visitor.get("/").json() == kept
    assert client(manager, everything, visitor).get("/").json() == kept
    assert client(manager, lambda request: request.session["e"].append(7), visitor).get("/").status_code == 200
    assert client(manager, everything, visitor).get("/").json() == {**kept, "e": ["in place", 7]}


def test_what_the_engine_changes_is_seen_in_the_dict(manager):
    def work(request):
        session = request.session
        session.update(n=1, gone=1, items=[1])
        items = session["items"]
        session.holdall.increment("n")
        session.holdall.delete("gone")
        session.holdall.flash("notice", "hello")
        assert session == {"n": 2, "items": [1], "notice": "hello"} and session["items"] is items
        # A replaced list is the one that counts from here on.
        session.holdall["items"] = [1]
        session["items"].append(2)
        for _ in session:
            session.holdall.increment("n")
        return json.loads(json.dumps(session)), repr(session)

    visitor = client(manager, work)
    got, shown = visitor.get("/").json()
    assert got == {"n": 5, "items": [1, 2], "notice": "hello"} and "hello" not in shown and "3 keys" in shown
    assert client(manager, everything, visitor).get("/").json() == got
    assert client(manager, everything, visitor).get("/").json() == {"n": 5, "items": [1, 2]}


def test_a_session_that_nobody_looks_at_costs_nothing(manager):
    silent = client(manager, lambda request: "static")
    assert not {"set-cookie", "vary", "cache-control"} & set(silent.get("/").headers)
    visitor = client(manager, set_to(n=1))
    assert visitor.get("/").headers["vary"] == "Cookie"
    (before,) = manager.records()
    response = client(manager, lambda request: "static", visitor).get("/")
    assert not {"set-cookie", "vary", "cache-control"} & set(response.headers) and manager.records() == [before]
    assert client(manager, everything, visitor).get("/").headers["vary"] == "Cookie"


def test_a_reader_without_a_cookie_stores_nothing(manager):
    response = client(manager, everything).get("/")
    assert "set-cookie" not in response.headers and response.headers["vary"] == "Cookie" and manager.records() == []


def test_to_clear_is_to_sign_out(manager):
    visitor = client(manager, set_to(user="ada"))
    visitor.get("/")
    thief = token(visitor)

    async def slow(request):
        request.session["work"] = 1
        other = client(manager, lambda request: request.session.clear(), visitor)
        response = await anyio.to_thread.run_sync(other.get, "/")
        assert "Max-Age=0" in response.headers["set-cookie"]
        return PlainTextResponse("", background=BackgroundTask(lambda: seen.append(request.session.holdall.committed.outcome)))

    seen = []
    busy = client(manager, slow)
    busy.cookies.set("sid", thief)
    busy.get("/")
    assert seen == ["gone"] and manager.records() == [] and "user" not in manager.open_token(thief)


def test_to_clear_and_go_on_keeps_the_record(manager):
    visitor = client(manager, set_to(user="ada", old=1))
    visitor.get("/")

    def start_again(request):
        request.session.clear()
        request.session["user"] = "grace"

    assert "Max-Age=0" not in client(manager, start_again, visitor).get("/").headers.get("set-cookie", "")
    assert client(manager, everything, visitor).get("/").json() == {"user": "grace"}
    # The last key that is taken out is no sign-out: another request may be adding one.
    assert client(manager, lambda request: request.session.pop("user"), visitor).get("/").json() == "grace"
    assert len(manager.records()) == 1


def test_a_new_id_for_the_same_data(manager):
    visitor = client(manager, set_to(user="ada"))
    visitor.get("/")
    before = token(visitor)
    renewed = client(manager, lambda request: request.session.holdall.regenerate(), visitor)
    renewed.get("/")
    assert token(renewed) != before and client(manager, everything, renewed).get("/").json() == {"user": "ada"}
    assert manager.open_token(before).is_new


def test_a_value_that_is_no_json_changes_nothing(manager):
    def wrong(request):
        for change in (lambda: request.session.update(a=1, b=object()), lambda: request.session.__setitem__("b", {1})):
            with pytest.raises(TypeError, match="b"):
                change()
        with pytest.raises(TypeError, match="str"):
            request.session[1] = 1
        return request.session

    assert client(manager, wrong).get("/").json() == {}


def test_what_is_changed_while_a_body_streams_is_refused_loudly(manager):
    refused = []

    def page(request):
        async def body():
            yield str(request.session["n"])
            with pytest.raises(holdall.MisuseError, match="committed"):
                request.session["n"] = 2
            refused.append(True)

        request.session["n"] = 1
        return StreamingResponse(body())

    visitor = client(manager, page)
    response = visitor.get("/")
    assert response.text == "1" and "sid=" in response.headers["set-cookie"] and refused == [True]
    assert client(manager, everything, visitor).get("/").json() == {"n": 1}


def test_a_background_task_reads_and_does_not_write(manager):
    seen = []

    def task(session):
        seen.append(dict(session))
        with pytest.raises(holdall.MisuseError):
            session["n"] = 2
        seen.append(session.holdall.committed.outcome)

    def page(request):
        request.session["n"] = 1
        return PlainTextResponse("", background=BackgroundTask(task, request.session))

    assert client(manager, page).get("/").status_code == 200 and seen == [{"n": 1}, "saved"]


def test_an_exception_saves_nothing_and_its_page_can_read_the_session(manager):
    visitor = client(manager, set_to(user="ada"))
    visitor.get("/")

    def fail(request):
        request.session["user"] = "eve"
        raise ValueError("of the application")

    async def sorry(request, error):
        with pytest.raises(holdall.MisuseError, match="did not save"):
            request.session["x"] = 1
        return PlainTextResponse(f"sorry, {request.session['user']}", 500)

    for mode in ("shared", "exclusive"):
        failing = application(manager, fail, mode=mode)
        failing.add_exception_handler(Exception, sorry)
        failing = TestClient(failing, raise_server_exceptions=False)
        failing.cookies = visitor.cookies
        response = failing.get("/")
        assert response.status_code == 500 and response.text == "sorry, eve" and "set-cookie" not in response.headers
        assert client(manager, everything, visitor, mode="exclusive").get("/").json() == {"user": "ada"}


def test_an_error_response_is_saved_only_if_asked_for(manager):
    visitor = client(manager, set_to(n=1))
    visitor.get("/")
    for status, options, expected in [(500, {}, 1), (503, {"mode": "exclusive"}, 1), (404, {}, 2), (503, {"save_on_error": True}, 3)]:

        def refuse(request, status=status):
            request.session["n"] += 1
            raise HTTPException(status)

        response = client(manager, refuse, visitor, **options).get("/")
        assert response.status_code == status and response.headers["vary"] == "Cookie"
        assert client(manager, everything, visitor).get("/").json() == {"n": expected}


@pytest.mark.parametrize("status", [200, 302, 503])
def test_what_the_application_itself_commits_or_destroys_reaches_the_browser(manager, status):
    def answering(work):
        def page(request):
            work(request.session)
            return PlainTextResponse("", status)

        return page

    visitor = client(manager, answering(lambda session: (session.update(a=1), session.holdall.commit())))
    visitor.get("/")
    before = token(visitor)
    renewing = client(manager, answering(lambda session: (session.holdall.regenerate(), session.holdall.commit())), visitor)
    renewing.get("/")
    assert token(renewing) != before and manager.open_token(token(renewing))["a"] == 1

    def end(session):
        session.holdall.destroy()
        assert session.get("a") == 1 and not session.modified

    response = client(manager, answering(end), renewing).get("/")
    assert response.status_code == status and "Max-Age=0" in response.headers["set-cookie"] and manager.records() == []


@pytest.mark.parametrize("mode", ["shared", "exclusive"])
def test_a_session_that_was_given_up_frees_its_lock_whoever_holds_it(manager, mode):
    session_token, held = stored(manager, n=1), []

    def keep(request):
        held.append(request.session.holdall)
        request.session["n"] = 2
        return PlainTextResponse("", 503)

    visitor = client(manager, keep, mode=mode)
    visitor.cookies.set("sid", session_token)
    assert visitor.get("/").status_code == 503
    with pytest.raises(holdall.MisuseError, match="closed"):
        held[0]["n"] = 3
    assert manager.open_token(session_token, mode="exclusive", lock_timeout_ms=0)["n"] == 1


def test_an_application_that_closes_its_session_fails_loudly_and_frees_it(manager):
    session_token = stored(manager, n=1)

    def close(request):
        request.session["n"] = 2
        request.session.holdall.close()

    visitor = client(manager, close, mode="exclusive")
    visitor.cookies.set("sid", session_token)
    assert visitor.get("/").status_code == 500
    assert manager.open_token(session_token, mode="exclusive", lock_timeout_ms=0)["n"] == 1


def test_the_driver_of_the_manager_decides_where_it_runs(tmp_path):
    drivers = {"main": {"type": "memory"}, "disk": {"type": "file", "path": str(tmp_path), "lock_timeout_ms": 7}}
    manager = holdall.SessionManager(default="main", drivers=drivers, **PLAIN)
    for given in ({"manager": manager.driver("disk")}, {"manager": manager, "driver": "disk"}):
        middleware = SessionMiddleware(None, **given)
        assert (middleware.off_loop, middleware.lock_timeout_ms, middleware.cookie_name) == (True, 7, b"sid-disk")
    middleware = SessionMiddleware(None, manager=manager)
    assert (middleware.off_loop, middleware.lock_timeout_ms, middleware.cookie_name) == (False, 5000, b"sid")
    # Sealed in the cookie there is no I/O, unless what is too large for it is kept here.
    for spill, off_loop in (({}, False), ({"overflow": "spill", "spill_to": "disk"}, True)):
        drivers["main"] = {"type": "cookie", **spill}
        manager = holdall.SessionManager(default="main", drivers=drivers, keys=[holdall.generate_key()], **PLAIN)
        assert SessionMiddleware(None, manager=manager).off_loop is off_loop


def test_a_session_in_a_sealed_cookie(driver, tmp_path):
    drivers = {"main": {"type": "cookie"}}
    manager = holdall.SessionManager(default="main", drivers=drivers, keys=[holdall.generate_key()], **PLAIN)
    visitor = client(manager, lambda request: request.session.holdall.increment("n"), off_loop=driver == "file")
    assert [visitor.get("/").json() for _ in range(3)] == [1, 2, 3]
    assert manager.stats()["events"]["malformed_token"] == manager.stats()["events"]["unknown_token"] == 0
    leaving = client(manager, lambda request: request.session.clear(), visitor)
    leaving.get("/")
    assert not leaving.cookies


def test_a_flash_message_is_seen_once_behind_redirects(manager):
    def flash(request):
        request.session.holdall.flash("notice", "saved")
        return RedirectResponse("/")

    def notice(request):
        return request.session.get("notice")

    def redirect(request):
        return RedirectResponse("/" + notice(request))

    visitor = client(manager, flash)
    visitor.get("/")
    assert client(manager, redirect, visitor).get("/").headers["location"] == "/saved"
    looking = client(manager, notice, visitor)
    looking.head("/")
    looking.options("/")
    assert [looking.get("/", headers={"Sec-Purpose": "prefetch"}).json(), looking.get("/").json(), looking.get("/").json()] == [
        "saved",
        "saved",
        None,
    ]


def test_the_headers_of_the_application_stay(manager):
    def page(request):
        request.session["a"] = 1
        response = PlainTextResponse("", headers={"Vary": "Accept-Encoding", "Cache-Control": "public, max-age=60"})
        response.set_cookie("theme", "dark")
        return response

    headers = client(manager, page).get("/").headers
    assert headers["vary"] == "Accept-Encoding, Cookie" and headers["cache-control"] == "public, max-age=60, no-store"
    assert [line.partition("=")[0] for line in headers.get_list("set-cookie")] == ["theme", "sid"]


def test_a_shared_cache_hands_nobody_the_session_of_another(manager):
    numbers = iter(range(1000))

    def page(request):
        content = "static"
        if request.url.path == "/begin":
            request.session["secret"], content = next(numbers), ""
        elif request.url.path == "/show":
            content = str(request.session.get("secret", "none"))
        return PlainTextResponse(content, headers={"Cache-Control": "public, max-age=60"})

    def fetch(path, headers):
        response = client(manager, page).get(path, headers=headers)
        return response.status_code, response.headers.multi_items(), response.content

    strangers_share_nothing_but_what_is_static(fetch)


LOOKS = {
    "in": lambda session: "a" in session,
    "iter": list,
    "reversed": lambda session: list(reversed(session)),
    "len": len,
    "bool": bool,
    "get": lambda session: session.get("a"),
    "equal": lambda session: session == {},
    "unequal": lambda session: session != {},
    "or": lambda session: session | {},
    "ror": lambda session: {} | session,
    "dict": dict,
    "unpacked": lambda session: {**session},
    "copy": lambda session: session.copy(),
    "copied": copy.copy,
    "items": lambda session: session.items(),
    "pop": lambda session: session.pop("a", None),
    "setdefault": lambda session: session.setdefault("b", 1),
    "holdall": lambda session: session.holdall.get("a"),
    "clear": lambda session: session.clear(),
}


@pytest.mark.parametrize("how", LOOKS)
@pytest.mark.parametrize("known", [True, False])
def test_whichever_way_it_was_looked_at_caches_are_told(manager, how, known):
    # Through the scope: `request.session` of Starlette itself says that it was looked at.
    visitor = client(manager, set_to(a=1) if known else set_to())
    visitor.get("/")
    response = client(manager, lambda request: bool(LOOKS[how](request.scope["session"])), visitor).get("/")
    assert response.headers.get_list("vary") == ["Cookie"]
    assert ("set-cookie" in response.headers) == (response.headers.get("cache-control") == "no-store")


def test_also_what_an_encoder_written_in_c_looked_at(manager):
    # It passes by the methods of a dict that is empty. Starlette has said by then that the session was asked for.
    response = client(manager, lambda request: json.dumps(request.session)).get("/")
    assert response.json() == "{}" and response.headers["vary"] == "Cookie"


def test_a_copy_of_the_session_is_a_dict_of_its_own(manager):
    visitor = client(manager, set_to(a={"deep": [1]}))
    visitor.get("/")

    def page(request):
        session = request.session
        copies = [
            copy.copy(session),
            copy.deepcopy(session),
            session.copy(),
            session | {},
            {} | session,
            pickle.loads(pickle.dumps(session)),
        ]
        for one in copies:
            one["b"] = 2
        copies[1]["a"]["deep"].append(2)
        return [type(one).__name__ for one in copies]

    saved = manager.stats()["commits"]["saved"]
    assert client(manager, page, visitor).get("/").json() == ["dict"] * 6
    assert manager.stats()["commits"]["saved"] == saved and client(manager, everything, visitor).get("/").json() == {"a": {"deep": [1]}}


def test_the_cookie_is_found_in_the_second_of_two_headers(manager):
    # As HTTP/2 splits them.
    headers = [("Cookie", "theme=dark"), ("Cookie", f"sid={stored(manager, n=1)}")]
    assert client(manager, everything).get("/", headers=headers).json() == {"n": 1}


def test_secure_follows_the_scheme_of_the_request(url):
    manager = holdall.SessionManager(url, cookie={"secure": "auto"})
    app = application(manager, set_to(a=1))
    lines = [TestClient(app, base_url=f"{scheme}://testserver").get("/").headers["set-cookie"] for scheme in ("http", "https")]
    assert ["; Secure" in line for line in lines] == [False, True]


def test_several_sessions_in_one_request(tmp_path):
    drivers = {"main": {"type": "file", "path": str(tmp_path)}, "cart": {"type": "memory"}}
    manager = holdall.SessionManager(default="main", drivers=drivers, **PLAIN)

    async def page(request):
        cart = request.scope["cart"]
        cart["n"] = cart.get("n", 0) + 10
        return JSONResponse([request.session.holdall.increment("n"), cart["n"]])

    middleware = [
        Middleware(SessionMiddleware, manager=manager),
        Middleware(SessionMiddleware, manager=manager, driver="cart", scope_key="cart"),
    ]
    visitor = TestClient(Starlette(routes=[Route("/", page)], middleware=middleware))
    assert visitor.get("/").headers.get_list("vary") == ["Cookie"] and set(visitor.cookies) == {"sid", "sid-cart"}
    assert visitor.get("/").json() == [2, 20]


def test_fastapi_with_endpoints_of_both_kinds(manager):
    app = FastAPI()
    app.add_middleware(SessionMiddleware, manager=manager)

    @app.post("/add")
    def add(request: Request, item: Annotated[str, Body()]) -> list[str]:
        request.session.setdefault("items", []).append(item)
        return request.session["items"]

    @app.get("/")
    async def show(request: Request):
        return request.session

    visitor = TestClient(app)
    assert visitor.post("/add", json="pen").json() == ["pen"]
    assert visitor.post("/add", json="ink").json() == ["pen", "ink"]
    assert visitor.get("/").json() == {"items": ["pen", "ink"]}


def test_a_websocket_reads_and_saves_with_its_handshake(manager):
    visitor = client(manager, set_to(user="ada"))
    visitor.get("/")

    async def chat(websocket):
        websocket.session["rooms"] = 1
        if websocket.url.path == "/denied":
            await websocket.send_denial_response(PlainTextResponse("no", 403))
            return
        await websocket.accept()
        with pytest.raises(holdall.MisuseError, match="committed"):
            websocket.session["rooms"] = 2
        await websocket.send_json(websocket.session)
        await websocket.close()

    routes = [WebSocketRoute("/{path:path}", chat)]
    app = TestClient(Starlette(routes=routes, middleware=[Middleware(SessionMiddleware, manager=manager)]))
    with app.websocket_connect("/") as socket:
        assert "sid=" in dict(socket.extra_headers)[b"set-cookie"].decode() and socket.receive_json() == {"rooms": 1}
    app.cookies = visitor.cookies
    with app.websocket_connect("/") as socket:
        assert socket.receive_json() == {"user": "ada", "rooms": 1}
    with pytest.raises(WebSocketDisconnect), app.websocket_connect("/denied"):
        pass
    assert client(manager, everything, visitor).get("/").json() == {"user": "ada", "rooms": 1}


def test_gone_and_moved_are_flags_and_say_what_becomes_of_the_cookie(manager):
    for end, outcome, removed in [("regenerate", "moved", None), ("destroy", "gone", True)]:
        visitor = client(manager, set_to(n=1))
        visitor.get("/")
        held = []

        def meanwhile(request, end=end, held=held, visitor=visitor):
            request.session["n"] = 2
            other = manager.open_token(token(visitor))
            getattr(other, end)()
            other.commit()
            held.append(request.session)

        line = client(manager, meanwhile, visitor).get("/").headers.get("set-cookie")
        assert held[0].holdall.committed.outcome == outcome and (line and "Max-Age=0" in line) == removed


def test_what_does_io_runs_in_a_thread_and_memory_on_the_loop(driver, url):
    for off_loop in (None, True, False):
        manager = holdall.SessionManager(url, **PLAIN)
        threads = {}
        manager.on_event(lambda kind, session, threads=threads: threads.setdefault(kind, threading.get_ident()))

        async def page(request, threads=threads):
            threads["loop"] = threading.get_ident()
            request.session["n"] = 1

        visitor = client(manager, page, off_loop=off_loop)
        visitor.get("/")
        assert (threads["created"] != threads["loop"]) is (driver == "file" if off_loop is None else off_loop)
        for locator, _, _ in manager.records():
            manager.destroy(locator)
        threads.clear()
        visitor.get("/")
        # The load, too.
        assert (threads["unknown_token"] != threads["loop"]) is (driver == "file" if off_loop is None else off_loop)


async def beats(number):
    """Waits until the loop has gone round so often with a pause in between: one that stands still never gets there."""
    for _ in range(number):
        await asyncio.sleep(0.005)


def asked(app, session_token):
    return httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app, raise_app_exceptions=False),
        base_url="http://testserver",
        headers={"Cookie": f"sid={session_token}"},
        timeout=60,
    )


async def slow_count(request):
    before = request.session["n"]
    await asyncio.sleep(0.002)
    request.session["n"] = before + 1
    return before


def stored(manager, **values):
    session = manager.open()
    session.update(values)
    session_token = session.id
    session.commit()
    return session_token


@pytest.mark.parametrize("off_loop", [True, False])
def test_fifty_wait_for_one_session_on_one_loop_and_all_are_served(manager, off_loop):
    session_token = stored(manager, n=0)

    async def main():
        app = application(manager, slow_count, mode="exclusive", off_loop=off_loop)
        async with asked(app, session_token) as many:
            answers = await asyncio.gather(*(many.get("/") for _ in range(50)))
        # Whoever held the loop would be told after 5 s that the lock is held: by one that waits for the loop.
        assert sorted(answer.json() for answer in answers) == list(range(50))

    asyncio.run(main())
    assert manager.open_token(session_token)["n"] == 50


def test_who_waits_for_a_lock_is_served_in_turn(manager):
    session_token, order = stored(manager, n=0), []

    async def main():
        app = application(manager, slow_count, mode="exclusive")
        async with asked(app, session_token) as visitor:

            async def again_and_again(number):
                for _ in range(5):
                    assert (await visitor.get("/")).status_code == 200
                    order.append(number)

            await asyncio.gather(*map(again_and_again, range(20)))

    asyncio.run(main())
    # Who has just been served stands behind the others, and does not find the lock free before they look again.
    assert len(set(order[:20])) >= 18 and manager.open_token(session_token)["n"] == 100


def test_those_that_only_commit_wait_off_the_loop_as_well(url):
    (driver,) = holdall.SessionManager(url).config()["drivers"].values()
    manager = holdall.SessionManager({"drivers": {"main": {**driver, "lock_timeout_ms": 90_000}}, **PLAIN})
    session_token = stored(manager, n=0)

    async def main():
        async def alone(request):
            before = request.session["n"]
            holders.append(request.session)
            held.set()
            await beats(50)
            request.session["n"] = before + 1
            return "alone"

        holders, held = [], asyncio.Event()
        alone = application(manager, alone, mode="exclusive")
        others = application(manager, lambda request: request.session.holdall.increment("n"))
        async with asked(alone, session_token) as one, asked(others, session_token) as many:
            first = asyncio.create_task(one.get("/"))
            await held.wait()
            others = [asyncio.create_task(many.get("/")) for _ in range(60)]
            # One that held the loop in its commit, or forty that held all the threads, would wait for the one alone, who waits for
            # the loop and for a thread: for as long as the lock timeout, if nobody freed it by hand.
            _, stuck = await asyncio.wait([first, *others], timeout=60)
            if stuck:
                holders[0].holdall.commit()
            answers = await asyncio.gather(first, *others)
        assert not stuck and {answer.status_code for answer in answers} == {200}

    asyncio.run(main())
    # The increments that came meanwhile are on top of what the one alone has stored.
    assert manager.open_token(session_token)["n"] == 61


@pytest.mark.parametrize("mode", ["shared", "exclusive"])
def test_a_lock_that_is_held_too_long_is_an_error_in_time(url, mode):
    (driver,) = holdall.SessionManager(url).config()["drivers"].values()
    manager = holdall.SessionManager({"drivers": {"main": {**driver, "lock_timeout_ms": 100}}, **PLAIN})
    session_token = stored(manager, n=0)
    holder = manager.open_token(session_token, mode="exclusive")
    errors = []

    async def sorry(request, error):
        errors.append(error)
        return PlainTextResponse("", 503)

    app = application(manager, set_to(n=1), mode=mode)
    app.add_exception_handler(Exception, sorry)
    visitor = TestClient(app, raise_server_exceptions=False)
    visitor.cookies.set("sid", session_token)
    begun = time.perf_counter()
    response = visitor.get("/")
    assert time.perf_counter() - begun >= 0.1 and response.status_code == 503 and "set-cookie" not in response.headers
    assert isinstance(errors[0], holdall.UnavailableError) and errors[0].retryable and "100 ms" in str(errors[0])
    holder.commit()
    assert manager.open_token(session_token)["n"] == 0 and visitor.get("/").status_code == 200


def test_what_fails_for_another_reason_than_a_lock_is_told_as_it_is(tmp_path):
    manager = holdall.SessionManager(f"file://{tmp_path}/sessions", **PLAIN)
    session_token = stored(manager, n=0)
    errors, limits = [], resource.getrlimit(resource.RLIMIT_FSIZE)

    def too_large_for_the_disk(request):
        request.session["n"] = "x" * 50_000
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))

    async def sorry(request, error):
        errors.append(error)
        return PlainTextResponse("", 503)

    app = application(manager, too_large_for_the_disk)
    app.add_exception_handler(Exception, sorry)
    visitor = TestClient(app, raise_server_exceptions=False)
    visitor.cookies.set("sid", session_token)
    try:
        assert visitor.get("/").status_code == 503
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    (error,) = errors
    # Retryable it is, but to wait for it as for a lock would say after five seconds that it was one.
    assert error.retryable and not error.locked and "locked" not in str(error)
    assert manager.open_token(session_token)["n"] == 0


def test_a_request_that_is_cancelled_frees_the_lock_and_saves_nothing(manager):
    session_token = stored(manager, n=0)

    async def main():
        async def hang(request):
            request.session["n"] = 1
            await asyncio.sleep(60)

        async with asked(application(manager, hang, mode="exclusive"), session_token) as visitor:
            task = asyncio.create_task(visitor.get("/"))
            await asyncio.sleep(0.1)
            with pytest.raises(holdall.UnavailableError):
                manager.open_token(session_token, mode="exclusive", lock_timeout_ms=0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert manager.open_token(session_token, mode="exclusive", lock_timeout_ms=0)["n"] == 0


def test_a_session_that_cannot_be_loaded_fails_only_who_asks_for_it(tmp_path):
    manager = holdall.SessionManager(f"file://{tmp_path}/sessions", **PLAIN)
    session_token = stored(manager, n="x" * 2000)
    small = holdall.SessionManager(f"file://{tmp_path}/sessions", max_record_bytes=1200, **PLAIN)
    static = client(small, lambda request: "static")
    static.cookies.set("sid", session_token)
    assert static.get("/").json() == "static"

    def page(request):
        with pytest.raises(holdall.TooLargeError):
            request.session.get("n")
        with pytest.raises(holdall.TooLargeError):
            request.session["n"] = 1
        return "told"

    assert client(small, page, static).get("/").json() == "told"
    assert manager.open_token(session_token)["n"] == "x" * 2000


def test_every_letter_of_twenty_six_requests_at_once_is_there(manager):
    session_token = stored(manager, count=0)
    letters = "abcdefghijklmnopqrstuvwxyz"

    async def main():
        here, all_here = [], asyncio.Event()

        async def page(request):
            request.session[request.url.path[1:]] = True
            request.session.holdall.increment("count")
            here.append(True)
            if len(here) == 26:
                all_here.set()
            await all_here.wait()

        async with asked(application(manager, page), session_token) as many:
            await asyncio.gather(*(many.get(f"/{letter}") for letter in letters))

    asyncio.run(main())
    assert manager.open_token(session_token).all() == {"count": 26, **{letter: True for letter in letters}}


def test_starlettes_arguments_say_what_they_say_there(tmp_path):
    drop_in = SessionMiddleware(None, "secret").manager.config()
    cookie = {"name": "session", "path": "/", "same_site": "lax", "secure": False, "domain": None, "partitioned": False}
    assert cookie.items() <= drop_in["cookie"].items() and drop_in["cookie"]["persistent"] and drop_in["default"] == "memory"
    assert drop_in["idle_timeout_s"] == drop_in["new_idle_timeout_s"] == 14 * 24 * 3600
    assert drop_in["absolute_timeout_s"] == 30 * 24 * 3600
    # Long enough that use extends it, as there.
    long = SessionMiddleware(None, max_age=10**8, https_only=True, config=f"file://{tmp_path}/s").manager.config()
    assert (long["absolute_timeout_s"], long["cookie"]["secure"], long["default"]) == (2 * 10**8, True, "file")
    mixed = SessionMiddleware(None, max_age=None, config={"url": "memory:", "idle_timeout_s": 60, "cookie": {"secure": "auto"}})
    assert (mixed.manager.config()["idle_timeout_s"], mixed.manager.config()["cookie"]["persistent"]) == (60, False)
    assert (mixed.manager.config()["cookie"]["secure"], mixed.manager.config()["cookie"]["name"]) == ("auto", "session")


def test_what_contradicts_itself_is_refused():
    manager = holdall.SessionManager("memory:")
    for arguments in ({"config": "memory:"}, {"session_cookie": "other"}, {"max_age": None}, {"https_only": True}):
        with pytest.raises(holdall.InvalidArgumentError, match="manager"):
            SessionMiddleware(None, manager=manager, **arguments)
    assert SessionMiddleware(None, secret_key="left over", manager=manager).manager is manager
    with pytest.raises(holdall.InvalidConfigError, match="same_site"):
        SessionMiddleware(None, same_site="none")
    with pytest.raises(holdall.InvalidArgumentError, match="absent"):
        SessionMiddleware(None, manager=manager, driver="absent")


def test_the_lifespan_passes_through(manager):
    app = application(manager, everything)
    with TestClient(app) as visitor:
        assert visitor.get("/").json() == {}


def test_a_session_of_ours_is_not_mistaken_for_an_empty_one(manager):
    session = Session.loaded(manager.open_token(stored(manager, a=1)), looks_for_a_lock=False)
    # Not even by those who look past its methods, as fast JSON encoders do.
    assert dict.__len__(session) == 1 and dict.__getitem__(session, "a") == 1


def test_the_application_in_the_document_runs():
    for source in re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL):
        names = {}
        exec(source, names)
        visitor = TestClient(names["app"])
        assert [visitor.get("/").json() for _ in range(2)] == [{"visits": 1}, {"visits": 2}]
