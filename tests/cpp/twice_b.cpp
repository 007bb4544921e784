// The other half of twice_a.cpp: a session goes from one file to the other.

#include <holdall.hpp>

std::int64_t count_in_b(holdall::session &session);

std::int64_t count_in_b(holdall::session &session) {
    holdall::status status;
    return session.increment("n", 1, status);
}
