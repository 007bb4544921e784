"""Requests that arrive at once: all are sent but for their last byte, and then the last bytes right after each other.

Threads of Python start too far apart to overlap in a server that answers within a tenth of a millisecond.
"""

import socket
from contextlib import ExitStack
from http.client import HTTPResponse
from urllib.parse import urlsplit

TIMEOUT = 30


def volley(*wanted):
    """Sends requests.Request objects at once and answers their status codes."""
    with ExitStack() as opened:
        sockets = []
        for request in wanted:
            whole = as_bytes(request.prepare())
            address = urlsplit(request.url)
            connection = opened.enter_context(socket.create_connection((address.hostname, address.port), TIMEOUT))
            connection.sendall(whole[:-1])
            sockets.append((connection, whole[-1:]))
        for connection, last in sockets:
            connection.sendall(last)
        return [status(connection) for connection, _ in sockets]


def as_bytes(prepared):
    headers = {"Host": urlsplit(prepared.url).netloc, "Connection": "close", **prepared.headers}
    head = [f"{prepared.method} {prepared.path_url} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*head, "", prepared.body or ""]).encode()


def status(connection):
    with HTTPResponse(connection) as response:
        response.begin()
        response.read()
        return response.status
