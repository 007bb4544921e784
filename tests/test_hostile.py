"""What an attacker puts where a session is kept, or into the cookie: refused or harmless.

Nothing outside the store is opened for writing or changed, and an id that is none makes no system call at all.
"""

import base64
import ctypes
import os
import random
import re
import socket
import threading

import pytest
from processes import MEMORY, calls, config, strace, values, worker

SECRET = b"not a session"


class Stage:
    """A store with one session, and a file outside of it that nobody may change."""

    def __init__(self, directory):
        directory.mkdir(exist_ok=True)
        self.store, self.foreign = directory / "sessions", directory / "foreign"
        (self.token,) = values(worker(config(self.store), "-", "make", 2, 5000), "new")
        self.foreign.write_bytes(SECRET)
        self.foreign.chmod(0o600)
        # What else `make` leaves is smaller.
        self.session = max(self.store.iterdir(), key=lambda path: path.stat().st_size)
        self.aside = directory / "aside"

    def put_aside(self):
        self.session.rename(self.aside)
        return self.session


def symlink(stage):
    stage.put_aside().symlink_to(stage.foreign)


def dangling_symlink(stage):
    stage.put_aside().symlink_to(stage.foreign.with_name("nothing"))


def symlink_to_a_session(stage):
    stage.put_aside().symlink_to(stage.aside)


def hard_link(stage):
    stage.put_aside().hardlink_to(stage.foreign)


def hard_link_to_the_session(stage):
    stage.foreign.unlink()
    stage.foreign.hardlink_to(stage.session)


def fifo(stage):
    os.mkfifo(stage.put_aside(), 0o600)


def directory(stage):
    stage.put_aside().mkdir(0o700)


def device(stage):
    os.mknod(stage.put_aside(), 0o600 | 0o020000, os.makedev(1, 3))


def a_socket(stage):
    # Its address may be 108 bytes long.
    name = stage.put_aside().name
    here = os.getcwd()
    os.chdir(stage.store)
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(name)
    finally:
        os.chdir(here)
    stage.session.chmod(0o600)


def another_owner(stage):
    os.chown(stage.session, 65534, 65534)


def open_to_all(stage):
    stage.session.chmod(0o777)


def open_to_readers(stage):
    stage.session.chmod(0o644)


IN_THE_STORE = [symlink, dangling_symlink, symlink_to_a_session, hard_link, hard_link_to_the_session]
IN_THE_STORE += [fifo, directory, a_socket, open_to_all, open_to_readers]
IN_THE_STORE += [device, another_owner] if os.geteuid() == 0 else []


def open_store(stage):
    stage.store.chmod(0o777)


def linked_store(stage):
    """A link to a directory that is not private: another's, or one that others look into."""
    elsewhere = stage.foreign.with_name("elsewhere")
    elsewhere.mkdir(mode=0o755)
    elsewhere.chmod(0o755)
    stage.store.rename(stage.aside)
    stage.store.symlink_to(elsewhere)


def dangling_store(stage):
    stage.store.rename(stage.aside)
    stage.store.symlink_to(stage.foreign.with_name("nothing"))


def file_for_store(stage):
    stage.store.rename(stage.aside)
    stage.store.symlink_to(stage.foreign)


def store_of_another(stage):
    os.chown(stage.store, 65534, 65534)


def linked_marker(stage):
    marker = stage.store / ".holdall"
    marker.rename(stage.aside)
    marker.symlink_to(stage.aside)


def fifo_for_marker(stage):
    marker = stage.store / ".holdall"
    marker.unlink()
    os.mkfifo(marker, 0o600)


def directory_for_marker(stage):
    marker = stage.store / ".holdall"
    marker.unlink()
    marker.mkdir()


THE_STORE = [open_store, linked_store, dangling_store, file_for_store, linked_marker, directory_for_marker]
THE_STORE += [fifo_for_marker]
THE_STORE += [store_of_another] if os.geteuid() == 0 else []


TOUCHES = re.compile(r"open|creat|p?write|f?truncate|link|sym|rename|unlink|mk|rm|f?ch|.*xattr|utime|fallocate")


def outside(log, store):
    """The calls that opened, changed or removed something which is not in the store."""
    inside = re.compile(rf"{re.escape(str(store))}[/>\"]")
    for call in calls(log):
        # What was opened only to read, or by a number from the store; /proc names the engine's own file without a name.
        line = call.line.replace('AT_FDCWD</', "").replace('"/proc/self/fd/', "")
        writes = re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC", line) if "open" in call.name else True
        if TOUCHES.match(call.name) and writes and not inside.search(line):
            yield line


def snapshot(directory, but):
    """Every file there is, and what it is, without those in `but`."""
    seen = {}
    for path in directory.rglob("*"):
        if path != but and but not in path.parents and path.name != "log":
            seen[path] = identity(path), path.read_bytes() if path.is_file() else b""
    return seen


