/* max_pool.c - maxima over windows of one, two and three axes.
 *
 *   y[i,j] = max_{p,q} x[i sh + p dh - ph, j sw + q dw - pw]      for each image and channel
 *   dx[place] += dy                                               place: of the maximum
 *
 * Outside the image x is -inf. Adaptive windows cut the image evenly instead: window i of n goes
 * from floor(i H / n) to ceil((i + 1) H / n). Whatever the windows were, dx is max_unpool of dy.
 */
/* SPDX-License-Identifier: MIT */
#include "pooling.h"

#include <math.h>

#define S2(a, b) {.shape = {2, {a, b}}}
#define S3(a, b, c) {.shape = {3, {a, b, c}}}
#define S4(a, b, c, d) {.shape = {4, {a, b, c, d}}}
#define S5(a, b, c, d, e) {.shape = {5, {a, b, c, d, e}}}
#define TIES "the first of equal maxima, in row-major order, gets all of dy (PyTorch's choice)"
#define DERIVATION "y moves with the largest element of its window alone, so dy is added to dx there"

/* --- maxima of every kind --- */

static bool largest_infer(gr_infer *c)
{
    c->shape[1] = c->shape[0];
    c->dtype[1] = GR_I64;
    return true;
}

static gr_status largest_forward(gr_exec *e, const gr__pooling *p)
{
    return gr__windows_run(e, p, gr__kernels_for(e->out[0].dtype)->max_pool, e->out[1].data);
}

static void largest_vjp(gr_pullback *p)
{
    if (p->dy[0]) p->dx[0] = gr__unpool(p->dy[0], p->y[1], gr_shape_of(p->x[0]));
}

static double real_at(const gr_value *v, int64_t i)
{
    return v->dtype == GR_F32 ? (double)((const float *)v->data)[i] : ((const double *)v->data)[i];
}

/* Tap k of window i lies at the returned place of the axis; -1 outside. */
static int64_t place_of(const gr__pool_axis *a, int64_t i, int64_t k)
{
    int64_t at = a->adaptive ? i * a->in / a->out + k
                             : i * a->stride + k * a->dilation - a->padding;
    return at >= 0 && at < a->in ? at : -1;
}

static int64_t taps_of(const gr__pool_axis *a, int64_t i)
{
    return a->adaptive ? ((i + 1) * a->in + a->out - 1) / a->out - i * a->in / a->out : a->taps;
}

typedef struct window {
    const gr__pooling *p;
    const gr_value *x;
    int64_t plane, at[3];
    double most, gap;
} window;

static void element_branch(window *w, int64_t i, int64_t j, int64_t k, gr_branch *b)
{
    const gr__pooling *p = w->p;
    if (i < 0 || j < 0 || k < 0) return;
    int64_t at = ((w->plane * p->d.in + i) * p->h.in + j) * p->w.in + k;
    double ulp = w->x->dtype == GR_F32 ? 1.2e-7 : 2.2e-16, near = 4 * ulp * fabs(w->most);
    double v = real_at(w->x, at), below = w->most - v;
    bool chosen = v == w->most || below <= near;
    if (!chosen && below < w->gap) w->gap = below;
    gr_branch_add(b, (uint64_t)chosen, INFINITY);
}

/* One window: which of its elements equal the maximum to 4 ulp, and how far below it the best
 * other one lies. */
static void window_branch(window *w, gr_branch *b)
{
    const gr__pooling *p = w->p;
    w->gap = INFINITY;
    for (int64_t i = 0; i < taps_of(&p->d, w->at[0]); i++)
        for (int64_t j = 0; j < taps_of(&p->h, w->at[1]); j++)
            for (int64_t k = 0; k < taps_of(&p->w, w->at[2]); k++)
                element_branch(w, place_of(&p->d, w->at[0], i), place_of(&p->h, w->at[1], j),
                               place_of(&p->w, w->at[2], k), b);
    gr_branch_add(b, 2, w->gap);
}

