/* mutant.c - planting an error, and watching whether it changes anything. */
/* SPDX-License-Identifier: MIT */
#include "mutant.h"

#include <gradus/ops.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the running check is about; rules have no user pointer. */
static struct {
    const gr_op *op;
    const mutation *mutation;
    double per_mean;
    outcome *outcome;
} planted;

/* --- looking at values --- */

double *rule_values(gr_tensor *t)
{
    if (!t || gr_numel(t) == 0) return NULL;
    size_t bytes = (size_t)gr_numel(t) * sizeof(double);
    const double *data = gr_data(gr_dtype_of(t) == GR_F64 ? t : gr_cast(t, GR_F64));
    double *values = data ? malloc(bytes) : NULL;
    if (values) memcpy(values, data, bytes);
    return values;
}

gr_tensor *rule_weights(gr_tensor *like)
{
    int64_t n = gr_numel(like);
    double *w = malloc((size_t)n * sizeof *w + 1);
    for (int64_t i = 0; w && i < n; i++) w[i] = sin(1.7 * (double)i + 0.4);
    gr_tensor *t = gr_from_data(gr_graph_of(like), GR_F64, *gr_shape_of(like), w);
    free(w);
    return gr_dtype_of(like) == GR_F64 ? t : gr_cast(t, gr_dtype_of(like));
}

const void *rule_attribute(const rule *r, const char *name, gr_field_type type)
{
    for (const gr_field *f = r->op->fields; f && f->name; f++)
        if (!strcmp(f->name, name) && f->type == type) return r->attrs + f->offset;
    return NULL;
}

bool rule_wants(const rule *r, int i)
{
    return r->p.wants[i] && r->dx[i] && gr_numel(r->x[i]) > 0;
}

/* --- calls of the real rule --- */

static void own_arrays(rule *r)
{
    r->p.x = r->x;
    r->p.y = r->y;
    r->p.dy = r->dy;
    r->p.dx = r->dx;
    r->p.sum = r->sum;
    r->p.attrs = r->op->attrs_size ? r->attrs : NULL;
}

rule rule_copy(const rule *r)
{
    rule copy = *r;
    own_arrays(&copy);
    return copy;
}

static rule rule_of(const gr_op *op, const gr_pullback *p)
{
    rule r = {.op = op, .p = *p, .per_mean = planted.per_mean};
    for (int i = 0; i < p->n_in; i++) {
        r.x[i] = p->x[i];
        r.sum[i] = p->sum[i];
    }
    for (int i = 0; i < p->n_out; i++) {
        r.y[i] = p->y[i];
        r.dy[i] = p->dy[i];
    }
    if (op->attrs_size && p->attrs) memcpy(r.attrs, p->attrs, op->attrs_size);
    return r;
}

/* A contribution that the real rule adds to `sum` is taken as dx, so that it can be damaged. */
void rule_call(rule *r)
{
    gr_tensor *none[RULE_INPUTS] = {NULL};
    own_arrays(r);
    memset(r->dx, 0, sizeof r->dx);
    r->p.sum = none;
    if (r->op->vjp) r->op->vjp(&r->p);
    r->p.sum = r->sum;
    for (int i = 0; i < r->p.n_in; i++)
        if (none[i]) r->dx[i] = none[i];
}

double *rule_sensitivity(const rule *r, int i)
{
    rule fixed = rule_copy(r);
    for (int k = 0; k < r->p.n_out; k++) {
        gr_dtype dtype = gr_dtype_of(r->y[k]);
        if (dtype == GR_F32 || dtype == GR_F64) fixed.dy[k] = rule_weights(r->y[k]);
    }
    rule_call(&fixed);
    return rule_values(fixed.dx[i]);
}

/* --- alive --- */

/* More than rounding does, of which float32 has more. */
static bool differ(const double *right, const double *wrong, int64_t n, gr_dtype dtype)
{
    const double rounding = dtype == GR_F32 ? 1e-6 : 1e-7;
    double size = 0, off = 0;
    for (int64_t i = 0; i < n; i++) {
        double a = right ? right[i] : 0, b = wrong ? wrong[i] : 0;
        size += a * a;
        off += (a - b) * (a - b);
    }
    return !(off <= rounding * rounding * size);
}

