/* test_csv.c - comma-separated values. */
/* SPDX-License-Identifier: MIT */
#include "csv.h"
#include "suite.h"

#include <math.h>

START_TEST(cells_are_quoted_only_where_needed)
{
    gr__text t = {0};
    gr__csv c = {.out = &t};
    gr__csv_text(&c, "epoch");
    gr__csv_text(&c, "a,b");
    gr__csv_text(&c, "say \"x\"");
    gr__csv_text(&c, "");
    gr__csv_row(&c);
    gr__csv_int(&c, -7);
    gr__csv_number(&c, 0.1);
    gr__csv_number(&c, NAN);
    gr__csv_number(&c, INFINITY);
    gr__csv_row(&c);
    ck_assert_str_eq(t.data, "epoch,\"a,b\",\"say \"\"x\"\"\",\n-7,0.1,,inf\n");
    gr__text_release(&t);
}
END_TEST

SUITE("csv", NULL, NULL, cells_are_quoted_only_where_needed)
