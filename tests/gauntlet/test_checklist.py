"""OWASP ASVS 5.0 (7 sessions, 3.3 cookies, 9 tokens) and the Session Management Cheat Sheet, item by item.

Where an item is what a published flaw was about, the row of the flaw goes further; docs/security.md says which.
"""

import base64
import functools
import hashlib
import logging
import os
import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from leaks import canary, leaks

import holdall
from gauntlet.doors import DOORS, KEYS, C, Django, DjangoOwn, FlaskOwn, Python, document, own, through
from gauntlet.node import NODE_DOORS
from gauntlet.row import Subject, row
from gauntlet.test_ending import LIVES, Lives, Prolonged
from gauntlet.test_fixation import made_up
from gauntlet.test_http import Configured, Pasted
from gauntlet.vulnerable import KeepsItsId, Naive, NaiveFiles, naive

ROOT = Path(__file__).resolve().parents[2]


def signed_in(subject, **data):
    visitor = subject.new()
    visitor.ask(lambda session: [subject.put(session, key, value) for key, value in {"user": "ann", **data}.items()])
    return visitor


@row(
    "ASVS 7.2.1",
    "a token is verified where the client cannot reach",
    immune=LIVES,
    vulnerable=[Subject("believed", lambda directory: ByTheClientsWord())],
    says="the client's word",
)
def test_asvs_7_2_1_what_the_client_does_to_the_cookie_prolongs_nothing(subject):
    began = 1_800_000_000_000
    assert not subject.use(began)
    # A client that keeps the cookie whatever its Max-Age says, and sends it for ever.
    for later_s in (59, 110, 240):
        alive = subject.use(began + later_s * 1000)
        assert alive == (later_s < 240), "a session lives by the client's word"


class ByTheClientsWord:
    """A store that leaves it to the browser to drop the cookie in time."""

    def __init__(self):
        self.made = False

    def use(self, now_ms):
        was_there, self.made = self.made, True
        return was_there


@row(
    "ASVS 7.2.2",
    "tokens are made anew for each session, and none is written down",
    immune=through("memory", "file", "cookie"),
    vulnerable=[Subject("fixed", lambda directory: FixedKey())],
    says="a fixed token",
)
def test_asvs_7_2_2_no_token_is_given_twice(subject):
    given = Counter()
    for _ in range(50):
        visitor = signed_in(subject)
        given.update(visitor.cookies.values())
        visitor.ask(lambda session: subject.renew(session))
        given.update(visitor.cookies.values())
        visitor.ask(lambda session: subject.end(session))

    assert set(given.values()) == {1}, "a fixed token"
    assert len(given) == 100


class FixedKey(Naive):
    def fresh(self):
        return "api-key"


@row(
    "ASVS 7.2.3",
    "at least 128 bits of a secure random source",
    immune=through("memory", "file"),
    vulnerable=naive(),
    says="bits",
)
def test_asvs_7_2_3_a_token_has_256_bits(subject):
    for _ in range(50):
        (token,) = signed_in(subject).cookies.values()
        assert re.fullmatch(r"[A-Za-z0-9_-]{43}", token), f"a token of {5 * len(token)} bits or so"


@row(
    "ASVS 7.2.3",
    "at least 128 bits of a secure random source",
    immune=[Subject("os", lambda directory: "getrandom")],
    vulnerable=[Subject("a generator of the program's own", lambda directory: "random")],
    says="not from the system",
)
def test_asvs_7_2_3_each_id_is_drawn_from_the_system(subject, tmp_path):
    draw = {"getrandom": "holdall.SessionManager('memory:').open().id", "random": "random.randbytes(32)"}[subject]
    program = f"import holdall, os, random\n{draw}\nos.getppid()\nfor _ in range(100): {draw}\nos.getppid()"
    log = tmp_path / "log"
    subprocess.run(["strace", "-qq", "-o", log, "-e", "trace=getrandom,getppid", sys.executable, "-c", program], check=True, timeout=120)

    drawn = log.read_text().split("getppid(")[1].count("getrandom(")

    assert drawn >= 100, f"{drawn} draws for 100 ids: not from the system"


