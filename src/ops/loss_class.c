/* loss_class.c - losses of one class among C, from log-probabilities or by margins.
 *
 *   nll            -w_t x_t                                          dx_t = -w_t dy
 *   multi_margin   sum over i != t of max(0, m - x_t + x_i)^p / C    dx_t = -sum of the dx_i
 *
 * The mean over n divides by the sum of the w_t, so that rows of rare classes can count more
 * without making the loss larger.
 */
/* SPDX-License-Identifier: MIT */
#include "along.h"
#include "loss_class.h"

#define ROWS {.shape = {2, {5, 4}}}
#define LABELS {.shape = {1, {5}}, .integer = true, .low = 0, .high = 4}
#define SOME {.shape = {1, {5}}, .integer = true, .values = (const int64_t[]){1, -7, 3, -7, 0}}
#define IMAGE {.shape = {4, {2, 4, 3, 2}}}
#define PIXELS {.shape = {3, {2, 3, 2}}, .integer = true, .low = 0, .high = 4}
#define LIST {.shape = {1, {4}}}
#define LABEL {.shape = {0, {0}}, .integer = true, .low = 0, .high = 4}
#define WEIGHTS {.shape = {1, {4}}, .low = 0.4, .high = 2}

/* --- class_index, class_mask: targets made safe, and where they point --- */

typedef struct class_attrs {
    int64_t classes;
    bool ignore;
    int64_t ignore_index;
} class_attrs;

static const gr_field class_fields[] = {
    GR_FIELD(class_attrs, classes, GR_FIELD_I64),
    GR_FIELD(class_attrs, ignore, GR_FIELD_BOOL),
    GR_FIELD(class_attrs, ignore_index, GR_FIELD_I64),
    {0},
};

static bool class_index_infer(gr_infer *c)
{
    const int64_t classes = ((const class_attrs *)c->attrs)->classes;
    if (!gr__infer_index(c, 0, "target")) return false;
    return classes >= 0 || gr_infer_fail(c, "there cannot be %lld classes", (long long)classes);
}

static gr_status class_index_forward(gr_exec *e)
{
    const class_attrs *a = e->attrs;
    const int64_t *t = e->in[0].data;
    int64_t *y = e->out[0].data;
    if (gr__check_index_but(e, 0, "target", a->classes, a->ignore ? &a->ignore_index : NULL))
        return GR_ERR_ARGUMENT;
    for (int64_t i = 0, n = gr_shape_numel(e->in[0].shape); i < n; i++)
        y[i] = a->ignore && t[i] == a->ignore_index ? 0 : t[i];
    return GR_OK;
}

#define CLASSES(...) &(const class_attrs){__VA_ARGS__}

static const gr_sample class_index_samples[] = {
    {.name = "list", .in = {LABELS}, .n_in = 1, .attrs = CLASSES(.classes = 4)},
    {.name = "some ignored", .in = {SOME}, .n_in = 1, .attrs = CLASSES(4, true, -7)},
    {.name = "image", .in = {PIXELS}, .n_in = 1, .attrs = CLASSES(4, true, 2)},
    {.name = "no class", .in = {SOME}, .n_in = 1, .attrs = CLASSES(.classes = 4), .error = "target[1] is -7, expected 0 <= target < 4"},
    {.name = "floats", .in = {LIST}, .n_in = 1, .attrs = CLASSES(.classes = 4), .error = "target is float64, expected int64"},
    {.name = "less than none", .in = {LABELS}, .n_in = 1, .attrs = CLASSES(.classes = -4), .error = "there cannot be -4 classes"},
    {0},
};

static const gr_op class_index_op = {
    .name = "class_index",
    .family = "loss_class",
    .formula = "y = t, or 0 where t = ignore_index; t is checked",
    .derivation = "an index has no derivative: no gradient",
    .n_in = 1,
    .flags = GR_OP_CONSTANT,
    .attrs_size = sizeof(class_attrs),
    .fields = class_fields,
    .infer = class_index_infer,
    .forward = {[GR_I64] = class_index_forward},
    .samples = class_index_samples,
};

