/*
 * holdall.h - a session engine: the C interface and its manual.
 *
 *
 * WHAT IT IS
 *
 * Holdall keeps a visitor's data between HTTP requests. A session here is a record plus the operations of one request: nothing
 * is read until the first access, and the commit replays the operations on the record as it is stored then, in one atomic step.
 * So parallel requests do not overwrite each other, a slow request does not log a user in again, and a process killed at any
 * point leaves a session as some commit left it.
 *
 * It does no HTTP. You hand it the request's Cookie header and add the headers it answers to the response.
 *
 *
 * A COMPLETE PROGRAM
 *
 *     #include <holdall.h>
 *     #include <stdio.h>
 *     #include <string.h>
 *
 *     static int failed(const char *what) {
 *         holdall_slice message = holdall_last_error_message();
 *         fprintf(stderr, "%s: %.*s\n", what, (int)message.len, message.data);
 *         return 1;
 *     }
 *
 *     int main(void) {
 *         const char *config = "file:///tmp/holdall-example";
 *         holdall_manager *manager = NULL;
 *         holdall_session *session = NULL;
 *         holdall_commit *commit = NULL;
 *         int64_t visits;
 *
 *         if (holdall_manager_new(config, strlen(config), &manager) < 0) return failed("manager");
 *         if (holdall_manager_open(manager, NULL, 0, NULL, &session) < 0) return failed("open");
 *         if (holdall_session_increment(session, "visits", 6, 1, &visits) < 0) return failed("increment");
 *         if (holdall_session_commit(session, NULL, &commit) < 0) return failed("commit");
 *
 *         for (size_t i = 0; i < holdall_commit_header_count(commit); i++) {
 *             holdall_slice name, value;
 *             if (holdall_commit_header(commit, i, &name, &value) == HOLDALL_OK)
 *                 printf("%.*s: %.*s\n", (int)name.len, name.data, (int)value.len, value.data);
 *         }
 *         holdall_commit_free(commit);
 *         holdall_session_free(session);
 *         holdall_manager_free(manager);
 *         return 0;
 *     }
 *
 *     cc example.c $(pkg-config --cflags --libs holdall)
 *
 *
 * RULES
 *
 *  1 Names.    holdall_<type>_<verb>; the handle comes first, inputs next, outputs last.
 *  2 Status.   Every int32_t that a function returns is a status: 0 is done, a positive number an outcome (not found, gone,
 *              moved), a negative one an error. What went wrong is said by holdall_last_error_message(), per thread. No message
 *              carries an id, a value or a secret. Numbers are never given another meaning.
 *  3 Inputs.   Text is UTF-8, as a pointer and a length in bytes, without a terminating NUL. NULL with 0 is empty, NULL with
 *              more is an error. Inputs are copied; they may go when the call returns.
 *  4 Outputs.  Written only on success: 0 or a positive status whose description says so. They must not be NULL.
 *  5 Memory.   A holdall_slice is borrowed: never free it, and mind how long it lives. A holdall_buf is yours: free it with
 *              holdall_buf_free(). A handle is freed by its own *_free(), where NULL does nothing. Handles may be freed in any
 *              order. Using a handle after it was freed is undefined.
 *  6 Checks.   NULL handles and handles of another type are errors, not crashes. No call aborts the program; a bug in the
 *              library is HOLDALL_E_PANIC.
 *  7 Threads.  A manager is for all threads, a session for one at a time; each type below says so. The library starts no
 *              thread of its own.
 *  8 Fork.     A manager may be made before fork() and used in parent and children. Sessions may not: each is of the process
 *              that opened it. Memory sessions are per process.
 *  9 Values.   JSON, kept as the text you give: null, true, false, numbers, strings, arrays, objects, at most 128 deep, no
 *              duplicate names, no lone surrogates, no number beyond a double's range. Integers of more than 64 bits survive.
 * 10 Keys.     1 to max_key_bytes (255) bytes of UTF-8, literal: a dot is a dot.
 *
 *
 * A REQUEST, CALL BY CALL
 *
 *     open(cookie header) -> get, set, flash, increment ... -> commit -> add its headers -> free
 *
 *     at sign-in   set the user, then holdall_session_regenerate(): a new id, the same data
 *     at sign-out  holdall_session_invalidate() (new id, no data) or holdall_session_destroy() (no record, no cookie)
 *     at a form    print holdall_session_csrf_token(); at its POST ask holdall_session_csrf_matches()
 *     at commit    HOLDALL_OK and HOLDALL_UNCHANGED are the ordinary answers. HOLDALL_GONE: somebody destroyed the session
 *                  meanwhile; nothing was stored, and the headers have the browser drop its cookie. HOLDALL_MOVED: another request
 *                  changed the id; nothing was stored, and no cookie is sent, so that the browser keeps the new one.
 *
 * The semantics in full are in docs/architecture.md, the configuration in docs/config.md, errors in docs/errors.md.
 */


