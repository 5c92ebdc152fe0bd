/* attention.c - attention layers: multi-head, additive (Bahdanau), dot-product (Luong).
 *
 *   y_i = sum_j w_ij v_j     w_i = softmax over j of score(q_i, k_j)
 *
 * In here queries, keys and values are [N, heads, T, size].
 */
/* SPDX-License-Identifier: MIT */
#include "affine.h"
#include "model.h"

#include <float.h>
#include <math.h>

enum { Q, K, V };

typedef struct attention attention;
/* x: queries, keys, values as they came; mask: NULL, or [N, heads, T, S] or what stretches to it,
 * bool (true: seen) or float (added). Gives y as the user wants it, and the weights where asked
 * for. */
typedef gr_tensor *attend_fn(gr_module *self, gr_tensor *const *x, gr_tensor *mask, bool causal,
                             gr_tensor **weights);

struct attention {
    attend_fn *attend;
    int64_t size[3]; /* of queries, keys, values; 0: any */
    int heads;
    bool batch_first;
    double dropout, scale;
    gr_param *in_weight[3], *in_bias; /* multi-head: one weight [3 size, size], or three */
    gr_module *out;
    gr_module *query, *key, *energy; /* additive */
};

/* --- masks --- */

static gr_tensor *take_scores_mask(gr_module *self, gr_tensor *x, gr_tensor *mask, int64_t batch)
{
    const attention *a = gr_module_state(self);
    const gr_shape *s = gr_shape_of(mask);
    if (s->rank == 3 && s->dim[0] == batch * a->heads)
        return gr_reshape(mask, GR_SHAPE(batch, a->heads, s->dim[1], s->dim[2]));
    if (s->rank == 2 || s->rank == 4) return mask;
    char text[GR_SHAPE_TEXT];
    return gr_module_fail(self, x, "expected a mask of [T, S] or [N heads, T, S], got %s",
                          gr_shape_text(s, text));
}

static gr_tensor *take_padding(gr_module *self, gr_tensor *x, gr_tensor *padding, gr_shape want)
{
    char got[GR_SHAPE_TEXT], expected[GR_SHAPE_TEXT];
    if (gr_dtype_of(padding) != GR_BOOL || !gr_shape_equal(gr_shape_of(padding), &want))
        return gr_module_fail(self, x, "expected a padding mask of bool %s, got %s %s",
                              gr_shape_text(&want, expected), gr_dtype_name(gr_dtype_of(padding)),
                              gr_shape_text(gr_shape_of(padding), got));
    return gr_reshape(padding, GR_SHAPE(want.dim[0], 1, 1, want.dim[1]));
}

/* Both masks as one: NULL, bool with true where a key is seen, or float to be added. */
static gr_tensor *join_masks(gr_module *self, gr_tensor *x, gr_attention_mask m, int64_t batch,
                             int64_t keys)
{
    gr_tensor *scores = m.scores ? take_scores_mask(self, x, m.scores, batch) : NULL;
    gr_tensor *padding = m.padding ? take_padding(self, x, m.padding, GR_SHAPE(batch, keys)) : NULL;
    if (!scores || !padding) {
        gr_tensor *one = scores ? scores : padding;
        return one && gr_dtype_of(one) == GR_BOOL ? gr_logical_not(one) : one;
    }
    if (gr_dtype_of(scores) == GR_BOOL) return gr_logical_not(gr_logical_or(scores, padding));
    gr_tensor *never = gr_full(gr_graph_of(x), gr_dtype_of(scores), (gr_shape){0}, -INFINITY);
    return gr_where(padding, never, scores);
}

/* bool [T, S]: true where key j is not behind query i. */
static gr_tensor *causal_mask(gr_graph *g, int64_t rows, int64_t keys)
{
    gr_tensor *i = gr_arange(g, GR_I64, 0, (double)rows, 1);
    gr_tensor *j = gr_arange(g, GR_I64, 0, (double)keys, 1);
    return gr_less_equal(gr_unsqueeze(j, 0), gr_unsqueeze(i, 1));
}

/* --- heads --- */

/* [T, N, heads d], or batch first, to [N, heads, T, d]. */
static gr_tensor *split_heads(const attention *a, gr_tensor *x)
{
    const gr_shape *s = gr_shape_of(x);
    x = gr_reshape(x, GR_SHAPE(s->dim[0], s->dim[1], a->heads, -1));
    return gr_permute(x, a->batch_first ? GR_AXES(0, 2, 1, 3) : GR_AXES(1, 2, 0, 3));
}

