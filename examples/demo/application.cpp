// What the demo does.
//
// A page is shown like this: open, render, commit, add the commit's headers. A form acts like this: open, compare the
// CSRF token, change, commit without aging flash, redirect. The commit always comes before the response is queued: only
// then is it known what the response should carry, and whether anything was stored at all.

#include "application.hpp"

#include "assets.hpp"
#include "json.hpp"
#include "pages.hpp"

#include <algorithm>
#include <cstdio>

namespace {

constexpr std::size_t max_item_characters = 80;
constexpr std::size_t max_items = 100;

response typed(unsigned status, const char *type, std::string body) {
    response response;
    response.status = status;
    response.body = std::move(body);
    response.add("Content-Type", type);
    return response;
}

response html(unsigned status, std::string body) { return typed(status, "text/html; charset=utf-8", std::move(body)); }

response see_other(const std::string &path) {
    response response;
    response.status = 303;
    response.add("Location", path);
    return response;
}

response asset(const char *type, std::string_view body) {
    response response = typed(200, type, std::string(body));
    response.add("Cache-Control", "max-age=300");
    return response;
}

/// Adds what the commit wants the response to carry. Adds, and replaces nothing: there may be several Set-Cookie.
void add_headers(response &response, const holdall::commit &commit) {
    for (const holdall::header &header : commit.headers())
        response.add(std::string(header.name), std::string(header.value));
}

/// Whether another request has ended the session or changed its id under this one, which then stored nothing.
bool overtaken(const holdall::commit &commit) {
    return commit.outcome() == holdall::outcome::gone || commit.outcome() == holdall::outcome::moved;
}

std::string trimmed(const std::string &text) {
    constexpr const char *blank = " \t\r\n";
    const std::size_t first = text.find_first_not_of(blank);
    return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(blank) - first + 1);
}

