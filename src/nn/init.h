/* init.h - what the initialisers share. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__INIT_H
#define GR__INIT_H

#include "model.h"

typedef struct gr__draw {
    const gr_init *init; /* gain is not 0 */
    double scale;        /* bound, deviation, value or gain, as the kind has it */
    uint64_t stream;
} gr__draw;

void gr__init_store(gr_param *p, void *data, int64_t i, double value);

/* Those that look at the whole weight (init_whole.c): NULL, or what went wrong, with p unchanged. */
const char *gr__init_orthogonal(gr_param *p, const gr__draw *d);
const char *gr__init_sparse(gr_param *p, const gr__draw *d);
const char *gr__init_identity(gr_param *p, const gr__draw *d);
const char *gr__init_dirac(gr_param *p, const gr__draw *d);

#endif
