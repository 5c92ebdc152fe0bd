/* test_every_op.c - every op of the library passes every stage, whatever the values. */
/* SPDX-License-Identifier: MIT */
#include "suite.h"

#include <gradus/check.h>

/* 5 seeds, a part each, or GRADUS_SEEDS: a sanitizer makes them slow, and needs one. */
static int seeds(void)
{
    const char *text = getenv("GRADUS_SEEDS");
    const long n = text ? strtol(text, NULL, 10) : 0;
    return n > 0 && n <= 1000 ? (int)n : 5;
}

START_TEST(every_op_passes_all_stages_at_both_orders)
{
    const gr_check_options o = {.seed = (uint64_t)_i, .order = 2};
    for (int i = 0; i < gr_op_count(); i++) {
        gr_check_report r;
        gr_verdict v = gr_gradcheck_op(gr_op_at(i), o, &r);
        ck_assert_msg(v == GR_PASS, "%s, seed %d: %s %s %s", gr_op_at(i)->name, _i,
                      gr_verdict_name(v), r.stage, r.message);
    }
}
END_TEST

SUITE_OF_PARTS("every op", seeds(), every_op_passes_all_stages_at_both_orders)
