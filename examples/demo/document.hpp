// An HTML document under construction: whatever is text gets escaped, without being asked.
//
// Markup is what the source itself spells out with the suffix _html. No string from elsewhere can become markup, so
// there is no place where escaping can be forgotten.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

class markup {
  public:
    std::string_view text;

  private:
    explicit constexpr markup(std::string_view literal) : text(literal) {}
    friend constexpr markup operator""_html(const char *, std::size_t);
};

constexpr markup operator""_html(const char *literal, std::size_t size) { return markup({literal, size}); }

class document {
  public:
    document &operator<<(markup markup) {
        html_ += markup.text;
        return *this;
    }

    /// Text, for an element or a quoted attribute.
    document &operator<<(std::string_view text) {
        for (const char c : text) {
            switch (c) {
                case '&':
                    html_ += "&amp;";
                    break;
                case '<':
                    html_ += "&lt;";
                    break;
                case '>':
                    html_ += "&gt;";
                    break;
                case '"':
                    html_ += "&quot;";
                    break;
                case '\'':
                    html_ += "&#39;";
                    break;
                default:
                    html_ += c;
            }
        }
        return *this;
    }

    document &operator<<(std::int64_t number) { return *this << std::string_view(std::to_string(number)); }

    std::string take() { return std::move(html_); }

  private:
    std::string html_;
};
