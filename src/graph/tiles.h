/* tiles.h - a row of tile functions that a piece goes through while it is in the cache. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__TILES_H
#define GR__TILES_H

#include "kernels.h"
#include "strided.h"

enum {
    GR__SLOT = 4096,     /* bytes of a piece that has to be gathered, converted or passed on */
    GR__TILE_STEPS = 24, /* what they pass on has to stay in the cache */
    GR__TILE_LOADS = 8,  /* inputs that have to be gathered */
    GR__TILE_SUMS = 3,
    GR__TILE_SLOTS = GR__TILE_STEPS + GR__TILE_LOADS
};

typedef void gr__tile_fn(const gr_tile *t);

/* What one step reads: an array in memory, row-major, or the piece in a slot. */
typedef struct gr__tile_input {
    const char *data; /* NULL: the slot */
    size_t size;      /* of an element */
    int slot;
    bool widened; /* float32 read as float64 */
} gr__tile_input;

/* An array that is brought into a slot, piece by piece, before the steps. */
typedef struct gr__tile_load {
    gr__strided from;
    const void *key; /* whose value it is */
    int slot;
    bool uniform; /* all elements are one */
} gr__tile_load;

/* One function; or, where there is a stream, a sum of in[0]. */
typedef struct gr__tile_step {
    gr__tile_fn *f;
    const void *attrs;
    int n_in, slot;                           /* where the result goes if y is NULL */
    bool narrowed;                            /* float64 results stored as float32 */
    size_t size;                              /* of an element of the result */
    char *y;                                  /* NULL: only later steps read it */
    bool (*finite)(const void *y, int64_t n); /* NULL: nobody asks */
    uint8_t *unfit;                           /* told of pieces that are not */
    const gr__stream *stream;
    void (*sum)(const gr__stream *s, const void *x, int64_t first, int64_t n, double *lanes);
    int lanes; /* its own of the workspace */
    gr__tile_input in[GR_MAX_TILE_INPUTS];
} gr__tile_step;

typedef struct gr__tiles {
    int64_t n;                /* elements of each array */
    const gr__stream *stream; /* by whose units pieces are cut; NULL: as one likes */
    int n_steps, n_loads;
    int64_t element; /* bytes of the largest one that goes through a slot */
    int64_t piece;   /* elements at most; set by gr__tiles_run */
    gr__tile_step step[GR__TILE_STEPS];
    gr__tile_load load[GR__TILE_LOADS];
} gr__tiles;

void gr__tiles_run(gr__tiles *tiles);

#endif
