/* train_text.c - gradus train char-lstm: a recurrent network learns a text character by character. */
/* SPDX-License-Identifier: MIT */
#include "json.h"
#include "options.h"
#include "results.h"

#include <gradus/measure.h>
#include <stdio.h>
#include <string.h>

/* --- options --- */

typedef struct request {
    const char *data, *out;
    int64_t epochs, batch, length, hidden, layers, seed, threads;
    double lr, dropout;
    bool json, resume;
    gr_precision precision;
} request;

static const char more[] =
    "The last tenth of the text is for validation. Pieces of the text are learned in a new order\n"
    "each epoch; the loss is a mean over characters, in nats. Writes into DIR: model.safetensors,\n"
    "vocabulary.json, history.csv, curves.svg, and after each epoch checkpoint.safetensors, from\n"
    "which --resume goes on.\n\n"
    "example:\n"
    "  gradus train char-lstm --data input.txt --epochs 10 --out out\n\n"
    "exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted\n";

static int parse(int argc, char **argv, request *q)
{
    const option options[] = {
        {"data", &option_text, &q->data, "FILE", "a text in UTF-8", 0, 0},
        {"epochs", &option_whole, &q->epochs, "N", "passes over the text (10)", 1, 100000},
        {"batch", &option_whole, &q->batch, "N", "pieces per step (32)", 1, 1000000},
        {"length", &option_whole, &q->length, "N", "characters of a piece (128)", 1, 1000000},
        {"hidden", &option_whole, &q->hidden, "N", "size of the state (256)", 1, 65536},
        {"layers", &option_whole, &q->layers, "N", "LSTMs on top of each other (1)", 1, 16},
        {"dropout", &option_number, &q->dropout, "P", "behind every LSTM (0)", 0, 0.99},
        {"lr", &option_number, &q->lr, "X", "peak of the learning rate (0.005)", 1e-12, 1e30},
        {"seed", &option_whole, &q->seed, "N", "of weights, order, dropout (1)", 0, 9e15},
        {"threads", &option_whole, &q->threads, "N", "default: one per core", 1, 1024},
        {"precision", &option_precision, &q->precision, "TYPE",
         "float32, or bfloat16: of the large products (see docs/mixed-precision.md)", 0, 0},
        {"resume", &option_flag, &q->resume, NULL, "go on from DIR/checkpoint.safetensors", 0, 0},
        {"out", &option_text, &q->out, "DIR", "folder for the results (default: out)", 0, 0},
        {"json", &option_flag, &q->json, NULL, "one JSON object as the last line of output", 0, 0},
        {0}};
    const usage u = {
        "train char-lstm", "learn a text character by character", NULL, NULL, NULL, options, more};
    *q = (request){.epochs = 10,
                   .batch = 32,
                   .length = 128,
                   .hidden = 256,
                   .layers = 1,
                   .lr = 0.005,
                   .seed = 1,
                   .out = "out"};
    int stop = options_parse(&u, argc, argv);
    if (!stop && !q->data) return options_error(&u, "--data FILE is missing");
    if (q->threads) gr_set_threads((int)q->threads);
    if (!stop) say_precision(q->precision);
    return stop;
}

/* --- the text --- */

typedef struct corpus {
    gr_vocabulary *vocabulary;
    gr_dataset *train, *validation;
} corpus;

static void corpus_release(corpus *c)
{
    gr_dataset_free(c->train);
    gr_dataset_free(c->validation);
    gr_vocabulary_free(c->vocabulary);
}

static gr_status cut(corpus *c, const int64_t *ids, int64_t n, int64_t length)
{
    int64_t size = gr_vocabulary_size(c->vocabulary), first = n - n / 10;
    c->train = gr_text_windows(ids, first, length, size);
    c->validation = c->train ? gr_text_windows(ids + first, n - first, length, size) : NULL;
    return c->validation ? GR_OK : GR_ERR_ARGUMENT;
}

static gr_status read_corpus(const request *q, corpus *c)
{
    char *text;
    size_t bytes;
    int64_t *ids = NULL, n = 0;
    *c = (corpus){.vocabulary = NULL};
    gr_status status = gr_text_read(q->data, &text, &bytes);
    if (status) return status;
    c->vocabulary = gr_vocabulary_build(text, bytes, (gr_vocabulary_options){0});
    status = c->vocabulary ? gr_vocabulary_encode(c->vocabulary, text, bytes, &ids, &n)
                           : GR_ERR_ARGUMENT;
    if (!status) status = cut(c, ids, n, q->length);
    gr_free_memory(ids);
    gr_free_memory(text);
    return status;
}

/* --- the network --- */

enum { EMBEDDED = 64 };

