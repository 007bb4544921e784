"""Masonite 5 (`masonite-framework`): what `project start` makes, under waitress and under gunicorn with 4 workers."""

import json
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from masonite_application import APPLICATIONS, Environment, Server, Visitor, linked

VERSION = "5.4.1"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    return Environment.of(VERSION, sys.executable, linked(tmp_path_factory.mktemp("library") / "library"))


@pytest.fixture(scope="module")
def scaffold(environment, tmp_path_factory):
    """An application as the framework's own command makes it, with a database."""
    directory = tmp_path_factory.mktemp("scaffold")
    options = ["--no-venv", "--no-git", "--no-serve", "--no-input"]
    for command in (["project", "start", "application", *options], ["python", "craft", "migrate"]):
        cwd = directory / "application" if command[0] == "python" else directory
        process = environment.run(environment.python.parent / command[0], *command[1:], cwd=cwd)
        output = process.communicate(timeout=60)[0]
        assert process.returncode == 0, output
    return directory / "application"


@pytest.fixture(scope="module")
def start(environment, scaffold, tmp_path_factory):
    """Starts an application once for each set of settings; they end with the tests."""
    servers = {}

    def start(driver="file", provider="holdall", server="waitress", overlay=APPLICATIONS / "five", **settings):
        key = json.dumps([driver, provider, server, str(overlay), settings])
        if key not in servers:
            directory = tmp_path_factory.mktemp("masonite")
            application = shutil.copytree(scaffold, directory / "application")
            shutil.copytree(overlay, application, dirs_exist_ok=True)
            if provider == "holdall":
                providers = application / "config" / "providers.py"
                text = providers.read_text().replace("    SessionProvider,\n    Cache", "    SessionProvider,\n    Ours,\n    Cache")
                providers.write_text(f"from holdall.masonite import SessionProvider as Ours\n{text}")
            document = {"default": driver, "cookie": {"secure": False}}
            document["drivers"] = {"file": {"type": "file", "path": f"{directory}/sessions"}}
            servers[key] = Server(environment, application, server, TEST_HOLDALL=json.dumps(document | settings))
        return servers[key]

    yield start
    [server.stop() for server in servers.values()]


@pytest.fixture(params=[("memory", "waitress"), ("file", "waitress"), ("file", "gunicorn")], ids="-".join)
def visitor(request, start):
    driver, server = request.param
    return Visitor(start(driver, server=server))


def shown(page):
    """The messages that helpers/messages.html shows."""
    return re.findall(r'alert alert-(\w+)">\s*(.*?)\s*</div>', page.text)


def posted(visitor, route, **values):
    token = re.search(r"name='__token' value='(\w+)'", visitor.visit("dashboard").text)[1]
    return visitor.post(f"{visitor.server.url}/{route}", data={"__token": token, **values}, timeout=10)


VALUES = (1, 0, "", False, True, None, 1.5, "1.5", "true", "null", "123", [1, [2]], {"a": {"b": []}}, 2**70, "\u00e9")


def test_values_come_back_as_they_were_set(visitor):
    for given in VALUES:
        assert visitor.ask("set_and_get", value=json.dumps(given)) == given
        assert visitor.ask("get", key="now") == given and visitor.ask("has", key="now") is True
        assert visitor.ask("all") == {"now": given}
    assert visitor.ask("get", key="missing") is None


def test_the_frameworks_calls(visitor):
    visitor.ask("set", key="a", value="1")
    assert visitor.ask("pull", key="a") == 1 and visitor.ask("has", key="a") is False
    assert visitor.ask("delete_then_set") == 2 and visitor.ask("get", key="a") == 2
    assert visitor.ask("delete_and_has") is False
    visitor.ask("increment", key="n")
    visitor.ask("increment", key="n")
    assert visitor.ask("get", key="n") == 2
    visitor.ask("flash", key="success", value='"Kept"')
    assert visitor.ask("reset") == {"success": "Kept"} and visitor.ask("reset", flash_only="yes") == {}
    visitor.ask("set", key="a", value="1")
    visitor.ask("flush")
    assert visitor.ask("all") == {}


