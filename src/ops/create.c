/* create.c - tensors made from nothing but attributes.
 *
 *   arange:   y_i = start + i step, as many as lie before stop
 *   linspace: y_i = start + i (stop - start) / (n - 1)
 *   eye:      y_ij = [i = j]
 *
 * An element depends on its index alone, so a value that was let go is simply made again. Nothing
 * feeds these ops: there is nothing to differentiate by.
 */
/* SPDX-License-Identifier: MIT */
#include "family.h"

#include <math.h>
#include <string.h>

static bool check_dtype(gr_infer *c, gr_dtype dtype)
{
    if ((unsigned)dtype < GR_DTYPES) return true;
    return gr_infer_fail(c, "there is no dtype %d", (int)dtype);
}

/* --- arange --- */

typedef struct arange_attrs {
    gr_dtype dtype;
    double start, stop, step;
} arange_attrs;

static const gr_field arange_fields[] = {
    GR_FIELD(arange_attrs, dtype, GR_FIELD_DTYPE),
    GR_FIELD(arange_attrs, start, GR_FIELD_F64),
    GR_FIELD(arange_attrs, stop, GR_FIELD_F64),
    GR_FIELD(arange_attrs, step, GR_FIELD_F64),
    {0},
};

static bool whole(double x)
{
    return x == floor(x) && fabs(x) <= 0x1p53;
}

static bool arange_infer(gr_infer *c)
{
    const arange_attrs *a = c->attrs;
    const double n = ceil((a->stop - a->start) / a->step);
    if (!check_dtype(c, a->dtype)) return false;
    if (a->dtype != GR_I64 && !gr__is_float(a->dtype))
        return gr_infer_fail(c, "not defined for %s", gr_dtype_name(a->dtype));
    if (!isfinite(a->start) || !isfinite(a->stop) || !isfinite(a->step) || a->step == 0)
        return gr_infer_fail(c, "cannot go from %g to %g in steps of %g", a->start, a->stop,
                             a->step);
    if (!(n < 0x1p53)) return gr_infer_fail(c, "the result would be too large");
    if (a->dtype == GR_I64 && !(whole(a->start) && whole(a->stop) && whole(a->step)))
        return gr_infer_fail(c, "int64 takes whole numbers, got %g, %g and %g", a->start, a->stop,
                             a->step);
    c->shape[0] = (gr_shape){1, {n > 0 ? (int64_t)n : 0}};
    c->dtype[0] = a->dtype;
    return true;
}

static void arange_f32(const gr_tile *t)
{
    const arange_attrs *a = t->attrs;
    float *y = t->y;
    for (int64_t i = 0; i < t->n; i++) y[i] = (float)(a->start + (double)(t->first + i) * a->step);
}

static void arange_f64(const gr_tile *t)
{
    const arange_attrs *a = t->attrs;
    double *y = t->y;
    for (int64_t i = 0; i < t->n; i++) y[i] = a->start + (double)(t->first + i) * a->step;
}

static void arange_i64(const gr_tile *t)
{
    const arange_attrs *a = t->attrs;
    const int64_t start = (int64_t)a->start, step = (int64_t)a->step;
    int64_t *y = t->y;
    for (int64_t i = 0; i < t->n; i++) y[i] = start + (t->first + i) * step;
}

static const gr_sample arange_samples[] = {
    {.name = "bool", .attrs = &(const arange_attrs){GR_BOOL, 0, 2, 1}, .error = "not defined for bool"},
    {.name = "no dtype", .attrs = &(const arange_attrs){GR_DTYPES, 0, 2, 1}, .error = "there is no dtype"},
    {.name = "no step", .attrs = &(const arange_attrs){GR_F64, 0, 2, 0}, .error = "cannot go from 0 to 2 in steps of 0"},
    {.name = "no end", .attrs = &(const arange_attrs){GR_F64, 0, INFINITY, 1}, .error = "cannot go from 0 to inf"},
    {.name = "halves", .attrs = &(const arange_attrs){GR_I64, 0, 2, 0.5}, .error = "int64 takes whole numbers"},
    {.name = "too many", .attrs = &(const arange_attrs){GR_F64, 0, 1, 1e-300}, .error = "too large"},
    {0},
};

