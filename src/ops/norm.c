/* norm.c - lengths of vectors, and the smooth maximum, over axes.
 *
 *   norm       y = (sum_i |x_i|^p)^(1/p)   dx_i = dy sign(x_i) (|x_i| / y)^(p-1)
 *   logsumexp  y = log sum_i exp(x_i)      dx_i = dy exp(x_i - y)
 *
 * The limits of the norm are the largest |x_i| for p = inf, the smallest for -inf; for p = 0 the
 * number of x_i that are not 0 is meant.
 */
/* SPDX-License-Identifier: MIT */
#include "fold.h"

#include <math.h>

#define CUBE {.shape = {3, {2, 3, 4}}}

/* --- norm --- */

typedef struct norm_attrs {
    gr__axes_attrs over;
    double p;
} norm_attrs;

static const gr_field norm_fields[] = {
    {"axes", GR_FIELD_AXES, offsetof(norm_attrs, over.axes), 0, NULL},
    {"keepdim", GR_FIELD_BOOL, offsetof(norm_attrs, over.keepdim), 0, NULL},
    GR_FIELD(norm_attrs, p, GR_FIELD_F64),
    {0},
};

static bool norm_infer(gr_infer *c)
{
    const norm_attrs *a = c->attrs;
    if (isnan(a->p)) return gr_infer_fail(c, "p is NaN");
    if (!gr__axes_infer(c)) return false;
    if (isinf(a->p) && gr_numel(c->in[0]) == 0 && gr_shape_numel(&c->shape[0]) > 0)
        return gr_infer_fail(c, "%s has no elements to choose from", gr_infer_shape(c, 0));
    return true;
}

static void absolute(double *x, int64_t n, double p)
{
    (void)p;
    for (int64_t i = 0; i < n; i++) x[i] = fabs(x[i]);
}

static void squared(double *x, int64_t n, double p)
{
    (void)p;
    for (int64_t i = 0; i < n; i++) x[i] *= x[i];
}

static void powered(double *x, int64_t n, double p)
{
    for (int64_t i = 0; i < n; i++) x[i] = pow(fabs(x[i]), p);
}

static void counted(double *x, int64_t n, double p)
{
    (void)p;
    for (int64_t i = 0; i < n; i++) x[i] = x[i] != 0;
}

/* The norms that have a loop of their own; the last row is for every other p. */
static const struct norm_kind {
    double p;
    gr__fold fold;
    bool root; /* y = total^(1/p) */
} norm_kinds[] = {
    {2, {.map = squared, .join = gr__fold_sum}, true},
    {1, {.map = absolute, .join = gr__fold_sum}, false},
    {0, {.map = counted, .join = gr__fold_sum}, false},
    {INFINITY, {.map = absolute, .join = gr__fold_max, .start = 0}, false},
    {-INFINITY, {.map = absolute, .join = gr__fold_min, .start = INFINITY}, false},
    {NAN, {.map = powered, .join = gr__fold_sum}, true},
};

static gr_status norm_forward(gr_exec *e)
{
    const double p = ((const norm_attrs *)e->attrs)->p;
    const struct norm_kind *kind = norm_kinds;
    while (kind->p != p && !isnan(kind->p)) kind++;
    gr__fold f = kind->fold;
    f.constant = p;
    double *y = gr__fold_run(e, &f);
    if (!y) return GR_ERR_MEMORY;
    for (int64_t i = 0, n = gr_shape_numel(e->out[0].shape); i < n && kind->root; i++)
        y[i] = p == 2 ? sqrt(y[i]) : pow(y[i], 1 / p);
    gr__fold_store(e, 0, y);
    return GR_OK;
}

/* a / b, and 0 where `zero` says so, with no NaN in between. */
static gr_tensor *safe_div(gr_tensor *a, gr_tensor *b, gr_tensor *zero)
{
    gr_graph *g = gr_graph_of(a);
    gr_tensor *one = gr_scalar(g, gr_dtype_of(b), 1), *none = gr_scalar(g, gr_dtype_of(b), 0);
    return gr_where(zero, none, gr_div(a, gr_where(zero, one, b)));
}

/* For p = inf and -inf: dy, shared among the |x_i| equal to y. */
static gr_tensor *extreme_weight(gr_pullback *p, gr_tensor *y)
{
    gr_tensor *x = p->x[0];
    const gr__axes_attrs *a = p->attrs;
    gr_tensor *chosen = gr_cast(gr_equal(gr_abs(x), y), gr_dtype_of(x));
    gr_tensor *ties = gr__axes_spread(p, gr_sum(chosen, a->axes, a->keepdim));
    return gr_mul(gr_sign(x), gr_div(chosen, ties));
}

