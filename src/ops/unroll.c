/* unroll.c - what the recurrent families share: checks, derivatives by parts, stacks of layers. */
/* SPDX-License-Identifier: MIT */
#include "unroll.h"

#include <string.h>

enum { INPUTS = GR_SAMPLE_INPUTS, MOST_LAYERS = 1 << 16 };

/* --- attributes --- */

static const char *const nonlinearities[] = {"tanh", "relu", NULL};

const gr_field gr__nonlinearity_fields[] = {
    GR_FIELD_NAMED(gr__recurrent_attrs, nonlinearity, nonlinearities),
    {0},
};

const gr_field gr__rnn_fields[] = {
    GR_FIELD_NAMED(gr__recurrent_attrs, nonlinearity, nonlinearities),
    GR_FIELD(gr__recurrent_attrs, reverse, GR_FIELD_BOOL),
    {0},
};

const gr_field gr__direction_fields[] = {
    GR_FIELD(gr__recurrent_attrs, reverse, GR_FIELD_BOOL),
    {0},
};

/* --- shape rules --- */

bool gr__expect_input(gr_infer *c, int i, const char *what, gr_shape shape)
{
    char text[GR_SHAPE_TEXT];
    gr_dtype dtype = gr_dtype_of(c->in[i]), real = gr_dtype_of(c->in[0]);
    if (dtype != real)
        return gr_infer_fail(c, "%s is %s, expected %s", what, gr_dtype_name(dtype),
                             gr_dtype_name(real));
    if (gr_shape_equal(gr_shape_of(c->in[i]), &shape)) return true;
    return gr_infer_fail(c, "expected %s of %s, got %s", what, gr_shape_text(&shape, text),
                         gr_infer_shape(c, i));
}

static bool lengths_fit(gr_infer *c, int i, int64_t batch)
{
    char text[GR_SHAPE_TEXT];
    gr_shape want = GR_SHAPE(batch);
    if (!gr__infer_index(c, i, "lengths")) return false;
    if (gr_shape_equal(gr_shape_of(c->in[i]), &want)) return true;
    return gr_infer_fail(c, "expected lengths of %s, got %s", gr_shape_text(&want, text),
                         gr_infer_shape(c, i));
}

bool gr__sequence_infer(gr_infer *c, const char *what, int width, int gates, int required,
                        gr__sizes *s)
{
    gr_shape first = *gr_shape_of(c->in[0]), w = *gr_shape_of(c->in[1]);
    int64_t hidden = w.rank == 2 ? w.dim[1] : -1;
    if (first.rank != 3)
        return gr_infer_fail(c, "expected %s, got %s", what, gr_infer_shape(c, 0));
    if (hidden < 0 || hidden > INT32_MAX / 8 || w.dim[0] != gates * hidden)
        return gr_infer_fail(c, "expected w_hh of [%d H,H], got %s", gates, gr_infer_shape(c, 1));
    if (first.dim[1] > INT32_MAX) return gr_infer_fail(c, "a size is above 2^31");
    *s = (gr__sizes){first.dim[0], first.dim[1], hidden};
    return gr__expect_input(c, 0, what, GR_SHAPE(s->steps, s->batch, width * hidden)) &&
           gr__expect_input(c, 1, "w_hh", w) &&
           (c->n_in == required || lengths_fit(c, required, s->batch));
}

/* --- kernels --- */

static gr_status take_scratch(gr_exec *e, gr__recurrence *r)
{
    size_t gates = (size_t)(r->batch * r->gates * r->hidden) * gr_dtype_size(r->dtype);
    r->s = gr_exec_scratch(e, gates + 1);
    r->packed = gr_exec_scratch(e, gr__recurrence_packed(r) + 1);
    return r->s && r->packed ? GR_OK : GR_ERR_MEMORY;
}

gr_status gr__sequence_of(gr_exec *e, int required, gr__recurrence *r)
{
    const gr_shape *x = e->in[0].shape, *w = e->in[1].shape;
    const gr__recurrent_attrs *a = e->attrs;
    *r = (gr__recurrence){
        .dtype = e->in[0].dtype,
        .steps = x->dim[0],
        .batch = x->dim[1],
        .hidden = w->dim[1],
        .gates = w->dim[1] ? (int)(w->dim[0] / w->dim[1]) : 0,
        .reverse = a->reverse,
        .relu = a->nonlinearity == GR_RNN_RELU,
        .w = e->in[1].data,
    };
    if (e->n_in == required) return take_scratch(e, r);
    r->lengths = e->in[required].data;
    gr_status status = gr__check_index(e, required, "lengths", r->steps + 1);
    return status ? status : take_scratch(e, r);
}

