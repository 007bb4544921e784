"""Exhaustion: what many requests, large ones and broken ones may cost."""

import asyncio
import json
import os
import random
import sys
import threading

import holdall
import holdall.starlette
import holdall.wsgi
from gauntlet.c_library import EXCLUSIVE, CError, CManager
from gauntlet.doors import Python, asgi_request, document, through
from gauntlet.node import ExpressSession
from gauntlet.row import Subject, row
from gauntlet.test_fixation import made_up
from gauntlet.vulnerable import naive


@row(
    "Django CVE-2015-5143, CVE-2015-5963, CVE-2015-5964",
    "requests that keep nothing fill the store with empty records",
    immune=through("memory", "file", "cookie") + through("memory", "file", doors=[ExpressSession]),
    vulnerable=naive(),
    says="records of nothing",
)
def test_django_cve_2015_5963_requests_that_keep_nothing_leave_no_record(subject, scaled, figure):
    dice, number = random.Random(9), scaled(200, 100_000)
    acts = [
        lambda session: None,
        lambda session: subject.read(session, "k"),
        lambda session: subject.every(session),
        lambda session: subject.end(session),
    ]
    given = 0
    for _ in range(number):
        visitor = subject.new()
        cookie = dice.choice([None, made_up(), "", "x", "null", "A" * 43, "../../etc/passwd"])
        visitor.cookies = {} if cookie is None else {subject.cookie_name: cookie}
        answer = visitor.ask(dice.choice(acts))
        given += any(value.strip('"') for name, value in answer.set.items() if name == subject.cookie_name)

    assert (subject.records(), given) == (0, 0), f"{subject.records()} records of nothing, {given} cookies for it"
    if isinstance(subject, Python):
        what = "records and cookies after requests that keep nothing, and as many through each adapter and C"
        figure("G", subject.driver, what, f"0 of {number:,}", "0")


class Locks:
    """One session that is opened exclusively, and requests that end at each point of their way."""

    # The last one leaves nothing to lock.
    points = ("opened", "read", "wrote", "a value that is none", "committed", "destroyed")

    def __init__(self, directory, driver):
        self.manager = holdall.SessionManager(document(driver, directory, cookie={"secure": False}))
        session = self.manager.open()
        session["k"] = []
        self.token = session.id
        session.commit()

    def abort(self, point):
        """A request that fails there. It fails as its framework has it, and is gone then."""
        session = self.manager.open_token(self.token, mode="exclusive")
        self.go(session, point)
        raise ConnectionError(point)

    def go(self, session, point):
        if point == "opened":
            return
        session["k"]
        if point == "read":
            return
        session["n"] = 1
        if point == "a value that is none":
            session["k"].append({1})
            session.commit()
        elif point == "committed":
            session.commit()
        elif point == "destroyed":
            session.destroy()

    def is_free(self):
        try:
            self.manager.open_token(self.token, mode="exclusive", lock_timeout_ms=0)
            return True
        except holdall.UnavailableError:
            return False


class LocksInC(Locks):
    points = ("opened", "read", "wrote", "destroyed")

    def __init__(self, directory, driver):
        self.library = CManager(document(driver, directory))
        session = self.library.open(b"")
        session.set("k", [])
        self.token = session.view("id")
        session.commit()
        session.free()

    def opened(self):
        return self.library.open(self.token, "manager_open_token", mode=EXCLUSIVE, lock_timeout_ms=0)

    def abort(self, point):
        session = self.opened()
        try:
            if point != "opened":
                session.get("k")
            if point == "wrote":
                session.set("n", 1)
            if point == "destroyed":
                session.call("destroy")
            raise ConnectionError(point)
        finally:
            session.free()

    def is_free(self):
        try:
            self.opened().free()
            return True
        except CError:
            return False


