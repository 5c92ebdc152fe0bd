/* checkpoint.c - a training put down and taken up again, to the bit.
 *
 * One file of named arrays holds weights and buffers, what the optimizer remembers, where in which
 * epoch the run is, the sums of that epoch, the history, and what callbacks keep. Order, augmentation
 * and dropout follow the seed and the place alone; they need no state.
 */
/* SPDX-License-Identifier: MIT */
#include "fit.h"

#include <stdio.h>
#include <string.h>

static const char kind[] = "training";

/* --- places --- */

static gr__place place_of(const gr__fit *f)
{
    return (gr__place){.epochs = f->history.n,
                       .batch = f->run.batch,
                       .step = f->run.step,
                       .best = f->history.best,
                       .samples = f->train->n,
                       .batch_size = f->o.batch,
                       .accumulate = f->o.accumulate,
                       .seed = (int64_t)f->o.seed};
}

enum { PLACES = sizeof(gr__place) / sizeof(int64_t), SUMS = sizeof(gr__sums) / sizeof(double) };

/* --- what there is to be saved --- */

/* Gives each array of a part a name that begins with the part's. */
typedef struct prefixed {
    const char *prefix;
    gr_visit *visit;
    void *user;
} prefixed;

static gr_status visit_prefixed(void *user, const char *name, gr_dtype dtype, const gr_shape *shape,
                                void *data)
{
    const prefixed *p = user;
    gr__text full = {0};
    gr__text_add(&full, "%s.%s", p->prefix, name);
    gr_status status = full.failed ? GR_ERR_MEMORY
                                   : p->visit(p->user, full.data, dtype, shape, data);
    gr__text_release(&full);
    return status;
}

/* Writing makes recorded uses of a parameter stale, so reading must not. */
static gr_status show_param(const gr__fit *f, prefixed *p, const char *name, gr_param *param)
{
    if (!*name) return GR_ERR_MEMORY;
    void *data = f->loading ? gr_param_write(param) : (void *)gr_param_data(param);
    return visit_prefixed(p, name, gr_param_dtype(param), gr_param_shape(param), data);
}

static gr_status show_model(gr__fit *f, gr_visit *visit, void *user)
{
    gr_model *m = gr_module_model(f->run.net);
    prefixed p = {"model", visit, user};
    gr_status status = GR_OK;
    for (int i = 0; i < gr_model_states(m) && !status; i++)
        status = show_param(f, &p, gr_model_state_name(m, i), gr_model_state(m, i));
    p.prefix = "buffer"; /* those too that no file of weights holds, such as carried states */
    for (int i = 0; i < gr_model_buffers(m) && !status; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", i);
        status = show_param(f, &p, number, gr_model_buffer(m, i));
    }
    return status;
}

static gr_status show_history(gr__fit *f, gr_visit *visit, void *user)
{
    gr_history *h = &f->history;
    gr_status status = GR_OK;
    for (int i = 0; i < h->n && !status; i++) {
        gr_epoch *e = &h->epochs[i];
        const struct {
            const char *name;
            double *at;
            int64_t n;
        } parts[] = {{"means", &e->loss, 6},
                     {"metrics", e->metric, GR_METRICS},
                     {"val_metrics", e->val_metric, GR_METRICS}};
        for (int k = 0; k < 3 && !status; k++) {
            char name[48];
            snprintf(name, sizeof name, "epoch%d.%s", i + 1, parts[k].name);
            status = visit(user, name, GR_F64, &GR_SHAPE(parts[k].n), parts[k].at);
        }
        e->epoch = i + 1;
    }
    return status;
}

static gr_status show_callbacks(gr__fit *f, gr_visit *visit, void *user)
{
    gr_status status = GR_OK;
    for (int i = 0; i < f->n_callbacks && !status; i++) {
        prefixed p = {f->callbacks[i].name, visit, user};
        if (f->callbacks[i].states)
            status = f->callbacks[i].states(f->callbacks[i].self, visit_prefixed, &p);
    }
    return status;
}

static gr_status show(void *object, gr_visit *visit, void *user)
{
    gr__fit *f = object;
    f->place = place_of(f);
    prefixed optimizer = {"optimizer", visit, user};
    gr_status status = visit(user, "fit.place", GR_I64, &GR_SHAPE(PLACES), &f->place);
    if (!status) status = visit(user, "fit.sums", GR_F64, &GR_SHAPE(SUMS), &f->sums);
    if (!status) status = show_history(f, visit, user);
    if (!status) status = show_model(f, visit, user);
    if (!status) status = gr_optimizer_states(f->run.opt, visit_prefixed, &optimizer);
    if (!status) status = show_callbacks(f, visit, user);
    return status;
}

/* Saves all that going on takes, so that gr_fit with `resume` ends with the bits of a training that
 * was never stopped. To be called by callbacks. path is complete afterwards, or as it was before; it
 * stays as it was also when a weight is no longer finite. */
gr_status gr_save_training(gr_training *run, const char *path)
{
    if (gr__need("gr_save_training", run, "training")) return GR_ERR_ARGUMENT;
    const char *spoiled = gr__spoiled_param(gr_module_model(run->net));
    if (spoiled)
        return gr__fail(GR_ERR_STATE, "%s: not saved: %s holds values that are not finite", path,
                        spoiled);
    return gr_save_states(show, gr__fit_of(run), path, kind);
}

