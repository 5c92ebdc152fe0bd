/* roll.c - elements shifted round, and how elements move along axes at all.
 *
 *   y[..., i, ...] = x[..., (i - shift) mod n, ...]      dx is dy rolled back
 */
/* SPDX-License-Identifier: MIT */
#include "addrun.h"
#include "along.h"
#include "base.h"
#include "moves.h"

#include <string.h>

#define M34 {.shape = {2, {3, 4}}}
#define EMPTY {.shape = {2, {0, 4}}}
#define ONE {.shape = {0, {0}}}

/* --- moving elements axis by axis --- */

/* A stretch of the innermost axis that is moved: y[at + k] = x[from + k] for k < n. */
typedef struct stretch {
    int64_t at, from, n; /* from < 0: nothing moves there */
} stretch;

/* Both arrays as [batch, moved axes..., block]: what does not move lies in batch and block. x is
 * where elements come from, y where they go, backward too. */
typedef struct moves {
    int rank, n_stretches;
    int64_t batch, block, x_rows, y_rows; /* rows of the innermost moved axis, per batch */
    int64_t x_dim[GR_MAX_RANK], y_dim[GR_MAX_RANK];
    int64_t *source[GR_MAX_RANK]; /* of each index of an axis of y */
    stretch *stretches;
    size_t size;
    const char *in;
    char *out;
    char fill[8]; /* an element for y that comes from nowhere */
} moves;

static bool stays(gr__source *source, const void *attrs, int axis, int64_t x_size, int64_t y_size)
{
    if (x_size != y_size) return false;
    for (int64_t i = 0; i < y_size; i++)
        if (source(attrs, axis, i, x_size) != i) return false;
    return true;
}

/* Joins what follows one another in x. */
static void find_stretches(moves *m)
{
    const int64_t *source = m->source[m->rank - 1], n = m->y_dim[m->rank - 1];
    for (int64_t i = 0; i < n;) {
        int64_t end = i + 1;
        const int64_t step = source[i] < 0 ? 0 : 1;
        while (end < n && source[end] == source[end - 1] + step) end++;
        m->stretches[m->n_stretches++] = (stretch){i, source[i], end - i};
        i = end;
    }
}

/* False when memory is out. Neither array is empty, nor has more axes than moves hold. */
static bool plan_moves(gr_exec *e, moves *m, const gr_shape *x, const gr_shape *y,
                       gr__source *source, const void *attrs)
{
    int first = 0, last = x->rank - 1;
    while (first < last && stays(source, attrs, first, x->dim[first], y->dim[first])) first++;
    while (last > first && stays(source, attrs, last, x->dim[last], y->dim[last])) last--;
    *m = (moves){.batch = 1, .block = 1, .x_rows = 1, .y_rows = 1,
                 .size = gr_dtype_size(e->out[0].dtype), .in = e->in[0].data,
                 .out = e->out[0].data};
    for (int i = 0; i < first; i++) m->batch *= x->dim[i];
    for (int i = last + 1; i < x->rank; i++) m->block *= x->dim[i];
    for (int axis = first; axis <= last; axis++, m->rank++) {
        const int64_t n = y->dim[axis];
        int64_t *from = gr_exec_scratch(e, (size_t)n * sizeof *from + 1);
        if (!from) return false;
        for (int64_t i = 0; i < n; i++) {
            from[i] = source(attrs, axis, i, x->dim[axis]);
            if (from[i] < 0) from[i] = -1;
        }
        m->source[m->rank] = from;
        m->x_dim[m->rank] = x->dim[axis];
        m->y_dim[m->rank] = n;
        if (axis < last) m->x_rows *= x->dim[axis];
        if (axis < last) m->y_rows *= n;
    }
    m->stretches = gr_exec_scratch(e, (size_t)y->dim[last] * sizeof *m->stretches + 1);
    if (m->stretches) find_stretches(m);
    return m->stretches != NULL;
}

