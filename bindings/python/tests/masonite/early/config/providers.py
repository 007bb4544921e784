import os
from importlib import import_module


def _provider(name):
    module = import_module("masonite.providers")
    if not hasattr(module, name):
        module = import_module(f"masonite.providers.{name}")
    return getattr(module, name)


if os.environ.get("TEST_PROVIDER") == "framework":
    SessionProvider = _provider("SessionProvider")
else:
    from holdall.masonite import SessionProvider

if hasattr(import_module("masonite"), "Session"):
    BEFORE = []
    AFTER = [_provider("RouteProvider"), _provider("StatusCodeProvider"), _provider("WhitenoiseProvider")]
else:
    # 1.6: the skeleton has a provider of its own for its middleware.
    from app.providers.MiddlewareProvider import MiddlewareProvider

    BEFORE = [MiddlewareProvider]
    AFTER = [_provider("RouteProvider"), _provider("RedirectionProvider"), _provider("StartResponseProvider")]

PROVIDERS = [
    _provider("AppProvider"),
    *BEFORE,
    _provider("ViewProvider"),
    _provider("HelpersProvider"),
    SessionProvider,
    *AFTER,
]
