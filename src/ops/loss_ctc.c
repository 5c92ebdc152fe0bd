/* loss_ctc.c - connectionist temporal classification: a sequence without its timing.
 *
 * A path names a class at each of T steps; merging repeats and dropping blanks turns it into a
 * sequence. The loss is minus the logarithm of the sum of exp(sum_t x[t][path_t]) over all paths
 * that become the target. With l = blank, t_1, blank, t_2, ... blank, the states of a path,
 *
 *   alpha_t(s) = x[t][l_s] + log (sum of exp alpha_{t-1} over s, s-1 and, if l_s != l_{s-2}, s-2)
 *   beta_t(s)  = log (sum over s' of exp(beta_{t+1}(s') + x[t+1][l_s']), s' the successors of s)
 *   y          = -log (exp alpha_T(last) + exp alpha_T(last - 1))
 *   dx[t][c]   = -dy sum over l_s = c of exp(alpha_t(s) + beta_t(s) + y)
 *
 * the last being how much of the probability passes through class c at step t. Graves et al.,
 * "Connectionist temporal classification", 2006.
 */
/* SPDX-License-Identifier: MIT */
#include "loss_ctc.h"

#include <math.h>
#include <string.h>

#define X {.shape = {3, {4, 2, 4}}}

/* --- alpha and beta --- */

static double emission(const gr__ctc *c, int64_t n, int64_t t, int64_t s)
{
    return c->x[(t * c->batch + n) * c->classes + gr__ctc_label(c, n, s)];
}

/* log (exp a + exp b + exp c); NaN and Inf go through. */
static double log_sum(double a, double b, double c)
{
    double most = a > b ? a : b;
    most = c > most ? c : most;
    if (most == -INFINITY) return a + b + c;
    return most + log(exp(a - most) + exp(b - most) + exp(c - most));
}

/* alpha of step t from that of the step before, NULL for the first. */
static void alpha_step(const gr__ctc *c, int64_t n, int64_t t, const double *before, double *alpha)
{
    for (int64_t s = 0, last = gr__ctc_states(c, n); s < last; s++) {
        double from = s < 2 ? 0 : -INFINITY;
        if (before)
            from = log_sum(before[s], s > 0 ? before[s - 1] : -INFINITY,
                           gr__ctc_may_skip(c, n, s) ? before[s - 2] : -INFINITY);
        alpha[s] = from + emission(c, n, t, s);
    }
}

/* beta of step t from that of the step after, with its emissions added, NULL for the last. */
static void beta_step(const gr__ctc *c, int64_t n, const double *after, double *beta)
{
    const int64_t last = gr__ctc_states(c, n);
    for (int64_t s = 0; s < last; s++) {
        bool skip = s + 2 < last && gr__ctc_may_skip(c, n, s + 2);
        beta[s] = s >= last - 2 ? 0 : -INFINITY;
        if (after)
            beta[s] = log_sum(after[s], s + 1 < last ? after[s + 1] : -INFINITY,
                              skip ? after[s + 2] : -INFINITY);
    }
}

/* The loss, given alpha at the last step. */
static double loss_of(const gr__ctc *c, int64_t n, const double *alpha)
{
    const int64_t last = gr__ctc_states(c, n);
    if (c->n_steps[n] == 0) return last == 1 ? 0 : INFINITY;
    return -log_sum(alpha[last - 1], last > 1 ? alpha[last - 2] : -INFINITY, -INFINITY);
}

/* Targets that one thread takes at a time: small work stays on one thread. */
static int64_t grain_of(const gr__ctc *c)
{
    return 1 + 4096 / (c->steps * (2 * c->width + 1) + 1);
}

/* --- checks --- */

typedef struct ctc_attrs {
    int64_t blank;
    bool zero_infinity;
} ctc_attrs;

static const gr_field ctc_rows_fields[] = {
    GR_FIELD(ctc_attrs, blank, GR_FIELD_I64),
    GR_FIELD(ctc_attrs, zero_infinity, GR_FIELD_BOOL),
    {0},
};