static const gr_op arange_op = {
    .name = "arange",
    .family = "create",
    .formula = "y_i = start + i step, for as many i as give less than stop",
    .derivation = "nothing feeds it",
    .n_in = 0,
    .attrs_size = sizeof(arange_attrs),
    .fields = arange_fields,
    .infer = arange_infer,
    .tile = {[GR_F32] = arange_f32, [GR_F64] = arange_f64, [GR_I64] = arange_i64},
    .samples = arange_samples,
};

/* start, start + step, ... before stop, or after it where step is negative: ceil((stop - start) /
 * step) of them, none where that is negative. float32, float64 or int64, which takes whole numbers
 * up to 2^53. Each element is rounded once. A step of 0 is an error. */
gr_tensor *gr_arange(gr_graph *g, gr_dtype dtype, double start, double stop, double step)
{
    const arange_attrs attrs = {dtype, start, stop, step};
    return gr__apply(g, &arange_op, NULL, 0, &attrs, GR_HERE);
}

/* --- linspace --- */

typedef struct linspace_attrs {
    gr_dtype dtype;
    double start, stop;
    int64_t n;
} linspace_attrs;

static const gr_field linspace_fields[] = {
    GR_FIELD(linspace_attrs, dtype, GR_FIELD_DTYPE),
    GR_FIELD(linspace_attrs, start, GR_FIELD_F64),
    GR_FIELD(linspace_attrs, stop, GR_FIELD_F64),
    GR_FIELD(linspace_attrs, n, GR_FIELD_I64),
    {0},
};

static bool linspace_infer(gr_infer *c)
{
    const linspace_attrs *a = c->attrs;
    if (!check_dtype(c, a->dtype)) return false;
    if (!gr__is_float(a->dtype))
        return gr_infer_fail(c, "not defined for %s", gr_dtype_name(a->dtype));
    if (a->n < 0) return gr_infer_fail(c, "cannot make %lld elements", (long long)a->n);
    c->shape[0] = (gr_shape){1, {a->n}};
    c->dtype[0] = a->dtype;
    return true;
}

/* From the nearer end, so that both ends are exact and the middle is symmetric. */
static double linspace_at(const linspace_attrs *a, int64_t i)
{
    const double step = a->n > 1 ? (a->stop - a->start) / (double)(a->n - 1) : 0;
    return i < a->n / 2 || a->n == 1 ? a->start + (double)i * step
                                     : a->stop - (double)(a->n - 1 - i) * step;
}

static void linspace_f32(const gr_tile *t)
{
    float *y = t->y;
    for (int64_t i = 0; i < t->n; i++) y[i] = (float)linspace_at(t->attrs, t->first + i);
}

static void linspace_f64(const gr_tile *t)
{
    double *y = t->y;
    for (int64_t i = 0; i < t->n; i++) y[i] = linspace_at(t->attrs, t->first + i);
}

static const gr_sample linspace_samples[] = {
    {.name = "integers", .attrs = &(const linspace_attrs){GR_I64, 0, 1, 3}, .error = "not defined for int64"},
    {.name = "no dtype", .attrs = &(const linspace_attrs){GR_DTYPES, 0, 1, 3}, .error = "there is no dtype"},
    {.name = "negative", .attrs = &(const linspace_attrs){GR_F32, 0, 1, -3}, .error = "cannot make -3 elements"},
    {0},
};

static const gr_op linspace_op = {
    .name = "linspace",
    .family = "create",
    .formula = "y_i = start + i (stop - start) / (n - 1)",
    .derivation = "nothing feeds it",
    .n_in = 0,
    .attrs_size = sizeof(linspace_attrs),
    .fields = linspace_fields,
    .infer = linspace_infer,
    .tile = GR__TILES(linspace),
    .samples = linspace_samples,
};

/* n numbers at equal distances, the first start, the last stop, both exact; of one it is start.
 * float32 or float64. */
