/* recorded.c - evaluating a recorded function at a point, again and again.
 *
 * Each evaluation resets one graph, makes leaves of x, seeds the random ops alike and records the
 * function anew. The signature of its kinks is gathered by an observer while the graph is eager, so
 * in recording order.
 */
/* SPDX-License-Identifier: MIT */
#include "trace.h"

#include <gradus/ops.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* --- faults --- */

static bool fault(gr__recorded *r, const char *stage, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(r->f.fault, sizeof r->f.fault, format, args);
    va_end(args);
    r->f.fault_stage = stage;
    return false;
}

static bool graph_fine(gr__recorded *r)
{
    const char *error = gr_graph_error(r->graph);
    bool caught = r->guarded && gr_graph_status(r->graph) == GR_ERR_STATE;
    return error ? fault(r, caught ? "S0e" : "S0", "%s", error) : true;
}

static bool out_of_memory(gr__recorded *r)
{
    return fault(r, "S0", "out of memory");
}

/* --- kinks --- */

static bool is_float(gr_dtype dtype)
{
    return dtype == GR_F32 || dtype == GR_F64;
}

/* What is not a float is a step function of what is: its values are its branch. */
static void add_values(const gr_value *v, gr_branch *b)
{
    const uint8_t *bytes = v->data;
    size_t n = (size_t)gr_shape_numel(v->shape) * gr_dtype_size(v->dtype);
    for (size_t i = 0; i < n; i++) gr_branch_add(b, bytes[i], INFINITY);
}

static void observe(void *user, const gr_node *node, const gr_exec *e)
{
    gr__recorded *r = user;
    const gr_op *op = gr_node_op(node);
    bool from_floats = false;
    if (!r->observing) return;
    r->computed += !op->view;
    r->in_c |= !op->vjp && op->backward[GR_F64];
    if (op->branch) {
        gr_branch b = {0, INFINITY};
        op->branch(e, &b);
        gr_branch_add(&r->side, b.hash, b.gap);
        gr__note_side(r, node, b.hash);
        return;
    }
    for (int i = 0; i < e->n_in; i++) from_floats |= is_float(e->in[i].dtype);
    for (int i = 0; from_floats && i < e->n_out; i++)
        if (!is_float(e->out[i].dtype)) add_values(&e->out[i], &r->side);
}

/* --- leaves --- */

static gr_tensor *leaf_of(gr__recorded *r, gr_dtype dtype, const gr_shape *shape, const double *x)
{
    gr_graph *g = r->graph;
    int64_t n = gr_shape_numel(shape);
    if (dtype == GR_F64) return gr_from_data(g, dtype, *shape, x);
    float *narrow = gr__alloc((size_t)n * sizeof *narrow + 1);
    if (!narrow) return gr_fail(g, "out of memory");
    for (int64_t i = 0; i < n; i++) narrow[i] = (float)x[i];
    gr_tensor *t = gr_from_data(g, dtype, *shape, narrow);
    gr__free(narrow);
    return t;
}

static void make_leaves(gr__recorded *r, const double *x)
{
    int active = 0;
    for (int i = 0; i < r->n_slots; i++) {
        const gr__slot *s = &r->slots[i];
        r->x[i] = s->first < 0 ? gr_from_data(r->graph, s->dtype, s->shape, s->data)
                               : leaf_of(r, r->real, &s->shape, x + s->first);
        if (s->first >= 0) r->active[active++] = r->x[i];
    }
}

/* --- recording --- */

static bool usable_outputs(gr__recorded *r, gr_tensor *const *y, int n)
{
    if (!graph_fine(r)) return false;
    for (int i = 0; i < n; i++) {
        if (!y[i]) return fault(r, "S0", "the function returned NULL");
        if (gr_graph_of(y[i]) != r->graph || !gr_node_of(y[i]))
            return fault(r, "S0", "the function returned a tensor that is not of its graph");
        if (!is_float(gr_dtype_of(y[i])))
            return fault(r, "S0",
                         "the function's result is %s; only float32 and float64 have derivatives",
                         gr_dtype_name(gr_dtype_of(y[i])));
    }
    return true;
}

