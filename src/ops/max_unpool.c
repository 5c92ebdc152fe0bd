/* max_unpool.c - between the windows of a max pooling and the places of their maxima.
 *
 *   y[place[i]] += x[i]     max_unpool
 *   y[i] = x[place[i]]      max_pool_pick
 *
 * Each is the other's transpose, whatever the windows were.
 */
/* SPDX-License-Identifier: MIT */
#include "along.h"
#include "pooling.h"

#define S2(a, b) {.shape = {2, {a, b}}}
#define S3(a, b, c) {.shape = {3, {a, b, c}}}
#define S4(a, b, c, d) {.shape = {4, {a, b, c, d}}}

typedef struct unpool_attrs {
    gr_shape size;
} unpool_attrs;

static const gr_op unpool_op, pick_op;

gr_tensor *gr__unpool(gr_tensor *dy, gr_tensor *place, const gr_shape *x)
{
    unpool_attrs attrs = {{.rank = x->rank - 2}};
    for (int i = 2; i < x->rank; i++) attrs.size.dim[i - 2] = x->dim[i];
    return gr_apply(NULL, &unpool_op, (gr_tensor *[]){dy, place}, 2, &attrs);
}

static gr_tensor *pick(gr_tensor *x, gr_tensor *place)
{
    return gr_apply(NULL, &pick_op, (gr_tensor *[]){x, place}, 2, NULL);
}

/* --- max_unpool: adds to places --- */

static bool check_places(gr_infer *c, const char *what)
{
    int rank = gr_shape_of(c->in[0])->rank;
    if (rank < 3 || gr_shape_of(c->in[1])->rank != rank)
        return gr_infer_fail(c, "expected %s and places of [N,C,...], got %s and %s", what,
                             gr_infer_shape(c, 0), gr_infer_shape(c, 1));
    return gr__infer_index(c, 1, "place");
}

static bool unpool_infer(gr_infer *c)
{
    const gr_shape *size = &((const unpool_attrs *)c->attrs)->size, *x = gr_shape_of(c->in[0]);
    char text[GR_SHAPE_TEXT];
    if (!check_places(c, "x")) return false;
    if (!gr_shape_equal(x, gr_shape_of(c->in[1])))
        return gr_infer_fail(c, "x of %s and places of %s differ", gr_infer_shape(c, 0),
                             gr_infer_shape(c, 1));
    if (size->rank != x->rank - 2 || !gr__shape_valid(size))
        return gr_infer_fail(c, "size %s does not suit x of %s", gr_shape_text(size, text),
                             gr_infer_shape(c, 0));
    for (int i = 2; i < x->rank; i++) c->shape[0].dim[i] = size->dim[i - 2];
    return true;
}

/* Planes of in[0] to planes of out[0], as rows. */
static gr_status run_places(gr_exec *e, gr__pool_fn *plane, int64_t limit)
{
    if (gr__check_index(e, 1, "place", limit)) return GR_ERR_ARGUMENT;
    const gr_shape *x = e->in[0].shape;
    gr__pooling p = {.planes = x->dim[0] * x->dim[1]};
    p.w.in = gr__plane_size(x);
    p.w.out = gr__plane_size(e->out[0].shape);
    gr__pool_run(&p, plane, e->out[0].dtype, e->in[0].data, e->in[1].data, e->out[0].data, p.w.in,
                 p.w.out, gr__plane_size(e->in[1].shape));
    return GR_OK;
}

static gr_status unpool_forward(gr_exec *e)
{
    return run_places(e, gr__kernels_for(e->out[0].dtype)->unpool, gr__plane_size(e->out[0].shape));
}

static void unpool_vjp(gr_pullback *p)
{
    if (p->wants[0]) p->dx[0] = pick(p->dy[0], p->x[1]);
}

#define PLACES4(a, b, c, d, end) {.shape = {4, {a, b, c, d}}, .integer = true, .high = end}
#define PLACES3(a, b, c, end) {.shape = {3, {a, b, c}}, .integer = true, .high = end}
#define PLANES(rank, ...) .attrs = &(const unpool_attrs){{rank, {__VA_ARGS__}}}

