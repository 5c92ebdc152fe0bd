/* numeric.c - differences with an error estimate.
 *
 * Ridders, "Accurate computation of F'(x) and F'(x) F''(x)", Advances in Engineering Software 4
 * (1982): central differences at h, h/c, h/c^2, ..., extrapolated to h = 0 by Neville's scheme. The
 * change between neighbours of the table estimates the error, rounding included.
 */
/* SPDX-License-Identifier: MIT */
#include "numeric.h"

#include <math.h>

/* --- values of f along u --- */

static bool all_finite(const double *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(y[i])) return false;
    return true;
}

static bool step(gr__probe *p, double t, double *y, gr_branch *side)
{
    gr__function *f = p->f;
    for (int64_t i = 0; i < f->n_x; i++) p->moved[i] = f->x[i] + (p->u[i] != 0 ? t * p->u[i] : 0);
    return f->eval(f, p->moved, y, side);
}

static gr__footing steady_step(gr__probe *p, double t, double *y)
{
    gr_branch side;
    if (!step(p, t, y, &side)) return GR__BROKEN;
    return side.hash == p->side.hash && all_finite(y, p->f->n_y) ? GR__CLEAN : GR__CROSSED;
}

/* --- rounding --- */

/* The largest change that still counts as rounding. */
static double most_rounding(const gr__probe *p, int64_t i)
{
    return 1e-11 * fmax(fabs(p->y[i]), fmax(gr__rms(p->f->x, p->f->n_x), 1e-3));
}

/* f at x, each element changed by `by` of its size, up or down at random, at least by its last
 * bit. */
static bool nudge(gr__probe *p, uint64_t seed, double by, double *y, gr_branch *side)
{
    gr__function *f = p->f;
    for (int64_t i = 0; i < f->n_x; i++) {
        bool up = gr__random_uniform(seed, (uint64_t)i) < 0.5;
        double x = f->x[i], last = nextafter(x, up ? INFINITY : -INFINITY);
        double moved = x + (up ? by : -by) * fabs(x);
        p->moved[i] = !isfinite(x) ? x : fabs(moved - x) > fabs(last - x) ? moved : last;
    }
    return f->eval(f, p->moved, y, side);
}

/* Notes the change of each output whose value has stood still so far; returns how many stand. */
static int64_t note_changes(gr__probe *p, const gr_branch *side)
{
    int64_t still = 0;
    for (int64_t i = 0; i < p->f->n_y && side->hash == p->side.hash; i++) {
        double change = fabs(p->plus[i] - p->y[i]);
        if (change <= most_rounding(p, i)) p->like[i] = fmax(p->like[i], change / GR__EPS);
        still += change == 0;
    }
    return still;
}

/* A loss may be the small difference of large numbers and rounded like these. The last bit of x
 * changed shows it; where y then stands still, the first change that a growing step makes: a loss
 * near 0 made of numbers near 1 moves by their last bit. */
bool gr__learn_rounding(gr__probe *p, uint64_t seed)
{
    gr__function *f = p->f;
    gr_branch side;
    int64_t still = f->n_y;
    p->like = gr__doubles(f, f->n_y);
    if (!p->like) return false;
    for (int64_t i = 0; i < f->n_y; i++) p->like[i] = fmax(fabs(p->y[i]), f->floor);
    for (uint64_t k = 0; k < 3; k++) {
        if (!nudge(p, gr__hash_join(seed, k), 0, p->plus, &side)) return false;
        int64_t standing = note_changes(p, &side);
        if (standing < still) still = standing;
    }
    for (double by = 4 * GR__EPS; by < 1e-6 && still == f->n_y; by *= 4) {
        if (!nudge(p, seed, by, p->plus, &side)) return false;
        still = note_changes(p, &side);
    }
    return true;
}

double gr__rounded_size(const gr__probe *p)
{
    double size = 0;
    for (int64_t i = 0; i < p->f->n_y; i++) size += fabs(p->v[i]) * p->like[i];
    return size;
}

/* --- Ridders' table --- */

/* Differences are taken output by output before summing, where they are small and exact. */
static double difference(const gr__probe *p)
{
    long double sum = 0;
    for (int64_t i = 0; i < p->f->n_y; i++)
        sum += (long double)p->v[i] * ((long double)p->plus[i] - p->minus[i]);
    return (double)sum;
}

