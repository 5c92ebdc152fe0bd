/* png_none.c - PNG files in a build without libpng. */
/* SPDX-License-Identifier: MIT */
#include "image.h"

gr_status gr__png_decode(const char *path, const void *content, size_t bytes, gr__image *image)
{
    (void)content;
    (void)bytes;
    (void)image;
    return gr__fail(GR_ERR_FILE, "%s: PNG files cannot be read: built without libpng", path);
}
