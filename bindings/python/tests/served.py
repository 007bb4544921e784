"""One application behind each of the adapters, for the tests over HTTP. What is served comes in the environment.

SERVED_CONFIG: the configuration. SERVED_ADAPTER: wsgi, flask, django or starlette. SERVED_FOLDER: where requests, in whichever
process, and the test wait for each other.
"""

import json
import os
import socket
import sys
from pathlib import Path

from serving import perform, wait_for


def build(adapter, config, folder):
    """The application and its manager."""
    application, manager = {"wsgi": wsgi, "flask": flask, "django": django, "starlette": starlette}[adapter](config, Path(folder))

    def note(kind, _):
        if kind in ("gone", "moved"):
            with open(f"{folder}/told", "a") as told:
                told.write(kind + "\n")

    manager.on_event(note)
    # Warm before a server forks: what a child may not share with its siblings is there.
    assert manager.open().id
    return application, manager


class Door:
    """What the application does with a session, in the words of the adapter."""

    def __init__(self, manager, folder):
        self.manager = manager
        self.folder = folder

    def engine(self, session):
        return getattr(session, "holdall", session)

    def count(self, session):
        return self.engine(session).increment("n")

    def regenerate(self, session):
        self.engine(session).regenerate()

    def sign_out(self, session):
        session.clear()

    def answer(self, path, session, body):
        match path.split("/")[1:]:
            case ["ids", number]:
                # Each of so many workers, if one worker has one request at a time.
                (self.folder / f"worker-{os.getpid()}").touch()
                wait_for(lambda: len(list(self.folder.glob("worker-*"))) >= int(number))
                return [self.manager.open().id for _ in range(1000)]
            case ["count"]:
                return {"pid": os.getpid(), "n": self.count(session)}
            case ["count-alone"]:
                # Between reading and writing, others are kept out only by the lock.
                session["n"] = session.get("n", 0) + 1
                return {"pid": os.getpid(), "n": session["n"]}
            case ["sign-in"]:
                session["user"] = "ada"
            case ["sign-out"]:
                self.sign_out(session)
            case ["regenerate"]:
                self.regenerate(session)
            case ["work", number]:
                (self.folder / f"loaded-{number}").write_text(session.get("user", "nobody"))
                wait_for((self.folder / f"go-{number}").exists)
                session["work"] = 1
            case ["put", key, value]:
                session[key] = int(value)
            case ["all"]:
                return dict(session.items())
            case ["perform"]:
                return perform(session, json.loads(body))
        return {}


def mode(path):
    return "exclusive" if path == "/count-alone" else "shared"


def wsgi(config, folder):
    from holdall import SessionManager
    from holdall.wsgi import SessionMiddleware

    class WsgiDoor(Door):
        def sign_out(self, session):
            session.destroy()

    def application(environ, start_response):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        content = json.dumps(door.answer(environ["PATH_INFO"], environ["holdall.session"], body)).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(content)))])
        return [content]

    manager = SessionManager(config)
    door = WsgiDoor(manager, folder)
    return SessionMiddleware(application, manager, mode=lambda environ: mode(environ["PATH_INFO"])), manager


def flask(config, folder):
    import flask

    from holdall.flask import Holdall

    application = flask.Flask("served")
    application.config["HOLDALL"] = config
    Holdall(application)
    door = Door(application.extensions["holdall"], folder)

    @application.route("/", defaults={"path": ""}, methods=["GET", "POST"])
    @application.route("/<path:path>", methods=["GET", "POST"])
    def page(path):
        return flask.jsonify(door.answer("/" + path, flask.session, flask.request.get_data()))

    return application, door.manager


def django(config, folder):
    import django_settings

    django_settings.set_up()
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import JsonResponse
    from django.test import override_settings
    from django.urls import re_path

    from holdall.django import manager

    class DjangoDoor(Door):
        def count(self, session):
            # As the document says: Django's store has no call for it.
            opened = self.manager.open_token(session.session_key)
            number = opened.increment("n")
            opened.commit()
            return number

        def regenerate(self, session):
            session.cycle_key()

        def sign_out(self, session):
            session.flush()

    def page(request):
        return JsonResponse(door.answer(request.path, request.session, request.body), safe=False)

    class Urls:
        urlpatterns = [re_path("", page)]

    # To be ended by who called, in the process of the tests.
    application = override_settings(HOLDALL=config, SESSION_COOKIE_NAME="sid", ROOT_URLCONF=Urls, LOGGING_CONFIG=None)
    application.enable()
    door = DjangoDoor(manager(), folder)
    handler = WSGIHandler()
    handler.settings = application
    return handler, door.manager


def starlette(config, folder):
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.middleware import Middleware
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from holdall import SessionManager
    from holdall.starlette import SessionMiddleware

    async def page(request):
        body = await request.body()
        return JSONResponse(await run_in_threadpool(door.answer, request.url.path, request.session, body))

    manager = SessionManager(config)
    door = Door(manager, folder)
    middleware = Middleware(SessionMiddleware, manager=manager, mode=lambda scope: mode(scope["path"]))
    return Starlette(routes=[Route("/{path:path}", page, methods=["GET", "POST"])], middleware=[middleware]), manager


if "SERVED_ADAPTER" in os.environ:
    application, _ = build(os.environ["SERVED_ADAPTER"], json.loads(os.environ["SERVED_CONFIG"]), os.environ["SERVED_FOLDER"])

if __name__ == "__main__":
    listening = socket.socket(fileno=int(sys.argv[2]))
    if sys.argv[1] == "waitress":
        import waitress

        waitress.serve(application, sockets=[listening], threads=8, _quiet=True)
    else:
        import uvicorn

        uvicorn.Server(uvicorn.Config(application, log_level="warning", timeout_keep_alive=60)).run(sockets=[listening])
