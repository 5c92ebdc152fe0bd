/* raw.h - a user's forward and backward pair as a map between arrays of doubles, watched. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__RAW_H
#define GR__RAW_H

#include "function.h"
#include <gradus/check_raw.h>

/* An array handed to the user's functions, between two canaries. */
typedef struct gr__raw_buffer {
    char name[80]; /* "y", "the gradient of w" */
    int64_t n;
    char *data;
    char *copy;    /* of an input: its content, to see whether it changes; else NULL */
    int64_t first; /* of an input: where in f.x, -1 for a constant */
} gr__raw_buffer;

typedef struct gr__raw {
    gr__function f;
    const gr_raw *user;
    size_t size; /* bytes of an element */
    int n_in;
    gr__raw_buffer x[GR_RAW_INPUTS], dx[GR_RAW_INPUTS], y, dy;
    void *px[GR_RAW_INPUTS], *pdx[GR_RAW_INPUTS]; /* what the functions get */
    bool other_canary; /* the second of two: a result that depends on it read outside its arrays */
    double start;      /* what dx holds before a backward that adds */
} gr__raw;

/* Lays out the buffers and chooses the point. False: r->f.fault says why; release it in any case. */
bool gr__raw_init(gr__raw *r, const gr_raw *user, uint64_t seed);
void gr__raw_release(gr__raw *r);

/* S0. False: the report says what failed. */
bool gr__check_raw_structure(gr__raw *r, uint64_t seed, gr_check_report *report);

#endif
