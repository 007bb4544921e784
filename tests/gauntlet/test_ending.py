"""Endings: what has ended stays ended, whoever is still at work, and however often it is used."""

import holdall
from gauntlet.doors import DOORS, FlaskOwn, document, own, through
from gauntlet.node import ExpressSession
from gauntlet.row import Subject, row
from gauntlet.vulnerable import KeepsItsId, naive

SERVERS = through("memory", "file", doors=[*DOORS, ExpressSession])

IN_FLIGHT = (
    "Rack CVE-2025-32441, rack-session CVE-2025-46336, express-session #632, connect-redis #328",
    "a request that is under way restores a session that another one has ended",
)


@row(*IN_FLIGHT, immune=SERVERS, vulnerable=[*naive(), *own(FlaskOwn)], says="is back")
def test_rack_cve_2025_32441_a_request_under_way_brings_no_session_back(subject):
    visitor = subject.new()
    visitor.ask(lambda session: subject.put(session, "user", "ann"))
    before = dict(visitor.cookies)

    def slow(session):
        subject.read(session, "user")
        subject.end_meanwhile(visitor)
        subject.put(session, "work", "late")

    visitor.ask(slow)

    for cookies in (before, visitor.cookies):
        other = subject.new()
        other.cookies = cookies
        assert other.ask(lambda session: subject.read(session, "user")).result is None, "what was ended is back"


# Not express-session, whose new id has no data: it is the application itself that carries its copy over.
@row(*IN_FLIGHT, immune=through("memory", "file"), vulnerable=naive(), says="is back")
def test_rack_cve_2025_32441_nor_does_one_that_gets_a_new_id_meanwhile(subject):
    visitor = subject.new()
    visitor.ask(lambda session: subject.put(session, "user", "ann"))
    before = dict(visitor.cookies)

    def sign_in_late(session):
        subject.read(session, "user")
        subject.end_meanwhile(visitor)
        subject.renew(session)

    visitor.ask(sign_in_late)

    for cookies in (before, visitor.cookies):
        other = subject.new()
        other.cookies = cookies
        assert other.ask(lambda session: subject.read(session, "user")).result is None, "what was ended is back"


class Lives:
    """Sessions with an absolute timeout of an hour and an idle one of a minute, at times of the test's own."""

    def __init__(self, directory, driver):
        limits = {"idle_timeout_s": 60, "new_idle_timeout_s": 60, "absolute_timeout_s": 3600}
        self.manager = holdall.SessionManager(document(driver, directory, **limits))
        self.token = None

    def use(self, now_ms):
        """Loads and saves. Whether what was there before was there."""
        session = self.manager.open_token(self.token, now_ms=now_ms)
        was_there = not session.is_new
        session["n"] = now_ms
        session.commit(now_ms=now_ms)
        self.token = session.id
        return was_there


class Prolonged:
    """@fastify/session before 10.9.0: the cookie's maxAge began anew at every save, and with it the end."""

    def __init__(self, directory):
        self.ends_ms = None

    def use(self, now_ms):
        was_there = self.ends_ms is not None and now_ms < self.ends_ms
        self.ends_ms = now_ms + 3600_000
        return was_there


LIVES = [Subject(driver, lambda directory, driver=driver: Lives(directory, driver)) for driver in ("memory", "file")]


@row(
    "@fastify/session CVE-2024-35220",
    "the end moves on at every save, so that it never comes",
    immune=LIVES,
    vulnerable=[Subject("prolonged", Prolonged)],
    says="outlived its end",
)
def test_fastify_session_cve_2024_35220_a_thousand_saves_do_not_move_the_end(subject):
    began = 1_800_000_000_000
    subject.use(began)

    for at in range(1, 1000):
        assert subject.use(began + at * 3600)

    assert not subject.use(began + 3600_000), "the session outlived its end"


SIGN_OUT = (
    "silverstripe/hybridsessions CVE-2022-24444, TYPO3 CVE-2022-31050, rdiffweb CVE-2022-3362, Airflow CVE-2023-40273, "
    "Symfony CVE-2021-41268, Spring Security CVE-2023-20862",
    "signing out does not end the session",
)


@row(*SIGN_OUT, immune=through("memory", "file"), vulnerable=own(FlaskOwn), says="is good after signing out")
def test_silverstripe_cve_2022_24444_a_cookie_from_before_signing_out_is_worth_nothing(subject):
    visitor = subject.new()
    visitor.ask(lambda session: subject.put(session, "user", "ann"))
    kept = dict(visitor.cookies)

    answer = visitor.ask(lambda session: subject.end(session))

    assert not visitor.cookies
    assert "Max-Age=0" in answer.all("Set-Cookie")[0]
    thief = subject.new()
    thief.cookies = kept
    assert thief.ask(lambda session: subject.read(session, "user")).result is None, "the cookie is good after signing out"


