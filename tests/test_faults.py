"""A fault at every system call of every operation of the file driver, by strace: killed there, or told an error.

Whatever happens, a reader finds the state before or the one after, never less than was answered; after an error that does
not say otherwise it is the one before, and the same commit works when the cause is gone. Nothing stays locked or left over.
"""

import os
import re
import shutil
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import pytest
from processes import MARK, MEMORY, calls, config, copied, strace, values, worker

# What a session is before an operation: how often it was written, and how long.
SMALL, LARGE_ONCE, LARGE = (2, 300), (1, 20_000), (2, 20_000)
OPERATIONS = {
    "create": [SMALL],
    "longer": [SMALL, LARGE],
    "shorter": [LARGE_ONCE, LARGE],
    "same": [SMALL, LARGE],
    "touch": [SMALL],
    "destroy": [SMALL, LARGE],
    "regenerate": [SMALL, LARGE_ONCE],
    "regenerate_longer": [SMALL, LARGE],
    "regenerate_shorter": [LARGE_ONCE, LARGE],
    "sweep": [SMALL],
}
# Where the file system makes no files without a name, new files have temporary names.
NAMED = "named "
CASES = [(name, state) for name in OPERATIONS for state in OPERATIONS[name]]
CASES += [(NAMED + name, SMALL) for name in ("create", "regenerate_longer")]
DONE = {"saved", "unchanged", "gone", "swept"}
# Calls that make a descriptor, and those a signal can end early, by their manual pages.
CAN_GIVE = {
    "EMFILE": r"open|dup|fcntl|socket|memfd",
    "EINTR": r"open|flock|read|write|truncate|fallocate|sync|getrandom|nanosleep|futex",
}
ERRORS = ["ENOSPC", "EIO", "EDQUOT", "EMFILE", "EINTR"]


