/* resample.c - another number of elements along an axis: upsampling and adaptive means.
 *
 *   y[i] = sum_j A[i][j] x[j]      dx[j] = sum_i A[i][j] dy[i]
 *
 * Row i of A has a few neighbours, whose weights the method gives:
 *
 *   nearest  floor(i n/m), alone
 *   linear   t = (i + 1/2) n/m - 1/2 lies between two: 1 - (t - floor t) and t - floor t
 *   corners  the same with t = i (n-1)/(m-1), so that the ends meet the ends
 *   area     the mean from floor(i n/m) to ceil((i+1) n/m)
 *
 * Images are resampled axis by axis. The gradient is the same sum with the transposed A, whose rows
 * have neighbours alone too, because the ends of the rows of A never go back.
 */
/* SPDX-License-Identifier: MIT */
#include "along.h"
#include "images.h"
#include "kernels.h"

#include <math.h>

#define S2(a, b) {.shape = {2, {a, b}}}
#define S3(a, b, c) {.shape = {3, {a, b, c}}}
#define S4(a, b, c, d) {.shape = {4, {a, b, c, d}}}
#define S5(a, b, c, d, e) {.shape = {5, {a, b, c, d, e}}}

typedef enum method { NEAREST, LINEAR, CORNERS, AREA, METHODS } method;

static const char *const method_names[] = {"nearest", "linear", "corners", "area", NULL};

typedef struct resample_attrs {
    int axis;
    int method;
    int64_t size; /* of the axis of the result */
    double step;  /* instead of n/m, for nearest and linear; 0: n/m */
} resample_attrs;

static const gr_field resample_fields[] = {
    GR_FIELD(resample_attrs, axis, GR_FIELD_INT),
    GR_FIELD_NAMED(resample_attrs, method, method_names),
    GR_FIELD(resample_attrs, size, GR_FIELD_I64),
    GR_FIELD(resample_attrs, step, GR_FIELD_F64),
    {0},
};

/* --- rows of A --- */

typedef struct row {
    int64_t begin, count;
    double first, other; /* weights: of the first element, of the others */
} row;

static row between(double t, int64_t n)
{
    int64_t at = t < (double)(n - 1) ? (int64_t)t : n - 1;
    double part = t - (double)at;
    if (at == n - 1 || part == 0) return (row){at, 1, 1, 0};
    return (row){at, 2, 1 - part, part};
}

static row nearest_row(int64_t n, int64_t m, double step, int64_t i)
{
    double t = floor((double)i * step);
    if (step == 0) return (row){i * n / m, 1, 1, 0};
    return (row){t < (double)(n - 1) ? (int64_t)t : n - 1, 1, 1, 0};
}

static row linear_row(int64_t n, int64_t m, double step, int64_t i)
{
    double t = ((double)i + 0.5) * (step == 0 ? (double)n / (double)m : step) - 0.5;
    return between(t > 0 ? t : 0, n);
}

static row corners_row(int64_t n, int64_t m, double step, int64_t i)
{
    (void)step;
    return between(m > 1 ? (double)(i * (n - 1)) / (double)(m - 1) : 0, n);
}

static row area_row(int64_t n, int64_t m, double step, int64_t i)
{
    int64_t begin = i * n / m, count = ((i + 1) * n + m - 1) / m - begin;
    (void)step;
    return (row){begin, count, 1 / (double)count, 1 / (double)count};
}

static row (*const row_of[METHODS])(int64_t n, int64_t m, double step,
                                    int64_t i) = {nearest_row, linear_row, corners_row, area_row};

/* --- A, and its transpose, as bands --- */

typedef struct matrix {
    const resample_attrs *a;
    int64_t n, m;
    int64_t *begin, *at;
    double *weight;
} matrix;

static row matrix_row(const matrix *x, int64_t i)
{
    return row_of[x->a->method](x->n, x->m, x->a->step, i);
}

static void fill_rows(matrix *x)
{
    x->at[0] = 0;
    for (int64_t i = 0; i < x->m; i++) {
        row r = matrix_row(x, i);
        double *w = x->weight + x->at[i];
        x->begin[i] = r.begin;
        x->at[i + 1] = x->at[i] + r.count;
        for (int64_t k = 0; k < r.count; k++) w[k] = k ? r.other : r.first;
    }
}

