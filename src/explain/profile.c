/* profile.c - counting what graphs compute, by op and by scope. */
/* SPDX-License-Identifier: MIT */
#include "profile.h"

#include <math.h>
#include <string.h>

enum { EVENTS = 65536, SCOPE_TEXT = 256 };

/* Stands in where memory was out; every call takes it, none changes it. */
static gr_profile no_profile = {.failed = true};

/* --- rows --- */

static uint64_t hash_of(const char *name, bool backward)
{
    uint64_t h = backward;
    for (; *name; name++) h = gr__hash_join(h, (unsigned char)*name);
    return h;
}

static bool is(const gr_profile_row *r, const char *name, bool backward)
{
    return r->backward == backward && !strcmp(r->name, name);
}

/* The place in the index where this row is, or where it belongs. */
static int *slot_of(const gr__tally *t, const char *name, bool backward)
{
    uint64_t mask = (uint64_t)t->cap_index - 1;
    for (uint64_t i = hash_of(name, backward) & mask;; i = (i + 1) & mask)
        if (t->index[i] < 0 || is(&t->rows[t->index[i]], name, backward)) return &t->index[i];
}

/* Room for one more row, the index at most half full. */
static bool reserve(gr__tally *t)
{
    if (t->n < t->cap) return true;
    int cap = t->cap ? 2 * t->cap : 64;
    gr_profile_row *rows = gr__grow(t->rows, (size_t)t->n * sizeof *rows,
                                    (size_t)cap * sizeof *rows);
    if (rows) t->rows = rows;
    int *index = rows ? gr__alloc(2 * (size_t)cap * sizeof *index) : NULL;
    if (!index) return false;
    memset(index, -1, 2 * (size_t)cap * sizeof *index);
    gr__free(t->index);
    t->index = index;
    t->cap = cap;
    t->cap_index = 2 * cap;
    for (int i = 0; i < t->n; i++) *slot_of(t, t->rows[i].name, t->rows[i].backward) = i;
    return true;
}

/* The row's number; -1: memory is out. */
static int row_of(gr_profile *p, gr__tally *t, const char *name, bool backward)
{
    if (!reserve(t)) return -1;
    int *slot = slot_of(t, name, backward);
    if (*slot >= 0) return *slot;
    size_t n = strlen(name) + 1;
    char *copy = gr__arena_alloc(&p->names, n);
    if (!copy) return -1;
    memcpy(copy, name, n);
    t->rows[t->n] = (gr_profile_row){.name = copy, .backward = backward};
    return *slot = t->n++;
}

/* The same of a scope; those around it get rows too, for what is inside them. */
static int scope_row(gr_profile *p, char *path, bool backward)
{
    int known = p->scopes.n, row = row_of(p, &p->scopes, path, backward);
    if (p->scopes.n == known) return row;
    for (char *end = strrchr(path, '/'); end && row >= 0; end = strrchr(path, '/')) {
        *end = 0;
        if (row_of(p, &p->scopes, path, backward) < 0) return -1;
    }
    return row;
}

static void add(gr_profile_row *sum, const gr_profile_row *r)
{
    sum->calls += r->calls;
    sum->seconds += r->seconds;
    sum->read += r->read;
    sum->written += r->written;
    sum->flops += r->flops;
    if (r->peak > sum->peak) sum->peak = r->peak;
}

/* --- a node --- */

static gr__event *next_event(gr_profile *p)
{
    if (p->n_events == p->most_events) return NULL;
    if (p->n_events == p->cap_events) {
        int64_t cap = p->cap_events ? 2 * p->cap_events : 1024;
        gr__event *events = gr__grow(p->events, (size_t)p->n_events * sizeof *events,
                                     (size_t)cap * sizeof *events);
        if (!events) p->failed = true;
        if (!events) return NULL;
        p->events = events;
        p->cap_events = cap;
    }
    return &p->events[p->n_events++];
}

static void keep_event(gr_profile *p, const gr_node *node, const gr_run *run, int op, int scope)
{
    gr__event *e = next_event(p);
    if (!e) return;
    *e = (gr__event){.begun = run->begun, .ended = run->ended, .peak = run->peak, .op = op};
    e->node = gr_node_id(node);
    e->shape = *gr_shape_of(gr_node_output(node, 0));
    e->scope = scope;
}

