/* loss_cross_entropy.c - scores against the right class, in one pass over the scores.
 *
 *   y = mean_n -sum_c q_nc log softmax(x_n)_c          dx_n = (p_n - q_n) dy / N
 *
 * p_n is softmax(x_n); q_n has a 1 at t_n and 0 elsewhere, or with label smoothing s
 * 1 - s + s/C at t_n and s/C elsewhere. The logarithm of softmax turns its Jacobian,
 * diag(p) - p p^T, into a difference: the scores of a sure and right answer are left alone.
 */
/* SPDX-License-Identifier: MIT */
#include "along.h"
#include "kernels.h"
#include "loss_class.h"

#define LOGITS {.shape = {2, {5, 4}}}
#define LABELS {.shape = {1, {5}}, .integer = true, .low = 0, .high = 4}
#define ONE {.shape = {0, {0}}}
#define FIVE {.shape = {1, {5}}}
#define IMAGE {.shape = {4, {2, 4, 3, 2}}}
#define PIXELS {.shape = {3, {2, 3, 2}}, .integer = true, .low = 0, .high = 4}
#define WITH(...) &(const gr_cross_entropy_options){__VA_ARGS__}
#define MEAN WITH(.reduction = GR_REDUCTION_MEAN)

static const gr_field cross_entropy_fields[] = {
    GR_FIELD_NAMED(gr_cross_entropy_options, reduction, gr__reductions),
    GR_FIELD(gr_cross_entropy_options, ignore, GR_FIELD_BOOL),
    GR_FIELD(gr_cross_entropy_options, ignore_index, GR_FIELD_I64),
    GR_FIELD(gr_cross_entropy_options, label_smoothing, GR_FIELD_F64),
    {0},
};

/* --- shapes --- */

static bool logits_infer(gr_infer *c)
{
    const gr_cross_entropy_options *o = c->attrs;
    const gr_shape *x = gr_shape_of(c->in[0]), *t = gr_shape_of(c->in[1]);
    const gr_shape rows = gr__class_rows(x);
    if (!gr__infer_index(c, 1, "target")) return false;
    if (x->rank == 0 || !gr_shape_equal(t, &rows))
        return gr_infer_fail(c, "expected logits [N,C,...] with a target [N,...], or [C] with a "
                             "scalar, got %s with %s", gr_infer_shape(c, 0), gr_infer_shape(c, 1));
    if ((unsigned)o->reduction > GR_REDUCTION_NONE)
        return gr_infer_fail(c, "reduction %d is not mean, sum or none", (int)o->reduction);
    if (!(o->label_smoothing >= 0 && o->label_smoothing <= 1))
        return gr_infer_fail(c, "label_smoothing %g is not within [0,1]", o->label_smoothing);
    return true;
}

static bool cross_entropy_infer(gr_infer *c)
{
    if (!logits_infer(c)) return false;
    bool none = ((const gr_cross_entropy_options *)c->attrs)->reduction == GR_REDUCTION_NONE;
    c->shape[0] = none ? *gr_shape_of(c->in[1]) : GR_SCALAR;
    return true;
}

/* --- rows: [N,C,...] as [N,inner,C] --- */

typedef struct rows_job {
    gr__along a; /* outer N, n classes */
    const void *from;
    void *to;
    size_t size;
    bool back;
} rows_job;

enum { TURN = 32 }; /* columns at a time: so many lines of the other side stay in cache */

#define COPY(T, to, from, n, to_step, from_step)                                                   \
    for (int64_t i = 0; i < n; i++)                                                                \
        ((T *)(to))[i * (to_step)] = ((const T *)(from))[i * (from_step)]

/* The columns from `first` on, n of them: an image has step 1 along them, rows have C. */
static void turn_columns(const rows_job *j, const char *from, char *to, int64_t first, int64_t n)
{
    const int64_t classes = j->a.n;
    const int64_t to_step = j->back ? 1 : classes, from_step = j->back ? classes : 1;
    for (int64_t c = 0; c < classes; c++) {
        int64_t image = c * j->a.inner + first, row = first * classes + c;
        const char *source = from + (size_t)(j->back ? row : image) * j->size;
        char *target = to + (size_t)(j->back ? image : row) * j->size;
        if (j->size == sizeof(float)) COPY(float, target, source, n, to_step, from_step);
        else COPY(double, target, source, n, to_step, from_step);
    }
}

