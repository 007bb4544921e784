"""Fixation and adoption: a visitor's id is made here, and changes when rights do."""

import base64
import os

from gauntlet.doors import DOORS, C, Python, through
from gauntlet.node import ExpressSession
from gauntlet.row import row
from gauntlet.vulnerable import KeepsItsId, naive


def made_up():
    """An id as the engine's, which the engine has never seen."""
    return base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")


@row(
    "PHP CVE-2011-4718, aiohttp-session CVE-2018-1000519, Fiber CVE-2024-38513",
    "an unknown id is taken over from the client",
    immune=through("memory", "file", "sealed", "cookie") + through("memory", "file", doors=[ExpressSession]),
    vulnerable=naive(),
    says="was adopted",
)
def test_php_cve_2011_4718_no_unknown_id_is_adopted(subject, scaled, figure):
    number, heavy = scaled(300, 10_000), subject.name in ("masonite", "django", "starlette")
    number = number // 3 if heavy and number < 1000 else number
    adopted = 0
    for at in range(number):
        visitor, planted = subject.new(), made_up()
        visitor.cookies = {subject.cookie_name: planted}

        answer = visitor.ask(lambda session: subject.put(session, "user", "ann"))

        given = answer.set[subject.cookie_name]
        adopted += given == planted
        if at % 50 == 0:
            # Nor is there anything under it for whoever planted it.
            attacker = subject.new()
            attacker.cookies = {subject.cookie_name: planted}
            adopted += attacker.ask(lambda session: subject.read(session, "user")).result is not None
    assert adopted == 0, f"{adopted} of {number} ids: what a client made up was adopted"
    if isinstance(subject, Python):
        figure("G", subject.driver, "made-up ids that were adopted, and as many through each adapter and C", f"0 of {number:,}", "0")


SERVERS = through("memory", "file", doors=[*DOORS, ExpressSession])

SIGN_IN = (
    "Symfony CVE-2018-11385, CVE-2023-46733, Rails CVE-2007-5380, CVE-2007-6077, Airflow CVE-2022-38054, rdiffweb CVE-2022-3269",
    "the id does not change at sign-in",
)


@row(*SIGN_IN, immune=SERVERS, vulnerable=naive(KeepsItsId), says="is good after the sign-in")
def test_symfony_cve_2018_11385_signing_in_changes_the_id_and_keeps_the_data(subject):
    visitor = subject.new()
    visitor.ask(lambda session: subject.put(session, "cart", "apple"))
    before = dict(visitor.cookies)

    def sign_in(session):
        subject.renew(session)
        subject.put(session, "user", "ann")

    visitor.ask(sign_in)

    attacker = subject.new()
    attacker.cookies = before
    assert attacker.ask(lambda session: subject.read(session, "user")).result is None, "the id from before is good after the sign-in"
    assert visitor.cookies != before
    seen = visitor.ask(lambda session: (subject.read(session, "user"), subject.read(session, "cart"))).result
    assert seen == ("ann", "apple")


@row(*SIGN_IN, immune=SERVERS, vulnerable=naive(KeepsItsId), says="writes into the session")
def test_symfony_cve_2018_11385_who_has_the_old_id_writes_nothing_into_the_session(subject):
    visitor = subject.new()
    visitor.ask(lambda session: subject.put(session, "cart", "apple"))
    attacker = subject.new()
    attacker.cookies = dict(visitor.cookies)
    visitor.ask(lambda session: subject.renew(session))

    attacker.ask(lambda session: subject.put(session, "cart", "poison"))

    assert visitor.ask(lambda session: subject.read(session, "cart")).result == "apple", "the old id writes into the session"


@row(
    "starsessions 2.2.1: regenerate",
    "the old record stays in the store when the id changes",
    immune=through("memory", "file", doors=[*(door for door in DOORS if door is not C), ExpressSession]),
    vulnerable=naive(),
    says="the old id still reads",
)
def test_starsessions_regenerate_leaves_nothing_under_the_old_id(subject):
    visitor = subject.new()
    visitor.ask(lambda session: subject.put(session, "pre", 1))
    old = subject.new()
    old.cookies = dict(visitor.cookies)

    visitor.ask(lambda session: subject.renew(session))

    assert old.ask(lambda session: subject.every(session)).result == {}, "the old id still reads what was stored"
    assert visitor.ask(lambda session: subject.every(session)).result == {"pre": 1}
    assert subject.records() == 1, "the old record is still there"
