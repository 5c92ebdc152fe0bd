/* suite.h - the main function of a test program: one case, all its tests. */
/* SPDX-License-Identifier: MIT */
#ifndef SUITE_H
#define SUITE_H

#include <check.h>
#include <stdlib.h>

/* Runs tests[0..n), each so many times, with _i counting from 0; before and after, around each, may
 * be NULL. Gives the exit status. */
static inline int suite_run(const char *name, const TTest *const *tests, size_t n, int times,
                            void (*before)(void), void (*after)(void))
{
    Suite *suite = suite_create(name);
    TCase *all = tcase_create(name);
    tcase_set_timeout(all, 120);
    if (before || after) tcase_add_checked_fixture(all, before, after);
    for (size_t i = 0; i < n; i++) tcase_add_loop_test(all, tests[i], 0, times);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* At the end of a test program: SUITE("idx", setup, teardown, a_test, another_test) */
#define SUITE(name, setup, teardown, ...)                                                \
    int main(void)                                                                       \
    {                                                                                    \
        const TTest *const tests[] = {__VA_ARGS__};                                      \
        return suite_run(name, tests, sizeof tests / sizeof *tests, 1, setup, teardown); \
    }

/* For one test that is long: its parts, which have a time limit each. */
#define SUITE_OF_PARTS(name, parts, test)                    \
    int main(void)                                           \
    {                                                        \
        const TTest *const only = test;                      \
        return suite_run(name, &only, 1, parts, NULL, NULL); \
    }

#endif
