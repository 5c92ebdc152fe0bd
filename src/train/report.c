/* report.c - what became of a training: the history as a file, learning curves, bias and variance. */
/* SPDX-License-Identifier: MIT */
#include "csv.h"
#include "fit.h"
#include "plot.h"
#include "table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* --- the history --- */

static void add_names(gr__csv *c, const gr_metric *metrics)
{
    static const char *const columns[] = {"epoch",        "loss", "accuracy", "val_loss",
                                          "val_accuracy", "lr",   "seconds"};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) gr__csv_text(c, columns[i]);
    for (int i = 0; metrics && metrics[i].name; i++) {
        char name[160];
        gr__csv_text(c, metrics[i].name);
        snprintf(name, sizeof name, "val_%s", metrics[i].name);
        gr__csv_text(c, name);
    }
    gr__csv_row(c);
}

static void add_epoch(gr__csv *c, const gr_epoch *e, const gr_metric *metrics)
{
    const double numbers[] = {e->loss,         e->accuracy, e->val_loss,
                              e->val_accuracy, e->lr,       e->seconds};
    gr__csv_int(c, e->epoch);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) gr__csv_number(c, numbers[i]);
    for (int i = 0; metrics && metrics[i].name; i++) {
        gr__csv_number(c, e->metric[i]);
        gr__csv_number(c, e->val_metric[i]);
    }
    gr__csv_row(c);
}

gr_status gr__history_csv(const gr_history *h, const gr_metric *metrics, const char *path)
{
    if (gr__need("gr_history_csv", h, "history")) return GR_ERR_ARGUMENT;
    gr__text t = {0};
    gr__csv c = {.out = &t};
    add_names(&c, metrics);
    for (int i = 0; i < h->n; i++) add_epoch(&c, &h->epochs[i], metrics);
    gr_status status = gr__text_save(&t, path);
    gr__text_release(&t);
    return status;
}

/* Writes one row per epoch: epoch, loss, accuracy, val_loss, val_accuracy, lr, seconds. */
gr_status gr_history_csv(const gr_history *h, const char *path)
{
    return gr__history_csv(h, NULL, path);
}

enum { LOSS, VAL_LOSS, ACCURACY, VAL_ACCURACY, CURVES };

static void fill_curves(const gr_history *h, double *y)
{
    int n = h->n;
    for (int i = 0; i < n; i++) {
        const gr_epoch *e = &h->epochs[i];
        y[LOSS * n + i] = e->loss;
        y[VAL_LOSS * n + i] = e->val_loss;
        y[ACCURACY * n + i] = e->accuracy;
        y[VAL_ACCURACY * n + i] = e->val_accuracy;
    }
}

/* Learning curves as SVG: the loss over the epochs, and beside it the accuracy where there is one,
 * each in training and on validation data, with the best epoch marked. title may be NULL. */
gr_status gr_history_plot(const gr_history *h, const char *title, const char *path)
{
    if (gr__need("gr_history_plot", h, "history")) return GR_ERR_ARGUMENT;
    if (h->n < 1) return gr__fail(GR_ERR_ARGUMENT, "gr_history_plot: the history is empty");
    int n = h->n;
    double *y = gr__alloc((size_t)(n * CURVES) * sizeof *y);
    if (!y) return GR_ERR_MEMORY;
    fill_curves(h, y);
    int curves = isnan(h->epochs[n - 1].val_loss) ? 1 : 2;
    int panels = isnan(h->epochs[n - 1].accuracy) ? 1 : 2;
    const gr__curve losses[] = {{"training", y + LOSS * n, n}, {"validation", y + VAL_LOSS * n, n}};
    const gr__curve hits[] = {{"training", y + ACCURACY * n, n},
                              {"validation", y + VAL_ACCURACY * n, n}};
    const gr__panel both[] = {
        {.title = "loss",
         .x_label = "epoch",
         .curves = losses,
         .n = curves,
         .mark = h->best + 1,
         .mark_label = "best"},
        {.title = "accuracy", .x_label = "epoch", .curves = hits, .n = curves, .percent = true}};
    gr__text t = {0};
    gr__svg_curves(&t, title, both, panels);
    gr_status status = gr__text_save(&t, path);
    gr__text_release(&t);
    gr__free(y);
    return status;
}