/* For any other p: sign(x_i) (|x_i| / y)^(p-1), 0 where x_i = 0 or y = 0. */
static gr_tensor *power_weight(gr_pullback *p, gr_tensor *y, double exponent)
{
    gr_tensor *x = p->x[0], *size = gr_abs(x);
    gr_tensor *none = gr_scalar(p->graph, gr_dtype_of(x), 0);
    gr_tensor *one = gr_scalar(p->graph, gr_dtype_of(x), 1);
    gr_tensor *gone = gr_equal(gr_mul(gr_sign(x), gr_sign(y)), none);
    gr_tensor *ratio = gr_where(gone, one, gr_div(size, gr_where(gone, one, y)));
    gr_tensor *weight = gr_pow(ratio, gr_scalar(p->graph, gr_dtype_of(x), exponent));
    return gr_where(gone, none, gr_mul(gr_sign(x), weight));
}

static void norm_vjp(gr_pullback *p)
{
    const double power = ((const norm_attrs *)p->attrs)->p;
    gr_tensor *x = p->x[0], *weight;
    if (power == 0) return;
    gr_tensor *y = gr__axes_spread(p, p->y[0]);
    if (isinf(power)) weight = extreme_weight(p, y);
    else if (power == 1) weight = gr_sign(x);
    else if (power == 2)
        weight = safe_div(x, y, gr_equal(y, gr_scalar(p->graph, gr_dtype_of(x), 0)));
    else weight = power_weight(p, y, power - 1);
    p->dx[0] = gr_mul(gr__axes_spread(p, p->dy[0]), weight);
}

/* For p = 2 whether y = 0; else the sign of each x; for p = inf and -inf also which |x_i| equal y
 * to 4 ulp and how far the best other one lies. */
static void norm_branch(const gr_exec *e, gr_branch *b)
{
    const double p = ((const norm_attrs *)e->attrs)->p;
    gr__reduction r = gr__axes_reduction(e);
    int64_t kept[GR_MAX_RANK] = {0}, offset = 0;
    for (int64_t i = 0; i < r.outputs; i++) {
        int64_t reduced[GR_MAX_RANK] = {0}, at = offset;
        double y = gr__real_at(&e->out[0], i), gap = p == 2 ? y : INFINITY;
        for (int64_t k = 0; k < r.count; k++) {
            double x = gr__real_at(&e->in[0], at), off = fabs(y - fabs(x));
            bool chosen = isinf(p) && off <= 4 * 2.2e-16 * y;
            if (isinf(p) && !chosen && off < gap) gap = off;
            if (p != 2) gr_branch_add(b, (x > 0 ? 1 : x < 0 ? 2 : 3) + 4 * (uint64_t)chosen, fabs(x));
            at += gr__advance(reduced, r.reduced, r.reduced_stride, r.n_reduced);
        }
        gr_branch_add(b, y == 0, gap);
        offset += gr__advance(kept, r.kept, r.kept_stride, r.n_kept);
    }
}

#define NORM(p, keepdim, ...) &(const norm_attrs){{{__VA_ARGS__}, keepdim}, p}

static const gr_sample norm_samples[] = {
    {.name = "all", .in = {CUBE}, .n_in = 1, .attrs = NORM(2, false, 0, {0})},
    {.name = "middle, kept", .in = {CUBE}, .n_in = 1, .attrs = NORM(2, true, 1, {1})},
    {.name = "p = 1", .in = {CUBE}, .n_in = 1, .attrs = NORM(1, false, 1, {-1})},
    {.name = "p = 3", .in = {CUBE}, .n_in = 1, .attrs = NORM(3, false, 2, {0, 2})},
    {.name = "p = 1.5", .in = {{.shape = {2, {3, 4}}, .low = 0.5, .high = 2}}, .n_in = 1, .attrs = NORM(1.5, false, 1, {0})},
    {.name = "p = -2", .in = {{.shape = {2, {3, 4}}, .low = -2, .high = -0.5}}, .n_in = 1, .attrs = NORM(-2, false, 1, {1})},
    {.name = "p = inf", .in = {CUBE}, .n_in = 1, .attrs = NORM(INFINITY, false, 1, {1})},
    {.name = "p = -inf", .in = {CUBE}, .n_in = 1, .attrs = NORM(-INFINITY, true, 1, {2})},
    {.name = "p = 0", .in = {CUBE}, .n_in = 1, .attrs = NORM(0, false, 1, {1})},
    {.name = "scalar", .in = {{.shape = {0, {0}}, .low = 0.5, .high = 1}}, .n_in = 1, .attrs = NORM(1, false, 0, {0})},
    {.name = "empty", .in = {{.shape = {2, {0, 4}}}}, .n_in = 1, .attrs = NORM(2, false, 1, {1})},
    {.name = "nothing", .in = {{.shape = {2, {0, 4}}}}, .n_in = 1, .attrs = NORM(INFINITY, false, 1, {0}), .error = "no elements to choose from"},
    {.name = "no p", .in = {CUBE}, .n_in = 1, .attrs = NORM(NAN, false, 1, {1}), .error = "p is NaN"},
    {.name = "bad axis", .in = {CUBE}, .n_in = 1, .attrs = NORM(2, false, 1, {3}), .error = "out of range"},
    {.name = "integers", .in = {{.shape = {1, {4}}, .integer = true, .high = 3}}, .n_in = 1, .attrs = NORM(2, false, 0, {0}), .error = "not defined for int64"},
    {0},
};

