/* avg_pool.c - means over windows of one, two and three axes.
 *
 *   y[i,j]  = 1/n[i,j] sum_{p,q} x[i sh + p dh - ph, j sw + q dw - pw]    n: elements of the window
 *   dx[r,s] = sum of dy[i,j]/n[i,j] over the windows that hold (r,s)
 *
 * for each image and channel, x being 0 outside its image. There is one gradient for all: fewer
 * axes are volumes of depth 1, which a view makes of them.
 */
/* SPDX-License-Identifier: MIT */
#include "pooling.h"

#define S3(a, b, c) {.shape = {3, {a, b, c}}}
#define S4(a, b, c, d) {.shape = {4, {a, b, c, d}}}
#define S5(a, b, c, d, e) {.shape = {5, {a, b, c, d, e}}}

typedef struct avg_grad_attrs {
    gr_pool3d_options pool;
    int64_t size[3]; /* of the volumes of dx */
} avg_grad_attrs;

static const gr_op avg_grad_op;

/* --- avg_pool1d, avg_pool2d, avg_pool3d --- */

static bool avg_pool_infer(gr_infer *c)
{
    int rank = gr__windows_rank(c->op);
    gr__windows w = gr__windows_of(c->attrs, rank);
    const gr_shape x = *gr_shape_of(c->in[0]);
    return gr__windows_check_input(c, 0, rank, "x") && gr__windows_check_options(c, &w) &&
           gr__windows_check_geometry(c, &x, &w, &c->shape[0]);
}

static gr_status avg_pool_forward(gr_exec *e)
{
    gr__windows w = gr__windows_of(e->attrs, e->in[0].shape->rank - 2);
    gr__pooling p = gr__windows_pool(e->in[0].shape, &w);
    return gr__windows_run(e, &p, gr__kernels_for(e->out[0].dtype)->avg_pool, NULL);
}

/* [N,C,...] as [N,C,D,H,W]. */
static gr_shape volumes(const gr_shape *s)
{
    gr_shape v = GR_SHAPE(s->dim[0], s->dim[1], 1, 1, 1);
    for (int i = 2; i < s->rank; i++) v.dim[5 - s->rank + i] = s->dim[i];
    return v;
}

static void avg_pool_vjp(gr_pullback *p)
{
    const gr_shape *x = gr_shape_of(p->x[0]), v = volumes(x);
    const avg_grad_attrs attrs = {gr__windows_of(p->attrs, x->rank - 2).o,
                                  {v.dim[2], v.dim[3], v.dim[4]}};
    gr_tensor *dy = gr_reshape(p->dy[0], volumes(gr_shape_of(p->dy[0])));
    p->dx[0] = gr_reshape(gr_apply(p->graph, &avg_grad_op, &dy, 1, &attrs), *x);
}

#define POOL1(...) .attrs = &(const gr_pool1d_options){__VA_ARGS__}
#define POOL2(...) .attrs = &(const gr_pool2d_options){__VA_ARGS__}
#define POOL3(...) .attrs = &(const gr_pool3d_options){__VA_ARGS__}

static const gr_sample avg_pool1d_samples[] = {
    {.name = "halves", .in = {S3(2, 2, 7)}, .n_in = 1, POOL1(.kernel = 2)},
    {.name = "padding", .in = {S3(1, 2, 6)}, .n_in = 1, POOL1(.kernel = 3, .stride = 2, .padding = 1)},
    {.name = "without padding", .in = {S3(1, 2, 6)}, .n_in = 1, POOL1(.kernel = 3, .stride = 1, .padding = 1, .exclude_padding = true)},
    {.name = "dilation and ceil", .in = {S3(1, 2, 8)}, .n_in = 1, POOL1(.kernel = 3, .stride = 3, .padding = 1, .dilation = 2, .ceil_mode = true)},
    {.name = "nothing", .in = {S3(0, 2, 4)}, .n_in = 1, POOL1(.kernel = 2)},
    {.name = "x of rank 2", .in = {{.shape = {2, {2, 4}}}}, .n_in = 1, POOL1(.kernel = 2), .error = "expected x of [N,C,L], got [2,4]"},
    {.name = "large kernel", .in = {S3(1, 2, 4)}, .n_in = 1, POOL1(.kernel = 3, .dilation = 2), .error = "a kernel of [3] is larger than the padded input of [4]"},
    {0},
};