static bool same_outputs(gr__recorded *r)
{
    for (int i = 0; i < r->n_out; i++)
        if (gr_numel(r->y[i]) != r->sizes[i])
            return fault(r, "S0a", "output %d has %lld elements now and had %lld before", i,
                         (long long)gr_numel(r->y[i]), (long long)r->sizes[i]);
    return true;
}

/* y[] and their number; at order 2 what the recipe gave is differentiated once. */
static int record_outputs(gr__recorded *r, gr_tensor **y)
{
    gr_graph_seed(r->graph, r->seed);
    if (r->order == 1) return r->recipe(r->graph, r->x, y, r->user);
    gr_tensor *first[GR_MAX_OUTPUTS];
    int n_first = r->recipe(r->graph, r->x, first, r->user), n_x = r->n_active - n_first;
    if (!usable_outputs(r, first, n_first)) return 0;
    gr_vjp(first, r->x + r->n_in, n_first, r->active, n_x, y);
    return n_x;
}

static bool begin(gr__recorded *r, const double *x)
{
    gr_graph *g = r->graph;
    gr_graph_reset(g);
    gr_graph_set_eager(g, r->eager);
    gr_graph_set_guarded(g, r->guarded);
    gr_graph_observe(g, r->eager ? observe : NULL, r);
    r->side = (gr_branch){0, INFINITY};
    r->computed = 0;
    r->f.evaluations++;
    make_leaves(r, x);
    r->observing = true;
    int n = record_outputs(r, r->y);
    r->observing = false;
    if (r->f.fault[0] || !usable_outputs(r, r->y, n)) return false;
    if (r->n_out >= 0 && n != r->n_out)
        return fault(r, "S0a", "the function gave %d outputs now and %d before", n, r->n_out);
    return r->n_out < 0 ? (r->n_out = n, true) : same_outputs(r);
}

/* --- reading --- */

static bool read_tensor(gr__recorded *r, gr_tensor *t, double *out)
{
    const void *data = gr_data(t);
    if (!graph_fine(r)) return false;
    int64_t n = gr_numel(t);
    if (gr_dtype_of(t) == GR_F64) {
        if (n) memcpy(out, data, (size_t)n * sizeof *out);
        return true;
    }
    for (int64_t i = 0; i < n; i++) out[i] = (double)((const float *)data)[i];
    return true;
}

static bool eval(gr__function *f, const double *x, double *y, gr_branch *side)
{
    gr__recorded *r = (gr__recorded *)f;
    if (!begin(r, x)) return false;
    for (int i = 0; i < r->n_out; i++) {
        if (!read_tensor(r, r->y[i], y)) return false;
        y += r->sizes[i];
    }
    if (side) *side = r->side;
    return true;
}

/* --- derivatives --- */

/* Leaves that hold v, one per output. */
static void seed_outputs(gr__recorded *r, gr_tensor *const *y, const double *v, gr_tensor **seeds)
{
    for (int i = 0; i < r->n_out; i++) {
        seeds[i] = leaf_of(r, gr_dtype_of(y[i]), gr_shape_of(y[i]), v);
        v += r->sizes[i];
    }
}

/* dx of n outputs y with cotangents `seeds`. */
static bool pull_back(gr__recorded *r, gr_tensor *const *y, gr_tensor *const *seeds, int n,
                      double *dx)
{
    if (r->n_active == 0) return true;
    if (n == 0) {
        memset(dx, 0, (size_t)r->f.n_x * sizeof *dx);
        return true;
    }
    if (gr_vjp(y, seeds, n, r->active, r->n_active, r->dx)) return graph_fine(r);
    for (int i = 0; i < r->n_active; i++)
        if (!read_tensor(r, r->dx[i], dx + r->f.parts[i].first)) return false;
    return true;
}

static bool vjp(gr__function *f, const double *x, const double *v, double *dx)
{
    gr__recorded *r = (gr__recorded *)f;
    if (!begin(r, x)) return false;
    seed_outputs(r, r->y, v, r->seeds);
    return pull_back(r, r->y, r->seeds, r->n_out, dx);
}

bool gr__recorded_jvp(gr__recorded *r, const double *dx, double *dy)
{
    if (!begin(r, r->f.x)) return false;
    for (int i = 0; i < r->n_active; i++)
        r->seeds[i] = leaf_of(r, r->real, gr_shape_of(r->active[i]), dx + r->f.parts[i].first);
    if (gr_jvp(r->y, r->n_out, r->active, r->seeds, r->n_active, r->all)) return graph_fine(r);
    for (int i = 0; i < r->n_out; i++) {
        if (!read_tensor(r, r->all[i], dy)) return false;
        dy += r->sizes[i];
    }
    return true;
}

