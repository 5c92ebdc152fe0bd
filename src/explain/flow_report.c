/* flow_report.c - norms of values and gradients as a table and as bars. */
/* SPDX-License-Identifier: MIT */
#include "axis.h"
#include "svg.h"
#include "table.h"
#include <gradus/profile.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct look {
    const char *name, *fill;
} looks[] = {
    [GR_FLOW_FINE] = {"fine", "#3b82f6"},
    [GR_FLOW_VANISHING] = {"vanishing", "#d97706"},
    [GR_FLOW_EXPLODING] = {"exploding", "#dc2626"},
    [GR_FLOW_NONE] = {"no gradient", "#6b7280"},
    [GR_FLOW_NOT_FINITE] = {"not finite", "#7c3aed"},
};
enum { STATES = sizeof looks / sizeof *looks };

const char *gr_flow_state_name(gr_flow_state state)
{
    return (unsigned)state < STATES ? looks[state].name : "?";
}

/* --- the table --- */

static void add_summary(const gr_flow *f, gr__text *t)
{
    gr__text_add(t, "%d rows", f->n);
    for (int i = 0; i < STATES; i++)
        if (f->count[i]) gr__text_add(t, ", %d %s", f->count[i], looks[i].name);
    gr__text_add(t, "\n");
}

/* A line per row: the norm of the value, that of the gradient and how large it is beside the last
 * row's, the share of zeros among the values (of a dead relu: 100%), and the state.
 *
 * text  [size], gets as much as fits and a terminating NUL; NULL with size 0
 *
 * Returns the length of the whole, as snprintf does; 0 when memory is out. */
size_t gr_flow_text(const gr_flow *f, char *text, size_t size)
{
    if (gr__need("gr_flow_text", f, "result")) return 0;
    static const char *const head[] = {"value",           "elements", "norm", "gradient's norm",
                                       "beside the last", "zeros",    "state"};
    gr__table table = {.align = "lrrrrrl"};
    gr__text t = {0};
    for (int i = 0; i < 7; i++) gr__table_cell(&table, "%s", head[i]);
    for (int i = 0; i < f->n; i++) {
        const gr_flow_row *r = &f->rows[i];
        gr__table_cell(&table, "%s", r->name);
        gr__table_cell(&table, "%lld", (long long)r->numel);
        gr__table_cell(&table, "%.2e", r->value);
        gr__table_cell(&table, "%.2e", r->gradient);
        gr__table_cell(&table, "%.1e", r->relative);
        gr__table_cell(&table, "%.1f%%", 100 * r->zeros);
        gr__table_cell(&table, "%s", gr_flow_state_name(r->state));
    }
    gr__table_write(&table, &t);
    add_summary(f, &t);
    gr__table_release(&table);
    size_t length = gr__text_copy(&t, text, size);
    gr__text_release(&t);
    return length;
}

/* --- bars --- */

enum { BAR = 16, TOP = 84, BOTTOM = 40, NAMES = 230, PANEL = 300, GAP = 40, MARGIN = 24 };

/* One of the two panels: norms on a logarithmic axis. */
typedef struct panel {
    double left;
    const char *title;
    bool gradient;
    gr__axis axis;
} panel;

static double norm_of(const gr_flow_row *r, bool gradient)
{
    return gradient ? r->gradient : r->value;
}

static panel panel_of(const gr_flow *f, bool gradient)
{
    double low = INFINITY, high = 0;
    for (int i = 0; i < f->n; i++) {
        double x = norm_of(&f->rows[i], gradient);
        if (!(x > 0 && x < GR__AXIS_LIMIT)) continue;
        low = fmin(low, x);
        high = fmax(high, x);
    }
    if (high == 0) low = high = 1;
    return (panel){MARGIN + NAMES + (gradient ? PANEL + GAP : 0),
                   gradient ? "norm of the gradient" : "norm of the value", gradient,
                   gr__axis_decades(low / 10, high, 6)}; /* so that the smallest has a bar too */
}

static double row_top(int i)
{
    return TOP + (double)i * BAR;
}

