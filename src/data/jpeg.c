/* jpeg.c - JPEG files, with libjpeg. Its errors jump back into decode. */
/* SPDX-License-Identifier: MIT */
#include "image.h"

#include <setjmp.h>
#include <stdio.h> /* jpeglib.h needs it */

#include <jpeglib.h>

typedef struct decoder {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    jmp_buf failed;
    const char *path;
    gr__image *image;
    size_t bytes;
    gr_status status;
} decoder;

/* --- libjpeg's errors --- */

static void on_error(j_common_ptr jpeg)
{
    decoder *d = jpeg->client_data;
    char text[JMSG_LENGTH_MAX];
    jpeg->err->format_message(jpeg, text);
    d->status = gr__fail(GR_ERR_FORMAT, "%s: damaged JPEG: %s", d->path, text);
    longjmp(d->failed, 1);
}

/* A warning means that data are missing or wrong. */
static void on_message(j_common_ptr jpeg, int level)
{
    if (level < 0) on_error(jpeg);
}

static void on_output(j_common_ptr jpeg)
{
    (void)jpeg;
}

/* --- decoding --- */

static gr_status read_rows(decoder *d)
{
    gr__image *image = d->image;
    image->height = d->jpeg.output_height;
    image->width = d->jpeg.output_width;
    gr_status status = gr__image_check(d->path, image->height, image->width, d->bytes);
    if (status) return status;
    image->rgb = gr__alloc((size_t)(3 * image->height * image->width));
    if (!image->rgb) return GR_ERR_MEMORY;
    while (d->jpeg.output_scanline < d->jpeg.output_height) {
        JSAMPROW row = image->rgb + 3 * (size_t)d->jpeg.output_scanline * (size_t)image->width;
        jpeg_read_scanlines(&d->jpeg, &row, 1);
    }
    jpeg_finish_decompress(&d->jpeg);
    return GR_OK;
}

/* What is needed after a jump lies in *d, not in this function's own variables. */
static void decode(decoder *d, const void *content)
{
    if (setjmp(d->failed)) return;
    jpeg_create_decompress(&d->jpeg);
    d->jpeg.client_data = d;
    jpeg_mem_src(&d->jpeg, content, d->bytes);
    jpeg_read_header(&d->jpeg, TRUE);
    d->status = gr__image_check(d->path, d->jpeg.image_height, d->jpeg.image_width, d->bytes);
    if (d->status) return;
    d->jpeg.out_color_space = JCS_RGB;
    jpeg_start_decompress(&d->jpeg);
    d->status = read_rows(d);
}

gr_status gr__jpeg_decode(const char *path, const void *content, size_t bytes, gr__image *image)
{
    decoder d = {.path = path, .image = image, .bytes = bytes};
    d.jpeg.err = jpeg_std_error(&d.errors);
    d.jpeg.client_data = &d;
    d.errors.error_exit = on_error;
    d.errors.emit_message = on_message;
    d.errors.output_message = on_output;
    *image = (gr__image){0};
    decode(&d, content);
    jpeg_destroy_decompress(&d.jpeg);
    if (!d.status) return GR_OK;
    gr__free(image->rgb);
    image->rgb = NULL;
    return d.status;
}
