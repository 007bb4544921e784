"""The wheel: one file for every CPython from 3.10 on, small, with nothing in it that is not needed."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import flask
import pytest

ROOT = Path(__file__).resolve().parents[3]
HELLO = "import holdall; session = holdall.SessionManager('memory:').open(); session['a'] = [1]; print(session.commit().outcome)"


def interpreters(*minors):
    """The CPythons of the machine with these minor versions, as far as they are there."""
    folders = [Path(folder) for folder in os.environ["PATH"].split(os.pathsep)]
    folders += sorted((Path.home() / ".pyenv/versions").glob("*/bin"))
    found = {version: sys.executable for version in [sys.version_info[:2]] if version[1] in minors}
    for minor in minors:
        for folder in folders:
            program = shutil.which(f"python3.{minor}", path=folder)
            if program and subprocess.run([program, "-c", "import venv, ensurepip"], capture_output=True).returncode == 0:
                found.setdefault((3, minor), program)
    return [pytest.param(program, id=".".join(map(str, version))) for version, program in sorted(found.items())]


@pytest.fixture(scope="session")
def wheel():
    (wheel,) = (ROOT / "target/wheels").glob("holdall-*.whl")
    return wheel


def test_the_wheel_is_one_for_all_small_and_holds_the_package_alone(wheel):
    assert "-cp310-abi3-" in wheel.name
    assert wheel.stat().st_size < 3_000_000
    names = zipfile.ZipFile(wheel).namelist()
    assert {"holdall/__init__.py", "holdall/_holdall.abi3.so", "holdall/_holdall.pyi", "holdall/py.typed"} <= set(names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"holdall"}
    assert not [name for name in names if "test" in name or name.endswith(".rs")]


@pytest.mark.parametrize("program", interpreters(*range(10, 20)))
def test_it_works_in_a_clean_environment(wheel, program, tmp_path):
    subprocess.run([program, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv/bin/python"
    install = [python, "-m", "pip", "install", "--quiet", "--no-index", "--disable-pip-version-check", wheel]
    subprocess.run(install, check=True)
    assert subprocess.check_output([python, "-c", HELLO], text=True, cwd=tmp_path) == "saved\n"


ADAPTERS = """
import django.conf, flask, holdall, holdall.flask, holdall.wsgi

def page(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(environ["holdall.session"].increment("n")).encode()]

def receive(status, headers):
    cookies.extend(value.partition(";")[0] for name, value in headers if name == "Set-Cookie")

cookies = []
manager = holdall.SessionManager("memory:", cookie={"secure": False})
for number in (b"1", b"2"):
    environ = {"REQUEST_METHOD": "GET", "wsgi.url_scheme": "http", "HTTP_COOKIE": "".join(cookies)}
    body = holdall.wsgi.SessionMiddleware(page, manager)(environ, receive)
    assert b"".join(body) == number

application = flask.Flask("smoke")
application.config["HOLDALL"] = manager
holdall.flask.Holdall(application)
application.add_url_rule("/", "page", lambda: str(flask.session.setdefault("list", []).append((1,)) or flask.session["list"]))
client = application.test_client()
assert [client.get("/").text for _ in range(2)] == ["[(1,)]", "[(1,), (1,)]"]

def view(request):
    request.session.setdefault("list", []).append(1)
    return HttpResponse(str(request.session["list"]))

django.conf.settings.configure(
    SECRET_KEY="for the test", ALLOWED_HOSTS=["*"], SESSION_ENGINE="holdall.django", HOLDALL="memory:",
    MIDDLEWARE=["holdall.django.SessionMiddleware"], ROOT_URLCONF=__name__,
)
django.setup()
from django.http import HttpResponse
from django.test import Client
from django.urls import path
urlpatterns = [path("", view)]
client = Client()
assert [client.get("/").content for _ in range(2)] == [b"[1]", b"[1, 1]"]
print("seen")
"""


@pytest.mark.parametrize("program", interpreters(*range(10, 20)))
def test_the_adapters_run_on_it(program, tmp_path):
    """The frameworks, which are plain Python, and the installed wheel are those of the interpreter of the tests."""
    environment = {**os.environ, "PYTHONPATH": str(Path(flask.__file__).parent.parent)}
    ran = subprocess.run([program, "-c", ADAPTERS], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert ran.stdout == "seen\n", ran.stderr


def test_only_the_modules_entry_is_exported(wheel, tmp_path):
    library = zipfile.ZipFile(wheel).extract("holdall/_holdall.abi3.so", tmp_path)
    symbols = subprocess.check_output(["nm", "--dynamic", "--defined-only", library], text=True).split("\n")
    assert [line.split()[-1] for line in symbols if line] == ["PyInit__holdall"]


@pytest.mark.parametrize("program", [sys.executable, *interpreters(9)])
def test_it_installs_from_the_source_archive_with_cargo_and_pip(program, tmp_path):
    maturin = [sys.executable, "-m", "maturin", "sdist", "--manifest-path", ROOT / "bindings/python/Cargo.toml"]
    subprocess.run([*maturin, "--out", tmp_path], check=True, capture_output=True)
    (archive,) = tmp_path.glob("holdall-*.tar.gz")
    subprocess.run([program, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv/bin/python"
    environment = {**os.environ, "CARGO_TARGET_DIR": str(ROOT / "target/python-sdist")}
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", archive], check=True, env=environment)
    assert subprocess.check_output([python, "-c", HELLO], text=True, cwd=tmp_path) == "saved\n"
