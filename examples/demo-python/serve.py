#!/usr/bin/env python3
"""The Holdall demo in Python: reads the options, serves until SIGINT or SIGTERM.

One thread, because the framework keeps the request, the response and its container once per process. Several of these
processes may share a directory of sessions, with each other and with the demo in C++.
"""

import argparse
import logging
import os
import signal
import sys
from pathlib import Path

import waitress

from holdall import HoldallError

WHERE = """WHERE is one of
  memory:                 in this process, gone when it ends
  file:///absolute/path   in files, one a session
  {"drivers": ...}        a whole configuration as JSON (docs/config.md)
"""


def default_sessions():
    """Where the sessions are when nobody says: in the build directory, if the demo is started beside one."""
    return (Path.cwd() / "build/demo-sessions" if Path("build").is_dir() else Path("/tmp/holdall-demo")).as_uri()


def port(text):
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError("a number from 0 to 65535")
    return int(text)


def read_options():
    parser = argparse.ArgumentParser("demo", epilog=WHERE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", metavar="WHERE", default=default_sessions(),
                        help="default: build/demo-sessions, or /tmp/holdall-demo where there is no ./build")
    parser.add_argument("--port", metavar="N", type=port, default=8000,
                        help="on 127.0.0.1; 0 takes a free one and prints which; default: 8000")
    options, more = parser.parse_known_args()
    if any(not word.startswith("-") for word in more):
        parser.error("there are no arguments besides the options")
    if more:
        parser.error(f"unknown: {' '.join(more)}")
    return options


def application(sessions):
    # The framework finds the parts of an application in the working directory.
    folder = Path(__file__).resolve().parent
    os.environ["SESSIONS"] = sessions
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    # A document that is none is refused here; the framework would hide the reason in an error of its loader.
    import config.session  # noqa: F401
    from wsgi import application

    return application


def serve(options):
    # That requests wait for their turn is nothing to report.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    # A body that is too large is read up to a megabyte, so that the client gets to read the answer.
    server = waitress.create_server(application(options.sessions), host="127.0.0.1", port=options.port, threads=1,
                                    max_request_body_size=1024 * 1024, ident=None)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("The session cookie is not Secure, because this is plain http. Behind https, leave cookie.secure alone.\n"
          f"Ready: http://127.0.0.1:{server.effective_port}/", flush=True)
    # Ends at either signal, after the request that is running.
    server.run()


if __name__ == "__main__":
    try:
        serve(read_options())
    except (HoldallError, OSError, ValueError) as error:
        sys.exit(f"demo: {error}")
