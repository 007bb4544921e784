"""What a type checker says of programs that use the package: the examples of its pages, and the demo."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
# The examples of a framework are written as its own documents are, with functions whose types are left out; what is in them is checked.
UNTYPED = ["--allow-untyped-defs", "--allow-incomplete-defs", "--check-untyped-defs", "--allow-untyped-calls"]
PAGES = {"README.md": [], "docs/python.md": []}
PAGES |= {f"docs/python/{name}.md": UNTYPED for name in ("django", "flask", "starlette", "wsgi")}


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    cache = tmp_path_factory.mktemp("mypy")

    def check(*arguments, folder=ROOT):
        command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", cache, *arguments]
        return subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout

    return check


@pytest.mark.parametrize("page", PAGES)
def test_the_first_example_of_a_page_is_well_typed(said, page, tmp_path):
    example = re.search(r"```python\n(.*?)```", (ROOT / page).read_text(), re.S)[1]
    assert "holdall" in example
    (tmp_path / "example.py").write_text(example)

    assert said(*PAGES[page], tmp_path / "example.py") == ""


def test_the_demo_is_well_typed(said):
    # Masonite has no types to derive from.
    options = [*UNTYPED, "--allow-subclassing-any", "--ignore-missing-imports", "--explicit-package-bases"]

    assert said(*options, ".", folder=ROOT / "examples/demo-python") == ""


def test_what_does_not_fit_is_told(said, tmp_path):
    (tmp_path / "example.py").write_text(
        "import holdall\n"
        "manager = holdall.SessionManager('memory:')\n"
        "manager.open(mode='hasty')\n"
        "manager.open(now_ms='1')\n"
        "manager.open().is_destroyed = True\n"
        "wrong: int = manager.cookie_name\n"
        "manager.open().close().commit()\n"
    )

    told = re.findall(r"example.py:(\d+): error", said(tmp_path / "example.py"))

    assert sorted(set(map(int, told))) == [3, 4, 5, 6, 7]
