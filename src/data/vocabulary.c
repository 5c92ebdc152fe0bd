/* vocabulary.c - text to numbers and back: characters, words or byte pairs. */
/* SPDX-License-Identifier: MIT */
#include "dataset.h"
#include "text.h"
#include "tokens.h"

#include <string.h>

enum { SHOWN = 20 };

static const char *const specials[GR_SPECIALS] = {
    [GR_PAD] = "<pad>", [GR_UNK] = "<unk>", [GR_BOS] = "<bos>", [GR_EOS] = "<eos>"};

static gr__piece_fn *const next_piece[] = {[GR_CHARACTERS] = gr__next_character,
                                           [GR_WORDS] = gr__next_word,
                                           [GR_BYTE_PAIRS] = gr__next_chunk};

/* --- lifetime --- */

gr_status gr__vocabulary_begin(gr_vocabulary *v)
{
    bool done = true;
    for (int i = 0; i < GR_SPECIALS && v->special; i++)
        done = done && gr__tokens_add(&v->tokens, specials[i], strlen(specials[i])) == i;
    for (int i = 0; i < 256 && v->kind == GR_BYTE_PAIRS; i++) {
        char byte = (char)i;
        done = done && gr__tokens_add(&v->tokens, &byte, 1) >= 0;
    }
    return done ? GR_OK : GR_ERR_MEMORY;
}

gr_status gr__vocabulary_merge(gr_vocabulary *v, int64_t left, int64_t right)
{
    size_t n_left, n_right;
    const char *text = gr__tokens_text(&v->tokens, left, &n_left);
    gr__text both = {0};
    int64_t before = v->tokens.n;
    gr__text_add_bytes(&both, text, n_left);
    text = gr__tokens_text(&v->tokens, right, &n_right);
    gr__text_add_bytes(&both, text, n_right);
    if (both.len > GR__LONGEST_CHUNK) {
        gr__text_release(&both);
        return gr__fail(GR_ERR_FORMAT, "vocabulary: a token of more than %d bytes",
                        GR__LONGEST_CHUNK);
    }
    int64_t id = both.failed ? -1 : gr__tokens_add(&v->tokens, both.data, both.len);
    gr__text_release(&both);
    if (id < before) return id < 0 ? GR_ERR_MEMORY : GR_OK; /* something else spells the same */
    int64_t *merged = gr__pairs_at(&v->merges, left, right);
    if (!merged) return GR_ERR_MEMORY;
    *merged = id;
    v->left[id] = left;
    v->right[id] = right;
    return GR_OK;
}

/* Frees a vocabulary; NULL is fine. */
void gr_vocabulary_free(gr_vocabulary *v)
{
    if (!v) return;
    gr__tokens_release(&v->tokens);
    gr__pairs_release(&v->merges);
    gr__free(v->left);
    gr__free(v->right);
    gr__free(v);
}

/* --- building --- */

typedef struct candidate {
    const char *text;
    size_t bytes;
    int64_t count;
} candidate;

