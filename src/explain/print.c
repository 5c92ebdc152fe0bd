/* print.c - the values of a tensor as NumPy writes them.
 *
 * All elements of a tensor get one width, so that columns line up: by the longest of those shown.
 * Each has as many digits as it takes to tell it from its neighbours, up to `precision` behind the
 * point; where magnitudes differ too much, all are written with an exponent.
 */
/* SPDX-License-Identifier: MIT */
#include "print.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 75, CELL = 64, DOTS = 3 };

typedef struct printed {
    const char *data;
    gr_dtype dtype;
    const gr_shape *shape;
    gr_print_options o;
    bool summarised, scientific;
    int left, right;      /* widths in front of the point and behind it */
    int digits, exponent; /* where there are exponents: lengths of every fraction and exponent */
    gr__text *text;
    size_t line; /* where the line that is being written begins */
} printed;

/* --- one element --- */

static double float_at(const printed *p, int64_t i)
{
    return p->dtype == GR_F32 ? (double)((const float *)p->data)[i] : ((const double *)p->data)[i];
}

static bool is_float(const printed *p)
{
    return p->dtype == GR_F32 || p->dtype == GR_F64;
}

static bool reads_back(const printed *p, const char *text, double x)
{
    return p->dtype == GR_F32 ? strtof(text, NULL) == (float)x : strtod(text, NULL) == x;
}

/* The shortest form with at most so many digits behind the point that reads back, if one does. */
static void write_digits(const printed *p, double x, char text[CELL])
{
    const char *format = p->scientific ? "%.*e" : "%.*f";
    for (int digits = p->digits; digits <= p->o.precision; digits++) {
        snprintf(text, CELL, format, digits, x);
        if (reads_back(p, text, x)) return;
    }
}

/* whole digits with the sign, a point or none, digits of the fraction, the exponent or nothing. */
typedef struct pieces {
    char text[CELL];
    int whole, fraction, exponent; /* lengths */
} pieces;

static pieces take_apart(const printed *p, double x)
{
    pieces s;
    write_digits(p, x, s.text);
    s.whole = (int)strspn(s.text, "-0123456789");
    int mark = s.text[s.whole] && s.text[s.whole] != 'e'; /* of the locale: one byte */
    s.fraction = (int)strspn(s.text + s.whole + mark, "0123456789");
    s.exponent = (int)strlen(s.text) - s.whole - mark - s.fraction;
    const char *digits = s.text + s.whole + mark;
    while (s.fraction > p->digits && digits[s.fraction - 1] == '0') s.fraction--;
    return s;
}

static void add_float(const printed *p, double x)
{
    gr__text *t = p->text;
    int width = p->left + 1 + p->right;
    if (!isfinite(x)) {
        gr__text_add(t, "%*s", width, isnan(x) ? "nan" : x < 0 ? "-inf" : "inf");
        return;
    }
    const pieces s = take_apart(p, x);
    gr__text_add(t, "%*.*s.%.*s", p->left, s.whole, s.text, s.fraction,
                 s.text + s.whole + (s.fraction > 0));
    if (!p->scientific) {
        gr__text_add(t, "%*s", p->right - s.fraction, "");
        return;
    }
    const char *exponent = s.text + strlen(s.text) - s.exponent; /* "e-06" */
    gr__text_add(t, "%.2s%0*d", exponent, p->exponent - 2, atoi(exponent + 2));
}

static int64_t integer_at(const printed *p, int64_t i)
{
    return p->dtype == GR_I64 ? ((const int64_t *)p->data)[i] : ((const uint8_t *)p->data)[i];
}

static void add_element(const printed *p, int64_t i)
{
    if (is_float(p)) add_float(p, float_at(p, i));
    else if (p->dtype == GR_BOOL)
        gr__text_add(p->text, "%*s", p->left, integer_at(p, i) ? "True" : "False");
    else gr__text_add(p->text, "%*lld", p->left, (long long)integer_at(p, i));
}

/* --- which elements are shown --- */

typedef void visitor(printed *p, int64_t i);

static int64_t size_of(const printed *p, int axis)
{
    return p->shape->dim[axis];
}

