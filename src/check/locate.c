/* locate.c - which elements of a gradient are wrong.
 *
 * Small inputs are measured element by element. In large ones the support of a direction u is
 * halved: the residual <g, u> - phi'(0) of a half tells whether it holds a wrong element, and that
 * of the other half is what is left. One wrong element of 2^k costs k + 2 derivatives of ten
 * evaluations. Where many are wrong the search stops early and a sample estimates how many.
 */
/* SPDX-License-Identifier: MIT */
#include "evidence.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_BUDGET = 240, BUDGET = 600, DEEPEST = 64, LINES = 2, SCATTERED = 32 };

/* --- places --- */

void gr__index_of(const gr_shape *shape, int64_t at, int64_t index[GR_MAX_RANK])
{
    for (int k = shape->rank - 1; k >= 0; k--) {
        index[k] = at % shape->dim[k];
        at /= shape->dim[k];
    }
}

char *gr__index_text(const gr_shape *shape, int64_t at, char *text, size_t size)
{
    int64_t index[GR_MAX_RANK];
    int used = snprintf(text, size, "[");
    gr__index_of(shape, at, index);
    for (int k = 0; k < shape->rank && (size_t)used < size; k++)
        used += snprintf(text + used, size - (size_t)used, "%s%lld", k ? "," : "",
                         (long long)index[k]);
    if ((size_t)used < size) snprintf(text + used, size - (size_t)used, "]");
    return text;
}

/* --- one element --- */

bool gr__is_wrong(const gr__element *e)
{
    return !(fabs(e->g - e->n) <= e->off + 1e-8 * fmax(fabs(e->g), fabs(e->n)));
}

static double step_size(const gr__evidence *e)
{
    return fmax(gr__rms(e->probe->f->x + e->part.first, e->part.n), 1e-3);
}

static bool measured(const gr__evidence *e, int64_t at)
{
    for (int i = 0; i < e->count; i++)
        if (e->e[i].at == at) return true;
    return false;
}

/* Measures element `at` unless it is known, or cannot be because of a kink. False: f failed. */
static bool measure(gr__evidence *e, int64_t at, double size)
{
    gr__function *f = e->probe->f;
    double *u = e->probe->u, n, off;
    if (e->count == GR__SAMPLES || measured(e, at) || !isfinite(f->x[e->part.first + at]))
        return true;
    memset(u, 0, (size_t)f->n_x * sizeof *u);
    u[e->part.first + at] = size;
    if (gr__steady_slope(e->probe, &n, &off))
        e->e[e->count++] = (gr__element){at, e->g[at], n / size, off / size};
    return !f->fault[0];
}

static int64_t count_wrong(const gr__evidence *e)
{
    int64_t wrong = 0;
    for (int i = 0; i < e->count; i++) wrong += gr__is_wrong(&e->e[i]);
    return wrong;
}

static bool measure_all(gr__evidence *e)
{
    const double size = step_size(e);
    for (int64_t i = 0; i < e->part.n; i++)
        if (!measure(e, i, size)) return false;
    e->whole = e->count == e->part.n;
    e->wrong = count_wrong(e);
    e->estimated = !e->whole;
    return true;
}

/* --- halving --- */

typedef struct span {
    int64_t begin, end;
    double residual, off; /* <g, u> - phi'(0) for u within the span, and how far it may be off */
    bool measured;
} span;

typedef struct search {
    gr__evidence *e;
    double *u; /* the whole direction */
    span stack[DEEPEST];
    int depth;
    bool certain; /* nothing wrong was lost on the way */
} search;

/* False: the function failed, or a kink is in the way. */
static bool measure_span(search *s, span *part)
{
    const gr__evidence *e = s->e;
    gr__function *f = e->probe->f;
    double *u = e->probe->u + e->part.first, along = 0, squares = 0, n;
    memset(e->probe->u, 0, (size_t)f->n_x * sizeof *u);
    for (int64_t i = part->begin; i < part->end; i++) {
        u[i] = s->u[i];
        along += u[i] * e->g[i];
        squares += u[i] * e->g[i] * u[i] * e->g[i];
    }
    part->measured = true;
    if (!gr__steady_slope(e->probe, &n, &part->off)) return false;
    part->off += 1e-9 * fmax(sqrt(squares), fabs(n));
    part->residual = along - n;
    return true;
}

static bool suspect(const span *s)
{
    return fabs(s->residual) > s->off;
}

