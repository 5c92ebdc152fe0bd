/* bleu.c - BLEU of a corpus.
 *
 *   BLEU = min(1, e^(1 - r/c)) exp(1/4 sum_n log p_n)
 *
 * where p_n is the part of the n-grams said that occur in a reference, each at most as often as in
 * the reference that has it most often; c the length of what was said, r the sum of the lengths of
 * the closest references. Source: Papineni, Roukos, Ward, Zhu, ACL 2002.
 */
/* SPDX-License-Identifier: MIT */
#include "base.h"

#include <gradus/measure.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ORDERS = 4 };

typedef struct counts {
    int64_t right[ORDERS], all[ORDERS], said, closest;
} counts;

static bool same(const int64_t *a, const int64_t *b, int order)
{
    return !memcmp(a, b, (size_t)order * sizeof *a);
}

/* How often the n-gram occurs among the first `end` places of a sentence. */
static int64_t count(const gr_sentence *s, const int64_t *gram, int order, int64_t end)
{
    int64_t n = 0;
    for (int64_t i = 0; i < end && i + order <= s->n; i++) n += same(s->tokens + i, gram, order);
    return n;
}

/* Whether the n-gram at place i still finds one of its like in a reference: places before it have
 * used up as many as there are of it. Sentences are short: no table is needed. */
static bool matched(const gr_sentence *s, const gr_sentence *truth, int references, int64_t i,
                    int order)
{
    int64_t most = 0, before = count(s, s->tokens + i, order, i);
    for (int k = 0; k < references; k++) {
        int64_t there = count(&truth[k], s->tokens + i, order, truth[k].n);
        if (there > most) most = there;
    }
    return before < most;
}

/* The length of the reference that is closest in length; of two the shorter. */
static int64_t closest(const gr_sentence *s, const gr_sentence *truth, int references)
{
    int64_t best = truth[0].n;
    for (int k = 1; k < references; k++) {
        int64_t off = llabs(truth[k].n - s->n), least = llabs(best - s->n);
        if (off < least || (off == least && truth[k].n < best)) best = truth[k].n;
    }
    return best;
}

static void add_sentence(counts *c, const gr_sentence *s, const gr_sentence *truth, int references)
{
    c->said += s->n;
    c->closest += closest(s, truth, references);
    for (int order = 1; order <= ORDERS; order++)
        for (int64_t i = 0; i + order <= s->n; i++) {
            c->all[order - 1]++;
            c->right[order - 1] += matched(s, truth, references, i, order);
        }
}

/* BLEU of a corpus, with equal weights of 1 to 4 tokens, not smoothed: 0 when there is no match of
 * four tokens. NaN without sentences.
 *
 * said   [n] what was said
 * truth  [n, references] what might have been said, references >= 1 */
gr_bleu gr_corpus_bleu(const gr_sentence *said, const gr_sentence *truth, int64_t n, int references)
{
    counts c = {0};
    gr_bleu b = {.score = NAN, .brevity = NAN};
    if (n < 1 || references < 1 || gr__need("gr_corpus_bleu", said, "array of sentences") ||
        gr__need("gr_corpus_bleu", truth, "array of references"))
        return b;
    for (int64_t i = 0; i < n; i++) add_sentence(&c, &said[i], truth + i * references, references);
    double logs = 0;
    for (int k = 0; k < ORDERS; k++) {
        b.precision[k] = c.all[k] ? (double)c.right[k] / (double)c.all[k] : 0;
        logs += log(b.precision[k]) / ORDERS;
    }
    b.brevity = c.said >= c.closest ? 1 : exp(1 - (double)c.closest / (double)c.said);
    b.score = c.said ? b.brevity * exp(logs) : 0;
    return b;
}
