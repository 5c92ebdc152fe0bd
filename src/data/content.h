/* content.h - whole files, plain or compressed with gzip. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__CONTENT_H
#define GR__CONTENT_H

#include "base.h"

/* What the file holds, unpacked, with a NUL behind it; *data to be freed with gr__free, NULL on
 * failure. Errors name the path. */
gr_status gr__content_load(const char *path, char **data, size_t *bytes);

#endif
