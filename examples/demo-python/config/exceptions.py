# The framework insists on this file; its page for developers is off (config/application.py).
OPTIONS: dict[str, object] = {}