/* Column j has the rows from begin[j] on; at is first counted, then summed. */
static void fill_columns(matrix *x)
{
    for (int64_t j = 0; j < x->n; j++) x->begin[j] = x->at[j + 1] = 0;
    x->at[0] = 0;
    for (int64_t i = x->m - 1; i >= 0; i--) {
        row r = matrix_row(x, i);
        for (int64_t j = r.begin; j < r.begin + r.count; j++) {
            x->begin[j] = i;
            x->at[j + 1]++;
        }
    }
    for (int64_t j = 0; j < x->n; j++) x->at[j + 1] += x->at[j];
    for (int64_t i = 0; i < x->m; i++) {
        row r = matrix_row(x, i);
        for (int64_t k = 0; k < r.count; k++) {
            int64_t j = r.begin + k;
            x->weight[x->at[j] + i - x->begin[j]] = k ? r.other : r.first;
        }
    }
}

/* y is x times A, or with n and m the other way round times its transpose. */
static gr_status run(gr_exec *e, bool transposed)
{
    const resample_attrs *a = e->attrs;
    gr__along x = gr__along_axis(e->in[0].shape, a->axis),
              y = gr__along_axis(e->out[0].shape, a->axis);
    matrix t = {.a = a, .n = transposed ? y.n : x.n, .m = transposed ? x.n : y.n};
    int64_t weights = 0, work = (x.n + y.n) * x.inner;
    if (x.outer * x.inner == 0) return GR_OK;
    for (int64_t i = 0; i < t.m; i++) weights += matrix_row(&t, i).count;
    t.begin = gr_exec_scratch(e, (size_t)y.n * sizeof *t.begin);
    t.at = gr_exec_scratch(e, (size_t)(y.n + 1) * sizeof *t.at);
    t.weight = gr_exec_scratch(e, (size_t)weights * sizeof *t.weight);
    if (!t.begin || !t.at || !t.weight) return GR_ERR_MEMORY;
    if (transposed) fill_columns(&t);
    else fill_rows(&t);
    gr__band b = {x.outer, x.n,      y.n,           x.inner,       t.begin,
                  t.at,    t.weight, e->in[0].data, e->out[0].data};
    gr__parallel_for(x.outer, 1 + 32768 / work, gr__kernels_for(e->out[0].dtype)->band, &b);
    return GR_OK;
}

/* --- resample, resample_grad --- */

static bool resample_infer(gr_infer *c)
{
    const resample_attrs *a = c->attrs;
    int axis = a->axis;
    if (!gr__along_infer(c, axis)) return false;
    if (c->shape[0].rank == 0) return gr_infer_fail(c, "a scalar has no axis");
    gr__axis(&axis, c->shape[0].rank);
    if (a->method < 0 || a->method >= METHODS)
        return gr_infer_fail(c, "there is no method %d", a->method);
    if (c->shape[0].dim[axis] < 1 || c->shape[0].dim[axis] > INT32_MAX || a->size < 1 ||
        a->size > INT32_MAX)
        return gr_infer_fail(c, "cannot make %lld elements of axis %d of %s", (long long)a->size,
                             a->axis, gr_infer_shape(c, 0));
    if (!(a->step >= 0 && a->step <= INT32_MAX))
        return gr_infer_fail(c, "step %g must not be negative", a->step);
    c->shape[0].dim[axis] = a->size;
    return true;
}

static gr_status resample_forward(gr_exec *e)
{
    return run(e, false);
}

static gr_status resample_grad_forward(gr_exec *e)
{
    return run(e, true);
}

static gr_tensor *record(const gr_op *op, gr_tensor *x, const resample_attrs *a, int64_t size)
{
    resample_attrs attrs = *a;
    attrs.size = size;
    return gr_apply(NULL, op, &x, 1, &attrs);
}

static const gr_op resample_grad_op;

static void resample_vjp(gr_pullback *p)
{
    const resample_attrs *a = p->attrs;
    int64_t n = gr__along_axis(gr_shape_of(p->x[0]), a->axis).n;
    p->dx[0] = record(&resample_grad_op, p->dy[0], a, n);
}

#define RESAMPLE(axis, method, size, step) .attrs = &(const resample_attrs){axis, method, size, step}

