/* flow.c - norms of values on their way to the loss, and of gradients on their way back.
 *
 * The norms are ops of the same graph, so that no large value has to be kept for them.
 */
/* SPDX-License-Identifier: MIT */
#include "base.h"
#include <gradus/ops.h>
#include <gradus/profile.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

/* What is measured, and the tensors that measure it: n of each. */
typedef struct survey {
    gr_tensor *loss;
    gr_flow_by by;
    gr_tensor **x, **dx;
    gr_tensor **norms; /* of x, of dx, count of x's elements that are not 0: three a row */
    int n;
} survey;

enum { SCOPE_TEXT = 160, MEASURES = 3 };

/* --- which tensors --- */

static bool is_float(const gr_tensor *t)
{
    return gr_dtype_of(t) == GR_F32 || gr_dtype_of(t) == GR_F64;
}

static bool is_candidate(const survey *s, const gr_node *node)
{
    bool leaf = gr_node_inputs(node) == 0;
    if (gr_node_is_backward(node) || !is_float(gr_node_output(node, 0))) return false;
    return s->by == GR_FLOW_PARAMS ? gr_node_param(node) != NULL : !leaf;
}

/* Whether the node lies in the scope or in one inside it. */
static bool lies_in(const gr_node *node, const char *path)
{
    char own[SCOPE_TEXT];
    size_t n = strlen(path);
    gr_node_scope(node, own, sizeof own);
    return !strncmp(own, path, n) && (!own[n] || own[n] == '/');
}

/* Whether nothing after the node lies in its scope. */
static bool ends_scope(const survey *s, const gr_node *node)
{
    char path[SCOPE_TEXT];
    const gr_node *last = gr_node_of(s->loss), *next = node;
    gr_node_scope(node, path, sizeof path);
    if (!*path) return false;
    while (next != last && (next = gr_node_next(next)))
        if (is_candidate(s, next) && lies_in(next, path)) return false;
    return true;
}

static int gather(survey *s, gr_tensor **x)
{
    int n = 0;
    const gr_node *last = gr_node_of(s->loss);
    for (const gr_node *node = gr_node_first(gr_graph_of(s->loss)); node;
         node = node == last ? NULL : gr_node_next(node)) {
        if (!is_candidate(s, node)) continue;
        if (s->by == GR_FLOW_SCOPES && !ends_scope(s, node)) continue;
        if (x) x[n] = gr_node_output(node, 0);
        n++;
    }
    return n;
}

/* --- measuring --- */

/* Leaves out what the loss does not depend on: there the gradient is a fill with zeros. Parameters
 * stay: that they get no gradient is worth knowing. */
static void keep_reached(survey *s)
{
    int n = 0;
    for (int i = 0; i < s->n; i++) {
        bool fill = !strcmp(gr_node_op(gr_node_of(s->dx[i]))->name, "fill");
        if (fill && s->x[i] != s->loss && s->by != GR_FLOW_PARAMS) continue;
        s->x[n] = s->x[i];
        s->dx[n++] = s->dx[i];
    }
    s->n = n;
}

/* In float64, whose squares do not overflow where float32's would. */
static gr_tensor *norm_of(gr_tensor *t)
{
    return gr_sqrt(gr_sum_all(gr_square(gr_cast(t, GR_F64))));
}

static gr_status measure(survey *s)
{
    for (int i = 0; i < s->n; i++) {
        s->norms[MEASURES * i] = norm_of(s->x[i]);
        s->norms[MEASURES * i + 1] = norm_of(s->dx[i]);
        s->norms[MEASURES * i + 2] = gr_count_nonzero(s->x[i], GR_ALL, false);
    }
    return gr_eval(s->norms, MEASURES * s->n);
}

static gr_status survey_tensors(survey *s)
{
    s->n = gather(s, NULL);
    size_t room = (size_t)s->n + 1;
    s->x = gr__alloc((2 + MEASURES) * room * sizeof *s->x);
    if (!s->x) return GR_ERR_MEMORY;
    s->dx = s->x + room;
    s->norms = s->dx + room;
    gather(s, s->x);
    gr_status status = gr_grad(s->loss, s->x, s->n, s->dx);
    if (status) return status;
    keep_reached(s);
    return measure(s);
}

/* --- rows --- */

/* A long path is cut off. */
static void name_row(gr_flow_row *r, const survey *s, const gr_node *node)
{
    const gr_param *p = gr_node_param(node);
    const char *own = p ? gr_param_name(p) : gr_node_op(node)->name;
    gr_node_scope(node, r->name, sizeof r->name);
    size_t n = strlen(r->name);
    if (s->by == GR_FLOW_SCOPES) return;
    snprintf(r->name + n, sizeof r->name - n, "%s%s", n ? "/" : "", own);
}

