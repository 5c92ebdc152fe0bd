/* standardize.c - mean 0 and deviation 1, the op that norms of samples are made of.
 *
 *   y = xh w + b   with   xh = (x - m) r,   m = mean x,   r = 1 / sqrt(mean (x - m)^2 + eps)
 *
 * A row is what shares m and r. With g = dy w, and means over the row,
 *
 *   dx = r (g - mean g - xh mean(g xh))      dw = sum dy xh      db = sum dy
 *
 * mean g is the way through m, xh mean(g xh) that through r: a change of x along 1 or along xh does
 * not change xh. x is seen as [N,groups,channels,span]: a row is the last two axes, w and b are
 * [groups,channels].
 */
/* SPDX-License-Identifier: MIT */
#include "kernels.h"
#include "statistics.h"

enum { Y, MEAN, RSTD };

typedef struct grad_attrs {
    bool rms;
} grad_attrs;

/* --- shared with other normalisations --- */

bool gr__infer_operand(gr_infer *c, int i, const char *name, gr_shape shape)
{
    char text[GR_SHAPE_TEXT];
    if (!gr__same_dtype(c, 0, i)) return false;
    if (gr_shape_equal(gr_shape_of(c->in[i]), &shape)) return true;
    return gr_infer_fail(c, "expected %s of %s, got %s", name, gr_shape_text(&shape, text),
                         gr_infer_shape(c, i));
}

/* a + b, NULL being 0. */
static gr_tensor *plus(gr_tensor *a, gr_tensor *b)
{
    return a && b ? gr_add(a, b) : a ? a : b;
}

/* a b, NULL being 0. */
static gr_tensor *times(gr_tensor *a, gr_tensor *b)
{
    return a && b ? gr_mul(a, b) : NULL;
}

/* x over what shares statistics, as a mean that stretches back. */
static gr_tensor *mean_to(gr_tensor *x, gr_shape statistics)
{
    const double n = (double)gr_numel(x), m = (double)gr_shape_numel(&statistics);
    return gr_scale(gr_sum_to(x, statistics), n > 0 ? m / n : 0);
}

static gr_tensor *reduce_like(gr_tensor *x, gr_shape to, gr_tensor *like)
{
    return x ? gr_reshape(gr_sum_to(x, to), *gr_shape_of(like)) : NULL;
}

/* u, v, z are the cotangents of dx, dw, db; any may be missing. P u = r (u - mean u - xh mean(u xh))
 * is symmetric, and is what the op itself does to u; <u, dx> = <P u, g>. It moves with xh by
 * e = -r (g mean(u xh) + u mean(g xh)), and with the outer r by u (g - mean g - xh mean(g xh)). */
void gr__norm_grad_vjp(gr_pullback *p, const gr_op *op, gr__norm_shapes s)
{
    gr_tensor *dy = p->x[0], *x = p->x[1], *u = p->dy[0], *pu = NULL, *outer = NULL;
    gr_tensor *v = p->dy[1] ? gr_reshape(p->dy[1], s.weight) : NULL;
    gr_tensor *z = p->dy[2] ? gr_reshape(p->dy[2], s.weight) : NULL;
    gr_tensor *m = gr_reshape(p->x[2], s.statistics), *r = gr_reshape(p->x[3], s.statistics);
    gr_tensor *w = p->n_in > 4 ? gr_reshape(p->x[4], s.weight) : NULL;
    gr_tensor *centred = gr_sub(x, m), *xh = gr_mul(centred, r), *e = times(v, dy);
    if (u) {
        gr_tensor *g = w ? gr_mul(dy, w) : dy, *in[4] = {u, x, p->x[2], p->x[3]};
        gr_tensor *along = mean_to(gr_mul(g, xh), s.statistics);
        gr_tensor *across = mean_to(gr_mul(u, xh), s.statistics);
        gr_tensor *rest = gr_sub(g, gr_mul(xh, along));
        pu = gr_apply(p->graph, op, in, 4, p->attrs);
        e = plus(e, gr_neg(gr_mul(r, gr_add(gr_mul(g, across), gr_mul(u, along)))));
        outer = gr_mul(u, s.rms ? rest : gr_sub(rest, mean_to(g, s.statistics)));
    }
    gr_tensor *dx = times(e, r);
    if (p->wants[0]) {
        p->dx[0] = plus(w ? times(pu, w) : pu, times(v, xh));
        p->dx[0] = plus(p->dx[0], z ? gr_expand(z, *gr_shape_of(x)) : NULL);
    }
    p->dx[1] = dx;
    if (p->wants[2] && dx) p->dx[2] = gr_neg(reduce_like(dx, s.statistics, p->x[2]));
    if (p->wants[3]) p->dx[3] = reduce_like(plus(times(e, centred), outer), s.statistics, p->x[3]);
    if (w && p->wants[4]) p->dx[4] = reduce_like(times(dy, pu), s.weight, p->x[4]);
}

