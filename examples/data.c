/* data.c - data sets: from a table, divided, scaled, changed on the fly, as text, as a stream. */
/* SPDX-License-Identifier: MIT */
#include <gradus/gradus.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int failed(const char *what)
{
    fprintf(stderr, "data: %s: %s\n", what, gr_last_error());
    return 1;
}

/* --- a table --- */

static const char flowers[] = "sepal,petal,species\n"
                              "5.1,1.4,setosa\n4.9,1.4,setosa\n7.0,4.7,versicolor\n"
                              "6.4,,versicolor\n6.3,6.0,virginica\n5.8,5.1,virginica\n";

static int table(void)
{
    char path[] = "/tmp/gradus-flowers-XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (!file) return failed("a file to read");
    fputs(flowers, file);
    fclose(file);
    /* [csv] */
    gr_dataset *d = gr_csv_dataset(path, (gr_csv_options){.label = "species",
                                                          .missing = GR_MISSING_MEAN});
    if (!d) return failed("a table"); /* "flowers.csv:5: column 2: expected a number, got ''" */
    printf("%lld rows, %d classes, the last one %s\n", (long long)d->n, d->classes,
           d->class_names[d->y[d->n - 1]]);
    gr_dataset_free(d);
    /* [end] */
    remove(path);
    return 0;
}

/* --- parts, scaled by what training saw --- */

static double train(gr_model *m, gr_module *net, gr_loader *l, const gr_dataset *d)
{
    gr_optimizer *opt = gr_adam(m, (gr_adam_options){.lr = 1e-3});
    gr_graph *g = gr_graph_new();
    double last = NAN;
    /* [loop] */
    for (int epoch = 0; epoch < 2; epoch++)
        for (gr_batch b; gr_next(l, &b); gr_graph_reset(g)) {
            gr_tensor *x = gr_from_data(g, GR_F32, GR_SHAPE(b.n, 64), b.x);
            gr_tensor *t = gr_from_data(g, GR_F32, GR_SHAPE(b.n, d->classes), b.soft);
            gr_tensor *loss = gr_cross_entropy(gr_forward(net, x), t);
            if (gr_backward(loss) || gr_step(opt)) break;
            last = gr_item(loss);
        }
    if (gr_loader_status(l)) failed("a batch"); /* a sample that could not be read */
    /* [end] */
    if (gr_graph_error(g)) fprintf(stderr, "data: %s\n", gr_graph_error(g));
    gr_graph_free(g);
    gr_optimizer_free(opt);
    return last;
}

static int pictures(void)
{
    int status = 0;
    gr_model *m = gr_model_new();
    gr_module *net = gr_linear_layer(m, 64, 10);
    /* [parts] */
    gr_parts parts;
    gr_dataset *all = gr_digits();
    if (!all ||
        gr_split_dataset(
            all, (gr_split_options){.validation = 0.1, .test = 0.1, .stratified = true, .seed = 1},
            &parts))
        return failed("the parts");
    gr_scaler *scaler = gr_scaler_fit(parts.train, GR_Z_SCORE, GR_PER_CHANNEL);
    /* [end] */
    if (!scaler) return failed("the scaler");
    /* [loader] */
    gr_loader *l =
        gr_loader_new(parts.train,
                      (gr_loader_options){
                          .batch = 32,
                          .shuffle = true,
                          .seed = 7, /* order and changes replay from it */
                          .shift = 1,
                          .scaler = scaler,
                          .prefetch = true,
                          .augment = {.rotate = 10, .elastic = 0.3, .noise = 0.02, .mixup = 0.2}});
    /* [end] */
    if (l) printf("the last loss is %.2f\n", train(m, net, l, parts.train));
    else status = failed("a loader");
    /* [save] */
    char *text = gr_scaler_text(scaler);
    const char *const metadata[] = {"scaler", text, NULL};
    if (gr_save(m, "digits.safetensors", metadata)) status = failed("saving");
    gr_safetensors *file = gr_safetensors_open("digits.safetensors");
    gr_scaler *same = file ? gr_scaler_parse(gr_safetensors_metadata(file, "scaler")) : NULL;
    /* [end] */
    if (!same || gr_scaler_apply(same, parts.test)) status = failed("the scaler of the file");
    remove("digits.safetensors");
    gr_safetensors_close(file);
    gr_free_memory(text);
    gr_scaler_free(same);
    gr_loader_free(l);
    gr_scaler_free(scaler);
    gr_parts_release(&parts);
    gr_dataset_free(all);
    gr_model_free(m);
    return status;
}

/* --- text --- */

static int text(void)
{
    static const char verse[] = "to be, or not to be, that is the question";
    int status = 0;
    int64_t *ids = NULL, n = 0;
    /* [text] */
    gr_vocabulary *v = gr_vocabulary_build(verse, strlen(verse),
                                           (gr_vocabulary_options){.kind = GR_CHARACTERS});
    if (!v || gr_vocabulary_encode(v, verse, strlen(verse), &ids, &n)) return failed("a text");
    gr_dataset *d = gr_text_windows(ids, n, 8, gr_vocabulary_size(v)); /* 8 characters, one later */
    gr_loader *l = d ? gr_loader_new(d, (gr_loader_options){.batch = 2}) : NULL;
    gr_batch b;
    if (l && gr_next(l, &b)) /* b.in.ids [n, length], b.out.ids, and masks where rows are shorter */
        printf("%lld rows of %lld tokens\n", (long long)b.n, (long long)b.in.length);
    /* [end] */
    if (!l) status = failed("windows");
    gr_loader_free(l);
    gr_dataset_free(d);
    gr_free_memory(ids);
    gr_vocabulary_free(v);
    return status;
}

/* --- more than fits into memory --- */

/* [stream] */
/* Sample i is two phases of a wave, its target what comes next. */
static gr_status wave(void *user, int64_t i, float *x, int64_t *y, float *target)
{
    const double *step = user;
    (void)y; /* no classes */
    for (int k = 0; k < 2; k++) x[k] = (float)sin((double)(i + k) * *step);
    *target = (float)sin((double)(i + 2) * *step);
    return GR_OK; /* else the pass ends, and gr_loader_status says so */
}
/* [end] */

static int stream(void)
{
    double step = 0.1, sum = 0;
    /* [open] */
    gr_dataset *d = gr_dataset_stream(GR_SHAPE(2), 1000000000, 0, wave, &step);
    if (!d) return failed("a stream");
    d->has_target = true;
    d->target_shape = GR_SHAPE(1);
    gr_loader *l = gr_loader_new(d, (gr_loader_options){.batch = 100, .prefetch = true});
    /* [end] */
    gr_batch b;
    for (int i = 0; l && i < 10 && gr_next(l, &b); i++) sum += (double)b.target[0];
    printf("of %lld batches, 10 were read; a sum: %.3f\n", l ? (long long)gr_loader_batches(l) : 0,
           sum);
    gr_loader_free(l);
    gr_dataset_free(d);
    return l == NULL;
}

int main(void)
{
    return table() || pictures() || text() || stream();
}
