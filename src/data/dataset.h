/* dataset.h - what the sources of data sets, the parts and the loader share. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__DATASET_H
#define GR__DATASET_H

#include "base.h"

#include <gradus/data.h>

/* A data set of these sizes with neither x nor y, to be filled; NULL on failure. */
gr_dataset *gr__dataset_empty(const char *who, gr_shape sample, int64_t n, int classes);

int64_t gr__sample_numel(const gr_dataset *d);
int64_t gr__target_numel(const gr_dataset *d); /* 0 without targets */

/* One sample, from memory or through `read`; y and target may be NULL. Labels are checked. */
gr_status gr__read_sample(const gr_dataset *d, int64_t index, float *x, int64_t *y, float *target);

/* The labels [n]; read into *held, to be freed, when they are not in memory. NULL on failure. */
const int64_t *gr__labels(const gr_dataset *d, int64_t **held);

void gr__rows_free(gr_rows *rows); /* NULL is fine */

/* Copies of the names, to be freed with gr__names_free; NULL when memory is out. */
char **gr__names_copy(char *const *names, int n);
void gr__names_free(char **names, int n);

/* The name of a class for messages: "3", or "3 ('cat')". */
const char *gr__class_text(const gr_dataset *d, int64_t class, char text[128]);

#endif
