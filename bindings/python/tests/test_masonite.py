"""Masonite 1.6, 2.3 and 3.0: real applications under waitress, walked with requests."""

import base64
import json
import re
import shutil

import pytest
import requests
from masonite_application import APPLICATIONS, Environment, Server, Visitor, interpreter, linked, unpacked
from masonite_model import is_refused, like_the_model, races

VERSIONS = ["1.6.11", "2.3.26", "3.0.13"]
FIRST = VERSIONS[0]
# The Pythons these were made for. Before 3.10 the package needs a wheel of its own.
OLD = [("2.3.26", "3.9"), ("3.0.13", "3.9")]


@pytest.fixture(scope="session")
def start(tmp_path_factory):
    """Starts an application once for each set of settings; they end with the tests."""
    servers = {}
    libraries = {}

    def start(version, driver="memory", provider="holdall", python=None, server="waitress", **settings):
        key = json.dumps([version, driver, provider, python, server, settings])
        if key not in servers:
            directory = tmp_path_factory.mktemp("masonite")
            if python not in libraries:
                place = tmp_path_factory.mktemp("library") / "library"
                libraries[python] = unpacked(place, f"cp{python.replace('.', '')}") if python else linked(place)
            found = interpreter(python) if python else interpreter("3.11", "3.10")
            environment = Environment.of(version, found, libraries[python])
            application = shutil.copytree(APPLICATIONS / "early", directory / "application")
            document = {"cookie": {"secure": False}, "drivers": {"file": {"type": "file", "path": f"{directory}/sessions"}}}
            variables = {"TEST_HOLDALL": json.dumps(document | settings), "TEST_DRIVER": driver, "TEST_PROVIDER": provider}
            servers[key] = Server(environment, application, server, **variables)
            servers[key].driver, servers[key].environment = driver, environment
        return servers[key]

    yield start
    [server.stop() for server in servers.values()]


@pytest.fixture(
    scope="module",
    params=[(version, driver, None) for version in VERSIONS for driver in ("memory", "file", "cookie")]
    + [(version, "file", python) for version, python in OLD],
    ids=lambda given: "-".join(part for part in given if part),
)
def server(request, start):
    version, driver, python = request.param
    return start(version, driver, python=python)


@pytest.fixture
def visitor(server):
    return Visitor(server)


def value(given):
    return json.dumps(given)


def shown(page):
    """The messages that helpers/messages.html shows."""
    return re.findall(r'alert alert-(\w+)">\s*(.*?)\s*</div>', page.text)


def test_values_come_back_as_they_were_set(visitor):
    for given in (1, 0, "", False, True, None, 1.5, "1.5", "true", "null", [1, [2]], {"a": {"b": []}}, 2**70, "\u00e9 \U0001f600"):
        assert visitor.ask("set", key="k", value=value(given)) is None
        assert visitor.ask("get", key="k") == given and visitor.ask("has", key="k") is True
        assert visitor.ask("all") == {"k": given}


def test_what_is_missing_is_none_and_an_empty_session_an_empty_dict(visitor):
    assert visitor.ask("get", key="k") is None and visitor.ask("has", key="k") is False and visitor.ask("all") == {}
    assert not visitor.cookies


def test_delete_says_whether_there_was_something(visitor):
    assert visitor.ask("delete", key="a") is False
    visitor.ask("set", key="a", value="1")
    assert visitor.ask("delete", key="a") is True and visitor.ask("delete", key="a") is False


def test_two_visitors_have_two_sessions(server):
    one, other = Visitor(server, "192.0.2.1"), Visitor(server, "192.0.2.1")
    one.ask("set", key="name", value='"Ann"')
    assert other.ask("all") == {}
    other.ask("set", key="name", value='"Ben"')
    assert one.ask("get", key="name") == "Ann"


@pytest.mark.parametrize(
    ("route", "redirects", "message"),
    [
        ("chained", 1, ("success", "Action is successful")),
        ("separate", 1, ("danger", "Action is dangerous")),
        ("twice", 2, ("success", "Through two redirects")),
    ],
)
def test_a_flash_behind_redirects_is_shown_once(visitor, route, redirects, message):
    # With data beside it, which the framework's memory driver mixes it with.
    visitor.ask("set", key="a", value="1")
    page = visitor.visit(route)
    assert [response.status_code for response in page.history] == [302] * redirects
    assert page.status_code == 200 and shown(page) == [message]
    assert shown(visitor.visit("dashboard")) == []
    assert visitor.ask("all") == {"a": 1}


