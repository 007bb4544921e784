"""Answers 413 to a form that HttpProvider has not read."""

from masonite.middleware import Middleware

from app.problem import problem
from app.providers.HttpProvider import MAX_FORM_BYTES


class RefuseLargeForm(Middleware):
    def before(self, request, response):
        if int(request.environ.get("CONTENT_LENGTH") or 0) > MAX_FORM_BYTES:
            return problem(request.app, 413, "That was too much", "A form may have 64 KiB. Nothing was changed.")
        return request

    def after(self, request, response):
        return request
