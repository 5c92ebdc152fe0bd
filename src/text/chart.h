/* chart.h - what charts of every kind share: a frame with axes, and paths in it. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__CHART_H
#define GR__CHART_H

#include "axis.h"
#include "svg.h"

/* Where a chart draws: x from left to right, y from bottom up to top. */
typedef struct gr__frame {
    double left, right, top, bottom;
    gr__axis x, y;
} gr__frame;

/* A line through (x[i], y[i]); x NULL: 1, 2, 3... What an axis cannot show lifts the pen. */
typedef struct gr__path {
    const double *x, *y;
    int n;
    const char *color;
    const char *more; /* further attributes, or "" */
} gr__path;

const char *gr__chart_color(int curve); /* told apart by colour-blind readers too */
double gr__chart_x(const gr__frame *f, double x);
double gr__chart_y(const gr__frame *f, double y);

/* Horizontal grid lines, a tick and a label for each step of both axes. */
void gr__chart_axes(gr__text *out, const gr__frame *f, const char *x_label, bool percent);
void gr__chart_path(gr__text *out, const gr__frame *f, const gr__path *p);
/* The points of a path one by one; with `alone` only those that no line joins. */
void gr__chart_points(gr__text *out, const gr__frame *f, const gr__path *p, bool alone);
/* A dashed line at x, with what it says above it (NULL: nothing). */
void gr__chart_mark(gr__text *out, const gr__frame *f, double x, const char *label);

#endif
