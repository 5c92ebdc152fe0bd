/* graph.c - the life of a graph, its errors and the walk over its tape. */
/* SPDX-License-Identifier: MIT */
#include "tape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const gr__layout scalar = {.shape.rank = 0};

gr_tensor gr__nil = {.shape = &scalar.shape, .numel = 1};

/* Returned where even the graph could not be allocated: inert, in error, never freed. */
static gr_graph no_graph = {
    .nil = {.graph = &no_graph, .shape = &scalar.shape, .numel = 1},
    .status = GR_ERR_MEMORY,
    .message = "out of memory: the graph could not be allocated",
};

/* What NULL counts as for calls that ask. */
static gr_graph null_graph = {.status = GR_ERR_ARGUMENT, .message = "the graph is NULL"};

/* --- lifetime --- */

/* Whether a variable of the environment is set, to something else than 0. */
static bool environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value && strcmp(value, "0") != 0;
}

/* Returns an empty graph, to be freed with gr_graph_free; where memory is out, an inert one whose
 * error says so. GRADUS_EAGER=1 in the environment makes it eager, GRADUS_ANOMALY=1 lets it watch
 * for anomalies. */
gr_graph *gr_graph_new(void)
{
    gr_graph *g = gr__calloc(sizeof *g);
    if (!g) return &no_graph;
    g->generation = 1;
    gr__scopes_reset(g);
    g->nil = (gr_tensor){.graph = g, .shape = &scalar.shape, .numel = 1};
    g->eager = environment("GRADUS_EAGER");
    g->anomaly = environment("GRADUS_ANOMALY");
    gr__run_watch(g);
    return g;
}

static void release_assigns(gr_graph *g)
{
    for (int i = 0; i < g->n_assigns; i++) gr_param_release(g->assigns[i].param);
    g->n_assigns = 0;
}

static void release_buffers(gr_graph *g)
{
    for (gr_node *n = g->first; n && g->buffers_held; n = n->next)
        for (int i = 0; i < n->n_out; i++)
            if (n->out[i].buffer) gr__tensor_drop(&n->out[i]);
}

/* A rule or a hook that resets would take the tape away under the running sweep. */
static bool refused(gr_graph *g, const void *site)
{
    if (!g->sweep_from) return false;
    gr__fail_at(g, GR_ERR_STATE, site, "gr_graph_reset: called by a backward rule or a hook");
    return true;
}

static void forget(gr_graph *g)
{
    release_buffers(g);
    release_assigns(g);
    gr__uses_reset(g);
    gr__scratches_close(g);
    gr__arena_reset(&g->nodes);
    gr__arena_reset(&g->tensors);
    g->first = g->last = g->swept = g->params = NULL;
    g->sections = g->section = NULL;
    g->n_nodes = g->n_deferred = g->sweep_from = 0;
    if (++g->generation == 0) g->generation = 1;
    g->status = GR_OK;
    g->site = NULL;
    g->site_depth = g->no_grad_depth = 0;
    g->origin = NULL;
    g->running = g->backward = g->hooked = false;
    gr__scopes_reset(g);
}

/* Forgets every tensor and the error. Memory is kept for the next recording, so that a loop that
 * resets allocates nothing once it has seen its largest step. The seed's stream goes on. Where a
 * scope, a section or a scratch was left open though nothing had failed, the graph is in error, which
 * says so. */
void gr_graph_reset(gr_graph *g)
{
    if (gr__lacks_graph(g, "gr_graph_reset") || refused(g, GR_HERE)) return;
    const bool section = g->section && !g->status, scratch = g->n_scratches && !g->status;
    char open[GR__SCOPE_TEXT];
    const void *site = g->scope->site;
    gr__scope_text(g->status ? NULL : g->scope, open, sizeof open);
    forget(g);
    if (scratch)
        gr__fail_at(g, GR_ERR_STATE, g->scratches[0].site,
                    "gr_graph_reset: a scratch was left open");
    if (*open)
        gr__fail_at(g, GR_ERR_STATE, site, "gr_graph_reset: the scope '%s' was left open", open);
    if (section)
        gr__fail_at(g, GR_ERR_STATE, GR_HERE,
                    "gr_graph_reset: a section of gr_checkpoint_begin was left open");
}

/* Frees the graph and all its tensors; NULL is fine. */
void gr_graph_free(gr_graph *g)
{
    if (!g || g == &no_graph) return;
    forget(g);
    gr__arena_release(&g->nodes);
    gr__arena_release(&g->tensors);
    gr__scratches_release(g);
    gr__pool_release(&g->pool);
    gr__uses_release(g);
    gr__free(g->assigns);
    gr__free(g);
}

void gr_graph_set_eager(gr_graph *g, bool eager)
{
    if (!gr__lacks_graph(g, "gr_graph_set_eager")) g->eager = eager;
}

/* Random ops recorded from here on draw from streams 0, 1, 2, ... of this seed. */
void gr_graph_seed(gr_graph *g, uint64_t seed)
{
    if (gr__lacks_graph(g, "gr_graph_seed")) return;
    g->seed = seed;
    g->stream = 0;
}

/* A number that differs for each call and is the same in each run. */
uint64_t gr_next_seed(gr_graph *g)
{
    if (!g || g == &no_graph) return 0;
    return gr__hash_join(gr__hash64(g->seed + 1), g->stream++);
}

/* What the graph holds; parameters and their gradients are not its own. The peak is that of all
 * steps since gr_graph_new: what training takes at one time for activations and cotangents. */
