/* scale.c - normalisation: numbers fitted on one part and used for all.
 *
 *   z-score  (x - mean) / deviation     min-max  (x - min) / (max - min)
 *
 * Both are (x - shift) * factor, per element of a sample, per channel, or for the whole set.
 */
/* SPDX-License-Identifier: MIT */
#include "dataset.h"
#include "json.h"

#include <math.h>
#include <string.h>

struct gr_scaler {
    gr_scaling scaling;
    int64_t groups; /* how many have numbers of their own */
    int64_t run; /* elements of a sample side by side that share one; groups * run are a sample */
    double *shift, *factor; /* [groups] */
};

/* --- all elements alike --- */

/* Mean and standard deviation (divided by n, not n - 1) over all elements of all samples,
 * computed in double precision in two passes; 0 and 0 of an empty set. */
void gr_dataset_mean_std(const gr_dataset *d, double *mean, double *std)
{
    if (gr__need("gr_dataset_mean_std", d, "data set") ||
        gr__need("gr_dataset_mean_std", mean, "place for the mean") ||
        gr__need("gr_dataset_mean_std", std, "place for the deviation"))
        return;
    int64_t n = d->x ? d->n * gr__sample_numel(d) : 0;
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)d->x[i];
    *mean = n ? sum / (double)n : 0;
    for (int64_t i = 0; i < n; i++) {
        double off = (double)d->x[i] - *mean;
        squares += off * off;
    }
    *std = n ? sqrt(squares / (double)n) : 0;
}

/* Replaces every element by (x - mean) / std; a std of 0 counts as 1, so that constant data
 * becomes zeros and not NaN. */
void gr_dataset_normalize(gr_dataset *d, double mean, double std)
{
    if (gr__need("gr_dataset_normalize", d, "data set")) return;
    int64_t n = d->x ? d->n * gr__sample_numel(d) : 0;
    double scale = std > 0 ? 1 / std : 1;
    for (int64_t i = 0; i < n; i++) d->x[i] = (float)(((double)d->x[i] - mean) * scale);
}

/* --- lifetime --- */

static gr_scaler *scaler_new(gr_scaling scaling, int64_t groups, int64_t run)
{
    gr_scaler *s = gr__calloc(sizeof *s);
    if (!s) return NULL;
    *s = (gr_scaler){.scaling = scaling, .groups = groups, .run = run};
    s->shift = gr__calloc((size_t)groups * sizeof *s->shift);
    s->factor = gr__calloc((size_t)groups * sizeof *s->factor);
    if (s->shift && s->factor) return s;
    gr_scaler_free(s);
    return NULL;
}

/* Frees a scaler; NULL is fine. Loaders that use it must be freed before. */
void gr_scaler_free(gr_scaler *s)
{
    if (!s) return;
    gr__free(s->shift);
    gr__free(s->factor);
    gr__free(s);
}

/* --- fitting --- */

/* What a pass over all samples does with each. */
typedef void visit_fn(gr_scaler *s, int64_t group, double x);

static void lower(gr_scaler *s, int64_t g, double x)
{
    if (x < s->shift[g]) s->shift[g] = x;
    if (x > s->factor[g]) s->factor[g] = x;
}

static void add(gr_scaler *s, int64_t g, double x)
{
    s->shift[g] += x;
}

static void add_square(gr_scaler *s, int64_t g, double x)
{
    s->factor[g] += (x - s->shift[g]) * (x - s->shift[g]);
}

/* A streamed sample lies in `room`; those in memory are not copied. */
static gr_status pass(gr_scaler *s, const gr_dataset *d, float *room, visit_fn *visit)
{
    int64_t sample = gr__sample_numel(d), learned = gr__target_numel(d);
    for (int64_t i = 0; i < d->n; i++) {
        const float *x = room;
        gr_status status = GR_OK;
        if (d->read) status = gr__read_sample(d, i, room, NULL, learned ? room + sample : NULL);
        else x = d->x + i * sample;
        if (status) return status;
        for (int64_t k = 0; k < sample; k++) {
            if (!isfinite(x[k]))
                return gr__fail(GR_ERR_ARGUMENT,
                                "scaler: element %lld of sample %lld is %g, expected a"
                                " finite number",
                                (long long)k, (long long)i, (double)x[k]);
            visit(s, k / s->run, (double)x[k]);
        }
    }
    return GR_OK;
}

/* Constant elements become zeros. */
static double inverse(double width)
{
    return width > 0 ? 1 / width : 1;
}