@row(
    "ASVS 7.2.4; cheat sheet: renew the id after any change of rights",
    "a new token at sign-in, and the old one ended",
    immune=through("memory", "file"),
    vulnerable=naive(KeepsItsId),
    says="same token",
)
def test_asvs_7_2_4_signing_in_gives_a_new_token_and_ends_the_old_one(subject):
    visitor = signed_in(subject)
    before = dict(visitor.cookies)
    visitor.ask(lambda session: subject.renew(session))

    assert not set(before.values()) & set(visitor.cookies.values()), "the same token after the sign-in"
    for cookies, expected in ((before, None), (visitor.cookies, "ann")):
        other = subject.new()
        other.cookies = dict(cookies)
        assert other.ask(lambda session: subject.read(session, "user")).result == expected


@row(
    "ASVS 7.3.1",
    "an idle timeout",
    immune=LIVES,
    vulnerable=[Subject("none", lambda directory: ByTheClientsWord())],
    says="still lives",
)
def test_asvs_7_3_1_an_idle_session_ends_and_a_used_one_does_not(subject):
    began = 1_800_000_000_000
    subject.use(began)
    for later_s in range(30, 3000, 50):
        assert subject.use(began + later_s * 1000)
    assert not subject.use(began + 2980_000 + 61_000), "an idle session still lives"


@row(
    "ASVS 7.3.2",
    "an absolute timeout",
    immune=LIVES,
    vulnerable=[Subject("prolonged", Prolonged)],
    says="still lives",
)
def test_asvs_7_3_2_use_does_not_prolong_the_whole(subject):
    began = 1_800_000_000_000
    subject.use(began)
    for later_s in range(30, 3600, 30):
        assert subject.use(began + later_s * 1000)
    assert not subject.use(began + 3600_000), "a session that is used for ever still lives"


@row(
    "ASVS 7.3.2",
    "an absolute timeout",
    immune=[Subject(driver, lambda directory, driver=driver: Renewed(directory, driver)) for driver in ("memory", "file")],
    vulnerable=[Subject("prolonged", Prolonged)],
    says="still lives",
)
def test_asvs_7_3_2_nor_does_a_new_id(subject):
    began = 1_800_000_000_000
    subject.use(began)
    for later_s in range(30, 3600, 30):
        assert subject.use(began + later_s * 1000)
    assert not subject.use(began + 3600_000), "a session that is renewed for ever still lives"


class Renewed(Lives):
    def use(self, now_ms):
        session = self.manager.open_token(self.token, now_ms=now_ms)
        was_there = not session.is_new
        session["n"] = now_ms
        session.regenerate()
        session.commit(now_ms=now_ms)
        self.token = session.id
        return was_there


@row(
    "ASVS 7.4.1",
    "signing out ends the session where it is kept, and removes the cookie",
    immune=through("memory", "file"),
    vulnerable=own(FlaskOwn),
    says="after signing out",
)
def test_asvs_7_4_1_signing_out_leaves_no_record_and_no_cookie(subject):
    visitor = signed_in(subject)
    thief = subject.new()
    thief.cookies = dict(visitor.cookies)

    answer = visitor.ask(lambda session: subject.end(session))

    assert thief.ask(lambda session: subject.read(session, "user")).result is None, "the record is there after signing out"
    assert isinstance(subject, C) or subject.records() == 0
    (line,) = (line.strip() for line in answer.all("Set-Cookie"))
    assert line == subject.removal


@row(
    "ASVS 7.1.1, 7.1.2",
    "lifetimes and parallel sessions are documented",
    immune=[Subject("docs", lambda directory: (ROOT / "docs/config.md").read_text() + (ROOT / "docs/security.md").read_text())],
    vulnerable=[Subject("README", lambda directory: "Sessions, easy to use. Expire by themselves.")],
    says="undocumented",
)
def test_asvs_7_1_1_each_lifetime_has_its_default_in_the_documents(subject):
    config = holdall.SessionManager("memory:").config()
    for field in ("idle_timeout_s", "absolute_timeout_s", "new_idle_timeout_s"):
        assert re.search(rf"\| `{field}` \| `{config[field]}` \|", subject), f"{field} is undocumented"
    assert "parallel sessions" in subject, "parallel sessions are undocumented"


