// What the demo does: routes, sign-in and sign-out, the cart; and what a request does with its session.
//
// Knows nothing of libmicrohttpd. Every thread may call it: it keeps nothing between requests but the manager.

#pragma once

#include "message.hpp"

#include <holdall.hpp>

class application {
  public:
    /// The manager must outlive it.
    explicit application(const holdall::manager &manager) : manager_(manager) {}

    /// Answers a request. Whatever the engine throws becomes a page.
    response answer(const request &request) const;

  private:
    const holdall::manager &manager_;
};
