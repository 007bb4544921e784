"""The manager: its configuration, its drivers, threads and processes."""

import os
import threading
import time

import pytest

import holdall


def test_a_configuration_is_a_url_json_a_mapping_or_fields():
    for config, fields in [
        ("memory:", {}),
        ("memory:", {"idle_timeout_s": 60}),
        ('{"url": "memory:"}', {"idle_timeout_s": 60}),
        ({"url": "memory:", "idle_timeout_s": 1}, {"idle_timeout_s": 60}),
        (None, {"url": "memory:", "idle_timeout_s": 60}),
        (None, {"drivers": {"memory": {"type": "memory"}}}),
    ]:
        manager = holdall.SessionManager(config, **fields)
        assert manager.config()["default"] == "memory"
        assert manager.config()["idle_timeout_s"] == fields.get("idle_timeout_s", 7200)


@pytest.mark.parametrize(
    ("config", "fields", "says"),
    [
        (None, {}, "drivers"),
        ("", {}, "url"),
        ("http://x", {}, "url"),
        ("memory:", {"idle_timeout": 1}, "idle_timeout"),
        ("memory:", {"cookie": {"name": "a;b"}}, "cookie.name"),
        ("memory:", {"keyed_secret": "hunter2"}, "keyed_secret"),
    ],
)
def test_a_wrong_configuration_names_the_field(config, fields, says):
    with pytest.raises(holdall.InvalidConfigError, match=says) as raised:
        holdall.SessionManager(config, **fields)
    assert isinstance(raised.value, ValueError) and "hunter2" not in str(raised.value)


def test_a_configuration_of_another_type_is_a_type_error():
    for wrong in (1, b"memory:", ["memory:"]):
        with pytest.raises(TypeError, match="configuration"):
            holdall.SessionManager(wrong)
    with pytest.raises(TypeError, match="object"):
        holdall.SessionManager("memory:", cookie={"name": object()})


def test_another_driver_has_a_cookie_of_its_own(tmp_path):
    drivers = {"main": {"type": "file", "path": str(tmp_path)}, "quick": {"type": "memory"}}
    manager = holdall.SessionManager(default="main", drivers=drivers)
    one, other = manager.open(), manager.driver("quick").open()
    one["n"], other["n"] = 1, 2
    lines = [dict(session.commit().headers)["Set-Cookie"] for session in (one, other)]
    assert lines[0].startswith("__Host-sid=") and lines[1].startswith("__Host-sid-quick=")
    header = "; ".join(line.partition(";")[0] for line in lines)
    assert manager.open(header)["n"] == 1 and manager.driver("quick").open(header.encode())["n"] == 2
    with pytest.raises(holdall.InvalidArgumentError, match="nosuch"):
        manager.driver("nosuch")
    assert (manager.driver_name, manager.cookie_name) == ("main", "__Host-sid")
    quick = manager.driver("quick")
    assert (quick.driver_name, quick.cookie_name) == ("quick", "__Host-sid-quick")


def test_an_integer_that_is_out_of_range_is_a_value_error_that_names_the_argument(manager):
    session = manager.open()
    keyed = holdall.SessionManager("memory:", keyed_secret="k" * 43)
    times = [
        manager.open, manager.open_token, lambda **when: keyed.open_keyed("key", **when), manager.sweep, manager.records,
        lambda **when: manager.destroy("0" * 64, **when), session.commit, session.destroy,
    ]  # fmt: skip
    calls = [(call, "now_ms") for call in times]
    calls += [(call, "lock_timeout_ms") for call in times[:3]]
    calls += [(manager.sweep, "limit")]
    for call, argument in calls:
        for beyond in (-1, 2**64, -(10**500)):
            with pytest.raises(holdall.InvalidArgumentError, match=rf"^{argument} is an integer from 0 to 18446744073709551615") as raised:
                call(**{argument: beyond})
            assert isinstance(raised.value, ValueError)
        for other in ("1", 1.5, [1]):
            with pytest.raises(TypeError, match=rf"^{argument} is an integer, not {type(other).__name__}"):
                call(**{argument: other})
        call(**{argument: None})


