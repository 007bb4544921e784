/*
 * check.h - a check: a sentence, the function that shows it to be true, and what ends the program if it is not.
 *
 * A program is a list of checks. It runs them in their order and exits 1 at the first that fails, with file, line and
 * what the library had to say. Arguments: a directory for file sessions, then, optionally, the names of the only checks
 * to run.
 */
#ifndef CHECK_H
#define CHECK_H

#include <holdall.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A literal as pointer and length. */
#define S(text) (text), sizeof(text) - 1
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
/* No function answers it, so a call that was not made cannot pass for one that was. */
#define POISON 0xA5

#define CHECK(condition)                                                      \
    do {                                                                      \
        if (!(condition)) check_failed(__FILE__, __LINE__, #condition, 0, 0); \
    } while (0)

/* Runs a call and wants this status of it. */
#define WANT(status, call) check_status(__FILE__, __LINE__, #call, (status), (call))
#define OK(call) WANT(HOLDALL_OK, call)

typedef struct {
    const char *sentence;
    void (*run)(void);
} check;

static const char *check_directory = "/tmp";
/* What the checks run over: a configuration's driver, as JSON. */
static char check_driver[1200] = "{\"type\": \"memory\"}";
static const char *check_name = "";

static void check_failed(const char *file, int line, const char *what, int32_t wanted, int32_t got) {
    holdall_slice message = holdall_last_error_message();
    fprintf(stderr, "%s:%d: %s\n    failed: %s\n    over:   %s\n", file, line, check_name, what, check_driver);
    if (wanted != got) {
        fprintf(stderr, "    wanted: %s (%d)\n", holdall_status_name(wanted), (int)wanted);
        fprintf(stderr, "    got:    %s (%d)\n", holdall_status_name(got), (int)got);
    }
    fprintf(stderr, "    the last error of this thread: %.*s\n", (int)message.len, message.data);
    exit(1);
}

static void check_status(const char *file, int line, const char *what, int32_t wanted, int32_t got) {
    if (wanted != got) check_failed(file, line, what, wanted, got);
    if (got < 0 && holdall_last_error_message().len == 0) check_failed(file, line, "an error has a message", 0, 0);
}

/* A directory of this program's own below the one it was given. */
static inline void check_use_files(const char *name) {
    char path[1000];
    snprintf(path, sizeof path, "%s/%s-%d", check_directory, name, (int)getpid());
    mkdir(path, 0700);
    snprintf(check_driver, sizeof check_driver, "{\"type\": \"file\", \"path\": \"%s\", \"lock_timeout_ms\": 2000}",
             path);
}

static inline void check_use_memory(void) {
    snprintf(check_driver, sizeof check_driver, "{\"type\": \"memory\", \"lock_timeout_ms\": 2000}");
}

static inline void check_arguments(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc < 2) {
        fprintf(stderr, "usage: %s DIRECTORY [CHECK...]\n", argv[0]);
        exit(2);
    }
    check_directory = argv[1];
}

/* How much to do: what this variable of the environment says, or so much. */
static inline unsigned long scaled(const char *variable, unsigned long usual) {
    const char *given = getenv(variable);
    return given ? strtoul(given, NULL, 0) : usual;
}

static inline void check_all(const check *checks, size_t count, int argc, char **argv) {
    for (size_t i = 0; i < count; i++) {
        int named = 0;
        for (int a = 2; a < argc; a++) named |= strcmp(argv[a], checks[i].sentence) == 0;
        if (argc > 2 && !named) continue;
        check_name = checks[i].sentence;
        checks[i].run();
        printf("ok  %s\n", check_name);
    }
}

/* A manager over the driver in use; `more` is further fields of the configuration, each with a comma behind it. */
static inline holdall_manager *new_manager(const char *more) {
    char config[4000];
    holdall_manager *manager = NULL;
    snprintf(config, sizeof config,
             "{%s \"default\": \"main\", \"drivers\": {\"main\": %s, \"other\": {\"type\": \"memory\"}}}", more,
             check_driver);
    OK(holdall_manager_new(config, strlen(config), &manager));
    CHECK(manager != NULL);
    return manager;
}

/* What a cookie carries. */
typedef struct {
    char text[64];
} token;

static inline holdall_session *open_token(const holdall_manager *manager, const char *text) {
    holdall_session *session = NULL;
    OK(holdall_manager_open_token(manager, text, strlen(text), NULL, &session));
    return session;
}

/* The value of a header that the commit has at most once; empty where it has none. */
static inline holdall_slice header_of(const holdall_commit *commit, const char *name) {
    holdall_slice found = {"", 0};
    for (size_t i = 0; i < holdall_commit_header_count(commit); i++) {
        holdall_slice its_name, value;
        OK(holdall_commit_header(commit, i, &its_name, &value));
        if (its_name.len == strlen(name) && memcmp(its_name.data, name, its_name.len) == 0) {
            CHECK(found.len == 0);
            found = value;
        }
    }
    return found;
}

/* The token in a commit's Set-Cookie line; empty where it has none. */
static inline token token_of(const holdall_commit *commit) {
    token its = {{0}};
    holdall_slice line = header_of(commit, "Set-Cookie");
    const char *start = line.len ? memchr(line.data, '=', line.len) : NULL;
    if (start) {
        const char *end = memchr(start, ';', line.len - (size_t)(start - line.data));
        size_t len = (size_t)(end - start) - 1;
        CHECK(len < sizeof its.text);
        memcpy(its.text, start + 1, len);
    }
    return its;
}

/* Commits, wants this outcome, frees both and gives the token of the cookie. */
#define COMMIT(outcome, session) commit_of(__FILE__, __LINE__, (outcome), (session))
static inline token commit_of(const char *file, int line, int32_t outcome, holdall_session *session) {
    holdall_commit *commit = NULL;
    check_status(file, line, "holdall_session_commit", outcome, holdall_session_commit(session, NULL, &commit));
    CHECK(commit != NULL);
    token its = token_of(commit);
    holdall_commit_free(commit);
    holdall_session_free(session);
    return its;
}

static inline int same(holdall_slice slice, const char *text) {
    return slice.len == strlen(text) && memcmp(slice.data, text, slice.len) == 0;
}

/* Compares an owned buffer, which also ends in NUL, and frees it. */
static inline int took(holdall_buf *buf, const char *text) {
    int equal = buf->len == strlen(text) && memcmp(buf->data, text, buf->len + 1) == 0;
    if (!equal) fprintf(stderr, "    this is %s\n    not     %s\n", buf->data ? buf->data : "(null)", text);
    holdall_buf_free(buf);
    return equal;
}

static inline int contains(holdall_slice slice, const char *part) {
    size_t len = strlen(part);
    for (size_t at = 0; at + len <= slice.len; at++) {
        if (memcmp(slice.data + at, part, len) == 0) return 1;
    }
    return 0;
}

static inline int untouched(const void *place, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (((const unsigned char *)place)[i] != POISON) return 0;
    }
    return 1;
}

#endif
