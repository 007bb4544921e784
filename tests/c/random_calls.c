/*
 * random_calls.c - random calls of every function of the header, from eight threads at once: good arguments and bad
 * ones, handles of another type, sessions and commits that change hands between threads, handles freed in any order.
 *
 * What it guards: whatever comes, each call answers with a status of the header, an error has a message, an output is
 * written where the answer says so and nowhere else, and nothing panics, crashes or leaks. HOLDALL_RANDOM_CALLS says
 * how many calls, HOLDALL_SEED which: a thread throws the same dice in every run, and only what others do meanwhile
 * differs. Undefined by the header, and so not here: use after free.
 */
#define _POSIX_C_SOURCE 200809L
#include "calls.h"
#include <pthread.h>

#define THREADS 8
#define LOWEST HOLDALL_E_PANIC

/* The functions that are no row of calls.h. */
enum {
    ABI,
    VERSION,
    STATUS_NAME,
    EVENT_NAME,
    MESSAGE,
    FLAGS,
    BUF_FREE,
    MANAGER_FREE,
    SESSION_FREE,
    COMMIT_FREE,
    OTHERS
};

/* What a thread holds and others do not; NULL where it holds nothing. */
typedef struct {
    holdall_manager *managers[2];
    holdall_session *sessions[4];
    holdall_commit *commits[2];
} hands;

typedef struct {
    uint64_t die;
    unsigned long calls, made;
    /* The call is on a session that others may call at the same time: its views may not be read. */
    bool in_contention;
    hands own;
    unsigned long called[COUNT(calls) + OTHERS], done[COUNT(calls)];
    unsigned long statuses[HOLDALL_MOVED - LOWEST + 1];
    /* Every byte of every view goes in here, so that no reading can be left out. */
    unsigned char read;
} player;

static holdall_manager *managers[3];
/* Used by all threads at the same time, against the rule: the second is told. One after the other, because each ends
 * soon. */
static holdall_session *contended[64];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Under the lock: what one thread puts down and another picks up, and names of records. */
static hands table;
static char tokens[8][43], locator[64] = "0000000000000000000000000000000000000000000000000000000000000000";

/* xorshift64*: a good enough die that gives the same throws everywhere. */
static uint64_t next(uint64_t *state) {
    *state ^= *state >> 12, *state ^= *state << 25, *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}
static size_t below(uint64_t *state, size_t limit) { return (size_t)((next(state) >> 33) % limit); }

static uint32_t random_word(uint64_t *die, uint32_t most) {
    return below(die, 8) ? (uint32_t)below(die, most + 1) : (uint32_t)next(die);
}

static holdall_slice random_text(uint64_t *die, const char *good) {
    static const char *const texts[] = {
        "n",
        "s",
        "b",
        "l",
        "k",
        "1",
        "[1,2]",
        "{}",
        "{\"a\":1}",
        "null",
        "\"x\"",
        "",
        "-1e999",
        "{\"a\":",
        "_old_input",
        "memory:",
        "9223372036854775807",
        "true",
        "nothing",
        "\xC3\xA9",
        "[[[[[[[[[]]]]]]]]]",
        "file://",
        "__Host-sid=x; __Host-sid=y",
    };
    switch (below(die, 16)) {
        case 0:
            return (holdall_slice){NULL, 0};
        case 1:
            return (holdall_slice){NULL, below(die, 100) + 1};
        case 2:
            return (holdall_slice){NULL, SIZE_MAX / 2};
        case 3:
            return (holdall_slice){"x", SIZE_MAX - below(die, 3)};
        case 4:
            return (holdall_slice){"\xFF\xFE", 2};
        case 5:
            return (holdall_slice){"\xE2\x82", 2};
        case 6:
        case 7:
        case 8:
        case 9:
        case 10:
            if (good) return (holdall_slice){good, strlen(good)};
        /* fall through */
        default: {
            const char *text = texts[below(die, COUNT(texts))];
            return (holdall_slice){text, strlen(text)};
        }
    }
}

