/* embedded.h - files that the build has written into the library. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__EMBEDDED_H
#define GR__EMBEDDED_H

#include <stddef.h>

extern const unsigned char gr__digits_gz[]; /* optdigits.csv.gz */
extern const size_t gr__digits_gz_bytes;

#endif