def attributes(subject):
    line = signed_in(subject).door.ask(lambda session: subject.put(session, "k", "v")).all("Set-Cookie")[0]
    pair, *rest = line.strip().split("; ")
    return pair.partition("=")[0], {word.lower() for word in rest}


@row(
    "ASVS 3.3.1",
    "cookies are Secure",
    immune=through("memory", "file", "cookie"),
    vulnerable=naive(),
    says="not Secure",
)
def test_asvs_3_3_1_the_cookie_is_secure(subject):
    assert "secure" in attributes(subject)[1], "the cookie is not Secure"


@row(
    "ASVS 3.3.2",
    "cookies say SameSite",
    immune=through("memory", "file", "cookie"),
    vulnerable=own(FlaskOwn),
    says="no SameSite",
)
def test_asvs_3_3_2_the_cookie_says_same_site(subject):
    assert "samesite=lax" in attributes(subject)[1], "the cookie has no SameSite"


@row(
    "ASVS 3.3.3",
    "the name has the prefix __Host-, and its rules hold",
    immune=[Subject("engine", Configured)],
    vulnerable=[Subject("pasted", Pasted)],
    says="breaks its rules",
)
def test_asvs_3_3_3_no_cookie_called_host_breaks_its_rules(subject):
    for name in ("__Host-sid", "__host-sid", "__HOST-x"):
        assert subject.line(name=name, secure=True).startswith(f"{name}=")
        for fields in ({"domain": "example.org"}, {"path": "/app"}, {"secure": False}):
            assert subject.line(name=name, **{"secure": True, **fields}) is None, f"{name} breaks its rules: {fields}"
    for name in ("__Secure-sid", "__secure-sid"):
        assert subject.line(name=name, secure=False) is None, f"{name} breaks its rules"


@row(
    "ASVS 3.3.3",
    "the name has the prefix __Host-, and its rules hold",
    immune=through("memory", "file", doors=[door for door in DOORS if door.cookie_name == "__Host-sid"]),
    vulnerable=own(FlaskOwn),
    says="is not __Host-",
)
def test_asvs_3_3_3_the_default_name_has_the_prefix(subject):
    """Flask, Starlette and Django keep the names that their users know; docs/python says how to take this one."""
    assert attributes(subject)[0].startswith("__Host-"), "the name is not __Host-"


@row(
    "ASVS 3.3.4",
    "cookies are HttpOnly",
    immune=through("memory", "file", "cookie"),
    vulnerable=naive(),
    says="not HttpOnly",
)
def test_asvs_3_3_4_the_cookie_is_http_only(subject):
    assert "httponly" in attributes(subject)[1], "the cookie is not HttpOnly"


@row(
    "ASVS 3.3.5",
    "name and value within 4096 bytes",
    immune=[Subject("engine", Configured)],
    vulnerable=[Subject("pasted", Pasted)],
    says="4097 bytes",
)
def test_asvs_3_3_5_a_line_of_4096_bytes_is_taken_and_one_of_4097_is_refused(subject):
    # The longest line of a configuration: the removal, or a token with the longest Max-Age.
    removal = "sid=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
    room = 4096 - max(len(removal), len(f"sid={'A' * 43}; Path=/; HttpOnly; SameSite=Lax; Max-Age=1000000000"))

    fits = [length for length in range(room - 20, room + 20) if subject.line(path="/" + "x" * length, secure=False) is not None]

    assert fits == list(range(room - 20, room + 1)), "4096 bytes were refused, or 4097 bytes were taken"


