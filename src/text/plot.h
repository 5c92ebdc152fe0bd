/* plot.h - pictures as SVG text: curves over epochs, log-log charts, a confusion matrix. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__PLOT_H
#define GR__PLOT_H

#include "text.h"

/* --- curves --- */

typedef struct gr__curve {
    const char *name; /* in the legend */
    const double *y;  /* [n]; NaN and Inf leave a gap */
    int n;
} gr__curve;

typedef struct gr__panel {
    const char *title, *x_label;
    const gr__curve *curves; /* value i stands at x = i + 1 */
    int n;
    bool percent;           /* fractions, labelled as percentages */
    int mark;               /* a dashed line at this x, 0: none */
    const char *mark_label; /* what it says: "best" */
} gr__panel;

/* One picture of n >= 1 panels side by side below a title (NULL: none). */
void gr__svg_curves(gr__text *out, const char *title, const gr__panel *panels, int n);

/* --- log-log --- */

typedef struct gr__trace {
    const char *name; /* in the legend */
    const double *y;  /* [n of the chart]; what is not positive leaves a gap */
    bool guide;       /* a thin dashed line to compare the others with */
} gr__trace;

/* A point that matters, on a trace. */
typedef struct gr__ring {
    int trace;
    double x, y;
} gr__ring;

typedef struct gr__loglog {
    const char *title, *x_label;
    const char *left, *right; /* what rules at either end, above the frame; NULL: nothing */
    const double *x;          /* [n], positive */
    int n;
    const gr__trace *traces;
    int n_traces;
    const gr__ring *rings;
    int n_rings;
    bool legend_above; /* the legend stands at the top left, else at the bottom left */
    double mark;       /* a dashed line at this x, 0: none */
    const char *mark_label;
} gr__loglog;

/* One picture of n >= 1 charts side by side below a title and a line under it. */
void gr__svg_loglog(gr__text *out, const char *title, const char *under, const gr__loglog *charts,
                    int n);

/* --- confusion matrix --- */

/* counts [classes, classes], rows the true class, columns the predicted one; names [classes], or
 * NULL for 0, 1, 2...; the accuracy is put behind the title. */
void gr__svg_confusion(gr__text *out, const char *title, const int64_t *counts, int classes,
                       const char *const *names);

#endif