/* --- going on --- */

static gr_status differs(const char *path, const char *what, int64_t saved, int64_t here)
{
    if (saved == here) return GR_OK;
    return gr__fail(GR_ERR_ARGUMENT, "gr_fit: %s: was made with %s %lld, got %lld", path, what,
                    (long long)saved, (long long)here);
}

static gr_status check_place(const gr__fit *f, const char *path, const gr__place *p)
{
    const gr__place here = place_of(f);
    gr_status status = differs(path, "samples:", p->samples, here.samples);
    if (!status) status = differs(path, "batches of", p->batch_size, here.batch_size);
    if (!status) status = differs(path, "accumulate", p->accumulate, here.accumulate);
    if (!status) status = differs(path, "seed", p->seed, here.seed);
    if (!status && (p->epochs < 0 || p->epochs > f->o.epochs))
        return gr__fail(GR_ERR_ARGUMENT, "gr_fit: %s: has %lld epochs, expected at most %d", path,
                        (long long)p->epochs, f->o.epochs);
    if (!status && (p->batch < 0 || p->batch > f->run.batches || p->step < 0 || p->best < 0 ||
                    p->best > p->epochs))
        return gr__fail(GR_ERR_FORMAT, "gr_fit: %s: its place cannot be", path);
    return status;
}

/* Reads where the run was, before anything is changed. */
static gr_status read_place(const gr__fit *f, const char *path, gr__place *p)
{
    gr_safetensors *file = gr_safetensors_open(path);
    if (!file) return gr__fail(GR_ERR_FILE, "gr_fit: %s", gr_last_error());
    const gr_array *a = gr_safetensors_find(file, "fit.place");
    gr_status status = GR_OK;
    if (a && !strcmp(a->dtype, "I64") && a->bytes == sizeof *p) memcpy(p, a->data, sizeof *p);
    else status = gr__fail(GR_ERR_FORMAT, "gr_fit: %s: is no checkpoint of a training", path);
    gr_safetensors_close(file);
    return status ? status : check_place(f, path, p);
}

static void go_to(gr__fit *f, const gr__place *p)
{
    f->history.n = (int)p->epochs;
    f->history.best = (int)p->best;
    f->run.step = p->step;
    f->run.batch = p->batch;
}

gr_status gr__resume(gr__fit *f, const char *path)
{
    gr__place p;
    gr_status status = read_place(f, path, &p);
    if (status) return status;
    go_to(f, &p);
    f->loading = true;
    status = gr_load_states(show, f, path, kind);
    f->loading = false;
    if (!status) return gr_loader_seek(f->loader, (uint64_t)p.epochs, p.batch);
    go_to(f, &(gr__place){0});
    return gr__fail(status, "gr_fit: %s", gr_last_error());
}

/* --- the callback --- */

typedef struct checkpoint {
    gr_checkpoint_options o;
    char *path;
    int64_t saved; /* the step at which it was saved last */
} checkpoint;

static gr_status save(checkpoint *c, gr_training *run)
{
    c->saved = run->step;
    return gr_save_training(run, c->path);
}

static gr_status after_batch(void *self, gr_training *run)
{
    checkpoint *c = self;
    bool due = c->o.steps > 0 && run->step % c->o.steps == 0 && run->batch < run->batches;
    return due ? save(c, run) : GR_OK;
}

static gr_status after_epoch(void *self, gr_training *run)
{
    checkpoint *c = self;
    const gr_history *h = run->history;
    if (c->o.epochs < 0 || h->n % c->o.epochs) return GR_OK;
    return c->o.best && h->best != h->n - 1 ? GR_OK : save(c, run);
}

/* What was trained since is kept too, unless it failed; but then only where the last is wanted. */
static gr_status at_end(void *self, gr_training *run, gr_status status)
{
    checkpoint *c = self;
    bool wanted = !c->o.best && run->step > 0 && run->step != c->saved && !run->history->restored;
    return status || !wanted ? GR_OK : save(c, run);
}

static void free_checkpoint(void *self)
{
    checkpoint *c = self;
    if (!c) return;
    gr__free(c->path);
    gr__free(c);
}

/* Keeps a checkpoint: one file, replaced whole, from which gr_fit with `resume` goes on.
 *
 * path  copied; its folder must be there
 * o     every so many epochs and steps, and at the end, also when a callback stopped the training;
 *       with `best` only after an epoch that is the best so far
 *
 * A training that fails leaves the last file as it is. */
gr_callback gr_checkpoint(const char *path, gr_checkpoint_options o)
{
    gr_callback c = {.name = "checkpoint",
                     .batch = after_batch,
                     .epoch = after_epoch,
                     .end = at_end,
                     .free = free_checkpoint};
    checkpoint *state = gr__calloc(sizeof *state);
    char *copy = path ? gr__strdup(path) : NULL;
    if (o.epochs == 0) o.epochs = 1;
    c.self = state;
    if (!path || !*path) snprintf(c.problem, sizeof c.problem, "expected a path");
    else if (!state || !copy) snprintf(c.problem, sizeof c.problem, "out of memory");
    if (state) *state = (checkpoint){o, copy, -1};
    else gr__free(copy);
    return c;
}