/* --- standardize --- */

static const gr_op standardize_grad_op;

static const gr_field standardize_fields[] = {
    GR_FIELD(gr__standardize_attrs, eps, GR_FIELD_F64),
    GR_FIELD(gr__standardize_attrs, rms, GR_FIELD_BOOL),
    {0},
};

static const gr_field standardize_grad_fields[] = {
    GR_FIELD(grad_attrs, rms, GR_FIELD_BOOL),
    {0},
};

static gr__norm_shapes shapes_of(const gr_shape *x, bool rms)
{
    return (gr__norm_shapes){GR_SHAPE(x->dim[0], x->dim[1], 1, 1),
                             GR_SHAPE(1, x->dim[1], x->dim[2], 1), rms};
}

static bool check_rows(gr_infer *c, int i)
{
    if (gr_shape_of(c->in[i])->rank == 4) return true;
    return gr_infer_fail(c, "expected x of [N,groups,channels,span], got %s", gr_infer_shape(c, i));
}

static bool standardize_infer(gr_infer *c)
{
    const gr__standardize_attrs *a = c->attrs;
    if (!check_rows(c, 0) || !gr__infer_eps(c, a->eps)) return false;
    const gr_shape *x = gr_shape_of(c->in[0]);
    if (c->n_in > 1 && !gr__infer_operand(c, 1, "w", GR_SHAPE(x->dim[1], x->dim[2]))) return false;
    if (c->n_in > 2 && !gr__infer_operand(c, 2, "b", GR_SHAPE(x->dim[1], x->dim[2]))) return false;
    c->shape[MEAN] = c->shape[RSTD] = GR_SHAPE(x->dim[0], x->dim[1]);
    return true;
}

static gr_status standardize_forward(gr_exec *e)
{
    const gr__standardize_attrs *a = e->attrs;
    const int64_t *dim = e->in[0].shape->dim;
    gr__standardize s = {
        .outer = dim[0], .groups = dim[1], .channels = dim[2], .span = dim[3],
        .eps = gr__norm_eps(a->eps, 1e-5), .rms = a->rms,
        .x = e->in[0].data, .w = e->n_in > 1 ? e->in[1].data : NULL,
        .b = e->n_in > 2 ? e->in[2].data : NULL,
        .y = e->out[Y].data, .mean = e->out[MEAN].data, .rstd = e->out[RSTD].data,
    };
    gr__kernels_for(e->in[0].dtype)->standardize_rows(&s);
    return GR_OK;
}

