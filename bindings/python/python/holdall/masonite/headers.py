"""Headers: a response's, with those of a commit added. Nothing that was there gets weaker; no cookie is replaced."""

from __future__ import annotations

from collections.abc import Iterable

Headers = list[tuple[str, str]]


def with_commit(headers: Iterable[tuple[str, str]], commit: Iterable[tuple[str, str]]) -> Headers:
    """The headers of a response with those of its commits."""
    merged = list(headers)
    for name, value in commit:
        if name == "Vary":
            merged = _listed(merged, name, value, enough={"*", value.lower()})
        elif name == "Cache-Control":
            merged = _listed(merged, name, value, enough={"no-store", "private"})
        else:
            merged.append((name, value))
    return merged


def _listed(headers: Headers, name: str, value: str, enough: set[str]) -> Headers:
    """Adds a value to a header that is a list, unless it has one of those that say as much."""
    there = [part.strip().lower() for key, line in headers if key.lower() == name.lower() for part in line.split(",")]
    if enough.isdisjoint(there):
        at = next((at for at, (key, _) in enumerate(headers) if key.lower() == name.lower()), None)
        if at is None:
            return [*headers, (name, value)]
        headers = headers.copy()
        headers[at] = (headers[at][0], f"{headers[at][1]}, {value}")
    return headers
