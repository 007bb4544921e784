"""The exceptions of Holdall: one for each kind of error, and each also the built-in that Python's own calls would raise.

No message has an id, a value or a secret in it.
"""


class HoldallError(Exception):
    """Any error of Holdall."""

    kind = "panic"
    """The kind, the same word in every language."""
    retryable = False
    """Whether the same call may succeed later without anything being changed: a lock that was held, a full disk."""
    may_have_written = False
    """Whether the write may have taken effect although the call failed. A commit that is repeated finds out by itself."""
    locked = False
    """Whether another request has the session locked, and nothing else is wrong; `retryable` then too."""


class InvalidArgumentError(HoldallError, ValueError):
    """A call was given something that it cannot take."""

    kind = "invalid_argument"


class InvalidConfigError(HoldallError, ValueError):
    """The configuration is wrong. The message names the field."""

    kind = "invalid_config"


class InvalidValueError(HoldallError, ValueError):
    """A value is not JSON as it is kept here, or of another type than the call needs. The message names key and reason."""

    kind = "invalid_value"


class InvalidTypeError(InvalidValueError, TypeError):
    """A value or a key is of a type that JSON does not have. The message names key and type."""


class TooLargeError(HoldallError, ValueError):
    """Something is over its limit. The message gives the limit and the size."""

    kind = "too_large"


class UnavailableError(HoldallError, OSError):
    """The storage did not do it: I/O, a full disk, a lock held too long."""

    kind = "unavailable"


class CorruptError(HoldallError, RuntimeError):
    """A stored record cannot be read."""

    kind = "corrupt"


class UnsupportedError(HoldallError, NotImplementedError):
    """This driver, platform or version of the format does not offer it."""

    kind = "unsupported"


class MisuseError(HoldallError, RuntimeError):
    """The call does not fit the state of the session: a write to a read-only one, use after `destroy`, `close` or across `fork`."""

    kind = "misuse"


class PanicError(HoldallError, SystemError):
    """A bug in Holdall, caught before it could harm the process."""
