/*
 * api.c - the ordinary use of every function of holdall.h, in the order of the header, over memory and over files.
 *
 * What it guards: each function does what its comment says; views and buffers live as long as the header promises;
 * outputs are as they were after an error. What a hostile caller does is in abuse.c, time in time.c, fork in fork.c.
 */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include <pthread.h>

#define SECRET "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static holdall_manager *manager;

/* A stored session with these fields, each set from JSON; gives its token. */
static token stored(const char *key, const char *value) {
    holdall_session *session = open_token(manager, "");
    OK(holdall_session_set_json(session, key, strlen(key), value, strlen(value)));
    return COMMIT(HOLDALL_OK, session);
}

static int has_json(holdall_session *session, const char *key, const char *value) {
    holdall_slice seen;
    return holdall_session_get_json(session, key, strlen(key), &seen) == HOLDALL_OK && same(seen, value);
}

static int is_missing(holdall_session *session, const char *key) {
    bool missing = false;
    OK(holdall_session_missing(session, key, strlen(key), &missing));
    return missing;
}

static int is_stored(const char *its, const char *key, const char *value) {
    holdall_session *session = open_token(manager, its);
    int equal = has_json(session, key, value);
    holdall_session_free(session);
    return equal;
}

/* Versions, names and errors. */

static void *a_fresh_thread(void *out) {
    /* The main thread has failed calls behind it. */
    holdall_slice *message = out;
    *message = holdall_last_error_message();
    return NULL;
}

static void the_header_and_the_library_are_of_one_version(void) {
    CHECK(holdall_abi_version() == HOLDALL_ABI_VERSION);
    int major, minor, patch;
    CHECK(sscanf(holdall_version(), "%d.%d.%d", &major, &minor, &patch) == 3);
}

static void every_status_and_every_event_has_a_name_of_its_own(void) {
    for (int32_t a = HOLDALL_E_PANIC; a <= HOLDALL_MOVED; a++) {
        CHECK(strcmp(holdall_status_name(a), "unknown") != 0);
        for (int32_t b = HOLDALL_E_PANIC; b < a; b++)
            CHECK(strcmp(holdall_status_name(a), holdall_status_name(b)) != 0);
    }
    for (int32_t a = HOLDALL_EVENT_CREATED; a <= HOLDALL_EVENT_UNAVAILABLE; a++) {
        CHECK(strcmp(holdall_event_name(a), "unknown") != 0);
        for (int32_t b = 0; b < a; b++) CHECK(strcmp(holdall_event_name(a), holdall_event_name(b)) != 0);
    }
    CHECK(strcmp(holdall_status_name(HOLDALL_GONE), "gone") == 0);
    CHECK(strcmp(holdall_event_name(HOLDALL_EVENT_ROLLED_BACK), "rolled_back") == 0);
    CHECK(strcmp(holdall_status_name(INT32_MIN), "unknown") == 0 &&
          strcmp(holdall_status_name(INT32_MAX), "unknown") == 0);
    CHECK(strcmp(holdall_event_name(INT32_MIN), "unknown") == 0 &&
          strcmp(holdall_event_name(INT32_MAX), "unknown") == 0);
}

static void the_last_error_is_of_this_thread_and_lives_until_its_next_failing_call(void) {
    holdall_manager *none = NULL;
    WANT(HOLDALL_E_INVALID_CONFIG, holdall_manager_new(S("nonsense:"), &none));
    holdall_slice message = holdall_last_error_message();
    char copy[300] = {0};
    CHECK(message.len > 0 && message.len < sizeof copy);
    memcpy(copy, message.data, message.len);

    holdall_buf config;
    OK(holdall_manager_config(manager, &config));
    holdall_buf_free(&config);
    CHECK(same(message, copy));
    CHECK(same(holdall_last_error_message(), copy));
    CHECK(holdall_last_error_flags() == 0);

    pthread_t thread;
    holdall_slice elsewhere = {NULL, 1};
    CHECK(pthread_create(&thread, NULL, a_fresh_thread, &elsewhere) == 0 && pthread_join(thread, NULL) == 0);
    CHECK(elsewhere.data != NULL && elsewhere.len == 0);
}

static void a_buffer_ends_in_nul_and_can_be_freed_again(void) {
    holdall_buf buf;
    OK(holdall_manager_config(manager, &buf));
    CHECK(buf.len > 0 && buf.data[buf.len] == '\0' && strlen(buf.data) == buf.len);
    holdall_buf_free(&buf);
    CHECK(buf.data == NULL && buf.len == 0);
    holdall_buf_free(&buf);
    holdall_buf zeros = {0};
    holdall_buf_free(&zeros);
    holdall_buf_free(NULL);
}

static void a_generated_key_opens_what_it_sealed_and_another_does_not(void) {
    holdall_manager *managers[2];
    for (size_t i = 0; i < COUNT(managers); i++) {
        holdall_buf key;
        OK(holdall_generate_key(&key));
        CHECK(key.len == 43);
        char config[200];
        snprintf(config, sizeof config, "{\"url\":\"cookie:\",\"cookie\":{\"secure\":false},\"keys\":[\"%s\"]}",
                 key.data);
        holdall_buf_free(&key);
        OK(holdall_manager_new(config, strlen(config), &managers[i]));
    }
    holdall_session *session;
    OK(holdall_manager_open(managers[0], NULL, 0, NULL, &session));
    OK(holdall_session_set_int(session, S("n"), 7));
    holdall_commit *commit;
    OK(holdall_session_commit(session, NULL, &commit));
    holdall_slice name, line;
    OK(holdall_commit_header(commit, 0, &name, &line));
    CHECK(same(name, "Set-Cookie"));
    size_t sent = (size_t)((const char *)memchr(line.data, ';', line.len) - line.data);
    for (size_t i = 0; i < COUNT(managers); i++) {
        holdall_session *next;
        int64_t n = 0;
        OK(holdall_manager_open(managers[i], line.data, sent, NULL, &next));
        WANT(i == 0 ? HOLDALL_OK : HOLDALL_NOT_FOUND, holdall_session_get_int(next, S("n"), &n));
        CHECK(n == (i == 0 ? 7 : 0));
        holdall_session_free(next);
        holdall_manager_free(managers[i]);
    }
    holdall_commit_free(commit);
    holdall_session_free(session);
}

static void a_buffer_may_be_empty(void) {
    holdall_session *session = open_token(manager, "");
    OK(holdall_session_set_string(session, S("empty"), NULL, 0));
    holdall_buf buf;
    OK(holdall_session_get_string(session, S("empty"), &buf));
    CHECK(buf.data != NULL && took(&buf, ""));
    holdall_session_free(session);
}

/* Managers. */

static void a_manager_is_made_from_a_url_or_a_document_and_a_wrong_field_is_named(void) {
    holdall_manager *made = NULL;
    OK(holdall_manager_new(S("memory:"), &made));
    holdall_manager_free(made);
    char url[1200];
    snprintf(url, sizeof url, "file://%s/url-%d", check_directory, (int)getpid());
    OK(holdall_manager_new(url, strlen(url), &made));
    holdall_manager_free(made);

    holdall_manager *poisoned;
    memset(&poisoned, POISON, sizeof poisoned);
    WANT(HOLDALL_E_INVALID_CONFIG,
         holdall_manager_new(S("{\"drivers\": {\"main\": {\"type\": \"memory\"}}, \"idle_timeout_s\": 0}"), &poisoned));
    CHECK(contains(holdall_last_error_message(), "idle_timeout_s"));
    CHECK(untouched(&poisoned, sizeof poisoned));
    WANT(HOLDALL_E_INVALID_CONFIG,
         holdall_manager_new(S("{\"drivers\": {\"main\": {\"type\": \"memory\"}}, \"cookie\": {\"nmae\": \"x\"}}"),
                             &poisoned));
    CHECK(contains(holdall_last_error_message(), "cookie") && contains(holdall_last_error_message(), "nmae"));
    /* The operator's mistake or the disk's: either is said. */
    int32_t status = holdall_manager_new(S("file:///proc/no/such/place"), &poisoned);
    CHECK(status == HOLDALL_E_UNAVAILABLE || status == HOLDALL_E_INVALID_CONFIG);
    CHECK(contains(holdall_last_error_message(), "/proc/no/such/place"));
    CHECK(untouched(&poisoned, sizeof poisoned));
}

