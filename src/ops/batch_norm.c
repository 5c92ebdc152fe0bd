/* batch_norm.c - normalisation of each channel by the statistics of a batch, or by running ones.
 *
 *   y = xh w + b   with   xh = (x - m) r,   m = mean x,   r = 1 / sqrt(mean (x - m)^2 + eps)
 *
 * over all elements of a channel: the batch and all positions. With g = dy w, and means over the
 * channel, dx = r (g - mean g - xh mean(g xh)), dw = sum dy xh, db = sum dy; see standardize.c.
 */
/* SPDX-License-Identifier: MIT */
#include "kernels.h"
#include "statistics.h"

enum { Y, MEAN, VARIANCE, RSTD };

typedef struct batch_norm_attrs {
    double eps;
} batch_norm_attrs;

static const gr_field batch_norm_fields[] = {GR_FIELD(batch_norm_attrs, eps, GR_FIELD_F64), {0}};

/* What is one per channel, in a shape that stretches to x. */
static gr_shape per_channel(const gr_shape *x)
{
    gr_shape s = *x;
    for (int i = 0; i < s.rank; i++)
        if (i != 1) s.dim[i] = 1;
    return s;
}

static int64_t span_of(const gr_shape *x)
{
    int64_t n = 1;
    for (int i = 2; i < x->rank; i++) n *= x->dim[i];
    return n;
}

static bool check_images(gr_infer *c, int i)
{
    if (gr_shape_of(c->in[i])->rank >= 2) return true;
    return gr_infer_fail(c, "expected x of [N,C,...], got %s", gr_infer_shape(c, i));
}

/* --- batch_norm --- */

static const gr_op batch_norm_grad_op;

static bool batch_norm_infer(gr_infer *c)
{
    if (!check_images(c, 0) || !gr__infer_eps(c, ((const batch_norm_attrs *)c->attrs)->eps))
        return false;
    const gr_shape *x = gr_shape_of(c->in[0]), channels = GR_SHAPE(x->dim[1]);
    if (x->dim[0] * span_of(x) < 2)
        return gr_infer_fail(c, "a channel of %s has fewer than 2 values, so no variance; in "
                             "evaluation use running statistics", gr_infer_shape(c, 0));
    if (c->n_in > 1 && !gr__infer_operand(c, 1, "w", channels)) return false;
    if (c->n_in > 2 && !gr__infer_operand(c, 2, "b", channels)) return false;
    c->shape[MEAN] = c->shape[VARIANCE] = c->shape[RSTD] = channels;
    return true;
}

static gr_status batch_norm_forward(gr_exec *e)
{
    const gr_shape *x = e->in[0].shape;
    gr__standardize s = {
        .outer = x->dim[0], .groups = 1, .channels = x->dim[1], .span = span_of(x),
        .eps = gr__norm_eps(((const batch_norm_attrs *)e->attrs)->eps, 1e-5),
        .x = e->in[0].data, .w = e->n_in > 1 ? e->in[1].data : NULL,
        .b = e->n_in > 2 ? e->in[2].data : NULL,
        .y = e->out[Y].data, .mean = e->out[MEAN].data, .variance = e->out[VARIANCE].data,
        .rstd = e->out[RSTD].data,
    };
    gr__kernels_for(e->in[0].dtype)->standardize_channels(&s);
    return GR_OK;
}

/* What cotangents of the statistics add to dx: with n elements, dm/dx = 1/n, dr/dx = -r^3 (x - m) / n
 * and, of the variance, 2 (x - m) / (n - 1). */
static gr_tensor *through_statistics(const gr_pullback *p)
{
    gr_tensor *x = p->x[0], *r = p->y[RSTD], *sum = NULL, *slope = NULL;
    const gr_shape *s = gr_shape_of(x), stretch = per_channel(s);
    const double n = (double)(s->dim[0] * span_of(s));
    if (p->dy[VARIANCE]) slope = gr_scale(p->dy[VARIANCE], 2 / (n - 1));
    if (p->dy[RSTD]) {
        gr_tensor *part = gr_mul(gr_mul(p->dy[RSTD], r), gr_scale(gr_square(r), -1 / n));
        slope = slope ? gr_add(slope, part) : part;
    }
    if (slope) {
        gr_tensor *centred = gr_sub(x, gr_reshape(p->y[MEAN], stretch));
        sum = gr_mul(centred, gr_reshape(slope, stretch));
    }
    if (!p->dy[MEAN]) return sum;
    gr_tensor *part = gr_expand(gr_reshape(gr_scale(p->dy[MEAN], 1 / n), stretch), *s);
    return sum ? gr_add(sum, part) : part;
}