static void largest_branch(const gr_exec *e, const gr__pooling *p, gr_branch *b)
{
    int64_t per_plane = p->d.out * p->h.out * p->w.out;
    for (int64_t y = 0; y < p->planes * per_plane; y++) {
        int64_t k = y % per_plane, row = k / p->w.out;
        window w = {p,
                    &e->in[0],
                    y / per_plane,
                    {row / p->h.out, row % p->h.out, k % p->w.out},
                    real_at(&e->out[0], y),
                    0};
        window_branch(&w, b);
    }
}

/* --- max_pool1d, max_pool2d, max_pool3d --- */

static bool max_pool_infer(gr_infer *c)
{
    int rank = gr__windows_rank(c->op);
    gr__windows w = gr__windows_of(c->attrs, rank);
    const gr_shape x = *gr_shape_of(c->in[0]);
    if (w.o.exclude_padding) return gr_infer_fail(c, "exclude_padding is an option of means");
    return gr__windows_check_input(c, 0, rank, "x") && gr__windows_check_options(c, &w) &&
           gr__windows_check_geometry(c, &x, &w, &c->shape[0]) && largest_infer(c);
}

static gr__pooling pool_of(const gr_exec *e)
{
    gr__windows w = gr__windows_of(e->attrs, e->in[0].shape->rank - 2);
    return gr__windows_pool(e->in[0].shape, &w);
}

static gr_status max_pool_forward(gr_exec *e)
{
    gr__pooling p = pool_of(e);
    return largest_forward(e, &p);
}

static void max_pool_branch(const gr_exec *e, gr_branch *b)
{
    gr__pooling p = pool_of(e);
    largest_branch(e, &p, b);
}

#define POOL1(...) .attrs = &(const gr_pool1d_options){__VA_ARGS__}
#define POOL2(...) .attrs = &(const gr_pool2d_options){__VA_ARGS__}
#define POOL3(...) .attrs = &(const gr_pool3d_options){__VA_ARGS__}

static const gr_sample max_pool1d_samples[] = {
    {.name = "halves", .in = {S3(2, 2, 7)}, .n_in = 1, POOL1(.kernel = 2)},
    {.name = "overlap and padding", .in = {S3(1, 2, 6)}, .n_in = 1, POOL1(.kernel = 3, .stride = 1, .padding = 1)},
    {.name = "dilation", .in = {S3(1, 2, 8)}, .n_in = 1, POOL1(.kernel = 3, .stride = 2, .padding = 1, .dilation = 2)},
    {.name = "ceil", .in = {S3(1, 2, 6)}, .n_in = 1, POOL1(.kernel = 3, .stride = 2, .ceil_mode = true)},
    {.name = "nothing", .in = {S3(0, 2, 4)}, .n_in = 1, POOL1(.kernel = 2)},
    {.name = "x of rank 4", .in = {S4(1, 1, 2, 4)}, .n_in = 1, POOL1(.kernel = 2), .error = "expected x of [N,C,L], got [1,1,2,4]"},
    {.name = "no kernel", .in = {S3(1, 1, 4)}, .n_in = 1, POOL1(.stride = 1), .error = "kernel [0] must be positive"},
    {0},
};

