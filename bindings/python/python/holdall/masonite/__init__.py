"""Sessions behind Masonite's own session API, from 1.5 to 3.0 and in 4 and 5 (`masonite-framework`).

Add `SessionProvider` to the application's providers: in place of the framework's in 1.5 to 3.0, behind it in 4 and 5.
Which of the two this gives depends on the Masonite that is installed; docs/python/masonite.md says what each keeps.
"""

from importlib.util import find_spec

# Masonite 4 moved its providers to `masonite.providers` and has no `masonite.provider`.
if find_spec("masonite.provider") is not None:
    from holdall.masonite.drivers import SessionDriver as SessionDriver
    from holdall.masonite.drivers import SessionManager as SessionManager
    from holdall.masonite.provider import SessionProvider
else:
    from holdall.masonite.framework import Session as Session
    from holdall.masonite.framework import SessionProvider

__all__ = ["SessionProvider"]
