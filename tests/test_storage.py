"""What the file driver does where the system gives it no room, no rights, no descriptors, or a strange umask.

A write that cannot be is an error, and what was stored before reads as it was. Nothing is emptied or open to others.
"""

import os
import shutil
import stat
import tempfile
from pathlib import Path

import pytest
from processes import WORKER, calls, config, copied, namespace, strace, values, worker

WRITES = ["create", "longer", "shorter", "same", "touch", "destroy", "regenerate", "regenerate_longer"]


def numbers(told):
    return {name: int(value) for name, value in told if value.isdigit()}


@pytest.mark.torture
@pytest.mark.parametrize("limit", ["size=1m", "nr_inodes=50"])
def test_a_full_file_system_loses_nothing_and_can_be_destroyed_and_swept_on(tmp_path, limit, scaled, figure):
    before = namespace(f"mount -t tmpfs -o {limit},mode=700 none '{tmp_path}'")
    intact = acknowledged = 0
    for step in scaled([2711], [0, 977, 2711, 5003]):
        told = worker(config(tmp_path / "sessions"), "-", "fill", step, before=before)
        assert values(told, "destroyed") == values(told, "again") == ["true"], told
        count = numbers(told)
        first, left = map(int, values(told, "intact"))
        assert count["acknowledged"] > 40 and first == count["acknowledged"] == count["refused"] + count["written"], told
        assert left == count["living"] > 0, told
        assert count["swept"] == count["ended"] > 0, told
        assert limit != "size=1m" or count["refused"] > 0, told
        intact, acknowledged = intact + first, acknowledged + count["acknowledged"]
    assert intact == acknowledged
    what = f"sessions read back identical from a full tmpfs ({limit})"
    figure("R4", "file", what, f"{intact:,} of {acknowledged:,}", "all")


def attempts(config, token, before):
    """What each kind of write and the sweep answer, and what they leave; each in a process of its own."""
    told = {operation: worker(config, token, "operate", operation, before=before) for operation in [*WRITES, "sweep"]}
    return {operation: values(told, "outcome")[0] for operation, told in told.items()}


def test_a_store_mounted_read_only_is_read_and_every_write_is_an_error(tmp_path):
    store = tmp_path / "sessions"
    (token,) = values(worker(config(store), "-", "make", 2, 300), "new")
    was = {path.name: path.read_bytes() for path in store.iterdir()}
    before = namespace(f"mount --bind '{store}' '{store}'; mount -o remount,ro,bind '{store}'")

    outcomes = attempts(config(store), token, before)
    assert outcomes.pop("sweep") == "swept"
    assert outcomes == dict.fromkeys(WRITES, "unavailable")
    (state,) = values(worker(config(store), "-", "state", token, before=before), "state")
    assert state == "0 300"
    assert {path.name: path.read_bytes() for path in store.iterdir()} == was


@pytest.fixture
def open_directory():
    """A directory that every user may enter, with a worker in it that every user may run."""
    with tempfile.TemporaryDirectory() as path:
        os.chmod(path, 0o755)
        shutil.copy(WORKER, path)
        yield Path(path)


@pytest.mark.parametrize(("files", "answer"), [(0o400, "unavailable"), (0o600, "saved")])
def test_a_directory_that_may_not_be_written_is_read_and_no_answer_is_false(open_directory, files, answer, monkeypatch):
    # Root may write anything: another user then.
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    monkeypatch.setattr("processes.WORKER", open_directory / WORKER.name)
    place = open_directory / "place"
    place.mkdir(mode=0o777)
    place.chmod(0o777)
    store = place / "sessions"
    (token,) = values(worker(config(store), "-", "make", 2, 300, before=user), "new")
    for path in store.iterdir():
        path.chmod(files)
    store.chmod(0o500)

    state = "0 300"
    for operation in WRITES:
        told = worker(config(store), token, "operate", operation, before=user)
        # A session is written in place: what needs no new name and ends none needs no rights to the directory.
        in_place = {"longer": "saved", "shorter": "saved", "same": "unchanged", "touch": "unchanged"}
        expected = in_place.get(operation, "unavailable") if answer == "saved" else "unavailable"
        assert values(told, "outcome")[0].split()[0] == expected, (operation, told)
        if operation == "destroy" and answer == "saved":
            # Signed out, although the file could not be removed.
            state = "absent"
            break
        if expected == "saved":
            state = {"longer": "1 30000", "shorter": "1 0", "same": "1 0"}[operation]
        assert values(worker(config(store), "-", "state", token, before=user), "state") == [state], operation
    assert values(worker(config(store), "-", "state", token, before=user), "state") == [state]
    store.chmod(0o700)


@pytest.mark.torture
def test_64_threads_with_32_descriptors_lose_no_session_and_leak_no_descriptor(tmp_path, scaled, figure):
    operations = scaled(2000, 100_000)
    told = worker(config(tmp_path / "sessions"), "-", "descriptors", operations)
    count = numbers(told)
    assert count["lost"] == 0, told
    assert count["short"] > 0, "there were descriptors for all"
    assert count["answered"] > 0 and count["answered"] + count["short"] == operations // 64 * 64, told
    ((before, after),) = (value.split() for value in values(told, "descriptors"))
    assert before == after
    what = f"sessions lost by 64 threads with 32 descriptors, {count['short']:,} of {operations:,} operations told EMFILE"
    figure("R15", "file", what, 0, "0")
    figure("R15", "file", f"descriptors before and after {operations:,} operations", f"{before} and {after}", "equal")


def private(path):
    return oct(stat.S_IMODE(path.stat().st_mode))


@pytest.mark.torture
def test_no_umask_makes_a_directory_or_a_file_that_is_not_private(tmp_path, figure):
    umasks = [0o000, 0o022, 0o077, 0o777]
    for umask in umasks:
        store = tmp_path / f"{umask:03o}" / "sessions"
        store.parent.mkdir()
        (token,) = values(worker(config(store), "-", "make", 2, 300, umask=umask), "new")
        for operation in ["create", "longer", "regenerate"]:
            told = worker(config(store), token, "operate", operation, umask=umask)
            assert values(told, "outcome") == ["saved"], oct(umask)
        sessions = [path for path in store.iterdir() if len(path.name) == 64]
        assert len(sessions) == 5
        # A temporary file, where the file system makes none without a name, by a process that is killed writing it. The
        # calls are looked up in a copy, because another session would change their number.
        log = tmp_path / "log"
        command = strace(log)
        worker(config(copied(store, tmp_path / "copy")), "-", "operate", "create", before=command)
        for word, fault in [("O_TMPFILE", "error=EOPNOTSUPP"), ("pwrite", "signal=KILL")]:
            call = next(call for call in calls(log) if word in call.line)
            command = [*command, "-e", f"inject={call.name}:{fault}:when={call.ordinal}"]
        worker(config(store), "-", "operate", "create", before=command, umask=umask, codes=(-9,))
        assert len(list(store.glob(".tmp-*"))) == 1
        # Damage goes to the quarantine when somebody meets it.
        for session in sessions:
            session.write_bytes(b"")
        assert values(worker(config(store), "-", "state", token, umask=umask), "state") == ["absent"]

        for path in [store, *store.iterdir(), *(store / "quarantine").iterdir()]:
            assert private(path) == ("0o700" if path.is_dir() else "0o600"), f"{path.name} under umask {umask:03o}"
    figure("R19", "file", "umasks under which directories are 0700 and files 0600", f"{len(umasks)} of {len(umasks)}", "all")
