/* source.h - the data sets that the command knows: the embedded digits, or a folder in the form of
 * MNIST. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__SOURCE_H
#define GR__SOURCE_H

#include "base.h"
#include <gradus/data.h>

/* x is replaced by (x - mean) / std. */
typedef struct scaling {
    double mean, std;
} scaling;

/* What to learn from and what to be judged by; of one data set. */
typedef struct split {
    gr_dataset *train, *test;
    scaling scaling; /* of the training part, applied to both */
} split;

gr_status source_split(const char *data, split *s);
/* The digits again, judged by the writers of the last 360 rows, of whom no row is learned from;
 * false for other data sets. */
bool source_has_harder(const char *data);
gr_status source_harder(split *s);
void split_release(split *s);

/* The test part alone, not scaled. NULL on failure. */
gr_dataset *source_test(const char *data);
bool source_is_digits(const char *data);
int64_t source_row(const char *data, int64_t i); /* where test sample i lies in the data set */

#endif