static const gr_sample resample_samples[] = {
    {.name = "nearest", .in = {S3(2, 3, 4)}, .n_in = 1, RESAMPLE(1, NEAREST, 7, 0)},
    {.name = "nearest, fewer", .in = {S2(2, 7)}, .n_in = 1, RESAMPLE(-1, NEAREST, 3, 0)},
    {.name = "nearest by step", .in = {S2(2, 5)}, .n_in = 1, RESAMPLE(-1, NEAREST, 7, 0.65)},
    {.name = "linear", .in = {S3(2, 3, 4)}, .n_in = 1, RESAMPLE(1, LINEAR, 7, 0)},
    {.name = "linear, last axis", .in = {S2(2, 4)}, .n_in = 1, RESAMPLE(-1, LINEAR, 6, 0)},
    {.name = "linear, fewer", .in = {S2(2, 7)}, .n_in = 1, RESAMPLE(1, LINEAR, 3, 0)},
    {.name = "linear by step", .in = {S2(2, 5)}, .n_in = 1, RESAMPLE(-1, LINEAR, 7, 0.65)},
    {.name = "corners", .in = {S2(3, 4)}, .n_in = 1, RESAMPLE(0, CORNERS, 6, 0)},
    {.name = "corners of one", .in = {S2(3, 4)}, .n_in = 1, RESAMPLE(1, CORNERS, 1, 0)},
    {.name = "area", .in = {S3(2, 7, 3)}, .n_in = 1, RESAMPLE(1, AREA, 3, 0)},
    {.name = "area, more", .in = {S2(2, 3)}, .n_in = 1, RESAMPLE(1, AREA, 5, 0)},
    {.name = "nothing", .in = {S2(0, 3)}, .n_in = 1, RESAMPLE(1, LINEAR, 5, 0)},
    {.name = "bad axis", .in = {S2(2, 3)}, .n_in = 1, RESAMPLE(2, LINEAR, 5, 0), .error = "axis 2 is out of range for [2,3]"},
    {.name = "bad size", .in = {S2(2, 3)}, .n_in = 1, RESAMPLE(1, AREA, 0, 0), .error = "cannot make 0 elements of axis 1 of [2,3]"},
    {.name = "bad step", .in = {S2(2, 3)}, .n_in = 1, RESAMPLE(1, LINEAR, 4, -1), .error = "step -1 must not be negative"},
    {.name = "bad method", .in = {S2(2, 3)}, .n_in = 1, RESAMPLE(1, METHODS, 4, 0), .error = "there is no method 4"},
    {.name = "empty axis", .in = {S2(2, 0)}, .n_in = 1, RESAMPLE(1, AREA, 2, 0), .error = "cannot make 2 elements of axis 1 of [2,0]"},
    {0},
};

static const gr_op resample_op = {
    .name = "resample",
    .family = "resample",
    .formula =
        "y[i] = sum_j A[i][j] x[j] along an axis, A by the method: nearest, linear, corners, area",
    .derivation =
        "linear: x[j] goes into y[i] with the weight A[i][j], so dx[j] = sum_i A[i][j] dy[i]",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(resample_attrs),
    .fields = resample_fields,
    .infer = resample_infer,
    .forward = {[GR_F32] = resample_forward, [GR_F64] = resample_forward},
    .vjp = resample_vjp,
    .samples = resample_samples,
};

static void resample_grad_vjp(gr_pullback *p)
{
    const resample_attrs *a = p->attrs;
    p->dx[0] = record(&resample_op, p->dy[0], a, gr__along_axis(gr_shape_of(p->x[0]), a->axis).n);
}

static const gr_sample resample_grad_samples[] = {
    {.name = "nearest", .in = {S3(2, 7, 4)}, .n_in = 1, RESAMPLE(1, NEAREST, 3, 0)},
    {.name = "nearest, fewer", .in = {S2(2, 3)}, .n_in = 1, RESAMPLE(-1, NEAREST, 7, 0)},
    {.name = "linear", .in = {S3(2, 7, 4)}, .n_in = 1, RESAMPLE(1, LINEAR, 3, 0)},
    {.name = "linear by step", .in = {S2(2, 7)}, .n_in = 1, RESAMPLE(-1, LINEAR, 5, 0.65)},
    {.name = "corners", .in = {S2(6, 4)}, .n_in = 1, RESAMPLE(0, CORNERS, 4, 0)},
    {.name = "area", .in = {S3(2, 3, 3)}, .n_in = 1, RESAMPLE(1, AREA, 7, 0)},
    {.name = "nothing", .in = {S2(0, 3)}, .n_in = 1, RESAMPLE(1, LINEAR, 5, 0)},
    {.name = "bad axis", .in = {S2(2, 3)}, .n_in = 1, RESAMPLE(-3, LINEAR, 5, 0), .error = "axis -3 is out of range for [2,3]"},
    {0},
};