static void another_driver_has_a_cookie_of_its_own(void) {
    holdall_manager *other = NULL;
    OK(holdall_manager_driver(manager, S("other"), &other));
    holdall_session *session = open_token(other, "");
    OK(holdall_session_set_int(session, S("n"), 1));
    holdall_commit *commit = NULL;
    OK(holdall_session_commit(session, NULL, &commit));
    CHECK(contains(header_of(commit, "Set-Cookie"), "__Host-sid-other="));
    token its = token_of(commit);
    holdall_commit_free(commit);
    holdall_session_free(session);

    session = open_token(manager, its.text);
    CHECK(is_missing(session, "n"));
    holdall_session_free(session);
    session = open_token(other, its.text);
    CHECK(has_json(session, "n", "1"));
    holdall_session_free(session);
    holdall_manager_free(other);

    holdall_manager *poisoned;
    memset(&poisoned, POISON, sizeof poisoned);
    WANT(HOLDALL_E_INVALID_ARGUMENT, holdall_manager_driver(manager, S("third"), &poisoned));
    CHECK(untouched(&poisoned, sizeof poisoned));
}

static void a_cookie_header_opens_its_session_and_anything_else_a_new_one(void) {
    token its = stored("n", "1");
    char header[200];
    const char *forms[] = {"__Host-sid=%s", "a=b; __Host-sid=%s; c=d", "__Host-sid=stale; __Host-sid=%s"};
    for (size_t i = 0; i < COUNT(forms); i++) {
        snprintf(header, sizeof header, forms[i], its.text);
        holdall_session *session = NULL;
        OK(holdall_manager_open(manager, header, strlen(header), NULL, &session));
        bool is_new = true;
        OK(holdall_session_is_new(session, &is_new));
        CHECK(!is_new && has_json(session, "n", "1"));
        holdall_session_free(session);
    }
    const char *others[] = {"", "__Host-sid=", "__Host-sid", "sid=x", "__host-sid=\xFF\xFE", ";;;=;"};
    for (size_t i = 0; i <= COUNT(others); i++) {
        holdall_session *session = NULL;
        OK(i == COUNT(others) ? holdall_manager_open(manager, NULL, 0, NULL, &session)
                              : holdall_manager_open(manager, others[i], strlen(others[i]), NULL, &session));
        bool is_new = false;
        OK(holdall_session_is_new(session, &is_new));
        CHECK(is_new);
        holdall_session_free(session);
    }
}