static bool ctc_fits(gr_infer *c)
{
    const gr_shape *x = gr_shape_of(c->in[0]);
    const int64_t blank = ((const ctc_attrs *)c->attrs)->blank;
    if (x->rank != 3)
        return gr_infer_fail(c, "expected log-probabilities [T,N,C], got %s", gr_infer_shape(c, 0));
    if (blank < 0 || blank >= x->dim[2])
        return gr_infer_fail(c, "the blank, %lld, is none of %lld classes", (long long)blank,
                             (long long)x->dim[2]);
    return gr__ctc_targets_fit(c, 1, x->dim[1]);
}

/* Fills c; `rows` rows of scratch for each of the batch. */
static gr_status begin(gr_exec *e, gr__ctc *c, int64_t rows)
{
    const ctc_attrs *a = e->attrs;
    const gr_shape *x = e->in[0].shape;
    *c = (gr__ctc){.steps = x->dim[0], .batch = x->dim[1], .classes = x->dim[2],
               .width = e->in[1].shape->dim[1], .blank = a->blank,
               .zero_infinity = a->zero_infinity, .x = e->in[0].data, .target = e->in[1].data,
               .n_steps = e->in[2].data, .target_size = e->in[3].data, .y = e->out[0].data};
    if (gr__ctc_check_targets(e, 1, c->steps, c->classes)) return GR_ERR_ARGUMENT;
    gr_shape scratch = GR_SHAPE(c->batch, rows, 2 * c->width + 1);
    if (!gr__shape_valid(&scratch)) return gr_exec_fail(e, "the targets are too long");
    c->alpha = gr_exec_scratch(e, (size_t)gr_shape_numel(&scratch) * sizeof(double) + 1);
    return c->alpha ? GR_OK : GR_ERR_MEMORY;
}

/* --- ctc_rows --- */

static void rows_range(void *ctx, int64_t first, int64_t end)
{
    const gr__ctc *c = ctx;
    for (int64_t n = first; n < end; n++) {
        const int64_t width = 2 * c->width + 1;
        double *alpha = c->alpha + n * 2 * width, *row[2] = {alpha, alpha + width};
        for (int64_t t = 0; t < c->n_steps[n]; t++)
            alpha_step(c, n, t, t ? row[(t + 1) % 2] : NULL, row[t % 2]);
        double loss = loss_of(c, n, row[(c->n_steps[n] + 1) % 2]);
        c->y[n] = loss == INFINITY && c->zero_infinity ? 0 : loss;
    }
}

static bool ctc_rows_infer(gr_infer *c)
{
    if (!ctc_fits(c)) return false;
    c->shape[0] = GR_SHAPE(gr_shape_of(c->in[0])->dim[1]);
    return true;
}

static gr_status ctc_rows_forward(gr_exec *e)
{
    gr__ctc c;
    gr_status status = begin(e, &c, 2);
    if (status == GR_OK) gr__parallel_for(c.batch, grain_of(&c), rows_range, &c);
    return status;
}

static gr_tensor *ctc_grad(gr_tensor *const *in, gr_tensor *dy, const void *attrs);

static void ctc_rows_vjp(gr_pullback *p)
{
    if (p->wants[0]) p->dx[0] = ctc_grad(p->x, p->dy[0], p->attrs);
}

#define BLANK(b, zero) &(const ctc_attrs){b, zero}

