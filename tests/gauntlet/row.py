"""A row of the gauntlet: what was published, and a check of it.

`immune` are subjects that must pass the check, `vulnerable` ones that must not: there the check has to end with an
AssertionError that says what `says` finds. Of a subject it is known how it is made, and nothing else.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from figures import TORTURE

CHAPTERS = ["ids", "fixation", "ending", "sealing", "http", "exhaustion", "checklist"]

PENDING = {
    "ASVS 7.4.2, 7.4.3, 7.4.5, 7.5.2; the number of parallel sessions": "an index by principal",
    "Rails, Airflow CVE-2023-40273, TYPO3 CVE-2022-31050 and others: a new password ends the other sessions": "an index by principal",
    "@fastify/secure-session CVE-2024-31999: a sealed cookie ended before its time": "a revocation epoch",
    "cheat sheet: Clear-Site-Data at sign-out": "Clear-Site-Data",
    "Django CVE-2011-4136: names shared with the application in redis": "the redis driver",
    "Zend ZF2015-01: checks of the browser that a session is bound to, passed by": "a binding to a browser; there is none",
}
"""Rows whose feature does not exist yet, and which. In no number."""


@dataclass(frozen=True)
class Subject:
    """Something to check: its name, and how it is made in a directory of its own."""

    name: str
    make: Callable[[Any], Any]
    # What the failure of the check has to say; None where it must not fail.
    says: str | None = None


@dataclass
class Row:
    """One line of the gauntlet's end, and what came of its tests."""

    published: str
    flaw: str
    chapter: int
    passed: dict[str, bool] = field(default_factory=dict)
    failed_as_it_must: dict[str, bool] = field(default_factory=dict)

    @property
    def is_immune(self) -> bool:
        """Everything of ours passed, and the check was seen to fail where it must."""
        return all(results and all(results.values()) for results in (self.passed, self.failed_as_it_must))


ROWS: dict[str, Row] = {}
"""By what was published."""


def row(published, flaw, *, immune, vulnerable, says, only_torture=False):
    """Makes a test of a check with a parameter `subject`, which runs once for each.

    Several checks may belong to one row. `only_torture`: it measures time, which `make test` does not.
    """

    def decorate(check):
        chapter = CHAPTERS.index(check.__module__.rpartition("test_")[2])
        ROWS.setdefault(published, Row(published, flaw, chapter))
        subjects = [*immune, *(Subject(f"vulnerable:{one.name}", one.make, says) for one in vulnerable)]
        check = pytest.mark.parametrize("subject", subjects, ids=[one.name for one in subjects], indirect=True)(check)
        check = pytest.mark.row(published)(check)
        check = pytest.mark.torture(check)
        return pytest.mark.only_torture(check) if only_torture else check

    return decorate


def is_left_out(item):
    """Whether this run leaves a test to `make torture`."""
    return item.get_closest_marker("only_torture") is not None and not TORTURE
