"""Where the sessions are, and their cookie: as in the demos in other languages, so that they may share them."""

import json
import os

# As --sessions: a URL or a JSON document.
SESSIONS = os.environ.get("SESSIONS", "file:///tmp/holdall-demo")

HOLDALL = json.loads(SESSIONS) if SESSIONS.startswith("{") else {"url": SESSIONS}
# A message is for one page, however often the page's templates look at it.
HOLDALL.setdefault("flash", "next_request")
# The demo is plain http, where browsers neither keep nor send a Secure cookie; and a __Host- name needs Secure.
HOLDALL["cookie"] = {**HOLDALL.get("cookie", {}), "secure": False}
if str(HOLDALL["cookie"].get("name", "")).startswith("__"):
    del HOLDALL["cookie"]["name"]

# The framework asks for these, for cookies of its own.
DRIVERS = {"default": "cookie", "cookie": {}}
