/*
 * abuse.c - what no caller should do: NULL in every place, lengths no object has, text that is not UTF-8, handles of
 * another type, options from the future, calls out of order, and two threads on one session.
 *
 * What it guards: each is an error with a message, outputs are as they were, and the program goes on. The calls are
 * those of calls.h; tests/test_c.py holds its rows to the header. Undefined by the header, and so not here: use after
 * free, and a pointer with a length that is merely too large for what it points to.
 */
#define _POSIX_C_SOURCE 200809L
#include "calls.h"
#include <pthread.h>

static holdall_manager *manager;

static void ignore_event(const holdall_event *event, void *user) { (void)event, (void)user; }
static bool ignore_record(const holdall_record *record, void *user) { return (void)record, (void)user, true; }

static holdall_session *new_session(void) {
    holdall_session *session = open_token(manager, "");
    OK(holdall_session_set_int(session, S("n"), 1));
    OK(holdall_session_set_string(session, S("s"), S("text")));
    OK(holdall_session_set_bool(session, S("b"), true));
    OK(holdall_session_set_json(session, S("l"), S("[]")));
    OK(holdall_session_set_previous_url(session, S("/")));
    OK(holdall_session_flash_input(session, S("{\"field\":1}")));
    return session;
}

static void set_up(setting *its, const call *row) {
    memset(its, 0, sizeof *its);
    its->manager = new_manager("\"keyed_secret\": \"" SECRET "\",");
    its->session = new_session();
    OK(holdall_session_commit(its->session, NULL, &its->commit));
    holdall_session_free(its->session);
    its->session = new_session();
    its->keys[0] = (holdall_slice){S("n")};
    its->keys[1] = (holdall_slice){S("absent")};
    its->opening.size = sizeof its->opening;
    its->committing.size = sizeof its->committing;
    arguments *with = &its->with;
    *with = (arguments){.manager = its->manager, .session = its->session, .commit = its->commit};
    if (row->text) with->text = (holdall_slice){row->text, strlen(row->text)};
    if (row->value) with->value = (holdall_slice){row->value, strlen(row->value)};
    with->keys = its->keys, with->keys_count = 2;
    with->opening = &its->opening, with->committing = &its->committing;
    with->listener = ignore_event, with->visitor = ignore_record;
    with->out = &its->out, with->out2 = &its->out2;
    poison(its);
}

static void free_outputs(const call *row, setting *its) {
    if (row->takes & BUF_OUT) holdall_buf_free(&its->out.buf);
    if (!(row->takes & HANDLE_OUT)) return;
    if (row->takes & COMMITTING)
        holdall_commit_free(its->out.pointer);
    else if (row->takes & OPENING)
        holdall_session_free(its->out.pointer);
    else
        holdall_manager_free(its->out.pointer);
}

static void tear_down(setting *its) {
    holdall_manager_free(its->manager);
    holdall_session_free(its->session);
    holdall_commit_free(its->commit);
}

/* An old message must not pass for the new one: leaves one that can be told apart. */
static void leave_a_message(void) {
    holdall_manager *none;
    WANT(HOLDALL_E_INVALID_ARGUMENT, holdall_manager_driver(manager, S("left-before"), &none));
    CHECK(contains(holdall_last_error_message(), "left-before"));
}

/* Runs a call that must be refused; `why` says what is wrong with it. */
static void refused(const call *row, setting *its, const char *why) {
    leave_a_message();
    poison(its);
    int32_t status = row->run(&its->with);
    if (row->takes & COUNTS) {
        if (status != 0) fail(row, why, status);
    } else if (status != HOLDALL_E_INVALID_ARGUMENT) {
        fail(row, why, status);
    }
    holdall_slice message = holdall_last_error_message();
    if (message.len == 0 || contains(message, "left-before")) fail(row, "no message of its own", status);
    if (!untouched(&its->out, sizeof its->out) || !untouched(&its->out2, sizeof its->out2))
        fail(row, "an output was written", status);
}

#define EACH(row) for (const call *row = calls; row < calls + COUNT(calls); row++)