#ifndef HOLDALL_H
#define HOLDALL_H

/* Generated from src/ffi by `make header`. Do not edit. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Done.
 */
#define HOLDALL_OK 0

/**
 * Not there: a missing key, an index past the end, no such record. Not an error.
 */
#define HOLDALL_NOT_FOUND 1

/**
 * A commit had nothing to store.
 */
#define HOLDALL_UNCHANGED 2

/**
 * A commit found that the record was destroyed or has vanished. Nothing was stored.
 */
#define HOLDALL_GONE 3

/**
 * A commit found that another request has changed the id. Nothing was stored.
 */
#define HOLDALL_MOVED 4

/**
 * The call was given something it cannot take: NULL, a wrong length, text that is not UTF-8, a handle of another type.
 */
#define HOLDALL_E_INVALID_ARGUMENT -1

/**
 * The configuration is wrong. The message names the field.
 */
#define HOLDALL_E_INVALID_CONFIG -2

/**
 * A value is not JSON as the engine keeps it, or of another type than the call needs.
 */
#define HOLDALL_E_INVALID_VALUE -3

/**
 * Something is over its limit. The message gives limit and size.
 */
#define HOLDALL_E_TOO_LARGE -4

/**
 * The storage did not do it. holdall_last_error_flags() says whether to try again, and whether it may have happened.
 */
#define HOLDALL_E_UNAVAILABLE -5

/**
 * A stored record cannot be read.
 */
#define HOLDALL_E_CORRUPT -6

/**
 * This driver, platform or version of the format does not offer it.
 */
#define HOLDALL_E_UNSUPPORTED -7

/**
 * The call does not fit the state of the handle.
 */
#define HOLDALL_E_MISUSE -8

/**
 * A bug in Holdall, caught before it could harm the caller. The handle should only be freed.
 */
#define HOLDALL_E_PANIC -9

/**
 * The same call may succeed later without anything being changed.
 */
#define HOLDALL_RETRYABLE 1

/**
 * The write may have taken effect although the call failed. A commit that is repeated finds out by itself.
 */
#define HOLDALL_MAY_HAVE_WRITTEN 2

/**
 * Another request has the session locked, and nothing else is wrong. HOLDALL_RETRYABLE is set too: an event loop tries again after
 * a while.
 */
#define HOLDALL_LOCKED 4

/**
 * The version of this binary interface. A program built against version n runs with every library that answers n.
 */
#define HOLDALL_ABI_VERSION 1

/**
 * Why an operation is in a commit's list of conflicts: the number of holdall_commit_conflict().
 */
#define HOLDALL_CONFLICT_NOT_AN_INTEGER 1

/**
 * An increment would have gone beyond 64 bits. It was skipped.
 */
#define HOLDALL_CONFLICT_OUT_OF_RANGE 2

/**
 * A push met a value that is no longer an array. It was skipped.
 */
#define HOLDALL_CONFLICT_NOT_AN_ARRAY 3

/**
 * A container changed in place was changed by another request too. This request's value was stored.
 */
#define HOLDALL_CONFLICT_OVERWRITTEN 4

/**
 * A record was made.
 */
#define HOLDALL_EVENT_CREATED 0

/**
 * A record got a new id.
 */
#define HOLDALL_EVENT_REGENERATED 1

/**
 * A record was destroyed.
 */
#define HOLDALL_EVENT_DESTROYED 2

/**
 * A commit found its record vanished.
 */
#define HOLDALL_EVENT_GONE 3

/**
 * A commit found its id changed by another request.
 */
#define HOLDALL_EVENT_MOVED 4

/**
 * An expired record was removed.
 */
#define HOLDALL_EVENT_EXPIRED 5

/**
 * A record was removed to make room (memory).
 */
#define HOLDALL_EVENT_EVICTED 6

/**
 * A commit listed a conflict.
 */
#define HOLDALL_EVENT_CONFLICT 7

/**
 * A stored record could not be read and was set aside.
 */
