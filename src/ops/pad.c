/* pad.c - borders added or cut off.
 *
 *   y[i] = x[s(i - before)] along each axis, s by mode:
 *
 *   constant: nowhere outside of x      reflect:  2 1 [0 1 2] 1 0
 *   replicate: 0 0 [0 1 2] 2 2          circular: 1 2 [0 1 2] 0 1
 *
 * Backward adds each dy to where its y came from. Padding with a constant is cutting off, read
 * backwards: there dx is dy padded by the negated amounts.
 */
/* SPDX-License-Identifier: MIT */
#include "moves.h"

#define M34 {.shape = {2, {3, 4}}}
#define IMAGE {.shape = {4, {2, 1, 3, 4}}}
#define EMPTY {.shape = {2, {0, 4}}}
#define ONE {.shape = {0, {0}}}

/* --- pad --- */

static const char *const mode_names[] = {"constant", "reflect", "replicate", "circular", NULL};

static const gr_field pad_fields[] = {
    GR_FIELD_ARRAY(gr_pad_options, before, GR_FIELD_I64, GR_MAX_RANK),
    GR_FIELD_ARRAY(gr_pad_options, after, GR_FIELD_I64, GR_MAX_RANK),
    GR_FIELD_NAMED(gr_pad_options, mode, mode_names),
    GR_FIELD(gr_pad_options, value, GR_FIELD_F64),
    {0},
};

/* By mode: where index i >= -before counted from the first of n elements comes from. */
static int64_t constant_source(int64_t i, int64_t n)
{
    return i < n ? i : -1;
}

static int64_t reflect_source(int64_t i, int64_t n)
{
    return i < 0 ? -i : i < n ? i : 2 * (n - 1) - i;
}

static int64_t replicate_source(int64_t i, int64_t n)
{
    return i < 0 ? 0 : i < n ? i : n - 1;
}

static int64_t circular_source(int64_t i, int64_t n)
{
    return i < 0 ? i + n : i < n ? i : i - n;
}

/* The widest border that n elements can fill. */
static int64_t any_width(int64_t n)
{
    (void)n;
    return INT64_MAX;
}

static int64_t reflect_width(int64_t n)
{
    return n > 0 ? n - 1 : 0;
}

static int64_t replicate_width(int64_t n)
{
    return n > 0 ? INT64_MAX : 0;
}

static int64_t circular_width(int64_t n)
{
    return n;
}

static const struct {
    int64_t (*source)(int64_t i, int64_t n);
    int64_t (*width)(int64_t n);
} modes[] = {
    [GR_PAD_CONSTANT] = {constant_source, any_width},
    [GR_PAD_REFLECT] = {reflect_source, reflect_width},
    [GR_PAD_REPLICATE] = {replicate_source, replicate_width},
    [GR_PAD_CIRCULAR] = {circular_source, circular_width},
};

static int64_t pad_source(const void *attrs, int axis, int64_t i, int64_t n)
{
    const gr_pad_options *o = attrs;
    return modes[o->mode].source(i - o->before[axis], n);
}

/* Whether the borders suit an axis of n elements, and all places in it can be counted from both ends;
 * sets its size with them. */
static bool padded_size(const gr_pad_options *o, int axis, int64_t n, int64_t *size)
{
    const int64_t width = modes[o->mode].width(n);
    int64_t last;
    return o->before[axis] <= width && o->after[axis] <= width &&
           !__builtin_add_overflow(n, o->before[axis], size) &&
           !__builtin_add_overflow(*size, o->after[axis], size) && *size >= 0 &&
           !__builtin_sub_overflow(*size, o->before[axis], &last);
}

static bool check_options(gr_infer *c, const gr_pad_options *o)
{
    const int rank = c->shape[0].rank;
    if ((unsigned)o->mode >= sizeof modes / sizeof *modes)
        return gr_infer_fail(c, "there is no mode %d", (int)o->mode);
    for (int i = rank; i < GR_MAX_RANK; i++)
        if (o->before[i] || o->after[i])
            return gr_infer_fail(c, "axis %d is to be padded, %s has %d axes", i,
                                 gr_infer_shape(c, 0), rank);
    return true;
}

static bool pad_infer(gr_infer *c)
{
    const gr_pad_options *o = c->attrs;
    if (!check_options(c, o)) return false;
    for (int i = 0; i < c->shape[0].rank; i++)
        if (!padded_size(o, i, c->shape[0].dim[i], &c->shape[0].dim[i]))
            return gr_infer_fail(c, "cannot pad axis %d of %s by %lld and %lld (%s)", i,
                                 gr_infer_shape(c, 0), (long long)o->before[i],
                                 (long long)o->after[i], mode_names[o->mode]);
    return true;
}