static void a_token_that_is_not_known_is_never_adopted(void) {
    char unknown[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    holdall_session *session = open_token(manager, unknown);
    OK(holdall_session_set_int(session, S("n"), 1));
    token its = COMMIT(HOLDALL_OK, session);
    CHECK(strlen(its.text) == 43 && strcmp(its.text, unknown) != 0);
    CHECK(is_stored(its.text, "n", "1"));
    session = open_token(manager, unknown);
    CHECK(is_missing(session, "n"));
    holdall_session_free(session);
}

static void a_key_opens_its_session_where_keyed_sessions_are_on(void) {
    holdall_session *session = NULL;
    OK(holdall_manager_open_keyed(manager, S("192.0.2.1"), NULL, &session));
    OK(holdall_session_set_int(session, S("n"), 1));
    holdall_slice id;
    memset(&id, POISON, sizeof id);
    WANT(HOLDALL_NOT_FOUND, holdall_session_id(session, &id));
    CHECK(untouched(&id, sizeof id));
    WANT(HOLDALL_E_MISUSE, holdall_session_regenerate(session));
    WANT(HOLDALL_E_MISUSE, holdall_session_invalidate(session));
    holdall_commit *commit = NULL;
    OK(holdall_session_commit(session, NULL, &commit));
    CHECK(holdall_commit_header_count(commit) == 0);
    holdall_commit_free(commit);
    holdall_session_free(session);

    OK(holdall_manager_open_keyed(manager, S("192.0.2.1"), NULL, &session));
    CHECK(has_json(session, "n", "1"));
    OK(holdall_session_destroy(session));
    holdall_session_free(session);

    holdall_manager *plain = NULL;
    OK(holdall_manager_new(S("memory:"), &plain));
    memset(&session, POISON, sizeof session);
    WANT(HOLDALL_E_UNSUPPORTED, holdall_manager_open_keyed(plain, S("192.0.2.1"), NULL, &session));
    CHECK(untouched(&session, sizeof session));
    holdall_manager_free(plain);
}

static void an_exclusive_open_makes_others_wait_until_the_commit_or_the_free(void) {
    token its = stored("n", "1");
    holdall_open_options options = {
        .size = sizeof options, .flags = HOLDALL_LOCK_TIMEOUT, .mode = HOLDALL_MODE_EXCLUSIVE};
    holdall_session *first = NULL, *second = NULL;
    OK(holdall_manager_open_token(manager, its.text, 43, &options, &first));
    memset(&second, POISON, sizeof second);
    WANT(HOLDALL_E_UNAVAILABLE, holdall_manager_open_token(manager, its.text, 43, &options, &second));
    CHECK(untouched(&second, sizeof second));
    CHECK(holdall_last_error_flags() & HOLDALL_RETRYABLE);
    CHECK(!(holdall_last_error_flags() & HOLDALL_MAY_HAVE_WRITTEN));
    CHECK(holdall_last_error_flags() & HOLDALL_LOCKED);
    CHECK(is_stored(its.text, "n", "1"));
    COMMIT(HOLDALL_UNCHANGED, first);

    OK(holdall_manager_open_token(manager, its.text, 43, &options, &first));
    WANT(HOLDALL_E_UNAVAILABLE, holdall_manager_open_token(manager, its.text, 43, &options, &second));
    holdall_session_free(first);
    OK(holdall_manager_open_token(manager, its.text, 43, &options, &second));
    holdall_session_free(second);
}

static void a_lock_timeout_of_an_open_holds_for_its_commit_and_its_destroy(void) {
    token its = stored("n", "1");
    holdall_open_options options = {
        .size = sizeof options, .flags = HOLDALL_LOCK_TIMEOUT, .mode = HOLDALL_MODE_EXCLUSIVE};
    holdall_session *holder = NULL, *other = NULL;
    OK(holdall_manager_open_token(manager, its.text, 43, &options, &holder));
    options.mode = HOLDALL_MODE_SHARED;
    OK(holdall_manager_open_token(manager, its.text, 43, &options, &other));
    OK(holdall_session_set_int(other, S("n"), 2));

    holdall_commit *commit = NULL;
    WANT(HOLDALL_E_UNAVAILABLE, holdall_session_commit(other, NULL, &commit));
    CHECK(holdall_last_error_flags() == (HOLDALL_RETRYABLE | HOLDALL_LOCKED));
    CHECK(strstr((const char *)holdall_last_error_message().data, "waited 0 ms") != NULL);
    WANT(HOLDALL_E_UNAVAILABLE, holdall_session_destroy(other));
    CHECK(holdall_last_error_flags() == (HOLDALL_RETRYABLE | HOLDALL_LOCKED));

    holdall_session_free(holder);
    COMMIT(HOLDALL_OK, other);
    CHECK(is_stored(its.text, "n", "2"));
    WANT(HOLDALL_E_INVALID_ARGUMENT, holdall_manager_open_token(NULL, its.text, 43, &options, &other));
    CHECK(holdall_last_error_flags() == 0);
}

static void a_read_only_session_reads_and_refuses_every_change(void) {
    token its = stored("n", "1");
    holdall_open_options options = {.size = sizeof options, .mode = HOLDALL_MODE_READ_ONLY};
    holdall_session *session = NULL;
    OK(holdall_manager_open_token(manager, its.text, 43, &options, &session));
    CHECK(has_json(session, "n", "1"));
    WANT(HOLDALL_E_MISUSE, holdall_session_set_int(session, S("n"), 2));
    WANT(HOLDALL_E_MISUSE, holdall_session_destroy(session));
    WANT(HOLDALL_E_MISUSE, holdall_session_touch(session));
    COMMIT(HOLDALL_UNCHANGED, session);
    CHECK(is_stored(its.text, "n", "1"));
}

static void the_cookie_is_secure_as_the_request_was_where_the_configuration_says_auto(void) {
    holdall_manager *automatic = new_manager("\"cookie\": {\"secure\": \"auto\"},");
    for (uint32_t secure = 0; secure < 2; secure++) {
        holdall_open_options options = {.size = sizeof options, .flags = secure ? HOLDALL_REQUEST_IS_SECURE : 0};
        holdall_session *session = NULL;
        OK(holdall_manager_open(automatic, NULL, 0, &options, &session));
        OK(holdall_session_set_bool(session, S("b"), true));
        holdall_commit *commit = NULL;
        OK(holdall_session_commit(session, NULL, &commit));
        CHECK(contains(header_of(commit, "Set-Cookie"), "; Secure") == (int)secure);
        holdall_commit_free(commit);
        holdall_session_free(session);
    }
    holdall_manager_free(automatic);
}

/* Events. */

typedef struct {
    int count[HOLDALL_EVENT_UNAVAILABLE + 1];
    char session[16];
    size_t session_len;
    holdall_manager *manager;
} log;

static void note(const holdall_event *event, void *user) {
    log *its = user;
    its->count[event->kind]++;
    its->session_len = event->session.len;
    memcpy(its->session, event->session.data, event->session.len);
    /* All locks are released: the manager can be asked, and another session used. */
    holdall_buf stats;
    OK(holdall_manager_stats(its->manager, &stats));
    holdall_buf_free(&stats);
    holdall_session *another = open_token(its->manager, "");
    OK(holdall_session_set_int(another, S("n"), 1));
    holdall_session_free(another);
}

static void events_are_told_with_a_name_that_is_no_cookie(void) {
    holdall_manager *watched = new_manager("");
    log its = {.manager = watched};
    OK(holdall_manager_on_event(watched, note, &its));
    WANT(HOLDALL_E_MISUSE, holdall_manager_on_event(watched, note, &its));

    holdall_session *session = open_token(watched, "");
    OK(holdall_session_set_int(session, S("n"), 1));
    token first = COMMIT(HOLDALL_OK, session);
    CHECK(its.count[HOLDALL_EVENT_CREATED] == 1);
    CHECK(its.session_len == 12 && memcmp(its.session, first.text, 12) != 0);
    char created[12];
    memcpy(created, its.session, 12);

    session = open_token(watched, first.text);
    holdall_session *late = open_token(watched, first.text);
    OK(holdall_session_set_int(late, S("n"), 2));
    OK(holdall_session_regenerate(session));
    token second = COMMIT(HOLDALL_OK, session);
    CHECK(its.count[HOLDALL_EVENT_REGENERATED] == 1);
    CHECK(memcmp(its.session, created, 12) == 0);
    COMMIT(HOLDALL_MOVED, late);
    CHECK(its.count[HOLDALL_EVENT_MOVED] == 1);

    session = open_token(watched, second.text);
    late = open_token(watched, second.text);
    OK(holdall_session_set_int(late, S("n"), 2));
    OK(holdall_session_destroy(session));
    CHECK(its.count[HOLDALL_EVENT_DESTROYED] == 1);
    holdall_session_free(session);
    COMMIT(HOLDALL_GONE, late);
    CHECK(its.count[HOLDALL_EVENT_GONE] == 1);

    session = open_token(watched, second.text);
    CHECK(is_missing(session, "n"));
    CHECK(its.count[HOLDALL_EVENT_UNKNOWN_TOKEN] == 1);
    holdall_session_free(session);
    session = open_token(watched, "short");
    CHECK(is_missing(session, "n"));
    CHECK(its.count[HOLDALL_EVENT_MALFORMED_TOKEN] == 1 && its.session_len == 0);
    holdall_session_free(session);
    holdall_manager_free(watched);
}

static holdall_session *told_of;
static int32_t told_status;
static void use_the_session(const holdall_event *event, void *user) {
    int64_t n;
    (void)event, (void)user;
    told_status = holdall_session_get_int(told_of, S("n"), &n);
}

static void the_session_an_event_comes_from_cannot_be_used_by_its_listener(void) {
    holdall_manager *watched = new_manager("");
    OK(holdall_manager_on_event(watched, use_the_session, NULL));
    told_of = open_token(watched, "");
    OK(holdall_session_set_int(told_of, S("n"), 1));
    told_status = 99;
    COMMIT(HOLDALL_OK, told_of);
    CHECK(told_status == HOLDALL_E_MISUSE);
    holdall_manager_free(watched);
}

static void figures_and_configuration_are_json_without_secrets(void) {
    holdall_buf stats, config;
    OK(holdall_manager_stats(manager, &stats));
    CHECK(strstr(stats.data, "\"saved\":") && strstr(stats.data, "\"unknown_token\":") &&
          strstr(stats.data, "\"main\":"));
    OK(holdall_manager_config(manager, &config));
    CHECK(strstr(config.data, "\"idle_timeout_s\":7200") && strstr(config.data, "\"keyed_secret\":"));
    CHECK(!strstr(config.data, SECRET));
    /* It is a JSON value by the engine's own rules. */
    holdall_session *session = open_token(manager, "");
    OK(holdall_session_set_json(session, S("stats"), stats.data, stats.len));
    OK(holdall_session_set_json(session, S("config"), config.data, config.len));
    holdall_session_free(session);
    holdall_buf_free(&stats);
    holdall_buf_free(&config);
}

static void a_sweep_says_what_it_did(void) {
    holdall_swept swept;
    memset(&swept, POISON, sizeof swept);
    OK(holdall_manager_sweep(manager, 0, &swept));
    CHECK(swept.looked_at == 0 && swept.removed == 0);
    token its = stored("n", "1");
    do OK(holdall_manager_sweep(manager, 1000, &swept));
    while (!swept.finished);
    CHECK(is_stored(its.text, "n", "1"));
    size_t removed = 0;
    do {
        OK(holdall_manager_sweep_at(manager, 1000, UINT64_MAX, &swept));
        CHECK(swept.looked_at <= 1000 && swept.removed <= swept.looked_at);
        removed += swept.removed;
    } while (!swept.finished);
    CHECK(removed > 0);
    CHECK(!is_stored(its.text, "n", "1"));
}

typedef struct {
    int seen;
    int stop_after;
    int destroy;
    char locator[64];
} visit;

static bool visit_one(const holdall_record *record, void *user) {
    visit *its = user;
    CHECK(record->locator.len == 64 && record->bytes > 0 && record->expiry_ms > 1600000000000u);
    memcpy(its->locator, record->locator.data, 64);
    its->seen++;
    if (its->destroy) OK(holdall_manager_destroy(manager, record->locator.data, record->locator.len));
    return its->seen != its->stop_after;
}

static void records_can_be_seen_and_destroyed_by_their_locators(void) {
    holdall_swept swept;
    do OK(holdall_manager_sweep_at(manager, 1000, UINT64_MAX, &swept));
    while (!swept.finished);
    token its[3] = {stored("n", "1"), stored("n", "2"), stored("n", "3")};
    visit all = {0}, one = {.stop_after = 1}, last = {.destroy = 1};
    OK(holdall_manager_iterate(manager, visit_one, &all));
    CHECK(all.seen == 3);
    OK(holdall_manager_iterate_at(manager, 1, visit_one, &all));
    CHECK(all.seen == 6);
    OK(holdall_manager_iterate_at(manager, UINT64_MAX, visit_one, &all));
    CHECK(all.seen == 6);
    OK(holdall_manager_iterate(manager, visit_one, &one));
    CHECK(one.seen == 1);
    for (int i = 0; i < 3; i++) CHECK(memcmp(one.locator, its[i].text, 43) != 0);
    OK(holdall_manager_destroy(manager, one.locator, 64));
    WANT(HOLDALL_NOT_FOUND, holdall_manager_destroy(manager, one.locator, 64));
    all.seen = 0;
    OK(holdall_manager_iterate(manager, visit_one, &all));
    CHECK(all.seen == 2);
    /* The visitor may destroy what it is shown. */
    OK(holdall_manager_iterate(manager, visit_one, &last));
    CHECK(last.seen == 2);
    all.seen = 0;
    OK(holdall_manager_iterate(manager, visit_one, &all));
    CHECK(all.seen == 0);
}

/* Reading. */

static const char *const everything =
    "{\"b\":true,\"big\":123456789012345678901234567890,\"i\":-9223372036854775808,"
    "\"l\":[1,{\"a\":null}],\"n\":null,\"s\":\"a \\\"quote\\\" \\u00e9\"}";

static holdall_session *with_everything(void) {
    holdall_session *session = open_token(manager, "");
    OK(holdall_session_set_json(session, S("s"), S(" \"a \\\"quote\\\" \\u00e9\" ")));
    OK(holdall_session_set_int(session, S("i"), INT64_MIN));
    OK(holdall_session_set_bool(session, S("b"), true));
    OK(holdall_session_set_json(session, S("n"), S("null")));
    OK(holdall_session_set_json(session, S("l"), S("[1,{\"a\":null}]")));
    OK(holdall_session_set_json(session, S("big"), S("123456789012345678901234567890")));
    token its = COMMIT(HOLDALL_OK, session);
    return open_token(manager, its.text);
}

static void values_are_read_as_json_or_by_their_type(void) {
    holdall_session *session = with_everything();
    holdall_buf text;
    int64_t number;
    bool truth = false;
    CHECK(has_json(session, "l", "[1,{\"a\":null}]") && has_json(session, "n", "null"));
    CHECK(has_json(session, "big", "123456789012345678901234567890"));
    OK(holdall_session_get_string(session, S("s"), &text));
    CHECK(took(&text, "a \"quote\" \xC3\xA9"));
    OK(holdall_session_get_int(session, S("i"), &number));
    CHECK(number == INT64_MIN);
    OK(holdall_session_get_bool(session, S("b"), &truth));
    CHECK(truth);
    holdall_session_free(session);
}

static void a_missing_key_or_another_type_leaves_the_output_as_it_was(void) {
    holdall_session *session = with_everything();
    holdall_slice slice;
    holdall_buf buf;
    int64_t number;
    bool truth;
    memset(&slice, POISON, sizeof slice);
    memset(&buf, POISON, sizeof buf);
    memset(&number, POISON, sizeof number);
    memset(&truth, POISON, sizeof truth);
    WANT(HOLDALL_NOT_FOUND, holdall_session_get_json(session, S("missing"), &slice));
    WANT(HOLDALL_NOT_FOUND, holdall_session_get_string(session, S("missing"), &buf));
    WANT(HOLDALL_NOT_FOUND, holdall_session_get_int(session, S("missing"), &number));
    WANT(HOLDALL_NOT_FOUND, holdall_session_get_bool(session, S("missing"), &truth));
    WANT(HOLDALL_NOT_FOUND, holdall_session_pull_json(session, S("missing"), &buf));
    WANT(HOLDALL_NOT_FOUND, holdall_session_old(session, S("missing"), &slice));
    WANT(HOLDALL_NOT_FOUND, holdall_session_previous_url(session, &buf));
    WANT(HOLDALL_E_INVALID_VALUE, holdall_session_get_string(session, S("i"), &buf));
    WANT(HOLDALL_E_INVALID_VALUE, holdall_session_get_string(session, S("n"), &buf));
    WANT(HOLDALL_E_INVALID_VALUE, holdall_session_get_int(session, S("big"), &number));
    WANT(HOLDALL_E_INVALID_VALUE, holdall_session_get_int(session, S("s"), &number));
    WANT(HOLDALL_E_INVALID_VALUE, holdall_session_get_bool(session, S("i"), &truth));
    WANT(HOLDALL_E_INVALID_VALUE, holdall_session_increment(session, S("s"), 1, &number));
    WANT(HOLDALL_E_INVALID_VALUE, holdall_session_decrement(session, S("i"), 1, &number));
    WANT(HOLDALL_E_INVALID_VALUE, holdall_session_remember_json(session, S("missing"), S("{"), &buf));
    CHECK(untouched(&slice, sizeof slice) && untouched(&buf, sizeof buf) && untouched(&number, sizeof number));
    CHECK(untouched(&truth, sizeof truth));
    holdall_session_free(session);
}

static void null_is_there_but_is_not_had(void) {
    holdall_session *session = with_everything();
    bool has, exists, missing;
    OK(holdall_session_has(session, S("n"), &has));
    OK(holdall_session_exists(session, S("n"), &exists));
    OK(holdall_session_missing(session, S("n"), &missing));
    CHECK(!has && exists && !missing);
    OK(holdall_session_has(session, S("absent"), &has));
    OK(holdall_session_exists(session, S("absent"), &exists));
    OK(holdall_session_missing(session, S("absent"), &missing));
    CHECK(!has && !exists && missing);
    OK(holdall_session_has(session, S("b"), &has));
    CHECK(has);
    holdall_session_free(session);
}

static void all_only_and_except_are_json_objects_in_the_order_of_the_keys(void) {
    holdall_session *session = with_everything();
    holdall_slice keys[] = {{S("n")}, {S("b")}, {S("absent")}};
    holdall_slice rest[] = {{S("s")}, {S("l")}, {S("i")}, {S("big")}};
    holdall_buf buf;
    OK(holdall_session_all(session, &buf));
    CHECK(took(&buf, everything));
    OK(holdall_session_only(session, keys, COUNT(keys), &buf));
    CHECK(took(&buf, "{\"b\":true,\"n\":null}"));
    OK(holdall_session_except(session, rest, COUNT(rest), &buf));
    CHECK(took(&buf, "{\"b\":true,\"n\":null}"));
    OK(holdall_session_only(session, NULL, 0, &buf));
    CHECK(took(&buf, "{}"));
    OK(holdall_session_except(session, NULL, 0, &buf));
    CHECK(took(&buf, everything));
    holdall_session_free(session);
}

static void a_view_lives_through_every_call_that_takes_the_session_const(void) {
    holdall_session *session = with_everything();
    OK(holdall_session_set_json(session, S("own"), S("\"set in this request\"")));
    OK(holdall_session_flash_input(session, S("{\"name\":\"typed\"}")));
    holdall_slice loaded, own, old, id, again;
    OK(holdall_session_get_json(session, S("l"), &loaded));
    OK(holdall_session_get_json(session, S("own"), &own));
    OK(holdall_session_old(session, S("name"), &old));
    OK(holdall_session_id(session, &id));
    char its_id[44] = {0};
    memcpy(its_id, id.data, 43);

    holdall_buf buf;
    int64_t number;
    bool truth;
    const holdall_session *reading = session;
    holdall_slice keys[] = {{S("l")}};
    OK(holdall_session_get_json(reading, S("s"), &again));
    OK(holdall_session_get_string(reading, S("s"), &buf));
    holdall_buf_free(&buf);
    OK(holdall_session_get_int(reading, S("i"), &number));
    OK(holdall_session_get_bool(reading, S("b"), &truth));
    OK(holdall_session_has(reading, S("l"), &truth));
    OK(holdall_session_exists(reading, S("l"), &truth));
    OK(holdall_session_missing(reading, S("l"), &truth));
    OK(holdall_session_all(reading, &buf));
    holdall_buf_free(&buf);
    OK(holdall_session_only(reading, keys, 1, &buf));
    holdall_buf_free(&buf);
    OK(holdall_session_except(reading, keys, 1, &buf));
    holdall_buf_free(&buf);
    OK(holdall_session_old(reading, S("name"), &again));
    OK(holdall_session_id(reading, &again));
    OK(holdall_session_is_new(reading, &truth));
    OK(holdall_session_csrf_matches(reading, S("x"), &truth));
    WANT(HOLDALL_NOT_FOUND, holdall_session_previous_url(reading, &buf));
    CHECK(same(loaded, "[1,{\"a\":null}]") && same(own, "\"set in this request\"") && same(old, "\"typed\"") &&
          same(id, its_id));
    holdall_session_free(session);
}

static void a_view_of_flash_under_on_read_lives_as_long_as_any_other(void) {
    holdall_session *session = open_token(manager, "");
    OK(holdall_session_flash_string(session, S("notice"), S("saved")));
    token its = COMMIT(HOLDALL_OK, session);
    holdall_open_options options = {.size = sizeof options, .flash = HOLDALL_FLASH_ON_READ};
    OK(holdall_manager_open_token(manager, its.text, 43, &options, &session));
    holdall_slice notice, again;
    holdall_buf all;
    OK(holdall_session_get_json(session, S("notice"), &notice));
    WANT(HOLDALL_NOT_FOUND, holdall_session_get_json(session, S("notice"), &again));
    WANT(HOLDALL_NOT_FOUND, holdall_session_data_json(session, S("notice"), &again));
    OK(holdall_session_all(session, &all));
    CHECK(took(&all, "{}"));
    CHECK(same(notice, "\"saved\""));
    COMMIT(HOLDALL_OK, session);
    session = open_token(manager, its.text);
    CHECK(is_missing(session, "notice"));
    holdall_session_free(session);
}

static void inputs_are_copied(void) {
    holdall_session *session = open_token(manager, "");
    char key[] = "key", value[] = "\"value\"";
    OK(holdall_session_set_json(session, key, 3, value, 7));
    memset(key, 'x', 3);
    memset(value, 'x', 7);
    CHECK(has_json(session, "key", "\"value\""));
    token its = COMMIT(HOLDALL_OK, session);
    CHECK(is_stored(its.text, "key", "\"value\""));
}

/* Writing. */

static void what_is_not_a_value_is_refused_with_key_and_reason_and_changes_nothing(void) {
    holdall_session *session = with_everything();
    const char *wrong[] = {"", "nul", "{\"a\":1,\"a\":2}", "\"\\ud800\"", "1e400", "[1,]", "1 2"};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        WANT(HOLDALL_E_INVALID_VALUE, holdall_session_set_json(session, S("s"), wrong[i], strlen(wrong[i])));
        CHECK(contains(holdall_last_error_message(), "\"s\""));
    }
    char deep[300] = {0};
    memset(deep, '[', 129);
    memset(deep + 129, ']', 129);
    WANT(HOLDALL_E_INVALID_VALUE, holdall_session_set_json(session, S("s"), deep, 258));
    OK(holdall_session_set_json(session, S("deep"), deep + 1, 256));
    OK(holdall_session_delete(session, &(holdall_slice){S("deep")}, 1));
    char long_key[256];
    memset(long_key, 'k', sizeof long_key);
    WANT(HOLDALL_E_TOO_LARGE, holdall_session_set_int(session, long_key, 256, 1));
    CHECK(contains(holdall_last_error_message(), "255") && contains(holdall_last_error_message(), "256"));
    OK(holdall_session_set_int(session, long_key, 255, 1));
    OK(holdall_session_delete(session, &(holdall_slice){long_key, 255}, 1));
    WANT(HOLDALL_E_INVALID_ARGUMENT, holdall_session_set_int(session, S(""), 1));
    size_t size = (1u << 20) + 8;
    char *large = malloc(size);
    memset(large, '1', size);
    WANT(HOLDALL_E_TOO_LARGE, holdall_session_set_string(session, S("large"), large, size));
    free(large);
    holdall_buf all;
    OK(holdall_session_all(session, &all));
    CHECK(took(&all, everything));
    holdall_session_free(session);
}

