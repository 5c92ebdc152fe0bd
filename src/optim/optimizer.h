/* optimizer.h - what the files of src/optim share. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__OPTIMIZER_H
#define GR__OPTIMIZER_H

#include "base.h"
#include <gradus/optim.h>

/* Compiled once per instruction set, chosen when the program is loaded. */
#ifdef GRADUS_CLONES
#define GR__CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define GR__CLONES
#endif

/* An optimizer that does nothing but say why: what constructors return on failure. */
gr_optimizer *gr__optimizer_inert(gr_status status, const char *format, ...) GR_PRINTF(2, 3);

/* Zero means the default. */
static inline double gr__or(double value, double otherwise)
{
    return value == 0 ? otherwise : value;
}

/* --- rules_real.c, once per dtype --- */

typedef void gr__rule_fn(const gr_update *u);
typedef struct gr__rules {
    gr__rule_fn *sgd, *momentum, *adam;
} gr__rules;

extern const gr__rules gr__rules_f32, gr__rules_f64;

#endif