static double second_difference(const gr__probe *p)
{
    long double sum = 0;
    for (int64_t i = 0; i < p->f->n_y; i++)
        sum += (long double)p->v[i] *
               ((long double)p->plus[i] + p->minus[i] - 2 * (long double)p->y[i]);
    return (double)sum;
}

/* Row i of the table: `above` is row i - 1; entry j is extrapolated j times. */
static void extrapolate(double *row, const double *above, int i, double h, gr__slope *s)
{
    double power = 1;
    for (int j = 1; j <= i; j++) {
        power *= GR__FACTOR * GR__FACTOR;
        row[j] = (power * row[j - 1] - above[j - 1]) / (power - 1);
        double error = fmax(fabs(row[j] - row[j - 1]), fabs(row[j] - above[j - 1]));
        if (error > s->e) continue;
        s->n = row[j];
        s->e = error;
        s->h = h;
    }
}

/* d phi / dt at 0 from steps of at most h: ten evaluations. Where no step moves phi at all, the
 * largest says the most. */
gr__footing gr__ridders(gr__probe *p, double h, gr__slope *s)
{
    double(*table)[GR__ROWS] = s->table;
    const double first = h;
    bool moves = false;
    *s = (gr__slope){.e = INFINITY};
    for (int i = 0; i < GR__ROWS; i++, h /= GR__FACTOR) {
        gr__footing footing = steady_step(p, h, p->plus);
        if (footing == GR__CLEAN) footing = steady_step(p, -h, p->minus);
        if (footing != GR__CLEAN) return footing;
        s->step[i] = h;
        table[i][0] = difference(p) / (2 * h);
        moves |= table[i][0] != 0;
        s->second[i] = second_difference(p);
        if (i > 0) extrapolate(table[i], table[i - 1], i, h, s);
    }
    if (!moves) s->h = first;
    return GR__CLEAN;
}

/* What truncation does to the first column shrinks from row to row; what grows as the step shrinks
 * is rounding. A loss near 0 that is the small difference of numbers near 1 shows it here alone: it
 * stands still when the last bit of x changes. More than such numbers can cause is not believed. */
double gr__shown_rounding(const gr__probe *p, const gr__slope *s)
{
    double shown = 0, most = 0;
    for (int i = 0; i + 2 < GR__ROWS; i++) {
        double before = fabs(s->table[i + 1][0] - s->table[i][0]);
        double after = fabs(s->table[i + 2][0] - s->table[i + 1][0]);
        if (after > before) shown = fmax(shown, after * s->step[i + 2]);
    }
    for (int64_t i = 0; i < p->f->n_y; i++) most += fabs(p->v[i]) * fmax(1, p->like[i]);
    return fmin(shown, 4 * GR__EPS * most);
}

/* --- kinks --- */

/* Second differences fall as h^2 where phi is smooth, as h with a kink at x, otherwise when a kink
 * lies within reach. Below rounding they say nothing, which counts as smooth. */
gr__shape_of_phi gr__smoothness(const gr__probe *p, const gr__slope *s)
{
    const double rounding = 1e3 * GR__EPS * p->size;
    int rows = 0, linear = 0, square = 0;
    for (int i = 0; i + 1 < GR__ROWS && fabs(s->second[i]) > rounding; i++) {
        if (fabs(s->second[i + 1]) <= rounding) { /* gone at once: the smaller step misses it */
            if (fabs(s->second[i]) > 30 * rounding) return GR__KINK_NEAR;
            break;
        }
        double power = log(s->second[i] / s->second[i + 1]) / log(GR__FACTOR);
        rows++;
        linear += fabs(power - 1) < 0.15;
        square += fabs(power - 2) < 0.3 || fabs(power - 4) < 0.3;
    }
    if (square == rows) return GR__SMOOTH;
    return linear == rows ? GR__KINK_HERE : GR__KINK_NEAR;
}

bool gr__on_kink(gr__probe *p)
{
    const double nearest = 1e-9;
    gr_branch ahead, behind;
    if (!step(p, nearest, p->plus, &ahead) || !step(p, -nearest, p->minus, &behind)) return false;
    bool leaves = ahead.hash != p->side.hash, enters = behind.hash != p->side.hash;
    return (leaves && enters) || ((leaves || enters) && p->side.gap == 0);
}

/* A value that hardly changes when the step is halved has jumped at x. */
static bool jumps(const gr__probe *p, const double *near, const double *far)
{
    for (int64_t i = 0; i < p->f->n_y; i++) {
        double rounding = 1e3 * GR__EPS * fabs(p->y[i]);
        if (fabs(near[i] - p->y[i]) > 0.75 * fabs(far[i] - p->y[i]) + rounding) return true;
    }
    return false;
}

