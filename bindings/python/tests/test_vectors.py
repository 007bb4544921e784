"""The vectors through the Python package. The grammar is in tests/vectors/README.md; Rust, C and PHP run the same files."""

import json
from pathlib import Path

import pytest

import holdall

BEGINNING_MS = 1_700_000_000_000
FOLDER = Path(__file__).resolve().parents[3] / "tests/vectors"
# What a driver lacks: vectors that need it are not run over it.
LACKS = {"memory": {"client_side"}, "file": {"client_side"}, "cookie": {"!client_side", "revocable"}}
# For tests; not a secret.
KEY = "7hT8wC5Zf1m0u9Jq2rXyKdLpBvN4sGaE6oQiRkWzMxc"
VECTORS = [
    pytest.param(vector, id=f"{file.stem}: {vector['name']}")
    for file in sorted(FOLDER.glob("*.json"))
    for vector in json.loads(file.read_text())["vectors"]
]
CASES = [
    pytest.param(driver, *param.values, id=f"{driver}: {param.id}")
    for driver, lacks in LACKS.items()
    for param in VECTORS
    if lacks.isdisjoint(param.values[0].get("needs", []))
]


class World:
    """The clock, the browsers and the open handles of one vector."""

    def __init__(self, manager):
        self.manager = manager
        self.now_ms = BEGINNING_MS
        self.handles = {}
        self.visitors = {}
        self.kept = {}

    def filled(self, value):
        if isinstance(value, str):
            for name in sorted(self.kept, key=len, reverse=True):
                value = value.replace(f"${name}", self.kept[name])
        return value

    def step(self, step):
        match step:
            case [*step, "=>", expected]:
                answer = self.perform(step)
                assert type(answer) is type(expected) and answer == self.filled(expected)
            case [*step, "!", kind]:
                with pytest.raises(holdall.HoldallError) as raised:
                    self.perform(step)
                assert raised.value.kind == kind
            case [*step, "->", name]:
                self.kept[name] = self.perform(step)
            case _:
                self.perform(step)

    def perform(self, step):
        operation, *arguments = map(self.filled, step)
        match operation:
            case "at":
                self.now_ms = BEGINNING_MS + arguments[0]
                return None
            case "sweep":
                return self.manager.sweep(arguments[0], now_ms=self.now_ms)["removed"]
            case "records":
                return len(self.manager.records(now_ms=self.now_ms))
            case "open" | "open_header" | "open_token" | "open_keyed":
                name, what, *options = arguments
                self.handles[name] = Handle(self, operation, what, *options)
                return None
            case "free":
                del self.handles[arguments[0]]
                return None
        return self.handles[arguments[0]].perform(operation, arguments[1:])


class Handle:
    """A session that was opened, and what its last commit answered."""

    def __init__(self, world, operation, what, options=None):
        self.world = world
        self.visitor = what if operation == "open" else None
        cookie = "; ".join(world.visitors.get(what, {}).values()) if operation == "open" else what
        open_it = getattr(world.manager, "open" if operation == "open_header" else operation)
        self.session = open_it(cookie, now_ms=world.now_ms, **(options or {}))
        self.headers = []

    def perform(self, operation, arguments):
        session = self.session
        match operation:
            case "commit":
                commit = session.commit(now_ms=self.world.now_ms, **(arguments[0] if arguments else {}))
                self.headers = commit.headers
                self.receive()
                return commit.outcome
            case "destroy":
                return session.destroy(now_ms=self.world.now_ms)
            case "get":
                return session.get_json(*arguments)
            case "data":
                return session.data_json(*arguments)
            case "old":
                return None if (value := session.old(*arguments)) is None else compact(value)
            case "all":
                return compact(session.all())
            case "only":
                return compact(session.only(*arguments[0]))
            case "except":
                return compact(session.except_(*arguments[0]))
            case "set":
                return session.set_json(*arguments)
            case "replace":
                return session.replace_json(*arguments)
            case "push" | "flash" | "flash_now":
                return getattr(session, operation)(arguments[0], parsed(arguments[1]))
            case "flash_input":
                return session.flash_input(parsed(arguments[0]))
            case "remember":
                session.remember(arguments[0], lambda: parsed(arguments[1]))
                return session.get_json(arguments[0])
            case "pull":
                text = session.get_json(arguments[0]) if session.exists(arguments[0]) else None
                session.pull(arguments[0])
                return text
            case "delete" | "keep":
                return getattr(session, operation)(*arguments[0])
            case "set_idle_timeout" | "set_absolute_timeout":
                return getattr(session, operation)(arguments[0] or None)
            case "id" | "is_new" | "previous_url":
                return getattr(session, operation)
            case "cookie":
                return "none" if self.line is None else "removed" if "; Max-Age=0" in self.line else "set"
            case "max_age":
                parts = (self.line or "").split("; ")
                return next((int(part.removeprefix("Max-Age=")) for part in parts if part.startswith("Max-Age=")), None)
            case "attributes":
                return None if self.line is None else self.line.partition("; ")[2]
            case "headers":
                return [name for name, _ in self.headers]
            case "conflicts":
                return [list(conflict) for conflict in session.committed.conflicts]
        return getattr(session, operation)(*arguments)

    @property
    def lines(self):
        return [line for name, line in self.headers if name == "Set-Cookie"]

    @property
    def line(self):
        return self.lines[0] if self.lines else None

    def receive(self):
        if self.visitor is None:
            return
        cookies = self.world.visitors.setdefault(self.visitor, {})
        for line in self.lines:
            cookies[line.partition("=")[0]] = line.partition(";")[0]
            if "; Max-Age=0" in line:
                del cookies[line.partition("=")[0]]


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


class NotJson:
    """A value that no session takes, for vectors that give text which is not JSON."""


def parsed(text):
    try:
        return json.loads(text)
    except ValueError:
        return NotJson()


def opened(driver, folder, config):
    options = {"type": "file", "path": str(folder / "sessions")} if driver == "file" else {"type": driver}
    return holdall.SessionManager({"default": "main", "drivers": {"main": options}, "keys": [KEY], **config})


def capable(manager, vector):
    capabilities = manager.stats()["drivers"]["main"]["capabilities"]
    return all(capabilities[need.lstrip("!")] is not need.startswith("!") for need in vector.get("needs", []))


@pytest.mark.parametrize("driver", LACKS)
def test_a_driver_lacks_what_is_said_here(driver, tmp_path):
    manager = opened(driver, tmp_path, {})
    for vector in (param.values[0] for param in VECTORS):
        assert capable(manager, vector) == LACKS[driver].isdisjoint(vector.get("needs", []))


@pytest.mark.parametrize(("driver", "vector"), CASES)
def test_vector(vector, driver, tmp_path):
    world = World(opened(driver, tmp_path, vector.get("config", {})))
    for number, step in enumerate(vector["steps"]):
        try:
            world.step(step)
        except BaseException as error:
            error.add_note(f"in step {number}: {json.dumps(step)}")
            raise
