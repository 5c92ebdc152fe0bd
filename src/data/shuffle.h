/* shuffle.h - random choices and orders that can be repeated. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__SHUFFLE_H
#define GR__SHUFFLE_H

#include "base.h"

int64_t gr__below(uint64_t stream, uint64_t index, int64_t n); /* 0 <= result < n */
void gr__shuffle(uint64_t stream, int64_t *items, int64_t n);  /* every order equally likely */
/* Sorts items by key[item], ties by the items themselves; n log n at worst, in place. */
void gr__sort_by(int64_t *items, int64_t n, const int64_t *key);

#endif
