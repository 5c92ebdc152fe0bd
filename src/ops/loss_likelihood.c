/* loss_likelihood.c - minus the logarithm of how likely a target is under a distribution.
 *
 *   poisson_nll   -log (r^t exp(-r) / t!) = r - t log r + log t!        r = exp x
 *   gaussian_nll  -log N(t; x, v) = (log v + (x - t)^2/v + log 2 pi) / 2
 *   kl_div        t (log t - x), summed: KL(t || exp x)
 *
 * What does not depend on x is left out unless asked for.
 */
/* SPDX-License-Identifier: MIT */
#include "loss.h"

#include <math.h>

#define M34 {.shape = {2, {3, 4}}}
#define ONE {.shape = {0, {0}}}
#define EMPTY {.shape = {2, {0, 4}}}
#define POSITIVE {.shape = {2, {3, 4}}, .low = 0.2, .high = 0.9}
#define COUNTS {.shape = {2, {3, 4}}, .low = 1.2, .high = 4}

static const double TWO_PI = 6.28318530717958647693;

/* --- poisson_nll --- */

static const gr_field poisson_nll_fields[] = {
    GR_FIELD_NAMED(gr_poisson_nll_options, reduction, gr__reductions),
    GR_FIELD(gr_poisson_nll_options, plain_rate, GR_FIELD_BOOL),
    GR_FIELD(gr_poisson_nll_options, full, GR_FIELD_BOOL),
    GR_FIELD(gr_poisson_nll_options, eps, GR_FIELD_F64),
    {0},
};

/* log t! by Stirling, t log t - t + log(2 pi t)/2, above 1; 0 below. */
static gr_tensor *log_factorial(gr_tensor *t)
{
    gr_tensor *one = gr__loss_number(t, 1), *large = gr_greater(t, one);
    gr_tensor *safe = gr_where(large, t, one), *log_t = gr_log(safe);
    gr_tensor *power = gr_sub(gr_mul(safe, log_t), safe);
    gr_tensor *root = gr_shift(gr_scale(log_t, 0.5), 0.5 * log(TWO_PI));
    return gr_where(large, gr_add(power, root), gr__loss_number(t, 0));
}

static gr_tensor *poisson_nll_define(gr_tensor *const *x, int n, const void *attrs)
{
    const gr_poisson_nll_options *o = attrs;
    gr_tensor *rate, *log_rate;
    (void)n;
    if (!gr__loss_alike("poisson_nll", x[0], x[1])) return gr__loss_failed(x[0]);
    rate = o->plain_rate ? x[0] : gr_exp(x[0]);
    log_rate = o->plain_rate ? gr_log(gr_shift(x[0], o->eps == 0 ? 1e-8 : o->eps)) : x[0];
    gr_tensor *loss = gr_sub(rate, gr_mul(x[1], log_rate));
    if (o->full) loss = gr_add(loss, log_factorial(x[1]));
    return gr__loss_reduce("poisson_nll", loss, o->reduction);
}

#define POISSON(...) &(const gr_poisson_nll_options){__VA_ARGS__}

static const gr_sample poisson_nll_samples[] = {
    {.name = "matrix", .in = {M34, COUNTS}, .n_in = 2, .attrs = POISSON(.full = false)},
    {.name = "full", .in = {M34, COUNTS}, .n_in = 2, .attrs = POISSON(.reduction = GR_REDUCTION_SUM, .full = true)},
    {.name = "small counts", .in = {M34, POSITIVE}, .n_in = 2, .attrs = POISSON(.reduction = GR_REDUCTION_NONE, .full = true)},
    {.name = "plain rate", .in = {POSITIVE, COUNTS}, .n_in = 2, .attrs = POISSON(.reduction = GR_REDUCTION_NONE, .plain_rate = true, .eps = 0.1)},
    {.name = "default eps", .in = {POSITIVE, COUNTS}, .n_in = 2, .attrs = POISSON(.reduction = GR_REDUCTION_MEAN, .plain_rate = true)},
    {.name = "scalars", .in = {ONE, ONE}, .n_in = 2, .attrs = POISSON(.full = false)},
    {.name = "empty", .in = {EMPTY, EMPTY}, .n_in = 2, .attrs = POISSON(.reduction = GR_REDUCTION_SUM)},
    {.name = "other shape", .in = {M34, {.shape = {1, {4}}}}, .n_in = 2, .attrs = POISSON(.full = false), .error = "target of the shape of x, [3,4], got [4]"},
    {0},
};

