/* csv.c - a data set from a table of comma-separated values. */
/* SPDX-License-Identifier: MIT */
#include "content.h"
#include "csv_cells.h"
#include "dataset.h"
#include "text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CLASSES = 1000000, SHOWN = 40 };

/* What was read so far. Arrays grow as text does. */
typedef struct table {
    const char *path;
    gr_csv_options o;
    gr__cells cells;
    int columns, label; /* label: its place, -1 without one */
    int64_t rows;
    gr__text x;      /* float [rows, columns - 1], NaN where missing */
    gr__text target; /* float [rows], for regression */
    gr__text labels; /* char * [rows], each with its NUL */
    gr__text lines;  /* int64_t [rows], in the file */
} table;

#define FEATURES(t) ((t)->columns - ((t)->label >= 0 ? 1 : 0))

/* --- cells --- */

static bool is_missing(const gr__cell *c)
{
    static const char *const words[] = {"", "NA", "N/A", "NaN", "nan", "null", "NULL", "?"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i]) == c->bytes && !memcmp(words[i], c->text, c->bytes)) return true;
    return false;
}

static gr_status fail_cell(const table *t, int column, const char *expected)
{
    const gr__cell *c = &t->cells.cells[column];
    return gr__fail(GR_ERR_FORMAT, "%s:%lld: column %d: expected %s, got '%.*s'%s", t->path,
                    (long long)t->cells.line, column + 1, expected,
                    (int)(c->bytes < SHOWN ? c->bytes : SHOWN), c->text,
                    c->bytes > SHOWN ? "..." : "");
}

/* Digits with at most one point, and an exponent. */
static bool well_formed(const char *s, size_t n)
{
    size_t i = n && (*s == '+' || *s == '-'), digits = 0, begin;
    for (bool point = false; i < n && ((s[i] == '.' && !point) || (s[i] >= '0' && s[i] <= '9'));
         i++)
        if (s[i] == '.') point = true;
        else digits++;
    if (i < n && (s[i] == 'e' || s[i] == 'E') && digits) {
        i++;
        if (i < n && (s[i] == '+' || s[i] == '-')) i++;
        for (begin = i; i < n && s[i] >= '0' && s[i] <= '9';) i++;
        if (i == begin) return false;
    }
    return i == n && digits > 0;
}

static gr_status parse_number(const table *t, int column, float *x)
{
    const gr__cell *c = &t->cells.cells[column];
    if (!well_formed(c->text, c->bytes) || c->bytes >= GR__NUMBER_MAX)
        return fail_cell(t, column, "a number");
    *x = (float)gr__number_parse(c->text, c->bytes);
    return isfinite(*x) ? GR_OK : fail_cell(t, column, "a number within float32's range");
}

/* --- rows --- */

static gr_status add_label(table *t)
{
    const gr__cell *c = &t->cells.cells[t->label];
    float number;
    if (is_missing(c)) return fail_cell(t, t->label, "a label (none may be missing)");
    if (!t->o.regression) {
        if (memchr(c->text, 0, c->bytes)) return fail_cell(t, t->label, "a label without NUL");
        gr__text_add_bytes(&t->labels, c->text, c->bytes);
        gr__text_add_bytes(&t->labels, "", 1);
        return GR_OK;
    }
    gr_status status = parse_number(t, t->label, &number);
    if (!status) gr__text_add_bytes(&t->target, &number, sizeof number);
    return status;
}

static gr_status add_feature(table *t, int column)
{
    float number = NAN;
    gr_status status = GR_OK;
    if (!is_missing(&t->cells.cells[column])) status = parse_number(t, column, &number);
    else if (t->o.missing == GR_MISSING_ERROR)
        status = fail_cell(t, column, "a number (see gr_csv_options.missing)");
    else if (t->o.missing == GR_MISSING_FILL) number = (float)t->o.fill;
    if (!status) gr__text_add_bytes(&t->x, &number, sizeof number);
    return status;
}

static bool is_dropped(const table *t)
{
    bool missing = false;
    for (int c = 0; c < t->columns; c++)
        if (c != t->label) missing = missing || is_missing(&t->cells.cells[c]);
    return missing && t->o.missing == GR_MISSING_DROP;
}

static gr_status add_row(table *t)
{
    int64_t line = t->cells.line;
    if (t->cells.n != t->columns)
        return gr__fail(GR_ERR_FORMAT, "%s:%lld: expected %d columns, as in the first line, got %d",
                        t->path, (long long)line, t->columns, t->cells.n);
    if (is_dropped(t)) return GR_OK;
    gr_status status = t->label >= 0 ? add_label(t) : GR_OK;
    for (int c = 0; c < t->columns && !status; c++)
        if (c != t->label) status = add_feature(t, c);
    if (status) return status;
    gr__text_add_bytes(&t->lines, &line, sizeof line);
    t->rows++;
    bool failed = t->x.failed || t->target.failed || t->labels.failed || t->lines.failed;
    return failed ? GR_ERR_MEMORY : GR_OK;
}

