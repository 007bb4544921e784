"""A visitor of the demo over plain HTTP: a cookie jar, forms with their CSRF token, and pages read by a real HTML parser."""

from html.parser import HTMLParser

import requests

TIMEOUT = 30


class Page(HTMLParser):
    """What a page says: text by id, the items of the cart, the fields of its forms."""

    def __init__(self, response):
        super().__init__(convert_charrefs=True)
        self.status, self.headers = response.status_code, response.headers
        self.by_id, self.items, self.fields, self.scripts = {}, [], {}, 0
        self._open = []
        self.feed(response.content.decode())
        self.close()

    @property
    def notice(self):
        return self.by_id.get("notice")

    @property
    def problem(self):
        return self.by_id.get("problem")

    @property
    def visits(self):
        return int(self.by_id["visits"])

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.scripts += tag == "script"
        if tag == "input":
            self.fields.setdefault(attributes.get("name"), attributes.get("value", ""))
        if tag not in ("input", "img", "link", "meta"):
            self._open.append((tag, attributes.get("id"), attributes.get("class")))
            if attributes.get("id"):
                self.by_id[attributes["id"]] = ""
            if attributes.get("class") == "item":
                self.items.append("")

    def handle_endtag(self, tag):
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, text):
        for _, name, kind in self._open:
            if name:
                self.by_id[name] += text
            if kind == "item":
                self.items[-1] += text


class Visitor:
    """One browser, as far as sessions are concerned. Comes to the home page first, where the forms are."""

    def __init__(self, url):
        self.url, self.http, self.token = url, requests.Session(), None
        self.home = self.get()

    @property
    def cookie(self):
        return self.http.cookies.get("sid")

    @property
    def cookies(self):
        """For requests beside this visitor's."""
        return self.http.cookies.get_dict()

    def get(self, path="/"):
        """Opens a page, and keeps the token of its forms."""
        page = Page(self.http.get(self.url + path, timeout=TIMEOUT, allow_redirects=False))
        self.token = page.fields.get("csrf_token", self.token)
        return page

    def send(self, path, **fields):
        """Posts a form with the token of the page before, and does not follow the redirect."""
        form = {"csrf_token": self.token, **fields}
        return self.http.post(self.url + path, form, timeout=TIMEOUT, allow_redirects=False)

    def form(self, path, to=None, **fields):
        """The request that send() would send, here or to another demo."""
        form = {"csrf_token": self.token, **fields}
        return requests.Request("POST", (to or self.url) + path, data=form, cookies=self.cookies)

    def submit(self, path, **fields):
        """Posts a form as a browser does: what is answered is the page that the redirect leads to."""
        response = self.send(path, **fields)
        assert response.status_code == 303, response.text
        return self.get(response.headers["Location"])
