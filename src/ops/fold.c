/* fold.c - reductions in double, a piece of what goes into a result at a time.
 *
 * Blocks of neighbouring results advance together, so that of an array reduced over an outer axis
 * each cache line is read once. Long reductions into few results are cut into fixed pieces: the bits
 * do not depend on the threads.
 */
/* SPDX-License-Identifier: MIT */
#include "fold.h"
#include "strided.h"

#include <math.h>

enum {
    FOLD_LANES = 8,
    FOLD_PIECE = 256, /* terms taken at a time */
    FOLD_BLOCK = 16   /* results that advance together */
};

/* --- joining --- */

GR__CLONES static double sum_terms(double total, const double *x, int64_t n)
{
    double lane[FOLD_LANES] = {0};
    int64_t i = 0;
    for (; i + FOLD_LANES <= n; i += FOLD_LANES)
        for (int l = 0; l < FOLD_LANES; l++) lane[l] += x[i + l];
    for (int l = 0; i < n; i++, l++) lane[l] += x[i];
    for (int l = 0; l < FOLD_LANES; l++) total += lane[l];
    return total;
}

double gr__fold_sum(double total, const double *x, int64_t n)
{
    return sum_terms(total, x, n);
}

double gr__fold_product(double total, const double *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) total *= x[i];
    return total;
}

double gr__fold_max(double total, const double *x, int64_t n)
{
    bool nan = total != total;
    for (int64_t i = 0; i < n; i++) {
        nan |= x[i] != x[i];
        total = x[i] > total ? x[i] : total;
    }
    return nan ? (double)NAN : total;
}

double gr__fold_min(double total, const double *x, int64_t n)
{
    bool nan = total != total;
    for (int64_t i = 0; i < n; i++) {
        nan |= x[i] != x[i];
        total = x[i] < total ? x[i] : total;
    }
    return nan ? (double)NAN : total;
}

/* --- walking --- */

typedef struct fold_job {
    const gr__fold *f;
    const gr__reduction *r;
    gr_dtype dtype;
    double *partial; /* [outputs][pieces] */
} fold_job;

/* The terms of a result, as an array of their own. */
static gr__strided terms_of(const fold_job *j, int64_t output)
{
    const gr__reduction *r = j->r;
    gr__strided s = {.rank = r->n_reduced, .size = gr_dtype_size(j->dtype)};
    int64_t offset = 0;
    for (int i = r->n_kept - 1; i >= 0; i--) {
        offset += output % r->kept[i] * r->kept_stride[i];
        output /= r->kept[i];
    }
    for (int i = 0; i < r->n_reduced; i++) {
        s.dim[i] = r->reduced[i];
        s.stride[i] = r->reduced_stride[i];
    }
    s.data = (const char *)r->x + offset * (int64_t)s.size;
    return s;
}

static void read_terms(const gr__strided *s, int64_t first, int64_t n, double *x)
{
    float space[FOLD_PIECE];
    const float *narrow = space;
    if (s->size == sizeof *x) {
        gr__strided_read(s, first, n, x);
        return;
    }
    if (gr__strided_contiguous(s)) narrow = (const float *)s->data + first;
    else gr__strided_read(s, first, n, space);
    for (int64_t i = 0; i < n; i++) x[i] = (double)narrow[i];
}

/* Terms [begin, end) of the results [output, output + width). */
static void fold_block(const fold_job *j, int64_t output, int64_t width, int64_t begin, int64_t end,
                       double *total)
{
    gr__strided s[FOLD_BLOCK];
    double x[FOLD_PIECE];
    for (int64_t c = 0; c < width; c++) {
        s[c] = terms_of(j, output + c);
        total[c] = j->f->start;
    }
    for (int64_t at = begin; at < end; at += FOLD_PIECE) {
        int64_t n = end - at < FOLD_PIECE ? end - at : FOLD_PIECE;
        for (int64_t c = 0; c < width; c++) {
            read_terms(&s[c], at, n, x);
            if (j->f->map)
                j->f->map(x, n, j->f->constants ? j->f->constants[output + c] : j->f->constant);
            total[c] = j->f->join(total[c], x, n);
        }
    }
}

static void fold_blocks(void *ctx, int64_t begin, int64_t end)
{
    const fold_job *j = ctx;
    for (int64_t at = begin; at < end; at += FOLD_BLOCK) {
        int64_t width = end - at < FOLD_BLOCK ? end - at : FOLD_BLOCK;
        fold_block(j, at, width, 0, j->r->count, j->partial + at);
    }
}

static void fold_pieces(void *ctx, int64_t begin, int64_t end)
{
    const fold_job *j = ctx;
    const int64_t pieces = j->r->pieces, length = (j->r->count + pieces - 1) / pieces;
    for (int64_t i = begin; i < end; i++) {
        int64_t from = i % pieces * length, to = from + length;
        if (to > j->r->count) to = j->r->count;
        fold_block(j, i / pieces, 1, from, to, &j->partial[i]);
    }
}

/* --- entry --- */

double *gr__fold_run(gr_exec *e, const gr__fold *f)
{
    gr__reduction r = gr__axes_reduction(e);
    double *partial = gr_exec_scratch(e, (size_t)gr__reduction_scratch(&r) * sizeof *partial + 1);
    fold_job j = {f, &r, e->in[0].dtype, partial};
    if (!partial) return NULL;
    if (r.pieces > 1) {
        gr__parallel_for(r.outputs * r.pieces, 1, fold_pieces, &j);
        for (int64_t i = 0; i < r.outputs; i++)
            partial[i] = f->join(f->start, partial + i * r.pieces, r.pieces);
        return partial;
    }
    int64_t blocks = 1 + 32768 / (FOLD_BLOCK * (r.count + 1));
    gr__parallel_for(r.outputs, FOLD_BLOCK * blocks, fold_blocks, &j);
    return partial;
}

void gr__fold_store(const gr_exec *e, int output, const double *y)
{
    const gr_value *v = &e->out[output];
    for (int64_t i = 0, n = gr_shape_numel(v->shape); i < n; i++) gr__set_real(v, i, y[i]);
}
