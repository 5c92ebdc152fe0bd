/* loss_weighted.c - cross-entropy with class weights, and of probabilities instead of one class.
 *
 *   weighted_cross_entropy   -w_t log p_t                dx = w_t (p - e_t) dy
 *   soft_cross_entropy       -sum_c q_c log p_c          dx = (p sum_c q_c - q) dy
 *
 * p is softmax(x). By definition: what is trained most, indices without weights, has a kernel.
 */
/* SPDX-License-Identifier: MIT */
#include "loss_class.h"

#define ROWS {.shape = {2, {5, 4}}}
#define LABELS {.shape = {1, {5}}, .integer = true, .low = 0, .high = 4}
#define SOME {.shape = {1, {5}}, .integer = true, .values = (const int64_t[]){1, -7, 3, -7, 0}}
#define IMAGE {.shape = {4, {2, 4, 3, 2}}}
#define PIXELS {.shape = {3, {2, 3, 2}}, .integer = true, .low = 0, .high = 4}
#define LIST {.shape = {1, {4}}}
#define LABEL {.shape = {0, {0}}, .integer = true, .low = 0, .high = 4}
#define WEIGHTS {.shape = {1, {4}}, .low = 0.4, .high = 2}

/* --- weighted_cross_entropy --- */

static bool smoothing_fits(const char *op, gr_tensor *x, double smoothing)
{
    if (smoothing >= 0 && smoothing <= 1) return true;
    gr_fail(gr_graph_of(x), "%s: label_smoothing %g is not within [0,1]", op, smoothing);
    return false;
}

static const gr_field weighted_fields[] = {
    GR_FIELD_NAMED(gr_cross_entropy_options, reduction, gr__reductions),
    GR_FIELD(gr_cross_entropy_options, ignore, GR_FIELD_BOOL),
    GR_FIELD(gr_cross_entropy_options, ignore_index, GR_FIELD_I64),
    GR_FIELD(gr_cross_entropy_options, label_smoothing, GR_FIELD_F64),
    {0},
};

/* [C] as [1,C,1...], beside x. */
static gr_tensor *beside(gr_tensor *weight, gr_tensor *x)
{
    gr_shape s = *gr_shape_of(x);
    for (int i = 0; i < s.rank; i++)
        if (i != gr__class_axis(&s)) s.dim[i] = 1;
    return gr_reshape(weight, s);
}

/* -sum_c w_c x_c / C for each row, 0 where it is ignored. */
static gr_tensor *spread_evenly(const gr__class_targets *r, gr_tensor *x, gr_tensor *weight)
{
    const gr_shape *s = gr_shape_of(x);
    gr_axes axis = {1, {gr__class_axis(s)}};
    gr_tensor *sum = gr_sum(gr_mul(x, beside(weight, x)), axis, false);
    gr_tensor *mean = gr_scale(sum, -1 / (double)s->dim[axis.axis[0]]);
    return r->kept ? gr_where(r->kept, mean, gr__loss_number(x, 0)) : mean;
}

static gr_tensor *weighted_define(gr_tensor *const *x, int n, const void *attrs)
{
    const char *name = "weighted_cross_entropy";
    const gr_cross_entropy_options *o = attrs;
    const double smoothing = o->label_smoothing;
    (void)n;
    if (!gr__class_rows_fit(name, x[0], x[1]) || !gr__class_weights_fit(name, x[0], x[2]) ||
        !smoothing_fits(name, x[0], smoothing))
        return gr__loss_failed(x[0]);
    gr_tensor *log_p = gr_log_softmax(x[0], gr__class_axis(gr_shape_of(x[0])));
    gr_nll_options rows = {o->reduction, o->ignore, o->ignore_index};
    gr__class_targets r = gr__class_targets_of(x[0], x[1], x[2], &rows);
    gr_tensor *loss = gr_mul(gr__class_taken(&r, log_p), r.weight);
    if (smoothing > 0)
        loss = gr_add(gr_scale(loss, 1 - smoothing),
                      gr_scale(spread_evenly(&r, log_p, x[2]), smoothing));
    return gr__class_reduce(name, &r, loss, o->reduction);
}

