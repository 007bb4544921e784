"""Django with its own middleware, client and authentication, over Holdall."""

import asyncio
import contextlib
import datetime
import io
import itertools
import json
import os
import pathlib
import re
import threading
import time

import django_settings
import httpx2
import pytest
from shared_cache import strangers_share_nothing_but_what_is_static

import holdall
import holdall.starlette
import holdall.wsgi

django_settings.set_up()

from django.contrib import auth  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.contrib.sessions.backends.base import CreateError, UpdateError  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.exceptions import ImproperlyConfigured  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.signing import JSONSerializer  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse  # noqa: E402
from django.test import AsyncClient, Client, override_settings  # noqa: E402
from django.urls import path  # noqa: E402

from holdall.django import SessionStore, manager  # noqa: E402

DOCUMENT = pathlib.Path(__file__).parents[3] / "docs" / "python" / "django.md"


def add(request):
    request.session[request.GET["key"]] = request.GET["value"]
    barrier = BARRIERS.get(request.GET.get("wait"))
    if barrier:
        barrier.wait(10)
    return HttpResponse()


def append(request):
    """Changes in place, and says nothing about it."""
    if "new" in request.GET:
        request.session["cart"] = []
    else:
        request.session["cart"].append(request.GET["item"])
    barrier = BARRIERS.get(request.GET.get("wait"))
    if barrier:
        barrier.wait(10)
    return HttpResponse(status=int(request.GET.get("status", 200)))


def show(request):
    return JsonResponse(dict(request.session.items()))


def sign_in(request):
    auth.login(request, User.objects.get(username="ann"))
    return HttpResponse()


def sign_out(request):
    auth.logout(request)
    return HttpResponse()


def who(request):
    return HttpResponse(request.user.get_username())


def slow(request):
    """Another request of the same visitor signs out meanwhile."""
    request.session["note"] = "late"
    SessionStore(request.session.session_key).flush()
    return HttpResponse()


async def asynchronous(request):
    count = await request.session.aget("count", 0) + 1
    await request.session.aset("count", count)
    return HttpResponse(str(count))


def static(request):
    return HttpResponse("static", headers=FOR_A_MINUTE)


def begin(request):
    request.session["secret"] = next(NUMBERS)
    return HttpResponse(headers=FOR_A_MINUTE)


def secret(request):
    return HttpResponse(str(request.session.get("secret", "none")), headers=FOR_A_MINUTE)


def stream(request):
    request.session["n"] = 1

    def body():
        yield str(request.session["n"])
        request.session["n"] = 2
        yield "end"

    return StreamingHttpResponse(body())


def flush(request):
    request.session.flush()
    return HttpResponse(headers=FOR_A_MINUTE)


def look(request):
    """Looks at the session in one of the ways there are."""
    LOOKS[request.GET["how"]](request.session)
    return HttpResponse()


def with_cart(request):
    cart = request.META["shop.cart"] if "shop.cart" in request.META else request.scope["cart"].holdall
    request.session["n"] = request.session.get("n", 0) + 1
    return JsonResponse([request.session["n"], cart.increment("n", 10)], safe=False)


FOR_A_MINUTE = {"Cache-Control": "public, max-age=60"}
LOOKS = {
    "in": lambda session: "a" in session,
    "get": lambda session: session.get("a"),
    "keys": lambda session: session.keys(),
    "items": lambda session: session.items(),
    "has_key": lambda session: session.has_key("a"),
    "setdefault": lambda session: session.setdefault("a", 1),
    "pop": lambda session: session.pop("a", None),
    "get_expiry_age": lambda session: session.get_expiry_age(),
    "cycle_key": lambda session: session.cycle_key(),
}
urlpatterns = [
    path("static", static),
    path("begin", begin),
    path("secret", secret),
    path("stream", stream),
    path("flush", flush),
    path("look", look),
    path("cart", with_cart),
    path("add", add),
    path("append", append),
    path("show", show),
    path("sign-in", sign_in),
    path("sign-out", sign_out),
    path("who", who),
    path("slow", slow),
    path("asynchronous", asynchronous),
]
BARRIERS = {}
NUMBERS = itertools.count(1000)