static void batch_norm_vjp(gr_pullback *p)
{
    gr_tensor *dy = p->dy[Y];
    gr_tensor *in[5] = {dy, p->x[0], p->y[MEAN], p->y[RSTD], p->n_in > 1 ? p->x[1] : NULL};
    p->dx[0] = through_statistics(p);
    if (!dy) return;
    gr_tensor *dx = gr_apply(p->graph, &batch_norm_grad_op, in, p->n_in > 1 ? 5 : 4, NULL);
    p->dx[0] = p->dx[0] ? gr_add(p->dx[0], dx) : dx;
    for (int i = 1; i < p->n_in; i++) p->dx[i] = gr_output(dx, i);
}

#define S4(a, b, c, d) {.shape = {4, {a, b, c, d}}}
#define S3(a, b, c) {.shape = {3, {a, b, c}}}
#define S2(a, b) {.shape = {2, {a, b}}}
#define S1(a) {.shape = {1, {a}}}
#define SPREAD(a) {.shape = {1, {a}}, .low = 0.5, .high = 2} /* of a deviation */
#define EPS(e) .attrs = &(const batch_norm_attrs){e}

static const gr_sample batch_norm_samples[] = {
    {.name = "images", .in = {S4(2, 3, 2, 4), S1(3), S1(3)}, .n_in = 3, EPS(0)},
    {.name = "signals", .in = {S3(3, 2, 4), S1(2), S1(2)}, .n_in = 3, EPS(0.1)},
    {.name = "features", .in = {S2(6, 5), S1(5), S1(5)}, .n_in = 3, EPS(1e-3)},
    {.name = "no bias", .in = {S3(2, 4, 3), S1(4)}, .n_in = 2, EPS(0.5)},
    {.name = "plain", .in = {S2(4, 3)}, .n_in = 1, EPS(0)},
    {.name = "no channels", .in = {S3(2, 0, 3), S1(0)}, .n_in = 2, EPS(0)},
    {.name = "rank 1", .in = {S1(4)}, .n_in = 1, EPS(0), .error = "expected x of [N,C,...], got [4]"},
    {.name = "one value", .in = {S2(1, 4)}, .n_in = 1, EPS(0), .error = "a channel of [1,4] has fewer than 2 values"},
    {.name = "other weight", .in = {S2(4, 3), S1(4)}, .n_in = 2, EPS(0), .error = "expected w of [3], got [4]"},
    {.name = "other bias", .in = {S2(4, 3), S1(3), S2(1, 3)}, .n_in = 3, EPS(0), .error = "expected b of [3], got [1,3]"},
    {.name = "negative eps", .in = {S2(4, 3)}, .n_in = 1, EPS(-1), .error = "eps is -1"},
    {0},
};

static const gr_op batch_norm_op = {
    .name = "batch_norm",
    .family = "normalisation",
    .formula = "y = (x - m) r w + b, r = 1 / sqrt(mean (x - m)^2 + eps), m = mean x over a channel "
               "of the whole batch",
    .derivation = "with xh = (x - m) r and g = dy w, means over the channel: m takes mean g out of "
                  "the gradient, r the part along xh: dx = r (g - mean g - xh mean(g xh)); "
                  "dw = sum dy xh, db = sum dy",
    .n_in = 3,
    .n_out = 4,
    .optional = 2,
    .reads = GR_READS_IN(0) | GR_READS_IN(1) | GR_READS_OUT(MEAN) | GR_READS_OUT(RSTD),
    .attrs_size = sizeof(batch_norm_attrs),
    .fields = batch_norm_fields,
    .infer = batch_norm_infer,
    .forward = {[GR_F32] = batch_norm_forward, [GR_F64] = batch_norm_forward},
    .vjp = batch_norm_vjp,
    .samples = batch_norm_samples,
};

/* A bias alone gets weights of 1. */
static int affine(gr_tensor **in, gr_tensor *w, gr_tensor *b)
{
    if (b && !w && gr_graph_of(b)) w = gr_ones(gr_graph_of(b), gr_dtype_of(b), *gr_shape_of(b));
    in[0] = w;
    in[1] = b;
    return b ? 2 : w ? 1 : 0;
}

/* In training: each channel of x, [N,C,...], gets mean 0 and variance 1 over the whole batch, then a
 * weight w and a bias b, [C] (NULL: none). Further outputs, [C]: 1 the mean; 2 the variance, divided
 * by n - 1, for the running one (the variance that normalises divides by n, as in PyTorch); 3
 * 1 / sqrt(variance + eps). A layer records
 *     gr_assign(running_mean, 0.9 running_mean + 0.1 gr_output(y, 1))
 * and the same with output 2. eps 0 stands for 1e-5. Errors: fewer than 2 values per channel, shapes
 * that do not fit, a negative eps. Ioffe, Szegedy, "Batch normalization", ICML 2015. */
