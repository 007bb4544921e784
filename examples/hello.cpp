// hello.cpp - the smallest whole request: open, count a visit, commit, print the headers that belong in the response.
//
//     c++ -std=c++17 -Iinclude examples/hello.cpp -Ltarget/release -lholdall -o hello

#include <holdall.hpp>
#include <iostream>

int main() {
    holdall::manager manager("file:///tmp/holdall-hello");
    holdall::session session = manager.open("");  // The request's Cookie header; there is none here.
    std::int64_t visits = session.increment("visits");
    holdall::commit commit = session.commit();

    std::cout << "visits: " << visits << "\n";
    for (holdall::header header : commit.headers()) std::cout << header.name << ": " << header.value << "\n";
}
