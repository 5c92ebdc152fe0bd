/* pool.c - maxima and means over windows of images.
 *
 *   max_pool2d: y[i,j] = max_{p,q} x[i sh + p - ph, j sw + q - pw]
 *               dx[argmax] += dy
 *   avg_pool2d: y[i,j] = 1/(KH KW) sum_{p,q} x[i sh + p - ph, j sw + q - pw]
 *               dx[r,s] = 1/(KH KW) sum of dy over the windows that hold (r,s)
 *
 * for each image and channel. Outside the image x is -inf for the maximum, 0 for the mean.
 */
/* SPDX-License-Identifier: MIT */
#include "family.h"
#include "kernels.h"

#include <math.h>

/* --- options --- */

/* Of the two gradients: the size of the images. */
typedef struct plane_attrs {
    int64_t size[2];
} plane_attrs;

typedef struct avg_grad_attrs {
    gr_pool2d_options pool;
    int64_t size[2];
} avg_grad_attrs;

static const gr_field pool_fields[] = {
    GR_FIELD_ARRAY(gr_pool2d_options, kernel, GR_FIELD_INT, 2),
    GR_FIELD_ARRAY(gr_pool2d_options, stride, GR_FIELD_INT, 2),
    GR_FIELD_ARRAY(gr_pool2d_options, padding, GR_FIELD_INT, 2),
    {0},
};

static const gr_field plane_fields[] = {GR_FIELD_ARRAY(plane_attrs, size, GR_FIELD_I64, 2), {0}};

static const gr_field avg_grad_fields[] = {
    {"kernel", GR_FIELD_INT, offsetof(avg_grad_attrs, pool.kernel), 2, NULL},
    {"stride", GR_FIELD_INT, offsetof(avg_grad_attrs, pool.stride), 2, NULL},
    {"padding", GR_FIELD_INT, offsetof(avg_grad_attrs, pool.padding), 2, NULL},
    GR_FIELD_ARRAY(avg_grad_attrs, size, GR_FIELD_I64, 2),
    {0},
};

static gr_pool2d_options with_defaults(const gr_pool2d_options *given)
{
    gr_pool2d_options o = *given;
    for (int i = 0; i < 2; i++)
        if (o.stride[i] == 0) o.stride[i] = o.kernel[i];
    return o;
}

/* x: [N,C,H,W]; options with defaults filled in. */
static gr__pool2d geometry(const gr_shape *x, const gr_pool2d_options *o)
{
    return (gr__pool2d){
        .planes = x->dim[0] * x->dim[1],
        .h = gr__pool2d_axis_of(x->dim[2], o->kernel[0], o->stride[0], o->padding[0]),
        .w = gr__pool2d_axis_of(x->dim[3], o->kernel[1], o->stride[1], o->padding[1]),
    };
}

/* --- checks --- */

static bool check_images(gr_infer *c, int i, const char *what)
{
    if (gr_shape_of(c->in[i])->rank == 4) return true;
    return gr_infer_fail(c, "expected %s, got %s", what, gr_infer_shape(c, i));
}

static bool check_options(gr_infer *c, const gr_pool2d_options *o)
{
    for (int i = 0; i < 2; i++) {
        if (o->kernel[i] < 1)
            return gr_infer_fail(c, "kernel [%d,%d] must be positive", o->kernel[0], o->kernel[1]);
        if (o->stride[i] < 1)
            return gr_infer_fail(c, "stride [%d,%d] must be positive", o->stride[0], o->stride[1]);
        if (o->padding[i] < 0 || o->padding[i] > o->kernel[i] / 2)
            return gr_infer_fail(c, "padding [%d,%d] must be from 0 to half of the kernel [%d,%d]",
                                 o->padding[0], o->padding[1], o->kernel[0], o->kernel[1]);
    }
    return true;
}

