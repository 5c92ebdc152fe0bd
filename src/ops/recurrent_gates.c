/* recurrent_gates.c - one step of a recurrent network, after its matrix products.
 *
 *   lstm   i, f, o = sigmoid(a)       g = tanh(a)               each its quarter of a
 *          c' = f c + i g             h' = o tanh c'
 *   gru    r, z = sigmoid(a + s)      n = tanh(a_n + r s_n)     each its third of a and s
 *          h' = (1 - z) n + z h
 *
 * with a = W_ih x + b_ih and s = W_hh h + b_hh; an LSTM is given their sum as a. The ops give the
 * gates too, for backward. If the gates themselves have a cotangent, which only a second derivative
 * brings, the rule adds what differentiating the formulas above, recorded from other ops, gives.
 */
/* SPDX-License-Identifier: MIT */
#include "unroll.h"

static gr_tensor *sigmoid_slope(gr_tensor *y)
{
    return gr_sub(y, gr_square(y));
}

static gr_tensor *tanh_slope(gr_tensor *y)
{
    return gr_shift(gr_neg(gr_square(y)), 1);
}

static gr_tensor *product(gr_tensor *a, gr_tensor *b, gr_tensor *c)
{
    return gr_mul(gr_mul(a, b), c);
}

/* For a shape rule: in[i] is like in[0], but of `width` units instead of `gates` times as many. */
static bool expect_units(gr_infer *c, int i, const char *what, int gates, int width)
{
    gr_shape s = *gr_shape_of(c->in[0]);
    s.dim[s.rank - 1] = s.dim[s.rank - 1] / gates * width;
    return gr__expect_input(c, i, what, s);
}

/* Whether in[0] is [..., gates H]. */
static bool expect_gates(gr_infer *c, const char *what, int gates)
{
    const gr_shape *s = gr_shape_of(c->in[0]);
    if (s->rank >= 1 && s->dim[s->rank - 1] % gates == 0) return true;
    return gr_infer_fail(c, "expected %s of [...,%d H], got %s", what, gates, gr_infer_shape(c, 0));
}

/* Output o: like in[0], but of `width` units. */
static void set_units(gr_infer *c, int o, int gates, int width)
{
    gr_shape s = *gr_shape_of(c->in[0]);
    int64_t units = s.dim[s.rank - 1] / gates;
    if (__builtin_mul_overflow(units, (int64_t)width, &s.dim[s.rank - 1])) s.dim[s.rank - 1] = -1;
    c->shape[o] = s;
}

/* --- rows --- */

/* Row n of an array [..., width H]. */
typedef struct rows_job {
    const gr_exec *e;
    const gr__cell_kernels *cell;
    int64_t hidden;
} rows_job;

static void *row_of(const rows_job *j, const gr_value *v, int64_t n, int width)
{
    return (char *)v->data + (size_t)(n * width * j->hidden) * gr_dtype_size(v->dtype);
}

static gr_status run_rows(gr_exec *e, int gates, gr__range_fn *rows)
{
    const gr_shape *s = e->in[0].shape;
    rows_job j = {e, &gr__kernels_for(e->in[0].dtype)->cell, s->dim[s->rank - 1] / gates};
    int64_t n = j.hidden ? gr_shape_numel(s) / s->dim[s->rank - 1] : 0;
    gr__parallel_for(n, gr__cell_grain(j.hidden), rows, &j);
    return GR_OK;
}

/* --- lstm_gates_grad: (gates, c, c', dh', dc') -> da, dc --- */

static bool lstm_gates_grad_infer(gr_infer *c)
{
    if (!expect_gates(c, "gates", 4) || !expect_units(c, 1, "c", 4, 1) ||
        !expect_units(c, 2, "the next c", 4, 1) || !expect_units(c, 3, "dh", 4, 1) ||
        !expect_units(c, 4, "dc", 4, 1))
        return false;
    set_units(c, 1, 4, 1);
    return true;
}

static void lstm_gates_grad_rows(void *ctx, int64_t begin, int64_t end)
{
    const rows_job *j = ctx;
    const gr_exec *e = j->e;
    for (int64_t n = begin; n < end; n++)
        j->cell->lstm_grad(j->hidden, row_of(j, &e->in[0], n, 4), row_of(j, &e->in[1], n, 1),
                           row_of(j, &e->in[2], n, 1), NULL, row_of(j, &e->in[3], n, 1),
                           row_of(j, &e->out[1], n, 1), row_of(j, &e->out[0], n, 4));
}

static gr_status lstm_gates_grad_forward(gr_exec *e)
{
    gr__copy_value(&e->in[4], &e->out[1]);
    return run_rows(e, 4, lstm_gates_grad_rows);
}

