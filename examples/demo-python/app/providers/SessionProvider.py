"""The sessions, and a line on stderr where something happens to one that somebody should know of."""

import sys

from holdall import masonite

# What the person on call should know of; the rest is daily bread.
ALARMS = {"conflict", "evicted", "quarantined", "rolled_back", "unavailable"}


def tell(kind, session):
    if kind in ALARMS:
        print(f"holdall-demo: session {session}: {kind}", file=sys.stderr, flush=True)


class SessionProvider(masonite.SessionProvider):
    def register(self):
        super().register()
        self.application.make("session").manager.on_event(tell)
