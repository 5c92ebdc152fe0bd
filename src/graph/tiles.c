/* tiles.c - running tile functions over pieces of arrays, in chunks that the threads share.
 *
 * A piece goes through all steps before the next one begins. What one step reads of another is in a
 * slot of the workspace, which is small enough for the cache.
 */
/* SPDX-License-Identifier: MIT */
#include "tiles.h"

#include <string.h>

enum {
    GRAIN = GR__REDUCTION_BLOCK, /* elements that one thread takes at a time */
    CACHE = 20480,               /* bytes of it that pieces may take, half of the smallest */
    PAD = 128 /* between slots: addresses equal modulo 4096 get in each other's way */
};

typedef struct workspace {
    _Alignas(64) char slot[GR__TILE_SLOTS * (GR__SLOT + PAD)];
    double lanes[GR__TILE_SUMS][GR__SUM_LANES];
} workspace;

static void *slot_of(const gr__tiles *t, workspace *w, int slot)
{
    return w->slot + slot * (t->piece * t->element + PAD);
}

/* --- one piece --- */

static const void *widen(const float *narrow, int64_t n, double *space)
{
    for (int64_t i = 0; i < n; i++) space[i] = (double)narrow[i];
    return space;
}

static const void *find(const gr__tiles *t, workspace *w, const gr__tile_input *x, int64_t first)
{
    return x->data ? x->data + (size_t)first * x->size : slot_of(t, w, x->slot);
}

/* A step that converts: float32 in memory, float64 to the function. */
static void run_converted(const gr__tile_step *s, const void **x, gr_tile *piece)
{
    enum { MOST = GR__SLOT / sizeof(double) };
    double space[GR_MAX_TILE_INPUTS][MOST], wide[MOST];
    float *y = piece->y;
    for (int i = 0; i < s->n_in; i++)
        if (s->in[i].widened) x[i] = widen(x[i], piece->n, space[i]);
    if (s->narrowed) piece->y = wide;
    s->f(piece);
    for (int64_t i = 0; s->narrowed && i < piece->n; i++) y[i] = (float)wide[i];
}

static bool converts(const gr__tile_step *s)
{
    bool any = s->narrowed;
    for (int i = 0; i < s->n_in; i++) any |= s->in[i].widened;
    return any;
}

static void run_step(const gr__tiles *t, const gr__tile_step *s, workspace *w, int64_t first,
                     int64_t n)
{
    const void *x[GR_MAX_TILE_INPUTS];
    for (int i = 0; i < s->n_in; i++) x[i] = find(t, w, &s->in[i], first);
    if (s->stream) {
        s->sum(s->stream, x[0], first, n, w->lanes[s->lanes]);
        return;
    }
    void *y = s->y ? s->y + (size_t)first * s->size : slot_of(t, w, s->slot);
    gr_tile piece = {n, first, x, y, s->attrs};
    if (converts(s)) run_converted(s, x, &piece);
    else s->f(&piece);
    if (s->finite && !s->finite(y, n)) __atomic_store_n(s->unfit, 1, __ATOMIC_RELAXED);
}

static void run_piece(const gr__tiles *t, workspace *w, int64_t first, int64_t n)
{
    for (int k = 0; k < t->n_loads; k++)
        if (!t->load[k].uniform)
            gr__strided_read(&t->load[k].from, first, n, slot_of(t, w, t->load[k].slot));
    for (int k = 0; k < t->n_steps; k++) run_step(t, &t->step[k], w, first, n);
}

/* --- chunks --- */

static void begin_chunk(const gr__tiles *t, workspace *w)
{
    const int64_t n = t->n < t->piece ? t->n : t->piece;
    for (int k = 0; k < t->n_loads; k++)
        if (t->load[k].uniform)
            gr__strided_read(&t->load[k].from, 0, n, slot_of(t, w, t->load[k].slot));
    memset(w->lanes, 0, sizeof w->lanes);
}

static void run_pieces(void *ctx, int64_t begin, int64_t end)
{
    const gr__tiles *t = ctx;
    workspace w;
    begin_chunk(t, &w);
    for (int64_t i = begin, n; i < end; i += n) {
        n = end - i < t->piece ? end - i : t->piece;
        if (t->stream) n = gr__stream_piece(t->stream, i, n);
        run_piece(t, &w, i, n);
    }
}

/* One step that reads and writes memory as it lies: no pieces. */
static void run_whole(void *ctx, int64_t begin, int64_t end)
{
    const gr__tiles *t = ctx;
    run_step(t, &t->step[0], NULL, begin, end - begin);
}

static bool needs_pieces(const gr__tiles *t)
{
    const gr__tile_step *s = &t->step[0];
    return t->n_steps > 1 || t->n_loads || converts(s) || s->finite || s->stream;
}

/* --- how large a piece is --- */

static bool reads(const gr__tile_step *s, int n, const char *data)
{
    for (int i = 0; i < n; i++)
        if (s->in[i].data == data) return true;
    return false;
}

/* Slots in use at a time, and arrays in memory. */
static int count_operands(const gr__tiles *t)
{
    int slots = 0, arrays = 0;
    for (int k = 0; k < t->n_steps; k++) {
        const gr__tile_step *s = &t->step[k];
        if (s->slot >= slots) slots = s->slot + 1;
        arrays += s->y != NULL;
        for (int i = 0; i < s->n_in; i++) {
            bool known = !s->in[i].data || reads(s, i, s->in[i].data);
            for (int j = 0; j < k && !known; j++)
                known = t->step[j].y == s->in[i].data ||
                        reads(&t->step[j], t->step[j].n_in, s->in[i].data);
            arrays += !known;
        }
    }
    return slots + t->n_loads + arrays;
}

/* All of a piece's operands are to stay in the first cache; but calls for few elements are slow. */
static int64_t piece_of(const gr__tiles *t)
{
    int64_t size = t->element;
    for (int k = 0; k < t->n_steps; k++)
        if (converts(&t->step[k])) size = sizeof(double);
    int64_t n = GR__SLOT / size;
    if (t->n <= n) return n;
    const int64_t bytes = count_operands(t) * size;
    while (n > GR__SUM_STRETCH && n * bytes > CACHE) n /= 2;
    return n;
}

void gr__tiles_run(gr__tiles *t)
{
    const bool pieces = needs_pieces(t);
    if (pieces) t->piece = piece_of(t);
    gr__parallel_for(t->n, t->stream ? t->stream->chunk : GRAIN, pieces ? run_pieces : run_whole,
                     t);
}
