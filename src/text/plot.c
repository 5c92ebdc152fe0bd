/* plot.c - curves over epochs. */
/* SPDX-License-Identifier: MIT */
#include "plot.h"
#include "chart.h"

#include <math.h>

enum { WIDTH = 480, HEIGHT = 330, TITLE = 44, LEFT = 62, RIGHT = 24, TOP = 58, BOTTOM = 52 };
enum { FEW = 25 }; /* so many points are shown one by one */

/* Fractions end at 100%, whatever the round step. */
static gr__axis up_to_one(gr__axis a)
{
    a.hi = 1;
    a.count = (int)((a.hi - a.first) / a.step + 1e-3) + 1;
    return a;
}

static gr__frame frame_of(const gr__panel *p, double left, double top)
{
    double lo = INFINITY, hi = -INFINITY;
    int longest = 0;
    for (int c = 0; c < p->n; c++) {
        if (p->curves[c].n > longest) longest = p->curves[c].n;
        for (int i = 0; i < p->curves[c].n; i++) {
            double y = p->curves[c].y[i];
            if (fabs(y) < GR__AXIS_LIMIT) lo = fmin(lo, y), hi = fmax(hi, y);
        }
    }
    gr__axis y = gr__axis_values(lo, hi, 6);
    if (p->percent && y.hi > 1 && hi <= 1) y = up_to_one(y);
    return (gr__frame){left + LEFT,           left + WIDTH - RIGHT,        top + TOP,
                       top + HEIGHT - BOTTOM, gr__axis_counts(longest, 8), y};
}

/* From the right end of the title's line to the left. */
static void draw_legend(gr__text *out, const gr__panel *p, const gr__frame *f)
{
    double x = f->right, y = f->top - 28;
    for (int c = p->n - 1; c >= 0; c--) {
        x -= gr__svg_width(p->curves[c].name, 12);
        gr__svg_label(out, x, y, (gr__font){12, GR__INK, GR__START, false, 0}, p->curves[c].name);
        x -= 24;
        gr__svg_rect(out, x, y - 6, 18, 4, gr__chart_color(c), 2);
        x -= 14;
    }
}

static void draw_panel(gr__text *out, const gr__panel *p, double left, double top)
{
    gr__frame f = frame_of(p, left, top);
    gr__chart_axes(out, &f, p->x_label, p->percent);
    if (p->mark > 0 && p->mark <= f.x.hi) gr__chart_mark(out, &f, p->mark, p->mark_label);
    for (int c = 0; c < p->n; c++) {
        const gr__curve *curve = &p->curves[c];
        gr__path path = {NULL, curve->y, curve->n, gr__chart_color(c), ""};
        gr__chart_path(out, &f, &path);
        gr__chart_points(out, &f, &path, curve->n > FEW);
    }
    draw_legend(out, p, &f);
    if (p->title)
        gr__svg_label(out, f.left, f.top - 28, (gr__font){14, GR__INK, GR__START, true, 0},
                      p->title);
}

void gr__svg_curves(gr__text *out, const char *title, const gr__panel *panels, int n)
{
    double top = title ? TITLE : 4;
    gr__svg_begin(out, (double)n * WIDTH, top + HEIGHT);
    if (title) gr__svg_label(out, LEFT, 34, (gr__font){18, GR__INK, GR__START, true, 0}, title);
    for (int i = 0; i < n; i++) draw_panel(out, &panels[i], (double)i * WIDTH, top);
    gr__svg_end(out);
}