def identity(path):
    found = path.lstat()
    return found.st_ino, found.st_mode, found.st_uid, found.st_nlink, found.st_mtime_ns


def refused(stage, log):
    """Every operation on what lies there, each refused, absent or harmless; and another session lives on beside it."""
    before = ["timeout", "-k", "1", "20", *strace(log, "-f", "-y")]
    for operation in ["same", "longer", "touch", "regenerate", "destroy", "sweep", "create"]:
        told = worker(config(stage.store), stage.token, "operate", operation, before=before)
        (outcome, *_) = values(told, "outcome")
        allowed = {"sweep": ("swept",), "create": ("saved",)}.get(operation, ("unavailable",))
        assert outcome in allowed, f"{operation}: {told}"
        assert list(outside(log, stage.store)) == [], operation
    assert values(worker(config(stage.store), "-", "state", stage.token), "state") == ["unavailable"]


@pytest.mark.torture
def test_what_lies_under_a_sessions_name_and_is_none_is_refused_and_left_alone(tmp_path, figure):
    for put in IN_THE_STORE:
        stage = Stage(tmp_path / put.__name__)
        put(stage)
        lies = identity(stage.session)
        before = snapshot(tmp_path, stage.store)
        refused(stage, tmp_path / "log")
        assert snapshot(tmp_path, stage.store) == before, put.__name__
        assert identity(stage.session) == lies, put.__name__
    found = f"{len(IN_THE_STORE)} of {len(IN_THE_STORE)}"
    figure("R17", "file", "hostile entries under a session's name refused, nothing outside touched", found, "all")


@pytest.mark.torture
def test_what_lies_at_the_stores_path_and_is_not_private_is_refused(tmp_path, figure):
    log = tmp_path / "log"
    for put in THE_STORE:
        stage = Stage(tmp_path / put.__name__)
        put(stage)
        before = snapshot(tmp_path, tmp_path / "none")
        told = worker(config(stage.store), "-", "refused", before=["timeout", "-k", "1", "5", *strace(log, "-f", "-y")])
        assert told in ([("refused", "invalid_config")], [("refused", "unavailable")]), put.__name__
        assert snapshot(tmp_path, tmp_path / "none") == before, put.__name__
        assert not re.search(r"O_CREAT|O_RDWR|O_WRONLY|O_TMPFILE", log.read_text()), put.__name__
    found = f"{len(THE_STORE)} of {len(THE_STORE)}"
    figure("R17", "file", "hostile entries at the store's path refused, nothing outside touched", found, "all")


def test_a_link_to_a_private_directory_is_that_directory(tmp_path):
    stage = Stage(tmp_path)
    stage.store.rename(stage.aside)
    stage.store.symlink_to(stage.aside)
    (stage.aside / "foreign").write_bytes(SECRET)
    told = worker(config(stage.store), stage.token, "operate", "longer")
    assert values(told, "outcome") == ["saved"]
    worker(config(stage.store), "-", "check", stage.token)
    assert [path.name for path in stage.aside.iterdir() if path.name != ".holdall"] == ["foreign"]
    assert (stage.aside / "foreign").read_bytes() == SECRET


