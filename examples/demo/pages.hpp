// What the demo shows: HTML, and nothing that is done.

#pragma once

#include "document.hpp"

#include <holdall.hpp>

/// The cart, the visits, and who is signed in.
void home_page(document &out, holdall::session &session, const holdall::manager &manager);

/// The session as it stands, with the manager's figures.
void session_page(document &out, holdall::session &session, const holdall::manager &manager);

/// A page about what went wrong. Has no session: it neither counts, nor ages flash, nor needs the storage to work.
std::string problem_page(std::string_view title, std::string_view text);