static const gr_op resample_grad_op = {
    .name = "resample_grad",
    .family = "resample",
    .formula = "dx[j] = sum_i A[i][j] dy[i] along an axis, A that of resample",
    .derivation = "linear, the transpose of resample: for a cotangent u of dx, "
                  "the cotangent of dy is resample(u)",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(resample_attrs),
    .fields = resample_fields,
    .infer = resample_infer,
    .forward = {[GR_F32] = resample_grad_forward, [GR_F64] = resample_grad_forward},
    .vjp = resample_grad_vjp,
    .samples = resample_grad_samples,
};

/* --- upsample_nearest, upsample_linear --- */

static gr_tensor *upsample(gr_tensor *x, const gr_upsample_options *o, const char *name, method how)
{
    const gr_shape shape = *gr_shape_of(x);
    char text[GR_SHAPE_TEXT];
    if (shape.rank < 3 || shape.rank > 5)
        return gr_fail(gr_graph_of(x),
                       "%s: expected x of [N,C,L], [N,C,H,W] or [N,C,D,H,W], got %s", name,
                       gr_shape_text(&shape, text));
    for (int i = shape.rank - 3; i >= 0; i--) { /* the last axis first, while there are few rows */
        double scale = o->scale[i], size = floor(scale * (double)shape.dim[2 + i]);
        bool by_size = o->size[i] > 0 && scale == 0, by_scale = o->size[i] == 0 && scale > 0;
        if (!by_size && !(by_scale && size >= 1 && size <= INT32_MAX))
            return gr_fail(gr_graph_of(x),
                           "%s: expected a positive size or scale for axis %d of %s, "
                           "got size %lld and scale %g",
                           name, 2 + i, gr_shape_text(&shape, text), (long long)o->size[i], scale);
        const resample_attrs a = {2 + i, how, by_size ? o->size[i] : (int64_t)size,
                                  by_size ? 0 : 1 / scale};
        x = gr_apply(NULL, &resample_op, &x, 1, &a);
    }
    return x;
}

static gr_tensor *nearest_define(gr_tensor *const *x, int n, const void *attrs)
{
    const gr_upsample_options *o = attrs;
    (void)n;
    if (o->align_corners)
        return gr_fail(gr_graph_of(x[0]), "upsample_nearest: align_corners is an option of linear");
    return upsample(x[0], o, "upsample_nearest", NEAREST);
}

static gr_tensor *linear_define(gr_tensor *const *x, int n, const void *attrs)
{
    const gr_upsample_options *o = attrs;
    (void)n;
    return upsample(x[0], o, "upsample_linear", o->align_corners ? CORNERS : LINEAR);
}

static const gr_field upsample_fields[] = {
    GR_FIELD_ARRAY(gr_upsample_options, size, GR_FIELD_I64, 3),
    GR_FIELD_ARRAY(gr_upsample_options, scale, GR_FIELD_F64, 3),
    GR_FIELD(gr_upsample_options, align_corners, GR_FIELD_BOOL),
    {0},
};

#define UPSAMPLE(...) .attrs = &(const gr_upsample_options){__VA_ARGS__}

static const gr_sample nearest_samples[] = {
    {.name = "row", .in = {S3(2, 2, 3)}, .n_in = 1, UPSAMPLE(.scale = {2})},
    {.name = "image", .in = {S4(1, 2, 3, 2)}, .n_in = 1, UPSAMPLE(.size = {4, 5})},
    {.name = "volume", .in = {S5(1, 1, 2, 3, 2)}, .n_in = 1, UPSAMPLE(.size = {3, 0, 4}, .scale = {0, 1.5, 0})},
    {.name = "no images", .in = {S4(0, 2, 3, 2)}, .n_in = 1, UPSAMPLE(.size = {4, 5})},
    {.name = "x of rank 2", .in = {S2(2, 3)}, .n_in = 1, UPSAMPLE(.scale = {2}), .error = "upsample_nearest: expected x of [N,C,L], [N,C,H,W] or [N,C,D,H,W], got [2,3]"},
    {.name = "size and scale", .in = {S3(2, 2, 3)}, .n_in = 1, UPSAMPLE(.scale = {2}, .size = {6}), .error = "expected a positive size or scale for axis 2 of [2,2,3], got size 6 and scale 2"},
    {.name = "no width", .in = {S4(1, 2, 3, 2)}, .n_in = 1, UPSAMPLE(.size = {4}), .error = "axis 3 of [1,2,3,2], got size 0 and scale 0"},
    {.name = "corners", .in = {S3(2, 2, 3)}, .n_in = 1, UPSAMPLE(.scale = {2}, .align_corners = true), .error = "align_corners is an option of linear"},
    {0},
};

