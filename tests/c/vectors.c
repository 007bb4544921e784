/*
 * vectors.c - runs one file of tests/vectors over one driver, through the C interface alone.
 *
 *     vectors --driver memory|file|cookie --dir SCRATCH FILE.json
 *
 * The grammar is in tests/vectors/README.md, the model is tests/vectors.rs. It prints TAP, a line for each vector, and
 * below one that failed the step, what was expected and what came. It exits 1 if one failed, and bails out with 2 where
 * the file asks for something this runner does not know: a misspelt operation must not pass for one that fails.
 */
#define _POSIX_C_SOURCE 200809L
#include <holdall.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BEGINNING_MS UINT64_C(1700000000000)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A session that was opened. */
typedef struct handle {
    struct handle *next;
    json_t *name;
    json_t *visitor;   /* NULL where it was opened without one */
    json_t *headers;   /* of the last commit: [[name, value], ...] */
    json_t *conflicts; /* of the last commit: [[key, reason], ...] */
    holdall_session *session;
} handle;

typedef struct {
    holdall_manager *manager;
    uint64_t now_ms;
    handle *handles;
    json_t *visitors; /* the cookies of each browser by their names, as `name=value` */
    json_t *kept;
} world;

static void bail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    printf("Bail out! ");
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
    exit(2);
}

/* JSON text, of any value; free it. */
static char *shown(const json_t *value) {
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    if (!text) bail("out of memory");
    return text;
}

/* What the library answers, as JSON. */

static json_t *text_of(const char *data, size_t len) {
    json_t *text = json_stringn(data, len);
    if (!text) bail("the library answered text that is not UTF-8");
    return text;
}

static json_t *viewed(int32_t *status, holdall_slice view) {
    if (*status == HOLDALL_OK) return text_of(view.data, view.len);
    if (*status != HOLDALL_NOT_FOUND) return NULL;
    *status = HOLDALL_OK;
    return json_null();
}

static json_t *owned(int32_t *status, holdall_buf *buf) {
    json_t *answer = viewed(status, (holdall_slice){buf->data, buf->len});
    holdall_buf_free(buf);
    return answer;
}

/* A step's arguments. */

static json_t *argument(const json_t *arguments, size_t index, int is_right) {
    if (!is_right) bail("argument %zu is missing or of another type: %s", index, shown(arguments));
    return json_array_get(arguments, index);
}

static holdall_slice text_at(const json_t *arguments, size_t index) {
    json_t *text = argument(arguments, index, json_is_string(json_array_get(arguments, index)));
    return (holdall_slice){json_string_value(text), json_string_length(text)};
}

static int64_t number_at(const json_t *arguments, size_t index) {
    return json_integer_value(argument(arguments, index, json_is_integer(json_array_get(arguments, index))));
}

static uint64_t natural_at(const json_t *arguments, size_t index) {
    int64_t number = number_at(arguments, index);
    argument(arguments, index, number >= 0);
    return (uint64_t)number;
}

static bool truth_at(const json_t *arguments, size_t index) {
    return json_is_true(argument(arguments, index, json_is_boolean(json_array_get(arguments, index))));
}

/* As many as the argument has elements; free it. */
static holdall_slice *keys_at(const json_t *arguments, size_t index, size_t *count) {
    json_t *list = argument(arguments, index, json_is_array(json_array_get(arguments, index)));
    *count = json_array_size(list);
    holdall_slice *keys = calloc(*count + 1, sizeof *keys);
    if (!keys) bail("out of memory");
    for (size_t i = 0; i < *count; i++) keys[i] = text_at(list, i);
    return keys;
}

/* The operations that are one call on the session, by the form of the call: what goes in and what comes out. VIEW_OF
   borrows what a key names, TAKEN owns it; BUF is of a session that may be const, FRESH of one that may not. */
