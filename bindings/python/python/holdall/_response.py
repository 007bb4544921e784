"""What a session does to a response, for the adapters that write headers themselves.

Adds what a commit answered and takes nothing away that the application said. Knows no framework and no session.
"""

from __future__ import annotations

from collections.abc import Iterable

from holdall._holdall import Commit, Session

Headers = list[tuple[str, str]]

LOOKED_AT: Headers = [("Vary", "Cookie")]
"""What a response says that was made from a session, and does not save it."""


def ages_flash(method: str, status: int, purpose: str) -> bool | None:
    """Whether a visitor sees flash messages in this response: False where not, else None, as the flash policy says.

    `purpose` is what the request's `Sec-Purpose` or `Purpose` says.
    """
    unseen = method in ("HEAD", "OPTIONS") or 300 <= status < 400 or "prefetch" in purpose.lower()
    return False if unseen else None


def ended(session: Session, age_flash: bool | None) -> Commit:
    """Commits. Where the application has done so already, to know the outcome before it answers: what it was told then."""
    earlier = session.committed
    commit = session.commit(age_flash=age_flash)
    return commit if earlier is None or commit.headers else earlier


def unsaved(session: Session) -> Headers:
    """What a response says whose session is not saved.

    What the application itself has committed or destroyed has happened, and its cookie has to reach the browser.
    """
    commit = session.committed
    if commit is None and session.is_destroyed:
        commit = session.commit()
    return LOOKED_AT if commit is None else commit.headers


def with_session(headers: Headers, added: Headers) -> Headers:
    """The response's headers with those of the session."""
    headers = list(headers)
    for name, value in added:
        if name == "Vary":
            headers = _listed(headers, name, value, unless=("*", "cookie"))
        elif name == "Cache-Control":
            # Only ever stricter: beside `max-age` a cache keeps to `no-store`; `private` already keeps shared ones out.
            headers = _listed(headers, name, value, unless=("no-store", "private"))
        else:
            headers.append((name, value))
    return headers


def _listed(headers: Headers, name: str, value: str, unless: Iterable[str]) -> Headers:
    """The headers with one more item in a list, unless the list has one of these."""
    lines = [at for at, (other, _) in enumerate(headers) if other.lower() == name.lower()]
    items = [item.strip().lower() for at in lines for item in headers[at][1].split(",")]
    if any(word in items for word in unless):
        return headers
    if not lines:
        return [*headers, (name, value)]
    other, said = headers[lines[-1]]
    headers[lines[-1]] = (other, f"{said}, {value}" if said.strip() else value)
    return headers