def test_a_flash_set_in_a_request_that_answers_200_is_shown_in_the_next(visitor):
    visitor.ask("flash", key="success", value='"Kept"')
    assert shown(visitor.visit("dashboard")) == [("success", "Kept")]
    assert shown(visitor.visit("dashboard")) == []


def test_only_a_200_that_somebody_sees_ages_flash(visitor):
    visitor.ask("flash", key="success", value='"Kept"')
    assert visitor.visit("fails").status_code == 500
    visitor.visit("no_such_page")
    assert visitor.get(f"{visitor.server.url}/peek", allow_redirects=False).status_code == 302
    assert (visitor.visit("gone").status_code, visitor.visit("gone").json()) == (410, "Kept")
    prefetched = visitor.get(f"{visitor.server.url}/dashboard", headers={"Sec-Purpose": "prefetch"})
    assert shown(prefetched) == [("success", "Kept")]
    assert shown(visitor.visit("dashboard")) == [("success", "Kept")]
    assert shown(visitor.visit("dashboard")) == []


def test_reset_clears_the_data_or_flash_alone(visitor):
    def fill():
        visitor.ask("set", key="a", value="1")
        visitor.ask("flash", key="success", value='"Kept"')

    fill()
    assert visitor.ask("reset") == {"success": "Kept"}
    fill()
    assert visitor.ask("reset", flash_only="yes") == {"a": 1}
    assert visitor.ask("all") == {"a": 1}


@pytest.mark.parametrize("driver", ["file", "cookie"])
def test_a_driver_on_the_fly_leaves_the_template_helper_alone(visitor, driver):
    visitor.ask("set", key="where", value='"default"')
    default = driver if visitor.server.driver == driver else "default"
    assert f"where: {default}" in visitor.visit("fly", driver=driver).text
    assert visitor.ask("get", key="where", driver=driver) == driver
    assert visitor.ask("get", key="where") == default


def test_a_driver_that_is_not_there_is_refused_clearly(visitor):
    assert 'no session driver "redis"' in visitor.visit("refused").text


def test_the_session_is_injected(visitor):
    visitor.ask("set", key="a", value='"injected"')
    assert visitor.ask("injected") == "injected"


def test_a_list_changed_in_place_is_saved(visitor):
    visitor.ask("set", key="list", value="[0]")
    visitor.ask("append")
    visitor.ask("append")
    assert visitor.ask("get", key="list") == [0, 1, 1]


def test_a_value_that_is_no_json_is_a_type_error_with_its_key(visitor):
    assert visitor.visit("unserialisable").text == 'the value of "when": a set is no JSON value'


def test_a_request_that_fails_saves_nothing(visitor):
    assert visitor.visit("fails").status_code == 500
    assert visitor.ask("all") == {} and not visitor.cookies


def test_an_exclusive_session_is_free_again_when_its_request_has_failed(visitor):
    if visitor.server.driver == "cookie":
        assert "UnsupportedError" in visitor.visit("count_alone").text
        return
    for count in (1, 2):
        assert visitor.ask("count_alone") == count
        assert visitor.visit("fails_alone").status_code == 500


def test_a_read_only_session_refuses_what_changes_it(visitor):
    visitor.ask("set", key="a", value="1")
    assert visitor.visit("only_reads").text == "1: the session was opened read-only"
    assert visitor.ask("all") == {"a": 1}


def test_a_mode_that_comes_too_late_or_is_none_is_refused(visitor):
    assert visitor.visit("too_late", mode="exclusive").text == 'start(mode="exclusive") comes before what changes the session, not after it'
    assert visitor.visit("too_late", mode="shut").text == "a session's mode is one of shared, exclusive, read_only, not 'shut'"


def test_nothing_of_a_discarded_request_is_saved(visitor):
    response = visitor.visit("discarded")
    assert response.json() == {"a": 2, "b": 2} and response.headers["Vary"] == "Cookie" and "Set-Cookie" not in response.headers
    visitor.ask("set", key="a", value="1")
    visitor.ask("flash", key="f", value="1")
    visitor.visit("discarded")
    assert visitor.ask("all") == {"a": 1, "f": 1}


def test_the_engines_manager_is_at_hand(visitor):
    assert "commits" in visitor.ask("figures")


def test_what_no_session_takes_is_refused_in_its_own_words_and_nothing_is_lost(visitor):
    visitor.ask("set", key="a", value="1")
    assert is_refused(visitor.ask("bad"))
    assert visitor.ask("all") == {"a": 1}