static gr_flow_row row_of(const survey *s, int i)
{
    gr_flow_row r = {.node = gr_node_id(gr_node_of(s->x[i])), .numel = gr_numel(s->x[i])};
    name_row(&r, s, gr_node_of(s->x[i]));
    r.value = gr_item(s->norms[MEASURES * i]);
    r.gradient = gr_item(s->norms[MEASURES * i + 1]);
    double set = gr_item(s->norms[MEASURES * i + 2]);
    r.zeros = r.numel ? 1 - set / (double)r.numel : 0;
    return r;
}

/* The gradient that all are compared with; 0: there is none. */
static double reference(const gr_flow *f)
{
    for (int i = f->n - 1; i >= 0; i--) {
        const gr_flow_row *r = &f->rows[i];
        if (r->numel > 1 && isfinite(r->gradient) && r->gradient > 0) return r->gradient;
    }
    return 0;
}

static gr_flow_state state_of(const gr_flow_row *r, const gr_flow_options *o)
{
    if (!isfinite(r->value) || !isfinite(r->gradient)) return GR_FLOW_NOT_FINITE;
    if (r->gradient == 0) return GR_FLOW_NONE;
    if (r->relative < o->vanishing) return GR_FLOW_VANISHING;
    return r->relative > o->exploding ? GR_FLOW_EXPLODING : GR_FLOW_FINE;
}

static gr_status fill_rows(const survey *s, const gr_flow_options *o, gr_flow *f)
{
    f->rows = gr__calloc(((size_t)s->n + 1) * sizeof *f->rows);
    if (!f->rows) return GR_ERR_MEMORY;
    for (; f->n < s->n; f->n++) f->rows[f->n] = row_of(s, f->n);
    double last = reference(f);
    for (int i = 0; i < f->n; i++) {
        gr_flow_row *r = &f->rows[i];
        r->relative = last > 0 ? r->gradient / last : 1;
        r->state = state_of(r, o);
        f->count[r->state]++;
    }
    return GR_OK;
}

/* --- what users call --- */

static gr_status check(gr_tensor *loss, const gr_flow_options *o)
{
    if (!loss || !gr_graph_of(loss) || !gr_node_of(loss))
        return gr__fail(GR_ERR_ARGUMENT, "gr_flow_measure: the loss is no tensor of a graph");
    if (gr_graph_status(gr_graph_of(loss))) return gr_graph_status(gr_graph_of(loss));
    if (!(o->vanishing > 0 && o->vanishing < 1 && o->exploding > 1))
        return gr__fail(GR_ERR_ARGUMENT,
                        "gr_flow_measure: expected factors with 0 < vanishing < 1 < exploding, "
                        "got %g and %g",
                        o->vanishing, o->exploding);
    return GR_OK;
}

/* Measures how large the values on the way to the loss are, and d loss / d value on the way back:
 * a row for each node, for each scope (the last value recorded in it) or for each parameter, in
 * recording order. A row's state compares its gradient with that of the last row of more than one
 * element, the one next to the loss.
 *
 * loss  floating; the gradient is of its sum. Its graph must still have what the loss was computed
 *       from: measure before gr_backward and the optimizer's step
 * f     gets the rows, to be released with gr_flow_release, on failure too
 *
 * The gradients and norms are recorded on the graph, and go with its reset. Errors: those of gr_grad
 * and of evaluation, which stick to the graph; factors that make no sense; memory. */
gr_status gr_flow_measure(gr_tensor *loss, gr_flow_options o, gr_flow *f)
{
    if (gr__need("gr_flow_measure", f, "place for the result")) return GR_ERR_ARGUMENT;
    survey s = {.loss = loss, .by = o.by};
    *f = (gr_flow){.n = 0};
    if (o.vanishing == 0) o.vanishing = 1e-4;
    if (o.exploding == 0) o.exploding = 1e4;
    gr_status status = check(loss, &o);
    if (status) return status;
    gr_graph *g = gr_graph_of(loss);
    gr_site_begin(g, GR_HERE);
    gr_no_grad_begin(g); /* nobody differentiates these gradients */
    status = survey_tensors(&s);
    gr_no_grad_end(g);
    gr_site_end(g);
    if (!status) status = fill_rows(&s, &o, f);
    gr__free(s.x);
    return status;
}

/* Frees the rows; a zeroed one is fine. */
void gr_flow_release(gr_flow *f)
{
    if (!f) return;
    gr__free(f->rows);
    *f = (gr_flow){.n = 0};
}