static gr_status pad_forward(gr_exec *e)
{
    return gr__move_elements(e, pad_source, e->attrs, ((const gr_pad_options *)e->attrs)->value);
}

static const gr_op pad_grad_op;

static void pad_vjp(gr_pullback *p)
{
    const gr_pad_options *o = p->attrs;
    if (o->mode != GR_PAD_CONSTANT) {
        p->dx[0] = gr_apply(p->graph, &pad_grad_op, p->dy, 1, o);
        return;
    }
    gr_pad_options back = {.mode = GR_PAD_CONSTANT};
    for (int i = 0; i < GR_MAX_RANK; i++) {
        back.before[i] = -o->before[i];
        back.after[i] = -o->after[i];
    }
    p->dx[0] = gr_pad(p->dy[0], back);
}

#define PAD(...) &(const gr_pad_options){__VA_ARGS__}

static const gr_sample pad_samples[] = {
    {.name = "zeros", .in = {M34}, .n_in = 1, .attrs = PAD(.before = {1, 2}, .after = {0, 1})},
    {.name = "constant", .in = {IMAGE}, .n_in = 1, .attrs = PAD(.before = {0, 0, 1, 0}, .after = {0, 0, 0, 2}, .value = 1.5)},
    {.name = "cut off", .in = {{.shape = {2, {5, 4}}}}, .n_in = 1, .attrs = PAD(.before = {-2, 1}, .after = {1, -2})},
    {.name = "outer axis", .in = {{.shape = {3, {3, 2, 2}}}}, .n_in = 1, .attrs = PAD(.before = {2}, .mode = GR_PAD_REPLICATE)},
    {.name = "reflect", .in = {IMAGE}, .n_in = 1, .attrs = PAD(.before = {0, 0, 2, 1}, .after = {0, 0, 1, 3}, .mode = GR_PAD_REFLECT)},
    {.name = "replicate", .in = {IMAGE}, .n_in = 1, .attrs = PAD(.before = {0, 0, 2, 1}, .after = {0, 0, 1, 5}, .mode = GR_PAD_REPLICATE)},
    {.name = "circular", .in = {IMAGE}, .n_in = 1, .attrs = PAD(.before = {0, 0, 3, 1}, .after = {0, 0, 1, 4}, .mode = GR_PAD_CIRCULAR)},
    {.name = "reflect and cut off", .in = {{.shape = {1, {6}}}}, .n_in = 1, .attrs = PAD(.before = {3}, .after = {-2}, .mode = GR_PAD_REFLECT)},
    {.name = "scalar", .in = {ONE}, .n_in = 1, .attrs = PAD(.value = 2)},
    {.name = "empty", .in = {EMPTY}, .n_in = 1, .attrs = PAD(.before = {2, 1}, .value = 1)},
    {.name = "to nothing", .in = {M34}, .n_in = 1, .attrs = PAD(.before = {-3})},
    {.name = "cut too much", .in = {M34}, .n_in = 1, .attrs = PAD(.before = {-2}, .after = {-2}), .error = "cannot pad axis 0 of [3,4] by -2 and -2"},
    {.name = "reflect too far", .in = {M34}, .n_in = 1, .attrs = PAD(.before = {0, 4}, .mode = GR_PAD_REFLECT), .error = "cannot pad axis 1 of [3,4] by 4 and 0 (reflect)"},
    {.name = "more than once round", .in = {M34}, .n_in = 1, .attrs = PAD(.after = {4}, .mode = GR_PAD_CIRCULAR), .error = "by 0 and 4 (circular)"},
    {.name = "nothing to replicate", .in = {EMPTY}, .n_in = 1, .attrs = PAD(.after = {1}, .mode = GR_PAD_REPLICATE), .error = "(replicate)"},
    {.name = "too many axes", .in = {M34}, .n_in = 1, .attrs = PAD(.before = {0, 0, 1}), .error = "axis 2 is to be padded, [3,4] has 2 axes"},
    {.name = "no mode", .in = {M34}, .n_in = 1, .attrs = PAD(.mode = (gr_pad_mode)4), .error = "there is no mode 4"},
    {.name = "too large", .in = {M34}, .n_in = 1, .attrs = PAD(.after = {INT64_MAX}), .error = "cannot pad"},
    {.name = "too far", .in = {M34}, .n_in = 1, .attrs = PAD(.before = {INT64_MIN}, .after = {INT64_MAX}), .error = "cannot pad"},
    {0},
};

