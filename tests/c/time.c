/*
 * time.c - idle and absolute timeouts to the millisecond, in a time that is injected, over memory and over files.
 *
 * What it guards: a session lives up to one millisecond before its end and not at it; the earlier of the two timeouts
 * wins; use extends the idle one only; a clock that jumps makes sessions expire or live, and never anything worse. No
 * call here asks the system's clock.
 */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include <time.h>

#define SECOND UINT64_C(1000)
#define IDLE (100 * SECOND)
#define ABSOLUTE (1000 * SECOND)
#define NEW_IDLE (20 * SECOND)
#define SECRET "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
/* Some day of 2023. */
#define START (UINT64_C(1700000000) * SECOND)

static holdall_manager *manager; /* touches at every commit, and takes no account of cookies that never came back */
static holdall_manager *sparing; /* with the defaults for both: a tenth of the idle timeout, and a short first life */

static holdall_session *open_at(holdall_manager *of, token its, uint64_t now_ms) {
    holdall_open_options options = {.size = sizeof options, .flags = HOLDALL_AT, .now_ms = now_ms};
    holdall_session *session = NULL;
    OK(holdall_manager_open_token(of, its.text, strlen(its.text), &options, &session));
    return session;
}

/* Commits at a time, wants this outcome, frees both and gives the cookie's token. */
#define COMMIT_AT(outcome, session, now_ms) commit_at(__LINE__, outcome, session, now_ms)
static token commit_at(int line, int32_t outcome, holdall_session *session, uint64_t now_ms) {
    holdall_commit_options options = {.size = sizeof options, .flags = HOLDALL_AT, .now_ms = now_ms};
    holdall_commit *commit = NULL;
    check_status(__FILE__, line, "holdall_session_commit", outcome, holdall_session_commit(session, &options, &commit));
    token its = token_of(commit);
    holdall_commit_free(commit);
    holdall_session_free(session);
    return its;
}

static token stored_at(holdall_manager *of, uint64_t now_ms) {
    token none = {{0}};
    holdall_session *session = open_at(of, none, now_ms);
    OK(holdall_session_set_int(session, S("n"), 1));
    return COMMIT_AT(HOLDALL_OK, session, now_ms);
}

/* Looks without touching: read-only. */
static int lives_at(holdall_manager *of, token its, uint64_t now_ms) {
    holdall_open_options options = {
        .size = sizeof options, .flags = HOLDALL_AT, .mode = HOLDALL_MODE_READ_ONLY, .now_ms = now_ms};
    holdall_session *session = NULL;
    bool is_new;
    OK(holdall_manager_open_token(of, its.text, 43, &options, &session));
    OK(holdall_session_is_new(session, &is_new));
    holdall_session_free(session);
    return !is_new;
}

static void used_at(holdall_manager *of, token its, uint64_t now_ms) {
    holdall_session *session = open_at(of, its, now_ms);
    int64_t n;
    OK(holdall_session_get_int(session, S("n"), &n));
    COMMIT_AT(HOLDALL_UNCHANGED, session, now_ms);
}

static void a_session_lives_up_to_its_idle_timeout_and_not_at_it(void) {
    token its = stored_at(manager, START);
    CHECK(lives_at(manager, its, START));
    CHECK(lives_at(manager, its, START + IDLE - 1));
    CHECK(!lives_at(manager, its, START + IDLE));
}

static void an_expired_session_that_was_met_stays_absent(void) {
    token its = stored_at(manager, START);
    holdall_session *session = open_at(manager, its, START + IDLE);
    bool is_new;
    OK(holdall_session_is_new(session, &is_new));
    CHECK(is_new);
    OK(holdall_session_set_int(session, S("n"), 2));
    token next = COMMIT_AT(HOLDALL_OK, session, START + IDLE);
    CHECK(strlen(next.text) == 43 && strcmp(next.text, its.text) != 0);
    CHECK(!lives_at(manager, its, START));
}