typedef struct {
    const char *name;
    enum {
        ACT,
        SWITCH,
        NATURAL,
        TEXT,
        KEYS,
        VALUE,
        REMEMBER,
        SUM,
        TRUTH,
        TRUTH_OF,
        VIEW,
        VIEW_OF,
        BUF,
        FRESH,
        TAKEN,
        KEYS_OF
    } form;
    union {
        int32_t (*ACT)(holdall_session *);
        int32_t (*SWITCH)(holdall_session *, bool);
        int32_t (*NATURAL)(holdall_session *, uint64_t);
        int32_t (*TEXT)(holdall_session *, const char *, size_t);
        int32_t (*KEYS)(holdall_session *, const holdall_slice *, size_t);
        int32_t (*VALUE)(holdall_session *, const char *, size_t, const char *, size_t);
        int32_t (*REMEMBER)(holdall_session *, const char *, size_t, const char *, size_t, holdall_buf *);
        int32_t (*SUM)(holdall_session *, const char *, size_t, int64_t, int64_t *);
        int32_t (*TRUTH)(const holdall_session *, bool *);
        int32_t (*TRUTH_OF)(const holdall_session *, const char *, size_t, bool *);
        int32_t (*VIEW)(const holdall_session *, holdall_slice *);
        int32_t (*VIEW_OF)(const holdall_session *, const char *, size_t, holdall_slice *);
        int32_t (*BUF)(const holdall_session *, holdall_buf *);
        int32_t (*FRESH)(holdall_session *, holdall_buf *);
        int32_t (*TAKEN)(holdall_session *, const char *, size_t, holdall_buf *);
        int32_t (*KEYS_OF)(const holdall_session *, const holdall_slice *, size_t, holdall_buf *);
    } call;
} operation;

#define CALL(name, form, suffix)                                \
    {                                                           \
#name, form, { .form = holdall_session_##name##suffix } \
    }
static const operation OPERATIONS[] = {
    CALL(flush, ACT, ),
    CALL(reflash, ACT, ),
    CALL(regenerate, ACT, ),
    CALL(invalidate, ACT, ),
    CALL(touch, ACT, ),
    CALL(regenerate_csrf_token, ACT, ),
    CALL(reset, SWITCH, ),
    CALL(set_persistent, SWITCH, ),
    CALL(set_idle_timeout, NATURAL, ),
    CALL(set_absolute_timeout, NATURAL, ),
    CALL(destroy, NATURAL, _at),
    CALL(flash_input, TEXT, ),
    CALL(set_previous_url, TEXT, ),
    CALL(delete, KEYS, ),
    CALL(keep, KEYS, ),
    CALL(set, VALUE, _json),
    CALL(push, VALUE, _json),
    CALL(replace, VALUE, _json),
    CALL(flash, VALUE, _json),
    CALL(flash_now, VALUE, _json),
    CALL(remember, REMEMBER, _json),
    CALL(increment, SUM, ),
    CALL(decrement, SUM, ),
    CALL(is_new, TRUTH, ),
    CALL(has, TRUTH_OF, ),
    CALL(exists, TRUTH_OF, ),
    CALL(missing, TRUTH_OF, ),
    CALL(csrf_matches, TRUTH_OF, ),
    CALL(id, VIEW, ),
    CALL(get, VIEW_OF, _json),
    CALL(data, VIEW_OF, _json),
    CALL(old, VIEW_OF, ),
    CALL(all, BUF, ),
    CALL(previous_url, BUF, ),
    CALL(csrf_token, FRESH, ),
    CALL(pull, TAKEN, _json),
    CALL(only, KEYS_OF, ),
    CALL(except, KEYS_OF, ),
};

