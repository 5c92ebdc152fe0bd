/* mutate.h - damaged copies of a good file, for readers that must survive them. */
/* SPDX-License-Identifier: MIT */
#ifndef MUTATE_H
#define MUTATE_H

#include <stddef.h>
#include <stdint.h>

/* Copies n bytes to `to` (which has room for 2 n + 16) and damages them: bytes are changed, cut out,
 * doubled, or the end is missing. The same seed does the same. Gives how many there are then. */
size_t mutate(const void *from, size_t n, uint64_t seed, unsigned char *to);

#endif
