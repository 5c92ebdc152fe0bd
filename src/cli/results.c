/* results.c - the files that training leaves behind. */
/* SPDX-License-Identifier: MIT */
#include "results.h"
#include "csv.h"
#include "plot.h"

#include <gradus/explain.h>
#include <gradus/io.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* --- weights --- */

static gr_status write_weights(const results *r, const char *path)
{
    char mean[GR__NUMBER_TEXT], deviation[GR__NUMBER_TEXT], sample[GR_SHAPE_TEXT], classes[16];
    snprintf(classes, sizeof classes, "%d", r->split->train->classes);
    const char *const metadata[] = {"format",     "gradus",
                                    "model",      r->network->name,
                                    "data",       source_is_digits(r->data) ? "digits" : "mnist",
                                    "sample",     gr_shape_text(&r->split->train->shape, sample),
                                    "classes",    classes,
                                    "mean",       gr__number_text(r->split->scaling.mean, mean),
                                    "std",        gr__number_text(r->split->scaling.std, deviation),
                                    "batch_norm", r->variant.batch_norm ? "yes" : "no",
                                    NULL};
    return gr_save(r->model, path, metadata);
}

/* --- history --- */

static gr_status write_history(const results *r, const char *path)
{
    static const char *const columns[] = {"epoch",         "loss", "accuracy", "test_loss",
                                          "test_accuracy", "lr",   "seconds"};
    gr__text t = {0};
    gr__csv c = {.out = &t};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) gr__csv_text(&c, columns[i]);
    gr__csv_row(&c);
    for (int i = 0; i < r->history.n; i++) {
        const gr_epoch *e = &r->history.epochs[i];
        const double numbers[] = {e->loss,         e->accuracy, e->val_loss,
                                  e->val_accuracy, e->lr,       e->seconds};
        gr__csv_int(&c, e->epoch);
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
            gr__csv_number(&c, numbers[k]);
        gr__csv_row(&c);
    }
    gr_status status = gr__text_save(&t, path);
    gr__text_release(&t);
    return status;
}

/* --- pictures --- */

enum { LOSS, TEST_LOSS, ACCURACY, TEST_ACCURACY, CURVES };

static gr_status write_curves(const results *r, const char *path)
{
    int n = r->history.n;
    double *y = gr__alloc((size_t)(n * CURVES) * sizeof *y);
    if (!y) return GR_ERR_MEMORY;
    for (int i = 0; i < n; i++) {
        const gr_epoch *e = &r->history.epochs[i];
        y[LOSS * n + i] = e->loss;
        y[TEST_LOSS * n + i] = e->val_loss;
        y[ACCURACY * n + i] = e->accuracy;
        y[TEST_ACCURACY * n + i] = e->val_accuracy;
    }
    const gr__curve losses[] = {{"training", y + LOSS * n, n}, {"test", y + TEST_LOSS * n, n}};
    const gr__curve hits[] = {{"training", y + ACCURACY * n, n},
                              {"test", y + TEST_ACCURACY * n, n}};
    const gr__panel panels[] = {
        {.title = "loss", .x_label = "epoch", .curves = losses, .n = 2},
        {.title = "accuracy", .x_label = "epoch", .curves = hits, .n = 2, .percent = true}};
    char title[128];
    snprintf(title, sizeof title, "%s on %s", r->network->name,
             source_is_digits(r->data) ? "digits" : "MNIST");
    gr__text t = {0};
    gr__svg_curves(&t, title, panels, 2);
    gr_status status = gr__text_save(&t, path);
    gr__text_release(&t);
    gr__free(y);
    return status;
}

static gr_status write_confusion(const results *r, const char *path)
{
    char title[128];
    snprintf(title, sizeof title, "%s on the test images", r->network->name);
    gr__text t = {0};
    gr__svg_confusion(&t, title, r->confusion, r->split->test->classes, NULL);
    gr_status status = gr__text_save(&t, path);
    gr__text_release(&t);
    return status;
}

/* --- tape --- */

enum { MOST_PARAMS = 64 };

/* Draws the loss of one batch as in training, and its gradients. */
static gr_status draw_step(const results *r, gr_graph *g, const char *path)
{
    gr_tensor *params[MOST_PARAMS], *gradients[MOST_PARAMS];
    gr_tensor *loss = network_loss(g, r->net, r->split->train, r->batch);
    char names[MOST_PARAMS][128], title[128];
    gr_label labels[MOST_PARAMS + 1] = {{loss, "loss"}};
    int n = gr_model_params(r->model);
    if (n > MOST_PARAMS) n = MOST_PARAMS;
    for (int i = 0; i < n; i++) params[i] = gr_use(g, gr_model_param(r->model, i));
    if (gr_grad(loss, params, n, gradients))
        return gr__fail(gr_graph_status(g), "%s", gr_graph_error(g));
    for (int i = 0; i < n; i++) {
        snprintf(names[i], sizeof names[i], "d loss / d %s", gr_model_param_name(r->model, i));
        labels[i + 1] = (gr_label){gradients[i], names[i]};
    }
    snprintf(title, sizeof title, "%s: one step of training", r->network->name);
    return gr_write_dot(g, path, (gr_dot_options){title, r->model, labels, n + 1});
}

static gr_status write_tape(const results *r, const char *path)
{
    gr_graph *g = gr_graph_new();
    bool training = gr_model_training(r->model);
    gr_model_set_training(r->model, true);
    gr_status status = draw_step(r, g, path);
    gr_model_set_training(r->model, training);
    gr_graph_free(g);
    return status;
}

/* --- all of them --- */

static const struct file {
    const char *name;
    gr_status (*write)(const results *r, const char *path);
} files[] = {
    {"model.safetensors", write_weights},
    {"history.csv", write_history},
    {"curves.svg", write_curves},
    {"confusion.svg", write_confusion},
    {"tape.dot", write_tape},
};
enum { FILES = sizeof files / sizeof *files };

static void path_of(const folder *f, int i, char *path, size_t size)
{
    snprintf(path, size, "%s/%s", f->path, files[i].name);
}

gr_status results_write(const results *r, const folder *f)
{
    char path[sizeof f->path + 32];
    for (int i = 0; i < FILES; i++) {
        path_of(f, i, path, sizeof path);
        gr_status status = files[i].write(r, path);
        if (!status) continue;
        while (i-- > 0) {
            path_of(f, i, path, sizeof path);
            unlink(path);
        }
        return status;
    }
    return GR_OK;
}
