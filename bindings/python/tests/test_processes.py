"""The engine in a process whose clock is another, or that gives up its rights half-way (R7 and R19 of docs/reliability.md)."""

import os
import stat
import subprocess
import sys

import pytest

import holdall

TOKEN = """
import sys, holdall
manager = holdall.SessionManager("file://" + sys.argv[1], new_idle_timeout_s=7200, absolute_timeout_s=86400)
session = manager.open_token(sys.argv[2] if len(sys.argv) > 2 else None)
"""
MAKE = TOKEN + "session['n'] = 1; print(session.id); session.commit()"
READ = TOKEN + "print(session.get('n')); session.commit()"
TOUCH = TOKEN + "session['n'] = 2; print(session.commit().outcome)"


@pytest.fixture
def at(tmp_path):
    """Runs a program with its clock set off by so much, as `+2h`."""

    def at(offset, program, *arguments):
        command = ["faketime", "-f", offset, sys.executable, "-c", program, tmp_path / "sessions", *arguments]
        return subprocess.check_output(command, text=True).strip()

    return at


def test_the_systems_clock_ends_a_session_and_set_back_it_does_not_bring_it_to_life_again(at):
    token = at("+0", MAKE)
    assert at("+119m", READ, token) == "1"
    # That was a read, and extended it.
    assert at("+230m", READ, token) == "1"
    assert at("+360m", READ, token) == "None"
    assert at("+0", READ, token) == "None"


@pytest.mark.parametrize("ahead", ["+10y", "+13y"], ids=["2036", "behind 2038"])
def test_a_clock_that_was_ahead_does_not_make_a_session_outlive_its_absolute_timeout(at, ahead):
    token = at(ahead, MAKE)
    assert at(ahead, READ, token) == "1"
    # Set back. It began now at the latest, and lasts a day from now, however often it is used.
    assert at("+0", TOUCH, token) == "saved"
    for minutes in range(100, 1440, 100):
        assert at(f"+{minutes}m", READ, token) == "2"
    assert at("+1441m", READ, token) == "None"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up its rights")
def test_a_process_that_gives_up_its_rights_half_way_leaves_files_as_they_were(tmp_path):
    folder = tmp_path / "sessions"
    manager = holdall.SessionManager(f"file://{folder}")
    session = manager.open()
    session["n"] = 1
    token = session.id
    session.commit()
    (file,) = (path for path in folder.iterdir() if len(path.name) == 64)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            open_before, not_yet = manager.open_token(token), manager.open()
            open_before["n"] += 1
            not_yet["n"] = 1
            os.setgid(65534)
            os.setuid(65534)
            # What was opened with rights may still be written; nothing new is made, and nobody is told that it was.
            outcomes = []
            for session in (open_before, not_yet):
                try:
                    outcomes.append(session.commit().outcome)
                except holdall.UnavailableError:
                    outcomes.append("unavailable")
            status = 0 if outcomes[0] in ("saved", "unavailable") and outcomes[1] == "unavailable" else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert manager.open_token(token)["n"] in (1, 2)
    for path, mode in ((folder, 0o700), (file, 0o600)):
        found = path.stat()
        assert (stat.S_IMODE(found.st_mode), found.st_uid) == (mode, 0)
    assert [path.name for path in folder.iterdir() if len(path.name) == 64] == [file.name]