@pytest.fixture(autouse=True)
def configured(url):
    # Each test has a manager of its own, also in memory.
    with override_settings(HOLDALL={"url": url, "max_keys": next(NUMBERS)}):
        yield
        BARRIERS.clear()


@pytest.fixture
def settings_with():
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(override_settings(**settings))


@pytest.fixture(scope="module")
def ann():
    call_command("migrate", verbosity=0)
    user = User.objects.create_user("ann", password="first")
    yield user
    user.delete()


def stored(key):
    return dict(SessionStore(key).items())


def begun(**values):
    store = SessionStore()
    store.update(values)
    store.save()
    return store


# Requests.


def test_parallel_requests_each_keep_their_key():
    client = Client()
    client.get("/add?key=first&value=1")
    cookie = client.cookies["sessionid"].value
    assert len(cookie) == 43
    BARRIERS["all"] = threading.Barrier(26)

    def request(letter):
        mine = Client()
        mine.cookies["sessionid"] = cookie
        assert mine.get(f"/add?key={letter}&value={letter}&wait=all").status_code == 200

    threads = [threading.Thread(target=request, args=(letter,)) for letter in "abcdefghijklmnopqrstuvwxyz"]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert client.get("/show").json() == {"first": "1", **{letter: letter for letter in "abcdefghijklmnopqrstuvwxyz"}}


def test_what_was_changed_in_place_is_saved_and_parallel_requests_append_to_one_list():
    client = Client()
    client.get("/append?new=1")
    assert client.get("/show").json() == {"cart": []}
    response = client.get("/append?item=apple")
    assert response.cookies["sessionid"]["max-age"] == 1209600
    assert client.get("/show").json() == {"cart": ["apple"]}

    BARRIERS["both"] = threading.Barrier(2)

    def request(item):
        mine = Client()
        mine.cookies["sessionid"] = client.cookies["sessionid"].value
        mine.get(f"/append?item={item}&wait=both")

    threads = [threading.Thread(target=request, args=(item,)) for item in ("pear", "plum")]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    cart = client.get("/show").json()["cart"]
    assert cart[0] == "apple" and sorted(cart[1:]) == ["pear", "plum"]


def test_what_is_only_read_is_not_written_and_sets_no_cookie():
    client = Client()
    assert not client.get("/show").cookies
    client.get("/append?new=1")
    before = manager().stats()["commits"]
    response = client.get("/show")
    assert not response.cookies and response["Vary"] == "Cookie"
    assert manager().stats()["commits"] == before


def test_a_failed_response_saves_nothing():
    client = Client()
    client.get("/append?new=1")
    assert client.get("/append?item=apple&status=500").status_code == 500
    assert client.get("/show").json() == {"cart": []}


def test_a_request_that_was_signed_out_meanwhile_is_interrupted():
    client = Client()
    client.get("/add?key=a&value=1")
    key = client.cookies["sessionid"].value
    assert client.get("/slow").status_code == 400
    assert stored(key) == {}


def test_asynchronous_views():
    async def walk():
        client = AsyncClient()
        return [(await client.get("/asynchronous")).content for _ in range(3)]

    assert asyncio.run(walk()) == [b"1", b"2", b"3"]