@pytest.fixture
def directory(tmp_path, scaled):
    """A place for stores: on the disk under torture, else in memory where there is such a file system."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=scaled(memory if memory.is_dir() else tmp_path, tmp_path)) as path:
        yield Path(path)


class Operation:
    """One operation on one store, undisturbed, and then with a fault at each call it makes."""

    def __init__(self, name, state, durability, directory):
        self.name, self.durability, self.directory = name.removeprefix(NAMED), durability, directory
        self.label = f"{name} of {state} with {durability}"
        directory.mkdir()
        self.template = directory / "template"
        (made,) = values(worker(config(self.template, durability), "-", "make", *state), "new")
        self.token = made
        self.tamper = []
        self.calls = self.undisturbed()
        if name.startswith(NAMED):
            place, unnamed = next(pair for pair in enumerate(self.calls) if "O_TMPFILE" in pair[1].line)
            self.tamper = ["-e", f"inject={unnamed.name}:error=EOPNOTSUPP:when={unnamed.ordinal}"]
            # Up to there nothing is new; and strace tampers in one way with all calls of a name.
            self.calls = [call for call in self.undisturbed()[place + 1 :] if call.name != unnamed.name]
        found = [self.found(self.copy("whole"), [self.token, *self.new])]
        self.before = self.found(copied(self.template, directory / "before"), [self.token, *(["-"] if self.new else [])])
        (self.after,) = found

    def copy(self, name):
        return self.directory / name

    def config(self, store):
        # With a limit the sweep begins at the start of the directory, and makes the same calls in every run.
        driver = {"type": "file", "path": str(store), "durability": self.durability, "max_records": 1000}
        return config(store, drivers={"file": driver})

    def operate(self, store, log, *options, codes=(0,)):
        copied(self.template, store)
        before = strace(log, *self.tamper, *options)
        return worker(self.config(store), self.token, "operate", self.name, before=before, codes=codes)

    def undisturbed(self):
        log = self.copy("log")
        told = self.operate(self.copy("whole"), log)
        assert [outcome in DONE for outcome in values(told, "outcome")] == [True], told
        self.new = values(told, "new")[-1:]
        return calls(log)

    def found(self, store, tokens):
        """What a reader in another process finds, after which everything must still work, and nothing must be left."""
        for temporary in store.glob(".tmp-*"):
            os.utime(temporary, (time.time() - 7200, time.time() - 7200))
        told = worker(self.config(store), "-", "check", *tokens)
        states = values(told, "state")
        living = [state for state in states if state != "absent"]
        assert values(told, "write") == ["saved"] * len(living), (self.label, told)
        assert values(told, "wrote") == [f"99 {state.split()[1]}" for state in living], (self.label, told)
        assert [entry.name for entry in store.iterdir()] == [".holdall"], self.label
        return states, values(told, "records")

    def strike(self, number, call, fault):
        """One run with one fault. Gives what came of it: killed, undisturbed, or failed as it should."""
        store, log = self.copy(f"store {number}"), self.copy(f"log {number}")
        trace = ["-e", f"trace={MARK},openat,{call.name}", "-e", f"inject={call.name}:{fault}:when={call.ordinal}"]
        told = self.operate(store, log, *trace, codes=(0, -9) if "KILL" in fault else (0,))
        what = f"{self.label}, {fault} at {call.name} {call.ordinal}: {told}"
        struck = [seen for seen in calls(log) if seen.name == call.name and seen.line.endswith(("(INJECTED)", "= ?"))]
        assert len(struck) == 1, what

        new = values(told, "new")[-1:] or ["-"] * len(self.new)
        states = [self.before, self.after]
        outcomes = values(told, "outcome")
        if outcomes and outcomes[0] in DONE:
            states = [self.after]
            came = "done"
        elif "KILL" in fault:
            assert outcomes == [], what
            came = "killed"
        else:
            assert outcomes[0].startswith("unavailable retryable"), what
            assert "EINTR" not in fault, what
            assert outcomes[1] in DONE, what
            between = values(told, "between")
            # The new id is not yet known where the load failed.
            whole = (between, between + ["absent"])
            unsure = "may_have_written" in outcomes[0]
            assert self.before[0] in whole or unsure and self.after[0] in whole, what
            states = [self.after]
            came = "failed"
        found = self.found(store, [self.token, *new])
        if self.name == "sweep":
            # What has ended goes one by one.
            assert found[0] == self.before[0] == self.after[0], what
        else:
            assert found in states, f"{what}: {found}, not {states}"
        shutil.rmtree(store)
        return came

    def strike_on(self, number, call, fault):
        """One run in which this call, and every later one of its name, fails: a cause that stays. Gives what came of it."""
        store, log = self.copy(f"store on {number}"), self.copy(f"log on {number}")
        trace = ["-e", f"trace={MARK},openat,{call.name}", "-e", f"inject={call.name}:{fault}:when={call.ordinal}+"]
        told = self.operate(store, log, *trace)
        what = f"{self.label}, {fault} at {call.name} from {call.ordinal} on: {told}"
        outcomes = values(told, "outcome")
        new = values(told, "new")[-1:] or ["-"] * len(self.new)
        done = outcomes[-1] in DONE
        assert done or all(outcome.startswith("unavailable retryable") for outcome in outcomes), what
        # The cause has gone with the process: what was told as done is there, and else nothing was lost.
        found = self.found(store, [self.token, *new])
        if self.name == "sweep":
            assert found[0] == self.before[0] == self.after[0], what
        elif done or found != self.before:
            unsure = any("may_have_written" in outcome for outcome in outcomes)
            assert found == self.after and (done or unsure), f"{what}: {found}"
        shutil.rmtree(store)
        return "done" if done else "failed"


def points(cases, faults, durabilities, directory, strike=Operation.strike):
    """Strikes at every call of every case, and gives how often each thing came of it."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        begun = [
            pool.submit(Operation, name, state, durability, directory / f"{number}")
            for number, ((name, state), durability) in enumerate(product(cases, durabilities))
        ]
        strikes = []
        for number, operation in enumerate(made.result() for made in begun):
            for place, call in enumerate(operation.calls):
                for index, fault in enumerate(faults(number + place)):
                    errno = fault.removeprefix("error=")
                    possible = call.name not in MEMORY and re.search(CAN_GIVE.get(errno, ""), call.name)
                    if "KILL" in fault or possible:
                        strikes.append(pool.submit(strike, operation, f"{place} {index}", call, fault))
        bad = [str(error) for strike in strikes if (error := strike.exception())]
        assert bad == [], f"{len(bad)} of {len(strikes)} points:\n" + "\n".join(bad)
    return Counter(strike.result() for strike in strikes)


@pytest.mark.torture
def test_a_process_killed_at_any_system_call_leaves_the_state_before_or_after(directory, scaled, figure):
    came = points(CASES, lambda _: ["signal=KILL"], scaled(["none"], ["none", "commit"]), directory)
    assert came["killed"] > 100 and came["failed"] == 0, came
    good = came["killed"] + came["done"]
    figure("R1", "file", "points good, killed at every system call", f"{good:,} of {good:,}", "all")


@pytest.mark.torture
def test_an_error_at_any_system_call_is_told_and_the_state_is_as_it_was(directory, scaled, figure):
    def faults(place):
        every = [f"error={errno}" for errno in ERRORS]
        return scaled([every[0], every[1 + place % 4]], every)

    came = points(CASES, faults, scaled(["commit"], ["none", "commit"]), directory)
    assert came["failed"] > 100, came
    figure("R3", "file", "points good, an error at every system call", f"{came.total():,} of {came.total():,}", "all")
    failed = f"{came['failed']:,}"
    figure("R3", "file", "of these, writes that failed, were told and repeated with success", failed, "every failed write")


@pytest.mark.torture
def test_an_error_that_stays_is_told_and_nothing_is_lost_when_its_cause_is_gone(directory, scaled, figure):
    # Interrupted for ever is no fault of a disk.
    lasting = [f"error={errno}" for errno in ERRORS if errno != "EINTR"]
    faults = scaled(lambda place: [lasting[place % 4]], lambda _: lasting)
    came = points(CASES, faults, scaled(["commit"], ["none", "commit"]), directory, Operation.strike_on)
    assert came["failed"] > 50, came
    figure("R3", "file", "points good, an error at every system call that stays", f"{came.total():,} of {came.total():,}", "all")