/* --- the label's column --- */

static gr_status find_by_name(table *t)
{
    if (t->o.no_header)
        return gr__fail(GR_ERR_ARGUMENT, "%s: the label is the column '%s', but there is no header",
                        t->path, t->o.label);
    size_t n = strlen(t->o.label);
    for (int c = 0; c < t->columns; c++)
        if (t->cells.cells[c].bytes == n && !memcmp(t->cells.cells[c].text, t->o.label, n)) {
            t->label = c;
            return GR_OK;
        }
    return gr__fail(GR_ERR_ARGUMENT, "%s:%lld: no column is named '%s'", t->path,
                    (long long)t->cells.line, t->o.label);
}

static gr_status find_label(table *t)
{
    t->label = -1;
    if (t->o.no_label) return GR_OK;
    if (t->o.label) return find_by_name(t);
    int column = t->o.label_column ? t->o.label_column : -1;
    t->label = column > 0 ? column - 1 : t->columns + column;
    if (t->label >= 0 && t->label < t->columns) return GR_OK;
    return gr__fail(GR_ERR_ARGUMENT, "%s: the label is column %d, but there are %d columns",
                    t->path, column, t->columns);
}

static gr_status read_rows(table *t)
{
    gr_status status;
    if (!gr__cells_next(&t->cells, &status))
        return status ? status : gr__fail(GR_ERR_FORMAT, "%s: the file is empty", t->path);
    t->columns = t->cells.n;
    status = find_label(t);
    if (!status && t->o.no_header) status = add_row(t);
    while (!status && gr__cells_next(&t->cells, &status)) status = add_row(t);
    if (!status && !t->rows)
        return gr__fail(GR_ERR_FORMAT, "%s: there are no rows below the header", t->path);
    return status;
}

/* --- classes --- */

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* The label as a class by its own number; -1 when it is none. */
static int64_t number_of(const char *label)
{
    char *end;
    if (*label < '0' || *label > '9' || strlen(label) > 7) return -1;
    long value = strtol(label, &end, 10);
    return *end || value >= MOST_CLASSES ? -1 : value;
}

/* When every label is a whole number: the largest plus 1; else 0. */
static int count_numbers(char *const *labels, int64_t n)
{
    int64_t most = -1;
    for (int64_t i = 0; i < n; i++) {
        int64_t number = number_of(labels[i]);
        if (number < 0) return 0;
        if (number > most) most = number;
    }
    return (int)most + 1;
}

/* Sorted, each once; gives how many. */
static int64_t unique(const void **names, int64_t n)
{
    int64_t kept = 0;
    gr__sort(names, (size_t)n, compare);
    for (int64_t i = 0; i < n; i++)
        if (!kept || strcmp(names[kept - 1], names[i])) names[kept++] = names[i];
    return kept;
}

/* The classes of this table: names of it, or numbers (*names NULL). */
static gr_status find_classes(const table *t, char *const *labels, int *classes, char ***names)
{
    *names = NULL;
    *classes = count_numbers(labels, t->rows);
    if (*classes) return GR_OK;
    size_t bytes = (size_t)t->rows * sizeof *labels;
    const void **sorted = gr__alloc(bytes);
    if (!sorted) return GR_ERR_MEMORY;
    memcpy(sorted, labels, bytes);
    int64_t n = unique(sorted, t->rows);
    gr_status status = GR_OK;
    if (n > MOST_CLASSES)
        status = gr__fail(GR_ERR_FORMAT, "%s: expected at most %d classes, got %lld", t->path,
                          MOST_CLASSES, (long long)n);
    else if (!(*names = gr__names_copy((char *const *)sorted, (int)n))) status = GR_ERR_MEMORY;
    *classes = (int)n;
    gr__free(sorted);
    return status;
}

static gr_status take_classes(const table *t, char *const *labels, int *classes, char ***names)
{
    const gr_dataset *like = t->o.like;
    if (!like) return find_classes(t, labels, classes, names);
    *classes = like->classes;
    *names = like->class_names ? gr__names_copy(like->class_names, like->classes) : NULL;
    return like->class_names && !*names ? GR_ERR_MEMORY : GR_OK;
}

static int64_t class_of(const gr_dataset *d, const char *label)
{
    if (!d->class_names) return number_of(label);
    int64_t low = 0, high = d->classes - 1;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (strcmp(d->class_names[middle], label) < 0) low = middle + 1;
        else high = middle;
    }
    return strcmp(d->class_names[low], label) ? -1 : low;
}

