"""Values as the serializers of frameworks write them. What goes wrong names the key."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from holdall.errors import InvalidTypeError, InvalidValueError


def written(key: str, value: Any, dumps: Callable[[Any], str], *, is_json: bool = True) -> str:
    """The text that `dumps` makes of a value."""
    if not isinstance(key, str):
        raise InvalidTypeError(f"a session's keys are str, not {type(key).__name__}")

    def refuse(number: str) -> None:
        raise InvalidValueError(f"the value of {key!r}: JSON has no number {number}")

    try:
        text = dumps(value)
    except TypeError as error:
        raise InvalidTypeError(f"the value of {key!r}: {error}") from error
    except RecursionError as error:
        raise InvalidValueError(f"the value of {key!r} is nested too deep, or contains itself") from error
    except ValueError as error:
        raise InvalidValueError(f"the value of {key!r}: {error}") from error
    if is_json and ("NaN" in text or "Infinity" in text):
        # As numbers they are Python's alone; in a string they are as good as any other word.
        json.loads(text, parse_constant=refuse)
    return text
