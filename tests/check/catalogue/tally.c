/* tally.c - counting and printing. */
/* SPDX-License-Identifier: MIT */
#include "tally.h"

#include <stdio.h>
#include <string.h>

static const char *const stages[] = {"S0", "S1", "S3"};

/* Whether the message has one of the alternatives "a|b|c". */
static bool says(const char *message, const char *alternatives)
{
    char words[200];
    snprintf(words, sizeof words, "%s", alternatives);
    for (char *rest = words, *one = rest; one; one = rest) {
        rest = strchr(one, '|');
        if (rest) *rest++ = 0;
        if (strstr(message, one)) return true;
    }
    return false;
}

void tally_add(tally *t, const mutation *m, const outcome *o)
{
    size_t stage = 0;
    if (!o->alive) {
        t->unchanged++;
        return;
    }
    t->runs++;
    if (o->report.verdict != GR_FAIL) return;
    t->killed++;
    t->expected += m->diagnosis != NULL;
    t->diagnosed += m->diagnosis && says(o->report.message, m->diagnosis);
    while (stage < 3 && strncmp(o->report.stage, stages[stage], 2) != 0) stage++;
    t->by_stage[stage]++;
}

void tally_sum(tally *whole, const tally *part)
{
    whole->mutants += part->mutants;
    whole->runs += part->runs;
    whole->killed += part->killed;
    whole->expected += part->expected;
    whole->diagnosed += part->diagnosed;
    whole->unchanged += part->unchanged;
    for (int i = 0; i < 4; i++) whole->by_stage[i] += part->by_stage[i];
}

void tally_head(const char *what)
{
    printf("\n%-26s %7s %13s %6s %6s %6s %6s %10s %10s\n", what, "mutants", "killed", "S0", "S1",
           "S3", "other", "diagnosed", "unchanged");
}

void tally_print(const char *name, const tally *t)
{
    char killed[32], diagnosed[32] = "-";
    snprintf(killed, sizeof killed, "%d/%d", t->killed, t->runs);
    if (t->expected)
        snprintf(diagnosed, sizeof diagnosed, "%.1f%%", 100.0 * t->diagnosed / t->expected);
    printf("%-26s %7d %13s %6d %6d %6d %6d %10s %10d\n", name, t->mutants, killed, t->by_stage[0],
           t->by_stage[1], t->by_stage[2], t->by_stage[3], diagnosed, t->unchanged);
}
