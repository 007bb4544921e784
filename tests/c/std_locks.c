/*
 * std_locks.c - tells ThreadSanitizer what Rust's standard library does when threads wait for each other.
 *
 * The standard library comes compiled, without instrumentation. Taking a free lock is inlined and seen; the functions
 * for a lock that is taken are not, and without them every waiting thread looks like a data race. The linker puts these
 * in front of them (--wrap); tests/test_c.py finds their names in the archive. helgrind cannot be helped so: it knows
 * only the locks of pthread, and Rust's are none.
 */
#include <stdbool.h>
#include <stdint.h>

#define JOIN(a, b) a##b
#define NAMED(prefix, name) JOIN(prefix, name)
#define REAL(name) NAMED(__real_, name)
#define WRAP(name) NAMED(__wrap_, name)

void __tsan_acquire(void *at);
void __tsan_release(void *at);

void REAL(LOCK_CONTENDED)(void *mutex);
void WRAP(LOCK_CONTENDED)(void *mutex);
void WRAP(LOCK_CONTENDED)(void *mutex) {
    REAL(LOCK_CONTENDED)(mutex);
    __tsan_acquire(mutex);
}

/* Gives the lock back and takes it again, both inside. */
bool REAL(WAIT_TIMEOUT)(void *condvar, void *mutex, uint64_t seconds, uint32_t nanoseconds);
bool WRAP(WAIT_TIMEOUT)(void *condvar, void *mutex, uint64_t seconds, uint32_t nanoseconds);
bool WRAP(WAIT_TIMEOUT)(void *condvar, void *mutex, uint64_t seconds, uint32_t nanoseconds) {
    __tsan_release(mutex);
    bool woken = REAL(WAIT_TIMEOUT)(condvar, mutex, seconds, nanoseconds);
    __tsan_acquire(mutex);
    return woken;
}

void REAL(ONCE_CALL)(void *once, bool ignore_poison, void *run, void *its_functions, void *caller);
void WRAP(ONCE_CALL)(void *once, bool ignore_poison, void *run, void *its_functions, void *caller);
void WRAP(ONCE_CALL)(void *once, bool ignore_poison, void *run, void *its_functions, void *caller) {
    REAL(ONCE_CALL)(once, ignore_poison, run, its_functions, caller);
    __tsan_acquire(once);
    __tsan_release(once);
}
