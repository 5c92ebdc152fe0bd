/* jpeg_none.c - JPEG files in a build without libjpeg. */
/* SPDX-License-Identifier: MIT */
#include "image.h"

gr_status gr__jpeg_decode(const char *path, const void *content, size_t bytes, gr__image *image)
{
    (void)content;
    (void)bytes;
    (void)image;
    return gr__fail(GR_ERR_FILE, "%s: JPEG files cannot be read: built without libjpeg", path);
}
