/* terms.c - a formula with a term missing, or a constant mistyped. */
/* SPDX-License-Identifier: MIT */
#include "classes.h"

#include <gradus/ops.h>
#include <string.h>

static bool is(const gr_op *op, const char *name)
{
    return !strcmp(op->name, name);
}

/* --- softmax --- */

static bool is_softmax(const gr_op *op)
{
    return is(op, "softmax") || is(op, "log_softmax") || is(op, "cross_entropy_grad");
}

/* softmax: y dy; log_softmax: dy; cross_entropy_grad: v p w / N. The sum over the row is gone. */
static void drop_row_sum(rule *r)
{
    gr_tensor *dy = r->dy[0];
    if (!rule_wants(r, 0)) return;
    if (is(r->op, "softmax")) r->dx[0] = gr_mul(r->y[0], dy);
    else if (is(r->op, "log_softmax")) r->dx[0] = dy;
    else {
        const gr_shape *s = gr_shape_of(r->x[0]);
        double n = s->rank == 2 ? (double)s->dim[0] : 1;
        r->dx[0] = gr_mul(gr_mul(dy, gr_softmax(r->x[0], -1)), gr_scale(r->x[2], 1 / n));
    }
}

/* The row's sum once more than it should be. */
static void double_row_sum(rule *r)
{
    rule dropped = rule_copy(r);
    drop_row_sum(&dropped);
    if (rule_wants(r, 0)) r->dx[0] = gr_sub(gr_scale(r->dx[0], 2), dropped.dx[0]);
}

/* --- cross entropy --- */

static bool is_cross_entropy(const gr_op *op)
{
    return is(op, "cross_entropy");
}

/* p dy / N, without - onehot. */
static void drop_onehot(rule *r)
{
    const gr_shape *s = gr_shape_of(r->x[0]);
    double n = s->rank == 2 ? (double)s->dim[0] : 1;
    if (rule_wants(r, 0)) r->dx[0] = gr_mul(gr_softmax(r->x[0], -1), gr_scale(r->dy[0], 1 / n));
}

/* - onehot dy / N alone. */
static void drop_probability(rule *r)
{
    rule other = rule_copy(r);
    drop_onehot(&other);
    if (rule_wants(r, 0)) r->dx[0] = gr_sub(r->dx[0], other.dx[0]);
}

/* --- constants --- */

static bool reads_values(const gr_op *op)
{
    return op->vjp && op->reads != 0;
}

static bool has_real_attribute(const gr_op *op)
{
    for (const gr_field *f = op->vjp ? op->fields : NULL; f && f->name; f++)
        if (f->type == GR_FIELD_F64) return true;
    return false;
}

static void mistype_attributes(rule *r)
{
    for (const gr_field *f = r->op->fields; f && f->name; f++) {
        double value;
        if (f->type != GR_FIELD_F64) continue;
        memcpy(&value, r->attrs + f->offset, sizeof value);
        value += 1e-3;
        memcpy(r->attrs + f->offset, &value, sizeof value);
    }
}

static gr_tensor *off(gr_tensor *t)
{
    bool floats = gr_dtype_of(t) == GR_F64 || gr_dtype_of(t) == GR_F32;
    return floats ? gr_scale(t, 1 + 1e-3) : t;
}

/* The right formula of values that are a thousandth off, as through a mistyped constant. */
static void mistype_values(rule *r)
{
    for (int i = 0; i < r->p.n_in; i++) r->x[i] = off(r->x[i]);
    for (int i = 0; i < r->p.n_out; i++) r->y[i] = off(r->y[i]);
}

/* x where y belongs: tanh's 1 - y^2 as 1 - x^2. */
static void input_for_output(rule *r)
{
    if (r->p.n_in == 1 && gr_shape_equal(gr_shape_of(r->x[0]), gr_shape_of(r->y[0])))
        r->y[0] = r->x[0];
}

static bool reads_output(const gr_op *op)
{
    return op->vjp && (op->reads & GR_READS_OUT(0)) && !op->branch;
}

const mutation term_mutations[] = {
    {"row sum dropped", "a term is missing", is_softmax, .after = drop_row_sum},
    {"row sum twice", "a term is missing", is_softmax, .after = double_row_sum},
    {"onehot missing", "onehot term", is_cross_entropy, .after = drop_onehot},
    {"probability missing", "a term is missing", is_cross_entropy, .after = drop_probability},
    {"attribute mistyped", "times what it should be", has_real_attribute,
     .before = mistype_attributes},
    {"value mistyped", NULL, reads_values, .before = mistype_values},
    {"input for output", NULL, reads_output, .before = input_for_output},
    {0},
};