/* The answer, or NULL with any status but HOLDALL_OK. Arguments begin at 1: 0 is the handle. */
static json_t *call(const operation *operation, holdall_session *session, const json_t *arguments, int32_t *status) {
    holdall_slice a, b, view = {NULL, 0}, *keys;
    holdall_buf buf = {NULL, 0, 0};
    size_t count;
    int64_t sum = 0;
    bool truth = false;
#define DO(form, ...) (*status = operation->call.form(session, __VA_ARGS__))
#define DONE(json) (*status == HOLDALL_OK ? (json) : NULL)
    switch (operation->form) {
        case ACT:
            *status = operation->call.ACT(session);
            return DONE(json_null());
        case SWITCH:
            DO(SWITCH, truth_at(arguments, 1));
            return DONE(json_null());
        case NATURAL:
            DO(NATURAL, natural_at(arguments, 1));
            return DONE(json_null());
        case TEXT:
            a = text_at(arguments, 1);
            DO(TEXT, a.data, a.len);
            return DONE(json_null());
        case KEYS:
            keys = keys_at(arguments, 1, &count);
            DO(KEYS, keys, count);
            free(keys);
            return DONE(json_null());
        case VALUE:
            a = text_at(arguments, 1), b = text_at(arguments, 2);
            DO(VALUE, a.data, a.len, b.data, b.len);
            return DONE(json_null());
        case REMEMBER:
            a = text_at(arguments, 1), b = text_at(arguments, 2);
            DO(REMEMBER, a.data, a.len, b.data, b.len, &buf);
            return owned(status, &buf);
        case SUM:
            a = text_at(arguments, 1);
            DO(SUM, a.data, a.len, number_at(arguments, 2), &sum);
            return DONE(json_integer(sum));
        case TRUTH:
            DO(TRUTH, &truth);
            return DONE(json_boolean(truth));
        case TRUTH_OF:
            a = text_at(arguments, 1);
            DO(TRUTH_OF, a.data, a.len, &truth);
            return DONE(json_boolean(truth));
        case VIEW:
            DO(VIEW, &view);
            return viewed(status, view);
        case VIEW_OF:
            a = text_at(arguments, 1);
            DO(VIEW_OF, a.data, a.len, &view);
            return viewed(status, view);
        case BUF:
            DO(BUF, &buf);
            return owned(status, &buf);
        case FRESH:
            DO(FRESH, &buf);
            return owned(status, &buf);
        case TAKEN:
            a = text_at(arguments, 1);
            DO(TAKEN, a.data, a.len, &buf);
            return owned(status, &buf);
        case KEYS_OF:
            keys = keys_at(arguments, 1, &count);
            DO(KEYS_OF, keys, count, &buf);
            free(keys);
            return owned(status, &buf);
    }
    return NULL;
}

/* Handles: opening, committing, freeing. */

static handle **find(world *world, json_t *name) {
    handle **at = &world->handles;
    while (*at && !json_equal((*at)->name, name)) at = &(*at)->next;
    return at;
}

static void drop(handle **at) {
    handle *handle = *at;
    if (!handle) return;
    *at = handle->next;
    holdall_session_free(handle->session);
    json_decref(handle->name);
    json_decref(handle->visitor);
    json_decref(handle->headers);
    json_decref(handle->conflicts);
    free(handle);
}

static holdall_open_options open_options(const world *world, json_t *given) {
    static const struct {
        const char *name, *value;
        uint32_t number;
    } NAMED[] = {
        {"mode", "shared", HOLDALL_MODE_SHARED},       {"mode", "exclusive", HOLDALL_MODE_EXCLUSIVE},
        {"mode", "read_only", HOLDALL_MODE_READ_ONLY}, {"flash", "next_request", HOLDALL_FLASH_NEXT_REQUEST},
        {"flash", "on_read", HOLDALL_FLASH_ON_READ},   {"flash", "explicit", HOLDALL_FLASH_EXPLICIT},
    };
    holdall_open_options options = {.size = sizeof options, .flags = HOLDALL_AT, .now_ms = world->now_ms};
    const char *name;
    json_t *value;
    json_object_foreach(given, name, value) {
        size_t i = 0;
        while (json_is_string(value) && i < COUNT(NAMED) &&
               (strcmp(name, NAMED[i].name) != 0 || strcmp(json_string_value(value), NAMED[i].value) != 0))
            i++;
        if (json_is_string(value) && i < COUNT(NAMED)) {
            *(strcmp(name, "mode") == 0 ? &options.mode : &options.flash) = NAMED[i].number;
        } else if (strcmp(name, "lock_timeout_ms") == 0 && json_is_integer(value)) {
            options.flags |= HOLDALL_LOCK_TIMEOUT;
            options.lock_timeout_ms = (uint64_t)json_integer_value(value);
        } else if (strcmp(name, "secure") == 0 && json_is_boolean(value)) {
            if (json_is_true(value)) options.flags |= HOLDALL_REQUEST_IS_SECURE;
        } else {
            bail("no such option: %s: %s", name, shown(value));
        }
    }
    return options;
}

