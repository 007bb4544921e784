// The engine's configuration, from what --sessions says.

#pragma once

#include <string>

/// Where the sessions are when nobody says: in the build directory, if the demo is started beside one.
std::string default_sessions();

/// The JSON document for holdall::manager, from a URL or another such document; its cookie is not Secure. Throws
/// std::runtime_error or holdall::error, with a sentence for the user.
std::string config_of(const std::string &sessions);