@pytest.mark.parametrize("version", VERSIONS)
def test_what_failed_is_saved_where_that_is_asked_for(start, version):
    visitor = Visitor(start(version, "file", save_on_error=True))
    assert visitor.visit("fails").status_code == 500
    assert visitor.ask("all") == {"failed": True}


def test_an_error_of_the_commit_is_the_frameworks_error_page(visitor):
    response = visitor.visit("spoil")
    assert response.status_code == 500 and "Set-Cookie" not in response.headers
    assert "a set is no JSON value" in response.text and "not stored" not in response.text.split("<body")[0]
    # The server goes on, and nothing was stored.
    assert visitor.ask("all") == {}


def test_the_frameworks_own_tests_may_poke_it(visitor):
    assert visitor.ask("poke") is True


def test_headers_of_the_response(visitor):
    response = visitor.visit("set", key="a", value="1")
    assert response.headers["Cache-Control"] == "no-store" and response.headers["Vary"] == "Cookie"
    length = "43,}" if visitor.server.driver == "cookie" else "43}"
    assert re.fullmatch(r"sid=[\w-]{" + length + "; Path=/; HttpOnly; SameSite=Lax", response.headers["Set-Cookie"])
    # The first time that it comes back, a sealed one is made to last.
    visitor.visit("all")
    assert "Set-Cookie" not in visitor.visit("all").headers
    assert "Vary" not in Visitor(visitor.server).visit("hop").history[0].headers


def test_messages_and_errors_of_later_versions(visitor):
    visitor.ask("set", key="a", value="1")
    visitor.ask("flash", key="errors", value='{"name": ["too short", "not a name"]}')
    assert visitor.ask("errors") == ["too short", "not a name"] and visitor.ask("errors") == []
    visitor.ask("flash", key="success", value='"Kept"')
    assert visitor.ask("messages") == {"success": "Kept"} and visitor.ask("all") == {"a": 1}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_contract_of_the_frameworks_own_tests(start, version, tmp_path):
    environment = start(version).environment
    program = "import wsgi, unittest; unittest.main('contract', argv=['contract'])"
    application = shutil.copytree(APPLICATIONS / "early", tmp_path / "application")
    process = environment.run(environment.python, "-c", program, cwd=application)
    said = process.communicate(timeout=120)[0]
    # For memory, file and cookie each; the last three came with 2.3.
    assert process.returncode == 0 and f"Ran {36 if version == FIRST else 45} tests" in said, said


# Long.


@pytest.mark.torture
@pytest.mark.parametrize("version", VERSIONS)
def test_operations_through_the_framework_are_those_of_a_plain_model(start, version, scaled, figure):
    compared = like_the_model(Visitor(start(version, "file")), scaled(400, 20_000), consumes=False)
    figure("R22", "file", f"operations through Masonite {version} that differ from a plain model", f"0 of {compared:,}", "0")


@pytest.mark.torture
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("ending", ["sign_out", "regenerate"])
def test_nothing_comes_back_from_a_race_with_the_end_of_a_session(start, version, ending, tmp_path_factory, scaled, figure):
    directory = tmp_path_factory.getbasetemp() / f"raced-{version}"
    # Two processes, because each does one request at a time.
    drivers = {"file": {"type": "file", "path": str(directory)}}
    visitors = [Visitor(start(version, "file", server=server, drivers=drivers)) for server in ("waitress", "threads")]
    done = races(*visitors, ending, scaled(20, 1000), met=3)
    figure("R13", "file", f"sessions that came back in races with {ending} through Masonite {version}", f"0 of {done:,}", "0")


# Sessions in the cookie.


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_in_the_cookie_is_one_cookie_that_says_nothing(start, version):
    visitor = Visitor(start(version, "cookie", cookie={"secure": False, "name": "s_session"}))
    visitor.ask("set", key="a", value='"plain words"')
    response = visitor.visit("flash", key="success", value='"Kept"')
    assert list(visitor.cookies.keys()) == ["s_session"]
    assert "expires" not in response.headers["Set-Cookie"].lower() and "Max-Age" not in response.headers["Set-Cookie"]
    sealed = visitor.cookies["s_session"]
    assert not any(word in base64.urlsafe_b64decode(sealed + "===") for word in (b"plain", b"Kept"))
    assert shown(visitor.visit("dashboard")) == [("success", "Kept")] and shown(visitor.visit("dashboard")) == []
    assert visitor.ask("get", key="a") == "plain words"
    # What was altered anywhere, what is another's word, and what is in clear opens nothing.
    changed = sealed[:40] + ("A" if sealed[40] != "A" else "B") + sealed[41:]
    for cookies in ({"s_session": changed}, {"s_session": sealed[:-1]}, {"s_a": "forged"}):
        assert requests.get(f"{visitor.server.url}/all", cookies=cookies, timeout=60).json() == {}


