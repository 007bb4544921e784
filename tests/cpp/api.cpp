// The C++ interface, held to what include/holdall.hpp says.
//
// A program of named checks, each a sentence. It ends with 1 at the first that fails, naming file and line. The checks
// use the status way, so that they also run under -fno-exceptions; what throws has checks of its own at the end. What
// the engine does is the vectors' business: here is only what this header could get wrong.

#include <holdall.hpp>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <list>

namespace {

[[noreturn]] void fail(int line, const char *what, const char *why = "") {
    std::fprintf(stderr, "%s:%d: %s %s\n", __FILE__, line, what, why);
    std::exit(1);
}

#define EXPECT(...) ((__VA_ARGS__) ? void() : fail(__LINE__, #__VA_ARGS__))

/// Passed as the last argument: the call has to succeed.
#define OK           \
    succeeds {       \
        __LINE__, {} \
    }
struct succeeds {
    int line;
    holdall::status status;
    operator holdall::on_error() { return status; }
    ~succeeds() {
        if (status.failed()) fail(line, status.name(), status.message().c_str());
    }
};

/// Passed as the last argument: the call has to fail with this code, and say why.
#define FAILS(code)        \
    fails {                \
        __LINE__, code, {} \
    }
struct fails {
    int line;
    std::int32_t code;
    holdall::status status;
    operator holdall::on_error() { return status; }
    ~fails() {
        if (status.code() != code) fail(line, "answered", status.name());
        if (status.message().empty()) fail(line, "says nothing");
    }
};

struct check {
    const char *name;
    void (*run)();
};
std::vector<check> &checks() {
    static std::vector<check> all;
    return all;
}
struct registered {
    registered(const char *name, void (*run)()) { checks().push_back({name, run}); }
};
#define JOIN(a, b) a##b
#define NAMED(a, b) JOIN(a, b)
#define CHECK(name)                                                               \
    void NAMED(check_, __LINE__)();                                               \
    const registered NAMED(registered_, __LINE__)(name, NAMED(check_, __LINE__)); \
    void NAMED(check_, __LINE__)()

constexpr std::uint64_t now = 1'900'000'000'000;

holdall::manager memory() { return holdall::manager("memory:", OK); }

/// What the browser would send next: the name and value of the first Set-Cookie.
std::string cookie(const holdall::commit &commit) {
    for (holdall::header header : commit.headers())
        if (header.name == "Set-Cookie") return std::string(header.value.substr(0, header.value.find(';')));
    return "";
}

/// The cookie of a session that was stored with these data, a JSON value under "key".
std::string stored(const holdall::manager &manager, std::string_view json) {
    holdall::session session = manager.open("", OK);
    session.set_json("key", json, OK);
    return cookie(session.commit(OK));
}

// --------------------------------------------------------------------------------------- ownership

template <class Class>
constexpr bool moves_only() {
    return std::is_nothrow_move_constructible_v<Class> && std::is_nothrow_move_assignable_v<Class> &&
           !std::is_copy_constructible_v<Class> && !std::is_copy_assignable_v<Class> &&
           std::is_nothrow_default_constructible_v<Class>;
}
static_assert(moves_only<holdall::manager>() && moves_only<holdall::session>() && moves_only<holdall::commit>() &&
              moves_only<holdall::buffer>());

template <class Session, class = void>
struct lends_from_a_temporary : std::false_type {};
template <class Session>
struct lends_from_a_temporary<
    Session, std::void_t<decltype(std::declval<Session>().get_json("", std::declval<holdall::status &>()))>>
    : std::true_type {};
static_assert(lends_from_a_temporary<holdall::session &>() && !lends_from_a_temporary<holdall::session>(),
              "a view of a session that ends with the statement must not compile");

CHECK("a class that is empty says so, and every call on it fails without a crash") {
    holdall::manager manager;
    holdall::session session;
    holdall::commit commit;

    EXPECT(!manager && !session && !commit);
    EXPECT(!manager.open("", FAILS(HOLDALL_E_INVALID_ARGUMENT)));
    EXPECT(session.all(FAILS(HOLDALL_E_INVALID_ARGUMENT)).empty());
    EXPECT(!session.commit(FAILS(HOLDALL_E_INVALID_ARGUMENT)));
    EXPECT(commit.outcome() == holdall::outcome::none);
    EXPECT(commit.headers().empty() && commit.conflicts().empty() && !commit.header(0) && !commit.conflict(0));
}

/// Moves, in a function, as cppcheck takes every look at what was moved from for a mistake.
template <class Class>
Class taken_from(Class &from) {
    return std::move(from);
}

CHECK("a move takes the handle along and leaves an empty one behind") {
    holdall::manager manager = memory();
    holdall::manager kept = taken_from(manager);
    holdall::session session = kept.open("", OK);
    session.set_int("n", 7, OK);
    holdall::session moved = taken_from(session);
    holdall::commit commit = moved.commit(OK);
    holdall::commit taken = taken_from(commit);

    EXPECT(!manager && kept && !session && moved && !commit && taken);
    EXPECT(moved.get_int("n", OK) == 7);
    EXPECT(taken.outcome() == holdall::outcome::saved);
}

CHECK("a move onto a handle frees the one that was there") {
    holdall::manager manager = memory();
    holdall::session session = manager.open("", OK);
    session.set_int("n", 1, OK);
    session = manager.open("", OK);
    holdall::commit commit = session.commit(OK);
    commit = session.commit(OK);
    manager = memory();

    EXPECT(session.missing("n", OK));
}

CHECK("handles may end in any order") {
    holdall::commit commit;
    {
        holdall::session session;
        {
            holdall::manager manager = memory();
            session = manager.open("", OK);
        }
        session.set_int("n", 1, OK);
        commit = session.commit(OK);
    }

    EXPECT(commit.header_count() > 0 && commit.header(0)->name == "Set-Cookie");
}

CHECK("a handle can be lent to C, given away, and taken over") {
    holdall::manager manager = memory();
    holdall::manager same(manager.release());
    holdall::session session = same.open("", OK);
    EXPECT(holdall_session_set_int(session.raw(), "n", 1, 5) == HOLDALL_OK);
    holdall::session over(session.release());
    holdall::commit commit = over.commit(OK);
    holdall::commit taken(commit.release());

    EXPECT(!manager && !session && !commit);
    EXPECT(over.get_int("n", OK) == 5 && same.raw() != nullptr && taken.raw() != nullptr);
}

CHECK("a buffer owns its bytes, and reads as text") {
    holdall::buffer none;
    EXPECT(none.empty() && none.size() == 0 && none.view() == "" && none.str() == "" && *none.c_str() == 0);

    holdall::manager manager = memory();
    holdall::session session = manager.open("", OK);
    session.set_int("n", 1, OK);
    holdall::buffer all = session.all(OK);
    holdall::buffer moved = taken_from(all);
    holdall::buffer &itself = moved;
    moved = std::move(itself);
    EXPECT(all.empty());
    EXPECT(moved.str() == R"({"n":1})" && std::string_view(moved) == moved.c_str() && moved.data()[0] == '{');

    moved = session.only("none", OK);
    EXPECT(moved.view() == "{}");
    EXPECT(holdall_session_all(session.raw(), moved.out()) == HOLDALL_OK && moved.size() == 7);
}

// -------------------------------------------------------------------------------------------- data

CHECK("a value comes back as what it was set as") {
    holdall::manager manager = memory();
    holdall::session session = manager.open("", OK);
    session.set_json("json", R"([1, {"a": null}])", OK);
    session.set_string("string", "a \"b\" \xc3\xa4", OK);
    session.set_int("int", INT64_MIN, OK);
    session.set_bool("bool", true, OK);
    session = manager.open(cookie(session.commit(OK)), OK);

    EXPECT(session.get_json("json", OK) == R"([1, {"a": null}])");
    EXPECT(session.get_string("string", OK) == "a \"b\" \xc3\xa4");
    EXPECT(session.get_int("int", OK) == INT64_MIN);
    EXPECT(session.get_bool("bool", OK) == true);
}

CHECK("what is missing is an empty optional and no error") {
    holdall::session session = memory().open("", OK);
    holdall::status status;

    EXPECT(!session.get_json("k", status) && status.code() == HOLDALL_NOT_FOUND && !status.failed());
    EXPECT(!session.get_string("k", OK) && !session.get_int("k", OK) && !session.get_bool("k", OK));
    EXPECT(!session.pull_json("k", OK) && !session.old("k", OK) && !session.previous_url(OK));
}

CHECK("a value of another type is an error that names the key") {
    holdall::session session = memory().open("", OK);
    session.set_json("key", "[]", OK);
    holdall::status status;

    EXPECT(!session.get_string("key", status) && status.code() == HOLDALL_E_INVALID_VALUE);
    EXPECT(status.message().find("key") != std::string::npos && std::string_view(status.name()) == "invalid_value");
    EXPECT(!session.get_int("key", FAILS(HOLDALL_E_INVALID_VALUE)));
    EXPECT(!session.get_bool("key", FAILS(HOLDALL_E_INVALID_VALUE)));
    EXPECT(session.increment("key", FAILS(HOLDALL_E_INVALID_VALUE)) == 0);
}

CHECK("a status tells the last call's answer, and nothing of the one before") {
    holdall::session session = memory().open("", OK);
    holdall::status status;
    EXPECT(status.code() == HOLDALL_OK && !status.failed() && std::string_view(status.name()) == "ok");

    session.set_json("k", "nonsense", status);
    EXPECT(status.failed() && !status.message().empty() && !status.retryable() && !status.may_have_written());

    session.set_json("k", "1", status);
    EXPECT(status.code() == HOLDALL_OK && !status.failed() && status.message().empty());
}

CHECK("has, exists and missing tell null from nothing") {
    holdall::session session = memory().open("", OK);
    session.set_json("null", "null", OK);

    EXPECT(!session.has("null", OK) && session.exists("null", OK) && !session.missing("null", OK));
    EXPECT(!session.has("none", OK) && !session.exists("none", OK) && session.missing("none", OK));
}

CHECK("keys are named by one, by several in braces, or by two iterators") {
    holdall::session session = memory().open("", OK);
    for (const char *key : {"a", "b", "c", "d"}) session.set_bool(key, true, OK);
    const std::string b = "b";
    const std::list<std::string> names = {"c", "none"};

    EXPECT(session.only("a", OK).view() == R"({"a":true})");
    EXPECT(session.only({"a", b, "none"}, OK).view() == R"({"a":true,"b":true})");
    EXPECT(session.except({names.begin(), names.end()}, OK).view() == R"({"a":true,"b":true,"d":true})");
    session.forget(b, OK);
    session.forget({"c", "d"}, OK);
    session.forget(holdall::keys(names.begin(), names.end()), OK);
    EXPECT(session.all(OK).view() == R"({"a":true})");
}

CHECK("counters and lists work as operations") {
    holdall::manager manager = memory();
    const std::string sent = stored(manager, "1");
    holdall::session one = manager.open(sent, OK), other = manager.open(sent, OK);
    EXPECT(one.increment("key", OK) == 2 && other.increment("key", 10, OK) == 11);
    EXPECT(one.decrement("left", OK) == -1 && other.decrement("left", 2, OK) == -2);
    one.push_json("list", R"("a")", OK);
    other.push_json("list", R"("b")", OK);
    EXPECT(one.commit(OK).outcome() == holdall::outcome::saved &&
           other.commit(OK).outcome() == holdall::outcome::saved);

    EXPECT(manager.open(sent, OK).all(OK).view() == R"({"key":12,"left":-3,"list":["a","b"]})");
}

CHECK("a value can be pulled, remembered, and written back") {
    holdall::session session = memory().open("", OK);
    session.set_json("cart", R"(["a"])", OK);

    EXPECT(session.pull_json("cart", OK)->view() == R"(["a"])" && session.missing("cart", OK));
    EXPECT(session.remember_json("cart", "[1]", OK).view() == "[1]");
    EXPECT(session.remember_json("cart", "[2]", OK).view() == "[1]");
    session.replace_json("cart", "[1,2]", OK);
    EXPECT(session.get_json("cart", OK) == "[1,2]");
}

CHECK("flush clears all, reset the data or the flash alone") {
    const auto cleared = [](auto clear) {
        holdall::session session = memory().open("", OK);
        session.set_int("data", 1, OK);
        session.flash_json("flash", "2", OK);
        clear(session);
        return session.all(OK).str();
    };

    EXPECT(cleared([](auto &session) { session.flush(OK); }) == "{}");
    EXPECT(cleared([](auto &session) { session.reset(OK); }) == R"({"flash":2})");
    EXPECT(cleared([](auto &session) { session.reset(true, OK); }) == R"({"data":1})");
}

// ------------------------------------------------------------------------------------------- flash

CHECK("flash lives until the next commit that ages it") {
    holdall::manager manager = memory();
    holdall::session session = manager.open("", OK);
    session.flash_string("notice", "saved", OK);
    session.flash_json("n", "1", OK);
    session.flash_now_json("now", "1", OK);
    session.flash_input(R"({"name":"Ada"})", OK);
    EXPECT(session.has("now", OK));
    const std::string sent = cookie(session.commit(OK));

    const holdall::commit_options redirect = holdall::commit_options().age_flash(true).age_flash(false);
    holdall::session second = manager.open(sent, OK);
    EXPECT(second.get_string("notice", OK) == "saved" && second.old("name", OK) == R"("Ada")");
    EXPECT(second.missing("now", OK));
    EXPECT(second.commit(redirect, OK).outcome() == holdall::outcome::unchanged);

    holdall::session third = manager.open(sent, OK);
    EXPECT(third.has("notice", OK));
    third.keep({"notice"}, OK);
    EXPECT(third.commit(OK).outcome() == holdall::outcome::saved);

    holdall::session fourth = manager.open(sent, OK);
    EXPECT(fourth.has("notice", OK) && fourth.missing("n", OK));
    fourth.reflash(OK);
    fourth.commit(OK);

    holdall::session fifth = manager.open(sent, OK);
    EXPECT(fifth.has("notice", OK));
    fifth.commit(holdall::commit_options().age_flash(true), OK);
    EXPECT(manager.open(sent, OK).missing("notice", OK));
}

CHECK("a session may have a flash policy of its own") {
    holdall::manager manager = memory();
    const auto after_read = [&](holdall::flash_policy policy) {
        holdall::session session = manager.open("", OK);
        session.flash_json("k", "1", OK);
        const std::string sent = cookie(session.commit(OK));
        session = manager.open(sent, holdall::open_options().flash(policy), OK);
        session.get_json("k", OK);
        session.commit(OK);
        return manager.open(sent, OK).has("k", OK);
    };

    EXPECT(!after_read(holdall::flash_policy::configured) && !after_read(holdall::flash_policy::next_request));
    EXPECT(!after_read(holdall::flash_policy::on_read) && after_read(holdall::flash_policy::explicit_));
}

// ---------------------------------------------------------------------------------------- identity

CHECK("regenerate changes the id and keeps the data, and the old id is a stranger") {
    holdall::manager manager = memory();
    const std::string old_one = stored(manager, "1");
    holdall::session session = manager.open(old_one, OK);
    EXPECT(!session.is_new(OK) && session.id(OK)->size() == 43);
    session.regenerate(OK);
    const std::string new_one = cookie(session.commit(OK));

    EXPECT(!new_one.empty() && new_one != old_one);
    EXPECT(manager.open(new_one, OK).get_int("key", OK) == 1);
    EXPECT(manager.open(old_one, OK).is_new(OK));
}

CHECK("a commit beside a regenerate is told that the session moved, and beside a destroy that it is gone") {
    holdall::manager manager = memory();
    std::string sent = stored(manager, "1");
    holdall::session slow = manager.open(sent, OK), quick = manager.open(sent, OK);
    slow.increment("key", OK);
    quick.regenerate(OK);
    sent = cookie(quick.commit(OK));
    holdall::status status;
    holdall::commit moved = slow.commit(status);
    EXPECT(moved.outcome() == holdall::outcome::moved && status.code() == HOLDALL_MOVED && cookie(moved).empty());

    slow = manager.open(sent, OK);
    slow.increment("key", OK);
    manager.open(sent, OK).destroy(OK);
    EXPECT(slow.commit(OK).outcome() == holdall::outcome::gone);
}

CHECK("invalidate leaves nothing, destroy not even a session") {
    holdall::manager manager = memory();
    std::string sent = stored(manager, "1");
    holdall::session session = manager.open(sent, OK);
    session.invalidate(OK);
    EXPECT(session.all(OK).view() == "{}");
    session.set_int("after", 1, OK);
    sent = cookie(session.commit(OK));

    session = manager.open(sent, OK);
    session.destroy_at(now, OK);
    session.set_int("n", 1, FAILS(HOLDALL_E_MISUSE));
    EXPECT(cookie(session.commit(OK)) == "__Host-sid=" && manager.open(sent, OK).is_new(OK));
}

CHECK("a form's token matches in its session alone") {
    holdall::manager manager = memory();
    holdall::session session = manager.open("", OK);
    const std::string token = session.csrf_token(OK);
    session = manager.open(cookie(session.commit(OK)), OK);

    EXPECT(token.size() == 86 && session.csrf_matches(token, OK) && session.csrf_matches(session.csrf_token(OK), OK));
    EXPECT(!session.csrf_matches("", OK) && !session.csrf_matches(token + "x", OK));
    EXPECT(!manager.open("", OK).csrf_matches(token, OK));
    session.regenerate_csrf_token(OK);
    EXPECT(!session.csrf_matches(token, OK));
}

CHECK("the previous URL is kept") {
    holdall::manager manager = memory();
    holdall::session session = manager.open(stored(manager, "1"), OK);
    session.set_previous_url("/cart?page=2", OK);

    EXPECT(session.previous_url(OK) == "/cart?page=2");
}

// -------------------------------------------------------------------------------------------- time

CHECK("a time of one's own is everybody's time") {
    holdall::manager manager = memory();
    holdall::open_options opened = holdall::open_options().at(now);
    const holdall::commit_options committed = holdall::commit_options().at(now);
    holdall::session session = manager.open("", opened, OK);
    session.set_int("n", 1, OK);
    const std::string sent = cookie(session.commit(committed, OK));

    session = manager.open(sent, opened, OK);
    session.set_idle_timeout(60, OK);
    session.set_absolute_timeout(3600, OK);
    session.set_persistent(true, OK);
    session.touch(OK);
    holdall::commit commit = session.commit(committed, OK);
    EXPECT(commit.header(0)->value.find("Max-Age=") != std::string_view::npos);

    opened.at(now + 59'000);
    EXPECT(!manager.open(sent, opened, OK).is_new(OK));
    opened.at(now + 120'000);  // Well past the end: a sweep may come a little late.
    int seen = 0;
    manager.iterate_at(
        now + 120'000, [&](const holdall::record &) { return ++seen, true; }, OK);
    manager.iterate_at(
        now, [&](const holdall::record &) { return seen += 10, true; }, OK);
    EXPECT(seen == 10);
    EXPECT(manager.sweep_at(100000, now + 120'000, OK).removed == 1);
    EXPECT(manager.open(sent, opened, OK).is_new(OK));
}

CHECK("a sweep says what it did") {
    holdall::manager manager = memory();
    stored(manager, "1");
    holdall::swept swept = manager.sweep(100000, OK);

    EXPECT(swept.removed == 0 && swept.finished);
}

// ----------------------------------------------------------------------------------------- opening

CHECK("an exclusive session makes others wait, and they may try again") {
    holdall::manager manager = memory();
    const std::string sent = stored(manager, "1");
    const auto exclusive = holdall::open_options().mode(holdall::mode::exclusive).lock_timeout_ms(0);
    holdall::session holder = manager.open(sent, exclusive, OK);

    holdall::status status;
    EXPECT(!manager.open(sent, exclusive, status) && status.code() == HOLDALL_E_UNAVAILABLE && status.retryable());
    EXPECT(status.locked());
    holdall::session other = manager.open(sent, holdall::open_options().lock_timeout_ms(0), OK);
    other.set_int("key", 2, OK);
    EXPECT(!other.commit(status) && status.locked());
    holder = holdall::session();
    EXPECT(manager.open(sent, exclusive, OK));
}

CHECK("a read-only session does not write") {
    holdall::manager manager = memory();
    const auto read_only = holdall::open_options().mode(holdall::mode::read_only);
    holdall::session session = manager.open(stored(manager, "1"), read_only, OK);

    session.set_int("key", 2, FAILS(HOLDALL_E_MISUSE));
    EXPECT(session.get_int("key", OK) == 1);
}

CHECK("a session opens by cookie header, by token and by key") {
    const std::string secret(43, 'A');
    holdall::manager manager(
        R"({"drivers": {"main": {"type": "memory"}, "other": {"type": "memory"}}, "default": "main",
        "cookie": {"secure": "auto"}, "keyed_secret": ")" +
            secret + "\"}",
        OK);
    const std::string sent = stored(manager, "1");
    EXPECT(sent.substr(0, 4) == "sid=");
    EXPECT(manager.open("a=b; " + sent, OK).get_int("key", OK) == 1);
    EXPECT(manager.open_token(sent.substr(4), OK).get_int("key", OK) == 1);
    EXPECT(manager.open_token(sent, holdall::open_options(), OK).is_new(OK));

    holdall::session keyed = manager.open_keyed("203.0.113.7", OK);
    keyed.set_int("n", 1, OK);
    EXPECT(!keyed.id(OK) && cookie(keyed.commit(OK)).empty());
    EXPECT(manager.open_keyed("203.0.113.7", holdall::open_options(), OK).get_int("n", OK) == 1);

    holdall::manager other = manager.driver("other", OK);
    EXPECT(other.open(sent, OK).is_new(OK) && stored(other, "2").substr(0, 9) == "sid-other");
    EXPECT(!manager.driver("none", FAILS(HOLDALL_E_INVALID_ARGUMENT)));
}

CHECK("a request that came over https gets a Secure cookie under \"auto\"") {
    holdall::manager manager(R"({"drivers": {"main": {"type": "memory"}}, "cookie": {"secure": "auto"}})", OK);
    const auto secure = [&](bool https) {
        const auto options = holdall::open_options().request_is_secure(true).request_is_secure(https);
        holdall::session session = manager.open("", options, OK);
        session.set_int("n", 1, OK);
        holdall::commit commit = session.commit(OK);
        return commit.header(0)->value.find("; Secure") != std::string_view::npos;
    };

    EXPECT(secure(true) && !secure(false));
}

CHECK("a configuration that is wrong makes no manager, and names the field") {
    holdall::status status;
    holdall::manager manager(R"({"drivers": {"main": {"type": "memory"}}, "idle_timeout_s": 0})", status);

    EXPECT(!manager && status.code() == HOLDALL_E_INVALID_CONFIG);
    EXPECT(status.message().find("idle_timeout_s") != std::string::npos);
}

// --------------------------------------------------------------------------------- commit, events,
// tools

CHECK("a commit lists the operations that met a change by another request") {
    holdall::manager manager = memory();
    const std::string sent = stored(manager, "1");
    holdall::session one = manager.open(sent, OK), other = manager.open(sent, OK);
    one.increment("key", OK);
    other.set_string("key", "text", OK);
    other.commit(OK);
    holdall::commit commit = one.commit(OK);

    EXPECT(commit.conflict_count() == 1 && commit.conflicts().size() == 1 && !commit.conflict(1) && !commit.header(99));
    EXPECT(commit.conflict(0)->key == "key");
    EXPECT(commit.conflict(0)->reason == holdall::conflict_reason::not_an_integer);
}

CHECK("a listener is told what happens, by names") {
    std::string told;
    const auto listener = [&](const holdall::event &event) {
        EXPECT(event.session.size() == (event.kind == holdall::event_kind::malformed_token ? 0 : 12));
        told += std::string(holdall::name(event.kind)) + " ";
    };
    {
        holdall::manager manager = memory();
        manager.on_event(listener, OK);
        manager.on_event(listener, FAILS(HOLDALL_E_MISUSE));
        holdall::session session = manager.open(stored(manager, "1"), OK);
        session.destroy(OK);
        manager.open("__Host-sid=short", OK).all(OK);
    }

    EXPECT(told == "created destroyed malformed_token ");
}

CHECK("records can be seen and destroyed without their cookie") {
    holdall::manager manager = memory();
    const std::string sent = stored(manager, "1");
    stored(manager, "2");
    std::vector<std::string> locators;
    manager.iterate(
        [&](const holdall::record &record) {
            EXPECT(record.bytes > 0 && record.expiry_ms > 0);
            locators.emplace_back(record.locator);
            return true;
        },
        OK);
    int seen = 0;
    manager.iterate([&](const holdall::record &) { return ++seen, false; }, OK);

    EXPECT(locators.size() == 2 && locators[0].size() == 64 && seen == 1);
    EXPECT(manager.destroy(locators[0], OK) && manager.destroy(locators[1], OK) && !manager.destroy(locators[0], OK));
    EXPECT(manager.open(sent, OK).is_new(OK));
    EXPECT(!manager.destroy("nonsense", FAILS(HOLDALL_E_INVALID_ARGUMENT)));
}

CHECK("a manager tells its figures and its configuration as JSON") {
    holdall::manager manager = memory();

    EXPECT(manager.stats(OK).view().front() == '{');
    EXPECT(manager.config(OK).view().find("idle_timeout_s") != std::string_view::npos);
}

CHECK("the library is the one this header is for") {
    EXPECT(holdall::abi_version() == HOLDALL_ABI_VERSION);
    EXPECT(std::string_view(holdall::version()).find('.') != std::string_view::npos);
    EXPECT(std::string_view(holdall::name(holdall::event_kind::rolled_back)) == "rolled_back");
}

// -------------------------------------------------------------------------------------- exceptions

#if HOLDALL_EXCEPTIONS

template <class Call>
holdall::error thrown_by(int line, Call call) {
    try {
        call();
    } catch (const holdall::error &error) {
        return error;
    }
    fail(line, "nothing was thrown");
}
#define THROWN_BY(...) thrown_by(__LINE__, [&] { __VA_ARGS__; })

static_assert(std::is_nothrow_copy_constructible_v<holdall::error>,
              "an exception that throws while it is thrown ends it all");

CHECK("without a status a failure is thrown, with what it has to say") {
    holdall::error error = THROWN_BY(holdall::manager("memory"));

    EXPECT(error.status().code() == HOLDALL_E_INVALID_CONFIG && std::string_view(error.what()).size() > 0);
    EXPECT(!error.retryable() && !error.may_have_written() && error.what() == error.status().message());
    EXPECT(static_cast<const std::exception &>(error).what() == error.status().message());
}

CHECK("without a status every method works, or throws") {
    holdall::manager manager("memory:");
    holdall::session session = manager.open("");
    session.set_json("json", "[1]"), session.set_string("string", "s"), session.set_int("int", 1);
    session.set_bool("bool", true), session.push_json("json", "2"), session.replace_json("json", "[1,2,3]");
    session.flash_string("flash", "f"), session.flash_json("flash2", "1"), session.flash_now_json("flash3", "1");
    session.flash_input("{}"), session.keep("flash"), session.reflash(), session.touch(), session.set_persistent(false);
    session.set_idle_timeout(60), session.set_absolute_timeout(60), session.set_previous_url("/");
    EXPECT(session.get_json("json") == "[1,2,3]" && session.get_string("string") == "s" && session.get_int("int") == 1);
    EXPECT(session.get_bool("bool") == true && session.has("int") && session.exists("int") && !session.missing("int"));
    EXPECT(!session.old("none") && session.previous_url() == "/" && session.id() && session.is_new());
    EXPECT(session.increment("int") == 2 && session.increment("int", 2) == 4 && session.decrement("int") == 3 &&
           session.decrement("int", 3) == 0);
    EXPECT(session.only("int").view() == R"({"int":0})" && !session.except("int").empty() && !session.all().empty());
    EXPECT(session.remember_json("int", "1").view() == "0" && session.pull_json("int")->view() == "0");
    EXPECT(session.csrf_matches(session.csrf_token()));
    session.regenerate_csrf_token(), session.forget({"bool", "none"}), session.reset(), session.reset(true);
    session.flush(), session.invalidate(), session.set_int("n", 1);
    const std::string sent = cookie(session.commit());
    EXPECT(manager.open_token(sent.substr(sent.find('=') + 1), holdall::open_options()).has("n"));
    EXPECT(manager.open_token("").is_new());
    session = manager.open(sent, holdall::open_options());
    session.regenerate(), session.commit(holdall::commit_options());
    EXPECT(manager.sweep(1).removed == 0 && manager.sweep_at(1, 0).removed == 0);
    EXPECT(holdall::generate_key().view().size() == 43);
    EXPECT(!manager.stats().empty() && !manager.config().empty() && manager.driver("memory"));
    auto listener = [](const holdall::event &) {};
    manager.on_event(listener);
    std::string locator;
    manager.iterate([&](const holdall::record &record) { return locator = record.locator, true; });
    manager.iterate_at(1, [&](const holdall::record &) { return true; });
    EXPECT(manager.destroy(locator));
    manager.open(sent).destroy(), manager.open(sent).destroy_at(now);
    EXPECT(THROWN_BY(manager.open_keyed("key")).status().code() == HOLDALL_E_UNSUPPORTED);
    EXPECT(THROWN_BY(manager.open_keyed("key", holdall::open_options())).status().code() == HOLDALL_E_UNSUPPORTED);
    EXPECT(THROWN_BY(holdall::session().all()).status().code() == HOLDALL_E_INVALID_ARGUMENT);
}

CHECK("a call that threw has changed nothing") {
    holdall::session session = memory().open("");
    session.set_int("n", 1);
    THROWN_BY(session.set_json("n", "nonsense"));

    EXPECT(session.get_int("n") == 1);
}

CHECK("an error says whether to try again") {
    holdall::manager manager = memory();
    const std::string sent = stored(manager, "1");
    const auto exclusive = holdall::open_options().mode(holdall::mode::exclusive).lock_timeout_ms(0);
    holdall::session holder = manager.open(sent, exclusive);

    EXPECT(THROWN_BY(manager.open(sent, exclusive)).retryable() && THROWN_BY(manager.open(sent, exclusive)).locked());
    EXPECT(!THROWN_BY(manager.driver("none")).locked());
}

CHECK("what a visitor throws comes out of iterate, and the visit ends there") {
    holdall::manager manager = memory();
    stored(manager, "1"), stored(manager, "2");
    int seen = 0;
    bool caught = false;
    try {
        manager.iterate([&](const holdall::record &) -> bool { throw ++seen; });
    } catch (int thrown) {
        caught = thrown == 1;
    }

    EXPECT(caught && seen == 1);
}

#endif

}  // namespace

int main() {
    for (const check &check : checks()) {
        check.run();
        std::printf("ok  %s\n", check.name);
    }
    std::printf("%zu checks, %s exceptions\n", checks().size(), HOLDALL_EXCEPTIONS ? "with" : "without");
}
