import json
import os

# The framework's own, which also says what its other cookies look like.
DRIVERS = {"default": "cookie", "cookie": {}}
HOLDALL = json.loads(os.environ.get("TEST_HOLDALL", "{}"))
