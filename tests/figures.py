"""Long tests: how much of one is run, and what it found. For every folder of tests in Python; its conftest.py takes these names."""

import json
import os

import pytest

TORTURE = "HOLDALL_TORTURE" in os.environ


@pytest.fixture(scope="session")
def scaled():
    """A function that gives its first number in `make test`, its second in `make torture`."""
    return lambda short, whole: whole if TORTURE else short


@pytest.fixture
def figure(request):
    """A function that records what a test has found, for docs/reliability.md. Does nothing in `make test`.

    `row` is the promise's number there, `what` says in a few words what was counted or measured, `demanded` what had to hold.
    To be called after it was asserted. A test that uses it is marked `torture`, so that `make torture` runs it.
    """

    def figure(row, driver, what, found, demanded):
        path = os.environ.get("HOLDALL_FIGURES")
        if path is None:
            return
        command = f"HOLDALL_TORTURE=1 .venv/bin/pytest '{request.node.nodeid}'"
        line = {"row": row, "driver": driver, "what": what, "found": str(found), "demanded": demanded, "command": command}
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    return figure


def pytest_configure(config):
    config.addinivalue_line("markers", "torture: a long test, run whole by `make torture` and shortened by `make test`")