/* Sets y, [N,C,OH,OW], or says why there is none. */
static bool check_geometry(gr_infer *c, const gr_shape *x, const gr_pool2d_options *o, gr_shape *y)
{
    char text[GR_SHAPE_TEXT];
    if (x->dim[2] < 1 || x->dim[3] < 1)
        return gr_infer_fail(c, "images of %s have no elements", gr_shape_text(x, text));
    if (x->dim[2] > INT32_MAX || x->dim[3] > INT32_MAX ||
        ((int64_t)o->kernel[0] + 1) * x->dim[3] > INT32_MAX)
        return gr_infer_fail(c, "images of %s are too large", gr_shape_text(x, text));
    gr__pool2d p = geometry(x, o);
    if (p.h.out < 1 || p.w.out < 1)
        return gr_infer_fail(c,
                             "a kernel of [%d,%d] is larger than the padded input of [%lld,%lld]",
                             o->kernel[0], o->kernel[1], (long long)x->dim[2] + 2 * o->padding[0],
                             (long long)x->dim[3] + 2 * o->padding[1]);
    *y = GR_SHAPE(x->dim[0], x->dim[1], p.h.out, p.w.out);
    return true;
}

static bool pool_infer(gr_infer *c)
{
    gr_pool2d_options o = with_defaults(c->attrs);
    gr_shape x = *gr_shape_of(c->in[0]);
    return check_images(c, 0, "x of [N,C,H,W]") && check_options(c, &o) &&
           check_geometry(c, &x, &o, &c->shape[0]);
}

/* --- running --- */

static int64_t plane_size(const gr_shape *s)
{
    return s->dim[2] * s->dim[3];
}

/* From planes of in[0] to planes of out[0]. */
static gr_status run(gr_exec *e, const gr__pool2d *p, gr__pool2d_fn *plane, int64_t *index)
{
    gr__pool2d_run(p, plane, e->out[0].dtype, e->in[0].data, index, e->out[0].data,
                   plane_size(e->in[0].shape), plane_size(e->out[0].shape));
    return GR_OK;
}

static gr__pool2d geometry_of(const gr_shape *x, const void *options)
{
    gr_pool2d_options o = with_defaults(options);
    return geometry(x, &o);
}

/* --- max_pool2d --- */

static const gr_op max_grad_op, max_pick_op;

static bool max_pool_infer(gr_infer *c)
{
    if (!pool_infer(c)) return false;
    c->shape[1] = c->shape[0];
    c->dtype[1] = GR_I64;
    return true;
}

static gr_status max_pool_forward(gr_exec *e)
{
    gr__pool2d p = geometry_of(e->in[0].shape, e->attrs);
    return run(e, &p, gr__kernels_for(e->out[0].dtype)->max_pool, e->out[1].data);
}

static void max_pool_vjp(gr_pullback *p)
{
    const gr_shape *x = gr_shape_of(p->x[0]);
    const plane_attrs attrs = {{x->dim[2], x->dim[3]}};
    gr_tensor *in[2] = {p->dy[0], p->y[1]};
    p->dx[0] = gr_apply(p->graph, &max_grad_op, in, 2, &attrs);
}

static double real_at(const gr_value *v, int64_t i)
{
    return v->dtype == GR_F32 ? (double)((const float *)v->data)[i] : ((const double *)v->data)[i];
}

/* One window: which of its elements equal the maximum to 4 ulp, and how far below it the best
 * other one lies. */
static void window_branch(const gr__pool2d *p, const gr_value *x, int64_t plane, int64_t i,
                          int64_t j, double most, gr_branch *b)
{
    double ulp = x->dtype == GR_F32 ? 1.2e-7 : 2.2e-16, near = 4 * ulp * fabs(most), gap = INFINITY;
    for (int64_t kh = 0; kh < p->h.taps; kh++)
        for (int64_t kw = 0; kw < p->w.taps; kw++) {
            int64_t row = i * p->h.stride + kh - p->h.padding;
            int64_t column = j * p->w.stride + kw - p->w.padding;
            if (row < 0 || row >= p->h.in || column < 0 || column >= p->w.in) continue;
            double v = real_at(x, (plane * p->h.in + row) * p->w.in + column), below = most - v;
            bool chosen = v == most || below <= near;
            if (!chosen && below < gap) gap = below;
            gr_branch_add(b, (uint64_t)chosen, INFINITY);
        }
    gr_branch_add(b, 2, gap);
}

static void max_pool_branch(const gr_exec *e, gr_branch *b)
{
    gr__pool2d p = geometry_of(e->in[0].shape, e->attrs);
    int64_t at = 0;
    for (int64_t plane = 0; plane < p.planes; plane++)
        for (int64_t i = 0; i < p.h.out; i++)
            for (int64_t j = 0; j < p.w.out; j++, at++)
                window_branch(&p, &e->in[0], plane, i, j, real_at(&e->out[0], at), b);
}

