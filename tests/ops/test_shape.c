/* test_shape.c - views and joins: where each element comes from, and where its gradient goes. */
/* SPDX-License-Identifier: MIT */
#include "base.h"
#include "fixture.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <stdio.h>
#include <string.h>

/* --- chains of random views, against an interpreter that moves elements one by one --- */

enum { MOST = 4096 };

typedef struct plain {
    gr_shape shape;
    int64_t from[MOST]; /* which element of the source each one is */
} plain;

static uint64_t draws;

static int64_t draw(int64_t n)
{
    return n < 1 ? 0 : (int64_t)(gr__random_u32(11, draws++) % (uint64_t)n);
}

static void index_of(const gr_shape *s, int64_t flat, int64_t *at)
{
    for (int i = s->rank - 1; i >= 0; i--) {
        at[i] = flat % s->dim[i];
        flat /= s->dim[i];
    }
}

static int64_t flat_of(const gr_shape *s, const int64_t *at)
{
    int64_t flat = 0;
    for (int i = 0; i < s->rank; i++) flat = flat * s->dim[i] + at[i];
    return flat;
}

static gr_tensor *random_reshape(gr_tensor *t, plain *p)
{
    gr_shape to = {0, {0}};
    int64_t left = gr_shape_numel(&p->shape);
    while (left > 1 && to.rank < 5) {
        int64_t factor = 1 + draw(6);
        if (left % factor == 0 && left) {
            to.dim[to.rank++] = factor;
            left /= factor;
        }
    }
    to.dim[to.rank++] = left;
    p->shape = to;
    return gr_reshape(t, to);
}

static gr_tensor *random_permute(gr_tensor *t, plain *p)
{
    static plain old;
    gr_axes axes = {p->shape.rank, {0}};
    old = *p;
    for (int i = 0; i < axes.n; i++) axes.axis[i] = i;
    for (int i = axes.n - 1; i > 0; i--) {
        int j = (int)draw(i + 1), swap = axes.axis[i];
        axes.axis[i] = axes.axis[j];
        axes.axis[j] = swap;
    }
    for (int i = 0; i < axes.n; i++) p->shape.dim[i] = old.shape.dim[axes.axis[i]];
    for (int64_t k = 0; k < gr_shape_numel(&p->shape); k++) {
        int64_t at[GR_MAX_RANK], source[GR_MAX_RANK];
        index_of(&p->shape, k, at);
        for (int i = 0; i < axes.n; i++) source[axes.axis[i]] = at[i];
        p->from[k] = old.from[flat_of(&old.shape, source)];
    }
    return gr_permute(t, axes);
}

static gr_tensor *random_slice(gr_tensor *t, plain *p)
{
    static plain old;
    if (p->shape.rank == 0) return t;
    int axis = (int)draw(p->shape.rank);
    int64_t size = p->shape.dim[axis], start = draw(size), stop = start + 1 + draw(size - start), step = 1 + draw(3);
    old = *p;
    p->shape.dim[axis] = (stop - start + step - 1) / step;
    for (int64_t k = 0; k < gr_shape_numel(&p->shape); k++) {
        int64_t at[GR_MAX_RANK];
        index_of(&p->shape, k, at);
        at[axis] = start + at[axis] * step;
        p->from[k] = old.from[flat_of(&old.shape, at)];
    }
    return gr_slice(t, draw(2) ? axis : axis - p->shape.rank, start, stop, step);
}

static gr_tensor *random_expand(gr_tensor *t, plain *p)
{
    static plain old;
    if (p->shape.rank >= 5 || gr_shape_numel(&p->shape) * 3 > MOST) return t;
    old = *p;
    for (int i = p->shape.rank; i > 0; i--) p->shape.dim[i] = p->shape.dim[i - 1];
    p->shape.rank++;
    p->shape.dim[0] = 3;
    int64_t n = gr_shape_numel(&old.shape);
    for (int64_t k = 0; k < 3 * n; k++) p->from[k] = old.from[k % n];
    return gr_expand(t, p->shape);
}

