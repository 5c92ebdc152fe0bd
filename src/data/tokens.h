/* tokens.h - strings and pairs by number: what vocabularies are made of. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__TOKENS_H
#define GR__TOKENS_H

#include "base.h"

#include <gradus/data.h>

/* --- strings, numbered in the order in which they come --- */

typedef struct gr__token {
    size_t at, bytes; /* in text */
    int64_t count;    /* how often it came */
} gr__token;

typedef struct gr__tokens {
    gr__text text; /* one behind the other */
    gr__token *items;
    int64_t n, cap;
    int64_t *slots; /* hash table of n_slots numbers, -1: free; n_slots is a power of 2 */
    int64_t n_slots;
} gr__tokens;

int64_t gr__tokens_add(gr__tokens *t, const char *text,
                       size_t bytes); /* its number; -1: no memory */
int64_t gr__tokens_find(const gr__tokens *t, const char *text, size_t bytes); /* -1: not there */
const char *gr__tokens_text(const gr__tokens *t, int64_t id, size_t *bytes);
void gr__tokens_release(gr__tokens *t);

/* --- pairs of numbers, with a number each --- */

typedef struct gr__pair {
    int64_t left, right; /* left -1: a free place */
    int64_t value;
} gr__pair;

typedef struct gr__pairs {
    gr__pair *slots;
    int64_t n, n_slots; /* a power of 2, or 0 */
} gr__pairs;

int64_t *gr__pairs_at(gr__pairs *p, int64_t left, int64_t right); /* added as 0; NULL: no memory */
const int64_t *gr__pairs_find(const gr__pairs *p, int64_t left,
                              int64_t right); /* NULL: not there */
void gr__pairs_release(gr__pairs *p);

/* --- text, piece by piece --- */

#define GR__LONGEST_CHUNK 256 /* bytes; so that encoding stays linear in the length of the text */

/* Bytes of the next piece at text, which has n > 0: a character; a word, *skip white space before
 * it passed over (0 when there is none left); or what byte pairs are made within. */
typedef size_t gr__piece_fn(const char *text, size_t n, size_t *skip);
gr__piece_fn gr__next_character, gr__next_word, gr__next_chunk;

/* --- vocabularies --- */

struct gr_vocabulary {
    gr_token_kind kind;
    bool special;
    gr__tokens tokens;
    gr__pairs merges;      /* of byte pairs: the token that a pair becomes */
    int64_t *left, *right; /* [n] of tokens that are merges; NULL for other kinds */
};

int64_t gr__vocabulary_base(bool special); /* of byte pairs: tokens before the first merge */

/* Adds <pad> to <eos> if special and, of byte pairs, the 256 bytes. */
gr_status gr__vocabulary_begin(gr_vocabulary *v);
/* Adds the token that is left followed by right, if it is not there: the size tells. GR_ERR_FORMAT
 * for one that is longer than any chunk. */
gr_status gr__vocabulary_merge(gr_vocabulary *v, int64_t left, int64_t right);
/* Finds the merges in the text, as far as o.size allows. */
gr_status gr__learn_merges(gr_vocabulary *v, const char *text, size_t bytes,
                           const gr_vocabulary_options *o);
/* Replaces pairs in ids[0..n) by what they merge to, the earliest merge first; gives how many remain. */
int64_t gr__merge_pairs(const gr_vocabulary *v, int64_t *ids, int64_t n);

#endif