static const gr_op poisson_nll_op = {
    .name = "poisson_nll",
    .family = "loss_likelihood",
    .formula = "y = mean of exp(x) - t x, or of x - t log(x + eps) for a plain rate",
    .derivation = "d/dx (exp(x) - t x) = exp(x) - t: zero where the rate is the count; for a plain "
                  "rate 1 - t / (x + eps). dt = -x dy, or -log(x + eps) dy",
    .ties = "full, t = 1: log t! starts there with a jump, the derivative is that from below "
            "(PyTorch's choice)",
    .n_in = 2,
    .attrs_size = sizeof(gr_poisson_nll_options),
    .fields = poisson_nll_fields,
    .define = poisson_nll_define,
    .samples = poisson_nll_samples,
};

/* Counts `target` under a Poisson distribution whose rate has the logarithm x; with plain_rate x
 * is the rate itself, and eps (0: 1e-8) keeps its logarithm finite. full adds log target! by
 * Stirling's formula where target > 1. */
gr_tensor *gr_poisson_nll(gr_tensor *x, gr_tensor *target)
{
    return gr__loss(&poisson_nll_op, x, target, &(gr_poisson_nll_options){0}, GR_HERE);
}

gr_tensor *gr_poisson_nll_loss(gr_tensor *x, gr_tensor *target, gr_poisson_nll_options o)
{
    return gr__loss(&poisson_nll_op, x, target, &o, GR_HERE);
}

/* --- gaussian_nll --- */

static const gr_field gaussian_nll_fields[] = {
    GR_FIELD_NAMED(gr_gaussian_nll_options, reduction, gr__reductions),
    GR_FIELD(gr_gaussian_nll_options, full, GR_FIELD_BOOL),
    GR_FIELD(gr_gaussian_nll_options, eps, GR_FIELD_F64),
    {0},
};

/* The shape of x, or with a last size of 1: one variance for all along the last axis. */
static bool variance_fits(gr_tensor *x, gr_tensor *variance)
{
    char a[GR_SHAPE_TEXT], b[GR_SHAPE_TEXT];
    gr_shape shared = *gr_shape_of(x);
    if (shared.rank) shared.dim[shared.rank - 1] = 1;
    if (gr_shape_equal(gr_shape_of(variance), gr_shape_of(x)) ||
        gr_shape_equal(gr_shape_of(variance), &shared))
        return true;
    gr_fail(gr_graph_of(x), "gaussian_nll: expected a variance of the shape of x, %s, or with a "
            "last size of 1, got %s", gr_shape_text(gr_shape_of(x), a),
            gr_shape_text(gr_shape_of(variance), b));
    return false;
}

static gr_tensor *gaussian_nll_define(gr_tensor *const *x, int n, const void *attrs)
{
    const gr_gaussian_nll_options *o = attrs;
    double eps = o->eps == 0 ? 1e-6 : o->eps;
    (void)n;
    if (!gr__loss_alike("gaussian_nll", x[0], x[1]) || !variance_fits(x[0], x[2]) ||
        !gr__loss_positive("gaussian_nll", x[0], "eps", eps))
        return gr__loss_failed(x[0]);
    gr_tensor *v = gr_maximum(x[2], gr__loss_number(x[2], eps));
    gr_tensor *far = gr_div(gr_square(gr_sub(x[0], x[1])), v);
    gr_tensor *loss = gr_scale(gr_add(far, gr_log(v)), 0.5);
    if (o->full) loss = gr_shift(loss, 0.5 * log(TWO_PI));
    return gr__loss_reduce("gaussian_nll", loss, o->reduction);
}

