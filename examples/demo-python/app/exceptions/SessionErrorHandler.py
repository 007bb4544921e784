"""The page for an error of the engine: 503 where trying again may help, else 500."""

from masonite.response import Response

from app.problem import problem
from app.providers.HttpProvider import HEADERS


class SessionErrorHandler:
    def __init__(self, application):
        self.application = application

    def handle(self, error):
        # A new one: what the route had made of the old one, a redirect say, has not happened.
        response = Response(self.application).with_headers(HEADERS)
        self.application.bind("response", response)
        title = "Sessions are out of order"
        if error.retryable:
            response.with_headers({"Retry-After": "1"})
            return problem(self.application, 503, title, "Please try again in a moment.")
        return problem(self.application, 500, title, "We have been told.")
