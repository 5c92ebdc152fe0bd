/* structure.c - determinism, zero cotangents, linearity, accumulation. */
/* SPDX-License-Identifier: MIT */
#include "structure.h"

#include <math.h>
#include <string.h>

typedef struct work {
    gr__recorded *r;
    gr_check_report *report;
    double *y, *y2, *v1, *v2, *both; /* outputs and cotangents */
    double *g1, *g2, *dx, *shared;   /* gradients with v1 and v2, room for another two */
    double size;                     /* sum |v1 y| */
} work;

static bool make_work(work *w, uint64_t seed)
{
    gr__function *f = &w->r->f;
    double **outputs[] = {&w->y, &w->y2, &w->v1, &w->v2, &w->both};
    double **inputs[] = {&w->g1, &w->g2, &w->dx, &w->shared};
    for (size_t i = 0; i < 5; i++)
        if (!(*outputs[i] = gr__doubles(f, f->n_y))) return false;
    for (size_t i = 0; i < 4; i++)
        if (!(*inputs[i] = gr__doubles(f, f->n_x))) return false;
    gr__draw_signs(gr__hash_join(seed, 11), w->v1, f->n_y);
    gr__draw_signs(gr__hash_join(seed, 12), w->v2, f->n_y);
    return true;
}

static bool broken(const work *w)
{
    gr__report_fault(w->report, &w->r->f);
    return false;
}

/* The name of the input that element i of x belongs to, and its index there. */
static const char *place(const gr__function *f, int64_t i, int64_t *index)
{
    *index = i;
    for (int p = 0; p < f->n_parts; p++) {
        *index = i - f->parts[p].first;
        if (*index < f->parts[p].n) return f->parts[p].name;
    }
    return "?";
}

static int64_t first_unlike(const double *a, const double *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0) return i;
    return -1;
}

static int64_t first_not_finite(const double *a, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(a[i])) return i;
    return -1;
}

/* --- S0a: twice the same, bit by bit; at once or on demand --- */

static bool finite_here(const work *w)
{
    const gr__function *f = &w->r->f;
    int64_t index, i = first_not_finite(w->y, f->n_y);
    if (i >= 0) {
        gr__report(w->report, GR_FAIL, "S1",
                   "the function is not finite at x: element %lld of its "
                   "result is %g",
                   (long long)i, w->y[i]);
        return false;
    }
    i = first_not_finite(w->g1, f->n_x);
    if (i < 0) return true;
    const char *name = place(f, i, &index);
    gr__report(w->report, GR_FAIL, "S1", "the gradient of %s is not finite: element %lld is %g",
               name, (long long)index, w->g1[i]);
    return false;
}

static bool same_again(const work *w, const char *how)
{
    gr__function *f = &w->r->f;
    int64_t index;
    if (!f->eval(f, f->x, w->y2, NULL) || !f->vjp(f, f->x, w->v1, w->dx)) return broken(w);
    int64_t i = first_unlike(w->y, w->y2, f->n_y);
    if (i >= 0) {
        gr__report(w->report, GR_FAIL, "S0a", "%s: element %lld of the result is %.17g, then %.17g",
                   how, (long long)i, w->y[i], w->y2[i]);
        return false;
    }
    i = first_unlike(w->g1, w->dx, f->n_x);
    if (i < 0) return true;
    const char *name = place(f, i, &index);
    gr__report(w->report, GR_FAIL, "S0a",
               "%s: element %lld of the gradient of %s is %.17g, then %.17g", how, (long long)index,
               name, w->g1[i], w->dx[i]);
    return false;
}

static bool deterministic(const work *w)
{
    gr__function *f = &w->r->f;
    if (!f->eval(f, f->x, w->y, NULL) || !f->vjp(f, f->x, w->v1, w->g1)) return broken(w);
    if (!same_again(w, "not deterministic")) return false;
    if (!finite_here(w)) return false;
    w->r->eager = false;
    bool same = same_again(w, "evaluation on demand differs from evaluation at once");
    w->r->eager = true;
    return same;
}

/* --- S0b: no cotangent, no gradient --- */

static bool zero_stays_zero(const work *w)
{
    gr__function *f = &w->r->f;
    int64_t index;
    memset(w->both, 0, (size_t)f->n_y * sizeof(double));
    if (!f->vjp(f, f->x, w->both, w->dx)) return broken(w);
    for (int64_t i = 0; i < f->n_x; i++) {
        if (w->dx[i] == 0) continue;
        const char *name = place(f, i, &index);
        gr__report(w->report, GR_FAIL, "S0b",
                   "a zero cotangent gives %g, not 0, in element %lld of the "
                   "gradient of %s: the cotangent is ignored, or multiplied by what is not finite",
                   w->dx[i], (long long)index, name);
        return false;
    }
    return true;
}