static void good_arguments_are_taken_by_every_call(void) {
    EACH(row) {
        setting its;
        set_up(&its, row);
        int32_t status = row->run(&its.with);
        /* The two that ask for what is not there: no locator of zeros, no conflict. */
        int absent = row->run == c_manager_destroy || row->run == c_commit_conflict;
        if (!(row->takes & COUNTS) && status != (absent ? HOLDALL_NOT_FOUND : HOLDALL_OK))
            fail(row, "good arguments", status);
        if (status == HOLDALL_OK) {
            /* Not one byte behind the output. */
            if (!untouched(its.out.bytes + row->out, sizeof its.out - row->out))
                fail(row, "wrote behind its output", status);
            if (!untouched(its.out2.bytes + row->out2, sizeof its.out2 - row->out2))
                fail(row, "wrote behind its output", status);
            free_outputs(row, &its);
        }
        tear_down(&its);
    }
}

static void null_is_refused_in_the_place_of_every_handle_output_and_function(void) {
    EACH(row) {
        setting its;
        set_up(&its, row);
        arguments good = its.with;
#define WITHOUT(bit, field)                    \
    if (row->takes & (bit)) {                  \
        its.with.field = NULL;                 \
        refused(row, &its, #field " is NULL"); \
        its.with = good;                       \
    }
        WITHOUT(MANAGER, manager)
        WITHOUT(SESSION, session)
        WITHOUT(COMMIT_, commit)
        WITHOUT(LISTENER, listener)
        WITHOUT(VISITOR, visitor)
        if (row->out) {
            its.with.out = NULL;
            refused(row, &its, "out is NULL");
            its.with = good;
        }
        if (row->out2) {
            its.with.out2 = NULL;
            refused(row, &its, "the second out is NULL");
        }
        tear_down(&its);
    }
}

static void an_output_that_is_not_aligned_is_refused(void) {
    EACH(row) {
        setting its;
        set_up(&its, row);
        if (row->out > 1) {
            its.with.out = its.out.bytes + 1;
            refused(row, &its, "out is not aligned");
        }
        tear_down(&its);
    }
}

static void a_handle_of_another_type_is_refused(void) {
    uint64_t zeros[8] = {0};
    EACH(row) {
        setting its;
        set_up(&its, row);
        arguments good = its.with;
        void *of[] = {
            its.manager,           its.session, its.commit, zeros, (char *)its.manager + 1, (char *)its.session + 1,
            (char *)its.commit + 1};
        for (size_t i = 0; i < COUNT(of); i++) {
            if (row->takes & MANAGER && of[i] != (void *)its.manager) {
                its.with.manager = of[i];
                refused(row, &its, "not a manager");
            }
            if (row->takes & SESSION && of[i] != (void *)its.session) {
                its.with.session = of[i];
                refused(row, &its, "not a session");
            }
            if (row->takes & COMMIT_ && of[i] != (void *)its.commit) {
                its.with.commit = of[i];
                refused(row, &its, "not a commit");
            }
            its.with = good;
        }
        tear_down(&its);
    }
}

static void free_does_nothing_to_null_and_to_a_handle_of_another_type(void) {
    setting its;
    set_up(&its, calls);
    holdall_manager_free(NULL);
    holdall_session_free(NULL);
    holdall_commit_free(NULL);
    holdall_buf_free(NULL);
    holdall_manager_free((holdall_manager *)its.session);
    holdall_manager_free((holdall_manager *)its.commit);
    holdall_session_free((holdall_session *)its.manager);
    holdall_session_free((holdall_session *)its.commit);
    holdall_commit_free((holdall_commit *)its.manager);
    holdall_commit_free((holdall_commit *)its.session);
    bool is_new;
    holdall_buf buf;
    OK(holdall_session_is_new(its.session, &is_new));
    OK(holdall_manager_stats(its.manager, &buf));
    OK(holdall_commit_outcome(its.commit));
    holdall_buf copy = buf;
    holdall_buf_free(&buf);
    holdall_buf_free(&buf);
    CHECK(copy.data != NULL && buf.data == NULL && buf.len == 0 && buf.capacity == 0);
    tear_down(&its);
}

static void null_with_a_length_and_a_length_no_object_has_are_refused(void) {
    static const size_t lengths[] = {1, 16, SIZE_MAX / 2, SIZE_MAX / 2 + 1, SIZE_MAX - 1, SIZE_MAX};
    EACH(row) {
        setting its;
        set_up(&its, row);
        arguments good = its.with;
        for (size_t i = 0; i < COUNT(lengths); i++) {
            /* With a pointer, only what cannot be true can be noticed. */
            for (int null = lengths[i] <= SIZE_MAX / 2; null < 2; null++) {
                if (row->takes & (TEXT | BYTES)) {
                    its.with.text = (holdall_slice){null ? NULL : "x", lengths[i]};
                    refused(row, &its, null ? "text is NULL, with a length" : "text has an impossible length");
                }
                its.with = good;
                if (row->takes & VALUE) {
                    its.with.value = (holdall_slice){null ? NULL : "1", lengths[i]};
                    refused(row, &its, null ? "value is NULL, with a length" : "value has an impossible length");
                }
                its.with = good;
            }
        }
        tear_down(&its);
    }
}

static void null_with_no_length_is_empty(void) {
    EACH(row) {
        setting its;
        set_up(&its, row);
        arguments good = its.with;
        for (int what = 0; what < 3; what++) {
            if (what == 0 && row->takes & (TEXT | BYTES))
                its.with.text = (holdall_slice){NULL, 0};
            else if (what == 1 && row->takes & VALUE)
                its.with.value = (holdall_slice){NULL, 0};
            else if (what == 2 && row->takes & KEYS)
                its.with.keys = NULL, its.with.keys_count = 0;
            else
                continue;
            poison(&its);
            leave_a_message();
            int32_t with_null = row->run(&its.with);
            if (with_null == HOLDALL_OK)
                free_outputs(row, &its);
            else if (!untouched(&its.out, sizeof its.out))
                fail(row, "an output was written", with_null);
            if (with_null < 0 && contains(holdall_last_error_message(), "NULL"))
                fail(row, "NULL with 0 is empty", with_null);
            if (what == 0) its.with.text.data = "";
            if (what == 1) its.with.value.data = "";
            if (what == 2) its.with.keys = its.keys;
            int32_t with_empty = row->run(&its.with);
            if (with_empty == HOLDALL_OK) free_outputs(row, &its);
            if (with_null != with_empty && row->run != c_session_pull_json)
                fail(row, "NULL with 0 is not as \"\"", with_null);
            its.with = good;
        }
        tear_down(&its);
    }
}

static void text_that_is_not_utf_8_is_refused(void) {
    static const holdall_slice wrong[] = {
        {"\xFF", 1},     {"\xC3", 1}, {"a\x80", 2}, {"\xC0\x80", 2}, {"\xED\xA0\x80", 3}, {"\xF4\x90\x80\x80", 4},
        {"\xE2\x82", 2},
    };
    EACH(row) {
        setting its;
        set_up(&its, row);
        arguments good = its.with;
        for (size_t i = 0; i < COUNT(wrong); i++) {
            if (row->takes & TEXT) {
                /* A locator is 64 characters of ASCII: also refused. */
                its.with.text = wrong[i];
                refused(row, &its, "text is not UTF-8");
                its.with = good;
            }
            if (row->takes & BYTES) {
                its.with.text = wrong[i];
                poison(&its);
                int32_t status = row->run(&its.with);
                if (status != HOLDALL_OK) fail(row, "any bytes will do", status);
                free_outputs(row, &its);
                its.with = good;
            }
            if (row->takes & VALUE) {
                its.with.value = wrong[i];
                refused(row, &its, "value is not UTF-8");
                its.with = good;
            }
            if (row->takes & KEYS) {
                its.keys[1] = wrong[i];
                refused(row, &its, "a key is not UTF-8");
            }
        }
        tear_down(&its);
    }
}

static void lists_of_keys_that_cannot_be_are_refused(void) {
    static const size_t counts[] = {
        1, SIZE_MAX / 32, SIZE_MAX / 32 + 1, SIZE_MAX / 16, SIZE_MAX / 16 + 1, SIZE_MAX / 2, SIZE_MAX};
    EACH(row) {
        if (!(row->takes & KEYS)) continue;
        setting its;
        set_up(&its, row);
        arguments good = its.with;
        for (size_t i = 0; i < COUNT(counts); i++) {
            its.with.keys = NULL, its.with.keys_count = counts[i];
            refused(row, &its, "keys are NULL, with a count");
            its.with = good;
            if (counts[i] <= SIZE_MAX / 32) continue;
            its.with.keys_count = counts[i];
            refused(row, &its, "keys have an impossible count");
            its.with = good;
        }
        its.with.keys = (const holdall_slice *)((const char *)its.keys + 1), its.with.keys_count = 1;
        refused(row, &its, "keys are not aligned");
        its.with = good;
        static const holdall_slice wrong[] = {{NULL, 1}, {NULL, SIZE_MAX}, {"x", SIZE_MAX}, {"x", SIZE_MAX / 2 + 1}};
        for (size_t i = 0; i < COUNT(wrong); i++) {
            its.keys[1] = wrong[i];
            refused(row, &its, "a key cannot be");
        }
        tear_down(&its);
    }
}

static void options_of_another_version_or_with_unknown_numbers_are_refused(void) {
    EACH(row) {
        setting its;
        set_up(&its, row);
        if (row->takes & OPENING) {
            holdall_open_options good = its.opening;
#define WRONG(field, number)               \
    its.opening.field = (number);          \
    refused(row, &its, "options." #field); \
    its.opening = good
            WRONG(size, 0);
            WRONG(size, sizeof good - 1);
            WRONG(size, sizeof good + 1);
            WRONG(size, SIZE_MAX);
            for (int bit = 3; bit < 32; bit++) {
                WRONG(flags, UINT32_C(1) << bit);
            }
            WRONG(mode, 3);
            WRONG(mode, UINT32_MAX);
            WRONG(flash, 4);
            WRONG(flash, UINT32_MAX);
            its.with.opening = (const holdall_open_options *)((const char *)&its.opening + 1);
            refused(row, &its, "options are not aligned");
        }
        if (row->takes & COMMITTING) {
            holdall_commit_options good = its.committing;
#undef WRONG
#define WRONG(field, number)               \
    its.committing.field = (number);       \
    refused(row, &its, "options." #field); \
    its.committing = good
            WRONG(size, 0);
            WRONG(size, sizeof good - 1);
            WRONG(size, sizeof good + 1);
            WRONG(size, SIZE_MAX);
            WRONG(flags, HOLDALL_AGE_FLASH | HOLDALL_KEEP_FLASH);
            WRONG(flags, HOLDALL_LOCK_TIMEOUT);
            WRONG(flags, HOLDALL_REQUEST_IS_SECURE);
            for (int bit = 5; bit < 32; bit++) {
                WRONG(flags, UINT32_C(1) << bit);
            }
            its.with.committing = (const holdall_commit_options *)((const char *)&its.committing + 1);
            refused(row, &its, "options are not aligned");
        }
        tear_down(&its);
    }
}

static void a_reserved_field_that_is_not_zero_is_refused(void) {
    EACH(row) {
        setting its;
        set_up(&its, row);
        its.opening.reserved = its.committing.reserved = 1;
        if (row->takes & (OPENING | COMMITTING)) refused(row, &its, "options.reserved");
        tear_down(&its);
    }
}

static void an_index_past_the_end_is_not_found(void) {
    setting its;
    set_up(&its, calls);
    static const size_t indexes[] = {3, 4, SIZE_MAX / 2, SIZE_MAX};
    holdall_slice name, value;
    int32_t reason;
    for (size_t i = 0; i < COUNT(indexes); i++) {
        memset(&name, POISON, sizeof name);
        memset(&value, POISON, sizeof value);
        memset(&reason, POISON, sizeof reason);
        WANT(HOLDALL_NOT_FOUND, holdall_commit_header(its.commit, indexes[i], &name, &value));
        WANT(HOLDALL_NOT_FOUND, holdall_commit_conflict(its.commit, indexes[i], &name, &reason));
        CHECK(untouched(&name, sizeof name) && untouched(&value, sizeof value) && untouched(&reason, sizeof reason));
    }
    tear_down(&its);
}

static void handles_may_be_freed_in_any_order_and_what_is_left_still_works(void) {
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (size_t order = 0; order < COUNT(orders); order++) {
        holdall_manager *its = new_manager("");
        holdall_session *session = open_token(its, "");
        holdall_commit *commit = NULL;
        OK(holdall_session_set_int(session, S("n"), 1));
        OK(holdall_session_commit(session, NULL, &commit));
        for (int step = 0; step < 3; step++) {
            if (orders[order][step] == 0) holdall_manager_free(its), its = NULL;
            if (orders[order][step] == 1) holdall_session_free(session), session = NULL;
            if (orders[order][step] == 2) holdall_commit_free(commit), commit = NULL;
            int64_t n = 0;
            holdall_buf stats;
            if (session) {
                OK(holdall_session_get_int(session, S("n"), &n));
                CHECK(n == 1);
            }
            if (commit) CHECK(strlen(token_of(commit).text) == 43);
            if (its) {
                OK(holdall_manager_stats(its, &stats));
                holdall_buf_free(&stats);
            }
        }
    }
}

static void a_session_commits_after_its_manager_was_freed(void) {
    holdall_manager *its = new_manager(""), *other = NULL;
    OK(holdall_manager_driver(its, S("other"), &other));
    holdall_session *a = open_token(its, ""), *b = open_token(other, "");
    holdall_manager_free(its);
    holdall_manager_free(other);
    OK(holdall_session_set_int(a, S("n"), 1));
    OK(holdall_session_set_int(b, S("n"), 1));
    COMMIT(HOLDALL_OK, a);
    COMMIT(HOLDALL_OK, b);
}

/* Which rows change a session: each is misuse once it was committed or destroyed, or where it was opened read-only. */
static int changes(const call *row) {
    return row->takes & SESSION && !(row->takes & COMMITTING) && row->run != c_session_get_json &&
           row->run != c_session_data_json && row->run != c_session_get_string && row->run != c_session_get_int &&
           row->run != c_session_get_bool && row->run != c_session_has && row->run != c_session_exists &&
           row->run != c_session_missing && row->run != c_session_all && row->run != c_session_only &&
           row->run != c_session_except && row->run != c_session_old && row->run != c_session_id &&
           row->run != c_session_is_new &&
           /* A session that has a secret gives tokens at any time. */
           row->run != c_session_csrf_token && row->run != c_session_csrf_matches && row->run != c_session_previous_url;
}

static void misused(const call *row, setting *its, const char *why) {
    leave_a_message();
    poison(its);
    int32_t status = row->run(&its->with);
    if (status != HOLDALL_E_MISUSE) fail(row, why, status);
    holdall_slice message = holdall_last_error_message();
    if (message.len == 0 || contains(message, "left-before")) fail(row, "no message of its own", status);
    if (!untouched(&its->out, sizeof its->out)) fail(row, "an output was written", status);
}

static void every_change_after_commit_or_destroy_or_in_a_read_only_session_is_misuse(void) {
    holdall_session *first = new_session();
    token its_token = COMMIT(HOLDALL_OK, first);
    EACH(row) {
        if (!changes(row)) continue;
        setting its;
        holdall_commit *commit = NULL;
        set_up(&its, row);
        OK(holdall_session_commit(its.session, NULL, &commit));
        holdall_commit_free(commit);
        misused(row, &its, "after the commit");
        tear_down(&its);

        if (row->run != c_session_destroy && row->run != c_session_destroy_at) {
            set_up(&its, row);
            OK(holdall_session_destroy(its.session));
            misused(row, &its, "after destroy");
            tear_down(&its);
        }

        set_up(&its, row);
        holdall_open_options options = {.size = sizeof options, .mode = HOLDALL_MODE_READ_ONLY};
        holdall_session *reading = NULL;
        OK(holdall_manager_open_token(manager, its_token.text, 43, &options, &reading));
        its.with.session = reading;
        misused(row, &its, "read-only");
        holdall_session_free(reading);
        tear_down(&its);
    }
}

static void a_message_about_the_type_of_a_value_does_not_carry_it(void) {
    holdall_session *session = open_token(manager, "");
    int64_t n;
    bool b;
    holdall_buf text;
    OK(holdall_session_set_string(session, S("key"), S("hunter2-hunter2")));
    OK(holdall_session_set_int(session, S("pin"), 84736251));
    WANT(HOLDALL_E_INVALID_VALUE, holdall_session_get_int(session, S("key"), &n));
    CHECK(!contains(holdall_last_error_message(), "hunter2"));
    WANT(HOLDALL_E_INVALID_VALUE, holdall_session_get_bool(session, S("key"), &b));
    CHECK(!contains(holdall_last_error_message(), "hunter2"));
    WANT(HOLDALL_E_INVALID_VALUE, holdall_session_get_string(session, S("pin"), &text));
    CHECK(!contains(holdall_last_error_message(), "84736251"));
    holdall_session_free(session);
}

static void a_message_about_a_secret_in_the_configuration_does_not_carry_it(void) {
    static const char *const configs[] = {
        "{\"keyed_secret\": \"hunter2\", \"drivers\": {\"main\": {\"type\": \"memory\"}}}",
        "{\"keyed_secret\": [\"hunter2\"], \"drivers\": {\"main\": {\"type\": \"memory\"}}}",
        "{\"keyed_secret\": 84736251, \"drivers\": {\"main\": {\"type\": \"memory\"}}}",
    };
    for (size_t i = 0; i < COUNT(configs); i++) {
        holdall_manager *made;
        WANT(HOLDALL_E_INVALID_CONFIG, holdall_manager_new(configs[i], strlen(configs[i]), &made));
        CHECK(contains(holdall_last_error_message(), "keyed_secret"));
        CHECK(!contains(holdall_last_error_message(), "hunter2") &&
              !contains(holdall_last_error_message(), "84736251"));
    }
}

static void a_message_about_a_call_carries_no_id_and_no_value(void) {
    holdall_session *session = open_token(manager, "");
    OK(holdall_session_set_string(session, S("key"), S("hunter2-hunter2")));
    token its = COMMIT(HOLDALL_OK, session);
    session = open_token(manager, its.text);
    int64_t n;
    static const char *const values[] = {
        "hunter2",     "\"hunter2",    "{\"hunter2\":1,\"hunter2\":2}", "[\"hunter2\\ud800\"]",
        "{hunter2:1}", "{\"hunter2\"}"};
    for (size_t i = 0; i < COUNT(values); i++) {
        WANT(HOLDALL_E_INVALID_VALUE, holdall_session_set_json(session, S("key"), values[i], strlen(values[i])));
        CHECK(!contains(holdall_last_error_message(), "hunter2"));
        WANT(HOLDALL_E_INVALID_VALUE, holdall_session_flash_input(session, values[i], strlen(values[i])));
        CHECK(!contains(holdall_last_error_message(), "hunter2"));
    }
    WANT(HOLDALL_E_INVALID_VALUE, holdall_session_increment(session, S("key"), 1, &n));
    CHECK(!contains(holdall_last_error_message(), "hunter2"));
    WANT(HOLDALL_E_INVALID_VALUE, holdall_session_push_json(session, S("key"), S("1")));
    CHECK(!contains(holdall_last_error_message(), "hunter2"));
    OK(holdall_session_destroy(session));
    WANT(HOLDALL_E_MISUSE, holdall_session_set_int(session, S("n"), 1));
    CHECK(!contains(holdall_last_error_message(), its.text));
    holdall_session_free(session);
}

/* Threads. */

#define TURNS 20000
static holdall_session *contended;
static pthread_barrier_t barrier;

static void *hammer_one_session(void *out) {
    int64_t counted = 0, misuses = 0, *results = out;
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < TURNS; i++) {
        int64_t sum;
        holdall_buf all;
        int32_t status = holdall_session_increment(contended, S("n"), 1, &sum);
        CHECK(status == HOLDALL_OK || status == HOLDALL_E_MISUSE);
        counted += status == HOLDALL_OK, misuses += status != HOLDALL_OK;
        status = holdall_session_all(contended, &all);
        CHECK(status == HOLDALL_OK || status == HOLDALL_E_MISUSE);
        if (status == HOLDALL_OK) {
            CHECK(all.data[0] == '{' && all.data[all.len - 1] == '}');
            holdall_buf_free(&all);
        }
    }
    results[0] = counted, results[1] = misuses;
    return NULL;
}

static void two_threads_on_one_session_are_told_and_nothing_is_lost(void) {
    pthread_t threads[4];
    int64_t results[4][2], sum, counted = 0, misuses = 0;
    contended = open_token(manager, "");
    OK(holdall_session_set_int(contended, S("n"), 0));
    pthread_barrier_init(&barrier, NULL, 4);
    for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, hammer_one_session, results[i]) == 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        counted += results[i][0], misuses += results[i][1];
    }
    pthread_barrier_destroy(&barrier);
    OK(holdall_session_get_int(contended, S("n"), &sum));
    CHECK(sum == counted);
    printf("    %lld calls were counted, %lld were told to wait their turn\n", (long long)counted, (long long)misuses);
    holdall_session_free(contended);
}