def test_a_quarantine_that_leads_elsewhere_takes_nothing_there(tmp_path):
    stage = Stage(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (stage.store / "quarantine").symlink_to(elsewhere)
    stage.session.write_bytes(b"")
    assert values(worker(config(stage.store), "-", "state", stage.token), "state") != ["0 5000"]
    assert list(elsewhere.iterdir()) == []


def test_a_sweep_leaves_alone_what_only_has_the_name_of_a_temporary_file(tmp_path):
    stage = Stage(tmp_path)
    (stage.store / ".tmp-link").symlink_to(stage.foreign)
    (stage.store / ".tmp-directory").mkdir()
    os.mkfifo(stage.store / ".tmp-fifo")
    for path in stage.store.glob(".tmp-*"):
        os.utime(path, (0, 0), follow_symlinks=False)
    worker(config(stage.store), "-", "check", stage.token)
    assert sorted(path.name for path in stage.store.glob(".tmp-*")) == [".tmp-directory", ".tmp-fifo", ".tmp-link"]
    assert stage.foreign.read_bytes() == SECRET


@pytest.mark.torture
def test_a_file_swapped_between_two_looks_at_it_is_never_another_file(tmp_path, scaled, figure):
    stage = Stage(tmp_path)
    # A link and a foreign file take turns with the session, as fast as can be.
    link = stage.store / "link"
    link.symlink_to(stage.foreign)
    rename = ctypes.CDLL(None, use_errno=True).renameat2
    names = [os.fsencode(path) for path in (stage.session, link)]
    exchange, here = 2, -100
    done = threading.Event()
    swaps = 0

    def swap():
        nonlocal swaps
        while not done.is_set() or swaps % 2:
            assert rename(here, names[0], here, names[1], exchange) == 0
            swaps += 1

    thread = threading.Thread(target=swap)
    thread.start()
    log = tmp_path / "log"
    try:
        told = worker(config(stage.store), stage.token, "insist", scaled(2000, 20_000), before=strace(log, "-f", "-y"))
    finally:
        done.set()
        thread.join()
    (saved,), (refused,) = values(told, "saved"), values(told, "refused")
    assert int(saved) > 0 and int(refused) > 0 and swaps > 10, told
    assert list(outside(log, stage.store)) == []
    assert stage.foreign.read_bytes() == SECRET
    link.unlink()
    assert values(worker(config(stage.store), "-", "state", stage.token), "state") == [f"{saved} 5000"]
    found = f"{int(saved):,} stored, {int(refused):,} refused, the foreign file as it was"
    figure("R17", "file", "a link swapped in and out while a session is written", found, "nothing outside touched")


def hostile(token, count):
    """Tokens that are none: what attackers send, round a real one and without."""
    dice = random.Random(1)
    fixed = ["", ".", "..", "/", "//", "../", "../../../../etc/passwd", "..\\..\\boot.ini", "/etc/passwd"]
    fixed += ["%2e%2e%2f", "%2e%2e", "\0", "%00", "a\0b", "x" * 5000, "A" * 42, "A" * 44, "A" * 42 + "B"]
    fixed += ["-", "--help", "-rf", "~", "~root", "*", "?", "$HOME", ".holdall", "quarantine", "quarantine/.."]
    fixed += ["\r\nSet-Cookie: a=b", "a\r\nb", "\u00e4" * 43, "\u0130" * 43, "\U0001f642", "\u202e", "\ufeff"]
    fixed += ["CON", "NUL", "aux.txt", "con:", "file:///etc/passwd", "a:b", "' OR 1=1 --", "<script>", "{}", "null"]
    bare = token.encode()
    every = [text.encode() for text in fixed] + [b"\xff\xfe", b"\x80" * 43, b"\xed\xa0\x80", bytes(range(256))]
    for text in [b"../", b"./", b"/", b"-", b".", b"%2e%2e/", b"\0", b"=", b"a", b"\\"]:
        every += [text + bare, bare + text]
    every += [bare + end for end in (b".tmp", b".lock", b".bak", b"~", b"%00", b"\r\nX: y", b"==", b"/../x")]
    # A token of 32 bytes leaves two bits over, which are 0; with others it would be a second name of the same id.
    letters = base64.b64encode(bytes(range(0, 256))).decode()
    every += [bare[:-1] + other.encode() for other in sorted(set(letters)) if other not in "AEIMQUYcgkosw048"]
    every += [base64.b16encode(base64.urlsafe_b64decode(bare + b"="))]
    pieces = [b"..", b"/", b"\\", b"\0", b"%2f", b".", b"%", b"\r", b"\n", b"\xc3\xa4", b"\xff", b"=", b"+", b" x", b"-"]
    pieces += [b"A", b"_", b":", b"'"]
    while len(every) < count:
        length = dice.choice([1, 2, 5, 20, 43, 64])
        text = b"".join(dice.choices(pieces, k=length))
        # Some are as long as a token, and wrong in one place.
        spoiled = bytearray(bare)
        spoiled[dice.randrange(43)] = dice.choice(b"./\\%+=~*?!@#$^&()[]{}|<>:, \x01\x7f\x80\xff")
        every.append(bytes(spoiled) if len(every) % 2 else text)
    return every


@pytest.mark.torture
def test_an_id_that_is_none_is_absent_without_a_system_call(tmp_path, scaled, figure):
    stage = Stage(tmp_path)
    tokens = hostile(stage.token, scaled(5000, 100_000))
    listed, log = tmp_path / "tokens", tmp_path / "log"
    listed.write_text("".join(token.hex() + "\n" for token in tokens))
    told = worker(config(stage.store), "-", "hostile", listed, before=strace(log, "-f"))
    assert told == [("opened", str(len(tokens))), ("found", "0")]
    assert {call.name for call in calls(log)} <= MEMORY
    what = "hostile ids refused without a system call, alone and in a Cookie header"
    figure("R18", "file", what, f"{len(tokens):,} of {len(tokens):,}", "all")


def test_an_id_in_another_case_is_another_id(tmp_path):
    stage = Stage(tmp_path)
    # The last character keeps its case: with other bits left over it would be no id at all.
    twins = [stage.token[:-1].swapcase() + stage.token[-1], stage.token[:-1].lower() + stage.token[-1]]
    told = worker(config(stage.store), "-", "state", *twins, stage.token)
    assert values(told, "state") == ["absent", "absent", "0 5000"]
