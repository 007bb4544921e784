"""Long tests through Masonite: a session in forty lines that every version must answer like (R22), and races that nothing may
come back from (R13)."""

import json
import random
import threading

VALUES = [None, True, 0, "", 7, -(2**70), 1.5, "1.5", "text \u00e9\U0001f9f3", [1, [2]], {"a": {"b": []}}]


class Model:
    """`consumes`: who reads a message takes it, as in 4 and 5; else it is there until the end of the next request."""

    def __init__(self, consumes):
        self.consumes = consumes
        self.data, self.old, self.fresh = {}, {}, {}

    def request(self, operations):
        answers = [getattr(self, name)(*arguments) for name, *arguments in operations]
        self.old, self.fresh = ({**self.old, **self.fresh} if self.consumes else self.fresh), {}
        return answers

    def all(self):
        return {**self.old, **self.fresh, **self.data}

    def has(self, key):
        return key in self.all()

    def get(self, key):
        value = self.all().get(key)
        if self.consumes and key not in self.data:
            self._forget(key)
        return value

    def pull(self, key):
        value = self.all().get(key)
        self._forget(key)
        return value

    def delete(self, key):
        was_there = self._forget(key)
        return None if self.consumes else was_there

    def set(self, key, value):
        self.data[key] = value

    def flash(self, key, value):
        self.fresh[key] = value

    def increment(self, key, count):
        self.data[key] = self.data.get(key, 0) + count

    def decrement(self, key, count):
        self.increment(key, -count)

    def reset(self, flash_only):
        self.old, self.fresh = ({}, {}) if flash_only else (self.old, self.fresh)
        self.data = self.data if flash_only else {}

    def flush(self):
        self.data, self.old, self.fresh = {}, {}, {}

    def _forget(self, key):
        return [part.pop(key) for part in (self.data, self.old, self.fresh) if key in part] != []


def operations_of(chosen, consumes):
    """What one request does, at random. Keys are kept apart by the types of their values, flash from data."""

    def one():
        number, value = chosen.randint(0, 3), chosen.choice(VALUES)
        key = chosen.choice([f"k{number}", f"f{number}"])
        common = [["set", f"k{number}", value], ["get", key], ["has", key], ["delete", key], ["flash", f"f{number}", value], ["all"]]
        newer = [["pull", key], ["increment", f"n{number}", number], ["decrement", f"n{number}", 2]]
        rare = [["reset", chosen.random() < 0.5], *([["flush"]] if consumes else [])]
        if chosen.random() < 0.03:
            return chosen.choice(rare)
        return chosen.choice(common + newer * consumes)

    return [one() for _ in range(chosen.randint(1, 8))]


def like_the_model(visitor, number, consumes, seed=1):
    """Compares that many operations."""
    chosen, model, compared = random.Random(seed), Model(consumes), 0
    while compared < number:
        operations = operations_of(chosen, consumes)
        assert visitor.ask("perform", operations=json.dumps(operations)) == model.request(operations), (compared, operations)
        compared += len(operations)
    return compared


def races(visitor, hurried, ending, rounds, met):
    """A request of `hurried` at work while `visitor`, the same one, ends the session. Whoever keeps the old cookie sees nothing.

    As many rounds as are asked for, and until in `met` of them the one at work had seen the session before it ended.
    """
    done = seen = 0
    while done < rounds or (seen < met and done < 100 * met):
        visitor.cookies.clear()
        visitor.ask("set", key="user", value='"ada"')
        old = visitor.cookies["sid"]
        answers = []

        def work(old=old, answers=answers):
            hurried.cookies.clear()
            hurried.cookies.set("sid", old)
            answers.append(hurried.ask("work"))

        thread = threading.Thread(target=work)
        thread.start()
        visitor.ask(ending)
        thread.join()
        seen += answers == ["ada"]
        hurried.cookies.clear()
        hurried.cookies.set("sid", old)
        assert hurried.ask("all") == {}
        if ending == "regenerate":
            assert visitor.ask("get", key="user") == "ada"
        done += 1
    assert seen >= met
    return done

# What no session takes: the exception's classes and words.
BAD = {
    "key": ("TypeError", "int"),
    "set": ("TypeError", '"a": a set is no JSON value'),
    "bytes": ("TypeError", '"a": a bytes is no JSON value'),
    "NaN": ("ValueError", '"a"'),
    "loop": ("ValueError", '"a"'),
    "long": ("ValueError", "1048576"),
    "long key": ("ValueError", "255"),
    "surrogate": ("ValueError", '"a"'),
}


def is_refused(said):
    """Whether what `bad` has answered is all that it should be."""
    for name, (kind, words) in BAD.items():
        for kinds, message in said[name]:
            assert kind in kinds and "HoldallError" in kinds and words in message, (name, kinds, message)
        assert len(said[name]) == 2
    return True
