/* test_every_op.c - every op of the library passes every stage, whatever the values. */
/* SPDX-License-Identifier: MIT */
#include "suite.h"

#include <gradus/check.h>

/* 5 seeds, or GRADUS_SEEDS: a sanitizer makes them slow, and needs one. */
static uint64_t seeds(void)
{
    const char *text = getenv("GRADUS_SEEDS");
    const long n = text ? strtol(text, NULL, 10) : 0;
    return n > 0 ? (uint64_t)n : 5;
}

START_TEST(every_op_passes_all_stages_at_both_orders)
{
    for (int i = 0; i < gr_op_count(); i++)
        for (uint64_t seed = 0; seed < seeds(); seed++) {
            gr_check_report r;
            gr_verdict v = gr_gradcheck_op(gr_op_at(i),
                                           (gr_check_options){.seed = seed, .order = 2}, &r);
            ck_assert_msg(v == GR_PASS, "%s, seed %d: %s %s %s", gr_op_at(i)->name, (int)seed,
                          gr_verdict_name(v), r.stage, r.message);
        }
}
END_TEST

SUITE("every op", NULL, NULL, every_op_passes_all_stages_at_both_orders)
