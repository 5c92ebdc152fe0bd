/* test_base.c - what everything stands on: random numbers, memory, shapes, threads, files. */
/* SPDX-License-Identifier: MIT */
#include "base.h"
#include "inject.h"
#include "scratch.h"
#include "suite.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

START_TEST(philox_gives_the_published_numbers)
{
    const struct {
        uint32_t counter[4], key[2], out[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (int i = 0; i < 3; i++) {
        uint32_t out[4];
        gr__philox(known[i].counter, known[i].key, out);
        for (int k = 0; k < 4; k++) ck_assert_uint_eq(out[k], known[i].out[k]);
    }
}
END_TEST

START_TEST(random_numbers_have_the_moments_of_their_distribution)
{
    enum { N = 200000 };
    double sum = 0, square = 0, normal = 0, normal_square = 0, fourth = 0;
    for (int i = 0; i < N; i++) {
        double u = gr__random_uniform(7, (uint64_t)i), z = gr__random_normal(7, (uint64_t)i);
        ck_assert(u > 0 && u < 1);
        sum += u, square += u * u, normal += z, normal_square += z * z, fourth += z * z * z * z;
    }
    ck_assert_double_eq_tol(sum / N, 0.5, 0.003);
    ck_assert_double_eq_tol(square / N, 1 / 3.0, 0.003);
    ck_assert_double_eq_tol(normal / N, 0, 0.01);
    ck_assert_double_eq_tol(normal_square / N, 1, 0.015);
    ck_assert_double_eq_tol(fourth / N, 3, 0.12);
    ck_assert_uint_ne(gr__random_u32(1, 0), gr__random_u32(2, 0));
}
END_TEST

START_TEST(pieces_of_an_arena_do_not_overlap_up_to_the_end_of_a_block)
{
    gr__arena a = {0};
    char *first = gr__arena_alloc(&a, 0), *last = NULL;
    ck_assert_msg(first != NULL, "nothing, for 0 bytes of an empty arena");
    size_t bytes = gr__arena_bytes(&a);
    ck_assert_uint_eq(bytes, 0);
    for (int i = 0; i < 3 * (64 << 10) / 48; i++) { /* beyond the first block */
        char *p = gr__arena_alloc(&a, 40);
        ck_assert_msg(!last || p < last || p >= last + 48, "piece %d lies on the one before", i);
        memset(last = p, i, 40);
    }
    bytes = gr__arena_bytes(&a);
    ck_assert_msg(bytes >= 3 * (64 << 10) - 48, "%zu bytes handed out", bytes);
    gr__arena_reset(&a);
    ck_assert_ptr_eq(gr__arena_alloc(&a, 40), first);
    gr__arena_release(&a);
}
END_TEST

START_TEST(an_arena_gives_aligned_memory_and_keeps_it_across_resets)
{
    inject_begin();
    gr__arena a = {0};
    for (int round = 0; round < 3; round++) {
        for (size_t n = 1; n < 300000; n = n * 3 + 1) {
            char *p = gr__arena_alloc(&a, n);
            ck_assert_uint_eq((uintptr_t)p % 16, 0);
            memset(p, round, n);
        }
        int64_t before = inject_allocations();
        gr__arena_reset(&a);
        if (round) ck_assert_int_eq(inject_allocations(), before);
    }
    int64_t blocks = inject_allocations();
    for (size_t n = 1; n < 300000; n = n * 3 + 1) gr__arena_alloc(&a, n);
    ck_assert_int_eq(inject_allocations(), blocks);
    gr__arena_release(&a);
    ck_assert_int_eq(inject_live(), 0);
    inject_end();
}
END_TEST

START_TEST(a_pool_makes_do_with_a_larger_buffer_up_to_four_times)
{
    gr__pool pool = {0};
    gr__buffer *large = gr__pool_get(&pool, 400000);
    gr__buffer_unref(large);
    gr__buffer *small = gr__pool_get(&pool, 10000);
    ck_assert_ptr_ne(small, large);
    ck_assert_ptr_eq(gr__pool_get(&pool, 110000), large);
    ck_assert_uint_eq(pool.bytes_live, large->bytes + small->bytes);
    gr__buffer_unref(large);
    gr__buffer_unref(small);
    ck_assert_uint_eq(pool.bytes_live, 0);
    ck_assert_ptr_eq(gr__pool_get(&pool, 10000), small); /* the smallest that will do */
    gr__buffer_unref(small);
    gr__pool_release(&pool);
}
END_TEST

START_TEST(smaller_idle_buffers_of_a_pool_give_way_to_a_large_new_one)
{
    inject_begin();
    gr__pool pool = {0};
    gr__buffer *tiny = gr__pool_get(&pool, 1000000), *held = gr__pool_get(&pool, 3000000);
    gr__buffer *first = gr__pool_get(&pool, 2000000), *second = gr__pool_get(&pool, 3000000);
    gr__buffer_unref(tiny);
    gr__buffer_unref(first);
    gr__buffer_unref(second);
    const int64_t each = inject_live() / 4;
    gr__buffer *large = gr__pool_get(&pool, 4000000);
    ck_assert_int_eq(inject_live(), 3 * each); /* one was not enough; the tiny one stays */
    ck_assert_ptr_eq(gr__pool_get(&pool, 1000000), tiny);
    gr__buffer_unref(large);
    ck_assert_ptr_eq(gr__pool_get(&pool, 2000000), large); /* in place of the first */
    gr__buffer_unref(large);
    gr__buffer_unref(tiny);
    gr__buffer_unref(held);
    gr__pool_release(&pool);
    ck_assert_int_eq(inject_live(), 0);
    inject_end();
}
END_TEST

START_TEST(a_pool_comes_to_make_do_with_what_it_has)
{
    inject_begin();
    gr__pool pool = {0};
    int64_t before = 0;
    for (int step = 0; step < 4; step++) {
        if (step == 3) before = inject_allocations();
        for (size_t n = 1500000; n < 20000000; n = n * 9 / 8) {
            gr__buffer *large = gr__pool_get(&pool, n), *small = gr__pool_get(&pool, n / 3);
            gr__buffer_unref(large);
            gr__buffer_unref(small);
        }
    }
    ck_assert_int_eq(inject_allocations(), before);
    gr__pool_release(&pool);
    inject_end();
}
END_TEST

START_TEST(a_pool_gives_the_same_buffer_again)
{
    inject_begin();
    gr__pool pool = {0};
    for (size_t n = 1; n < (1u << 20); n = n * 5 / 4 + 1) {
        gr__buffer *b = gr__pool_get(&pool, n);
        ck_assert_uint_ge(b->bytes, n);
        ck_assert(n < 256 || b->bytes <= n + n / 4 + 64);
        ck_assert_uint_eq((uintptr_t)b->data % 64, 0);
        void *data = b->data;
        gr__buffer_unref(b);
        b = gr__pool_get(&pool, n);
        ck_assert_ptr_eq(b->data, data);
        gr__buffer_unref(b);
    }
    ck_assert_uint_eq(pool.bytes_live, 0);
    ck_assert_ptr_null(gr__pool_get(&pool, SIZE_MAX));
    gr__pool_release(&pool);
    ck_assert_int_eq(inject_live(), 0);
    inject_end();
}
END_TEST

START_TEST(shapes_that_overflow_are_not_valid)
{
    ck_assert(gr__shape_valid(&GR_SHAPE(2, 0, 3)));
    ck_assert(!gr__shape_valid(&GR_SHAPE(2, -1)));
    ck_assert(!gr__shape_valid(&GR_SHAPE(INT64_MAX, 2)));
    ck_assert(!gr__shape_valid(&GR_SHAPE(INT64_MAX, 0, INT64_MAX)));
    ck_assert(!gr__shape_valid(&(gr_shape){9, {1, 1, 1, 1, 1, 1, 1, 1}}));
    char text[GR_SHAPE_TEXT];
    ck_assert_str_eq(gr_shape_text(&GR_SHAPE(2, 3), text), "[2,3]");
    ck_assert_str_eq(gr_shape_text(&GR_SCALAR, text), "[]");
    ck_assert_str_eq(gr_shape_text(&(gr_shape){GR_MAX_RANK + 1, {2}}, text), "[rank 9]");
    ck_assert_str_eq(gr_shape_text(&(gr_shape){-1, {2}}, text), "[rank -1]");
    const int64_t m = INT64_MIN;
    ck_assert_uint_lt(strlen(gr_shape_text(&GR_SHAPE(m, m, m, m, m, m, m, m), text)),
                      GR_SHAPE_TEXT);
}
END_TEST

static void mark(void *ctx, int64_t begin, int64_t end)
{
    int *seen = ctx;
    for (int64_t i = begin; i < end; i++) seen[i]++;
}

START_TEST(parallel_for_visits_each_index_once)
{
    static int seen[10007];
    for (int threads = 1; threads <= 3; threads++) {
        gr_set_threads(threads);
        for (int64_t grain = 1; grain < 20000; grain = grain * 7 + 3) {
            memset(seen, 0, sizeof seen);
            gr__parallel_for(10007, grain, mark, seen);
            for (int i = 0; i < 10007; i++) ck_assert_int_eq(seen[i], 1);
        }
    }
    gr__parallel_for(0, 1, mark, NULL);
}
END_TEST

START_TEST(text_leaves_room_and_is_copied_as_far_as_it_fits)
{
    gr__text t = {0};
    char copy[6] = "?????";
    gr__text_add(&t, "ab");
    memcpy(gr__text_room(&t, 3), "cde", 3);
    ck_assert_str_eq(t.data, "abcde");
    ck_assert_uint_eq(gr__text_copy(&t, copy, 4), 5);
    ck_assert_str_eq(copy, "abc");
    ck_assert_uint_eq(gr__text_copy(&t, copy, sizeof copy), 5);
    ck_assert_str_eq(copy, "abcde");
    ck_assert_uint_eq(gr__text_copy(&t, NULL, 0), 5);
    t.failed = true;
    ck_assert_uint_eq(gr__text_copy(&t, copy, sizeof copy), 0);
    ck_assert_str_eq(copy, "");
    ck_assert_ptr_null(gr__text_room(&t, 3));
    gr__text_release(&t);
}
END_TEST

START_TEST(clock_goes_forwards)
{
    int64_t before = gr__nanoseconds();
    for (int i = 0; i < 1000; i++) {
        int64_t now = gr__nanoseconds();
        ck_assert_int_ge(now, before);
        before = now;
    }
}
END_TEST

START_TEST(text_grows_and_survives_a_failed_allocation)
{
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        gr__text t = {0};
        inject_allocation(n);
        for (int i = 0; i < 1000; i++) gr__text_add(&t, "%d,", i);
        done = !inject_happened();
        ck_assert(t.failed == !done);
        if (done) ck_assert_int_eq(strncmp(t.data, "0,1,2,", 6), 0);
        gr__text_release(&t);
        ck_assert_int_eq(inject_live(), 0);
    }
    inject_end();
}
END_TEST

START_TEST(a_place_in_the_program_has_file_and_line_or_symbol)
{
    char text[128];
    gr__site_text(NULL, text, sizeof text);
    ck_assert_str_eq(text, "?");
    gr__site_text((const char *)(uintptr_t)gr__site_text + 1, text, sizeof text);
    ck_assert_uint_gt(strlen(text), 1);
}
END_TEST

SUITE("base", NULL, NULL, philox_gives_the_published_numbers,
      random_numbers_have_the_moments_of_their_distribution,
      pieces_of_an_arena_do_not_overlap_up_to_the_end_of_a_block,
      an_arena_gives_aligned_memory_and_keeps_it_across_resets, a_pool_gives_the_same_buffer_again,
      a_pool_makes_do_with_a_larger_buffer_up_to_four_times,
      smaller_idle_buffers_of_a_pool_give_way_to_a_large_new_one,
      a_pool_comes_to_make_do_with_what_it_has, shapes_that_overflow_are_not_valid,
      parallel_for_visits_each_index_once, text_leaves_room_and_is_copied_as_far_as_it_fits,
      clock_goes_forwards, text_grows_and_survives_a_failed_allocation,
      a_place_in_the_program_has_file_and_line_or_symbol)
