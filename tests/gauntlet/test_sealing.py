"""Sealing, keys and formats: what is read from a cookie or a store is data, whoever wrote it."""

import base64
import hashlib
import json
import pickle
import re
from pathlib import Path

import holdall
from gauntlet.doors import Answer, document, through
from gauntlet.row import Subject, row
from gauntlet.vulnerable import Naive

ROOT = Path(__file__).resolve().parents[2]


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
    immune=through("memory", "file"),
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
