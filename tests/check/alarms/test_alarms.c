/* test_alarms.c - correct code must not FAIL, and be INCONCLUSIVE at most once in 100 checks.
 *
 * By hand: test_alarms --checks 1000 [--first NUMBER]
 */
/* SPDX-License-Identifier: MIT */
#include "trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Checks by verdict. */
typedef struct counts {
    int of[3];
} counts;

static void run(const subject *s, int place, int number, counts *c)
{
    static const uint64_t SPREAD = 1000003; /* so that no two subjects share a seed */
    trial t = {.seed = (uint64_t)number + SPREAD * (uint64_t)place};
    t.options.order = s->order ? s->order : 1 + number % 2;
    t.options.seed = t.seed;
    s->check(&t);
    c->of[t.report.verdict]++;
    if (t.report.verdict != GR_PASS)
        printf("%s, number %d, order %d: %s %s %s: %s\n", s->name, number, t.options.order,
               gr_verdict_name(t.report.verdict), t.report.stage, t.report.input, t.report.message);
    for (int i = 0; i < t.n; i++) free(t.data[i]);
}

/* At least one check of each subject. */
static counts run_subject(const subject *s, int place, int first, int checks)
{
    counts c = {{0}};
    int n = s->share * checks / 1000;
    if (n == 0) n = 1;
    for (int k = 0; k < n; k++) run(s, place, first + k, &c);
    printf("%-26s %5d checks: %5d PASS %3d FAIL %3d INCONCLUSIVE\n", s->name, n, c.of[GR_PASS],
           c.of[GR_FAIL], c.of[GR_INCONCLUSIVE]);
    return c;
}

static counts run_all(int first, int checks)
{
    const subject *const lists[] = {expression_subjects, function_subjects, network_subjects};
    counts all = {{0}};
    int place = 0;
    for (size_t l = 0; l < sizeof lists / sizeof *lists; l++)
        for (const subject *s = lists[l]; s->name; s++) {
            counts c = run_subject(s, place++, first, checks);
            for (int v = 0; v < 3; v++) all.of[v] += c.of[v];
        }
    return all;
}

static int option(int argc, char **argv, const char *name, int otherwise)
{
    for (int i = 1; i + 1 < argc; i++)
        if (!strcmp(argv[i], name)) return atoi(argv[i + 1]);
    return otherwise;
}

int main(int argc, char **argv)
{
    int checks = option(argc, argv, "--checks", 300);
    counts all = run_all(option(argc, argv, "--first", 0), checks);
    int failed = all.of[GR_FAIL], unclear = all.of[GR_INCONCLUSIVE];
    int total = all.of[GR_PASS] + failed + unclear;
    printf("%d checks of correct code: %d false alarms, %d inconclusive\n", total, failed, unclear);
    return failed == 0 && 100 * unclear <= total ? EXIT_SUCCESS : EXIT_FAILURE;
}
