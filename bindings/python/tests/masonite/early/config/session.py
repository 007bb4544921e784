import json
import os

DRIVER = os.environ.get("TEST_DRIVER", "memory")
DRIVERS = {"cookie": {"flash_expires": "2 seconds"}}
HOLDALL = json.loads(os.environ.get("TEST_HOLDALL", "{}"))