#define HOLDALL_EVENT_QUARANTINED 8

/**
 * The newest state of a record was damaged, the one before it is used.
 */
#define HOLDALL_EVENT_ROLLED_BACK 9

/**
 * A well-formed token named no record.
 */
#define HOLDALL_EVENT_UNKNOWN_TOKEN 10

/**
 * A token had not the form of one.
 */
#define HOLDALL_EVENT_MALFORMED_TOKEN 11

/**
 * The storage did not do what it should.
 */
#define HOLDALL_EVENT_UNAVAILABLE 12

/**
 * `now_ms` counts: the time in milliseconds since the Unix epoch, instead of the system's clock.
 */
#define HOLDALL_AT 1

/**
 * `lock_timeout_ms` counts: how long an exclusive open, and the session's commit or destroy, waits for a lock of another, up to
 * an hour; 0 tries once. HOLDALL_LOCKED is among the flags of the error then.
 */
#define HOLDALL_LOCK_TIMEOUT 2

/**
 * The request came over https. Only matters where `cookie.secure` is "auto".
 */
#define HOLDALL_REQUEST_IS_SECURE 4

/**
 * This commit ages flash, whatever the policy says.
 */
#define HOLDALL_AGE_FLASH 8

/**
 * This commit does not age flash, whatever the policy says: a redirect, an asset, HEAD.
 */
#define HOLDALL_KEEP_FLASH 16

/**
 * Reads and writes; waits for nobody.
 */
#define HOLDALL_MODE_SHARED 0

/**
 * Others wait for this session's commit, or are told HOLDALL_E_UNAVAILABLE. The record is loaded at once.
 */
#define HOLDALL_MODE_EXCLUSIVE 1

/**
 * Never writes: every change is HOLDALL_E_MISUSE.
 */
#define HOLDALL_MODE_READ_ONLY 2

/**
 * As configured.
 */
#define HOLDALL_FLASH_CONFIGURED 0

/**
 * A flash entry ends with the next request that commits with aging.
 */
#define HOLDALL_FLASH_NEXT_REQUEST 1

/**
 * A flash entry ends when it is read.
 */
#define HOLDALL_FLASH_ON_READ 2

/**
 * A flash entry ends at a commit with HOLDALL_AGE_FLASH.
 */
#define HOLDALL_FLASH_EXPLICIT 3

/**
 * The answer of a commit: headers for the response, and conflicts. Any thread may read it. Lives until it is freed, whatever
 * becomes of session and manager.
 */
typedef struct holdall_commit holdall_commit;

/**
 * A configuration and its drivers. Any thread may use it at any time, and so may a process forked after it was made. Sessions
 * keep it alive: it may be freed before them.
 */
typedef struct holdall_manager holdall_manager;

/**
 * One request's view of a visitor's data. It belongs to one request, and may move from thread to thread with it; two calls at
 * once are noticed and the second is HOLDALL_E_MISUSE. After the commit it still reads and no longer writes. Made before a
 * fork, it is HOLDALL_E_MISUSE in the child wherever it would do I/O, and gives no cookie there.
 */
typedef struct holdall_session holdall_session;

/**
 * A borrowed view of bytes, mostly UTF-8 text, without a terminating NUL. Never free it. How long it lives is said where it
 * is given.
 */
typedef struct {
    /**
     * The first byte. Not NULL where a call gave it; may be NULL with `len` 0 where you give it.
     */
    const char *data;
    /**
     * How many bytes.
     */
    size_t len;
} holdall_slice;

/**
 * Bytes that are yours. Free them with holdall_buf_free(), and with nothing else. A NUL byte follows the last one, so that
 * text without NUL inside can be printed with `%s`.
 */
typedef struct {
    /**
     * The first byte.
     */
    char *data;
    /**
     * How many bytes, without the NUL.
     */
    size_t len;
    /**
     * How many bytes were allocated. Not yours to change.
     */
    size_t capacity;
} holdall_buf;

/**
 * How to open a session. All zeros but `size` is the default; NULL instead of a pointer to it too.
 */
typedef struct {
    /**
     * sizeof(holdall_open_options) as your program was compiled: later versions may add fields behind the last.
     */
    size_t size;
    /**
     * HOLDALL_AT, HOLDALL_LOCK_TIMEOUT, HOLDALL_REQUEST_IS_SECURE.
     */
    uint32_t flags;
    /**
     * HOLDALL_MODE_*.
     */
    uint32_t mode;
    /**
     * HOLDALL_FLASH_*.
     */
    uint32_t flash;
    /**
     * 0.
     */
    uint32_t reserved;
    /**
     * With HOLDALL_AT.
     */
    uint64_t now_ms;
    /**
     * With HOLDALL_LOCK_TIMEOUT.
     */
    uint64_t lock_timeout_ms;
} holdall_open_options;