static void turn(void *ctx, int64_t begin, int64_t end)
{
    const rows_job *j = ctx;
    const int64_t inner = j->a.inner, pieces = (inner + TURN - 1) / TURN;
    for (int64_t i = begin; i < end; i++) {
        size_t image = (size_t)(i / pieces * j->a.n * inner) * j->size;
        int64_t first = i % pieces * TURN, n = inner - first < TURN ? inner - first : TURN;
        turn_columns(j, (const char *)j->from + image, (char *)j->to + image, first, n);
    }
}

static void turn_all(const gr__along *a, const gr_value *like, const void *from, void *to,
                     bool back)
{
    rows_job job = {*a, from, to, gr_dtype_size(like->dtype), back};
    int64_t pieces = (a->inner + TURN - 1) / TURN;
    gr__parallel_for(a->outer * pieces, 16384 / (a->n * TURN + 1) + 1, turn, &job);
}

/* Fills c with rows of classes, turned where the classes are not the last axis; x has the logits. */
static gr_status rows_and_targets(gr_exec *e, const gr_value *x, gr__cross_entropy *c)
{
    const gr_cross_entropy_options *o = e->attrs;
    gr__along a = gr__along_axis(x->shape, gr__class_axis(x->shape));
    *c = (gr__cross_entropy){a.outer * a.inner, a.n, x->data, e->in[1].data,
                             o->ignore ? &o->ignore_index : NULL, o->label_smoothing};
    if (gr__check_index_but(e, 1, "target", a.n, c->ignored)) return GR_ERR_ARGUMENT;
    if (a.inner == 1) return GR_OK;
    size_t bytes = (size_t)gr_shape_numel(x->shape) * gr_dtype_size(x->dtype);
    void *turned = gr_exec_scratch(e, bytes + 1);
    if (!turned) return GR_ERR_MEMORY;
    turn_all(&a, x, x->data, turned, false);
    c->x = turned;
    return GR_OK;
}

/* How many rows are not ignored. */
static int64_t count_rows(const gr__cross_entropy *c)
{
    int64_t n = c->rows;
    for (int64_t i = 0; i < c->rows && c->ignored; i++) n -= c->target[i] == *c->ignored;
    return n;
}

/* --- cross_entropy --- */

static void store(gr_value *v, int64_t i, double value)
{
    gr__set_scalar((char *)v->data + (size_t)i * gr_dtype_size(v->dtype), v->dtype, value);
}

/* Rows are added in their order: the bits do not depend on the threads. */
static gr_status cross_entropy_forward(gr_exec *e)
{
    gr_reduction reduction = ((const gr_cross_entropy_options *)e->attrs)->reduction;
    gr__cross_entropy c;
    gr_status status = rows_and_targets(e, &e->in[0], &c);
    if (status) return status;
    double total = 0, *loss = gr_exec_scratch(e, (size_t)c.rows * sizeof *loss + 1);
    if (!loss) return GR_ERR_MEMORY;
    gr__kernels_for(e->in[0].dtype)->cross_entropy(&c, loss);
    for (int64_t i = 0; i < c.rows; i++) {
        total += loss[i];
        if (reduction == GR_REDUCTION_NONE) store(&e->out[0], i, loss[i]);
    }
    if (reduction == GR_REDUCTION_MEAN) total /= (double)count_rows(&c);
    if (reduction != GR_REDUCTION_NONE) store(&e->out[0], 0, total);
    return GR_OK;
}

static gr_tensor *cross_entropy_grad(gr_tensor *logits, gr_tensor *target, gr_tensor *dy,
                                     const void *attrs);

static void cross_entropy_vjp(gr_pullback *p)
{
    p->dx[0] = cross_entropy_grad(p->x[0], p->x[1], p->dy[0], p->attrs);
}