gr_memory gr_graph_memory(const gr_graph *g)
{
    if (!g) return (gr_memory){0};
    return (gr_memory){.values = g->pool.bytes_live,
                       .peak = g->pool.bytes_peak,
                       .tape = gr__arena_bytes(&g->nodes) + gr__arena_bytes(&g->tensors)};
}

/* --- errors --- */

static gr_tensor *fail_with(gr_graph *g, gr_status status, const void *site, const char *format,
                            va_list args)
{
    char message[sizeof g->message];
    vsnprintf(message, sizeof message, format, args);
    gr__fail(status, "%s", message);
    if (!g) return &gr__nil;
    if (!g->status) {
        memcpy(g->message, message, sizeof message);
        g->status = status;
        g->details[0] = 0;
        g->error_site = g->site ? g->site : site;
        gr__scope_text(g->origin ? gr__scope_of(g->origin) : g->scope, g->error_scope,
                       sizeof g->error_scope);
    }
    return &g->nil;
}

gr_tensor *gr__fail_at(gr_graph *g, gr_status status, const void *site, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    gr_tensor *nil = fail_with(g, status, site, format, args);
    va_end(args);
    return nil;
}

/* For ops and layers written outside the library: sets the sticky error of g (the first one wins;
 * g may be NULL) and returns the inert tensor, so that `return gr_fail(...)` works. */
gr_tensor *gr_fail(gr_graph *g, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    gr_tensor *nil = fail_with(g, GR_ERR_ARGUMENT, GR_HERE, format, args);
    va_end(args);
    return nil;
}

gr_status gr_graph_status(const gr_graph *g)
{
    return g ? g->status : null_graph.status;
}

/* NULL while all went well; else the first failure since the reset, with the place in the user's
 * program where the op was recorded and the scopes around it. The text lives until the next call or reset. */
const char *gr_graph_error(gr_graph *g)
{
    if (!g) return null_graph.message;
    if (!g->status) return NULL;
    char place[160];
    bool located = g->error_site != NULL, scoped = *g->error_scope != 0;
    if (!located && !scoped) return g->message;
    snprintf(g->text, sizeof g->text, "%s (%s%s%s%s%s)%s", g->message, located ? "at " : "",
             located ? gr__site_text(g->error_site, place, sizeof place) : "",
             located && scoped ? ", " : "", scoped ? "in " : "", g->error_scope, g->details);
    return g->text;
}

/* --- looking --- */

/* NULL is taken for the inert tensor: float32, rank 0. */
gr_graph *gr_graph_of(const gr_tensor *t)
{
    return t ? t->graph : NULL;
}

gr_dtype gr_dtype_of(const gr_tensor *t)
{
    return t ? (gr_dtype)t->dtype : GR_F32;
}

const gr_shape *gr_shape_of(const gr_tensor *t)
{
    return t && !(t->graph && gr__is_stale(t)) ? t->shape : &scalar.shape;
}

int64_t gr_numel(const gr_tensor *t)
{
    return gr_shape_numel(gr_shape_of(t));
}

const gr_node *gr_node_first(const gr_graph *g)
{
    return g ? g->first : NULL;
}

const gr_node *gr_node_next(const gr_node *node)
{
    return node ? node->next : NULL;
}

const gr_node *gr_node_of(const gr_tensor *t)
{
    return gr__is_nil(t) || gr__is_stale(t) ? NULL : t->node;
}

int64_t gr_node_id(const gr_node *node)
{
    return node ? (int64_t)node->id : -1;
}

const gr_op *gr_node_op(const gr_node *node)
{
    return node ? node->op : NULL;
}

const void *gr_node_attrs(const gr_node *node)
{
    return node ? node->attrs : NULL;
}

int gr_node_inputs(const gr_node *node)
{
    return node ? node->n_in : 0;
}

int gr_node_outputs(const gr_node *node)
{
    return node ? node->n_out : 0;
}

gr_tensor *gr_node_input(const gr_node *node, int i)
{
    return i >= 0 && i < gr_node_inputs(node) ? node->in[i] : &gr__nil;
}

gr_tensor *gr_node_output(const gr_node *node, int i)
{
    return i >= 0 && i < gr_node_outputs(node) ? &node->out[i] : &gr__nil;
}

gr_param *gr_node_param(const gr_node *node)
{
    return node && node->op == &gr__leaf_op ? ((const gr__leaf_attrs *)node->attrs)->param : NULL;
}

bool gr_node_is_backward(const gr_node *node)
{
    return node && node->flags & GR__BACKWARD;
}

unsigned gr_node_flags(const gr_node *node)
{
    if (!node) return 0;
    const gr_tensor *y = &node->out[0];
    unsigned flags = 0;
    if (node->flags & GR__BACKWARD) flags |= GR_NODE_BACKWARD;
    if (node->flags & GR__NO_GRAD) flags |= GR_NODE_NO_GRAD;
    if (y->flags & GR__GRAD) flags |= GR_NODE_GRADIENT;
    if (y->data) flags |= GR_NODE_COMPUTED;
    if (y->flags & (GR__KEEP | GR__LITTLE)) flags |= GR_NODE_KEPT;
    if (y->flags & GR__SAVED) flags |= GR_NODE_SAVED;
    return flags;
}

const char *gr_node_site(const gr_node *node, char *text, size_t size)
{
    return text ? gr__site_text(node ? node->site : NULL, text, size) : "";
}

void gr_graph_observe(gr_graph *g, gr_observer *observer, void *user)
{
    if (gr__lacks_graph(g, "gr_graph_observe")) return;
    g->observer = observer;
    g->observer_user = user;
    gr__run_watch(g);
}