/**
 * An event, as a listener is told it.
 */
typedef struct {
    /**
     * A number that holdall_event_name() names.
     */
    int32_t kind;
    /**
     * 12 characters that follow one session through a log and are useless as a cookie; empty for a malformed token. Lives as
     * long as the listener's call.
     */
    holdall_slice session;
} holdall_event;

/**
 * A listener for events. Called on the thread of whichever call caused the event, after all locks of the library are released;
 * so from several threads at once, if you use several. It must not throw, and not use the session the event comes from.
 */
typedef void (*holdall_listener)(const holdall_event *event, void *user);

/**
 * What a sweep did.
 */
typedef struct {
    /**
     * Entries looked at.
     */
    size_t looked_at;
    /**
     * Records removed.
     */
    size_t removed;
    /**
     * Whether it came to the end of what there is.
     */
    bool finished;
} holdall_swept;

/**
 * What holdall_manager_iterate() shows of a record.
 */
typedef struct {
    /**
     * The handle to destroy it by: 64 hexadecimal characters. Not a cookie. Lives as long as the visitor's call.
     */
    holdall_slice locator;
    /**
     * When it ends, in milliseconds since the Unix epoch.
     */
    uint64_t expiry_ms;
    /**
     * Its size in bytes.
     */
    size_t bytes;
} holdall_record;

/**
 * A visitor of records. It answers true to go on. It must not throw.
 */
typedef bool (*holdall_visitor)(const holdall_record *record, void *user);

/**
 * How to commit. All zeros but `size` is the default; NULL instead of a pointer to it too.
 */
typedef struct {
    /**
     * sizeof(holdall_commit_options) as your program was compiled.
     */
    size_t size;
    /**
     * HOLDALL_AT, and HOLDALL_AGE_FLASH or HOLDALL_KEEP_FLASH.
     */
    uint32_t flags;
    /**
     * 0.
     */
    uint32_t reserved;
    /**
     * With HOLDALL_AT.
     */
    uint64_t now_ms;
} holdall_commit_options;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of the binary interface this library has. Compare it with HOLDALL_ABI_VERSION where it is loaded at run time.
 */
uint32_t holdall_abi_version(void);

/**
 * The library's release, as "0.1.0". NUL-terminated, lives for ever.
 */
const char *holdall_version(void);

/**
 * The name of a status, as "ok", "gone" or "unavailable"; "unknown" for any other number. NUL-terminated, lives for ever.
 */
const char *holdall_status_name(int32_t status);

/**
 * The name of an event's kind, as "created" or "rolled_back"; "unknown" for any other number. NUL-terminated, lives for ever.
 */
const char *holdall_event_name(int32_t kind);

/**
 * What the last failed call of this thread has to say: a sentence that names the thing, the limit and the size, and never an
 * id or a value. Empty where none has failed yet. The view lives until this thread's next call that fails.
 */
holdall_slice holdall_last_error_message(void);

/**
 * HOLDALL_RETRYABLE, HOLDALL_MAY_HAVE_WRITTEN and HOLDALL_LOCKED of the last failed call of this thread.
 */
uint32_t holdall_last_error_flags(void);

/**
 * Frees a buffer and makes it empty; doing it again, or to one that is all zeros, or to NULL, does nothing. A copy of the
 * struct must not be freed too.
 */
void holdall_buf_free(holdall_buf *buf);

/**
 * Makes a manager from a configuration: a JSON document, or a URL such as "memory:" or "file:///var/lib/app/sessions". The
 * fields are in docs/config.md. HOLDALL_E_INVALID_CONFIG names the field, also where its directory cannot be used;
 * HOLDALL_E_UNAVAILABLE where the storage failed.
 */
int32_t holdall_manager_new(const char *config,
                            size_t config_len,
                            holdall_manager **out);

/**
 * Frees a manager. NULL does nothing. Sessions that it opened go on.
 */
void holdall_manager_free(holdall_manager *manager);

/**
 * The same manager with another of its drivers opening sessions, under a cookie of its own (the default's name, "-", the
 * driver's name). A handle to be freed like any other. HOLDALL_E_INVALID_ARGUMENT where the configuration has no such driver.
 */
