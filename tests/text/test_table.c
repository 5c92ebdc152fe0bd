/* test_table.c - tables for terminals. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "suite.h"
#include "table.h"

static void fill(gr__table *t)
{
    gr__table_cell(t, "layer");
    gr__table_cell(t, "\xC2\xB5s");
    gr__table_cell(t, "fc%d", 1);
    gr__table_cell(t, "%d", 1000);
    gr__table_rule(t);
    gr__table_cell(t, "all");
    gr__table_cell(t, "%d", 7);
}

START_TEST(columns_are_lined_up_by_characters)
{
    gr__table t = {.align = "lr"};
    gr__text out = {0};
    fill(&t);
    gr__table_write(&t, &out);
    ck_assert_str_eq(out.data, "layer    \xC2\xB5s\n"
                               "-----------\n"
                               "fc1    1000\n"
                               "-----------\n"
                               "all       7\n");
    gr__text_release(&out);
    gr__table_release(&t);
}
END_TEST

START_TEST(lines_do_not_end_in_spaces)
{
    gr__table t = {.align = "ll"};
    gr__text out = {0};
    gr__table_cell(&t, "a");
    gr__table_cell(&t, "long");
    gr__table_cell(&t, "bb");
    gr__table_cell(&t, "x");
    gr__table_cell(&t, "ccc"); /* an incomplete row */
    gr__table_write(&t, &out);
    ck_assert_str_eq(out.data, "a    long\n---------\nbb   x\nccc\n");
    gr__text_release(&out);
    gr__table_release(&t);
}
END_TEST

START_TEST(failed_allocations_make_the_output_fail)
{
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        gr__table t = {.align = "lr"};
        gr__text out = {0};
        inject_allocation(n);
        fill(&t);
        gr__table_write(&t, &out);
        done = !inject_happened();
        ck_assert_int_eq(out.failed, !done);
        gr__text_release(&out);
        gr__table_release(&t);
        ck_assert_int_eq(inject_live(), 0);
    }
    inject_end();
}
END_TEST

SUITE("table", NULL, NULL, columns_are_lined_up_by_characters, lines_do_not_end_in_spaces,
      failed_allocations_make_the_output_fail)