static bool differ_in(const rule *right, const rule *wrong, int i)
{
    double *a = rule_values(right->dx[i]), *b = rule_values(wrong->dx[i]);
    double *lost = wrong->overwrites[i] ? rule_values(right->sum[i]) : NULL;
    int64_t n = gr_numel(right->x[i]);
    gr_dtype dtype = gr_dtype_of(right->x[i]);
    bool different = differ(a, b, n, dtype) || (lost && differ(NULL, lost, n, dtype));
    free(a);
    free(b);
    free(lost);
    return different;
}

static bool rules_differ(const rule *right, const rule *wrong)
{
    for (int i = 0; i < right->p.n_in; i++)
        if (right->p.wants[i] && differ_in(right, wrong, i)) return true;
    return false;
}

/* --- the damaged rule --- */

static void hand_over(const rule *r, gr_pullback *p)
{
    for (int i = 0; i < p->n_in; i++) {
        if (r->overwrites[i] && r->dx[i]) p->sum[i] = r->dx[i];
        else p->dx[i] = r->dx[i];
    }
}

static void note(const rule *right, const rule *wrong, bool was_fine)
{
    const mutation *m = planted.mutation;
    outcome *o = planted.outcome;
    const char *error = gr_graph_error(right->p.graph);
    if (!was_fine) return;
    if (!o->alive) o->alive = m->lives ? m->lives(right) : rules_differ(right, wrong);
    if (error || (error = gr_graph_error(right->p.graph)))
        snprintf(o->broken, sizeof o->broken, "%s", error);
}

static void damaged_rule(const gr_op *op, gr_pullback *p)
{
    const mutation *m = planted.mutation;
    rule right = rule_of(op, p), wrong = rule_copy(&right);
    rule_call(&right);
    bool was_fine = !gr_graph_error(p->graph);
    if (m->before) {
        m->before(&wrong);
        rule_call(&wrong);
    } else {
        wrong = rule_copy(&right);
    }
    if (m->after) m->after(&wrong);
    note(&right, &wrong, was_fine);
    hand_over(&wrong, p);
}

static void damaged_vjp(gr_pullback *p)
{
    damaged_rule(planted.op, p);
}

/* --- ops given by a definition: their inputs go through an identity with a damaged rule --- */

static void damaged_identity_vjp(gr_pullback *p)
{
    damaged_rule(gr_op_find("scale"), p);
}

static gr_tensor *damaged_definition(gr_tensor *const *x, int n, const void *attrs)
{
    const double one = 1;
    gr_op identity = *gr_op_find("scale");
    static gr_op kept; /* descriptors outlive the graph */
    gr_tensor *in[RULE_INPUTS];
    identity.vjp = damaged_identity_vjp;
    kept = identity;
    for (int i = 0; i < n; i++) {
        bool floats = gr_dtype_of(x[i]) == GR_F64 || gr_dtype_of(x[i]) == GR_F32;
        in[i] = floats ? gr_apply(NULL, &kept, &x[i], 1, &one) : x[i];
    }
    gr_tensor *y = planted.op->define(in, n, attrs);
    planted.per_mean = (double)gr_numel(x[0]) / (double)gr_numel(y);
    return y;
}

/* --- checks --- */

bool mutant_possible(const gr_op *op, const mutation *m)
{
    bool constant = op->flags & GR_OP_CONSTANT;
    if (!op->samples || constant != m->constant || (constant && op->view)) return false;
    return !m->suits || m->suits(op);
}

outcome mutant_check(const gr_op *op, const mutation *m, uint64_t seed)
{
    outcome o = {.alive = false};
    gr_op mutant = *op;
    if (op->define) mutant.define = damaged_definition;
    else mutant.vjp = damaged_vjp;
    mutant.flags &= ~(unsigned)GR_OP_CONSTANT;
    planted.op = op;
    planted.mutation = m;
    planted.outcome = &o;
    planted.per_mean = 1;
    gr_gradcheck_op(&mutant, (gr_check_options){.seed = seed, .order = m->order}, &o.report);
    return o;
}