class LocksInWsgi(Locks):
    points = ("started", "in the body", "the client went away", *Locks.points)

    def abort(self, point):
        def application(environ, start_response):
            session = environ["holdall.session"]
            session.exists("k")
            if point in ("started", "in the body", "the client went away"):
                start_response("200 OK", [])
                return self.body(point)
            self.go(session, point)
            raise ConnectionError(point)

        def start_response(status, headers, exc_info=None):
            if point == "started":
                raise ConnectionError(point)

        middleware = holdall.wsgi.SessionMiddleware(application, self.manager, mode="exclusive")
        environ = {"REQUEST_METHOD": "GET", "wsgi.url_scheme": "http", "HTTP_COOKIE": f"sid={self.token}"}
        body = middleware(environ, start_response)
        try:
            for _ in body:
                if point == "the client went away":
                    raise ConnectionError(point)
        finally:
            body.close()

    def body(self, point):
        yield b"one"
        if point == "in the body":
            raise ConnectionError(point)
        yield b"two"


class LocksInStarlette(Locks):
    points = ("cancelled", "at the start of the response", *Locks.points)

    def abort(self, point):
        async def application(scope, receive, send):
            session = scope["session"]
            session.get("k")
            if point == "cancelled":
                await asyncio.sleep(3600)
            if point == "at the start of the response":
                await send({"type": "http.response.start", "status": 200, "headers": []})
                raise ConnectionError(point)
            if point == "a value that is none":
                session["n"] = {1}
            self.go(session.holdall, point)
            raise ConnectionError(point)

        middleware = holdall.starlette.SessionMiddleware(application, manager=self.manager, mode="exclusive")

        async def request():
            task = asyncio.ensure_future(asgi_request(middleware, f"sid={self.token}".encode()))
            if point == "cancelled":
                # Once the lock is its own.
                while self.is_free():
                    await asyncio.sleep(0.001)
                task.cancel()
            await task

        asyncio.run(asyncio.wait_for(request(), 60))


class LocksForgotten(Locks):
    """A lock that is given back at the end of a request, where the request gets there."""

    def __init__(self, directory):
        self.lock = threading.Lock()

    def abort(self, point):
        self.lock.acquire()
        raise ConnectionError(point)

    def is_free(self):
        return not self.lock.locked()


def locks():
    kinds = {"python": Locks, "c": LocksInC, "wsgi": LocksInWsgi, "starlette": LocksInStarlette}
    return [
        Subject(f"{name}-{driver}", lambda directory, kind=kind, driver=driver: kind(directory, driver))
        for driver in ("memory", "file")
        for name, kind in kinds.items()
    ]


@row(
    "Symfony CVE-2018-11386",
    "a request that ends early leaves its lock behind, and all after it wait",
    immune=locks(),
    vulnerable=[Subject("forgotten", LocksForgotten)],
    says="still locked",
)
def test_symfony_cve_2018_11386_wherever_a_request_ends_its_lock_is_free(subject):
    for point in subject.points:
        failed = None
        try:
            subject.abort(point)
        except (ConnectionError, TypeError, holdall.HoldallError, asyncio.CancelledError) as error:
            # What a traceback holds is held as long as the traceback: a server has logged it and is done.
            failed = type(error)
        assert failed is not None, point
        assert subject.is_free(), f"a request ended ({point}), and the session is still locked"


class Bounded:
    """Records in memory, with a bound."""

    def __init__(self, directory):
        self.limit = 1 << 20
        driver = {"type": "memory", "max_bytes": self.limit}
        self.manager = holdall.SessionManager({"drivers": {"memory": driver}, "max_record_bytes": 65536})

    def begin(self):
        session = self.manager.open()
        session["k"] = "x" * 200
        session.commit()
        return session.id

    def come_back(self, token):
        session = self.manager.open_token(token)
        there = session.exists("k")
        session["n"] = 1
        session.commit()
        return there

    def bytes(self):
        return self.manager.stats()["drivers"]["memory"]["bytes"]


class Unbounded(Bounded):
    """starsessions before 2.2.2: a dict, and nothing that takes anything out of it."""

    def __init__(self, directory):
        self.limit, self.store = 1 << 20, {}

    def begin(self):
        token = made_up()
        self.store[token] = "x" * 200
        return token

    def come_back(self, token):
        return token in self.store

    def bytes(self):
        return sum(sys.getsizeof(value) for value in self.store.values())