double gr__sequence_flops(const gr_exec *e)
{
    const gr_shape *first = e->in[0].shape;
    double rows = (double)first->dim[0] * (double)first->dim[1];
    return 2 * rows * (double)gr_shape_numel(e->in[1].shape);
}

void gr__copy_value(const gr_value *from, gr_value *to)
{
    memcpy(to->data, from->data, (size_t)gr_shape_numel(to->shape) * gr_dtype_size(to->dtype));
}

/* --- derivatives by parts --- */

gr_tensor *gr__cotangent(const gr_pullback *p, int i)
{
    if (p->dy[i]) return p->dy[i];
    return gr_zeros(p->graph, gr_dtype_of(p->y[i]), *gr_shape_of(p->y[i]));
}

/* Another tensor with the same values, to differentiate by. */
static gr_tensor *stand_in(gr_tensor *x)
{
    return gr_slice(x, 0, 0, gr_shape_of(x)->dim[0], 1);
}

/* Within gr_backward nothing is recorded for a further derivative; what is differentiated here has
 * to be. */
void gr__vjp_by_parts(gr_pullback *p, gr__parts *parts, int from)
{
    gr_tensor *x[INPUTS], *wanted[INPUTS], *dx[INPUTS];
    gr_tensor *all[GR_MAX_OUTPUTS], *y[GR_MAX_OUTPUTS], *dy[GR_MAX_OUTPUTS];
    int n_wanted = 0, n_y = 0, place[INPUTS], no_grad_depth = p->graph->no_grad_depth;
    p->graph->no_grad_depth = 0;
    for (int i = 0; i < p->n_in; i++) {
        x[i] = p->wants[i] ? stand_in(p->x[i]) : p->x[i];
        if (!p->wants[i]) continue;
        place[n_wanted] = i;
        wanted[n_wanted++] = x[i];
    }
    parts(x, p->n_in, p->attrs, all);
    for (int i = from; i < p->n_out; i++) {
        if (!p->dy[i]) continue;
        y[n_y] = all[i];
        dy[n_y++] = p->dy[i];
    }
    gr_vjp(y, dy, n_y, wanted, n_wanted, dx);
    for (int i = 0; i < n_wanted; i++) {
        gr_tensor *fast = p->dx[place[i]];
        p->dx[place[i]] = fast ? gr_add(fast, dx[i]) : dx[i];
    }
    p->graph->no_grad_depth = no_grad_depth;
}

/* --- step by step --- */

gr_tensor *gr__piece(gr_tensor *x, int64_t first, int64_t width)
{
    return gr_slice(x, -1, first, first + width, 1);
}

gr_tensor *gr__step(gr_tensor *x, int64_t t)
{
    gr_shape s = *gr_shape_of(x);
    return gr_reshape(gr_slice(x, 0, t, t + 1, 1), GR_SHAPE(s.dim[1], s.dim[2]));
}

/* The steps 0, 1, ... against the lengths: bool [T,N,1]. */
static gr_tensor *active_rows(gr_graph *g, gr_tensor *lengths, int64_t steps, int64_t batch)
{
    int64_t *t = gr__arena_alloc(&g->nodes, (size_t)steps * sizeof *t + 1);
    if (!t) return gr__fail_at(g, GR_ERR_MEMORY, GR_HERE, "out of memory while unrolling");
    for (int64_t i = 0; i < steps; i++) t[i] = i;
    gr_tensor *step = gr_from_data(g, GR_I64, GR_SHAPE(steps, 1), t);
    gr_tensor *active = gr_less(step, gr_reshape(lengths, GR_SHAPE(1, batch)));
    return gr_reshape(active, GR_SHAPE(steps, batch, 1));
}

