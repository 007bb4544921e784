"""A session as Python's users know a mapping, and containers that are changed in place."""

import collections.abc
import datetime
import sys
import threading

import pytest

import holdall


def test_it_is_a_mapping(browser):
    session = browser.open()
    session["a"] = 1
    session.update({"b": [2]}, c=None)
    assert isinstance(session, collections.abc.MutableMapping)
    assert session == {"a": 1, "b": [2], "c": None} and session != {"a": 1}
    assert sorted(session) == sorted(session.keys()) == ["a", "b", "c"] and len(session) == 3
    assert sorted(map(str, session.values())) == ["1", "None", "[2]"]
    assert dict(session.items()) == {"a": 1, "b": [2], "c": None}
    assert "c" in session and "d" not in session
    assert session.setdefault("a", 9) == 1 and session.setdefault("d", []) == []
    session["d"].append(4)
    assert session.pop("a") == 1 and session.pop("a", None) is None
    with pytest.raises(KeyError, match="a"):
        session.pop("a")
    with pytest.raises(KeyError, match="a"):
        session["a"]
    with pytest.raises(KeyError, match="a"):
        del session["a"]
    del session["c"]
    browser.commit(session)

    assert browser.stored() == {"b": [2], "d": [4]}
    session = browser.open()
    assert {session.popitem()[0], session.popitem()[0]} == {"b", "d"}
    with pytest.raises(KeyError):
        session.popitem()
    session.clear()
    browser.commit(session)
    assert browser.stored() == {}


def test_what_was_changed_in_place_is_saved(browser):
    session = browser.open()
    session["cart"] = {"items": [1], "note": None}
    session["list"] = given = [1]
    given.append(2)
    browser.commit(session)
    assert browser.stored() == {"cart": {"items": [1], "note": None}, "list": [1, 2]}

    session = browser.open()
    session["cart"]["items"].append(3)
    assert session["cart"] is session["cart"]
    session.all()["list"].append(4)
    assert browser.commit(session).outcome == "saved"
    assert browser.stored() == {"cart": {"items": [1, 3], "note": None}, "list": [1, 2, 4]}


def test_what_was_only_read_is_not_written(browser):
    session = browser.open()
    # As another language may write it.
    session.set_json("cart", '{ "items": [1,  2.50, "\\u00e9"] }')
    browser.commit(session)

    session = browser.open()
    assert session["cart"] == {"items": [1, 2.5, "\u00e9"]}
    assert session.all() == {"cart": {"items": [1, 2.5, "\u00e9"]}}
    assert browser.commit(session).outcome == "unchanged"
    assert browser.open().get_json("cart") == '{ "items": [1,  2.50, "\\u00e9"] }'


def test_two_requests_append_to_one_list_and_both_arrive(browser):
    session = browser.open()
    session["list"] = [1]
    browser.commit(session)

    one, other = browser.open(), browser.open()
    one["list"].append("one")
    other["list"].append("other")
    assert one.commit().conflicts == () and other.commit().conflicts == ()
    assert browser.stored() == {"list": [1, "one", "other"]}

    one, other = browser.open(), browser.open()
    one["list"][0] = "one"
    other["list"][0] = "other"
    one.commit()
    assert other.commit().conflicts == (("list", "overwritten"),)


def test_a_container_goes_on_to_be_the_sessions_through_other_calls(browser):
    session = browser.open()
    session["list"] = []
    held = session["list"]
    held.append(1)
    session.push("list", 2)
    held.append(3)
    assert session.get_json("list") == "[1,2,3]"
    assert session["list"] is held
    assert session.pull("list") is held
    held.append(4)
    assert "list" not in session
    session["list"] = "no list any more"
    browser.commit(session)
    assert browser.stored() == {"list": "no list any more"}


def test_a_container_that_was_replaced_or_deleted_is_the_callers_own(browser):
    session = browser.open()
    session["list"] = first = [1]
    session["list"] = [2]
    first.append(9)
    session["gone"] = gone = [1]
    session.delete("gone")
    gone.append(9)
    session["flushed"] = flushed = {}
    session.flush()
    flushed["a"] = 1
    session["list"] = [2]
    browser.commit(session)
    assert browser.stored() == {"list": [2]}


def test_a_session_that_was_committed_before_it_was_looked_at_is_still_open(browser):
    session = browser.open()
    assert browser.commit(session).outcome == "unchanged"
    session["list"] = [1]
    session["list"].append(2)
    assert browser.commit(session).outcome == "saved"
    assert browser.stored() == {"list": [1, 2]}
    # What is done to it from now on is the caller's own.
    session["list"].append(3)
    assert session.all() == {"list": [1, 2, 3]} and browser.commit(session).outcome == "unchanged"
    assert browser.stored() == {"list": [1, 2]}