static gr_tensor *join_heads(const attention *a, gr_tensor *y)
{
    y = gr_permute(y, a->batch_first ? GR_AXES(0, 2, 1, 3) : GR_AXES(2, 0, 1, 3));
    const gr_shape *s = gr_shape_of(y);
    return gr_reshape(y, GR_SHAPE(s->dim[0], s->dim[1], s->dim[2] * s->dim[3]));
}

static gr_tensor *mean_of_heads(gr_tensor *weights)
{
    return gr_mean(weights, GR_AXES(1), false);
}

/* exp(s - lse): a row that sees no key has lse = Inf and weights 0. */
static gr_tensor *weights_of(gr_tensor *y, gr_tensor *const *x, double scale, gr_tensor *mask,
                             bool causal)
{
    const gr_shape *k = gr_shape_of(x[K]);
    const double c = scale != 0 ? scale : 1 / sqrt((double)k->dim[3]);
    gr_graph *g = gr_graph_of(y);
    gr_tensor *s = gr_scale(gr_matmul(x[Q], gr_transpose(x[K], -1, -2)), c);
    gr_tensor *never = gr_full(g, gr_dtype_of(s), (gr_shape){0}, -INFINITY);
    if (causal) s = gr_where(causal_mask(g, gr_shape_of(s)->dim[2], k->dim[2]), s, never);
    if (mask) s = gr_dtype_of(mask) == GR_BOOL ? gr_where(mask, s, never) : gr_add(s, mask);
    return mean_of_heads(gr_exp(gr_sub(s, gr_unsqueeze(gr_output(y, 1), -1))));
}

/* --- multi-head and dot-product --- */

/* Parts 0, 1, 2 of one matrix for queries, keys and values, or three matrices. */
static gr_tensor *part(gr_graph *g, gr_param *whole, int64_t size, int i)
{
    return whole ? gr_narrow(gr_use(g, whole), 0, i * size, size) : NULL;
}

static void project(const attention *a, gr_tensor *const *x, gr_tensor **y)
{
    gr_graph *g = gr_graph_of(x[Q]);
    const int64_t size = a->size[Q];
    const bool packed = !a->in_weight[K];
    if (packed && x[Q] == x[K] && x[K] == x[V]) {
        gr_tensor *b = a->in_bias ? gr_use(g, a->in_bias) : NULL;
        gr_tensor *all = gr_linear(x[Q], gr_use(g, a->in_weight[Q]), b);
        for (int i = 0; i < 3; i++) y[i] = gr_narrow(all, -1, i * size, size);
        return;
    }
    for (int i = 0; i < 3; i++) {
        gr_tensor *w = packed ? part(g, a->in_weight[Q], size, i) : gr_use(g, a->in_weight[i]);
        y[i] = gr_linear(x[i], w, part(g, a->in_bias, size, i));
    }
}

static gr_tensor *attend_dot(gr_module *self, gr_tensor *const *x, gr_tensor *mask, bool causal,
                             gr_tensor **weights)
{
    const attention *a = gr_module_state(self);
    gr_tensor *h[3];
    for (int i = 0; i < 3; i++) h[i] = split_heads(a, x[i]);
    const double dropout = gr_module_training(self) ? a->dropout : 0;
    gr_tensor *y = gr_scaled_dot_product_attention(h[Q], h[K], h[V], mask,
                                                   (gr_attention_options){a->scale, dropout,
                                                                          causal});
    if (weights) *weights = weights_of(y, h, a->scale, mask, causal);
    return join_heads(a, y);
}

static gr_tensor *attend_multihead(gr_module *self, gr_tensor *const *x, gr_tensor *mask,
                                   bool causal, gr_tensor **weights)
{
    const attention *a = gr_module_state(self);
    if (!gr__expect_dtype(self, x[Q], gr_use(gr_graph_of(x[Q]), a->in_weight[Q])))
        return gr_detach(x[Q]); /* inert */
    gr_tensor *projected[3];
    project(a, x, projected);
    return gr_forward(a->out, attend_dot(self, projected, mask, causal, weights));
}

/* --- additive --- */

static gr_tensor *batch_first(const attention *a, gr_tensor *x)
{
    return a->batch_first ? x : gr_transpose(x, 0, 1);
}

