/*
 * calls.h - every function of the header that takes a pointer, as one row: how it is called, what it takes and gives,
 * and arguments that are good. Programs that call all of them wrongly take their calls from here.
 */
#ifndef CALLS_H
#define CALLS_H

#include "check.h"

#define SECRET "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

/* Everything that any function takes. */
typedef struct {
    holdall_manager *manager;
    holdall_session *session;
    holdall_commit *commit;
    holdall_slice text;
    holdall_slice value;
    const holdall_slice *keys;
    size_t keys_count;
    const holdall_open_options *opening;
    const holdall_commit_options *committing;
    holdall_listener listener;
    holdall_visitor visitor;
    int64_t number;
    void *out;
    void *out2;
} arguments;

enum {
    MANAGER = 1,
    SESSION = 2,
    COMMIT_ = 4,
    TEXT = 8,   /* a key, name or the like: UTF-8 */
    BYTES = 16, /* text in the same place that may be any bytes */
    VALUE = 32,
    KEYS = 64,
    OPENING = 128,
    COMMITTING = 256,
    LISTENER = 512,
    VISITOR = 1024,
    COUNTS = 2048, /* answers a number, not a status */
    HANDLE_OUT = 4096,
    BUF_OUT = 8192, /* the output is to be freed */
    READS = 16384   /* needs a key that is there, of the right type */
};

typedef struct {
    const char *name;
    int32_t (*run)(const arguments *);
    int takes;
    size_t out, out2;
    const char *text, *value;
} call;

#define T(a) (a)->text.data, (a)->text.len
#define V(a) (a)->value.data, (a)->value.len
#define CALL(function, ...) \
    static int32_t c_##function(const arguments *a) { return (int32_t)holdall_##function(__VA_ARGS__); }

CALL(generate_key, a->out)
CALL(manager_new, T(a), a->out)
CALL(manager_driver, a->manager, T(a), a->out)
CALL(manager_open, a->manager, T(a), a->opening, a->out)
CALL(manager_open_token, a->manager, T(a), a->opening, a->out)
CALL(manager_open_keyed, a->manager, T(a), a->opening, a->out)
CALL(manager_on_event, a->manager, a->listener, NULL)
CALL(manager_stats, a->manager, a->out)
CALL(manager_config, a->manager, a->out)
CALL(manager_sweep, a->manager, (size_t)a->number, a->out)
CALL(manager_sweep_at, a->manager, (size_t)a->number, 1, a->out)
CALL(manager_iterate, a->manager, a->visitor, NULL)
CALL(manager_iterate_at, a->manager, 1, a->visitor, NULL)
CALL(manager_destroy, a->manager, T(a))
CALL(session_get_json, a->session, T(a), a->out)
CALL(session_data_json, a->session, T(a), a->out)
CALL(session_get_string, a->session, T(a), a->out)
CALL(session_get_int, a->session, T(a), a->out)
CALL(session_get_bool, a->session, T(a), a->out)
CALL(session_has, a->session, T(a), a->out)
CALL(session_exists, a->session, T(a), a->out)
CALL(session_missing, a->session, T(a), a->out)
CALL(session_all, a->session, a->out)
CALL(session_only, a->session, a->keys, a->keys_count, a->out)
CALL(session_except, a->session, a->keys, a->keys_count, a->out)
CALL(session_set_json, a->session, T(a), V(a))
CALL(session_set_string, a->session, T(a), V(a))
CALL(session_set_int, a->session, T(a), a->number)
CALL(session_set_bool, a->session, T(a), true)
CALL(session_delete, a->session, a->keys, a->keys_count)
CALL(session_pull_json, a->session, T(a), a->out)
CALL(session_increment, a->session, T(a), a->number, a->out)
CALL(session_decrement, a->session, T(a), a->number, a->out)
CALL(session_push_json, a->session, T(a), V(a))
CALL(session_replace_json, a->session, T(a), V(a))
CALL(session_remember_json, a->session, T(a), V(a), a->out)
CALL(session_flush, a->session)
CALL(session_reset, a->session, a->number & 1)
CALL(session_flash_json, a->session, T(a), V(a))
CALL(session_flash_string, a->session, T(a), V(a))
CALL(session_flash_now_json, a->session, T(a), V(a))
CALL(session_keep, a->session, a->keys, a->keys_count)
CALL(session_reflash, a->session)
CALL(session_flash_input, a->session, T(a))
CALL(session_old, a->session, T(a), a->out)
CALL(session_id, a->session, a->out)
CALL(session_is_new, a->session, a->out)
CALL(session_regenerate, a->session)
CALL(session_invalidate, a->session)
CALL(session_destroy, a->session)
CALL(session_destroy_at, a->session, (uint64_t)a->number)
CALL(session_touch, a->session)
CALL(session_set_idle_timeout, a->session, (uint64_t)a->number)
CALL(session_set_absolute_timeout, a->session, (uint64_t)a->number)
CALL(session_set_persistent, a->session, true)
CALL(session_csrf_token, a->session, a->out)
CALL(session_csrf_matches, a->session, T(a), a->out)
CALL(session_regenerate_csrf_token, a->session)
CALL(session_previous_url, a->session, a->out)
CALL(session_set_previous_url, a->session, T(a))
CALL(session_commit, a->session, a->committing, a->out)
CALL(commit_outcome, a->commit)
CALL(commit_header_count, a->commit)
CALL(commit_header, a->commit, (size_t)a->number, a->out, a->out2)
CALL(commit_conflict_count, a->commit)
CALL(commit_conflict, a->commit, (size_t)a->number, a->out, a->out2)

