"""Values: what Python can keep in a session, what comes back, and what is refused with key and type."""

import collections
import enum
import json
import math

import pytest

import holdall


class Color(str, enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 10**30

    def __repr__(self):
        return "not a number"


class Text(str):
    pass


Point = collections.namedtuple("Point", "x y")

KEPT = [
    (None, None),
    (True, True),
    (False, False),
    (0, 0),
    (-(2**63), -(2**63)),
    (2**63, 2**63),
    (10**300, 10**300),
    (-0.0, -0.0),
    (1.0, 1.0),
    (0.1, 0.1),
    (1e300, 1e300),
    (5e-324, 5e-324),
    ("", ""),
    ('quotes " \\ and \n\x00\x1f', 'quotes " \\ and \n\x00\x1f'),
    ("\u00e9 \u65e5\u672c \U0001f600", "\u00e9 \u65e5\u672c \U0001f600"),
    ([], []),
    ({}, {}),
    ((1, (2,)), [1, [2]]),
    ({"a": [{"b": None}]}, {"a": [{"b": None}]}),
    (Color.RED, "red"),
    (Level.HIGH, 10**30),
    (Text("x"), "x"),
    (Point(1, 2), [1, 2]),
    (collections.OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
    (collections.defaultdict(list, a=[1]), {"a": [1]}),
]


@pytest.mark.parametrize(("given", "kept"), KEPT, ids=[repr(given)[:30] for given, _ in KEPT])
def test_a_value_comes_back(browser, given, kept):
    session = browser.open()
    session["k"] = given
    browser.commit(session)

    text = browser.open().get_json("k")
    assert json.loads(text) == kept
    for found in (browser.open()["k"], browser.open().all()["k"]):
        assert type(found) is type(kept) and found == kept
        if isinstance(kept, float):
            assert math.copysign(1, found) == math.copysign(1, kept)


def nested(depth):
    value = []
    for _ in range(depth - 1):
        value = [value]
    return value


def endless():
    value = {}
    value["self"] = [value]
    return value


REFUSED = [
    (object(), TypeError, "object"),
    (b"bytes", TypeError, "bytes"),
    ({1, 2}, TypeError, "set"),
    (1j, TypeError, "complex"),
    ([{"a": {1}}], TypeError, "set"),
    ({1: "a"}, TypeError, "int"),
    ({None: "a"}, TypeError, "NoneType"),
    (float("nan"), ValueError, "NaN"),
    ([float("inf")], ValueError, "inf"),
    (10**400, ValueError, "out of range"),
    ("\ud800", ValueError, "surrogate"),
    ({"\udfff": 1}, ValueError, "surrogate"),
    (nested(129), ValueError, "128"),
    (endless(), ValueError, "128"),
    ("x" * (1 << 20), ValueError, "1048576"),
    ([0] * 50_000_000, ValueError, "1048576"),
]
CALLS = ["set", "flash", "flash_now", "push", "setdefault", "remember", "update"]


@pytest.mark.parametrize(("value", "kind", "says"), REFUSED, ids=[f"{case[0]!r:.20}" for case in REFUSED])
def test_a_value_that_cannot_be_kept_is_refused_by_key_and_reason_and_changes_nothing(browser, value, kind, says):
    session = browser.open()
    session["k"] = 1
    browser.commit(session)
    for call in CALLS if not isinstance(value, list) or len(value) < 1000 else ["set"]:
        session = browser.open()
        with pytest.raises(kind, match=says) as raised:
            if call == "update":
                session.update(a=1, other=value)
            elif call == "remember":
                session.remember("other", lambda: value)
            else:
                getattr(session, call)("other", value)
        assert isinstance(raised.value, holdall.HoldallError) and "other" in str(raised.value)
        assert session.all() == {"k": 1}
        browser.commit(session)
        assert browser.stored() == {"k": 1}


def test_the_deepest_value_comes_back(browser):
    session = browser.open()
    session["k"] = nested(128)
    browser.commit(session)
    assert browser.stored() == {"k": nested(128)}


@pytest.mark.parametrize("key", [1, None, b"k", ("k",)])
def test_a_key_that_is_no_text_is_refused_by_its_type(browser, key):
    session = browser.open()
    calls = [session.get, session.has, session.delete, session.pull, session.__getitem__, session.__contains__, session.keep]
    calls += [session.increment, lambda key: session.set(key, 1), lambda key: session.__setitem__(key, 1), session.old]
    for call in calls:
        with pytest.raises(TypeError, match=type(key).__name__) as raised:
            call(key)
        assert isinstance(raised.value, holdall.InvalidValueError)
    with pytest.raises(ValueError, match="surrogate"):
        session["\ud800"] = 1
    with pytest.raises(ValueError, match="255"):
        session["k" * 256] = 1
    with pytest.raises(ValueError, match="empty"):
        session[""] = 1
    assert session.all() == {}
