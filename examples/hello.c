/*
 * hello.c - the smallest whole request: open, count a visit, commit, print the headers that belong in the response.
 *
 *     cc -std=c11 -Iinclude examples/hello.c -Ltarget/release -lholdall -o hello
 */

#include <holdall.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int failed(const char *what) {
    holdall_slice message = holdall_last_error_message();
    fprintf(stderr, "%s: %.*s\n", what, (int)message.len, message.data);
    return 1;
}

int main(void) {
    const char *config = "file:///tmp/holdall-hello";
    holdall_manager *manager = NULL;
    holdall_session *session = NULL;
    holdall_commit *commit = NULL;
    int64_t visits;

    if (holdall_manager_new(config, strlen(config), &manager) < 0) return failed("manager");
    /* The request's Cookie header; there is none here. */
    if (holdall_manager_open(manager, NULL, 0, NULL, &session) < 0) return failed("open");
    if (holdall_session_increment(session, "visits", strlen("visits"), 1, &visits) < 0) return failed("increment");
    if (holdall_session_commit(session, NULL, &commit) < 0) return failed("commit");

    printf("visits: %" PRId64 "\n", visits);
    for (size_t i = 0; i < holdall_commit_header_count(commit); i++) {
        holdall_slice name, value;
        if (holdall_commit_header(commit, i, &name, &value) == HOLDALL_OK)
            printf("%.*s: %.*s\n", (int)name.len, name.data, (int)value.len, value.data);
    }
    holdall_commit_free(commit);
    holdall_session_free(session);
    holdall_manager_free(manager);
    return 0;
}
