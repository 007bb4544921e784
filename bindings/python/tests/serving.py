"""What the tests over HTTP share: a real server on a port of its own, and visitors with their cookies."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

SERVERS = {
    "waitress": ["-m", "served", "waitress", "FD"],
    "gunicorn": [
        "-m",
        "gunicorn",
        "--preload",
        "--workers=8",
        "--timeout=120",
        "--bind=fd://FD",
        "--log-level=warning",
        "served:application",
    ],
    "uvicorn": ["-m", "served", "uvicorn", "FD"],
}


@contextlib.contextmanager
def served(server, adapter, config, folder, processes=1):
    """The port of a server that runs the application of served.py behind this adapter, with this configuration."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(256)
        listening.set_inheritable(True)
        port, number = listening.getsockname()[1], str(listening.fileno())
        command = [sys.executable, *(word.replace("FD", number) for word in SERVERS[server])]
        said = {"SERVED_CONFIG": json.dumps(config), "SERVED_ADAPTER": adapter, "SERVED_FOLDER": str(folder)}
        options = {"pass_fds": [int(number)], "cwd": Path(__file__).parent, "env": {**os.environ, **said}}
        started = [subprocess.Popen(command, **options) for _ in range(processes)]
    try:
        # The connection waits in the queue of the socket until the server is there.
        assert Visitor(port).get("/")[0] == 200
        yield port
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(60)


def wait_for(condition):
    """Waits until it holds; a minute is long enough for a machine that does much else."""
    ends = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends, "waited for a minute"
        time.sleep(0.001)


class Visitor:
    """A browser: one connection that is kept, and the cookies that it was told."""

    def __init__(self, port, cookies=None):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.cookies = cookies if cookies is not None else {}

    def request(self, method, path, body=None, headers=None):
        sent = dict(headers or {})
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        self.connection.request(method, path, body, sent)
        response = self.connection.getresponse()
        content = response.read()
        receive(self.cookies, response.headers.get_all("Set-Cookie") or [])
        return response.status, response.headers, content

    def get(self, path):
        return self.request("GET", path)

    def json(self, path, body=None):
        status, _, content = self.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body))
        assert status == 200, (status, content)
        return json.loads(content)


def receive(cookies, lines):
    for line in lines:
        name, _, value = line.partition(";")[0].partition("=")
        if "; Max-Age=0" in line:
            cookies.pop(name, None)
        else:
            cookies[name] = value


def perform(session, operations):
    """Does what the list says to a session of any door, and gives the answers."""
    answers = []
    for operation, *arguments in operations:
        # Anew for each: what was changed in place before is told to the engine then.
        engine = getattr(session, "holdall", session) if operation in ("flash", "increment", "regenerate") else None
        match operation:
            case "set":
                session[arguments[0]] = arguments[1]
                answers.append(None)
            case "delete":
                answers.append(arguments[0] in session)
                if arguments[0] in session:
                    del session[arguments[0]]
            case "get" | "pop":
                answers.append(getattr(session, operation)(arguments[0], None))
            case "append":
                session.setdefault(arguments[0], [])
                if isinstance(session[arguments[0]], list):
                    session[arguments[0]].append(arguments[1])
                answers.append(session[arguments[0]])
            case "increment" if not hasattr(engine, "increment"):
                session[arguments[0]] = session.get(arguments[0], 0) + arguments[1]
                answers.append(session[arguments[0]])
            case "flash" | "increment":
                answers.append(getattr(engine, operation)(*arguments))
            case "regenerate":
                answers.append(engine.regenerate() if hasattr(engine, "regenerate") else session.cycle_key())
            case "clear":
                answers.append(session.clear())
            case "all":
                answers.append(dict(session.items()))
    return answers