static const gr_sample cross_entropy_samples[] = {
    {.name = "batch", .in = {LOGITS, LABELS}, .n_in = 2, .attrs = MEAN},
    {.name = "wide scores", .in = {{.shape = {2, {5, 4}}, .low = -6, .high = 6}, LABELS}, .n_in = 2, .attrs = MEAN},
    {.name = "sum", .in = {LOGITS, LABELS}, .n_in = 2, .attrs = WITH(.reduction = GR_REDUCTION_SUM)},
    {.name = "smoothed", .in = {LOGITS, LABELS}, .n_in = 2, .attrs = WITH(.reduction = GR_REDUCTION_NONE, .label_smoothing = 0.2)},
    {.name = "some ignored", .in = {LOGITS, {.shape = {1, {5}}, .integer = true, .values = (const int64_t[]){1, -7, 3, -7, 0}}}, .n_in = 2, .attrs = WITH(.ignore = true, .ignore_index = -7, .label_smoothing = 0.1)},
    {.name = "images", .in = {IMAGE, PIXELS}, .n_in = 2, .attrs = MEAN},
    {.name = "images, one class ignored", .in = {IMAGE, PIXELS}, .n_in = 2, .attrs = WITH(.reduction = GR_REDUCTION_NONE, .ignore = true, .ignore_index = 2)},
    {.name = "one row", .in = {{.shape = {1, {4}}}, {.integer = true, .high = 4}}, .n_in = 2, .attrs = MEAN},
    {.name = "one class", .in = {{.shape = {2, {3, 1}}}, {.shape = {1, {3}}, .integer = true, .high = 1}}, .n_in = 2, .attrs = MEAN},
    {.name = "wrong count", .in = {LOGITS, {.shape = {1, {4}}, .integer = true, .high = 4}}, .n_in = 2, .attrs = MEAN, .error = "got [5,4] with [4]"},
    {.name = "wrong rank", .in = {{.shape = {3, {2, 3, 4}}}, LABELS}, .n_in = 2, .attrs = MEAN, .error = "expected logits [N,C,...]"},
    {.name = "float target", .in = {LOGITS, FIVE}, .n_in = 2, .attrs = MEAN, .error = "target is float64, expected int64"},
    {.name = "no class", .in = {LOGITS, {.shape = {1, {5}}, .integer = true, .low = 4, .high = 9}}, .n_in = 2, .attrs = MEAN, .error = "expected 0 <= target < 4"},
    {.name = "too smooth", .in = {LOGITS, LABELS}, .n_in = 2, .attrs = WITH(.label_smoothing = 1.5), .error = "label_smoothing 1.5 is not within [0,1]"},
    {.name = "no reduction", .in = {LOGITS, LABELS}, .n_in = 2, .attrs = WITH(.reduction = (gr_reduction)3), .error = "reduction 3 is not mean, sum or none"},
    {0},
};

static const gr_op cross_entropy_op = {
    .name = "cross_entropy",
    .family = "loss_cross_entropy",
    .formula = "y = -mean_n log softmax(x_n)[t_n]",
    .derivation = "-log softmax(x)[t] = log sum_j exp(x_j) - x_t has the gradient p - e_t with "
                  "p = softmax(x), so dx_n = (p_n - e_n) dy / N",
    .n_in = 2,
    .reads = GR_READS_IN(0) | GR_READS_IN(1),
    .attrs_size = sizeof(gr_cross_entropy_options),
    .fields = cross_entropy_fields,
    .infer = cross_entropy_infer,
    .forward = {[GR_F32] = cross_entropy_forward, [GR_F64] = cross_entropy_forward},
    .vjp = cross_entropy_vjp,
    .samples = cross_entropy_samples,
};

gr_tensor *gr__cross_entropy_of_indices(gr_tensor *logits, gr_tensor *target,
                                        gr_cross_entropy_options o, const void *site)
{
    return gr__loss(&cross_entropy_op, logits, target, &o, site);
}