static void draw_axis(gr__text *out, const gr_flow *f, const panel *p)
{
    double bottom = row_top(f->n) + 4;
    gr__svg_label(out, p->left, TOP - 14, (gr__font){12, GR__INK, GR__START, true, 0}, p->title);
    for (int i = 0; i < p->axis.count; i++) {
        double x = gr__axis_place(&p->axis, gr__axis_tick(&p->axis, i), p->left, p->left + PANEL);
        gr__text label = {0};
        gr__axis_label(&p->axis, i, false, &label);
        gr__svg_line(out, x, TOP - 4, x, bottom, GR__GRID, "");
        if (label.failed) out->failed = true;
        else
            gr__svg_label(out, x, bottom + 16, (gr__font){10, GR__FAINT, GR__MIDDLE, false, 0},
                          label.data);
        gr__text_release(&label);
    }
}

static void draw_bar(gr__text *out, const panel *p, const gr_flow_row *r, double top)
{
    double x = norm_of(r, p->gradient);
    const char *fill = looks[p->gradient || r->state == GR_FLOW_NOT_FINITE ? r->state : 0].fill;
    if (gr__axis_shows(&p->axis, x)) {
        double right = gr__axis_place(&p->axis, x, p->left, p->left + PANEL);
        gr__svg_rect(out, p->left, top + 2, right - p->left, BAR - 4, fill, 2);
    } else if (p->gradient || !isfinite(x)) {
        gr__svg_label(out, p->left + 4, top + BAR - 4, (gr__font){10, fill, GR__START, false, 0},
                      gr_flow_state_name(r->state));
    }
}

/* The end of a long name says more than its beginning. */
static void draw_name(gr__text *out, const gr_flow_row *r, double top)
{
    char name[sizeof r->name + 4];
    size_t n = strlen(r->name), most = 36;
    snprintf(name, sizeof name, "%s%s", n > most ? "..." : "", r->name + (n > most ? n - most : 0));
    gr__svg_label(out, MARGIN + NAMES - 8, top + BAR - 4,
                  (gr__font){10.5, GR__INK, GR__END, false, 0}, name);
}

static void draw_legend(gr__text *out, const gr_flow *f)
{
    double x = MARGIN;
    for (int i = 0; i < STATES; i++) {
        char label[64];
        if (!f->count[i]) continue;
        snprintf(label, sizeof label, "%d %s", f->count[i], looks[i].name);
        gr__svg_rect(out, x, 44, 10, 10, looks[i].fill, 2);
        gr__svg_label(out, x + 15, 53, (gr__font){11, GR__FAINT, GR__START, false, 0}, label);
        x += 32 + gr__svg_width(label, 11);
    }
}

/* Two bars a row, on logarithmic axes: the norm of the value and that of its gradient, coloured by
 * the row's state. title NULL: none. path is complete afterwards or as it was. GR_ERR_FILE,
 * GR_ERR_MEMORY. */
gr_status gr_flow_plot(const gr_flow *f, const char *title, const char *path)
{
    if (gr__need("gr_flow_plot", f, "result")) return GR_ERR_ARGUMENT;
    gr__text t = {0};
    const panel panels[] = {panel_of(f, false), panel_of(f, true)};
    gr__svg_begin(&t, 2 * MARGIN + NAMES + 2 * PANEL + GAP, row_top(f->n) + BOTTOM);
    if (title) gr__svg_label(&t, MARGIN, 30, (gr__font){15, GR__INK, GR__START, true, 0}, title);
    draw_legend(&t, f);
    for (int k = 0; k < 2; k++) draw_axis(&t, f, &panels[k]);
    for (int i = 0; i < f->n; i++) {
        draw_name(&t, &f->rows[i], row_top(i));
        for (int k = 0; k < 2; k++) draw_bar(&t, &panels[k], &f->rows[i], row_top(i));
    }
    gr__svg_end(&t);
    gr_status status = gr__text_save(&t, path);
    gr__text_release(&t);
    return status;
}
