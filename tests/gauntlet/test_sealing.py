"""Sealing, keys and formats: what is read from a cookie or a store is data, whoever wrote it."""

import base64
import hashlib
import hmac
import itertools
import json
import os
import pickle
import random
import re
import secrets
import string
import urllib.parse
from pathlib import Path

import xxhash
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

import holdall
from gauntlet.doors import KEYS, Answer, Masonite, MasoniteOwn, document, own, through
from gauntlet.row import Subject, row
from gauntlet.test_ids import welch
from gauntlet.vulnerable import Naive

ROOT = Path(__file__).resolve().parents[2]
LETTERS = string.ascii_letters + string.digits + "-_"


class Sealed:
    """Cookies that hold what they hold, and what comes back of them."""

    def __init__(self, directory=None, keys=KEYS, cookie_name="sid", driver=None, **fields):
        drivers = {"default": "c", "drivers": {"c": {"type": "cookie", **(driver or {})}, "other": {"type": "cookie"}}}
        fields = {"keys": keys, "cookie": {"name": cookie_name, "secure": False}, "application": "shop", **fields}
        self.manager = holdall.SessionManager({**drivers, **fields})

    def seal(self, data, manager=None, **when):
        """The token of a session with this data."""
        session = (manager or self.manager).open(**when)
        session.update(data)
        return token_in(session.commit(**when).headers)

    def open(self, token, **when):
        """The data behind a token, and {} where it is absent."""
        return self.manager.open_token(token, mode="read_only", **when).all()

    def used(self, token, **when):
        """The token after a request that keeps the session alive."""
        session = self.manager.open_token(token, **when)
        session.touch()
        return token_in(session.commit(**when).headers) or token


def token_in(headers):
    """The token that a response sets, None where it sets none."""
    line = dict(headers).get("Set-Cookie")
    return line and line.partition("=")[2].partition(";")[0]


def decoded(token):
    return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))


