/* anomaly.c - which node made the first NaN or infinity, from what, and how that came about.
 *
 * In a graph that watches for anomalies every computed node is looked at: large results of
 * element-wise ops while their pieces are in cache (elementwise.c), the others when they are
 * complete. Where a group of element-wise nodes has made something that is not finite, its nodes
 * run again, one by one, for the report. A node is to blame when a NaN is among its results and none among its inputs, or an
 * infinity, and its inputs are finite. A NaN that comes from data is the data's; an infinity there
 * is taken as meant: masks are made of them.
 */
/* SPDX-License-Identifier: MIT */
#include "elementwise.h"
#include "kernels.h"
#include "strided.h"
#include "tape.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* What an overwritten input held is remembered in its tensor's `unfit`. */
enum { HAS_NAN = 1, HAS_INF = 2 };

enum { LINE = 320, GRAIN = 65536, ANCESTORS = 5 };

/* Every node of this graph is watched from here on. The first NaN or infinity that a node makes
 * from finite inputs, forward or backward, is the graph's error: it names the op, where it was
 * recorded, what went in, and what led there. A NaN in data that a node reads is reported too. */
void gr_graph_set_anomaly(gr_graph *g, bool watched)
{
    if (gr__lacks_graph(g, "gr_graph_set_anomaly")) return;
    g->anomaly = watched;
    gr__run_watch(g);
}

/* --- looking --- */

typedef struct look {
    const char *data;
    gr_dtype dtype;
    bool found;
} look;

static void look_at(void *ctx, int64_t begin, int64_t end)
{
    look *l = ctx;
    const char *from = l->data + (size_t)begin * gr_dtype_size(l->dtype);
    if (!gr__kernels_for(l->dtype)->finite(from, end - begin))
        __atomic_store_n(&l->found, true, __ATOMIC_RELAXED);
}

/* Whether output i has to be counted; element-wise ops have looked at large ones themselves. */
static bool suspect(const gr_node *node, int i)
{
    const gr_tensor *y = &node->out[i];
    if (!gr__is_float((gr_dtype)y->dtype)) return false;
    if (y->shape->rank == 0) return !isfinite(gr__get_scalar(y->data, (gr_dtype)y->dtype));
    bool little = y->flags & GR__LITTLE;
    if (!little && gr__is_elementwise(node->op) && !y->graph->observer) return y->unfit;
    look l = {y->data, (gr_dtype)y->dtype, false};
    gr__parallel_for(gr_shape_numel(y->shape), GRAIN, look_at, &l);
    return l.found;
}

/* --- counting --- */

typedef struct tally {
    double low, high, mean;       /* of the finite ones */
    int64_t n, nans, infs, first; /* first: the first element that is not finite; -1: none */
} tally;

static void count(tally *t, double x)
{
    if (!isfinite(x)) {
        t->nans += isnan(x) != 0;
        t->infs += isinf(x) != 0;
        if (t->first < 0) t->first = t->n;
    } else {
        t->low = fmin(t->low, x);
        t->high = fmax(t->high, x);
        double k = (double)(t->n - t->nans - t->infs + 1);
        t->mean += x / k - t->mean / k; /* a sum could overflow */
    }
    t->n++;
}

static tally tally_of(gr_tensor *x)
{
    enum { PIECE = 64 };
    double piece[PIECE];
    int64_t n = gr_shape_numel(x->shape);
    gr_value v = gr__tensor_value(x);
    gr__strided s = gr__strided_of(&v);
    tally t = {.low = INFINITY, .high = -INFINITY, .first = -1};
    for (int64_t i = 0; i < n; i += PIECE) {
        int64_t some = n - i < PIECE ? n - i : PIECE;
        gr__strided_read(&s, i, some, piece);
        for (int64_t k = 0; k < some; k++)
            count(&t, gr__get_scalar((char *)piece + (size_t)k * s.size, v.dtype));
    }
    return t;
}

static int unfit(const tally *t)
{
    return (t->nans ? HAS_NAN : 0) | (t->infs ? HAS_INF : 0);
}

/* Of what an output has taken the memory over, as it was when it was made. */
static int unfit_input(gr_tensor *x)
{
    if (!x->data) return x->unfit;
    if (!gr__is_float((gr_dtype)x->dtype)) return 0;
    const tally t = tally_of(x);
    return unfit(&t);
}

/* --- the report: lines behind the message --- */

static void add(gr_graph *g, const char *format, ...) GR_PRINTF(2, 3);

static void add(gr_graph *g, const char *format, ...)
{
    size_t used = strlen(g->details);
    va_list args;
    va_start(args, format);
    vsnprintf(g->details + used, sizeof g->details - used, format, args);
    va_end(args);
}

/* The source behind views of it, else x's own node. */
static const gr_node *maker(const gr_tensor *x)
{
    const gr_node *node = x->node;
    while (node->op->view && node->n_in) node = node->in[0]->node;
    return node->n_in ? x->node : node;
}

const char *gr__node_title(const gr_node *node, char *text, size_t size)
{
    const bool backward = node->flags & GR__BACKWARD;
    snprintf(text, size, "%s%s%s", node->op->name,
             backward ? ", recorded by the backward rule of " : "",
             backward ? node->origin->op->name : "");
    return text;
}