static gr_tensor *attend_additive(gr_module *self, gr_tensor *const *x, gr_tensor *mask,
                                  bool causal, gr_tensor **weights)
{
    const attention *a = gr_module_state(self);
    gr_graph *g = gr_graph_of(x[Q]);
    gr_tensor *q = gr_unsqueeze(gr_forward(a->query, batch_first(a, x[Q])), 2); /* [N,T,1,H] */
    gr_tensor *k = gr_unsqueeze(gr_forward(a->key, batch_first(a, x[K])), 1);   /* [N,1,S,H] */
    gr_tensor *s = gr_forward(a->energy, gr_tanh(gr_add(q, k)));                /* [N,T,S,1] */
    s = gr_unsqueeze(gr_squeeze(s, GR_AXES(-1)), 1);
    const gr_shape *shape = gr_shape_of(s);
    if (mask && gr_dtype_of(mask) != GR_BOOL) {
        s = gr_add(s, mask);
        mask = NULL;
    }
    if (causal) {
        gr_tensor *seen = causal_mask(g, shape->dim[2], shape->dim[3]);
        mask = mask ? gr_logical_and(mask, seen) : seen;
    }
    /* the lowest number, not -Inf: a row without keys gets weights 0, not NaN */
    const double lowest = gr_dtype_of(s) == GR_F64 ? -DBL_MAX : -(double)FLT_MAX;
    gr_tensor *w = mask ? gr_where(mask, s, gr_full(g, gr_dtype_of(s), (gr_shape){0}, lowest)) : s;
    w = gr_softmax(w, -1);
    if (mask) w = gr_where(mask, w, gr_zeros(g, gr_dtype_of(w), (gr_shape){0}));
    w = gr_squeeze(w, GR_AXES(1));
    if (weights) *weights = w;
    return batch_first(a, gr_matmul(w, batch_first(a, x[V])));
}

/* --- the layers --- */

static bool check_input(gr_module *self, gr_tensor *x, int i, gr_tensor *query, gr_tensor *key)
{
    static const char *const names[] = {"query", "key", "value"};
    const attention *a = gr_module_state(self);
    const int batch = a->batch_first ? 0 : 1;
    const gr_shape *s = gr_shape_of(x), *q = gr_shape_of(query), *k = gr_shape_of(key);
    bool fits = s->rank == 3 && (!a->size[i] || s->dim[2] == a->size[i]);
    if (!gr__expect_shape(self, x, fits, "%s of %s %lld]", names[i],
                          a->batch_first ? "[N, T," : "[T, N,", (long long)a->size[i]))
        return false;
    if (gr_dtype_of(x) != gr_dtype_of(query)) {
        gr_module_fail(self, x, "cannot mix %s and %s; use gr_cast",
                       gr_dtype_name(gr_dtype_of(query)), gr_dtype_name(gr_dtype_of(x)));
        return false;
    }
    fits = s->dim[batch] == q->dim[batch] && (i != V || s->dim[1 - batch] == k->dim[1 - batch]);
    return gr__expect_shape(self, x, fits, "%s of the batch of the queries%s", names[i],
                            i == V ? ", as many as keys" : "");
}

static gr_tensor *attend(gr_module *self, gr_tensor *const *x, gr_attention_mask mask,
                         gr_tensor **weights)
{
    const attention *a = gr_module_state(self);
    const int batch = a->batch_first ? 0 : 1;
    for (int i = 0; i < 3; i++)
        if (!check_input(self, x[i], i, x[Q], x[K])) return gr_detach(x[Q]); /* inert */
    const gr_shape *k = gr_shape_of(x[K]);
    gr_tensor *joined = join_masks(self, x[Q], mask, k->dim[batch], k->dim[1 - batch]);
    if (gr_graph_status(gr_graph_of(x[Q]))) return gr_detach(x[Q]); /* inert */
    return a->attend(self, x, joined, mask.causal, weights);
}

static gr_tensor *attention_forward(gr_module *self, gr_tensor *x)
{
    gr_tensor *in[3] = {x, x, x};
    return attend(self, in, (gr_attention_mask){0}, NULL);
}

/* Attention of queries to keys, whose values are brought together.
 *
 * query    [T, N, size]; with batch_first [N, T, size], and so the others
 * key      [S, N, keys]; NULL: the queries
 * value    [S, N, values]; NULL: the keys
 * mask     who sees whom
 * weights  NULL, or where the weights go, [N, T, S], the mean over the heads, before dropout
 *
 * Gives [T, N, size] of a multi-head layer, else [T, N, values]. A query that sees no key gets 0
 * from its values, where PyTorch 1.13 gives NaN. */
gr_tensor *gr_attention_forward(gr_module *layer, gr_tensor *query, gr_tensor *key,
                                gr_tensor *value, gr_attention_mask mask, gr_tensor **weights)
{
    gr_tensor *x[3] = {query, key ? key : query, value ? value : key ? key : query};
    gr_tensor *y;
    if (gr__module_enter(layer, query, "gr_attention_forward", attention_forward, GR_HERE))
        y = gr__module_leave(layer, query, attend(layer, x, mask, weights));
    else y = gr__inert(query);
    if (weights && (!query || gr_graph_status(gr_graph_of(query)))) *weights = gr__inert(query);
    return y;
}

