/* onednn.h - products of bfloat16 matrices by oneDNN, for the sake of matrix units (AMX).
 *
 * A product of one shape is compiled once and kept, with memory for as many threads as there are: a
 * cache of code, like the table of kernels, and the one thing here that is shared by all graphs.
 */
/* SPDX-License-Identifier: MIT */
#ifndef GR__ONEDNN_H
#define GR__ONEDNN_H

#include <stdbool.h>
#include <stdint.h>

/* c = a b, or c += a b, with a [m,k] and b [k,n] of these strides, one of which is 1, and rows of c
 * ldc apart. */
typedef struct gr__onednn_shape {
    int64_t m, n, k;
    int64_t a[2], b[2], ldc;
    bool add;
} gr__onednn_shape;

typedef struct gr__onednn gr__onednn;

/* Whether it is built in and the processor has matrix units for bfloat16. */
bool gr__onednn_pays(void);
/* For tests: as if the processor had them. False: it is not built in, or lacks bfloat16. */
bool gr__onednn_force(bool forced);
/* To be put back; NULL: oneDNN refuses, or memory is out. */
gr__onednn *gr__onednn_get(const gr__onednn_shape *s);
void gr__onednn_put(gr__onednn *p);
/* On this thread alone; any number of threads may at the same time. False: memory is out. */
bool gr__onednn_run(gr__onednn *p, const uint16_t *a, const uint16_t *b, float *c);

#endif