bool gr__recorded_vjp_of(gr__recorded *r, const double *v, uint64_t given, double *dx)
{
    int n = 0;
    if (!begin(r, r->f.x)) return false;
    seed_outputs(r, r->y, v, r->seeds);
    for (int i = 0; i < r->n_out; i++) {
        if (!(given >> i & 1)) continue;
        r->all[n] = r->y[i];
        r->seeds[n++] = r->seeds[i];
    }
    return pull_back(r, r->all, r->seeds, n, dx);
}

bool gr__recorded_vjp_shared(gr__recorded *r, const double *v1, const double *v2, const double *w,
                             double *dx)
{
    const int n = r->n_out, n_x = r->n_active;
    if (!begin(r, r->f.x)) return false;
    memcpy(r->all, r->y, (size_t)n * sizeof *r->y);
    int again = record_outputs(r, r->all + n);
    if (r->f.fault[0] || !usable_outputs(r, r->all + n, again)) return false;
    if (again != n)
        return fault(r, "S0a", "the function gave %d outputs now and %d before", again, n);
    seed_outputs(r, r->y, v1, r->seeds);
    seed_outputs(r, r->y, v2, r->seeds + n);
    for (int i = 0; i < n_x;
         i++) { /* recorded last, so that x has a cotangent when f adds its own */
        r->all[2 * n + i] = gr_scale(r->active[i], 1);
        r->seeds[2 * n + i] = leaf_of(r, r->real, gr_shape_of(r->active[i]),
                                      w + r->f.parts[i].first);
    }
    return graph_fine(r) && pull_back(r, r->all, r->seeds, 2 * n + n_x, dx);
}

/* --- life --- */

static double to_double(const gr__input *in, int64_t i)
{
    return in->dtype == GR_F32 ? (double)((const float *)in->data)[i]
                               : ((const double *)in->data)[i];
}

static bool add_part(gr__recorded *r, const char *name, const gr_shape *shape)
{
    gr__part *part = &r->f.parts[r->f.n_parts++];
    snprintf(part->name, sizeof part->name, "%s", name);
    part->first = r->f.n_x;
    part->shape = *shape;
    part->n = gr_shape_numel(shape);
    r->f.n_x += part->n;
    r->n_active++;
    return true;
}

static bool is_active(const gr__input *in)
{
    return is_float(in->dtype) && !in->fixed;
}

/* Room for n inputs, and as many as GR_MAX_OUTPUTS cotangents at order 2. */
static bool make_room(gr__recorded *r, int n)
{
    const size_t slots = (size_t)n + GR_MAX_OUTPUTS, outputs = slots, pointer = sizeof(gr_tensor *);
    gr__arena *a = &r->f.arena;
    r->slots = gr__arena_alloc(a, slots * sizeof *r->slots);
    r->f.parts = gr__arena_alloc(a, slots * sizeof *r->f.parts);
    r->sizes = gr__arena_alloc(a, outputs * sizeof *r->sizes);
    r->x = gr__arena_alloc(a, slots * pointer);
    r->active = gr__arena_alloc(a, slots * pointer);
    r->dx = gr__arena_alloc(a, slots * pointer);
    r->y = gr__arena_alloc(a, outputs * pointer);
    r->all = gr__arena_alloc(a, 3 * outputs * pointer);
    r->seeds = gr__arena_alloc(a, 3 * outputs * pointer);
    return r->slots && r->f.parts && r->sizes && r->x && r->active && r->dx && r->y && r->all &&
           r->seeds;
}

static bool valid_input(gr__recorded *r, const gr__input *in, int i)
{
    char text[GR_SHAPE_TEXT];
    if (!gr__shape_valid(&in->shape) || (unsigned)in->dtype >= GR_DTYPES)
        return fault(r, "S0", "input %d: %s of %s is not a usable shape", i,
                     gr_shape_text(&in->shape, text), gr_dtype_name(in->dtype));
    if (!in->data && gr_shape_numel(&in->shape) > 0)
        return fault(r, "S0", "input %d: its data is NULL", i);
    return true;
}

