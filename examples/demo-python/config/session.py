"""Where the sessions are; and what the framework asks of this file for cookies of its own."""

import os

# As --sessions: a URL or a JSON document.
SESSIONS = os.environ.get("SESSIONS", "file:///tmp/holdall-demo")
DRIVERS = {"default": "cookie", "cookie": {}}