static gr_status fit_extremes(gr_scaler *s, const gr_dataset *d, float *room)
{
    for (int64_t g = 0; g < s->groups; g++) {
        s->shift[g] = INFINITY;
        s->factor[g] = -INFINITY;
    }
    gr_status status = pass(s, d, room, lower);
    for (int64_t g = 0; g < s->groups; g++) s->factor[g] = inverse(s->factor[g] - s->shift[g]);
    return status;
}

static gr_status fit_moments(gr_scaler *s, const gr_dataset *d, float *room)
{
    double n = (double)d->n * (double)s->run;
    gr_status status = pass(s, d, room, add);
    for (int64_t g = 0; g < s->groups; g++) s->shift[g] /= n;
    if (!status) status = pass(s, d, room, add_square);
    for (int64_t g = 0; g < s->groups; g++) s->factor[g] = inverse(sqrt(s->factor[g] / n));
    return status;
}

static gr_status check_fit(const gr_dataset *train, gr_scaled per)
{
    char text[GR_SHAPE_TEXT];
    if (train->n < 1 || gr__sample_numel(train) < 1)
        return gr__fail(GR_ERR_ARGUMENT, "scaler: nothing to fit: %lld samples %s",
                        (long long)train->n, gr_shape_text(&train->shape, text));
    if (per == GR_PER_CHANNEL && train->shape.rank < 2)
        return gr__fail(GR_ERR_ARGUMENT,
                        "scaler: per channel needs samples [channels, ...], got %s",
                        gr_shape_text(&train->shape, text));
    return GR_OK;
}

/* Fits a scaler on the samples of `train`, and on nothing else: the other parts are then scaled by
 * what training has seen.
 *
 * scaling  GR_Z_SCORE: to mean 0 and deviation 1 (divided by n); GR_MIN_MAX: to 0..1
 * per      GR_PER_ELEMENT: each element of a sample has numbers of its own (columns of a table);
 *          GR_PER_CHANNEL: each index of the sample's first axis; GR_PER_SET: one pair for all
 *
 * What is constant becomes zero. NULL on failure: no samples, no channels, an element that is not
 * finite, no memory. The caller frees it with gr_scaler_free. */
gr_scaler *gr_scaler_fit(const gr_dataset *train, gr_scaling scaling, gr_scaled per)
{
    if (gr__need("scaler", train, "data set") || check_fit(train, per)) return NULL;
    int64_t sample = gr__sample_numel(train);
    int64_t groups = per == GR_PER_SET ? 1 : per == GR_PER_CHANNEL ? train->shape.dim[0] : sample;
    gr_scaler *s = scaler_new(scaling, groups, sample / groups);
    size_t elements = (size_t)(sample + gr__target_numel(train));
    float *room = s ? gr__alloc(elements * sizeof *room) : NULL;
    gr_status status = GR_ERR_MEMORY;
    if (room)
        status = scaling == GR_MIN_MAX ? fit_extremes(s, train, room) : fit_moments(s, train, room);
    gr__free(room);
    if (!status) return s;
    gr_scaler_free(s);
    return NULL;
}

/* --- applying --- */

/* Scales one sample of n elements in place. GR_ERR_ARGUMENT when the scaler was fitted on samples
 * of another size. */
gr_status gr_scaler_apply_sample(const gr_scaler *s, float *x, int64_t n)
{
    if (gr__need("scaler", s, "scaler")) return GR_ERR_ARGUMENT;
    if (n != s->groups * s->run)
        return gr__fail(GR_ERR_ARGUMENT,
                        "scaler: fitted on samples of %lld elements, got one of %lld",
                        (long long)(s->groups * s->run), (long long)n);
    if (gr__need_array("scaler", x, n, "sample")) return GR_ERR_ARGUMENT;
    for (int64_t g = 0; g < s->groups; g++)
        for (int64_t k = 0; k < s->run; k++, x++)
            *x = (float)(((double)*x - s->shift[g]) * s->factor[g]);
    return GR_OK;
}

/* Scales all samples in place. GR_ERR_ARGUMENT for samples of another size, and for a data set that
 * is read on demand: give the scaler to the loader instead. */
