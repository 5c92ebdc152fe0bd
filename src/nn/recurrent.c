/* recurrent.c - recurrent layers: RNN, LSTM, GRU; stacked, in both directions, carrying state. */
/* SPDX-License-Identifier: MIT */
#include "affine.h"
#include "model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST = 64 }; /* layers times directions */

typedef gr_recurrent run_fn(gr_tensor *x, gr_recurrent_inputs in, const gr_rnn_weights *w,
                            gr_rnn_options o);

typedef struct weights {
    gr_param *w_ih, *w_hh, *b_ih, *b_hh; /* biases NULL: none */
} weights;

typedef struct recurrent {
    run_fn *run;
    int64_t in, hidden;
    gr_rnn_options o; /* its dropout acts while training */
    gr_param *h, *c;  /* carried, [n,N,hidden]; NULL: not */
    int n;            /* layers times directions */
    weights w[];
} recurrent;

/* --- forward --- */

static gr_recurrent nothing(gr_tensor *x)
{
    gr_tensor *inert = gr__inert(x);
    return (gr_recurrent){inert, inert, inert};
}

static bool check(gr_module *self, gr_tensor *x)
{
    const recurrent *r = gr_module_state(self);
    const gr_shape *s = gr_shape_of(x);
    const bool first = r->o.batch_first;
    if (!gr__expect_shape(self, x, s->rank == 3 && s->dim[2] == r->in,
                          first ? "[N, T, %lld]" : "[T, N, %lld]", (long long)r->in))
        return false;
    const int64_t rows = s->dim[first ? 0 : 1],
                  carried = r->h ? gr_param_shape(r->h)->dim[1] : rows;
    return gr__expect_shape(self, x, rows == carried, "batches of %lld, whose state is carried",
                            (long long)carried);
}

static gr_tensor *use(gr_graph *g, gr_param *p)
{
    return p ? gr_use(g, p) : NULL;
}

/* What was carried here, without its gradient: backpropagation through time ends where it was
 * written. */
static gr_tensor *carried(gr_tensor *given, gr_param *p, gr_tensor *x)
{
    if (given || !p) return given;
    return gr_detach(gr_cast(gr_use(gr_graph_of(x), p), gr_dtype_of(x)));
}

static void carry(gr_param *p, gr_tensor *state)
{
    if (!p || gr_graph_status(gr_graph_of(state))) return;
    gr_tensor *next = gr_detach(gr_cast(state, gr_param_dtype(p)));
    gr_assign(p, next);
    gr_bind(gr_graph_of(state), p, next);
}

static gr_recurrent run(gr_module *self, gr_tensor *x, gr_recurrent_inputs in)
{
    const recurrent *r = gr_module_state(self);
    gr_graph *g = gr_graph_of(x);
    gr_rnn_weights w[MOST];
    if (!check(self, x)) return nothing(x);
    for (int i = 0; i < r->n; i++)
        w[i] = (gr_rnn_weights){use(g, r->w[i].w_ih), use(g, r->w[i].w_hh), use(g, r->w[i].b_ih),
                                use(g, r->w[i].b_hh)};
    if (gr_graph_status(g) || !gr__expect_dtype(self, x, w[0].w_ih)) return nothing(x);
    gr_rnn_options o = r->o;
    if (!gr_module_training(self)) o.dropout = 0;
    in.h = carried(in.h, r->h, x);
    in.c = carried(in.c, r->c, x);
    gr_recurrent y = r->run(x, in, w, o);
    carry(r->h, y.h);
    carry(r->c, y.c);
    return y;
}

static gr_tensor *recurrent_forward(gr_module *self, gr_tensor *x)
{
    return run(self, x, (gr_recurrent_inputs){0}).y;
}

/* As gr_forward of an rnn, lstm or gru layer, giving the last states besides the sequence.
 *
 * in.h, in.c   the first states, [layers directions, N, hidden]; NULL: what was carried, else zeros
 * in.lengths   int64 [N], the steps of each row; NULL: all
 *
 * The last states can be first states of the next piece of a sequence; for truncated
 * backpropagation through time pass gr_detach of them, or let the layer carry them. */
gr_recurrent gr_recurrent_forward(gr_module *layer, gr_tensor *x, gr_recurrent_inputs in)
{
    if (!gr__module_enter(layer, x, "gr_recurrent_forward", recurrent_forward, GR_HERE))
        return nothing(x);
    gr_recurrent y = run(layer, x, in);
    gr__module_leave(layer, x, y.y);
    return y;
}

static void clear(gr_param *p)
{
    if (!p || !gr_param_data(p)) return;
    const size_t size = gr_dtype_size(gr_param_dtype(p));
    memset(gr_param_write(p), 0, (size_t)gr_shape_numel(gr_param_shape(p)) * size);
}

/* Where a new sequence begins. */
void gr_recurrent_reset(gr_module *module)
{
    if (gr__need("gr_recurrent_reset", module, "module")) return;
    for (gr_module *m = module->state ? module : NULL; m; m = gr__module_next(module, m)) {
        const recurrent *r = m->state;
        if (m->forward != recurrent_forward) continue;
        clear(r->h);
        clear(r->c);
    }
}

/* --- construction --- */

static gr_param *add(gr_module *self, const char *what, int i, bool both, gr_shape shape)
{
    const recurrent *r = gr_module_state(self);
    const int directions = both ? 2 : 1;
    const gr_init uniform = {.kind = GR_INIT_UNIFORM, .a = 1 / sqrt((double)r->hidden)};
    char name[48];
    snprintf(name, sizeof name, "%s_l%d%s", what, i / directions, i % directions ? "_reverse" : "");
    return gr_module_param(self, name, shape, uniform);
}