static void strings_integers_and_truths_are_written_as_json(void) {
    holdall_session *session = open_token(manager, "");
    OK(holdall_session_set_string(session, S("s"), "a\0\"b", 4));
    OK(holdall_session_set_int(session, S("i"), INT64_MAX));
    OK(holdall_session_set_bool(session, S("b"), false));
    OK(holdall_session_set_bool(session, S("\xC3\xA9.\xF0\x9F\x92\xBC"), true));
    token its = COMMIT(HOLDALL_OK, session);
    session = open_token(manager, its.text);
    CHECK(has_json(session, "s", "\"a\\u0000\\\"b\"") && has_json(session, "i", "9223372036854775807"));
    CHECK(has_json(session, "b", "false") && has_json(session, "\xC3\xA9.\xF0\x9F\x92\xBC", "true"));
    holdall_buf text;
    OK(holdall_session_get_string(session, S("s"), &text));
    CHECK(text.len == 4 && memcmp(text.data, "a\0\"b", 5) == 0);
    holdall_buf_free(&text);
    holdall_session_free(session);
}

static void delete_takes_data_and_flash_and_pull_gives_what_it_takes(void) {
    holdall_session *session = with_everything();
    OK(holdall_session_flash_string(session, S("s"), S("flash of the same name")));
    holdall_slice keys[] = {{S("s")}, {S("absent")}};
    OK(holdall_session_delete(session, keys, 2));
    CHECK(is_missing(session, "s"));
    OK(holdall_session_delete(session, NULL, 0));
    holdall_buf pulled;
    OK(holdall_session_pull_json(session, S("l"), &pulled));
    CHECK(took(&pulled, "[1,{\"a\":null}]"));
    WANT(HOLDALL_NOT_FOUND, holdall_session_pull_json(session, S("l"), &pulled));
    holdall_slice id;
    OK(holdall_session_id(session, &id));
    token its = {{0}};
    memcpy(its.text, id.data, id.len);
    COMMIT(HOLDALL_OK, session);
    session = open_token(manager, its.text);
    CHECK(is_missing(session, "s") && is_missing(session, "l") && has_json(session, "b", "true"));
    holdall_session_free(session);
}