static const gr_sample ctc_rows_samples[] = {
    {.name = "batch", .in = {X, TARGETS, STEPS, SIZES}, .n_in = 4, .attrs = BLANK(0, false)},
    {.name = "other blank", .in = {X, TARGETS, STEPS, ONES}, .n_in = 4, .attrs = BLANK(3, false)},
    {.name = "one impossible", .in = {X, TARGETS, SHORT, SIZES}, .n_in = 4, .attrs = BLANK(0, true)},
    {.name = "empty targets", .in = {{.shape = {3, {2, 2, 3}}}, {.shape = {2, {2, 0}}, .integer = true, .high = 3}, {.shape = {1, {2}}, .integer = true, .low = 2, .high = 3}, {.shape = {1, {2}}, .integer = true, .high = 1}}, .n_in = 4, .attrs = BLANK(1, false)},
    {.name = "empty batch", .in = {{.shape = {3, {2, 0, 3}}}, {.shape = {2, {0, 2}}, .integer = true, .high = 3}, {.shape = {1, {0}}, .integer = true, .high = 3}, {.shape = {1, {0}}, .integer = true, .high = 1}}, .n_in = 4, .attrs = BLANK(0, false)},
    {.name = "no class", .in = {X, {.shape = {2, {2, 2}}, .integer = true, .low = 4, .high = 9}, STEPS, SIZES}, .n_in = 4, .attrs = BLANK(0, false), .error = "expected 0 <= targets < 4"},
    {.name = "long target", .in = {X, TARGETS, STEPS, LONG}, .n_in = 4, .attrs = BLANK(0, false), .error = "target_lengths[0] is 4, expected 0 <= target_lengths < 3"},
    {.name = "too many steps", .in = {X, TARGETS, LONG, SIZES}, .n_in = 4, .attrs = BLANK(0, false), .error = "input_lengths[1] is 5, expected 0 <= input_lengths < 5"},
    {.name = "no batch", .in = {{.shape = {2, {5, 4}}}, TARGETS, STEPS, SIZES}, .n_in = 4, .attrs = BLANK(0, false), .error = "expected log-probabilities [T,N,C], got [5,4]"},
    {.name = "no such blank", .in = {X, TARGETS, STEPS, SIZES}, .n_in = 4, .attrs = BLANK(4, false), .error = "the blank, 4, is none of 4 classes"},
    {.name = "float targets", .in = {X, {.shape = {2, {2, 2}}}, STEPS, SIZES}, .n_in = 4, .attrs = BLANK(0, false), .error = "targets is float64, expected int64"},
    {.name = "list of targets", .in = {X, STEPS, STEPS, SIZES}, .n_in = 4, .attrs = BLANK(0, false), .error = "expected targets [N,S] for a batch of 2, got [2]"},
    {0},
};

static const gr_op ctc_rows_op = {
    .name = "ctc_rows",
    .family = "loss_ctc",
    .formula = "y_n = -log sum over paths that become target n of exp(sum_t x[t][n][path_t])",
    .derivation = "the logarithm of a sum of exponentials: its derivative by x[t][c] is the share "
                  "of the paths that name c at step t, computed by alpha and beta; "
                  "dx[t][n][c] = -dy_n times that share",
    .n_in = 4,
    .reads = GR_READS_IN(0) | GR_READS_IN(1) | GR_READS_IN(2) | GR_READS_IN(3),
    .attrs_size = sizeof(ctc_attrs),
    .fields = ctc_rows_fields,
    .infer = ctc_rows_infer,
    .forward = {[GR_F64] = ctc_rows_forward},
    .vjp = ctc_rows_vjp,
    .samples = ctc_rows_samples,
};

/* --- ctc_grad: its backward as an op --- */

/* Takes from dx the share of the paths that pass through each state of step t. */
static void take_shares(const gr__ctc *c, int64_t n, int64_t t, const double *alpha,
                        const double *beta, double loss)
{
    double *dx = c->y + (t * c->batch + n) * c->classes;
    for (int64_t s = 0, last = gr__ctc_states(c, n); s < last; s++)
        dx[gr__ctc_label(c, n, s)] -= c->dy[n] * exp(alpha[s] + beta[s] + loss);
}

/* Row `steps` of the scratch is beta, the one after it beta of the step after with emissions. */
static void grad_row(const gr__ctc *c, int64_t n)
{
    const int64_t width = 2 * c->width + 1, steps = c->n_steps[n];
    double *alpha = c->alpha + n * (c->steps + 2) * width, *beta = alpha + c->steps * width;
    double *after = beta + width;
    for (int64_t t = 0; t < steps; t++)
        alpha_step(c, n, t, t ? alpha + (t - 1) * width : NULL, alpha + t * width);
    const double loss = loss_of(c, n, alpha + (steps - 1) * width);
    if (c->dy[n] == 0 || (loss == INFINITY && c->zero_infinity)) return;
    for (int64_t t = steps - 1; t >= 0; t--) {
        beta_step(c, n, t < steps - 1 ? after : NULL, beta);
        take_shares(c, n, t, alpha + t * width, beta, loss);
        for (int64_t s = 0, last = gr__ctc_states(c, n); s < last; s++)
            after[s] = beta[s] + emission(c, n, t, s);
    }
}

static void grad_range(void *ctx, int64_t first, int64_t end)
{
    const gr__ctc *c = ctx;
    for (int64_t n = first; n < end; n++) {
        for (int64_t t = 0; t < c->steps; t++)
            memset(c->y + (t * c->batch + n) * c->classes, 0, (size_t)c->classes * sizeof *c->y);
        if (c->n_steps[n] > 0) grad_row(c, n);
    }
}