gr_tensor *gr_batch_norm(gr_tensor *x, gr_tensor *w, gr_tensor *b, double eps)
{
    gr_tensor *in[3] = {x};
    const int n = affine(in + 1, w, b);
    return gr__apply(NULL, &batch_norm_op, in, 1 + n, &(batch_norm_attrs){eps}, GR_HERE);
}

/* --- batch_norm_grad: (dy, x, mean, rstd, w) -> dx, dw, db --- */

static bool batch_norm_grad_infer(gr_infer *c)
{
    if (!check_images(c, 1)) return false;
    const gr_shape x = *gr_shape_of(c->in[1]), channels = GR_SHAPE(x.dim[1]);
    if (!gr__infer_operand(c, 0, "dy", x) || !gr__infer_operand(c, 1, "x", x) ||
        !gr__infer_operand(c, 2, "mean", channels) || !gr__infer_operand(c, 3, "rstd", channels) ||
        (c->n_in > 4 && !gr__infer_operand(c, 4, "w", channels)))
        return false;
    c->shape[1] = c->shape[2] = channels;
    return true;
}

static gr_status batch_norm_grad_forward(gr_exec *e)
{
    const gr_shape *x = e->in[1].shape;
    gr__standardize_grad s = {
        .outer = x->dim[0], .groups = 1, .channels = x->dim[1], .span = span_of(x),
        .dy = e->in[0].data, .x = e->in[1].data, .mean = e->in[2].data, .rstd = e->in[3].data,
        .w = e->n_in > 4 ? e->in[4].data : NULL,
        .dx = e->out[0].data, .dw = e->out[1].data, .db = e->out[2].data,
    };
    gr__kernels_for(e->in[0].dtype)->standardize_channels_grad(&s);
    return GR_OK;
}

static void batch_norm_grad_vjp(gr_pullback *p)
{
    const gr_shape stretch = per_channel(gr_shape_of(p->x[1]));
    gr__norm_grad_vjp(p, &batch_norm_grad_op, (gr__norm_shapes){stretch, stretch, false});
}

static const gr_sample batch_norm_grad_samples[] = {
    {.name = "images", .in = {S4(2, 3, 2, 2), S4(2, 3, 2, 2), S1(3), SPREAD(3), S1(3)}, .n_in = 5},
    {.name = "features", .in = {S2(4, 3), S2(4, 3), S1(3), SPREAD(3), S1(3)}, .n_in = 5},
    {.name = "plain", .in = {S3(2, 3, 4), S3(2, 3, 4), S1(3), SPREAD(3)}, .n_in = 4},
    {.name = "plain features", .in = {S2(3, 2), S2(3, 2), S1(2), SPREAD(2)}, .n_in = 4},
    {.name = "no samples", .in = {S3(0, 3, 2), S3(0, 3, 2), S1(3), S1(3), S1(3)}, .n_in = 5},
    {.name = "rank 1", .in = {S1(3), S1(3), S1(3), S1(3)}, .n_in = 4, .error = "expected x of [N,C,...], got [3]"},
    {.name = "other cotangent", .in = {S2(3, 2), S2(2, 3), S1(3), S1(3)}, .n_in = 4, .error = "expected dy of [2,3], got [3,2]"},
    {.name = "other statistics", .in = {S2(2, 3), S2(2, 3), S1(2), S1(3)}, .n_in = 4, .error = "expected mean of [3], got [2]"},
    {0},
};

static const gr_op batch_norm_grad_op = {
    .name = "batch_norm_grad",
    .family = "normalisation",
    .formula = "xh = (x - m) r, g = dy w: dx = r (g - mean g - xh mean(g xh)), dw = sum dy xh, "
               "db = sum dy, per channel",
    .derivation = "as standardize_grad: dx = P g with P symmetric, so for a cotangent u of dx, g "
                  "gets P u; through xh go e = -r (g mean(u xh) + u mean(g xh)) and, for a "
                  "cotangent v of dw, v dy: x gets e r, m -sum e r, r sum e (x - m) + "
                  "u (g - mean g - xh mean(g xh))",
    .n_in = 5,
    .n_out = 3,
    .optional = 1,
    .reads = GR_READS_IN(0) | GR_READS_IN(1) | GR_READS_IN(2) | GR_READS_IN(3) | GR_READS_IN(4),
    .infer = batch_norm_grad_infer,
    .forward = {[GR_F32] = batch_norm_grad_forward, [GR_F64] = batch_norm_grad_forward},
    .vjp = batch_norm_grad_vjp,
    .samples = batch_norm_grad_samples,
};