std::size_t characters(std::string_view text) {
    // In UTF-8, every byte that is not 10xxxxxx begins a character.
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

/// What is wrong with a text that somebody typed; empty if nothing is.
std::string complaint(const std::string &text, const char *what) {
    if (text.empty()) return std::string("Please type ") + what + ".";
    if (!json::quoted(text)) return "That text is not valid UTF-8.";
    if (characters(text) > max_item_characters)
        return "Please keep it to " + std::to_string(max_item_characters) + " characters.";
    return "";
}

/// Says why not, and keeps what was typed, so that it need not be typed again.
void complain(holdall::session &session, const std::string &why, const char *field, const std::string &typed) {
    session.flash_string("problem", why);
    if (json::quoted(typed)) session.flash_input(json::object_of(field, typed));
}

void sign_in(const request &request, holdall::session &session) {
    const std::string name = trimmed(request.field("name"));
    const std::string why = complaint(name, "a name");
    if (!why.empty()) return complain(session, why, "name", name);

    session.set_string("user", name);
    // Rights are gained: whoever knew the id of before must not know the one of after (OWASP, session fixation).
    session.regenerate();
    session.flash_string("notice", "Welcome, " + name + ".");
}

void sign_out(const request &, holdall::session &session) {
    session.invalidate();
    // After invalidate(), so it is the first thing in the new session.
    session.flash_string("notice", "You are signed out.");
}

void add_to_cart(const request &request, holdall::session &session) {
    const std::string item = trimmed(request.field("item"));
    std::string why = complaint(item, "what you want to add");
    if (why.empty() && json::strings(session.get_json("cart").value_or("[]")).size() >= max_items)
        why = "The cart is full.";
    if (!why.empty()) return complain(session, why, "item", item);

    // A push and not a set of the whole list: what others add meanwhile stays.
    session.push_json("cart", *json::quoted(item));
    session.flash_string("notice", "Added \"" + item + "\".");
}

void remove_from_cart(const request &request, holdall::session &session) {
    const std::string item = request.field("item");
    std::vector<std::string> cart = json::strings(session.get_json("cart").value_or("[]"));
    const auto found = std::find(cart.begin(), cart.end(), item);
    if (found == cart.end()) return session.flash_string("notice", "That was not in the cart any more.");

    cart.erase(found);
    // A set of the whole list, safe because this session is exclusive: nobody can have added to it since it was read.
    if (cart.empty())
        session.forget("cart");
    else
        session.set_json("cart", json::array_of(cart));
    session.flash_string("notice", "Removed \"" + item + "\".");
}

using action = void (*)(const request &, holdall::session &);
using page = void (*)(document &, holdall::session &, const holdall::manager &);

struct route {
    std::string_view path;
    page get;
    action post;
    /// Reads something and writes back what follows from it, so others have to wait.
    bool exclusive;
};

// One route a line.
// clang-format off
constexpr route routes[] = {
    {"/",            home_page,    nullptr,          false},
    {"/session",     session_page, nullptr,          false},
    {"/sign-in",     nullptr,      sign_in,          false},
    {"/sign-out",    nullptr,      sign_out,         false},
    {"/cart/add",    nullptr,      add_to_cart,      false},
    {"/cart/remove", nullptr,      remove_from_cart, true},
};
// clang-format on

/// GET and HEAD. Renders first: what the page reads and counts belongs to the same commit.
response show(const holdall::manager &manager, const request &request, page page) {
    holdall::session session = manager.open(request.cookie);
    document out;
    page(out, session, manager);
    response response = html(200, out.take());
    // Nobody has seen the page, so nothing has happened: no visit, no message shown.
    if (request.method == "HEAD") return response;

    const holdall::commit commit = session.commit();
    // The page is of a session that is no more, perhaps of somebody who has just signed out. The browser comes again
    // with the cookie that it has by then.
    if (overtaken(commit)) response = see_other(request.path);
    add_headers(response, commit);
    return response;
}

/// POST.
response act(const holdall::manager &manager, const request &request, const route &route) {
    auto options = holdall::open_options();
    if (route.exclusive) options.mode(holdall::mode::exclusive);
    holdall::session session = manager.open(request.cookie, options);
    // Before anything else. The session just ends here, without a commit, so nothing changes.
    if (!session.csrf_matches(request.field("csrf_token"))) {
        response refused =
            html(403, problem_page("That form was out of date",
                                   "Nothing was changed. The page it came from was older than your last sign-in or "
                                   "sign-out, or it was not ours. Go back to the start and try once more."));
        // There is no commit that would say so, and it depends on the cookie all the same.
        refused.add("Vary", "Cookie");
        return refused;
    }

    route.post(request, session);
    // A redirect shows nothing: a message that waits to be seen waits on. What is flashed here is new and would stay
    // anyway.
    const holdall::commit commit = session.commit(holdall::commit_options().age_flash(false));
    response response =
        overtaken(commit) ? html(409, problem_page("Your session has changed",
                                                   "You signed in or out elsewhere at the same moment, so nothing was "
                                                   "stored. Go back to the start and try once more."))
                          : see_other("/");
    add_headers(response, commit);
    return response;
}

response routed(const holdall::manager &manager, const request &request) {
    const bool reads = request.method == "GET" || request.method == "HEAD";
    const auto only = [](const char *methods) {
        response response = html(405, problem_page("Not that way", "This address does not answer such requests."));
        response.add("Allow", methods);
        return response;
    };
    if (request.too_large)
        return html(413, problem_page("That was too much", "A form may have 64 KiB. Nothing was changed."));

    // Assets have no session: they would age flash, and cost a read each.
    if (request.path == "/style.css") return reads ? asset("text/css; charset=utf-8", style_css) : only("GET, HEAD");
    if (request.path == "/icon.svg") return reads ? asset("image/svg+xml", icon_svg) : only("GET, HEAD");

    for (const route &route : routes) {
        if (request.path != route.path) continue;
        if (route.get != nullptr) return reads ? show(manager, request, route.get) : only("GET, HEAD");
        return request.method == "POST" ? act(manager, request, route) : only("POST");
    }
    return html(404, problem_page("Nothing here", "There is no page at this address."));
}

}  // namespace

response application::answer(const request &request) const {
    response response;
    try {
        response = routed(manager_, request);
    } catch (const holdall::error &error) {
        // For the log and not for the page, though it has neither ids nor values in it.
        std::fprintf(stderr, "holdall-demo: %s %s: %s: %s\n", request.method.c_str(), request.path.c_str(),
                     error.status().name(), error.what());
        response = html(error.retryable() ? 503 : 500,
                        problem_page("Sessions are out of order",
                                     error.retryable() ? "Please try again in a moment." : "We have been told."));
        if (error.retryable()) response.add("Retry-After", "1");
    }
    // No script, no frame, nothing from elsewhere: whatever an attacker smuggles in has nothing to run with.
    response.add("Content-Security-Policy",
                 "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
                 "base-uri 'none'; frame-ancestors 'none'");
    response.add("X-Content-Type-Options", "nosniff");
    response.add("Referrer-Policy", "same-origin");
    return response;
}
