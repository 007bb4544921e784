/*
 * panics.c - for a library into whose every function a panic was planted, see tests/test_c.py: PLANTED says which kind.
 *
 * What it guards: no panic crosses the border. The caller gets a status and a message, and goes on.
 */
#define _POSIX_C_SOURCE 200809L
#include "calls.h"

static void every_function_that_panics_answers_so_and_the_program_goes_on(void) {
    static const char *const kinds[] = {"text", "formatted", "own type", "own type that panics again"};
    for (size_t kind = 0; kind < COUNT(kinds); kind++) {
        setenv("PLANTED", kinds[kind], 1);
        for (const call *row = calls; row < calls + COUNT(calls); row++) {
            setting its;
            memset(&its, 0, sizeof its);
            poison(&its);
            its.with.out = &its.out, its.with.out2 = &its.out2;
            int32_t status = row->run(&its.with);
            if (status != (row->takes & COUNTS ? 0 : HOLDALL_E_PANIC)) fail(row, kinds[kind], status);
            if (!contains(holdall_last_error_message(), kind < 2 ? "planted" : "a bug in Holdall"))
                fail(row, "the message says so", status);
            if (!untouched(&its.out, sizeof its.out) || !untouched(&its.out2, sizeof its.out2))
                fail(row, "an output was written", status);
        }
        unsetenv("PLANTED");
        holdall_manager *manager = new_manager("");
        holdall_manager_free(manager);
    }
}

static const check checks[] = {
#define A(name) \
    { #name, name }
    A(every_function_that_panics_answers_so_and_the_program_goes_on),
};

int main(int argc, char **argv) {
    check_arguments(argc, argv);
    check_all(checks, COUNT(checks), argc, argv);
    return 0;
}