@row(
    "starsessions 2.2.1: the memory store",
    "records in memory grow for ever",
    immune=[Subject("memory", Bounded)],
    vulnerable=[Subject("unbounded", Unbounded)],
    says="more than the bound",
)
def test_starsessions_records_in_memory_have_a_bound_and_visitors_outlive_a_flood(subject, scaled, figure):
    number = scaled(20_000, 1_000_000)
    token = subject.begin()
    assert subject.come_back(token)
    grown = []

    for at in range(number):
        subject.begin()
        if at % 1000 == 0:
            assert subject.come_back(token), "the flood has pushed a visitor out"
            assert subject.bytes() <= subject.limit, f"{subject.bytes()} bytes, more than the bound of {subject.limit}"
        if at in (number // 4, number - 1):
            with open("/proc/self/statm") as statm:
                grown.append(int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"))

    assert grown[1] - grown[0] < 16 << 20, "the process takes more than the bound"
    what = "growth of the process by abandoned sessions after the first quarter"
    figure("G", "memory", what, f"{(grown[1] - grown[0]) / 2**20:.1f} MiB, {number:,} sessions", "< 16 MiB")


def hostile_bodies(number):
    """JSON, or nearly, that costs whoever reads it carelessly."""
    dice = random.Random(10)
    yield "[" * 100_000
    yield "[" * 100_000 + "]" * 100_000
    yield '{"a":' * 100_000 + "1" + "}" * 100_000
    yield "[" * 129 + "]" * 129
    yield '"' + "x" * (1 << 21) + '"'
    yield "1" * 1_000_000
    yield "1e" + "9" * 1000
    yield "-1e999999999"
    yield "0." + "0" * 100_000 + "1"
    yield "{" + ",".join(f'"{at}":0' for at in range(200_000)) + "}"
    yield '{"a":1,"a":2}'
    yield '"\\ud800"'
    yield '"\\u0000"'
    yield "\ufeff1"
    yield "NaN"
    yield "[1,]"
    yield " " * 1_000_000 + "1"
    # Keys of one bucket in a table with a weak hash (CVE-2011-4885 and its kin: "Ez" and "FY" have one value for DJB).
    yield json.dumps({"".join("Ez" if at >> bit & 1 else "FY" for bit in range(11)): at for at in range(2048)})
    pieces = ["[", "]", "{", "}", '"', ":", ",", "1", "-", "e", ".", "true", "null", "\\u", "d800", "\\", " ", "\x00", "\x1f", "\u00e9"]
    for _ in range(number - 18):
        yield "".join(dice.choices(pieces, k=dice.randint(1, 40))) * dice.choice([1, 1, 1, 50])


class Bodies:
    def __init__(self, directory):
        self.manager = holdall.SessionManager(document("memory", directory))

    def keep(self, text):
        """Whether it was kept; and then it comes back."""
        session = self.manager.open()
        try:
            session.set_json("k", text)
        except (holdall.InvalidValueError, holdall.TooLargeError, holdall.InvalidTypeError):
            return False
        session.commit()
        assert self.manager.open_token(session.id).get_json("k") == text.strip(" \t\r\n")
        return True

    def keep_many(self, number):
        """Whether so many keys were kept."""
        session = self.manager.open()
        try:
            for at in range(number):
                session[f"k{at}"] = 0
            session.commit()
        except holdall.TooLargeError:
            return False
        return True


class BodiesRead(Bodies):
    """A store that parses what comes, to keep it parsed."""

    def __init__(self, directory):
        pass

    def keep(self, text):
        try:
            return json.loads(text) is not None
        except json.JSONDecodeError:
            return False
        except RecursionError:
            raise AssertionError("a body broke its reader") from None

    def keep_many(self, number):
        return True


@row(
    "hostile bodies",
    "huge payloads, deep nesting and floods of keys break their reader or are kept",
    immune=[Subject("engine", Bodies)],
    vulnerable=[Subject("read", BodiesRead)],
    says="broke its reader",
)
def test_hostile_bodies_are_refused_with_a_reason_or_come_back_as_they_were(subject, scaled, figure):
    number = scaled(3000, 10_000)
    bodies = [body for body in hostile_bodies(number)]
    kept = sum(subject.keep(body) for body in bodies)

    assert 0 < kept < number / 2
    assert subject.keep_many(4096) and not subject.keep_many(4097)
    figure("G", "memory", "hostile bodies that broke their reader, or came back as something else", f"0 of {number:,}", "0")
