/* transformer.c - encoder and decoder layers, and stacks of them.
 *
 *   norm last   x = norm(x + part(x))     norm first   x = x + part(norm(x))
 *
 * where part is attention of x to itself, in a decoder attention to the encoder's output, and two
 * linear layers. Vaswani et al., "Attention is all you need", 2017; Xiong et al., 2020.
 */
/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <stdio.h>

enum { PARTS = 3 }; /* at most */

typedef struct layer {
    gr_module *self_attn, *cross_attn; /* cross_attn NULL: an encoder */
    gr_module *linear1, *linear2, *inner_dropout;
    gr_module *norm[PARTS], *dropout[PARTS];
    bool norm_first, gelu, causal;
} layer;

/* What goes with x through a layer. */
typedef struct others {
    gr_tensor *memory;
    gr_attention_mask mask, memory_mask;
} others;

typedef gr_tensor *part_fn(const layer *l, gr_tensor *x, const others *o);

static gr_tensor *attend_self(const layer *l, gr_tensor *x, const others *o)
{
    gr_attention_mask mask = o->mask;
    mask.causal |= l->causal;
    return gr_attention_forward(l->self_attn, x, NULL, NULL, mask, NULL);
}

static gr_tensor *attend_memory(const layer *l, gr_tensor *x, const others *o)
{
    return gr_attention_forward(l->cross_attn, x, o->memory, NULL, o->memory_mask, NULL);
}

static gr_tensor *feed_forward(const layer *l, gr_tensor *x, const others *o)
{
    (void)o;
    x = gr_forward(l->linear1, x);
    return gr_forward(l->linear2, gr_forward(l->inner_dropout, l->gelu ? gr_gelu(x) : gr_relu(x)));
}

static gr_tensor *run_layer(const layer *l, gr_tensor *x, const others *o)
{
    static part_fn *const encoder[] = {attend_self, feed_forward, NULL};
    static part_fn *const decoder[] = {attend_self, attend_memory, feed_forward, NULL};
    part_fn *const *part = l->cross_attn ? decoder : encoder;
    for (int i = 0; part[i]; i++) {
        gr_tensor *in = l->norm_first ? gr_forward(l->norm[i], x) : x;
        x = gr_add(x, gr_forward(l->dropout[i], part[i](l, in, o)));
        if (!l->norm_first) x = gr_forward(l->norm[i], x);
    }
    return x;
}

/* --- layers and stacks of them --- */

typedef struct stack {
    gr_module *layers, *norm; /* norm NULL: none */
} stack;

static gr_tensor *call(gr_module *module, gr_tensor *x, const others *o, const char *name,
                       const void *site);

static gr_tensor *run_stack(const stack *s, gr_tensor *x, const others *o, const char *name)
{
    gr_tensor *y = x;
    if (!gr__module_enter(s->layers, x, name, NULL, NULL)) return gr__inert(x);
    for (gr_module *child = s->layers->first_child; child; child = child->sibling)
        y = call(child, y, o, name, NULL);
    y = gr__module_leave(s->layers, x, y);
    return s->norm ? gr_forward(s->norm, y) : y;
}

static gr_tensor *encoder_layer_forward(gr_module *self, gr_tensor *x)
{
    return run_layer(gr_module_state(self), x, &(others){0});
}

static gr_tensor *encoder_forward(gr_module *self, gr_tensor *x)
{
    return run_stack(gr_module_state(self), x, &(others){0}, "gr_forward");
}

static gr_tensor *no_memory(gr_module *self, gr_tensor *x)
{
    return gr_module_fail(self, x, "it reads an encoder's output: use gr_decoder_forward");
}

static gr_tensor *decoder_layer_forward(gr_module *self, gr_tensor *x)
{
    return no_memory(self, x);
}

static gr_tensor *decoder_forward(gr_module *self, gr_tensor *x)
{
    return no_memory(self, x);
}

/* Of a layer or a stack, of encoders or (with o->memory) decoders. */
static gr_tensor *call(gr_module *module, gr_tensor *x, const others *o, const char *name,
                       const void *site)
{
    gr_forward_fn *one = o->memory ? decoder_layer_forward : encoder_layer_forward;
    gr_forward_fn *many = o->memory ? decoder_forward : encoder_forward;
    gr_forward_fn *kind = module && module->forward == many ? many : one;
    if (!gr__module_enter(module, x, name, kind, site)) return gr__inert(x);
    gr_tensor *y = kind == one ? run_layer(module->state, x, o)
                               : run_stack(module->state, x, o, name);
    return gr__module_leave(module, x, y);
}

/* As gr_forward of a transformer encoder or one of its layers, with a mask of who sees whom. */
gr_tensor *gr_encoder_forward(gr_module *module, gr_tensor *x, gr_attention_mask mask)
{
    return call(module, x, &(others){.mask = mask}, "gr_encoder_forward", GR_HERE);
}

/* What a transformer decoder, or one of its layers, makes of x, [T, N, size], with an encoder's
 * output, memory [S, N, size]; with batch_first [N, T, size] and [N, S, size].
 *
 * mask         of x to itself: usually causal
 * memory_mask  of x to memory */
gr_tensor *gr_decoder_forward(gr_module *module, gr_tensor *x, gr_tensor *memory,
                              gr_attention_mask mask, gr_attention_mask memory_mask)
{
    if (!memory) return gr_fail(gr_graph_of(x), "gr_decoder_forward: memory is NULL");
    return call(module, x, &(others){memory, mask, memory_mask}, "gr_decoder_forward", GR_HERE);
}