static void check_chain(int steps)
{
    static plain p;
    static double x0[MOST], weight[MOST], want[MOST];
    p.shape = GR_SHAPE(4, 6, 5);
    for (int64_t k = 0; k < 120; k++) p.from[k] = k, x0[k] = (double)k;
    gr_tensor *x = gr_from_data(g, GR_F64, p.shape, x0), *y = x, *d;
    for (int i = 0; i < steps; i++) {
        gr_tensor *(*const moves[4])(gr_tensor *, plain *) = {random_reshape, random_permute, random_slice, random_expand};
        y = moves[draw(4)](y, &p);
    }
    ck_assert_msg(gr_graph_error(g) == NULL, "%s", gr_graph_error(g));
    ck_assert(gr_shape_equal(gr_shape_of(y), &p.shape));
    int64_t n = gr_shape_numel(&p.shape);
    memset(want, 0, sizeof want);
    for (int64_t k = 0; k < n; k++) {
        weight[k] = (double)(k % 7) - 2;
        want[p.from[k]] += weight[k];
    }
    gr_tensor *v = gr_from_data(g, GR_F64, p.shape, weight);
    ck_assert_int_eq(gr_vjp(&y, &v, 1, &x, 1, &d), GR_OK);
    const double *py = gr_data(y), *pd = gr_data(d);
    for (int64_t k = 0; k < n; k++) ck_assert_double_eq(py[k], (double)p.from[k]);
    for (int64_t k = 0; k < 120; k++) ck_assert_double_eq(pd[k], want[k]);
    gr_graph_reset(g);
}

START_TEST(chains_of_views_move_values_and_gradients_as_they_should)
{
    for (int round = 0; round < 3000; round++) check_chain(1 + round % 7);
}
END_TEST

/* --- joins --- */

START_TEST(concat_joins_and_its_gradient_parts)
{
    const double a0[6] = {1, 2, 3, 4, 5, 6}, b0[4] = {7, 8, 9, 10};
    gr_tensor *a = gr_from_data(g, GR_F64, GR_SHAPE(2, 3), a0), *b = gr_transpose(gr_from_data(g, GR_F64, GR_SHAPE(2, 2), b0), 0, 1);
    gr_tensor *in[2] = {a, b}, *y = gr_concat(in, 2, -1), *d[2];
    const double want[10] = {1, 2, 3, 7, 9, 4, 5, 6, 8, 10}, *p = gr_data(y);
    for (int i = 0; i < 10; i++) ck_assert_double_eq(p[i], want[i]);
    gr_grad(gr_square(y), in, 2, d);
    const double *da = gr_data(d[0]), *db = gr_data(d[1]);
    for (int i = 0; i < 6; i++) ck_assert_double_eq(da[i], 2 * a0[i]);
    ck_assert(db[0] == 14 && db[1] == 18 && db[2] == 16 && db[3] == 20);
}
END_TEST

START_TEST(concat_of_one_tensor_twice_adds_both_gradients)
{
    gr_tensor *x = gr_ones(g, GR_F64, GR_SHAPE(3)), *in[2] = {x, x}, *d;
    gr_tensor *y = gr_concat(in, 2, 0), *v = gr_from_data(g, GR_F64, GR_SHAPE(6), (double[]){1, 2, 3, 10, 20, 30});
    gr_vjp(&y, &v, 1, &x, 1, &d);
    const double *p = gr_data(d);
    ck_assert(p[0] == 11 && p[1] == 22 && p[2] == 33);
}
END_TEST

START_TEST(many_inputs_are_joined)
{
    enum { N = 100 };
    gr_tensor *parts[N];
    for (int i = 0; i < N; i++) parts[i] = gr_full(g, GR_F32, GR_SHAPE(1, 50), i);
    const float *p = gr_data(gr_concat(parts, N, 0));
    for (int i = 0; i < N * 50; i++) ck_assert_float_eq(p[i], (float)(i / 50));
}
END_TEST

