"""The order that a power loss would test: what is answered has been synced before, and only where durability asks for it.

Read from the log of system calls of acknowledged writes. An acknowledgement is a line on standard output.
"""

import re

import pytest
from processes import calls, config, strace, worker

SYNC = {"fsync", "fdatasync", "sync", "syncfs", "sync_file_range", "msync"}
WRITE = re.compile(r"p?write")
NAMES = {"link", "linkat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat"}


def logged(tmp_path, durability, times):
    """The calls of `times` acknowledged writes, each with the descriptor it is about and whether it succeeded."""
    log, store = tmp_path / "log", tmp_path / "sessions"
    told = worker(config(store, durability), "-", "acknowledge", times, before=strace(log, "-y"))
    assert len(told) == times
    for call in calls(log, output=True):
        number, path = re.search(r"\((\d*)<?([^>(]*)", call.line).groups()
        yield call.name, number, path.removesuffix(" "), call.line, not re.search(r"= -1 ", call.line)


@pytest.mark.torture
def test_every_answer_comes_after_the_syncs_of_its_file_and_of_its_name(tmp_path, scaled, figure):
    times = scaled(200, 1000)
    store = str(tmp_path / "sessions")
    written, renamed, file_syncs, name_syncs = set(), False, 0, 0
    answered = {"create": 0, "update": 0, "regenerate": 0}
    for name, number, path, line, succeeded in logged(tmp_path, "commit", times):
        answer = re.search(r'"(create|update|regenerate) ', line) if name == "write" else None
        if answer:
            assert written == set() and not renamed, f"answered before it was synced: {line}, {written}"
            assert file_syncs > 0, f"answered without a sync of the file: {line}"
            assert name_syncs > 0 or answer[1] == "update", f"answered without a sync of the directory: {line}"
            file_syncs = name_syncs = 0
            answered[answer[1]] += 1
        elif not succeeded:
            continue
        elif WRITE.match(name):
            written.add(number)
        elif name in ("fsync", "fdatasync") and path == store:
            renamed, name_syncs = False, name_syncs + 1
        elif name in ("fsync", "fdatasync"):
            written.discard(number)
            file_syncs += 1
        elif name == "close":
            assert number not in written, f"closed before it was synced: {line}"
        elif name in NAMES:
            assert written == set(), f"named before it was synced: {line}"
            renamed = True
    assert sum(answered.values()) == times and min(answered.values()) >= times // 5
    what = "answers that came after the sync of their file, and of the directory where a name changed"
    figure("R24", "file", what, f"{times:,} of {times:,}", "all")


def test_without_durability_nothing_is_synced(tmp_path):
    names = [name for name, *_ in logged(tmp_path, "none", 100)]
    assert len([name for name in names if WRITE.match(name) and name != "write"]) >= 100
    assert SYNC.intersection(names) == set()
