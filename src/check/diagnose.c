/* diagnose.c - what kind of error explains the wrong elements of a gradient.
 *
 * Each hypothesis says what the true derivative n would have to be, given the gradient g, and is
 * held against the elements that were measured. The first that explains all of them is the
 * diagnosis; a hypothesis that explains them as well is named beside it.
 */
/* SPDX-License-Identifier: MIT */
#include "evidence.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct words {
    char *text;
    size_t size;
} words;

#define SAY(w, ...) (snprintf((w)->text, (w)->size, __VA_ARGS__) >= 0)

/* --- comparing --- */

static bool same(const gr__element *e, double value)
{
    return fabs(e->n - value) <= e->off + 1e-7 * fmax(fabs(e->n), fabs(value));
}

static bool vanishes(const gr__element *e)
{
    return fabs(e->n) <= e->off;
}

static bool any(const double *g, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (g[i] != 0) return true;
    return false;
}

/* --- zeros --- */

static bool says_zero(const gr__evidence *e, words *w)
{
    if (any(e->g, e->part.n)) return false;
    return e->second ? SAY(w, "the gradient is zero: the second derivative is missing")
                     : SAY(w, "the gradient is zero");
}

static bool says_nonzero(const gr__evidence *e, words *w)
{
    bool wrong = false, all = true;
    for (int i = 0; i < e->count; i++) {
        if (gr__is_wrong(&e->e[i]) && !vanishes(&e->e[i])) return false;
        wrong |= gr__is_wrong(&e->e[i]);
        all &= vanishes(&e->e[i]);
    }
    if (!wrong) return false;
    return all ? SAY(w, "the gradient should be zero")
               : SAY(w, "the gradient is not zero in elements where it should be zero");
}

/* --- a constant ratio --- */

static bool constant_ratio(const gr__evidence *e, double r)
{
    const double small = 1e-3 * fabs(r - 1);
    if (!isfinite(r) || r == 0 || e->few) return false;
    for (int i = 0; i < e->count; i++) {
        const gr__element *x = &e->e[i];
        if (!(fabs(x->g - r * x->n) <= (1 + fabs(r)) * x->off + small * fabs(x->n))) return false;
    }
    return true;
}

static bool negated(const gr__evidence *e, words *w)
{
    return constant_ratio(e, e->ratio) && fabs(e->ratio + 1) < 1e-6 && SAY(w, "the sign is wrong");
}

/* Whether n is a number of elements that a sum may run over. */
static bool counts_elements(const gr__evidence *e, double n)
{
    const gr_shape *s = &e->part.shape;
    const double n_x = (double)e->part.n, n_y = (double)e->probe->f->n_y;
    bool is = n == n_x || n == n_y || n * n_x == n_y || n * n_y == n_x;
    for (int i = 0; i < s->rank; i++) {
        double product = 1;
        for (int k = i; k < s->rank; k++) is |= n == (product *= (double)s->dim[k]);
    }
    return is;
}

static bool averages(const gr__evidence *e, words *w)
{
    double r = e->ratio, n = round(fabs(r) > 1 ? r : 1 / r);
    if (!constant_ratio(e, r) || n < 3 || !counts_elements(e, n)) return false;
    if (fabs(r - n) < 1e-6 * n)
        return SAY(w, "the gradient is %.8g times what it should be: the 1/N of a mean is missing",
                   r);
    if (fabs(r * n - 1) > 1e-6) return false;
    return SAY(w,
               "the gradient is %.8g times what it should be: a mean for sum, or 1/N twice (N "
               "= %.0f)",
               r, n);
}

static bool multiplied(const gr__evidence *e, words *w)
{
    double r = e->ratio;
    if (!constant_ratio(e, r)) return false;
    bool two = fabs(r - 2) < 1e-6 || fabs(r - 0.5) < 1e-6;
    return SAY(w, "the gradient is %.8g times what it should be%s", r,
               two ? ": a factor of 2" : "");
}

/* --- the right numbers in the wrong places --- */

/* The place in g where the derivative of element `at` would be found. -1: nowhere */
typedef int64_t mapping(const gr_shape *s, int64_t at, int64_t a, int64_t b);