/* The derivative of every output towards +u (sign 1) or from -u (sign -1): two steps on one side,
 * extrapolated once. */
static gr__footing one_side(gr__probe *p, double h, int sign, double *d)
{
    gr_branch far, near;
    if (!step(p, sign * h, p->spare, &far) || !step(p, sign * h / 2, d, &near)) return GR__BROKEN;
    if (far.hash != near.hash || !all_finite(d, p->f->n_y) || !all_finite(p->spare, p->f->n_y) ||
        jumps(p, d, p->spare))
        return GR__CROSSED;
    for (int64_t i = 0; i < p->f->n_y; i++)
        d[i] = sign * (4 * (d[i] - p->y[i]) - (p->spare[i] - p->y[i])) / h;
    return GR__CLEAN;
}

gr__footing gr__one_sided(gr__probe *p, gr__interval *interval)
{
    gr__footing footing = GR__CROSSED;
    double h = 4e-4;
    while (footing == GR__CROSSED && h > 1e-9) {
        h /= 4;
        footing = one_side(p, h, 1, p->plus);
        if (footing == GR__CLEAN) footing = one_side(p, h, -1, p->minus);
    }
    if (footing != GR__CLEAN) return footing;
    double size = 0;
    *interval = (gr__interval){0, 0, 0};
    for (int64_t i = 0; i < p->f->n_y; i++) {
        double ahead = p->v[i] * p->plus[i], behind = p->v[i] * p->minus[i];
        interval->low += fmin(ahead, behind);
        interval->high += fmax(ahead, behind);
        size += fmax(fabs(ahead), fabs(behind));
    }
    interval->tolerance = 1e-6 * size + 100 * GR__EPS * p->size / h;
    return GR__CLEAN;
}

/* --- one derivative, for looking closer --- */

/* sum |v y| over the outputs that u moves: what the difference is rounded like. */
static double moved_size(const gr__probe *p)
{
    double size = 0;
    for (int64_t i = 0; i < p->f->n_y; i++)
        if (p->plus[i] != p->minus[i]) size += fabs(p->v[i]) * p->like[i];
    return size;
}

bool gr__steady_slope(gr__probe *p, double *n, double *tolerance)
{
    int tries = 0;
    *tolerance = INFINITY;
    for (double h = 0.02; h >= 1e-9 && tries < 3; h /= 4) {
        gr__slope s;
        gr__footing footing = gr__ridders(p, h, &s);
        if (footing == GR__BROKEN) return false;
        if (footing == GR__CROSSED || gr__smoothness(p, &s) != GR__SMOOTH) continue;
        double off = 10 * fmax(s.e, GR__EPS * moved_size(p) / s.h);
        if (off < *tolerance) {
            *tolerance = off;
            *n = s.n;
        }
        if (off <= 1e-7 * fabs(s.n) || off <= 1e-10 * p->size) return true;
        tries++;
    }
    return isfinite(*tolerance);
}

/* --- Taylor residuals --- */

/* The slope between the largest and the smallest step whose residual stands out of rounding. */
static double slope_of(const double *residual, int n, double h, double rounding)
{
    int last = 0;
    for (int k = 1; k < n; k++)
        if (residual[k] > rounding) last = k;
    if (last == 0 || !(residual[0] > rounding) || !isfinite(residual[0])) return NAN;
    return log(residual[0] / residual[last]) / (last * log(h));
}

void gr__taylor_slopes(gr__probe *p, double a, double slope[2])
{
    enum { STEPS = 6 };
    double first[STEPS], second[STEPS], h = 1e-3;
    slope[0] = slope[1] = NAN;
    for (int k = 0; k < STEPS; k++, h /= 2) {
        long double rise = 0;
        if (!step(p, h, p->plus, NULL)) return;
        for (int64_t i = 0; i < p->f->n_y; i++)
            rise += (long double)p->v[i] * ((long double)p->plus[i] - p->y[i]);
        first[k] = (double)fabsl(rise);
        second[k] = (double)fabsl(rise - (long double)h * a);
    }
    slope[0] = slope_of(first, STEPS, 2, 1e2 * GR__EPS * p->size);
    slope[1] = slope_of(second, STEPS, 2, 1e2 * GR__EPS * p->size);
}
