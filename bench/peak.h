/* peak.h - loops of nothing but multiply-adds in registers, one for each instruction set. */
/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PEAK_H
#define BENCH_PEAK_H

#include <stdbool.h>
#include <stdint.h>

typedef struct peak {
    const char *name;
    bool (*present)(void);         /* whether this processor has it */
    double (*run)(int64_t rounds); /* gives the operations done, 2 for each multiply-add */
} peak;

extern const peak peaks[]; /* the last has no name */

#endif
