"""What the tests in Python share: where things are, how a command is run, and how much of a long test is run."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def repo():
    """The root of the repository."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def lib_dir(repo, tmp_path_factory):
    """A directory as `make install` would leave it: the library under its soname as well.

    The library itself comes from HOLDALL_LIB_DIR (default: target/release).
    """
    built = Path(os.environ.get("HOLDALL_LIB_DIR", repo / "target" / "release")).resolve() / "libholdall.so"
    assert built.exists(), f"{built} is missing: cargo build --release -p holdall-c"
    directory = tmp_path_factory.mktemp("lib")
    for name in ["libholdall.so", "libholdall.so.1"]:
        (directory / name).symlink_to(built)
    return directory


@pytest.fixture(scope="session")
def run():
    """A function that runs a command, gives what it did, and fails with all it printed unless it ended with one of `codes`.

    A tool that is not installed skips the test, unless HOLDALL_REQUIRE_TOOLS is set, as it is in CI.
    """

    def run(*command, codes=(0,), env=None):
        if shutil.which(str(command[0])) is None:
            if os.environ.get("HOLDALL_REQUIRE_TOOLS"):
                pytest.fail(f"{command[0]} is not installed")
            pytest.skip(f"{command[0]} is not installed")
        words = [str(word) for word in command]
        done = subprocess.run(words, capture_output=True, text=True, timeout=300, env={**os.environ, **(env or {})})
        assert done.returncode in codes, f"{' '.join(words)}\nended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run


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
