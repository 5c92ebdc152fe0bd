/* train.c - gradus train: from data to weights, pictures and an honest accuracy. */
/* SPDX-License-Identifier: MIT */
#include "json.h"
#include "options.h"
#include "progress.h"
#include "results.h"
#include "table.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* --- options --- */

typedef struct request {
    const char *model, *data, *out, *profile;
    int64_t epochs, batch, seed, threads; /* but for the seed, 0: the recipe's */
    double lr;                            /* the same */
    double max_norm, weight_decay, rotate, elastic;
    int64_t shift; /* below 0: the recipe's */
    int64_t stop_after;
    variant variant;
    bool json, resume;
    const network *network;
    gr_precision precision;
} request;

static const char more[] =
    "Writes into DIR: model.safetensors, history.csv, curves.svg, confusion.svg, tape.dot, and "
    "after\n"
    "each epoch checkpoint.safetensors. Ctrl-C finishes the step, saves that file and ends with "
    "130;\n"
    "--resume goes on from it, to the bits of a training that was never stopped.\n"
    "Of the digits every fifth row is held out as the test set; a second training, on other rows,\n"
    "tells how well the writers of the last 360 rows are read by a network that never saw them.\n\n"
    "example:\n"
    "  gradus train lenet5 --data digits --out out\n"
    "  gradus train mlp --data ~/mnist --epochs 5 --json\n"
    "  gradus train char-lstm --help      a text, character by character\n\n"
    "exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted\n";

static int parse(int argc, char **argv, request *q)
{
    const option options[] = {
        {"data", &option_text, &q->data, "digits|DIR",
         "the digits that come with gradus, or a folder with the four files of MNIST", 0, 0},
        {"epochs", &option_whole, &q->epochs, "N", "passes over the training data", 1, 100000},
        {"batch", &option_whole, &q->batch, "N", "samples per step", 1, 1000000},
        {"lr", &option_number, &q->lr, "X", "peak of the learning rate", 1e-12, 1e30},
        {"seed", &option_whole, &q->seed, "N", "of weights, order, shifts, dropout (default 1)", 0,
         9e15},
        {"threads", &option_whole, &q->threads, "N", "default: 1 for the digits, else one per core",
         1, 1024},
        {"dropout", &option_number, &q->variant.dropout, "P",
         "rate of the dropout layers; negative: none", -1, 0.99},
        {"batch-norm", &option_flag, &q->variant.batch_norm, NULL, "normalise batches before ReLU",
         0, 0},
        {"max-norm", &option_number, &q->max_norm, "X", "longest row of a weight (default: any)", 0,
         1e30},
        {"weight-decay", &option_number, &q->weight_decay, "X", "decoupled, as in AdamW", 0, 1e6},
        {"shift", &option_whole, &q->shift, "N", "random shifts by up to so many pixels", 0, 1000},
        {"rotate", &option_number, &q->rotate, "X", "by up to so many degrees either way", 0, 180},
        {"elastic", &option_number, &q->elastic, "X", "bent by about so many pixels", 0, 1000},
        {"precision", &option_precision, &q->precision, "TYPE",
         "float32, or bfloat16: of the large products (see docs/mixed-precision.md)", 0, 0},
        {"resume", &option_flag, &q->resume, NULL, "go on from DIR/checkpoint.safetensors", 0, 0},
        {"stop-after", &option_whole, &q->stop_after, "N",
         "stop after so many epochs, to go on by --resume", 1, 100000},
        {"out", &option_text, &q->out, "DIR", "folder for the results (default: out)", 0, 0},
        {"profile", &option_text, &q->profile, "FILE",
         "where time and memory go: JSON, also for chrome://tracing", 0, 0},
        {"json", &option_flag, &q->json, NULL, "one JSON object as the last line of output", 0, 0},
        {0}};
    const usage u = {"train",      "train a network and evaluate it on held-out data",
                     "mlp|lenet5", "the network",
                     &q->model,    options,
                     more};
    *q = (request){.data = "digits", .out = "out", .seed = 1, .shift = -1};
    int status = options_parse(&u, argc, argv);
    if (status) return status;
    if (!q->model) return options_error(&u, "which network? expected %s", network_names());
    q->network = network_find(q->model);
    if (q->network) return DONE;
    return options_error(&u, "unknown network '%s': expected %s", q->model, network_names());
}

static void fill_in(request *q)
{
    const recipe *r = source_is_digits(q->data) ? &q->network->small : &q->network->large;
    if (!q->epochs) q->epochs = r->epochs;
    if (!q->batch) q->batch = r->batch;
    if (q->lr == 0) q->lr = r->lr;
    if (!q->threads) q->threads = r->threads;
    if (q->shift < 0) q->shift = r->shift;
    if (q->threads) gr_set_threads((int)q->threads);
    say_precision(q->precision);
}