/* The Cookie header of a browser that has these cookies. */
static json_t *cookie_header(json_t *cookies) {
    json_t *header = json_string(""), *cookie;
    const char *name;
    json_object_foreach(cookies, name, cookie) {
        json_t *longer = json_sprintf("%s%s%s", json_string_value(header), json_string_length(header) ? "; " : "",
                                      json_string_value(cookie));
        json_decref(header);
        header = longer;
    }
    return header;
}

/* What a browser does with the Set-Cookie lines of a response. */
static void receive(json_t *visitors, const char *visitor, json_t *headers) {
    json_t *cookies = json_object_get(visitors, visitor), *header;
    size_t index;
    if (!cookies) json_object_set_new(visitors, visitor, cookies = json_object());
    json_array_foreach(headers, index, header) {
        const char *line = json_string_value(json_array_get(header, 1));
        if (strcmp(json_string_value(json_array_get(header, 0)), "Set-Cookie") != 0) continue;
        json_t *name = text_of(line, strcspn(line, "="));
        if (strstr(line, "; Max-Age=0"))
            json_object_del(cookies, json_string_value(name));
        else
            json_object_set_new(cookies, json_string_value(name), text_of(line, strcspn(line, ";")));
        json_decref(name);
    }
}

static json_t *open_handle(world *world, const char *how, json_t *arguments, int32_t *status) {
    holdall_open_options options = open_options(world, json_array_get(arguments, 2));
    holdall_slice from = text_at(arguments, 1);
    json_t *name = json_array_get(arguments, 0), *visitor = NULL, *sent = NULL;
    holdall_session *session = NULL;
    if (strcmp(how, "open") == 0) {
        visitor = json_array_get(arguments, 1);
        sent = cookie_header(json_object_get(world->visitors, from.data));
        from = (holdall_slice){json_string_value(sent), json_string_length(sent)};
    }
    *status = (strcmp(how, "open_token") == 0 ? holdall_manager_open_token
               : strcmp(how, "open_keyed") == 0
                   ? holdall_manager_open_keyed
                   : holdall_manager_open)(world->manager, from.data, from.len, &options, &session);
    json_decref(sent);
    if (*status != HOLDALL_OK) return NULL;
    handle *handle = calloc(1, sizeof *handle);
    if (!handle) bail("out of memory");
    drop(find(world, name));
    handle->next = world->handles;
    handle->name = json_incref(name);
    handle->visitor = json_incref(visitor);
    handle->headers = json_array();
    handle->conflicts = json_array();
    handle->session = session;
    world->handles = handle;
    return json_null();
}

/* The first line by which the last commit set a cookie, or NULL. */
static const char *set_cookie(const handle *handle) {
    size_t index;
    json_t *header;
    json_array_foreach(handle->headers, index, header) {
        const char *name = json_string_value(json_array_get(header, 0));
        if (strcmp(name, "Set-Cookie") == 0) return json_string_value(json_array_get(header, 1));
    }
    return NULL;
}

static json_t *commit(world *world, handle *handle, json_t *arguments, int32_t *status) {
    static const char *const REASONS[] = {
        [HOLDALL_CONFLICT_NOT_AN_INTEGER] = "not_an_integer",
        [HOLDALL_CONFLICT_OUT_OF_RANGE] = "out_of_range",
        [HOLDALL_CONFLICT_NOT_AN_ARRAY] = "not_an_array",
        [HOLDALL_CONFLICT_OVERWRITTEN] = "overwritten",
    };
    holdall_commit_options options = {.size = sizeof options, .flags = HOLDALL_AT, .now_ms = world->now_ms};
    json_t *ages = json_object_get(json_array_get(arguments, 1), "age_flash");
    if (ages) options.flags |= json_is_true(ages) ? HOLDALL_AGE_FLASH : HOLDALL_KEEP_FLASH;

    holdall_commit *commit = NULL;
    *status = holdall_session_commit(handle->session, &options, &commit);
    if (*status < 0) return NULL;
    const char *outcome = *status == HOLDALL_OK ? "saved" : holdall_status_name(*status);
    if (holdall_commit_outcome(commit) != *status) outcome = "another outcome than its status";
    *status = HOLDALL_OK;

    json_array_clear(handle->headers);
    for (size_t i = 0; i < holdall_commit_header_count(commit); i++) {
        holdall_slice name, value;
        if (holdall_commit_header(commit, i, &name, &value) != HOLDALL_OK) bail("header %zu cannot be read", i);
        json_array_append_new(handle->headers,
                              json_pack("[oo]", text_of(name.data, name.len), text_of(value.data, value.len)));
    }
    json_array_clear(handle->conflicts);
    for (size_t i = 0; i < holdall_commit_conflict_count(commit); i++) {
        holdall_slice key;
        int32_t reason;
        if (holdall_commit_conflict(commit, i, &key, &reason) != HOLDALL_OK) bail("conflict %zu cannot be read", i);
        if (reason < 1 || reason >= (int32_t)COUNT(REASONS)) bail("no such reason: %" PRId32, reason);
        json_array_append_new(handle->conflicts, json_pack("[os]", text_of(key.data, key.len), REASONS[reason]));
    }
    holdall_commit_free(commit);

    if (handle->visitor) receive(world->visitors, json_string_value(handle->visitor), handle->headers);
    return json_string(outcome);
}