static const gr_sample linear_samples[] = {
    {.name = "row", .in = {S3(2, 2, 3)}, .n_in = 1, UPSAMPLE(.scale = {2})},
    {.name = "image", .in = {S4(1, 2, 3, 2)}, .n_in = 1, UPSAMPLE(.size = {4, 5})},
    {.name = "image with corners", .in = {S4(1, 1, 3, 4)}, .n_in = 1, UPSAMPLE(.size = {5, 6}, .align_corners = true)},
    {.name = "volume", .in = {S5(1, 1, 2, 3, 2)}, .n_in = 1, UPSAMPLE(.size = {3, 0, 4}, .scale = {0, 1.7, 0})},
    {.name = "no images", .in = {S4(0, 2, 3, 2)}, .n_in = 1, UPSAMPLE(.size = {4, 5})},
    {.name = "x of rank 2", .in = {S2(2, 3)}, .n_in = 1, UPSAMPLE(.scale = {2}), .error = "upsample_linear: expected x of [N,C,L]"},
    {.name = "negative scale", .in = {S3(2, 2, 3)}, .n_in = 1, UPSAMPLE(.scale = {-2}), .error = "got size 0 and scale -2"},
    {0},
};

static const gr_op nearest_op = {
    .name = "upsample_nearest",
    .family = "resample",
    .formula = "y[n,c,i,j] = x[n,c,floor(i H/OH),floor(j W/OW)]",
    .derivation = "each y is a copy of one x, so dx sums the dy of its copies; axis by axis",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(gr_upsample_options),
    .fields = upsample_fields,
    .define = nearest_define,
    .samples = nearest_samples,
};

static const gr_op linear_op = {
    .name = "upsample_linear",
    .family = "resample",
    .formula = "y = A_h x A_w^T for each image, A of linear weights between two neighbours",
    .derivation = "linear, axis by axis: dx = A_h^T dy A_w",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(gr_upsample_options),
    .fields = upsample_fields,
    .define = linear_define,
    .samples = linear_samples,
};

/* Images x, [N,C,L], [N,C,H,W] or [N,C,D,H,W], in another size by copying the nearest element, as
 * PyTorch's mode 'nearest': index i comes from floor(i H / OH), or with a scale from floor(i / scale).
 * For each axis o.size or o.scale is given, OH = floor(H scale); smaller sizes work too. Indices are
 * computed in exact arithmetic where PyTorch rounds to float32. */
gr_tensor *gr_upsample_nearest(gr_tensor *x, gr_upsample_options o)
{
    return gr__unary(&nearest_op, x, &o, GR_HERE);
}

/* The same with linear interpolation between neighbours: linear, bilinear or trilinear by the rank
 * of x. Centres of elements keep their place, t = (i + 1/2) H/OH - 1/2 cut to the image, or with
 * align_corners the first and the last elements, t = i (H - 1) / (OH - 1); as in PyTorch, without
 * antialiasing. A neighbour of weight 0 is not read, so that its Inf or NaN stays where it is. */
gr_tensor *gr_upsample_linear(gr_tensor *x, gr_upsample_options o)
{
    return gr__unary(&linear_op, x, &o, GR_HERE);
}

/* --- adaptive_avg_pool1d, adaptive_avg_pool2d --- */

typedef struct adaptive_attrs {
    int64_t size[2];
} adaptive_attrs;

static gr_tensor *areas(gr_tensor *x, const int64_t *size, int rank)
{
    for (int i = 0; i < rank; i++)
        x = gr_apply(NULL, &resample_op, &x, 1, &(const resample_attrs){2 + i, AREA, size[i], 0});
    return x;
}

static gr_tensor *adaptive1d_define(gr_tensor *const *x, int n, const void *attrs)
{
    (void)n;
    if (!gr__has_rank(x[0], 3, "adaptive_avg_pool1d", "x of [N,C,L]")) return gr_detach(x[0]);
    return areas(x[0], ((const adaptive_attrs *)attrs)->size, 1);
}

