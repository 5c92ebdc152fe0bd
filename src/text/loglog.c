/* loglog.c - charts with both axes logarithmic: a power of x is a straight line. */
/* SPDX-License-Identifier: MIT */
#include "chart.h"
#include "plot.h"

#include <math.h>

enum { WIDTH = 560, HEIGHT = 480, TITLE = 62, LEFT = 64, RIGHT = 28, TOP = 62, BOTTOM = 54 };
enum { LINE_HEIGHT = 19, SAMPLE = 22 }; /* of the legend */

#define GUIDE "stroke-dasharray=\"3 5\" stroke-opacity=\"0.8\" "

static void widen(double x, double *lo, double *hi)
{
    if (!(x > 0 && x < GR__AXIS_LIMIT)) return;
    *lo = fmin(*lo, x);
    *hi = fmax(*hi, x);
}

static gr__frame frame_of(const gr__loglog *c, double left, double top)
{
    double low_x = INFINITY, high_x = 0, low_y = INFINITY, high_y = 0;
    for (int i = 0; i < c->n; i++) widen(c->x[i], &low_x, &high_x);
    for (int t = 0; t < c->n_traces; t++)
        for (int i = 0; i < c->n; i++) widen(c->traces[t].y[i], &low_y, &high_y);
    return (gr__frame){left + LEFT,
                       left + WIDTH - RIGHT,
                       top + TOP,
                       top + HEIGHT - BOTTOM,
                       gr__axis_decades(low_x, high_x, 9),
                       gr__axis_decades(low_y, high_y, 11)};
}

static gr__path path_of(const gr__loglog *c, int t)
{
    const gr__trace *trace = &c->traces[t];
    return (gr__path){c->x, trace->y, c->n, trace->guide ? GR__LINE : gr__chart_color(t),
                      trace->guide ? GUIDE : ""};
}

static void draw_columns(gr__text *out, const gr__frame *f)
{
    for (int i = 0; i < f->x.count; i++) {
        double x = gr__chart_x(f, gr__axis_tick(&f->x, i));
        gr__svg_line(out, x, f->top, x, f->bottom, GR__GRID, "");
    }
}

static void draw_ring(gr__text *out, const gr__frame *f, const gr__ring *r)
{
    if (!gr__axis_shows(&f->x, r->x) || !gr__axis_shows(&f->y, r->y)) return;
    double x = gr__chart_x(f, r->x), y = gr__chart_y(f, r->y);
    gr__svg_circle(out, x, y, 6, gr__chart_color(r->trace));
    gr__svg_circle(out, x, y, 3.6, "#ffffff");
}

/* Its label runs along it, where a kink leaves room. */
static void draw_mark(gr__text *out, const gr__frame *f, const gr__loglog *c)
{
    double x = gr__chart_x(f, c->mark), y = (f->top + f->bottom) / 2;
    gr__svg_line(out, x, f->top, x, f->bottom, GR__FAINT, "stroke-dasharray=\"4 4\"");
    if (c->mark_label)
        gr__svg_label(out, x - 6, y, (gr__font){11, GR__FAINT, GR__MIDDLE, false, -90},
                      c->mark_label);
}

static void draw_legend(gr__text *out, const gr__frame *f, const gr__loglog *c)
{
    double height = LINE_HEIGHT * (double)c->n_traces, x = f->left + 14, width = 0;
    double y = c->legend_above ? f->top + 10 : f->bottom - height - 10;
    for (int t = 0; t < c->n_traces; t++)
        width = fmax(width, gr__svg_width(c->traces[t].name, 11.5));
    gr__svg_rect(out, x - 8, y - 2, 0.9 * width + SAMPLE + 16, height + 4, "#ffffff", 4);
    for (int t = 0; t < c->n_traces; t++, y += LINE_HEIGHT) {
        gr__path sample = path_of(c, t);
        gr__text more = {0};
        gr__text_add(&more, "stroke-width=\"2.5\" %s", sample.more);
        if (more.failed) out->failed = true;
        else gr__svg_line(out, x, y + 10, x + SAMPLE, y + 10, sample.color, more.data);
        gr__text_release(&more);
        gr__svg_label(out, x + SAMPLE + 8, y + 14, (gr__font){11.5, GR__INK, GR__START, false, 0},
                      c->traces[t].name);
    }
}

static void draw_heading(gr__text *out, const gr__frame *f, const gr__loglog *c)
{
    if (c->title)
        gr__svg_label(out, f->left, f->top - 32, (gr__font){14, GR__INK, GR__START, true, 0},
                      c->title);
    if (c->left)
        gr__svg_label(out, f->left, f->top - 9, (gr__font){11, GR__FAINT, GR__START, false, 0},
                      c->left);
    if (c->right)
        gr__svg_label(out, f->right, f->top - 9, (gr__font){11, GR__FAINT, GR__END, false, 0},
                      c->right);
}

static void draw_chart(gr__text *out, const gr__loglog *c, double left, double top)
{
    gr__frame f = frame_of(c, left, top);
    draw_columns(out, &f);
    gr__chart_axes(out, &f, c->x_label, false);
    if (c->mark > 0) draw_mark(out, &f, c);
    for (int t = 0; t < c->n_traces; t++) {
        gr__path path = path_of(c, t);
        gr__chart_path(out, &f, &path);
        if (!c->traces[t].guide) gr__chart_points(out, &f, &path, true);
    }
    draw_legend(out, &f, c);
    for (int r = 0; r < c->n_rings; r++) draw_ring(out, &f, &c->rings[r]);
    draw_heading(out, &f, c);
}

void gr__svg_loglog(gr__text *out, const char *title, const char *under, const gr__loglog *charts,
                    int n)
{
    gr__svg_begin(out, (double)n * WIDTH, TITLE + HEIGHT);
    gr__svg_label(out, LEFT, 36, (gr__font){18, GR__INK, GR__START, true, 0}, title);
    gr__svg_label(out, LEFT, 58, (gr__font){12, GR__FAINT, GR__START, false, 0}, under);
    for (int i = 0; i < n; i++) draw_chart(out, &charts[i], (double)i * WIDTH, TITLE);
    gr__svg_end(out);
}