/* What the last commit of a handle said; NULL where the operation is none of these. */
static json_t *last(const handle *handle, const char *operation) {
    const char *line = set_cookie(handle);
    if (strcmp(operation, "conflicts") == 0) return json_incref(handle->conflicts);
    if (strcmp(operation, "cookie") == 0)
        return json_string(!line ? "none" : strstr(line, "; Max-Age=0") ? "removed" : "set");
    if (strcmp(operation, "max_age") == 0) {
        const char *age = line ? strstr(line, "; Max-Age=") : NULL;
        return age ? json_integer(strtoll(age + strlen("; Max-Age="), NULL, 10)) : json_null();
    }
    if (strcmp(operation, "attributes") == 0) {
        const char *attributes = line ? strstr(line, "; ") : NULL;
        return attributes ? json_string(attributes + strlen("; ")) : json_null();
    }
    if (strcmp(operation, "headers") == 0) {
        json_t *names = json_array(), *header;
        size_t index;
        json_array_foreach(handle->headers, index, header) { json_array_append(names, json_array_get(header, 0)); }
        return names;
    }
    return NULL;
}

/* Steps. */

static bool count_record(const holdall_record *record, void *count) {
    (void)record;
    ++*(int64_t *)count;
    return true;
}

/* The answer, or NULL with any status but HOLDALL_OK. */
static json_t *perform(world *world, const char *operation, json_t *arguments, int32_t *status) {
    *status = HOLDALL_OK;
    if (strcmp(operation, "at") == 0) {
        world->now_ms = BEGINNING_MS + natural_at(arguments, 0);
        return json_null();
    }
    if (strcmp(operation, "sweep") == 0) {
        holdall_swept swept;
        *status = holdall_manager_sweep_at(world->manager, (size_t)natural_at(arguments, 0), world->now_ms, &swept);
        return *status == HOLDALL_OK ? json_integer((json_int_t)swept.removed) : NULL;
    }
    if (strcmp(operation, "records") == 0) {
        int64_t count = 0;
        *status = holdall_manager_iterate_at(world->manager, world->now_ms, count_record, &count);
        return *status == HOLDALL_OK ? json_integer(count) : NULL;
    }
    text_at(arguments, 0);
    static const char *const OPENINGS[] = {"open", "open_header", "open_token", "open_keyed"};
    for (size_t i = 0; i < COUNT(OPENINGS); i++) {
        if (strcmp(operation, OPENINGS[i]) == 0) return open_handle(world, operation, arguments, status);
    }
    handle **at = find(world, json_array_get(arguments, 0));
    if (strcmp(operation, "free") == 0) {
        drop(at);
        return json_null();
    }
    if (!*at) bail("no such handle: %s", shown(arguments));
    if (strcmp(operation, "commit") == 0) return commit(world, *at, arguments, status);
    /* The one call on the session that takes the time. */
    if (strcmp(operation, "destroy") == 0) json_array_append_new(arguments, json_integer((json_int_t)world->now_ms));
    for (size_t i = 0; i < COUNT(OPERATIONS); i++) {
        if (strcmp(operation, OPERATIONS[i].name) == 0) return call(&OPERATIONS[i], (*at)->session, arguments, status);
    }
    json_t *answer = last(*at, operation);
    if (!answer) bail("no such operation: %s", operation);
    return answer;
}