/* --- cross_entropy_grad: its backward as an op, that has a backward itself --- */

static bool cross_entropy_grad_infer(gr_infer *c)
{
    if (!logits_infer(c)) return false;
    bool none = ((const gr_cross_entropy_options *)c->attrs)->reduction == GR_REDUCTION_NONE;
    const gr_shape *dy = gr_shape_of(c->in[2]), *t = gr_shape_of(c->in[1]);
    gr_dtype dtype = gr_dtype_of(c->in[0]), own = gr_dtype_of(c->in[2]);
    if (gr_shape_equal(dy, none ? t : &GR_SCALAR) && own == dtype) return true;
    return gr_infer_fail(c, "expected a %s %s cotangent, got %s %s",
                         none ? gr_infer_shape(c, 1) : "scalar", gr_dtype_name(dtype),
                         gr_dtype_name(own), gr_infer_shape(c, 2));
}

/* What multiplies each row: dy over the number of rows, dy, or its own. */
static void row_scales(const gr_exec *e, const gr__cross_entropy *c, double *scale)
{
    const gr_value *dy = &e->in[2];
    gr_reduction reduction = ((const gr_cross_entropy_options *)e->attrs)->reduction;
    const size_t step = reduction == GR_REDUCTION_NONE ? gr_dtype_size(dy->dtype) : 0;
    double n = reduction == GR_REDUCTION_MEAN ? (double)count_rows(c) : 1;
    for (int64_t i = 0; i < c->rows; i++)
        scale[i] = gr__get_scalar((const char *)dy->data + (size_t)i * step, dy->dtype) / n;
}

/* The gradient takes the place of the logits, which nobody else reads as a rule. */
static gr_status cross_entropy_grad_forward(gr_exec *e)
{
    const gr_value *x = &e->out[0];
    gr__along a = gr__along_axis(x->shape, gr__class_axis(x->shape));
    gr__cross_entropy c;
    gr_status status = rows_and_targets(e, x, &c);
    if (status) return status;
    double *scale = gr_exec_scratch(e, (size_t)c.rows * sizeof *scale + 1);
    if (!scale) return GR_ERR_MEMORY;
    row_scales(e, &c, scale);
    gr__kernels_for(x->dtype)->cross_entropy_grad(&c, scale);
    if (a.inner != 1) turn_all(&a, x, c.x, x->data, true);
    return GR_OK;
}

/* As row_scales does, as a tensor that broadcasts over the classes; 0 for ignored rows. */
static gr_tensor *recorded_scales(const gr_pullback *p)
{
    const gr_cross_entropy_options *o = p->attrs;
    gr_tensor *t = p->x[1], *dy = p->x[2];
    const gr_shape single = gr__class_single(gr_shape_of(p->x[0]));
    if (o->reduction == GR_REDUCTION_MEAN && !o->ignore)
        return gr_scale(dy, 1 / (double)gr_numel(t));
    if (o->reduction == GR_REDUCTION_NONE) dy = gr_reshape(dy, single);
    if (!o->ignore) return dy;
    const int64_t ignored = o->ignore_index;
    gr_tensor *kept = gr_not_equal(t, gr_from_data(p->graph, GR_I64, GR_SCALAR, &ignored));
    if (o->reduction == GR_REDUCTION_MEAN)
        dy = gr_div(dy, gr_cast(gr_sum_all(kept), gr_dtype_of(dy)));
    return gr_where(gr_reshape(kept, single), dy, gr_scalar(p->graph, gr_dtype_of(dy), 0));
}

