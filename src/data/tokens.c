/* tokens.c - strings and pairs by number, in hash tables with open addressing; pieces of text. */
/* SPDX-License-Identifier: MIT */
#include "tokens.h"
#include "text.h"

#include <string.h>

enum { FIRST_SLOTS = 256 };

/* --- strings --- */

static uint64_t hash(const char *text, size_t bytes)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < bytes; i++) h = (h ^ (unsigned char)text[i]) * 0x100000001b3u;
    return gr__hash64(h);
}

/* The slot where the string is, or where it would go. */
static int64_t slot_of(const gr__tokens *t, const char *text, size_t bytes)
{
    int64_t mask = t->n_slots - 1, slot = (int64_t)(hash(text, bytes) & (uint64_t)mask);
    for (;; slot = (slot + 1) & mask) {
        if (t->slots[slot] < 0) return slot;
        const gr__token *item = &t->items[t->slots[slot]];
        if (item->bytes == bytes && !memcmp(t->text.data + item->at, text, bytes)) return slot;
    }
}

static bool grow_slots(gr__tokens *t)
{
    int64_t n_slots = t->n_slots ? 2 * t->n_slots : FIRST_SLOTS;
    int64_t *slots = gr__alloc((size_t)n_slots * sizeof *slots);
    if (!slots) return false;
    for (int64_t i = 0; i < n_slots; i++) slots[i] = -1;
    gr__free(t->slots);
    t->slots = slots;
    t->n_slots = n_slots;
    for (int64_t i = 0; i < t->n; i++)
        slots[slot_of(t, t->text.data + t->items[i].at, t->items[i].bytes)] = i;
    return true;
}

static bool grow_items(gr__tokens *t)
{
    size_t size = sizeof *t->items, cap = 2 * (size_t)t->cap + 64;
    gr__token *items = gr__grow(t->items, (size_t)t->n * size, cap * size);
    if (!items) return false;
    t->items = items;
    t->cap = (int64_t)cap;
    return true;
}

int64_t gr__tokens_add(gr__tokens *t, const char *text, size_t bytes)
{
    if (2 * (t->n + 1) > t->n_slots && !grow_slots(t)) return -1;
    int64_t slot = slot_of(t, text, bytes);
    if (t->slots[slot] >= 0) return t->slots[slot];
    if (t->n == t->cap && !grow_items(t)) return -1;
    size_t at = t->text.len;
    gr__text_add_bytes(&t->text, text, bytes);
    if (t->text.failed) return -1;
    t->items[t->n] = (gr__token){.at = at, .bytes = bytes};
    return t->slots[slot] = t->n++;
}

int64_t gr__tokens_find(const gr__tokens *t, const char *text, size_t bytes)
{
    return t->n ? t->slots[slot_of(t, text, bytes)] : -1;
}

const char *gr__tokens_text(const gr__tokens *t, int64_t id, size_t *bytes)
{
    *bytes = t->items[id].bytes;
    return t->text.data + t->items[id].at;
}

void gr__tokens_release(gr__tokens *t)
{
    gr__text_release(&t->text);
    gr__free(t->items);
    gr__free(t->slots);
}

/* --- pairs --- */

static gr__pair *place_of(const gr__pairs *p, int64_t left, int64_t right)
{
    uint64_t h = gr__hash_join((uint64_t)left, (uint64_t)right);
    int64_t mask = p->n_slots - 1, slot = (int64_t)(h & (uint64_t)mask);
    for (;; slot = (slot + 1) & mask) {
        gr__pair *pair = &p->slots[slot];
        if (pair->left < 0 || (pair->left == left && pair->right == right)) return pair;
    }
}

static bool grow_pairs(gr__pairs *p)
{
    gr__pairs grown = {.n = p->n, .n_slots = p->n_slots ? 2 * p->n_slots : FIRST_SLOTS};
    grown.slots = gr__alloc((size_t)grown.n_slots * sizeof *grown.slots);
    if (!grown.slots) return false;
    for (int64_t i = 0; i < grown.n_slots; i++) grown.slots[i].left = -1;
    for (int64_t i = 0; i < p->n_slots; i++)
        if (p->slots[i].left >= 0)
            *place_of(&grown, p->slots[i].left, p->slots[i].right) = p->slots[i];
    gr__free(p->slots);
    *p = grown;
    return true;
}

int64_t *gr__pairs_at(gr__pairs *p, int64_t left, int64_t right)
{
    if (2 * (p->n + 1) > p->n_slots && !grow_pairs(p)) return NULL;
    gr__pair *pair = place_of(p, left, right);
    if (pair->left < 0) {
        *pair = (gr__pair){left, right, 0};
        p->n++;
    }
    return &pair->value;
}

const int64_t *gr__pairs_find(const gr__pairs *p, int64_t left, int64_t right)
{
    if (!p->n) return NULL;
    const gr__pair *pair = place_of(p, left, right);
    return pair->left < 0 ? NULL : &pair->value;
}

void gr__pairs_release(gr__pairs *p)
{
    gr__free(p->slots);
}

/* --- pieces --- */

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

/* An invalid byte is a piece of its own. */
size_t gr__next_character(const char *text, size_t n, size_t *skip)
{
    size_t bytes = gr__utf8_step(text, n);
    *skip = 0;
    return bytes ? bytes : 1;
}

size_t gr__next_word(const char *text, size_t n, size_t *skip)
{
    size_t begin = 0, end;
    while (begin < n && is_space(text[begin])) begin++;
    for (end = begin; end < n && !is_space(text[end]);) end++;
    *skip = begin;
    return end - begin;
}

/* A word with the one space before it; white space otherwise byte by byte. Nothing is lost. */
size_t gr__next_chunk(const char *text, size_t n, size_t *skip)
{
    size_t end = *text == ' ';
    *skip = 0;
    while (end < n && end < GR__LONGEST_CHUNK && !is_space(text[end])) end++;
    return end ? end : 1;
}
