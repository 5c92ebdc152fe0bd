/* test_sort.c - sorting pointers. */
/* SPDX-License-Identifier: MIT */
#include "base.h"
#include "suite.h"

static int order_ints(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

START_TEST(all_permutations_and_repeats_are_sorted)
{
    /* All words of n digits below n contain every permutation, and every kind of repeat. */
    for (int n = 0, words = 1; n <= 6; words = 1, n++) {
        for (int i = 0; i < n; i++) words *= n;
        for (int word = 0; word < words; word++) {
            int values[6], left = word, sums[6] = {0}, found[6] = {0};
            const void *items[6];
            for (int i = 0; i < n; i++, left /= n) {
                values[i] = left % n;
                items[i] = &values[i];
                sums[values[i]]++;
            }
            gr__sort(items, (size_t)n, order_ints);
            for (int i = 0; i < n; i++) {
                if (i) ck_assert_int_le(order_ints(items[i - 1], items[i]), 0);
                found[*(const int *)items[i]]++;
            }
            ck_assert_mem_eq(sums, found, sizeof sums);
        }
    }
}
END_TEST

SUITE("sort", NULL, NULL, all_permutations_and_repeats_are_sorted)
