/*
 * fork.c - a manager made and warmed before fork(), as gunicorn --preload, uWSGI and Apache prefork do it.
 *
 * What it guards: no two processes choose the same id; no lock is shared with a child or left held by it; no call
 * hangs; a session belongs to the process that opened it; the library starts no thread. A watchdog ends whatever hangs.
 * HOLDALL_IDS, HOLDALL_INCREMENTS and HOLDALL_FORKS say how much.
 */
#define _DEFAULT_SOURCE
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define CHILDREN 8
/* Longer than any of this takes under valgrind, shorter than anybody's patience. */
#define WATCHDOG_S 60

static holdall_manager *manager;

static int over_files(void) { return strstr(check_driver, "file") != NULL; }

static int threads_of_this_process(void) {
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks != NULL);
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) count += entry->d_name[0] != '.';
    closedir(tasks);
    return count;
}

static pid_t child_of(void (*run)(void *), void *with) {
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        /* Alarms are not inherited, and a hanging child would hang its parent's wait. */
        alarm(WATCHDOG_S);
        run(with);
        _exit(0);
    }
    return child;
}

static void wait_for(pid_t child) {
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    if (WIFSIGNALED(status))
        fprintf(stderr, "    a child was ended by signal %d%s\n", WTERMSIG(status),
                WTERMSIG(status) == SIGALRM ? ": it hung" : "");
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static token stored(void) {
    holdall_session *session = open_token(manager, "");
    OK(holdall_session_set_int(session, S("n"), 1));
    return COMMIT(HOLDALL_OK, session);
}

/* The integer under "n" of a stored session; -1 where there is none. */
static int64_t stored_n(const char *its) {
    int64_t n = -1;
    holdall_session *session = open_token(manager, its);
    int32_t status = holdall_session_get_int(session, S("n"), &n);
    CHECK(status == HOLDALL_OK || status == HOLDALL_NOT_FOUND);
    holdall_session_free(session);
    return n;
}

static void warm(void) {
    for (int i = 0; i < 200; i++) stored();
    holdall_buf stats;
    OK(holdall_manager_stats(manager, &stats));
    holdall_buf_free(&stats);
}

static void write_all(int fd, const void *bytes, size_t len) {
    for (size_t done = 0; done < len;) {
        ssize_t wrote = write(fd, (const char *)bytes + done, len - done);
        CHECK(wrote > 0 || errno == EINTR);
        if (wrote > 0) done += (size_t)wrote;
    }
}

static size_t read_all(int fd, void *bytes, size_t len) {
    size_t done = 0;
    while (done < len) {
        ssize_t got = read(fd, (char *)bytes + done, len - done);
        CHECK(got >= 0 || errno == EINTR);
        if (got == 0) break;
        if (got > 0) done += (size_t)got;
    }
    return done;
}

/* Ids. */

/* Where children leave their ids, 43 bytes each. */
static char *shared_room(size_t ids) {
    void *room = mmap(NULL, ids * 43, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(room != MAP_FAILED);
    return room;
}

static int by_text(const void *a, const void *b) { return memcmp(a, b, 43); }

static size_t duplicates(char *ids, size_t count) {
    size_t found = 0;
    qsort(ids, count, 43, by_text);
    for (size_t i = 1; i < count; i++) found += memcmp(ids + (i - 1) * 43, ids + i * 43, 43) == 0;
    return found;
}

/* A new id, the one after regenerate(), and the mask of a CSRF token: its first half, random too. */
enum { OF_A_SESSION = 3 };

typedef struct {
    unsigned long sessions;
    char *to;
} job;

static void work(void *user) {
    job *its = user;
    char *to = its->to;
    for (unsigned long i = 0; i < its->sessions; i++) {
        token old = stored();
        holdall_session *session = open_token(manager, old.text);
        holdall_buf csrf;
        int64_t sum;
        OK(holdall_session_increment(session, S("n"), 1, &sum));
        CHECK(sum == 2);
        OK(holdall_session_regenerate(session));
        OK(holdall_session_csrf_token(session, &csrf));
        token new = COMMIT(HOLDALL_OK, session);
        CHECK(stored_n(new.text) == 2 && stored_n(old.text) == -1);
        memcpy(to, old.text, 43), to += 43;
        memcpy(to, new.text, 43), to += 43;
        memcpy(to, csrf.data, 43), to += 43;
        holdall_buf_free(&csrf);
    }
}

static void parent_and_children_never_choose_the_same_id_or_mask(void) {
    job its = {.sessions = scaled("HOLDALL_IDS", 100) / 2};
    size_t each = its.sessions * OF_A_SESSION, all = (CHILDREN + 1) * each;
    char *room = shared_room(all);
    pid_t children[CHILDREN];
    for (size_t i = 0; i < CHILDREN; i++) {
        its.to = room + i * each * 43;
        children[i] = child_of(work, &its);
    }
    its.to = room + CHILDREN * each * 43;
    work(&its);
    for (int i = 0; i < CHILDREN; i++) wait_for(children[i]);
    size_t equal = duplicates(room, all);
    printf("    %lu equal among %lu ids and %lu masks\n", (unsigned long)equal, (unsigned long)(all / 3 * 2),
           (unsigned long)(all / 3));
    CHECK(equal == 0);
    munmap(room, all * 43);
}

/* What is shared: over files everything, over memory nothing. */

typedef struct {
    token before;
    int to_parent, to_child;
} meeting;

static void meet(void *user) {
    meeting *its = user;
    CHECK(stored_n(its->before.text) == (over_files() ? 1 : -1));
    token mine = stored(), theirs = {{0}};
    write_all(its->to_parent, mine.text, 43);
    CHECK(read_all(its->to_child, theirs.text, 43) == 43);
    CHECK(stored_n(theirs.text) == (over_files() ? 1 : -1));
    CHECK(stored_n(mine.text) == 1);
}

static void children_see_sessions_of_files_and_begin_with_an_empty_memory(void) {
    int up[2], down[2];
    meeting its = {.before = stored()};
    CHECK(pipe(up) == 0 && pipe(down) == 0);
    its.to_parent = up[1], its.to_child = down[0];
    pid_t child = child_of(meet, &its);
    token mine = stored(), theirs = {{0}};
    CHECK(read_all(up[0], theirs.text, 43) == 43);
    CHECK(stored_n(theirs.text) == (over_files() ? 1 : -1));
    write_all(down[1], mine.text, 43);
    wait_for(child);
    CHECK(stored_n(its.before.text) == 1 && stored_n(mine.text) == 1);
    for (int i = 0; i < 2; i++) close(up[i]), close(down[i]);
}

typedef struct {
    unsigned long times;
    token shared;
} work_order;

static void increment(void *user) {
    work_order *its = user;
    /* Over memory a worker has the sessions that it made itself, and no others. */
    token mine = over_files() ? its->shared : stored();
    CHECK(stored_n(its->shared.text) >= (over_files() ? 1 : -1));
    for (unsigned long i = 0; i < its->times; i++) {
        int64_t sum;
        holdall_session *session = open_token(manager, mine.text);
        OK(holdall_session_increment(session, S("n"), 1, &sum));
        COMMIT(HOLDALL_OK, session);
    }
    if (!over_files()) CHECK(stored_n(mine.text) == 1 + (int64_t)its->times && stored_n(its->shared.text) == -1);
}

static void workers_that_share_a_manager_lose_no_increment(void) {
    work_order its = {.times = scaled("HOLDALL_INCREMENTS", 50), .shared = stored()};
    pid_t children[CHILDREN];
    for (int i = 0; i < CHILDREN; i++) children[i] = child_of(increment, &its);
    for (int i = 0; i < CHILDREN; i++) wait_for(children[i]);
    int64_t wanted = 1 + (over_files() ? CHILDREN * (int64_t)its.times : 0), n = stored_n(its.shared.text);
    printf("    %lld of %lu increments lost\n", (long long)(wanted - n), CHILDREN * its.times);
    CHECK(n == wanted);
}

/* Handles of the parent. */

static holdall_session *of_parent[4];

static void use_the_parents_sessions(void *unused) {
    (void)unused;
    holdall_session *fresh = of_parent[0], *unread = of_parent[1], *changed = of_parent[2], *destroyed = of_parent[3];
    int64_t n;
    holdall_slice id;
    holdall_commit *commit = NULL;
    /* Never looked at: the first look is refused, and so is every further one. */
    for (int i = 0; i < 2; i++) {
        WANT(HOLDALL_E_MISUSE, holdall_session_get_int(unread, S("n"), &n));
        WANT(HOLDALL_E_MISUSE, holdall_session_set_int(unread, S("n"), 3));
        WANT(HOLDALL_E_MISUSE, holdall_session_id(unread, &id));
        WANT(HOLDALL_E_MISUSE, holdall_session_destroy(unread));
    }
    CHECK(contains(holdall_last_error_message(), "fork"));
    /* New in the parent and full of changes: two processes would store it under one id. */
    WANT(HOLDALL_E_MISUSE, holdall_session_commit(fresh, NULL, &commit));
    WANT(HOLDALL_E_MISUSE, holdall_session_commit(changed, NULL, &commit));
    WANT(HOLDALL_E_MISUSE, holdall_session_destroy(changed));
    WANT(HOLDALL_E_MISUSE, holdall_session_commit(destroyed, NULL, &commit));
    CHECK(commit == NULL);
    /* With nothing to store it may also be "unchanged": no cookie is what counts. */
    int32_t status = holdall_session_commit(unread, NULL, &commit);
    CHECK(status == HOLDALL_E_MISUSE || (status == HOLDALL_UNCHANGED && holdall_commit_header_count(commit) == 0));
    holdall_commit_free(commit);
    for (int i = 0; i < 4; i++) holdall_session_free(of_parent[i]);
    CHECK(stored_n(stored().text) == 1);
}

static void a_session_of_the_parent_is_misuse_in_the_child_and_gives_no_cookie(void) {
    token its = stored(), dead = stored();
    of_parent[0] = open_token(manager, "");
    of_parent[1] = open_token(manager, its.text);
    of_parent[2] = open_token(manager, its.text);
    of_parent[3] = open_token(manager, dead.text);
    OK(holdall_session_set_int(of_parent[0], S("n"), 5));
    OK(holdall_session_set_int(of_parent[2], S("n"), 2));
    OK(holdall_session_destroy(of_parent[3]));
    wait_for(child_of(use_the_parents_sessions, NULL));
    CHECK(stored_n(its.text) == 1);
    token fresh = COMMIT(HOLDALL_OK, of_parent[0]);
    CHECK(stored_n(fresh.text) == 5);
    COMMIT(HOLDALL_OK, of_parent[2]);
    CHECK(stored_n(its.text) == 2);
    COMMIT(HOLDALL_UNCHANGED, of_parent[1]);
    COMMIT(HOLDALL_GONE, of_parent[3]);
}

/* Locks. */

static holdall_session *exclusive(const char *its, uint64_t timeout_ms, int32_t wanted) {
    holdall_open_options options = {.size = sizeof options,
                                    .flags = HOLDALL_LOCK_TIMEOUT,
                                    .mode = HOLDALL_MODE_EXCLUSIVE,
                                    .lock_timeout_ms = timeout_ms};
    holdall_session *session = NULL;
    WANT(wanted, holdall_manager_open_token(manager, its, 43, &options, &session));
    return session;
}

static void free_the_locked_one(void *its) {
    /* The numbers of the parent's descriptors are free here: what takes one must keep it. */
    int files[32];
    for (int i = 0; i < 32; i++) CHECK((files[i] = open("/dev/null", O_RDONLY)) >= 0);
    WANT(HOLDALL_E_MISUSE, holdall_session_destroy(of_parent[0]));
    holdall_session_free(of_parent[0]);
    for (int i = 0; i < 32; i++) CHECK(fcntl(files[i], F_GETFD) >= 0);
    if (over_files()) CHECK(exclusive(its, 0, HOLDALL_E_UNAVAILABLE) == NULL);
}

static void freeing_a_locked_session_in_the_child_leaves_the_parents_lock(void) {
    token its = stored();
    of_parent[0] = exclusive(its.text, 0, HOLDALL_OK);
    wait_for(child_of(free_the_locked_one, its.text));
    CHECK(exclusive(its.text, 0, HOLDALL_E_UNAVAILABLE) == NULL);
    holdall_session_free(of_parent[0]);
    holdall_session_free(exclusive(its.text, 0, HOLDALL_OK));
}

static void linger(void *from_parent) {
    char byte;
    CHECK(read_all(*(int *)from_parent, &byte, 1) == 1);
}

static void a_child_that_lives_on_does_not_hold_the_parents_lock(void) {
    int down[2];
    token its = stored();
    of_parent[0] = exclusive(its.text, 0, HOLDALL_OK);
    CHECK(pipe(down) == 0);
    pid_t child = child_of(linger, &down[0]);
    /* Given back here, while the child has never called the library. */
    holdall_session_free(of_parent[0]);
    holdall_session_free(exclusive(its.text, 0, HOLDALL_OK));
    write_all(down[1], "x", 1);
    wait_for(child);
    close(down[0]), close(down[1]);
}

static void hold_and_die(void *its) {
    (void)exclusive(its, 0, HOLDALL_OK);
    raise(SIGKILL);
}

static void a_lock_ends_with_the_process_that_held_it(void) {
    if (!over_files()) return;
    token its = stored();
    pid_t child = child_of(hold_and_die, its.text);
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    holdall_session_free(exclusive(its.text, 0, HOLDALL_OK));
}

typedef struct {
    token locked;
    int ready, from_parent;
} orphan;

static void outlive_the_parent(void *user) {
    orphan *its = user;
    char byte;
    write_all(its->ready, "x", 1);
    CHECK(read_all(its->from_parent, &byte, 1) == 1);
}

static void hold_fork_and_die(void *user) {
    orphan *its = user;
    (void)exclusive(its->locked.text, 0, HOLDALL_OK);
    (void)child_of(outlive_the_parent, its);
    raise(SIGKILL);
}

/* A lock belongs to the open file, which a child shares: unless it closes its copy, the lock outlives the one who took
 * it. */
static void a_lock_ends_with_its_process_though_a_child_of_it_lives_on(void) {
    if (!over_files()) return;
    int up[2], down[2];
    char byte;
    CHECK(pipe(up) == 0 && pipe(down) == 0);
    orphan its = {.locked = stored(), .ready = up[1], .from_parent = down[0]};
    pid_t child = child_of(hold_fork_and_die, &its);
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK(read_all(up[0], &byte, 1) == 1);
    holdall_session_free(exclusive(its.locked.text, 0, HOLDALL_OK));
    write_all(down[1], "x", 1);
    for (int i = 0; i < 2; i++) close(up[i]), close(down[i]);
}

/* Threads. */

static volatile int stop;
static token hot[4];
static pthread_mutex_t turns_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned long turns;

static void *hammer(void *number) {
    uint64_t i = (uint64_t)(size_t)number;
    unsigned long mine = 0;
    while (!stop) {
        i++;
        int64_t sum;
        holdall_open_options options = {.size = sizeof options,
                                        .mode = i % 2 ? HOLDALL_MODE_EXCLUSIVE : HOLDALL_MODE_SHARED};
        holdall_session *session = NULL;
        int32_t status = holdall_manager_open_token(manager, hot[i % COUNT(hot)].text, 43, &options, &session);
        CHECK(status == HOLDALL_OK);
        OK(holdall_session_increment(session, S("n"), 1, &sum));
        COMMIT(HOLDALL_OK, session);
        if (i % 16 == 0) stored();
        mine++;
    }
    pthread_mutex_lock(&turns_lock);
    turns += mine;
    pthread_mutex_unlock(&turns_lock);
    return NULL;
}

typedef struct {
    token locked;
    char *id;
    int from_parent;
} visit;

static void one_request(void *user) {
    visit *its = user;
    token mine = stored();
    memcpy(its->id, mine.text, 43);
    CHECK(stored_n(mine.text) == 1);
    if (!over_files()) {
        CHECK(stored_n(hot[0].text) == -1);
        return;
    }
    int64_t sum;
    /* Not free here, though nobody in this process has it. */
    CHECK(exclusive(its->locked.text, 0, HOLDALL_E_UNAVAILABLE) == NULL);
    holdall_session *session = exclusive(hot[0].text, WATCHDOG_S * 1000, HOLDALL_OK);
    OK(holdall_session_increment(session, S("n"), 1, &sum));
    COMMIT(HOLDALL_OK, session);
}

static void children_of_a_busy_parent_finish_and_share_no_id_and_no_lock(void) {
    enum { AT_ONCE = 4 };
    pthread_t threads[3];
    int64_t before = 0, after = 0;
    stop = 0, turns = 0;
    for (size_t i = 0; i < COUNT(hot); i++) hot[i] = stored();
    for (size_t i = 0; i < COUNT(hot); i++) before += stored_n(hot[i].text);
    for (size_t i = 0; i < COUNT(threads); i++) CHECK(pthread_create(&threads[i], NULL, hammer, (void *)i) == 0);
    size_t rounds = scaled("HOLDALL_FORKS", 200) / (AT_ONCE + 1), visits = rounds * AT_ONCE;
    char *room = shared_room(visits);
    visit its = {.locked = stored()};
    holdall_session *locked = exclusive(its.locked.text, 0, HOLDALL_OK);
    for (size_t round = 0; round < rounds; round++) {
        pid_t children[AT_ONCE], lingering;
        int down[2];
        for (size_t i = 0; i < AT_ONCE; i++) {
            its.id = room + (round * AT_ONCE + i) * 43;
            children[i] = child_of(one_request, &its);
        }
        CHECK(pipe(down) == 0);
        lingering = child_of(linger, &down[0]);
        for (int i = 0; i < AT_ONCE; i++) wait_for(children[i]);
        /* A child that was forked under the lock still lives: it must not have kept it. */
        holdall_session_free(locked);
        locked = exclusive(its.locked.text, 0, HOLDALL_OK);
        write_all(down[1], "x", 1);
        wait_for(lingering);
        close(down[0]), close(down[1]);
    }
    stop = 1;
    for (size_t i = 0; i < COUNT(threads); i++) pthread_join(threads[i], NULL);
    holdall_session_free(locked);
    for (size_t i = 0; i < COUNT(hot); i++) after += stored_n(hot[i].text);
    size_t equal = duplicates(room, visits);
    printf("    %lu requests in the parent beside %lu forks, %lu equal ids\n", turns, (unsigned long)(visits + rounds),
           (unsigned long)equal);
    CHECK(turns > 0 && equal == 0);
    CHECK(after - before == (int64_t)turns + (over_files() ? (int64_t)visits : 0));
    munmap(room, visits * 43);
}

static void grandchild(void *user) {
    meeting *its = user;
    CHECK(stored_n(its->before.text) == (over_files() ? 1 : -1));
    CHECK(stored_n(stored().text) == 1);
}

static void fork_again(void *user) {
    meeting *its = user;
    its->before = stored();
    wait_for(child_of(grandchild, its));
    CHECK(stored_n(its->before.text) == 1);
}

static void a_child_may_fork_again(void) {
    meeting its = {.before = {{0}}};
    wait_for(child_of(fork_again, &its));
}

static int tasks_before;

static void the_library_starts_no_thread(void) {
    CHECK(tasks_before == 1);
    CHECK(threads_of_this_process() == tasks_before);
}

static const check checks[] = {
#define A(name) \
    { #name, name }
    A(parent_and_children_never_choose_the_same_id_or_mask),
    A(children_see_sessions_of_files_and_begin_with_an_empty_memory),
    A(workers_that_share_a_manager_lose_no_increment),
    A(a_session_of_the_parent_is_misuse_in_the_child_and_gives_no_cookie),
    A(freeing_a_locked_session_in_the_child_leaves_the_parents_lock),
    A(a_child_that_lives_on_does_not_hold_the_parents_lock),
    A(a_lock_ends_with_the_process_that_held_it),
    A(a_lock_ends_with_its_process_though_a_child_of_it_lives_on),
    A(a_child_may_fork_again),
    A(children_of_a_busy_parent_finish_and_share_no_id_and_no_lock),
    A(the_library_starts_no_thread),
};

int main(int argc, char **argv) {
    check_arguments(argc, argv);
    alarm(WATCHDOG_S);
    tasks_before = threads_of_this_process();
    for (int files = 0; files < 2; files++) {
        if (files)
            check_use_files("fork");
        else
            check_use_memory();
        manager = new_manager("");
        warm();
        check_all(checks, COUNT(checks), argc, argv);
        holdall_manager_free(manager);
    }
    return 0;
}
