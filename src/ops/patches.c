/* patches.c - the patches of images as columns (im2col), and their sum back into images.
 *
 *   unfold: y[n, (c KH + p) KW + q, i OW + j] = x[n,c, i sh + p dh - ph, j sw + q dw - pw]
 *   fold:   y[n,c,r,s] = sum of x[n, (c KH + p) KW + q, i OW + j] where r and s are as above
 *
 * with zeros outside of an image. Each is linear, and the transpose of the other.
 */
/* SPDX-License-Identifier: MIT */
#include "family.h"
#include "kernels.h"

#define S3(a, b, c) {.shape = {3, {a, b, c}}}
#define S4(a, b, c, d) {.shape = {4, {a, b, c, d}}}

typedef struct fold_attrs {
    gr_unfold_options patch;
    int64_t size[2]; /* of the images */
} fold_attrs;

/* --- options --- */

static gr_unfold_options with_defaults(const gr_unfold_options *given)
{
    gr_unfold_options o = *given;
    for (int i = 0; i < 2; i++) {
        if (o.stride[i] == 0) o.stride[i] = 1;
        if (o.dilation[i] == 0) o.dilation[i] = 1;
    }
    return o;
}

static gr__pool_axis axis_of(const int64_t *size, const gr_unfold_options *o, int i)
{
    return gr__pool_axis_of(size[i], o->kernel[i], o->stride[i], o->padding[i], o->dilation[i],
                            false);
}

static bool check_options(gr_infer *c, const gr_unfold_options *o)
{
    for (int i = 0; i < 2; i++) {
        if (o->kernel[i] < 1)
            return gr_infer_fail(c, "kernel [%d,%d] must be positive", o->kernel[0], o->kernel[1]);
        if (o->stride[i] < 1)
            return gr_infer_fail(c, "stride [%d,%d] must be positive", o->stride[0], o->stride[1]);
        if (o->dilation[i] < 1)
            return gr_infer_fail(c, "dilation [%d,%d] must be positive", o->dilation[0],
                                 o->dilation[1]);
        if (o->padding[i] < 0)
            return gr_infer_fail(c, "padding [%d,%d] must not be negative", o->padding[0],
                                 o->padding[1]);
    }
    return true;
}

/* Sets the number of patches of images of that size. */
static bool count_patches(gr_infer *c, const int64_t *size, const gr_unfold_options *o, int64_t *n)
{
    if (size[0] < 1 || size[1] < 1 || size[0] > INT32_MAX || size[1] > INT32_MAX)
        return gr_infer_fail(c, "images of [%lld,%lld] have no elements or too many",
                             (long long)size[0], (long long)size[1]);
    gr__pool_axis h = axis_of(size, o, 0), w = axis_of(size, o, 1);
    if (h.out < 1 || w.out < 1)
        return gr_infer_fail(c,
                             "a kernel of [%d,%d] with dilation [%d,%d] is larger than the padded "
                             "images of [%lld,%lld]",
                             o->kernel[0], o->kernel[1], o->dilation[0], o->dilation[1],
                             (long long)size[0] + 2 * (int64_t)o->padding[0],
                             (long long)size[1] + 2 * (int64_t)o->padding[1]);
    if (__builtin_mul_overflow(h.out, w.out, n))
        return gr_infer_fail(c, "the result would be too large");
    return true;
}

/* --- running --- */

/* Of planes [H,W] of that size. */
static gr_status run(gr_exec *e, const gr_unfold_options *given, const int64_t *size,
                     int64_t planes, gr__range_fn *kernel)
{
    const gr_unfold_options o = with_defaults(given);
    gr__patches f = {.x = e->in[0].data, .y = e->out[0].data};
    f.p = (gr__pooling){.planes = planes, .h = axis_of(size, &o, 0), .w = axis_of(size, &o, 1)};
    int64_t work = f.p.h.taps * f.p.w.taps * f.p.h.out * f.p.w.out;
    if (planes && work) gr__parallel_for(planes, 1 + 65536 / work, kernel, &f);
    return GR_OK;
}

/* --- unfold --- */

static const gr_op fold_op;

static bool unfold_infer(gr_infer *c)
{
    const gr_unfold_options o = with_defaults(c->attrs);
    const gr_shape x = *gr_shape_of(c->in[0]);
    int64_t rows, n;
    if (x.rank != 4)
        return gr_infer_fail(c, "expected x of [N,C,H,W], got %s", gr_infer_shape(c, 0));
    if (!check_options(c, &o) || !count_patches(c, x.dim + 2, &o, &n)) return false;
    if (__builtin_mul_overflow((int64_t)o.kernel[0] * o.kernel[1], x.dim[1], &rows))
        return gr_infer_fail(c, "the result would be too large");
    c->shape[0] = GR_SHAPE(x.dim[0], rows, n);
    return true;
}

