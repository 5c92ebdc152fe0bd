/* functions.c - what models are made of, in random shapes. */
/* SPDX-License-Identifier: MIT */
#include "trial.h"

#include <gradus/ops.h>
#include <math.h>

/* --- products and losses --- */

static gr_tensor *classifier(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    const trial *t = user;
    (void)g, (void)n;
    gr_tensor *h = gr_linear(x[0], x[1], x[2]);
    if (t->choice[0] == 0) return gr_cross_entropy(h, x[3]);
    if (t->choice[0] == 1) return gr_softmax(h, (int)t->choice[1]);
    if (t->choice[0] == 2) return gr_log_softmax(h, (int)t->choice[1]);
    return gr_mse(gr_matmul(h, gr_transpose(h, 0, 1)), gr_matmul(x[0], gr_transpose(x[0], 0, 1)));
}

static void check_classifier(trial *t)
{
    int64_t rows = trial_pick(t, 1, 12), in = trial_pick(t, 1, 10), out = trial_pick(t, 2, 12);
    t->choice[0] = trial_pick(t, 0, 3);
    t->choice[1] = trial_pick(t, 0, 1);
    trial_floats(t, GR_SHAPE(rows, in), -2, 2);
    trial_floats(t, GR_SHAPE(out, in), -1, 1);
    trial_floats(t, GR_SHAPE(out), -1, 1);
    trial_indices(t, GR_SHAPE(rows), out);
    trial_check(t, classifier);
}

/* --- convolution and pooling --- */

static gr_tensor *convolution(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    const trial *t = user;
    const int64_t *c = t->choice;
    (void)g, (void)n;
    gr_conv2d_options o = {.stride = {(int)c[0], (int)c[1]},
                           .padding = {(int)c[2], (int)c[3]},
                           .dilation = {(int)c[4], 1},
                           .groups = (int)c[5]};
    gr_pool2d_options pool = {.kernel = {2, 2}, .stride = {(int)c[6], 0}, .padding = {1, 0}};
    gr_tensor *y = gr_conv2d(x[0], x[1], x[2], o);
    return c[7] ? gr_max_pool2d(y, pool) : gr_tanh(gr_avg_pool2d(y, pool));
}

static void check_convolution(trial *t)
{
    int64_t groups = trial_pick(t, 1, 2), in = groups * trial_pick(t, 1, 2),
            out = groups * trial_pick(t, 1, 2);
    int64_t *c = t->choice;
    for (int i = 0; i < 2; i++) c[i] = trial_pick(t, 1, 2);
    for (int i = 2; i < 4; i++) c[i] = trial_pick(t, 0, 2);
    c[4] = trial_pick(t, 1, 2);
    c[5] = groups;
    c[6] = trial_pick(t, 1, 2);
    c[7] = trial_pick(t, 0, 1);
    trial_floats(t, GR_SHAPE(trial_pick(t, 1, 3), in, trial_pick(t, 7, 9), trial_pick(t, 6, 9)), -1,
                 1);
    trial_floats(t, GR_SHAPE(out, in / groups, trial_pick(t, 1, 3), trial_pick(t, 1, 3)), -1, 1);
    trial_floats(t, GR_SHAPE(out), -1, 1);
    trial_check(t, convolution);
}

/* --- views and reductions --- */

static gr_tensor *views(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    const int64_t *c = ((trial *)user)->choice;
    (void)g, (void)n;
    gr_tensor *turned = gr_permute(x[0], GR_AXES(2, 0, 1));
    gr_tensor *part = gr_slice(turned, (int)c[0], c[1], c[1] + 3, (int)c[2]);
    gr_tensor *both[] = {part, gr_sin(part), part};
    gr_tensor *y = gr_concat(both, 3, (int)c[3]);
    y = gr_sub(y, gr_mean(y, GR_AXES((int)c[4]), true));
    gr_tensor *most = gr_max(y, GR_AXES((int)c[5]), true);
    return gr_add(gr_sum(gr_square(y), GR_AXES((int)c[5]), true), gr_square(most));
}

