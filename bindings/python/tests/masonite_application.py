"""What the Masonite tests share: an environment for each version, a server for an application in it, and a visitor."""

import os
import re
import shutil
import subprocess
import sys
import time
import uuid
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

import holdall

HERE = Path(__file__).parent
APPLICATIONS = HERE / "masonite"
ROOT = HERE.parents[2]
# Kept between runs: each takes up to a minute to install.
ENVIRONMENTS = ROOT / "target" / "masonite"


class Environment:
    """A virtual environment with one Masonite, and this package beside it."""

    def __init__(self, version, python, library):
        self.version = version
        self.python = python
        self.library = library

    @classmethod
    def of(cls, version, python, library):
        """Makes it where it is missing."""
        requirements = APPLICATIONS / f"requirements-{version}.txt"
        series = subprocess.run([python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, check=True)
        place = ENVIRONMENTS / f"{version}-{series.stdout.decode().strip()}"
        environment = cls(version, place / "bin" / "python", library)
        ready = place / "ready"
        if not ready.exists() or ready.read_text() != requirements.read_text():
            shutil.rmtree(place, ignore_errors=True)
            subprocess.run([python, "-m", "venv", place], check=True)
            # Masonite before 4 pins what does not build any more.
            options = [] if version[0] in "45" else ["--no-deps"]
            install = [environment.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *options]
            subprocess.run([*install, "-r", requirements], check=True)
            ready.write_text(requirements.read_text())
        return environment

    def run(self, *command, cwd, **more):
        variables = {**os.environ, "PATH": f"{self.python.parent}:{os.environ['PATH']}", "PYTHONDONTWRITEBYTECODE": "1"}
        variables |= {"PYTHONPATH": f"{self.library}:{cwd}", "PYTHONWARNINGS": "ignore", "PYTHONUNBUFFERED": "1"} | more
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.Popen(command, cwd=cwd, env=variables, text=True, **pipes)


def interpreter(*series):
    """The first Python of one of these series that is on the machine."""
    for name in series:
        if sys.version_info[:2] == tuple(int(part) for part in name.split(".")):
            return sys.executable
        installed = sorted(Path.home().glob(f".pyenv/versions/{name}.*/bin/python"))
        found = str(installed[-1]) if installed else shutil.which(f"python{name}")
        # What pyenv leaves on the path only works where somebody has chosen it.
        if found and subprocess.run([found, "-c", "import ensurepip"], capture_output=True, check=False).returncode == 0:
            return found
    pytest.skip(f"there is no Python {' or '.join(series)}")


def linked(directory):
    """This package alone, without what is installed beside it."""
    directory.mkdir()
    (directory / "holdall").symlink_to(Path(holdall.__file__).parent)
    return directory


def unpacked(directory, tag):
    """This package, with the native module from a wheel for another Python."""
    wheels = sorted((ROOT / "target").glob(f"wheels-*/holdall-*-{tag}-*.whl"))
    if not wheels:
        pytest.skip(f"there is no wheel for {tag} in target: make test builds one")
    package = directory / "holdall"
    package.mkdir(parents=True)
    for part in Path(holdall.__file__).parent.iterdir():
        if part.suffix != ".so":
            (package / part.name).symlink_to(part)
    with zipfile.ZipFile(wheels[-1]) as wheel:
        [module] = [name for name in wheel.namelist() if name.endswith(".so")]
        wheel.extract(module, directory)
    return directory


class Server:
    """An application under a real server, on a port of its own, until `stop`."""

    COMMANDS = {
        "waitress": ["-m", "waitress", "--threads=1", "--no-clear-untrusted-proxy-headers", "--listen=127.0.0.1:0", "wsgi:application"],
        "threads": ["-m", "waitress", "--threads=4", "--no-clear-untrusted-proxy-headers", "--listen=127.0.0.1:0", "wsgi:application"],
        "gunicorn": ["-m", "gunicorn", "--workers=4", "--bind=127.0.0.1:0", "wsgi:application"],
    }

    def __init__(self, environment, directory, server="waitress", **variables):
        self.directory = directory
        self.log = []
        self.process = environment.run(environment.python, *self.COMMANDS[server], cwd=directory, **variables)
        for line in self.process.stdout:
            self.log.append(line)
            if found := re.search(r"(?:Serving on|Listening at:) (http://127\.0\.0\.1:\d+)", line):
                self.url = found[1]
                break
        else:
            raise AssertionError("".join(self.log))
        # The rest goes nowhere, so that the server never waits for its log.
        self.drain = subprocess.Popen(["cat"], stdin=self.process.stdout, stdout=subprocess.DEVNULL)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.drain.wait()


class Visitor(requests.Session):
    """A browser: keeps its cookies, follows redirects. For drivers that go by the address, it says that it has one of its own."""

    def __init__(self, server, address=None):
        super().__init__()
        self.server = server
        self.headers["X-Forwarded-For"] = address or str(uuid.uuid4())

    def visit(self, route, **values):
        return self.get(f"{self.server.url}/{route}", params=values, timeout=60)

    def meet(self, other):
        """Asks for `waits`, and once that waits, as somebody else for `comes`, which lets it go on. What it has read then."""
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(self.visit, "waits")
            while not (self.server.directory / "waits").exists() and not waiting.done():
                time.sleep(0.01)
            # A page may go to the wrong visitor: the framework mixes these up as well.
            other.visit("comes")
        return self.ask("has_read")

    def ask(self, route, **values):
        """The JSON that a route answers with 200."""
        response = self.visit(route, **values)
        assert response.status_code == 200, response.text[-2000:]
        return response.json()
