/*
 * use_after_free.c - breaks the header's rules on purpose, to prove that what watches the other programs can see it.
 *
 * Not a check: it is expected to be stopped. Arguments: "handle" uses a session that was freed, "view" reads a view of
 * one, "leak" forgets a buffer.
 */
#include <holdall.h>
#include <stdio.h>
#include <string.h>

/* Written to, so that no reading can be left out. */
static volatile char sink;

static int leak(holdall_manager *manager) {
    holdall_buf config;
    int32_t status = holdall_manager_config(manager, &config);
    memset(&config, 0, sizeof config);
    return status;
}

int main(int argc, char **argv) {
    holdall_manager *manager = NULL;
    holdall_session *session = NULL;
    holdall_slice view = {NULL, 0};
    bool is_new = false;
    const char *what = argc > 1 ? argv[1] : "";
    if (holdall_manager_new("memory:", 7, &manager) < 0) return 2;
    if (holdall_manager_open(manager, NULL, 0, NULL, &session) < 0) return 2;
    if (holdall_session_set_string(session, "key", 3, "value", 5) < 0) return 2;
    if (holdall_session_get_json(session, "key", 3, &view) < 0) return 2;
    holdall_session_free(session);
    if (strcmp(what, "view") == 0) sink = view.data[0];
    if (strcmp(what, "handle") == 0) printf("%d\n", (int)holdall_session_is_new(session, &is_new));
    if (strcmp(what, "leak") == 0 && leak(manager) < 0) return 2;
    holdall_manager_free(manager);
    return 0;
}