@pytest.mark.parametrize(
    ("route", "redirects", "message"),
    [
        ("separate", 1, ("danger", "Action is dangerous")),
        ("succeeds", 1, ("success", "Action is successful")),
        ("twice", 2, ("success", "Through two redirects")),
    ],
)
def test_a_flash_behind_redirects_is_shown_once(visitor, route, redirects, message):
    page = visitor.visit(route)
    assert [response.status_code for response in page.history] == [302] * redirects
    assert page.status_code == 200 and shown(page) == [message]
    assert shown(visitor.visit("dashboard")) == [] and visitor.ask("all") == {}


def test_a_flash_waits_for_whoever_gets_it(visitor):
    visitor.ask("flash", key="x", value="[1]")
    for _ in range(3):
        assert visitor.ask("has", key="x") is True
    assert visitor.ask("get", key="x") == [1] and visitor.ask("get", key="x") is None


def test_errors_and_old_input_reach_the_next_page_alone(visitor):
    for route in ("errs", "bag"):
        assert "A name is required" in visitor.visit(route).text
        assert "errors: {}" in visitor.visit("dashboard").text
    assert "old: blue" in visitor.visit("with_old", typed="blue").text
    assert "old: nothing" in visitor.visit("dashboard").text


def test_csrf_still_works(visitor):
    visitor.ask("set", key="name", value='"Ann"')
    assert posted(visitor, "form").text == "posted by Ann"
    assert visitor.post(f"{visitor.server.url}/form", data={"__token": "x"}, timeout=10).status_code >= 400


def test_login_still_works_and_renews_the_session(visitor):
    assert visitor.visit("register").text == "registered"
    visitor = Visitor(visitor.server)
    visitor.ask("set", key="cart", value="[1]")
    before = visitor.cookies["sid"]
    assert visitor.visit("who").text == "nobody"
    page = posted(visitor, "login", email="ann@example.com", password="correct horse")
    assert shown(page) == [("success", "Welcome")] and visitor.visit("who").text == "ann@example.com"
    assert visitor.cookies["sid"] != before and visitor.ask("get", key="cart") == [1]
    assert requests.get(f"{visitor.server.url}/all", cookies={"sid": before}, timeout=10).json() == {}


def test_two_visitors_have_two_sessions(visitor):
    other = Visitor(visitor.server)
    visitor.ask("set", key="name", value='"Ann"')
    assert other.ask("all") == {}
    other.ask("set", key="name", value='"Ben"')
    assert visitor.ask("get", key="name") == "Ann"


def test_a_driver_on_the_fly_leaves_the_template_helper_alone(start):
    visitor = Visitor(start("memory"))
    visitor.ask("set", key="where", value='"default"')
    assert "where: default" in visitor.visit("fly").text
    assert visitor.ask("get", key="where", driver="file") == "file" and visitor.ask("get", key="where") == "default"
    assert 'no session driver "cookie"' in visitor.visit("refused").text


def test_errors_before_and_in_the_commit_save_nothing(visitor):
    assert visitor.visit("unserialisable").text == 'the value of "when": a set is no JSON value'
    assert visitor.visit("fails").status_code == 500
    response = visitor.visit("spoil")
    assert response.status_code == 500 and "sid=" not in response.headers.get("Set-Cookie", "")
    assert "a set is no JSON value" in response.text
    assert visitor.ask("all") == {} and "sid" not in visitor.cookies


def test_what_failed_is_saved_where_that_is_asked_for(start):
    visitor = Visitor(start(save_on_error=True))
    assert visitor.visit("fails").status_code == 500
    assert visitor.ask("all") == {"failed": True}


def test_headers_that_are_there_are_kept_and_get_stricter(visitor):
    response = visitor.visit("headers")
    assert response.headers["Vary"] == "Accept, Cookie"
    assert response.headers["Cache-Control"] == "public, max-age=60, no-store"
    assert {"sid", "other", "SESSID"} <= set(visitor.cookies.keys())


