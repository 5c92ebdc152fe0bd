/* search_report.c - the trials of a search as a table, JSON, CSV and a picture. */
/* SPDX-License-Identifier: MIT */
#include "csv.h"
#include "json.h"
#include "plot.h"
#include "svg.h"
#include "table.h"

#include <gradus/measure.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* --- order --- */

static bool before(const gr_search_results *r, int a, int b)
{
    const gr_trial *t = &r->trials[a], *u = &r->trials[b];
    if (t->budget != u->budget) return t->budget > u->budget;
    if (isnan(t->score) || isnan(u->score)) return !isnan(t->score) && isnan(u->score);
    return t->score < u->score;
}

/* The trials with the most budget first, the best of them first. */
static int *ranked(const gr_search_results *r)
{
    int *order = gr__alloc((size_t)(r->n + 1) * sizeof *order);
    for (int i = 0; order && i < r->n; i++) {
        int at = i;
        for (; at > 0 && before(r, i, order[at - 1]); at--) order[at] = order[at - 1];
        order[at] = i;
    }
    return order;
}

/* --- text --- */

enum { MOST_ROWS = 20 };

static void add_row(gr__table *t, const gr_search_results *r, int i)
{
    const gr_trial *trial = &r->trials[i];
    gr__table_cell(t, "%d", i + 1);
    for (int k = 0; k < r->dimensions; k++) gr__table_cell(t, "%.4g", trial->x[k]);
    gr__table_cell(t, "%d", trial->budget);
    if (isnan(trial->score)) gr__table_cell(t, "failed");
    else gr__table_cell(t, "%.5g", trial->score);
    gr__table_cell(t, "%.1f", trial->seconds);
}

/* A table of the best trials, at most 20, those with the most budget first. As snprintf: the length
 * of the whole text is returned; 0 when memory is out. */
size_t gr_search_text(const gr_search_results *r, char *text, size_t size)
{
    if (gr__need("gr_search_text", r, "result")) return 0;
    static const char right[] = "rrrrrrrrrrrrrrrr"; /* a column per dimension, and four */
    gr__text out = {0};
    gr__table t = {.align = right + (GR_DIMENSIONS - r->dimensions)};
    int *order = ranked(r);
    gr__table_cell(&t, "trial");
    for (int k = 0; k < r->dimensions; k++) gr__table_cell(&t, "%s", r->space[k].name);
    gr__table_cell(&t, "budget");
    gr__table_cell(&t, "score");
    gr__table_cell(&t, "seconds");
    for (int i = 0; order && i < r->n && i < MOST_ROWS; i++) add_row(&t, r, order[i]);
    gr__table_write(&t, &out);
    gr__table_release(&t);
    if (r->n > MOST_ROWS) gr__text_add(&out, "and %d more\n", r->n - MOST_ROWS);
    out.failed |= !order;
    size_t length = gr__text_copy(&out, text, size);
    gr__free(order);
    gr__text_release(&out);
    return length;
}

/* --- files --- */

static void write_json(const gr_search_results *r, gr__text *t)
{
    gr__json_writer w = {.out = t, .indent = 1};
    gr__json_object(&w, NULL);
    gr__json_int(&w, "best", r->best);
    gr__json_array(&w, "trials");
    for (int i = 0; i < r->n; i++) {
        const gr_trial *trial = &r->trials[i];
        gr__json_object(&w, NULL);
        for (int k = 0; k < r->dimensions; k++) gr__json_number(&w, r->space[k].name, trial->x[k]);
        gr__json_int(&w, "budget", trial->budget);
        gr__json_number(&w, "score", trial->score);
        gr__json_number(&w, "seconds", trial->seconds);
        gr__json_close(&w);
    }
    gr__json_close(&w);
    gr__json_close(&w);
    gr__text_add(t, "\n");
}

static void write_csv(const gr_search_results *r, gr__text *t)
{
    gr__csv c = {.out = t};
    for (int k = 0; k < r->dimensions; k++) gr__csv_text(&c, r->space[k].name);
    gr__csv_text(&c, "budget");
    gr__csv_text(&c, "score");
    gr__csv_text(&c, "seconds");
    gr__csv_row(&c);
    for (int i = 0; i < r->n; i++) {
        const gr_trial *trial = &r->trials[i];
        for (int k = 0; k < r->dimensions; k++) gr__csv_number(&c, trial->x[k]);
        gr__csv_int(&c, trial->budget);
        gr__csv_number(&c, trial->score);
        gr__csv_number(&c, trial->seconds);
        gr__csv_row(&c);
    }
}

