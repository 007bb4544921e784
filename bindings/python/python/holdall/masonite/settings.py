"""Settings: what `HOLDALL` in config/session.py says, with the engine's managers made from it.

It is read and checked when the application starts: a wrong field is an `InvalidConfigError` that names it. Knows WSGI's
environ, and neither a container nor a response.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any

import holdall
from holdall.errors import InvalidArgumentError, InvalidConfigError, UnsupportedError

IDENTITIES = ("cookie", "ip")
PURPOSE = b"holdall.masonite: sessions sealed under the application's key, version 1"


class Settings:
    """One application's settings."""

    def __init__(self, given: Mapping[str, Any], *, default: str | None, flash: str, key: object = None) -> None:
        """`key`: the application's, of which one to seal with is made where HOLDALL has none."""
        fields = dict(given)
        if "keys" not in fields:
            fields["keys"] = _made_from(key)
        self.identity = fields.pop("identity", "cookie")
        if self.identity not in IDENTITIES:
            raise InvalidConfigError(f'HOLDALL["identity"] is "cookie" or "ip", not {self.identity!r}')
        if self.identity == "ip" and not fields.get("keyed_secret"):
            raise InvalidConfigError('HOLDALL["identity"] "ip" needs a HOLDALL["keyed_secret"]')
        self.save_on_error = _boolean("save_on_error", fields.pop("save_on_error", False))
        self._proxies = _networks(fields.pop("trusted_proxies", ()))
        fields.setdefault("flash", flash)
        self.flash = fields["flash"]
        if default is None and "url" in fields:
            manager = holdall.SessionManager(fields)
            drivers = manager.config()["drivers"]
            default = manager.config()["default"]
        else:
            default = default or _only(fields.get("drivers"))
            # The framework has these two. At the end of a request it asks for the one called memory, whatever the default is.
            own = {"memory": {"type": "memory"}, **({"cookie": {"type": "cookie"}} if fields["keys"] else {})}
            drivers = {**own, **fields.pop("drivers", {})}
            if default not in drivers:
                raise InvalidConfigError(_no_driver(default, drivers))
            manager = holdall.SessionManager(fields, drivers=drivers, default=default)
        self.default: str = default
        self._client_side = {name for name, options in drivers.items() if options.get("type") == "cookie"}
        self._managers = {name: manager if name == default else manager.driver(name) for name in drivers}

    @property
    def drivers(self) -> tuple[str, ...]:
        """The names of the drivers."""
        return tuple(self._managers)

    def manager(self, driver: str) -> holdall.SessionManager:
        """The engine's manager for a driver. `InvalidArgumentError` where there is none of that name."""
        if driver not in self._managers:
            raise InvalidArgumentError(_no_driver(driver, self._managers))
        return self._managers[driver]

    def is_keyed(self, driver: str) -> bool:
        """Whether a driver's sessions belong to addresses. What is kept in the cookie itself belongs to its cookie."""
        return self.identity == "ip" and driver not in self._client_side

    def address(self, environ: Mapping[str, Any]) -> str:
        """The client's address: what connected, or whom the named proxies say they speak for."""
        address = str(environ.get("REMOTE_ADDR", ""))
        forwarded = [part.strip() for part in environ.get("HTTP_X_FORWARDED_FOR", "").split(",")]
        while forwarded and forwarded[-1] and self._is_proxy(address):
            address = forwarded.pop()
        if not address:
            # Everybody behind the socket would share one session.
            raise UnsupportedError('HOLDALL["identity"] is "ip", and this request has no REMOTE_ADDR')
        return address

    def is_secure(self, environ: Mapping[str, Any]) -> bool:
        """Whether the request came over https, as the server knows it or a named proxy says."""
        scheme = str(environ.get("wsgi.url_scheme", "http"))
        if self._is_proxy(str(environ.get("REMOTE_ADDR", ""))):
            scheme = environ.get("HTTP_X_FORWARDED_PROTO", scheme).split(",")[-1].strip()
        return scheme == "https"

    def _is_proxy(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._proxies)


def _made_from(key: object) -> list[str]:
    """A ring of one key, made from the application's; empty where that is none."""
    text = key.decode("ascii", "replace") if isinstance(key, bytes) else key
    try:
        # The engine says what is a key; what can be guessed would not look like it any more once it is hashed.
        holdall.SessionManager(url="cookie:", keys=[text])
    except InvalidConfigError:
        return []
    # The framework encrypts its own cookies under the same bytes, so that they are not used here themselves.
    made = hmac.digest(base64.urlsafe_b64decode(f"{text}=".replace("/", "_").replace("+", "-")), PURPOSE, "sha256")
    return [base64.urlsafe_b64encode(made).decode()]


def _only(drivers: Mapping[str, Any] | None) -> str:
    """The default driver where nobody says which it is."""
    if drivers is None:
        return "memory"
    if len(drivers) != 1:
        raise InvalidConfigError('HOLDALL["default"]: say which of HOLDALL["drivers"] it is')
    return next(iter(drivers))


def _no_driver(name: str, drivers: Mapping[str, Any]) -> str:
    there = ", ".join(f'"{driver}"' for driver in drivers)
    hint = '. "cookie" needs HOLDALL["keys"], or 32 random bytes as KEY in config/application.py' if name == "cookie" else ""
    return f'there is no session driver "{name}": HOLDALL["drivers"] in config/session.py has {there}{hint}'


def _boolean(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidConfigError(f'HOLDALL["{name}"] is True or False, not {type(value).__name__}')
    return value


def _networks(proxies: object) -> list[Any]:
    if isinstance(proxies, str) or not isinstance(proxies, (list, tuple)):
        raise InvalidConfigError('HOLDALL["trusted_proxies"] is a list of addresses or networks')
    try:
        return [ip_network(proxy) for proxy in proxies]
    except ValueError as error:
        raise InvalidConfigError(f'HOLDALL["trusted_proxies"]: {error}') from None