/* Which row of x a row of y comes from; negative: from none. */
static int64_t source_row(const moves *m, int64_t row)
{
    int64_t from = row / m->y_rows * m->x_rows, step = 1, rest = row % m->y_rows;
    for (int i = m->rank - 2; i >= 0; i--) {
        const int64_t source = m->source[i][rest % m->y_dim[i]];
        if (source < 0) return -1;
        from += source * step;
        step *= m->x_dim[i];
        rest /= m->y_dim[i];
    }
    return from;
}

static void fill_elements(const moves *m, char *y, int64_t n)
{
    static const char zero[sizeof m->fill];
    if (memcmp(m->fill, zero, m->size) == 0) memset(y, 0, (size_t)n * m->size);
    else
        for (int64_t i = 0; i < n; i++) memcpy(y + (size_t)i * m->size, m->fill, m->size);
}

static void move_rows(void *ctx, int64_t begin, int64_t end)
{
    const moves *m = ctx;
    const int64_t y_row = m->y_dim[m->rank - 1] * m->block, x_row = m->x_dim[m->rank - 1] * m->block;
    for (int64_t row = begin; row < end; row++) {
        const int64_t from = source_row(m, row);
        char *y = m->out + (size_t)(row * y_row) * m->size;
        if (from < 0) {
            fill_elements(m, y, y_row);
            continue;
        }
        const char *x = m->in + (size_t)(from * x_row) * m->size;
        for (const stretch *s = m->stretches, *stop = s + m->n_stretches; s < stop; s++) {
            const size_t bytes = (size_t)(s->n * m->block) * m->size;
            char *to = y + (size_t)(s->at * m->block) * m->size;
            if (s->from < 0) fill_elements(m, to, s->n * m->block);
            else memcpy(to, x + (size_t)(s->from * m->block) * m->size, bytes);
        }
    }
}

gr_status gr__move_elements(gr_exec *e, gr__source *source, const void *attrs, double fill)
{
    const gr_shape *x = e->in[0].shape, *y = e->out[0].shape;
    const int64_t n = gr_shape_numel(y);
    moves m;
    if (n == 0) return GR_OK;
    if (x->rank == 0) {
        memcpy(e->out[0].data, e->in[0].data, gr_dtype_size(e->out[0].dtype));
        return GR_OK;
    }
    if (!plan_moves(e, &m, x, y, source, attrs)) return GR_ERR_MEMORY;
    gr__set_scalar(m.fill, e->out[0].dtype, fill);
    gr__parallel_for(m.batch * m.y_rows, 1 + 32768 / (n / (m.batch * m.y_rows)), move_rows, &m);
    return GR_OK;
}

/* The transpose: in is dy, out dx. A batch is one thread's, so that sums keep their order. */
static void add_batches(void *ctx, int64_t begin, int64_t end)
{
    const moves *m = ctx;
    const int64_t y_row = m->y_dim[m->rank - 1] * m->block, x_row = m->x_dim[m->rank - 1] * m->block;
    for (int64_t row = begin * m->y_rows; row < end * m->y_rows; row++) {
        const int64_t from = source_row(m, row);
        if (from < 0) continue;
        const char *dy = m->in + (size_t)(row * y_row) * m->size;
        char *dx = m->out + (size_t)(from * x_row) * m->size;
        for (const stretch *s = m->stretches, *stop = s + m->n_stretches; s < stop; s++)
            if (s->from >= 0)
                gr__add_run(dx + (size_t)(s->from * m->block) * m->size, 1,
                            dy + (size_t)(s->at * m->block) * m->size, s->n * m->block, m->size);
    }
}

gr_status gr__add_elements(gr_exec *e, gr__source *source, const void *attrs)
{
    const gr_shape *dy = e->in[0].shape, *dx = e->out[0].shape;
    const int64_t n = gr_shape_numel(dy);
    moves m;
    memset(e->out[0].data, 0, (size_t)gr_shape_numel(dx) * gr_dtype_size(e->out[0].dtype));
    if (n == 0 || gr_shape_numel(dx) == 0) return GR_OK;
    if (dx->rank == 0) {
        memcpy(e->out[0].data, e->in[0].data, gr_dtype_size(e->out[0].dtype));
        return GR_OK;
    }
    if (!plan_moves(e, &m, dx, dy, source, attrs)) return GR_ERR_MEMORY;
    gr__parallel_for(m.batch, 1 + 32768 / (n / m.batch), add_batches, &m);
    return GR_OK;
}

