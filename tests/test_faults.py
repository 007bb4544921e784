"""Faults at the system calls of a regenerate that makes a large session small, by strace: killed there, or told EIO.

Found in review: the file was cut before the names were exchanged, and the cut took the old id's only slot. Whatever happens,
exactly one of the two ids reads, as one of the two states; and after an error it is the old one.
"""

import itertools
import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Built by `cargo test` beside its tests.
WORKER = ROOT / "target" / "debug" / "examples" / "worker"
CALLS = ["openat", "fchmod", "ftruncate", "pwrite64", "linkat", "renameat2", "flock"]
OLD, NEW = "0 20000", "1 0"


@pytest.fixture
def config(tmp_path):
    return json.dumps({"drivers": {"file": {"type": "file", "path": str(tmp_path / "sessions")}}})


def worker(config, *arguments, strace=()):
    command = [*strace, str(WORKER), config, *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=False).stdout.split("\n")[:-1]


@pytest.mark.parametrize("fault", ["signal=KILL", "error=EIO"])
@pytest.mark.parametrize("call", CALLS)
def test_a_regenerate_that_shrinks_is_whole_or_not_done(config, call, fault, tmp_path):
    for writes in (1, 2):
        faults = 0
        for when in itertools.count(1):
            if not strikes(config, call, fault, when, writes, tmp_path / "log"):
                break
            faults += 1
        assert faults > 0, f"{call} was never met"


def strikes(config, call, fault, when, writes, log):
    """Regenerates with a fault at one call, and says whether there was such a call."""
    (token,) = worker(config, "-", "make", str(writes))
    strace = ["strace", "-qq", "-o", str(log), "-e", f"inject={call}:{fault}:when={when}"]
    new, *outcome = worker(config, token, "shrink", strace=strace) or [None]
    struck = "INJECTED" in log.read_text() or "killed by SIGKILL" in log.read_text()
    old_reads = worker(config, token, "read")
    if new is None:
        # It struck before there was a new id to speak of.
        assert struck and old_reads == [OLD]
        return struck
    new_reads = worker(config, new, "read")

    what = f"{call} {when}, {writes} writes: {outcome} {old_reads} {new_reads}"
    assert (old_reads, new_reads) in [([OLD], ["absent"]), (["absent"], [NEW])], what
    if outcome == ["saved"]:
        assert new_reads == [NEW], what
    if outcome == ["unavailable"]:
        assert old_reads == [OLD], what
    return struck