static void lstm_gates_grad_parts(gr_tensor *const *x, int n, const void *attrs, gr_tensor **y)
{
    (void)n, (void)attrs;
    const gr_shape *s = gr_shape_of(x[1]);
    const int64_t units = s->dim[s->rank - 1];
    gr_tensor *i = gr__piece(x[0], 0, units), *f = gr__piece(x[0], units, units);
    gr_tensor *g = gr__piece(x[0], 2 * units, units), *o = gr__piece(x[0], 3 * units, units);
    gr_tensor *t = gr_tanh(x[2]), *dh = x[3];
    gr_tensor *dc = gr_add(x[4], product(dh, o, tanh_slope(t)));
    gr_tensor *da[4] = {product(dc, g, sigmoid_slope(i)), product(dc, x[1], sigmoid_slope(f)),
                        product(dc, i, tanh_slope(g)), product(dh, t, sigmoid_slope(o))};
    y[0] = gr_concat(da, 4, -1);
    y[1] = gr_mul(dc, f);
}

static void lstm_gates_grad_vjp(gr_pullback *p)
{
    gr__vjp_by_parts(p, lstm_gates_grad_parts, 0);
}

#define A(m, n) {.shape = {2, {m, n}}}
#define ROW(n) {.shape = {1, {n}}}
#define GATE(m, n) {.shape = {2, {m, n}}, .low = 0.1, .high = 0.9}

static const gr_sample lstm_gates_grad_samples[] = {
    {.name = "batch", .in = {GATE(2, 12), A(2, 3), A(2, 3), A(2, 3), A(2, 3)}, .n_in = 5},
    {.name = "one row", .in = {ROW(8), ROW(2), ROW(2), ROW(2), ROW(2)}, .n_in = 5},
    {.name = "empty", .in = {A(0, 8), A(0, 2), A(0, 2), A(0, 2), A(0, 2)}, .n_in = 5},
    {.name = "no gates", .in = {A(2, 6), A(2, 3), A(2, 3), A(2, 3), A(2, 3)}, .n_in = 5, .error = "expected gates of [...,4 H], got [2,6]"},
    {.name = "other c", .in = {A(2, 12), A(2, 4), A(2, 3), A(2, 3), A(2, 3)}, .n_in = 5, .error = "expected c of [2,3], got [2,4]"},
    {.name = "other next c", .in = {A(2, 12), A(2, 3), A(3, 2), A(2, 3), A(2, 3)}, .n_in = 5, .error = "expected the next c of [2,3]"},
    {.name = "other dh", .in = {A(2, 12), A(2, 3), A(2, 3), ROW(3), A(2, 3)}, .n_in = 5, .error = "expected dh of [2,3], got [3]"},
    {.name = "other dc", .in = {A(2, 12), A(2, 3), A(2, 3), A(2, 3), A(1, 3)}, .n_in = 5, .error = "expected dc of [2,3], got [1,3]"},
    {0},
};

static const gr_op lstm_gates_grad_op = {
    .name = "lstm_gates_grad",
    .family = "recurrent",
    .formula = "with e = dc' + dh' o (1 - t^2), t = tanh c': da = [e g i (1 - i), e c f (1 - f), "
               "e i (1 - g^2), dh' t o (1 - o)], dc = e f",
    .derivation = "a formula of multiplications: differentiated as it is recorded from other ops",
    .n_in = 5,
    .n_out = 2,
    .reads = GR_READS_IN(0) | GR_READS_IN(1) | GR_READS_IN(2) | GR_READS_IN(3) | GR_READS_IN(4),
    .infer = lstm_gates_grad_infer,
    .forward = {[GR_F32] = lstm_gates_grad_forward, [GR_F64] = lstm_gates_grad_forward},
    .vjp = lstm_gates_grad_vjp,
    .samples = lstm_gates_grad_samples,
};

/* --- lstm_gates: (a, c) -> h', c', gates --- */

static bool lstm_gates_infer(gr_infer *c)
{
    if (!expect_gates(c, "a", 4) || !expect_units(c, 1, "c", 4, 1)) return false;
    set_units(c, 0, 4, 1);
    set_units(c, 1, 4, 1);
    return true;
}

static void lstm_gates_rows(void *ctx, int64_t begin, int64_t end)
{
    const rows_job *j = ctx;
    const gr_exec *e = j->e;
    for (int64_t n = begin; n < end; n++)
        j->cell->lstm(j->hidden, row_of(j, &e->in[0], n, 4), NULL, row_of(j, &e->in[1], n, 1),
                      row_of(j, &e->out[2], n, 4), row_of(j, &e->out[1], n, 1),
                      row_of(j, &e->out[0], n, 1));
}

