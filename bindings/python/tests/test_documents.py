"""The examples of README.md and docs/python.md run, and print what they say."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def examples(page):
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.S)


@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_the_example_of_a_page_runs(page, tmp_path, capsys):
    exec(compile(examples(page)[0].replace("/tmp/holdall-hello", f"{tmp_path}/sessions"), page, "exec"), {})
    printed = capsys.readouterr().out
    assert ("visits: 1\n" in printed) == (page == "README.md")
    assert re.search(r"^Set-Cookie: __Host-sid=[\w-]{43}; Path=/; HttpOnly; SameSite=Lax; Secure$", printed, re.M)
    assert "Cache-Control: no-store\n" in printed and "Vary: Cookie\n" in printed


def test_the_example_of_sealed_cookies_runs(capsys):
    (_, sealed) = examples("docs/python.md")
    exec(compile(sealed, "docs/python.md", "exec"), {})
    size = int(re.fullmatch(r"(\d+) bytes of Set-Cookie\n", capsys.readouterr().out)[1])
    assert 300 < size < 4096