#define GAUSS(...) &(const gr_gaussian_nll_options){__VA_ARGS__}
#define LOW_VARIANCE {.shape = {2, {3, 4}}, .low = 0.01, .high = 0.4}

static const gr_sample gaussian_nll_samples[] = {
    {.name = "matrix", .in = {M34, M34, POSITIVE}, .n_in = 3, .attrs = GAUSS(.reduction = GR_REDUCTION_MEAN)},
    {.name = "one variance a row", .in = {M34, M34, {.shape = {2, {3, 1}}, .low = 0.5, .high = 2}}, .n_in = 3, .attrs = GAUSS(.reduction = GR_REDUCTION_SUM, .full = true)},
    {.name = "cut", .in = {M34, M34, LOW_VARIANCE}, .n_in = 3, .attrs = GAUSS(.reduction = GR_REDUCTION_NONE, .eps = 0.2)},
    {.name = "scalars", .in = {ONE, ONE, {.shape = {0, {0}}, .low = 0.5, .high = 2}}, .n_in = 3, .attrs = GAUSS(.reduction = GR_REDUCTION_MEAN, .full = true)},
    {.name = "empty", .in = {EMPTY, EMPTY, EMPTY}, .n_in = 3, .attrs = GAUSS(.reduction = GR_REDUCTION_SUM)},
    {.name = "other shape", .in = {M34, {.shape = {1, {4}}}, M34}, .n_in = 3, .attrs = GAUSS(.reduction = GR_REDUCTION_MEAN), .error = "target of the shape of x, [3,4], got [4]"},
    {.name = "other variance", .in = {M34, M34, {.shape = {1, {4}}}}, .n_in = 3, .attrs = GAUSS(.reduction = GR_REDUCTION_MEAN), .error = "last size of 1, got [4]"},
    {.name = "negative eps", .in = {M34, M34, M34}, .n_in = 3, .attrs = GAUSS(.eps = -1), .error = "eps must be positive"},
    {0},
};

static const gr_op gaussian_nll_op = {
    .name = "gaussian_nll",
    .family = "loss_likelihood",
    .formula = "y = mean of (log v + (x - t)^2 / v) / 2, v = max(variance, eps)",
    .derivation = "with d = x - t: dx = d/v dy, dt = -dx, and dv = (1 - d^2/v) / (2 v) dy, zero "
                  "where the variance is the squared error; through v to what it came from",
    .ties = "variance = eps: half the derivative; below it 0, v being constant there (PyTorch "
            "passes it on as if uncut)",
    .n_in = 3,
    .attrs_size = sizeof(gr_gaussian_nll_options),
    .fields = gaussian_nll_fields,
    .define = gaussian_nll_define,
    .samples = gaussian_nll_samples,
};

/* Targets under a normal distribution with mean x and the given variance, of the shape of x or
 * with a last size of 1; less than eps (0: 1e-6) counts as eps. full adds log(2 pi)/2. Nix and
 * Weigend, "Estimating the mean and variance of the target probability distribution", 1994. */
gr_tensor *gr_gaussian_nll(gr_tensor *x, gr_tensor *target, gr_tensor *variance)
{
    gr_tensor *in[3] = {x, target, variance};
    return gr__apply(NULL, &gaussian_nll_op, in, 3, &(gr_gaussian_nll_options){0}, GR_HERE);
}

gr_tensor *gr_gaussian_nll_loss(gr_tensor *x, gr_tensor *target, gr_tensor *variance,
                                gr_gaussian_nll_options o)
{
    gr_tensor *in[3] = {x, target, variance};
    return gr__apply(NULL, &gaussian_nll_op, in, 3, &o, GR_HERE);
}

/* --- kl_div --- */

static const gr_field kl_div_fields[] = {
    GR_FIELD_NAMED(gr_kl_div_options, reduction, gr__reductions),
    GR_FIELD(gr_kl_div_options, log_target, GR_FIELD_BOOL),
    GR_FIELD(gr_kl_div_options, batch_mean, GR_FIELD_BOOL),
    {0},
};

