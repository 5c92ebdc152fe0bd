/* guard.c - watching kernels: outputs fully written, nothing else touched.
 *
 * In a guarded graph each output lies between two canaries and is filled with a pattern before the
 * kernel runs; inputs are hashed before and after. Slow, and made for tests and for the gradient
 * check, which guards every graph it records.
 */
/* SPDX-License-Identifier: MIT */
#include "strided.h"
#include "tape.h"

#include <string.h>

/* For floats a NaN that no arithmetic makes; elsewhere an unlikely value. */
enum { UNWRITTEN_FLOAT = 0xff, UNWRITTEN_OTHER = 0xa5, CANARY = 0xc9 };

/* Lays out [canary | value | canary] in `block` and returns the value's place. */
void *gr__guard_prepare(void *block, size_t bytes)
{
    char *p = block;
    memset(p, CANARY, GR__GUARD);
    memset(p + GR__GUARD + bytes, CANARY, GR__GUARD);
    return p + GR__GUARD;
}

static bool all_bytes(const char *p, int value, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)p[i] != value) return false;
    return true;
}

static size_t bytes_of(const gr_tensor *t)
{
    return (size_t)gr_shape_numel(t->shape) * gr_dtype_size((gr_dtype)t->dtype);
}

static int pattern_of(const gr_tensor *t)
{
    return gr__is_float((gr_dtype)t->dtype) ? UNWRITTEN_FLOAT : UNWRITTEN_OTHER;
}

void gr__guard_fill(gr_tensor *t)
{
    memset(t->data, pattern_of(t), bytes_of(t));
}

/* Elements in row-major order, whatever the strides. */
uint64_t gr__guard_hash(gr_tensor *t)
{
    int64_t n = gr_shape_numel(t->shape);
    gr_value v = gr__tensor_value(t);
    gr__strided s = gr__strided_of(&v);
    uint64_t piece[64], h = 0;
    for (int64_t i = 0; i < n; i += 64) {
        memset(piece, 0, sizeof piece);
        gr__strided_read(&s, i, n - i < 64 ? n - i : 64, piece);
        for (int k = 0; k < 64; k++) {
            h = (h ^ piece[k]) * 0x9e3779b97f4a7c15u + 1;
            h ^= h >> 32; /* else two changed signs cancel: a top bit never leaves its place */
        }
    }
    return h;
}

static int64_t first_unwritten(const gr_tensor *t)
{
    size_t size = gr_dtype_size((gr_dtype)t->dtype);
    for (int64_t i = 0, n = gr_shape_numel(t->shape); i < n; i++)
        if (all_bytes((const char *)t->data + (size_t)i * size, pattern_of(t), size)) return i;
    return -1;
}

static bool blame(const gr_node *node, const char *what, int64_t index, int which)
{
    char title[128];
    gr__fail_at(node->out[0].graph, GR_ERR_STATE, node->site, what,
                gr__node_title(node, title, sizeof title), (long long)index, which);
    return false;
}

/* Whether the kernel kept to its outputs; otherwise the graph is in error. */
bool gr__guard_verdict(const gr_node *node, const uint64_t *before)
{
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i]->data && gr__guard_hash(node->in[i]) != before[i])
            return blame(node, "%s: its kernel changed its input %lld", i, 0);
    for (int i = 0; i < node->n_out; i++) {
        const gr_tensor *t = &node->out[i];
        const char *p = t->data;
        bool guarded = !(t->flags & GR__BOUND);
        if (guarded && !all_bytes(p - GR__GUARD, CANARY, GR__GUARD))
            return blame(node, "%s: its kernel wrote in front of element %lld of output %d", 0, i);
        if (guarded && !all_bytes(p + bytes_of(t), CANARY, GR__GUARD))
            return blame(node, "%s: its kernel wrote behind the last of %lld elements of output %d",
                         gr_shape_numel(t->shape), i);
        bool inplace = i == 0 && (node->op->flags & GR_OP_INPLACE);
        int64_t hole = inplace ? -1 : first_unwritten(t);
        if (hole >= 0)
            return blame(node, "%s: its kernel did not write element %lld of output %d", hole, i);
    }
    return true;
}

/* Every kernel of this graph is watched from here on: one that leaves a part of its output
 * unwritten, writes outside it or changes an input is a sticky error that says so. */
void gr_graph_set_guarded(gr_graph *g, bool guarded)
{
    if (gr__lacks_graph(g, "gr_graph_set_guarded")) return;
    g->guarded = guarded;
    gr__run_watch(g);
}