gr_status gr_scaler_apply(const gr_scaler *s, gr_dataset *d)
{
    if (gr__need("scaler", d, "data set")) return GR_ERR_ARGUMENT;
    int64_t sample = gr__sample_numel(d);
    if (!d->x)
        return gr__fail(GR_ERR_ARGUMENT, "scaler: the samples of this data set are read on demand;"
                                         " use gr_loader_options.scaler");
    gr_status status = GR_OK;
    for (int64_t i = 0; i < d->n && !status; i++)
        status = gr_scaler_apply_sample(s, d->x + i * sample, sample);
    return status;
}

/* --- text --- */

static const char *const kinds[] = {[GR_Z_SCORE] = "z-score", [GR_MIN_MAX] = "min-max"};

static void write_numbers(gr__json_writer *w, const char *key, const double *x, int64_t n)
{
    gr__json_array(w, key);
    for (int64_t i = 0; i < n; i++) gr__json_number(w, NULL, x[i]);
    gr__json_close(w);
}

/* The scaler as one line of JSON, which goes into a file beside the weights:
 *
 *     gr_save(model, path, (const char *[]){"scaler", text, NULL});
 *
 * Every number reads back exactly. NULL when memory is out; free with gr_free_memory. */
char *gr_scaler_text(const gr_scaler *s)
{
    if (gr__need("scaler", s, "scaler")) return NULL;
    gr__text out = {0};
    gr__json_writer w = {&out, .indent = 0};
    gr__json_object(&w, NULL);
    gr__json_string(&w, "scaling", kinds[s->scaling]);
    gr__json_int(&w, "groups", s->groups);
    gr__json_int(&w, "run", s->run);
    write_numbers(&w, "shift", s->shift, s->groups);
    write_numbers(&w, "factor", s->factor, s->groups);
    gr__json_close(&w);
    if (!out.failed) return out.data;
    gr__text_release(&out);
    return NULL;
}

typedef struct parsed {
    const char *scaling;
    int64_t groups, run;
    gr_scaler *s;
} parsed;

enum { SCALING, GROUPS, RUN, SHIFT, FACTOR, FIELDS };

static void read_numbers(gr__json_reader *r, double *x, int64_t n)
{
    int64_t at = 0;
    for (gr__json_enter_array(r); gr__json_next_item(r); at++)
        if (at < n) gr__json_read_number(r, &x[at]);
        else gr__json_fail(r, "too many numbers");
    if (at < n) gr__json_fail(r, "too few numbers");
}

static void read_field(gr__json_reader *r, int field, parsed *p, size_t bytes)
{
    if (field == SCALING) gr__json_read_string(r, &p->scaling);
    else if (field == GROUPS) gr__json_read_int(r, &p->groups);
    else if (field == RUN) gr__json_read_int(r, &p->run);
    else if (!p->s && (p->groups < 1 || (size_t)p->groups > bytes || p->run < 1 ||
                       p->run > INT64_MAX / p->groups))
        gr__json_fail(r, "expected positive groups and run before the numbers");
    else if (!p->s && !(p->s = scaler_new(GR_Z_SCORE, p->groups, p->run)))
        gr__json_fail(r, "no memory");
    else read_numbers(r, field == SHIFT ? p->s->shift : p->s->factor, p->groups);
}

/* Reads what gr_scaler_text wrote. NULL on failure, with an error that says where. */
gr_scaler *gr_scaler_parse(const char *text)
{
    static const char *const fields[FIELDS] = {"scaling", "groups", "run", "shift", "factor"};
    parsed p = {0};
    gr__json_reader r;
    uint32_t seen = 0;
    if (gr__need("scaler", text, "text")) return NULL;
    size_t bytes = strlen(text);
    char *copy = gr__strdup(text); /* the reader writes into it */
    if (!copy) return NULL;
    gr__json_begin(&r, copy, bytes);
    gr__json_enter_object(&r);
    for (int field; (field = gr__json_next_field(&r, fields, FIELDS, &seen)) >= 0;)
        read_field(&r, field, &p, bytes);
    gr_status status = gr__json_end(&r);
    bool max = p.scaling && !strcmp(p.scaling, kinds[GR_MIN_MAX]);
    if (!status && (seen != (1u << FIELDS) - 1 || (!max && strcmp(p.scaling, kinds[GR_Z_SCORE]))))
        status = gr__fail(GR_ERR_FORMAT,
                          "scaler: expected scaling (%s or %s), groups, run, shift"
                          " and factor",
                          kinds[GR_Z_SCORE], kinds[GR_MIN_MAX]);
    if (!status && max) p.s->scaling = GR_MIN_MAX;
    gr__free(copy);
    if (!status) return p.s;
    gr_scaler_free(p.s);
    return NULL;
}