def test_https_is_what_the_server_or_a_named_proxy_says(start):
    def line(server):
        forwarded = {"X-Forwarded-Proto": "https"}
        return requests.get(f"{server.url}/set?key=a&value=1", headers=forwarded, timeout=10).headers["Set-Cookie"]

    cookie = {"name": "sid", "secure": "auto"}
    assert not re.search(r"sid=[^,]*; Secure", line(start(cookie=cookie)))
    assert re.search(r"sid=[^,]*; Secure", line(start(cookie=cookie, trusted_proxies=["127.0.0.1"])))


def test_the_next_request_policy(start):
    visitor = Visitor(start(flash="next_request"))
    visitor.ask("flash", key="x", value="1")
    prefetched = visitor.get(f"{visitor.server.url}/get", params={"key": "x"}, headers={"Purpose": "prefetch"})
    assert prefetched.json() == 1
    assert visitor.ask("get", key="x") == 1 and visitor.ask("get", key="x") is None
    visitor.ask("flash", key="x", value="1")
    assert shown(visitor.visit("twice")) == [("success", "Through two redirects")]
    assert visitor.ask("all") == {}
    assert "A name is required" in visitor.visit("errs").text
    assert "errors: {}" in visitor.visit("dashboard").text


def test_four_workers_count_exactly(start):
    visitor = Visitor(start(server="gunicorn"))
    visitor.ask("set", key="count", value="0")

    def count(_):
        return requests.get(f"{visitor.server.url}/worker", cookies=visitor.cookies, timeout=30).text

    with ThreadPoolExecutor(8) as pool:
        workers = set(pool.map(count, range(160)))
    assert len(workers) > 1 and visitor.ask("get", key="count") == 160


# The framework's own session fails what ours passes.


@pytest.fixture
def theirs(start):
    return Visitor(start(provider="framework"))


def test_defect_data_is_forged(theirs, start):
    forged = {"Cookie": "s_admin=forged"}
    assert requests.get(f"{theirs.server.url}/get?key=admin", headers=forged, timeout=10).json() == "forged"
    ours = start()
    assert requests.get(f"{ours.url}/get?key=admin", headers=forged, timeout=10).json() is None


def test_defect_values_change_or_vanish(theirs):
    for given, becomes in [("true", True), ("1.5", 1.5), ("null", None)]:
        theirs.ask("set", key="k", value=json.dumps(given))
        assert theirs.ask("get", key="k") == becomes
    assert theirs.visit("set_and_get", value="1.5").status_code == 500
    theirs.ask("set", key="a", value="1")
    assert theirs.ask("all")["a"] == "1"
    assert theirs.visit("increment", key="missing").status_code == 500


def test_defect_what_is_set_after_a_delete_is_lost(theirs):
    assert theirs.ask("delete_then_set") is None and theirs.ask("delete_and_has") is True


def test_defect_a_key_is_mangled(theirs, start):
    for visitor, found in ((theirs, None), (Visitor(start()), 1)):
        visitor.ask("set", key="s_x", value="1")
        assert visitor.ask("get", key="s_x") == found


# The documents.


def test_the_example_of_the_documents_runs(environment, scaffold, tmp_path):
    """Each block goes where its first line says: at the end of a file of config, in the place of another."""
    page = (APPLICATIONS.parents[3] / "docs" / "python" / "masonite.md").read_text()
    application = shutil.copytree(scaffold, tmp_path / "application")
    blocks = re.findall(r"```python\n# ([\w/]+\.py)\n(.*?)```", page, re.S)
    assert [name for name, _ in blocks] == ["config/providers.py", "config/session.py", "app/controllers/WelcomeController.py"]
    for name, block in blocks:
        file = application / name
        file.write_text((file.read_text() if name.startswith("config") else "") + block)
    server = Server(environment, application)
    try:
        visitor = Visitor(server)
        assert [visitor.get(server.url, timeout=10).text for _ in range(3)] == ["visits: 1", "visits: 2", "visits: 3"]
    finally:
        server.stop()
    assert list((application / "storage" / "sessions").iterdir())


def test_the_include_of_the_documents_is_the_one_that_is_tested():
    page = (APPLICATIONS.parents[3] / "docs" / "python" / "masonite.md").read_text()
    (block,) = re.findall(r"```html\n(.*?)```", page, re.S)
    for application in ("early/resources", "five"):
        assert (APPLICATIONS / application / "templates" / "helpers" / "messages.html").read_text() == block