/* The first one behind the gap on this axis; 0 where there is none. */
static int64_t gap_end(const printed *p, int axis)
{
    bool gap = p->summarised && size_of(p, axis) > 2 * (int64_t)p->o.edge;
    return gap ? size_of(p, axis) - p->o.edge : 0;
}

static int64_t next_shown(const printed *p, int axis, int64_t i)
{
    return gap_end(p, axis) && i + 1 == p->o.edge ? gap_end(p, axis) : i + 1;
}

static void visit(printed *p, int axis, int64_t first, visitor *f)
{
    if (axis == p->shape->rank) {
        f(p, first);
        return;
    }
    for (int64_t i = 0; i < size_of(p, axis); i = next_shown(p, axis, i))
        visit(p, axis + 1, first * size_of(p, axis) + i, f);
}

/* --- measuring --- */

typedef struct range {
    printed p;
    double least, most;
} range;

static void see_magnitude(printed *p, int64_t i)
{
    range *r = (range *)p;
    double x = fabs(float_at(p, i));
    if (!isfinite(x) || x == 0) return;
    r->least = fmin(r->least, x);
    r->most = fmax(r->most, x);
}

/* NumPy's rule. */
static bool wants_exponents(const printed *p)
{
    range r = {*p, INFINITY, 0};
    visit(&r.p, 0, 0, see_magnitude);
    return r.most >= 1e8 || (r.most > 0 && (r.least < 1e-4 || r.most / r.least > 1000));
}

static void widen(int *width, int needed)
{
    if (needed > *width) *width = needed;
}

static void see_float(printed *p, int64_t i)
{
    double x = float_at(p, i);
    if (!isfinite(x)) return;
    const pieces s = take_apart(p, x);
    widen(&p->left, s.whole);
    widen(&p->exponent, s.exponent);
    if (p->scientific) widen(&p->digits, s.fraction);
    widen(&p->right, s.fraction);
}

/* After the others: NaN and infinities are written across the point. */
static void see_special(printed *p, int64_t i)
{
    double x = float_at(p, i);
    if (!isfinite(x)) widen(&p->left, (isinf(x) && x < 0 ? 4 : 3) - 1 - p->right);
}

static void see_integer(printed *p, int64_t i)
{
    if (p->dtype == GR_BOOL) widen(&p->left, p->shape->rank ? 5 : 4);
    else widen(&p->left, snprintf(NULL, 0, "%lld", (long long)integer_at(p, i)));
}

static void measure(printed *p)
{
    if (!is_float(p)) {
        visit(p, 0, 0, see_integer);
        return;
    }
    p->scientific = wants_exponents(p);
    visit(p, 0, 0, see_float);
    p->right += p->exponent;
    visit(p, 0, 0, see_special);
}

/* --- brackets and lines --- */

static int width_of(const printed *p)
{
    return is_float(p) ? p->left + 1 + p->right : p->left;
}

static void begin_line(printed *p, int indent)
{
    gr__text_add(p->text, "\n%*s", indent, "");
    p->line = p->text->len - (size_t)indent;
}

/* Room for a word on this line, with the brackets that may close behind it. */
static void make_room(printed *p, int width)
{
    size_t used = p->text->len - p->line, indent = (size_t)p->shape->rank;
    if (used > indent && used + (size_t)width > LINE - indent) {
        while (p->text->len && p->text->data[p->text->len - 1] == ' ')
            p->text->data[--p->text->len] = 0;
        begin_line(p, (int)indent);
    }
}

static void add_row(printed *p, int64_t first)
{
    const int axis = p->shape->rank - 1;
    for (int64_t i = 0; i < size_of(p, axis); i = next_shown(p, axis, i)) {
        if (i) gr__text_add(p->text, " ");
        if (i && i == gap_end(p, axis)) {
            make_room(p, DOTS);
            gr__text_add(p->text, "... ");
        }
        make_room(p, width_of(p));
        add_element(p, first * size_of(p, axis) + i);
    }
}

