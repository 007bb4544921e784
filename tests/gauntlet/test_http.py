"""Cookies and HTTP: what a response says to browsers and caches, and what a request can make of a cookie's name."""

import asyncio
import http.cookies
import json
import random
import re
import urllib.parse
from datetime import timedelta

import flask
import werkzeug.http
from django.http.cookie import parse_cookie as parsed_by_django

import holdall
from gauntlet.c_library import CError, CManager, number
from gauntlet.doors import (
    DOORS,
    Django,
    DjangoOwn,
    FlaskOwn,
    MasoniteOwn,
    Python,
    StarletteOwn,
    asgi_request,
    document,
    own,
    through,
)
from gauntlet.row import Subject, row
from gauntlet.vulnerable import Naive, naive

CACHED = (
    "Flask CVE-2023-30861, CVE-2026-27205, Symfony CVE-2022-24894",
    "a shared cache hands one visitor's session to another, for want of Vary or no-store",
)


@row(*CACHED, immune=through("memory", "file", "cookie"), vulnerable=[*naive(), *own(MasoniteOwn)], says="without Vary")
def test_flask_cve_2023_30861_whoever_looks_at_the_session_says_vary(subject):
    visitor = subject.new()
    visitor.ask(lambda session: subject.put(session, "k", "v"))
    stranger = subject.new()
    stranger.cookies = {subject.cookie_name: "A" * 43}

    for name, look in subject.looks.items():
        for who, one in (("a visitor", visitor), ("a newcomer", subject.new()), ("a stranger", stranger)):
            answer = one.ask(look)
            assert answer.status == 200
            assert answer.says("Vary", "Cookie") or answer.says("Vary", "*"), f"{who}, by {name!r}: a session seen without Vary"


@row(*CACHED, immune=through("memory", "file", "cookie"), vulnerable=own(FlaskOwn, StarletteOwn, DjangoOwn), says="without no-store")
def test_flask_cve_2023_30861_no_cookie_is_set_without_no_store(subject):
    visitor, kinds = subject.new(), set()
    acts = {
        "new": lambda session: subject.put(session, "k", "v"),
        "changed": lambda session: subject.put(session, "k", "w"),
        "renewed": lambda session: subject.renew(session),
        "ended": lambda session: subject.end(session),
        "anew": lambda session: subject.put(session, "k", "x"),
        "another": lambda session: subject.other_person(session),
    }
    for kind, act in acts.items():
        answer = visitor.ask(act)
        if answer.all("Set-Cookie"):
            kinds.add(kind)
            kept_out = answer.says("Cache-Control", "no-store") or answer.says("Cache-Control", "private")
            assert kept_out, f"{kind}: a cookie is set without no-store"
            assert answer.says("Vary", "Cookie"), kind
    assert kinds >= {"new", "renewed", "ended", "anew"}


class SharedCache:
    """A cache before a site, as RFC 9111 lets it be: it keeps what it is not told to leave, under what Vary names."""

    def __init__(self, door):
        self.door, self.kept, self.hits = door, {}, 0

    def get(self, visitor, path, act):
        for varied, answer in self.kept.get(path, []):
            if all(self.header(visitor, name) == value for name, value in varied.items()):
                self.hits += 1
                return visitor.receive(answer)
        sent = visitor.header
        answer = visitor.ask(act, path=path)
        if not any(answer.says("Cache-Control", word) for word in ("no-store", "private")) and not answer.says("Vary", "*"):
            names = [name.strip().lower() for line in answer.all("Vary") for name in line.split(",")]
            varied = {name: sent if name == "cookie" else "" for name in names}
            self.kept.setdefault(path, []).append((varied, answer))
        return answer

    def header(self, visitor, name):
        return visitor.header if name == "cookie" else ""