static const gr_sample max_pool2d_samples[] = {
    {.name = "halves", .in = {S4(2, 2, 4, 6)}, .n_in = 1, POOL2(.kernel = {2, 2})},
    {.name = "rows left over", .in = {S4(1, 1, 5, 7)}, .n_in = 1, POOL2(.kernel = {2, 3})},
    {.name = "overlap", .in = {S4(1, 2, 5, 5)}, .n_in = 1, POOL2(.kernel = {3, 2}, .stride = {1, 1})},
    {.name = "padding", .in = {S4(1, 1, 5, 4)}, .n_in = 1, POOL2(.kernel = {3, 2}, .stride = {2, 1}, .padding = {1, 1})},
    {.name = "gaps", .in = {S4(1, 1, 5, 6)}, .n_in = 1, POOL2(.kernel = {1, 2}, .stride = {2, 4})},
    {.name = "dilation", .in = {S4(1, 1, 6, 7)}, .n_in = 1, POOL2(.kernel = {2, 3}, .stride = {1, 2}, .dilation = {3, 2}, .padding = {0, 1})},
    {.name = "ceil", .in = {S4(1, 1, 4, 6)}, .n_in = 1, POOL2(.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 0}, .ceil_mode = true)},
    {.name = "no images", .in = {S4(0, 2, 4, 4)}, .n_in = 1, POOL2(.kernel = {2, 2})},
    {.name = "x of rank 3", .in = {S3(2, 4, 4)}, .n_in = 1, POOL2(.kernel = {2, 2}), .error = "expected x of [N,C,H,W], got [2,4,4]"},
    {.name = "no kernel", .in = {S4(1, 1, 4, 4)}, .n_in = 1, POOL2(.kernel = {2, 0}), .error = "kernel [2,0] must be positive"},
    {.name = "negative stride", .in = {S4(1, 1, 4, 4)}, .n_in = 1, POOL2(.kernel = {2, 2}, .stride = {-1, 0}), .error = "stride [-1,2] must be positive"},
    {.name = "negative dilation", .in = {S4(1, 1, 4, 4)}, .n_in = 1, POOL2(.kernel = {2, 2}, .dilation = {0, -1}), .error = "dilation [1,-1] must be positive"},
    {.name = "wide padding", .in = {S4(1, 1, 4, 4)}, .n_in = 1, POOL2(.kernel = {2, 3}, .padding = {0, 2}), .error = "padding [0,2] must be from 0 to half of the kernel [2,3]"},
    {.name = "large kernel", .in = {S4(1, 1, 2, 4)}, .n_in = 1, POOL2(.kernel = {5, 2}, .padding = {1, 0}), .error = "a kernel of [5,2] is larger than the padded input of [4,4]"},
    {.name = "empty images", .in = {S4(1, 1, 0, 4)}, .n_in = 1, POOL2(.kernel = {2, 2}, .padding = {1, 1}), .error = "images of [1,1,0,4] have no elements"},
    {.name = "between the elements", .in = {S4(1, 1, 4, 1)}, .n_in = 1, POOL2(.kernel = {2, 2}, .dilation = {1, 2}, .padding = {0, 1}), .error = "dilation [1,2] steps over an axis of 1 elements"},
    {.name = "an option of means", .in = {S4(1, 1, 4, 4)}, .n_in = 1, POOL2(.kernel = {2, 2}, .exclude_padding = true), .error = "exclude_padding is an option of means"},
    {0},
};

static const gr_sample max_pool3d_samples[] = {
    {.name = "halves", .in = {S5(1, 2, 2, 4, 5)}, .n_in = 1, POOL3(.kernel = {2, 2, 2})},
    {.name = "overlap and padding", .in = {S5(1, 1, 3, 4, 3)}, .n_in = 1, POOL3(.kernel = {2, 3, 2}, .stride = {1, 2, 1}, .padding = {1, 0, 1})},
    {.name = "dilation and ceil", .in = {S5(1, 1, 4, 3, 4)}, .n_in = 1, POOL3(.kernel = {2, 2, 1}, .stride = {1, 2, 3}, .dilation = {2, 1, 1}, .ceil_mode = true)},
    {.name = "nothing", .in = {S5(0, 2, 2, 2, 2)}, .n_in = 1, POOL3(.kernel = {2, 2, 2})},
    {.name = "x of rank 4", .in = {S4(1, 2, 4, 4)}, .n_in = 1, POOL3(.kernel = {2, 2, 2}), .error = "expected x of [N,C,D,H,W], got [1,2,4,4]"},
    {.name = "flat padding", .in = {S5(1, 1, 2, 4, 4)}, .n_in = 1, POOL3(.kernel = {1, 2, 2}, .padding = {1, 1, 1}), .error = "padding [1,1,1] must be from 0 to half of the kernel [1,2,2]"},
    {0},
};

