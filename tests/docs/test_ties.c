/* test_ties.c - the documented table of ties is what the ops say. */
/* SPDX-License-Identifier: MIT */
#include "suite.h"

#include <gradus/op.h>
#include <stdio.h>
#include <string.h>

#define BEGIN "<!-- ties -->"
#define END "<!-- end -->"

static char page[100000];

/* The table between the two marks. */
static char *table(void)
{
    FILE *file = fopen(PAGE, "rb");
    ck_assert_msg(file != NULL, "%s cannot be read", PAGE);
    size_t n = fread(page, 1, sizeof page - 1, file);
    fclose(file);
    page[n] = 0;
    char *begin = strstr(page, BEGIN), *end = begin ? strstr(begin, END) : NULL;
    ck_assert_msg(end != NULL, "%s has no %s ... %s", PAGE, BEGIN, END);
    *end = 0;
    return begin;
}

static int rows(const char *text)
{
    int n = 0;
    for (; (text = strstr(text, "\n| `")); text++) n++;
    return n;
}

START_TEST(every_op_with_ties_has_its_row)
{
    const char *text = table();
    int expected = 0;
    for (int i = 0; i < gr_op_count(); i++) {
        const gr_op *op = gr_op_at(i);
        char row[512];
        if (!op->ties) continue;
        snprintf(row, sizeof row, "\n| `%s` | %s |\n", op->name, op->ties);
        ck_assert_msg(strstr(text, row) != NULL, "this row is missing in %s:%s", PAGE, row);
        expected++;
    }
    ck_assert_int_gt(expected, 5);
    ck_assert_int_eq(rows(text), expected);
}
END_TEST

SUITE("ties", NULL, NULL, every_op_with_ties_has_its_row)
