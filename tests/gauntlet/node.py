"""The doors of the Node package: applications behind its adapters, in a process of Node (bindings/node/tests/door.js).

An act runs here; what it does to its session goes there line by line, while the request waits.
"""

import atexit
import json
import os
import subprocess
from pathlib import Path

from gauntlet.base import Answer, Door, Visitor

PROGRAM = Path(__file__).resolve().parents[2] / "bindings/node/tests/door.js"


class Process:
    """A process of Node, and the lines between it and this one."""

    def __init__(self):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        environment = {**os.environ, "NODE_ENV": "production"}
        self.process = subprocess.Popen(["node", PROGRAM], text=True, env=environment, bufsize=1, **pipes)
        atexit.register(self.end)

    def say(self, **line):
        self.process.stdin.write(json.dumps(line) + "\n")
        while True:
            heard = self.process.stdout.readline()
            assert heard, "the process of Node has ended"
            # Lunox says where it listens.
            if heard.startswith("{"):
                return json.loads(heard)

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        atexit.unregister(self.end)


class NodeSession:
    """The session of the request that waits in the other process."""

    def __init__(self, process):
        self.process = process

    def do(self, act, *given):
        answer = self.process.say(act=act, given=given)
        assert "threw" not in answer, answer
        return answer["gave"]


class Node(Door):
    """Any adapter of the Node package."""

    adapter = ""
    # One process for all doors.
    shared = None
    names = ()
    method = "GET"

    def __init__(self, document):
        super().__init__(document)
        self.process = self.started()
        self.number = self.process.say(make={"adapter": self.adapter, "config": document})["door"]

    def started(self):
        Node.shared = Node.shared or Process()
        return Node.shared

    def ask(self, act, cookie="", path="/", **environ):
        cookie = cookie.encode() if isinstance(cookie, str) else cookie
        headers = {name.removeprefix("HTTP_").lower().replace("_", "-"): value for name, value in environ.items() if "HTTP_" in name}
        if "QUERY_STRING" in environ:
            path += "?" + environ["QUERY_STRING"]
        sent = {"method": self.method, "cookie": cookie.decode("latin-1"), "path": self.path(path), "headers": headers}
        heard, result = self.process.say(of=self.number, ask=sent), None
        if "waiting" in heard:
            result = act(NodeSession(self.process))
            heard = self.process.say(finish=str(result))
        return Answer(heard["status"], [tuple(pair) for pair in heard["headers"]], str(result), result)

    def path(self, path):
        return path

    def put(self, session, key, value):
        session.do("set", key, value)

    def read(self, session, key):
        return session.do("get", key)

    def every(self, session):
        return session.do("all")

    def renew(self, session):
        session.do("renew")

    def end(self, session):
        session.do("end")

    def other_person(self, session):
        session.do("anew")

    def end_meanwhile(self, visitor):
        Visitor(self, visitor.cookies).ask(self.end)

    @property
    def looks(self):
        looks = {name: lambda session, name=name: session.do(name) for name in self.names}
        return looks | {"get": lambda session: session.do("get", "k"), "all": lambda session: session.do("all")}

    def records(self):
        return 0 if self.document["url"] == "cookie:" else self.process.say(of=self.number, records=self.document)["records"]

    def close(self):
        self.process.say(of=self.number, close=True)


ENGINE = ("holdall.all", "holdall.has", "holdall.isNew", "holdall.old", "holdall.csrfMatches", "session()", "session(key)", "flash(key)")
PROPERTIES = ("in", "Object.keys", "Object.entries", "Object.hasOwn", "Object.assign", "for in", "JSON.stringify", "destructuring", "rest")
PROPERTIES += ("propertyIsEnumerable", "getOwnPropertyDescriptor", "structuredClone", "id", *ENGINE)


class NodeHttp(Node):
    name, adapter, names = "node:http", "http", PROPERTIES


class Express(Node):
    name, adapter, names = "express", "express", PROPERTIES


class Fastify(Node):
    name, adapter, names = "fastify", "fastify", PROPERTIES


class Koa(Node):
    name, adapter, names = "koa", "koa", PROPERTIES


class Northle(Node):
    """Northle keeps the path of every GET in the session, whoever asks; so these are POSTs."""

    name, adapter, method = "northle", "northle", "POST"
    names = ("Northle: data.k", "Northle: in data", "Northle: all", "Northle: flash", "Northle: flashed", *ENGINE)


class Lunox(Node):
    """One application a process. Its configuration knows neither encryption at rest nor who else has its memory."""

    name, adapter = "lunox", "lunox"
    names = ("Lunox: all", "Lunox: has", "Lunox: old", "Lunox: getFlashed", *ENGINE)
    line = f"{Door.line}; Max-Age=7200"

    def started(self):
        return Process()

    def path(self, path):
        return f"/act{path}".rstrip("/")

    def close(self):
        self.process.end()


class ExpressSession(Node):
    """The store beneath express-session, whose cookie is its own."""

    name, adapter, cookie_name = "express-session", "express-session", "connect.sid"


NODE_DOORS = [NodeHttp, Express, Fastify, Koa, Northle, Lunox]