static void count(void *user, const gr_node *node, const gr_run *run)
{
    gr_profile *p = user;
    char path[SCOPE_TEXT];
    bool backward = gr_node_is_backward(node);
    double flops = gr_node_flops(node);
    int op = row_of(p, &p->ops, gr_node_op(node)->name, backward);
    gr_node_scope(node, path, sizeof path);
    int scope = scope_row(p, path, backward);
    if (op < 0 || scope < 0) {
        p->failed = true;
        return;
    }
    const gr_profile_row r = {.calls = 1,
                              .seconds = 1e-9 * (double)(run->ended - run->begun),
                              .read = run->read,
                              .written = run->written,
                              .flops = isnan(flops) ? 0 : flops,
                              .peak = run->peak};
    add(&p->ops.rows[op], &r);
    add(&p->scopes.rows[scope], &r);
    if (!p->total.calls) p->begun = run->begun;
    p->ended = run->ended;
    add(&p->total, &r);
    keep_event(p, node, run, op, scope);
}

/* --- lifetime --- */

/* An empty profile, to be freed with gr_profile_free; inert where memory is out: it counts nothing,
 * and gr_profile_write says so. */
gr_profile *gr_profile_new(gr_profile_options o)
{
    gr_profile *p = gr__calloc(sizeof *p);
    if (!p) return &no_profile;
    p->most_events = o.events > 0 ? o.events : o.events < 0 ? 0 : EVENTS;
    return p;
}

static void release_tally(gr__tally *t)
{
    gr__free(t->rows);
    gr__free(t->index);
}

/* Forgets all that was counted; graphs stay attached. */
void gr_profile_reset(gr_profile *p)
{
    if (gr__need("gr_profile_reset", p, "profile") || p == &no_profile) return;
    release_tally(&p->ops);
    release_tally(&p->scopes);
    gr__arena_release(&p->names);
    gr__free(p->events);
    *p = (gr_profile){.most_events = p->most_events};
}

void gr_profile_free(gr_profile *p)
{
    if (!p || p == &no_profile) return;
    gr_profile_reset(p);
    gr__free(p);
}

/* From here on p counts each node that g computes, forwards and backwards, with the time and the
 * memory that it takes. Several graphs of one thread may share a profile. p stays the caller's and
 * must outlive its use by g: detach with NULL, or free g first. Takes the place of a tracer. */
void gr_graph_profile(gr_graph *g, gr_profile *p)
{
    bool counts = p && p != &no_profile;
    gr_graph_trace(g, counts ? count : NULL, p);
}

/* --- asking: NULL counts as a profile that has seen nothing --- */

static const gr_profile *or_inert(const gr_profile *p)
{
    return p ? p : &no_profile;
}

static const gr_profile_row *rows_of(const gr__tally *t, int *n)
{
    if (n) *n = t->n;
    return t->rows;
}

const gr_profile_row *gr_profile_ops(const gr_profile *p, int *n)
{
    return rows_of(&or_inert(p)->ops, n);
}

const gr_profile_row *gr_profile_scopes(const gr_profile *p, int *n)
{
    return rows_of(&or_inert(p)->scopes, n);
}

/* The sum over all nodes; its name is NULL. */
gr_profile_row gr_profile_total(const gr_profile *p)
{
    return or_inert(p)->total;
}

/* From the beginning of the first node to the end of the last: what is not in ops is recording,
 * planning, updates of parameters, and the caller's own work. */
double gr_profile_seconds(const gr_profile *p)
{
    p = or_inert(p);
    return 1e-9 * (double)(p->ended - p->begun);
}

gr_profile_row gr__profile_inclusive(const gr_profile *p, const gr_profile_row *scope)
{
    gr_profile_row sum = {.name = scope->name, .backward = scope->backward};
    size_t n = strlen(scope->name);
    for (int i = 0; i < p->scopes.n; i++) {
        const gr_profile_row *r = &p->scopes.rows[i];
        bool inside = !strncmp(r->name, scope->name, n) &&
                      (!r->name[n] || (n && r->name[n] == '/'));
        if (inside && r->backward == scope->backward) add(&sum, r);
    }
    return sum;
}
