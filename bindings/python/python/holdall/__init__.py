"""Holdall: sessions that lose nothing.

>>> import holdall
>>> manager = holdall.SessionManager("memory:")
>>> session = manager.open("")            # the request's Cookie header
>>> session["cart"] = ["apple"]
>>> session["cart"].append("pear")        # changed in place, and saved all the same
>>> commit = session.commit()
>>> commit.outcome
'saved'
>>> sorted(name for name, value in commit.headers)
['Cache-Control', 'Set-Cookie', 'Vary']
"""

from collections.abc import MutableMapping

from holdall._holdall import Commit, Session, SessionManager, generate_key
from holdall.errors import (
    CorruptError,
    HoldallError,
    InvalidArgumentError,
    InvalidConfigError,
    InvalidTypeError,
    InvalidValueError,
    MisuseError,
    PanicError,
    TooLargeError,
    UnavailableError,
    UnsupportedError,
)

MutableMapping.register(Session)

__all__ = [
    "Commit",
    "CorruptError",
    "HoldallError",
    "InvalidArgumentError",
    "InvalidConfigError",
    "InvalidTypeError",
    "InvalidValueError",
    "MisuseError",
    "PanicError",
    "Session",
    "SessionManager",
    "TooLargeError",
    "UnavailableError",
    "UnsupportedError",
    "generate_key",
]