static bool explained(const gr__evidence *e, mapping *where, int64_t a, int64_t b)
{
    int64_t moved = 0;
    if (e->few) return false;
    for (int i = 0; i < e->count; i++) {
        int64_t at = where(&e->part.shape, e->e[i].at, a, b);
        if (at < 0) continue;
        if (!same(&e->e[i], e->g[at])) return false;
        moved += gr__is_wrong(&e->e[i]);
    }
    return moved > 0;
}

/* As if axes a < b had been exchanged and the result read row by row in the shape it should have
 * had. */
static int64_t exchanged(const gr_shape *s, int64_t at, int64_t a, int64_t b)
{
    int64_t index[GR_MAX_RANK], to = 0;
    gr__index_of(s, at, index);
    for (int k = 0; k < s->rank; k++) {
        int from = k == a ? (int)b : k == b ? (int)a : k;
        to = to * s->dim[from] + index[from];
    }
    return to;
}

/* The inverse of that. */
static int64_t exchanged_back(const gr_shape *s, int64_t at, int64_t a, int64_t b)
{
    gr_shape turned = *s;
    turned.dim[a] = s->dim[b];
    turned.dim[b] = s->dim[a];
    return exchanged(&turned, at, a, b);
}

static bool transposed(const gr__evidence *e, words *w)
{
    for (int b = e->part.shape.rank - 1; b > 0; b--)
        for (int a = b - 1; a >= 0; a--)
            if (explained(e, exchanged, a, b) || explained(e, exchanged_back, a, b))
                return SAY(w, "the gradient is transposed: axes %d and %d are exchanged", a, b);
    return false;
}

static int64_t around(const gr_shape *s, int64_t at, int64_t by, int64_t n)
{
    (void)s;
    return ((at + by) % n + n) % n;
}

static int64_t within(const gr_shape *s, int64_t at, int64_t by, int64_t n)
{
    (void)s;
    return at + by >= 0 && at + by < n ? at + by : -1;
}

/* By an element, or by one along an axis. */
static bool shifted(const gr__evidence *e, words *w)
{
    const gr_shape *s = &e->part.shape;
    int64_t stride = 1;
    for (int k = s->rank - 1; k >= 0 && e->part.n > 1; stride *= s->dim[k--])
        for (int sign = 1; sign >= -1; sign -= 2) {
            int64_t by = sign * stride, n = e->part.n;
            bool enough = e->count >= 4;
            if (explained(e, around, by, n) || (enough && explained(e, within, by, n)))
                return SAY(w,
                           "the gradient is shifted by %lld along axis %d: an offset or a "
                           "stride is wrong",
                           (long long)-sign, k);
        }
    return false;
}

static const char *another_with(const gr__evidence *e, const double *g, bool numeric)
{
    const gr__function *f = e->probe->f;
    for (int p = 0; p < f->n_parts; p++) {
        const gr__part *other = &f->parts[p];
        bool equal = other->n == e->part.n && other->first != e->part.first;
        for (int64_t i = 0; equal && !numeric && i < other->n; i++)
            equal = g[i] == e->all[other->first + i];
        for (int i = 0; equal && numeric && i < e->count; i++)
            equal = same(&e->e[i], e->all[other->first + e->e[i].at]);
        if (equal) return other->name;
    }
    return NULL;
}

static bool belongs_to_another(const gr__evidence *e, words *w)
{
    if (e->few || e->count == 0) return false;
    const char *name = another_with(e, NULL, true);
    if (name)
        return SAY(w, "it is another input's gradient: that of %s, which has got this one", name);
    name = another_with(e, e->g, false);
    return name && SAY(w, "it is another input's gradient: that of %s as well", name);
}

/* --- a few elements --- */

/* The i-th wrong one. */
static const gr__element *wrong_one(const gr__evidence *e, int i)
{
    for (int k = 0; k < e->count; k++)
        if (gr__is_wrong(&e->e[k]) && i-- == 0) return &e->e[k];
    return NULL;
}

static bool counted(const gr__evidence *e, int64_t n)
{
    return (e->whole || e->few) && e->wrong == n;
}

static bool swapped(const gr__evidence *e, words *w)
{
    char one[48], two[48];
    if (!counted(e, 2)) return false;
    const gr__element *a = wrong_one(e, 0), *b = wrong_one(e, 1);
    return same(a, b->g) && same(b, a->g) &&
           SAY(w, "elements %s and %s are swapped",
               gr__index_text(&e->part.shape, a->at, one, sizeof one),
               gr__index_text(&e->part.shape, b->at, two, sizeof two));
}

