"""Secrets in what the tests print: tokens, keys and canaries, by what they look like.

`tools/test` keeps all that its runners print, and what pytest has captured of tests that passed, and ends with a failure if
there is one of these in it. Knows nothing of where a secret comes from.
"""

import os
import re
import secrets

# 32 random bytes in base64 of either alphabet, and whatever is longer: ids, keys, CSRF tokens, sealed cookies.
_RANDOM = re.compile(r"(?<![\w+/$-])(?:[\w-]{43}|[A-Za-z0-9+/]{43}=|[\w-]{80,})(?![\w+/=$-])", re.ASCII)
_CANARY = re.compile(r"canary-[0-9a-f]{16}")
# What ends the 43rd character of 32 bytes: its last two bits are none of theirs.
_LAST = set("AEIMQUYcgkosw048")


def canary():
    """A value for a session that must be printed nowhere, another one each time."""
    return f"canary-{secrets.token_hex(8)}"


def leaks(lines):
    """The numbers of the lines, counted from 1, that have what looks like a secret. Never the secret."""
    return [number for number, line in enumerate(lines, 1) if _CANARY.search(line) or any(map(_looks_random, _RANDOM.findall(line)))]


def _looks_random(word):
    """Whether chance wrote it, and nobody: of 1,000 tokens it overlooks one. A name has not both cases and digits and so many letters."""
    word = word.rstrip("=")
    kinds = [sum(map(test, word)) for test in (str.isupper, str.islower, str.isdigit)]
    if len(word) == 43 and word[-1] not in _LAST:
        return False
    # What compilers make of names is no chance either.
    return kinds[0] >= 4 and kinds[1] >= 4 and kinds[2] >= 1 and len(set(word)) >= 20 and not word.startswith(("_ZN", "_RN", "ZN"))


def pytest_runtest_logreport(report):
    """Keeps what a test printed and pytest swallowed, in the file that HOLDALL_OUTPUT names. For conftest.py."""
    path = os.environ.get("HOLDALL_OUTPUT")
    # What the gauntlet runs to see a check fail leaks on purpose.
    if path is None or "[vulnerable:" in report.nodeid:
        return
    kept = "".join((report.capstdout, report.capstderr, report.caplog))
    if kept and report.when != "setup":
        with open(path, "a", encoding="utf-8", errors="replace") as file:
            file.write(f"-- {report.nodeid} ({report.when})\n{kept}\n")
