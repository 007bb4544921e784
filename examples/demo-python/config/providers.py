from masonite.events.providers import EventProvider
from masonite.providers import (
    AuthorizationProvider,
    ExceptionProvider,
    HelpersProvider,
    RouteProvider,
    SessionProvider,
    ViewProvider,
)

from app.providers.HttpProvider import HttpProvider
from app.providers.ProblemProvider import ProblemProvider
from app.providers.SessionProvider import SessionProvider as HoldallSessionProvider

# The route comes last: what it needs is there by then.
PROVIDERS = [
    HttpProvider,
    EventProvider,
    AuthorizationProvider,
    ViewProvider,
    HelpersProvider,
    ExceptionProvider,
    ProblemProvider,
    SessionProvider,
    HoldallSessionProvider,
    RouteProvider,
]