static void increments_and_pushes_of_parallel_requests_all_arrive(void) {
    token its = stored("n", "40");
    holdall_session *a = open_token(manager, its.text), *b = open_token(manager, its.text);
    int64_t sum;
    OK(holdall_session_increment(a, S("n"), 3, &sum));
    CHECK(sum == 43);
    OK(holdall_session_decrement(b, S("n"), 1, &sum));
    CHECK(sum == 39);
    OK(holdall_session_increment(a, S("new"), 1, &sum));
    CHECK(sum == 1);
    OK(holdall_session_push_json(a, S("list"), S("\"a\"")));
    OK(holdall_session_push_json(b, S("list"), S("\"b\"")));
    WANT(HOLDALL_E_INVALID_VALUE, holdall_session_push_json(b, S("n"), S("1")));
    COMMIT(HOLDALL_OK, a);
    COMMIT(HOLDALL_OK, b);
    CHECK(is_stored(its.text, "n", "42") && is_stored(its.text, "new", "1") &&
          is_stored(its.text, "list", "[\"a\",\"b\"]"));
}

static void a_conflict_is_listed_with_its_key_and_reason(void) {
    token its = stored("list", "[1]");
    holdall_session *a = open_token(manager, its.text), *b = open_token(manager, its.text);
    int64_t sum;
    OK(holdall_session_increment(a, S("n"), 1, &sum));
    OK(holdall_session_increment(a, S("far"), INT64_MAX, &sum));
    OK(holdall_session_push_json(a, S("list"), S("2")));
    OK(holdall_session_set_bool(a, S("fine"), true));
    OK(holdall_session_set_string(b, S("n"), S("text")));
    OK(holdall_session_set_int(b, S("far"), 1));
    OK(holdall_session_set_int(b, S("list"), 1));
    COMMIT(HOLDALL_OK, b);
    holdall_commit *commit = NULL;
    OK(holdall_session_commit(a, NULL, &commit));
    CHECK(holdall_commit_conflict_count(commit) == 3);
    int seen[5] = {0};
    for (size_t i = 0; i < 3; i++) {
        holdall_slice key;
        int32_t reason;
        OK(holdall_commit_conflict(commit, i, &key, &reason));
        seen[reason]++;
        CHECK(same(key, reason == HOLDALL_CONFLICT_NOT_AN_INTEGER ? "n"
                        : reason == HOLDALL_CONFLICT_OUT_OF_RANGE ? "far"
                                                                  : "list"));
    }
    CHECK(seen[1] == 1 && seen[2] == 1 && seen[3] == 1);
    holdall_commit_free(commit);
    holdall_session_free(a);
    CHECK(is_stored(its.text, "fine", "true") && is_stored(its.text, "n", "\"text\""));
}