/* Halves a span and keeps what holds a wrong element, the left half on top. */
static bool halve(search *s, const span *whole)
{
    int64_t middle = whole->begin + (whole->end - whole->begin) / 2;
    span left = {.begin = whole->begin, .end = middle},
         right = {.begin = middle, .end = whole->end};
    if (!measure_span(s, &left)) return false;
    right.residual = whole->residual - left.residual;
    right.off = whole->off + left.off;
    bool vague = suspect(&right) ? fabs(right.residual) < 10 * right.off : !suspect(&left);
    if (vague && !measure_span(s, &right)) return false;
    if (!suspect(&left) && !suspect(&right)) s->certain = false;
    if (suspect(&right)) s->stack[s->depth++] = right;
    if (suspect(&left)) s->stack[s->depth++] = left;
    return true;
}

static bool draw_direction(search *s, uint64_t seed)
{
    const gr__evidence *e = s->e;
    const double size = step_size(e), *x = e->probe->f->x + e->part.first;
    s->u = gr__doubles(e->probe->f, e->part.n);
    if (!s->u) return false;
    gr__draw_signs(seed, s->u, e->part.n);
    for (int64_t i = 0; i < e->part.n; i++) s->u[i] = isfinite(x[i]) ? s->u[i] * size : 0;
    return true;
}

/* The first few wrong elements. True: they are all there are. */
static bool bisect(gr__evidence *e, uint64_t seed)
{
    search s = {.e = e, .certain = true};
    const int64_t start = e->probe->f->evaluations;
    span root = {.begin = 0, .end = e->part.n};
    if (!draw_direction(&s, seed) || !measure_span(&s, &root) || !suspect(&root)) return false;
    s.stack[s.depth++] = root;
    while (s.depth > 0 && e->count < GR_CHECK_ELEMENTS) {
        const span top = s.stack[--s.depth];
        int64_t spent = e->probe->f->evaluations - start;
        if (spent >= (e->count ? BUDGET : FIRST_BUDGET)) return false;
        if (top.end - top.begin > 1) {
            if (!halve(&s, &top)) return false;
        } else if (!measure(e, top.begin, fabs(s.u[top.begin]))) {
            return false;
        }
    }
    return s.depth == 0 && s.certain;
}

/* --- a sample --- */

static int64_t pick(uint64_t seed, uint64_t i, int64_t n)
{
    return (int64_t)(gr__random_uniform(seed, i) * (double)n);
}

/* A few elements of a line along an axis, its ends among them. */
static bool measure_line(gr__evidence *e, int axis, uint64_t seed, double size)
{
    const gr_shape *s = &e->part.shape;
    int64_t index[GR_MAX_RANK], stride = 1, last = s->dim[axis] - 1;
    const int64_t base = pick(seed, 0, e->part.n);
    const int64_t along[] = {0,        1,   pick(seed, 1, last + 1), pick(seed, 2, last + 1),
                             last - 1, last};
    for (int k = axis + 1; k < s->rank; k++) stride *= s->dim[k];
    gr__index_of(s, base, index);
    for (int i = 0; i < 6; i++)
        if (along[i] >= 0 && along[i] <= last &&
            !measure(e, base + (along[i] - index[axis]) * stride, size))
            return false;
    return true;
}

static bool measure_sample(gr__evidence *e, uint64_t seed)
{
    const double size = step_size(e);
    int scattered = 0, wrong = 0;
    for (int i = 0; i < SCATTERED; i++) {
        int before = e->count;
        if (!measure(e, pick(seed, (uint64_t)i, e->part.n), size)) return false;
        if (e->count == before) continue;
        scattered++;
        wrong += gr__is_wrong(&e->e[before]);
    }
    for (int axis = 0; axis < e->part.shape.rank; axis++)
        for (int line = 0; line < LINES; line++) {
            uint64_t stream = gr__hash_join(seed, (uint64_t)(axis * LINES + line + 1));
            if (!measure_line(e, axis, stream, size)) return false;
        }
    int64_t seen = count_wrong(e), share = scattered ? e->part.n * wrong / scattered : 0;
    e->wrong = share > seen ? share : seen;
    e->estimated = true;
    return true;
}

bool gr__gather_evidence(gr__evidence *e, uint64_t seed)
{
    e->wrong = -1;
    if (e->part.n <= GR__SAMPLES) return measure_all(e);
    e->few = bisect(e, seed);
    if (!e->few) return !e->probe->f->fault[0] && measure_sample(e, seed);
    e->wrong = e->count;
    return true;
}