@row(
    *CACHED,
    immune=through("memory", "file", "cookie", doors=[door for door in DOORS if door.name != "c"]),
    vulnerable=[*own(FlaskOwn, StarletteOwn, DjangoOwn), *naive()],
    says="of somebody else",
)
def test_flask_cve_2023_30861_a_shared_cache_mixes_nobody_up(subject, scaled):
    cache, dice = SharedCache(subject), random.Random(5)
    names = ["ann", "ben", "cleo"]

    def whose(session):
        return subject.read(session, "who")

    def sign_in(name):
        def act(session):
            subject.put(session, "who", name)
            return name

        return act

    for _ in range(scaled(30, 500)):
        visitors = {name: subject.new() for name in names}
        signed_in = set()
        for _ in range(12):
            name = dice.choice(names)
            if dice.random() < 0.3:
                told = cache.get(visitors[name], "/sign-in", sign_in(name)).body
                assert told == name, "the answer of somebody else"
                signed_in.add(name)
            else:
                told = cache.get(visitors[name], "/home", whose).body
                assert told == (name if name in signed_in else "None"), "the page of somebody else"
    # What nobody's session is in was kept: it is a cache.
    assert cache.hits


@row(
    "CodeIgniter CVE-2022-39284, rdiffweb CVE-2022-3174, CVE-2022-3250",
    "a cookie without Secure or HttpOnly",
    immune=through("memory", "file", "cookie"),
    vulnerable=[*own(FlaskOwn, StarletteOwn), *naive()],
    says="another line",
)
def test_codeigniter_cve_2022_39284_the_line_is_exactly_this(subject):
    visitor = subject.new()
    made = visitor.ask(lambda session: subject.put(session, "k", "v"))
    (token,) = visitor.cookies.values()
    ended = visitor.ask(lambda session: subject.end(session))

    lines = [answer.all("Set-Cookie") for answer in (made, ended)]

    assert [len(one) for one in lines] == [1, 1]
    line, removal = (one[0].strip() for one in lines)
    line = re.sub(r"expires=[^;]*", "expires=WHEN", line.replace(token, "T"))
    assert line == subject.line, "the browser gets another line"
    assert removal == subject.removal, "the removal is another line"


EVIL = ["\r", "\n", "\r\nSet-Cookie: a=b", ";", "; Domain=evil.example", "\0", "\x7f", "\t", "\u2028", "\x85", "a\x1fb"]
IN_A_NAME = [*EVIL, ",", "=", " ", '"', "(", "[", "{", "@", "?", "\\", ":", "/", "\xe9"]


class Configured:
    """The Set-Cookie line of a configuration, or None where it is refused."""

    def __init__(self, directory):
        pass

    def line(self, **cookie):
        try:
            manager = holdall.SessionManager("memory:", cookie=cookie)
        except holdall.InvalidConfigError:
            return None
        session = manager.open()
        session["k"] = 1
        headers = session.commit().headers
        assert len(headers) == 3
        return dict(headers)["Set-Cookie"]


class ConfiguredInC(Configured):
    def line(self, **cookie):
        try:
            manager = CManager({"url": "memory:", "cookie": cookie})
        except CError as error:
            assert error.status == -2
            return None
        session = manager.open(b"")
        session.set("k", 1)
        headers = session.commit()[1]
        session.free()
        manager.close()
        assert len(headers) == 3
        return dict(headers)["Set-Cookie"]


class ConfiguredInFlask(Configured):
    def line(self, **cookie):
        app = flask.Flask(__name__)
        app.config["HOLDALL"] = "memory:"
        for name, value in cookie.items():
            app.config[f"SESSION_COOKIE_{name.upper()}"] = value
        try:
            holdall.flask.Holdall(app)
        except holdall.InvalidConfigError:
            return None

        @app.get("/")
        def page():
            flask.session["k"] = 1
            return ""

        (line,) = app.test_client().get("/").headers.getlist("Set-Cookie")
        return line


class ConfiguredInStarlette(Configured):
    def line(self, **cookie):
        words = {"name": "session_cookie", "path": "path", "domain": "domain", "secure": "https_only"}
        loop = asyncio.new_event_loop()

        async def page(scope, receive, send):
            scope["session"]["k"] = 1
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body"})

        try:
            given = {words[name]: value for name, value in cookie.items()}
            application = holdall.starlette.SessionMiddleware(page, max_age=None, config="memory:", **given)
            headers = loop.run_until_complete(asgi_request(application, b""))[1]
        except holdall.InvalidConfigError:
            return None
        finally:
            loop.close()
        (line,) = (value for name, value in headers if name == "set-cookie")
        return line


class Pasted(Configured):
    """starsessions before 2.2.2, cookie before 0.7: whatever is given becomes a part of the line."""

    def line(self, name="sid", path="/", domain=None, secure=False):
        return f"{name}=token; Path={path}" + (f"; Domain={domain}" if domain else "") + ("; Secure" if secure else "")


