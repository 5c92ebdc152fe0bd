/* weights.h - a trained network, from the file that training wrote. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__WEIGHTS_H
#define GR__WEIGHTS_H

#include "networks.h"
#include "source.h"

typedef struct weights {
    const network *network;
    variant variant;
    gr_model *model; /* in evaluation mode */
    gr_module *net;
    scaling scaling; /* of the data that it was trained on; 0 and 1 where the file does not say */
} weights;

/* Builds the network that the file names (or `name`, for a file that names none) for the samples of
 * d, and loads its parameters. Errors: another network than `name`, other samples or classes than
 * those of d, a file that cannot be used. name may be NULL. */
gr_status weights_load(weights *w, const char *path, const char *name, const gr_dataset *d);
void weights_release(weights *w);

#endif