static bool at_end(const gr_shape *s, int64_t at)
{
    int64_t index[GR_MAX_RANK];
    gr__index_of(s, at, index);
    for (int k = 0; k < s->rank; k++)
        if (s->dim[k] > 1 && (index[k] == 0 || index[k] == s->dim[k] - 1)) return true;
    return false;
}

static bool single(const gr__evidence *e, words *w)
{
    char place[48];
    if (!counted(e, 1)) return false;
    const gr__element *x = wrong_one(e, 0);
    double ratio = x->g / x->n;
    gr__index_text(&e->part.shape, x->at, place, sizeof place);
    const char *where = at_end(&e->part.shape, x->at) ? ", at the border" : "";
    if (x->g == 0) return SAY(w, "element %s alone is wrong%s: it is zero", place, where);
    if (fabs(ratio + 1) < 1e-6)
        return SAY(w, "element %s alone is wrong%s: its sign", place, where);
    return SAY(w, "element %s alone is wrong%s: %.6g times what it should be", place, where, ratio);
}

/* --- borders --- */

/* Whether the wrong elements are those with this coordinate along the axis, but for zeros. */
static bool borders(const gr__evidence *e, int axis, int64_t coordinate)
{
    int wrong = 0;
    for (int i = 0; i < e->count; i++) {
        int64_t index[GR_MAX_RANK];
        gr__index_of(&e->part.shape, e->e[i].at, index);
        bool here = index[axis] == coordinate, is_wrong = gr__is_wrong(&e->e[i]);
        if (is_wrong && !here) return false;
        if (!is_wrong && here && !(vanishes(&e->e[i]) && e->e[i].g == 0)) return false;
        wrong += is_wrong;
    }
    return wrong > 0;
}

static bool border(const gr__evidence *e, words *w)
{
    const gr_shape *s = &e->part.shape;
    for (int k = 0; k < s->rank && !e->few; k++)
        for (int end = 0; end < 2 && s->dim[k] > 1; end++) {
            int64_t coordinate = end ? s->dim[k] - 1 : 0;
            if (!borders(e, k, coordinate)) continue;
            return SAY(w, "the wrong elements are the border %lld of axis %d",
                       (long long)coordinate, k);
        }
    return false;
}

/* --- missing terms --- */

static const double *points(const gr__evidence *e)
{
    return e->probe->f->x + e->part.first;
}

static double unity(const gr__evidence *e, int64_t at)
{
    (void)e;
    (void)at;
    return 1;
}

static double exponential(const gr__evidence *e, int64_t at)
{
    return exp(points(e)[at]);
}

static double input(const gr__evidence *e, int64_t at)
{
    return points(e)[at];
}

static double output(const gr__evidence *e, int64_t at)
{
    return e->probe->f->n_y == e->part.n ? e->probe->y[at] : NAN;
}

static const struct {
    double (*of)(const gr__evidence *e, int64_t at);
    const char *text;
} factors[] = {{unity, ""},
               {output, "y times "},
               {exponential, "softmax(x) times "},
               {input, "x times "}};

static bool on_one_line(const gr_shape *s, int64_t a, int64_t b, int axis)
{
    int64_t i[GR_MAX_RANK], j[GR_MAX_RANK];
    gr__index_of(s, a, i);
    gr__index_of(s, b, j);
    for (int k = 0; k < s->rank; k++)
        if (k != axis && i[k] != j[k]) return false;
    return true;
}

/* Whether (g - n) / factor is constant along the axis. */
static bool factor_fits(const gr__evidence *e, int factor, int axis)
{
    int pairs = 0;
    for (int i = 0; i < e->count; i++)
        for (int j = 0; j < i; j++) {
            const gr__element *a = &e->e[i], *b = &e->e[j];
            if (!on_one_line(&e->part.shape, a->at, b->at, axis)) continue;
            double fa = factors[factor].of(e, a->at), fb = factors[factor].of(e, b->at);
            double left = (a->g - a->n) * fb, right = (b->g - b->n) * fa;
            double off = a->off * fabs(fb) + b->off * fabs(fa) +
                         1e-8 * (fabs(a->n * fb) + fabs(b->n * fa));
            if (!(fabs(left - right) <= off + 1e-6 * fabs(left))) return false;
            pairs += gr__is_wrong(a) && gr__is_wrong(b);
        }
    return pairs > 0;
}