def as_a_browser(line):
    """A Set-Cookie line as RFC 6265 has browsers read it (section 5.2): name, and attributes in small letters."""
    pair, *attributes = line.split(";")
    name = pair.partition("=")[0].strip(" \t")
    return name, {key.strip(" \t").lower(): value.strip(" \t") for key, _, value in (one.partition("=") for one in attributes)}


INJECTED = (
    "jshttp/cookie CVE-2024-47764, PHP CVE-2007-3799, starsessions 2.2.1",
    "a header or attribute comes in through the cookie's fields",
)
CONFIGURED = [Subject(kind.__name__, kind) for kind in (Configured, ConfiguredInC, ConfiguredInFlask, ConfiguredInStarlette)]


@row(*INJECTED, immune=CONFIGURED, vulnerable=[Subject("pasted", Pasted)], says="was taken")
def test_jshttp_cookie_cve_2024_47764_what_does_not_belong_into_a_field_is_refused(subject):
    for evil in IN_A_NAME:
        for name in (evil, f"sid{evil}", f"s{evil}id", f"{evil}sid"):
            assert subject.line(name=name, secure=False) is None, f"{name!r} was taken for a name"
    for evil in EVIL:
        for text in (evil, f"x{evil}", f"{evil}x"):
            assert subject.line(path=f"/{text}", secure=False) is None, f"{text!r} was taken into a path"
            assert subject.line(domain=f"example.org{text}", secure=False) is None, f"{text!r} was taken into a domain"
    assert subject.line(name="", secure=False) is None, "an empty name was taken"


@row(*INJECTED, immune=CONFIGURED, vulnerable=[Subject("pasted", Pasted)], says="reads as")
def test_jshttp_cookie_cve_2024_47764_what_is_taken_reads_as_it_was_meant(subject, scaled):
    dice, taken = random.Random(6), 0
    pieces = ["a", "sid", "-", "_", ".", "/", "\u00e9", "%0d%0a", "~", "!", "__Host-", "__Secure-", *EVIL, *IN_A_NAME]
    number = scaled(300, 10_000)
    for _ in range(number):
        name, path, domain = ("".join(dice.choices(pieces, k=dice.randint(1, 3))) for _ in range(3))
        wanted = {"name": dice.choice([name, "sid"]), "path": dice.choice(["/" + path, "/"])}
        wanted |= {"domain": domain} if dice.random() < 0.3 else {}
        line = subject.line(**wanted, secure=True)
        if line is None:
            continue
        taken += 1
        assert not re.search(r"[\x00-\x1f\x7f]", line), "reads as more than one line"
        seen, attributes = as_a_browser(line)
        assert seen == wanted["name"], f"{line!r} reads as a cookie {seen!r}"
        assert attributes["path"] == wanted["path"], f"{line!r} reads as another path"
        assert attributes.get("domain") == wanted.get("domain"), f"{line!r} reads as another domain"
        assert set(attributes) <= {"path", "domain", "httponly", "samesite", "secure", "max-age", "expires", "partitioned"}
    assert taken > number / 50


# Django reads the Cookie header itself, and so does whatever it does to names.
READ_BY_US = [door for door in DOORS if door is not Django]


@row(
    "ReactPHP CVE-2022-36032, PHP CVE-2020-7070, CVE-2022-31629",
    "a name that is decoded or mended becomes the session's",
    immune=through("memory", "cookie", doors=READ_BY_US),
    vulnerable=naive(),
    says="passes for",
)
def test_php_cve_2020_7070_names_are_compared_as_they_come(subject):
    visitor = subject.new()
    visitor.ask(lambda session: subject.put(session, "who", "ann"))
    ((name, token),) = visitor.cookies.items()
    first = f"%{ord(name[0]):02x}{name[1:]}"
    others = [first, first.upper(), urllib.parse.quote(name, safe="").replace("-", "%2D"), name.swapcase(), name.casefold()]
    others += [f"..{name[2:]}", f".{name}", f"{name}.", name.replace("_", "."), name.replace("_", " "), name.replace("-", "_")]
    others += [f"{name}[]", f"{name}[0]", f"[{name}", f"{name}%00", f"{name}\0", f'"{name}"', f"${name}", f"%20{name}"]
    others += [f"{space}{name}" for space in ("\x0b", "\x0c", "\r", "\n", "\x85", "\xa0", "\ufeff", "\u2003")]
    others += [f"{name}{space}" for space in (" ", "\t", "\x0c", "\xa0")]

    for other in set(others) - {name}:
        header = f"a=b; {other}={token}; c=d".encode()
        assert subject.ask(lambda session: subject.read(session, "who"), header).result is None, f"{other!r} passes for {name!r}"

    header = f"a=b; \t {name}={token} \t;c=d"
    assert subject.ask(lambda session: subject.read(session, "who"), header).result == "ann"