static bool ctc_grad_infer(gr_infer *c)
{
    if (!ctc_fits(c)) return false;
    const gr_shape *dy = gr_shape_of(c->in[4]);
    if (dy->rank == 1 && dy->dim[0] == c->shape[0].dim[1] && gr_dtype_of(c->in[4]) == c->dtype[0])
        return true;
    return gr_infer_fail(c, "expected a %s cotangent [N] for %s, got %s %s",
                         gr_dtype_name(c->dtype[0]), gr_infer_shape(c, 0),
                         gr_dtype_name(gr_dtype_of(c->in[4])), gr_infer_shape(c, 4));
}

static gr_status ctc_grad_forward(gr_exec *e)
{
    gr__ctc c;
    gr_status status = begin(e, &c, e->in[0].shape->dim[0] + 2);
    c.dy = e->in[4].data;
    if (status == GR_OK) gr__parallel_for(c.batch, grain_of(&c), grad_range, &c);
    return status;
}

/* Once more through the loss, recorded: its gradient, and the pullback of that. The copies of x and
 * of the cotangent begin a stretch of tape of their own. */
static void ctc_grad_vjp(gr_pullback *p)
{
    gr_tensor *in[2] = {gr_scale(p->x[0], 1), gr_scale(p->x[4], 1)}, *grad, *d[2];
    gr_tensor *loss = gr__ctc_recorded_loss(in[0], p->x + 1, ((const ctc_attrs *)p->attrs)->blank);
    if (gr_vjp(&loss, &in[1], 1, &in[0], 1, &grad) || gr_vjp(&grad, &p->dy[0], 1, in, 2, d)) return;
    if (p->wants[0]) p->dx[0] = d[0];
    if (p->wants[4]) p->dx[4] = d[1];
}

#define COTANGENT {.shape = {1, {2}}}

static const gr_sample ctc_grad_samples[] = {
    {.name = "batch", .in = {X, TARGETS, STEPS, SIZES, COTANGENT}, .n_in = 5, .attrs = BLANK(0, false)},
    {.name = "other blank", .in = {X, TARGETS, STEPS, ONES, COTANGENT}, .n_in = 5, .attrs = BLANK(3, false)},
    {.name = "one impossible", .in = {X, TARGETS, SHORT, SIZES, COTANGENT}, .n_in = 5, .attrs = BLANK(0, true)},
    {.name = "other cotangent", .in = {X, TARGETS, STEPS, SIZES, {.shape = {0, {0}}}}, .n_in = 5, .attrs = BLANK(0, false), .error = "cotangent [N] for [4,2,4], got float64 []"},
    {.name = "no such blank", .in = {X, TARGETS, STEPS, SIZES, COTANGENT}, .n_in = 5, .attrs = BLANK(-1, false), .error = "the blank, -1, is none of 4 classes"},
    {0},
};

static const gr_op ctc_grad_op = {
    .name = "ctc_grad",
    .family = "loss_ctc",
    .formula = "z[t][n][c] = -w_n times the share of the paths that name c at step t",
    .derivation = "linear in w; by x the derivative of a share is a covariance, how much more "
                  "often the paths that name c at t name c' at t': recorded from the loss itself",
    .n_in = 5,
    .reads = GR_READS_IN(0) | GR_READS_IN(1) | GR_READS_IN(2) | GR_READS_IN(3) | GR_READS_IN(4),
    .attrs_size = sizeof(ctc_attrs),
    .fields = ctc_rows_fields,
    .infer = ctc_grad_infer,
    .forward = {[GR_F64] = ctc_grad_forward},
    .vjp = ctc_grad_vjp,
    .samples = ctc_grad_samples,
};

static gr_tensor *ctc_grad(gr_tensor *const *in, gr_tensor *dy, const void *attrs)
{
    gr_tensor *all[5] = {in[0], in[1], in[2], in[3], dy};
    return gr__apply(NULL, &ctc_grad_op, all, 5, attrs, GR_HERE);
}

/* --- ctc --- */