static void a_container_written_back_is_a_push_nothing_or_a_set_that_may_conflict(void) {
    token its = stored("list", "[1]");
    holdall_session *a = open_token(manager, its.text), *b = open_token(manager, its.text);
    OK(holdall_session_replace_json(a, S("list"), S("[1,2]")));
    OK(holdall_session_replace_json(b, S("list"), S("[1,3]")));
    COMMIT(HOLDALL_OK, a);
    COMMIT(HOLDALL_OK, b);
    CHECK(is_stored(its.text, "list", "[1,2,3]"));
    a = open_token(manager, its.text);
    OK(holdall_session_replace_json(a, S("list"), S("[1,2,3]")));
    COMMIT(HOLDALL_UNCHANGED, a);
    a = open_token(manager, its.text), b = open_token(manager, its.text);
    OK(holdall_session_replace_json(a, S("list"), S("[9]")));
    OK(holdall_session_replace_json(b, S("list"), S("[8]")));
    COMMIT(HOLDALL_OK, a);
    holdall_commit *commit = NULL;
    OK(holdall_session_commit(b, NULL, &commit));
    holdall_slice key;
    int32_t reason;
    CHECK(holdall_commit_conflict_count(commit) == 1);
    OK(holdall_commit_conflict(commit, 0, &key, &reason));
    CHECK(same(key, "list") && reason == HOLDALL_CONFLICT_OVERWRITTEN);
    holdall_commit_free(commit);
    holdall_session_free(b);
    CHECK(is_stored(its.text, "list", "[8]"));
}

static void remember_keeps_what_is_there_and_sets_what_is_not(void) {
    holdall_session *session = with_everything();
    holdall_buf seen;
    OK(holdall_session_remember_json(session, S("b"), S("1"), &seen));
    CHECK(took(&seen, "true"));
    OK(holdall_session_remember_json(session, S("made"), S("[]"), &seen));
    CHECK(took(&seen, "[]"));
    CHECK(has_json(session, "made", "[]"));
    holdall_session_free(session);
}

static void flush_clears_both_and_reset_one_of_data_and_flash(void) {
    for (int what = 0; what < 3; what++) {
        holdall_session *session = open_token(manager, "");
        OK(holdall_session_set_int(session, S("data"), 1));
        OK(holdall_session_flash_string(session, S("flash"), S("x")));
        OK(holdall_session_set_previous_url(session, S("/from")));
        token its = COMMIT(HOLDALL_OK, session);
        session = open_token(manager, its.text);
        OK(what == 2 ? holdall_session_flush(session) : holdall_session_reset(session, what == 1));
        CHECK(is_missing(session, "data") == (what != 1) && is_missing(session, "flash") == (what != 0));
        holdall_buf url;
        OK(holdall_session_previous_url(session, &url));
        CHECK(took(&url, "/from"));
        COMMIT(HOLDALL_OK, session);
        session = open_token(manager, its.text);
        CHECK(is_missing(session, "data") == (what != 1));
        holdall_session_free(session);
    }
}

/* Flash. */

static void flash_is_seen_by_the_next_request_and_by_no_further(void) {
    holdall_session *session = open_token(manager, "");
    OK(holdall_session_flash_json(session, S("json"), S("{\"a\":1}")));
    OK(holdall_session_flash_string(session, S("text"), S("saved")));
    OK(holdall_session_flash_now_json(session, S("now"), S("1")));
    CHECK(has_json(session, "now", "1") && has_json(session, "text", "\"saved\""));
    token its = COMMIT(HOLDALL_OK, session);
    session = open_token(manager, its.text);
    CHECK(has_json(session, "json", "{\"a\":1}") && has_json(session, "text", "\"saved\"") &&
          is_missing(session, "now"));
    COMMIT(HOLDALL_OK, session);
    session = open_token(manager, its.text);
    CHECK(is_missing(session, "json") && is_missing(session, "text"));
    COMMIT(HOLDALL_UNCHANGED, session);
}

static void keep_and_reflash_and_a_commit_that_keeps_flash_spare_it(void) {
    holdall_session *session = open_token(manager, "");
    OK(holdall_session_flash_string(session, S("a"), S("x")));
    OK(holdall_session_flash_string(session, S("b"), S("x")));
    token its = COMMIT(HOLDALL_OK, session);
    session = open_token(manager, its.text);
    OK(holdall_session_reflash(session));
    COMMIT(HOLDALL_OK, session);
    session = open_token(manager, its.text);
    CHECK(!is_missing(session, "a") && !is_missing(session, "b"));
    holdall_commit_options keeping = {.size = sizeof keeping, .flags = HOLDALL_KEEP_FLASH};
    holdall_commit *commit = NULL;
    WANT(HOLDALL_UNCHANGED, holdall_session_commit(session, &keeping, &commit));
    holdall_commit_free(commit);
    holdall_session_free(session);
    session = open_token(manager, its.text);
    holdall_slice keys[] = {{S("a")}, {S("absent")}};
    OK(holdall_session_keep(session, keys, 2));
    OK(holdall_session_keep(session, NULL, 0));
    COMMIT(HOLDALL_OK, session);
    session = open_token(manager, its.text);
    CHECK(!is_missing(session, "a") && is_missing(session, "b"));
    holdall_session_free(session);
}

static void under_explicit_flash_ends_when_the_commit_says_so(void) {
    holdall_session *session = open_token(manager, "");
    OK(holdall_session_flash_string(session, S("a"), S("x")));
    token its = COMMIT(HOLDALL_OK, session);
    holdall_open_options options = {.size = sizeof options, .flash = HOLDALL_FLASH_EXPLICIT};
    for (int ages = 0; ages < 2; ages++) {
        OK(holdall_manager_open_token(manager, its.text, 43, &options, &session));
        CHECK(!is_missing(session, "a"));
        holdall_commit_options how = {.size = sizeof how, .flags = ages ? HOLDALL_AGE_FLASH : 0};
        holdall_commit *commit = NULL;
        WANT(ages ? HOLDALL_OK : HOLDALL_UNCHANGED, holdall_session_commit(session, &how, &commit));
        holdall_commit_free(commit);
        holdall_session_free(session);
    }
    OK(holdall_manager_open_token(manager, its.text, 43, &options, &session));
    CHECK(is_missing(session, "a"));
    holdall_session_free(session);
}

static void a_form_is_kept_for_the_next_request(void) {
    holdall_session *session = open_token(manager, "");
    OK(holdall_session_flash_input(session, S("{\"name\":\"Ada\",\"tags\":[1]}")));
    WANT(HOLDALL_E_INVALID_VALUE, holdall_session_flash_input(session, S("[1]")));
    token its = COMMIT(HOLDALL_OK, session);
    session = open_token(manager, its.text);
    holdall_slice value;
    OK(holdall_session_old(session, S("name"), &value));
    CHECK(same(value, "\"Ada\""));
    OK(holdall_session_old(session, S("tags"), &value));
    CHECK(same(value, "[1]"));
    WANT(HOLDALL_NOT_FOUND, holdall_session_old(session, S("other"), &value));
    holdall_session_free(session);
}

