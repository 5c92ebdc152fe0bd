/* bf16_onednn.c - products of rounded operands where oneDNN has matrix units for them. */
/* SPDX-License-Identifier: MIT */
#include "base.h"
#include "bf16.h"
#include "onednn.h"

#include <string.h>

enum {
    BLOCK_WORK = 1 << 22, /* multiplications worth a task */
    BLOCK_STEP = 64,      /* rows or columns of a block are a multiple */
    ROUND_WORK = 1 << 16  /* elements that are worth rounding in a task */
};

/* An operand as it lies, line by line: its rows, or its columns. */
typedef struct operand {
    const gr__bf16_kernels *kernels;
    const float *x;
    int64_t lines, length, lead;
    uint16_t *y; /* lines without gaps */
} operand;

static bool find_lines(operand *o, const gr__matrix *a, int64_t m, int64_t n, int64_t stride[2])
{
    const bool rows = a->column == 1;
    o->x = a->data;
    o->lines = rows ? m : n;
    o->length = rows ? n : m;
    o->lead = rows ? a->row : a->column;
    stride[0] = rows ? n : 1;
    stride[1] = rows ? 1 : m;
    return rows || a->row == 1;
}

static void round_lines(void *ctx, int64_t begin, int64_t end)
{
    const operand *o = ctx;
    for (int64_t i = begin; i < end; i++)
        o->kernels->round(o->x + i * o->lead, o->length, o->y + i * o->length);
}

static void round_operand(operand *o)
{
    gr__parallel_for(o->lines, gr__up_div(ROUND_WORK, o->length), round_lines, o);
}

/* Blocks of columns, or of rows where there are more of them, by the sizes alone: all of one shape
 * but the last. */
typedef struct blocks {
    gr__onednn_shape whole, last;
    gr__onednn *product, *last_product;
    bool across;
    int64_t n, size;
    const uint16_t *a, *b;
    float *c;
} blocks;

static void cut(blocks *p, const gr__onednn_shape *s)
{
    p->across = s->n >= s->m;
    const int64_t along = p->across ? s->n : s->m, other = p->across ? s->m : s->n;
    const int64_t size = gr__up_div(gr__up_div(BLOCK_WORK, other * s->k), BLOCK_STEP) * BLOCK_STEP;
    p->size = gr__least(along, size);
    p->n = gr__up_div(along, p->size);
    p->whole = p->last = *s;
    *(p->across ? &p->whole.n : &p->whole.m) = p->size;
    *(p->across ? &p->last.n : &p->last.m) = along - (p->n - 1) * p->size;
}

static double widened(uint16_t x)
{
    const uint32_t bits = (uint32_t)x << 16;
    float y;
    memcpy(&y, &bits, sizeof y);
    return (double)y;
}

/* By the definition: where oneDNN has no memory for a moment. */
static void multiply_plainly(const gr__onednn_shape *s, const uint16_t *a, const uint16_t *b,
                             float *c)
{
    for (int64_t i = 0; i < s->m; i++)
        for (int64_t j = 0; j < s->n; j++) {
            double sum = s->add ? (double)c[i * s->ldc + j] : 0;
            for (int64_t k = 0; k < s->k; k++)
                sum += widened(a[i * s->a[0] + k * s->a[1]]) *
                       widened(b[k * s->b[0] + j * s->b[1]]);
            c[i * s->ldc + j] = (float)sum;
        }
}

static void run_blocks(void *ctx, int64_t begin, int64_t end)
{
    const blocks *p = ctx;
    const gr__onednn_shape *s = &p->whole;
    for (int64_t i = begin; i < end; i++) {
        const int64_t at = i * p->size, row = p->across ? 0 : at, column = p->across ? at : 0;
        const uint16_t *a = p->a + row * s->a[0], *b = p->b + column * s->b[1];
        float *c = p->c + row * s->ldc + column;
        const bool last = i + 1 == p->n;
        if (!gr__onednn_run(last ? p->last_product : p->product, a, b, c))
            multiply_plainly(last ? &p->last : s, a, b, c);
    }
}

/* oneDNN adds to c alone. */
static void copy_added(void *ctx, int64_t begin, int64_t end)
{
    const gr__product *p = ctx;
    for (int64_t i = begin; i < end; i++)
        memcpy((float *)p->c + i * p->n, (const float *)p->add + i * p->add_row,
               (size_t)p->n * sizeof(float));
}

bool gr__bf16_by_onednn(const gr__bf16_kernels *kernels, const gr__product *p, void *scratch)
{
    const int64_t m = p->m, n = p->n, k = p->k;
    operand x = {.kernels = kernels, .y = scratch}, w = {.kernels = kernels};
    gr__onednn_shape s = {.m = m, .n = n, .k = k, .ldc = n, .add = p->add};
    blocks l = {.c = p->c, .a = x.y};
    if (!find_lines(&x, &p->a, m, k, s.a) || !find_lines(&w, &p->b, k, n, s.b)) return false;
    l.b = w.y = x.y + gr__up_div(m * k, 32) * 32;
    cut(&l, &s);
    l.product = gr__onednn_get(&l.whole);
    l.last_product = l.product ? gr__onednn_get(&l.last) : NULL;
    if (l.last_product) {
        if (p->add && p->add != p->c)
            gr__parallel_for(m, 1 + ROUND_WORK / n, copy_added, (void *)p);
        round_operand(&x);
        round_operand(&w);
        gr__parallel_for(l.n, 1, run_blocks, &l);
    }
    gr__onednn_put(l.product);
    gr__onednn_put(l.last_product);
    return l.last_product;
}
