/* fitted.c - the gradient along random directions, for functions that compute in float32.
 *
 * Differences of float32 values are too noisy to extrapolate. Instead phi(t) = <v, f(x + t u)> is
 * taken at 2 * 16 points within [-h, h] and its odd part fitted by least squares,
 *
 *   (phi(t) - phi(-t)) / 2 = n t + c3 t^3 + c5 t^5 + c7 t^7
 *
 * so that rounding averages out and the residuals tell how large it is. The same fit over the inner
 * half of the points tells what the polynomial leaves out, a kink within reach included.
 *
 *   bound = 10 max(e, m) + 3e-5 s      e: error by the residuals and by the inner fit
 *                                      m = 6e-8 sum|v y| / h
 *   PASS iff |a - n| <= bound; h shrinks until bound <= 1e-4 s. If bound > 1e-3 s: FAIL where
 *   |a - n| > 3 bound, else INCONCLUSIVE
 *
 * A failure has to show at two steps. "Zero" is no verdict here: what float32 hides is too large.
 */
/* SPDX-License-Identifier: MIT */
#include "fitted.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double FIRST_STEP = 0.25, LAST_STEP = 1e-3;
static const double ROUNDING = 6e-8, GOOD = 1e-4, ENOUGH = 1e-3, GROSS = 3;
enum { POINTS = 16, TERMS = 4 };

typedef struct work {
    gr__function *f;
    double *u, *v, *g, *moved; /* direction, cotangent, vjp(v), x + t u */
    double *y, *plus, *minus;  /* f at x, x + t u, x - t u */
    double norm, size;         /* ||g o u||, sum |v y| */
} work;

typedef struct outcome {
    gr_verdict verdict;
    bool kink;
    const char *reason; /* why INCONCLUSIVE */
    double a, n, e, m, h, s, bound;
} outcome;

/* --- least squares --- */

/* Term j at t: odd powers t, t^3, t^5, ... or, for an even function, |t|, t^2, t^4, ... */
static double term(int j, double t, bool even)
{
    int power = even ? (j == 0 ? 1 : 2 * j) : 2 * j + 1;
    double value = t;
    while (--power > 0) value *= t;
    return value;
}

/* Solves the normal equations a c = b by Gauss's elimination; a is positive definite. b becomes c,
 * and the result is the first element of a's inverse. */
static double solve(double a[TERMS][TERMS], double *b, int n)
{
    double unit[TERMS] = {1};
    for (int k = 0; k < n; k++)
        for (int i = k + 1; i < n; i++) {
            double factor = a[i][k] / a[k][k];
            for (int j = k; j < n; j++) a[i][j] -= factor * a[k][j];
            b[i] -= factor * b[k];
            unit[i] -= factor * unit[k];
        }
    for (int k = n - 1; k >= 0; k--) {
        for (int j = k + 1; j < n; j++) {
            b[k] -= a[k][j] * b[j];
            unit[k] -= a[k][j] * unit[j];
        }
        b[k] /= a[k][k];
        unit[k] /= a[k][k];
    }
    return unit[0];
}

/* The coefficient of the first term in d(t), t = 1/POINTS, 2/POINTS, ..., and its standard error. */
static double fit(const double *d, int points, int terms, bool even, double *error)
{
    double a[TERMS][TERMS] = {{0}}, c[TERMS] = {0}, sum = 0;
    for (int k = 0; k < points; k++)
        for (int i = 0; i < terms; i++) {
            double left = term(i, (k + 1.0) / POINTS, even);
            c[i] += left * d[k];
            for (int j = 0; j < terms; j++) a[i][j] += left * term(j, (k + 1.0) / POINTS, even);
        }
    double inverse = solve(a, c, terms);
    for (int k = 0; k < points; k++) {
        double residual = d[k];
        for (int i = 0; i < terms; i++) residual -= c[i] * term(i, (k + 1.0) / POINTS, even);
        sum += residual * residual;
    }
    *error = sqrt(inverse * sum / (points - terms));
    return c[0];
}

/* --- one step --- */

static bool step(const work *w, double t, double *y)
{
    for (int64_t i = 0; i < w->f->n_x; i++) w->moved[i] = w->f->x[i] + t * w->u[i];
    return w->f->eval(w->f, w->moved, y, NULL);
}