#define CE(...) &(const gr_cross_entropy_options){__VA_ARGS__}
#define CE_MEAN CE(.reduction = GR_REDUCTION_MEAN)

static const gr_sample weighted_samples[] = {
    {.name = "batch", .in = {ROWS, LABELS, WEIGHTS}, .n_in = 3, .attrs = CE_MEAN},
    {.name = "smoothed", .in = {ROWS, LABELS, WEIGHTS}, .n_in = 3, .attrs = CE(.label_smoothing = 0.2)},
    {.name = "some ignored", .in = {ROWS, SOME, WEIGHTS}, .n_in = 3, .attrs = CE(GR_REDUCTION_SUM, true, -7, 0.1)},
    {.name = "images", .in = {IMAGE, PIXELS, WEIGHTS}, .n_in = 3, .attrs = CE(GR_REDUCTION_NONE, true, 2, 0.3)},
    {.name = "one row", .in = {LIST, LABEL, WEIGHTS}, .n_in = 3, .attrs = CE(.reduction = GR_REDUCTION_SUM)},
    {.name = "wrong count", .in = {ROWS, {.shape = {1, {4}}, .integer = true, .high = 4}, WEIGHTS}, .n_in = 3, .attrs = CE_MEAN, .error = "got [5,4] with [4]"},
    {.name = "wrong weight", .in = {ROWS, LABELS, {.shape = {1, {5}}}}, .n_in = 3, .attrs = CE_MEAN, .error = "a weight for each of 4 classes, got [5]"},
    {.name = "too smooth", .in = {ROWS, LABELS, WEIGHTS}, .n_in = 3, .attrs = CE(.label_smoothing = -0.5), .error = "label_smoothing -0.5 is not within [0,1]"},
    {0},
};

static const gr_op weighted_cross_entropy_op = {
    .name = "weighted_cross_entropy",
    .family = "loss_class",
    .formula = "y = sum_n -w[t_n] log softmax(x_n)[t_n] / sum_n w[t_n]",
    .derivation = "nll of log softmax: with W = sum_n w[t_n], dx_n = w[t_n] (p_n - e_n) dy / W; "
                  "dw_c = sum over t_n = c of (-log p_n[c] - y) dy / W",
    .n_in = 3,
    .attrs_size = sizeof(gr_cross_entropy_options),
    .fields = weighted_fields,
    .define = weighted_define,
    .samples = weighted_samples,
};

/* --- soft_cross_entropy --- */

typedef struct soft_attrs {
    gr_reduction reduction;
    double label_smoothing;
} soft_attrs;

static const gr_field soft_fields[] = {
    GR_FIELD_NAMED(soft_attrs, reduction, gr__reductions),
    GR_FIELD(soft_attrs, label_smoothing, GR_FIELD_F64),
    {0},
};

static gr_tensor *soft_define(gr_tensor *const *x, int n, const void *attrs)
{
    const char *name = "soft_cross_entropy";
    const soft_attrs *o = attrs;
    const double smoothing = o->label_smoothing;
    gr_tensor *q = x[1];
    if (!gr__loss_alike(name, x[0], q) || (n > 2 && !gr__class_weights_fit(name, x[0], x[2])) ||
        !smoothing_fits(name, x[0], smoothing))
        return gr__loss_failed(x[0]);
    const gr_shape *s = gr_shape_of(x[0]);
    gr_axes axis = {1, {gr__class_axis(s)}};
    if (s->rank == 0) return gr_fail(gr_graph_of(q), "%s: expected [N,C,...] or [C], got []", name);
    if (smoothing > 0)
        q = gr_shift(gr_scale(q, 1 - smoothing), smoothing / (double)s->dim[axis.axis[0]]);
    if (n > 2) q = gr_mul(q, beside(x[2], x[0]));
    gr_tensor *loss = gr_neg(gr_sum(gr_mul(q, gr_log_softmax(x[0], axis.axis[0])), axis, false));
    return gr__loss_reduce(name, loss, o->reduction);
}

#define SOFT(r, s) &(const soft_attrs){GR_REDUCTION_##r, s}

