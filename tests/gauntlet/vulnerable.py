"""What has the flaws: session stores as they were published, each small and wrong on purpose.

Nothing here is used for anything but to see that a check fails.
"""

import json
import random
import re
import string
from pathlib import Path
from urllib.parse import unquote

from gauntlet.doors import Answer, Door, Visitor
from gauntlet.row import Subject


class NaiveSession(dict):
    """The data of one request, copied out of the store, and written back whole."""

    def __init__(self, sid, data):
        super().__init__(data)
        self.sid, self.ended, self.before = sid, False, None


class Naive(Door):
    """A session middleware with everything wrong that a sentence can say.

    It takes any id for one of its own, keeps what it finds under it, stores every session whole at every request, sends
    no header but its cookie and that without a flag, and ends a session by emptying it.
    """

    name = "naive"
    cookie_name = "__Host-sid"

    def __init__(self, directory=None):
        self.directory, self.store, self.number = directory, {}, 0

    def id_of(self, cookie):
        cookie = cookie.decode("latin-1") if isinstance(cookie, bytes) else cookie
        for pair in re.split(r"[;,\]]", cookie):
            # Names are decoded, and whatever does not belong to one is taken off.
            name, equals, value = pair.strip().lstrip("=").partition("=")
            if equals and unquote(name).strip().replace("..", "__") == self.cookie_name:
                return value.strip()
        return None

    def fresh(self):
        self.number += 1
        return "".join(random.choices(string.ascii_lowercase, k=8)) + str(self.number)

    def load(self, sid):
        return dict(self.store.get(sid, {}))

    def save(self, session):
        if session.before is not None:
            # The old record stays where it was.
            self.store[session.before] = dict(session)
        self.store[session.sid] = dict(session)

    def open(self, cookie):
        found = self.id_of(cookie)
        sid = self.fresh() if found is None else found
        return NaiveSession(sid, self.load(sid))

    def ask(self, act, cookie="", **environ):
        session = self.open(cookie)
        result = act(session)
        self.save(session)
        return Answer(200, [("Set-Cookie", f"{self.cookie_name}={session.sid}; Path=/")], str(result), result)

    def renew(self, session):
        session.before, session.sid = session.sid, self.fresh()

    def end(self, session):
        session.clear()

    def other_person(self, session):
        """Whoever signs in goes on with what there is."""

    def end_meanwhile(self, visitor):
        Visitor(self, visitor.cookies).ask(self.end)

    def records(self):
        return len(self.store)


class NaiveFiles(Naive):
    """The same in files: CherryPy before 3.0.3 and Django's file backend before 1.2.5 took the cookie for a part of a path."""

    name = "naive files"

    def path(self, sid):
        return Path(f"{self.directory}/session-{sid}")

    def load(self, sid):
        try:
            return json.loads(self.path(sid).read_text())
        except (OSError, ValueError):
            return {}

    def save(self, session):
        try:
            self.path(session.sid).write_text(json.dumps(dict(session)))
        except (OSError, ValueError):
            pass


class KeepsItsId(Naive):
    """Signing in changes nothing of the id."""

    name = "an id that stays"

    def renew(self, session):
        pass


def naive(*kinds):
    return [Subject(kind.name, kind) for kind in kinds or (Naive,)]
