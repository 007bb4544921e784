/*
 * holdall.hpp - Holdall for C++17: holdall.h with destructors.
 *
 * Header-only. Every class owns one handle of the C library, every method is one C function of the same name; what the
 * functions do, and what an answer means, is said in holdall.h. Nothing is decided here.
 *
 *
 * A COMPLETE PROGRAM
 *
 *     #include <holdall.hpp>
 *     #include <iostream>
 *
 *     int main() {
 *         holdall::manager manager("file:///tmp/holdall-example");
 *         holdall::session session = manager.open("");          // the request's Cookie header
 *         session.increment("visits");
 *         holdall::commit commit = session.commit();
 *         for (holdall::header header : commit.headers()) std::cout << header.name << ": " << header.value << "\n";
 *     }
 *
 *     c++ -std=c++17 example.cpp $(pkg-config --cflags --libs holdall)
 *
 *
 * RULES
 *
 *  1 Errors.   Every method that can fail takes an `on_error` as its last parameter. Leave it out, and a failure is
 *              thrown as holdall::error. Pass a holdall::status, and it is written there, as with std::error_code; what
 *              the method returns then is empty, zero or false.
 *
 *                  session.set_int("age", 7);                                       throws
 *                  holdall::status status;
 *                  session.set_int("age", 7, status);                               does not
 *                  if (status.failed()) log(status.message());
 *
 *              Compiled with -fno-exceptions (or HOLDALL_NO_EXCEPTIONS) there is only the second way: without a
 *              status it does not compile. Running out of memory in std::string is std::bad_alloc in both.
 *
 *  2 Missing.  What may be missing is a std::optional, and missing is no error.
 *
 *  3 Memory.   JSON documents are a holdall::buffer (the library's bytes, not copied), short texts a std::string. A
 *              std::string_view is borrowed: from get_json(), old() and id() until the next call on the session that
 *              is not const, from a commit until it ends.
 *
 *  4 Moves.    All classes move and do not copy. One that was moved from, or made without arguments, is empty:
 *              `if (session)` asks, and every call on it fails with HOLDALL_E_INVALID_ARGUMENT, not with a crash.
 *
 *  5 Names.    As in C, but `delete` and `explicit` are words of the language: forget(), flash_policy::explicit_.
 *
 *  6 Threads.  As in C: a manager is for all threads, a session for one at a time.
 */

#ifndef HOLDALL_HPP
#define HOLDALL_HPP

#include <holdall.h>

#include <cstdint>
#include <exception>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#if defined(__cpp_exceptions) && !defined(HOLDALL_NO_EXCEPTIONS)
#define HOLDALL_EXCEPTIONS 1
/// The default of an `on_error` parameter. There is none where nothing can be thrown, so that no failure gets lost.
#define HOLDALL_OR_THROW = {}
#else
#define HOLDALL_EXCEPTIONS 0
#define HOLDALL_OR_THROW
#endif

namespace holdall {

namespace detail {

inline holdall_slice slice(std::string_view text) noexcept { return {text.data(), text.size()}; }

inline std::string_view view(holdall_slice slice) noexcept { return {slice.data, slice.len}; }

/// A deleter that calls the C function of the handle.
template <class Handle, void (*Free)(Handle *)>
struct freed_by {
    void operator()(Handle *handle) const noexcept { Free(handle); }
};

}  // namespace detail

// ------------------------------------------------------------------------------------------ errors

/// What a call answered: a C status, and for an error what it has to say.
class status {
  public:
    /// HOLDALL_OK, until a call is given it.
    status() noexcept = default;

    /// The number: HOLDALL_OK, an outcome such as HOLDALL_NOT_FOUND, or an error such as HOLDALL_E_UNAVAILABLE.
    std::int32_t code() const noexcept { return code_; }

    /// Whether it is an error. Outcomes are none.
    bool failed() const noexcept { return code_ < 0; }

    /// The number's name, as "ok" or "unavailable".
    const char *name() const noexcept { return holdall_status_name(code_); }

    /// A sentence about the error, without ids and values; empty where there was none.
    const std::string &message() const noexcept { return message_; }

    /// Whether the same call may succeed later without anything being changed.
    bool retryable() const noexcept { return (flags_ & HOLDALL_RETRYABLE) != 0; }

    /// Whether the write may have taken effect although the call failed. A repeated commit finds out by itself.
    bool may_have_written() const noexcept { return (flags_ & HOLDALL_MAY_HAVE_WRITTEN) != 0; }

    /// Whether another request has the session locked, and nothing else is wrong; retryable() then too.
    bool locked() const noexcept { return (flags_ & HOLDALL_LOCKED) != 0; }

    /// Takes what a C function answered, on the thread that called it. Every method here does; yours may, after C
    /// calls.
    void assign(std::int32_t code) {
        code_ = code;
        flags_ = failed() ? holdall_last_error_flags() : 0;
        message_ = failed() ? detail::view(holdall_last_error_message()) : std::string_view();
    }