/* What the three share. */
#define MAX_POOL(rank)                                                            \
    .family = "max_pool", .derivation = DERIVATION, .ties = TIES, .n_in = 1, .n_out = 2, \
    .reads = GR_READS_OUT(1), .attrs_size = sizeof(gr_pool##rank##_options),      \
    .fields = gr__pool##rank##_fields, .infer = max_pool_infer,                   \
    .forward = {[GR_F32] = max_pool_forward, [GR_F64] = max_pool_forward},        \
    .vjp = largest_vjp, .branch = max_pool_branch, .samples = max_pool##rank##_samples

static const gr_op max_pool1d_op = {
    .name = "max_pool1d",
    .formula = "y[n,c,i] = max_p x[n,c,i s+p-pad]",
    MAX_POOL(1d),
};

static const gr_op max_pool2d_op = {
    .name = "max_pool2d",
    .formula = "y[n,c,i,j] = max_{p,q} x[n,c,i sh+p-ph,j sw+q-pw]",
    MAX_POOL(2d),
};

static const gr_op max_pool3d_op = {
    .name = "max_pool3d",
    .formula = "y[n,c,i,j,k] = max_{o,p,q} x[n,c,i sd+o-pd,j sh+p-ph,k sw+q-pw]",
    MAX_POOL(3d),
};

/* The largest element of each window of x, [N,C,L]: [N,C,OL]; as gr_max_pool2d. */
gr_tensor *gr_max_pool1d(gr_tensor *x, gr_pool1d_options o)
{
    return gr__unary(&max_pool1d_op, x, &o, GR_HERE);
}

/* The largest element of each window of the images x, [N,C,H,W]: [N,C,OH,OW] with
 *     OH = floor((H + 2 padding[0] - dilation[0] (kernel[0] - 1) - 1) / stride[0]) + 1,
 * OW likewise; ceil_mode rounds up instead, as long as the last window begins within the image or
 * the padding before it. Output 1 of the node is the place of each maximum, int64, counted within
 * the H * W elements of the plane: the first of equals. NaN is larger than all; of several the last
 * is taken. Padding is at most half of the kernel and never chosen. Errors: negative options, a
 * kernel larger than the padded input, images without elements. */
gr_tensor *gr_max_pool2d(gr_tensor *x, gr_pool2d_options o)
{
    return gr__unary(&max_pool2d_op, x, &o, GR_HERE);
}

/* The largest element of each window of x, [N,C,D,H,W]: [N,C,OD,OH,OW]; as gr_max_pool2d. */
gr_tensor *gr_max_pool3d(gr_tensor *x, gr_pool3d_options o)
{
    return gr__unary(&max_pool3d_op, x, &o, GR_HERE);
}

/* --- adaptive_max_pool1d, adaptive_max_pool2d --- */

typedef struct adaptive_attrs {
    int64_t size[2]; /* [width], or [height, width] */
} adaptive_attrs;

static bool adaptive_infer(gr_infer *c)
{
    const adaptive_attrs *a = c->attrs;
    int rank = gr__windows_rank(c->op);
    char text[GR_SHAPE_TEXT];
    if (!gr__windows_check_input(c, 0, rank, "x")) return false;
    for (int i = 0; i < rank; i++) {
        if (a->size[i] < 1 || a->size[i] > INT32_MAX)
            return gr_infer_fail(c, "size %lld must be positive and below 2^31",
                                 (long long)a->size[i]);
        int64_t in = c->shape[0].dim[2 + i];
        if (in < 1 || in > INT32_MAX || gr__plane_size(&c->shape[0]) > INT32_MAX)
            return gr_infer_fail(c, "images of %s have no elements or too many",
                                 gr_shape_text(gr_shape_of(c->in[0]), text));
    }
    for (int i = 0; i < rank; i++) c->shape[0].dim[2 + i] = a->size[i];
    return largest_infer(c);
}

static gr__pooling adaptive_of(const gr_exec *e)
{
    const gr_shape *x = e->in[0].shape, *y = e->out[0].shape;
    int last = x->rank - 1;
    return (gr__pooling){
        .planes = x->dim[0] * x->dim[1],
        .d = gr__pool_axis_none(),
        .h = last > 2 ? gr__pool_axis_adaptive(x->dim[2], y->dim[2]) : gr__pool_axis_none(),
        .w = gr__pool_axis_adaptive(x->dim[last], y->dim[last]),
    };
}

static gr_status adaptive_forward(gr_exec *e)
{
    gr__pooling p = adaptive_of(e);
    return largest_forward(e, &p);
}

static void adaptive_branch(const gr_exec *e, gr_branch *b)
{
    gr__pooling p = adaptive_of(e);
    largest_branch(e, &p, b);
}

#define SIZE(...) .attrs = &(const adaptive_attrs){{__VA_ARGS__}}

static const gr_sample adaptive1d_samples[] = {
    {.name = "even", .in = {S3(1, 2, 6)}, .n_in = 1, SIZE(3)},
    {.name = "uneven", .in = {S3(2, 1, 7)}, .n_in = 1, SIZE(3)},
    {.name = "larger", .in = {S3(1, 2, 3)}, .n_in = 1, SIZE(5)},
    {.name = "x of rank 2", .in = {S2(2, 6)}, .n_in = 1, SIZE(3), .error = "expected x of [N,C,L], got [2,6]"},
    {.name = "no size", .in = {S3(1, 2, 3)}, .n_in = 1, SIZE(0), .error = "size 0 must be positive"},
    {0},
};

static const gr_sample adaptive2d_samples[] = {
    {.name = "uneven", .in = {S4(1, 2, 5, 7)}, .n_in = 1, SIZE(3, 4)},
    {.name = "even and uneven", .in = {S4(2, 1, 4, 5)}, .n_in = 1, SIZE(2, 3)},
    {.name = "one", .in = {S4(1, 3, 3, 4)}, .n_in = 1, SIZE(1, 1)},
    {.name = "no images", .in = {S4(0, 3, 3, 4)}, .n_in = 1, SIZE(2, 2)},
    {.name = "x of rank 3", .in = {S3(2, 6, 5)}, .n_in = 1, SIZE(3, 2), .error = "expected x of [N,C,H,W], got [2,6,5]"},
    {.name = "no elements", .in = {S4(1, 2, 3, 0)}, .n_in = 1, SIZE(2, 1), .error = "images of [1,2,3,0] have no elements"},
    {0},
};

static const gr_field adaptive1d_fields[] = {
    GR_FIELD_ARRAY(adaptive_attrs, size, GR_FIELD_I64, 1),
    {0},
};

static const gr_field adaptive2d_fields[] = {
    GR_FIELD_ARRAY(adaptive_attrs, size, GR_FIELD_I64, 2),
    {0},
};

#define ADAPTIVE(rank)                                                            \
    .family = "max_pool", .derivation = DERIVATION, .ties = TIES, .n_in = 1, .n_out = 2, \
    .reads = GR_READS_OUT(1), .attrs_size = sizeof(adaptive_attrs),               \
    .fields = adaptive##rank##_fields, .infer = adaptive_infer,                   \
    .forward = {[GR_F32] = adaptive_forward, [GR_F64] = adaptive_forward},        \
    .vjp = largest_vjp, .branch = adaptive_branch, .samples = adaptive##rank##_samples

static const gr_op adaptive1d_op = {
    .name = "adaptive_max_pool1d",
    .formula = "y[n,c,i] = max of x[n,c,r] over floor(i L/n) <= r < ceil((i+1) L/n)",
    ADAPTIVE(1d),
};

static const gr_op adaptive2d_op = {
    .name = "adaptive_max_pool2d",
    .formula =
        "y[n,c,i,j] = max of x[n,c,r,s] over floor(i H/h) <= r < ceil((i+1) H/h), s likewise",
    ADAPTIVE(2d),
};

/* The largest elements of `length` windows that cut x, [N,C,L], evenly: [N,C,length]; as
 * gr_adaptive_max_pool2d. */
gr_tensor *gr_adaptive_max_pool1d(gr_tensor *x, int64_t length)
{
    return gr__unary(&adaptive1d_op, x, &(adaptive_attrs){{length, 0}}, GR_HERE);
}

/* The largest elements of height by width windows that cut the images x, [N,C,H,W], evenly, whatever
 * their size: [N,C,height,width]. Window i has the rows from floor(i H / height) to ceil((i + 1) H /
 * height), so that neighbours may share one. Output 1, ties and NaN: as in gr_max_pool2d. */
gr_tensor *gr_adaptive_max_pool2d(gr_tensor *x, int64_t height, int64_t width)
{
    return gr__unary(&adaptive2d_op, x, &(adaptive_attrs){{height, width}}, GR_HERE);
}

const gr_op *const gr__max_pool_ops[] = {
    &max_pool1d_op, &max_pool2d_op, &max_pool3d_op, &adaptive1d_op, &adaptive2d_op, NULL,
};