static void use_extends_the_idle_timeout(void) {
    token its = stored_at(manager, START);
    used_at(manager, its, START + IDLE - 1);
    CHECK(lives_at(manager, its, START + 2 * IDLE - 2));
    CHECK(!lives_at(manager, its, START + 2 * IDLE - 1));
}

static void the_commit_counts_and_not_the_opening(void) {
    token its = stored_at(manager, START);
    holdall_session *session = open_at(manager, its, START);
    OK(holdall_session_set_int(session, S("n"), 2));
    COMMIT_AT(HOLDALL_OK, session, START + 50 * SECOND);
    CHECK(lives_at(manager, its, START + 50 * SECOND + IDLE - 1));
    CHECK(!lives_at(manager, its, START + 50 * SECOND + IDLE));
}

static void reading_extends_it_only_after_a_tenth_has_passed_and_touch_at_once(void) {
    token its = stored_at(sparing, START);
    used_at(sparing, its, START);
    used_at(sparing, its, START + IDLE / 10 - 1);
    CHECK(!lives_at(sparing, its, START + IDLE));

    its = stored_at(sparing, START);
    used_at(sparing, its, START);
    used_at(sparing, its, START + IDLE / 10);
    CHECK(lives_at(sparing, its, START + IDLE / 10 + IDLE - 1));
    CHECK(!lives_at(sparing, its, START + IDLE / 10 + IDLE));

    its = stored_at(sparing, START);
    used_at(sparing, its, START);
    holdall_session *session = open_at(sparing, its, START + 1);
    OK(holdall_session_touch(session));
    COMMIT_AT(HOLDALL_UNCHANGED, session, START + 1);
    CHECK(lives_at(sparing, its, START + IDLE));
    CHECK(!lives_at(sparing, its, START + IDLE + 1));
}

static void a_record_lives_briefly_until_its_cookie_has_come_back(void) {
    token never = stored_at(sparing, START), once = stored_at(sparing, START);
    CHECK(lives_at(sparing, never, START + NEW_IDLE - 1));
    CHECK(!lives_at(sparing, never, START + NEW_IDLE));
    used_at(sparing, once, START + NEW_IDLE - 1);
    CHECK(lives_at(sparing, once, START + NEW_IDLE - 1 + IDLE - 1));
    CHECK(!lives_at(sparing, once, START + NEW_IDLE - 1 + IDLE));
}

static void the_absolute_timeout_is_not_extended_by_use(void) {
    token its = stored_at(manager, START);
    for (uint64_t at = IDLE / 2; at < ABSOLUTE; at += IDLE / 2) {
        holdall_session *session = open_at(manager, its, START + at);
        int64_t sum;
        OK(holdall_session_increment(session, S("n"), 1, &sum));
        CHECK(sum == 1 + (int64_t)(at / (IDLE / 2)));
        COMMIT_AT(HOLDALL_OK, session, START + at);
    }
    CHECK(lives_at(manager, its, START + ABSOLUTE - 1));
    CHECK(!lives_at(manager, its, START + ABSOLUTE));
}

static void a_commit_after_the_absolute_timeout_is_gone(void) {
    token its = stored_at(manager, START);
    for (uint64_t at = IDLE - 1; at < ABSOLUTE; at += IDLE - 1) used_at(manager, its, START + at);
    holdall_session *session = open_at(manager, its, START + ABSOLUTE - 1);
    OK(holdall_session_set_int(session, S("n"), 2));
    COMMIT_AT(HOLDALL_GONE, session, START + ABSOLUTE);
    CHECK(!lives_at(manager, its, START + ABSOLUTE));
}

static void a_commit_after_the_idle_timeout_is_gone(void) {
    token its = stored_at(manager, START);
    holdall_session *session = open_at(manager, its, START + IDLE - 1);
    OK(holdall_session_set_int(session, S("n"), 2));
    COMMIT_AT(HOLDALL_GONE, session, START + IDLE);
    CHECK(!lives_at(manager, its, START + IDLE));
}