/* The odd and even parts of phi at the points of step h. False: the function failed. */
static bool sample(const work *w, double h, double *odd, double *even)
{
    for (int k = 0; k < POINTS; k++) {
        double t = h * (k + 1) / POINTS;
        odd[k] = even[k] = 0;
        if (!step(w, t, w->plus) || !step(w, -t, w->minus)) return false;
        for (int64_t i = 0; i < w->f->n_y; i++) {
            odd[k] += w->v[i] * (w->plus[i] - w->minus[i]) / 2;
            even[k] += w->v[i] * (w->plus[i] + w->minus[i] - 2 * w->y[i]) / 2;
        }
    }
    return true;
}

/* A kink at x adds a multiple of |t| to the even part. */
static bool on_kink(const double *even, double h, double s)
{
    double error, slope = fit(even, POINTS, TERMS, true, &error);
    return fabs(slope) > 10 * error && fabs(slope) > ENOUGH * s * h;
}

static bool judge(const work *w, double h, outcome *r)
{
    double odd[POINTS], even[POINTS], error, inner_error;
    if (!sample(w, h, odd, even)) return false;
    double n = fit(odd, POINTS, TERMS, false, &error);
    double inner = fit(odd, POINTS / 2, TERMS - 1, false, &inner_error);
    r->h = h;
    r->n = n / h;
    r->e = fmax(error, fabs(n - inner) / 5) / h;
    r->m = ROUNDING * w->size / h;
    r->s = fmax(w->norm, fabs(r->n));
    r->bound = 10 * fmax(r->e, r->m) + 3e-5 * r->s;
    if (!isfinite(r->n) || !isfinite(r->e)) r->bound = INFINITY;
    r->kink = on_kink(even, h, r->s);
    r->reason = "float32 is too coarse here to tell";
    const double off = fabs(r->a - r->n);
    const bool fine = r->bound <= ENOUGH * r->s || r->bound == 0;
    if (off > (fine ? 1 : GROSS) * r->bound) r->verdict = GR_FAIL;
    else r->verdict = fine ? GR_PASS : GR_INCONCLUSIVE;
    return true;
}

/* --- one round --- */

/* Whether two failures at different steps agree on what the derivative is. */
static bool confirmed(const outcome *one, const outcome *two)
{
    return one->verdict == GR_FAIL && two->verdict == GR_FAIL &&
           fabs(one->n - two->n) <= one->bound + two->bound;
}

static void keep_better(outcome *best, const outcome *r)
{
    if (best->h == 0 || r->bound < best->bound) *best = *r;
}

/* Shrinks the step until the derivative is known well enough; keeps the best that was had. */
static bool settle(const work *w, outcome *best)
{
    outcome last = *best, r = *best;
    for (double h = FIRST_STEP; h >= LAST_STEP; h /= 2, last = r) {
        if (!judge(w, h, &r)) return false;
        keep_better(best, &r);
        if (r.verdict == GR_PASS && r.bound <= GOOD * r.s) return true;
        if (confirmed(&last, &r) && !r.kink) return true;
    }
    if (best->verdict == GR_FAIL) {
        best->verdict = GR_INCONCLUSIVE;
        best->reason = best->kink ? "x lies on a kink" : "the differences contradict each other";
    }
    return true;
}

static void draw_direction(const work *w, int part, uint64_t seed)
{
    gr__function *f = w->f;
    memset(w->u, 0, (size_t)f->n_x * sizeof *w->u);
    for (int p = 0; p < f->n_parts; p++) {
        const gr__part *in = &f->parts[p];
        if (part >= 0 && part != p) continue;
        double scale = fmax(gr__rms(f->x + in->first, in->n), 1e-3);
        gr__draw_signs(gr__hash_join(seed, (uint64_t)p), w->u + in->first, in->n);
        for (int64_t i = in->first; i < in->first + in->n; i++)
            w->u[i] = isfinite(f->x[i]) ? w->u[i] * scale : 0;
    }
}

