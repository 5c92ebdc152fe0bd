/* digits.c - the UCI optical digits that come with the library (see README.md here). */
/* SPDX-License-Identifier: MIT */
#include "base.h"
#include "embedded.h"
#include "gzip.h"

#include <gradus/data.h>
#include <string.h>

enum { PIXELS = 64, DARKEST = 16, CLASSES = 10, MOST_BYTES = 1 << 20 };

static const char name[] = "the embedded digits";

/* The text, ending in NUL; NULL on failure. */
static char *unpack(void)
{
    gr__gzip z;
    size_t n;
    char *text = gr__alloc(MOST_BYTES);
    if (!text) return NULL;
    gr_status status = gr__gzip_open(&z, name, gr__digits_gz, gr__digits_gz_bytes);
    if (!status) status = gr__gzip_read(&z, text, MOST_BYTES - 1, &n);
    if (!status) status = gr__gzip_finish(&z);
    gr__gzip_close(&z);
    if (status) {
        gr__free(text);
        return NULL;
    }
    text[n] = 0;
    return text;
}

/* A number of 0..most and the separator behind it. */
static bool take(const char **s, int most, char separator, int *value)
{
    const char *begin = *s;
    *value = 0;
    while (**s >= '0' && **s <= '9' && *value <= most) *value = *value * 10 + (*(*s)++ - '0');
    return *s > begin && *value <= most && *(*s)++ == separator;
}

static bool parse_row(const char **s, float *x, int64_t *y)
{
    int value;
    for (int i = 0; i < PIXELS; i++) {
        if (!take(s, DARKEST, ',', &value)) return false;
        x[i] = (float)value / DARKEST;
    }
    if (!take(s, CLASSES - 1, '\n', &value)) return false;
    *y = value;
    return true;
}

static gr_dataset *parse(const char *text)
{
    int64_t n = 0;
    for (const char *s = text; *s; s++) n += *s == '\n';
    gr_dataset *d = gr_dataset_new(GR_SHAPE(1, 8, 8), n, CLASSES);
    for (int64_t i = 0; d && i < n; i++)
        if (!parse_row(&text, d->x + i * PIXELS, d->y + i)) {
            gr__fail(GR_ERR_FORMAT, "%s: row %lld is damaged", name, (long long)i);
            gr_dataset_free(d);
            return NULL;
        }
    return d;
}

/* The UCI optical digits (E. Alpaydin, C. Kaynak; CC BY 4.0), which are part of the library.
 *
 * 1797 samples [1, 8, 8] with pixels k/16 for k = 0..16, labels 0..9, in the order of the
 * original. NULL when memory is out. The caller frees it with gr_dataset_free. */
gr_dataset *gr_digits(void)
{
    char *text = unpack();
    gr_dataset *d = text ? parse(text) : NULL;
    gr__free(text);
    if (d) strcpy(d->name, "digits");
    return d;
}
