// The Holdall demo: a small web application in C++, with sessions.
//
// Reads the options, opens the sessions, serves until SIGINT or SIGTERM. The rest of it: server.cpp is HTTP,
// application.cpp what is done, pages.cpp what is shown. How to build and run it is in examples/README.md.

#include "application.hpp"
#include "config.hpp"
#include "server.hpp"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <getopt.h>
#include <pthread.h>

namespace {

constexpr const char *usage = R"(usage: demo [--sessions WHERE] [--port N]

  --sessions WHERE   memory:                 in this process, gone when it ends
                     file:///absolute/path   in files, one a session
                     {"drivers": ...}        a whole configuration as JSON (docs/config.md)
                     default: build/demo-sessions, or /tmp/holdall-demo where there is no ./build
  --port N           on 127.0.0.1; 0 takes a free one; default: 8000
  --help             this
)";

struct options {
    std::string sessions = default_sessions();
    std::uint16_t port = 8000;
};

[[noreturn]] void refuse(const char *what) {
    std::fprintf(stderr, "demo: %s\n%s", what, usage);
    std::exit(2);
}

std::uint16_t port_of(const char *text) {
    char *end;
    errno = 0;
    const long port = std::strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || port < 0 || port > 65535)
        refuse("--port: a number from 0 to 65535");
    return static_cast<std::uint16_t>(port);
}

options read_options(int count, char **words) {
    static const option known[] = {{"sessions", required_argument, nullptr, 's'},
                                   {"port", required_argument, nullptr, 'p'},
                                   {"help", no_argument, nullptr, 'h'},
                                   {nullptr, 0, nullptr, 0}};
    options options;
    for (int found; (found = getopt_long(count, words, "s:p:h", known, nullptr)) != -1;) {
        switch (found) {
            case 's':
                options.sessions = optarg;
                break;
            case 'p':
                options.port = port_of(optarg);
                break;
            case 'h':
                std::fputs(usage, stdout);
                std::exit(0);
            default:
                std::fputs(usage, stderr);
                std::exit(2);
        }
    }
    if (optind < count) refuse("there are no arguments besides the options");
    return options;
}

/// What the person on call should know of.
void tell(const holdall::event &event) {
    switch (event.kind) {
        case holdall::event_kind::conflict:
        case holdall::event_kind::evicted:
        case holdall::event_kind::quarantined:
        case holdall::event_kind::rolled_back:
        case holdall::event_kind::unavailable:
            std::fprintf(stderr, "holdall-demo: session %.*s: %s\n", static_cast<int>(event.session.size()),
                         event.session.data(), holdall::name(event.kind));
            break;
        default:
            break;  // Daily bread.
    }
}

int serve(const options &options) {
    // Before the first thread is made: it is inherited, so that the signals wait for sigwait() below and interrupt
    // nobody.
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, nullptr);
    std::signal(SIGPIPE, SIG_IGN);

    const auto listener = tell;
    const holdall::manager manager(config_of(options.sessions));
    manager.on_event(listener);
    const application application(manager);
    const server server(options.port, [&](const request &request) { return application.answer(request); });

    std::printf(
        "The session cookie is not Secure, because this is plain http. Behind https, leave cookie.secure alone.\n"
        "Ready: http://127.0.0.1:%u/\n",
        static_cast<unsigned>(server.port()));
    std::fflush(stdout);
    int signal;
    sigwait(&ends, &signal);
    return 0;
}

}  // namespace

int main(int count, char **words) try {
    return serve(read_options(count, words));
} catch (const std::exception &error) {
    std::fprintf(stderr, "demo: %s\n", error.what());
    return 1;
}
