/* split.h - a data set divided at random. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__SPLIT_H
#define GR__SPLIT_H

#include "base.h"
#include <gradus/data.h>

/* Copies a random `fraction` of d to *part and the others to *rest, at least one sample to each,
 * both in the order of d. To be freed; both NULL on failure. */
gr_status gr__split(const gr_dataset *d, double fraction, uint64_t seed, gr_dataset **rest,
                    gr_dataset **part);

#endif