@row(*SIGN_OUT, immune=through("memory", "file"), vulnerable=own(FlaskOwn), says="is good after signing out")
def test_silverstripe_cve_2022_24444_nor_is_one_from_before_the_id_changed(subject):
    visitor, kept = subject.new(), []
    visitor.ask(lambda session: subject.put(session, "user", "ann"))
    for _ in range(3):
        kept.append(dict(visitor.cookies))
        visitor.ask(lambda session: subject.renew(session))
    kept.append(dict(visitor.cookies))

    visitor.ask(lambda session: subject.end(session))

    for cookies in kept:
        thief = subject.new()
        thief.cookies = cookies
        assert thief.ask(lambda session: subject.read(session, "user")).result is None, "a cookie is good after signing out"


@row(
    "Django CVE-2014-0482",
    "who signs in as another person goes on with the session of the first",
    immune=SERVERS,
    vulnerable=naive(KeepsItsId),
    says="of the person before",
)
def test_django_cve_2014_0482_another_person_finds_nothing_of_the_one_before(subject):
    visitor = subject.new()

    def ann(session):
        subject.put(session, "user", "ann")
        subject.put(session, "secret", "of ann")

    def ben(session):
        subject.other_person(session)
        subject.put(session, "user", "ben")

    visitor.ask(ann)
    kept = dict(visitor.cookies)
    visitor.ask(ben)

    assert visitor.ask(lambda session: subject.every(session)).result == {"user": "ben"}, "there is data of the person before"
    thief = subject.new()
    thief.cookies = kept
    assert thief.ask(lambda session: subject.every(session)).result == {}


class Stored:
    """Records made by a server that was generous, and one that is strict now; both read the same directory."""

    def __init__(self, directory):
        long = {"idle_timeout_s": 864_000, "new_idle_timeout_s": 864_000, "absolute_timeout_s": 864_000}
        strict = {"idle_timeout_s": 60, "new_idle_timeout_s": 60, "absolute_timeout_s": 600}
        self.generous = holdall.SessionManager(document("file", directory, **long))
        self.strict = holdall.SessionManager(document("file", directory, **strict))

    def make(self, now_ms):
        session = self.generous.open(now_ms=now_ms)
        session["k"] = 1
        session.set_idle_timeout(864_000)
        session.set_absolute_timeout(864_000)
        session.commit(now_ms=now_ms)
        return session.id

    def lives(self, token, now_ms):
        session = self.strict.open_token(token, now_ms=now_ms)
        was_there = not session.is_new
        session.commit(now_ms=now_ms)
        return was_there


class Believed:
    """starsessions before 2.2.2: what the record said of its own lifetime was believed."""

    def __init__(self, directory):
        self.ends_ms = None

    def make(self, now_ms):
        self.ends_ms = now_ms + 864_000_000
        return "token"

    def lives(self, token, now_ms):
        return now_ms < self.ends_ms


class WrongUnits(Believed):
    """starsessions before 2.2.2: seconds were compared with nanoseconds."""

    def lives(self, token, now_ms):
        return self.ends_ms * 1000 < now_ms * 1_000_000 or now_ms < self.ends_ms


@row(
    "starsessions 2.2.1: lifetimes",
    "a stored lifetime beats the server's; seconds compared with nanoseconds",
    immune=[Subject("file", Stored)],
    vulnerable=[Subject("believed", Believed), Subject("units", WrongUnits)],
    says="longer than the server says",
)
def test_starsessions_what_a_record_says_of_its_lifetime_makes_it_no_longer(subject):
    began = 1_800_000_000_000
    used_once, never_used, often_used = (subject.make(began) for _ in range(3))

    # The strict server's idle timeout, from the first time that it sees the record; its absolute one from the beginning.
    assert subject.lives(used_once, began + 30_000)
    for later_s in range(30, 600, 30):
        assert subject.lives(often_used, began + later_s * 1000)
        assert later_s != 120 or not subject.lives(used_once, began + 120_000), "longer than the server says"
    for token in (never_used, often_used):
        assert not subject.lives(token, began + 601_000), "longer than the server says"
    for later_s in (3600, 863_000, 865_000, 10**7):
        token = subject.make(began)
        assert not subject.lives(token, began + later_s * 1000), f"after {later_s} s: longer than the server says"