static bool play(work *w, int part, uint64_t seed, outcome *r)
{
    gr__function *f = w->f;
    double along = 0, norm = 0;
    *r = (outcome){.verdict = GR_INCONCLUSIVE};
    draw_direction(w, part, gr__hash_join(seed, 1));
    gr__draw_signs(gr__hash_join(seed, 2), w->v, f->n_y);
    for (int64_t i = 0; i < f->n_y; i++) w->v[i] = (double)(float)w->v[i];
    if (!f->eval(f, f->x, w->y, NULL) || !f->vjp(f, f->x, w->v, w->g)) return false;
    w->size = 0;
    for (int64_t i = 0; i < f->n_y; i++) w->size += fabs(w->v[i] * w->y[i]);
    for (int64_t i = 0; i < f->n_x; i++) {
        along += w->u[i] != 0 ? w->g[i] * w->u[i] : 0;
        norm += w->u[i] != 0 ? w->g[i] * w->g[i] * w->u[i] * w->u[i] : 0;
    }
    r->a = along;
    w->norm = sqrt(norm);
    return settle(w, r);
}

/* --- rounds --- */

static void report_round(const outcome *r, const char *stage, gr_check_report *report)
{
    gr_check_report one = {.verdict = GR_PASS};
    double off = fabs(r->a - r->n);
    one.analytic = r->a, one.numeric = r->n, one.bound = r->bound, one.scale = r->s;
    one.noise = r->m, one.error = r->e, one.h = r->h;
    one.kink = r->kink && r->verdict == GR_INCONCLUSIVE;
    one.worst = r->s > 0 && r->verdict != GR_INCONCLUSIVE ? off / r->s : 0;
    if (r->verdict == GR_INCONCLUSIVE)
        gr__report(&one, r->verdict, stage,
                   "%s (analytic %.6g, numeric %.6g, bound %.2g); try its double version",
                   r->reason, r->a, r->n, r->bound);
    else
        gr__report(&one, r->verdict, stage,
                   "%sanalytic %.6g, numeric %.6g, difference %.2g, allowed %.2g in float32",
                   r->verdict == GR_PASS ? "worst round: " : "", r->a, r->n, off, r->bound);
    gr__report_merge(report, &one, "%s", "");
}

/* All rounds over one part (-1: over all). False: the function failed. */
static bool rounds(work *w, int part, const char *stage, gr_check_options o,
                   gr_check_report *report)
{
    const int n = o.rounds > 0 ? o.rounds : 4;
    for (int k = 0; k < n; k++) {
        outcome r;
        uint64_t seed = gr__hash_join(gr__hash_join(o.seed, (uint64_t)(part + 1)), (uint64_t)k);
        if (!play(w, part, seed, &r)) {
            gr__report_fault(report, w->f);
            return false;
        }
        report_round(&r, stage, report);
    }
    if (part < 0) return true;
    memcpy(report->input, w->f->parts[part].name, sizeof report->input);
    report->shape = w->f->parts[part].shape;
    return true;
}

static bool make_work(gr__function *f, work *w)
{
    double **inputs[] = {&w->u, &w->g, &w->moved},
           **outputs[] = {&w->v, &w->y, &w->plus, &w->minus};
    *w = (work){.f = f};
    for (int i = 0; i < 3; i++)
        if (!(*inputs[i] = gr__doubles(f, f->n_x))) return false;
    for (int i = 0; i < 4; i++)
        if (!(*outputs[i] = gr__doubles(f, f->n_y))) return false;
    return true;
}

void gr__check_fitted(gr__function *f, const char *stage, gr_check_options o,
                      gr_check_report *report)
{
    work w;
    gr_check_report joint = {.verdict = GR_PASS}, parts = {.verdict = GR_PASS};
    if (f->n_x == 0 || f->n_y == 0) return;
    if (!make_work(f, &w)) {
        gr__report(report, GR_FAIL, stage, "out of memory");
        return;
    }
    bool fine = o.separate || rounds(&w, -1, stage, o, &joint);
    bool apart = fine && (o.separate || joint.verdict != GR_PASS);
    for (int p = 0; apart && fine && p < f->n_parts; p++) {
        gr_check_report one = {.verdict = GR_PASS};
        if (f->parts[p].n) fine = rounds(&w, p, stage, o, &one);
        gr__report_merge(&parts, &one, "%s", one.input);
    }
    bool stands = joint.verdict == GR_FAIL && parts.verdict != GR_FAIL;
    const gr_check_report *whole = apart && !stands ? &parts : &joint;
    gr__report_merge(report, whole, "%s", "");
}