START_TEST(other_dtypes_are_moved_too)
{
    const int64_t i0[6] = {1, 2, 3, 4, 5, 6};
    const uint8_t b0[4] = {1, 0, 0, 1};
    gr_tensor *t = gr_transpose(gr_from_data(g, GR_I64, GR_SHAPE(2, 3), i0), 0, 1);
    const int64_t *p = gr_data(gr_concat((gr_tensor *[]){t, t}, 2, 1));
    ck_assert(p[0] == 1 && p[1] == 4 && p[2] == 1 && p[11] == 6);
    const uint8_t *q = gr_data(gr_transpose(gr_from_data(g, GR_BOOL, GR_SHAPE(2, 2), b0), 0, 1));
    ck_assert(q[0] == 1 && q[1] == 0 && q[3] == 1);
}
END_TEST

START_TEST(impossible_views_are_refused)
{
    const struct {
        gr_tensor *t;
        const char *part;
    } cases[] = {
        {gr_flatten(gr_ones(g, GR_F32, GR_SHAPE(2, 3)), 3), "flatten: axis 3"},
    };
    ck_assert_ptr_nonnull(cases[0].t);
    ck_assert_ptr_nonnull(strstr(gr_graph_error(g), cases[0].part));
    gr_graph_reset(g);
    gr_transpose(gr_ones(g, GR_F32, GR_SHAPE(2, 3)), 0, 2);
    ck_assert_ptr_nonnull(strstr(gr_graph_error(g), "transpose: axes 0 and 2"));
    gr_graph_reset(g);
    gr_sum_to(gr_ones(g, GR_F32, GR_SHAPE(2, 3)), GR_SHAPE(2));
    ck_assert_ptr_nonnull(strstr(gr_graph_error(g), "sum_to: [2] does not stretch to [2,3]"));
}
END_TEST

static gr_tensor *unflatten_first(gr_tensor *x, gr_shape sizes)
{
    return gr_unflatten(x, 0, sizes);
}

/* Nine numbers in GR_SHAPE make a compiler warn, no more; the ninth would be read from beyond. */
START_TEST(shapes_of_no_possible_rank_are_refused)
{
    typedef gr_tensor *taker(gr_tensor *x, gr_shape shape);
    const struct {
        taker *op;
        const char *error;
    } cases[] = {{gr_reshape, "reshape: [rank %d] is not a shape"},
                 {gr_expand, "expand: cannot stretch [1] to [rank %d]"},
                 {gr_sum_to, "sum_to: [rank %d] does not stretch to [1]"},
                 {gr_repeat, "repeat: cannot repeat [1] [rank %d] times"},
                 {unflatten_first, "unflatten: cannot make axis 0 of [1] into [rank %d]"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int rank = -1; rank <= GR_MAX_RANK + 1; rank += GR_MAX_RANK + 2) {
            char error[128];
            gr_graph_reset(g);
            cases[i].op(gr_ones(g, GR_F32, GR_SHAPE(1)), (gr_shape){rank, {1, 1, 1, 1, 1, 1, 1, 1}});
            snprintf(error, sizeof error, cases[i].error, rank);
            ck_assert_msg(gr_graph_error(g) && strstr(gr_graph_error(g), error), "expected '%s', got '%s'",
                          error, gr_graph_error(g) ? gr_graph_error(g) : "none");
        }
}
END_TEST

SUITE("shape", setup, teardown, chains_of_views_move_values_and_gradients_as_they_should,
      concat_joins_and_its_gradient_parts, concat_of_one_tensor_twice_adds_both_gradients,
      many_inputs_are_joined, other_dtypes_are_moved_too, impossible_views_are_refused,
      shapes_of_no_possible_rank_are_refused)