@row(
    "cheat sheet: the name of the id tells nothing",
    "a cookie's name that says what runs here",
    immune=through("memory", doors=[Python, C]) + through("memory", doors=[Python], cookie={"secure": False}),
    vulnerable=own(DjangoOwn),
    says="tells",
)
def test_cheat_sheet_the_default_name_is_nobodys(subject):
    known = "phpsessid jsessionid cfid cftoken asp.net_sessionid connect.sid laravel_session sessionid holdall".split()
    (name,) = signed_in(subject).cookies
    assert not any(word in name.lower() for word in known), f"{name} tells what runs here"


@row(
    "cheat sheet: the content of the id means nothing",
    "an id that holds data",
    immune=through("memory", "file", "cookie"),
    vulnerable=own(FlaskOwn),
    says="is in the token",
)
def test_cheat_sheet_the_token_has_nothing_of_the_data(subject):
    visitor = signed_in(subject, secret="canary-of-the-gauntlet")
    (token,) = visitor.cookies.values()
    for piece in token.split("."):
        # Whole groups of four letters, whatever comes behind them.
        whole = piece[: len(piece) // 4 * 4]
        assert b"canary" not in base64.urlsafe_b64decode(whole), "data is in the token"
    assert "canary" not in token


@row(
    "cheat sheet: cookies only",
    "an id that is read from the URL or another header",
    immune=through("memory", "file", "cookie", doors=[door for door in DOORS if door not in (Python, C)]),
    vulnerable=[Subject("url", lambda directory: ReadsUrls())],
    says="came in by",
)
def test_cheat_sheet_no_other_way_in_is_read(subject):
    visitor = signed_in(subject)
    ((name, token),) = visitor.cookies.items()
    for way, environ in {
        "the query": {"QUERY_STRING": f"{name}={token}&sid={token}"},
        "the path": {"path": f"/page;{name}={token}"},
        "a header": {"HTTP_AUTHORIZATION": f"Bearer {token}", "HTTP_X_SESSION": token},
        "a second header": {"HTTP_COOKIE2": f"{name}={token}"},
    }.items():
        assert subject.ask(lambda session: subject.read(session, "user"), **environ).result is None, f"a session came in by {way}"


class ReadsUrls(Naive):
    """PHP with session.use_trans_sid."""

    def ask(self, act, cookie="", **environ):
        cookie = cookie or environ.get("QUERY_STRING", "").partition("&")[0]
        return super().ask(act, cookie)


@row(
    "cheat sheet: strict session management",
    "an id is accepted that was not made here",
    immune=through("memory", "file", "cookie"),
    vulnerable=naive(),
    says="permissive",
)
def test_cheat_sheet_an_id_that_was_not_made_here_is_replaced(subject):
    for _ in range(50):
        visitor = subject.new()
        visitor.cookies = {subject.cookie_name: made_up()}
        planted = dict(visitor.cookies)
        visitor.ask(lambda session: subject.put(session, "k", "v"))
        assert visitor.cookies != planted, "session management is permissive"


@row(
    "cheat sheet: the id is untrusted input",
    "an id goes on before it was checked",
    immune=through("memory", "file", "cookie"),
    vulnerable=[Subject(NaiveFiles.name, NaiveFiles)],
    says="an error|went on",
)
def test_cheat_sheet_whatever_comes_as_an_id_is_an_absent_session(subject, tmp_path):
    hostile = ["'; DROP TABLE sessions; --", "<script>", "${jndi:ldap://x}", "%s%n", "\U0001f392", "../" * 20]
    hostile += ["x" * 100_000, "a" * 43, "\x00"]
    for one in hostile:
        try:
            answer = subject.ask(lambda session: subject.every(session), f"{subject.cookie_name}={one}".encode())
        except Exception as error:
            raise AssertionError(f"{one[:20]!r} is an error: {error!r}") from None
        assert (answer.status, answer.result) == (200, {})
    left = [path.name for path in tmp_path.rglob("*") if path.is_file() and path.name != ".holdall"]
    assert not left, "an id went on into the store"


@row(
    "cheat sheet: caching",
    "responses with a session are kept by caches",
    immune=through("memory", "file", "cookie"),
    vulnerable=own(FlaskOwn),
    says="a cache may keep",
)
def test_cheat_sheet_what_sets_a_cookie_is_stored_by_no_cache(subject):
    visitor = subject.new()
    for act in (lambda session: subject.put(session, "k", "v"), subject.renew, subject.end):
        answer = visitor.ask(act)
        assert not answer.set or answer.says("Cache-Control", "no-store"), "a cache may keep the cookie"
        assert answer.says("Vary", "Cookie")


LOGGED = (
    "Spring Session CVE-2023-20866; cheat sheet: logs",
    "an id, a value or a secret in a log, an error or a representation",
)
VALUE, FLASH, USER = canary(), canary(), canary()
KEYED_SECRET = "Z2F1bnRsZXQtc2VjcmV0LW9mLWtleWVkLXNlc3Npb25z"


class Talkative:
    """A thousand operations through a door, and all that was said meanwhile: logs, standard error, events, errors, names."""

    def __init__(self, door):
        self.door, self.said, self.secrets = door, [], [KEYED_SECRET, *KEYS, VALUE, FLASH, USER]

    @property
    def is_cookie(self):
        return self.door.document["url"] == "cookie:"

    def hear(self, *things):
        self.said += [f"{thing!r} {thing}" for thing in things]

    def work(self, rounds):
        door = self.door
        door.manager.on_event(lambda kind, who: self.hear(kind, who))
        self.hear(door.manager, door.manager.config(), door.manager.stats())
        for at in range(rounds):
            visitor = door.new()
            visitor.ask(functools.partial(self.use, at=at))
            self.secrets += visitor.cookies.values()
            visitor.ask(lambda session: door.renew(session))
            self.secrets += visitor.cookies.values()
            kept = dict(visitor.cookies)
            visitor.ask(lambda session: self.fail(session))
            visitor.ask(lambda session: door.end(session))
            visitor.cookies = kept
            visitor.ask(lambda session: self.hear(session))
            planted = made_up()
            self.secrets.append(planted)
            visitor.cookies = {door.cookie_name: planted}
            visitor.ask(lambda session: self.hear(session, door.read(session, "k")))
            visitor.cookies = {door.cookie_name: planted + "x"}
            visitor.ask(lambda session: door.read(session, "k"))
        if not self.is_cookie:
            self.hear(*door.manager.records())
        self.hear(door.manager.stats())

    def use(self, session, at):
        door = self.door
        door.put(session, "user", USER)
        door.put(session, f"k{at}", {"deep": [VALUE, at]})
        engine = getattr(session, "holdall", None) or getattr(session, "session", session)
        if isinstance(engine, holdall.Session):
            engine.flash("notice", FLASH)
            token = engine.csrf_token()
            self.secrets.append(token)
            engine.csrf_matches(token[:-1] + "A")
            self.hear(engine, engine.csrf_matches("x"))
        self.hear(session)

    def fail(self, session):
        """What is refused says why, and not what."""
        engine = getattr(session, "holdall", None) or getattr(session, "session", session)
        engine = engine if isinstance(engine, holdall.Session) else self.door.manager.open()
        for act in (
            lambda: engine.set_json("k", f'{{"{VALUE}": '),
            lambda: engine.set_json("k", f'["{VALUE}", 1e999]'),
            lambda: engine.set("k", {VALUE, 1}),
            lambda: engine.set("k" * 300, VALUE),
            lambda: engine.set("k", VALUE * 100_000),
            lambda: engine.set_idle_timeout(-1),
            lambda: self.door.manager.destroy(VALUE),
            lambda: holdall.SessionManager("cookie:", keys=[KEYS[0][:-1]]),
            lambda: holdall.SessionManager("cookie:", keys=[KEYS[0], KEYS[0]]),
            lambda: holdall.SessionManager("cookie:", keys=[[KEYS[0]]]),
            lambda: holdall.SessionManager("cookie:", keys=KEYS[0]),
            lambda: holdall.SessionManager("cookie:", keys={KEYS[0]: KEYS[1]}),
            lambda: holdall.SessionManager("cookie:", keys=[{KEYS[0]: KEYS[1]}]),
            lambda: self.door.manager.driver("nowhere"),
            lambda: holdall.SessionManager("memory:", keyed_secret=KEYED_SECRET[:-9]),
            lambda: holdall.SessionManager("memory:", keyed_secret=[KEYED_SECRET]),
            lambda: [engine.set("text", VALUE), engine.increment("text")],
            lambda: [engine.set("text", VALUE), engine.push("text", 1)],
        ):
            try:
                act()
            except Exception as error:
                self.hear(error, type(error), getattr(error, "__cause__", None), getattr(error, "__notes__", None))
            else:
                raise AssertionError("this should have been refused")
        if engine is not session:
            return
        engine.delete("text")


class Telltale(Talkative):
    """Spring Session 3.0.0 logged the id that it looked for."""

    def hear(self, *things):
        super().hear(*things)
        if len(self.secrets) > 4:
            logging.getLogger("session").debug("no session with the id %s", self.secrets[-1])


def talkative(kind, doors, *drivers):
    doors_to = through(*drivers, doors=doors, keyed_secret=KEYED_SECRET)
    return [Subject(one.name, lambda directory, one=one: kind(one.make(directory))) for one in doors_to]


@row(
    *LOGGED,
    immune=talkative(Talkative, [door for door in DOORS if door is not C and door not in NODE_DOORS], "file", "sealed", "cookie"),
    vulnerable=talkative(Telltale, [Python], "file"),
    says="was said",
)
def test_spring_session_cve_2023_20866_nothing_that_is_said_has_an_id_or_a_value(subject, scaled, caplog, capfd):
    with caplog.at_level(logging.DEBUG):
        subject.work(scaled(20, 1000))
    heard = "\n".join([*subject.said, caplog.text, *capfd.readouterr()])

    assert len(subject.said) > 100 and "unknown_token" in heard and "malformed_token" in heard
    for secret in subject.secrets:
        assert len(secret) >= 10
        assert secret not in heard, f"a secret was said: {heard[max(0, heard.find(secret) - 100) :][:100]}"


def harmless():
    """What tests print, as far as it looks like a secret: their own names, digests, paths, times, tables."""
    names = []
    for path in [*(ROOT / "tests").glob("*.rs"), *(ROOT / "tests").rglob("*.py")]:
        names += [line.strip() for line in path.read_text().splitlines() if re.search(r"\bfn |def test", line)]
    digests = [hashlib.new(kind, b"x").hexdigest() for kind in ("md5", "sha1", "sha256", "sha512")]
    names += [f"/tmp/pytest-of-root/pytest-0/{digest[:43]}/sessions/{digest}" for digest in digests] + digests
    names += ["A" * 43, "x" * 43, "0" * 86, "-" * 80, "=" * 80, "." * 43, "_ZN7holdall7session6commit17h0123456789abcdefE" * 2]
    names += ["Thu, 01 Jan 1970 00:00:00 GMT", "test result: ok. 43 passed; 0 failed; 0 ignored; 0 measured; finished in 0.02s"]
    return names


def planted(line):
    return lambda directory: [*harmless(), line]


def plants():
    manager = holdall.SessionManager("memory:", cookie={"name": "sid"})
    session = manager.open()
    sealed = holdall.SessionManager("cookie:", keys=KEYS).open()
    session["k"] = sealed["k"] = 1
    csrf, token = session.csrf_token(), session.id
    plants = {"a token": token, "a header": session.commit().headers[0], "a CSRF token": csrf, "a key": holdall.generate_key()}
    plants |= {"a key as openssl writes it": base64.b64encode(bytes(range(100, 132))).decode(), "a canary": VALUE}
    plants |= {"a sealed cookie": sealed.commit().headers[0][1].partition(";")[0].partition("=")[2]}
    return [Subject(what, planted(f'{{"it": ({secret!r})}}')) for what, secret in plants.items()]


@row(*LOGGED, immune=[Subject("harmless", lambda directory: harmless())], vulnerable=plants(), says="looks like a secret")
def test_spring_session_cve_2023_20866_the_search_of_all_output_finds_what_is_planted_and_nothing_else(subject):
    """`make test` ends with this search of all that its runners have printed."""
    found = leaks(subject)

    assert len(subject) > 300
    assert found == [], f"lines {found} have what looks like a secret"


def test_the_search_overlooks_one_token_of_a_thousand_at_most():
    tokens = [base64.urlsafe_b64encode(random.Random(at).randbytes(32)).decode().rstrip("=") for at in range(20_000)]
    assert len(leaks(tokens)) > 20_000 * 0.998


@row(
    "cheat sheet: events of a session's life",
    "who runs the sessions sees nothing of their life",
    immune=[Subject(driver, lambda directory, driver=driver: Python(document(driver, directory))) for driver in ("memory", "file")],
    vulnerable=[Subject("silent", lambda directory: Silent())],
    says="went unheard",
)
def test_cheat_sheet_the_life_of_a_session_is_told_and_can_be_followed(subject):
    heard = []
    subject.manager.on_event(lambda kind, who: heard.append((kind, who)))
    visitor = signed_in(subject)
    visitor.ask(lambda session: subject.renew(session))
    visitor.ask(lambda session: subject.end(session))

    assert [kind for kind, _ in heard] == ["created", "regenerated", "destroyed"], "the life of a session went unheard"
    assert all(re.fullmatch("[0-9a-f]{12}", who) for _, who in heard)


class Silent(Naive):
    @property
    def manager(self):
        return self

    def on_event(self, listener):
        pass


@row(
    "cheat sheet: guessing can be seen",
    "an attacker tries ids, and nobody notices",
    immune=[Subject(driver, lambda directory, driver=driver: Python(document(driver, directory))) for driver in ("memory", "file")],
    vulnerable=[Subject("silent", lambda directory: Silent())],
    says="nobody noticed",
)
def test_cheat_sheet_unknown_and_malformed_ids_are_told_and_counted(subject):
    heard = Counter()
    subject.manager.on_event(lambda kind, who: heard.update([kind]))
    for at in range(100):
        guess = made_up() if at % 4 else "guess"
        subject.ask(lambda session: subject.read(session, "k"), f"{subject.cookie_name}={guess}")

    assert heard == {"unknown_token": 75, "malformed_token": 25}, "nobody noticed the guesses"
    counted = subject.manager.stats()["events"]
    assert (counted["unknown_token"], counted["malformed_token"]) == (75, 25)


@row(
    "cheat sheet: storage",
    "others on the machine read the sessions",
    immune=through("file", "sealed", doors=DOORS),
    vulnerable=[Subject(NaiveFiles.name, NaiveFiles)],
    says="others may read",
)
def test_cheat_sheet_the_files_are_the_users_alone(subject, tmp_path):
    mask = os.umask(0)
    try:
        signed_in(subject)
    finally:
        os.umask(mask)
    inside = [path for path in tmp_path.rglob("*")]
    assert any(path.is_file() for path in inside)
    for path in inside:
        assert path.stat().st_mode & 0o077 == 0, f"others may read {path.name}"


@row(
    "cheat sheet: two cookies of one name",
    "a planted cookie beside the right one wins, or the two are mixed",
    immune=through("memory", "file", "cookie", doors=[door for door in DOORS if door is not Django]),
    vulnerable=naive(),
    says="the planted one",
)
def test_cheat_sheet_of_two_cookies_the_one_that_is_known_counts(subject):
    visitor = signed_in(subject)
    ((name, token),) = visitor.cookies.items()
    for planted in (made_up(), "x", "", token[:-1], token + "A"):
        for header in (f"{name}={planted}; {name}={token}", f"{name}={token}; {name}={planted}"):
            assert subject.ask(lambda session: subject.read(session, "user"), header).result == "ann", "the planted one won"
    # Two that are known: the first, whole.
    other = signed_in(subject, user="ben", more="of ben")
    header = f"{name}={token}; {name}={other.cookies[name]}"
    assert subject.ask(lambda session: subject.every(session), header).result == {"user": "ann"}
