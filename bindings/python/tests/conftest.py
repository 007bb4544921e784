"""What the tests of the Python package share: a manager of each driver, and a browser's cookie."""

import sys
from pathlib import Path

import pytest

import holdall

sys.path.append(str(Path(__file__).resolve().parents[3] / "tests"))

from figures import figure, pytest_configure, scaled  # noqa: E402
from leaks import pytest_runtest_logreport  # noqa: E402

__all__ = ["figure", "pytest_configure", "pytest_runtest_logreport", "scaled"]


@pytest.fixture(params=["memory", "file"])
def driver(request):
    return request.param


@pytest.fixture
def url(driver, tmp_path):
    return "memory:" if driver == "memory" else f"file://{tmp_path}/sessions"


@pytest.fixture
def manager(url):
    return holdall.SessionManager(url)


@pytest.fixture
def browser(manager):
    return Browser(manager)


class Browser:
    """One visitor: sends back the cookie that the last commit set."""

    def __init__(self, manager):
        self.manager = manager
        self.cookie = None

    def open(self, **options):
        return self.manager.open(self.cookie, **options)

    def commit(self, session, **options):
        commit = session.commit(**options)
        self.receive(commit.headers)
        return commit

    def receive(self, headers):
        line = dict(headers).get("Set-Cookie")
        if line is not None:
            self.cookie = None if "; Max-Age=0" in line else line.partition(";")[0]

    def stored(self):
        """What the next request would find."""
        return self.open(mode="read_only").all()