static void *use_and_free(void *session) {
    int64_t n;
    OK(holdall_session_get_int(session, S("n"), &n));
    COMMIT(HOLDALL_OK, session);
    return NULL;
}

static void a_session_may_move_from_thread_to_thread(void) {
    for (int i = 0; i < 50; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, use_and_free, new_session()) == 0);
        pthread_join(thread, NULL);
    }
}

/* Thread-specific data is destroyed after C++ and Rust thread-locals are: a request pool may free its handles there. */
static pthread_key_t last;

static void fail_last(void *session) {
    int64_t n;
    int32_t status = holdall_session_get_int(NULL, S("n"), &n);
    if (status != HOLDALL_E_INVALID_ARGUMENT) _exit(3);
    (void)holdall_last_error_flags();
    (void)holdall_last_error_message();
    holdall_session_free((holdall_session *)manager);
    holdall_session_free(session);
}

static void *end_with_a_failing_call(void *arg) {
    int64_t n;
    pthread_setspecific(last, new_session());
    WANT(HOLDALL_E_INVALID_ARGUMENT, holdall_session_get_int(NULL, S("n"), &n));
    return arg;
}

static void a_call_that_fails_while_its_thread_ends_does_not_abort(void) {
    pthread_t thread;
    CHECK(pthread_key_create(&last, fail_last) == 0);
    CHECK(pthread_create(&thread, NULL, end_with_a_failing_call, NULL) == 0);
    pthread_join(thread, NULL);
    pthread_key_delete(last);
}