/* Identity. */

static void an_id_is_43_characters_and_the_cookie_carries_it(void) {
    holdall_session *session = open_token(manager, "");
    holdall_slice id, again;
    bool is_new = false;
    OK(holdall_session_id(session, &id));
    CHECK(id.len == 43);
    OK(holdall_session_id(session, &again));
    CHECK(memcmp(id.data, again.data, 43) == 0);
    char copy[44] = {0};
    memcpy(copy, id.data, 43);
    OK(holdall_session_is_new(session, &is_new));
    CHECK(is_new);
    OK(holdall_session_set_int(session, S("n"), 1));
    token its = COMMIT(HOLDALL_OK, session);
    CHECK(strcmp(its.text, copy) == 0);
}

static void a_session_that_stays_empty_is_not_stored_and_sets_no_cookie(void) {
    holdall_session *session = open_token(manager, "");
    bool has;
    OK(holdall_session_has(session, S("n"), &has));
    OK(holdall_session_set_previous_url(session, S("/")));
    holdall_commit *commit = NULL;
    WANT(HOLDALL_UNCHANGED, holdall_session_commit(session, NULL, &commit));
    CHECK(holdall_commit_header_count(commit) == 1 && same(header_of(commit, "Vary"), "Cookie"));
    holdall_commit_free(commit);
    holdall_session_free(session);
    COMMIT(HOLDALL_UNCHANGED, open_token(manager, ""));
}

static void regenerate_keeps_the_data_under_a_new_id_and_the_old_one_is_absent(void) {
    token old = stored("n", "1");
    holdall_session *session = open_token(manager, old.text), *slow = open_token(manager, old.text);
    OK(holdall_session_set_int(slow, S("late"), 1));
    OK(holdall_session_regenerate(session));
    CHECK(is_stored(old.text, "n", "1"));
    token new = COMMIT(HOLDALL_OK, session);
    CHECK(strlen(new.text) == 43 && strcmp(new.text, old.text) != 0);
    CHECK(is_stored(new.text, "n", "1") && !is_stored(old.text, "n", "1"));
    holdall_commit *commit = NULL;
    WANT(HOLDALL_MOVED, holdall_session_commit(slow, NULL, &commit));
    CHECK(header_of(commit, "Set-Cookie").len == 0);
    holdall_commit_free(commit);
    holdall_session_free(slow);
    session = open_token(manager, new.text);
    CHECK(is_missing(session, "late"));
    holdall_session_free(session);
}

static void invalidate_leaves_nothing_but_what_is_set_afterwards(void) {
    token old = stored("n", "1");
    holdall_session *session = open_token(manager, old.text);
    OK(holdall_session_invalidate(session));
    CHECK(is_missing(session, "n"));
    OK(holdall_session_set_int(session, S("after"), 1));
    token new = COMMIT(HOLDALL_OK, session);
    CHECK(!is_stored(old.text, "n", "1") && !is_stored(new.text, "n", "1") && is_stored(new.text, "after", "1"));
}

static void destroy_acts_at_once_and_its_commit_drops_the_cookie(void) {
    token its = stored("n", "1");
    holdall_session *session = open_token(manager, its.text), *slow = open_token(manager, its.text);
    OK(holdall_session_set_int(slow, S("late"), 1));
    OK(holdall_session_destroy(session));
    OK(holdall_session_destroy(session));
    OK(holdall_session_destroy_at(session, 0));
    CHECK(!is_stored(its.text, "n", "1"));
    WANT(HOLDALL_E_MISUSE, holdall_session_set_int(session, S("n"), 1));
    holdall_commit *commit = NULL;
    WANT(HOLDALL_GONE, holdall_session_commit(session, NULL, &commit));
    CHECK(contains(header_of(commit, "Set-Cookie"), "Max-Age=0"));
    holdall_commit_free(commit);
    holdall_session_free(session);
    WANT(HOLDALL_GONE, holdall_session_commit(slow, NULL, &commit));
    CHECK(contains(header_of(commit, "Set-Cookie"), "Max-Age=0"));
    CHECK(holdall_commit_outcome(commit) == HOLDALL_GONE);
    holdall_commit_free(commit);
    holdall_session_free(slow);
    CHECK(!is_stored(its.text, "late", "1"));
}

static void timeouts_persistence_and_touch_are_taken(void) {
    token its = stored("n", "1");
    holdall_session *session = open_token(manager, its.text);
    OK(holdall_session_touch(session));
    OK(holdall_session_set_idle_timeout(session, 60));
    OK(holdall_session_set_idle_timeout(session, 0));
    OK(holdall_session_set_idle_timeout(session, 60));
    OK(holdall_session_set_absolute_timeout(session, 3600));
    WANT(HOLDALL_E_INVALID_ARGUMENT, holdall_session_set_idle_timeout(session, UINT64_MAX));
    WANT(HOLDALL_E_INVALID_ARGUMENT, holdall_session_set_absolute_timeout(session, 1000000001));
    OK(holdall_session_set_persistent(session, true));
    holdall_commit *commit = NULL;
    OK(holdall_session_commit(session, NULL, &commit));
    CHECK(contains(header_of(commit, "Set-Cookie"), "; Max-Age=60"));
    CHECK(same(header_of(commit, "Cache-Control"), "no-store"));
    holdall_commit_free(commit);
    holdall_session_free(session);
    session = open_token(manager, its.text);
    OK(holdall_session_set_persistent(session, false));
    OK(holdall_session_commit(session, NULL, &commit));
    CHECK(header_of(commit, "Set-Cookie").len > 0 && !contains(header_of(commit, "Set-Cookie"), "Max-Age"));
    holdall_commit_free(commit);
    holdall_session_free(session);
}

static void a_csrf_token_is_masked_matches_its_session_and_can_be_renewed(void) {
    holdall_session *session = open_token(manager, "");
    bool matches = true;
    OK(holdall_session_csrf_matches(session, S("x"), &matches));
    CHECK(!matches);
    holdall_buf first, second;
    OK(holdall_session_csrf_token(session, &first));
    OK(holdall_session_csrf_token(session, &second));
    CHECK(first.len == 86 && second.len == 86 && memcmp(first.data, second.data, 86) != 0);
    token its = COMMIT(HOLDALL_OK, session);
    session = open_token(manager, its.text);
    OK(holdall_session_csrf_matches(session, first.data, first.len, &matches));
    CHECK(matches);
    OK(holdall_session_csrf_matches(session, second.data, second.len, &matches));
    CHECK(matches);
    OK(holdall_session_csrf_matches(session, first.data, 85, &matches));
    CHECK(!matches);
    OK(holdall_session_csrf_matches(session, NULL, 0, &matches));
    CHECK(!matches);
    OK(holdall_session_csrf_matches(session, S("\xFF\xFE"), &matches));
    CHECK(!matches);
    OK(holdall_session_regenerate_csrf_token(session));
    OK(holdall_session_csrf_matches(session, first.data, first.len, &matches));
    CHECK(!matches);
    COMMIT(HOLDALL_OK, session);
    holdall_buf_free(&first);
    holdall_buf_free(&second);
}

static void the_previous_url_is_apart_from_the_data(void) {
    token its = stored("n", "1");
    holdall_session *session = open_token(manager, its.text);
    OK(holdall_session_set_previous_url(session, S("/a?b=\"c\"")));
    COMMIT(HOLDALL_OK, session);
    session = open_token(manager, its.text);
    holdall_buf buf;
    OK(holdall_session_previous_url(session, &buf));
    CHECK(took(&buf, "/a?b=\"c\""));
    OK(holdall_session_all(session, &buf));
    CHECK(took(&buf, "{\"n\":1}"));
    holdall_session_free(session);
}

/* Commit. */

