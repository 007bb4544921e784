// What the demo shows.
//
// Every string from a session or a request goes through document's <<, which escapes it.

#include "pages.hpp"

#include "json.hpp"

namespace {

void head(document &out, std::string_view title) {
    out << R"(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>)"_html
        << title << R"( - Holdall</title>
<link rel="icon" href="/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/style.css">
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
)"_html;
}

void foot(document &out) {
    out << R"(</main>
<footer class="foot">
<p>A demo of Holdall, a session engine. C++17, plain http on this machine only.</p>
</footer>
</body>
</html>
)"_html;
}

std::string text_of(const holdall::session &session, std::string_view key) {
    return session.get_string(key).value_or("");
}

std::vector<std::string> cart_of(const holdall::session &session) {
    return json::strings(session.get_json("cart").value_or("[]"));
}

/// What was typed into a field of the form that came back with a complaint.
std::string typed_before(const holdall::session &session, std::string_view field) {
    return json::unquoted(session.old(field).value_or("")).value_or("");
}

void csrf_field(document &out, holdall::session &session) {
    out << R"(<input type="hidden" name="csrf_token" value=")"_html << session.csrf_token() << "\">\n"_html;
}

void link(document &out, std::string_view path, std::string_view text, std::string_view current) {
    out << "<a href=\""_html << path << "\""_html;
    if (path == current) out << " aria-current=\"page\""_html;
    out << ">"_html << text << "</a>\n"_html;
}

void sign_out_form(document &out, holdall::session &session) {
    out << R"(<form method="post" action="/sign-out">)"_html;
    csrf_field(out, session);
    out << "<button class=\"quiet\">Sign out</button></form>\n"_html;
}

/// Everything above the page's own content.
void top(document &out, holdall::session &session, std::string_view title, std::string_view path) {
    const std::string user = text_of(session, "user");
    head(out, title);
    out << R"(<header class="bar"><div class="bar-in">
<a class="brand" href="/"><img src="/icon.svg" alt="" width="30" height="30">Holdall</a>
<nav aria-label="Pages">
)"_html;
    link(out, "/", "Home", path);
    link(out, "/session", "Your session", path);
    out << "</nav>\n"_html;
    if (!user.empty()) {
        out << R"(<div class="who"><span class="name" title="Signed in">)"_html << user << "</span>\n"_html;
        sign_out_form(out, session);
        out << "</div>\n"_html;
    }
    out << "</div></header>\n<main id=\"main\">\n"_html;

    // Reading is all it takes: the commit of this page ends what was read.
    if (const std::string notice = text_of(session, "notice"); !notice.empty())
        out << R"(<p class="flash" id="notice" role="status">)"_html << notice << "</p>\n"_html;
    if (const std::string problem = text_of(session, "problem"); !problem.empty())
        out << R"(<p class="flash bad" id="problem" role="alert">)"_html << problem << "</p>\n"_html;
}

void cart_card(document &out, holdall::session &session) {
    const std::vector<std::string> cart = cart_of(session);
    out << R"(<section class="card" aria-labelledby="cart-title">
<h2 id="cart-title">Your cart <span class="count"><span id="cart-count">)"_html
        << static_cast<std::int64_t>(cart.size()) << "</span> "_html << (cart.size() == 1 ? "item" : "items")
        << R"(</span></h2>
<form class="line" method="post" action="/cart/add">
)"_html;
    csrf_field(out, session);
    out << R"(<label for="item">What goes in?</label>
<div class="pair"><input id="item" name="item" type="text" maxlength="80" required autocomplete="off" placeholder="A towel, say" value=")"_html
        << typed_before(session, "item") << R"("><button>Add</button></div>
</form>
)"_html;
    if (cart.empty()) {
        out << "<p class=\"empty\">Nothing yet. A holdall takes whatever you type.</p>\n"_html;
    } else {
        // One token serves all the forms of a page as well.
        const std::string token = session.csrf_token();
        out << "<ul class=\"cart\" id=\"cart\">\n"_html;
        for (const std::string &item : cart) {
            out << R"(<li><span class="item">)"_html << item
                << R"(</span><form method="post" action="/cart/remove"><input type="hidden" name="csrf_token" value=")"_html
                << token << R"("><input type="hidden" name="item" value=")"_html << item
                << R"("><button class="quiet" aria-label="Remove )"_html << item << R"(">Remove</button></form></li>
)"_html;
        }
        out << "</ul>\n"_html;
    }
    out << "</section>\n"_html;
}

void sign_in_card(document &out, holdall::session &session) {
    out << R"(<section class="card" aria-labelledby="who-title">
)"_html;
    if (const std::string user = text_of(session, "user"); !user.empty()) {
        out << R"(<h2 id="who-title">Signed in</h2>
<p>You are <strong id="user">)"_html
            << user
            << R"(</strong>. Your session got a new id when you signed in, and kept what was in it. The old id opens nothing.</p>
)"_html;
    } else {
        out << R"(<h2 id="who-title">Sign in</h2>
<p>Any name will do, and there is no password: this is a demo.</p>
<form method="post" action="/sign-in">
)"_html;
        csrf_field(out, session);
        out << R"(<label for="name">Name</label>
<input id="name" name="name" type="text" maxlength="80" required autocomplete="nickname" value=")"_html
            << typed_before(session, "name") << R"(">
<button class="wide">Sign in</button>
</form>
)"_html;
    }
    out << "</section>\n"_html;
}

}  // namespace

void home_page(document &out, holdall::session &session, const holdall::manager &) {
    const std::int64_t visits = session.increment("visits");
    const std::string user = text_of(session, "user");

    top(out, session, "Home", "/");
    out << "<div class=\"hero\"><h1>Hello, "_html << (user.empty() ? "stranger" : user) << ".</h1>\n"_html
        << R"(<p>You have opened this page <strong id="visits">)"_html << visits << "</strong> "_html
        << (visits == 1 ? "time" : "times") << R"( in this session.</p></div>
<div class="columns">
)"_html;
    cart_card(out, session);
    sign_in_card(out, session);
    out << "</div>\n"_html;
    foot(out);
}

void session_page(document &out, holdall::session &session, const holdall::manager &manager) {
    top(out, session, "Your session", "/session");
    out << R"(<div class="hero"><h1>Your session</h1>
<p>All that is kept about you, as it stands. It lives on the server; your browser only holds its id, which is a secret and not shown.</p></div>
<section class="card" aria-labelledby="data-title">
<h2 id="data-title">Data and messages</h2>
<pre id="session" tabindex="0" aria-labelledby="data-title">)"_html
        << json::pretty(session.all()) << R"(</pre>
</section>
<details class="card">
<summary>The engine's figures</summary>
<pre id="stats" tabindex="0" aria-label="Figures">)"_html
        << json::pretty(manager.stats()) << R"(</pre>
</details>
)"_html;
    foot(out);
}

std::string problem_page(std::string_view title, std::string_view text) {
    document out;
    head(out, title);
    out << R"(<header class="bar"><div class="bar-in">
<a class="brand" href="/"><img src="/icon.svg" alt="" width="30" height="30">Holdall</a>
</div></header>
<main id="main">
<div class="hero"><h1>)"_html
        << title << "</h1>\n<p>"_html << text << R"(</p>
<p><a class="button" href="/">Back to the start</a></p></div>
)"_html;
    foot(out);
    return out.take();
}
