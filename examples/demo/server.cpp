// The demo over HTTP: what libmicrohttpd tells, gathered into a request; a response, handed to it.

#include "server.hpp"

#include <arpa/inet.h>
#include <cstdio>
#include <cstdlib>
#include <microhttpd.h>
#include <stdexcept>
#include <strings.h>

namespace {

// Up to here a body that is too large is read and dropped, so that the client gets to read the answer: closing a
// connection with unread bytes resets it, and the answer with it. Beyond, the client is on its own.
constexpr std::size_t max_read_bytes = 16 * server::max_body_bytes;

/// A request on its way in.
struct incoming {
    ::request request;
    std::size_t body_bytes = 0;
    MHD_PostProcessor *form = nullptr;

    ~incoming() {
        if (form != nullptr) MHD_destroy_post_processor(form);
    }
};

MHD_Result on_field(void *user, MHD_ValueKind, const char *key, const char *, const char *, const char *,
                    const char *data, std::uint64_t offset, std::size_t size) {
    if (key == nullptr) return MHD_YES;
    std::string &value = static_cast<incoming *>(user)->request.form[key];
    // A value may come in parts; a second field of the same name begins at 0 again.
    if (offset == 0) value.clear();
    value.append(data, size);
    return MHD_YES;
}

MHD_Result on_header(void *user, MHD_ValueKind, const char *name, const char *value) {
    if (value == nullptr || strcasecmp(name, "Cookie") != 0) return MHD_YES;
    std::string &cookie = static_cast<request *>(user)->cookie;
    // Several lines are one header, joined like this (RFC 9113, section 8.2.3).
    cookie += (cookie.empty() ? "" : "; ") + std::string(value);
    return MHD_YES;
}

incoming *begin(MHD_Connection *connection, const char *method, const char *path) {
    auto in = std::make_unique<incoming>();
    in->request.method = method;
    in->request.path = path;
    MHD_get_connection_values(connection, MHD_HEADER_KIND, on_header, &in->request);
    // Null where the body is no form: then there are no fields, and the body is dropped.
    if (in->request.method == "POST") in->form = MHD_create_post_processor(connection, 4096, on_field, in.get());
    return in.release();
}

/// Takes a piece of the body. False ends the connection.
bool take(incoming &in, const char *data, std::size_t size) {
    in.body_bytes += size;
    if (in.body_bytes > max_read_bytes) return false;
    if (in.body_bytes > server::max_body_bytes) in.request.too_large = true;
    if (in.form != nullptr && !in.request.too_large) MHD_post_process(in.form, data, size);
    return true;
}

MHD_Result send(MHD_Connection *connection, const response &response) {
    // MHD copies: it sends after this function has returned.
    MHD_Response *sent = MHD_create_response_from_buffer(response.body.size(), const_cast<char *>(response.body.data()),
                                                         MHD_RESPMEM_MUST_COPY);
    if (sent == nullptr) return MHD_NO;
    bool complete = true;
    for (const auto &[name, value] : response.headers)
        complete &= MHD_add_response_header(sent, name.c_str(), value.c_str()) == MHD_YES;
    // Half of a session's headers would be worse than no answer.
    const MHD_Result queued = complete ? MHD_queue_response(connection, response.status, sent) : MHD_NO;
    MHD_destroy_response(sent);
    return queued;
}

// libmicrohttpd calls this once with the head, once for each piece of the body, and once at the end. No exception may
// leave it: below are frames of C.
MHD_Result on_request(void *user, MHD_Connection *connection, const char *path, const char *method, const char *,
                      const char *data, std::size_t *size, void **state) try {
    if (*state == nullptr) {
        *state = begin(connection, method, path);
        return MHD_YES;
    }
    incoming &in = *static_cast<incoming *>(*state);
    if (*size > 0) {
        const bool goes_on = take(in, data, *size);
        *size = 0;
        return goes_on ? MHD_YES : MHD_NO;
    }
    return send(connection, (*static_cast<const server::handler *>(user))(in.request));
} catch (const std::exception &error) {
    std::fprintf(stderr, "holdall-demo: %s\n", error.what());
    return MHD_NO;
}

void on_completed(void *, MHD_Connection *, void **state, MHD_RequestTerminationCode) {
    delete static_cast<incoming *>(*state);
    *state = nullptr;
}

}  // namespace

server::server(std::uint16_t port, handler handler) : handler_(std::move(handler)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    daemon_ = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ERROR_LOG, port, nullptr, nullptr, on_request,
                               &handler_, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_THREAD_POOL_SIZE, 4u,
                               MHD_OPTION_CONNECTION_TIMEOUT, 30u, MHD_OPTION_NOTIFY_COMPLETED, on_completed, nullptr,
                               MHD_OPTION_END);
    if (daemon_ == nullptr) throw std::runtime_error("cannot listen on 127.0.0.1:" + std::to_string(port));
}

server::~server() { MHD_stop_daemon(daemon_); }

std::uint16_t server::port() const { return MHD_get_daemon_info(daemon_, MHD_DAEMON_INFO_BIND_PORT)->port; }