static void a_timeout_of_its_own_can_only_be_shorter(void) {
    token its = stored_at(manager, START);
    holdall_session *session = open_at(manager, its, START);
    OK(holdall_session_set_idle_timeout(session, 10));
    COMMIT_AT(HOLDALL_OK, session, START);
    CHECK(lives_at(manager, its, START + 10 * SECOND - 1));
    CHECK(!lives_at(manager, its, START + 10 * SECOND));

    its = stored_at(manager, START);
    session = open_at(manager, its, START);
    OK(holdall_session_set_idle_timeout(session, 1000000));
    OK(holdall_session_set_absolute_timeout(session, 1000000));
    COMMIT_AT(HOLDALL_OK, session, START);
    CHECK(lives_at(manager, its, START + IDLE - 1));
    CHECK(!lives_at(manager, its, START + IDLE));

    its = stored_at(manager, START);
    session = open_at(manager, its, START);
    OK(holdall_session_set_absolute_timeout(session, 150));
    COMMIT_AT(HOLDALL_OK, session, START);
    used_at(manager, its, START + 90 * SECOND);
    CHECK(lives_at(manager, its, START + 150 * SECOND - 1));
    CHECK(!lives_at(manager, its, START + 150 * SECOND));
}

static void the_earlier_of_the_two_wins(void) {
    token its = stored_at(manager, START);
    holdall_session *session = open_at(manager, its, START);
    OK(holdall_session_set_absolute_timeout(session, 30));
    OK(holdall_session_set_idle_timeout(session, 20));
    COMMIT_AT(HOLDALL_OK, session, START);
    CHECK(lives_at(manager, its, START + 20 * SECOND - 1));
    used_at(manager, its, START + 15 * SECOND);
    CHECK(lives_at(manager, its, START + 30 * SECOND - 1));
    CHECK(!lives_at(manager, its, START + 30 * SECOND));
}

static void regenerate_keeps_the_age_and_invalidate_begins_anew(void) {
    for (int fresh = 0; fresh < 2; fresh++) {
        token its = stored_at(manager, START);
        holdall_session *session = open_at(manager, its, START + IDLE / 2);
        OK(fresh ? holdall_session_invalidate(session) : holdall_session_regenerate(session));
        OK(holdall_session_set_int(session, S("n"), 1));
        its = COMMIT_AT(HOLDALL_OK, session, START + IDLE / 2);
        for (uint64_t at = IDLE; at < ABSOLUTE; at += IDLE / 2) used_at(manager, its, START + at);
        CHECK(lives_at(manager, its, START + ABSOLUTE - 1));
        CHECK(lives_at(manager, its, START + ABSOLUTE) == fresh);
        if (!fresh) continue;
        used_at(manager, its, START + ABSOLUTE);
        CHECK(lives_at(manager, its, START + ABSOLUTE + IDLE / 2 - 1));
        CHECK(!lives_at(manager, its, START + ABSOLUTE + IDLE / 2));
    }
}

static void for_a_minute_the_old_id_answers_moved_and_then_gone(void) {
    for (uint64_t late = 0; late < 2; late++) {
        token its = stored_at(manager, START);
        holdall_session *slow = open_at(manager, its, START), *session = open_at(manager, its, START);
        OK(holdall_session_set_int(slow, S("n"), 2));
        OK(holdall_session_regenerate(session));
        COMMIT_AT(HOLDALL_OK, session, START);
        CHECK(!lives_at(manager, its, START));
        COMMIT_AT(late ? HOLDALL_GONE : HOLDALL_MOVED, slow, START + 60 * SECOND - 1 + late);
    }
}

