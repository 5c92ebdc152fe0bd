/* index.h - picking elements along an axis by number, and adding them back. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__INDEX_H
#define GR__INDEX_H

#include <stdint.h>

/* The long array is [outer, n, inner], the brief one and the index are [outer, m, inner]; index
 * says for each element of the brief one where along n its counterpart lies. All are within n. */
typedef struct gr__gather {
    int64_t outer, n, m, inner;
    const int64_t *index;
    const void *from; /* the long array to gather, the brief one to scatter */
    void *to;
    uint8_t *stays; /* scatter_put: [outer, m, inner], which are not written over */
    uint8_t *taken; /* scatter_put: scratch, [outer, n, inner] */
} gr__gather;

/* Whole rows: the table is [rows, columns], the list [n, columns], the index [n]. */
typedef struct gr__rows {
    int64_t rows, columns, n;
    const int64_t *index;
    const void *from;
    void *to;
} gr__rows;

#endif
