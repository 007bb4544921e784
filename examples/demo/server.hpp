// The demo over HTTP: libmicrohttpd on one side, a function from request to response on the other.
//
// Four threads call the function, so it has to be good for that. Knows nothing of sessions.

#pragma once

#include "message.hpp"

#include <cstdint>
#include <functional>
#include <memory>

struct MHD_Daemon;

class server {
  public:
    using handler = std::function<response(const request &)>;

    /// Listens on 127.0.0.1; port 0 takes a free one. Throws std::runtime_error where it cannot.
    server(std::uint16_t port, handler handler);
    /// Lets the running requests end.
    ~server();

    std::uint16_t port() const;

    /// Longer bodies are not kept, and `request::too_large` says so.
    static constexpr std::size_t max_body_bytes = 64 * 1024;

  private:
    handler handler_;
    MHD_Daemon *daemon_;
};