#define S4(a, b, c, d)               \
    {                                \
        .shape = { 4, {a, b, c, d} } \
    }
#define POOL(...)                       \
    .attrs = &(const gr_pool2d_options) \
    {                                   \
        __VA_ARGS__                     \
    }
#define INDEX4(a, b, c, d, end)                                  \
    {                                                            \
        .shape = {4, {a, b, c, d}}, .integer = true, .high = end \
    }
#define SIZE(h, w)                \
    .attrs = &(const plane_attrs) \
    {                             \
        {                         \
            h, w                  \
        }                         \
    }

static const gr_sample pool_samples[] = {
    {.name = "halves", .in = {S4(2, 2, 4, 6)}, .n_in = 1, POOL(.kernel = {2, 2})},
    {.name = "rows left over", .in = {S4(1, 1, 5, 7)}, .n_in = 1, POOL(.kernel = {2, 3})},
    {.name = "overlap",
     .in = {S4(1, 2, 5, 5)},
     .n_in = 1,
     POOL(.kernel = {3, 2}, .stride = {1, 1})},
    {.name = "padding",
     .in = {S4(1, 1, 5, 4)},
     .n_in = 1,
     POOL(.kernel = {3, 2}, .stride = {2, 1}, .padding = {1, 1})},
    {.name = "gaps", .in = {S4(1, 1, 5, 6)}, .n_in = 1, POOL(.kernel = {1, 2}, .stride = {2, 4})},
    {.name = "no images", .in = {S4(0, 2, 4, 4)}, .n_in = 1, POOL(.kernel = {2, 2})},
    {.name = "x of rank 3",
     .in = {{.shape = {3, {2, 4, 4}}}},
     .n_in = 1,
     POOL(.kernel = {2, 2}),
     .error = "expected x of [N,C,H,W], got [2,4,4]"},
    {.name = "no kernel",
     .in = {S4(1, 1, 4, 4)},
     .n_in = 1,
     POOL(.kernel = {2, 0}),
     .error = "kernel [2,0] must be positive"},
    {.name = "negative stride",
     .in = {S4(1, 1, 4, 4)},
     .n_in = 1,
     POOL(.kernel = {2, 2}, .stride = {-1, 0}),
     .error = "stride [-1,2] must be positive"},
    {.name = "wide padding",
     .in = {S4(1, 1, 4, 4)},
     .n_in = 1,
     POOL(.kernel = {2, 3}, .padding = {0, 2}),
     .error = "padding [0,2] must be from 0 to half of the kernel [2,3]"},
    {.name = "large kernel",
     .in = {S4(1, 1, 2, 4)},
     .n_in = 1,
     POOL(.kernel = {5, 2}, .padding = {1, 0}),
     .error = "a kernel of [5,2] is larger than the padded input of [4,4]"},
    {.name = "empty images",
     .in = {S4(1, 1, 0, 4)},
     .n_in = 1,
     POOL(.kernel = {2, 2}, .padding = {1, 1}),
     .error = "images of [1,1,0,4] have no elements"},
    {0},
};

static const gr_op max_pool_op = {
    .name = "max_pool2d",
    .family = "pool",
    .formula = "y[n,c,i,j] = max_{p,q} x[n,c,i sh+p-ph,j sw+q-pw]",
    .derivation =
        "y moves with the largest element of its window alone, so dy is added to dx there",
    .ties = "the first of equal maxima, in row-major order, gets all of dy (PyTorch's choice)",
    .n_in = 1,
    .n_out = 2,
    .reads = GR_READS_OUT(1),
    .attrs_size = sizeof(gr_pool2d_options),
    .fields = pool_fields,
    .infer = max_pool_infer,
    .forward = {[GR_F32] = max_pool_forward, [GR_F64] = max_pool_forward},
    .vjp = max_pool_vjp,
    .branch = max_pool_branch,
    .samples = pool_samples,
};

/* The largest element of each window of the images x, [N,C,H,W]: [N,C,OH,OW] with
 *     OH = floor((H + 2 padding[0] - kernel[0]) / stride[0]) + 1, OW likewise.
 * Output 1 of the node is its place, int64, counted within the H * W elements of the plane: the
 * first of equals. NaN is larger than all; of several the last is taken. Padding is at most half
 * of the kernel and never chosen. Errors: negative options, a kernel larger than the padded
 * input. */