/* --- one training --- */

typedef struct trained {
    gr_model *model;
    gr_module *net;
    gr_history history;
    gr_evaluation test;
    gr_profile *profile; /* NULL: none was asked for */
    double seconds;
} trained;

static gr_status stop_epoch(void *self, gr_training *run)
{
    const request *q = self;
    if (run->history->n == q->stop_after) run->stop = true;
    return GR_OK;
}

static void release(trained *t)
{
    gr_history_release(&t->history);
    gr_profile_free(t->profile);
    gr_model_free(t->model);
}

/* Biases have one row, which no limit of its length is meant for. */
static gr_optimizer *make_optimizer(const request *q, gr_model *m)
{
    gr_optimizer *opt = gr_adam(m, (gr_adam_options){.lr = q->lr});
    if (q->weight_decay == 0 && q->max_norm == 0) return opt;
    gr_param_group g = {.decoupled_decay = q->weight_decay, .max_norm = q->max_norm};
    gr_optimizer_group(opt, "fc*.weight", g);
    return opt;
}

/* A first training keeps its checkpoint in the folder; a further one is not to be resumed. */
static gr_status fit(const request *q, const split *s, trained *t, const char *checkpoint)
{
    gr_optimizer *opt = make_optimizer(q, t->model);
    double begun = gr__seconds();
    const gr_callback stop = {.name = "stop_after", .epoch = stop_epoch, .self = (void *)q};
    const gr_callback *callbacks =
        checkpoint ? GR_CALLBACKS(gr_stop_on_interrupt(), stop,
                                  gr_checkpoint(checkpoint, (gr_checkpoint_options){0}))
                   : GR_CALLBACKS(gr_stop_on_interrupt());
    gr_fit_options o = {.epochs = (int)q->epochs,
                        .batch = q->batch,
                        .seed = (uint64_t)q->seed,
                        .precision = q->precision,
                        .validation = s->test, /* for the curves; nothing is chosen by it */
                        .shift = (int)q->shift,
                        .fill = -s->scaling.mean / s->scaling.std,
                        .loader.augment = {.rotate = q->rotate, .elastic = q->elastic},
                        .one_cycle = true,
                        .profile = t->profile,
                        .callbacks = callbacks,
                        .resume = q->resume ? checkpoint : NULL,
                        .progress = true};
    gr_status status = gr_fit(t->net, opt, s->train, o, &t->history);
    t->seconds = gr__seconds() - begun;
    gr_optimizer_free(opt);
    return status;
}

/* The training that counts has a checkpoint, a profile and a confusion matrix, a further one none. */
static gr_status train(const request *q, const split *s, trained *t, const char *checkpoint,
                       int64_t *confusion)
{
    const bool profiled = checkpoint && q->profile;
    *t = (trained){.model = gr_model_new()};
    if (profiled) t->profile = gr_profile_new((gr_profile_options){0});
    if (profiled && gr_profile_write(t->profile, q->profile)) /* found out before the training */
        return GR_ERR_FILE;
    gr_model_seed(t->model, (uint64_t)q->seed);
    t->net = q->network->build(t->model, &s->train->shape, s->train->classes, q->variant);
    fprintf(stderr, "%s: %lld parameters, %lld training samples, %lld test samples, %d thread%s\n",
            q->network->name, (long long)gr_model_numel(t->model), (long long)s->train->n,
            (long long)s->test->n, gr_threads(), gr_threads() > 1 ? "s" : "");
    gr_status status = fit(q, s, t, checkpoint);
    if (t->history.interrupted) return status;
    if (!status && t->profile) status = gr_profile_write(t->profile, q->profile);
    return status ? status : gr_evaluate(t->net, s->test, &t->test, confusion);
}

/* --- reports --- */

typedef struct outcome {
    trained trained;
    bool has_harder;
    double harder;         /* accuracy */
    double harder_seconds; /* of that training */
    bool interrupted;
    char checkpoint[sizeof(folder) + 32];
} outcome;

static bool report_json(const request *q, const outcome *o)
{
    gr__text t = {0};
    gr__json_writer w = {.out = &t};
    gr__json_object(&w, NULL);
    gr__json_string(&w, "model", q->network->name);
    gr__json_string(&w, "data", q->data);
    gr__json_number(&w, "test_accuracy", o->trained.test.accuracy);
    gr__json_number(&w, "test_loss", o->trained.test.loss);
    if (o->has_harder) gr__json_number(&w, "harder_accuracy", o->harder);
    gr__json_number(&w, "train_seconds", o->trained.seconds);
    if (o->has_harder) gr__json_number(&w, "harder_seconds", o->harder_seconds);
    gr__json_int(&w, "parameters", gr_model_numel(o->trained.model));
    gr__json_int(&w, "epochs", q->epochs);
    gr__json_int(&w, "batch", q->batch);
    gr__json_number(&w, "lr", q->lr);
    gr__json_int(&w, "seed", q->seed);
    gr__json_int(&w, "threads", gr_threads());
    gr__json_string(&w, "out", q->out);
    gr__json_close(&w);
    gr__text_add(&t, "\n");
    bool printed = print_text(&t);
    gr__text_release(&t);
    return printed;
}