/* What cotangents of mean and rstd add to dx: dm/dx = 1/n, dr/dx = -r^3 (x - m) / n. */
static gr_tensor *through_statistics(const gr_pullback *p, gr__norm_shapes s)
{
    gr_tensor *x = p->x[0], *dm = p->dy[MEAN], *dr = p->dy[RSTD], *sum = NULL;
    const double n = (double)(gr_shape_of(x)->dim[2] * gr_shape_of(x)->dim[3]);
    if (n == 0) return NULL;
    if (dm && !s.rms)
        sum = gr_expand(gr_scale(gr_reshape(dm, s.statistics), 1 / n), *gr_shape_of(x));
    if (!dr) return sum;
    gr_tensor *r = p->y[RSTD], *factor = gr_mul(gr_mul(dr, r), gr_scale(gr_square(r), -1 / n));
    gr_tensor *centred = gr_sub(x, gr_reshape(p->y[MEAN], s.statistics));
    return plus(sum, gr_mul(centred, gr_reshape(factor, s.statistics)));
}

static void standardize_vjp(gr_pullback *p)
{
    const gr__standardize_attrs *a = p->attrs;
    const grad_attrs attrs = {a->rms};
    gr_tensor *dy = p->dy[Y];
    gr_tensor *in[5] = {dy, p->x[0], p->y[MEAN], p->y[RSTD], p->n_in > 1 ? p->x[1] : NULL};
    p->dx[0] = through_statistics(p, shapes_of(gr_shape_of(p->x[0]), a->rms));
    if (!dy) return;
    gr_tensor *dx = gr_apply(p->graph, &standardize_grad_op, in, p->n_in > 1 ? 5 : 4, &attrs);
    p->dx[0] = plus(p->dx[0], dx);
    for (int i = 1; i < p->n_in; i++) p->dx[i] = gr_output(dx, i);
}

#define S4(a, b, c, d) {.shape = {4, {a, b, c, d}}}
#define S3(a, b, c) {.shape = {3, {a, b, c}}}
#define S2(a, b) {.shape = {2, {a, b}}}
#define S1(a) {.shape = {1, {a}}}
#define SPREAD(a, b) {.shape = {2, {a, b}}, .low = 0.5, .high = 2} /* of a deviation */
#define STANDARD(...) .attrs = &(const gr__standardize_attrs){__VA_ARGS__}
#define STANDARD_GRAD(...) .attrs = &(const grad_attrs){__VA_ARGS__}

static const gr_sample standardize_samples[] = {
    {.name = "rows", .in = {S4(3, 1, 5, 1), S2(1, 5), S2(1, 5)}, .n_in = 3, STANDARD(.eps = 1e-3)},
    {.name = "groups", .in = {S4(2, 2, 3, 4), S2(2, 3), S2(2, 3)}, .n_in = 3, STANDARD(.eps = 0.1)},
    {.name = "no bias", .in = {S4(2, 3, 2, 3), S2(3, 2)}, .n_in = 2, STANDARD(.rms = false)},
    {.name = "plain", .in = {S4(2, 1, 6, 1)}, .n_in = 1, STANDARD(.eps = 0.5)},
    {.name = "root mean square", .in = {S4(3, 1, 4, 1), S2(1, 4)}, .n_in = 2, STANDARD(.eps = 1e-2, .rms = true)},
    {.name = "root mean square of groups", .in = {S4(2, 2, 2, 3), S2(2, 2), S2(2, 2)}, .n_in = 3, STANDARD(.rms = true)},
    {.name = "one element", .in = {S4(2, 1, 1, 1), S2(1, 1), S2(1, 1)}, .n_in = 3, STANDARD(.eps = 0.5)},
    {.name = "no rows", .in = {S4(0, 2, 3, 2), S2(2, 3), S2(2, 3)}, .n_in = 3, STANDARD(.rms = false)},
    {.name = "empty rows", .in = {S4(2, 1, 0, 1), S2(1, 0), S2(1, 0)}, .n_in = 3, STANDARD(.eps = 1)},
    {.name = "rank 3", .in = {S3(2, 3, 4)}, .n_in = 1, STANDARD(.eps = 0), .error = "expected x of [N,groups,channels,span], got [2,3,4]"},
    {.name = "other weight", .in = {S4(2, 2, 3, 4), S2(3, 2)}, .n_in = 2, STANDARD(.eps = 0), .error = "expected w of [2,3], got [3,2]"},
    {.name = "other bias", .in = {S4(2, 2, 3, 4), S2(2, 3), S1(3)}, .n_in = 3, STANDARD(.eps = 0), .error = "expected b of [2,3], got [3]"},
    {.name = "negative eps", .in = {S4(2, 2, 3, 4)}, .n_in = 1, STANDARD(.eps = -1), .error = "eps is -1"},
    {0},
};