int32_t holdall_manager_driver(const holdall_manager *manager,
                               const char *name,
                               size_t name_len,
                               holdall_manager **out);

/**
 * Opens the session that a request's Cookie header names: the whole header, NULL and 0 where there was none, several lines
 * joined with "; ". Reads nothing yet. A cookie that is unknown, malformed, expired or tampered with is absent, never an
 * error; the first write makes a fresh session with a new id.
 */
int32_t holdall_manager_open(const holdall_manager *manager,
                             const char *cookie_header,
                             size_t cookie_header_len,
                             const holdall_open_options *options,
                             holdall_session **out);

/**
 * Opens the session of a token: the cookie's value alone, or what an API client sends elsewhere. Else as
 * holdall_manager_open().
 */
int32_t holdall_manager_open_token(const holdall_manager *manager,
                                   const char *token,
                                   size_t token_len,
                                   const holdall_open_options *options,
                                   holdall_session **out);

/**
 * Opens the session that belongs to an application key: an API token, an IP address (think twice: many people share one, and
 * X-Forwarded-For is whatever the client wrote unless your own proxy set it). HOLDALL_E_UNSUPPORTED unless `keyed_secret` is
 * configured.
 */
int32_t holdall_manager_open_keyed(const holdall_manager *manager,
                                   const char *key,
                                   size_t key_len,
                                   const holdall_open_options *options,
                                   holdall_session **out);

/**
 * Has events told to `listener`, with `user` handed on untouched. Once a manager: HOLDALL_E_MISUSE the second time. Both must
 * stay good until the manager and all its sessions are freed.
 */
int32_t holdall_manager_on_event(const holdall_manager *manager,
                                 holdall_listener listener,
                                 void *user);

/**
 * Counters since the manager was made and sizes of its drivers, as a JSON document.
 */
int32_t holdall_manager_stats(const holdall_manager *manager, holdall_buf *out);

/**
 * Makes a key for `keys` in the configuration: 32 random bytes as 43 characters of base64url. A secret: whoever has it can make
 * himself any session. Needs no manager.
 */
int32_t holdall_generate_key(holdall_buf *out);

/**
 * The configuration in force, every default filled in, secrets left out, as a JSON document.
 */
int32_t holdall_manager_config(const holdall_manager *manager, holdall_buf *out);

/**
 * Removes expired records, looking at no more than `limit` entries. Ordinary traffic does this too, 64 entries at a time; a
 * timer or a cron job makes expired data go sooner. In memory a record may outlast its end by a 512th of the idle timeout, and
 * at least a second, before a sweep sees it; it is never read then.
 */
int32_t holdall_manager_sweep(const holdall_manager *manager,
                              size_t limit,
                              holdall_swept *out);

/**
 * holdall_manager_sweep() at a time of your own, in milliseconds since the Unix epoch.
 */
int32_t holdall_manager_sweep_at(const holdall_manager *manager,
                                 size_t limit,
                                 uint64_t now_ms,
                                 holdall_swept *out);

/**
 * Shows every record that lives, in no order, until the visitor answers false. It looks at all there is: for tools, not for
 * requests.
 */
int32_t holdall_manager_iterate(const holdall_manager *manager,
                                holdall_visitor visitor,
                                void *user);

/**
 * holdall_manager_iterate() at a time of your own, in milliseconds since the Unix epoch.
 */
int32_t holdall_manager_iterate_at(const holdall_manager *manager,
                                   uint64_t now_ms,
                                   holdall_visitor visitor,
                                   void *user);

/**
 * Destroys a record by its locator, as holdall_manager_iterate() shows it. HOLDALL_NOT_FOUND where there is none.
 */
int32_t holdall_manager_destroy(const holdall_manager *manager,
                                const char *locator,
                                size_t locator_len);

/**
 * The value of a key as JSON text. HOLDALL_NOT_FOUND where it is missing; a stored `null` is the text "null". Sees data, then
 * flash: on an equal key data wins. Under the flash policy "on_read" a flash value is given once. The view lives until the next
 * call on this session that takes it without const.
 */
int32_t holdall_session_get_json(const holdall_session *session,
                                 const char *key,
                                 size_t key_len,
                                 holdall_slice *out);

/**
 * holdall_session_get_json() of the data alone; a flash message is HOLDALL_NOT_FOUND and is not ended. For bindings: what their
 * language let its user change in place is written back by holdall_session_replace_json() only if it is data.
 */