static const gr_field ctc_fields[] = {
    GR_FIELD_NAMED(gr_ctc_options, reduction, gr__reductions),
    GR_FIELD(gr_ctc_options, blank, GR_FIELD_I64),
    GR_FIELD(gr_ctc_options, zero_infinity, GR_FIELD_BOOL),
    {0},
};

static gr_tensor *ctc_define(gr_tensor *const *x, int n, const void *attrs)
{
    const gr_ctc_options *o = attrs;
    gr_graph *g = gr_graph_of(x[0]);
    ctc_attrs rows = {o->blank, o->zero_infinity};
    gr_tensor *loss = gr__apply(NULL, &ctc_rows_op, x, n, &rows, GR_HERE);
    if (o->reduction == GR_REDUCTION_MEAN) {
        gr_tensor *some = gr_greater(x[3], gr_zeros(g, GR_I64, GR_SCALAR));
        gr_tensor *size = gr_cast(x[3], gr_dtype_of(x[0]));
        loss = gr_div(loss, gr_where(some, size, gr__loss_number(x[0], 1)));
    }
    return gr__loss_reduce("ctc", loss, o->reduction);
}

#define CTC(r, b, zero) &(const gr_ctc_options){GR_REDUCTION_##r, b, zero}

static const gr_sample ctc_samples[] = {
    {.name = "batch", .in = {X, TARGETS, STEPS, SIZES}, .n_in = 4, .attrs = CTC(MEAN, 0, false)},
    {.name = "sum", .in = {X, TARGETS, STEPS, ONES}, .n_in = 4, .attrs = CTC(SUM, 3, false)},
    {.name = "one impossible", .in = {X, TARGETS, SHORT, SIZES}, .n_in = 4, .attrs = CTC(NONE, 0, true)},
    {.name = "empty targets", .in = {X, TARGETS, STEPS, ONES}, .n_in = 4, .attrs = CTC(MEAN, 0, false)},
    {.name = "no class", .in = {X, {.shape = {2, {2, 2}}, .integer = true, .low = 4, .high = 9}, STEPS, SIZES}, .n_in = 4, .attrs = CTC(MEAN, 0, false), .error = "expected 0 <= targets < 4"},
    {.name = "no batch", .in = {{.shape = {2, {5, 4}}}, TARGETS, STEPS, SIZES}, .n_in = 4, .attrs = CTC(MEAN, 0, false), .error = "expected log-probabilities [T,N,C], got [5,4]"},
    {0},
};

static const gr_op ctc_op = {
    .name = "ctc",
    .family = "loss_ctc",
    .formula = "y = mean of -log p(target_n) / (length of target n)",
    .derivation = "p(target) is a sum over paths: the derivative of -log p by x[t][c] is minus the "
                  "share of p that passes through c at step t, over the length and the batch",
    .n_in = 4,
    .attrs_size = sizeof(gr_ctc_options),
    .fields = ctc_fields,
    .define = ctc_define,
    .samples = ctc_samples,
};

/* The probability that a sequence of T classes, repeats merged and blanks (class 0) dropped, is the
 * target: minus its logarithm, over the length of the target, mean over the batch. log_probs:
 * [T,N,C], logarithms of probabilities (gr_log_softmax); targets: int64 [N,S], padded;
 * input_lengths and target_lengths: int64 [N]. A target that cannot fit gives Inf, and a gradient
 * of NaN; see zero_infinity. The gradient is exact for any log_probs, where PyTorch's adds
 * exp(log_probs), which gr_log_softmax would take away again. Work is N T S, in float64. */
gr_tensor *gr_ctc(gr_tensor *log_probs, gr_tensor *targets, gr_tensor *input_lengths,
                  gr_tensor *target_lengths)
{
    gr_tensor *in[4] = {log_probs, targets, input_lengths, target_lengths};
    return gr__apply(NULL, &ctc_op, in, 4, &(gr_ctc_options){0}, GR_HERE);
}

gr_tensor *gr_ctc_loss(gr_tensor *log_probs, gr_tensor *targets, gr_tensor *input_lengths,
                       gr_tensor *target_lengths, gr_ctc_options o)
{
    gr_tensor *in[4] = {log_probs, targets, input_lengths, target_lengths};
    return gr__apply(NULL, &ctc_op, in, 4, &o, GR_HERE);
}

const gr_op *const gr__loss_ctc_ops[] = {&ctc_rows_op, &ctc_grad_op, &ctc_op, NULL};