static gr_status lstm_gates_forward(gr_exec *e)
{
    return run_rows(e, 4, lstm_gates_rows);
}

static void lstm_gates_parts(gr_tensor *const *x, int n, const void *attrs, gr_tensor **y)
{
    (void)n, (void)attrs;
    const gr_shape *s = gr_shape_of(x[1]);
    const int64_t units = s->dim[s->rank - 1];
    gr_tensor *gate[4];
    for (int k = 0; k < 4; k++) {
        gr_tensor *a = gr__piece(x[0], k * units, units);
        gate[k] = k == 2 ? gr_tanh(a) : gr_sigmoid(a);
    }
    y[1] = gr_add(gr_mul(gate[1], x[1]), gr_mul(gate[0], gate[2]));
    y[0] = gr_mul(gate[3], gr_tanh(y[1]));
    y[2] = gr_concat(gate, 4, -1);
}

/* Where the gates have a cotangent a is read too; it is computed again if it was let go. */
static void lstm_gates_vjp(gr_pullback *p)
{
    gr_tensor *in[5] = {p->y[2], p->x[1], p->y[1], gr__cotangent(p, 0), gr__cotangent(p, 1)};
    p->dx[0] = gr_apply(p->graph, &lstm_gates_grad_op, in, 5, NULL);
    p->dx[1] = gr_output(p->dx[0], 1);
    if (p->dy[2]) gr__vjp_by_parts(p, lstm_gates_parts, 2);
}

static const gr_sample lstm_gates_samples[] = {
    {.name = "batch", .in = {{.shape = {2, {2, 12}}, .low = -2, .high = 2}, A(2, 3)}, .n_in = 2},
    {.name = "one row", .in = {ROW(8), ROW(2)}, .n_in = 2},
    {.name = "sequence", .in = {{.shape = {3, {2, 3, 4}}}, {.shape = {3, {2, 3, 1}}}}, .n_in = 2},
    {.name = "empty", .in = {A(0, 8), A(0, 2)}, .n_in = 2},
    {.name = "no units", .in = {A(3, 0), A(3, 0)}, .n_in = 2},
    {.name = "not four gates", .in = {A(2, 6), A(2, 2)}, .n_in = 2, .error = "expected a of [...,4 H], got [2,6]"},
    {.name = "scalar", .in = {{.shape = {0, {0}}}, ROW(1)}, .n_in = 2, .error = "expected a of [...,4 H]"},
    {.name = "other c", .in = {A(2, 12), A(2, 4)}, .n_in = 2, .error = "expected c of [2,3], got [2,4]"},
    {.name = "integer c", .in = {A(1, 4), {.shape = {2, {1, 1}}, .integer = true, .high = 3}}, .n_in = 2, .error = "c is int64, expected float64"},
    {0},
};

static const gr_op lstm_gates_op = {
    .name = "lstm_gates",
    .family = "recurrent",
    .formula = "i, f, g, o = sigmoid, sigmoid, tanh, sigmoid of the quarters of a; c' = f c + i g; "
               "h' = o tanh c'",
    .derivation = "c' gets e = dc' + dh' o (1 - tanh^2 c'); then di = e g, df = e c, dg = e i, "
                  "do = dh' tanh c', each times its slope s (1 - s) or 1 - g^2, and dc = e f",
    .n_in = 2,
    .n_out = 3,
    .reads = GR_READS_IN(1) | GR_READS_OUT(1) | GR_READS_OUT(2),
    .infer = lstm_gates_infer,
    .forward = {[GR_F32] = lstm_gates_forward, [GR_F64] = lstm_gates_forward},
    .vjp = lstm_gates_vjp,
    .samples = lstm_gates_samples,
};

gr_tensor *gr__lstm_gates(gr_tensor *a, gr_tensor *c)
{
    return gr__binary(&lstm_gates_op, a, c, GR_HERE);
}

gr_tensor *gr__lstm_gates_grad(gr_tensor *const in[5])
{
    return gr__apply(NULL, &lstm_gates_grad_op, in, 5, NULL, GR_HERE);
}

/* --- gru_gates_grad: (gates, h, dh') -> da, ds, dh --- */

static bool gru_gates_grad_infer(gr_infer *c)
{
    if (!expect_gates(c, "gates", 4) || !expect_units(c, 1, "h", 4, 1) ||
        !expect_units(c, 2, "dh", 4, 1))
        return false;
    set_units(c, 0, 4, 3);
    set_units(c, 1, 4, 3);
    set_units(c, 2, 4, 1);
    return true;
}

