"""The absolute timeout of a session, for adapters of frameworks that have none."""

LONGEST_S = 1_000_000_000
"""The longest timeout there is, 31 years."""
_DEFAULT_S = 30 * 24 * 60 * 60


def absolute_timeout_s(lifetime_s: int) -> int:
    """How long a session lives however often it is used, where it ends `lifetime_s` after its last use.

    The engine's own default; where the framework's lifetime comes near that, twice the lifetime, since otherwise no use
    would extend the session, as the frameworks' documents and tests say that it does.
    """
    return min(max(_DEFAULT_S, 2 * lifetime_s), LONGEST_S)