static void add_profile(const gr_profile *p, gr__text *t)
{
    size_t n = gr_profile_text(p, NULL, 0);
    char *room = n ? gr__text_room(t, n) : NULL;
    if (!room || !gr_profile_text(p, room, n + 1)) t->failed = true;
    gr__text_add(t, "\n");
}

static bool report_table(const request *q, const outcome *o)
{
    gr__text t = {0};
    gr__table table = {.align = "lr"};
    if (o->trained.profile) add_profile(o->trained.profile, &t);
    gr__table_cell(&table, "%s on %s", q->network->name, q->data);
    gr__table_cell(&table, " ");
    gr__table_cell(&table, "test accuracy");
    gr__table_cell(&table, "%.2f%%", 100 * o->trained.test.accuracy);
    if (o->has_harder) {
        gr__table_cell(&table, "new writers (a second training)");
        gr__table_cell(&table, "%.2f%%", 100 * o->harder);
    }
    gr__table_cell(&table, "training time");
    gr__table_cell(&table, "%.1f s", o->trained.seconds);
    gr__table_write(&table, &t);
    gr__text_add(&t, "results in %s\n", q->out);
    bool printed = print_text(&t);
    gr__table_release(&table);
    gr__text_release(&t);
    return printed;
}

/* --- the command --- */

static gr_status train_harder(const request *q, outcome *o)
{
    if (!source_has_harder(q->data)) return GR_OK;
    split s;
    trained t;
    gr_status status = source_harder(&s);
    if (status) return status;
    fprintf(stderr, "once more without the writers of the last 360 rows, to be tested on them\n");
    status = train(q, &s, &t, NULL, NULL);
    o->has_harder = true;
    o->harder = t.test.accuracy;
    o->harder_seconds = t.seconds;
    o->interrupted = t.history.interrupted;
    release(&t);
    split_release(&s);
    return status;
}

static gr_status train_all(const request *q, const split *s, const folder *f, outcome *o)
{
    size_t classes = (size_t)s->train->classes;
    int64_t *confusion = gr__calloc(classes * classes * sizeof *confusion);
    if (!confusion) return GR_ERR_MEMORY;
    snprintf(o->checkpoint, sizeof o->checkpoint, "%s/checkpoint.safetensors", f->path);
    gr_status status = train(q, s, &o->trained, o->checkpoint, confusion);
    o->interrupted = o->trained.history.interrupted;
    if (!status && !o->interrupted) status = train_harder(q, o);
    const results r = {q->network,         q->variant, q->data,   o->trained.model, o->trained.net,
                       o->trained.history, s,          confusion, (int)q->batch};
    if (!status && !o->interrupted) status = results_write(&r, f);
    gr__free(confusion);
    return status;
}

/* A file that another training left there is not spoken of. */
static int say_failed(const outcome *o)
{
    int result = fail("train");
    if (o->trained.history.n > 0 && access(o->checkpoint, R_OK) == 0)
        fprintf(stderr, "the last good state is in %s\n", o->checkpoint);
    return result;
}

/* Put down, not finished: by --stop-after on purpose, else by Ctrl-C. */
static int say_interrupted(const request *q, const outcome *o)
{
    fprintf(stderr, "gradus train: stopped after epoch %d of %d; --resume goes on from %s\n",
            o->trained.history.n, (int)q->epochs, o->checkpoint);
    return o->trained.history.n == q->stop_after ? DONE : INTERRUPTED;
}

int train_run(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "char-lstm")) return train_text_run(argc - 1, argv + 1);
    request q;
    split s;
    folder f;
    outcome o = {.has_harder = false};
    int stop = parse(argc, argv, &q);
    if (stop) return stop < 0 ? DONE : stop;
    fill_in(&q);
    if (source_split(q.data, &s)) return fail("train");
    gr_status status = folder_open(&f, q.out);
    if (!status && (status = train_all(&q, &s, &f, &o))) folder_undo(&f);
    int result = DONE;
    if (status) result = say_failed(&o);
    else if (o.interrupted) result = say_interrupted(&q, &o);
    else if (!(q.json ? report_json : report_table)(&q, &o)) result = fail("train");
    if (o.trained.model) release(&o.trained);
    split_release(&s);
    return result;
}