static void gru_gates_grad_rows(void *ctx, int64_t begin, int64_t end)
{
    const rows_job *j = ctx;
    const gr_exec *e = j->e;
    for (int64_t n = begin; n < end; n++)
        j->cell->gru_grad(j->hidden, row_of(j, &e->in[0], n, 4), row_of(j, &e->in[1], n, 1), NULL,
                          row_of(j, &e->out[2], n, 1), row_of(j, &e->out[0], n, 3),
                          row_of(j, &e->out[1], n, 3));
}

static gr_status gru_gates_grad_forward(gr_exec *e)
{
    gr__copy_value(&e->in[2], &e->out[2]);
    return run_rows(e, 4, gru_gates_grad_rows);
}

static void gru_gates_grad_parts(gr_tensor *const *x, int n, const void *attrs, gr_tensor **y)
{
    (void)n, (void)attrs;
    const gr_shape *s = gr_shape_of(x[1]);
    const int64_t units = s->dim[s->rank - 1];
    gr_tensor *r = gr__piece(x[0], 0, units), *z = gr__piece(x[0], units, units);
    gr_tensor *fresh = gr__piece(x[0], 2 * units, units);
    gr_tensor *inner = gr__piece(x[0], 3 * units, units), *dh = x[2];
    gr_tensor *d = gr_mul(gr_sub(dh, gr_mul(dh, z)), tanh_slope(fresh));
    gr_tensor *reset = product(d, inner, sigmoid_slope(r));
    gr_tensor *update = product(dh, gr_sub(x[1], fresh), sigmoid_slope(z));
    y[0] = gr_concat((gr_tensor *[]){reset, update, d}, 3, -1);
    y[1] = gr_concat((gr_tensor *[]){reset, update, gr_mul(d, r)}, 3, -1);
    y[2] = gr_mul(dh, z);
}

static void gru_gates_grad_vjp(gr_pullback *p)
{
    gr__vjp_by_parts(p, gru_gates_grad_parts, 0);
}

static const gr_sample gru_gates_grad_samples[] = {
    {.name = "batch", .in = {GATE(2, 12), A(2, 3), A(2, 3)}, .n_in = 3},
    {.name = "one row", .in = {ROW(8), ROW(2), ROW(2)}, .n_in = 3},
    {.name = "empty", .in = {A(0, 8), A(0, 2), A(0, 2)}, .n_in = 3},
    {.name = "no gates", .in = {A(2, 6), A(2, 3), A(2, 3)}, .n_in = 3, .error = "expected gates of [...,4 H], got [2,6]"},
    {.name = "other h", .in = {A(2, 12), A(2, 4), A(2, 3)}, .n_in = 3, .error = "expected h of [2,3], got [2,4]"},
    {.name = "other dh", .in = {A(2, 12), A(2, 3), A(3, 3)}, .n_in = 3, .error = "expected dh of [2,3], got [3,3]"},
    {0},
};

static const gr_op gru_gates_grad_op = {
    .name = "gru_gates_grad",
    .family = "recurrent",
    .formula = "with d = dh' (1 - z) (1 - n^2): da = [d s_n r (1 - r), dh' (h - n) z (1 - z), d], "
               "ds = the same but d r, dh = dh' z",
    .derivation = "a formula of multiplications: differentiated as it is recorded from other ops",
    .n_in = 3,
    .n_out = 3,
    .reads = GR_READS_IN(0) | GR_READS_IN(1) | GR_READS_IN(2),
    .infer = gru_gates_grad_infer,
    .forward = {[GR_F32] = gru_gates_grad_forward, [GR_F64] = gru_gates_grad_forward},
    .vjp = gru_gates_grad_vjp,
    .samples = gru_gates_grad_samples,
};

/* --- gru_gates: (a, s, h) -> h', gates --- */

static bool gru_gates_infer(gr_infer *c)
{
    if (!expect_gates(c, "a", 3) || !expect_units(c, 1, "s", 3, 3) ||
        !expect_units(c, 2, "h", 3, 1))
        return false;
    set_units(c, 0, 3, 1);
    set_units(c, 1, 3, 4);
    return true;
}

static void gru_gates_rows(void *ctx, int64_t begin, int64_t end)
{
    const rows_job *j = ctx;
    const gr_exec *e = j->e;
    for (int64_t n = begin; n < end; n++)
        j->cell->gru(j->hidden, row_of(j, &e->in[0], n, 3), row_of(j, &e->in[1], n, 3), NULL,
                     row_of(j, &e->in[2], n, 1), row_of(j, &e->out[1], n, 4),
                     row_of(j, &e->out[0], n, 1));
}

