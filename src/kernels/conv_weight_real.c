/* conv_weight_real.c - dw of a convolution; needs conv_base_real.c before it. */
/* SPDX-License-Identifier: MIT */
#include "conv.h"
#include "instance.h"

/* Accumulators that fill the vector registers, beside a column of operands and one more. */
enum {
    TILE_ROWS = VEC_REGISTERS == 32 ? 4 : 3, /* out channels */
    TILE_TAPS = VEC_REGISTERS == 32 ? 6 : 4
};

/* --- reading --- */

/* A piece of an image in the space of a task. */
typedef struct image_piece {
    const REAL *x, *dy; /* planes; runs, one per out channel */
    const BITS *mask;
    int64_t length; /* of a run */
} image_piece;

/* Which elements of a run are results: in a full band (0), in the last (1). */
static void weight_grad_prepare(gr__conv_job *job, int64_t begin, int64_t end)
{
    for (int64_t last = begin; last < end; last++) {
        BITS *mask = (BITS *)job->mask + last * job->run;
        int64_t rows = last ? block_from((job->bands - 1) * job->rows, job->rows, job->c.h.out)
                            : job->rows;
        for (int64_t i = 0; i < job->run; i++)
            mask[i] = i / job->pitch < rows && i % job->pitch < job->c.w.out ? -1 : 0;
    }
}

/* Rows of channels of dy as runs: zeros between the rows and at the end. */
static void read_runs(const gr__conv_job *job, const REAL *dy, int64_t channels, int64_t rows,
                      REAL *y)
{
    const gr__conv *c = &job->c;
    int64_t length = (rows - 1) * job->pitch + c->w.out;
    for (int64_t o = 0; o < channels; o++, dy += c->h.out * c->w.out, y += job->run) {
        for (int64_t i = 0; i < rows; i++) {
            REAL *to = y + i * job->pitch;
            memcpy(to, dy + i * c->w.out, (size_t)c->w.out * sizeof *to);
            if (i + 1 < rows) fill_zero(to + c->w.out, c->w.reach);
        }
        fill_zero(y + length, job->run - length);
    }
}

/* Piece `index` of the batch for a task that has out channels from `channel` on. */
static image_piece read_piece(const gr__conv_job *job, int64_t index, int64_t g, int64_t channel,
                              int64_t channels, REAL *x, REAL *dy)
{
    const gr__conv *c = &job->c;
    int64_t band = index % job->bands, n = index / job->bands;
    int64_t row = band * job->rows, rows = block_from(row, job->rows, c->h.out);
    const REAL *from = (const REAL *)job->b +
                       (((n * c->groups + g) * c->out + channel) * c->h.out + row) * c->w.out;
    read_image(job, n, g, row, x);
    read_runs(job, from, channels, rows, dy);
    bool last = band == job->bands - 1;
    return (image_piece){x, dy, (const BITS *)job->mask + (last ? job->run : 0),
                         (rows - 1) * job->pitch + c->w.out};
}

/* --- adding --- */

/* sum[r][k] += sum over pieces and i of dy[r][i] x[offset_k + i] */
static ALWAYS_INLINE void tile(const image_piece *pieces, int64_t n, int64_t run,
                               const int64_t *offset, int64_t row, const int rows, REAL *y)
{
    vec sum[TILE_ROWS][TILE_TAPS] = {{{0}}};
    for (const image_piece *p = pieces; p < pieces + n; p++) {
        const REAL *dy = p->dy + row * run, *x = p->x;
        for (int64_t i = 0; i < p->length; i += VEC_LANES) {
            vec v[TILE_ROWS];
            UNROLL
            for (int r = 0; r < rows; r++) v[r] = vec_load(dy + r * run + i);
            UNROLL
            for (int k = 0; k < TILE_TAPS; k++) {
                vec u = vec_masked(vec_load(x + offset[k] + i), p->mask + i);
                UNROLL
                for (int r = 0; r < rows; r++) sum[r][k] += v[r] * u;
            }
        }
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int k = 0; k < TILE_TAPS; k++) y[r * TILE_TAPS + k] = vec_sum(sum[r][k]);
    }
}

static void tile_of(const image_piece *pieces, int64_t n, int64_t run, const int64_t *offset,
                    int64_t row, int64_t rows, REAL *y)
{
    if (rows == 1) tile(pieces, n, run, offset, row, 1, y);
    else if (rows == 2) tile(pieces, n, run, offset, row, 2, y);
    else if (rows == 3) tile(pieces, n, run, offset, row, 3, y);
    else tile(pieces, n, run, offset, row, TILE_ROWS, y);
}

static void add_pieces(const gr__conv_job *job, const image_piece *pieces, int64_t n,
                       int64_t channels, REAL *dw)
{
    int64_t taps = job->c.in * job->c.h.taps * job->c.w.taps;
    for (int64_t o = 0; o < channels; o += TILE_ROWS) {
        int64_t rows = block_from(o, TILE_ROWS, channels);
        for (int64_t k = 0; k < taps; k += TILE_TAPS) {
            REAL sum[TILE_ROWS * TILE_TAPS];
            int64_t used = block_from(k, TILE_TAPS, taps);
            tile_of(pieces, n, job->run, job->offset + k, o, rows, sum);
            for (int64_t r = 0; r < rows; r++)
                for (int64_t i = 0; i < used; i++)
                    dw[(o + r) * taps + k + i] += sum[r * TILE_TAPS + i];
        }
    }
}

static void weight_grad_task(const gr__conv_job *job, int64_t task, void *space)
{
    const gr__conv *c = &job->c;
    int64_t split = task % job->splits, g = task / job->splits % c->groups;
    int64_t chunk = task / job->splits / c->groups, step = job->space_size / job->pieces;
    int64_t channel = split * job->split_rows;
    int64_t channels = block_from(channel, job->split_rows, c->out);
    int64_t taps = c->in * c->h.taps * c->w.taps, end = (chunk + 1) * job->per_chunk;
    REAL *dw = (REAL *)job->partial + ((chunk * c->groups + g) * c->out + channel) * taps;
    if (end > c->batch * job->bands) end = c->batch * job->bands;
    fill_zero(dw, channels * taps);
    for (int64_t first = chunk * job->per_chunk; first < end; first += job->pieces) {
        image_piece pieces[GR__CONV_MAX_PIECES];
        int64_t n = block_from(first, job->pieces, end);
        for (int64_t i = 0; i < n; i++) {
            REAL *dy = (REAL *)space + i * step, *x = dy + job->split_rows * job->run;
            pieces[i] = read_piece(job, first + i, g, channel, channels, x, dy);
        }
        add_pieces(job, pieces, n, channels, dw);
    }
}

/* Chunks are added in order. */
static void weight_grad_finish(const gr__conv_job *job, int64_t begin, int64_t end)
{
    const gr__conv *c = &job->c;
    int64_t weights = c->groups * c->out * c->in * c->h.taps * c->w.taps;
    REAL *dw = job->y;
    fill_zero(dw + begin, end - begin);
    for (int64_t chunk = 0; chunk < job->chunks; chunk++) {
        const REAL *part = (const REAL *)job->partial + chunk * weights;
        for (int64_t i = begin; i < end; i++) dw[i] += part[i];
    }
}