gr_tensor *gr_max_pool2d(gr_tensor *x, gr_pool2d_options o)
{
    return gr__unary(&max_pool_op, x, &o, GR_HERE);
}

/* --- max_pool2d_grad: (dy, argmax) -> dx, and its transpose max_pool2d_pick --- */

static bool check_index(gr_infer *c, int i)
{
    if (!check_images(c, i, "argmax of [N,C,OH,OW]")) return false;
    if (gr_dtype_of(c->in[i]) == GR_I64) return true;
    return gr_infer_fail(c, "argmax must be int64, got %s", gr_dtype_name(gr_dtype_of(c->in[i])));
}

/* Indices come from anywhere when the op is called by name. */
static gr_status check_range(gr_exec *e, int64_t size)
{
    const int64_t *index = e->in[1].data;
    bool fine = true;
    for (int64_t i = 0, n = gr_shape_numel(e->in[1].shape); i < n; i++)
        fine &= (uint64_t)index[i] < (uint64_t)size;
    if (fine) return GR_OK;
    return gr_exec_fail(e, "an argmax lies outside of the %lld elements of a plane",
                        (long long)size);
}

static gr__pool2d planes_of(const gr_shape *x, const gr_shape *y)
{
    return (gr__pool2d){
        .planes = x->dim[0] * x->dim[1],
        .h = {.in = x->dim[2], .out = y->dim[2]},
        .w = {.in = x->dim[3], .out = y->dim[3]},
    };
}

static bool max_grad_infer(gr_infer *c)
{
    const plane_attrs *a = c->attrs;
    if (!check_images(c, 0, "dy of [N,C,OH,OW]") || !check_index(c, 1)) return false;
    const gr_shape *dy = gr_shape_of(c->in[0]);
    if (!gr_shape_equal(dy, gr_shape_of(c->in[1])))
        return gr_infer_fail(c, "dy of %s and argmax of %s differ", gr_infer_shape(c, 0),
                             gr_infer_shape(c, 1));
    if (a->size[0] < 0 || a->size[1] < 0)
        return gr_infer_fail(c, "size [%lld,%lld] must not be negative", (long long)a->size[0],
                             (long long)a->size[1]);
    c->shape[0] = GR_SHAPE(dy->dim[0], dy->dim[1], a->size[0], a->size[1]);
    return true;
}

static gr_status max_grad_forward(gr_exec *e)
{
    gr__pool2d p = planes_of(e->out[0].shape, e->in[0].shape);
    gr_status status = check_range(e, plane_size(e->out[0].shape));
    if (status) return status;
    return run(e, &p, gr__kernels_for(e->out[0].dtype)->max_pool_grad, e->in[1].data);
}

static void max_grad_vjp(gr_pullback *p)
{
    gr_tensor *in[2] = {p->dy[0], p->x[1]};
    p->dx[0] = gr_apply(p->graph, &max_pick_op, in, 2, NULL);
}

static const gr_sample max_grad_samples[] = {
    {.name = "planes", .in = {S4(2, 2, 2, 3), INDEX4(2, 2, 2, 3, 12)}, .n_in = 2, SIZE(3, 4)},
    {.name = "repeated", .in = {S4(1, 1, 3, 3), INDEX4(1, 1, 3, 3, 2)}, .n_in = 2, SIZE(2, 2)},
    {.name = "no images", .in = {S4(0, 2, 2, 3), INDEX4(0, 2, 2, 3, 12)}, .n_in = 2, SIZE(3, 4)},
    {.name = "other shapes",
     .in = {S4(1, 1, 2, 3), INDEX4(1, 1, 3, 2, 12)},
     .n_in = 2,
     SIZE(3, 4),
     .error = "dy of [1,1,2,3] and argmax of [1,1,3,2] differ"},
    {.name = "argmax of floats",
     .in = {S4(1, 1, 2, 3), S4(1, 1, 2, 3)},
     .n_in = 2,
     SIZE(3, 4),
     .error = "argmax must be int64, got float"},
    {0},
};