int32_t holdall_session_data_json(const holdall_session *session,
                                  const char *key,
                                  size_t key_len,
                                  holdall_slice *out);

/**
 * The value of a key that is a JSON string, decoded. HOLDALL_E_INVALID_VALUE where it is another type. Else as
 * holdall_session_get_json(); the buffer is yours.
 */
int32_t holdall_session_get_string(const holdall_session *session,
                                   const char *key,
                                   size_t key_len,
                                   holdall_buf *out);

/**
 * The value of a key that is an integer of 64 bits. Else as holdall_session_get_string().
 */
int32_t holdall_session_get_int(const holdall_session *session,
                                const char *key,
                                size_t key_len,
                                int64_t *out);

/**
 * The value of a key that is `true` or `false`. Else as holdall_session_get_string().
 */
int32_t holdall_session_get_bool(const holdall_session *session, const char *key, size_t key_len, bool *out);

/**
 * Whether a key is present and not `null`. Ends no flash.
 */
int32_t holdall_session_has(const holdall_session *session, const char *key, size_t key_len, bool *out);

/**
 * Whether a key is present, `null` or not. Ends no flash.
 */
int32_t holdall_session_exists(const holdall_session *session, const char *key, size_t key_len, bool *out);

/**
 * Whether a key is not present.
 */
int32_t holdall_session_missing(const holdall_session *session, const char *key, size_t key_len, bool *out);

/**
 * Everything as one JSON object, in the order of the keys: data and flash, never the engine's own fields. Ends no flash.
 */
int32_t holdall_session_all(const holdall_session *session,
                            holdall_buf *out);

/**
 * holdall_session_all(), but only these keys; those that are missing are left out.
 */
int32_t holdall_session_only(const holdall_session *session,
                             const holdall_slice *keys,
                             size_t keys_count,
                             holdall_buf *out);

/**
 * holdall_session_all() without these keys.
 */
int32_t holdall_session_except(const holdall_session *session,
                               const holdall_slice *keys,
                               size_t keys_count,
                               holdall_buf *out);

/**
 * Sets a key to a JSON value. HOLDALL_E_INVALID_VALUE names the key and the reason, HOLDALL_E_TOO_LARGE limit and size; nothing
 * has changed then.
 */
int32_t holdall_session_set_json(holdall_session *session,
                                 const char *key,
                                 size_t key_len,
                                 const char *value,
                                 size_t value_len);

/**
 * Sets a key to a string, which is written as JSON for you. It must be UTF-8.
 */
int32_t holdall_session_set_string(holdall_session *session,
                                   const char *key,
                                   size_t key_len,
                                   const char *value,
                                   size_t value_len);

/**
 * Sets a key to an integer.
 */
int32_t holdall_session_set_int(holdall_session *session, const char *key, size_t key_len, int64_t value);

/**
 * Sets a key to `true` or `false`.
 */
int32_t holdall_session_set_bool(holdall_session *session, const char *key, size_t key_len, bool value);

/**
 * Deletes keys, data and flash of that name. Those that are missing are no error.
 */
int32_t holdall_session_delete(holdall_session *session, const holdall_slice *keys, size_t keys_count);

/**
 * Gives what holdall_session_get_json() would and deletes it, if nobody changed it meanwhile. Two parallel requests may both get
 * the value: a token that must work once needs HOLDALL_MODE_EXCLUSIVE. HOLDALL_NOT_FOUND where it is missing.
 */
int32_t holdall_session_pull_json(holdall_session *session,
                                  const char *key,
                                  size_t key_len,
                                  holdall_buf *out);

/**
 * Adds to an integer, which is 0 where the key is missing; `sum` is what this request sees. Parallel increments all count.
 * HOLDALL_E_INVALID_VALUE where the value is no integer of 64 bits, or the sum would not be.
 */
int32_t holdall_session_increment(holdall_session *session,
                                  const char *key,
                                  size_t key_len,
                                  int64_t n,
                                  int64_t *sum);

/**
 * holdall_session_increment() by -n.
 */
int32_t holdall_session_decrement(holdall_session *session,
                                  const char *key,
                                  size_t key_len,
                                  int64_t n,
                                  int64_t *sum);

/**
 * Appends a JSON value to an array, which is empty where the key is missing. Parallel pushes all arrive.
 * HOLDALL_E_INVALID_VALUE where the value is no array.
 */
