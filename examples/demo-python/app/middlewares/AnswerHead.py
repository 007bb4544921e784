"""Answers HEAD as GET: the framework makes 204 of it, which has no length."""

from masonite.middleware import Middleware


class AnswerHead(Middleware):
    def before(self, request, response):
        return request

    def after(self, request, response):
        # `response` is the one of before the route; for HEAD the framework has put another in its place.
        answer = request.app.make("response")
        if request.get_request_method() == "HEAD" and answer.is_status(204):
            answer.status(200)
        return request
