// The engine's configuration: JSON in, JSON out, with jansson in between and no text pasted together.

#include "config.hpp"

#include "json.hpp"

#include <filesystem>
#include <holdall.hpp>
#include <stdexcept>

std::string default_sessions() {
    std::error_code ignored;
    const bool built_here = std::filesystem::is_directory("build", ignored);
    const std::string path =
        built_here ? std::filesystem::absolute("build/demo-sessions", ignored).string() : "/tmp/holdall-demo";
    // A document and not a URL: a path in a URL would have to be percent-encoded.
    const json::value config(json_pack("{s:{s:{s:s, s:s}}}", "drivers", "file", "type", "file", "path", path.c_str()));
    return json::write(config);
}

std::string config_of(const std::string &sessions) {
    // The engine reads the URL and says what it means as JSON; the demo has no URL parser.
    const std::string document = sessions.substr(0, 1) == "{" ? sessions : holdall::manager(sessions).config().str();
    json_error_t error;
    const json::value config = json::read(document, &error);
    if (!config) throw std::runtime_error(std::string("--sessions: ") + error.text);

    json_t *cookie = json_object_get(config.get(), "cookie");
    if (!json_is_object(cookie)) {
        cookie = json_object();
        json_object_set_new(config.get(), "cookie", cookie);
    }
    // The demo is plain http, where browsers neither keep nor send a Secure cookie; and a __Host- name needs Secure.
    json_object_set_new(cookie, "secure", json_false());
    const json_t *name = json_object_get(cookie, "name");
    if (json_is_string(name) && json::string_of(name).rfind("__", 0) == 0) json_object_del(cookie, "name");
    return json::write(config);
}