static const gr_sample unpool_samples[] = {
    {.name = "planes", .in = {S4(2, 2, 2, 3), PLACES4(2, 2, 2, 3, 12)}, .n_in = 2, PLANES(2, 3, 4)},
    {.name = "repeated", .in = {S4(1, 1, 3, 3), PLACES4(1, 1, 3, 3, 2)}, .n_in = 2, PLANES(2, 2, 2)},
    {.name = "rows", .in = {S3(1, 2, 3), PLACES3(1, 2, 3, 5)}, .n_in = 2, PLANES(1, 5)},
    {.name = "no images", .in = {S4(0, 2, 2, 3), PLACES4(0, 2, 2, 3, 12)}, .n_in = 2, PLANES(2, 3, 4)},
    {.name = "other shapes", .in = {S4(1, 1, 2, 3), PLACES4(1, 1, 3, 2, 12)}, .n_in = 2, PLANES(2, 3, 4), .error = "x of [1,1,2,3] and places of [1,1,3,2] differ"},
    {.name = "x of rank 2", .in = {S2(2, 3), PLACES3(1, 2, 3, 5)}, .n_in = 2, PLANES(1, 5), .error = "expected x and places of [N,C,...], got [2,3] and [1,2,3]"},
    {.name = "places of floats", .in = {S4(1, 1, 2, 3), S4(1, 1, 2, 3)}, .n_in = 2, PLANES(2, 3, 4), .error = "place is float64, expected int64"},
    {.name = "size of another rank", .in = {S3(1, 2, 3), PLACES3(1, 2, 3, 5)}, .n_in = 2, PLANES(2, 5, 1), .error = "size [5,1] does not suit x of [1,2,3]"},
    {.name = "outside", .in = {S3(1, 1, 2), {.shape = {3, {1, 1, 2}}, .integer = true, .values = (const int64_t[]){0, 5}}}, .n_in = 2, PLANES(1, 5), .error = "place[0,0,1] is 5, expected 0 <= place < 5"},
    {0},
};

static const gr_field unpool_fields[] = {GR_FIELD(unpool_attrs, size, GR_FIELD_SHAPE), {0}};

static const gr_op unpool_op = {
    .name = "max_unpool",
    .family = "max_pool",
    .formula = "y[n,c,place[n,c,i]] = sum of x[n,c,i], 0 elsewhere",
    .derivation =
        "linear in x; the transpose of adding to places is reading from them: max_pool_pick",
    .n_in = 2,
    .flags = GR_OP_LINEAR,
    .reads = GR_READS_IN(1),
    .attrs_size = sizeof(unpool_attrs),
    .fields = unpool_fields,
    .infer = unpool_infer,
    .forward = {[GR_F32] = unpool_forward, [GR_F64] = unpool_forward},
    .vjp = unpool_vjp,
    .samples = unpool_samples,
};

/* Puts x, [N,C,...], into planes of zeros, [N,C,size...], at the places, int64 of x's shape, that a
 * max pooling gave as its output 1. Where windows overlapped, what falls on one place is added (in
 * PyTorch one of them wins). A place outside [0, product of size) is an error when the value is
 * computed. */
gr_tensor *gr_max_unpool(gr_tensor *x, gr_tensor *place, gr_shape size)
{
    gr_tensor *in[2] = {x, place};
    return gr__apply(NULL, &unpool_op, in, 2, &(unpool_attrs){size}, GR_HERE);
}

/* --- max_pool_pick: reads from places --- */

static bool pick_infer(gr_infer *c)
{
    const gr_shape *x = gr_shape_of(c->in[0]), *place = gr_shape_of(c->in[1]);
    if (!check_places(c, "x")) return false;
    if (x->dim[0] != place->dim[0] || x->dim[1] != place->dim[1])
        return gr_infer_fail(c, "x of %s and places of %s are of other images",
                             gr_infer_shape(c, 0), gr_infer_shape(c, 1));
    c->shape[0] = *place;
    return true;
}

static gr_status pick_forward(gr_exec *e)
{
    return run_places(e, gr__kernels_for(e->out[0].dtype)->pick, gr__plane_size(e->in[0].shape));
}

static void pick_vjp(gr_pullback *p)
{
    if (p->wants[0]) p->dx[0] = gr__unpool(p->dy[0], p->x[1], gr_shape_of(p->x[0]));
}

static const gr_sample pick_samples[] = {
    {.name = "planes", .in = {S4(2, 2, 3, 4), PLACES4(2, 2, 2, 3, 12)}, .n_in = 2},
    {.name = "repeated", .in = {S4(1, 1, 2, 2), PLACES4(1, 1, 3, 3, 2)}, .n_in = 2},
    {.name = "rows", .in = {S3(1, 2, 5), PLACES3(1, 2, 3, 5)}, .n_in = 2},
    {.name = "no images", .in = {S4(0, 2, 3, 4), PLACES4(0, 2, 2, 3, 12)}, .n_in = 2},
    {.name = "other images", .in = {S4(2, 1, 3, 4), PLACES4(1, 1, 2, 3, 12)}, .n_in = 2, .error = "are of other images"},
    {.name = "outside", .in = {S3(1, 1, 2), {.shape = {3, {1, 1, 2}}, .integer = true, .values = (const int64_t[]){-1, 0}}}, .n_in = 2, .error = "place[0,0,0] is -1, expected 0 <= place < 2"},
    {0},
};

static const gr_op pick_op = {
    .name = "max_pool_pick",
    .family = "max_pool",
    .formula = "y[n,c,i] = x[n,c,place[n,c,i]]",
    .derivation = "linear in x; the transpose of reading from places is adding to them: max_unpool",
    .n_in = 2,
    .flags = GR_OP_LINEAR,
    .reads = GR_READS_IN(1),
    .infer = pick_infer,
    .forward = {[GR_F32] = pick_forward, [GR_F64] = pick_forward},
    .vjp = pick_vjp,
    .samples = pick_samples,
};

const gr_op *const gr__max_unpool_ops[] = {&unpool_op, &pick_op, NULL};
