/* raw_report.h - the verdict over a user's own forward and backward, and what it says. */
/* SPDX-License-Identifier: MIT */
#ifndef RAW_REPORT_H
#define RAW_REPORT_H

#include <check.h>
#include <gradus/check_raw.h>
#include <string.h>

static gr_check_report report;

static inline gr_verdict check_seed(const gr_raw *raw, uint64_t seed)
{
    return gr_gradcheck_raw(raw, (gr_check_options){.seed = seed}, &report);
}

#define EXPECT(raw, seed, want)                                                                   \
    do {                                                                                          \
        gr_verdict got = check_seed(raw, seed);                                                   \
        ck_assert_msg(got == (want), "seed %d: expected %s, got %s: %s %s", (int)(seed),          \
                      gr_verdict_name(want), gr_verdict_name(got), report.stage, report.message); \
    } while (0)
#define SAYS(text) ck_assert_msg(strstr(report.message, text) != NULL, "'%s'", report.message)

#endif