static bool lacks_term(const gr__evidence *e, words *w)
{
    for (int f = 0; f < 4 && !e->few; f++)
        for (int axis = e->part.shape.rank - 1; axis >= 0; axis--)
            if (factor_fits(e, f, axis))
                return SAY(w,
                           "a term is missing or too much: the difference is %sa constant "
                           "along axis %d",
                           factors[f].text, axis);
    return false;
}

/* One wrong element in each line along the last axis, all by the same number. */
static bool lacks_onehot(const gr__evidence *e, words *w)
{
    const gr_shape *s = &e->part.shape;
    const gr__element *first = wrong_one(e, 0);
    if (!e->whole || !first || s->rank == 0 || e->wrong != e->part.n / s->dim[s->rank - 1])
        return false;
    for (int i = 0; i < (int)e->wrong; i++) {
        const gr__element *a = wrong_one(e, i);
        double off = a->off + first->off + 1e-7 * (fabs(a->n) + fabs(first->n));
        if (fabs((a->g - a->n) - (first->g - first->n)) > off) return false;
        for (int j = 0; j < i; j++)
            if (on_one_line(s, a->at, wrong_one(e, j)->at, s->rank - 1)) return false;
    }
    return SAY(w, "a onehot term is missing: one element per row is off by %.4g",
               first->g - first->n);
}

/* --- what is left --- */

static bool scattered(const gr__evidence *e, words *w)
{
    char place[48];
    const gr__element *first = wrong_one(e, 0);
    if (!first || e->wrong == e->part.n) return false;
    return SAY(w, "%s%lld of %lld elements are wrong, the first is %s",
               e->estimated ? "about " : "", (long long)e->wrong, (long long)e->part.n,
               gr__index_text(&e->part.shape, first->at, place, sizeof place));
}

static const struct hypothesis {
    const char *word;
    bool (*test)(const gr__evidence *e, words *w);
    bool rival; /* worth naming beside another */
} hypotheses[] = {
    {"zero", says_zero, false},    {"nonzero", says_nonzero, false},
    {"sign", negated, true},       {"mean", averages, false},
    {"factor", multiplied, false}, {"another input", belongs_to_another, true},
    {"swapped", swapped, true},    {"transposed", transposed, true},
    {"shifted", shifted, true},    {"element", single, true},
    {"border", border, true},      {"onehot", lacks_onehot, true},
    {"term", lacks_term, true},    {"elements", scattered, false},
};

void gr__report_diagnosis(gr_check_report *report, const char *word, const char *format, ...)
{
    size_t used = strlen(report->message);
    va_list args;
    if (report->diagnosis[0]) return;
    va_start(args, format);
    vsnprintf(report->explanation, sizeof report->explanation, format, args);
    va_end(args);
    snprintf(report->diagnosis, sizeof report->diagnosis, "%s", word);
    snprintf(report->message + used, sizeof report->message - used, ": %s", report->explanation);
}

static void name_elements(const gr__evidence *e, gr_check_report *r)
{
    const gr__element *x;
    r->wrong = e->wrong;
    r->estimated = e->estimated;
    r->shape = e->part.shape;
    for (r->elements = 0; r->elements < GR_CHECK_ELEMENTS && (x = wrong_one(e, r->elements));
         r->elements++) {
        gr_check_element *out = &r->element[r->elements];
        *out = (gr_check_element){.index = x->at, .analytic = x->g, .numeric = x->n};
        gr__index_text(&e->part.shape, x->at, out->where, sizeof out->where);
    }
}

void gr__diagnose(const gr__evidence *e, gr_check_report *report)
{
    char text[200], other[200];
    name_elements(e, report);
    for (size_t i = 0; i < sizeof hypotheses / sizeof *hypotheses; i++) {
        words w = {text, sizeof text}, rest = {other, sizeof other};
        if (!hypotheses[i].test(e, &w)) continue;
        size_t k = i + 1, end = sizeof hypotheses / sizeof *hypotheses;
        if (!hypotheses[i].rival) k = end;
        while (k < end && !(hypotheses[k].rival && hypotheses[k].test(e, &rest))) k++;
        gr__report_diagnosis(report, hypotheses[i].word, "%s%s%.120s", text, k < end ? "; or " : "",
                             k < end ? other : "");
        return;
    }
}