@row(
    "Werkzeug CVE-2023-23934",
    "a cookie without a name brings its own",
    immune=through("memory", "cookie"),
    vulnerable=naive(),
    says="passes for",
)
def test_werkzeug_cve_2023_23934_a_nameless_cookie_is_none(subject):
    visitor = subject.new()
    visitor.ask(lambda session: subject.put(session, "who", "ann"))
    ((name, token),) = visitor.cookies.items()

    for header in (f"={name}={token}", f"a=b; ={name}={token}", f"=={name}={token}", f"{token}", f"={token}", f"= {name}={token}"):
        assert subject.ask(lambda session: subject.read(session, "who"), header).result is None, f"{header!r} passes for {name}"


class Parsed:
    """The engine's own reading of a header: whether the session that it looks for is there."""

    def __init__(self, directory):
        self.door = Python(document("memory", directory))
        visitor = self.door.new()
        visitor.ask(lambda session: session.set("k", 1))
        ((self.name, self.token),) = visitor.cookies.items()

    def finds(self, header):
        return not self.door.manager.open(header, mode="read_only").is_new


class ParsedNaively(Parsed):
    def __init__(self, directory):
        super().__init__(directory)
        self.naive = Naive()

    def finds(self, header):
        return self.naive.id_of(header) == self.token


@row(
    "Django CVE-2016-7401",
    "a header with odd separators has cookies that nobody sent",
    immune=[Subject("engine", Parsed)],
    vulnerable=[Subject("naive", ParsedNaively)],
    says="nobody else sees",
)
def test_django_cve_2016_7401_what_is_found_is_there_for_werkzeug_django_and_http_cookies(subject, scaled, figure):
    dice, found, number = random.Random(7), 0, scaled(30_000, 1_000_000)
    pair = f"{subject.name}={subject.token}"
    pieces = [pair, pair, pair, subject.name, subject.token, "=", ";", ";", "; ", ", ", ",", " ", "\t", "]", "[", "a=b", "a", "$Path=/"]
    pieces += ["\\", "\\073", "\x0b", "\x0c", "\r\n", "\0", "\u00e9", "%3b", "&", "|", "{", "}", "(", "<", "@", ":", "'"]
    for _ in range(number):
        header = "".join(dice.choices(pieces, k=dice.randint(1, 6)))
        if dice.random() < 0.1:
            header = header.replace("a", '"', 1)
        if not subject.finds(header.encode()):
            continue
        found += 1
        # As WSGI hands it over.
        seen = werkzeug.http.parse_cookie(header.encode().decode("latin-1")).getlist(subject.name)
        assert subject.token in seen, f"{header!r} has a session that nobody else sees: not Werkzeug"
        # These two keep the last of a name. The second ends where it meets what it does not know, and reads quotes.
        if header.count(subject.name) == 1:
            assert parsed_by_django(header).get(subject.name) == subject.token, f"{header!r}: nobody else sees it: not Django"
            if re.fullmatch(r"[\w=; -]*", header):
                try:
                    morsel = http.cookies.SimpleCookie(header).get(subject.name)
                except http.cookies.CookieError:
                    continue
                assert morsel is None or morsel.value == subject.token, f"{header!r}: nobody else sees it: not http.cookies"
    assert found > number / 100
    figure("G", "all", "fuzzed Cookie headers with a session that Werkzeug or Django do not see", f"0 of {number:,}", "0")


EXTREMES = [0, 1, -1, 2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**30, -(2**63), -(2**64)]
FLOATS = [0.5, 1e9, 1e9 + 1, 1e18, 1e300, 1e-300, float("inf"), float("-inf"), float("nan")]
REFUSED = (holdall.InvalidArgumentError, holdall.InvalidConfigError, holdall.InvalidValueError, holdall.InvalidTypeError)