  private:
    std::int32_t code_ = HOLDALL_OK;
    std::uint32_t flags_ = 0;
    std::string message_;
};

#if HOLDALL_EXCEPTIONS
/// What is thrown where no status was passed.
class error : public std::exception {
  public:
    /// Copies what the status has to say.
    explicit error(holdall::status status) : status_(std::make_shared<const holdall::status>(std::move(status))) {}

    /// The sentence.
    const char *what() const noexcept override { return status_->message().c_str(); }

    /// All of it.
    const holdall::status &status() const noexcept { return *status_; }

    /// status().retryable()
    bool retryable() const noexcept { return status_->retryable(); }

    /// status().may_have_written()
    bool may_have_written() const noexcept { return status_->may_have_written(); }

    /// status().locked()
    bool locked() const noexcept { return status_->locked(); }

  private:
    // Shared: copying an exception must not throw.
    std::shared_ptr<const holdall::status> status_;
};
#endif

// The two kinds of on_error have different names for the linker: files with and without exceptions may meet in one
// program.
#if HOLDALL_EXCEPTIONS
inline namespace throwing {
#else
inline namespace not_throwing {
#endif

/// Where a failure goes: into the status it was made from, or, made from nothing, to `throw`.
class on_error {
  public:
    /// Into this status.
    on_error(status &to) noexcept : to_(&to) {}

#if HOLDALL_EXCEPTIONS
    /// To `throw`.
    on_error() noexcept = default;
#endif

    /// Passes an answer on, and hands it back.
    std::int32_t operator()(std::int32_t code) const {
#if HOLDALL_EXCEPTIONS
        if (to_ == nullptr) {
            if (code < 0) {
                status answered;
                answered.assign(code);
                throw error(std::move(answered));
            }
            return code;
        }
#endif
        to_->assign(code);
        return code;
    }

  private:
    status *to_ = nullptr;
};

}  // inline namespace throwing or not_throwing

// ------------------------------------------------------------------------------------------ values

/// Bytes of the library's that are yours, freed with this. A NUL follows the last one.
class buffer {
  public:
    /// No bytes.
    buffer() noexcept = default;
    buffer(const buffer &) = delete;
    buffer &operator=(const buffer &) = delete;
    /// Takes the other's bytes and leaves it empty.
    buffer(buffer &&other) noexcept : buf_(std::exchange(other.buf_, holdall_buf{})) {}
    /// Takes the other's bytes and leaves it these.
    buffer &operator=(buffer &&other) noexcept {
        std::swap(buf_, other.buf_);
        return *this;
    }
    ~buffer() { holdall_buf_free(&buf_); }

    /// The first byte; never NULL.
    const char *data() const noexcept { return buf_.data == nullptr ? "" : buf_.data; }
    /// How many bytes.
    std::size_t size() const noexcept { return buf_.len; }
    /// Whether there are none.
    bool empty() const noexcept { return buf_.len == 0; }
    /// As NUL-terminated text.
    const char *c_str() const noexcept { return data(); }
    /// Borrowed, while the buffer lives.
    std::string_view view() const noexcept { return {data(), size()}; }
    /// Borrowed, while the buffer lives.
    operator std::string_view() const noexcept { return view(); }
    /// Copied.
    std::string str() const { return std::string(view()); }

    /// Frees the bytes and gives the place where a C function writes others.
    holdall_buf *out() noexcept {
        holdall_buf_free(&buf_);
        return &buf_;
    }

  private:
    holdall_buf buf_ = {};
};

/// Names of keys, as a parameter: "user", {"user", "cart"}, or two iterators over strings. Borrows them.
class keys {
  public:
    /// One.
    template <class Text, class = std::enable_if_t<std::is_convertible_v<const Text &, std::string_view>>>
    keys(const Text &key) : slices_{detail::slice(key)} {}
    /// Several.
    keys(std::initializer_list<std::string_view> names) : keys(names.begin(), names.end()) {}
    /// As many as there are.
    template <class Iterator>
    keys(Iterator first, Iterator last) {
        for (; first != last; ++first) slices_.push_back(detail::slice(*first));
    }

    /// For the C functions.
    const holdall_slice *data() const noexcept { return slices_.data(); }
    /// How many.
    std::size_t size() const noexcept { return slices_.size(); }

  private:
    std::vector<holdall_slice> slices_;
};

// ----------------------------------------------------------------------------------------- numbers

/// HOLDALL_MODE_*: what a session may do.
enum class mode : std::uint32_t {
    shared = HOLDALL_MODE_SHARED,
    exclusive = HOLDALL_MODE_EXCLUSIVE,
    read_only = HOLDALL_MODE_READ_ONLY,
};

/// HOLDALL_FLASH_*: when a flash entry ends.
enum class flash_policy : std::uint32_t {
    configured = HOLDALL_FLASH_CONFIGURED,
    next_request = HOLDALL_FLASH_NEXT_REQUEST,
    on_read = HOLDALL_FLASH_ON_READ,
    explicit_ = HOLDALL_FLASH_EXPLICIT,
};

/// What a commit did: HOLDALL_OK, HOLDALL_UNCHANGED, HOLDALL_GONE or HOLDALL_MOVED. `none` is that of an empty commit.
enum class outcome : std::int32_t {
    saved = HOLDALL_OK,
    unchanged = HOLDALL_UNCHANGED,
    gone = HOLDALL_GONE,
    moved = HOLDALL_MOVED,
    none = HOLDALL_E_INVALID_ARGUMENT,
};

/// HOLDALL_CONFLICT_*: why an operation is in the list of conflicts.
enum class conflict_reason : std::int32_t {
    not_an_integer = HOLDALL_CONFLICT_NOT_AN_INTEGER,
    out_of_range = HOLDALL_CONFLICT_OUT_OF_RANGE,
    not_an_array = HOLDALL_CONFLICT_NOT_AN_ARRAY,
    overwritten = HOLDALL_CONFLICT_OVERWRITTEN,
};

/// HOLDALL_EVENT_*: what happened. Later versions may tell of more.
enum class event_kind : std::int32_t {
    created = HOLDALL_EVENT_CREATED,
    regenerated = HOLDALL_EVENT_REGENERATED,
    destroyed = HOLDALL_EVENT_DESTROYED,
    gone = HOLDALL_EVENT_GONE,
    moved = HOLDALL_EVENT_MOVED,
    expired = HOLDALL_EVENT_EXPIRED,
    evicted = HOLDALL_EVENT_EVICTED,
    conflict = HOLDALL_EVENT_CONFLICT,
    quarantined = HOLDALL_EVENT_QUARANTINED,
    rolled_back = HOLDALL_EVENT_ROLLED_BACK,
    unknown_token = HOLDALL_EVENT_UNKNOWN_TOKEN,
    malformed_token = HOLDALL_EVENT_MALFORMED_TOKEN,
    unavailable = HOLDALL_EVENT_UNAVAILABLE,
};

/// The version of the binary interface of the library in use, to compare with HOLDALL_ABI_VERSION.
inline std::uint32_t abi_version() noexcept { return holdall_abi_version(); }

/// The release of the library in use, as "0.1.0".
inline const char *version() noexcept { return holdall_version(); }

/// A kind's name, as "created" or "rolled_back".
inline const char *name(event_kind kind) noexcept { return holdall_event_name(static_cast<std::int32_t>(kind)); }

// ----------------------------------------------------------------------------- what is told, asked

/// A response header: add it, do not replace others of its name.
struct header {
    std::string_view name;
    std::string_view value;
};

/// An operation that met a change by another request.
struct conflict {
    std::string_view key;
    conflict_reason reason;
};

/// An event, as a listener is told it.
struct event {
    event_kind kind;
    /// 12 characters that follow one session through a log and are useless as a cookie. Lives as long as the listener's
    /// call.
    std::string_view session;
};

/// What manager::iterate() shows of a record.
struct record {
    /// The handle to destroy it by. Not a cookie. Lives as long as the visitor's call.
    std::string_view locator;
    std::uint64_t expiry_ms;
    std::size_t bytes;
};

/// What a sweep did: `looked_at`, `removed`, `finished`.
using swept = holdall_swept;

/// How to open a session. As it is made, it is the default; each call changes one thing and may be followed by another.
class open_options {
  public:
    open_options() noexcept { options_.size = sizeof options_; }

    /// What the session may do.
    open_options &mode(holdall::mode mode) noexcept {
        options_.mode = static_cast<std::uint32_t>(mode);
        return *this;
    }

    /// When a flash entry ends, instead of as configured.
    open_options &flash(flash_policy policy) noexcept {
        options_.flash = static_cast<std::uint32_t>(policy);
        return *this;
    }

    /// Whether the request came over https. Only matters where `cookie.secure` is "auto".
    open_options &request_is_secure(bool secure) noexcept {
        options_.flags &= ~static_cast<std::uint32_t>(HOLDALL_REQUEST_IS_SECURE);
        options_.flags |= secure ? HOLDALL_REQUEST_IS_SECURE : 0u;
        return *this;
    }

    /// The time in milliseconds since the Unix epoch, instead of the system's clock.
    open_options &at(std::uint64_t now_ms) noexcept {
        options_.flags |= HOLDALL_AT;
        options_.now_ms = now_ms;
        return *this;
    }

    /// How long an exclusive open, and the session's commit or destroy, waits for a lock of another; 0 tries once.
    open_options &lock_timeout_ms(std::uint64_t timeout_ms) noexcept {
        options_.flags |= HOLDALL_LOCK_TIMEOUT;
        options_.lock_timeout_ms = timeout_ms;
        return *this;
    }

    /// For C functions.
    const holdall_open_options *raw() const noexcept { return &options_; }

  private:
    holdall_open_options options_ = {};
};

/// How to commit. As it is made, it is the default; each call changes one thing and may be followed by another.
class commit_options {
  public:
    commit_options() noexcept { options_.size = sizeof options_; }

    /// Whether this commit ages flash, whatever the policy says: false for a redirect, an asset, HEAD.
    commit_options &age_flash(bool ages) noexcept {
        options_.flags &= ~static_cast<std::uint32_t>(HOLDALL_AGE_FLASH | HOLDALL_KEEP_FLASH);
        options_.flags |= ages ? HOLDALL_AGE_FLASH : HOLDALL_KEEP_FLASH;
        return *this;
    }

    /// The time in milliseconds since the Unix epoch, instead of the system's clock.
    commit_options &at(std::uint64_t now_ms) noexcept {
        options_.flags |= HOLDALL_AT;
        options_.now_ms = now_ms;
        return *this;
    }

    /// For C functions.
    const holdall_commit_options *raw() const noexcept { return &options_; }

  private:
    holdall_commit_options options_ = {};
};

// ------------------------------------------------------------------------------------------ commit

/// The answer of a commit: headers for the response, and conflicts. Any thread may read it.
class commit {
  public:
    /// Empty: no headers, no conflicts.
    commit() noexcept = default;
    /// Takes over what holdall_session_commit() gave.
    explicit commit(holdall_commit *owned) noexcept : handle_(owned) {}

    /// Whether it is not empty.
    explicit operator bool() const noexcept { return handle_ != nullptr; }
    /// For C functions; stays owned.
    holdall_commit *raw() const noexcept { return handle_.get(); }
    /// Gives the handle away: free it with holdall_commit_free().
    holdall_commit *release() noexcept { return handle_.release(); }

    /// What the commit did.
    holdall::outcome outcome() const noexcept { return static_cast<holdall::outcome>(holdall_commit_outcome(raw())); }

    /// How many headers belong in the response.
    std::size_t header_count() const noexcept { return holdall_commit_header_count(raw()); }

    /// One header, or nothing past the end. Lives as long as the commit.
    std::optional<holdall::header> header(std::size_t index) const &noexcept {
        holdall_slice name, value;
        if (holdall_commit_header(raw(), index, &name, &value) != HOLDALL_OK) return std::nullopt;
        return holdall::header{detail::view(name), detail::view(value)};
    }
    std::optional<holdall::header> header(std::size_t index) const && = delete;

    /// All headers. They live as long as the commit, which is why it needs a name: not session.commit().headers().
    std::vector<holdall::header> headers() const & {
        std::vector<holdall::header> all;
        for (std::size_t i = 0; i < header_count(); i++) all.push_back(*header(i));
        return all;
    }
    std::vector<holdall::header> headers() const && = delete;

    /// How many operations met a change by another request.
    std::size_t conflict_count() const noexcept { return holdall_commit_conflict_count(raw()); }

    /// One conflict, or nothing past the end. Lives as long as the commit.
    std::optional<holdall::conflict> conflict(std::size_t index) const &noexcept {
        holdall_slice key;
        std::int32_t reason;
        if (holdall_commit_conflict(raw(), index, &key, &reason) != HOLDALL_OK) return std::nullopt;
        return holdall::conflict{detail::view(key), static_cast<conflict_reason>(reason)};
    }
    std::optional<holdall::conflict> conflict(std::size_t index) const && = delete;

    /// All conflicts. They live as long as the commit.
    std::vector<holdall::conflict> conflicts() const & {
        std::vector<holdall::conflict> all;
        for (std::size_t i = 0; i < conflict_count(); i++) all.push_back(*conflict(i));
        return all;
    }
    std::vector<holdall::conflict> conflicts() const && = delete;

  private:
    std::unique_ptr<holdall_commit, detail::freed_by<holdall_commit, holdall_commit_free>> handle_;
};

// ----------------------------------------------------------------------------------------- session

/// One request's view of a visitor's data. What was not committed when it ends is dropped, an exclusive lock given
/// back.
class session {
  public:
    /// Empty.
    session() noexcept = default;
    /// Takes over what holdall_manager_open() gave.
    explicit session(holdall_session *owned) noexcept : handle_(owned) {}

    /// Whether it is not empty.
    explicit operator bool() const noexcept { return handle_ != nullptr; }
    /// For C functions; stays owned.
    holdall_session *raw() const noexcept { return handle_.get(); }
    /// Gives the handle away: free it with holdall_session_free().
    holdall_session *release() noexcept { return handle_.release(); }

    // Reading.

    /// A value as JSON text. Sees data, then flash. Lives until the next call that is not const.
    std::optional<std::string_view> get_json(std::string_view key, on_error failed HOLDALL_OR_THROW) const & {
        holdall_slice value;
        if (failed(holdall_session_get_json(raw(), key.data(), key.size(), &value)) != HOLDALL_OK) return std::nullopt;
        return detail::view(value);
    }
#if HOLDALL_EXCEPTIONS
    std::optional<std::string_view> get_json(std::string_view key) const && = delete;
#endif
    std::optional<std::string_view> get_json(std::string_view key, on_error failed) const && = delete;

    /// get_json() of the data alone, flash left out; for bindings.
    std::optional<std::string_view> data_json(std::string_view key, on_error failed HOLDALL_OR_THROW) const & {
        holdall_slice value;
        if (failed(holdall_session_data_json(raw(), key.data(), key.size(), &value)) != HOLDALL_OK) return std::nullopt;
        return detail::view(value);
    }
#if HOLDALL_EXCEPTIONS
    std::optional<std::string_view> data_json(std::string_view key) const && = delete;
#endif
    std::optional<std::string_view> data_json(std::string_view key, on_error failed) const && = delete;

    /// A value that is a string, decoded. Another type is HOLDALL_E_INVALID_VALUE.
    std::optional<std::string> get_string(std::string_view key, on_error failed HOLDALL_OR_THROW) const {
        buffer value;
        if (failed(holdall_session_get_string(raw(), key.data(), key.size(), value.out())) != HOLDALL_OK)
            return std::nullopt;
        return value.str();
    }

    /// A value that is an integer of 64 bits. Another type is HOLDALL_E_INVALID_VALUE.
    std::optional<std::int64_t> get_int(std::string_view key, on_error failed HOLDALL_OR_THROW) const {
        std::int64_t value;
        if (failed(holdall_session_get_int(raw(), key.data(), key.size(), &value)) != HOLDALL_OK) return std::nullopt;
        return value;
    }

    /// A value that is `true` or `false`. Another type is HOLDALL_E_INVALID_VALUE.
    std::optional<bool> get_bool(std::string_view key, on_error failed HOLDALL_OR_THROW) const {
        bool value;
        if (failed(holdall_session_get_bool(raw(), key.data(), key.size(), &value)) != HOLDALL_OK) return std::nullopt;
        return value;
    }

    /// Whether a key is present and not `null`.
    bool has(std::string_view key, on_error failed HOLDALL_OR_THROW) const {
        bool answer = false;
        failed(holdall_session_has(raw(), key.data(), key.size(), &answer));
        return answer;
    }

    /// Whether a key is present, `null` or not.
    bool exists(std::string_view key, on_error failed HOLDALL_OR_THROW) const {
        bool answer = false;
        failed(holdall_session_exists(raw(), key.data(), key.size(), &answer));
        return answer;
    }

    /// Whether a key is not present.
    bool missing(std::string_view key, on_error failed HOLDALL_OR_THROW) const {
        bool answer = false;
        failed(holdall_session_missing(raw(), key.data(), key.size(), &answer));
        return answer;
    }

    /// Everything as one JSON object, data and flash.
    buffer all(on_error failed HOLDALL_OR_THROW) const {
        buffer object;
        failed(holdall_session_all(raw(), object.out()));
        return object;
    }

    /// all(), but only these keys.
    buffer only(const keys &names, on_error failed HOLDALL_OR_THROW) const {
        buffer object;
        failed(holdall_session_only(raw(), names.data(), names.size(), object.out()));
        return object;
    }

    /// all() without these keys.
    buffer except(const keys &names, on_error failed HOLDALL_OR_THROW) const {
        buffer object;
        failed(holdall_session_except(raw(), names.data(), names.size(), object.out()));
        return object;
    }

    // Writing.

    /// Sets a key to a JSON value.
    void set_json(std::string_view key, std::string_view value, on_error failed HOLDALL_OR_THROW) {
        failed(holdall_session_set_json(raw(), key.data(), key.size(), value.data(), value.size()));
    }

    /// Sets a key to a string, which must be UTF-8.
    void set_string(std::string_view key, std::string_view value, on_error failed HOLDALL_OR_THROW) {
        failed(holdall_session_set_string(raw(), key.data(), key.size(), value.data(), value.size()));
    }

    /// Sets a key to an integer.
    void set_int(std::string_view key, std::int64_t value, on_error failed HOLDALL_OR_THROW) {
        failed(holdall_session_set_int(raw(), key.data(), key.size(), value));
    }

    /// Sets a key to `true` or `false`.
    void set_bool(std::string_view key, bool value, on_error failed HOLDALL_OR_THROW) {
        failed(holdall_session_set_bool(raw(), key.data(), key.size(), value));
    }

    /// Deletes keys, data and flash of that name: holdall_session_delete().
    void forget(const keys &names, on_error failed HOLDALL_OR_THROW) {
        failed(holdall_session_delete(raw(), names.data(), names.size()));
    }

    /// A value as JSON text, which is then deleted. What must work once needs mode::exclusive.
    std::optional<buffer> pull_json(std::string_view key, on_error failed HOLDALL_OR_THROW) {
        buffer value;
        if (failed(holdall_session_pull_json(raw(), key.data(), key.size(), value.out())) != HOLDALL_OK)
            return std::nullopt;
        return value;
    }

    /// Adds to an integer, 0 where it is missing. Parallel increments all count; returned is what this request sees.
    std::int64_t increment(std::string_view key, std::int64_t n, on_error failed HOLDALL_OR_THROW) {
        std::int64_t sum = 0;
        failed(holdall_session_increment(raw(), key.data(), key.size(), n, &sum));
        return sum;
    }
    /// By one.
    std::int64_t increment(std::string_view key, on_error failed HOLDALL_OR_THROW) { return increment(key, 1, failed); }

    /// increment() by -n.
    std::int64_t decrement(std::string_view key, std::int64_t n, on_error failed HOLDALL_OR_THROW) {
        std::int64_t sum = 0;
        failed(holdall_session_decrement(raw(), key.data(), key.size(), n, &sum));
        return sum;
    }
    /// By one.
    std::int64_t decrement(std::string_view key, on_error failed HOLDALL_OR_THROW) { return decrement(key, 1, failed); }

    /// Appends a JSON value to an array, empty where it is missing. Parallel pushes all arrive.
    void push_json(std::string_view key, std::string_view element, on_error failed HOLDALL_OR_THROW) {
        failed(holdall_session_push_json(raw(), key.data(), key.size(), element.data(), element.size()));
    }

    /// Writes back a container that was read, changed by hand, and may have been changed by others.
    void replace_json(std::string_view key, std::string_view value, on_error failed HOLDALL_OR_THROW) {
        failed(holdall_session_replace_json(raw(), key.data(), key.size(), value.data(), value.size()));
    }

    /// Sets a key if it is absent, here and still at commit; returned is what this request sees.
    buffer remember_json(std::string_view key, std::string_view value, on_error failed HOLDALL_OR_THROW) {
        buffer seen;
        failed(holdall_session_remember_json(raw(), key.data(), key.size(), value.data(), value.size(), seen.out()));
        return seen;
    }

    /// Clears data and flash.
    void flush(on_error failed HOLDALL_OR_THROW) { failed(holdall_session_flush(raw())); }

    /// Clears the data and leaves flash, or with `flash_only` clears flash alone.
    void reset(bool flash_only, on_error failed HOLDALL_OR_THROW) { failed(holdall_session_reset(raw(), flash_only)); }
    /// The data.
    void reset(on_error failed HOLDALL_OR_THROW) { reset(false, failed); }

    // Flash.

    /// Keeps a JSON value for the next request.
    void flash_json(std::string_view key, std::string_view value, on_error failed HOLDALL_OR_THROW) {
        failed(holdall_session_flash_json(raw(), key.data(), key.size(), value.data(), value.size()));
    }

    /// Keeps a string for the next request. It must be UTF-8.
    void flash_string(std::string_view key, std::string_view value, on_error failed HOLDALL_OR_THROW) {
        failed(holdall_session_flash_string(raw(), key.data(), key.size(), value.data(), value.size()));
    }

    /// Shows a JSON value in this request only.
    void flash_now_json(std::string_view key, std::string_view value, on_error failed HOLDALL_OR_THROW) {
        failed(holdall_session_flash_now_json(raw(), key.data(), key.size(), value.data(), value.size()));
    }

    /// Keeps flash entries that this request found for one more.
    void keep(const keys &names, on_error failed HOLDALL_OR_THROW) {
        failed(holdall_session_keep(raw(), names.data(), names.size()));
    }

    /// keep() for all of them.
    void reflash(on_error failed HOLDALL_OR_THROW) { failed(holdall_session_reflash(raw())); }

    /// Keeps a form, a JSON object, for the next request. Leave passwords out of it.
    void flash_input(std::string_view form, on_error failed HOLDALL_OR_THROW) {
        failed(holdall_session_flash_input(raw(), form.data(), form.size()));
    }

    /// A field of the form that flash_input() kept, as JSON text. Lives until the next call that is not const.
    std::optional<std::string_view> old(std::string_view field, on_error failed HOLDALL_OR_THROW) const & {
        holdall_slice value;
        if (failed(holdall_session_old(raw(), field.data(), field.size(), &value)) != HOLDALL_OK) return std::nullopt;
        return detail::view(value);
    }
#if HOLDALL_EXCEPTIONS
    std::optional<std::string_view> old(std::string_view field) const && = delete;
#endif
    std::optional<std::string_view> old(std::string_view field, on_error failed) const && = delete;

    // Identity.

    /// The id, a secret; nothing for a keyed session. Lives until the next call that is not const.
    std::optional<std::string_view> id(on_error failed HOLDALL_OR_THROW) const & {
        holdall_slice id;
        if (failed(holdall_session_id(raw(), &id)) != HOLDALL_OK) return std::nullopt;
        return detail::view(id);
    }
#if HOLDALL_EXCEPTIONS
    std::optional<std::string_view> id() const && = delete;
#endif
    std::optional<std::string_view> id(on_error failed) const && = delete;

    /// Whether no stored record was found.
    bool is_new(on_error failed HOLDALL_OR_THROW) const {
        bool answer = false;
        failed(holdall_session_is_new(raw(), &answer));
        return answer;
    }

    /// A new id, the same data. Call it whenever rights are gained, at sign-in above all.
    void regenerate(on_error failed HOLDALL_OR_THROW) { failed(holdall_session_regenerate(raw())); }

    /// A new id, no data.
    void invalidate(on_error failed HOLDALL_OR_THROW) { failed(holdall_session_invalidate(raw())); }

    /// Deletes the record now, without a successor.
    void destroy(on_error failed HOLDALL_OR_THROW) { failed(holdall_session_destroy(raw())); }

    /// destroy() at a time of your own.
    void destroy_at(std::uint64_t now_ms, on_error failed HOLDALL_OR_THROW) {
        failed(holdall_session_destroy_at(raw(), now_ms));
    }

    // Time.

    /// Extends the idle timeout at commit.
    void touch(on_error failed HOLDALL_OR_THROW) { failed(holdall_session_touch(raw())); }

    /// An idle timeout of this session's own, never longer than the configured one; 0 is "as configured".
    void set_idle_timeout(std::uint64_t seconds, on_error failed HOLDALL_OR_THROW) {
        failed(holdall_session_set_idle_timeout(raw(), seconds));
    }

    /// An absolute timeout of this session's own, counted from when it was made.
    void set_absolute_timeout(std::uint64_t seconds, on_error failed HOLDALL_OR_THROW) {
        failed(holdall_session_set_absolute_timeout(raw(), seconds));
    }

    /// Whether the cookie outlives the browser.
    void set_persistent(bool persistent, on_error failed HOLDALL_OR_THROW) {
        failed(holdall_session_set_persistent(raw(), persistent));
    }

    // Forms.

    /// A CSRF token for a form or a header, masked anew at every call.
    std::string csrf_token(on_error failed HOLDALL_OR_THROW) {
        buffer token;
        failed(holdall_session_csrf_token(raw(), token.out()));
        return token.str();
    }

    /// Whether a token that came with a request is of this session.
    bool csrf_matches(std::string_view candidate, on_error failed HOLDALL_OR_THROW) const {
        bool answer = false;
        failed(holdall_session_csrf_matches(raw(), candidate.data(), candidate.size(), &answer));
        return answer;
    }

    /// Makes all CSRF tokens given so far invalid.
    void regenerate_csrf_token(on_error failed HOLDALL_OR_THROW) {
        failed(holdall_session_regenerate_csrf_token(raw()));
    }

    /// The URL that set_previous_url() kept.
    std::optional<std::string> previous_url(on_error failed HOLDALL_OR_THROW) const {
        buffer url;
        if (failed(holdall_session_previous_url(raw(), url.out())) != HOLDALL_OK) return std::nullopt;
        return url.str();
    }

    /// Keeps a URL to come back to.
    void set_previous_url(std::string_view url, on_error failed HOLDALL_OR_THROW) {
        failed(holdall_session_set_previous_url(raw(), url.data(), url.size()));
    }

    // The end.

    /// Ends the request: ages flash, writes what changed in one atomic step, and says what the response should carry. A
    /// commit that failed may be repeated.
    holdall::commit commit(const commit_options &options, on_error failed HOLDALL_OR_THROW) {
        holdall_commit *made = nullptr;
        failed(holdall_session_commit(raw(), options.raw(), &made));
        return holdall::commit(made);
    }
    /// As the policy says.
    holdall::commit commit(on_error failed HOLDALL_OR_THROW) { return commit(commit_options(), failed); }

  private:
    std::unique_ptr<holdall_session, detail::freed_by<holdall_session, holdall_session_free>> handle_;
};

// ----------------------------------------------------------------------------------------- manager

/// Makes a key for `keys` in the configuration. A secret: whoever has it can make himself any session.
inline buffer generate_key(on_error failed HOLDALL_OR_THROW) {
    buffer key;
    failed(holdall_generate_key(key.out()));
    return key;
}

/// A configuration and its drivers. Any thread may use it. May end before its sessions.
class manager {
  public:
    /// Empty.
    manager() noexcept = default;
    /// From a JSON document or a URL, such as "memory:". Empty where it failed.
    explicit manager(std::string_view config, on_error failed HOLDALL_OR_THROW) {
        holdall_manager *made = nullptr;
        failed(holdall_manager_new(config.data(), config.size(), &made));
        handle_.reset(made);
    }
    /// Takes over what holdall_manager_new() gave.
    explicit manager(holdall_manager *owned) noexcept : handle_(owned) {}

    /// Whether it is not empty.
    explicit operator bool() const noexcept { return handle_ != nullptr; }
    /// For C functions; stays owned.
    holdall_manager *raw() const noexcept { return handle_.get(); }
    /// Gives the handle away: free it with holdall_manager_free().
    holdall_manager *release() noexcept { return handle_.release(); }

    /// The same manager with another of its drivers opening sessions.
    manager driver(std::string_view name, on_error failed HOLDALL_OR_THROW) const {
        holdall_manager *made = nullptr;
        failed(holdall_manager_driver(raw(), name.data(), name.size(), &made));
        return manager(made);
    }

    /// The session that a request's Cookie header names; empty where there was none.
    session open(std::string_view cookie_header, const open_options &options, on_error failed HOLDALL_OR_THROW) const {
        return opened(holdall_manager_open, cookie_header, options, failed);
    }
    /// With the default options.
    session open(std::string_view cookie_header, on_error failed HOLDALL_OR_THROW) const {
        return open(cookie_header, open_options(), failed);
    }

    /// The session of a token: the cookie's value alone.
    session open_token(std::string_view token, const open_options &options, on_error failed HOLDALL_OR_THROW) const {
        return opened(holdall_manager_open_token, token, options, failed);
    }
    /// With the default options.
    session open_token(std::string_view token, on_error failed HOLDALL_OR_THROW) const {
        return open_token(token, open_options(), failed);
    }

    /// The session that belongs to an application key. Needs `keyed_secret`.
    session open_keyed(std::string_view key, const open_options &options, on_error failed HOLDALL_OR_THROW) const {
        return opened(holdall_manager_open_keyed, key, options, failed);
    }
    /// With the default options.
    session open_keyed(std::string_view key, on_error failed HOLDALL_OR_THROW) const {
        return open_keyed(key, open_options(), failed);
    }

    /// Has events told to `listener(const holdall::event &)`, from whichever thread caused them. Once a manager. It is
    /// not copied: it must outlive the manager and all its sessions. Throwing in it ends the program.
    template <class Listener>
    void on_event(Listener &listener, on_error failed HOLDALL_OR_THROW) const {
        static_assert(std::is_object_v<Listener>, "a listener is an object, such as a lambda with a name");
        const holdall_listener tell = [](const holdall_event *told, void *user) noexcept {
            (*static_cast<Listener *>(user))(event{static_cast<event_kind>(told->kind), detail::view(told->session)});
        };
        const void *user = std::addressof(listener);
        failed(holdall_manager_on_event(raw(), tell, const_cast<void *>(user)));
    }

    /// Counters and sizes, as a JSON document.
    buffer stats(on_error failed HOLDALL_OR_THROW) const {
        buffer document;
        failed(holdall_manager_stats(raw(), document.out()));
        return document;
    }

    /// The configuration in force, without its secrets, as a JSON document.
    buffer config(on_error failed HOLDALL_OR_THROW) const {
        buffer document;
        failed(holdall_manager_config(raw(), document.out()));
        return document;
    }

    /// Removes expired records, looking at no more than `limit` entries.
    holdall::swept sweep(std::size_t limit, on_error failed HOLDALL_OR_THROW) const {
        holdall::swept answer = {};
        failed(holdall_manager_sweep(raw(), limit, &answer));
        return answer;
    }

    /// sweep() at a time of your own.
    holdall::swept sweep_at(std::size_t limit, std::uint64_t now_ms, on_error failed HOLDALL_OR_THROW) const {
        holdall::swept answer = {};
        failed(holdall_manager_sweep_at(raw(), limit, now_ms, &answer));
        return answer;
    }

    /// Shows every record that lives to `visitor(const holdall::record &)`, until it answers false. What it throws
    /// comes out here.
    template <class Visitor>
    void iterate(Visitor &&visitor, on_error failed HOLDALL_OR_THROW) const {
        visited(visitor, [&](auto show, void *user) { failed(holdall_manager_iterate(raw(), show, user)); });
    }

    /// iterate() at a time of your own.
    template <class Visitor>
    void iterate_at(std::uint64_t now_ms, Visitor &&visitor, on_error failed HOLDALL_OR_THROW) const {
        visited(visitor, [&](auto show, void *user) { failed(holdall_manager_iterate_at(raw(), now_ms, show, user)); });
    }

    /// Destroys a record by its locator. False where there is none.
    bool destroy(std::string_view locator, on_error failed HOLDALL_OR_THROW) const {
        return failed(holdall_manager_destroy(raw(), locator.data(), locator.size())) == HOLDALL_OK;
    }

  private:
    template <class Visitor, class Iterate>
    static void visited(Visitor &visitor, Iterate iterate) {
#if HOLDALL_EXCEPTIONS
        // An exception must not pass through the library's frames: it waits here until they are gone.
        struct visit {
            Visitor &visitor;
            std::exception_ptr thrown;
        } visiting{visitor, nullptr};
        const holdall_visitor show = [](const holdall_record *shown, void *user) noexcept -> bool {
            visit &with = *static_cast<visit *>(user);
            try {
                return with.visitor(record{detail::view(shown->locator), shown->expiry_ms, shown->bytes});
            } catch (...) {
                with.thrown = std::current_exception();
                return false;
            }
        };
        iterate(show, &visiting);
        if (visiting.thrown) std::rethrow_exception(visiting.thrown);
#else
        const holdall_visitor show = [](const holdall_record *shown, void *user) noexcept -> bool {
            return (*static_cast<Visitor *>(user))(
                record{detail::view(shown->locator), shown->expiry_ms, shown->bytes});
        };
        iterate(show, const_cast<void *>(static_cast<const void *>(std::addressof(visitor))));
#endif
    }

    template <class Function>
    session opened(Function function, std::string_view text, const open_options &options, on_error failed) const {
        holdall_session *made = nullptr;
        failed(function(raw(), text.data(), text.size(), options.raw(), &made));
        return session(made);
    }

    std::unique_ptr<holdall_manager, detail::freed_by<holdall_manager, holdall_manager_free>> handle_;
};

}  // namespace holdall

#undef HOLDALL_OR_THROW

#endif  // HOLDALL_HPP