static void ignore_event(const holdall_event *event, void *user) { (void)event, (void)user; }

static bool note_record(const holdall_record *record, void *user) {
    (void)user;
    pthread_mutex_lock(&lock);
    memcpy(locator, record->locator.data, sizeof locator);
    pthread_mutex_unlock(&lock);
    return record->bytes % 7 != 0;
}

static void read_view(player *its, const holdall_slice *view) {
    for (size_t i = 0; i < view->len; i++) its->read ^= (unsigned char)view->data[i];
}

#define SWAP(type, a, b)      \
    do {                      \
        type *had = (a);      \
        (a) = (b), (b) = had; \
    } while (0)

/* Puts down a handle and picks up what another thread put there. */
static void change_hands(player *its) {
    size_t slot = below(&its->die, 2), place = below(&its->die, COUNT(table.sessions));
    pthread_mutex_lock(&lock);
    SWAP(holdall_session, its->own.sessions[slot], table.sessions[place]);
    SWAP(holdall_commit, its->own.commits[slot], table.commits[slot]);
    SWAP(holdall_manager, its->own.managers[slot], table.managers[slot]);
    pthread_mutex_unlock(&lock);
}

static holdall_session *open_known(player *its, holdall_manager *manager) {
    char text[43];
    holdall_session *session = NULL;
    holdall_open_options options = {.size = sizeof options,
                                    .flags = HOLDALL_LOCK_TIMEOUT,
                                    .mode = (uint32_t)below(&its->die, 3),
                                    .flash = (uint32_t)below(&its->die, 4),
                                    .lock_timeout_ms = 0};
    pthread_mutex_lock(&lock);
    memcpy(text, tokens[below(&its->die, COUNT(tokens))], sizeof text);
    pthread_mutex_unlock(&lock);
    (void)holdall_manager_open_token(manager, text, sizeof text, &options, &session);
    if (session == NULL || below(&its->die, 2)) return session;
    /* Whatever is read-only, over a limit or no longer there says so. */
    (void)holdall_session_set_int(session, S("n"), 1);
    (void)holdall_session_set_string(session, S("s"), S("text"));
    (void)holdall_session_set_bool(session, S("b"), true);
    (void)holdall_session_set_json(session, S("l"), S("[]"));
    (void)holdall_session_set_previous_url(session, S("/"));
    (void)holdall_session_flash_input(session, S("{\"field\":1}"));
    return session;
}

/* One of the functions that are no row. A handle that is not of the type stays as it was. */
static void call_other(player *its, size_t which) {
    uint64_t *die = &its->die;
    uint64_t zeros[8] = {0};
    holdall_buf buf = {NULL, 0, 0};
    holdall_slice message;
    size_t slot = below(die, 2);
    bool wrong = below(die, 2);
    switch (which) {
        case ABI:
            CHECK(holdall_abi_version() == HOLDALL_ABI_VERSION);
            break;
        case VERSION:
            CHECK(strlen(holdall_version()) > 0);
            break;
        case STATUS_NAME:
            CHECK(strlen(holdall_status_name((int32_t)random_word(die, 20) - 12)) > 0);
            break;
        case EVENT_NAME:
            CHECK(strlen(holdall_event_name((int32_t)random_word(die, 20))) > 0);
            break;
        case MESSAGE:
            message = holdall_last_error_message();
            read_view(its, &message);
            break;
        case FLAGS:
            CHECK(holdall_last_error_flags() <= (HOLDALL_RETRYABLE | HOLDALL_MAY_HAVE_WRITTEN | HOLDALL_LOCKED));
            break;
        case BUF_FREE:
            if (!wrong) OK(holdall_manager_config(managers[0], &buf));
            holdall_buf_free(wrong ? NULL : &buf);
            holdall_buf_free(&buf);
            CHECK(buf.data == NULL && buf.len == 0 && buf.capacity == 0);
            break;
        case MANAGER_FREE:
            holdall_manager_free(wrong ? (void *)its->own.sessions[slot] : its->own.managers[slot]);
            if (!wrong) its->own.managers[slot] = NULL;
            break;
        case SESSION_FREE:
            holdall_session_free(wrong ? (void *)its->own.commits[slot] : its->own.sessions[slot]);
            if (!wrong) its->own.sessions[slot] = NULL;
            break;
        default:
            holdall_commit_free(wrong ? (void *)zeros : its->own.commits[slot]);
            if (!wrong) its->own.commits[slot] = NULL;
    }
}

