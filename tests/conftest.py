"""What the tests in Python share: where things are, and how a command is run."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from figures import figure, pytest_configure, scaled
from leaks import pytest_runtest_logreport

__all__ = ["figure", "pytest_configure", "pytest_runtest_logreport", "scaled"]


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