static gr_status unfold_forward(gr_exec *e)
{
    const gr_shape *x = e->in[0].shape;
    return run(e, e->attrs, x->dim + 2, x->dim[0] * x->dim[1],
               gr__kernels_for(e->out[0].dtype)->unfold);
}

static void unfold_vjp(gr_pullback *p)
{
    const gr_shape *x = gr_shape_of(p->x[0]);
    const fold_attrs attrs = {*(const gr_unfold_options *)p->attrs, {x->dim[2], x->dim[3]}};
    p->dx[0] = gr_apply(p->graph, &fold_op, &p->dy[0], 1, &attrs);
}

#define UNFOLD(...) .attrs = &(const gr_unfold_options){__VA_ARGS__}

static const gr_sample unfold_samples[] = {
    {.name = "plain", .in = {S4(2, 2, 4, 5)}, .n_in = 1, UNFOLD(.kernel = {3, 2})},
    {.name = "stride and padding", .in = {S4(1, 2, 5, 4)}, .n_in = 1, UNFOLD(.kernel = {2, 3}, .stride = {2, 1}, .padding = {1, 2})},
    {.name = "dilation", .in = {S4(1, 1, 6, 7)}, .n_in = 1, UNFOLD(.kernel = {2, 3}, .dilation = {3, 2}, .stride = {1, 2})},
    {.name = "no images", .in = {S4(0, 2, 4, 5)}, .n_in = 1, UNFOLD(.kernel = {2, 2})},
    {.name = "x of rank 3", .in = {S3(2, 4, 5)}, .n_in = 1, UNFOLD(.kernel = {2, 2}), .error = "expected x of [N,C,H,W], got [2,4,5]"},
    {.name = "no kernel", .in = {S4(1, 2, 4, 5)}, .n_in = 1, UNFOLD(.kernel = {2, 0}), .error = "kernel [2,0] must be positive"},
    {.name = "negative padding", .in = {S4(1, 2, 4, 5)}, .n_in = 1, UNFOLD(.kernel = {2, 1}, .padding = {-1, 0}), .error = "padding [-1,0] must not be negative"},
    {.name = "negative stride", .in = {S4(1, 2, 4, 5)}, .n_in = 1, UNFOLD(.kernel = {2, 1}, .stride = {1, -1}), .error = "stride [1,-1] must be positive"},
    {.name = "large kernel", .in = {S4(1, 2, 4, 5)}, .n_in = 1, UNFOLD(.kernel = {2, 3}, .dilation = {1, 3}), .error = "a kernel of [2,3] with dilation [1,3] is larger than the padded images of [4,5]"},
    {.name = "empty images", .in = {S4(1, 2, 0, 5)}, .n_in = 1, UNFOLD(.kernel = {1, 1}), .error = "images of [0,5] have no elements"},
    {0},
};

static const gr_field unfold_fields[] = {
    GR_FIELD_ARRAY(gr_unfold_options, kernel, GR_FIELD_INT, 2),
    GR_FIELD_ARRAY(gr_unfold_options, stride, GR_FIELD_INT, 2),
    GR_FIELD_ARRAY(gr_unfold_options, padding, GR_FIELD_INT, 2),
    GR_FIELD_ARRAY(gr_unfold_options, dilation, GR_FIELD_INT, 2),
    {0},
};

static const gr_op unfold_op = {
    .name = "unfold",
    .family = "patches",
    .formula = "y[n,(c KH+p) KW+q,i OW+j] = x[n,c,i+p,j+q] (stride 1, no padding, no dilation)",
    .derivation = "each y is a copy of one x, so dx sums the dy of its copies: fold(dy)",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(gr_unfold_options),
    .fields = unfold_fields,
    .infer = unfold_infer,
    .forward = {[GR_F32] = unfold_forward, [GR_F64] = unfold_forward},
    .vjp = unfold_vjp,
    .samples = unfold_samples,
};

/* The patches that windows cut from the images x, [N,C,H,W], as columns: [N, C KH KW, OH OW], OH and
 * OW as in gr_conv2d, which is a product of a matrix with these columns (im2col). Rows go by channel,
 * then by the place in the window, as PyTorch's unfold has them. Errors: negative options, a kernel
 * larger than the padded images. */
gr_tensor *gr_unfold(gr_tensor *x, gr_unfold_options o)
{
    return gr__unary(&unfold_op, x, &o, GR_HERE);
}