/* Arguments for a row, some good and some not. */
static void throw_arguments(player *its, const call *row, setting *at, char its_locator[65]) {
    static uint64_t zeros[8];
    uint64_t *die = &its->die;
    size_t slot = below(die, COUNT(its->own.sessions));
    /* The manager over files is asked less often, because it is slower. */
    size_t which = below(die, 8);
    holdall_manager *manager = managers[which < 6 ? which % 2 : 2];
    if (which == 7 && its->own.managers[slot % 2]) manager = its->own.managers[slot % 2];
    if (!its->own.sessions[slot] || below(die, 10) == 0) {
        holdall_session_free(its->own.sessions[slot]);
        its->own.sessions[slot] = open_known(its, manager);
    }
    void *const handles[] = {manager, its->own.sessions[slot], its->own.commits[slot % 2], zeros, NULL};
    arguments *with = &at->with;
    *with = (arguments){.manager = handles[0], .session = handles[1], .commit = handles[2]};
    its->in_contention = row->takes & SESSION && below(die, 10) == 0;
    if (its->in_contention) with->session = contended[its->made * COUNT(contended) / its->calls];
    if (below(die, 12) == 0) with->manager = handles[1 + below(die, 4)];
    if (!its->in_contention && below(die, 12) == 0) with->session = handles[below(die, 4) ? 2 + below(die, 3) : 0];
    if (below(die, 12) == 0) with->commit = handles[below(die, 2) ? below(die, 2) : 3 + below(die, 2)];

    const char *good = row->text;
    if (row->run == c_manager_destroy) {
        pthread_mutex_lock(&lock);
        memcpy(its_locator, locator, sizeof locator);
        pthread_mutex_unlock(&lock);
        good = its_locator;
    }
    with->text = random_text(die, good);
    with->value = random_text(die, row->value);
    at->keys[0] = random_text(die, "n");
    at->keys[1] = random_text(die, "l");
    with->keys = below(die, 10) ? at->keys : NULL;
    with->keys_count = below(die, 20) ? below(die, 3) : SIZE_MAX / (below(die, 16) + 1);
    at->opening = (holdall_open_options){.size = below(die, 20) ? sizeof at->opening : below(die, 100),
                                         .flags = random_word(die, 7),
                                         .mode = random_word(die, 2),
                                         .flash = random_word(die, 3),
                                         .now_ms = below(die, 2) ? next(die) : 1700000000000u,
                                         .lock_timeout_ms = 0};
    at->committing = (holdall_commit_options){.size = below(die, 20) ? sizeof at->committing : below(die, 100),
                                              .flags = below(die, 4) ? 0 : random_word(die, 31),
                                              .now_ms = next(die) >> below(die, 64)};
    with->opening = below(die, 3) ? &at->opening : NULL;
    with->committing = below(die, 3) ? &at->committing : NULL;
    with->listener = below(die, 2) ? ignore_event : NULL;
    /* A look at all there is takes its time, NULL does not. */
    with->visitor = below(die, 10) ? NULL : note_record;
    with->number = below(die, 2) ? (int64_t)below(die, 4) : (int64_t)(next(die) >> below(die, 64));
    if (row->run == c_manager_sweep || row->run == c_manager_sweep_at) with->number &= 63;
    with->out = below(die, 20) ? (void *)&at->out : below(die, 2) ? NULL : at->out.bytes + 1;
    with->out2 = below(die, 20) ? (void *)&at->out2 : NULL;
}

