/* text_files.c - data sets of text: windows to predict the next token in, and translations. */
/* SPDX-License-Identifier: MIT */
#include "content.h"
#include "dataset.h"
#include "text.h"

#include <string.h>

/* Reads a text, plain or compressed with gzip.
 *
 * text  ends in NUL, to be freed with gr_free_memory; NULL on failure
 *
 * GR_ERR_FORMAT when it is not UTF-8, with the place of the first byte that is not. */
gr_status gr_text_read(const char *path, char **text, size_t *bytes)
{
    if (gr__need("gr_text_read", text, "place for the text") ||
        gr__need("gr_text_read", bytes, "place for its length"))
        return GR_ERR_ARGUMENT;
    gr_status status = gr__content_load(path, text, bytes);
    if (status) return status;
    size_t at = 0;
    for (size_t step; at < *bytes && (step = gr__utf8_step(*text + at, *bytes - at)); at += step)
        if (!(*text)[at]) break;
    if (at == *bytes) return GR_OK;
    status = gr__fail(GR_ERR_FORMAT, "%s: byte %zu: expected UTF-8 without NUL, got 0x%02X", path,
                      at, (unsigned char)(*text)[at]);
    gr__free(*text);
    *text = NULL;
    *bytes = 0;
    return status;
}

/* --- windows --- */

/* n rows of `length` tokens that follow each other from ids. */
static gr_rows *cut(const int64_t *ids, int64_t n, int64_t length, int64_t vocabulary)
{
    gr_rows *rows = gr_rows_new(n, n * length, vocabulary);
    for (int64_t i = 0; rows && i <= n; i++) rows->begin[i] = i * length;
    if (rows) memcpy(rows->ids, ids, (size_t)(n * length) * sizeof *ids);
    return rows;
}

/* Cuts one long row of tokens into pieces, for a model that predicts the next token.
 *
 * ids     [n] of 0 <= id < vocabulary; they are copied
 * length  of a piece
 *
 * Sample i is in = ids[i length ...] and out = the same places one later; what is left at the end is
 * dropped. In order (without shuffling) and with a batch of 1 the state can be carried from sample
 * to sample. NULL on failure: fewer than length + 1 tokens, a token out of range, no memory. */
gr_dataset *gr_text_windows(const int64_t *ids, int64_t n, int64_t length, int64_t vocabulary)
{
    if (length < 1 || n < 2 || length > n - 1) {
        gr__fail(GR_ERR_ARGUMENT,
                 "windows: cannot cut %lld tokens into pieces of %lld and one to predict",
                 (long long)n, (long long)length);
        return NULL;
    }
    if (gr__need("windows", ids, "array of tokens")) return NULL;
    int64_t pieces = (n - 1) / length;
    gr_rows *in = cut(ids, pieces, length, vocabulary);
    gr_rows *out = in ? cut(ids + 1, pieces, length, vocabulary) : NULL;
    if (in && out) return gr_dataset_rows(in, out, pieces);
    gr__rows_free(in);
    return NULL;
}

/* --- translations --- */

typedef struct lines {
    const char *path;
    char *text;
    size_t bytes;
    const gr_vocabulary *v;
    bool bos; /* rows begin with <bos> */
} lines;

/* The bytes of the line at `at`, without its end; the next begins at *next. */
static size_t line_at(const lines *l, size_t at, size_t *next)
{
    const char *begin = l->text + at, *end = memchr(begin, '\n', l->bytes - at);
    size_t n = end ? (size_t)(end - begin) : l->bytes - at;
    *next = at + n + 1;
    return n && begin[n - 1] == '\r' ? n - 1 : n;
}

static int64_t count_lines(const lines *l)
{
    int64_t n = 0;
    for (size_t at = 0, next; at < l->bytes; at = next, n++) line_at(l, at, &next);
    return n;
}

static void add_token(gr__text *all, int64_t id)
{
    gr__text_add_bytes(all, &id, sizeof id);
}

static gr_status add_line(const lines *l, const char *text, size_t bytes, gr__text *all)
{
    int64_t *ids, n;
    gr_status status = gr_vocabulary_encode(l->v, text, bytes, &ids, &n);
    if (status) return status;
    if (l->bos) add_token(all, GR_BOS);
    gr__text_add_bytes(all, ids, (size_t)n * sizeof *ids);
    add_token(all, GR_EOS);
    gr__free(ids);
    return all->failed ? GR_ERR_MEMORY : GR_OK;
}

static gr_status fill_rows(const lines *l, gr_rows *rows, gr__text *all)
{
    int64_t i = 0;
    for (size_t at = 0, next; at < l->bytes; at = next) {
        size_t n = line_at(l, at, &next);
        gr_status status = add_line(l, l->text + at, n, all);
        if (status) return status;
        rows->begin[++i] = (int64_t)(all->len / sizeof *rows->ids);
    }
    return GR_OK;
}

static gr_rows *encode_lines(const lines *l, int64_t n)
{
    gr__text all = {0};
    gr_rows *rows = gr_rows_new(n, 0, gr_vocabulary_size(l->v));
    if (!rows) return NULL;
    rows->pad = GR_PAD;
    if (!fill_rows(l, rows, &all)) {
        gr__free(rows->ids);
        rows->ids = (int64_t *)(void *)all.data;
        return rows;
    }
    gr__text_release(&all);
    gr__rows_free(rows);
    return NULL;
}

static gr_status read_lines(lines *l)
{
    size_t bytes;
    const char *pad = gr_vocabulary_token(l->v, GR_PAD, &bytes);
    if (gr__need("parallel text", l->path, "path") || gr__need(l->path, l->v, "vocabulary"))
        return GR_ERR_ARGUMENT;
    if (!pad || bytes != 5 || memcmp(pad, "<pad>", 5))
        return gr__fail(GR_ERR_ARGUMENT, "%s: its vocabulary has no special tokens", l->path);
    return gr_text_read(l->path, &l->text, &l->bytes);
}

static gr_dataset *pair_up(const lines *from, const lines *to)
{
    int64_t n = count_lines(from), m = count_lines(to);
    if (n != m || n == 0) {
        gr__fail(GR_ERR_FORMAT,
                 "%s: expected as many lines as in %s, and one at least: got %lld and %lld",
                 to->path, from->path, (long long)m, (long long)n);
        return NULL;
    }
    gr_rows *in = encode_lines(from, n), *out = in ? encode_lines(to, n) : NULL;
    if (in && out) return gr_dataset_rows(in, out, n);
    gr__rows_free(in);
    return NULL;
}

/* Reads a text and its translation, line by line.
 *
 * source, target  UTF-8, plain or compressed with gzip, with as many lines
 * from, to        their vocabularies, with special tokens
 *
 * Sample i is in = the source line and <eos>, out = <bos>, the target line and <eos>. NULL on
 * failure; the error names the file. The caller frees it with gr_dataset_free. */
gr_dataset *gr_parallel_text(const char *source, const char *target, const gr_vocabulary *from,
                             const gr_vocabulary *to)
{
    lines a = {.path = source, .v = from}, b = {.path = target, .v = to, .bos = true};
    gr_dataset *d = NULL;
    if (!read_lines(&a) && !read_lines(&b)) d = pair_up(&a, &b);
    gr__free(a.text);
    gr__free(b.text);
    return d;
}
