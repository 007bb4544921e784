"""Makes the sessions, in the directory and with the cookie that the demos in other languages use."""

import json
import sys

from masonite.configuration import config
from masonite.providers import Provider

from holdall import SessionManager

# What the person on call should know of; the rest is daily bread.
ALARMS = {"conflict", "evicted", "quarantined", "rolled_back", "unavailable"}


def tell(kind, session):
    if kind in ALARMS:
        print(f"holdall-demo: session {session}: {kind}", file=sys.stderr, flush=True)


def engine(sessions):
    """The engine's configuration: what --sessions says, with a cookie that is not Secure."""
    document = json.loads(sessions) if sessions.startswith("{") else {"url": sessions}
    cookie = {**document.get("cookie", {}), "secure": False}
    # The demo is plain http, where browsers neither keep nor send a Secure cookie; and a __Host- name needs Secure.
    if str(cookie.get("name", "")).startswith("__"):
        del cookie["name"]
    return {**document, "cookie": cookie}


class SessionProvider(Provider):
    def __init__(self, application):
        self.application = application

    def register(self):
        sessions = SessionManager(engine(config("session.sessions")))
        sessions.on_event(tell)
        self.application.bind("sessions", sessions)

    def boot(self):
        pass