/* Keeps or frees what a call gave. */
static void take_outputs(player *its, const call *row, setting *at) {
    size_t slot = below(&its->die, 2);
    if (row->takes & COMMITTING) {
        token made;
        holdall_commit_free(its->own.commits[slot]);
        its->own.commits[slot] = at->out.pointer;
        made = token_of(its->own.commits[slot]);
        if (strlen(made.text) == sizeof tokens[0]) {
            pthread_mutex_lock(&lock);
            memcpy(tokens[below(&its->die, COUNT(tokens))], made.text, sizeof tokens[0]);
            pthread_mutex_unlock(&lock);
        }
    } else if (row->takes & OPENING) {
        holdall_session_free(its->own.sessions[slot]);
        its->own.sessions[slot] = at->out.pointer;
    } else if (row->takes & HANDLE_OUT) {
        holdall_manager_free(its->own.managers[slot]);
        its->own.managers[slot] = at->out.pointer;
    } else if (row->takes & BUF_OUT) {
        holdall_buf_free(&at->out.buf);
    } else if (row->out == sizeof(holdall_slice) && !its->in_contention) {
        read_view(its, (holdall_slice *)(void *)&at->out);
        if (row->out2 == sizeof(holdall_slice)) read_view(its, (holdall_slice *)(void *)&at->out2);
    }
}

static void call_row(player *its, size_t number) {
    const call *row = &calls[number];
    char its_locator[65] = "";
    setting at;
    memset(&at, 0, sizeof at);
    throw_arguments(its, row, &at, its_locator);
    poison(&at);
    int32_t status = row->run(&at.with);
    if (row->takes & COUNTS) {
        if (status < 0 || status > 100) fail(row, "a count", status);
        its->done[number]++;
        return;
    }
    if (status <= LOWEST || status > HOLDALL_MOVED) fail(row, "a random call", status);
    its->statuses[status - LOWEST]++;
    if (status < 0 && holdall_last_error_message().len == 0) fail(row, "an error has a message", status);
    bool written = status == HOLDALL_OK || (row->takes & COMMITTING && status > 0);
    its->done[number] += written;
    if (!written && !(untouched(&at.out, sizeof at.out) && untouched(&at.out2, sizeof at.out2)))
        fail(row, "an output was written", status);
    if (!written || !row->out) return;
    if (at.with.out == NULL || (at.with.out != (void *)&at.out && row->out > 1))
        fail(row, "took an output that cannot be", status);
    if (!untouched(at.out.bytes + row->out + 1, sizeof at.out - row->out - 1))
        fail(row, "wrote behind its output", status);
    if (at.with.out == (void *)&at.out) take_outputs(its, row, &at);
}

static void *play(void *user) {
    player *its = user;
    for (; its->made < its->calls; its->made++) {
        size_t number = below(&its->die, COUNT(calls) + OTHERS);
        if (below(&its->die, 50) == 0) change_hands(its);
        its->called[number]++;
        if (number < COUNT(calls))
            call_row(its, number);
        else
            call_other(its, number - COUNT(calls));
    }
    return NULL;
}

