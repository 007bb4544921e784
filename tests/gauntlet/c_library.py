"""libholdall.so through ctypes: as much of it as the C door needs. A status below 0 is a `CError`."""

import ctypes
import json
import os
from ctypes import POINTER, byref, c_bool, c_char_p, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path

NOT_FOUND = 1
AT, LOCK_TIMEOUT, EXCLUSIVE = 1, 2, 1
OUTCOMES = {0: "saved", 2: "unchanged", 3: "gone", 4: "moved"}
LIBRARY = Path(os.environ.get("HOLDALL_LIB_DIR", Path(__file__).resolve().parents[2] / "target/release")) / "libholdall.so"


class CError(Exception):
    """What the library said, and its number."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Slice(ctypes.Structure):
    _fields_ = [("data", POINTER(ctypes.c_char)), ("len", c_size_t)]

    def bytes(self):
        return ctypes.string_at(self.data, self.len)


class Buffer(ctypes.Structure):
    _fields_ = [("data", c_void_p), ("len", c_size_t), ("capacity", c_size_t)]


class OpenOptions(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        *((name, c_uint32) for name in ("flags", "mode", "flash", "reserved")),
        *((name, c_uint64) for name in ("now_ms", "lock_timeout_ms")),
    ]



def _load():
    library = ctypes.CDLL(str(LIBRARY))
    library.holdall_last_error_message.restype = Slice
    library.holdall_commit_header_count.restype = c_size_t
    for name in ("manager_free", "session_free", "commit_free", "buf_free"):
        getattr(library, f"holdall_{name}").restype = None
    return library


class CManager:
    """A manager, with its sessions' whole way through a request."""

    def __init__(self, document):
        self.library = _load()
        text, self.handle = json.dumps(document).encode(), c_void_p()
        self.checked("manager_new", text, c_size_t(len(text)), byref(self.handle))

    def checked(self, name, *arguments):
        status = getattr(self.library, f"holdall_{name}")(*arguments)
        if status < 0:
            raise CError(status, self.library.holdall_last_error_message().bytes().decode())
        return status

    def open(self, cookie, call="manager_open", **options):
        """`options`: `mode`, `now_ms`, `lock_timeout_ms`."""
        session = CSession(self)
        flags = AT * ("now_ms" in options) | LOCK_TIMEOUT * ("lock_timeout_ms" in options)
        options = OpenOptions(size=ctypes.sizeof(OpenOptions), flags=flags, **options)
        self.checked(call, self.handle, c_char_p(cookie), c_size_t(len(cookie)), byref(options), byref(session.handle))
        return session

    def text(self, name):
        """What a call gives as a buffer of text."""
        return self.taken(f"manager_{name}", self.handle)

    def taken(self, name, *arguments):
        buffer = Buffer()
        if self.checked(name, *arguments, byref(buffer)) == NOT_FOUND:
            return None
        try:
            return ctypes.string_at(buffer.data, buffer.len).decode()
        finally:
            self.library.holdall_buf_free(byref(buffer))

    def close(self):
        self.library.holdall_manager_free(self.handle)
        self.handle = c_void_p()


class CSession:
    def __init__(self, manager):
        self.manager, self.handle = manager, c_void_p()

    def call(self, name, *arguments):
        return self.manager.checked(f"session_{name}", self.handle, *arguments)

    def text(self, name, *arguments):
        return self.manager.taken(f"session_{name}", self.handle, *arguments)

    def view(self, name, *arguments):
        found = Slice()
        return None if self.call(name, *arguments, byref(found)) == NOT_FOUND else found.bytes()

    def flag(self, name, *arguments):
        found = c_bool()
        self.call(name, *arguments, byref(found))
        return found.value

    def get(self, key):
        found = self.view("get_json", *_of(key))
        return None if found is None else json.loads(found)

    def set(self, key, value):
        self.call("set_json", *_of(key), *_of(json.dumps(value)))

    def commit(self):
        """The outcome, and the headers."""
        commit, headers = c_void_p(), []
        outcome = OUTCOMES[self.call("commit", None, byref(commit))]
        for index in range(self.manager.library.holdall_commit_header_count(commit)):
            name, value = Slice(), Slice()
            self.manager.checked("commit_header", commit, c_size_t(index), byref(name), byref(value))
            headers.append((name.bytes().decode(), value.bytes().decode()))
        self.manager.library.holdall_commit_free(commit)
        return outcome, headers

    def free(self):
        self.manager.library.holdall_session_free(self.handle)
        self.handle = c_void_p()


def _of(text):
    """Text as two arguments, a pointer and a length."""
    data = text.encode() if isinstance(text, str) else text
    return c_char_p(data), c_size_t(len(data))


def number(value):
    """A number as the library takes it, whatever it is: C has no other."""
    return c_uint64(value & 0xFFFF_FFFF_FFFF_FFFF)


__all__ = ["CError", "CManager", "CSession", "number"]
