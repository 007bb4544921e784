// JSON values through jansson, freed by themselves.
//
// The session keeps values as JSON text; here is the little that the demo does with them.

#pragma once

#include <jansson.h>

#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace json {

struct dropped {
    void operator()(json_t *value) const { json_decref(value); }
};
using value = std::unique_ptr<json_t, dropped>;

/// Any value. NUL is an ordinary character of a string here, as it is in JSON.
inline value read(std::string_view text, json_error_t *error = nullptr) {
    return value(json_loadb(text.data(), text.size(), JSON_DECODE_ANY | JSON_ALLOW_NUL, error));
}

inline std::string write(const value &from, std::size_t flags = JSON_COMPACT) {
    const std::unique_ptr<char, void (*)(void *)> text(json_dumps(from.get(), flags | JSON_ENCODE_ANY), std::free);
    return text ? text.get() : "";
}

/// A string as JSON; nothing where it is not UTF-8.
inline std::optional<std::string> quoted(std::string_view text) {
    const value string(json_stringn(text.data(), text.size()));
    if (!string) return std::nullopt;
    return write(string);
}

inline std::string string_of(const json_t *string) { return {json_string_value(string), json_string_length(string)}; }

/// The string that JSON text stands for; nothing where it is something else.
inline std::optional<std::string> unquoted(std::string_view text) {
    const value string = read(text);
    if (!json_is_string(string.get())) return std::nullopt;
    return string_of(string.get());
}

/// The strings of an array.
inline std::vector<std::string> strings(std::string_view text) {
    std::vector<std::string> all;
    const value array = read(text);
    std::size_t index;
    json_t *element;
    json_array_foreach(array.get(), index, element) {
        if (json_is_string(element)) all.push_back(string_of(element));
    }
    return all;
}

inline std::string array_of(const std::vector<std::string> &strings) {
    const value array(json_array());
    for (const std::string &text : strings) json_array_append_new(array.get(), json_stringn(text.data(), text.size()));
    return write(array);
}

/// An object with one string.
inline std::string object_of(const char *name, std::string_view text) {
    const value object(json_object());
    json_object_set_new(object.get(), name, json_stringn(text.data(), text.size()));
    return write(object);
}

/// Indented, for people; as it is where jansson cannot read it (it has no integers beyond 64 bits).
inline std::string pretty(std::string_view text) {
    const value any = read(text);
    return any ? write(any, JSON_INDENT(2)) : std::string(text);
}

}  // namespace json
