"""A cache that many visitors share, as RFC 9111 lets it be: what it has stored it hands to whoever asks alike."""


class SharedCache:
    """`fetch(path, headers)` asks the application, and gives status, pairs of headers, and body."""

    def __init__(self, fetch):
        self.fetch = fetch
        self.stored = []
        self.hits = 0

    def get(self, path, cookie=None):
        """The cookies that the response sets, and its body."""
        headers = {} if cookie is None else {"cookie": cookie}
        for stored_path, asked, response in self.stored:
            if stored_path == path and all(headers.get(name) == value for name, value in asked.items()):
                self.hits += 1
                return said(response, "set-cookie"), response[2]
        response = self.fetch(path, headers)
        control, vary = words(response, "cache-control"), words(response, "vary")
        may_be_stored = any(word.startswith(("max-age=", "s-maxage=")) for word in control) and not control & {"no-store", "private"}
        if may_be_stored and "*" not in vary:
            self.stored.append((path, {name: headers.get(name) for name in vary}, response))
        return said(response, "set-cookie"), response[2]


def said(response, name):
    return [value for other, value in response[1] if other.lower() == name]


def words(response, name):
    return {word.strip().lower() for line in said(response, name) for word in line.split(",") if word.strip()}


def strangers_share_nothing_but_what_is_static(fetch):
    """Two visitors behind one cache. The application may be cached for a minute, all of it, as far as it says itself:

    /static does not look at the session, /begin begins one with a secret in it, /show shows the secret.
    """
    cache = SharedCache(fetch)
    assert [cache.get("/static")[1] for _ in range(2)] == [b"static", b"static"] and cache.hits == 1
    (ada,), (bob,) = (cache.get("/begin")[0] for _ in range(2))
    ada, bob = ada.partition(";")[0], bob.partition(";")[0]
    assert ada != bob, "a newcomer got the cookie of the one before"
    shown = [cache.get("/show", cookie)[1] for cookie in (ada, bob, None, ada, None)]
    assert shown[0] not in (shown[1], shown[2], b"") and shown[3] == shown[0] and shown[4] == shown[2]
    return cache