static void a_clock_that_was_set_back_lets_a_session_live_and_shortens_its_end_at_the_next_commit(void) {
    uint64_t before = START - 24 * 3600 * SECOND;
    token its = stored_at(manager, START);
    CHECK(lives_at(manager, its, before));
    used_at(manager, its, before);
    CHECK(lives_at(manager, its, before + IDLE - 1));
    CHECK(!lives_at(manager, its, before + IDLE));
}

static void a_clock_that_was_set_back_does_not_lengthen_the_absolute_timeout(void) {
    uint64_t before = START - 24 * 3600 * SECOND;
    token its = stored_at(manager, START);
    for (uint64_t at = 0; at < ABSOLUTE; at += IDLE / 2) {
        holdall_session *session = open_at(manager, its, before + at);
        int64_t sum;
        OK(holdall_session_increment(session, S("n"), 1, &sum));
        COMMIT_AT(HOLDALL_OK, session, before + at);
    }
    CHECK(!lives_at(manager, its, before + ABSOLUTE));
}

static void the_ends_of_time_are_no_trap(void) {
    static const uint64_t times[] = {0, 1, UINT64_MAX - 1, UINT64_MAX, INT64_MAX};
    for (size_t i = 0; i < COUNT(times); i++) {
        for (size_t j = 0; j < COUNT(times); j++) {
            token none = {{0}};
            holdall_session *session = open_at(manager, none, times[i]);
            OK(holdall_session_set_int(session, S("n"), 1));
            holdall_commit_options options = {.size = sizeof options, .flags = HOLDALL_AT, .now_ms = times[j]};
            holdall_commit *commit = NULL;
            CHECK(holdall_session_commit(session, &options, &commit) >= 0);
            token its = token_of(commit);
            holdall_commit_free(commit);
            holdall_session_free(session);
            if (its.text[0] == 0) continue;
            for (size_t k = 0; k < COUNT(times); k++) (void)lives_at(manager, its, times[k]);
            session = open_at(manager, its, times[i]);
            OK(holdall_session_destroy_at(session, times[j]));
            holdall_session_free(session);
        }
    }
}

static void destroy_at_ends_a_session_for_all_time(void) {
    token its = stored_at(manager, START);
    holdall_session *session = open_at(manager, its, START), *slow = open_at(manager, its, START);
    OK(holdall_session_set_int(slow, S("n"), 2));
    OK(holdall_session_destroy_at(session, START + 1));
    holdall_session_free(session);
    CHECK(!lives_at(manager, its, START));
    COMMIT_AT(HOLDALL_GONE, slow, START + 2);
    CHECK(!lives_at(manager, its, START + 2));
    /* Of an expired one too. */
    its = stored_at(manager, START);
    session = open_at(manager, its, START + IDLE - 1);
    OK(holdall_session_destroy_at(session, START + 2 * IDLE));
    holdall_session_free(session);
    CHECK(!lives_at(manager, its, START));
}

/* Sweeps to the end; gives how many were removed. */
static size_t swept_at(holdall_manager *of, size_t limit, uint64_t now_ms) {
    holdall_swept swept;
    size_t removed = 0;
    int steps = 0;
    do {
        OK(holdall_manager_sweep_at(of, limit, now_ms, &swept));
        CHECK(swept.looked_at <= limit && swept.removed <= swept.looked_at && ++steps < 100000);
        removed += swept.removed;
    } while (!swept.finished);
    return removed;
}

/* Two passes: one may have begun in the middle. */
static size_t swept_all_at(holdall_manager *of, uint64_t now_ms) {
    size_t removed = swept_at(of, 100, now_ms);
    return removed + swept_at(of, 100, now_ms);
}

/* A sweep may come up to a 512th of the idle timeout late, and at least a second: the wheel of the memory driver has
 * teeth. */
#define LATE (2 * SECOND)