static gr_module *attention_layer(gr_model *m, const char *type, attention a)
{
    gr_module *self = gr_module_new(m, type, attention_forward, sizeof(attention));
    attention *state = gr_module_state(self);
    if (state) *state = a;
    return self;
}

static void add_projections(gr_module *self, bool no_bias)
{
    static const char *const names[] = {"q_proj_weight", "k_proj_weight", "v_proj_weight"};
    attention *a = gr_module_state(self);
    const int64_t size = a->size[Q];
    const gr_init xavier = {.kind = GR_INIT_XAVIER_UNIFORM}, zeros = {.kind = GR_INIT_ZEROS};
    if (a->size[K] == size && a->size[V] == size)
        a->in_weight[Q] = gr_module_param(self, "in_proj_weight", GR_SHAPE(3 * size, size), xavier);
    else
        for (int i = 0; i < 3; i++)
            a->in_weight[i] = gr_module_param(self, names[i], GR_SHAPE(size, a->size[i]), xavier);
    if (!no_bias) a->in_bias = gr_module_param(self, "in_proj_bias", GR_SHAPE(3 * size), zeros);
    a->out = gr_linear_layer_with(gr_module_model(self), size, size,
                                  (gr_linear_options){.no_bias = no_bias, .bias = zeros});
    gr_module_add(self, "out_proj", a->out);
}

/* Attention by `heads` heads of size/heads each, between linear functions: [T, N, size] ->
 * [T, N, size]; with o.batch_first [N, T, size].
 *
 * Parameters: in_proj_weight [3 size, size] (queries, keys, values; Glorot's uniform), in_proj_bias
 * [3 size] (zeros), out_proj.weight, out_proj.bias (zeros); where keys or values have sizes of
 * their own, q_proj_weight, k_proj_weight and v_proj_weight in the place of the first. gr_forward
 * is attention of x to itself; see gr_attention_forward. Vaswani et al., 2017. */
gr_module *gr_multihead_attention_layer(gr_model *m, int64_t size, int heads,
                                        gr_multihead_attention_options o)
{
    const int64_t keys = o.keys ? o.keys : size, values = o.values ? o.values : size;
    gr_module *self = attention_layer(m, "multihead_attention",
                                      (attention){.attend = attend_multihead,
                                                  .size = {size, keys, values},
                                                  .heads = heads,
                                                  .batch_first = o.batch_first,
                                                  .dropout = o.dropout});
    if (!gr_module_state(self)) return self;
    if (!gr__is_size(size) || heads < 1 || size % heads || keys < 1 || values < 1)
        gr_model_fail(
            m, "multihead_attention: expected a size divisible by the heads, got %lld and %d",
            (long long)size, heads);
    else if (!(o.dropout >= 0 && o.dropout < 1))
        gr_model_fail(m, "multihead_attention: expected dropout with 0 <= p < 1, got %g",
                      o.dropout);
    else add_projections(self, o.no_bias);
    return self;
}

/* Bahdanau's attention: weights softmax over keys of energy . tanh(query q + key k), children query
 * [hidden, queries], key [hidden, keys] and energy [1, hidden], all without bias. Values of any
 * size. "Neural machine translation by jointly learning to align and translate", 2015. */
gr_module *gr_additive_attention_layer(gr_model *m, int64_t queries, int64_t keys, int64_t hidden,
                                       bool first)
{
    gr_module *self = attention_layer(m, "additive_attention",
                                      (attention){.attend = attend_additive,
                                                  .size = {queries, keys},
                                                  .heads = 1,
                                                  .batch_first = first});
    attention *a = gr_module_state(self);
    const gr_linear_options no_bias = {.no_bias = true};
    if (!a) return self;
    a->query = gr_module_add(self, "query", gr_linear_layer_with(m, queries, hidden, no_bias));
    a->key = gr_module_add(self, "key", gr_linear_layer_with(m, keys, hidden, no_bias));
    a->energy = gr_module_add(self, "energy", gr_linear_layer_with(m, hidden, 1, no_bias));
    return self;
}

/* Luong's attention without parameters: weights softmax over keys of scale q . k, queries and keys
 * of one size; scale 0 stands for 1/sqrt(size). "Effective approaches to attention-based neural
 * machine translation", 2015. */
gr_module *gr_dot_attention_layer(gr_model *m, double scale, bool first)
{
    if (!isfinite(scale)) gr_model_fail(m, "dot_attention: expected a finite scale, got %g", scale);
    return attention_layer(
        m, "dot_attention",
        (attention){.attend = attend_dot, .heads = 1, .batch_first = first, .scale = scale});
}