static bool class_mask_infer(gr_infer *c)
{
    if (!class_index_infer(c)) return false;
    if (c->shape[0].rank > 1)
        return gr_infer_fail(c, "expected a target [N] or a scalar, got %s", gr_infer_shape(c, 0));
    c->shape[0].dim[c->shape[0].rank++] = ((const class_attrs *)c->attrs)->classes;
    c->dtype[0] = GR_BOOL;
    return true;
}

static gr_status class_mask_forward(gr_exec *e)
{
    const int64_t classes = ((const class_attrs *)e->attrs)->classes, *t = e->in[0].data;
    uint8_t *y = e->out[0].data;
    if (gr__check_index(e, 0, "target", classes)) return GR_ERR_ARGUMENT;
    for (int64_t i = 0, n = gr_shape_numel(e->in[0].shape); i < n; i++)
        for (int64_t c = 0; c < classes; c++) y[i * classes + c] = t[i] == c;
    return GR_OK;
}

static const gr_sample class_mask_samples[] = {
    {.name = "list", .in = {LABELS}, .n_in = 1, .attrs = CLASSES(.classes = 4)},
    {.name = "one", .in = {LABEL}, .n_in = 1, .attrs = CLASSES(.classes = 4)},
    {.name = "no class", .in = {SOME}, .n_in = 1, .attrs = CLASSES(.classes = 4), .error = "target[1] is -7, expected 0 <= target < 4"},
    {.name = "floats", .in = {LIST}, .n_in = 1, .attrs = CLASSES(.classes = 4), .error = "target is float64, expected int64"},
    {.name = "image", .in = {PIXELS}, .n_in = 1, .attrs = CLASSES(.classes = 4), .error = "expected a target [N] or a scalar, got [2,3,2]"},
    {0},
};

static const gr_op class_mask_op = {
    .name = "class_mask",
    .family = "loss_class",
    .formula = "y[n][c] = [t[n] = c], a truth value for each class",
    .derivation = "a truth value does not move with an index: no gradient",
    .n_in = 1,
    .flags = GR_OP_CONSTANT,
    .attrs_size = sizeof(class_attrs),
    .fields = class_fields,
    .infer = class_mask_infer,
    .forward = {[GR_I64] = class_mask_forward},
    .samples = class_mask_samples,
};

/* --- checks --- */

bool gr__class_rows_fit(const char *op, gr_tensor *x, gr_tensor *target)
{
    char a[GR_SHAPE_TEXT], b[GR_SHAPE_TEXT];
    const gr_shape *s = gr_shape_of(x), rows = gr__class_rows(s);
    if (s->rank && gr_shape_equal(gr_shape_of(target), &rows)) return true;
    gr_fail(gr_graph_of(x), "%s: expected [N,C,...] with a target [N,...], or [C] with a scalar, "
            "got %s with %s", op, gr_shape_text(s, a), gr_shape_text(gr_shape_of(target), b));
    return false;
}

bool gr__class_weights_fit(const char *op, gr_tensor *x, gr_tensor *weight)
{
    char text[GR_SHAPE_TEXT];
    const gr_shape *s = gr_shape_of(x), *w = gr_shape_of(weight);
    int64_t classes = s->dim[gr__class_axis(s)];
    if (w->rank == 1 && w->dim[0] == classes) return true;
    gr_fail(gr_graph_of(x), "%s: expected a weight for each of %lld classes, got %s", op,
            (long long)classes, gr_shape_text(w, text));
    return false;
}

/* --- a loss and a weight for each target --- */

gr__class_targets gr__class_targets_of(gr_tensor *x, gr_tensor *target, gr_tensor *weight,
                                       const gr_nll_options *o)
{
    const gr_shape *s = gr_shape_of(x), *t = gr_shape_of(target);
    class_attrs a = {s->dim[gr__class_axis(s)], o->ignore, o->ignore_index};
    gr__class_targets r = {.index = gr__unary(&class_index_op, target, &a, GR_HERE)};
    gr_tensor *ignored = gr_from_data(gr_graph_of(x), GR_I64, GR_SCALAR, &o->ignore_index);
    if (o->ignore) r.kept = gr_not_equal(target, ignored);
    if (weight) {
        gr_tensor *flat = gr_reshape(r.index, GR_SHAPE(gr_numel(target)));
        r.weight = gr_reshape(gr_gather(weight, 0, flat), *t);
    } else if (o->ignore) {
        r.weight = gr_ones(gr_graph_of(x), gr_dtype_of(x), *t);
    }
    if (o->ignore) r.weight = gr_where(r.kept, r.weight, gr__loss_number(x, 0));
    return r;
}

