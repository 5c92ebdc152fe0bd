/* chart.c - what charts of every kind share: a frame with axes, and paths in it. */
/* SPDX-License-Identifier: MIT */
#include "chart.h"

/* Okabe and Ito's palette. */
static const char *const colors[] = {"#0072b2", "#d55e00", "#009e73",
                                     "#cc79a7", "#e69f00", "#56b4e9"};

const char *gr__chart_color(int curve)
{
    return colors[(size_t)curve % (sizeof colors / sizeof *colors)];
}

double gr__chart_x(const gr__frame *f, double x)
{
    return gr__axis_place(&f->x, x, f->left, f->right);
}

double gr__chart_y(const gr__frame *f, double y)
{
    return gr__axis_place(&f->y, y, f->bottom, f->top);
}

/* --- axes --- */

static void draw_tick_label(gr__text *out, const gr__axis *a, int i, bool percent, double x,
                            double y, gr__anchor anchor)
{
    gr__text label = {0};
    gr__axis_label(a, i, percent, &label);
    if (label.failed) out->failed = true;
    else gr__svg_label(out, x, y, (gr__font){11, GR__FAINT, anchor, false, 0}, label.data);
    gr__text_release(&label);
}

void gr__chart_axes(gr__text *out, const gr__frame *f, const char *x_label, bool percent)
{
    for (int i = 0; i < f->y.count; i++) {
        double y = gr__chart_y(f, gr__axis_tick(&f->y, i));
        gr__svg_line(out, f->left, y, f->right, y, GR__GRID, "");
        draw_tick_label(out, &f->y, i, percent, f->left - 8, y + 4, GR__END);
    }
    for (int i = 0; i < f->x.count; i++) {
        double x = gr__chart_x(f, gr__axis_tick(&f->x, i));
        gr__svg_line(out, x, f->bottom, x, f->bottom + 5, GR__LINE, "");
        draw_tick_label(out, &f->x, i, false, x, f->bottom + 19, GR__MIDDLE);
    }
    gr__svg_line(out, f->left, f->bottom, f->right, f->bottom, GR__LINE, "");
    if (x_label)
        gr__svg_label(out, (f->left + f->right) / 2, f->bottom + 39,
                      (gr__font){12, GR__INK, GR__MIDDLE, false, 0}, x_label);
}

void gr__chart_mark(gr__text *out, const gr__frame *f, double x, const char *label)
{
    x = gr__chart_x(f, x);
    gr__svg_line(out, x, f->top, x, f->bottom, GR__LINE, "stroke-dasharray=\"4 4\"");
    if (label)
        gr__svg_label(out, x, f->top - 5, (gr__font){11, GR__FAINT, GR__MIDDLE, false, 0}, label);
}

/* --- paths --- */

static double x_of(const gr__path *p, int i)
{
    return p->x ? p->x[i] : i + 1;
}

static bool drawn(const gr__frame *f, const gr__path *p, int i)
{
    return i >= 0 && i < p->n && gr__axis_shows(&f->x, x_of(p, i)) &&
           gr__axis_shows(&f->y, p->y[i]);
}

void gr__chart_path(gr__text *out, const gr__frame *f, const gr__path *p)
{
    gr__text_add(out,
                 "<path fill=\"none\" stroke=\"%s\" stroke-width=\"2\" "
                 "stroke-linejoin=\"round\" stroke-linecap=\"round\" %sd=\"",
                 p->color, p->more);
    for (int i = 0; i < p->n; i++) {
        if (!drawn(f, p, i)) continue;
        gr__text_add(out, drawn(f, p, i - 1) ? "L" : "M");
        gr__text_fixed(out, gr__chart_x(f, x_of(p, i)), 1);
        gr__text_add(out, " ");
        gr__text_fixed(out, gr__chart_y(f, p->y[i]), 1);
    }
    gr__text_add(out, "\"/>\n");
}

void gr__chart_points(gr__text *out, const gr__frame *f, const gr__path *p, bool alone)
{
    for (int i = 0; i < p->n; i++) {
        bool joined = drawn(f, p, i - 1) || drawn(f, p, i + 1);
        if (drawn(f, p, i) && !(alone && joined))
            gr__svg_circle(out, gr__chart_x(f, x_of(p, i)), gr__chart_y(f, p->y[i]), 2.8, p->color);
    }
}