const gr_op gr__standardize_op = {
    .name = "standardize",
    .family = "normalisation",
    .formula = "y = (x - m) r w + b, r = 1 / sqrt(mean (x - m)^2 + eps), m = mean x over a row "
               "[channels,span]; m = 0 with rms",
    .derivation = "xh = (x - m) r stays the same when x moves along 1 or along xh, so of g = dy w "
                  "these parts are taken out: dx = r (g - mean g - xh mean(g xh)); y is linear in "
                  "w and b: dw = sum dy xh, db = sum dy",
    .n_in = 3,
    .n_out = 3,
    .optional = 2,
    .flags = GR_OP_CHEAP,
    .reads = GR_READS_IN(0) | GR_READS_IN(1) | GR_READS_OUT(MEAN) | GR_READS_OUT(RSTD),
    .attrs_size = sizeof(gr__standardize_attrs),
    .fields = standardize_fields,
    .infer = standardize_infer,
    .forward = {[GR_F32] = standardize_forward, [GR_F64] = standardize_forward},
    .vjp = standardize_vjp,
    .samples = standardize_samples,
};

/* --- standardize_grad: (dy, x, mean, rstd, w) -> dx, dw, db --- */

static bool standardize_grad_infer(gr_infer *c)
{
    if (!check_rows(c, 1)) return false;
    const gr_shape x = *gr_shape_of(c->in[1]);
    const gr_shape row = GR_SHAPE(x.dim[0], x.dim[1]), weight = GR_SHAPE(x.dim[1], x.dim[2]);
    if (!gr__infer_operand(c, 0, "dy", x) || !gr__infer_operand(c, 1, "x", x) ||
        !gr__infer_operand(c, 2, "mean", row) || !gr__infer_operand(c, 3, "rstd", row) ||
        (c->n_in > 4 && !gr__infer_operand(c, 4, "w", weight)))
        return false;
    c->shape[1] = c->shape[2] = weight;
    return true;
}

/* Outer rows of a task: enough work, few sums in float, little memory for them. */
static int64_t chunk_of(const int64_t *dim)
{
    const int64_t rows = 32768 / (dim[1] * dim[2] * dim[3] + 1) + 1;
    return rows < 4 ? 4 : rows > 64 ? 64 : rows;
}

static gr_status standardize_grad_forward(gr_exec *e)
{
    const int64_t *dim = e->in[1].shape->dim, chunk = chunk_of(dim);
    const int64_t chunks = (dim[0] + chunk - 1) / chunk;
    const size_t sums = (size_t)(chunks * 2 * dim[1] * dim[2]);
    void *partial = gr_exec_scratch(e, sums * gr_dtype_size(e->in[0].dtype) + 1);
    if (!partial) return GR_ERR_MEMORY;
    gr__standardize_grad s = {
        .outer = dim[0], .groups = dim[1], .channels = dim[2], .span = dim[3],
        .rms = ((const grad_attrs *)e->attrs)->rms, .chunk = chunk,
        .dy = e->in[0].data, .x = e->in[1].data, .mean = e->in[2].data, .rstd = e->in[3].data,
        .w = e->n_in > 4 ? e->in[4].data : NULL,
        .dx = e->out[0].data, .dw = e->out[1].data, .db = e->out[2].data, .partial = partial,
    };
    gr__kernels_for(e->in[0].dtype)->standardize_rows_grad(&s);
    return GR_OK;
}