gr__unrolled gr__unroll(gr_tensor *const *x, int n, int required, const void *attrs)
{
    gr_shape first = *gr_shape_of(x[0]), w = *gr_shape_of(x[1]);
    gr_graph *g = gr_graph_of(x[0]);
    gr__unrolled u = {.size = {first.dim[0], first.dim[1], w.dim[1]}, .graph = g};
    u.real = gr_dtype_of(x[0]);
    u.reverse = ((const gr__recurrent_attrs *)attrs)->reverse;
    u.first = gr__arena_alloc(&g->nodes, 2 * (size_t)u.size.steps * sizeof *u.first + 1);
    u.second = u.first + u.size.steps;
    if (!u.first) {
        gr__fail_at(g, GR_ERR_MEMORY, GR_HERE, "out of memory while unrolling");
        u.size.steps = 0;
    }
    if (n > required) u.active = active_rows(g, x[required], u.size.steps, u.size.batch);
    return u;
}

int64_t gr__unrolled_step(const gr__unrolled *u, int64_t k)
{
    return u->reverse ? u->size.steps - 1 - k : k;
}

gr_tensor *gr__if_active(const gr__unrolled *u, int64_t t, gr_tensor *a, gr_tensor *b)
{
    if (!u->active) return a;
    if (!b) b = gr_zeros(u->graph, gr_dtype_of(a), *gr_shape_of(a));
    return gr_where(gr__step(u->active, t), a, b);
}

gr_tensor *gr__state_before(const gr__unrolled *u, int64_t t, gr_tensor *x, int64_t at,
                            gr_tensor *first)
{
    int64_t before = u->reverse ? t + 1 : t - 1;
    if (before < 0 || before >= u->size.steps) return first;
    return gr__if_active(u, before, gr__piece(gr__step(x, before), at, u->size.hidden), first);
}

gr_tensor *gr__stack(const gr__unrolled *u, gr_tensor **list, int width)
{
    const int64_t columns = width * u->size.hidden;
    if (u->size.steps == 0)
        return gr_zeros(u->graph, u->real, GR_SHAPE(0, u->size.batch, columns));
    for (int64_t t = 0; t < u->size.steps; t++)
        list[t] = gr_reshape(list[t], GR_SHAPE(1, u->size.batch, columns));
    return gr_concat(list, (int)u->size.steps, 0);
}

/* The states from which the steps started, [T,N,H]. Where a row takes no part any will do. */
static gr_tensor *states_before(gr_tensor *y, gr_tensor *h0, gr_tensor *lengths, bool reverse)
{
    const gr_shape *s = gr_shape_of(y);
    const int64_t steps = s->dim[0], batch = s->dim[1];
    gr_tensor *first = gr_reshape(h0, GR_SHAPE(1, batch, s->dim[2]));
    if (steps == 0) return y;
    if (!reverse) return gr_concat((gr_tensor *[]){first, gr_slice(y, 0, 0, steps - 1, 1)}, 2, 0);
    gr_tensor *later = gr_slice(y, 0, 1, steps, 1);
    if (lengths) {
        gr_tensor *active = active_rows(gr_graph_of(y), lengths, steps, batch);
        later = gr_where(gr_slice(active, 0, 1, steps, 1), later, first);
    }
    return gr_concat((gr_tensor *[]){later, first}, 2, 0);
}

gr_tensor *gr__weight_cotangent(const gr_pullback *p, gr_tensor *d, gr_tensor *y, gr_tensor *h0,
                                int required)
{
    const gr_shape *w = gr_shape_of(p->x[1]), *s = gr_shape_of(y);
    const int64_t rows = s->dim[0] * s->dim[1];
    bool reverse = ((const gr__recurrent_attrs *)p->attrs)->reverse;
    gr_tensor *before = states_before(y, h0, p->n_in > required ? p->x[required] : NULL, reverse);
    gr_tensor *turned = gr_transpose(gr_reshape(d, GR_SHAPE(rows, w->dim[0])), 0, 1);
    return gr_matmul(turned, gr_reshape(before, GR_SHAPE(rows, w->dim[1])));
}

/* --- layers --- */

gr_tensor *gr__expect(const char *op, gr_tensor *t, const char *what, gr_shape shape)
{
    char want[GR_SHAPE_TEXT], got[GR_SHAPE_TEXT];
    if (gr_shape_equal(gr_shape_of(t), &shape)) return NULL;
    return gr_fail(gr_graph_of(t), "%s: expected %s of %s, got %s", op, what,
                   gr_shape_text(&shape, want), gr_shape_text(gr_shape_of(t), got));
}

