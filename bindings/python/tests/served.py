"""The applications that the servers run in test_wsgi.py and test_starlette.py. The configuration comes in the environment."""

import json
import os
import socket
import sys
import time

from serving import perform
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Route

import holdall
import holdall.starlette
import holdall.wsgi

manager = holdall.SessionManager(json.loads(os.environ["SERVED_CONFIG"]))
# Warm before a server forks: what a child may not share with its siblings is there.
warm = manager.open().id


def answer(path, session, body):
    match path:
        case "/ids":
            return {"pid": os.getpid(), "ids": [manager.open().id for _ in range(1000)]}
        case "/count":
            return {"pid": os.getpid(), "n": getattr(session, "holdall", session).increment("n")}
        case "/count-alone":
            # Between reading and writing, others are kept out only by the lock.
            session["n"] = session.get("n", 0) + 1
            return {"pid": os.getpid(), "n": session["n"]}
        case "/sign-in":
            session["user"] = "ada"
            return {}
        case "/sign-out":
            getattr(session, "holdall", session).destroy()
            return {}
        case "/regenerate":
            getattr(session, "holdall", session).regenerate()
            return {}
        case "/work":
            user = session.get("user")
            time.sleep(0.001)
            session["work"] = 1
            return {"user": user}
        case "/all":
            return dict(session)
        case "/perform":
            return perform(session, json.loads(body))
    return {}


def mode(path):
    return "exclusive" if path == "/count-alone" else "shared"


def wsgi_application(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    content = json.dumps(answer(environ["PATH_INFO"], environ["holdall.session"], body)).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(content)))])
    return [content]


wsgi = holdall.wsgi.SessionMiddleware(wsgi_application, manager, mode=lambda environ: mode(environ["PATH_INFO"]))


async def endpoint(request):
    body = await request.body()
    return JSONResponse(await run_in_threadpool(answer, request.url.path, request.session, body))


asgi = Starlette(
    routes=[Route("/{path:path}", endpoint, methods=["GET", "POST"])],
    middleware=[Middleware(holdall.starlette.SessionMiddleware, manager=manager, mode=lambda scope: mode(scope["path"]))],
)

if __name__ == "__main__":
    listening = socket.socket(fileno=int(sys.argv[2]))
    if sys.argv[1] == "waitress":
        import waitress

        waitress.serve(wsgi, sockets=[listening], threads=8, _quiet=True)
    else:
        import uvicorn

        uvicorn.Server(uvicorn.Config(asgi, log_level="warning", timeout_keep_alive=60)).run(sockets=[listening])