/* -x at the target's class, 0 where it is ignored; without the weights. */
gr_tensor *gr__class_taken(const gr__class_targets *r, gr_tensor *x)
{
    const gr_shape *s = gr_shape_of(x);
    gr_tensor *index = gr_reshape(r->index, gr__class_single(s));
    gr_tensor *loss = gr_neg(gr_gather(x, gr__class_axis(s), index));
    loss = gr_reshape(loss, gr__class_rows(s));
    return r->kept ? gr_where(r->kept, loss, gr__loss_number(x, 0)) : loss;
}

gr_tensor *gr__class_reduce(const char *op, const gr__class_targets *r, gr_tensor *loss,
                            gr_reduction reduction)
{
    if (reduction != GR_REDUCTION_MEAN || !r->weight) return gr__loss_reduce(op, loss, reduction);
    return gr_div(gr_sum_all(loss), gr_sum_all(r->weight));
}

/* --- nll --- */

static const gr_field nll_fields[] = {
    GR_FIELD_NAMED(gr_nll_options, reduction, gr__reductions),
    GR_FIELD(gr_nll_options, ignore, GR_FIELD_BOOL),
    GR_FIELD(gr_nll_options, ignore_index, GR_FIELD_I64),
    {0},
};

static gr_tensor *nll_define(gr_tensor *const *x, int n, const void *attrs)
{
    const gr_nll_options *o = attrs;
    gr_tensor *weight = n > 2 ? x[2] : NULL;
    if (!gr__class_rows_fit("nll", x[0], x[1]) ||
        (weight && !gr__class_weights_fit("nll", x[0], weight)))
        return gr__loss_failed(x[0]);
    gr__class_targets r = gr__class_targets_of(x[0], x[1], weight, o);
    gr_tensor *loss = gr__class_taken(&r, x[0]);
    return gr__class_reduce("nll", &r, weight ? gr_mul(loss, r.weight) : loss, o->reduction);
}

#define NLL(...) &(const gr_nll_options){__VA_ARGS__}
#define NLL_MEAN NLL(.reduction = GR_REDUCTION_MEAN)

static const gr_sample nll_samples[] = {
    {.name = "batch", .in = {ROWS, LABELS}, .n_in = 2, .attrs = NLL_MEAN},
    {.name = "weighted", .in = {ROWS, LABELS, WEIGHTS}, .n_in = 3, .attrs = NLL_MEAN},
    {.name = "some ignored", .in = {ROWS, SOME}, .n_in = 2, .attrs = NLL(GR_REDUCTION_MEAN, true, -7)},
    {.name = "weighted, some ignored", .in = {ROWS, SOME, WEIGHTS}, .n_in = 3, .attrs = NLL(GR_REDUCTION_SUM, true, -7)},
    {.name = "images", .in = {IMAGE, PIXELS, WEIGHTS}, .n_in = 3, .attrs = NLL(GR_REDUCTION_NONE, true, 2)},
    {.name = "one row", .in = {LIST, LABEL}, .n_in = 2, .attrs = NLL(.reduction = GR_REDUCTION_SUM)},
    {.name = "empty", .in = {{.shape = {2, {0, 4}}}, {.shape = {1, {0}}, .integer = true, .high = 4}}, .n_in = 2, .attrs = NLL(.reduction = GR_REDUCTION_SUM)},
    {.name = "wrong count", .in = {ROWS, {.shape = {1, {4}}, .integer = true, .high = 4}}, .n_in = 2, .attrs = NLL_MEAN, .error = "got [5,4] with [4]"},
    {.name = "wrong weight", .in = {ROWS, LABELS, {.shape = {1, {5}}}}, .n_in = 3, .attrs = NLL_MEAN, .error = "a weight for each of 4 classes, got [5]"},
    {.name = "float target", .in = {ROWS, {.shape = {1, {5}}}}, .n_in = 2, .attrs = NLL_MEAN, .error = "target is float64, expected int64"},
    {.name = "no class", .in = {ROWS, SOME}, .n_in = 2, .attrs = NLL_MEAN, .error = "target[1] is -7, expected 0 <= target < 4"},
    {0},
};