static gr_status give_classes(const table *t, gr_dataset *d, char *const *labels)
{
    const int64_t *lines = (const int64_t *)(const void *)t->lines.data;
    for (int64_t i = 0; i < t->rows; i++) {
        d->y[i] = class_of(d, labels[i]);
        if (d->y[i] < 0 || d->y[i] >= d->classes)
            return gr__fail(GR_ERR_FORMAT, "%s:%lld: the label '%.40s' is none of the %d classes",
                            t->path, (long long)lines[i], labels[i], d->classes);
    }
    return GR_OK;
}

/* --- the data set --- */

/* Columns in which something is missing get the mean of the rest. */
static gr_status fill_means(const table *t, float *x)
{
    int64_t features = FEATURES(t);
    for (int64_t c = 0; c < features && t->o.missing == GR_MISSING_MEAN; c++) {
        double sum = 0, n = 0;
        for (int64_t i = 0; i < t->rows; i++) {
            bool there = !isnan(x[i * features + c]);
            sum += there ? (double)x[i * features + c] : 0;
            n += there;
        }
        if (n == 0)
            return gr__fail(GR_ERR_FORMAT, "%s: a column has no value at all: feature %lld",
                            t->path, (long long)c + 1);
        for (int64_t i = 0; i < t->rows; i++)
            if (isnan(x[i * features + c])) x[i * features + c] = (float)(sum / n);
    }
    return GR_OK;
}

static gr_dataset *make(const table *t, char *const *labels)
{
    gr_shape sample = {1, {FEATURES(t)}};
    if (t->label < 0 || t->o.regression)
        return t->o.regression && t->label >= 0
                   ? gr_dataset_new_targets(sample, t->rows, (gr_shape){1, {1}})
                   : gr_dataset_new_targets(sample, t->rows, (gr_shape){1, {0}});
    char **names;
    int classes;
    if (take_classes(t, labels, &classes, &names)) return NULL;
    gr_dataset *d = gr_dataset_new(sample, t->rows, classes);
    if (d) d->class_names = names;
    else gr__names_free(names, classes);
    return d;
}

static gr_dataset *convert(const table *t)
{
    char **labels = gr__calloc((size_t)t->rows * sizeof *labels), *at = t->labels.data;
    if (!labels) return NULL;
    for (int64_t i = 0; at && i < t->rows; at += strlen(at) + 1) labels[i++] = at;
    gr_dataset *d = make(t, labels);
    gr_status status = d ? GR_OK : GR_ERR_MEMORY;
    if (!status && t->x.len) memcpy(d->x, t->x.data, t->x.len);
    if (!status && t->target.len) memcpy(d->target, t->target.data, t->target.len);
    if (!status) status = fill_means(t, d->x);
    if (!status && d->classes) status = give_classes(t, d, labels);
    gr__free(labels);
    if (!status) return d;
    gr_dataset_free(d);
    return NULL;
}

static void name_after(gr_dataset *d, const char *path)
{
    const char *slash = strrchr(path, '/');
    snprintf(d->name, sizeof d->name, "%.31s", slash ? slash + 1 : path);
}

/* Loads a table: one sample a row, every column a feature but that of the label.
 *
 * path  plain or compressed with gzip; cells in quotes may hold separators, quotes ("") and lines
 * o     separator     ',' by default
 *       no_header     the first line is a row already
 *       label, label_column, no_label  which column is learned; by default the last
 *       regression    it is a number: the target [1]; otherwise a class. Whole numbers are classes
 *                     as they stand; other labels are sorted by their bytes, and d->class_names
 *                     has them
 *       missing       what an empty cell, NA, N/A, NaN, null or ? means, in a feature
 *       like          takes the classes of this data set: for the test part of the same table
 *
 * NULL on failure; the error names file, line and column, what was expected and what was found. The
 * caller frees it with gr_dataset_free. */
gr_dataset *gr_csv_dataset(const char *path, gr_csv_options o)
{
    char *content;
    size_t bytes;
    if (!o.separator) o.separator = ',';
    if (gr__content_load(path, &content, &bytes)) return NULL;
    table t = {.path = path, .o = o};
    gr__cells_begin(&t.cells, path, content, bytes, o.separator);
    gr_dataset *d = read_rows(&t) ? NULL : convert(&t);
    if (d) name_after(d, path);
    gr__cells_release(&t.cells);
    gr__text_release(&t.x);
    gr__text_release(&t.target);
    gr__text_release(&t.labels);
    gr__text_release(&t.lines);
    gr__free(content);
    return d;
}
