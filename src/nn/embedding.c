/* embedding.c - vectors for words and for places. */
/* SPDX-License-Identifier: MIT */
#include "affine.h"

#include <math.h>
#include <string.h>

/* --- embedding --- */

typedef struct embedding {
    gr_param *weight;
    bool padding;
    int64_t padding_index;
} embedding;

static gr_tensor *embedding_forward(gr_module *self, gr_tensor *x)
{
    const embedding *e = gr_module_state(self);
    gr_graph *g = gr_graph_of(x);
    if (gr_dtype_of(x) != GR_I64)
        return gr_module_fail(self, x, "expected indices of int64, got %s",
                              gr_dtype_name(gr_dtype_of(x)));
    gr_tensor *y = gr_embedding(gr_use(g, e->weight), x);
    if (!e->padding) return y;
    gr_tensor *at = gr_full(g, GR_I64, (gr_shape){0}, (double)e->padding_index);
    return gr_where(gr_unsqueeze(gr_equal(x, at), -1), gr_detach(y), y);
}

static void clear_row(gr_param *p, int64_t row)
{
    char *data = gr_param_write(p);
    const size_t bytes = (size_t)gr_param_shape(p)->dim[1] * gr_dtype_size(gr_param_dtype(p));
    if (data) memset(data + (size_t)row * bytes, 0, bytes);
}

static const gr_init normal = {.kind = GR_INIT_NORMAL, .a = 1};

/* A vector for each index: int64 [...] -> [..., size], rows of the parameter weight [rows, size].
 *
 * o.weight   how the weight starts, by default from N(0, 1)
 * o.padding  the row o.padding_index is zeros at first and gets no gradient from this layer */
gr_module *gr_embedding_layer(gr_model *m, int64_t rows, int64_t size, gr_embedding_options o)
{
    gr_module *self = gr_module_new(m, "embedding", embedding_forward, sizeof(embedding));
    embedding *e = gr_module_state(self);
    if (!e) return self;
    if (rows < 1 || size < 1 || (o.padding && (o.padding_index < 0 || o.padding_index >= rows))) {
        gr_model_fail(m,
                      "embedding: expected 1 row or more of 1 number or more, and a padding index "
                      "among them; got %lld, %lld and %lld",
                      (long long)rows, (long long)size, (long long)o.padding_index);
        return self;
    }
    *e = (embedding){.padding = o.padding, .padding_index = o.padding_index};
    e->weight = gr_module_param(self, "weight", GR_SHAPE(rows, size),
                                o.weight.kind ? o.weight : normal);
    if (o.padding) clear_row(e->weight, o.padding_index);
    return self;
}

/* --- position --- */

typedef struct position {
    gr_param *table;
    int64_t length, size;
    bool batch_first;
} position;

static gr_tensor *position_forward(gr_module *self, gr_tensor *x)
{
    const position *p = gr_module_state(self);
    const gr_shape *s = gr_shape_of(x);
    const int64_t n = s->rank == 3 ? s->dim[p->batch_first] : 0;
    bool fits = s->rank == 3 && s->dim[2] == p->size && n <= p->length;
    gr_tensor *table = gr_use(gr_graph_of(x), p->table);
    if (!gr__expect_shape(self, x, fits,
                          p->batch_first ? "[N, T, %lld] with T up to %lld"
                                         : "[T, N, %lld] with T up to %lld",
                          (long long)p->size, (long long)p->length) ||
        !gr__expect_dtype(self, x, table))
        return gr_detach(x); /* inert */
    table = gr_narrow(table, 0, 0, n);
    return gr_add(x, p->batch_first ? table : gr_unsqueeze(table, 1));
}

/* pe[t][2i] = sin(t / 10000^(2i / size)), pe[t][2i + 1] = cos of the same. */
static void fill_sines(gr_param *p)
{
    const gr_shape *s = gr_param_shape(p);
    void *data = gr_param_write(p);
    for (int64_t i = 0; i < gr_shape_numel(s) && data; i++) {
        const int64_t t = i / s->dim[1], j = i % s->dim[1];
        const double angle = (double)t / pow(10000, (double)(j - j % 2) / (double)s->dim[1]);
        const double value = j % 2 ? cos(angle) : sin(angle);
        if (gr_param_dtype(p) == GR_F64) ((double *)data)[i] = value;
        else ((float *)data)[i] = (float)value;
    }
}

/* Adds to x, [T, N, size] or, batch first, [N, T, size], a vector for each of at most `length`
 * places: sines and cosines of many wavelengths (Vaswani et al., 2017; in no file), or the
 * rows of a parameter weight [length, size], by default from N(0, 1). */
gr_module *gr_position_layer(gr_model *m, int64_t length, int64_t size, gr_position_options o)
{
    gr_module *self = gr_module_new(m, "position", position_forward, sizeof(position));
    position *p = gr_module_state(self);
    if (!p) return self;
    if (length < 1 || size < 1) {
        gr_model_fail(m, "position: expected sizes of at least 1, got %lld places of %lld numbers",
                      (long long)length, (long long)size);
        return self;
    }
    const gr_shape shape = GR_SHAPE(length, size);
    *p = (position){.length = length, .size = size, .batch_first = o.batch_first};
    if (o.learned)
        p->table = gr_module_param(self, "weight", shape, o.weight.kind ? o.weight : normal);
    else fill_sines(p->table = gr_module_unsaved_buffer(self, "table", shape, (gr_init){0}));
    return self;
}
