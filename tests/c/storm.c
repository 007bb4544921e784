/*
 * storm.c - many threads, each with a request of its own, over few sessions, on one manager.
 *
 * What it guards: every commit that was acknowledged is there, to the last increment; each thread sees its own; no call
 * waits for ever. HOLDALL_THREADS and HOLDALL_TURNS say how many; tools that watch threads run it too.
 */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include <pthread.h>

#define SESSIONS 100
/* Every commit winds it up again: when none ends for so long, all hang. */
#define WATCHDOG_S 10

typedef struct {
    unsigned number, turns;
    /* Increments of each session that were acknowledged to this thread. */
    unsigned acknowledged[SESSIONS], told_to_retry;
} worker;

static holdall_manager *manager;
static token tokens[SESSIONS];

static void *work(void *user) {
    worker *its = user;
    for (unsigned turn = 0; turn < its->turns;) {
        unsigned which = (its->number * 7919 + turn * 31) % SESSIONS;
        holdall_open_options options = {.size = sizeof options,
                                        .mode = turn % 8 ? HOLDALL_MODE_SHARED : HOLDALL_MODE_EXCLUSIVE};
        holdall_session *session = NULL;
        holdall_commit *commit = NULL;
        int64_t sum = 0;
        int32_t status = holdall_manager_open_token(manager, tokens[which].text, 43, &options, &session);
        if (status == HOLDALL_OK) status = holdall_session_increment(session, S("n"), 1, &sum);
        if (status == HOLDALL_OK) status = holdall_session_commit(session, NULL, &commit);
        if (status == HOLDALL_OK) {
            CHECK(sum > its->acknowledged[which]);
            its->acknowledged[which]++;
            turn++;
            alarm(WATCHDOG_S);
        } else {
            /* A lock that others hold for longer than one waits for it: said, and nothing stored. */
            WANT(HOLDALL_E_UNAVAILABLE, status);
            CHECK(holdall_last_error_flags() == HOLDALL_RETRYABLE);
            its->told_to_retry++;
        }
        holdall_commit_free(commit);
        holdall_session_free(session);
    }
    return NULL;
}

static void every_acknowledged_increment_of_all_threads_is_there(void) {
    unsigned count = (unsigned)scaled("HOLDALL_THREADS", 8), turns = (unsigned)scaled("HOLDALL_TURNS", 200);
    unsigned long acknowledged = 0, retries = 0;
    int64_t lost = 0;
    pthread_t *threads = calloc(count, sizeof *threads);
    worker *workers = calloc(count, sizeof *workers);
    CHECK(threads != NULL && workers != NULL);
    alarm(WATCHDOG_S);
    for (size_t i = 0; i < SESSIONS; i++) {
        holdall_session *session = open_token(manager, "");
        OK(holdall_session_set_int(session, S("n"), 0));
        tokens[i] = COMMIT(HOLDALL_OK, session);
    }
    for (unsigned i = 0; i < count; i++) {
        workers[i].number = i, workers[i].turns = turns;
        CHECK(pthread_create(&threads[i], NULL, work, &workers[i]) == 0);
    }
    for (unsigned i = 0; i < count; i++) pthread_join(threads[i], NULL);
    for (size_t which = 0; which < SESSIONS; which++) {
        int64_t stored, wanted = 0;
        holdall_session *session = open_token(manager, tokens[which].text);
        OK(holdall_session_get_int(session, S("n"), &stored));
        holdall_session_free(session);
        for (unsigned i = 0; i < count; i++) wanted += workers[i].acknowledged[which];
        lost += wanted > stored ? wanted - stored : stored - wanted;
    }
    for (unsigned i = 0; i < count; i++) {
        retries += workers[i].told_to_retry;
        for (size_t which = 0; which < SESSIONS; which++) acknowledged += workers[i].acknowledged[which];
    }
    alarm(0);
    printf("    %lld of %lu lost, %lu told to retry\n", (long long)lost, acknowledged, retries);
    CHECK(acknowledged == (unsigned long)count * turns && lost == 0);
    free(threads);
    free(workers);
}

static const check checks[] = {
#define A(name) \
    { #name, name }
    A(every_acknowledged_increment_of_all_threads_is_there),
};

int main(int argc, char **argv) {
    check_arguments(argc, argv);
    for (int files = 0; files < 2; files++) {
        if (files)
            check_use_files("storm");
        else
            check_use_memory();
        manager = new_manager("");
        check_all(checks, COUNT(checks), argc, argv);
        holdall_manager_free(manager);
    }
    return 0;
}