static void name_node(const gr_node *node, char text[LINE])
{
    const gr_param *p = gr_node_param(node);
    if (p) snprintf(text, LINE, "parameter '%s'", p->name);
    else if (node->op == &gr__leaf_op) snprintf(text, LINE, "data");
    else gr__node_title(node, text, LINE);
}

static void add_input(gr_graph *g, int i, gr_tensor *x)
{
    char shape[GR_SHAPE_TEXT];
    add(g, "\n  input %d: %s %s", i, gr_dtype_name((gr_dtype)x->dtype),
        gr_shape_text(x->shape, shape));
    if (!x->data) {
        add(g, ", overwritten by the result");
        return;
    }
    const tally t = tally_of(x);
    if (t.nans + t.infs < t.n) add(g, ", min %.6g, max %.6g, mean %.6g", t.low, t.high, t.mean);
    add(g, ", %lld NaN, %lld Inf", (long long)t.nans, (long long)t.infs);
}

/* The input with the largest element: where a value that grew came from. */
static const gr_node *ancestor(const gr_node *node)
{
    const gr_node *best = NULL;
    double most = -1;
    for (int i = 0; i < node->n_in; i++) {
        gr_tensor *x = node->in[i];
        if (!x->data || !gr__is_float((gr_dtype)x->dtype)) continue;
        const tally t = tally_of(x);
        double size = t.n ? fmax(fabs(t.low), fabs(t.high)) : 0;
        if (size <= most) continue;
        most = size;
        best = x->node;
    }
    return best || node->n_in == 0 ? best : node->in[0]->node;
}

static void add_chain(gr_graph *g, const gr_node *node)
{
    char name[LINE], place[LINE], scope[GR__SCOPE_TEXT];
    add(g, "\n  chain:");
    for (int i = 0; i < ANCESTORS && node; i++, node = ancestor(node)) {
        name_node(node, name);
        gr_node_scope(node, scope, sizeof scope);
        add(g, "%s %s (%s%s%s)", i ? " <-" : "", name,
            gr__site_text(node->site, place, sizeof place), *scope ? ", in " : "", scope);
    }
}

/* --- the verdict --- */

/* The error that has just come up is the node's, whatever site and scope are open now. */
static void blame(const gr_node *node)
{
    node->out[0].graph->error_site = node->site;
    gr__scope_blame(node);
}

static bool report_node(gr_node *node, int i, const tally *t, bool finite_inputs)
{
    gr_graph *g = node->out[0].graph;
    char name[LINE], which[32] = "";
    name_node(node, name);
    if (node->n_out > 1) snprintf(which, sizeof which, " of output %d", i);
    gr__fail_at(g, GR_ERR_STATE, node->site,
                "%s: node %u made %lld NaN and %lld Inf among %lld elements%s, the first at %lld, "
                "from %s",
                name, node->id, (long long)t->nans, (long long)t->infs, (long long)t->n, which,
                (long long)t->first, finite_inputs ? "finite inputs" : "inputs without NaN");
    blame(node);
    for (int k = 0; k < node->n_in && k < ANCESTORS; k++) add_input(g, k, node->in[k]);
    add_chain(g, node);
    return false;
}

static bool report_source(const gr_node *source, gr_tensor *x, const gr_node *reader)
{
    gr_graph *g = x->graph;
    const tally t = tally_of(x);
    char name[LINE], place[LINE];
    name_node(source, name);
    gr__fail_at(g, GR_ERR_STATE, source->site,
                "%s: node %u holds %lld NaN and %lld Inf among %lld "
                "elements",
                name, source->id, (long long)t.nans, (long long)t.infs, (long long)t.n);
    blame(source);
    add(g, "\n  read by %s (%s)", reader->op->name,
        gr__site_text(reader->site, place, sizeof place));
    return false;
}

/* A source that is to blame for a NaN which the node has read, if there is one. */
static gr_tensor *spoilt_source(gr_node *node)
{
    for (int i = 0; i < node->n_in; i++) {
        gr_tensor *x = node->in[i];
        if (maker(x)->n_in == 0 && x->data && (unfit_input(x) & HAS_NAN)) return x;
    }
    return NULL;
}

static bool judge(gr_node *node, int i)
{
    gr_tensor *y = &node->out[i];
    const tally t = tally_of(y);
    int before = 0;
    for (int k = 0; k < node->n_in; k++) before |= unfit_input(node->in[k]);
    y->unfit = (uint8_t)unfit(&t);
    if ((t.nans && !(before & HAS_NAN)) || (t.infs && !before))
        return report_node(node, i, &t, !before);
    gr_tensor *source = before & HAS_NAN ? spoilt_source(node) : NULL;
    return !source || report_source(maker(source), source, node);
}

bool gr__anomaly_verdict(gr_node *node)
{
    if (node->op->view) return true;
    for (int i = 0; i < node->n_out; i++)
        if (suspect(node, i) && !judge(node, i)) return false;
    return true;
}

/* The group has run piece by piece, and has only noted who made what is not finite. */
bool gr__anomaly_group(const gr__group *group)
{
    gr_node *failed = NULL;
    int n = 0;
    for (int k = 0; k < group->n; k++)
        if (suspect(group->node[k], 0)) n = k + 1;
    if (!gr__group_show(group, n, &failed)) return gr__run_failed(failed);
    for (int k = 0; k < n; k++)
        if (suspect(group->node[k], 0) && !judge(group->node[k], 0)) return false;
    return true;
}