def test_an_integers_own_error_comes_through(manager):
    class Broken:
        def __index__(self):
            raise LookupError("broken")

    with pytest.raises(LookupError, match="broken"):
        manager.open(now_ms=Broken())


def test_the_largest_time_is_a_time_and_the_longest_wait_has_a_bound(manager):
    session = manager.open(now_ms=2**64 - 1)
    session["a"] = 1
    assert session.commit(now_ms=2**64 - 1).outcome == "saved"
    assert manager.open(lock_timeout_ms=3_600_000).is_new
    with pytest.raises(holdall.InvalidArgumentError, match="lock_timeout_ms: 0 to 3600000"):
        manager.open(lock_timeout_ms=3_600_001)


def test_records_are_seen_and_destroyed_by_their_hashed_names(manager, browser):
    session = browser.open()
    session["a"] = 1
    browser.commit(session)
    ((locator, expiry_ms, size),) = manager.records()
    assert len(locator) == 64 and locator not in session.id and expiry_ms > time.time() * 1000 and size > 100
    assert manager.destroy(locator) is True and manager.destroy(locator) is False
    assert browser.stored() == {}
    with pytest.raises(ValueError, match="64"):
        manager.destroy("../../etc/passwd")
    swept = manager.sweep()
    assert swept["removed"] == 0 and swept["finished"] is True
    assert manager.stats()["events"]["destroyed"] == 1


def test_keyed_sessions(url):
    manager = holdall.SessionManager(url, keyed_secret="k" * 43)
    session = manager.open_keyed("192.0.2.1")
    session["n"] = 1
    commit = session.commit()
    assert commit.headers == [] and manager.open_keyed(b"192.0.2.1")["n"] == 1
    assert "n" not in manager.open_keyed("192.0.2.2")
    with pytest.raises(holdall.UnsupportedError):
        holdall.SessionManager("memory:").open_keyed("192.0.2.1")


def test_bad_tokens_are_absent_and_bad_types_are_refused(manager):
    for token in ("", None, "x", "A" * 43, b"\xff\x00", "\u00e9" * 43, "A" * 100_000):
        assert manager.open_token(token).is_new
        assert manager.open(token).is_new
    for wrong in (1, ["a"], {"sid": "x"}):
        with pytest.raises(TypeError, match="Cookie header"):
            manager.open(wrong)
    for option, word in (("mode", "hasty"), ("flash", "never")):
        with pytest.raises(holdall.InvalidArgumentError, match=word):
            manager.open("", **{option: word})