def encoded(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


ADMIN = {"user": "ann", "admin": True}


class FallsBack:
    """rack-session before 2.1.2: what does not open is read as the older format, which nobody sealed."""

    def seal(self, data):
        body = json.dumps(data).encode()
        return encoded(hmac.digest(KEYS[0].encode(), body, "sha256") + body)

    def open(self, token):
        try:
            raw = decoded(token)
        except ValueError:
            return {}
        tag, body = raw[:32], raw[32:]
        if hmac.compare_digest(hmac.digest(KEYS[0].encode(), body, "sha256"), tag):
            return json.loads(body)
        for form in (raw, token.encode()):
            try:
                data = json.loads(form)
                return data if isinstance(data, dict) else {}
            except ValueError:
                continue
        return {}


class LooseBase64(Sealed):
    """webob: an altered token that decodes to the same bytes is another token of the same session."""

    def open(self, token):
        try:
            return super().open(encoded(decoded(token.strip().replace("+", "-").replace("/", "_"))))
        except ValueError:
            return {}


UNSEALED = ("rack-session CVE-2026-39324", "what does not open is read by a decoder that asks for no seal")


@row(*UNSEALED, immune=[Subject("cookie", Sealed)], vulnerable=[Subject("falls back", lambda directory: FallsBack())], says="was read")
def test_rack_session_cve_2026_39324_what_nobody_sealed_is_absent(subject, scaled, figure):
    assert subject.open(subject.seal(ADMIN)) == ADMIN
    text = json.dumps(ADMIN).encode()
    plain = [text, text * 2, b"\x01" + text, b"\x00" * 24 + text, b"HLDR" + text, pickle.dumps(ADMIN), urllib.parse.quote(text).encode()]
    tokens = [form.decode("latin-1") for form in plain] + [encoded(form) for form in plain]
    tokens += [base64.b64encode(form).decode() for form in plain] + [form.hex() for form in plain]
    tokens += [f"{encoded(form)}.{encoded(bytes(32))}" for form in plain] + [f"{encoded(form)}--{'0' * 40}" for form in plain]
    # JWT without a signature, Fernet, Rails, Flask.
    head = encoded(b'{"alg":"none","typ":"JWT"}')
    tokens += [f"{head}.{encoded(text)}.", f"{head}.{encoded(text)}.x", encoded(b"\x80" + bytes(24) + text), f"{encoded(text)}.aa.bb"]
    dice = random.Random(11)
    while len(tokens) < scaled(10_000, 100_000):
        tokens.append(encoded(bytes([dice.choice([0, 1, 2, 255])]) + dice.randbytes(dice.randint(0, 200))))

    for token in tokens:
        assert subject.open(token) == {}, f"a token that nobody sealed was read: {token[:40]}"
    figure("G", "cookie", "tokens that nobody sealed and that were read", f"0 of {len(tokens):,}", "0")


@row(*UNSEALED, immune=[Subject("cookie", Sealed)], vulnerable=[Subject("loose", LooseBase64)], says="was read")
def test_rack_session_cve_2026_39324_every_bit_every_cut_and_every_other_form_is_absent(subject, figure):
    token = subject.seal(ADMIN)
    raw = decoded(token)
    assert subject.open(token) == ADMIN
    altered = set()
    for bit in range(8 * len(raw)):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << (bit % 8)
        altered.add(encoded(bytes(changed)))
    for at in range(len(token)):
        altered |= {token[:at], token[at:], token[:at] + token[at + 1 :]}
        # Each letter by each other one: also those that differ in no byte, only in the bits that are left over at the end.
        altered |= {token[:at] + letter + token[at + 1 :] for letter in LETTERS}
    altered |= {token + more for more in [*LETTERS, "=", "==", ".", " A", "\n", "%3D", "AA", "AAAA", token]}
    altered |= {f"{before}{token}" for before in ("A", "=", "v1.", ".", "2.", "AAAA")}
    altered |= {encoded(raw[::-1]), encoded(raw + bytes(16)), encoded(bytes(16) + raw), token.swapcase(), token.upper(), f'"{token}"'}
    altered |= {token.replace("-", "+").replace("_", "/"), base64.b64encode(raw).decode(), raw.hex()}
    altered -= {token, token[0:]}

    for one in altered:
        assert subject.open(one) == {}, "an altered token was read"
    assert len(altered) > 10_000
    figure("G", "cookie", "altered tokens that were read: every bit, cut and letter", f"0 of {len(altered):,}", "0")


class OtherKeys(Sealed):
    """The same site with other keys, another name, another application, another driver."""

    def others(self):
        others = {
            "another key": Sealed(keys=[holdall.generate_key()]),
            "another application": Sealed(application="forum"),
            "no application": Sealed(application=""),
            "another cookie": Sealed(cookie_name="other"),
            "a part of the name": Sealed(cookie_name="sid.1"),
        }
        seals = {what: (lambda other=other: other.seal(ADMIN)) for what, other in others.items()}
        return seals | {"another driver": lambda: self.seal(ADMIN, self.manager.driver("other"))}


class OneKeyForAll(FallsBack):
    """Airflow before 1.10.15 delivered one key to all; CodeIgniter before 4.2.7 used one for all of its cookies."""

    def others(self):
        return {"another site": lambda: self.seal(ADMIN)}


SHARED = ("Laravel APP_KEY leaks, Airflow CVE-2020-17526", "a key that is known or shared opens another site's sessions")
OTHERS = {"immune": [Subject("cookie", OtherKeys)], "vulnerable": [Subject("one key", lambda directory: OneKeyForAll())]}


@row(*SHARED, **OTHERS, says="opens here")
def test_airflow_cve_2020_17526_what_another_site_sealed_opens_in_none(subject):
    for what, seal in subject.others().items():
        for _ in range(20):
            assert subject.open(seal()) == {}, f"a token of {what} opens here"


class Ring:
    """Which keys a manager takes."""

    def __init__(self, directory):
        pass

    def takes(self, *keys):
        try:
            holdall.SessionManager("cookie:") if not keys else holdall.SessionManager({"url": "cookie:"}, keys=list(keys))
        except holdall.InvalidConfigError as error:
            assert not any(len(key) > 6 and key in str(error) for key in keys)
            return False
        return True


class AnyRing(Ring):
    """What was taken for a key, where anything is."""

    def takes(self, *keys):
        return True


@row(*SHARED, immune=[Subject("cookie", Ring)], vulnerable=[Subject("any", AnyRing)], says="was taken")
def test_laravel_app_key_leaks_what_can_be_guessed_is_no_key_and_there_is_none_by_default(subject):
    texts = ["", "secret", "changeme", "SomeRandomString", "temporary_key", "base64:" + "A" * 43, "a password of 32 characters, it!"]
    texts += ["0123456789abcdef" * 2, "0123456789abcdef" * 4, "x" * 43, "A" * 43, "_" * 42 + "8", "1" * 42 + "0"]
    raw = [bytes(32), b"\xff" * 32, b"a password of 32 characters, it!", b"0123456789abcdef" * 2, b"SomeRandomStringSomeRandomString"]
    raw += [bytes(range(32)), bytes(range(1, 33)), bytes(range(255, 223, -1)), bytes(range(0, 224, 7))]
    raw += [bytes(range(1, 9)) * 4, bytes(16), bytes(range(31)), bytes(range(33)), secrets.token_bytes(16), secrets.token_bytes(31)]
    raw += [secrets.token_bytes(33), secrets.token_bytes(64), secrets.token_hex(16).encode(), secrets.token_urlsafe(24).encode()]
    for key in [*texts, *(encoded(one) for one in raw), *(base64.b64encode(one).decode() for one in raw)]:
        assert not subject.takes(key), f"{key!r} was taken for a key"
    assert not subject.takes(), "nothing was taken for a key"
    assert subject.takes(encoded(secrets.token_bytes(32))) and subject.takes(holdall.generate_key())


class Rotating:
    def __init__(self, directory):
        self.old, self.new = holdall.generate_key(), holdall.generate_key()

    def ring(self, *keys):
        return Sealed(keys=list(keys))


class NeverRotated(Rotating):
    """A key that cannot be replaced without losing every session, so that nobody does."""

    def ring(self, *keys):
        return Sealed(keys=[keys[0]])


@row(*SHARED, immune=[Subject("cookie", Rotating)], vulnerable=[Subject("one key", NeverRotated)], says="signed the visitor out")
def test_laravel_app_key_leaks_a_key_is_replaced_without_signing_anybody_out(subject):
    before = subject.ring(subject.old)
    between = subject.ring(subject.new, subject.old)
    after = subject.ring(subject.new)
    token = before.seal(ADMIN)

    assert between.open(token) == ADMIN, "a new key has signed the visitor out"
    # Under the old key still, and gone with it.
    assert after.open(token) == {}
    # Whatever the visitor does next, it comes under the new one.
    session = between.manager.open_token(token)
    assert session["user"] == "ann"
    renewed = token_in(session.commit().headers)
    assert renewed != token and after.open(renewed) == ADMIN and before.open(renewed) == {}


class Purposes(Sealed):
    """Whatever else the engine makes under its keys."""

    def __init__(self, directory):
        super().__init__(application="")
        self.directory = directory / "sessions"
        rest = {"url": f"file://{self.directory}", "at_rest": "sealed", "keys": KEYS, "cookie": {"name": "sid", "secure": False}}
        self.at_rest = holdall.SessionManager(rest)

    def made(self):
        session = self.at_rest.open()
        session.update(ADMIN)
        csrf = session.csrf_token()
        session.commit()
        (file,) = (path.read_bytes() for path in self.directory.iterdir() if len(path.name) == 64)
        begin = file.index(b"\xffHDE")
        tokens = {"CSRF token": csrf, "id": session.id}
        # A sealed record of the file, cut out in every way, with the version byte of a token before it.
        for start in range(begin, begin + 8):
            for end in range(len(file) - 1, begin + 60, -7):
                tokens[f"record {start} {end}"] = encoded(file[start:end])
                tokens[f"record v1 {start} {end}"] = encoded(b"\x01" + file[start:end])
        return tokens


class OnePurpose(FallsBack):
    """CodeIgniter before 4.2.7: cookies of one key pass for each other."""

    def made(self):
        return {"remember-me cookie": self.seal({"user": "ann"})}


PURPOSE = ("CodeIgniter CVE-2022-46170", "one key for several purposes: what was made for one passes for another")


@row(*PURPOSE, immune=[Subject("cookie", Purposes)], vulnerable=[Subject("one", lambda directory: OnePurpose())], says="passes for")
def test_codeigniter_cve_2022_46170_what_was_sealed_for_another_purpose_is_no_session(subject):
    for what, token in subject.made().items():
        assert subject.open(token) == {}, f"a {what} passes for a session"


class StaticNonce(FallsBack):
    """starsessions before 2.2.2: AES-GCM with one nonce for all."""

    def seal(self, data):
        return encoded(b"\x01" + bytes(24) + json.dumps(data).encode() + bytes(16))


def nonces_of(seal, number):
    return [decoded(seal({"k": 1}))[1:25] for _ in range(number)]


@row(
    "starsessions 2.2.1: encryption",
    "one nonce for every message",
    immune=[Subject("cookie", Sealed)],
    vulnerable=[Subject("static", lambda directory: StaticNonce())],
    says="used twice",
)
def test_starsessions_no_nonce_is_used_twice_not_even_in_a_child(subject, scaled, figure):
    number = scaled(20_000, 1_000_000)
    nonces = nonces_of(subject.seal, number)
    for _ in range(4):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                with os.fdopen(writing, "wb") as out:
                    out.write(b"".join(nonces_of(subject.seal, 100)))
                status = 0
            finally:
                os._exit(status)
        os.close(writing)
        with os.fdopen(reading, "rb") as file:
            theirs = file.read()
        assert os.waitpid(child, 0)[1] == 0
        nonces += [theirs[at : at + 24] for at in range(0, len(theirs), 24)]

    assert len(nonces) == number + 400
    assert len(set(nonces)) == len(nonces), "a nonce was used twice"
    figure("G", "cookie", "nonces used twice, 400 of them drawn in forked children", f"0 of {number:,}", "0")


class Ecb(Sealed):
    """Beaker before 1.6.4: AES in its plainest mode."""

    def seal(self, data):
        cipher = Cipher(algorithms.AES256(bytes(32)), modes.ECB()).encryptor()
        body = json.dumps(data).encode()
        return encoded(cipher.update(body + bytes(-len(body) % 16)) + cipher.finalize())


@row("Beaker CVE-2012-3458", "AES-ECB", immune=[Subject("cookie", Sealed)], vulnerable=[Subject("ecb", Ecb)], says="look equal")
def test_beaker_cve_2012_3458_equal_text_never_looks_equal(subject):
    data = {"k": "0123456789abcdef" * 100}
    one, other = decoded(subject.seal(data)), decoded(subject.seal(data))

    blocks = [text[at : at + 16] for text in (one, other) for shift in range(16) for at in range(shift, len(text) - 15, 16)]

    assert len(blocks) > 3000
    assert len(set(blocks)) == len(blocks), "equal blocks look equal"
    assert b"0123456789abcdef" not in one + other


class ForEver(FallsBack):
    """@fastify/secure-session before 7.3.0, aiohttp-session before 2.7.0: sealed, and good for ever."""

    def seal(self, data, now_ms):
        return super().seal(data)

    def open(self, token, now_ms):
        return super().open(token)

    def used(self, token, now_ms):
        return token


LIMITS = {"idle_timeout_s": 60, "new_idle_timeout_s": 60, "absolute_timeout_s": 600}


@row(
    "@fastify/secure-session CVE-2024-31999, aiohttp-session CVE-2018-1000814",
    "a sealed cookie is good for ever",
    immune=[Subject("cookie", lambda directory: Sealed(**LIMITS))],
    vulnerable=[Subject("for ever", lambda directory: ForEver())],
    says="after its end",
)
def test_fastify_secure_session_cve_2024_31999_a_cookie_kept_past_its_end_is_absent(subject, scaled, figure):
    began, number = 1_800_000_000_000, scaled(200, 10_000)
    tokens = [subject.seal(ADMIN, now_ms=began + at) for at in range(number)]

    assert all(subject.open(token, now_ms=began + 59_000) == ADMIN for token in tokens)
    for later_s in (61, 600, 86_400, 10**9):
        for at, token in enumerate(tokens):
            assert subject.open(token, now_ms=began + at + later_s * 1000) == {}, f"{later_s} s: read after its end"
    figure("G", "cookie", "cookies brought again after their end and read", f"0 of {4 * number:,}", "0")


@row(
    "@fastify/secure-session CVE-2024-31999, aiohttp-session CVE-2018-1000814",
    "a sealed cookie is good for ever",
    immune=[Subject("cookie", lambda directory: Sealed(**LIMITS))],
    vulnerable=[Subject("for ever", lambda directory: ForEver())],
    says="after its end",
)
def test_fastify_secure_session_cve_2024_31999_nor_does_use_prolong_it_beyond_its_absolute_end(subject):
    began = 1_800_000_000_000
    token = subject.seal(ADMIN, now_ms=began)
    for later_s in range(30, 600, 30):
        assert subject.open(token, now_ms=began + later_s * 1000) == ADMIN
        token = subject.used(token, now_ms=began + later_s * 1000)
    assert subject.open(token, now_ms=began + 600_000) == {}, "read after its end"


def chunked(**fields):
    return Sealed(driver={"overflow": "chunk", "max_parts": 4}, **fields)


class Chunks:
    """Sessions in several cookies."""

    def __init__(self, directory):
        self.sealed = chunked()

    def cookies(self, who, size):
        """The cookies of a new session, and what is in it."""
        # Random letters: nothing that repeats, so that a mixture would not go unnoticed.
        data = {"who": who, "text": secrets.token_urlsafe(size)[:size], "again": who}
        session = self.sealed.manager.open()
        session.update(data)
        lines = [value for name, value in session.commit().headers if name == "Set-Cookie"]
        assert all(len(line) <= 4096 for line in lines)
        return dict(line.partition(";")[0].split("=", 1) for line in lines), data

    def read(self, cookies):
        header = "; ".join(f"{name}={value}" for name, value in cookies)
        return self.sealed.manager.open(header, mode="read_only").all()


class Pasted(Chunks):
    """Parts that are put together as they come, each sealed for itself or not at all."""

    def cookies(self, who, size):
        data = {"who": who, "text": secrets.token_urlsafe(size)[:size], "again": who}
        text = json.dumps(data)
        step = -(-len(text) // 3)
        parts = [base64.urlsafe_b64encode(text[at : at + step].encode()).decode().rstrip("=") for at in range(0, len(text), step)]
        return {f"sid.{at}" if at else "sid": part for at, part in enumerate(parts)}, data

    def read(self, cookies):
        text = b"".join(decoded(value) for _, value in sorted(dict(cookies).items()))
        try:
            return json.loads(text)
        except ValueError:
            return {}


@row(
    "chunked cookies: missing, foreign and mixed parts",
    "parts of two sessions make a third one",
    immune=[Subject("chunks", Chunks)],
    vulnerable=[Subject("pasted", Pasted)],
    says="a mixture",
)
def test_chunked_cookies_of_missing_foreign_and_mixed_parts_nothing_is_made(subject, scaled, figure):
    dice, number, whole = random.Random(12), scaled(2000, 100_000), 0
    sessions = [subject.cookies(f"visitor {at}", 7000) for at in range(6)] + [subject.cookies("small", 3500)]
    known = [data for _, data in sessions]
    every = [pair for cookies, _ in sessions for pair in cookies.items()]
    for cookies, data in sessions:
        pairs = list(cookies.items())
        for order in itertools.permutations(pairs):
            assert subject.read(order) == data
        for at in range(len(pairs)):
            assert subject.read(pairs[:at] + pairs[at + 1 :]) == {}, "a mixture, or a part of one"
    # Each part of one in the place of another's.
    (one, own), (other, theirs) = sessions[:2]
    for chosen in itertools.product((one, other), repeat=len(one)):
        read = subject.read([(name, which[name]) for name, which in zip(one, chosen, strict=True)])
        assert read in ({}, own, theirs), "a mixture"
        assert read == {} or len({id(which) for which in chosen}) == 1, "a mixture"
    for _ in range(number):
        pairs = dice.choices(every, k=dice.randint(1, 8))
        if dice.random() < 0.3:
            name, value = dice.choice(pairs)
            pairs.append((f"sid.{dice.randint(0, 17)}", value[: dice.randint(0, len(value))]))
        read = subject.read(pairs)
        whole += read != {}
        assert read == {} or read in known, "a mixture"
    assert whole
    figure("G", "cookie", "mixed parts of several sessions that made one of their own", f"0 of {number:,}", "0")


class Sizes(Sealed):
    """A session as large as the text in it. What becomes of the line."""

    def __init__(self, directory):
        super().__init__()

    def line(self, size):
        """The line, or None where it is an error that says both sizes."""
        session = self.manager.open()
        # Random, as what is sealed would be.
        session["k"] = "x" * size
        try:
            headers = session.commit().headers
        except holdall.TooLargeError as error:
            assert len(re.findall(r"\d{4}", str(error))) >= 2, error
            return None
        return dict(headers)["Set-Cookie"]


class Dropped(Sizes):
    """starsessions before 2.2.2: the line is sent as long as it is."""

    def line(self, size):
        return "sid=" + encoded(bytes(size + 130)) + "; Path=/"


@row(
    "starsessions 2.2.1: a cookie over 4096 bytes",
    "a line that is too long is dropped by the browser, and the session with it",
    immune=[Subject("cookie", Sizes)],
    vulnerable=[Subject("dropped", Dropped)],
    says="longer than browsers keep",
)
def test_starsessions_a_session_that_does_not_fit_its_cookie_is_an_error(subject):
    lengths = {}
    for size in range(2600, 3200):
        line = subject.line(size)
        if line is not None:
            lengths[size] = len(line)
            assert len(line) <= 4096, f"{len(line)} bytes: longer than browsers keep"
    # All that fit come first, and they come close.
    assert list(lengths) == list(range(2600, 2600 + len(lengths)))
    assert 2600 < max(lengths) < 3199 and max(lengths.values()) > 4096 - 60


@row(
    "ASVS 9.1.1, 9.1.2, 9.1.3",
    "a seal comes before the content; algorithms and keys are ours to choose",
    immune=[Subject("cookie", Sealed)],
    vulnerable=[Subject("falls back", lambda directory: FallsBack())],
    says="chose",
)
def test_asvs_9_1_no_token_chooses_its_own_algorithm_or_key(subject):
    raw = decoded(subject.seal(ADMIN))
    for first in range(256):
        if first != raw[0]:
            assert subject.open(encoded(bytes([first]) + raw[1:])) == {}, "a token chose its version"
    body = json.dumps(ADMIN).encode()
    for algorithm in ("none", "None", "HS256", "dir"):
        head = {"alg": algorithm, "enc": "A256GCM", "kid": "0", "jwk": {"kty": "oct", "k": encoded(b"k" * 32)}}
        for token in (f"{encoded(json.dumps(head).encode())}.{encoded(body)}.", encoded(json.dumps({**head, **ADMIN}).encode())):
            assert subject.open(token) == {}, "a token chose its algorithm"


@row(
    "ASVS 9.2.1, 9.2.2, 9.2.3, 9.2.4",
    "a span of validity, a type and an audience are in the seal",
    **OTHERS,
    says="for this audience",
)
def test_asvs_9_2_a_token_is_for_one_audience_and_one_time(subject):
    for what, seal in subject.others().items():
        assert subject.open(seal()) == {}, f"a token of {what} is taken to be for this audience"
    token = subject.seal(ADMIN)
    assert subject.open(token) == ADMIN
    assert subject.open(token, now_ms=2**42) == {}, "a token outlived its span"


@row(
    "Masonite 4 and 5: forged s_ cookies",
    "a value that does not decipher is taken as it is",
    immune=through("cookie", doors=[Masonite]),
    vulnerable=own(MasoniteOwn),
    says="was believed",
)
def test_masonite_a_forged_plain_cookie_is_absent(subject):
    for header in ("s_admin=forged", "s_admin=true; f_notice=x", 's_admin="1"', "SESSID=AAAAAAAAAA; s_admin=forged"):
        seen = subject.ask(lambda session: subject.read(session, "admin"), header).result
        assert seen is None, f"{seen!r} was believed"


class AtRest:
    """Sealed files, and somebody who can read and write the directory."""

    def __init__(self, directory, at_rest="sealed_only"):
        self.directory = directory / "sessions"
        self.manager = holdall.SessionManager({"url": f"file://{self.directory}", "at_rest": at_rest, "keys": KEYS})

    def make(self, data):
        before = set(self.files())
        session = self.manager.open()
        session.update(data)
        session.commit()
        (file,) = set(self.files()) - before
        return session.id, file

    def files(self):
        return [path for path in self.directory.iterdir() if len(path.name) == 64]

    def read(self, token):
        try:
            return self.manager.open_token(token, mode="read_only").all()
        except (holdall.CorruptError, holdall.UnsupportedError):
            return None


class PlainAtRest(AtRest):
    """Files as they are without it: anybody who can write them can make a session."""

    def __init__(self, directory):
        super().__init__(directory, at_rest="plain")


@row(
    "cheat sheet: storage",
    "others on the machine read the sessions",
    immune=[Subject("sealed", AtRest)],
    vulnerable=[Subject("plain", PlainAtRest)],
    says="is in the file",
)
def test_cheat_sheet_with_encryption_at_rest_a_file_tells_nothing(subject):
    for at in range(20):
        _, file = subject.make({"canary-key": f"canary-value-{at}"})
        assert b"canary" not in file.read_bytes(), "what the session holds is in the file"


@row(
    "cheat sheet: storage",
    "others on the machine read the sessions",
    immune=[Subject("sealed", AtRest)],
    vulnerable=[Subject("plain", PlainAtRest)],
    says="was believed",
)
def test_cheat_sheet_with_encryption_at_rest_no_altered_or_forged_file_is_believed(subject, scaled, figure):
    guest = {"role": "guest", "k": 1}
    token, file = subject.make(guest)
    whole = file.read_bytes()
    body = body_of(whole)
    assert subject.read(token) == guest
    assert with_body(whole, body) == whole[: len(with_body(whole, body))]
    # A record in the clear, as whoever has read the documents writes it.
    plain = PlainAtRest(file.parent.parent / "elsewhere")
    _, theirs = plain.make({**guest, "role": "admin"})
    number = scaled(500, 10_000)
    dice, forged = random.Random(13), [body_of(theirs.read_bytes())]
    # Another's record, sealed and whole; and every bit of the own one, or many of them.
    forged.append(body_of(subject.make({"role": "admin"})[1].read_bytes()))
    for at in range(number):
        changed = bytearray(body)
        bit = at % (8 * len(body))
        changed[bit // 8] ^= 1 << (bit % 8)
        if at >= 8 * len(body):
            changed[dice.randrange(len(body))] ^= dice.randrange(1, 256)
        forged.append(bytes(changed))
    forged += [body[:length] for length in range(len(body))]

    for one in forged:
        file.write_bytes(with_body(whole, one))
        file.chmod(0o600)
        read = subject.read(token)
        assert read in (None, {}), f"a forged record was believed: {read}"
    file.write_bytes(whole)
    assert subject.read(token) == guest
    figure("G", "file", "forged records, their checksums right, that a seal at rest believed", f"0 of {len(forged):,}", "0")


HEADER_BYTES = 88


def body_of(content):
    """The record in the first slot of a file (docs/format.md)."""
    return content[HEADER_BYTES : HEADER_BYTES + int.from_bytes(content[12:16], "little")]


def with_body(content, body):
    """The file with another record in its first slot, and the checksums that belong to it: they have no key."""
    place = int.from_bytes(content[8:12], "little")
    head = bytearray(content[:72])
    head[12:16] = len(body).to_bytes(4, "little")
    head += xxhash.xxh3_64_intdigest(body).to_bytes(8, "little")
    head += xxhash.xxh3_64_intdigest(bytes(head)).to_bytes(8, "little")
    return bytes(head) + body + bytes(2 * place - HEADER_BYTES - len(body))


class Tags:
    """Opens tokens whose tag is wrong in one place."""

    def __init__(self, directory):
        self.sealed = Sealed()
        self.token = decoded(self.sealed.seal(ADMIN))

    def wrong(self, at, by):
        tag = len(self.token) - 16
        return encoded(self.token[: tag + at] + bytes([self.token[tag + at] ^ by]) + self.token[tag + at + 1 :])

    def check(self, token):
        return self.sealed.manager.open_token(token).is_new


class ComparedTags(Tags):
    def check(self, token):
        for ours, given in zip(self.token[-16:], decoded(token)[-16:], strict=True):
            if ours != given:
                return True
        return False


@row(
    "Rack CVE-2013-0263",
    "a secret compared byte by byte, up to the first that differs",
    immune=[Subject("seal", Tags)],
    vulnerable=[Subject("compared", ComparedTags)],
    says="Welch's t",
    only_torture=True,
)
def test_rack_cve_2013_0263_a_tag_that_is_almost_right_takes_as_long(subject, figure):
    dice = random.Random(14)

    t = welch(lambda: subject.wrong(15, dice.randrange(1, 256)), lambda: subject.wrong(0, dice.randrange(1, 256)), subject.check, 100_000)

    assert abs(t) < 4.5, f"Welch's t is {t:.1f}: where a tag differs shows in the time"
    what = "Welch's t of 100,000 sealed cookies, their tag wrong in the first byte or the last"
    figure("G", "cookie", what, f"{t:.1f}", "< 4.5 either way")


class Touch:
    """What it is when it is unpickled: a file that is made."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


def gadgets(canary):
    """Objects of many languages, that do something when they are read as such; those of Python would make the canary."""
    command = f"touch {canary}"
    texts = [pickle.dumps(Touch(canary), protocol) for protocol in range(6)]
    texts += [f"cposix\nsystem\n(S'{command}'\ntR.".encode(), f"c__builtin__\neval\n(S'open({str(canary)!r}, \"w\")'\ntR.".encode()]
    # PHP.
    texts += [b'O:8:"Monolog":1:{s:4:"call";s:6:"system";}', b'a:1:{i:0;O:12:"PDOStatement":0:{}}', b'C:11:"ArrayObject":21:{x:i:0;}']
    # Ruby, Java, .NET, Node.
    texts += [b"\x04\x08o:\x1bGem::Requirement\x06:\x10@requirements[\x00", b"\x04\x08i\x02\xff\x7f"]
    texts += [b"\xac\xed\x00\x05sr\x00\x11java.util.HashMap"]
    texts += [b"\x00\x01\x00\x00\x00\xff\xff\xff\xff\x01" + bytes(7), b'{"$type":"System.Windows.Data.ObjectDataProvider"}']
    texts += [f'{{"x":"_$$ND_FUNC$$_function(){{require(`child_process`).exec(`{command}`)}}()"}}'.encode()]
    # YAML and JSON with types beside the values.
    texts += [f"!!python/object/apply:os.system ['{command}']".encode()]
    texts += [f'{{"py/reduce":[{{"py/function":"os.system"}},["{command}"]]}}'.encode()]
    texts += [b'{"__proto__":{"admin":true}}', b'{"constructor":{"prototype":{"admin":true}}}']
    texts += [b'{"__class__":"os._wrap_close"}', b'{"@type":"x"}']
    return texts


class Unpickles(Naive):
    """Beaker before 1.13, Django's PickleSerializer: the cookie is an object."""

    def ask(self, act, cookie="", **environ):
        value = cookie.partition("=")[2]
        try:
            data = pickle.loads(base64.b64decode(value))
        except Exception:
            data = {}
        result = act(data if isinstance(data, dict) else {})
        return Answer(200, [], str(result), result)


OBJECTS = (
    "Beaker CVE-2013-7489, Laravel CVE-2018-15133 and 2020-07-27, Joomla CVE-2015-8566, PHP CVE-2015-6835, Tomcat CVE-2020-9484",
    "what is stored is read as objects, and runs",
)


@row(
    *OBJECTS,
    immune=through("memory", "file", "cookie"),
    vulnerable=[Subject("unpickles", lambda directory: Unpickles())],
    says="code ran",
)
def test_beaker_cve_2013_7489_an_object_in_the_cookie_is_an_absent_session(subject, tmp_path):
    canary = tmp_path / "canary"
    for gadget in gadgets(canary):
        quoted = gadget.decode("latin-1").encode("unicode_escape")
        for value in (base64.b64encode(gadget), base64.urlsafe_b64encode(gadget).rstrip(b"="), quoted):
            cookie = f"{subject.cookie_name}={value.decode()}"
            assert subject.ask(lambda session: subject.every(session), cookie).result == {}
            assert not canary.exists(), "code ran that was in a cookie"


class Files:
    """The file driver, and somebody who writes under a session's name."""

    def __init__(self, directory):
        self.directory = directory / "sessions"
        self.manager = holdall.SessionManager(document("file", directory))

    def read_planted(self, content):
        """What a session reads whose file has this content."""
        raw = hashlib.sha256(content).digest()
        path = self.directory / hashlib.sha256(b"holdall/id/v1" + raw).hexdigest()
        path.write_bytes(content)
        path.chmod(0o600)
        try:
            return self.manager.open_token(base64.urlsafe_b64encode(raw).decode().rstrip("=")).all()
        except holdall.CorruptError:
            return {}

    def through(self, value):
        """A value that a visitor gave, stored and read again."""
        session = self.manager.open()
        session["k"] = value
        session.commit()
        return self.manager.open_token(session.id)["k"]


class PickledFiles(Files):
    """Werkzeug's and Flask's file sessions, before they were not pickled any more."""

    def read_planted(self, content):
        try:
            return pickle.loads(content)
        except Exception:
            return {}

    def through(self, value):
        return value


@row(*OBJECTS, immune=[Subject("file", Files)], vulnerable=[Subject("pickled", PickledFiles)], says="code ran|reads as")
def test_beaker_cve_2013_7489_an_object_in_the_store_is_none_either(subject, tmp_path):
    canary = tmp_path / "canary"
    for gadget in gadgets(canary):
        read = subject.read_planted(gadget)
        assert not canary.exists(), "code ran that was in the store"
        assert read == {}, "what lay in the store reads as a session"


@row(*OBJECTS, immune=[Subject("file", Files)], vulnerable=[Subject("jsonpickle", lambda directory: Revived(directory))], says="code ran")
def test_beaker_cve_2013_7489_a_value_that_looks_like_an_object_is_a_value(subject, tmp_path):
    canary = tmp_path / "canary"
    for gadget in gadgets(canary):
        try:
            value = json.loads(gadget)
        except ValueError:
            value = gadget.decode("latin-1")
        assert subject.through(value) == value
        assert not canary.exists(), "code ran that was in a value"


class Revived(PickledFiles):
    """jsonpickle, and serializers that put types beside values."""

    def through(self, value):
        found = value.get("py/reduce") if isinstance(value, dict) else None
        if found:
            Path(found[1][0].removeprefix("touch ")).touch()
        return value


def sources():
    kinds = {"src": "*.rs", "bindings/c/src": "*.rs", "bindings/python/src": "*.rs", "bindings/python/python": "*.py"}
    return "\n".join(path.read_text() for folder, kind in kinds.items() for path in sorted((ROOT / folder).rglob(kind)))


@row(
    *OBJECTS,
    immune=[Subject("sources", lambda directory: sources())],
    vulnerable=[Subject("a store", lambda directory: "import pickle\n\ndef load(data):\n    return pickle.loads(data)\n")],
    says="reads objects",
)
def test_beaker_cve_2013_7489_nothing_in_the_sources_reads_objects(subject):
    words = [r"\b(import|from) (pickle|marshal|shelve|dill|jsonpickle|yaml)\b", r"\b(pickle|marshal|yaml)\.loads?\("]
    words += [r"(?<![\w.])(eval|exec)\(", "serde_pickle|bincode"]
    found = re.search("|".join(words), subject)
    assert found is None, f"{found} reads objects"
