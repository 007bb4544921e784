"""Many threads, many children, and a long run beside a plain model, through Python (R8, R9 and R22 of docs/reliability.md)."""

import copy
import os
import random
import threading

import pytest

import holdall


@pytest.mark.torture
def test_sixty_four_threads_lose_nothing_on_a_hundred_sessions(manager, driver, scaled, figure):
    threads, operations, tokens = 64, scaled(60, 2000), []
    for _ in range(100):
        session = manager.open()
        session["n"] = 0
        tokens.append(session.id)
        session.commit()
    counted, failed = [[0] * len(tokens) for _ in range(threads)], []

    def work(number):
        dice = random.Random(number)
        try:
            for _ in range(operations):
                at = dice.randrange(len(tokens))
                session = manager.open_token(tokens[at])
                session.increment("n")
                session[f"of {number}"] = counted[number][at] + 1
                if dice.random() < 0.2:
                    session.setdefault("list", []).append(number)
                if session.commit().outcome == "saved":
                    counted[number][at] += 1
        except BaseException as error:
            failed.append(error)

    workers = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(threads)]
    [worker.start() for worker in workers]
    [worker.join(300) for worker in workers]
    assert not failed and not any(worker.is_alive() for worker in workers)
    for at, token in enumerate(tokens):
        session = manager.open_token(token)
        assert session["n"] == sum(counts[at] for counts in counted)
        assert all(session.get(f"of {number}", 0) == counts[at] for number, counts in enumerate(counted))
    figure("R9", driver, "operations of 64 threads that were lost (Python)", f"0 of {threads * operations}", "0")


@pytest.mark.torture
def test_children_of_a_warm_parent_draw_no_id_twice_and_lose_no_increment(tmp_path, scaled, figure):
    manager, children, number = holdall.SessionManager(f"file://{tmp_path}/sessions"), 8, scaled(200, 10_000)
    shared = manager.open()
    shared["n"] = 0
    token = shared.id
    shared.commit()
    pipes = []
    for _ in range(children):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                with os.fdopen(write, "w") as answer:
                    for _ in range(number):
                        print(manager.open().id, file=answer)
                    for _ in range(number // 10):
                        session = manager.open_token(token)
                        session.increment("n")
                        session.commit()
                status = 0
            finally:
                os._exit(status)
        os.close(write)
        pipes.append((child, read))
    ids = {manager.open().id for _ in range(number)}
    for child, read in pipes:
        with os.fdopen(read) as answer:
            ids.update(line.strip() for line in answer)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(ids) == (children + 1) * number
    assert manager.open_token(token)["n"] == children * (number // 10)
    figure("R8", "file", "equal ids of 8 children of a warm parent, and the parent (Python)", f"0 of {len(ids)}", "0")


KEYS = ["a", "b", "c", "d"]


class Model:
    """What a session is, in plain dicts: data, flash that was found, flash that is new."""

    def __init__(self):
        self.data, self.old, self.new = {}, {}, {}

    def seen(self):
        return self.old | self.new | self.data

    def commit(self, ages):
        self.old = ({} if ages else self.old) | self.new
        self.new = {}


def operate(dice, session, model, key, value):
    """One operation on both; they answer alike."""
    data, seen = model.data, model.seen()
    match dice.randrange(14):
        case 0 | 1:
            session[key] = value
            data[key] = copy.deepcopy(value)
        case 2:
            session.delete(key)
            for part in (data, model.old, model.new):
                part.pop(key, None)
        case 3:
            assert session.pull(key) == seen.get(key)
            for part in [data] if key in data else [model.old, model.new]:
                part.pop(key, None)
        case 4 if type(data.get(key, 0)) is int:
            data[key] = data.get(key, 0) + 1
            assert session.increment(key) == data[key]
        case 5 if isinstance(data.get(key, []), list):
            session.push(key, value)
            data[key] = data.get(key, []) + [copy.deepcopy(value)]
        case 6 if isinstance(data.get(key), list):
            session[key].append(value)
            data[key].append(copy.deepcopy(value))
        case 7 if isinstance(data.get(key), dict):
            session[key]["in place"] = value
            data[key]["in place"] = copy.deepcopy(value)
        case 8:
            session.flash(key, value)
            model.old.pop(key, None)
            model.new[key] = copy.deepcopy(value)
        case 9 if dice.random() < 0.1:
            session.flush()
            model.__init__()
        case 10 if dice.random() < 0.2:
            session.reset(flash_only=True)
            model.old, model.new = {}, {}
        case 11 if key in model.old:
            session.keep(key)
            model.new[key] = model.old[key]
        case 12:
            if key in seen:
                assert session.remember(key, lambda: pytest.fail("it is there")) == seen[key]
            else:
                assert session.setdefault(key, copy.deepcopy(value)) == value
                data[key] = copy.deepcopy(value)
        case _:
            assert session.get(key) == seen.get(key) and (key in session) == (key in seen)


@pytest.mark.torture
def test_a_session_is_what_a_plain_model_says(browser, driver, scaled, figure):
    dice, model, operations = random.Random(22), Model(), scaled(6000, 1_000_000)
    values = [1, "text", None, [], [1, {"x": []}], {}, {"a": [1]}, 1.5, True]
    done = 0
    while done < operations:
        session = browser.open()
        for _ in range(dice.randrange(8)):
            operate(dice, session, model, dice.choice(KEYS), copy.deepcopy(dice.choice(values)))
            done += 1
        assert session.all() == model.seen()
        ages = dice.random() < 0.5
        browser.commit(session, age_flash=ages)
        model.commit(ages)
    assert browser.stored() == model.seen()
    figure("R22", driver, "operations that differed from the model (Python)", f"0 of {done}", "0")