/* t log t, 0 at 0. */
static gr_tensor *times_log(gr_tensor *t)
{
    gr_tensor *none = gr_equal(t, gr__loss_number(t, 0));
    return gr_mul(t, gr_log(gr_where(none, gr__loss_number(t, 1), t)));
}

static gr_tensor *divide_by_batch(gr_tensor *const *x, gr_tensor *loss)
{
    const gr_shape *s = gr_shape_of(x[0]);
    return gr_scale(gr_sum_all(loss), 1 / (double)(s->rank ? s->dim[0] : 1));
}

static gr_tensor *kl_div_define(gr_tensor *const *x, int n, const void *attrs)
{
    const gr_kl_div_options *o = attrs;
    gr_tensor *t = x[1], *loss;
    (void)n;
    if (!gr__loss_alike("kl_div", x[0], t)) return gr__loss_failed(x[0]);
    if (o->log_target) loss = gr_mul(gr_exp(t), gr_sub(t, x[0]));
    else loss = gr_sub(times_log(t), gr_mul(t, x[0]));
    if (o->batch_mean) return divide_by_batch(x, loss);
    return gr__loss_reduce("kl_div", loss, o->reduction);
}

#define KL(...) &(const gr_kl_div_options){__VA_ARGS__}

static const gr_sample kl_div_samples[] = {
    {.name = "matrix", .in = {POSITIVE, POSITIVE}, .n_in = 2, .attrs = KL(.reduction = GR_REDUCTION_MEAN)},
    {.name = "none", .in = {POSITIVE, POSITIVE}, .n_in = 2, .attrs = KL(.reduction = GR_REDUCTION_NONE)},
    {.name = "logarithms", .in = {M34, M34}, .n_in = 2, .attrs = KL(.reduction = GR_REDUCTION_SUM, .log_target = true)},
    {.name = "mean over the batch", .in = {POSITIVE, POSITIVE}, .n_in = 2, .attrs = KL(.batch_mean = true)},
    {.name = "scalars", .in = {{.shape = {0, {0}}, .low = 0.2, .high = 0.9}, {.shape = {0, {0}}, .low = 0.2, .high = 0.9}}, .n_in = 2, .attrs = KL(.batch_mean = true)},
    {.name = "empty", .in = {EMPTY, EMPTY}, .n_in = 2, .attrs = KL(.reduction = GR_REDUCTION_SUM)},
    {.name = "other shape", .in = {M34, {.shape = {1, {4}}}}, .n_in = 2, .attrs = KL(.reduction = GR_REDUCTION_MEAN), .error = "target of the shape of x, [3,4], got [4]"},
    {0},
};

static const gr_op kl_div_op = {
    .name = "kl_div",
    .family = "loss_likelihood",
    .formula = "y = mean of t (log t - x), or of exp(t) (t - x) for log_target",
    .derivation = "linear in x: dx = -t dy / n; d/dt (t log t) = log t + 1, so "
                  "dt = (log t + 1 - x) dy / n, or exp(t) (t + 1 - x) dy / n for log_target",
    .ties = "t = 0: t log t is 0 and its derivative, -inf by mathematics, counts as 0",
    .n_in = 2,
    .attrs_size = sizeof(gr_kl_div_options),
    .fields = kl_div_fields,
    .define = kl_div_define,
    .samples = kl_div_samples,
};

/* How far the distribution exp(x) is from `target`, probabilities or, with log_target, their
 * logarithms. The default is PyTorch's mean over all elements; the divergence itself is the sum,
 * and its mean over the first axis batch_mean. */
gr_tensor *gr_kl_div(gr_tensor *x, gr_tensor *target)
{
    return gr__loss(&kl_div_op, x, target, &(gr_kl_div_options){0}, GR_HERE);
}

gr_tensor *gr_kl_div_loss(gr_tensor *x, gr_tensor *target, gr_kl_div_options o)
{
    return gr__loss(&kl_div_op, x, target, &o, GR_HERE);
}

const gr_op *const gr__loss_likelihood_ops[] = {
    &poisson_nll_op, &gaussian_nll_op, &kl_div_op, NULL,
};