static const gr_op max_grad_op = {
    .name = "max_pool2d_grad",
    .family = "pool",
    .formula = "dx[n,c,argmax[n,c,i,j]] = sum of dy[n,c,i,j]",
    .derivation = "linear in dy; the transpose of adding to places is reading from them: "
                  "max_pool2d_pick",
    .n_in = 2,
    .flags = GR_OP_LINEAR,
    .reads = GR_READS_IN(1),
    .attrs_size = sizeof(plane_attrs),
    .fields = plane_fields,
    .infer = max_grad_infer,
    .forward = {[GR_F32] = max_grad_forward, [GR_F64] = max_grad_forward},
    .vjp = max_grad_vjp,
    .samples = max_grad_samples,
};

static bool max_pick_infer(gr_infer *c)
{
    if (!check_images(c, 0, "x of [N,C,H,W]") || !check_index(c, 1)) return false;
    const gr_shape *x = gr_shape_of(c->in[0]), *index = gr_shape_of(c->in[1]);
    if (x->dim[0] != index->dim[0] || x->dim[1] != index->dim[1])
        return gr_infer_fail(c, "x of %s and argmax of %s are of other images",
                             gr_infer_shape(c, 0), gr_infer_shape(c, 1));
    c->shape[0] = *index;
    return true;
}

static gr_status max_pick_forward(gr_exec *e)
{
    gr__pool2d p = planes_of(e->in[0].shape, e->out[0].shape);
    gr_status status = check_range(e, plane_size(e->in[0].shape));
    if (status) return status;
    return run(e, &p, gr__kernels_for(e->out[0].dtype)->max_pool_pick, e->in[1].data);
}

static void max_pick_vjp(gr_pullback *p)
{
    const gr_shape *x = gr_shape_of(p->x[0]);
    const plane_attrs attrs = {{x->dim[2], x->dim[3]}};
    gr_tensor *in[2] = {p->dy[0], p->x[1]};
    p->dx[0] = gr_apply(p->graph, &max_grad_op, in, 2, &attrs);
}

static const gr_sample max_pick_samples[] = {
    {.name = "planes", .in = {S4(2, 2, 3, 4), INDEX4(2, 2, 2, 3, 12)}, .n_in = 2},
    {.name = "repeated", .in = {S4(1, 1, 2, 2), INDEX4(1, 1, 3, 3, 2)}, .n_in = 2},
    {.name = "no images", .in = {S4(0, 2, 3, 4), INDEX4(0, 2, 2, 3, 12)}, .n_in = 2},
    {.name = "other images",
     .in = {S4(2, 1, 3, 4), INDEX4(1, 1, 2, 3, 12)},
     .n_in = 2,
     .error = "are of other images"},
    {0},
};

static const gr_op max_pick_op = {
    .name = "max_pool2d_pick",
    .family = "pool",
    .formula = "y[n,c,i,j] = x[n,c,argmax[n,c,i,j]]",
    .derivation = "linear in x; the transpose of reading from places is adding to them: "
                  "max_pool2d_grad",
    .n_in = 2,
    .flags = GR_OP_LINEAR,
    .reads = GR_READS_IN(1),
    .infer = max_pick_infer,
    .forward = {[GR_F32] = max_pick_forward, [GR_F64] = max_pick_forward},
    .vjp = max_pick_vjp,
    .samples = max_pick_samples,
};

/* --- avg_pool2d --- */

static const gr_op avg_grad_op;

static gr_status avg_pool_forward(gr_exec *e)
{
    gr__pool2d p = geometry_of(e->in[0].shape, e->attrs);
    return run(e, &p, gr__kernels_for(e->out[0].dtype)->avg_pool, NULL);
}

static void avg_pool_vjp(gr_pullback *p)
{
    const gr_shape *x = gr_shape_of(p->x[0]);
    const avg_grad_attrs attrs = {*(const gr_pool2d_options *)p->attrs, {x->dim[2], x->dim[3]}};
    p->dx[0] = gr_apply(p->graph, &avg_grad_op, &p->dy[0], 1, &attrs);
}

