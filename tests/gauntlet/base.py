"""What all doors have in common: an answer, a visitor, and the words of a session that is a mapping."""


class Answer:
    """A response: its status, its headers as pairs, its body, and what the act gave."""

    def __init__(self, status, headers, body="", result=None):
        self.status, self.headers, self.body, self.result = status, headers, body, result

    def all(self, name):
        return [value for other, value in self.headers if other.lower() == name.lower()]

    def says(self, name, word):
        """Whether a header that is a list has a word."""
        return word.lower() in [item.strip().lower() for line in self.all(name) for item in line.split(",")]

    @property
    def set(self):
        """The cookies that it sets, name and value; a removal is an empty value."""
        return dict(line.partition(";")[0].strip().split("=", 1) for line in self.all("Set-Cookie"))


class Visitor:
    """A browser at a door: keeps its cookies and sends them back."""

    def __init__(self, door, cookies=()):
        self.door, self.cookies = door, dict(cookies)

    @property
    def header(self):
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def ask(self, act, **more):
        return self.receive(self.door.ask(act, self.header, **more))

    def receive(self, answer):
        cookies = {**self.cookies, **answer.set}
        self.cookies = {name: value for name, value in cookies.items() if value.strip('"')}
        return answer


class Door:
    """What doors have in common: a session that is a mapping."""

    name = ""
    cookie_name = "__Host-sid"
    # The whole line for a token T, as it is without a word of configuration but that the site is https.
    line = "__Host-sid=T; Path=/; HttpOnly; SameSite=Lax; Secure"
    removal = "__Host-sid=; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"

    def __init__(self, document):
        self.document = document

    def ask(self, act, cookie="", **environ):
        """One request with this Cookie header, str or bytes."""
        raise NotImplementedError

    def new(self):
        return Visitor(self)

    @property
    def driver(self):
        """The driver's name, for figures."""
        return self.document["url"].partition(":")[0] + (", sealed" if "at_rest" in self.document else "")

    # The framework's words.

    def put(self, session, key, value):
        session[key] = value

    def read(self, session, key):
        return session.get(key)

    def every(self, session):
        return dict(session.items())

    def renew(self, session):
        """A new id, the same data: what signing in does."""
        session.regenerate()

    def end(self, session):
        """Signs out."""
        session.destroy()

    def other_person(self, session):
        """A new id, and nothing of what was: what signing in as somebody else does."""
        session.invalidate()

    def end_meanwhile(self, visitor):
        """Another request of the same visitor signs out, while one is under way."""
        session = self.manager.open_token(visitor.cookies[self.cookie_name])
        session.destroy()
        session.commit()

    @property
    def looks(self):
        """The ways to look at a session without changing it."""
        return {
            "in": lambda session: "k" in session,
            "not in": lambda session: "k" not in session,
            "iter": lambda session: list(session),
            "len": len,
            "bool": bool,
            "get": lambda session: session.get("k"),
            "[]": lambda session: session["k"] if "k" in session else None,
            "keys": lambda session: list(session.keys()),
            "values": lambda session: list(session.values()),
            "items": lambda session: list(session.items()),
            "==": lambda session: session == {},
            "dict": dict,
            "**": lambda session: {**session},
        }

    # What is known of the store, where there is one.

    @property
    def manager(self):
        """The engine's manager behind this door."""
        raise NotImplementedError

    def records(self):
        """How many records there are, of those that are kept here."""
        return 0 if self.document["url"] == "cookie:" else len(self.manager.records())