def test_a_change_in_place_that_cannot_be_kept_is_told_and_harms_nothing(browser):
    session = browser.open()
    session["cart"] = [1]
    browser.commit(session)
    session = browser.open()
    session["cart"].append({1})
    session["other"] = 1
    with pytest.raises(TypeError, match="cart.*set"):
        session.commit()
    session["cart"].pop()
    browser.commit(session)
    assert browser.stored() == {"cart": [1], "other": 1}

    session = browser.open(mode="read_only")
    session["cart"].append(2)
    with pytest.raises(holdall.MisuseError):
        session.commit()
    assert browser.stored() == {"cart": [1], "other": 1}


def test_flash_in_python(browser):
    session = browser.open()
    session.flash("notice", {"text": "saved"})
    session.flash_now("now", 1)
    session.flash_input({"name": "Ann"})
    assert session.get("now") == 1
    browser.commit(session)

    session = browser.open()
    assert session["notice"] == {"text": "saved"} and session.old("name") == "Ann"
    assert session.old("none", "nobody") == "nobody"
    session.keep("notice")
    browser.commit(session)
    assert browser.stored() == {"notice": {"text": "saved"}}

    session = browser.open()
    # A message that is on its way out: what is done to it is not kept, and harms nothing.
    session["notice"]["text"] = "other"
    browser.commit(session)
    assert browser.stored() == {}


def test_a_message_and_data_of_one_name_are_two_things(browser):
    session = browser.open()
    session.flash("k", [1])
    browser.commit(session)
    session = browser.open()
    message = session["k"]
    assert session.increment("k") == 1
    message.append(2)
    assert session.all() == {"k": 1}
    browser.commit(session)
    assert browser.stored() == {"k": 1}


def test_under_on_read_a_message_is_given_once(browser):
    session = browser.open(flash="on_read")
    session.flash("list", [1])
    browser.commit(session)
    session = browser.open(flash="on_read")
    assert session.get("list") == [1] and session.get("list") is None
    browser.commit(session)
    assert browser.stored() == {}


def test_under_on_read_all_and_a_message_set_again_end_nothing(browser):
    session = browser.open(flash="on_read")
    session.flash("errors", {"name": ["missing"]})
    browser.commit(session)
    session = browser.open(flash="on_read")
    assert session.all() == {"errors": {"name": ["missing"]}}
    browser.commit(session)
    session = browser.open(flash="on_read")
    errors = session.get("errors")
    session.flash("errors", errors)
    assert session.pull("errors") == {"name": ["missing"]}


def test_the_context_manager_commits_unless_there_is_an_exception(browser):
    with browser.open() as session:
        session["a"] = 1
    browser.receive(session.committed.headers)
    assert browser.stored() == {"a": 1}

    with pytest.raises(LookupError), browser.open() as session:
        session["a"] = 2
        raise LookupError
    assert session.committed is None and "closed" in repr(session)
    assert browser.stored() == {"a": 1}

    # The lock goes with it, although the traceback of the exception still has the session.
    with pytest.raises(LookupError) as kept, browser.open(mode="exclusive") as session:
        raise LookupError
    assert kept.tb is not None
    with browser.open(mode="exclusive", lock_timeout_ms=0) as session:
        session.close()
    assert session.committed is None


def test_a_closed_session_has_let_go_of_everything_and_is_misuse(browser):
    with browser.open() as session:
        session["a"] = [1]
    browser.receive(session.committed.headers)

    holder = browser.open(mode="exclusive")
    holder["a"].append(2)
    holder.close()
    holder.close()
    other = browser.open(mode="exclusive", lock_timeout_ms=0)
    assert other["a"] == [1]
    assert browser.commit(other).outcome == "unchanged"

    for use in (
        lambda: holder["a"],
        lambda: holder.get("a"),
        lambda: holder.set("a", 1),
        lambda: holder.all(),
        lambda: len(holder),
        lambda: holder.is_new,
        lambda: holder.id,
        holder.csrf_token,
        holder.destroy,
        holder.commit,
    ):
        with pytest.raises(holdall.MisuseError, match="closed"):
            use()
    assert holder.committed is None and not holder.is_destroyed and repr(holder).startswith("<holdall.Session closed")

    session = browser.open()
    session["a"] = 2
    commit = browser.commit(session)
    session.close()
    assert session.committed is commit and browser.stored() == {"a": 2}
    browser.open().close()


