/* image.c - a picture loaded, resized, made planes of numbers. */
/* SPDX-License-Identifier: MIT */
#include "image.h"

#include <math.h>
#include <string.h>

enum { MOST_SIDE = 1 << 15 };

/* --- loading --- */

gr_status gr__image_check(const char *path, int64_t height, int64_t width, size_t bytes)
{
    if (height > 0 && width > 0 && height <= MOST_SIDE && width <= MOST_SIDE &&
        (size_t)(height * width) / GR__PIXELS_PER_BYTE <= bytes)
        return GR_OK;
    return gr__fail(GR_ERR_FORMAT,
                    "%s: %lld x %lld pixels cannot be in %zu bytes (%d a side at most)", path,
                    (long long)width, (long long)height, bytes, MOST_SIDE);
}

gr_status gr__image_load(const char *path, gr__image *image)
{
    void *content;
    size_t bytes;
    *image = (gr__image){0};
    gr_status status = gr__file_load(path, &content, &bytes);
    if (status) return status;
    if (bytes >= 8 && !memcmp(content, "\x89PNG\r\n\x1A\n", 8))
        status = gr__png_decode(path, content, bytes, image);
    else if (bytes >= 3 && !memcmp(content, "\xFF\xD8\xFF", 3))
        status = gr__jpeg_decode(path, content, bytes, image);
    else status = gr__fail(GR_ERR_FORMAT, "%s: neither a PNG nor a JPEG file", path);
    gr__free(content);
    return status;
}

/* --- planes --- */

/* Weights of the 3 colours in a channel; luma by Rec. ITU-R BT.601. */
static const double mixes[2][3][3] = {{{0.299, 0.587, 0.114}}, {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};

/* Which pixels of n a place of `size` looks at: a triangle around its centre, as wide as what it
 * covers, and one pixel at least (so that nothing is passed over when an image shrinks). */
typedef struct span {
    double centre, reach;
    int64_t begin, end;
} span;

static span span_of(int64_t place, int64_t size, int64_t n)
{
    double scale = (double)n / (double)size;
    span s = {.centre = ((double)place + 0.5) * scale - 0.5, .reach = scale > 1 ? scale : 1};
    s.begin = (int64_t)ceil(s.centre - s.reach);
    s.end = (int64_t)floor(s.centre + s.reach) + 1;
    if (s.begin < 0) s.begin = 0;
    if (s.end > n) s.end = n;
    return s;
}

static double share(const span *s, int64_t at)
{
    double off = 1 - fabs((double)at - s->centre) / s->reach;
    return off > 0 ? off : 0;
}

static double look(const gr__image *image, const double mix[3], const span *rows,
                   const span *columns)
{
    double sum = 0, all = 0;
    for (int64_t r = rows->begin; r < rows->end; r++)
        for (int64_t c = columns->begin; c < columns->end; c++) {
            const unsigned char *rgb = image->rgb + 3 * (r * image->width + c);
            double weight = share(rows, r) * share(columns, c);
            sum += weight * (mix[0] * rgb[0] + mix[1] * rgb[1] + mix[2] * rgb[2]);
            all += weight;
        }
    return sum / all / 255;
}

void gr__image_planes(const gr__image *image, int64_t channels, int64_t height, int64_t width,
                      float *x)
{
    for (int64_t k = 0; k < channels; k++)
        for (int64_t r = 0; r < height; r++) {
            span rows = span_of(r, height, image->height);
            for (int64_t c = 0; c < width; c++) {
                span columns = span_of(c, width, image->width);
                *x++ = (float)look(image, mixes[channels == 3][k], &rows, &columns);
            }
        }
}
