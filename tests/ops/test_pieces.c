/* test_pieces.c - an element-wise op gives the same bits wherever its pieces begin and end. */
/* SPDX-License-Identifier: MIT */
#include "fixture.h"
#include "suite.h"

#include <gradus/op.h>
#include <math.h>
#include <string.h>

enum { N = 1024, ROUNDS = 30, MOST = GR_MAX_TILE_INPUTS };

typedef union column {
    double f64[N];
    float f32[N];
    uint8_t truth[N];
} column;

static column x[MOST], whole, pieces;
static uint64_t state = 1;

static double uniform(double low, double high)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return low + (double)(state >> 11) / 9007199254740992.0 * (high - low);
}

/* Input i of the sample, as of so many elements; returns the size of one. */
static size_t fill(const gr_sample_input *in, gr_dtype dtype, double scale, column *c)
{
    const bool given = in->low != 0 || in->high != 0;
    for (int k = 0; k < N; k++) {
        double v = given ? uniform(in->low, in->high) : uniform(-scale, scale);
        if (in->boolean) c->truth[k] = v > 0;
        else if (dtype == GR_F64) c->f64[k] = v;
        else c->f32[k] = (float)v;
    }
    return in->boolean ? 1 : gr_dtype_size(dtype);
}

/* Bytes of an element of the op's result. */
static size_t result_size(const gr_op *op, const gr_sample *s, gr_dtype dtype)
{
    gr_tensor *in[MOST];
    for (int i = 0; i < s->n_in; i++)
        in[i] = gr_zeros(g, s->in[i].boolean ? GR_BOOL : dtype, GR_SHAPE(2));
    gr_tensor *y = gr_apply(g, op, in, s->n_in, s->attrs);
    ck_assert_msg(!gr_graph_error(g), "%s", gr_graph_error(g));
    return gr_dtype_size(gr_dtype_of(y));
}

static void run(const gr_op *op, const gr_sample *s, gr_dtype dtype, const size_t *size,
                size_t y_size, int64_t first, int64_t n, column *y)
{
    const void *in[MOST];
    for (int i = 0; i < s->n_in; i++) in[i] = (const char *)&x[i] + (size_t)first * size[i];
    op->tile[dtype](&(gr_tile){n, first, in, (char *)y + (size_t)first * y_size, s->attrs});
}

/* Any NaN is like another. */
static bool same(size_t i, size_t size)
{
    if (size == 4 && isnan(whole.f32[i])) return isnan(pieces.f32[i]);
    if (size == 8 && isnan(whole.f64[i])) return isnan(pieces.f64[i]);
    return !memcmp((char *)&whole + i * size, (char *)&pieces + i * size, size);
}

static void check_op(const gr_op *op, const gr_sample *s, gr_dtype dtype, double scale)
{
    static const int64_t lengths[] = {8, 24, 1, 12, 7, 40, 33, 18, 300, 13};
    size_t size[MOST], y_size = result_size(op, s, dtype);
    for (int i = 0; i < s->n_in; i++) size[i] = fill(&s->in[i], dtype, scale, &x[i]);
    run(op, s, dtype, size, y_size, 0, N, &whole);
    for (int64_t first = 0, n, k = 0; first < N; first += n, k++) {
        n = lengths[k % 10] < N - first ? lengths[k % 10] : N - first;
        run(op, s, dtype, size, y_size, first, n, &pieces);
    }
    for (size_t i = 0; i < N; i++)
        ck_assert_msg(same(i, y_size), "%s of %s: element %d has other bits in a shorter piece",
                      op->name, gr_dtype_name(dtype), (int)i);
}

START_TEST(every_op_gives_the_same_bits_in_pieces_of_any_length)
{
    static const double scales[] = {0.1, 1, 3, 20};
    int checked = 0;
    for (int k = 0; k < gr_op_count(); k++) {
        const gr_op *op = gr_op_at(k);
        const gr_sample *s = op->samples;
        for (gr_dtype dtype = GR_F32; s && dtype <= GR_F64; dtype++) {
            if (!op->tile[dtype] || !s->n_in || s->in[0].integer) continue;
            checked++;
            for (int round = 0; round < ROUNDS; round++) {
                check_op(op, s, dtype, scales[round % 4]);
                gr_graph_reset(g);
            }
        }
    }
    ck_assert_int_gt(checked, 100);
}
END_TEST

SUITE("pieces", setup, teardown, every_op_gives_the_same_bits_in_pieces_of_any_length)