def test_what_was_destroyed_says_so_without_being_loaded(browser):
    with browser.open() as session:
        session["a"] = 1
        assert not session.is_destroyed
    browser.receive(session.committed.headers)

    session = browser.open()
    session.destroy()
    assert session.is_destroyed
    assert browser.commit(session).outcome == "gone" and session.is_destroyed
    session.close()
    assert session.is_destroyed


def test_remember_makes_once_and_runs_unlocked(browser):
    session = browser.open()
    session["n"] = 1
    assert session.remember("made", lambda: [session["n"]]) == [1]
    assert session.remember("made", lambda: pytest.fail("it is there")) == [1]
    session["made"].append(2)
    browser.commit(session)
    assert browser.stored() == {"n": 1, "made": [1, 2]}


def test_numbers_add_up(browser):
    session = browser.open()
    assert session.increment("n") == 1 and session.increment("n", 5) == 6 and session.decrement("n", n=2) == 4
    session["text"] = "x"
    with pytest.raises(holdall.InvalidValueError, match="text"):
        session.increment("text")
    for call in (session.increment, session.decrement):
        for beyond in (2**63, -(2**63) - 1, 10**500):
            with pytest.raises(holdall.InvalidArgumentError, match="^n is an integer from -9223372036854775808 to 9223372036854775807"):
                call("n", beyond)
        with pytest.raises(TypeError, match="^n is an integer, not float"):
            call("n", 1.0)
    assert session["n"] == 4


def test_timeouts_take_numbers_and_timedeltas(browser):
    session = browser.open(now_ms=1_000_000)
    session["a"] = 1
    session.set_idle_timeout(datetime.timedelta(minutes=1))
    session.set_absolute_timeout(3600)
    browser.commit(session, now_ms=1_000_000)
    assert browser.open(now_ms=1_059_999, mode="read_only").is_new is False
    assert browser.open(now_ms=1_060_000, mode="read_only").is_new is True
    for wrong in (0, -1, float("nan"), float("inf"), 10**10, 0.5):
        with pytest.raises(ValueError, match="timeout"):
            session = browser.open()
            session.set_idle_timeout(wrong)
    with pytest.raises(TypeError, match="timeout"):
        browser.open().set_idle_timeout("an hour")


def test_identity_and_csrf(browser):
    session = browser.open()
    assert session.is_new
    token = session.csrf_token()
    session["user"] = 1
    browser.commit(session)
    session = browser.open()
    before = session.id
    assert session.csrf_matches(token) and not session.csrf_matches("x" * len(token)) and not session.is_new
    session.regenerate()
    assert session.id != before
    browser.commit(session)
    assert not browser.open().csrf_matches(token)
    assert browser.stored() == {"user": 1}

    session = browser.open()
    session.destroy()
    with pytest.raises(holdall.MisuseError):
        session["a"] = 1
    browser.commit(session)
    assert browser.cookie is None


def test_nothing_that_is_printed_tells_a_secret(browser):
    session = browser.open()
    session["secret"] = "s3cret"
    commit = browser.commit(session)
    for printed in (repr(session), repr(commit), repr(browser.manager), str(session)):
        assert session.id not in printed and "s3cret" not in printed


def test_one_session_in_two_threads_at_once_is_misuse(browser):
    session = browser.open()
    session["a"] = 1
    browser.commit(session)
    holder, session = browser.open(mode="exclusive"), browser.open()
    session["a"] = 2
    answers = []
    # It waits for the holder.
    thread = threading.Thread(target=lambda: answers.append(session.commit().outcome))
    thread.start()
    with pytest.raises(holdall.MisuseError, match="one thread"):
        while True:
            session.get("a")
    browser.commit(holder)
    thread.join()
    assert answers == ["saved"] and browser.stored() == {"a": 2}


def test_what_remember_calls_may_use_the_session_also_from_another_thread(browser):
    session = browser.open()
    session["a"] = 1

    def make():
        seen = []
        thread = threading.Thread(target=lambda: seen.append(session["a"]))
        thread.start()
        thread.join()
        return seen[0]

    assert session.remember("b", make) == 1


def test_listeners_are_told_and_their_errors_harm_nothing(manager, monkeypatch):
    told = []
    manager.on_event(lambda kind, session: told.append((kind, session)) or 1 / 0)
    session = manager.open()
    session["a"] = 1
    unraisable = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    assert session.commit().outcome == "saved"
    assert unraisable and isinstance(unraisable[0].exc_value, ZeroDivisionError)
    ((kind, prefix),) = told
    assert kind == "created" and len(prefix) == 12
    with pytest.raises(holdall.MisuseError):
        manager.on_event(print)