/* --- fold --- */

static bool fold_infer(gr_infer *c)
{
    const fold_attrs *a = c->attrs;
    const gr_unfold_options o = with_defaults(&a->patch);
    const gr_shape x = *gr_shape_of(c->in[0]);
    int64_t n, taps = (int64_t)o.kernel[0] * o.kernel[1];
    if (x.rank != 3)
        return gr_infer_fail(c, "expected x of [N,C KH KW,L], got %s", gr_infer_shape(c, 0));
    if (!check_options(c, &o) || !count_patches(c, a->size, &o, &n)) return false;
    if (x.dim[1] % taps || x.dim[2] != n)
        return gr_infer_fail(c, "expected %lld columns, %lld elements for each channel; got %s",
                             (long long)n, (long long)taps, gr_infer_shape(c, 0));
    c->shape[0] = GR_SHAPE(x.dim[0], x.dim[1] / taps, a->size[0], a->size[1]);
    return true;
}

static gr_status fold_forward(gr_exec *e)
{
    const fold_attrs *a = e->attrs;
    const gr_shape *y = e->out[0].shape;
    return run(e, &a->patch, a->size, y->dim[0] * y->dim[1],
               gr__kernels_for(e->out[0].dtype)->fold);
}

static void fold_vjp(gr_pullback *p)
{
    p->dx[0] = gr_unfold(p->dy[0], ((const fold_attrs *)p->attrs)->patch);
}

#define FOLD(h, w, ...) .attrs = &(const fold_attrs){{__VA_ARGS__}, {h, w}}

static const gr_sample fold_samples[] = {
    {.name = "plain", .in = {S3(2, 12, 8)}, .n_in = 1, FOLD(4, 5, .kernel = {3, 2})},
    {.name = "stride and padding", .in = {S3(1, 6, 18)}, .n_in = 1, FOLD(5, 4, .kernel = {2, 3}, .stride = {2, 1}, .padding = {1, 2})},
    {.name = "dilation", .in = {S3(1, 12, 6)}, .n_in = 1, FOLD(6, 7, .kernel = {2, 3}, .dilation = {3, 2}, .stride = {1, 2})},
    {.name = "no images", .in = {S3(0, 8, 12)}, .n_in = 1, FOLD(4, 5, .kernel = {2, 2})},
    {.name = "x of rank 2", .in = {{.shape = {2, {12, 8}}}}, .n_in = 1, FOLD(4, 5, .kernel = {3, 2}), .error = "expected x of [N,C KH KW,L], got [12,8]"},
    {.name = "other columns", .in = {S3(2, 12, 7)}, .n_in = 1, FOLD(4, 5, .kernel = {3, 2}), .error = "expected 8 columns, 6 elements for each channel; got [2,12,7]"},
    {.name = "no images to make", .in = {S3(2, 12, 7)}, .n_in = 1, FOLD(4, 0, .kernel = {3, 2}), .error = "images of [4,0] have no elements"},
    {0},
};

static const gr_field fold_fields[] = {
    {"kernel", GR_FIELD_INT, offsetof(fold_attrs, patch.kernel), 2, NULL},
    {"stride", GR_FIELD_INT, offsetof(fold_attrs, patch.stride), 2, NULL},
    {"padding", GR_FIELD_INT, offsetof(fold_attrs, patch.padding), 2, NULL},
    {"dilation", GR_FIELD_INT, offsetof(fold_attrs, patch.dilation), 2, NULL},
    GR_FIELD_ARRAY(fold_attrs, size, GR_FIELD_I64, 2),
    {0},
};

static const gr_op fold_op = {
    .name = "fold",
    .family = "patches",
    .formula =
        "y[n,c,i+p,j+q] = sum of x[n,(c KH+p) KW+q,i OW+j] (stride 1, no padding, no dilation)",
    .derivation = "linear, the transpose of unfold: dx = unfold(dy)",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(fold_attrs),
    .fields = fold_fields,
    .infer = fold_infer,
    .forward = {[GR_F32] = fold_forward, [GR_F64] = fold_forward},
    .vjp = fold_vjp,
    .samples = fold_samples,
};

/* Adds columns, [N, C KH KW, L] as gr_unfold makes them of images of [height,width], back into such
 * images: [N,C,height,width]. Where patches overlap their elements are summed. */
gr_tensor *gr_fold(gr_tensor *x, int64_t height, int64_t width, gr_unfold_options o)
{
    return gr__unary(&fold_op, x, &(fold_attrs){o, {height, width}}, GR_HERE);
}

const gr_op *const gr__patches_ops[] = {&unfold_op, &fold_op, NULL};