static const gr_sample avg_pool2d_samples[] = {
    {.name = "halves", .in = {S4(2, 2, 4, 6)}, .n_in = 1, POOL2(.kernel = {2, 2})},
    {.name = "rows left over", .in = {S4(1, 1, 5, 7)}, .n_in = 1, POOL2(.kernel = {2, 3})},
    {.name = "padding", .in = {S4(1, 1, 5, 4)}, .n_in = 1, POOL2(.kernel = {3, 2}, .stride = {2, 1}, .padding = {1, 1})},
    {.name = "gaps", .in = {S4(1, 1, 5, 6)}, .n_in = 1, POOL2(.kernel = {1, 2}, .stride = {2, 4})},
    {.name = "without padding", .in = {S4(1, 2, 4, 5)}, .n_in = 1, POOL2(.kernel = {3, 2}, .stride = {2, 2}, .padding = {1, 1}, .exclude_padding = true)},
    {.name = "ceil", .in = {S4(1, 1, 4, 6)}, .n_in = 1, POOL2(.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 0}, .ceil_mode = true)},
    {.name = "ceil without padding", .in = {S4(1, 1, 4, 5)}, .n_in = 1, POOL2(.kernel = {2, 3}, .stride = {3, 3}, .padding = {0, 1}, .ceil_mode = true, .exclude_padding = true)},
    {.name = "dilation", .in = {S4(1, 1, 6, 7)}, .n_in = 1, POOL2(.kernel = {2, 3}, .stride = {1, 2}, .dilation = {3, 2}, .padding = {0, 1})},
    {.name = "no images", .in = {S4(0, 2, 4, 4)}, .n_in = 1, POOL2(.kernel = {2, 2})},
    {.name = "x of rank 3", .in = {S3(2, 4, 4)}, .n_in = 1, POOL2(.kernel = {2, 2}), .error = "expected x of [N,C,H,W], got [2,4,4]"},
    {.name = "negative stride", .in = {S4(1, 1, 4, 4)}, .n_in = 1, POOL2(.kernel = {2, 2}, .stride = {-1, 0}), .error = "stride [-1,2] must be positive"},
    {.name = "wide padding", .in = {S4(1, 1, 4, 4)}, .n_in = 1, POOL2(.kernel = {2, 3}, .padding = {0, 2}), .error = "padding [0,2] must be from 0 to half of the kernel [2,3]"},
    {.name = "empty images", .in = {S4(1, 1, 0, 4)}, .n_in = 1, POOL2(.kernel = {2, 2}, .padding = {1, 1}), .error = "images of [1,1,0,4] have no elements"},
    {0},
};

static const gr_sample avg_pool3d_samples[] = {
    {.name = "halves", .in = {S5(1, 2, 2, 4, 5)}, .n_in = 1, POOL3(.kernel = {2, 2, 2})},
    {.name = "padding", .in = {S5(1, 1, 3, 4, 3)}, .n_in = 1, POOL3(.kernel = {2, 3, 2}, .stride = {1, 2, 1}, .padding = {1, 0, 1})},
    {.name = "without padding", .in = {S5(1, 1, 3, 3, 4)}, .n_in = 1, POOL3(.kernel = {2, 2, 3}, .stride = {2, 1, 2}, .padding = {1, 1, 1}, .exclude_padding = true)},
    {.name = "dilation and ceil", .in = {S5(1, 1, 4, 3, 4)}, .n_in = 1, POOL3(.kernel = {2, 2, 1}, .stride = {1, 2, 3}, .dilation = {2, 1, 1}, .ceil_mode = true)},
    {.name = "nothing", .in = {S5(0, 2, 2, 2, 2)}, .n_in = 1, POOL3(.kernel = {2, 2, 2})},
    {.name = "x of rank 4", .in = {S4(1, 2, 4, 4)}, .n_in = 1, POOL3(.kernel = {2, 2, 2}), .error = "expected x of [N,C,D,H,W], got [1,2,4,4]"},
    {0},
};

