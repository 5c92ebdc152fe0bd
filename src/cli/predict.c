/* predict.c - gradus predict: classify with trained weights. */
/* SPDX-License-Identifier: MIT */
#include "json.h"
#include "options.h"
#include "table.h"
#include "weights.h"

#include <gradus/train.h>

/* --- options --- */

typedef struct request {
    const char *weights, *data;
    int64_t limit, threads;
    bool json;
} request;

static const char more[] = "Classifies the held-out test images: of the digits every fifth row, of "
                           "a folder its t10k files.\n\n"
                           "example:\n"
                           "  gradus predict --weights out/model.safetensors --data digits\n\n"
                           "exit status: 0 done, 1 failed, 2 wrong usage\n";

static int parse(int argc, char **argv, request *q)
{
    const option options[] = {
        {"weights", &option_text, &q->weights, "FILE", "model.safetensors of gradus train", 0, 0},
        {"data", &option_text, &q->data, "digits|DIR",
         "the digits that come with gradus, or a folder with files as MNIST's", 0, 0},
        {"limit", &option_whole, &q->limit, "N", "rows of the table (default 20); 0: all", 0, 1e9},
        {"threads", &option_whole, &q->threads, "N", "default: one per core", 1, 1024},
        {"json", &option_flag, &q->json, NULL, "one JSON object with all classes", 0, 0},
        {0}};
    const usage u = {"predict", "classify with trained weights", NULL, NULL, NULL, options, more};
    *q = (request){.data = "digits", .limit = 20};
    int stop = options_parse(&u, argc, argv);
    if (!stop && !q->weights) return options_error(&u, "--weights FILE is missing");
    if (q->threads) gr_set_threads((int)q->threads);
    return stop;
}

/* --- prediction --- */

typedef struct predicted {
    gr_dataset *data;
    int64_t *classes;
    double *probability;
    double accuracy;
    weights weights;
} predicted;

static gr_status predict(const request *q, predicted *p)
{
    p->data = source_test(q->data);
    if (!p->data) return GR_ERR_FILE;
    gr_status status = weights_load(&p->weights, q->weights, NULL, p->data);
    if (status) return status;
    size_t n = (size_t)p->data->n;
    p->classes = gr__calloc(n * sizeof *p->classes);
    p->probability = gr__calloc(n * sizeof *p->probability);
    if (!p->classes || !p->probability) return GR_ERR_MEMORY;
    gr_dataset_normalize(p->data, p->weights.scaling.mean, p->weights.scaling.std);
    status = gr_predict(p->weights.net, p->data, p->classes, p->probability);
    int64_t hits = 0;
    for (size_t i = 0; i < n; i++) hits += p->classes[i] == p->data->y[i];
    p->accuracy = (double)hits / (double)n;
    return status;
}

static void release(predicted *p)
{
    weights_release(&p->weights);
    gr_dataset_free(p->data);
    gr__free(p->classes);
    gr__free(p->probability);
}

/* --- reports --- */

static void report_json(const request *q, const predicted *p, gr__text *t)
{
    gr__json_writer w = {.out = t};
    gr__json_object(&w, NULL);
    gr__json_string(&w, "model", p->weights.network->name);
    gr__json_string(&w, "data", q->data);
    gr__json_int(&w, "n", p->data->n);
    gr__json_number(&w, "accuracy", p->accuracy);
    gr__json_array(&w, "classes");
    for (int64_t i = 0; i < p->data->n; i++) gr__json_int(&w, NULL, p->classes[i]);
    gr__json_close(&w);
    gr__json_close(&w);
    gr__text_add(t, "\n");
}

static void report_table(const request *q, const predicted *p, gr__text *t)
{
    gr__table table = {.align = "rrrrl"};
    static const char *const head[] = {"row", "label", "class", "probability", " "};
    for (int i = 0; i < 5; i++) gr__table_cell(&table, "%s", head[i]);
    int64_t n = q->limit && q->limit < p->data->n ? q->limit : p->data->n;
    for (int64_t i = 0; i < n; i++) {
        gr__table_cell(&table, "%lld", (long long)source_row(q->data, i));
        gr__table_cell(&table, "%lld", (long long)p->data->y[i]);
        gr__table_cell(&table, "%lld", (long long)p->classes[i]);
        gr__table_cell(&table, "%.1f%%", 100 * p->probability[i]);
        gr__table_cell(&table, "%s", p->classes[i] == p->data->y[i] ? " " : "wrong");
    }
    gr__table_write(&table, t);
    gr__table_release(&table);
    if (n < p->data->n)
        gr__text_add(t, "and %lld more (--limit 0 shows all)\n", (long long)(p->data->n - n));
    gr__text_add(t, "accuracy %.2f%% of %lld images\n", 100 * p->accuracy, (long long)p->data->n);
}

int predict_run(int argc, char **argv)
{
    request q;
    predicted p = {.data = NULL};
    gr__text t = {0};
    int stop = parse(argc, argv, &q);
    if (stop) return stop < 0 ? DONE : stop;
    bool done = predict(&q, &p) == GR_OK;
    if (done) (q.json ? report_json : report_table)(&q, &p, &t);
    done = done && print_text(&t);
    if (!done) fail("predict");
    gr__text_release(&t);
    release(&p);
    return done ? DONE : FAILED;
}
