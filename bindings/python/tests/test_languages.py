"""One session in three languages: written by C, extended by Python, read and extended by Node, and read again by all of them.

C stands for every language that sits on the library: it is called here as C would, through its header's functions.
"""

import ctypes
import json
import subprocess
from pathlib import Path

import pytest

import holdall

ROOT = Path(__file__).resolve().parents[3]
KEY = "7hT8wC5Zf1m0u9Jq2rXyKdLpBvN4sGaE6oQiRkWzMxc"  # for tests; not a secret
VALUES = [
    "null",
    "true",
    "0",
    "-0",
    "9007199254740993",
    "-9223372036854775808",
    "18446744073709551616",
    "123456789012345678901234567890",
    "1.0",
    "1e3",
    "0.1",
    "1.7976931348623157e308",
    "5e-324",
    '""',
    '"\\u0000 \\" \\\\ \\/ \\n"',
    '"\\ud83d\\ude00 \\u00e9"',
    json.dumps("\u65e5\u672c \U0001f600 \u2028", ensure_ascii=False),
    '{ "b" : 1 , "a" : [ ] }',
    '{"__proto__":{"polluted":true},"constructor":1,"2":2,"1":1}',
    "[" * 128 + "]" * 128,
]

NODE = """
const { SessionManager } = require("holdall");
const [config, cookie, key] = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
(async () => {
  const manager = new SessionManager(config);
  const session = await manager.open(cookie);
  const names = Object.keys(session.all());
  const texts = Object.fromEntries(names.map((name) => [name, session.getJson(name)]));
  session.get("list").push("Node");
  session.increment("n");
  session.set(key, { from: "Node" });
  const { headers } = await session.commit();
  console.log(JSON.stringify({ texts, headers }));
})();
"""


class Slice(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("len", ctypes.c_size_t)]

    def text(self):
        return ctypes.string_at(self.data, self.len).decode()


class C:
    """A program in C, with a manager of its own."""

    def __init__(self, config):
        self.library = ctypes.CDLL(str(ROOT / "target/release/libholdall.so"))
        self.manager = ctypes.c_void_p()
        self.call("manager_new", *self.given(config), ctypes.byref(self.manager))

    def given(self, text):
        data = text.encode()
        return data, ctypes.c_size_t(len(data))

    def call(self, name, *arguments):
        status = getattr(self.library, f"holdall_{name}")(*arguments)
        assert status >= 0, (name, status)
        return status

    def request(self, cookie, values):
        """Opens a session, tells all that these keys have, sets them, and gives what was there and the headers."""
        session, commit, found = ctypes.c_void_p(), ctypes.c_void_p(), {}
        self.call("manager_open", self.manager, *self.given(cookie), None, ctypes.byref(session))
        for key, value in values.items():
            text = Slice()
            if self.call("session_get_json", session, *self.given(key), ctypes.byref(text)) == 0:
                found[key] = text.text()
            if value is not None:
                self.call("session_set_json", session, *self.given(key), *self.given(value))
        self.call("session_commit", session, None, ctypes.byref(commit))
        headers, name, value = [], Slice(), Slice()
        while self.call("commit_header", commit, ctypes.c_size_t(len(headers)), ctypes.byref(name), ctypes.byref(value)) == 0:
            headers.append((name.text(), value.text()))
        self.library.holdall_commit_free(commit)
        self.library.holdall_session_free(session)
        return found, headers


def cookie_of(headers, before):
    lines = [value for name, value in headers if name == "Set-Cookie"]
    return lines[0].partition(";")[0] if lines else before


@pytest.mark.parametrize("driver", ["file", "sealed file", "cookie"])
def test_one_session_in_c_python_and_node(driver, tmp_path):
    options = {"type": "cookie"} if driver == "cookie" else {"type": "file", "path": str(tmp_path / "sessions")}
    at_rest = "sealed" if driver == "sealed file" else "plain"
    config = json.dumps({"drivers": {"main": options}, "keys": [KEY], "at_rest": at_rest})
    # Names of prototypes and of numbers are keys as well.
    written = {f"value {number}": text for number, text in enumerate(VALUES)} | {"__proto__": '{"a":1}', "7": "7", "\u00e9": "1"}
    program, manager, cookie = C(config), holdall.SessionManager(config), ""

    _, headers = program.request(cookie, written | {"list": '["C"]', "n": "1"})
    cookie = cookie_of(headers, cookie)

    session = manager.open(cookie)
    assert {key: session.get_json(key) for key in written} == written
    # Values that Python has looked at stay as C wrote them.
    assert len(session.all()) == len(written) + 2
    session["list"].append("Python")
    session.increment("n")
    cookie = cookie_of(session.commit().headers, cookie)

    given = json.dumps([config, cookie, "from node"])
    answer = subprocess.run(
        ["node", "-e", NODE], input=given, capture_output=True, text=True, cwd=ROOT / "bindings/node/tests", check=False
    )
    assert answer.returncode == 0, answer.stderr
    answer = json.loads(answer.stdout)
    expected = written | {"list": '["C","Python"]', "n": "2"}
    assert answer["texts"] == expected
    cookie = cookie_of([tuple(header) for header in answer["headers"]], cookie)

    expected |= {"list": '["C","Python","Node"]', "n": "3", "from node": '{"from":"Node"}'}
    found, _ = program.request(cookie, dict.fromkeys(expected))
    assert found == expected
    session = manager.open(cookie)
    assert {key: session.get_json(key) for key in expected} == expected
