/* raw_structure.c - stage S0 of a forward and backward pair; raw.c watches each call of it. */
/* SPDX-License-Identifier: MIT */
#include "raw.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct work {
    gr__raw *r;
    gr__function *f;
    gr_check_report *report;
    double *y, *y2, *v1, *v2, *both;
    double *g1, *g2, *dx, *want;
    double size; /* sum |v1 y| */
} work;

static bool make_work(work *w, uint64_t seed)
{
    gr__function *f = w->f;
    double **outputs[] = {&w->y, &w->y2, &w->v1, &w->v2, &w->both};
    double **inputs[] = {&w->g1, &w->g2, &w->dx, &w->want};
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
    gr__report_fault(w->report, w->f);
    return false;
}

/* The input that element i of x belongs to; *i becomes the index there. Its name is reported. */
static const char *place(const work *w, int64_t *i)
{
    const gr__part *p = w->f->parts;
    while (*i >= p->first + p->n) p++;
    *i -= p->first;
    memcpy(w->report->input, p->name, sizeof w->report->input);
    return p->name;
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

/* --- S0a: twice the same, whatever lies around the arrays --- */

/* Two runs differ, under different canaries: does it go back with the canaries? */
static bool blame(const work *w, const char *function, bool returns, const char *what, int64_t i,
                  double first, double second)
{
    if (returns)
        gr__report(w->report, GR_FAIL, "S0e",
                   "%s reads outside its arrays: element %lld of %s is %.9g or %.9g, depending on "
                   "what lies there",
                   function, (long long)i, what, first, second);
    else
        gr__report(w->report, GR_FAIL, "S0a",
                   "%s is not deterministic: element %lld of %s is %.17g, then %.17g", function,
                   (long long)i, what, first, second);
    return false;
}

static bool forward_repeats(const work *w)
{
    gr__function *f = w->f;
    if (!f->eval(f, f->x, w->y, NULL)) return broken(w);
    w->r->other_canary = true;
    bool fine = f->eval(f, f->x, w->y2, NULL);
    w->r->other_canary = false;
    if (!fine) return broken(w);
    int64_t i = first_unlike(w->y, w->y2, f->n_y);
    if (i < 0) return true;
    if (!f->eval(f, f->x, w->both, NULL)) return broken(w);
    return blame(w, "forward", first_unlike(w->y, w->both, f->n_y) < 0, "y", i, w->y[i], w->y2[i]);
}

static bool backward_repeats(const work *w)
{
    gr__function *f = w->f;
    if (!f->vjp(f, f->x, w->v1, w->g1)) return broken(w);
    w->r->other_canary = true;
    bool fine = f->vjp(f, f->x, w->v1, w->g2);
    w->r->other_canary = false;
    if (!fine) return broken(w);
    int64_t i = first_unlike(w->g1, w->g2, f->n_x), index = i;
    if (i < 0) return true;
    if (!f->vjp(f, f->x, w->v1, w->dx)) return broken(w);
    const char *name = place(w, &index);
    char what[96];
    snprintf(what, sizeof what, "the gradient of %s", name);
    return blame(w, "backward", first_unlike(w->g1, w->dx, f->n_x) < 0, what, index, w->g1[i],
                 w->g2[i]);
}

static bool all_finite(const work *w)
{
    int64_t i = first_not_finite(w->y, w->f->n_y);
    if (i >= 0) {
        gr__report(w->report, GR_FAIL, "S1", "forward gives %g in element %lld of y", w->y[i],
                   (long long)i);
        return false;
    }
    i = first_not_finite(w->g1, w->f->n_x);
    if (i < 0) return true;
    const double value = w->g1[i];
    const char *name = place(w, &i);
    gr__report(w->report, GR_FAIL, "S1", "backward gives %g in element %lld of the gradient of %s",
               value, (long long)i, name);
    return false;
}

/* --- S0b, c, d: zero, sums, accumulation --- */

static bool zero_stays_zero(const work *w)
{
    gr__function *f = w->f;
    memset(w->both, 0, (size_t)f->n_y * sizeof(double));
    if (!f->vjp(f, f->x, w->both, w->dx)) return broken(w);
    for (int64_t i = 0; i < f->n_x; i++) {
        if (w->dx[i] == 0) continue;
        const double value = w->dx[i];
        const char *name = place(w, &i);
        gr__report(w->report, GR_FAIL, "S0b",
                   "a zero dy gives %g, not 0, in element %lld of the gradient of %s: dy is "
                   "ignored, or multiplied by what is not finite",
                   value, (long long)i, name);
        return false;
    }
    return true;
}

/* Whether dx = want, to the rounding of terms as large as `scale`. */
static bool close_by_parts(const work *w, const double *scale, const char *stage, const char *what)
{
    const gr__function *f = w->f;
    const double relative = f->single ? 1e-4 : 1e-12, absolute = f->single ? 1e-5 : 1e-13;
    for (int p = 0; p < f->n_parts; p++) {
        const gr__part *in = &f->parts[p];
        double rms = fmax(gr__rms(f->x + in->first, in->n), 1e-3);
        double allowed = relative * scale[p] + absolute * w->size / rms;
        for (int64_t i = in->first; i < in->first + in->n; i++) w->want[i] -= w->dx[i];
        double off = gr__norm(w->want + in->first, in->n);
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
    const double a = 0.75, b = -1.375; /* exact in float32 */
    gr__function *f = w->f;
    if (!f->vjp(f, f->x, w->v2, w->g2)) return broken(w);
    for (int64_t i = 0; i < f->n_y; i++) w->both[i] = a * w->v1[i] + b * w->v2[i];
    if (!f->vjp(f, f->x, w->both, w->dx)) return broken(w);
    for (int64_t i = 0; i < f->n_x; i++) w->want[i] = a * w->g1[i] + b * w->g2[i];
    for (int p = 0; p < f->n_parts; p++) {
        const gr__part *in = &f->parts[p];
        scale[p] = fabs(a) * gr__norm(w->g1 + in->first, in->n) +
                   fabs(b) * gr__norm(w->g2 + in->first, in->n);
    }
    return close_by_parts(w, scale, "S0c", "backward is not linear in dy");
}

/* With other numbers in dx to start with. */
static bool accumulates(const work *w, double *scale)
{
    gr__function *f = w->f;
    if (!w->r->user->adds) return true;
    w->r->start = 0.75;
    bool fine = f->vjp(f, f->x, w->v1, w->dx);
    w->r->start = 0;
    if (!fine) return broken(w);
    memcpy(w->want, w->g1, (size_t)f->n_x * sizeof(double));
    for (int p = 0; p < f->n_parts; p++) {
        const gr__part *in = &f->parts[p];
        scale[p] = gr__norm(w->g1 + in->first, in->n) + 0.75 * sqrt((double)in->n);
    }
    return close_by_parts(w, scale, "S0d", "backward does not add to what dx holds");
}

bool gr__check_raw_structure(gr__raw *r, uint64_t seed, gr_check_report *report)
{
    work w = {.r = r, .f = &r->f, .report = report};
    double *scale = gr__doubles(w.f, w.f->n_parts);
    if (!scale || !make_work(&w, seed)) {
        gr__report(report, GR_FAIL, "S0", "out of memory");
        return false;
    }
    if (!forward_repeats(&w) || !backward_repeats(&w) || !all_finite(&w)) return false;
    for (int64_t i = 0; i < w.f->n_y; i++) w.size += fabs(w.v1[i] * w.y[i]);
    return zero_stays_zero(&w) && linear(&w, scale) && accumulates(&w, scale);
}