/* Rows are a line apart, matrices two, and so on. */
static void part(printed *p, int axis)
{
    for (int i = axis + 2; i < p->shape->rank; i++) gr__text_add(p->text, "\n");
    begin_line(p, axis + 1);
}

static void add_axis(printed *p, int axis, int64_t first)
{
    gr__text_add(p->text, "[");
    if (axis == p->shape->rank - 1) add_row(p, first);
    for (int64_t i = 0; axis < p->shape->rank - 1 && i < size_of(p, axis);
         i = next_shown(p, axis, i)) {
        if (i) part(p, axis);
        if (i && i == gap_end(p, axis)) {
            gr__text_add(p->text, "...");
            part(p, axis);
        }
        add_axis(p, axis + 1, first * size_of(p, axis) + i);
    }
    gr__text_add(p->text, "]");
}

static void add_values(gr__text *t, const void *data, gr_dtype dtype, const gr_shape *shape,
                       gr_print_options o)
{
    printed p = {.data = data, .dtype = dtype, .shape = shape, .o = o, .text = t, .line = t->len};
    if (p.o.precision <= 0) p.o.precision = 8;
    if (p.o.precision > 17) p.o.precision = 17;
    if (p.o.threshold <= 0) p.o.threshold = 1000;
    if (p.o.edge <= 0) p.o.edge = 3;
    if (gr_shape_numel(shape) == 0) {
        gr__text_add(t, "[]");
        return;
    }
    p.summarised = gr_shape_numel(shape) > p.o.threshold;
    measure(&p);
    if (shape->rank) add_axis(&p, 0, 0);
    else add_element(&p, 0);
}

/* --- what users call --- */

gr_status gr__print_text(FILE *out, gr__text *t, const char *name, gr_status status)
{
    if (t->failed) status = gr__fail(GR_ERR_MEMORY, "%s: out of memory", name);
    else if (!out) status = gr__fail(GR_ERR_ARGUMENT, "%s: the file is NULL", name);
    else if (fprintf(out, "%s\n", t->data ? t->data : "") < 0)
        status = gr__fail(GR_ERR_FILE, "%s: the text could not be written", name);
    gr__text_release(t);
    return status;
}

static gr_status add_tensor(gr__text *t, gr_tensor *x, gr_print_options o)
{
    char shape[GR_SHAPE_TEXT];
    gr_graph *g = gr_graph_of(x);
    const void *data = g ? gr_data(x) : NULL;
    if (!data) {
        const char *error = g ? gr_graph_error(g) : NULL;
        gr__text_add(t, "no value: %s", error ? error : "the tensor is of no graph");
        if (gr__need("gr_print", x, "tensor")) return GR_ERR_ARGUMENT;
        return g && gr_graph_status(g) ? gr_graph_status(g) : GR_ERR_STATE;
    }
    gr__text_add(t, "%s %s\n", gr_dtype_name(gr_dtype_of(x)), gr_shape_text(gr_shape_of(x), shape));
    add_values(t, data, gr_dtype_of(x), gr_shape_of(x), o);
    return GR_OK;
}

/* Prints dtype and shape, and below them the values as NumPy does: computed if they were not yet,
 * summarised where there are many. Of an inert tensor, why there is no value: then the status is
 * that of its graph. GR_ERR_MEMORY; GR_ERR_FILE where `out` takes no more. */
gr_status gr_print_with(FILE *out, gr_tensor *x, gr_print_options o)
{
    gr__text t = {0};
    gr_status status = add_tensor(&t, x, o);
    return gr__print_text(out, &t, "gr_print", status);
}

/* The same with NumPy's defaults. */
gr_status gr_print(FILE *out, gr_tensor *x)
{
    return gr_print_with(out, x, (gr_print_options){0});
}

/* What gr_print prints, in `text`: as much as fits in `size` bytes, with a terminating NUL. Returns
 * the length of the whole, as snprintf does; 0 when memory is out. */
size_t gr_tensor_text(gr_tensor *x, char *text, size_t size)
{
    gr__text t = {0};
    add_tensor(&t, x, (gr_print_options){0});
    size_t length = gr__text_copy(&t, text, size);
    gr__text_release(&t);
    return length;
}