/* `$name` becomes what was kept under the name, of several names the longest. */
static json_t *filled(const world *world, json_t *value) {
    if (!json_is_string(value)) return json_incref(value);
    char *data = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&data, &len);
    if (!out) bail("out of memory");
    const char *rest = json_string_value(value), *end = rest + json_string_length(value);
    while (rest < end) {
        size_t longest = 0;
        const char *name;
        json_t *kept, *chosen = NULL;
        json_object_foreach(world->kept, name, kept) {
            size_t length = strlen(name);
            if (*rest != '$' || length <= longest || strncmp(rest + 1, name, length) != 0) continue;
            longest = length, chosen = kept;
        }
        if (chosen)
            fputs(json_string_value(chosen), out), rest += 1 + longest;
        else
            fputc(*rest++, out);
    }
    fclose(out);
    json_t *text = json_stringn(data, len);
    free(data);
    return text;
}

/* NULL where the step did what it should, else what is wrong; free it. */
static char *step(world *world, json_t *step) {
    size_t count = json_array_size(step);
    const char *mark = count > 2 ? json_string_value(json_array_get(step, count - 2)) : NULL;
    json_t *end = json_array_get(step, count - 1);
    bool answers = mark && strcmp(mark, "=>") == 0;
    bool fails = mark && strcmp(mark, "!") == 0 && json_is_string(end);
    bool keeps = mark && strcmp(mark, "->") == 0 && json_is_string(end);
    const char *operation = json_string_value(json_array_get(step, 0));
    if (!operation) bail("a step is an array that begins with an operation");

    json_t *expected = filled(world, end), *arguments = json_array();
    if (answers || fails || keeps) count -= 2;
    for (size_t i = 1; i < count; i++) json_array_append_new(arguments, filled(world, json_array_get(step, i)));
    int32_t status;
    json_t *answer = perform(world, operation, arguments, &status);

    /* Only what an operation's grammar has for an answer came as one: any other status is an error, a positive one too.
     */
    bool right = status != HOLDALL_OK ? fails && strcmp(holdall_status_name(status), json_string_value(end)) == 0
                 : answers            ? json_equal(answer, expected)
                 : keeps              ? json_is_string(answer)
                                      : !fails;
    if (right && keeps) json_object_set(world->kept, json_string_value(end), answer);
    char *why = NULL;
    if (!right) {
        char *wanted = shown(expected), *got = answer ? shown(answer) : NULL;
        size_t len;
        FILE *out = open_memstream(&why, &len);
        if (!out) bail("out of memory");
        fprintf(out, "expected %s%s, got ",
                fails     ? "the error "
                : keeps   ? "text to keep as "
                : answers ? ""
                          : "no error",
                answers || fails || keeps ? wanted : "");
        holdall_slice message = holdall_last_error_message();
        if (got)
            fprintf(out, "%s", got);
        else
            fprintf(out, "%s: %.*s", holdall_status_name(status), (int)message.len, message.data);
        fclose(out);
        free(wanted);
        free(got);
    }
    json_decref(answer);
    json_decref(expected);
    json_decref(arguments);
    return why;
}

/* Vectors. */

/* For tests; not a secret. */
static const char *const KEY = "7hT8wC5Zf1m0u9Jq2rXyKdLpBvN4sGaE6oQiRkWzMxc";

static json_t *config(json_t *vector, const char *driver, const char *scratch) {
    json_t *options = json_pack("{s:s}", "type", driver);
    if (strcmp(driver, "file") == 0) {
        char *path = calloc(1, strlen(scratch) + sizeof "/XXXXXX");
        if (!path || !mkdtemp(strcat(strcpy(path, scratch), "/XXXXXX"))) bail("no fresh directory below %s", scratch);
        json_object_set_new(options, "path", json_sprintf("%s/sessions", path));
        free(path);
    }
    json_t *config = json_pack("{s:s, s:{s:o}, s:[s]}", "default", "main", "drivers", "main", options, "keys", KEY);
    json_object_update(config, json_object_get(vector, "config"));
    return config;
}