/* Frees everything that is left, of all threads, in an order of the die. */
static void free_all(uint64_t *die, player *players) {
    void *left[(THREADS + 1) * sizeof(hands) / sizeof(void *) + COUNT(managers) + COUNT(contended)];
    int kinds[COUNT(left)];
    size_t count = 0;
#define LEFT(kind, handle) (kinds[count] = (kind), left[count++] = (handle))
    for (int i = 0; i <= THREADS; i++) {
        hands *of = i < THREADS ? &players[i].own : &table;
        for (size_t j = 0; j < COUNT(of->managers); j++) LEFT(MANAGER, of->managers[j]);
        for (size_t j = 0; j < COUNT(of->sessions); j++) LEFT(SESSION, of->sessions[j]);
        for (size_t j = 0; j < COUNT(of->commits); j++) LEFT(COMMIT_, of->commits[j]);
    }
    for (size_t i = 0; i < COUNT(managers); i++) LEFT(MANAGER, managers[i]);
    for (size_t i = 0; i < COUNT(contended); i++) LEFT(SESSION, contended[i]);
    while (count > 0) {
        size_t at = below(die, count--);
        void *handle = left[at];
        int kind = kinds[at];
        left[at] = left[count], kinds[at] = kinds[count];
        if (kind == MANAGER) holdall_manager_free(handle);
        if (kind == SESSION) holdall_session_free(handle);
        if (kind == COMMIT_) holdall_commit_free(handle);
    }
}

static void prepare(void) {
    /* Unlike elsewhere nobody waits: a thread may hold sessions of the same record for long. */
    check_use_memory();
    memcpy(strstr(check_driver, "2000"), "   0", 4);
    managers[0] = new_manager("\"keyed_secret\": \"" SECRET "\",");
    managers[1] = new_manager("\"max_keys\": 4, \"max_record_bytes\": 2048, \"flash\": \"on_read\",");
    check_use_files("random");
    memcpy(strstr(check_driver, "2000"), "   0", 4);
    managers[2] = new_manager("\"keyed_secret\": \"" SECRET "\",");
    for (size_t i = 0; i < COUNT(tokens); i++) {
        holdall_session *session = open_token(managers[i % 3], "");
        OK(holdall_session_set_int(session, S("n"), (int64_t)i));
        token its = COMMIT(HOLDALL_OK, session);
        memcpy(tokens[i], its.text, sizeof tokens[i]);
    }
    for (size_t i = 0; i < COUNT(contended); i++) {
        contended[i] = open_token(managers[i % 2], "");
        OK(holdall_session_set_int(contended[i], S("n"), 1));
    }
}

static void random_calls_from_eight_threads_never_panic_and_never_crash(void) {
    static player players[THREADS];
    pthread_t threads[THREADS];
    uint64_t seed = scaled("HOLDALL_SEED", 1);
    unsigned long wanted = scaled("HOLDALL_RANDOM_CALLS", 20000), all = 0;
    prepare();
    for (size_t i = 0; i < THREADS; i++) {
        players[i].die = (seed * THREADS + i + 1) * UINT64_C(0x9E3779B97F4A7C15);
        players[i].calls = wanted / THREADS;
        CHECK(pthread_create(&threads[i], NULL, play, &players[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    for (size_t number = 0; number < COUNT(calls) + OTHERS; number++) {
        unsigned long called = 0, done = 0;
        for (int i = 0; i < THREADS; i++) {
            called += players[i].called[number];
            if (number < COUNT(calls)) done += players[i].done[number];
        }
        all += called;
        CHECK(called > 0);
        /* Dice that give only bad arguments would prove little. A conflict needs another request at the right time. */
        if (number < COUNT(calls) && called > 2000 && done == 0 && calls[number].run != c_commit_conflict)
            fail(&calls[number], "it was never done", 0);
    }
    CHECK(all == wanted / THREADS * THREADS);
    printf("    %lu calls\n", all);
    for (int32_t status = LOWEST; status <= HOLDALL_MOVED; status++) {
        unsigned long sum = 0;
        for (int i = 0; i < THREADS; i++) sum += players[i].statuses[status - LOWEST];
        if (sum) printf("    %8lu %s\n", sum, holdall_status_name(status));
    }
    free_all(&players[0].die, players);
    check_use_memory();
}

static const check checks[] = {
#define A(name) \
    { #name, name }
    A(random_calls_from_eight_threads_never_panic_and_never_crash),
};

int main(int argc, char **argv) {
    check_arguments(argc, argv);
    check_all(checks, COUNT(checks), argc, argv);
    return 0;
}
