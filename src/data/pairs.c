/* pairs.c - byte pairs: which to merge, and merging them.
 *
 * Source: Sennrich, Haddow, Birch, "Neural machine translation of rare words with subword units",
 * ACL 2016. The pair most often side by side becomes a token, again and again.
 */
/* SPDX-License-Identifier: MIT */
#include "tokens.h"

#include <string.h>

enum { DEFAULT_SIZE = 1024, BYTES = 256 };

/* Every distinct chunk of the text, as tokens. */
typedef struct chunks {
    gr__tokens seen;
    int64_t *ids;   /* all chunks, one behind the other */
    int64_t *begin; /* [seen.n], in ids */
    int64_t *n;     /* [seen.n], how many tokens now */
    gr__pairs counts;
} chunks;

int64_t gr__vocabulary_base(bool special)
{
    return BYTES + (special ? GR_SPECIALS : 0);
}

/* --- one chunk --- */

/* Replaces the pair wherever it stands; gives how many tokens remain. */
static int64_t replace(int64_t *ids, int64_t n, int64_t left, int64_t right, int64_t merged)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < n; kept++) {
        bool here = i + 1 < n && ids[i] == left && ids[i + 1] == right;
        ids[kept] = here ? merged : ids[i];
        i += here ? 2 : 1;
    }
    return kept;
}

int64_t gr__merge_pairs(const gr_vocabulary *v, int64_t *ids, int64_t n)
{
    for (;;) {
        int64_t first = -1;
        for (int64_t i = 0; i + 1 < n; i++) {
            const int64_t *merged = gr__pairs_find(&v->merges, ids[i], ids[i + 1]);
            if (merged && (first < 0 || *merged < first)) first = *merged;
        }
        if (first < 0) return n;
        n = replace(ids, n, v->left[first], v->right[first], first);
    }
}

/* --- all chunks --- */

static gr_status find_chunks(chunks *c, const char *text, size_t bytes)
{
    for (size_t at = 0, n, skip; at < bytes; at += n) {
        n = gr__next_chunk(text + at, bytes - at, &skip);
        int64_t id = gr__tokens_add(&c->seen, text + at, n);
        if (id < 0) return GR_ERR_MEMORY;
        c->seen.items[id].count++;
    }
    return GR_OK;
}

/* Adds `times` the count of the chunk to each of its pairs. */
static gr_status count_pairs(chunks *c, int64_t chunk, int64_t times)
{
    const int64_t *ids = c->ids + c->begin[chunk];
    for (int64_t i = 0; i + 1 < c->n[chunk]; i++) {
        int64_t *count = gr__pairs_at(&c->counts, ids[i], ids[i + 1]);
        if (!count) return GR_ERR_MEMORY;
        *count += times * c->seen.items[chunk].count;
    }
    return GR_OK;
}

static gr_status spell_chunks(chunks *c, int64_t first_byte)
{
    size_t size = sizeof *c->ids;
    c->ids = gr__alloc(c->seen.text.len * size);
    c->begin = gr__alloc((size_t)c->seen.n * size);
    c->n = gr__alloc((size_t)c->seen.n * size);
    if (!c->ids || !c->begin || !c->n) return GR_ERR_MEMORY;
    for (size_t i = 0; i < c->seen.text.len; i++)
        c->ids[i] = first_byte + (unsigned char)c->seen.text.data[i];
    gr_status status = GR_OK;
    for (int64_t k = 0; k < c->seen.n && !status; k++) {
        c->begin[k] = (int64_t)c->seen.items[k].at;
        c->n[k] = (int64_t)c->seen.items[k].bytes;
        status = count_pairs(c, k, 1);
    }
    return status;
}

static bool better(const gr__pair *a, const gr__pair *b)
{
    if (a->value != b->value) return a->value > b->value;
    return a->left < b->left || (a->left == b->left && a->right < b->right);
}

/* The pair most often there, of equal ones that of the lowest tokens; NULL: none. */
static const gr__pair *best_pair(const chunks *c)
{
    const gr__pair *best = NULL;
    for (int64_t i = 0; i < c->counts.n_slots; i++) {
        const gr__pair *pair = &c->counts.slots[i];
        if (pair->left >= 0 && pair->value > 0 && (!best || better(pair, best))) best = pair;
    }
    return best;
}

static bool has_pair(const chunks *c, int64_t chunk, int64_t left, int64_t right)
{
    const int64_t *ids = c->ids + c->begin[chunk];
    for (int64_t i = 0; i + 1 < c->n[chunk]; i++)
        if (ids[i] == left && ids[i + 1] == right) return true;
    return false;
}

static gr_status merge_everywhere(chunks *c, int64_t left, int64_t right, int64_t merged)
{
    gr_status status = GR_OK;
    for (int64_t k = 0; k < c->seen.n && !status; k++) {
        if (!has_pair(c, k, left, right)) continue;
        status = count_pairs(c, k, -1);
        c->n[k] = replace(c->ids + c->begin[k], c->n[k], left, right, merged);
        if (!status) status = count_pairs(c, k, 1);
    }
    return status;
}

/* --- learning --- */

static gr_status learn(gr_vocabulary *v, chunks *c, int64_t size, int64_t least)
{
    gr_status status = GR_OK;
    while (!status && v->tokens.n < size) {
        const gr__pair *best = best_pair(c);
        if (!best || best->value < least) break;
        gr__pair pair = *best; /* the table may move */
        int64_t merged = v->tokens.n;
        status = gr__vocabulary_merge(v, pair.left, pair.right);
        bool known = !status && v->tokens.n == merged; /* another pair already spells this */
        if (known) *gr__pairs_at(&c->counts, pair.left, pair.right) = 0;
        else if (!status) status = merge_everywhere(c, pair.left, pair.right, merged);
    }
    return status;
}

gr_status gr__learn_merges(gr_vocabulary *v, const char *text, size_t bytes,
                           const gr_vocabulary_options *o)
{
    chunks c = {0};
    int64_t size = o->size ? o->size : DEFAULT_SIZE, base = gr__vocabulary_base(v->special);
    if (size < base)
        return gr__fail(GR_ERR_ARGUMENT,
                        "vocabulary: byte pairs need a size of at least %lld, got %lld",
                        (long long)base, (long long)size);
    v->left = gr__calloc((size_t)size * sizeof *v->left);
    v->right = gr__calloc((size_t)size * sizeof *v->right);
    gr_status status = v->left && v->right ? find_chunks(&c, text, bytes) : GR_ERR_MEMORY;
    if (!status) status = spell_chunks(&c, base - BYTES);
    if (!status) status = learn(v, &c, size, o->least);
    gr__tokens_release(&c.seen);
    gr__pairs_release(&c.counts);
    gr__free(c.ids);
    gr__free(c.begin);
    gr__free(c.n);
    return status;
}
