/* npy_header.c - the header of an npy file.
 *
 *   \x93NUMPY major minor | length u16 (version 1) or u32, little-endian | a Python dict:
 *   {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
 */
/* SPDX-License-Identifier: MIT */
#include "npy.h"

#include <string.h>

enum { MAGIC = 8, MOST_HEADER = 10000 /* NumPy's own limit */ };

static const gr__npy_type types[] = {
    {'f', 4, GR_F32}, {'f', 8, GR_F64}, {'f', 2, GR_F32}, {'i', 8, GR_I64},
    {'i', 4, GR_I64}, {'i', 2, GR_I64}, {'i', 1, GR_I64}, {'u', 1, GR_U8},
    {'u', 2, GR_I64}, {'u', 4, GR_I64}, {'u', 8, GR_I64}, {'b', 1, GR_BOOL},
};

/* Reads on in the dict; the first error sticks. */
typedef struct reader {
    const char *name, *begin, *at, *end;
    gr_status status;
    gr__npy_header *h;
} reader;

static bool fail(reader *r, const char *expected)
{
    if (!r->status)
        r->status = gr__fail(GR_ERR_FORMAT, "%s: header, byte %zu: expected %s", r->name,
                             (size_t)(r->at - r->begin), expected);
    return false;
}

/* --- pieces of Python --- */

static void skip_space(reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t')) r->at++;
}

/* Takes the character if it comes next. */
static bool take(reader *r, char c)
{
    skip_space(r);
    if (r->status || r->at == r->end || *r->at != c) return false;
    r->at++;
    return true;
}

static bool take_word(reader *r, const char *word)
{
    size_t n = strlen(word);
    skip_space(r);
    if (r->status || (size_t)(r->end - r->at) < n || memcmp(r->at, word, n)) return false;
    r->at += n;
    return true;
}

/* A string without escapes, in either kind of quotes. */
static bool read_string(reader *r, const char **text, size_t *n)
{
    skip_space(r);
    char quote = r->at < r->end ? *r->at : 0;
    if (quote != '\'' && quote != '"') return fail(r, "a string");
    const char *close = memchr(r->at + 1, quote, (size_t)(r->end - r->at - 1));
    if (!close) return fail(r, "the end of a string");
    *text = r->at + 1;
    *n = (size_t)(close - *text);
    r->at = close + 1;
    return true;
}

static bool read_size(reader *r, int64_t *size)
{
    skip_space(r);
    const char *begin = r->at;
    *size = 0;
    for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++)
        if (__builtin_mul_overflow(*size, 10, size) ||
            __builtin_add_overflow(*size, *r->at - '0', size))
            return fail(r, "a size that fits in 64 bits");
    return r->at > begin || fail(r, "a size");
}

/* --- the three fields --- */

static void read_descr(reader *r)
{
    const char *text;
    size_t n;
    if (!read_string(r, &text, &n)) return;
    bool order = n == 3 && strchr("<>|=", text[0]);
    for (size_t i = 0; order && i < sizeof types / sizeof *types; i++)
        if (text[1] == types[i].kind && text[2] - '0' == types[i].bytes) r->h->type = &types[i];
    r->h->big_endian = order && text[0] == '>';
    if (r->h->type) return;
    r->status = gr__fail(GR_ERR_FORMAT,
                         "%s: expected elements of type f2, f4, f8, i1 to i8, u1 to u8 or b1,"
                         " got '%.*s'",
                         r->name, (int)(n < 40 ? n : 40), text);
}

static void read_order(reader *r)
{
    r->h->column_major = take_word(r, "True");
    if (!r->h->column_major && !take_word(r, "False")) fail(r, "True or False");
}

static void read_shape(reader *r)
{
    gr_shape *s = &r->h->shape;
    if (!take(r, '(')) fail(r, "'('");
    while (!r->status && !take(r, ')')) {
        int64_t size;
        if (s->rank == GR_MAX_RANK) fail(r, "at most 8 axes");
        else if (read_size(r, &size)) s->dim[s->rank++] = size;
        if (!take(r, ',') && (r->at == r->end || *r->at != ')')) fail(r, "',' or ')'");
    }
    if (!r->status && !gr__shape_valid(s)) fail(r, "a shape that fits in memory");
}

static void read_field(reader *r, unsigned *seen)
{
    static const struct {
        const char *key;
        void (*read)(reader *r);
    } fields[] = {{"descr", read_descr}, {"fortran_order", read_order}, {"shape", read_shape}};
    const char *key;
    size_t n;
    if (!read_string(r, &key, &n)) return;
    for (unsigned i = 0; i < 3; i++) {
        if (n != strlen(fields[i].key) || memcmp(key, fields[i].key, n) || *seen >> i & 1) continue;
        *seen |= 1u << i;
        if (!take(r, ':')) fail(r, "':'");
        else fields[i].read(r);
        return;
    }
    fail(r, "each of descr, fortran_order and shape once, and no other key, before this");
}

static gr_status read_dict(reader *r)
{
    unsigned seen = 0;
    if (!take(r, '{')) fail(r, "'{'");
    while (!r->status && !take(r, '}')) {
        read_field(r, &seen);
        skip_space(r);
        if (!r->status && !take(r, ',') && (r->at == r->end || *r->at != '}'))
            fail(r, "',' or '}'");
    }
    skip_space(r);
    if (!r->status && (seen != 7 || r->at != r->end)) fail(r, "three keys and then nothing");
    return r->status;
}

/* --- the whole header --- */

gr_status gr__npy_read_header(const char *name, const char *content, size_t bytes,
                              gr__npy_header *h)
{
    const unsigned char *b = (const unsigned char *)content;
    *h = (gr__npy_header){0};
    if (bytes < MAGIC + 2 || memcmp(content, "\x93NUMPY", 6) || b[6] < 1 || b[6] > 3)
        return gr__fail(GR_ERR_FORMAT, "%s: not an npy file of version 1 to 3", name);
    size_t prefix = b[6] == 1 ? MAGIC + 2 : MAGIC + 4, length = 0;
    for (size_t i = prefix; i-- > MAGIC && prefix <= bytes;) length = length << 8 | b[i];
    if (prefix > bytes || length > MOST_HEADER || length > bytes - prefix)
        return gr__fail(GR_ERR_FORMAT, "%s: expected a header of at most %d bytes, got %zu of %zu",
                        name, MOST_HEADER, bytes - (prefix < bytes ? prefix : bytes), length);
    const char *begin = content + prefix;
    h->data = prefix + length;
    reader r = {.name = name, .begin = begin, .at = begin, .end = begin + length, .h = h};
    return read_dict(&r);
}
