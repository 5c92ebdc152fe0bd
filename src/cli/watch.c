/* watch.c - a user's functions, wrapped so that what runs is on record when they crash. */
/* SPDX-License-Identifier: MIT */
#include "check_so.h"

static atomic_int *record; /* one function is checked at a time */
static const gr_op *real_op;
static const gr_raw *real_raw;

const char *watch_part(int doing)
{
    static const char *const names[PARTS] = {[IDLE] = "",
                                             [LOADING] = "start-up code",
                                             [SHAPE] = "shape rule",
                                             [FORWARD] = "forward",
                                             [BACKWARD] = "backward",
                                             [BRANCH] = "branch signature",
                                             [DEFINITION] = "definition"};
    return doing > IDLE && doing < PARTS ? names[doing] : names[IDLE];
}

/* --- a pair --- */

static void raw_forward(const void *const *x, void *y, void *user)
{
    *record = FORWARD;
    real_raw->forward(x, y, user);
    *record = IDLE;
}

static void raw_backward(const void *const *x, const void *y, const void *dy, void *const *dx,
                         void *user)
{
    *record = BACKWARD;
    real_raw->backward(x, y, dy, dx, user);
    *record = IDLE;
}

const gr_raw *watch_raw(const gr_raw *raw, atomic_int *doing)
{
    static gr_raw copy;
    record = doing;
    real_raw = raw;
    copy = *raw;
    if (raw->forward) copy.forward = raw_forward;
    if (raw->backward) copy.backward = raw_backward;
    return &copy;
}

/* --- an op: one part may run within another, a kernel while a VJP records --- */

static bool infer(gr_infer *c)
{
    int outer = atomic_exchange(record, SHAPE);
    bool fine = real_op->infer(c);
    *record = outer;
    return fine;
}

static void vjp(gr_pullback *p)
{
    int outer = atomic_exchange(record, BACKWARD);
    real_op->vjp(p);
    *record = outer;
}

static void branch(const gr_exec *e, gr_branch *b)
{
    int outer = atomic_exchange(record, BRANCH);
    real_op->branch(e, b);
    *record = outer;
}

static bool view(const gr_exec *e, int64_t *strides, int64_t *offset)
{
    int outer = atomic_exchange(record, FORWARD);
    bool fine = real_op->view(e, strides, offset);
    *record = outer;
    return fine;
}

static gr_tensor *define(gr_tensor *const *x, int n, const void *attrs)
{
    int outer = atomic_exchange(record, DEFINITION);
    gr_tensor *y = real_op->define(x, n, attrs);
    *record = outer;
    return y;
}

static void tile(const gr_tile *t, gr_dtype dtype)
{
    int outer = atomic_exchange(record, FORWARD);
    real_op->tile[dtype](t);
    *record = outer;
}

static gr_status forward(gr_exec *e, gr_dtype dtype)
{
    int outer = atomic_exchange(record, FORWARD);
    gr_status status = real_op->forward[dtype](e);
    *record = outer;
    return status;
}

static gr_status backward(gr_exec *e, gr_dtype dtype)
{
    int outer = atomic_exchange(record, BACKWARD);
    gr_status status = real_op->backward[dtype](e);
    *record = outer;
    return status;
}

static void tile_f32(const gr_tile *t)
{
    tile(t, GR_F32);
}

static void tile_f64(const gr_tile *t)
{
    tile(t, GR_F64);
}

static gr_status forward_f32(gr_exec *e)
{
    return forward(e, GR_F32);
}

static gr_status forward_f64(gr_exec *e)
{
    return forward(e, GR_F64);
}

static gr_status backward_f32(gr_exec *e)
{
    return backward(e, GR_F32);
}

static gr_status backward_f64(gr_exec *e)
{
    return backward(e, GR_F64);
}

const gr_op *watch_op(const gr_op *op, atomic_int *doing)
{
    static gr_op copy;
    record = doing;
    real_op = op;
    copy = *op;
    if (op->infer) copy.infer = infer;
    if (op->vjp) copy.vjp = vjp;
    if (op->branch) copy.branch = branch;
    if (op->view) copy.view = view;
    if (op->define) copy.define = define;
    if (op->tile[GR_F32]) copy.tile[GR_F32] = tile_f32;
    if (op->tile[GR_F64]) copy.tile[GR_F64] = tile_f64;
    if (op->forward[GR_F32]) copy.forward[GR_F32] = forward_f32;
    if (op->forward[GR_F64]) copy.forward[GR_F64] = forward_f64;
    if (op->backward[GR_F32]) copy.backward[GR_F32] = backward_f32;
    if (op->backward[GR_F64]) copy.backward[GR_F64] = backward_f64;
    return &copy;
}
