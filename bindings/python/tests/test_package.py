"""The wheel: one file for every CPython from 3.10 on, small, with nothing in it that is not needed."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

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
