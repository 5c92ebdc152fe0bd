/* conv_winograd_plain_real.c - the products of Winograd's algorithm in REAL; needs
 * conv_winograd_real.c before it. conv_winograd_fixed.c has the same functions in integers.
 */
/* SPDX-License-Identifier: MIT */
#include "conv_real.h"

/* --- y[r][i] = sum_j a[r][j] b[j][i] --- */

enum {
    SIDE = VEC_REGISTERS == 32 ? 4 : 2, /* rows of a block: a multiple, up to three times */
    SIDE_VECS = 2
};

typedef struct point_product {
    const REAL *a;
    int64_t a_row, a_column;
    const REAL *b;
    int64_t b_row;
    REAL *y;
    int64_t y_row;
    int64_t depth;
    bool add; /* to what y holds */
} point_product;

static ALWAYS_INLINE void point_block(const point_product p, int64_t r, int64_t i, const int rows,
                                      const int vecs)
{
    vec sum[3 * SIDE][SIDE_VECS] = {{{0}}};
    REAL *y = p.y + r * p.y_row + i;
    const REAL *a[3], *b = p.b + i;
    const int64_t row = p.a_row;
    UNROLL
    for (int k = 0; k < 3; k++) a[k] = p.a + (r + k * SIDE) * row;
    for (int64_t j = 0; j < p.depth; j++, b += p.b_row) {
        vec v[SIDE_VECS];
        UNROLL
        for (int c = 0; c < vecs; c++) v[c] = vec_load(b + c * VEC_LANES);
        UNROLL
        for (int k = 0; k < rows; k++) {
            const REAL x = a[k / SIDE][k % SIDE * row];
            UNROLL
            for (int c = 0; c < vecs; c++) sum[k][c] += x * v[c];
        }
        UNROLL
        for (int k = 0; k < 3; k++) a[k] += p.a_column;
    }
    UNROLL
    for (int k = 0; k < rows; k++) {
        UNROLL
        for (int c = 0; c < vecs; c++) {
            REAL *to = y + k * p.y_row + c * VEC_LANES;
            vec_store(to, p.add ? vec_load(to) + sum[k][c] : sum[k][c]);
        }
    }
}

/* rows: a multiple of SIDE. */
static ALWAYS_INLINE void point_column(const point_product p, int64_t i, int64_t rows,
                                       const int vecs)
{
    int64_t r = 0;
    for (; rows - r >= 3 * SIDE; r += 3 * SIDE) point_block(p, r, i, 3 * SIDE, vecs);
    if (rows - r == 2 * SIDE) point_block(p, r, i, 2 * SIDE, vecs);
    else if (rows - r == SIDE) point_block(p, r, i, SIDE, vecs);
}

/* columns: a multiple of VEC_LANES. */
static void multiply_point(const point_product *given, int64_t rows, int64_t columns)
{
    const point_product p = *given; /* stores cannot change it */
    int64_t i = 0;
    for (; columns - i >= SIDE_VECS * VEC_LANES; i += SIDE_VECS * VEC_LANES)
        point_column(p, i, rows, SIDE_VECS);
    if (i < columns) point_column(p, i, rows, 1);
}

/* --- what is multiplied --- */

/* The weights of a panel of out channels: y [points][in][panel], zeros beyond the last. */
static void read_weights(const gr__conv_job *job, int64_t panel, REAL *y, REAL *space)
{
    const gr__winograd *w = &job->winograd;
    const int64_t many = job->kind == GR__CONV_INPUT_GRAD ? 1 : GR__CONV_TURNED;
    REAL turned[(GR__CONV_TURNED * WEIGHTS + VEC_LANES) * VEC_LANES];
    (void)space;
    for (int64_t i = 0; i < w->panel; i += VEC_LANES) {
        int64_t channel = panel * w->panel + i, count = block_from(channel, VEC_LANES, w->out);
        for (int64_t c = 0; c < w->in; c += many) {
            int64_t n = block_from(c, many, w->in);
            turn_weights(job, channel, count < 0 ? 0 : count, c, n, turned);
            for (int64_t j = 0; j < n; j++)
                transform_weight(job, turned + j * WEIGHTS * VEC_LANES, y + (c + j) * w->panel + i,
                                 w->weights_point);
        }
    }
}

/* Where the tiles of a dw go, [point][tile][channel]. */
static ALWAYS_INLINE tile_lanes lanes_of_dw(const gr__winograd *w, REAL *tiles, int64_t point,
                                            int64_t step, REAL **space)
{
    (void)w;
    (void)space;
    return (tile_lanes){tiles, point, step, NULL, 0};
}

/* Tiles are multiplied as they are. */
static ALWAYS_INLINE tile_lanes next_lanes(tile_lanes to, int64_t points, int64_t n)
{
    (void)points;
    (void)n;
    to.y += VEC_LANES;
    return to;
}

static ALWAYS_INLINE void pack_channels(const gr__winograd *w, REAL *tiles, int64_t n)
{
    (void)w;
    (void)tiles;
    (void)n;
}

/* Tiles of a block times the weights of a panel, at point k. */
static void multiply_weights(const gr__winograd *w, int64_t k, const REAL *tiles,
                             const REAL *weights, REAL *y)
{
    const point_product p = {.a = tiles + k * w->in_point,
                             .a_row = w->in_step,
                             .a_column = 1,
                             .b = weights + k * w->weights_point,
                             .b_row = w->panel,
                             .y = y + k * w->out_point,
                             .y_row = w->panel,
                             .depth = w->in,
                             .add = w->tile == 1 && k > 0};
    multiply_point(&p, w->block_tiles, w->panel);
}

/* sum += n tiles of x from channel `in` on, times those of dy from channel `out` on. */
static void multiply_tiles(const gr__winograd *w, int64_t k, const REAL *tiles, int64_t n,
                           int64_t in, int64_t out, bool first, REAL *sum)
{
    const point_product p = {.a = tiles + k * w->in_point + in,
                             .a_row = 1,
                             .a_column = w->in_step,
                             .b = tiles + w->points * w->in_point + k * w->out_point + out,
                             .b_row = w->out_step,
                             .y = sum + k * w->weights_point,
                             .y_row = w->panel,
                             .depth = n,
                             .add = !first};
    multiply_point(&p, block_from(in, w->height, w->in_lanes), w->panel);
}