class Timeouts:
    """What becomes of a timeout or of a time: a line, or None where it is refused."""

    def __init__(self, directory):
        self.document = {"url": "memory:", "cookie": {"persistent": True}}

    def configured(self, field, value):
        try:
            return self.line(holdall.SessionManager(self.document, **{field: value}).open())
        except REFUSED:
            return None

    def of_a_session(self, call, value):
        session = holdall.SessionManager(self.document).open()
        try:
            getattr(session, call)(value)
        except REFUSED:
            return None
        return self.line(session)

    def at(self, now_ms):
        try:
            session = holdall.SessionManager(self.document).open(now_ms=now_ms)
        except (OverflowError, ValueError):
            return None
        return self.line(session, now_ms=now_ms)

    def line(self, session, **when):
        session["k"] = 1
        return dict(session.commit(**when).headers)["Set-Cookie"]


class TimeoutsInC(Timeouts):
    def configured(self, field, value):
        try:
            return self.line(CManager({**self.document, field: value}).open(b""))
        except CError as error:
            assert error.status in (-1, -2, -3), error
            return None

    def of_a_session(self, call, value):
        if isinstance(value, float):
            # C has no such call.
            return None
        session = CManager(self.document).open(b"")
        try:
            session.call(call, number(value))
        except CError as error:
            assert error.status == -1, error
            return None
        return self.line(session)

    def at(self, now_ms):
        if not 0 <= now_ms < 2**64:
            return None
        return self.line(CManager(self.document).open(b"", now_ms=now_ms))

    def line(self, session, **when):
        session.set("k", 1)
        return dict(session.commit()[1])["Set-Cookie"]


class TimeoutsLater:
    """cookie before 0.2.0: what cannot be is found out when the cookie is made, and then the request panics."""

    def __init__(self, directory):
        pass

    def configured(self, field, value):
        try:
            return f"sid=token; Max-Age={int(timedelta(seconds=value).total_seconds())}"
        except (OverflowError, ValueError):
            return "the request fails"

    of_a_session = configured

    def at(self, now_ms):
        return self.configured("", now_ms / 1000)


@row(
    "cookie RUSTSEC-2017-0005",
    "a huge Max-Age panics",
    immune=[Subject("python", Timeouts), Subject("c", TimeoutsInC)],
    vulnerable=[Subject("found out later", TimeoutsLater)],
    says="no sane Max-Age",
)
def test_cookie_rustsec_2017_0005_a_timeout_is_refused_at_once_or_kept_within_its_bounds(subject):
    lines = {}
    for value in [*EXTREMES, *FLOATS]:
        for field in ("idle_timeout_s", "absolute_timeout_s", "new_idle_timeout_s"):
            lines[field, value] = subject.configured(field, value)
        for call in ("set_idle_timeout", "set_absolute_timeout"):
            lines[call, value] = subject.of_a_session(call, value)

    for (what, value), line in lines.items():
        found = line is None or re.search(r"; Max-Age=(\d{1,10})(;|$)", line)
        assert found, f"{what} {value}: {line}: no sane Max-Age"
        assert line is None or 0 < int(found[1]) <= 1_000_000_000, f"{what} {value}: {line}: no sane Max-Age"
    assert lines["idle_timeout_s", 1] and lines["set_idle_timeout", 1]
    assert all(line is None for (what, value), line in lines.items() if what.endswith("_s") and not 1 <= value <= 10**9)


@row(
    "cookie RUSTSEC-2017-0005",
    "a huge Max-Age panics",
    immune=[Subject("python", Timeouts), Subject("c", TimeoutsInC)],
    vulnerable=[Subject("found out later", TimeoutsLater)],
    says="no sane Max-Age",
)
def test_cookie_rustsec_2017_0005_nor_does_the_time_of_any_clock(subject):
    for now_ms in (0, 1, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1):
        line = subject.at(now_ms)
        # At the end of time there is less left of it.
        assert line and re.search(r"; Max-Age=(7200|0)$", line), f"at {now_ms}: {line}: no sane Max-Age"
    for now_ms in (-1, 2**64, -(2**63)):
        assert subject.at(now_ms) is None, "no sane Max-Age"


