/*
 * slow.c - makes the demo slow: preloaded, it lets every request wait between its last look at the session and its
 * commit, up to 2 ms, some longer than others. That is where others overtake it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <holdall.h>
#include <stdlib.h>
#include <time.h>

typedef int32_t (*commit_function)(holdall_session *, const holdall_commit_options *, holdall_commit **);

int32_t holdall_session_commit(holdall_session *session, const holdall_commit_options *options, holdall_commit **out) {
    struct timespec wait = {0, random() % 2000000};
    commit_function next;
    /* As POSIX has it: a function pointer from dlsym. */
    *(void **)&next = dlsym(RTLD_NEXT, "holdall_session_commit");
    nanosleep(&wait, NULL);
    return next(session, options, out);
}
