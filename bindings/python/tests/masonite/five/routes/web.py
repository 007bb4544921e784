import inspect

from app.controllers.SessionController import SessionController
from masonite.routes import Route

NAMES = [name for name, _ in inspect.getmembers(SessionController, inspect.isfunction) if not name.startswith("_")]
ROUTES = [Route.get(f"/{name}", f"SessionController@{name}") for name in NAMES]
ROUTES += [Route.post("/form", "SessionController@form"), Route.post("/login", "SessionController@login")]