/* Each output's cotangent left out in turn. */
static bool absent_is_zero(const work *w)
{
    gr__recorded *r = w->r;
    int64_t first = 0;
    for (int k = 0; r->n_out > 1 && k < r->n_out; first += r->sizes[k++]) {
        memcpy(w->both, w->v1, (size_t)r->f.n_y * sizeof(double));
        memset(w->both + first, 0, (size_t)r->sizes[k] * sizeof(double));
        if (!r->f.vjp(&r->f, r->f.x, w->both, w->dx) ||
            !gr__recorded_vjp_of(r, w->v1, ~(1ull << k), w->shared))
            return broken(w);
        for (int64_t i = 0; i < r->f.n_x; i++) {
            if (w->dx[i] == w->shared[i]) continue;
            gr__report(w->report, GR_FAIL, "S0b",
                       "an absent cotangent of output %d does not count as "
                       "zero: %.17g instead of %.17g",
                       k, w->shared[i], w->dx[i]);
            return false;
        }
    }
    return true;
}

/* --- S0c, d: sums --- */

/* Whether got = want to 1e-12 of `scale` plus what rounding may leave of a gradient that vanishes;
 * want is left holding the difference. */
static bool close_by_parts(const work *w, const double *got, double *want, const double *scale,
                           const char *stage, const char *what)
{
    const gr__function *f = &w->r->f;
    for (int p = 0; p < f->n_parts; p++) {
        const gr__part *in = &f->parts[p];
        double rms = fmax(gr__rms(f->x + in->first, in->n), 1e-3);
        double allowed = 1e-12 * scale[p] + 1e-13 * w->size / rms;
        for (int64_t i = in->first; i < in->first + in->n; i++) want[i] -= got[i];
        double off = gr__norm(want + in->first, in->n);
        if (off <= allowed) continue;
        gr__report(w->report, GR_FAIL, stage, "%s: the gradient of %s is off by %.3g of %.3g", what,
                   in->name, off, scale[p]);
        memcpy(w->report->input, in->name, sizeof w->report->input);
        return false;
    }
    return true;
}

static bool linear(const work *w, double *scale)
{
    const double a = 0.731, b = -1.377;
    gr__function *f = &w->r->f;
    if (!f->vjp(f, f->x, w->v2, w->g2)) return broken(w);
    for (int64_t i = 0; i < f->n_y; i++) w->both[i] = a * w->v1[i] + b * w->v2[i];
    if (!f->vjp(f, f->x, w->both, w->dx)) return broken(w);
    for (int64_t i = 0; i < f->n_x; i++) w->shared[i] = a * w->g1[i] + b * w->g2[i];
    for (int p = 0; p < f->n_parts; p++) {
        const gr__part *in = &f->parts[p];
        scale[p] = fabs(a) * gr__norm(w->g1 + in->first, in->n) +
                   fabs(b) * gr__norm(w->g2 + in->first, in->n);
    }
    return close_by_parts(w, w->dx, w->shared, scale, "S0c", "not linear in the cotangent");
}

/* x used by f twice and by another op: all three contributions have to arrive. */
static bool accumulates(const work *w, double *scale)
{
    gr__function *f = &w->r->f;
    gr__draw_signs(13, w->shared, f->n_x);
    if (!gr__recorded_vjp_shared(w->r, w->v1, w->v2, w->shared, w->dx)) return broken(w);
    for (int p = 0; p < f->n_parts; p++) {
        const gr__part *in = &f->parts[p];
        scale[p] = gr__norm(w->g1 + in->first, in->n) + gr__norm(w->g2 + in->first, in->n) +
                   gr__norm(w->shared + in->first, in->n);
    }
    for (int64_t i = 0; i < f->n_x; i++) w->shared[i] += w->g1[i] + w->g2[i];
    return close_by_parts(w, w->dx, w->shared, scale, "S0d",
                          "contributions to an input used three times do not add up");
}

static bool check_all(gr__recorded *r, uint64_t seed, gr_check_report *report)
{
    work w = {.r = r, .report = report};
    gr__function *f = &r->f;
    double *scale = gr__doubles(f, f->n_parts);
    if (!scale || !make_work(&w, seed)) {
        gr__report(report, GR_FAIL, "S0", "out of memory");
        return false;
    }
    if (!deterministic(&w)) return false;
    for (int64_t i = 0; i < f->n_y; i++) w.size += fabs(w.v1[i]) * fmax(fabs(w.y[i]), f->floor);
    return zero_stays_zero(&w) && absent_is_zero(&w) && linear(&w, scale) && accumulates(&w, scale);
}

bool gr__check_structure(gr__recorded *r, uint64_t seed, gr_check_report *report)
{
    r->guarded = true;
    bool fine = check_all(r, seed, report);
    r->guarded = false;
    return fine;
}