static const gr_op avg_pool_op = {
    .name = "avg_pool2d",
    .family = "pool",
    .formula = "y[n,c,i,j] = 1/(KH KW) sum_{p,q} x[n,c,i sh+p-ph,j sw+q-pw]",
    .derivation = "linear: each element of a window gets dy/(KH KW), from every window it is in",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(gr_pool2d_options),
    .fields = pool_fields,
    .infer = pool_infer,
    .forward = {[GR_F32] = avg_pool_forward, [GR_F64] = avg_pool_forward},
    .vjp = avg_pool_vjp,
    .samples = pool_samples,
};

/* The mean of each window of the images x, [N,C,H,W]: [N,C,OH,OW], sizes as in gr_max_pool2d.
 * Padding counts as zeros: the sum is always divided by kernel[0] * kernel[1]. */
gr_tensor *gr_avg_pool2d(gr_tensor *x, gr_pool2d_options o)
{
    return gr__unary(&avg_pool_op, x, &o, GR_HERE);
}

/* --- avg_pool2d_grad: dy -> dx --- */

static bool avg_grad_infer(gr_infer *c)
{
    const avg_grad_attrs *a = c->attrs;
    gr_pool2d_options o = with_defaults(&a->pool);
    char text[GR_SHAPE_TEXT];
    gr_shape y;
    if (!check_images(c, 0, "dy of [N,C,OH,OW]") || !check_options(c, &o)) return false;
    const gr_shape *dy = gr_shape_of(c->in[0]);
    c->shape[0] = GR_SHAPE(dy->dim[0], dy->dim[1], a->size[0], a->size[1]);
    if (!check_geometry(c, &c->shape[0], &o, &y)) return false;
    if (gr_shape_equal(dy, &y)) return true;
    return gr_infer_fail(c, "expected dy of %s, got %s", gr_shape_text(&y, text),
                         gr_infer_shape(c, 0));
}

static gr_status avg_grad_forward(gr_exec *e)
{
    gr__pool2d p = geometry_of(e->out[0].shape, &((const avg_grad_attrs *)e->attrs)->pool);
    return run(e, &p, gr__kernels_for(e->out[0].dtype)->avg_pool_grad, NULL);
}

static void avg_grad_vjp(gr_pullback *p)
{
    p->dx[0] = gr_avg_pool2d(p->dy[0], ((const avg_grad_attrs *)p->attrs)->pool);
}

#define AVG_GRAD(h, w, ...)          \
    .attrs = &(const avg_grad_attrs) \
    {                                \
        {__VA_ARGS__},               \
        {                            \
            h, w                     \
        }                            \
    }

static const gr_sample avg_grad_samples[] = {
    {.name = "halves", .in = {S4(2, 2, 2, 3)}, .n_in = 1, AVG_GRAD(4, 6, .kernel = {2, 2})},
    {.name = "padding",
     .in = {S4(1, 1, 3, 5)},
     .n_in = 1,
     AVG_GRAD(5, 4, .kernel = {3, 2}, .stride = {2, 1}, .padding = {1, 1})},
    {.name = "gaps",
     .in = {S4(1, 1, 3, 2)},
     .n_in = 1,
     AVG_GRAD(5, 6, .kernel = {1, 2}, .stride = {2, 4})},
    {.name = "no images", .in = {S4(0, 2, 2, 2)}, .n_in = 1, AVG_GRAD(4, 4, .kernel = {2, 2})},
    {.name = "other size",
     .in = {S4(1, 1, 2, 3)},
     .n_in = 1,
     AVG_GRAD(4, 4, .kernel = {2, 2}),
     .error = "expected dy of [1,1,2,2], got [1,1,2,3]"},
    {0},
};

static const gr_op avg_grad_op = {
    .name = "avg_pool2d_grad",
    .family = "pool",
    .formula = "dx[n,c,r,s] = 1/(KH KW) sum of dy[n,c,i,j] over the windows that hold (r,s)",
    .derivation = "linear, the transpose of avg_pool2d: for a cotangent u of dx, "
                  "the cotangent of dy is avg_pool2d(u)",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(avg_grad_attrs),
    .fields = avg_grad_fields,
    .infer = avg_grad_infer,
    .forward = {[GR_F32] = avg_grad_forward, [GR_F64] = avg_grad_forward},
    .vjp = avg_grad_vjp,
    .samples = avg_grad_samples,
};

const gr_op *const gr__pool_ops[] = {
    &max_pool_op, &max_grad_op, &max_pick_op, &avg_pool_op, &avg_grad_op, NULL,
};
