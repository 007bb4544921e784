"""Ids: how they are made, found and kept; what else lies in the store."""

import base64
import functools
import hashlib
import json
import os
import random
import re
import string
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from processes import MARK, strace
from test_hostile import hostile

import holdall
from gauntlet.doors import DOORS, C, DjangoOwn, Python, document, through
from gauntlet.row import Subject, row
from gauntlet.vulnerable import Naive, NaiveFiles, naive

# In every id that is sent, so that a path made of it is found.
CANARY = "gauntlet-canary"


class Traced:
    """A door in another process, under strace: what it asks of the file system while hostile ids come in."""

    def __init__(self, name):
        self.name = name

    def paths(self, ids):
        return asked_of_the_file_system(tuple(ids))[self.name]


@functools.cache
def asked_of_the_file_system(ids):
    """For each door the calls that name a file, without those of the sweep that traffic pays for."""
    with tempfile.TemporaryDirectory() as directory:
        listed, log = Path(directory, "ids"), Path(directory, "log")
        listed.write_text(json.dumps([one.decode("latin-1") for one in ids]))
        traced = strace(log, "-f", "--seccomp-bpf", "-e", f"trace=%file,{MARK}")
        done = subprocess.run(
            [*traced, sys.executable, "-m", "gauntlet.traced", directory, listed],
            cwd=Path(__file__).parent.parent,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        names = [line.removeprefix("sent ") for line in done.stdout.splitlines() if line.startswith("sent ")]
        parts = re.split(rf".*\b{MARK}\(.*\n", log.read_text(errors="replace"))
    # Before the first mark, and between the end of one door and the beginning of the next: imports and what is made once.
    assert len(parts) == 2 * len(names) + 1
    swept = re.compile(r'"(\.|quarantine|/[^"]*/sessions)"')
    return {
        name: [line for line in part.splitlines() if not swept.search(line)]
        for name, part in zip(names, parts[1::2], strict=True)
    }


def traced(*names):
    return [Subject(name, lambda directory, name=name: Traced(name)) for name in names]


@row(
    "CherryPy CVE-2008-0252, Django CVE-2011-0698, gorilla/sessions GO-2024-2730",
    "an id used as a path",
    immune=traced(*(door.name for door in DOORS)),
    vulnerable=traced(NaiveFiles.name),
    says="a path was made of an id",
)
def test_cherrypy_cve_2008_0252_an_id_is_no_path(subject, scaled):
    token = "NWUaWlYZ0uWHEdJGzyqqb5y1WFQMyeOqsmKyrIxzPxw"
    ids = [one for one in hostile(token, scaled(400, 5000)) if b"\0" not in one and b"\r" not in one and b"\n" not in one]
    ids += [f"{prefix}{CANARY}".encode() for prefix in ("", "/", "../", "../../", "%2e%2e%2f", "..\\", "./", "~/", "file:///")]

    asked = subject.paths(ids)

    assert asked == [], f"a path was made of an id: {len(asked)} calls, the first is {asked[:1]}"


@row(
    "Rack CVE-2019-16782, activerecord-session_store CVE-2019-25025",
    "a look-up by the raw id tells it by the time it takes",
    immune=through("file", doors=[Python]),
    vulnerable=naive(),
    says="kept under its id",
)
def test_rack_cve_2019_16782_what_is_looked_up_is_a_hash_of_the_id(subject, tmp_path):
    visitor = subject.new()
    visitor.ask(lambda session: subject.put(session, "k", 1))
    (sid,) = visitor.cookies.values()

    kept = list(subject.store) if isinstance(subject, Naive) else [path.name for path in (tmp_path / "sessions").iterdir()]

    assert not any(sid in name for name in kept), "a record is kept under its id"


class Lookups:
    """Times look-ups of ids that begin as a real one and of ids that do not."""

    def __init__(self, directory):
        self.manager = holdall.SessionManager(document("memory", directory))
        session = self.manager.open()
        session["k"] = 1
        self.token = session.id
        session.commit()

    def look_up(self, token):
        return self.manager.open_token(token).is_new


class ComparedLookups(Lookups):
    """Goes through the ids it has, character by character, and stops at the first that differs."""

    def look_up(self, token):
        for ours, given in zip(self.token, token, strict=True):
            if ours != given:
                return True
        return False


@row(
    "Rack CVE-2019-16782, activerecord-session_store CVE-2019-25025",
    "a look-up by the raw id tells it by the time it takes",
    immune=[Subject("memory", Lookups)],
    vulnerable=[Subject("compared", ComparedLookups)],
    says="Welch's t",
    only_torture=True,
)
def test_rack_cve_2019_16782_a_near_miss_takes_as_long_as_a_far_one(subject, figure):
    letters = string.ascii_letters + string.digits + "-_"
    dice = random.Random(2)
    # Both begin in one way every time, and are made alike: what the processor learns of its input is nothing of the store's.
    near, far = subject.token[:40], "".join(dice.choices(letters, k=40))

    def begun(prefix):
        return lambda: prefix + "".join(dice.choices(letters, k=2)) + "A"

    t = welch(begun(near), begun(far), subject.look_up, 100_000)

    assert abs(t) < 4.5, f"Welch's t is {t:.1f}: near misses take another time than far ones"
    figure("G", "memory", "Welch's t of 100,000 look-ups, near misses against far ones", f"{t:.1f}", "< 4.5 either way")


def welch(one, other, call, rounds):
    """Welch's t of the times that `call` takes for what the two make, as dudect does it: in random order, without the slowest tenth.

    The middle one of five: what lies where in memory, and what else runs, is another each time.
    """
    return sorted(welch_once(one, other, call, rounds, seed) for seed in range(5))[2]


def welch_once(one, other, call, rounds, seed):
    dice, times = random.Random(seed), ([], [])
    # Made before: what makes them leaves its own traces in caches.
    arguments = [(which, (one, other)[which]()) for which in (dice.randrange(2) for _ in range(rounds))]
    for which, argument in arguments:
        began = time.perf_counter_ns()
        call(argument)
        times[which].append(time.perf_counter_ns() - began)
    limit = sorted(times[0] + times[1])[int(rounds * 0.9)]
    kept = [[ns for ns in measured if ns <= limit] for measured in times]
    means = [sum(measured) / len(measured) for measured in kept]
    spread = [sum((ns - mean) ** 2 for ns in measured) / (len(measured) - 1) for measured, mean in zip(kept, means, strict=True)]
    return (means[0] - means[1]) / (spread[0] / len(kept[0]) + spread[1] / len(kept[1])) ** 0.5


class Tokens:
    """Checks CSRF tokens: the engine's comparison of secrets that a client sends."""

    def __init__(self, directory):
        self.session = holdall.SessionManager("memory:").open()
        self.right = base64.urlsafe_b64decode(self.session.csrf_token() + "==")

    def token(self, masked):
        """A token of these 64 bytes, a mask and a secret under it."""
        return base64.urlsafe_b64encode(masked).decode().rstrip("=")

    def check(self, token):
        return self.session.csrf_matches(token)


class ComparedTokens(Tokens):
    def check(self, token):
        given = base64.urlsafe_b64decode(token + "==")
        secret = bytes(mask ^ masked for mask, masked in zip(self.right[:32], self.right[32:], strict=True))
        for at in range(32):
            if given[at] ^ given[32 + at] != secret[at]:
                return False
        return True


@row(
    "Rack CVE-2013-0263",
    "a secret compared byte by byte, up to the first that differs",
    immune=[Subject("csrf", Tokens)],
    vulnerable=[Subject("compared", ComparedTokens)],
    says="Welch's t",
    only_torture=True,
)
def test_rack_cve_2013_0263_a_token_that_is_almost_right_takes_as_long(subject, figure):
    dice = random.Random(4)

    def wrong(at):
        masked = bytearray(subject.right)
        masked[32 + at] ^= dice.randrange(1, 256)
        return subject.token(bytes(masked))

    t = welch(lambda: wrong(31), lambda: wrong(0), subject.check, 100_000)

    assert abs(t) < 4.5, f"Welch's t is {t:.1f}: where a token differs shows in the time"
    figure("G", "memory", "Welch's t of 100,000 CSRF tokens, wrong in the first byte or the last", f"{t:.1f}", "< 4.5 either way")


EMPTY = ["", '""', "null", "None", "undefined", "0", "false", "%00", " "]


@row(
    "Django CVE-2015-3982",
    "an empty id that all who have none share",
    immune=through("memory", "file", "cookie"),
    vulnerable=naive(),
    says="another visitor's data",
)
def test_django_cve_2015_3982_no_two_visitors_share_an_empty_id(subject):
    for given in EMPTY:
        ann, ben = subject.new(), subject.new()
        ann.cookies = {subject.cookie_name: given}
        ann.ask(lambda session: subject.put(session, "who", "ann"))
        ben.cookies = {subject.cookie_name: given}

        seen = ben.ask(lambda session: subject.read(session, "who")).result

        assert seen is None, f"with the id {given!r} comes another visitor's data"


@row(
    "Django CVE-2015-3982",
    "an empty id that all who have none share",
    immune=through("memory", "file"),
    vulnerable=naive(),
    says="another visitor's data",
)
def test_django_cve_2015_3982_what_is_left_after_a_flush_is_nobodys(subject):
    ann = subject.new()
    ann.ask(lambda session: subject.put(session, "who", "ann"))
    kept = dict(ann.cookies)
    ann.ask(lambda session: subject.end(session))
    # The framework goes on with the session in the request after it.
    ann.cookies = kept
    ann.ask(lambda session: subject.put(session, "who", "ann"))

    for cookies in ({}, {subject.cookie_name: ""}, kept):
        ben = subject.new()
        ben.cookies = cookies
        assert ben.ask(lambda session: subject.read(session, "who")).result is None, "another visitor's data"


class OwnFiles:
    """The file driver, and an application that may write any file beside the sessions."""

    def __init__(self, directory):
        self.directory = directory / "sessions"
        self.manager = holdall.SessionManager(document("file", directory))

    def plant(self, sid, value):
        raw = base64.urlsafe_b64decode(sid + "=")
        names = [sid, raw.hex(), hashlib.sha256(b"holdall/id/v1" + raw).hexdigest()]
        for name in names:
            path = self.directory / name
            path.write_bytes(value)
            path.chmod(0o600)

    def read(self, sid):
        return self.manager.open_token(sid).all()


class SharedCache:
    """Django's sessions in the cache that the application uses for its own keys."""

    def __init__(self, directory):
        self.door = DjangoOwn({})

    def plant(self, sid, value):
        from django.core.cache import cache

        cache.set("django.contrib.sessions.cache" + sid, json.loads(value))

    def read(self, sid):
        visitor = self.door.new()
        visitor.cookies = {self.door.cookie_name: sid}
        return visitor.ask(lambda session: self.door.every(session)).result


@row(
    "Django CVE-2011-4136",
    "what the application keeps under a name of its users' choice is read as a session",
    immune=[Subject("file", OwnFiles)],
    vulnerable=[Subject("a shared cache", SharedCache)],
    says="reads as a session",
)
def test_django_cve_2011_4136_a_value_of_the_applications_is_no_session(subject):
    sid = base64.urlsafe_b64encode(bytes(range(32))).decode().rstrip("=")

    for value in (b'{"user": "admin"}', b'["user", "admin"]', b'"admin"', b"1"):
        subject.plant(sid, value)
        try:
            read = subject.read(sid)
        except holdall.CorruptError:
            continue
        except (TypeError, ValueError, AttributeError):
            # The framework fails over what is no dict.
            continue
        assert not read, "a value of the application's reads as a session"


@row(
    "TYPO3 CVE-2020-26228",
    "ids in the store as they are in the cookie",
    immune=through("file", "sealed", doors=[door for door in DOORS if door is not C]),
    vulnerable=[Subject(NaiveFiles.name, NaiveFiles)],
    says="opens a session",
)
def test_typo3_cve_2020_26228_nothing_in_the_store_opens_a_session(subject, tmp_path):
    for _ in range(20):
        subject.new().ask(lambda session: subject.put(session, "k", "kept"))
    stored = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(stored) >= 20

    # Each name, whole and from each dash on, and each run of 43 letters in what is stored.
    letters = (string.ascii_letters + string.digits + "-_").encode()
    tried = {name[at:] for name in (path.name for path in stored) for at in range(len(name)) if at == 0 or name[at - 1] == "-"}
    for path in stored:
        content = path.read_bytes()
        for at in range(len(content) - 42):
            piece = content[at : at + 43]
            if all(byte in letters for byte in piece):
                tried.add(piece.decode())
    for sid in tried:
        visitor = subject.new()
        visitor.cookies = {subject.cookie_name: sid}
        assert visitor.ask(lambda session: subject.read(session, "k")).result is None, "what is in the store opens a session"


class Listed:
    """The engine's list of records."""

    def __init__(self, directory, driver):
        self.manager = holdall.SessionManager(document(driver, directory))

    def make(self):
        session = self.manager.open()
        session["k"] = "kept"
        token = session.id
        session.commit()
        return token

    def handles(self):
        return [locator for locator, _, _ in self.manager.records()]

    def opens(self, token):
        return not self.manager.open_token(token).is_new

    def destroy(self, handle):
        return self.manager.destroy(handle)


class ListedRaw(Listed):
    """django-user-sessions before 1.7.1 put the session's key into the page that ends it."""

    def __init__(self, directory):
        super().__init__(directory, "memory")
        self.made = []

    def make(self):
        self.made.append(super().make())
        return self.made[-1]

    def handles(self):
        return self.made


@row(
    "django-user-sessions CVE-2020-5224",
    "the page that ends a session shows its id",
    immune=[Subject(driver, lambda directory, driver=driver: Listed(directory, driver)) for driver in ("memory", "file")],
    vulnerable=[Subject("raw", ListedRaw)],
    says="is an id",
)
def test_django_user_sessions_cve_2020_5224_a_list_shows_handles(subject):
    tokens = [subject.make() for _ in range(10)]

    handles = subject.handles()

    assert len(handles) == 10
    assert not any(subject.opens(handle) for handle in handles), "what the list shows is an id"
    assert not set(handles) & set(tokens), "what the list shows is an id"
    # And still they are good for what they are for.
    assert all(subject.destroy(handle) for handle in handles)
    assert not any(subject.opens(token) for token in tokens)


class Ids:
    def __init__(self, directory):
        self.manager = holdall.SessionManager("memory:")

    def draw(self):
        return self.manager.open().id


class HalfTheAlphabet:
    """nano-id before 0.4: a mask that was a bit too short."""

    def __init__(self, directory):
        self.alphabet = string.ascii_letters + string.digits + "-_"

    def draw(self):
        return "".join(self.alphabet[byte & 0x1F] for byte in os.urandom(43))


class Counted:
    """A generator that is seeded by the clock."""

    def __init__(self, directory):
        self.seed = 0

    def draw(self):
        self.seed = (self.seed + 1) % 5000
        return base64.urlsafe_b64encode(random.Random(self.seed).randbytes(32)).decode().rstrip("=")


@row(
    "nano-id RUSTSEC-2024-0343",
    "ids that use a part of their alphabet, or repeat",
    immune=[Subject("ids", Ids)],
    vulnerable=[Subject("half the alphabet", HalfTheAlphabet), Subject("a small seed", Counted)],
    says="of the alphabet|drawn twice",
)
def test_nano_id_rustsec_2024_0343_every_letter_is_as_likely_in_every_place(subject, scaled, figure):
    number = scaled(20_000, 1_000_000)
    ids = [subject.draw() for _ in range(number)]
    letters = string.ascii_letters + string.digits + "-_"

    assert {len(one) for one in ids} == {43}
    worst = 0.0
    for at in range(43):
        # 32 bytes leave the last character four bits: every fourth letter.
        possible = letters if at < 42 else "AEIMQUYcgkosw048"
        seen = Counter(one[at] for one in ids)
        assert set(seen) == set(possible), f"place {at} uses {len(seen)} letters of the alphabet"
        expected = number / len(possible)
        chi = sum((count - expected) ** 2 / expected for count in seen.values())
        # Chi-square with 63 and 15 degrees of freedom exceeds these once in 10^12 times.
        assert chi < (180 if at < 42 else 95), f"place {at}: chi-square of the alphabet {chi:.0f}"
        worst = max(worst, chi if at < 42 else 0)
    assert len(set(ids)) == number, "an id was drawn twice"
    figure("G", "all", "ids drawn: repeated; the worst chi-square of 64 letters in 42 places", f"0 of {number:,}; {worst:.0f}", "0; < 180")