static void sweeps_remove_what_has_expired(holdall_manager *of, uint64_t start) {
    token its[20];
    for (int i = 0; i < 20; i++) its[i] = stored_at(of, start + (i % 2) * IDLE / 2);
    CHECK(swept_all_at(of, start + IDLE - 1) == 0);
    CHECK(swept_all_at(of, start + IDLE + LATE) == 10);
    for (int i = 0; i < 20; i++) CHECK(lives_at(of, its[i], start) == i % 2);
    CHECK(swept_all_at(of, start + IDLE + IDLE / 2 - 1) == 0);
    CHECK(swept_all_at(of, start + IDLE + IDLE / 2 + LATE) == 10);
}

/* A manager over a store that nobody has swept yet. */
static holdall_manager *unswept_manager(const char *name) {
    if (strstr(check_driver, "file")) check_use_files(name);
    return new_manager(
        "\"idle_timeout_s\": 100, \"absolute_timeout_s\": 1000, \"new_idle_timeout_s\": 100, \"touch_after\": 0,");
}

static void a_sweep_removes_what_has_expired_and_nothing_else(void) {
    holdall_manager *its = unswept_manager("sweep-now");
    sweeps_remove_what_has_expired(its, (uint64_t)time(NULL) * SECOND);
    holdall_manager_free(its);
}

static void a_sweep_by_a_clock_far_ahead_does_the_same(void) {
    holdall_manager *its = unswept_manager("sweep-ahead");
    sweeps_remove_what_has_expired(its, (uint64_t)(time(NULL) + 10 * 365 * 86400) * SECOND);
    holdall_manager_free(its);
}

static void a_sweep_by_a_clock_far_behind_does_the_same(void) {
    holdall_manager *its = unswept_manager("sweep-behind");
    sweeps_remove_what_has_expired(its, START);
    holdall_manager_free(its);
}

static void a_sweep_does_the_same_after_the_clock_was_ahead_for_a_while(void) {
    holdall_manager *its = unswept_manager("sweep-back");
    uint64_t now_ms = (uint64_t)time(NULL) * SECOND;
    (void)swept_all_at(its, now_ms + 10 * UINT64_C(365) * 86400 * SECOND);
    sweeps_remove_what_has_expired(its, now_ms);
    holdall_manager_free(its);
}

static bool count_one(const holdall_record *record, void *user) {
    CHECK(record->expiry_ms == START + IDLE);
    ++*(int *)user;
    return true;
}

static void iterate_shows_what_lives_at_the_time_it_is_given(void) {
    holdall_manager *its = unswept_manager("iterate");
    for (uint64_t at = IDLE - 1; at <= IDLE; at++) {
        int seen = 0;
        stored_at(its, START);
        OK(holdall_manager_iterate_at(its, START + at, count_one, &seen));
        CHECK(seen == (at < IDLE ? 1 : 0));
    }
    holdall_manager_free(its);
}

static void a_keyed_session_expires_like_any_other(void) {
    holdall_open_options options = {.size = sizeof options, .flags = HOLDALL_AT, .now_ms = START};
    holdall_session *session = NULL;
    OK(holdall_manager_open_keyed(manager, S("192.0.2.1"), &options, &session));
    OK(holdall_session_set_int(session, S("n"), 1));
    COMMIT_AT(HOLDALL_OK, session, START);
    for (uint64_t at = IDLE - 1; at <= IDLE; at++) {
        bool is_new;
        options.now_ms = START + at;
        OK(holdall_manager_open_keyed(manager, S("192.0.2.1"), &options, &session));
        OK(holdall_session_is_new(session, &is_new));
        CHECK(is_new == (at == IDLE));
        holdall_session_free(session);
    }
    /* Its name is free again. */
    OK(holdall_manager_open_keyed(manager, S("192.0.2.1"), &options, &session));
    OK(holdall_session_set_int(session, S("n"), 2));
    COMMIT_AT(HOLDALL_OK, session, START + IDLE);
    OK(holdall_manager_open_keyed(manager, S("192.0.2.1"), &options, &session));
    int64_t n;
    OK(holdall_session_get_int(session, S("n"), &n));
    CHECK(n == 2);
    OK(holdall_session_destroy_at(session, START + IDLE));
    holdall_session_free(session);
}

