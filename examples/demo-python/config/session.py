"""Where the sessions are, and their cookie: as in the demos in other languages, so that they may share them."""

import json
import os
from typing import Any

# As --sessions: a URL or a JSON document.
SESSIONS = os.environ.get("SESSIONS", "file:///tmp/holdall-demo")

_given: dict[str, Any] = json.loads(SESSIONS) if SESSIONS.startswith("{") else {"url": SESSIONS}
# The demo is plain http, where browsers neither keep nor send a Secure cookie; and a __Host- name needs Secure.
_cookie = {**_given.get("cookie", {}), "secure": False}
if str(_cookie.get("name", "")).startswith("__"):
    del _cookie["name"]

# A message is for one page, however often the page's templates look at it.
HOLDALL = {"flash": "next_request", **_given, "cookie": _cookie}

# The framework asks for these, for cookies of its own.
DRIVERS = {"default": "cookie", "cookie": {}}