static void a_commit_says_what_the_response_carries_and_outlives_its_session_and_manager(void) {
    holdall_manager *brief = new_manager("");
    holdall_session *session = open_token(brief, "");
    OK(holdall_session_set_int(session, S("n"), 1));
    holdall_commit *commit = NULL;
    OK(holdall_session_commit(session, NULL, &commit));
    holdall_slice name, value, key;
    int32_t reason;
    OK(holdall_commit_header(commit, 0, &name, &value));
    holdall_session_free(session);
    holdall_manager_free(brief);
    CHECK(holdall_commit_outcome(commit) == HOLDALL_OK);
    CHECK(holdall_commit_header_count(commit) == 3);
    CHECK(same(name, "Set-Cookie") && contains(value, "; Path=/; HttpOnly; SameSite=Lax; Secure"));
    CHECK(same(header_of(commit, "Cache-Control"), "no-store") && same(header_of(commit, "Vary"), "Cookie"));
    memset(&name, POISON, sizeof name);
    memset(&value, POISON, sizeof value);
    memset(&key, POISON, sizeof key);
    memset(&reason, POISON, sizeof reason);
    CHECK(holdall_commit_conflict_count(commit) == 0);
    WANT(HOLDALL_NOT_FOUND, holdall_commit_header(commit, 3, &name, &value));
    WANT(HOLDALL_NOT_FOUND, holdall_commit_header(commit, SIZE_MAX, &name, &value));
    WANT(HOLDALL_NOT_FOUND, holdall_commit_conflict(commit, 0, &key, &reason));
    CHECK(untouched(&name, sizeof name) && untouched(&value, sizeof value) && untouched(&key, sizeof key));
    CHECK(untouched(&reason, sizeof reason));
    holdall_commit_free(commit);
}

static void after_the_commit_a_session_reads_and_no_longer_writes(void) {
    holdall_session *session = open_token(manager, "");
    OK(holdall_session_set_int(session, S("n"), 1));
    holdall_commit *commit = NULL;
    OK(holdall_session_commit(session, NULL, &commit));
    holdall_commit_free(commit);
    CHECK(has_json(session, "n", "1"));
    WANT(HOLDALL_E_MISUSE, holdall_session_set_int(session, S("n"), 2));
    WANT(HOLDALL_UNCHANGED, holdall_session_commit(session, NULL, &commit));
    CHECK(holdall_commit_header_count(commit) == 0);
    holdall_commit_free(commit);
    holdall_session_free(session);
}

static void a_commit_that_failed_can_be_repeated(void) {
    token its = stored("n", "1");
    holdall_open_options options = {
        .size = sizeof options, .flags = HOLDALL_LOCK_TIMEOUT, .mode = HOLDALL_MODE_EXCLUSIVE};
    holdall_manager *hasty = NULL;
    char config[1400], driver[1200];
    strcpy(driver, check_driver);
    char *timeout = strstr(driver, "2000");
    if (timeout) memcpy(timeout, "   0", 4);
    snprintf(config, sizeof config, "{\"drivers\": {\"main\": %s}}", driver);
    OK(holdall_manager_new(config, strlen(config), &hasty));
    /* Another manager over memory is another store: only files can be shared like this. */
    holdall_manager *both = strstr(driver, "file") ? hasty : manager;
    holdall_session *holder = NULL, *writer = open_token(both, its.text);
    int64_t sum;
    OK(holdall_session_increment(writer, S("n"), 1, &sum));
    if (both == hasty) {
        OK(holdall_manager_open_token(manager, its.text, 43, &options, &holder));
        holdall_commit *commit;
        memset(&commit, POISON, sizeof commit);
        WANT(HOLDALL_E_UNAVAILABLE, holdall_session_commit(writer, NULL, &commit));
        CHECK(untouched(&commit, sizeof commit));
        CHECK(holdall_last_error_flags() == (HOLDALL_RETRYABLE | HOLDALL_LOCKED));
        holdall_session_free(holder);
    }
    COMMIT(HOLDALL_OK, writer);
    CHECK(is_stored(its.text, "n", "2"));
    holdall_manager_free(hasty);
}

static const check checks[] = {
#define A(name) \
    { #name, name }
    A(the_header_and_the_library_are_of_one_version),
    A(every_status_and_every_event_has_a_name_of_its_own),
    A(the_last_error_is_of_this_thread_and_lives_until_its_next_failing_call),
    A(a_buffer_ends_in_nul_and_can_be_freed_again),
    A(a_generated_key_opens_what_it_sealed_and_another_does_not),
    A(a_buffer_may_be_empty),
    A(a_manager_is_made_from_a_url_or_a_document_and_a_wrong_field_is_named),
    A(another_driver_has_a_cookie_of_its_own),
    A(a_cookie_header_opens_its_session_and_anything_else_a_new_one),
    A(a_token_that_is_not_known_is_never_adopted),
    A(a_key_opens_its_session_where_keyed_sessions_are_on),
    A(an_exclusive_open_makes_others_wait_until_the_commit_or_the_free),
    A(a_lock_timeout_of_an_open_holds_for_its_commit_and_its_destroy),
    A(a_read_only_session_reads_and_refuses_every_change),
    A(the_cookie_is_secure_as_the_request_was_where_the_configuration_says_auto),
    A(events_are_told_with_a_name_that_is_no_cookie),
    A(the_session_an_event_comes_from_cannot_be_used_by_its_listener),
    A(figures_and_configuration_are_json_without_secrets),
    A(a_sweep_says_what_it_did),
    A(records_can_be_seen_and_destroyed_by_their_locators),
    A(values_are_read_as_json_or_by_their_type),
    A(a_missing_key_or_another_type_leaves_the_output_as_it_was),
    A(null_is_there_but_is_not_had),
    A(all_only_and_except_are_json_objects_in_the_order_of_the_keys),
    A(a_view_lives_through_every_call_that_takes_the_session_const),
    A(a_view_of_flash_under_on_read_lives_as_long_as_any_other),
    A(inputs_are_copied),
    A(what_is_not_a_value_is_refused_with_key_and_reason_and_changes_nothing),
    A(strings_integers_and_truths_are_written_as_json),
    A(delete_takes_data_and_flash_and_pull_gives_what_it_takes),
    A(increments_and_pushes_of_parallel_requests_all_arrive),
    A(a_conflict_is_listed_with_its_key_and_reason),
    A(a_container_written_back_is_a_push_nothing_or_a_set_that_may_conflict),
    A(remember_keeps_what_is_there_and_sets_what_is_not),
    A(flush_clears_both_and_reset_one_of_data_and_flash),
    A(flash_is_seen_by_the_next_request_and_by_no_further),
    A(keep_and_reflash_and_a_commit_that_keeps_flash_spare_it),
    A(under_explicit_flash_ends_when_the_commit_says_so),
    A(a_form_is_kept_for_the_next_request),
    A(an_id_is_43_characters_and_the_cookie_carries_it),
    A(a_session_that_stays_empty_is_not_stored_and_sets_no_cookie),
    A(regenerate_keeps_the_data_under_a_new_id_and_the_old_one_is_absent),
    A(invalidate_leaves_nothing_but_what_is_set_afterwards),
    A(destroy_acts_at_once_and_its_commit_drops_the_cookie),
    A(timeouts_persistence_and_touch_are_taken),
    A(a_csrf_token_is_masked_matches_its_session_and_can_be_renewed),
    A(the_previous_url_is_apart_from_the_data),
    A(a_commit_says_what_the_response_carries_and_outlives_its_session_and_manager),
    A(after_the_commit_a_session_reads_and_no_longer_writes),
    A(a_commit_that_failed_can_be_repeated),
};

int main(int argc, char **argv) {
    check_arguments(argc, argv);
    for (int files = 0; files < 2; files++) {
        if (files)
            check_use_files("api");
        else
            check_use_memory();
        manager = new_manager("\"keyed_secret\": \"" SECRET "\",");
        check_all(checks, COUNT(checks), argc, argv);
        holdall_manager_free(manager);
    }
    return 0;
}