static const gr_op nll_op = {
    .name = "nll",
    .family = "loss_class",
    .formula = "y = sum_n -w[t_n] x_n[t_n] / sum_n w[t_n]",
    .derivation = "with W = sum_n w[t_n]: dx_n is -w[t_n] dy / W at t_n and 0 elsewhere; "
                  "dw_c = sum over t_n = c of (-x_n[c] - y) dy / W",
    .n_in = 3,
    .optional = 1,
    .attrs_size = sizeof(gr_nll_options),
    .fields = nll_fields,
    .define = nll_define,
    .samples = nll_samples,
};

/* Minus the log-probability of the right class: x [N,C,...] with a target int64 [N,...], or [C]
 * with a scalar. A target outside [0,C) is an error when the value is computed. */
gr_tensor *gr_nll(gr_tensor *x, gr_tensor *target)
{
    return gr__loss(&nll_op, x, target, &(gr_nll_options){0}, GR_HERE);
}

/* weight: [C] or NULL. With `ignore`, targets equal to ignore_index count neither in the sum nor
 * in what the mean divides by; if all do, the mean is NaN. */
gr_tensor *gr_nll_loss(gr_tensor *x, gr_tensor *target, gr_tensor *weight, gr_nll_options o)
{
    gr_tensor *in[3] = {x, target, weight};
    return gr__apply(NULL, &nll_op, in, weight ? 3 : 2, &o, GR_HERE);
}

/* --- multi_margin --- */

static const gr_field multi_margin_fields[] = {
    GR_FIELD_NAMED(gr_multi_margin_options, reduction, gr__reductions),
    GR_FIELD(gr_multi_margin_options, p, GR_FIELD_INT),
    GR_FIELD(gr_multi_margin_options, margin, GR_FIELD_F64),
    {0},
};

/* How far each other class comes within the margin of the right one; 0 for itself. */
static gr_tensor *too_close(gr_tensor *x, gr_tensor *right, gr_tensor *target, double margin)
{
    const gr_shape *s = gr_shape_of(x);
    class_attrs a = {.classes = s->dim[s->rank - 1]};
    gr_tensor *apart = gr_relu(gr_shift(gr_sub(x, right), margin));
    return gr_where(gr__unary(&class_mask_op, target, &a, GR_HERE), gr__loss_number(x, 0), apart);
}

static bool margin_rows_fit(gr_tensor *x, int p)
{
    char text[GR_SHAPE_TEXT];
    if (gr_shape_of(x)->rank > 2)
        gr_fail(gr_graph_of(x), "multi_margin: expected [N,C] or [C], got %s",
                gr_shape_text(gr_shape_of(x), text));
    else if (p != 1 && p != 2) gr_fail(gr_graph_of(x), "multi_margin: p must be 1 or 2, got %d", p);
    else return true;
    return false;
}

static gr_tensor *multi_margin_define(gr_tensor *const *x, int n, const void *attrs)
{
    const gr_multi_margin_options *o = attrs;
    const int p = o->p == 0 ? 1 : o->p;
    if (!gr__class_rows_fit("multi_margin", x[0], x[1]) || !margin_rows_fit(x[0], p) ||
        (n > 2 && !gr__class_weights_fit("multi_margin", x[0], x[2])))
        return gr__loss_failed(x[0]);
    const gr_shape *s = gr_shape_of(x[0]);
    gr_tensor *weight = n > 2 ? x[2] : NULL;
    gr__class_targets r = gr__class_targets_of(x[0], x[1], weight, &(gr_nll_options){0});
    gr_tensor *right = gr_reshape(gr_neg(gr__class_taken(&r, x[0])), gr__class_single(s));
    gr_tensor *close = too_close(x[0], right, x[1], o->margin == 0 ? 1 : o->margin);
    if (p == 2) close = gr_square(close);
    gr_tensor *loss = gr_mean(close, GR_AXES(-1), false);
    if (n > 2) loss = gr_mul(loss, r.weight);
    return gr__loss_reduce("multi_margin", loss, o->reduction);
}