int32_t holdall_session_push_json(holdall_session *session,
                                  const char *key,
                                  size_t key_len,
                                  const char *element,
                                  size_t element_len);

/**
 * For bindings: writes back a container that the language let its user change in place. Elements that were appended to an array
 * become a push, no change becomes nothing; else the value is set if the key is still there, and listed in the conflicts if
 * another request changed it too.
 */
int32_t holdall_session_replace_json(holdall_session *session,
                                     const char *key,
                                     size_t key_len,
                                     const char *value,
                                     size_t value_len);

/**
 * Sets a key if it is absent, here and still at commit; `out` gets what this request sees. Ask holdall_session_get_json() first,
 * and make the value only where that answers HOLDALL_NOT_FOUND.
 */
int32_t holdall_session_remember_json(holdall_session *session,
                                      const char *key,
                                      size_t key_len,
                                      const char *value,
                                      size_t value_len,
                                      holdall_buf *out);

/**
 * Clears data and flash: what is stored at commit, whoever stored it. The id, the CSRF secret, the previous URL and the timeouts
 * stay.
 */
int32_t holdall_session_flush(holdall_session *session);

/**
 * Clears the data and leaves flash, or with `flash_only` clears flash alone. Else as holdall_session_flush().
 */
int32_t holdall_session_reset(holdall_session *session, bool flash_only);

/**
 * Keeps a JSON value for the next request.
 */
int32_t holdall_session_flash_json(holdall_session *session,
                                   const char *key,
                                   size_t key_len,
                                   const char *value,
                                   size_t value_len);

/**
 * Keeps a string for the next request. It must be UTF-8.
 */
int32_t holdall_session_flash_string(holdall_session *session,
                                     const char *key,
                                     size_t key_len,
                                     const char *value,
                                     size_t value_len);

/**
 * Shows a JSON value in this request only. It is never stored.
 */
int32_t holdall_session_flash_now_json(holdall_session *session,
                                       const char *key,
                                       size_t key_len,
                                       const char *value,
                                       size_t value_len);

/**
 * Keeps flash entries that this request found for one more. Does nothing for keys that are not there, are new anyway, or that
 * another request has ended meanwhile.
 */
int32_t holdall_session_keep(holdall_session *session,
                             const holdall_slice *keys,
                             size_t keys_count);

/**
 * holdall_session_keep() for all of them.
 */
int32_t holdall_session_reflash(holdall_session *session);

/**
 * Keeps a form, a JSON object, for the next request: what the user typed, to show it again beside the errors. Leave passwords out
 * of it. It is the flash entry "_old_input".
 */
int32_t holdall_session_flash_input(holdall_session *session,
                                    const char *form,
                                    size_t form_len);

/**
 * A field of the form that holdall_session_flash_input() kept, as JSON text. HOLDALL_NOT_FOUND where it is missing. The view
 * lives as that of holdall_session_get_json().
 */
int32_t holdall_session_old(const holdall_session *session,
                            const char *field,
                            size_t field_len,
                            holdall_slice *out);

/**
 * The session's id, 43 characters. For a session that has no record yet it is chosen here and stored with the first write.
 * HOLDALL_NOT_FOUND for a keyed session. A secret: keep it out of logs and pages. The view lives as that of
 * holdall_session_get_json().
 */
int32_t holdall_session_id(const holdall_session *session,
                           holdall_slice *out);

/**
 * Whether no stored record was found: a first visit, or a token that was absent, unknown or expired.
 */
int32_t holdall_session_is_new(const holdall_session *session, bool *out);

/**
 * Gives the session a new id and a new CSRF secret, and keeps its data and its age. Call it whenever rights are gained, at sign-in
 * above all (OWASP: session fixation). Acts in the commit: a request that fails before leaves the old id alive; afterwards the
 * old id is absent at once. HOLDALL_E_MISUSE for a keyed session.
 */
int32_t holdall_session_regenerate(holdall_session *session);

/**
 * Gives the session a new id and nothing of the old one: no data, no flash, a new CSRF secret, a new age. What this request sets
 * afterwards is kept. Acts in the commit. HOLDALL_E_MISUSE for a keyed session.
 */
int32_t holdall_session_invalidate(holdall_session *session);

/**
 * Deletes the record now, without a successor, and ends this handle: later writes are HOLDALL_E_MISUSE, and its commit only has
 * the browser drop the cookie. A slower request under the same id cannot bring it back. Twice is as good as once.
 */
int32_t holdall_session_destroy(holdall_session *session);