/* --- picture: a panel per dimension, a point per trial, the score upwards --- */

enum { PANEL = 240, HEIGHT = 200, MARGIN = 60, TOP = 40 };

typedef struct range {
    double low, high;
    bool log;
} range;

static double place(const range *r, double x)
{
    double low = r->low, high = r->high;
    if (r->log) low = log(low), high = log(high), x = log(x);
    return high > low ? (x - low) / (high - low) : 0.5;
}

static range range_of(const gr_dimension *d)
{
    range r = {d->low, d->high, d->log};
    if (!d->values) return r;
    r = (range){d->values[0], d->values[0], false};
    for (int i = 1; i < d->n; i++) {
        r.low = fmin(r.low, d->values[i]);
        r.high = fmax(r.high, d->values[i]);
    }
    r.log = r.low > 0 && r.high > 100 * r.low;
    return r;
}

static range range_of_scores(const gr_search_results *r)
{
    range y = {INFINITY, -INFINITY, false};
    for (int i = 0; i < r->n; i++) {
        double score = r->trials[i].score;
        if (!isfinite(score)) continue;
        y.low = fmin(y.low, score);
        y.high = fmax(y.high, score);
    }
    y.log = y.low > 0 && y.high > 30 * y.low;
    return y;
}

static void label(gr__text *t, double x, double y, gr__anchor anchor, const char *text)
{
    gr__svg_label(t, x, y, (gr__font){.size = 11, .fill = GR__INK, .anchor = anchor}, text);
}

static void label_number(gr__text *t, double x, double y, gr__anchor anchor, double value)
{
    char text[32];
    snprintf(text, sizeof text, "%.3g", value);
    gr__svg_label(t, x, y, (gr__font){.size = 11, .fill = GR__FAINT, .anchor = anchor}, text);
}

static void draw_panel(gr__text *t, const gr_search_results *r, int k, const range *y)
{
    const range x = range_of(&r->space[k]);
    double left = MARGIN + k * (PANEL + MARGIN), bottom = TOP + HEIGHT;
    gr__svg_line(t, left, bottom, left + PANEL, bottom, GR__LINE, "");
    gr__svg_line(t, left, TOP, left, bottom, GR__LINE, "");
    label(t, left + PANEL / 2.0, bottom + 34, GR__MIDDLE, r->space[k].name);
    label_number(t, left, bottom + 16, GR__MIDDLE, x.low);
    label_number(t, left + PANEL, bottom + 16, GR__MIDDLE, x.high);
    label_number(t, left - 6, bottom, GR__END, y->low);
    label_number(t, left - 6, TOP + 8, GR__END, y->high);
    for (int i = 0; i < r->n; i++) {
        const gr_trial *trial = &r->trials[i];
        if (!isfinite(trial->score)) continue;
        gr__svg_circle(t, left + PANEL * place(&x, trial->x[k]),
                       bottom - HEIGHT * place(y, trial->score), i == r->best ? 6 : 3,
                       i == r->best ? "#dc2626" : "#2563eb");
    }
}

static void write_svg(const gr_search_results *r, gr__text *t)
{
    const range y = range_of_scores(r);
    gr__svg_begin(t, MARGIN / 2.0 + r->dimensions * (PANEL + MARGIN), TOP + HEIGHT + 50);
    label(t, MARGIN, 22, GR__START, "score of every trial; the best is red");
    for (int k = 0; k < r->dimensions; k++) draw_panel(t, r, k, &y);
    gr__svg_end(t);
}

static const struct format {
    const char *ending;
    void (*write)(const gr_search_results *r, gr__text *t);
} formats[] = {{".json", write_json}, {".csv", write_csv}, {".svg", write_svg}};

/* Saves all trials in the form that the ending of the path asks for: .json, .csv, or .svg for a
 * picture of the score over each hyperparameter. path is complete afterwards, or as it was before. */
gr_status gr_search_save(const gr_search_results *r, const char *path)
{
    if (gr__need("gr_search_save", r, "result")) return GR_ERR_ARGUMENT;
    size_t n = path ? strlen(path) : 0;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        size_t length = strlen(formats[i].ending);
        if (n <= length || strcmp(path + n - length, formats[i].ending) != 0) continue;
        gr__text t = {0};
        formats[i].write(r, &t);
        gr_status status = gr__text_save(&t, path);
        gr__text_release(&t);
        return status;
    }
    return gr__fail(GR_ERR_ARGUMENT,
                    "gr_search_save: expected a path ending in .json, .csv or "
                    ".svg, got '%s'",
                    path ? path : "");
}