class Mixed:
    """Many requests of many users on one loop, which wait in their midst."""

    def __init__(self, directory):
        self.middleware = holdall.starlette.SessionMiddleware(self.page, config=document("memory", directory))

    async def page(self, scope, receive, send):
        who = scope["path"][1:]
        session = scope["session"]
        seen = session.setdefault("who", who)
        await asyncio.sleep(0)
        again = session["who"]
        session["n"] = session.get("n", 0) + 1
        await asyncio.sleep(0)
        body = json.dumps([seen, again, session["who"], session["n"]]).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": body})


class MixedScopes(Mixed):
    """Django Channels 3.0.0: the middleware kept the scope of the request before in itself."""

    def __init__(self, directory):
        super().__init__(directory)
        inner = self.middleware

        async def outer(scope, receive, send):
            self.scope = scope

            async def application(_scope, receive, send):
                await asyncio.sleep(0)
                await self.page({**self.scope, "path": scope["path"], "session": self.scope["session"]}, receive, send)

            inner.app = application
            await inner(self.scope, receive, send)

        self.middleware = outer


@row(
    "Channels CVE-2020-35681; Masonite's memory driver, which goes by the address",
    "requests at the same time get each other's session",
    immune=[Subject("starlette", Mixed)],
    vulnerable=[Subject("one scope", MixedScopes)],
    says="session of another",
)
def test_channels_cve_2020_35681_of_many_users_at_once_each_has_his_own(subject, scaled, figure):
    users, number = 200, scaled(4000, 1_000_000)
    dice = random.Random(8)

    async def user(name):
        cookies = {}
        for at in range(number // users):
            header = "; ".join(f"{key}={value}" for key, value in cookies.items()).encode()
            _, headers, body = await asgi_request(subject.middleware, header, f"/{name}")
            for key, value in headers:
                if key == "set-cookie":
                    cookies[value.partition("=")[0]] = value.partition("=")[2].partition(";")[0]
            assert json.loads(body) == [name, name, name, at + 1], f"{name} saw the session of another"
            for _ in range(dice.randrange(3)):
                await asyncio.sleep(0)

    async def all_at_once():
        await asyncio.gather(*(user(f"user-{at}") for at in range(users)))

    asyncio.run(all_at_once())

    figure("G", "memory", "interleaved requests of 200 users that saw another's session", f"0 of {number:,}", "0")


@row(
    "Channels CVE-2020-35681; Masonite's memory driver, which goes by the address",
    "requests at the same time get each other's session",
    immune=through("memory", "file"),
    vulnerable=[Subject("by the address", lambda directory: ByAddress())],
    says="session of another",
)
def test_masonite_two_visitors_behind_one_address_have_two_sessions(subject):
    ann, ben = subject.new(), subject.new()
    ann.ask(lambda session: subject.put(session, "who", "ann"))
    assert ben.ask(lambda session: subject.read(session, "who")).result is None, "the session of another"
    ben.ask(lambda session: subject.put(session, "who", "ben"))
    assert ann.ask(lambda session: subject.read(session, "who")).result == "ann", "the session of another"


class ByAddress(Naive):
    """Masonite 1.5 to 3.0: the memory driver kept a session for each address."""

    def id_of(self, cookie):
        return "192.0.2.1"


class LongLines(Configured):
    """Lines as long as a path makes them."""


class DroppedLines(Pasted):
    """starsessions before 2.2.2: a line that is too long is sent, and dropped by the browser without a word."""


@row(
    "starsessions 2.2.1: a cookie over 4096 bytes",
    "a line that is too long is dropped by the browser, and the session with it",
    immune=[Subject("python", LongLines), *CONFIGURED[1:]],
    vulnerable=[Subject("dropped", DroppedLines)],
    says="longer than browsers keep",
)
def test_starsessions_no_line_is_longer_than_browsers_keep(subject):
    refused, longest = 0, 0
    for length in [*range(3900, 4100), 5000, 100_000]:
        line = subject.line(path="/" + "x" * length, secure=False)
        refused += line is None
        if line is not None:
            assert len(line) <= 4096, f"{len(line)} bytes: longer than browsers keep"
            longest = max(longest, len(line))
    # The longest line of a configuration is what counts, that is a removal or one with Max-Age.
    assert refused and longest > 3900