static const gr_op pad_op = {
    .name = "pad",
    .family = "pad",
    .formula = "y[i] = x[s(i - before)] along each axis: s copies within x, beyond it gives value, "
               "or reflects, replicates the edge, goes round",
    .derivation = "each y is one x or a constant, so each x gets the sum of the dy that came from it",
    .n_in = 1,
    .attrs_size = sizeof(gr_pad_options),
    .fields = pad_fields,
    .infer = pad_infer,
    .forward = {pad_forward, pad_forward, pad_forward, pad_forward, pad_forward},
    .vjp = pad_vjp,
    .samples = pad_samples,
};

/* x with a border of before[i] and after[i] elements at each axis i; negative amounts cut off. By
 * mode the border holds `value`, x mirrored without its edge (up to n - 1 elements), its edge, or x
 * again (up to n elements). Any dtype. As torch.nn.functional.pad, but for axes named from the
 * first on: a border of 1 round images [N,C,H,W] is .before = {0,0,1,1}, .after = {0,0,1,1}. */
gr_tensor *gr_pad(gr_tensor *x, gr_pad_options o)
{
    return gr__unary(&pad_op, x, &o, GR_HERE);
}

/* --- pad_grad: dy -> dx --- */

static bool pad_grad_infer(gr_infer *c)
{
    const gr_pad_options *o = c->attrs;
    if (!check_options(c, o)) return false;
    for (int i = 0; i < c->shape[0].rank; i++) {
        const int64_t all = c->shape[0].dim[i];
        int64_t n, size;
        if (__builtin_sub_overflow(all, o->before[i], &n) ||
            __builtin_sub_overflow(n, o->after[i], &n) || n < 0 || !padded_size(o, i, n, &size))
            return gr_infer_fail(c, "axis %d of %s was not padded by %lld and %lld (%s)", i,
                                 gr_infer_shape(c, 0), (long long)o->before[i],
                                 (long long)o->after[i], mode_names[o->mode]);
        c->shape[0].dim[i] = n;
    }
    return true;
}

static gr_status pad_grad_forward(gr_exec *e)
{
    return gr__add_elements(e, pad_source, e->attrs);
}

static void pad_grad_vjp(gr_pullback *p)
{
    gr_pad_options o = *(const gr_pad_options *)p->attrs;
    o.value = 0;
    p->dx[0] = gr_pad(p->dy[0], o);
}

static const gr_sample pad_grad_samples[] = {
    {.name = "reflect", .in = {{.shape = {4, {2, 1, 6, 5}}}}, .n_in = 1, .attrs = PAD(.before = {0, 0, 2, 1}, .after = {0, 0, 1, 0}, .mode = GR_PAD_REFLECT)},
    {.name = "replicate", .in = {{.shape = {4, {2, 1, 6, 5}}}}, .n_in = 1, .attrs = PAD(.before = {0, 0, 2, 1}, .after = {0, 0, 1, 1}, .mode = GR_PAD_REPLICATE)},
    {.name = "circular", .in = {{.shape = {3, {5, 2, 6}}}}, .n_in = 1, .attrs = PAD(.before = {2, 0, 1}, .after = {0, 0, 2}, .mode = GR_PAD_CIRCULAR)},
    {.name = "constant", .in = {{.shape = {2, {5, 4}}}}, .n_in = 1, .attrs = PAD(.before = {2, -1}, .after = {1, 1}, .value = 3)},
    {.name = "scalar", .in = {ONE}, .n_in = 1, .attrs = PAD(.value = 2)},
    {.name = "of nothing", .in = {EMPTY}, .n_in = 1, .attrs = PAD(.before = {-3})},
    {.name = "too small", .in = {M34}, .n_in = 1, .attrs = PAD(.before = {2}, .after = {2}), .error = "axis 0 of [3,4] was not padded by 2 and 2"},
    {0},
};

static const gr_op pad_grad_op = {
    .name = "pad_grad",
    .family = "pad",
    .formula = "dx[i] = sum of dy[j] over the j that pad fills from i",
    .derivation = "linear, the transpose of pad: the cotangent of dy is that of dx, padded",
    .n_in = 1,
    .flags = GR_OP_LINEAR,
    .attrs_size = sizeof(gr_pad_options),
    .fields = pad_fields,
    .infer = pad_grad_infer,
    .forward = {[GR_F32] = pad_grad_forward, [GR_F64] = pad_grad_forward},
    .vjp = pad_grad_vjp,
    .samples = pad_grad_samples,
};

const gr_op *const gr__pad_ops[] = {&pad_op, &pad_grad_op, NULL};
