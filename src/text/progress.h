/* progress.h - how far a long job is: a bar on a terminal, one plain line per step elsewhere. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__PROGRESS_H
#define GR__PROGRESS_H

#include "base.h"

#include <stdio.h>

/* gr__progress p;
 * gr__progress_begin(&p, stderr, "epoch 3/10", batches);        out NULL: silence
 * gr__progress_show(&p, done, "loss %.4f", loss);               redraws at most ten times a second
 * gr__progress_end(&p, "loss %.4f  accuracy %.2f%%", ...);      the line that stays
 * No allocation; NO_COLOR and TERM=dumb are respected. */
typedef struct gr__progress {
    FILE *out;
    const char *title; /* must live until the end */
    int64_t total;
    bool terminal, color, unicode;
    double begun, drawn; /* seconds, on the monotonic clock */
} gr__progress;

void gr__progress_begin(gr__progress *p, FILE *out, const char *title, int64_t total);
/* Whether gr__progress_show would draw now: what it is to say need not be put together before. */
bool gr__progress_due(const gr__progress *p);
void gr__progress_show(gr__progress *p, int64_t done, const char *format, ...) GR_PRINTF(3, 4);
void gr__progress_end(gr__progress *p, const char *format, ...) GR_PRINTF(2, 3);

/* Whether escapes may be written: a terminal, TERM not "dumb". Colour needs NO_COLOR unset too. */
bool gr__is_terminal(FILE *out);
bool gr__may_color(FILE *out);
double gr__seconds(void); /* of the monotonic clock */

#endif