#define HANDLE HANDLE_OUT, sizeof(void *), 0
#define BUF BUF_OUT, sizeof(holdall_buf), 0
#define OUT(type) 0, sizeof(type), 0
#define NO_OUT 0, 0, 0
#define ROW(function, takes, ...) \
    { "holdall_" #function, c_##function, (takes) | __VA_ARGS__ }

static const call calls[] = {
    ROW(generate_key, 0, BUF, 0, 0),
    ROW(manager_new, TEXT, HANDLE, "memory:", 0),
    ROW(manager_driver, MANAGER | TEXT, HANDLE, "other", 0),
    ROW(manager_open, MANAGER | BYTES | OPENING, HANDLE, "a=b", 0),
    ROW(manager_open_token, MANAGER | BYTES | OPENING, HANDLE, "x", 0),
    ROW(manager_open_keyed, MANAGER | BYTES | OPENING, HANDLE, "x", 0),
    ROW(manager_on_event, MANAGER | LISTENER, NO_OUT, 0, 0),
    ROW(manager_stats, MANAGER, BUF, 0, 0),
    ROW(manager_config, MANAGER, BUF, 0, 0),
    ROW(manager_sweep, MANAGER, OUT(holdall_swept), 0, 0),
    ROW(manager_sweep_at, MANAGER, OUT(holdall_swept), 0, 0),
    ROW(manager_iterate, MANAGER | VISITOR, NO_OUT, 0, 0),
    ROW(manager_iterate_at, MANAGER | VISITOR, NO_OUT, 0, 0),
    ROW(manager_destroy, MANAGER | TEXT, NO_OUT, "0000000000000000000000000000000000000000000000000000000000000000", 0),
    ROW(session_get_json, SESSION | TEXT, OUT(holdall_slice), "n", 0),
    ROW(session_data_json, SESSION | TEXT, OUT(holdall_slice), "n", 0),
    ROW(session_get_string, SESSION | TEXT, BUF, "s", 0),
    ROW(session_get_int, SESSION | TEXT, OUT(int64_t), "n", 0),
    ROW(session_get_bool, SESSION | TEXT, OUT(bool), "b", 0),
    ROW(session_has, SESSION | TEXT, OUT(bool), "n", 0),
    ROW(session_exists, SESSION | TEXT, OUT(bool), "n", 0),
    ROW(session_missing, SESSION | TEXT, OUT(bool), "n", 0),
    ROW(session_all, SESSION, BUF, 0, 0),
    ROW(session_only, SESSION | KEYS, BUF, 0, 0),
    ROW(session_except, SESSION | KEYS, BUF, 0, 0),
    ROW(session_set_json, SESSION | TEXT | VALUE, NO_OUT, "k", "[1]"),
    ROW(session_set_string, SESSION | TEXT | VALUE, NO_OUT, "k", "v"),
    ROW(session_set_int, SESSION | TEXT, NO_OUT, "k", 0),
    ROW(session_set_bool, SESSION | TEXT, NO_OUT, "k", 0),
    ROW(session_delete, SESSION | KEYS, NO_OUT, 0, 0),
    ROW(session_pull_json, SESSION | TEXT, BUF, "n", 0),
    ROW(session_increment, SESSION | TEXT, OUT(int64_t), "n", 0),
    ROW(session_decrement, SESSION | TEXT, OUT(int64_t), "n", 0),
    ROW(session_push_json, SESSION | TEXT | VALUE, NO_OUT, "l", "1"),
    ROW(session_replace_json, SESSION | TEXT | VALUE, NO_OUT, "l", "[1]"),
    ROW(session_remember_json, SESSION | TEXT | VALUE, BUF, "k", "1"),
    ROW(session_flush, SESSION, NO_OUT, 0, 0),
    ROW(session_reset, SESSION, NO_OUT, 0, 0),
    ROW(session_flash_json, SESSION | TEXT | VALUE, NO_OUT, "k", "1"),
    ROW(session_flash_string, SESSION | TEXT | VALUE, NO_OUT, "k", "v"),
    ROW(session_flash_now_json, SESSION | TEXT | VALUE, NO_OUT, "k", "1"),
    ROW(session_keep, SESSION | KEYS, NO_OUT, 0, 0),
    ROW(session_reflash, SESSION, NO_OUT, 0, 0),
    ROW(session_flash_input, SESSION | TEXT, NO_OUT, "{}", 0),
    ROW(session_old, SESSION | TEXT, OUT(holdall_slice), "field", 0),
    ROW(session_id, SESSION, OUT(holdall_slice), 0, 0),
    ROW(session_is_new, SESSION, OUT(bool), 0, 0),
    ROW(session_regenerate, SESSION, NO_OUT, 0, 0),
    ROW(session_invalidate, SESSION, NO_OUT, 0, 0),
    ROW(session_destroy, SESSION, NO_OUT, 0, 0),
    ROW(session_destroy_at, SESSION, NO_OUT, 0, 0),
    ROW(session_touch, SESSION, NO_OUT, 0, 0),
    ROW(session_set_idle_timeout, SESSION, NO_OUT, 0, 0),
    ROW(session_set_absolute_timeout, SESSION, NO_OUT, 0, 0),
    ROW(session_set_persistent, SESSION, NO_OUT, 0, 0),
    ROW(session_csrf_token, SESSION, BUF, 0, 0),
    ROW(session_csrf_matches, SESSION | BYTES, OUT(bool), "x", 0),
    ROW(session_regenerate_csrf_token, SESSION, NO_OUT, 0, 0),
    ROW(session_previous_url, SESSION, BUF, 0, 0),
    ROW(session_set_previous_url, SESSION | TEXT, NO_OUT, "/", 0),
    ROW(session_commit, SESSION | COMMITTING, HANDLE, 0, 0),
    ROW(commit_outcome, COMMIT_, NO_OUT, 0, 0),
    ROW(commit_header_count, COMMIT_ | COUNTS, NO_OUT, 0, 0),
    {"holdall_commit_header", c_commit_header, COMMIT_, sizeof(holdall_slice), sizeof(holdall_slice), 0, 0},
    ROW(commit_conflict_count, COMMIT_ | COUNTS, NO_OUT, 0, 0),
    {"holdall_commit_conflict", c_commit_conflict, COMMIT_, sizeof(holdall_slice), sizeof(int32_t), 0, 0},
};

/* Arguments for a row, and room for its outputs. */
typedef struct {
    arguments with;
    holdall_slice keys[2];
    holdall_open_options opening;
    holdall_commit_options committing;
    union {
        unsigned char bytes[64];
        void *pointer;
        holdall_buf buf;
        uint64_t aligned;
    } out, out2;
    /* What `with` began with: calls may be given others, but these are freed. */
    holdall_manager *manager;
    holdall_session *session;
    holdall_commit *commit;
} setting;

static void poison(setting *its) {
    memset(&its->out, POISON, sizeof its->out);
    memset(&its->out2, POISON, sizeof its->out2);
}

static void fail(const call *row, const char *why, int32_t got) {
    holdall_slice message = holdall_last_error_message();
    fprintf(stderr, "%s\n    %s: %s\n    got:  %s (%d), %.*s\n", check_name, row->name, why, holdall_status_name(got),
            (int)got, (int)message.len, message.data);
    exit(1);
}

#endif