/* --- construction --- */

static gr_module *add_attention(gr_module *self, const char *name, int64_t size, int heads,
                                const gr_transformer_options *o)
{
    const gr_multihead_attention_options options = {.batch_first = o->batch_first,
                                                    .dropout = o->dropout};
    gr_model *m = gr_module_model(self);
    return gr_module_add(self, name, gr_multihead_attention_layer(m, size, heads, options));
}

/* norm1, norm2, ... and dropout1, dropout2, ... */
static void add_parts(gr_module *self, int n, int64_t size, const gr_transformer_options *o)
{
    layer *l = gr_module_state(self);
    gr_model *m = gr_module_model(self);
    const gr_norm_options norm = {.eps = o->eps};
    char name[16];
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "norm%d", i + 1);
        l->norm[i] = gr_module_add(self, name, gr_layer_norm_layer(m, GR_SHAPE(size), norm));
    }
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "dropout%d", i + 1);
        l->dropout[i] = gr_module_add(self, name, gr_dropout_layer(m, o->dropout));
    }
}

static gr_transformer_options with_defaults(gr_transformer_options o)
{
    if (o.hidden == 0) o.hidden = 2048;
    o.dropout = o.dropout == 0 ? 0.1 : o.dropout < 0 ? 0 : o.dropout;
    return o;
}

static gr_module *make_layer(gr_model *m, bool decoder, int64_t size, int heads,
                             gr_transformer_options o)
{
    const char *type = decoder ? "transformer_decoder_layer" : "transformer_encoder_layer";
    gr_module *self = gr_module_new(m, type,
                                    decoder ? decoder_layer_forward : encoder_layer_forward,
                                    sizeof(layer));
    layer *l = gr_module_state(self);
    if (!l) return self;
    o = with_defaults(o);
    if (size < 1 || heads < 1 || size % heads || o.hidden < 1) {
        gr_model_fail(m, "%s: expected a size divisible by the heads, got %lld and %d", type,
                      (long long)size, heads);
        return self;
    }
    *l = (layer){.norm_first = o.norm_first, .gelu = o.gelu, .causal = o.causal};
    l->self_attn = add_attention(self, "self_attn", size, heads, &o);
    if (decoder) l->cross_attn = add_attention(self, "multihead_attn", size, heads, &o);
    l->linear1 = gr_module_add(self, "linear1", gr_linear_layer(m, size, o.hidden));
    l->inner_dropout = gr_module_add(self, "dropout", gr_dropout_layer(m, o.dropout));
    l->linear2 = gr_module_add(self, "linear2", gr_linear_layer(m, o.hidden, size));
    add_parts(self, decoder ? 3 : 2, size, &o);
    return self;
}

static gr_module *make_stack(gr_model *m, bool decoder, int layers, int64_t size, int heads,
                             gr_transformer_options o)
{
    const char *type = decoder ? "transformer_decoder" : "transformer_encoder";
    gr_module *self = gr_module_new(m, type, decoder ? decoder_forward : encoder_forward,
                                    sizeof(stack));
    stack *s = gr_module_state(self);
    if (!s) return self;
    if (layers < 1) gr_model_fail(m, "%s: expected 1 layer or more, got %d", type, layers);
    s->layers = gr_module_add(self, "layers", gr_sequential(m, NULL, 0));
    for (int i = 0; i < layers; i++)
        gr_module_add(s->layers, NULL, make_layer(m, decoder, size, heads, o));
    if (o.final_norm) {
        const gr_norm_options norm = {.eps = o.eps};
        s->norm = gr_module_add(self, "norm", gr_layer_norm_layer(m, GR_SHAPE(size), norm));
    }
    return self;
}

/* A layer of a transformer encoder: [T, N, size] -> [T, N, size], with o.batch_first [N, T, size].
 *
 * size, heads  each head has size/heads numbers
 * o            see the header; zeros give PyTorch's defaults
 *
 * Children: self_attn (gr_multihead_attention_layer), linear1 [o.hidden, size], dropout, linear2,
 * norm1, norm2, dropout1, dropout2. gr_encoder_forward takes a mask; gr_forward has none but
 * o.causal. */
gr_module *gr_transformer_encoder_layer(gr_model *m, int64_t size, int heads,
                                        gr_transformer_options o)
{
    return make_layer(m, false, size, heads, o);
}

/* A layer of a transformer decoder, run by gr_decoder_forward. Children: those of an encoder layer
 * and multihead_attn, norm3, dropout3. */
gr_module *gr_transformer_decoder_layer(gr_model *m, int64_t size, int heads,
                                        gr_transformer_options o)
{
    return make_layer(m, true, size, heads, o);
}

/* Encoder layers one behind the other: "layers.0", "layers.1", ..., and with o.final_norm a norm
 * behind the last, "norm". */
gr_module *gr_transformer_encoder(gr_model *m, int layers, int64_t size, int heads,
                                  gr_transformer_options o)
{
    return make_stack(m, false, layers, size, heads, o);
}

/* Decoder layers one behind the other, all of which see the same memory. */
gr_module *gr_transformer_decoder(gr_model *m, int layers, int64_t size, int heads,
                                  gr_transformer_options o)
{
    return make_stack(m, true, layers, size, heads, o);
}
