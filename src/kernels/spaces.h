/* spaces.h - memory for tasks: a space per thread, claimed by a task for its time. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__SPACES_H
#define GR__SPACES_H

#include <stdint.h>

typedef struct gr__spaces {
    char *data;
    int64_t n, bytes; /* of each */
    int *busy;        /* atomic */
} gr__spaces;

/* n spaces and their marks in memory of gr__spaces_bytes. */
int64_t gr__spaces_bytes(int64_t n, int64_t bytes);
gr__spaces gr__spaces_in(void *memory, int64_t n, int64_t bytes);
/* There have to be as many as threads, so that one is free. */
void *gr__space_claim(gr__spaces *s);
void gr__space_release(gr__spaces *s, const void *space);

#endif
