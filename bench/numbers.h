/* numbers.h - weights and inputs that every program can make, in whatever language. */
/* SPDX-License-Identifier: MIT */
#ifndef BENCH_NUMBERS_H
#define BENCH_NUMBERS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { PARAM_STREAM = 100, INPUT_STREAM = 200, TARGET_STREAM = 300 }; /* + which one */

void *allocate(size_t bytes);           /* ends the program when memory is out */
uint32_t name_stream(const char *name); /* of a parameter */
void fill_uniform(float *x, uint64_t stream, int64_t n, double bound); /* in [-bound, bound) */
void fill_indices(int64_t *t, uint64_t stream, int64_t n, int64_t below);
double fingerprint(const float *x, int64_t n); /* of an array: mean of |x_i| (1 + i % 7) */

#ifdef __cplusplus
}
#endif
#endif
