"""The examples in the docstrings run."""

import doctest

import holdall


def test_the_examples_of_the_docstrings():
    found = doctest.testmod(holdall)
    assert found.attempted >= 20 and found.failed == 0