gr_tensor *gr_linspace(gr_graph *g, gr_dtype dtype, double start, double stop, int64_t n)
{
    const linspace_attrs attrs = {dtype, start, stop, n};
    return gr__apply(g, &linspace_op, NULL, 0, &attrs, GR_HERE);
}

/* --- eye --- */

typedef struct eye_attrs {
    gr_dtype dtype;
    int64_t rows, columns;
} eye_attrs;

static const gr_field eye_fields[] = {
    GR_FIELD(eye_attrs, dtype, GR_FIELD_DTYPE),
    GR_FIELD(eye_attrs, rows, GR_FIELD_I64),
    GR_FIELD(eye_attrs, columns, GR_FIELD_I64),
    {0},
};

static bool eye_infer(gr_infer *c)
{
    const eye_attrs *a = c->attrs;
    if (!check_dtype(c, a->dtype)) return false;
    if (a->rows < 0 || a->columns < 0)
        return gr_infer_fail(c, "cannot make %lld rows of %lld", (long long)a->rows,
                             (long long)a->columns);
    c->shape[0] = (gr_shape){2, {a->rows, a->columns}};
    c->dtype[0] = a->dtype;
    return true;
}

static gr_status eye_forward(gr_exec *e)
{
    const gr_value *y = &e->out[0];
    const int64_t rows = y->shape->dim[0], columns = y->shape->dim[1];
    const size_t size = gr_dtype_size(y->dtype);
    char one[8];
    gr__set_scalar(one, y->dtype, 1);
    memset(y->data, 0, (size_t)(rows * columns) * size);
    for (int64_t i = 0; i < rows && i < columns; i++)
        memcpy((char *)y->data + (size_t)(i * columns + i) * size, one, size);
    return GR_OK;
}

static const gr_sample eye_samples[] = {
    {.name = "no dtype", .attrs = &(const eye_attrs){GR_DTYPES, 2, 2}, .error = "there is no dtype"},
    {.name = "negative", .attrs = &(const eye_attrs){GR_F32, 2, -1}, .error = "cannot make 2 rows of -1"},
    {.name = "too large", .attrs = &(const eye_attrs){GR_F32, INT64_MAX, 2}, .error = "too large"},
    {0},
};

static const gr_op eye_op = {
    .name = "eye",
    .family = "create",
    .formula = "y_ij = 1 where i = j, else 0",
    .derivation = "nothing feeds it",
    .n_in = 0,
    .attrs_size = sizeof(eye_attrs),
    .fields = eye_fields,
    .infer = eye_infer,
    .forward = {eye_forward, eye_forward, eye_forward, eye_forward, eye_forward},
    .samples = eye_samples,
};

/* A matrix with ones on its diagonal, zeros elsewhere; any dtype. */
gr_tensor *gr_eye(gr_graph *g, gr_dtype dtype, int64_t rows, int64_t columns)
{
    const eye_attrs attrs = {dtype, rows, columns};
    return gr__apply(g, &eye_op, NULL, 0, &attrs, GR_HERE);
}

/* --- of the shape and dtype of another tensor --- */

static gr_tensor *like(gr_tensor *x, double value, const void *site)
{
    if (gr__need("full", x, "tensor")) return &gr__nil;
    if (gr__is_nil(x)) return x;
    gr_site_begin(x->graph, site);
    gr_tensor *y = gr_full(x->graph, gr_dtype_of(x), *x->shape, value);
    gr_site_end(x->graph);
    return y;
}

/* All elements equal `value`, with the shape and dtype of x; x itself is not read. */
gr_tensor *gr_full_like(gr_tensor *x, double value)
{
    return like(x, value, GR_HERE);
}

gr_tensor *gr_zeros_like(gr_tensor *x)
{
    return like(x, 0, GR_HERE);
}

gr_tensor *gr_ones_like(gr_tensor *x)
{
    return like(x, 1, GR_HERE);
}

const gr_op *const gr__create_ops[] = {&arange_op, &linspace_op, &eye_op, NULL};
