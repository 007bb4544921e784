"""Tells what goes wrong to whoever runs the demo, and shows a page for each error of the engine."""

from masonite.providers import Provider

from app.exceptions.Report import Report
from app.exceptions.SessionErrorHandler import SessionErrorHandler
from holdall import errors


class ProblemProvider(Provider):
    def __init__(self, application):
        self.application = application

    def register(self):
        self.application.make("event").listen("masonite.exception.*", Report)
        handler = SessionErrorHandler(self.application)
        # The framework looks for a handler by the name of the exception's own class.
        for error in vars(errors).values():
            if isinstance(error, type) and issubclass(error, errors.HoldallError):
                self.application.bind(f"{error.__name__}Handler", handler)

    def boot(self):
        pass