/* dz_n = s_n (p_n - q_n); v is the cotangent of dz. */
static void cross_entropy_grad_vjp(gr_pullback *p)
{
    gr_tensor *x = p->x[0], *t = p->x[1], *v = p->dy[0];
    gr_axes axis = {1, {gr__class_axis(gr_shape_of(x))}};
    if (p->wants[0]) {
        gr_tensor *prob = gr_softmax(x, axis.axis[0]), *weighted = gr_mul(v, prob);
        gr_tensor *centred = gr_sub(weighted, gr_mul(prob, gr_sum(weighted, axis, true)));
        p->dx[0] = gr_mul(centred, recorded_scales(p));
    }
    if (p->wants[2]) {
        const gr_shape *dy = gr_shape_of(p->x[2]);
        gr_tensor *ones = gr_ones(p->graph, gr_dtype_of(x), *dy);
        gr_tensor *each = gr_mul(v, cross_entropy_grad(x, t, ones, p->attrs));
        bool none = ((const gr_cross_entropy_options *)p->attrs)->reduction == GR_REDUCTION_NONE;
        p->dx[2] = none ? gr_sum(each, axis, false) : gr_sum_all(each);
    }
}

static const gr_sample cross_entropy_grad_samples[] = {
    {.name = "batch", .in = {LOGITS, LABELS, ONE}, .n_in = 3, .attrs = MEAN},
    {.name = "sum", .in = {LOGITS, LABELS, ONE}, .n_in = 3, .attrs = WITH(.reduction = GR_REDUCTION_SUM)},
    {.name = "smoothed", .in = {LOGITS, LABELS, FIVE}, .n_in = 3, .attrs = WITH(.reduction = GR_REDUCTION_NONE, .label_smoothing = 0.2)},
    {.name = "some ignored", .in = {LOGITS, {.shape = {1, {5}}, .integer = true, .values = (const int64_t[]){1, -7, 3, -7, 0}}, ONE}, .n_in = 3, .attrs = WITH(.ignore = true, .ignore_index = -7, .label_smoothing = 0.1)},
    {.name = "images, one class ignored", .in = {IMAGE, PIXELS, {.shape = {3, {2, 3, 2}}}}, .n_in = 3, .attrs = WITH(.reduction = GR_REDUCTION_NONE, .ignore = true, .ignore_index = 2)},
    {.name = "one row", .in = {{.shape = {1, {4}}}, {.integer = true, .high = 4}, ONE}, .n_in = 3, .attrs = MEAN},
    {.name = "empty", .in = {{.shape = {2, {0, 4}}}, {.shape = {1, {0}}, .integer = true, .high = 4}, ONE}, .n_in = 3, .attrs = MEAN},
    {.name = "wrong cotangent", .in = {LOGITS, LABELS, FIVE}, .n_in = 3, .attrs = MEAN, .error = "expected a scalar"},
    {.name = "scalar cotangent", .in = {LOGITS, LABELS, ONE}, .n_in = 3, .attrs = WITH(.reduction = GR_REDUCTION_NONE), .error = "expected a [5] float64 cotangent"},
    {0},
};

static const gr_op cross_entropy_grad_op = {
    .name = "cross_entropy_grad",
    .family = "loss_cross_entropy",
    .formula = "z_n = (softmax(x_n) - e_n) w / N, e_n being 1 at t_n and 0 elsewhere",
    .derivation = "through softmax, whose Jacobian is diag(p) - p p^T: dx_n = (w/N) p_n (dz_n - "
                  "sum_j dz_nj p_nj); linear in w: dw = sum dz (p - e) / N",
    .n_in = 3,
    .flags = GR_OP_INPLACE,
    .reads = GR_READS_IN(0) | GR_READS_IN(1) | GR_READS_IN(2),
    .attrs_size = sizeof(gr_cross_entropy_options),
    .fields = cross_entropy_fields,
    .infer = cross_entropy_grad_infer,
    .forward = {[GR_F32] = cross_entropy_grad_forward, [GR_F64] = cross_entropy_grad_forward},
    .vjp = cross_entropy_grad_vjp,
    .samples = cross_entropy_grad_samples,
};

static gr_tensor *cross_entropy_grad(gr_tensor *logits, gr_tensor *target, gr_tensor *dy,
                                     const void *attrs)
{
    gr_tensor *in[3] = {logits, target, dy};
    return gr__apply(NULL, &cross_entropy_grad_op, in, 3, attrs, GR_HERE);
}

const gr_op *const gr__loss_cross_entropy_ops[] = {&cross_entropy_op, &cross_entropy_grad_op, NULL};
