"""The worker as a process of its own, and what it asks of the system, by strace."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
# Built by `cargo test` beside its tests; `make torture` builds them for release.
WORKER = ROOT / "target" / ("release" if "HOLDALL_TORTURE" in os.environ else "debug") / "examples" / "worker"
# What only takes and gives back memory: the engine's allocator, not its driver.
MEMORY = {"brk", "mmap", "mremap", "munmap", "madvise", "mprotect"}
MARK = "getppid"


def config(store, durability="none", **fields):
    """A configuration of the file driver. The idle timeout is longer than the tests' injected times are apart."""
    driver = {"type": "file", "path": str(store), "durability": durability}
    return json.dumps({"idle_timeout_s": 864000, "drivers": {"file": driver}, **fields})


def worker(config, *arguments, before=(), codes=(0,), **options):
    """Runs the worker behind the words of `before`. Gives what it told, as pairs of a word and its value."""
    command = [*map(str, before), str(WORKER), config, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, **options)
    assert done.returncode in codes, f"{' '.join(command)}\nended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return [tuple(line.partition(" ")[::2]) for line in done.stdout.splitlines()]


def values(told, word):
    return [value for name, value in told if name == word]


class Call(NamedTuple):
    name: str
    # Counted from 1 over the whole process, as strace's `when` does.
    ordinal: int
    line: str


def strace(log, *options):
    return ["strace", "-qq", "-o", log, *options]


def calls(log, output=False):
    """The system calls between two marks; all after the first one where there is no second. What the worker says on standard
    output is no call of the engine's, and is left out unless `output`."""
    seen, marks, found = {}, 0, []
    for line in log.read_text(errors="replace").splitlines():
        match = re.match(r"(?:\d+ +)?(\w+)\((.*)", line)
        if match is None:
            continue
        name = match[1]
        seen[name] = seen.get(name, 0) + 1
        marks += name == MARK
        told = name == "write" and re.match(r"1\b", match[2])
        if marks == 1 and name != MARK and (output or not told):
            found.append(Call(name, seen[name], line))
    return found


def namespace(script):
    """The words before a command that run `script`, which may mount, in a mount namespace of its own. They need no root
    where the system lets users have namespaces.
    """
    unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-r", "-m"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode != 0:
        if os.environ.get("HOLDALL_REQUIRE_TOOLS"):
            pytest.fail("no mount namespaces")
        pytest.skip("no mount namespaces")
    return [*unshare, "sh", "-ec", f'{script}; exec "$@"', "sh"]


def copied(template, store):
    """A fresh copy of a store. Its sessions are the same: a name does not depend on the file."""
    shutil.rmtree(store, ignore_errors=True)
    shutil.copytree(template, store)
    store.chmod(0o700)
    return store