#define MARGIN(...) &(const gr_multi_margin_options){__VA_ARGS__}

static const gr_sample multi_margin_samples[] = {
    {.name = "batch", .in = {ROWS, LABELS}, .n_in = 2, .attrs = MARGIN(.p = 1)},
    {.name = "squared", .in = {ROWS, LABELS}, .n_in = 2, .attrs = MARGIN(GR_REDUCTION_SUM, 2, 0.7)},
    {.name = "weighted", .in = {ROWS, LABELS, WEIGHTS}, .n_in = 3, .attrs = MARGIN(GR_REDUCTION_NONE, 2, 1.5)},
    {.name = "one row", .in = {LIST, LABEL, WEIGHTS}, .n_in = 3, .attrs = MARGIN(.margin = 3)},
    {.name = "empty", .in = {{.shape = {2, {0, 4}}}, {.shape = {1, {0}}, .integer = true, .high = 4}}, .n_in = 2, .attrs = MARGIN(.reduction = GR_REDUCTION_SUM)},
    {.name = "images", .in = {IMAGE, PIXELS}, .n_in = 2, .attrs = MARGIN(.p = 1), .error = "expected [N,C] or [C], got [2,4,3,2]"},
    {.name = "cubed", .in = {ROWS, LABELS}, .n_in = 2, .attrs = MARGIN(.p = 3), .error = "p must be 1 or 2, got 3"},
    {.name = "wrong count", .in = {ROWS, LABEL}, .n_in = 2, .attrs = MARGIN(.p = 1), .error = "got [5,4] with []"},
    {.name = "wrong weight", .in = {ROWS, LABELS, {.shape = {1, {5}}}}, .n_in = 3, .attrs = MARGIN(.p = 1), .error = "a weight for each of 4 classes, got [5]"},
    {.name = "no class", .in = {ROWS, SOME}, .n_in = 2, .attrs = MARGIN(.p = 1), .error = "target[1] is -7, expected 0 <= target < 4"},
    {0},
};

static const gr_op multi_margin_op = {
    .name = "multi_margin",
    .family = "loss_class",
    .formula = "y = mean_n w[t] sum over i != t of max(0, margin - x_t + x_i)^p / C",
    .derivation = "each i within the margin, by m_i, pushes x_i down and x_t up: for p = 1 "
                  "dx_i = w dy / (C N) and dx_t = -sum_i dx_i; for p = 2 the same times 2 m_i",
    .ties = "x_i = x_t - margin: the derivative is 0, that of relu (PyTorch's choice)",
    .n_in = 3,
    .optional = 1,
    .attrs_size = sizeof(gr_multi_margin_options),
    .fields = multi_margin_fields,
    .define = multi_margin_define,
    .samples = multi_margin_samples,
};

/* Every other class is to stay a margin (0: 1) below the right one: x [N,C] with int64 [N], or [C]
 * with a scalar; the mean is over N. Crammer and Singer, "On the algorithmic implementation of
 * multiclass kernel-based vector machines", 2001, with a sum in place of their maximum. */
gr_tensor *gr_multi_margin(gr_tensor *x, gr_tensor *target)
{
    return gr__loss(&multi_margin_op, x, target, &(gr_multi_margin_options){0}, GR_HERE);
}

/* weight, [C] or NULL, multiplies the rows by that of their class. */
gr_tensor *gr_multi_margin_loss(gr_tensor *x, gr_tensor *target, gr_tensor *weight,
                                gr_multi_margin_options o)
{
    gr_tensor *in[3] = {x, target, weight};
    return gr__apply(NULL, &multi_margin_op, in, weight ? 3 : 2, &o, GR_HERE);
}

const gr_op *const gr__loss_class_ops[] = {
    &class_index_op, &class_mask_op, &nll_op, &multi_margin_op, NULL,
};