@pytest.mark.parametrize("version", VERSIONS)
def test_what_does_not_fit_in_a_cookie_is_an_error_and_loses_nothing(start, version):
    visitor = Visitor(start(version, "cookie"))
    visitor.ask("set", key="a", value="1")
    response = visitor.visit("set", key="a", value=value("x" * 5000))
    assert response.status_code == 500 and "4096" in response.text and "Set-Cookie" not in response.headers
    assert visitor.ask("all") == {"a": 1}


# Sessions by address.


@pytest.mark.parametrize("version", VERSIONS)
def test_identity_by_address_believes_only_named_proxies(start, version):
    settings = {"identity": "ip", "keyed_secret": "k" * 43}
    server = start(version, **settings)
    one, other = Visitor(server, "192.0.2.1"), Visitor(server, "192.0.2.2")
    one.ask("set", key="a", value="1")
    # Both come from 127.0.0.1, whatever they say.
    assert other.ask("get", key="a") == 1 and not one.cookies
    server = start(version, trusted_proxies=["127.0.0.0/8"], **settings)
    one, other = Visitor(server, "203.0.113.7, 192.0.2.1"), Visitor(server, "203.0.113.7, 192.0.2.2")
    one.ask("set", key="a", value="1")
    # What the proxy wrote is the last one; what the client wrote stands before it.
    assert other.ask("get", key="a") is None
    assert Visitor(server, "198.51.100.9, 192.0.2.1").ask("get", key="a") == 1
    # What is in a cookie is its owner's, wherever he comes from.
    one.ask("set", key="b", value="2", driver="cookie")
    assert one.ask("get", key="b", driver="cookie") == 2
    assert Visitor(server, "203.0.113.7, 192.0.2.1").ask("get", key="b", driver="cookie") is None


# The framework's own drivers fail what ours pass.


@pytest.fixture(params=VERSIONS)
def version(request):
    return request.param


@pytest.fixture
def both(version, start):
    """A visitor of a driver of the framework's, and one of ours."""

    def both(driver="memory", address=None, **how):
        theirs = Visitor(start(version, driver, "framework", **how), address)
        return [theirs, Visitor(start(version, **how), address)]

    return both


@pytest.mark.parametrize("given", ["0", '""', "false", "[]"])
def test_defect_falsy_values_are_lost(both, given):
    for visitor, found in zip(both(), (None, json.loads(given)), strict=True):
        visitor.ask("set", key="k", value=given)
        assert visitor.ask("get", key="k") == found


def test_defect_an_empty_session_is_none_and_delete_fails(both):
    theirs, ours = both()
    assert theirs.ask("all") is None and ours.ask("all") == {}
    assert theirs.visit("delete", key="a").status_code == 500 and ours.ask("delete", key="a") is False


def test_defect_a_flash_becomes_data_and_is_shown_for_ever(both):
    message = ("danger", "Action is dangerous")
    for visitor, found in zip(both(), ([message] * 3, [message]), strict=True):
        visitor.ask("set", key="a", value="1")
        pages = [visitor.visit(route) for route in ("separate", "dashboard", "dashboard")]
        assert [line for page in pages for line in shown(page)] == found


def test_defect_a_flash_set_on_200_is_lost(both):
    for visitor, found in zip(both(), ([], [("success", "Kept")]), strict=True):
        visitor.ask("flash", key="success", value='"Kept"')
        assert shown(visitor.visit("dashboard")) == found


def test_defect_an_identity_is_picked_with_a_header(both):
    for victim, found in zip(both(address="192.0.2.1"), ("Ann", None), strict=True):
        victim.ask("set", key="name", value='"Ann"')
        assert Visitor(victim.server, "10.1.1.1, 192.0.2.1").ask("get", key="name") == found


def test_defect_the_cookie_driver_changes_or_refuses_values(both, version):
    theirs, ours = both("cookie")
    if version == FIRST:
        assert theirs.visit("set", key="k", value="1").status_code == 500
    else:
        for given, found in (('"123"', 123), ('"true"', True), ("false", "False"), ("null", "None")):
            theirs.ask("set", key="k", value=given)
            assert theirs.ask("get", key="k") == found
    for given in ("1", '"123"', '"true"', "false", "null"):
        ours.ask("set", key="k", value=given)
        assert value(ours.ask("get", key="k")) == given


