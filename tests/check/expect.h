/* expect.h - the report of the check that was made last, and what it has to say. */
/* SPDX-License-Identifier: MIT */
#ifndef EXPECT_H
#define EXPECT_H

#include "suite.h"

#include <gradus/check.h>
#include <string.h>

static gr_check_report report;

#define EXPECT(verdict, want)                                                             \
    do {                                                                                  \
        gr_verdict got = (verdict);                                                       \
        ck_assert_msg(got == (want), "expected %s, got %s: %s %s", gr_verdict_name(want), \
                      gr_verdict_name(got), report.stage, report.message);                \
    } while (0)
#define SAYS(text) ck_assert_msg(strstr(report.message, text) != NULL, "'%s'", report.message)

#endif
