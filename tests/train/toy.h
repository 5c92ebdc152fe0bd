/* toy.h - a data set that is learned in a moment. */
/* SPDX-License-Identifier: MIT */
#ifndef TOY_H
#define TOY_H

#include <gradus/train.h>

/* Points of the unit square in three stripes: class 0 where x < 1/3, 2 where x > 2/3. */
gr_dataset *toy_stripes(int64_t n);

typedef struct toy {
    gr_model *model;
    gr_module *net; /* 2 - 16 - 3, with dropout */
    gr_optimizer *opt;
} toy;

toy toy_new(uint64_t seed, double lr); /* Adam */
void toy_free(toy *t);

#endif