def test_twenty_six_threads_set_a_letter_each_and_all_are_there(manager, browser):
    session = browser.open()
    session["count"] = 0
    browser.commit(session)
    barrier = threading.Barrier(26)

    def work(letter):
        session = browser.open()
        session[letter] = ord(letter)
        session.increment("count")
        barrier.wait()
        assert session.commit().outcome == "saved"

    threads = [threading.Thread(target=work, args=(chr(ord("a") + i),)) for i in range(26)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert browser.stored() == {chr(ord("a") + i): ord("a") + i for i in range(26)} | {"count": 26}


def test_threads_wait_for_an_exclusive_session_and_all_are_served(manager, browser):
    session = browser.open()
    session["n"] = 0
    browser.commit(session)

    def work():
        # In memory as well: a thread that waits lets the holder go on.
        with browser.open(mode="exclusive") as session:
            before = session["n"]
            time.sleep(0.001)
            session["n"] = before + 1

    threads = [threading.Thread(target=work) for _ in range(50)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert browser.stored()["n"] == 50


def test_a_lock_that_is_held_is_unavailable_in_time_and_retryable(browser):
    session = browser.open()
    session["n"] = 0
    browser.commit(session)
    holder = browser.open(mode="exclusive")
    with pytest.raises(holdall.UnavailableError) as raised:
        browser.open(mode="exclusive", lock_timeout_ms=0)
    assert raised.value.retryable and not raised.value.may_have_written and isinstance(raised.value, OSError)
    assert raised.value.locked
    browser.commit(holder)
    browser.commit(browser.open(mode="exclusive", lock_timeout_ms=0))


def test_a_lock_timeout_holds_for_the_commit_and_destroy_too_and_both_may_be_repeated(browser):
    session = browser.open()
    session["n"] = 0
    browser.commit(session)
    holder = browser.open(mode="exclusive")
    other, leaving = browser.open(lock_timeout_ms=0), browser.open(lock_timeout_ms=0)
    other.increment("n")
    for call in (other.commit, other.commit, leaving.destroy):
        with pytest.raises(holdall.UnavailableError, match="waited 0 ms") as raised:
            call()
        assert raised.value.locked and raised.value.retryable and not raised.value.may_have_written
    holder.increment("n")
    browser.commit(holder)
    assert browser.commit(other).outcome == "saved" and browser.stored() == {"n": 2}
    leaving.destroy()
    assert browser.commit(leaving).outcome == "gone" and browser.stored() == {}


@pytest.mark.parametrize("end", ["commit", "destroy"])
def test_whoever_waits_for_an_exclusive_session_lets_its_holder_go_on(browser, end):
    # In memory a commit keeps the interpreter, and must not where it may wait for one who needs it: it would wait in vain.
    session = browser.open()
    session["n"] = 0
    browser.commit(session)
    holder = browser.open(mode="exclusive")
    outcomes, started = [], threading.Event()

    def other():
        session = browser.open()
        session.increment("n")
        started.set()
        if end == "destroy":
            session.destroy()
        outcomes.append(session.commit().outcome)

    waiting = threading.Thread(target=other)
    waiting.start()
    assert started.wait(60)
    time.sleep(0.05)
    assert outcomes == []
    holder.increment("n")
    assert holder.commit().outcome == "saved"
    waiting.join(60)
    assert outcomes == (["saved"] if end == "commit" else ["gone"])
    assert browser.stored() == ({"n": 2} if end == "commit" else {})


def test_what_is_unavailable_for_another_reason_is_not_locked(tmp_path):
    manager = holdall.SessionManager(drivers={"main": {"type": "file", "path": str(tmp_path), "max_records": 1}})
    for times in range(2):
        session = manager.open()
        session["n"] = times
        if times == 0:
            session.commit()
    with pytest.raises(holdall.UnavailableError, match="max_records") as raised:
        session.commit()
    assert raised.value.retryable and not raised.value.locked


def test_a_session_of_the_parent_is_misuse_in_a_child(manager, browser):
    session = browser.open()
    session["a"] = 1
    browser.commit(session)
    held = browser.open()
    held["b"] = 2
    child = os.fork()
    if child == 0:
        status = 1
        try:
            held.commit()
        except holdall.MisuseError:
            # Its own sessions work, on the files of the parent.
            session = browser.open()
            shared = manager.stats()["drivers"][manager.config()["default"]]["capabilities"]["shared_between_processes"]
            status = 0 if session.all() == ({"a": 1} if shared else {}) else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert browser.commit(held).outcome == "saved"
    assert browser.stored() == {"a": 1, "b": 2}


def test_eight_processes_count_to_eight_thousand(tmp_path):
    manager = holdall.SessionManager(f"file://{tmp_path}/sessions")
    session = manager.open()
    session["n"] = 0
    token = session.id
    session.commit()
    children = []
    for _ in range(8):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                for _ in range(1000):
                    session = manager.open_token(token)
                    session.increment("n")
                    session.commit()
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 8
    assert manager.open_token(token)["n"] == 8000

