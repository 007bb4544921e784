import inspect

from app.http.controllers.SessionController import SessionController
from masonite.routes import Get

NAMES = [name for name, _ in inspect.getmembers(SessionController, inspect.isfunction) if not name.startswith("_")]
ROUTES = [Get().route(f"/{name}", f"SessionController@{name}") for name in NAMES]