static const check checks[] = {
#define A(name) \
    { #name, name }
    A(good_arguments_are_taken_by_every_call),
    A(null_is_refused_in_the_place_of_every_handle_output_and_function),
    A(an_output_that_is_not_aligned_is_refused),
    A(a_handle_of_another_type_is_refused),
    A(free_does_nothing_to_null_and_to_a_handle_of_another_type),
    A(null_with_a_length_and_a_length_no_object_has_are_refused),
    A(null_with_no_length_is_empty),
    A(text_that_is_not_utf_8_is_refused),
    A(lists_of_keys_that_cannot_be_are_refused),
    A(options_of_another_version_or_with_unknown_numbers_are_refused),
    A(a_reserved_field_that_is_not_zero_is_refused),
    A(an_index_past_the_end_is_not_found),
    A(handles_may_be_freed_in_any_order_and_what_is_left_still_works),
    A(a_session_commits_after_its_manager_was_freed),
    A(every_change_after_commit_or_destroy_or_in_a_read_only_session_is_misuse),
    A(a_message_about_the_type_of_a_value_does_not_carry_it),
    A(a_message_about_a_secret_in_the_configuration_does_not_carry_it),
    A(a_message_about_a_call_carries_no_id_and_no_value),
    A(two_threads_on_one_session_are_told_and_nothing_is_lost),
    A(a_session_may_move_from_thread_to_thread),
    A(a_call_that_fails_while_its_thread_ends_does_not_abort),
};

int main(int argc, char **argv) {
    check_arguments(argc, argv);
    manager = new_manager("\"keyed_secret\": \"" SECRET "\",");
    check_all(checks, COUNT(checks), argc, argv);
    holdall_manager_free(manager);
    return 0;
}