/* --- bias and variance --- */

static double error_of(const gr_evaluation *e)
{
    return 1 - e->accuracy;
}

/* In percentage points of the error. */
static void judge(gr_fit_report *r, double goal, double tolerance)
{
    const gr_evaluation *held = r->validation.n ? &r->validation : &r->test;
    r->bias = error_of(&r->train) - goal;
    r->variance = held->n ? error_of(held) - error_of(&r->train) : NAN;
    bool under = r->bias > tolerance, over = r->variance > tolerance;
    const char *what = "fits well: neither bias nor variance is beyond the tolerance";
    if (under && over)
        what = "underfits and overfits: it misses training samples, and new ones still more often. "
               "Larger network or longer training first, then more data or regularisation";
    else if (under)
        what = "underfits: it misses samples that it was trained on. A larger network, longer "
               "training, a better learning rate or less regularisation may help";
    else if (over)
        what = "overfits: it knows the training samples much better than new ones. More data, "
               "augmentation, dropout, weight decay or earlier stopping may help";
    int n = snprintf(r->verdict, sizeof r->verdict, "%s (bias %.2f, variance ", what,
                     100 * r->bias);
    if (n > 0 && (size_t)n < sizeof r->verdict)
        snprintf(r->verdict + n, sizeof r->verdict - (size_t)n,
                 isnan(r->variance) ? "unknown)" : "%.2f points)", 100 * r->variance);
}

static gr_status measure(gr_module *net, const gr_dataset *d, gr_evaluation *e)
{
    *e = (gr_evaluation){.loss = NAN, .accuracy = NAN};
    return d ? gr_evaluate(net, d, e, NULL) : GR_OK;
}

/* Evaluates a classifier on what it was trained on and on what it never saw, and says in plain words
 * whether it underfits or overfits: whether its error is too large already in training (bias), and
 * how much larger it is on new data (variance). */
gr_status gr_report_fit(gr_module *net, const gr_dataset *train, const gr_dataset *validation,
                        const gr_dataset *test, gr_report_options o, gr_fit_report *r)
{
    if (gr__need("gr_report_fit", r, "report")) return GR_ERR_ARGUMENT;
    *r = (gr_fit_report){.bias = NAN, .variance = NAN};
    if (!train) return gr__fail(GR_ERR_ARGUMENT, "gr_report_fit: the training data is NULL");
    gr_status status = measure(net, train, &r->train);
    if (!status) status = measure(net, validation, &r->validation);
    if (!status) status = measure(net, test, &r->test);
    if (!status) judge(r, o.goal, o.tolerance == 0 ? 0.02 : o.tolerance);
    return status;
}

/* A table of the three parts, then the verdict. As snprintf: the length of the whole text. */
size_t gr_fit_report_text(const gr_fit_report *r, char *text, size_t size)
{
    if (gr__need("gr_fit_report_text", r, "report")) return 0;
    const struct {
        const char *name;
        const gr_evaluation *e;
    } rows[] = {{"training", &r->train}, {"validation", &r->validation}, {"test", &r->test}};
    gr__text t = {0};
    gr__table table = {.align = "lrrr"};
    static const char *const head[] = {"data", "samples", "loss", "accuracy"};
    for (int i = 0; i < 4; i++) gr__table_cell(&table, "%s", head[i]);
    for (int i = 0; i < 3; i++) {
        if (!rows[i].e->n) continue;
        gr__table_cell(&table, "%s", rows[i].name);
        gr__table_cell(&table, "%lld", (long long)rows[i].e->n);
        gr__table_cell(&table, "%.4f", rows[i].e->loss);
        gr__table_cell(&table, "%.2f%%", 100 * rows[i].e->accuracy);
    }
    gr__table_write(&table, &t);
    gr__table_release(&table);
    gr__text_add(&t, "%s\n", r->verdict);
    size_t length = gr__text_copy(&t, text, size);
    gr__text_release(&t);
    return length;
}
