// One program, the header in two of its files: a function in it that is not inline would not link.
//
// The other file is twice_b.cpp. One may be compiled with exceptions and the other without.

#include <holdall.hpp>
#include <holdall.hpp>

std::int64_t count_in_b(holdall::session &session);

int main() {
    holdall::status status;
    holdall::manager manager("memory:", status);
    holdall::session session = manager.open("", status);
    session.increment("n", status);
    if (status.failed() || count_in_b(session) != 2) return 1;

    // Were on_error the same to the linker in both files, the one of the file without exceptions could be taken here.
    try {
        session.increment("", 1);
    } catch (const holdall::error &) {
        return 0;
    }
    return 2;
}