static void standardize_grad_vjp(gr_pullback *p)
{
    const bool rms = ((const grad_attrs *)p->attrs)->rms;
    gr__norm_grad_vjp(p, &standardize_grad_op, shapes_of(gr_shape_of(p->x[1]), rms));
}

static const gr_sample standardize_grad_samples[] = {
    {.name = "rows", .in = {S4(3, 1, 5, 1), S4(3, 1, 5, 1), S2(3, 1), SPREAD(3, 1), S2(1, 5)}, .n_in = 5, STANDARD_GRAD(.rms = false)},
    {.name = "groups", .in = {S4(2, 2, 3, 4), S4(2, 2, 3, 4), S2(2, 2), SPREAD(2, 2), S2(2, 3)}, .n_in = 5, STANDARD_GRAD(.rms = false)},
    {.name = "plain", .in = {S4(2, 3, 2, 2), S4(2, 3, 2, 2), S2(2, 3), SPREAD(2, 3)}, .n_in = 4, STANDARD_GRAD(.rms = false)},
    {.name = "root mean square", .in = {S4(5, 1, 4, 1), S4(5, 1, 4, 1), S2(5, 1), SPREAD(5, 1), S2(1, 4)}, .n_in = 5, STANDARD_GRAD(.rms = true)},
    {.name = "root mean square of groups", .in = {S4(2, 2, 2, 3), S4(2, 2, 2, 3), S2(2, 2), SPREAD(2, 2)}, .n_in = 4, STANDARD_GRAD(.rms = true)},
    {.name = "no rows", .in = {S4(0, 2, 3, 2), S4(0, 2, 3, 2), S2(0, 2), S2(0, 2), S2(2, 3)}, .n_in = 5, STANDARD_GRAD(.rms = false)},
    {.name = "rank 3", .in = {S3(2, 3, 4), S3(2, 3, 4), S2(2, 3), S2(2, 3)}, .n_in = 4, STANDARD_GRAD(.rms = false), .error = "expected x of [N,groups,channels,span], got [2,3,4]"},
    {.name = "other cotangent", .in = {S4(2, 1, 3, 1), S4(2, 3, 1, 1), S2(2, 3), S2(2, 3)}, .n_in = 4, STANDARD_GRAD(.rms = false), .error = "expected dy of [2,3,1,1], got [2,1,3,1]"},
    {.name = "other statistics", .in = {S4(2, 1, 3, 1), S4(2, 1, 3, 1), S2(2, 1), S2(1, 2)}, .n_in = 4, STANDARD_GRAD(.rms = false), .error = "expected rstd of [2,1], got [1,2]"},
    {0},
};

static const gr_op standardize_grad_op = {
    .name = "standardize_grad",
    .family = "normalisation",
    .formula = "xh = (x - m) r, g = dy w: dx = r (g - mean g - xh mean(g xh)), dw = sum dy xh, "
               "db = sum dy; without mean g with rms",
    .derivation = "dx = P g with P symmetric: for a cotangent u of dx, g gets P u. Through xh go "
                  "e = -r (g mean(u xh) + u mean(g xh)) and, for a cotangent v of dw, v dy: x gets "
                  "e r, m -sum e r, r sum e (x - m) + u (g - mean g - xh mean(g xh))",
    .n_in = 5,
    .n_out = 3,
    .optional = 1,
    .reads = GR_READS_IN(0) | GR_READS_IN(1) | GR_READS_IN(2) | GR_READS_IN(3) | GR_READS_IN(4),
    .attrs_size = sizeof(grad_attrs),
    .fields = standardize_grad_fields,
    .infer = standardize_grad_infer,
    .forward = {[GR_F32] = standardize_grad_forward, [GR_F64] = standardize_grad_forward},
    .vjp = standardize_grad_vjp,
    .samples = standardize_grad_samples,
};

const gr_op *const gr__standardize_ops[] = {&gr__standardize_op, &standardize_grad_op, NULL};