static void the_max_age_of_a_cookie_is_what_the_server_leaves_it(void) {
    token its = stored_at(manager, START);
    static const struct {
        uint64_t at;
        const char *max_age;
    } steps[] = {{99, "; Max-Age=100"},
                 {198, 0},
                 {297, 0},
                 {396, 0},
                 {495, 0},
                 {594, 0},
                 {693, 0},
                 {792, 0},
                 {891, "; Max-Age=100"},
                 {950, "; Max-Age=50"}};
    for (size_t i = 0; i < COUNT(steps); i++) {
        uint64_t now_ms = START + steps[i].at * SECOND;
        holdall_session *session = open_at(manager, its, now_ms);
        OK(holdall_session_set_persistent(session, true));
        OK(holdall_session_set_int(session, S("at"), (int64_t)now_ms));
        holdall_commit_options options = {.size = sizeof options, .flags = HOLDALL_AT, .now_ms = now_ms};
        holdall_commit *commit = NULL;
        OK(holdall_session_commit(session, &options, &commit));
        if (steps[i].max_age) CHECK(contains(header_of(commit, "Set-Cookie"), steps[i].max_age));
        holdall_commit_free(commit);
        holdall_session_free(session);
    }
}

static const check checks[] = {
#define A(name) \
    { #name, name }
    A(a_session_lives_up_to_its_idle_timeout_and_not_at_it),
    A(an_expired_session_that_was_met_stays_absent),
    A(use_extends_the_idle_timeout),
    A(the_commit_counts_and_not_the_opening),
    A(reading_extends_it_only_after_a_tenth_has_passed_and_touch_at_once),
    A(a_record_lives_briefly_until_its_cookie_has_come_back),
    A(the_absolute_timeout_is_not_extended_by_use),
    A(a_commit_after_the_absolute_timeout_is_gone),
    A(a_commit_after_the_idle_timeout_is_gone),
    A(a_timeout_of_its_own_can_only_be_shorter),
    A(the_earlier_of_the_two_wins),
    A(regenerate_keeps_the_age_and_invalidate_begins_anew),
    A(for_a_minute_the_old_id_answers_moved_and_then_gone),
    A(a_clock_that_was_set_back_lets_a_session_live_and_shortens_its_end_at_the_next_commit),
    A(a_clock_that_was_set_back_does_not_lengthen_the_absolute_timeout),
    A(the_ends_of_time_are_no_trap),
    A(destroy_at_ends_a_session_for_all_time),
    A(a_sweep_removes_what_has_expired_and_nothing_else),
    A(a_sweep_by_a_clock_far_ahead_does_the_same),
    A(a_sweep_by_a_clock_far_behind_does_the_same),
    A(a_sweep_does_the_same_after_the_clock_was_ahead_for_a_while),
    A(iterate_shows_what_lives_at_the_time_it_is_given),
    A(a_keyed_session_expires_like_any_other),
    A(the_max_age_of_a_cookie_is_what_the_server_leaves_it),
};

int main(int argc, char **argv) {
    check_arguments(argc, argv);
    for (int files = 0; files < 2; files++) {
        if (files)
            check_use_files("time");
        else
            check_use_memory();
        manager = new_manager(
            "\"idle_timeout_s\": 100, \"absolute_timeout_s\": 1000, \"new_idle_timeout_s\": 100, \"touch_after\": 0,"
            "\"keyed_secret\": \"" SECRET "\",");
        if (files) check_use_files("time-sparing");
        sparing = new_manager("\"idle_timeout_s\": 100, \"absolute_timeout_s\": 1000, \"new_idle_timeout_s\": 20,");
        check_all(checks, COUNT(checks), argc, argv);
        holdall_manager_free(manager);
        holdall_manager_free(sparing);
    }
    return 0;
}