static gr_module *build(const request *q, gr_model *m, int64_t size)
{
    gr_recurrent_options o = {.layers = (int)q->layers,
                              .batch_first = true,
                              .dropout = q->layers > 1 ? q->dropout : 0};
    return gr_sequential(m,
                         GR_LIST(gr_named("letters", gr_embedding_layer(m, size, EMBEDDED,
                                                                        (gr_embedding_options){0})),
                                 gr_named("lstm", gr_lstm_layer(m, EMBEDDED, q->hidden, o)),
                                 gr_dropout_layer(m, q->dropout),
                                 gr_named("next", gr_linear_layer(m, q->hidden, size))));
}

/* --- training --- */

static const char *path_in(const folder *f, const char *name, char *path, size_t size)
{
    snprintf(path, size, "%s/%s", f->path, name);
    return path;
}

static gr_status fit(const request *q, const corpus *c, gr_module *net, const folder *f,
                     gr_history *h)
{
    char checkpoint[sizeof f->path + 32];
    path_in(f, "checkpoint.safetensors", checkpoint, sizeof checkpoint);
    gr_optimizer *opt = gr_adam(gr_module_model(net), (gr_adam_options){.lr = q->lr});
    gr_optimizer_clip_norm(opt, 1);
    gr_fit_options o = {.epochs = (int)q->epochs,
                        .batch = q->batch,
                        .seed = (uint64_t)q->seed,
                        .precision = q->precision,
                        .validation = c->validation,
                        .one_cycle = true,
                        .progress = true,
                        .resume = q->resume ? checkpoint : NULL,
                        .callbacks = GR_CALLBACKS(gr_stop_on_interrupt(),
                                                  gr_checkpoint(checkpoint,
                                                                (gr_checkpoint_options){0}))};
    gr_status status = gr_fit(net, opt, c->train, o, h);
    gr_optimizer_free(opt);
    return status;
}

static gr_status save(const corpus *c, gr_module *net, const folder *f, const gr_history *h)
{
    char path[sizeof f->path + 32];
    gr_status status = gr_save(gr_module_model(net),
                               path_in(f, "model.safetensors", path, sizeof path),
                               (const char *[]){"format", "gradus", "model", "char-lstm", NULL});
    if (!status)
        status = gr_vocabulary_save(c->vocabulary,
                                    path_in(f, "vocabulary.json", path, sizeof path));
    if (!status) status = gr_history_csv(h, path_in(f, "history.csv", path, sizeof path));
    if (!status)
        status = gr_history_plot(h, "char-lstm", path_in(f, "curves.svg", path, sizeof path));
    return status;
}

static bool report(const request *q, const gr_history *h)
{
    const gr_epoch *e = &h->epochs[h->n - 1];
    double seconds = 0;
    gr__text t = {0};
    for (int i = 0; i < h->n; i++) seconds += h->epochs[i].seconds;
    if (q->json) {
        gr__json_writer w = {.out = &t};
        gr__json_object(&w, NULL);
        gr__json_string(&w, "model", "char-lstm");
        gr__json_number(&w, "loss", e->loss);
        gr__json_number(&w, "val_loss", e->val_loss);
        gr__json_number(&w, "val_accuracy", e->val_accuracy);
        gr__json_int(&w, "epochs", h->n);
        gr__json_number(&w, "train_seconds", seconds);
        gr__json_close(&w);
        gr__text_add(&t, "\n");
    } else
        gr__text_add(&t, "validation loss %.4f nats per character, %.2f%% right, %.0f s\n",
                     e->val_loss, 100 * e->val_accuracy, seconds);
    bool printed = print_text(&t);
    gr__text_release(&t);
    return printed;
}

static gr_status train(const request *q, const corpus *c, const folder *f, gr_history *h)
{
    gr_model *m = gr_model_new();
    gr_model_seed(m, (uint64_t)q->seed);
    gr_module *net = build(q, m, gr_vocabulary_size(c->vocabulary));
    fprintf(stderr, "char-lstm: %lld parameters, %lld characters of %lld kinds, %d thread%s\n",
            (long long)gr_model_numel(m), (long long)(c->train->n * q->length),
            (long long)gr_vocabulary_size(c->vocabulary), gr_threads(),
            gr_threads() > 1 ? "s" : "");
    gr_status status = fit(q, c, net, f, h);
    if (!status && !h->interrupted) status = save(c, net, f, h);
    gr_model_free(m);
    return status;
}

int train_text_run(int argc, char **argv)
{
    request q;
    corpus c;
    folder f;
    gr_history h = {0};
    int result = DONE, stop = parse(argc, argv, &q);
    if (stop) return stop < 0 ? DONE : stop;
    gr_status status = read_corpus(&q, &c);
    if (!status) status = folder_open(&f, q.out);
    if (!status && (status = train(&q, &c, &f, &h))) folder_undo(&f);
    if (status) result = fail("train");
    else if (h.interrupted) {
        fprintf(stderr, "gradus train: stopped after epoch %d of %d; --resume goes on\n", h.n,
                (int)q.epochs);
        result = INTERRUPTED;
    } else if (!report(&q, &h)) result = fail("train");
    gr_history_release(&h);
    corpus_release(&c);
    return result;
}