gr_tensor *gr__expect_weights(const char *op, int gates, int64_t in, int64_t hidden,
                              gr_tensor *const *w, int n)
{
    int64_t rows = gates * hidden;
    gr_tensor *failure = gr__expect(op, w[0], "w_ih", GR_SHAPE(rows, in));
    if (!failure) failure = gr__expect(op, w[1], "w_hh", GR_SHAPE(rows, hidden));
    if (!failure && n == 3)
        failure = gr_fail(gr_graph_of(w[0]), "%s: expected both biases or none, got one", op);
    if (!failure && n > 3) failure = gr__expect(op, w[2], "b_ih", GR_SHAPE(rows));
    if (!failure && n > 3) failure = gr__expect(op, w[3], "b_hh", GR_SHAPE(rows));
    return failure;
}

/* x with zeros beyond the lengths: whatever lies there, NaN even, is in no gradient. */
static gr_tensor *without_padding(gr_tensor *x, gr_tensor *lengths)
{
    const gr_shape *s = gr_shape_of(x);
    gr_tensor *active = active_rows(gr_graph_of(x), lengths, s->dim[0], s->dim[1]);
    return gr_where(active, x, gr_scalar(gr_graph_of(x), gr_dtype_of(x), 0));
}

gr__layer gr__layer_of(const char *op, int gates, int states, gr_tensor *const *x, int n)
{
    const bool lengths = gr_dtype_of(x[n - 1]) == GR_I64;
    const int last = lengths ? n - 1 : n, biases = last - 3 - states;
    gr__layer l = {.x = x[0], .w_ih = x[1], .w_hh = x[2], .h0 = x[3]};
    if (biases < 0)
        l.failure = gr_fail(gr_graph_of(l.x), "%s: expected %d inputs before the lengths, got %d",
                            op, 3 + states, last);
    if (l.failure) return l;
    gr_tensor *w[4] = {x[1], x[2], NULL, NULL};
    gr_shape s = *gr_shape_of(l.x), state = *gr_shape_of(l.h0);
    if (states == 2) l.c0 = x[4];
    if (lengths) l.lengths = x[n - 1];
    if (biases == 2) l.b_ih = w[2] = x[last - 2], l.b_hh = w[3] = x[last - 1];
    char text[GR_SHAPE_TEXT];
    if (s.rank != 3)
        l.failure = gr_fail(gr_graph_of(l.x), "%s: expected x of [T,N,in], got %s", op,
                            gr_shape_text(&s, text));
    else if (state.rank != 2 || state.dim[0] != s.dim[1])
        l.failure = gr_fail(gr_graph_of(l.x), "%s: expected h0 of [%lld,H], got %s", op,
                            (long long)s.dim[1], gr_shape_text(&state, text));
    else l.failure = gr__expect_weights(op, gates, s.dim[2], state.dim[1], w, 2 + biases);
    if (!l.failure && l.c0) l.failure = gr__expect(op, l.c0, "c0", state);
    if (!l.failure && lengths) l.failure = gr__expect(op, l.lengths, "lengths", GR_SHAPE(s.dim[1]));
    if (!l.failure && lengths) l.x = without_padding(l.x, l.lengths);
    return l;
}

typedef struct stack {
    const gr_op *op;
    int states, layers, directions;
    gr_tensor *h0, *c0, *lengths; /* NULL: zeros, zeros, all steps */
    gr_tensor **h, **c;           /* the last states, [1,N,H] each */
} stack;

/* [N,H] of the first state, and zeros where none is given. */
static gr_tensor *first_state(gr_tensor *given, int i, gr_tensor *x, int64_t hidden)
{
    if (given) return gr__step(given, i);
    return gr_zeros(gr_graph_of(x), gr_dtype_of(x), GR_SHAPE(gr_shape_of(x)->dim[1], hidden));
}

static gr_tensor *last_state(gr_tensor *h)
{
    const gr_shape *s = gr_shape_of(h);
    return s->rank == 2 ? gr_reshape(h, GR_SHAPE(1, s->dim[0], s->dim[1])) : h;
}