static const gr_op norm_op = {
    .name = "norm",
    .family = "norm",
    .formula = "y = (sum_i |x_i|^p)^(1/p) over the reduced axes; max |x_i| for p = inf, min for "
               "-inf, the number of x_i != 0 for p = 0",
    .derivation = "y^p = sum |x_i|^p gives p y^(p-1) dy = p sum |x_i|^(p-1) sign(x_i) dx_i, so "
                  "dx_i = dy sign(x_i) (|x_i| / y)^(p-1)",
    .ties = "y = 0: the derivative is 0; x_i = 0 with p at most 1: 0; equal maxima of |x| for "
            "p = inf, minima for -inf, share dy; p = 0: 0 everywhere (PyTorch's choices)",
    .n_in = 1,
    .flags = GR_OP_STRIDED,
    .reads = GR_READS_IN(0) | GR_READS_OUT(0),
    .attrs_size = sizeof(norm_attrs),
    .fields = norm_fields,
    .infer = norm_infer,
    .forward = {[GR_F32] = norm_forward, [GR_F64] = norm_forward},
    .vjp = norm_vjp,
    .branch = norm_branch,
    .samples = norm_samples,
};

/* The p-norm of the elements over the named axes; GR_ALL: over all. p is any number, INFINITY and
 * -INFINITY included; below 1 it is no norm, though of use. NaN wins. Sums are in double: float64
 * elements above 1e154 overflow at p = 2. Nothing has the norm 0; for p = inf or -inf it is an
 * error. */
gr_tensor *gr_norm(gr_tensor *x, double p, gr_axes axes, bool keepdim)
{
    return gr__unary(&norm_op, x, &(norm_attrs){{axes, keepdim}, p}, GR_HERE);
}

/* --- logsumexp --- */

static void exponentials(double *x, int64_t n, double most)
{
    for (int64_t i = 0; i < n; i++) x[i] = exp(x[i] - most);
}

/* The largest x is taken off before exp, unless it is infinite: then the sum is 0 or Inf. */
static gr_status logsumexp_forward(gr_exec *e)
{
    const int64_t outputs = gr_shape_numel(e->out[0].shape);
    double *most = gr__fold_run(e, &(gr__fold){.join = gr__fold_max, .start = -INFINITY});
    if (!most) return GR_ERR_MEMORY;
    for (int64_t i = 0; i < outputs; i++)
        if (isinf(most[i])) most[i] = 0;
    double *y = gr__fold_run(e, &(gr__fold){.map = exponentials, .join = gr__fold_sum,
                                        .constants = most});
    if (!y) return GR_ERR_MEMORY;
    for (int64_t i = 0; i < outputs; i++) y[i] = most[i] + log(y[i]);
    gr__fold_store(e, 0, y);
    return GR_OK;
}

/* Where all are -inf, y counts as 0: the weights are 0, not NaN. */
static void logsumexp_vjp(gr_pullback *p)
{
    gr_tensor *y = p->y[0];
    gr_tensor *none = gr_equal(y, gr_scalar(p->graph, gr_dtype_of(y), -INFINITY));
    gr_tensor *level = gr_where(none, gr_scalar(p->graph, gr_dtype_of(y), 0), y);
    gr_tensor *weight = gr_exp(gr_sub(p->x[0], gr__axes_spread(p, level)));
    p->dx[0] = gr_mul(gr__axes_spread(p, p->dy[0]), weight);
}

static const gr_op logsumexp_op = {
    .name = "logsumexp",
    .family = "norm",
    .formula = "y = log sum_i exp(x_i) over the reduced axes",
    .derivation = "exp(y) dy = sum_i exp(x_i) dx_i, so dx_i = dy exp(x_i - y): the softmax of x",
    .n_in = 1,
    .flags = GR_OP_STRIDED,
    .reads = GR_READS_IN(0) | GR_READS_OUT(0),
    .attrs_size = sizeof(gr__axes_attrs),
    .fields = gr__axes_fields,
    .infer = gr__axes_infer,
    .forward = {[GR_F32] = logsumexp_forward, [GR_F64] = logsumexp_forward},
    .vjp = logsumexp_vjp,
    .samples = gr__axes_samples,
};

/* The logarithm of the sum of exp(x) over the named axes, without overflow; GR_ALL: over all. Of
 * nothing, and of all -Inf, it is -Inf, with gradient 0 (PyTorch gives NaN); one +Inf makes it +Inf,
 * with gradient NaN as in PyTorch. */
gr_tensor *gr_logsumexp(gr_tensor *x, gr_axes axes, bool keepdim)
{
    return gr__unary(&logsumexp_op, x, &(gr__axes_attrs){axes, keepdim}, GR_HERE);
}

const gr_op *const gr__norm_ops[] = {&norm_op, &logsumexp_op, NULL};
