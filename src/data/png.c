/* png.c - PNG files, with libpng's simplified interface, which needs no long jumps here. */
/* SPDX-License-Identifier: MIT */
#include "image.h"

#include <png.h>
#include <string.h>

gr_status gr__png_decode(const char *path, const void *content, size_t bytes, gr__image *image)
{
    png_image png = {.version = PNG_IMAGE_VERSION};
    gr_status status = GR_OK;
    if (!png_image_begin_read_from_memory(&png, content, bytes))
        return gr__fail(GR_ERR_FORMAT, "%s: damaged PNG: %s", path, png.message);
    png.format = PNG_FORMAT_RGB;
    *image = (gr__image){.height = png.height, .width = png.width};
    status = gr__image_check(path, image->height, image->width, bytes);
    if (!status) /* zeroed: what shows through is black */
        image->rgb = gr__calloc((size_t)(3 * image->height * image->width));
    if (!status && !image->rgb) status = GR_ERR_MEMORY;
    if (!status && !png_image_finish_read(&png, NULL, image->rgb, 0, NULL))
        status = gr__fail(GR_ERR_FORMAT, "%s: damaged PNG: %s", path, png.message);
    png_image_free(&png);
    if (!status) return GR_OK;
    gr__free(image->rgb);
    image->rgb = NULL;
    return status;
}