/**
 * holdall_session_destroy() at a time of your own, in milliseconds since the Unix epoch.
 */
int32_t holdall_session_destroy_at(holdall_session *session, uint64_t now_ms);

/**
 * Extends the idle timeout at commit, even where throttling would not.
 */
int32_t holdall_session_touch(holdall_session *session);

/**
 * Gives this session an idle timeout of its own, in seconds; 0 is "as configured". It can only be shorter: the earlier of the two
 * counts, always. HOLDALL_E_INVALID_ARGUMENT for more than 31 years.
 */
int32_t holdall_session_set_idle_timeout(holdall_session *session,
                                         uint64_t seconds);

/**
 * Gives this session an absolute timeout of its own, counted from when it was made. Else as holdall_session_set_idle_timeout().
 */
int32_t holdall_session_set_absolute_timeout(holdall_session *session,
                                             uint64_t seconds);

/**
 * Whether this session's cookie outlives the browser ("remember me") or not, whatever is configured. The server's timeouts hold
 * either way.
 */
int32_t holdall_session_set_persistent(holdall_session *session,
                                       bool persistent);

/**
 * A CSRF token for a form or a header, 86 characters, masked anew at every call. For a session that has no record yet this makes
 * one, or the token could never be checked. Renewed by holdall_session_regenerate() and holdall_session_invalidate().
 */
int32_t holdall_session_csrf_token(holdall_session *session,
                                   holdall_buf *out);

/**
 * Whether a token that came with a request is of this session, compared in constant time. False for any bytes that are none, and
 * for a session that has given none.
 */
int32_t holdall_session_csrf_matches(const holdall_session *session,
                                     const char *candidate,
                                     size_t candidate_len,
                                     bool *out);

/**
 * Makes all CSRF tokens given so far invalid.
 */
int32_t holdall_session_regenerate_csrf_token(holdall_session *session);

/**
 * The URL that holdall_session_set_previous_url() kept. HOLDALL_NOT_FOUND where there is none. The buffer is yours.
 */
int32_t holdall_session_previous_url(const holdall_session *session,
                                     holdall_buf *out);

/**
 * Keeps a URL to come back to. Not in holdall_session_all(), not cleared by holdall_session_flush(); makes no record by itself.
 */
int32_t holdall_session_set_previous_url(holdall_session *session,
                                         const char *url,
                                         size_t url_len);

/**
 * Ends the request: ages flash, writes what changed in one atomic step, and says what the response should carry. Answers
 * HOLDALL_OK (saved), HOLDALL_UNCHANGED, HOLDALL_GONE or HOLDALL_MOVED. On an error the stored state is as it was, unless
 * holdall_last_error_flags() has HOLDALL_MAY_HAVE_WRITTEN; the session keeps its operations, so the commit may be repeated, and
 * one that had taken effect is not applied twice. After a success it answers HOLDALL_UNCHANGED without headers.
 */
int32_t holdall_session_commit(holdall_session *session,
                               const holdall_commit_options *options,
                               holdall_commit **out);

/**
 * Frees a session. What was not committed is dropped, an exclusive lock given back. NULL does nothing.
 */
void holdall_session_free(holdall_session *session);

/**
 * What the commit did: HOLDALL_OK (saved), HOLDALL_UNCHANGED, HOLDALL_GONE or HOLDALL_MOVED.
 */
int32_t holdall_commit_outcome(const holdall_commit *commit);

/**
 * How many headers belong in the response. 0 for NULL.
 */
size_t holdall_commit_header_count(const holdall_commit *commit);

/**
 * One header: add it to the response, do not replace others of its name. HOLDALL_NOT_FOUND past the end. The views live as
 * long as the commit.
 */
int32_t holdall_commit_header(const holdall_commit *commit,
                              size_t index,
                              holdall_slice *name,
                              holdall_slice *value);

/**
 * How many operations met a change by another request. 0 for NULL.
 */
size_t holdall_commit_conflict_count(const holdall_commit *commit);

/**
 * One conflict: the key, and HOLDALL_CONFLICT_* in `reason`. HOLDALL_NOT_FOUND past the end. The view lives as long as the
 * commit.
 */
int32_t holdall_commit_conflict(const holdall_commit *commit,
                                size_t index,
                                holdall_slice *key,
                                int32_t *reason);

/**
 * Frees a commit. NULL does nothing.
 */
void holdall_commit_free(holdall_commit *commit);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* HOLDALL_H */