static void check_views(trial *t)
{
    int64_t *c = t->choice;
    c[0] = trial_pick(t, 0, 2);
    c[1] = trial_pick(t, 0, 2);
    c[2] = trial_pick(t, 1, 2);
    for (int i = 3; i < 6; i++) c[i] = trial_pick(t, 0, 2);
    trial_floats(t, GR_SHAPE(trial_pick(t, 5, 7), trial_pick(t, 5, 6), trial_pick(t, 5, 7)), -2, 2);
    trial_check(t, views);
}

/* --- indexing --- */

static gr_tensor *lookup(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    (void)g, (void)n, (void)user;
    gr_tensor *rows = gr_embedding(x[0], x[1]);
    return gr_mul(gr_gather(gr_tanh(rows), 1, x[2]), gr_softplus(gr_gather(rows, 1, x[2])));
}

static void check_lookup(trial *t)
{
    int64_t rows = trial_pick(t, 2, 9), width = trial_pick(t, 1, 7), count = trial_pick(t, 1, 12);
    trial_floats(t, GR_SHAPE(rows, width), -2, 2);
    trial_indices(t, GR_SHAPE(count), rows);
    trial_indices(t, GR_SHAPE(count, trial_pick(t, 1, 6)), width);
    trial_check(t, lookup);
}

/* --- attention with a norm --- */

static gr_tensor *normalised(gr_tensor *x)
{
    gr_tensor *centred = gr_sub(x, gr_mean(x, GR_AXES(-1), true));
    gr_tensor *variance = gr_mean(gr_square(centred), GR_AXES(-1), true);
    return gr_div(centred, gr_sqrt(gr_shift(variance, 1e-5)));
}

static gr_tensor *attention(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    (void)g, (void)n, (void)user;
    gr_tensor *h = normalised(x[0]);
    gr_tensor *q = gr_matmul(h, x[1]), *k = gr_matmul(h, x[2]), *v = gr_matmul(h, x[3]);
    double width = (double)gr_shape_of(q)->dim[2];
    gr_tensor *scores = gr_scale(gr_matmul(q, gr_transpose(k, 1, 2)), 1 / sqrt(width));
    return gr_dropout(gr_matmul(gr_softmax(scores, -1), v), 0.2);
}

static void check_attention(trial *t)
{
    int64_t batch = trial_pick(t, 1, 3), steps = trial_pick(t, 1, 6), width = trial_pick(t, 3, 8),
            head = trial_pick(t, 1, 5);
    trial_floats(t, GR_SHAPE(batch, steps, width), -2, 2);
    for (int i = 0; i < 3; i++) trial_floats(t, GR_SHAPE(width, head), -1, 1);
    trial_check(t, attention);
}

/* --- recurrence: weights used at every step --- */

static gr_tensor *recurrence(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    const int64_t steps = gr_shape_of(x[0])->dim[0], width = gr_shape_of(x[2])->dim[0];
    (void)n, (void)user;
    gr_tensor *h = gr_zeros(g, gr_dtype_of(x[0]), GR_SHAPE(1, width));
    for (int64_t k = 0; k < steps; k++) {
        gr_tensor *in = gr_slice(x[0], 0, k, k + 1, 1);
        h = gr_tanh(gr_add(gr_linear(in, x[1], x[3]), gr_matmul(h, x[2])));
    }
    return h;
}

static void check_recurrence(trial *t)
{
    int64_t steps = trial_pick(t, 1, 20), in = trial_pick(t, 1, 5), width = trial_pick(t, 1, 6);
    trial_floats(t, GR_SHAPE(steps, in), -1, 1);
    trial_floats(t, GR_SHAPE(width, in), -1, 1);
    trial_floats(t, GR_SHAPE(width, width), -1, 1);
    trial_floats(t, GR_SHAPE(width), -1, 1);
    trial_check(t, recurrence);
}

const subject function_subjects[] = {
    {"products and losses", 80, check_classifier, 0},
    {"convolution and pooling", 100, check_convolution, 0},
    {"views and reductions", 60, check_views, 0},
    {"indexing", 50, check_lookup, 0},
    {"attention", 40, check_attention, 0},
    {"recurrence", 40, check_recurrence, 0},
    {0},
};