/* --- batch_norm_inference --- */

static bool one_per_channel(gr_tensor *t, const gr_shape *x)
{
    return gr_shape_of(t)->rank == 1 && gr_shape_of(t)->dim[0] == x->dim[1];
}

/* Everything per channel is joined first, so that x is passed over once. */
static gr_tensor *inference_define(gr_tensor *const *x, int n, const void *attrs)
{
    const double eps = ((const batch_norm_attrs *)attrs)->eps;
    const gr_shape *s = gr_shape_of(x[0]);
    gr_graph *g = gr_graph_of(x[0]);
    char text[GR_SHAPE_TEXT], other[GR_SHAPE_TEXT];
    if (s->rank < 2)
        return gr_fail(g, "batch_norm_inference: expected x of [N,C,...], got %s",
                       gr_shape_text(s, text));
    if (!(eps >= 0)) return gr_fail(g, "batch_norm_inference: eps is %g, expected at least 0", eps);
    for (int i = 1; i < n; i++)
        if (!one_per_channel(x[i], s))
            return gr_fail(g, "batch_norm_inference: expected mean, variance, w and b of one value "
                           "per channel of %s, got %s", gr_shape_text(s, text),
                           gr_shape_text(gr_shape_of(x[i]), other));
    const gr_shape stretch = per_channel(s);
    gr_tensor *deviation = gr_sqrt(gr_shift(x[2], gr__norm_eps(eps, 1e-5)));
    gr_tensor *one = gr_ones(g, gr_dtype_of(x[2]), *gr_shape_of(x[2]));
    gr_tensor *factor = gr_div(n > 3 ? x[3] : one, deviation);
    gr_tensor *y = gr_sub(x[0], gr_reshape(x[1], stretch));
    y = gr_mul(y, gr_reshape(factor, stretch));
    return n > 4 ? gr_add(y, gr_reshape(x[4], stretch)) : y;
}

static const gr_sample inference_samples[] = {
    {.name = "images", .in = {S4(2, 3, 2, 2), SPREAD(3), SPREAD(3), S1(3), S1(3)}, .n_in = 5, EPS(0)},
    {.name = "features", .in = {S2(4, 3), SPREAD(3), SPREAD(3), S1(3)}, .n_in = 4, EPS(0.1)},
    {.name = "plain", .in = {S3(1, 2, 3), SPREAD(2), SPREAD(2)}, .n_in = 3, EPS(1e-3)},
    {.name = "no samples", .in = {S2(0, 3), SPREAD(3), SPREAD(3)}, .n_in = 3, EPS(0)},
    {.name = "rank 1", .in = {S1(3), S1(3), S1(3)}, .n_in = 3, EPS(0), .error = "expected x of [N,C,...], got [3]"},
    {.name = "other variance", .in = {S2(2, 3), S1(3), S1(2)}, .n_in = 3, EPS(0), .error = "one value per channel of [2,3], got [2]"},
    {.name = "negative eps", .in = {S2(2, 3), S1(3), S1(3)}, .n_in = 3, EPS(-1), .error = "eps is -1"},
    {0},
};

static const gr_op inference_op = {
    .name = "batch_norm_inference",
    .family = "normalisation",
    .formula = "y = (x - mean) w / sqrt(variance + eps) + b, per channel",
    .derivation = "element-wise, with f = w / sqrt(variance + eps): dx = dy f, dmean = -sum dy f, "
                  "df = sum dy (x - mean), db = sum dy",
    .n_in = 5,
    .optional = 2,
    .attrs_size = sizeof(batch_norm_attrs),
    .fields = batch_norm_fields,
    .define = inference_define,
    .samples = inference_samples,
};

/* Batch norm in evaluation, by given statistics: mean, variance, w and b are [C]; w and b may be
 * NULL. eps 0 stands for 1e-5. Differentiable in everything. A variance below -eps gives NaN. */
gr_tensor *gr_batch_norm_inference(gr_tensor *x, gr_tensor *mean, gr_tensor *variance,
                                   gr_tensor *w, gr_tensor *b, double eps)
{
    gr_tensor *in[5] = {x, mean, variance};
    const int n = affine(in + 3, w, b);
    return gr__apply(NULL, &inference_op, in, 3 + n, &(batch_norm_attrs){eps}, GR_HERE);
}

const gr_op *const gr__batch_norm_ops[] = {
    &batch_norm_op, &batch_norm_grad_op, &inference_op, NULL,
};