static gr_tensor *adaptive2d_define(gr_tensor *const *x, int n, const void *attrs)
{
    (void)n;
    if (!gr__has_rank(x[0], 4, "adaptive_avg_pool2d", "x of [N,C,H,W]")) return gr_detach(x[0]);
    return areas(x[0], ((const adaptive_attrs *)attrs)->size, 2);
}

#define SIZE(...) .attrs = &(const adaptive_attrs){{__VA_ARGS__}}

static const gr_sample adaptive1d_samples[] = {
    {.name = "even", .in = {S3(1, 2, 6)}, .n_in = 1, SIZE(3)},
    {.name = "uneven", .in = {S3(2, 1, 7)}, .n_in = 1, SIZE(3)},
    {.name = "larger", .in = {S3(1, 2, 3)}, .n_in = 1, SIZE(5)},
    {.name = "x of rank 2", .in = {S2(2, 6)}, .n_in = 1, SIZE(3), .error = "adaptive_avg_pool1d: expected x of [N,C,L], got [2,6]"},
    {.name = "no size", .in = {S3(1, 2, 3)}, .n_in = 1, SIZE(0), .error = "cannot make 0 elements of axis 2 of [1,2,3]"},
    {0},
};

static const gr_sample adaptive2d_samples[] = {
    {.name = "uneven", .in = {S4(1, 2, 5, 7)}, .n_in = 1, SIZE(3, 4)},
    {.name = "even and uneven", .in = {S4(2, 1, 4, 5)}, .n_in = 1, SIZE(2, 3)},
    {.name = "one", .in = {S4(1, 3, 3, 4)}, .n_in = 1, SIZE(1, 1)},
    {.name = "no images", .in = {S4(0, 3, 3, 4)}, .n_in = 1, SIZE(2, 2)},
    {.name = "x of rank 3", .in = {S3(2, 6, 5)}, .n_in = 1, SIZE(3, 2), .error = "adaptive_avg_pool2d: expected x of [N,C,H,W], got [2,6,5]"},
    {0},
};

static const gr_field adaptive1d_fields[] = {GR_FIELD_ARRAY(adaptive_attrs, size, GR_FIELD_I64, 1),
                                             {0}};
static const gr_field adaptive2d_fields[] = {GR_FIELD_ARRAY(adaptive_attrs, size, GR_FIELD_I64, 2),
                                             {0}};

static const gr_op adaptive1d_op = {
    .name = "adaptive_avg_pool1d",
    .family = "resample",
    .formula = "y[n,c,i] = mean of x[n,c,r] over floor(i L/n) <= r < ceil((i+1) L/n)",
    .derivation = "linear: each element of a window gets dy over the number of its elements",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(adaptive_attrs),
    .fields = adaptive1d_fields,
    .define = adaptive1d_define,
    .samples = adaptive1d_samples,
};

static const gr_op adaptive2d_op = {
    .name = "adaptive_avg_pool2d",
    .family = "resample",
    .formula =
        "y[n,c,i,j] = mean of x[n,c,r,s] over floor(i H/h) <= r < ceil((i+1) H/h), s likewise",
    .derivation = "linear: a mean of rows, then of columns; each element of a window gets dy over "
                  "the number of its elements",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(adaptive_attrs),
    .fields = adaptive2d_fields,
    .define = adaptive2d_define,
    .samples = adaptive2d_samples,
};

/* Means of `length` windows that cut x, [N,C,L], evenly: [N,C,length]; as gr_adaptive_avg_pool2d. */
gr_tensor *gr_adaptive_avg_pool1d(gr_tensor *x, int64_t length)
{
    return gr__unary(&adaptive1d_op, x, &(adaptive_attrs){{length, 0}}, GR_HERE);
}

/* Means of height by width windows that cut the images x, [N,C,H,W], evenly, whatever their size:
 * [N,C,height,width]. Window i has the rows from floor(i H / height) to ceil((i + 1) H / height), so
 * that neighbours may share one. Errors: another rank, sizes below 1, images without elements. */
gr_tensor *gr_adaptive_avg_pool2d(gr_tensor *x, int64_t height, int64_t width)
{
    return gr__unary(&adaptive2d_op, x, &(adaptive_attrs){{height, width}}, GR_HERE);
}

const gr_op *const gr__resample_ops[] = {
    &resample_op, &resample_grad_op, &nearest_op, &linear_op, &adaptive1d_op, &adaptive2d_op, NULL,
};