static const gr_sample soft_samples[] = {
    {.name = "batch", .in = {ROWS, ROWS}, .n_in = 2, .attrs = SOFT(MEAN, 0)},
    {.name = "weighted", .in = {ROWS, ROWS, WEIGHTS}, .n_in = 3, .attrs = SOFT(SUM, 0.2)},
    {.name = "images", .in = {IMAGE, IMAGE, WEIGHTS}, .n_in = 3, .attrs = SOFT(NONE, 0.1)},
    {.name = "one row", .in = {LIST, LIST}, .n_in = 2, .attrs = SOFT(MEAN, 0.3)},
    {.name = "empty", .in = {{.shape = {2, {0, 4}}}, {.shape = {2, {0, 4}}}}, .n_in = 2, .attrs = SOFT(SUM, 0)},
    {.name = "other shape", .in = {ROWS, LIST}, .n_in = 2, .attrs = SOFT(MEAN, 0), .error = "target of the shape of x, [5,4], got [4]"},
    {.name = "wrong weight", .in = {ROWS, ROWS, {.shape = {1, {5}}}}, .n_in = 3, .attrs = SOFT(MEAN, 0), .error = "a weight for each of 4 classes, got [5]"},
    {.name = "too smooth", .in = {ROWS, ROWS}, .n_in = 2, .attrs = SOFT(MEAN, 2), .error = "label_smoothing 2 is not within [0,1]"},
    {0},
};

static const gr_op soft_cross_entropy_op = {
    .name = "soft_cross_entropy",
    .family = "loss_class",
    .formula = "y = mean_n -sum_c w_c q_nc log softmax(x_n)_c",
    .derivation = "with r = w q and p = softmax(x): dx_n = (p_n sum_c r_nc - r_n) dy / N, which is "
                  "(p_n - q_n) dy / N for probabilities without weights; dq = -w log p dy / N",
    .n_in = 3,
    .optional = 1,
    .attrs_size = sizeof(soft_attrs),
    .fields = soft_fields,
    .define = soft_define,
    .samples = soft_samples,
};

/* --- cross_entropy, of any kind of target --- */

static bool is_soft(gr_tensor *logits, gr_tensor *target)
{
    return logits && target && gr__is_float(gr_dtype_of(target)) &&
           gr_shape_equal(gr_shape_of(logits), gr_shape_of(target));
}

/* The mean of -log softmax(logits)[target], a scalar: logits [N,C,...], unnormalised scores, with
 * the indices of the right classes, int64 [N,...], or [C] with a scalar; a target outside [0,C) is
 * an error when the value is computed. Or with the probabilities of all classes, a target of the
 * dtype and shape of the logits. N = 0 gives NaN. */
gr_tensor *gr_cross_entropy(gr_tensor *logits, gr_tensor *target)
{
    if (is_soft(logits, target))
        return gr__loss(&soft_cross_entropy_op, logits, target, &(soft_attrs){0}, GR_HERE);
    return gr__cross_entropy_of_indices(logits, target, (gr_cross_entropy_options){0}, GR_HERE);
}

/* weight, [C] or NULL, multiplies each class; with indices the mean then divides by the sum of the
 * targets' weights, with probabilities always by their number, as in PyTorch. With `ignore`,
 * targets equal to ignore_index do not count. label_smoothing moves that much of each target's
 * probability evenly to all classes. */
gr_tensor *gr_cross_entropy_loss(gr_tensor *logits, gr_tensor *target, gr_tensor *weight,
                                 gr_cross_entropy_options o)
{
    gr_tensor *in[3] = {logits, target, weight};
    if (is_soft(logits, target)) {
        soft_attrs soft = {o.reduction, o.label_smoothing};
        if (o.ignore)
            return gr_fail(gr_graph_of(logits), "cross_entropy: ignore_index %lld needs a target "
                           "of class indices", (long long)o.ignore_index);
        return gr__apply(NULL, &soft_cross_entropy_op, in, weight ? 3 : 2, &soft, GR_HERE);
    }
    if (!weight) return gr__cross_entropy_of_indices(logits, target, o, GR_HERE);
    return gr__apply(NULL, &weighted_cross_entropy_op, in, 3, &o, GR_HERE);
}

const gr_op *const gr__loss_weighted_ops[] = {
    &weighted_cross_entropy_op, &soft_cross_entropy_op, NULL,
};
