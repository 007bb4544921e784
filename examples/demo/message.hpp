// A request as the application sees it, and its response.
//
// Plain data: nothing of libmicrohttpd, nothing of sessions. server.cpp fills the one and sends the other.

#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

struct request {
    std::string method;
    std::string path;
    /// The Cookie header; empty where there was none.
    std::string cookie;
    /// The fields of a posted form.
    std::map<std::string, std::string> form;
    /// The body was over the limit; `form` is not to be used.
    bool too_large = false;

    /// A field of the form, empty where it is missing.
    const std::string &field(const std::string &name) const {
        static const std::string none;
        const auto found = form.find(name);
        return found == form.end() ? none : found->second;
    }
};

struct response {
    unsigned status = 200;
    /// Several of one name are sent as several.
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;

    void add(std::string name, std::string value) { headers.emplace_back(std::move(name), std::move(value)); }
};