static bool take_input(gr__recorded *r, const gr__input *in, int i)
{
    char numbered[32];
    int64_t n = gr_shape_numel(&in->shape);
    gr__slot *s = &r->slots[r->n_slots++];
    *s = (gr__slot){in->dtype, in->shape, in->data, -1};
    if (!is_active(in)) {
        if (!is_float(in->dtype) || in->dtype == GR_F64) return true;
        double *wide = gr__doubles(&r->f, n);
        if (!wide) return out_of_memory(r);
        for (int64_t k = 0; k < n; k++) wide[k] = to_double(in, k);
        s->dtype = GR_F64;
        s->data = wide;
        return true;
    }
    s->dtype = GR_F64;
    s->first = r->f.n_x;
    snprintf(numbered, sizeof numbered, "input %d", i);
    return add_part(r, in->name && in->name[0] ? in->name : numbered, &in->shape);
}

static bool learn_outputs(gr__recorded *r)
{
    r->n_out = -1;
    if (!begin(r, r->f.x)) return false;
    r->f.one_op = r->computed == 1;
    r->f.n_y = 0;
    for (int i = 0; i < r->n_out; i++) r->f.n_y += r->sizes[i] = gr_numel(r->y[i]);
    return true;
}

bool gr__recorded_init(gr__recorded *r, const gr__input *in, int n, gr__recipe *recipe, void *user,
                       uint64_t seed)
{
    *r = (gr__recorded){.f = {.eval = eval,
                              .vjp = vjp,
                              .trace = gr__recorded_trace,
                              .blame_kink = gr__recorded_blame_kink},
                        .recipe = recipe,
                        .user = user,
                        .seed = seed,
                        .order = 1,
                        .real = GR_F64,
                        .eager = true,
                        .guarded = true,
                        .n_in = n};
    r->graph = gr_graph_new();
    if (!make_room(r, n)) return out_of_memory(r);
    for (int i = 0; i < n; i++)
        if (!valid_input(r, &in[i], i) || !take_input(r, &in[i], i)) return false;
    r->f.x = gr__doubles(&r->f, r->f.n_x);
    if (!r->f.x) return out_of_memory(r);
    for (int i = 0; i < n; i++)
        for (int64_t k = 0; r->slots[i].first >= 0 && k < gr_shape_numel(&in[i].shape); k++)
            r->f.x[r->slots[i].first + k] = to_double(&in[i], k);
    return learn_outputs(r);
}

void gr__recorded_release(gr__recorded *r)
{
    gr_graph_free(r->graph);
    gr__arena_release(&r->f.arena);
}

/* How large numbers of the gradient are, by Euler's theorem for homogeneous functions: where the
 * gradient vanishes its rounding does not. */
static double gradient_size(gr__recorded *r, const double *y, const double *w)
{
    double values = 0, inputs = 1e-3;
    for (int64_t i = 0; i < r->f.n_y; i++) values += fabs(w[i]) * fmax(fabs(y[i]), r->f.floor);
    for (int64_t i = 0; i < r->f.n_x; i++) inputs += isfinite(r->f.x[i]) ? fabs(r->f.x[i]) : 0;
    return isfinite(values) ? values / inputs : 0;
}

/* Turns y = f(x) into dx = vjp(x, w), a function of both, at a random w. */
bool gr__recorded_raise(gr__recorded *r)
{
    gr__function *f = &r->f;
    const int64_t n_x = f->n_x, n_y = f->n_y;
    double *x = gr__doubles(f, n_x + n_y), *y = gr__doubles(f, n_y), *w = x + n_x;
    if (!x || !y) return out_of_memory(r);
    if (!eval(f, f->x, y, NULL)) return false;
    memcpy(x, f->x, (size_t)n_x * sizeof *x);
    gr__draw_signs(gr__hash_join(r->seed, 0x77), w, n_y);
    f->floor = gradient_size(r, y, w);
    for (int i = 0; i < r->n_out; i++) {
        char name[64];
        snprintf(name, sizeof name, "cotangent %d", i);
        r->slots[r->n_slots++] = (gr__slot){GR_F64, *gr_shape_of(r->y[i]), NULL, f->n_x};
        add_part(r, name, gr_shape_of(r->y[i]));
    }
    f->x = x;
    r->order = 2;
    return learn_outputs(r);
}