def test_200_races_of_signing_out_against_a_write():
    def write(key, told):
        store = SessionStore(key)
        store["note"] = store.get("user")
        if store.session_key is not None:
            try:
                store.save()
            except UpdateError:
                told.append(1)

    for _ in range(200):
        key, told = begun(user=7).session_key, []
        threads = [threading.Thread(target=write, args=(key, told)), threading.Thread(target=SessionStore(key).flush)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert stored(key) == {}
    assert manager().records() == []


def test_a_failed_response_is_saved_where_that_is_asked_for(settings_with):
    client = Client()
    client.get("/append?new=1")
    settings_with(HOLDALL_SAVE_ON_ERROR=True)
    response = client.get("/append?item=apple&status=503")
    assert response.status_code == 503 and response.reason_phrase == "Service Unavailable" and response.cookies
    assert client.get("/show").json() == {"cart": ["apple"]}


def test_a_stream_is_saved_before_its_headers_and_what_it_changes_later_is_not():
    client = Client()
    response = client.get("/stream")
    assert len(response.cookies["sessionid"].value) == 43 and response.getvalue() == b"1end"
    assert client.get("/show").json() == {"n": 1}


def test_several_sessions_in_one_request():
    carts = holdall.SessionManager("memory:", cookie={"name": "cart", "secure": False})
    application = holdall.wsgi.SessionMiddleware(get_wsgi_application(), carts, "shop.cart")
    cookies, bodies = {}, []
    for _ in range(2):
        sent = []
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/cart", "SERVER_NAME": "localhost", "SERVER_PORT": "80"}
        environ.update({"wsgi.input": io.BytesIO(), "wsgi.url_scheme": "http"})
        environ["HTTP_COOKIE"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        bodies.append(b"".join(application(environ, lambda status, headers, sent=sent: sent.extend(headers))))
        cookies |= dict(value.strip().partition(";")[0].split("=") for name, value in sent if name == "Set-Cookie")
        assert [value for name, value in sent if name == "Vary"] == ["Cookie"]
    assert set(cookies) == {"sessionid", "cart"} and bodies == [b"[1, 10]", b"[2, 20]"]


def test_several_sessions_in_one_request_of_asgi():
    carts = holdall.SessionManager("memory:", cookie={"name": "cart", "secure": False})
    application = holdall.starlette.SessionMiddleware(get_asgi_application(), manager=carts, scope_key="cart")

    async def walk():
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(application), base_url="http://testserver") as client:
            answers = [await client.get("/cart") for _ in range(2)]
            assert set(client.cookies) == {"sessionid", "cart"}
            assert [answer.headers.get_list("vary") for answer in answers] == [["Cookie"]] * 2
            return [answer.json() for answer in answers]

    assert asyncio.run(walk()) == [[1, 10], [2, 20]]


# Caches.


def fetch(path, headers):
    response = Client().get(path.replace("/show", "/secret"), headers=headers)
    cookies = [("Set-Cookie", cookie.OutputString()) for cookie in response.cookies.values()]
    return response.status_code, [*response.items(), *cookies], response.content


def test_a_shared_cache_hands_nobody_the_session_of_another():
    strangers_share_nothing_but_what_is_static(fetch)


DJANGOS = "django.contrib.sessions.middleware.SessionMiddleware"


def test_behind_djangos_own_middleware_it_does():
    """Why there is one of ours: Vary does not keep apart two visitors who have no cookie yet."""
    with override_settings(MIDDLEWARE=[DJANGOS]), pytest.warns(RuntimeWarning, match="holdall.django.SessionMiddleware"):
        manager()
    with override_settings(MIDDLEWARE=[DJANGOS]), pytest.raises(AssertionError, match="newcomer got the cookie"):
        strangers_share_nothing_but_what_is_static(fetch)


@pytest.mark.parametrize("how", LOOKS)
def test_whichever_way_it_was_looked_at_caches_are_told(how):
    client = Client()
    client.get("/add?key=a&value=1")
    response = client.get("/look", {"how": how})
    assert response["Vary"] == "Cookie"
    assert bool(response.cookies) == ("no-store" in response.get("Cache-Control", ""))


def test_a_removal_is_kept_out_of_caches_and_what_the_view_says_of_them_is_not_weakened():
    client = Client()
    client.get("/add?key=a&value=1")
    response = client.get("/flush")
    assert response.cookies["sessionid"]["max-age"] == 0 and response["Vary"] == "Cookie"
    assert {"no-store", "public", "max-age=60"} == set(response["Cache-Control"].split(", "))


def test_who_comes_late_under_an_old_key_does_not_remove_the_cookie_of_the_new_one():
    """A browser has one cookie of a name: the answer to the slower request would sign out who has just signed in."""
    client = Client()
    client.get("/add?key=a&value=1")
    old = client.cookies["sessionid"].value
    store = SessionStore(old)
    store.cycle_key()
    response = client.get("/show")
    assert response.json() == {} and not response.cookies
    # Its own end still removes it.
    client.cookies["sessionid"] = store.session_key
    assert client.get("/flush").cookies["sessionid"].value == ""
    client.cookies["sessionid"] = old
    assert client.get("/flush").cookies["sessionid"].value == ""


# Signing in.


def test_signing_in_changes_the_key_and_keeps_the_data(ann):
    client = Client()
    client.get("/add?key=before&value=1")
    before = client.cookies["sessionid"].value
    # Stored by another request while this one signs in.
    store = SessionStore(before)
    store["meanwhile"] = 1
    store.save()
    client.get("/sign-in")
    after = client.cookies["sessionid"].value
    assert after != before and not SessionStore().exists(before)
    assert client.get("/who").content == b"ann"
    assert stored(after).items() >= {"before": "1", "meanwhile": 1}.items()

    client.get("/sign-out")
    assert not SessionStore().exists(after) and client.get("/who").content == b""


def test_a_new_password_signs_out_everyone_else(ann):
    here, there = Client(), Client()
    here.get("/sign-in")
    there.get("/sign-in")
    assert here.get("/who").content == there.get("/who").content == b"ann"
    ann.set_password("second")
    ann.save()
    assert here.get("/who").content == there.get("/who").content == b""


@pytest.mark.parametrize("cycle", [SessionStore.cycle_key, lambda store: asyncio.run(store.acycle_key())])
def test_a_request_keeps_what_others_store_while_the_key_changes(cycle):
    first = begun(a=1)
    key = first.session_key
    assert first["a"] == 1
    other = SessionStore(key)
    other["b"] = 2
    other.save()
    first["c"] = 3
    cycle(first)
    assert stored(first.session_key) == {"a": 1, "b": 2, "c": 3}
    assert not first.exists(key)
    other["late"] = 1
    with pytest.raises(UpdateError):
        other.save()


def test_what_was_signed_out_does_not_come_back_with_a_new_key():
    store = begun(secret="s")
    assert store["secret"] == "s"
    SessionStore(store.session_key).delete()
    store["mine"] = 1
    store.cycle_key()
    assert dict(store.items()) == stored(store.session_key) == {"mine": 1}


# The store.


def test_a_save_stores_what_was_changed_and_nothing_else():
    key = begun(a=1, b=[1], c={"x": 1}, d=1).session_key
    mine, other = SessionStore(key), SessionStore(key)
    assert dict(mine.items()) == dict(other.items())
    del other["a"]
    other["d"] = 2
    other["c"]["y"] = 2
    other.save()
    mine["new"] = None
    mine["b"].append(2)
    mine.save()
    assert stored(key) == {"b": [1, 2], "c": {"x": 1, "y": 2}, "d": 2, "new": None}
    # The same stores once more: what the other did meanwhile stays.
    other["b"].append(3)
    other["e"] = 1
    other.save()
    mine["b"].append(4)
    mine["c"]["z"] = 3
    mine.save()
    assert stored(key) == {"b": [1, 2, 3, 4], "c": {"x": 1, "z": 3}, "d": 2, "e": 1, "new": None}


def test_what_was_set_is_stored_also_where_another_request_deleted_it():
    key = begun(a=1, b=[1]).session_key
    mine, other = SessionStore(key), SessionStore(key)
    assert mine["a"] == 1 and mine["b"] == [1]
    other.pop("a"), other.pop("b")
    other.save()
    mine["a"] = 2
    mine["b"].append(2)
    mine.save()
    # The list was changed in place, and there is none any more.
    assert stored(key) == {"a": 2}


class Meanwhile(JSONSerializer):
    """A serializer in whose midst another request comes."""

    request = None

    def dumps(self, obj):
        request, Meanwhile.request = Meanwhile.request, None
        if request is not None:
            request()
        return super().dumps(obj)


@override_settings(SESSION_SERIALIZER="test_django.Meanwhile")
@pytest.mark.parametrize("end", ["delete", "cycle_key", "flush"])
def test_a_session_that_ends_while_it_is_saved_is_told(end):
    store = begun(a=1)
    store["b"] = 2
    other = SessionStore(store.session_key)
    assert other["a"] == 1
    Meanwhile.request = getattr(other, end)
    with pytest.raises(UpdateError):
        store.save()
    assert stored(store.session_key) == {}


def test_a_save_without_a_change_extends_the_session():
    store = begun(a=1)
    (before,) = manager().records()
    time.sleep(0.01)
    store.save()
    (after,) = manager().records()
    assert after[0] == before[0] and after[1] > before[1]


def test_one_manager_for_all_threads(url):
    with override_settings(HOLDALL={"url": url, "max_keys": 3999}):
        together, made = threading.Barrier(16), []

        def make():
            together.wait(10)
            made.append(manager())

        threads = [threading.Thread(target=make) for _ in range(16)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert len(made) == 16 and len(set(map(id, made))) == 1


def test_true_one_and_one_point_are_three_values():
    store = SessionStore(begun(a=1, b=1, c=True, d=None).session_key)
    store["a"], store["b"], store["c"], store["d"] = True, 1.0, 1, False
    store.save()
    kept = stored(store.session_key)
    assert [repr(kept[key]) for key in "abcd"] == ["True", "1.0", "1", "False"]


def test_a_cleared_session_has_what_was_set_after():
    key = begun(a=1, b=2).session_key
    store = SessionStore(key)
    store.clear()
    store["c"] = 3
    other = SessionStore(key)
    other["d"] = 4
    other.save()
    store.save()
    assert stored(key) == {"c": 3}


def test_modified_notices_what_was_changed_in_place():
    store = begun(cart=[1])
    store = SessionStore(store.session_key)
    assert store["cart"] == [1] and not store.modified
    store["cart"].append(2)
    assert store.modified
    store.modified = False
    assert not store.modified
    store["cart"].append({1})
    assert store.modified
    with pytest.raises(TypeError, match="cart.*set"):
        store.save()
    assert stored(store.session_key) == {"cart": [1]}


@pytest.mark.parametrize(
    ("key", "value", "error", "message"),
    [
        ("when", threading.Lock(), TypeError, "when.*lock"),
        (1, "value", TypeError, "keys are str, not int"),
        ("number", float("nan"), ValueError, "number"),
        ("large", "x" * 2_000_000, holdall.TooLargeError, "1048576"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name_and_nothing_is_stored(key, value, error, message):
    store = begun(a=1)
    store["b"] = 2
    store[key] = value
    with pytest.raises(error, match=message):
        store.save()
    assert stored(store.session_key) == {"a": 1}


def test_a_key_is_never_adopted():
    for key in ("1234567890", "A" * 43, "../../../../etc/passwd", "\u00e9" * 43):
        store = SessionStore(key)
        assert store.get("a") is None and store.session_key is None
        store["a"] = 1
        store.save()
        assert store.session_key != key and not store.exists(key)
        with pytest.raises(UpdateError):
            SessionStore(key).save()
    with pytest.raises(CreateError):
        SessionStore(store.session_key).save(must_create=True)


def test_expiry_is_as_django_counts_it(tmp_path):
    # A sweep looks at no file that is younger than the shortest of the configured timeouts.
    with override_settings(HOLDALL={"url": f"file://{tmp_path}/expiry", "new_idle_timeout_s": 1}):
        for expiry in (None, 0, 3600, 10_000_000):
            store = SessionStore()
            store["a"] = 1
            store.set_expiry(expiry)
            store.save()
            (_, expiry_ms, _) = next(record for record in manager().records())
            assert abs(expiry_ms / 1000 - time.time() - (expiry or 1209600)) < 5
            store.delete()
        ends = begun(a=1)
        ends.set_expiry(1)
        ends.save()
        stays = begun(b=1)
        assert len(manager().records()) == 2
        time.sleep(1.1)
        files = {path for path in tmp_path.rglob("*") if path.is_file()}
        call_command("clearsessions")
        assert len(files - {path for path in tmp_path.rglob("*") if path.is_file()}) == 1
        assert len(manager().records()) == 1
        assert (stored(ends.session_key), stored(stays.session_key)) == ({}, {"b": 1})


DAY_MS = 24 * 60 * 60 * 1000


def days_kept_in_use(**settings):
    """The day on which a session that is used every day is there for the last time."""
    with override_settings(**settings):
        store = begun(a=1)
        begins_ms = time.time_ns() // 1_000_000
        for day in itertools.count(1):
            opened = manager().open_token(store.session_key, now_ms=begins_ms + day * DAY_MS)
            if opened.is_new:
                return day - 1
            opened.touch()
            opened.commit(now_ms=begins_ms + day * DAY_MS)


def test_a_session_in_use_ends_after_thirty_days_or_as_the_settings_say(url):
    assert days_kept_in_use() == 29
    # One that may rest for long may be used as long again.
    assert days_kept_in_use(SESSION_COOKIE_AGE=20 * 24 * 3600) == 39
    configured = {"url": url, "absolute_timeout_s": 3 * 24 * 3600}
    assert days_kept_in_use(HOLDALL=configured) == 2
    assert days_kept_in_use(HOLDALL=configured | {"absolute_timeout_s": 50 * 24 * 3600}) == 49


def test_what_set_expiry_says_holds_also_beyond_thirty_days():
    store = SessionStore()
    store["a"] = 1
    store.set_expiry(datetime.timedelta(days=90))
    store.save()
    later = manager().open_token(store.session_key, now_ms=time.time_ns() // 1_000_000 + 89 * DAY_MS)
    assert later.get("a") == 1


def test_a_session_that_ends_early_is_removed_soon_after(tmp_path):
    """A sweep looks at a file once it is as old as the shortest of the configured timeouts, ten minutes."""
    with override_settings(HOLDALL=f"file://{tmp_path}/expiry"):
        store = SessionStore()
        store["a"] = 1
        store.set_expiry(60)
        store.save()
        begins_ms = time.time_ns() // 1_000_000
        assert manager().sweep(now_ms=begins_ms + 61_000)["removed"] == 0
        assert manager().sweep(now_ms=begins_ms + 601_000)["removed"] == 1


class Reversed:
    """A serializer that is not JSON."""

    def dumps(self, obj):
        return JSONSerializer().dumps(obj)[::-1]

    def loads(self, data):
        return JSONSerializer().loads(data[::-1])


@override_settings(SESSION_SERIALIZER="test_django.Reversed")
def test_another_serializer_is_kept_as_a_signed_string(caplog):
    store = begun(cart=[1], word="w")
    key = store.session_key
    raw = manager().open_token(key, mode="read_only")
    assert isinstance(raw["cart"], str) and raw["cart"].count(":") == 2
    store = SessionStore(key)
    assert dict(store.items()) == {"cart": [1], "word": "w"} and not store.modified
    store["cart"].append(2)
    assert store.modified
    store.save()
    assert stored(key) == {"cart": [1, 2], "word": "w"}
    with override_settings(SECRET_KEY="another"):
        assert stored(key) == {}
    assert "Session data corrupted" in caplog.text


@pytest.mark.parametrize("serializer", ["django.contrib.sessions.serializers.JSONSerializer", "test_django.Meanwhile"])
def test_json_is_what_other_languages_read(serializer, settings_with):
    settings_with(SESSION_SERIALIZER=serializer)
    store = begun(word="\u00e9\u4e2d", tuple=(1, 2), number=2**70)
    opened = manager().open_token(store.session_key)
    assert opened.all() == {"word": "\u00e9\u4e2d", "tuple": [1, 2], "number": 2**70}
    opened.set_json("word", '"\u4e2d\u00e9"')
    opened.increment("number_of_visits")
    opened.commit()
    assert stored(store.session_key).items() >= {"word": "\u4e2d\u00e9", "number_of_visits": 1}.items()


NESTED = {}
NESTED["drivers"] = NESTED


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (None, "HOLDALL"),
        (7, "HOLDALL"),
        ("redis:", "HOLDALL.*url"),
        ("{not JSON", "HOLDALL"),
        ({"url": "memory:", "idle": 1}, "HOLDALL.*idle"),
        ({"url": "memory:", "idle_timeout_s": "7200"}, "HOLDALL.*idle_timeout_s"),
        ({"url": "memory:", "max_keys": {1}}, "HOLDALL.*set"),
        ({"url": "memory:", "touch_after": float("nan")}, "HOLDALL"),
        (NESTED, "HOLDALL"),
        ({"url": "cookie:", "keys": [holdall.generate_key()]}, "HOLDALL.*cookie"),
    ],
)
def test_a_wrong_setting_is_named(wrong, named):
    with override_settings(HOLDALL=wrong), pytest.raises(ImproperlyConfigured, match=named):
        SessionStore()


def test_a_path_in_the_settings_is_one(tmp_path):
    with override_settings(HOLDALL={"drivers": {"main": {"type": "file", "path": tmp_path / "sessions"}}}):
        assert stored(begun(a=1).session_key) == {"a": 1} and (tmp_path / "sessions").is_dir()


def test_a_tests_settings_end_with_the_test_and_their_directory_is_let_go(tmp_path):
    before, held = manager(), set(os.listdir("/proc/self/fd"))
    key = begun(a=1).session_key
    for number in range(20):
        with override_settings(HOLDALL=f"file://{tmp_path}/{number}"):
            assert manager() is manager() is not before
            begun(a=1)
    assert len(os.listdir("/proc/self/fd")) <= len(held) + 1
    # What was there before is still there, in memory too.
    assert manager() is before and stored(key) == {"a": 1}


@pytest.mark.parametrize("wrong", [None, 7])
def test_settings_that_are_wrong_before_a_test_overrides_them_do_not_fail_it(wrong):
    with override_settings(HOLDALL=wrong), override_settings(HOLDALL="memory:"):
        assert stored(begun(a=1).session_key) == {"a": 1}


def test_a_child_of_a_warm_parent_goes_on_with_files(tmp_path):
    with override_settings(HOLDALL=f"file://{tmp_path}/sessions"):
        key = begun(a=1).session_key
        child = os.fork()
        if child == 0:
            status = 1
            try:
                store = SessionStore(key)
                store["b"] = store["a"] + 1
                store.save()
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert stored(key) == {"a": 1, "b": 2}


def test_the_application_of_the_document_runs():
    """In a process of its own: Django has one configuration a process."""
    import subprocess
    import sys

    code = re.search(r"```python\n(.*?)```", DOCUMENT.read_text(), re.S).group(1)
    walk = """
from django.test import Client
client = Client()
print([client.get("/").content.decode() for _ in range(2)], len(client.cookies["sessionid"].value))
"""
    ran = subprocess.run([sys.executable, "-c", code + walk], capture_output=True, text=True, timeout=30)
    assert ran.stdout.strip() == json.dumps(["Seen: /", "Seen: /, /"]).replace('"', "'") + " 43", ran.stderr