/* The first capability that the vector needs and the driver has not, or NULL. */
static const char *lacking(holdall_manager *manager, json_t *vector) {
    holdall_buf buf = {NULL, 0, 0};
    if (holdall_manager_stats(manager, &buf) != HOLDALL_OK) bail("no stats");
    json_t *stats = json_loadb(buf.data, buf.len, JSON_ALLOW_NUL, NULL), *capabilities = NULL, *need;
    holdall_buf_free(&buf);
    if (json_unpack(stats, "{s:{s:{s:o}}}", "drivers", "main", "capabilities", &capabilities) != 0)
        bail("no capabilities");
    const char *lack = NULL;
    size_t index;
    json_array_foreach(json_object_get(vector, "needs"), index, need) {
        const char *name = json_string_value(need);
        bool wanted = *name != '!';
        if (!lack && json_is_true(json_object_get(capabilities, name + !wanted)) != wanted) lack = name;
    }
    json_decref(stats);
    return lack;
}

/* Whether it passed or was skipped. */
static bool run(json_t *vector, const char *title, size_t number, const char *driver, const char *scratch) {
    const char *name = json_string_value(json_object_get(vector, "name"));
    json_t *steps = json_object_get(vector, "steps"), *settings = config(vector, driver, scratch), *each;
    if (!name || !json_is_array(steps)) bail("vector %zu has no name or no steps", number);
    world world = {.now_ms = BEGINNING_MS, .visitors = json_object(), .kept = json_object()};
    char *text = shown(settings), *why = NULL;
    const char *lack = NULL;

    if (holdall_manager_new(text, strlen(text), &world.manager) == HOLDALL_OK) {
        lack = lacking(world.manager, vector);
        size_t index;
        json_array_foreach(steps, index, each) {
            if (lack || (why = step(&world, each))) break;
        }
        printf("%s %zu - %s: %s%s%s\n", why ? "not ok" : "ok", number, title, name, lack ? " # SKIP " : "",
               lack ? lack : "");
        if (why) {
            char *where = shown(each);
            printf("# step %zu %s: %s\n", index, where, why);
            free(where);
        }
    } else {
        why = calloc(1, 1);
        holdall_slice message = holdall_last_error_message();
        printf("not ok %zu - %s: %s\n# config %s: %.*s\n", number, title, name, text, (int)message.len, message.data);
    }
    fflush(stdout);

    /* The manager first: the header lets handles be freed in any order. */
    holdall_manager_free(world.manager);
    while (world.handles) drop(&world.handles);
    json_decref(world.visitors);
    json_decref(world.kept);
    json_decref(settings);
    free(text);
    bool passed = !why;
    free(why);
    return passed;
}

int main(int argc, char **argv) {
    const char *driver = NULL, *scratch = NULL, *path = NULL, *source;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--driver") == 0 && i + 1 < argc)
            driver = argv[++i];
        else if (strcmp(argv[i], "--dir") == 0 && i + 1 < argc)
            scratch = argv[++i];
        else
            path = argv[i];
    }
    if (!driver || !path || !scratch) bail("usage: vectors --driver memory|file|cookie --dir SCRATCH FILE.json");

    json_error_t error;
    json_t *file = json_load_file(path, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error), *vectors, *vector;
    if (!file) bail("%s:%d: %s", path, error.line, error.text);
    if (json_unpack(file, "{s:s, s:o}", "source", &source, "vectors", &vectors) != 0)
        bail("%s: no source or no vectors", path);
    const char *slash = strrchr(path, '/'), *stem = slash ? slash + 1 : path;
    json_t *title = json_sprintf("%s: %.*s", driver, (int)strcspn(stem, "."), stem);

    printf("1..%zu\n", json_array_size(vectors));
    int failed = 0;
    size_t index;
    json_array_foreach(vectors, index, vector) {
        failed += !run(vector, json_string_value(title), index + 1, driver, scratch);
    }
    json_decref(title);
    json_decref(file);
    return failed ? 1 : 0;
}
