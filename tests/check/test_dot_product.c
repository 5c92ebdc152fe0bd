/* test_dot_product.c - forward and reverse mode are transposes of each other: for every op with a
 * backward rule and all of its samples, <v, J u> = <J'v, u>. */
/* SPDX-License-Identifier: MIT */
#include "function.h"
#include "sample.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <math.h>

enum { SEEDS = 3, MOST = 16 };
static const double TOLERANCE = 1e-12; /* of the products' sizes */

static gr__arena arena;

static void setup(void)
{
    arena = (gr__arena){0};
}

static void teardown(void)
{
    gr__arena_release(&arena);
}

/* Tensors of one side, with the directions in which they move. */
typedef struct side {
    gr_tensor *t[MOST], *along[MOST], *image[MOST];
    int n;
} side;

static void add(side *s, gr_tensor *t, uint64_t seed)
{
    const int64_t n = gr_numel(t);
    double *direction = gr__arena_alloc(&arena, (size_t)(n + 1) * sizeof *direction);
    if (gr_dtype_of(t) != GR_F64) return;
    gr__draw_signs(gr__hash_join(seed, (uint64_t)s->n), direction, n);
    s->t[s->n] = t;
    s->along[s->n++] = gr_from_data(gr_graph_of(t), GR_F64, *gr_shape_of(t), direction);
}

/* <along, image>; adds the size of its terms. */
static double product(const side *s, double *size)
{
    double sum = 0;
    for (int k = 0; k < s->n; k++) {
        const double *a = gr_data(s->along[k]), *b = gr_data(s->image[k]);
        for (int64_t i = 0; a && b && i < gr_numel(s->t[k]); i++) {
            sum += a[i] * b[i];
            *size += fabs(a[i] * b[i]);
        }
    }
    return sum;
}

static bool in_c(const gr_graph *g)
{
    bool any = false;
    for (const gr_node *node = gr_node_first(g); node; node = gr_node_next(node))
        any |= !gr_node_op(node)->vjp && gr_node_op(node)->backward[GR_F64];
    return any;
}

/* Returns whether there was anything to compare. */
static bool compare(gr_graph *g, const gr_op *op, const gr_sample *s, uint64_t seed)
{
    side x = {.n = 0}, y = {.n = 0};
    gr_tensor *in[GR_SAMPLE_INPUTS], *out[GR_MAX_OUTPUTS];
    for (int i = 0; i < s->n_in; i++) {
        const gr_sample_input *input = &s->in[i];
        void *data = gr__sample_draw(input, gr_shape_numel(&input->shape), seed + (uint64_t)i,
                                     &arena);
        in[i] = gr_from_data(g, gr__sample_dtype(input), input->shape, data);
        add(&x, in[i], seed ^ 1);
    }
    int n = gr__sample_record(g, op, s, in, out);
    for (int i = 0; i < n; i++) add(&y, out[i], seed ^ 2);
    if (x.n == 0 || y.n == 0 || in_c(g)) return false;
    gr_status backward = gr_vjp(y.t, y.along, y.n, x.t, x.n, x.image);
    gr_status forward = backward ? backward : gr_jvp(y.t, y.n, x.t, x.along, x.n, y.image);
    ck_assert_msg(forward == GR_OK, "%s, %s: %s", op->name, s->name, gr_graph_error(g));
    double size = 0, left = product(&x, &size), right = product(&y, &size);
    ck_assert_msg(gr_graph_error(g) == NULL, "%s, %s: %s", op->name, s->name, gr_graph_error(g));
    bool equal = fabs(left - right) <= TOLERANCE * size || (isnan(left) && isnan(right));
    ck_assert_msg(equal, "%s, %s: reverse mode gives %.17g, forward mode %.17g", op->name, s->name,
                  left, right);
    return size > 0;
}

START_TEST(both_modes_of_every_op_are_transposes_of_each_other)
{
    int ops = 0;
    gr_graph *g = gr_graph_new();
    for (int i = 0; i < gr_op_count(); i++) {
        const gr_op *op = gr_op_at(i);
        bool any = false;
        for (const gr_sample *s = op->samples; s && s->name; s++) {
            bool differentiable = op->vjp || op->define;
            for (uint64_t seed = 1; seed <= SEEDS && differentiable && !s->error; seed++) {
                any |= compare(g, op, s, gr__hash64(seed));
                gr_graph_reset(g);
                gr__arena_reset(&arena);
            }
        }
        ops += any;
    }
    gr_graph_free(g);
    ck_assert_int_ge(ops, 180);
}
END_TEST

SUITE("dot product", setup, teardown, both_modes_of_every_op_are_transposes_of_each_other)
