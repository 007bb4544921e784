"""What the application consists of: its middleware, its routes, where its parts are."""

from masonite.configuration import Configuration
from masonite.routes import Route
from masonite.utils.structures import load

from app.middlewares.AnswerHead import AnswerHead
from app.middlewares.RefuseLargeForm import RefuseLargeForm
from app.middlewares.StartSession import StartSession
from app.middlewares.VerifyCsrfToken import VerifyCsrfToken


class Kernel:
    http_middleware = [RefuseLargeForm, AnswerHead]
    route_middleware = {"session": [StartSession], "csrf": [VerifyCsrfToken]}

    def __init__(self, application):
        self.application = application

    def register(self):
        self.application.bind("config.location", "config")
        configuration = Configuration(self.application)
        configuration.load()
        self.application.bind("config", configuration)
        self.application.bind("controllers.location", "app/controllers")
        self.application.bind("views.location", "templates")

        self.application.make("middleware").add(self.route_middleware).add(self.http_middleware)
        Route.set_controller_locations(self.application.make("controllers.location"))
        self.application.make("router").add(load("routes/web", "ROUTES"))