static int by_text(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    size_t n = x->bytes < y->bytes ? x->bytes : y->bytes;
    int order = memcmp(x->text, y->text, n);
    return order ? order : (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static int by_count(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    return x->count != y->count ? (x->count < y->count) - (x->count > y->count) : by_text(a, b);
}

static gr_status count_pieces(gr__tokens *seen, gr_token_kind kind, const char *text, size_t bytes)
{
    for (size_t at = 0, n, skip; at < bytes; at += n + skip) {
        n = next_piece[kind](text + at, bytes - at, &skip);
        if (!n) continue;
        int64_t id = gr__tokens_add(seen, text + at + skip, n);
        if (id < 0) return GR_ERR_MEMORY;
        seen->items[id].count++;
    }
    return GR_OK;
}

/* The most frequent into v: characters in the order of their codes, words by how often they come. */
static gr_status take(gr_vocabulary *v, const candidate **sorted, int64_t n,
                      const gr_vocabulary_options *o)
{
    int64_t kept = 0, room = o->size ? o->size - v->tokens.n : n;
    gr__sort((const void **)sorted, (size_t)n, by_count);
    while (kept < n && kept < room && sorted[kept]->count >= o->least) kept++;
    if (v->kind == GR_CHARACTERS) gr__sort((const void **)sorted, (size_t)kept, by_text);
    for (int64_t i = 0; i < kept; i++)
        if (gr__tokens_add(&v->tokens, sorted[i]->text, sorted[i]->bytes) < 0) return GR_ERR_MEMORY;
    return GR_OK;
}

static gr_status choose_tokens(gr_vocabulary *v, const char *text, size_t bytes,
                               const gr_vocabulary_options *o)
{
    gr__tokens seen = {0};
    gr_status status = count_pieces(&seen, v->kind, text, bytes);
    size_t n = (size_t)seen.n;
    candidate *all = gr__alloc(n * sizeof *all);
    const candidate **sorted = gr__alloc(n * sizeof *sorted);
    if (!all || !sorted) status = GR_ERR_MEMORY;
    for (size_t i = 0; i < n && !status; i++) {
        all[i].text = gr__tokens_text(&seen, (int64_t)i, &all[i].bytes);
        all[i].count = seen.items[i].count;
        sorted[i] = &all[i];
    }
    if (!status) status = take(v, sorted, (int64_t)n, o);
    gr__free(sorted);
    gr__free(all);
    gr__tokens_release(&seen);
    return status;
}

static gr_status check_build(const char *text, size_t bytes, const gr_vocabulary_options *o)
{
    if ((unsigned)o->kind > GR_BYTE_PAIRS || o->size < 0 || o->least < 0)
        return gr__fail(GR_ERR_ARGUMENT,
                        "vocabulary: expected a kind of 0 to 2, a size and a least count"
                        " of 0 or more, got %d, %lld, %lld",
                        (int)o->kind, (long long)o->size, (long long)o->least);
    if (bytes == 0) return gr__fail(GR_ERR_ARGUMENT, "vocabulary: the text is empty");
    if (gr__need("vocabulary", text, "text")) return GR_ERR_ARGUMENT;
    if (o->kind == GR_BYTE_PAIRS) return GR_OK;
    if (!gr__utf8_valid(text, bytes) || memchr(text, 0, bytes))
        return gr__fail(GR_ERR_ARGUMENT,
                        "vocabulary: the text is not UTF-8 without NUL (byte pairs take any"
                        " bytes)");
    return GR_OK;
}

/* Finds the tokens of a text; the training part's, so that the others are not looked into.
 *
 * o  kind     characters of UTF-8 (numbered in the order of their codes), words between white
 *             space (the most frequent first), or byte pairs (256 bytes, then merges)
 *    size     at most so many tokens, special ones included
 *    least    leaves out what is seen less often
 *    special  <pad>, <unk>, <bos>, <eos> are tokens 0 to 3; no text is ever encoded as them, save
 *             what the vocabulary lacks, as <unk>
 *
 * NULL on failure: an empty text, one that is not UTF-8, a size below what byte pairs need, no
 * memory. The caller frees it with gr_vocabulary_free. */
gr_vocabulary *gr_vocabulary_build(const char *text, size_t bytes, gr_vocabulary_options o)
{
    if (o.least == 0) o.least = 1;
    if (check_build(text, bytes, &o)) return NULL;
    gr_vocabulary *v = gr__calloc(sizeof *v);
    if (!v) return NULL;
    v->kind = o.kind;
    v->special = o.special;
    gr_status status = gr__vocabulary_begin(v);
    if (!status)
        status = o.kind == GR_BYTE_PAIRS ? gr__learn_merges(v, text, bytes, &o)
                                         : choose_tokens(v, text, bytes, &o);
    if (!status) return v;
    gr_vocabulary_free(v);
    return NULL;
}

/* --- what is in it --- */

/* Number of tokens. */
int64_t gr_vocabulary_size(const gr_vocabulary *v)
{
    return v ? v->tokens.n : 0;
}

/* The text of a token, not ended by NUL; NULL when there is no such token. It belongs to v. */
const char *gr_vocabulary_token(const gr_vocabulary *v, int64_t id, size_t *bytes)
{
    size_t unused;
    if (!bytes) bytes = &unused;
    *bytes = 0;
    return !v || id < 0 || id >= v->tokens.n ? NULL : gr__tokens_text(&v->tokens, id, bytes);
}

/* The number of a token; -1 when it is not there. */
int64_t gr_vocabulary_find(const gr_vocabulary *v, const char *token, size_t bytes)
{
    return v && (token || !bytes) ? gr__tokens_find(&v->tokens, token, bytes) : -1;
}

/* --- encoding --- */

static gr_status encode_piece(const gr_vocabulary *v, const char *piece, size_t bytes, size_t at,
                              int64_t *ids, int64_t *n)
{
    int64_t base = gr__vocabulary_base(v->special) - 256;
    if (v->kind == GR_BYTE_PAIRS) {
        for (size_t i = 0; i < bytes; i++) ids[*n + (int64_t)i] = base + (unsigned char)piece[i];
        *n += gr__merge_pairs(v, ids + *n, (int64_t)bytes);
        return GR_OK;
    }
    int64_t id = gr__tokens_find(&v->tokens, piece, bytes);
    if (v->special && id < GR_SPECIALS) id = GR_UNK;
    if (id < 0)
        return gr__fail(GR_ERR_ARGUMENT,
                        "vocabulary: byte %zu: '%.*s' is none of the %lld tokens, and there is"
                        " no <unk>",
                        at, (int)(bytes < SHOWN ? bytes : SHOWN), piece, (long long)v->tokens.n);
    ids[(*n)++] = id;
    return GR_OK;
}

/* Turns text into numbers of tokens.
 *
 * ids  gets the numbers [*n], to be freed with gr_free_memory; NULL on failure
 *
 * What the vocabulary lacks becomes <unk>; without special tokens it is GR_ERR_ARGUMENT, with the
 * place. Byte pairs lack nothing. */
gr_status gr_vocabulary_encode(const gr_vocabulary *v, const char *text, size_t bytes,
                               int64_t **ids, int64_t *n)
{
    if (gr__need("vocabulary", ids, "place for the tokens") ||
        gr__need("vocabulary", n, "place for their number"))
        return GR_ERR_ARGUMENT;
    *n = 0;
    *ids = NULL;
    if (gr__need("vocabulary", v, "vocabulary") ||
        gr__need_array("vocabulary", text, bytes > 0, "text"))
        return GR_ERR_ARGUMENT;
    *ids = gr__alloc(bytes * sizeof **ids); /* a token has a byte at least */
    gr_status status = *ids ? GR_OK : GR_ERR_MEMORY;
    for (size_t at = 0, piece, skip; at < bytes && !status; at += piece + skip) {
        piece = next_piece[v->kind](text + at, bytes - at, &skip);
        if (piece) status = encode_piece(v, text + at + skip, piece, at + skip, *ids, n);
    }
    if (!status) return GR_OK;
    gr__free(*ids);
    *ids = NULL;
    *n = 0;
    return status;
}

/* Turns numbers of tokens into text: words with a space between them, characters and byte pairs as
 * they are; <pad>, <bos> and <eos> are passed over.
 *
 * text  ends in NUL, to be freed with gr_free_memory; NULL on failure
 *
 * GR_ERR_ARGUMENT for a number that no token has. */
gr_status gr_vocabulary_decode(const gr_vocabulary *v, const int64_t *ids, int64_t n, char **text)
{
    gr__text out = {0};
    gr_status status = GR_OK;
    if (gr__need("vocabulary", text, "place for the text")) return GR_ERR_ARGUMENT;
    *text = NULL;
    if (gr__need("vocabulary", v, "vocabulary") ||
        gr__need_array("vocabulary", ids, n, "array of tokens"))
        return GR_ERR_ARGUMENT;
    gr__text_add_bytes(&out, "", 0);
    for (int64_t i = 0; i < n && !status; i++) {
        size_t bytes;
        const char *token = gr_vocabulary_token(v, ids[i], &bytes);
        if (!token)
            status = gr__fail(GR_ERR_ARGUMENT, "vocabulary: token %lld is %lld, expected 0 to %lld",
                              (long long)i, (long long)ids[i], (long long)v->tokens.n - 1);
        if (!token || (v->special && ids[i] < GR_SPECIALS && ids[i] != GR_UNK)) continue;
        if (v->kind == GR_WORDS && out.len) gr__text_add_bytes(&out, " ", 1);
        gr__text_add_bytes(&out, token, bytes);
    }
    if (!status && out.failed) status = GR_ERR_MEMORY;
    if (status) gr__text_release(&out);
    *text = out.data;
    return status;
}
