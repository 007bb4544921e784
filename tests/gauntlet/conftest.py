"""Runs rows: makes their subjects, turns the checks of what is vulnerable round, counts, and says it in the end."""

import contextlib

import pytest
from figures import pytest_configure as figures_configure

from gauntlet.row import PENDING, ROWS, is_left_out

RAN = pytest.StashKey[set]()
LEFT_OUT = pytest.StashKey[set]()


def pytest_configure(config):
    figures_configure(config)
    config.addinivalue_line("markers", "row(published): the row of the gauntlet that a test belongs to")
    config.addinivalue_line("markers", "only_torture: measures time; run by `make torture` alone")
    config.stash[RAN], config.stash[LEFT_OUT] = set(), set()


def pytest_collection_modifyitems(config, items):
    left = [item for item in items if is_left_out(item)]
    items[:] = [item for item in items if not is_left_out(item)]
    config.stash[LEFT_OUT].update(_row(item) for item in left)


def _row(item):
    marker = item.get_closest_marker("row")
    return marker and marker.args[0]


@pytest.fixture
def subject(request, tmp_path):
    """What the check is about, made for this test alone."""
    made = request.param.make(tmp_path)
    with contextlib.closing(made) if hasattr(made, "close") else contextlib.nullcontext():
        yield made


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """A check of something vulnerable passes where it fails for the right reason."""
    says = _says(pyfuncitem)
    if says is None:
        return (yield)
    with pytest.raises(AssertionError, match=says):
        yield
    return True


def _says(item):
    subject = getattr(item, "callspec", None) and item.callspec.params.get("subject")
    return getattr(subject, "says", None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    published = _row(item)
    if published and (report.when == "call" or not report.passed):
        results = ROWS[published].passed if _says(item) is None else ROWS[published].failed_as_it_must
        results[item.nodeid] = results.get(item.nodeid, True) and report.passed
        item.config.stash[RAN].add(published)
    return report


def pytest_unconfigure(config):
    """After pytest's own last line, so that this is the last of all."""
    rows = sorted(ROWS.values(), key=lambda one: one.chapter)
    ran = [one for one in rows if one.published in config.stash.get(RAN, ())]
    if not ran:
        return
    print("\nThe gauntlet:")
    for one in ran:
        verdict = "immune" if one.is_immune else "NOT IMMUNE"
        counts = f"{len(one.passed)} passed, {len(one.failed_as_it_must)} seen to fail"
        print(f"{verdict:<10} {one.published}: {one.flaw} ({counts})")
    for published in sorted(config.stash[LEFT_OUT] - config.stash[RAN]):
        print(f"{'torture':<10} {published}: {ROWS[published].flaw} (measures time)")
    for what, feature in PENDING.items():
        print(f"{'pending':<10} {what} ({feature})")
    print(f"{sum(one.is_immune for one in ran)}/{len(ran)} immune")