/* What the three share. */
#define AVG_POOL(rank)                                                                        \
    .family = "avg_pool",                                                                     \
    .derivation = "linear: each element of a window gets dy over the number of its elements, " \
                  "from every window it is in",                                               \
    .n_in = 1, .flags = GR_OP_LINEAR, .attrs_size = sizeof(gr_pool##rank##_options),          \
    .fields = gr__pool##rank##_fields, .infer = avg_pool_infer,                               \
    .forward = {[GR_F32] = avg_pool_forward, [GR_F64] = avg_pool_forward},                    \
    .vjp = avg_pool_vjp, .samples = avg_pool##rank##_samples

static const gr_op avg_pool1d_op = {
    .name = "avg_pool1d",
    .formula = "y[n,c,i] = 1/K sum_p x[n,c,i s+p-pad]",
    AVG_POOL(1d),
};

static const gr_op avg_pool2d_op = {
    .name = "avg_pool2d",
    .formula = "y[n,c,i,j] = 1/(KH KW) sum_{p,q} x[n,c,i sh+p-ph,j sw+q-pw]",
    AVG_POOL(2d),
};

static const gr_op avg_pool3d_op = {
    .name = "avg_pool3d",
    .formula = "y[n,c,i,j,k] = 1/(KD KH KW) sum_{o,p,q} x[n,c,i sd+o-pd,j sh+p-ph,k sw+q-pw]",
    AVG_POOL(3d),
};

/* The mean of each window of x, [N,C,L]: [N,C,OL]; as gr_avg_pool2d. */
gr_tensor *gr_avg_pool1d(gr_tensor *x, gr_pool1d_options o)
{
    return gr__unary(&avg_pool1d_op, x, &o, GR_HERE);
}

/* The mean of each window of the images x, [N,C,H,W]: [N,C,OH,OW], sizes as in gr_max_pool2d.
 * Padding counts as zeros: the sum is divided by kernel[0] * kernel[1], less what ceil_mode lets
 * reach beyond the padding; with exclude_padding, by the number of elements that lie in the image.
 * Dilation is taken too, where PyTorch has none for means. */
gr_tensor *gr_avg_pool2d(gr_tensor *x, gr_pool2d_options o)
{
    return gr__unary(&avg_pool2d_op, x, &o, GR_HERE);
}

/* The mean of each window of x, [N,C,D,H,W]: [N,C,OD,OH,OW]; as gr_avg_pool2d. */
gr_tensor *gr_avg_pool3d(gr_tensor *x, gr_pool3d_options o)
{
    return gr__unary(&avg_pool3d_op, x, &o, GR_HERE);
}

/* --- avg_pool3d_grad: dy -> dx --- */

static bool avg_grad_infer(gr_infer *c)
{
    const avg_grad_attrs *a = c->attrs;
    gr__windows w = gr__windows_of(&a->pool, 3);
    char text[GR_SHAPE_TEXT];
    gr_shape y;
    if (!gr__windows_check_input(c, 0, 3, "dy") || !gr__windows_check_options(c, &w)) return false;
    for (int i = 0; i < 3; i++) c->shape[0].dim[2 + i] = a->size[i];
    if (!gr__windows_check_geometry(c, &c->shape[0], &w, &y)) return false;
    if (gr_shape_equal(gr_shape_of(c->in[0]), &y)) return true;
    return gr_infer_fail(c, "expected dy of %s, got %s", gr_shape_text(&y, text),
                         gr_infer_shape(c, 0));
}

static gr_status avg_grad_forward(gr_exec *e)
{
    gr__windows w = gr__windows_of(&((const avg_grad_attrs *)e->attrs)->pool, 3);
    gr__pooling p = gr__windows_pool(e->out[0].shape, &w);
    return gr__windows_run(e, &p, gr__kernels_for(e->out[0].dtype)->avg_pool_grad, NULL);
}

static void avg_grad_vjp(gr_pullback *p)
{
    p->dx[0] = gr_avg_pool3d(p->dy[0], ((const avg_grad_attrs *)p->attrs)->pool);
}

#define AVG_GRAD(d, h, w, ...) .attrs = &(const avg_grad_attrs){{__VA_ARGS__}, {d, h, w}}

static const gr_sample avg_grad_samples[] = {
    {.name = "halves", .in = {S5(2, 2, 1, 2, 3)}, .n_in = 1, AVG_GRAD(2, 4, 6, .kernel = {2, 2, 2})},
    {.name = "padding", .in = {S5(1, 1, 3, 3, 5)}, .n_in = 1, AVG_GRAD(3, 5, 4, .kernel = {1, 3, 2}, .stride = {1, 2, 1}, .padding = {0, 1, 1})},
    {.name = "without padding", .in = {S5(1, 1, 1, 3, 3)}, .n_in = 1, AVG_GRAD(1, 5, 4, .kernel = {1, 3, 2}, .stride = {1, 2, 2}, .padding = {0, 1, 1}, .exclude_padding = true)},
    {.name = "dilation and ceil", .in = {S5(1, 1, 2, 1, 3)}, .n_in = 1, AVG_GRAD(4, 2, 7, .kernel = {2, 2, 2}, .stride = {1, 1, 3}, .dilation = {2, 1, 1}, .ceil_mode = true)},
    {.name = "no images", .in = {S5(0, 2, 1, 2, 2)}, .n_in = 1, AVG_GRAD(1, 4, 4, .kernel = {1, 2, 2})},
    {.name = "other size", .in = {S5(1, 1, 1, 2, 3)}, .n_in = 1, AVG_GRAD(1, 4, 4, .kernel = {1, 2, 2}), .error = "expected dy of [1,1,1,2,2], got [1,1,1,2,3]"},
    {.name = "dy of rank 4", .in = {S4(1, 1, 2, 3)}, .n_in = 1, AVG_GRAD(1, 4, 4, .kernel = {1, 2, 2}), .error = "expected dy of [N,C,OD,OH,OW], got [1,1,2,3]"},
    {0},
};

static const gr_field avg_grad_fields[] = {
    {"kernel", GR_FIELD_INT, offsetof(avg_grad_attrs, pool.kernel), 3, NULL},
    {"stride", GR_FIELD_INT, offsetof(avg_grad_attrs, pool.stride), 3, NULL},
    {"padding", GR_FIELD_INT, offsetof(avg_grad_attrs, pool.padding), 3, NULL},
    {"dilation", GR_FIELD_INT, offsetof(avg_grad_attrs, pool.dilation), 3, NULL},
    {"ceil_mode", GR_FIELD_BOOL, offsetof(avg_grad_attrs, pool.ceil_mode), 0, NULL},
    {"exclude_padding", GR_FIELD_BOOL, offsetof(avg_grad_attrs, pool.exclude_padding), 0, NULL},
    GR_FIELD_ARRAY(avg_grad_attrs, size, GR_FIELD_I64, 3),
    {0},
};

static const gr_op avg_grad_op = {
    .name = "avg_pool3d_grad",
    .family = "avg_pool",
    .formula = "dx[n,c,r,s,t] = sum of dy[n,c,i,j,k]/(KD KH KW) over the windows that hold (r,s,t)",
    .derivation = "linear, the transpose of avg_pool3d: for a cotangent u of dx, "
                  "the cotangent of dy is avg_pool3d(u)",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(avg_grad_attrs),
    .fields = avg_grad_fields,
    .infer = avg_grad_infer,
    .forward = {[GR_F32] = avg_grad_forward, [GR_F64] = avg_grad_forward},
    .vjp = avg_grad_vjp,
    .samples = avg_grad_samples,
};

const gr_op *const gr__avg_pool_ops[] = {
    &avg_pool1d_op, &avg_pool2d_op, &avg_pool3d_op, &avg_grad_op, NULL,
};