static gr_status gru_gates_forward(gr_exec *e)
{
    return run_rows(e, 3, gru_gates_rows);
}

static void gru_gates_parts(gr_tensor *const *x, int n, const void *attrs, gr_tensor **y)
{
    (void)n, (void)attrs;
    const gr_shape *s = gr_shape_of(x[2]);
    const int64_t units = s->dim[s->rank - 1];
    gr_tensor *gate[4];
    for (int k = 0; k < 2; k++)
        gate[k] = gr_sigmoid(gr_add(gr__piece(x[0], k * units, units),
                                    gr__piece(x[1], k * units, units)));
    gate[3] = gr__piece(x[1], 2 * units, units);
    gate[2] = gr_tanh(gr_add(gr__piece(x[0], 2 * units, units), gr_mul(gate[0], gate[3])));
    y[0] = gr_add(gate[2], gr_mul(gate[1], gr_sub(x[2], gate[2])));
    y[1] = gr_concat(gate, 4, -1);
}

/* Where the gates have a cotangent a and s are read too, as in lstm_gates_vjp. */
static void gru_gates_vjp(gr_pullback *p)
{
    gr_tensor *in[3] = {p->y[1], p->x[2], gr__cotangent(p, 0)};
    p->dx[0] = gr_apply(p->graph, &gru_gates_grad_op, in, 3, NULL);
    p->dx[1] = gr_output(p->dx[0], 1);
    p->dx[2] = gr_output(p->dx[0], 2);
    if (p->dy[1]) gr__vjp_by_parts(p, gru_gates_parts, 1);
}

static const gr_sample gru_gates_samples[] = {
    {.name = "batch", .in = {{.shape = {2, {2, 9}}, .low = -2, .high = 2}, A(2, 9), A(2, 3)}, .n_in = 3},
    {.name = "one row", .in = {ROW(6), ROW(6), ROW(2)}, .n_in = 3},
    {.name = "sequence", .in = {{.shape = {3, {2, 3, 3}}}, {.shape = {3, {2, 3, 3}}}, {.shape = {3, {2, 3, 1}}}}, .n_in = 3},
    {.name = "empty", .in = {A(0, 6), A(0, 6), A(0, 2)}, .n_in = 3},
    {.name = "no units", .in = {A(3, 0), A(3, 0), A(3, 0)}, .n_in = 3},
    {.name = "not three gates", .in = {A(2, 8), A(2, 8), A(2, 2)}, .n_in = 3, .error = "expected a of [...,3 H], got [2,8]"},
    {.name = "other s", .in = {A(2, 9), A(2, 6), A(2, 3)}, .n_in = 3, .error = "expected s of [2,9], got [2,6]"},
    {.name = "other h", .in = {A(2, 9), A(2, 9), A(2, 9)}, .n_in = 3, .error = "expected h of [2,3], got [2,9]"},
    {0},
};

static const gr_op gru_gates_op = {
    .name = "gru_gates",
    .family = "recurrent",
    .formula = "r, z = sigmoid(a + s) in their thirds; n = tanh(a_n + r s_n); h' = (1 - z) n + z h",
    .derivation = "dn = dh' (1 - z), dz = dh' (h - n), dh = dh' z; through n's tanh d = dn (1 - n^2), "
                  "so da_n = d, ds_n = d r, dr = d s_n; r and z times their slopes s (1 - s)",
    .n_in = 3,
    .n_out = 2,
    .reads = GR_READS_IN(2) | GR_READS_OUT(1),
    .infer = gru_gates_infer,
    .forward = {[GR_F32] = gru_gates_forward, [GR_F64] = gru_gates_forward},
    .vjp = gru_gates_vjp,
    .samples = gru_gates_samples,
};

gr_tensor *gr__gru_gates(gr_tensor *a, gr_tensor *s, gr_tensor *h)
{
    return gr__apply(NULL, &gru_gates_op, (gr_tensor *[]){a, s, h}, 3, NULL, GR_HERE);
}

gr_tensor *gr__gru_gates_grad(gr_tensor *gates, gr_tensor *h, gr_tensor *dh)
{
    return gr__apply(NULL, &gru_gates_grad_op, (gr_tensor *[]){gates, h, dh}, 3, NULL, GR_HERE);
}

const gr_op *const gr__recurrent_gates_ops[] = {
    &lstm_gates_grad_op, &lstm_gates_op, &gru_gates_grad_op, &gru_gates_op, NULL,
};