def test_defect_the_cookie_driver_has_not_what_is_falsy(both, version):
    for visitor, found in zip(both("cookie"), (False, True), strict=True):
        visitor.ask("set", key="k", value='"0"' if version != FIRST else '""')
        assert visitor.ask("has", key="k") is found


def test_defect_the_cookie_drivers_flash_goes_by_the_clients_clock(both, version):
    theirs, ours = both("cookie")
    lines = [visitor.visit("flash", key="success", value='"Kept"').headers["Set-Cookie"] for visitor in (theirs, ours)]
    # 3.0 has taken the time out, and with it the end.
    assert ("expires" in lines[0].lower()) == (version != "3.0.13")
    assert "expires" not in lines[1].lower() and "Max-Age" not in lines[1] and "success" not in lines[1]


@pytest.mark.parametrize("version", [FIRST])
def test_defect_a_reset_of_flash_alone_takes_the_data(both, version):
    for visitor, found in zip(both("cookie"), (None, "text"), strict=True):
        visitor.ask("set", key="k", value='"text"')
        assert (visitor.ask("reset", flash_only="yes").get("k") or None) == found


@pytest.mark.parametrize("version", [FIRST])
def test_defect_a_deletion_waits_for_the_next_client(both, version):
    for visitor, found in zip(both("cookie"), (True, False), strict=True):
        visitor.ask("set", key="k", value='"text"')
        visitor.visit("dashboard")
        assert ("s_k" in Visitor(visitor.server).visit("hop").history[0].headers.get("Set-Cookie", "")) is found


@pytest.mark.parametrize("version", [FIRST])
def test_defect_a_value_of_the_cookie_driver_lives_for_one_request(both, version):
    for visitor, found in zip(both("cookie"), (None, "text"), strict=True):
        visitor.ask("set", key="k", value='"text"')
        for _ in range(2):
            visitor.visit("dashboard")
        assert visitor.ask("get", key="k") == found


@pytest.mark.parametrize("version", ["2.3.26", "3.0.13"])
def test_defect_a_key_of_the_cookie_driver_is_mangled(both, version):
    for visitor, found in zip(both("cookie"), ("b_x", "b_s_x"), strict=True):
        visitor.ask("set", key="b_s_x", value='"text"')
        assert list(visitor.ask("all")) == [found]


def test_defect_the_chained_redirect_fails_from_2_on(both, version):
    theirs, ours = both()
    assert bool(theirs.visit("chained").history) == (version == FIRST) and ours.visit("chained").history


@pytest.mark.parametrize("version", ["2.3.26"])
def test_defect_flashed_messages_raise(both, version):
    theirs, ours = both()
    assert theirs.visit("messages").status_code == 500 and ours.ask("messages") == {}


def test_defect_two_threads_mix_up_sessions(both):
    for visitor, found in zip(both(server="threads"), ("Ben", "Ann"), strict=True):
        other = Visitor(visitor.server)
        visitor.ask("set", key="name", value='"Ann"')
        other.ask("set", key="name", value='"Ben"')
        assert visitor.meet(other) == [found]


def test_an_application_with_a_driver_that_is_not_there_does_not_start(start):
    with pytest.raises(AssertionError, match='Error: there is no session driver "redis"'):
        start("2.3.26", "redis")


def test_a_wrong_setting_is_named(start):
    program = """if True:
        import json, sys
        from holdall import InvalidConfigError
        from holdall.masonite.settings import Settings
        for given in json.load(sys.stdin):
            try:
                Settings(given, default="memory", flash="next_request")
            except InvalidConfigError as error:
                print(error)
    """
    cases = [
        ({"identity": "name"}, "identity"),
        ({"identity": "ip"}, "keyed_secret"),
        ({"trusted_proxies": "10.0.0.1"}, "trusted_proxies"),
        ({"trusted_proxies": ["10.0.0"]}, "trusted_proxies"),
        ({"save_on_error": 1}, "save_on_error"),
        ({"idle_timeout": 1}, "idle_timeout"),
        ({"url": "memory:"}, "url"),
        ({"keys": ["secret"]}, "keys"),
    ]
    environment = start("1.6.11").environment
    process = environment.run(environment.python, "-c", program, cwd=APPLICATIONS)
    said = process.communicate(json.dumps([given for given, _ in cases]), timeout=60)[0].splitlines()
    assert len(said) == len(cases) and all(name in line for line, (_, name) in zip(said, cases, strict=True)), said
