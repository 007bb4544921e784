"""Requests that meet in the server: all connections first, and then what goes over each of them in one piece.

Threads of Python start too far apart to overlap in a server that answers within 20 microseconds. So there are several requests
on a connection, pipelined (RFC 9112, section 9.3.2): the server has work on all its threads while the last ones still arrive.
"""

import socket
from contextlib import ExitStack
from http.client import HTTPResponse
from urllib.parse import urlsplit

TIMEOUT = 30


def volley(*wanted, connections=8):
    """Sends requests.Request objects at once and answers their status codes, in the same order.

    There are so many connections to each server as `connections` says.
    """
    return [response.status for response in responses(*wanted, connections=connections)]


def responses(*wanted, connections=8):
    """As volley(), but answers the responses, each with its body."""
    answers = [None] * len(wanted)
    servers = {}
    for number, request in enumerate(wanted):
        servers.setdefault(urlsplit(request.url).netloc, []).append(number)
    lanes = [numbers[lane::connections] for numbers in servers.values() for lane in range(min(connections, len(numbers)))]
    with ExitStack() as opened:
        sent = []
        for numbers in lanes:
            whole = b"".join(as_bytes(wanted[number].prepare()) for number in numbers)
            address = urlsplit(wanted[numbers[0]].url)
            connection = opened.enter_context(socket.create_connection((address.hostname, address.port), TIMEOUT))
            connection.sendall(whole[:1])
            sent.append((connection, whole[1:]))
        for connection, rest in sent:
            connection.sendall(rest)
        for (connection, _), numbers in zip(sent, lanes, strict=True):
            with connection.makefile("rb") as pipe:
                for number in numbers:
                    answers[number] = read_response(pipe)
    return answers


def as_bytes(prepared):
    headers = {"Host": urlsplit(prepared.url).netloc, **prepared.headers}
    head = [f"{prepared.method} {prepared.path_url} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*head, "", prepared.body or ""]).encode()


def read_response(pipe):
    """Reads one response. What HTTPResponse takes for a socket of its own, and closes, stays open for the next one."""

    class Borrowed:
        def makefile(self, _):
            return self

        def close(self):
            pass

        def flush(self):
            pass

        def __getattr__(self, name):
            return getattr(pipe, name)

    response = HTTPResponse(Borrowed())
    response.begin()
    response.body = response.read()
    return response