/* --- roll --- */

typedef struct roll_attrs {
    int axis;
    int64_t shift;
} roll_attrs;

static const gr_field roll_fields[] = {
    GR_FIELD(roll_attrs, axis, GR_FIELD_INT),
    GR_FIELD(roll_attrs, shift, GR_FIELD_I64),
    {0},
};

static bool roll_infer(gr_infer *c)
{
    int axis = ((const roll_attrs *)c->attrs)->axis;
    if (gr__axis(&axis, c->shape[0].rank)) return true;
    return gr_infer_fail(c, "axis %d is out of range for %s", ((const roll_attrs *)c->attrs)->axis,
                         gr_infer_shape(c, 0));
}

/* The axis of the attributes is counted from the first. */
static int64_t roll_source(const void *attrs, int axis, int64_t i, int64_t n)
{
    const roll_attrs *a = attrs;
    if (axis != a->axis) return i;
    const int64_t from = i - a->shift % n;
    return from < 0 ? from + n : from >= n ? from - n : from;
}

static gr_status roll_forward(gr_exec *e)
{
    roll_attrs a = *(const roll_attrs *)e->attrs;
    gr__axis(&a.axis, e->in[0].shape->rank);
    return gr__move_elements(e, roll_source, &a, 0);
}

static void roll_vjp(gr_pullback *p)
{
    const roll_attrs *a = p->attrs;
    const int64_t n = gr__along_axis(gr_shape_of(p->x[0]), a->axis).n;
    p->dx[0] = gr_roll(p->dy[0], a->axis, n ? -(a->shift % n) : 0);
}

#define ROLL(axis, shift) &(const roll_attrs){axis, shift}

static const gr_sample roll_samples[] = {
    {.name = "rows", .in = {M34}, .n_in = 1, .attrs = ROLL(0, 1)},
    {.name = "back", .in = {{.shape = {3, {2, 3, 4}}}}, .n_in = 1, .attrs = ROLL(-1, -1)},
    {.name = "within", .in = {{.shape = {3, {2, 5, 3}}}}, .n_in = 1, .attrs = ROLL(1, 12)},
    {.name = "far", .in = {M34}, .n_in = 1, .attrs = ROLL(1, INT64_MIN + 1)},
    {.name = "empty", .in = {EMPTY}, .n_in = 1, .attrs = ROLL(0, 1)},
    {.name = "bad axis", .in = {M34}, .n_in = 1, .attrs = ROLL(2, 1), .error = "axis 2 is out of range for [3,4]"},
    {.name = "scalar", .in = {ONE}, .n_in = 1, .attrs = ROLL(0, 1), .error = "axis 0 is out of range for []"},
    {0},
};

static const gr_op roll_op = {
    .name = "roll",
    .family = "roll",
    .formula = "y[..., i, ...] = x[..., (i - shift) mod n, ...]",
    .derivation = "each y is one x, so dx is dy rolled back",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(roll_attrs),
    .fields = roll_fields,
    .infer = roll_infer,
    .forward = {roll_forward, roll_forward, roll_forward, roll_forward, roll_forward},
    .vjp = roll_vjp,
    .samples = roll_samples,
};

/* Shifts the elements of an axis by `shift` places towards higher indices; those beyond the end
 * come in again at the start. Any dtype. */
gr_tensor *gr_roll(gr_tensor *x, int axis, int64_t shift)
{
    return gr__unary(&roll_op, x, &(roll_attrs){axis, shift}, GR_HERE);
}

const gr_op *const gr__roll_ops[] = {&roll_op, NULL};