/* The i-th of all layers and directions over x. */
static gr_tensor *run_layer(stack *s, int i, gr_tensor *x, const gr_rnn_weights *w,
                            gr_rnn_nonlinearity f)
{
    const int64_t hidden = gr_shape_of(w[0].w_hh)->dim[1];
    const gr__recurrent_attrs attrs = {f, i % s->directions == 1};
    gr_tensor *in[INPUTS] = {x, w[i].w_ih, w[i].w_hh, first_state(s->h0, i, x, hidden)};
    int n = 4;
    if (s->states == 2) in[n++] = first_state(s->c0, i, x, hidden);
    if (w[i].b_ih) in[n++] = w[i].b_ih;
    if (w[i].b_hh) in[n++] = w[i].b_hh;
    if (s->lengths) in[n++] = s->lengths;
    gr_tensor *y = gr_apply(NULL, s->op, in, n, &attrs);
    s->h[i] = last_state(gr_output(y, 1));
    if (s->states == 2) s->c[i] = last_state(gr_output(y, 2));
    return y;
}

/* NULL, or the failure. */
static gr_tensor *check_stack(const stack *s, gr_tensor *x, const gr_rnn_weights *w,
                              const gr_rnn_options *o)
{
    const char *name = s->op->name;
    char text[GR_SHAPE_TEXT];
    gr_graph *g = gr_graph_of(x);
    const gr_shape *size = gr_shape_of(x);
    if (o->layers < 0 || o->layers > MOST_LAYERS)
        return gr_fail(g, "%s: %d layers, expected 1 to %d", name, o->layers, MOST_LAYERS);
    if (!(o->dropout >= 0 && o->dropout <= 1))
        return gr_fail(g, "%s: dropout is %g, expected a probability", name, o->dropout);
    if (size->rank != 3)
        return gr_fail(g, "%s: expected x of [T,N,in], got %s", name, gr_shape_text(size, text));
    if (!w || !w[0].w_hh || gr_shape_of(w[0].w_hh)->rank != 2)
        return gr_fail(g, "%s: expected w_hh of [G H,H] for the first layer", name);
    gr_shape state = GR_SHAPE(s->layers * s->directions, size->dim[o->batch_first ? 0 : 1],
                              gr_shape_of(w[0].w_hh)->dim[1]);
    gr_tensor *failure = s->h0 ? gr__expect(name, s->h0, "h0", state) : NULL;
    return !failure && s->c0 ? gr__expect(name, s->c0, "c0", state) : failure;
}

static gr_recurrent run_stack(stack *s, gr_tensor *x, const gr_rnn_weights *w,
                              const gr_rnn_options *o)
{
    const int total = s->layers * s->directions;
    gr_graph *g = gr_graph_of(x);
    s->h = gr__arena_alloc(&g->nodes, 2 * (size_t)total * sizeof *s->h);
    if (!s->h) {
        gr_tensor *nil = gr__fail_at(g, GR_ERR_MEMORY, GR_HERE, "%s: out of memory", s->op->name);
        return (gr_recurrent){nil, nil, s->states == 2 ? nil : NULL};
    }
    s->c = s->h + total;
    if (o->batch_first) x = gr_transpose(x, 0, 1);
    for (int i = 0; i < total; i += s->directions) {
        gr_tensor *y[2];
        if (i > 0 && o->dropout > 0) x = gr_dropout(x, o->dropout);
        for (int d = 0; d < s->directions; d++) y[d] = run_layer(s, i + d, x, w, o->nonlinearity);
        x = s->directions == 2 ? gr_concat(y, 2, -1) : y[0];
    }
    return (gr_recurrent){o->batch_first ? gr_transpose(x, 0, 1) : x,
                          total > 1 ? gr_concat(s->h, total, 0) : s->h[0],
                          s->states < 2 ? NULL : total > 1 ? gr_concat(s->c, total, 0) : s->c[0]};
}

gr_recurrent gr__layers(const gr_op *op, int states, gr_tensor *x, gr_tensor *h0, gr_tensor *c0,
                        gr_tensor *lengths, const gr_rnn_weights *w, const gr_rnn_options *o,
                        const void *site)
{
    stack s = {op, states, o->layers ? o->layers : 1, o->bidirectional ? 2 : 1, h0, c0, lengths,
               NULL, NULL};
    gr_graph *g = x ? gr_graph_of(x) : NULL;
    gr_site_begin(g, site);
    gr_tensor *failure = x && !gr__is_nil(x) ? check_stack(&s, x, w, o)
                                             : gr__apply(NULL, op, &x, 1, NULL, site);
    gr_recurrent r = {failure, failure, states == 2 ? failure : NULL};
    if (!failure) r = run_stack(&s, x, w, o);
    gr_site_end(g);
    return r;
}
