/* image.h - pictures out of files, as bytes and as planes of numbers. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__IMAGE_H
#define GR__IMAGE_H

#include "base.h"

typedef struct gr__image {
    int64_t height, width;
    unsigned char *rgb; /* [height, width, 3], to be freed with gr__free */
} gr__image;

/* No format packs pixels more tightly than this: a header that claims more is known to lie. */
#define GR__PIXELS_PER_BYTE 1032

/* Decodes the file's content; errors begin with `path`. One of each pair is built. */
gr_status gr__png_decode(const char *path, const void *content, size_t bytes, gr__image *image);
gr_status gr__jpeg_decode(const char *path, const void *content, size_t bytes, gr__image *image);

/* Whether so many pixels can be in so many bytes; the error says so. */
gr_status gr__image_check(const char *path, int64_t height, int64_t width, size_t bytes);

/* A PNG or JPEG file, told apart by its first bytes. */
gr_status gr__image_load(const char *path, gr__image *image);
/* To planes x [channels, height, width] of 0..1; 1 channel is the luma, 3 are red, green, blue. */
void gr__image_planes(const gr__image *image, int64_t channels, int64_t height, int64_t width,
                      float *x);

#endif