static void add_weights(gr_module *self, int64_t gates, bool no_bias)
{
    recurrent *r = gr_module_state(self);
    const bool both = r->o.bidirectional;
    const int64_t rows = gates * r->hidden;
    for (int i = 0; i < r->n; i++) {
        const int64_t in = i < (both ? 2 : 1) ? r->in : (both ? 2 : 1) * r->hidden;
        r->w[i].w_ih = add(self, "weight_ih", i, both, GR_SHAPE(rows, in));
        r->w[i].w_hh = add(self, "weight_hh", i, both, GR_SHAPE(rows, r->hidden));
        if (no_bias) continue;
        r->w[i].b_ih = add(self, "bias_ih", i, both, GR_SHAPE(rows));
        r->w[i].b_hh = add(self, "bias_hh", i, both, GR_SHAPE(rows));
    }
}

static bool usable(gr_model *m, const char *type, int64_t in, int64_t hidden,
                   const gr_recurrent_options *o)
{
    if (gr__is_size(in) && gr__is_size(hidden) && o->layers >= 0 && o->layers <= MOST / 2 &&
        o->dropout >= 0 && o->dropout <= 1 && o->carry >= 0)
        return true;
    gr_model_fail(
        m,
        "%s: expected sizes of at least 1, up to %d layers, a probability as dropout; got "
        "%lld -> %lld, %d and %g",
        type, MOST / 2, (long long)in, (long long)hidden, o->layers, o->dropout);
    return false;
}

typedef struct kind {
    const char *type;
    run_fn *run;
    int gates, states;
} kind;

static gr_module *make(gr_model *m, kind k, int64_t in, int64_t hidden, gr_recurrent_options o)
{
    const int layers = o.layers ? o.layers : 1, n = o.bidirectional ? 2 * layers : layers;
    const bool fits = usable(m, k.type, in, hidden, &o);
    const size_t extra = fits ? (size_t)n * sizeof(weights) : 0;
    gr_module *self = gr_module_new(m, k.type, recurrent_forward, sizeof(recurrent) + extra);
    recurrent *r = gr_module_state(self);
    if (!r || !fits) return self;
    *r = (recurrent){.run = k.run, .in = in, .hidden = hidden, .n = n};
    r->o = (gr_rnn_options){layers, o.bidirectional, o.batch_first, o.dropout, o.nonlinearity};
    add_weights(self, k.gates, o.no_bias);
    if (!o.carry) return self;
    const gr_shape state = GR_SHAPE(n, o.carry, hidden);
    r->h = gr_module_unsaved_buffer(self, "h", state, (gr_init){0});
    if (k.states == 2) r->c = gr_module_unsaved_buffer(self, "c", state, (gr_init){0});
    return self;
}

static gr_recurrent run_rnn(gr_tensor *x, gr_recurrent_inputs in, const gr_rnn_weights *w,
                            gr_rnn_options o)
{
    return gr_rnn(x, in.h, in.lengths, w, o);
}

static gr_recurrent run_lstm(gr_tensor *x, gr_recurrent_inputs in, const gr_rnn_weights *w,
                             gr_rnn_options o)
{
    return gr_lstm(x, in.h, in.c, in.lengths, w, o);
}

static gr_recurrent run_gru(gr_tensor *x, gr_recurrent_inputs in, const gr_rnn_weights *w,
                            gr_rnn_options o)
{
    return gr_gru(x, in.h, in.lengths, w, o);
}

/* Elman's recurrent network, h_t = tanh(w_ih x_t + b_ih + w_hh h_{t-1} + b_hh) (or relu): see
 * gr_lstm_layer. */
gr_module *gr_rnn_layer(gr_model *m, int64_t in, int64_t hidden, gr_recurrent_options o)
{
    return make(m, (kind){"rnn", run_rnn, 1, 1}, in, hidden, o);
}

/* An LSTM over a sequence, [T, N, in] -> [T, N, directions hidden], or with batch_first
 * [N, T, in] -> [N, T, directions hidden].
 *
 * Parameters of layer k: weight_ih_lk [4 hidden, in], weight_hh_lk [4 hidden, hidden], bias_ih_lk
 * and bias_hh_lk [4 hidden], gates in the order i f g o; with "_reverse" behind the name for the
 * direction from the end; all from U(-1/sqrt(hidden), 1/sqrt(hidden)).
 *
 * o.dropout  of what goes from layer to layer, while training
 * o.carry    each call begins where the last one ended, gradients do not: truncated backpropagation
 *            through time over batches of o.carry rows. The states are buffers in no file, written
 *            by gr_backward or gr_commit; gr_recurrent_reset makes them 0.
 *
 * Hochreiter, Schmidhuber, "Long short-term memory", 1997. */
gr_module *gr_lstm_layer(gr_model *m, int64_t in, int64_t hidden, gr_recurrent_options o)
{
    return make(m, (kind){"lstm", run_lstm, 4, 2}, in, hidden, o);
}

/* A GRU over a sequence, gates in the order r z n; see gr_lstm_layer. Cho et al., 2014. */
gr_module *gr_gru_layer(gr_model *m, int64_t in, int64_t hidden, gr_recurrent_options o)
{
    return make(m, (kind){"gru", run_gru, 3, 1}, in, hidden, o);
}
