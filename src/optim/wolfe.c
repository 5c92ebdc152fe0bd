/* wolfe.c - a search along a line for a point that meets the strong Wolfe conditions.
 *
 *   f(t) <= f(0) + c1 t f'(0)      it went down enough,   c1 = 1e-4
 *   |f'(t)| <= c2 |f'(0)|          and is nearly flat,    c2 = 0.9
 *
 * First steps grow until two points enclose such a one, then the interval shrinks around it; each new
 * point is the minimum of the cubic through two values and slopes. Nocedal, Wright: Numerical
 * optimization, 2006, algorithms 3.5 and 3.6, with the safeguards of PyTorch's LBFGS.
 */
/* SPDX-License-Identifier: MIT */
#include "lbfgs.h"

#include <math.h>
#include <string.h>

enum { MOST_EVALUATIONS = 25 };

static double within(double x, double low, double high)
{
    double above = x > low ? x : low;
    return above < high ? above : high;
}

/* Where the cubic through both points has its minimum, kept in [low, high]. */
static double cubic_minimum(const gr__point *p, const gr__point *q, double low, double high)
{
    double theta = p->slope + q->slope - 3 * (p->f - q->f) / (p->t - q->t);
    double square = theta * theta - p->slope * q->slope;
    if (!(square >= 0)) return (low + high) / 2;
    const gr__point *left = p->t <= q->t ? p : q, *right = left == p ? q : p;
    double root = sqrt(square), bend = right->slope - left->slope + 2 * root;
    double t = right->t - (right->t - left->t) * ((right->slope + root - theta) / bend);
    return within(t, low, high);
}

typedef struct line {
    gr__search *search;
    double f0, slope0;
    int evaluations;
} line;

static bool too_high(const line *l, const gr__point *p)
{
    return p->f > l->f0 + 1e-4 * p->t * l->slope0;
}

static bool flat(const line *l, const gr__point *p)
{
    return fabs(p->slope) <= -0.9 * l->slope0;
}

static gr_status go_to(line *l, double t, gr__point *p)
{
    l->evaluations++;
    return gr__lbfgs_evaluate(l->search, t, p);
}

static void swap(gr__point *p, gr__point *q)
{
    gr__point held = *p;
    *p = *q;
    *q = held;
}

/* Steps forward until a good point lies between *p and *q, or *q is one (*found). */
static gr_status enclose(line *l, gr__point *p, gr__point *q, bool *found)
{
    gr_status status = go_to(l, q->t, q);
    for (int i = 0; !status && i < MOST_EVALUATIONS; i++) {
        if (too_high(l, q) || (i > 1 && q->f >= p->f)) return GR_OK;
        *found = flat(l, q);
        if (*found || q->slope >= 0) return GR_OK;
        double t = cubic_minimum(p, q, q->t + 0.01 * (q->t - p->t), 10 * q->t);
        swap(p, q);
        status = go_to(l, t, q);
    }
    return status;
}

/* A point too near an end of the interval is moved inwards, if that comes twice or lies outside. */
static double keep_inside(double t, double low, double high, bool *stuck)
{
    double margin = 0.1 * (high - low);
    bool near = fmin(high - t, t - low) < margin, move = near && (*stuck || t >= high || t <= low);
    *stuck = near && !move;
    if (!move) return t;
    return fabs(t - high) < fabs(t - low) ? high - margin : low + margin;
}

/* Shrinks the interval between *low, the lower of the two, and *high, until *low is a good point or
 * the interval is too small; *spare gets the points on the way. */
static gr_status shrink(line *l, gr__point *low, gr__point *high, gr__point *spare)
{
    const gr__lbfgs *b = l->search->opt->lbfgs;
    double size = gr__lbfgs_largest(b, b->d);
    bool stuck = false;
    while (l->evaluations <= MOST_EVALUATIONS) {
        double from = fmin(low->t, high->t), to = fmax(low->t, high->t);
        if ((to - from) * size < 1e-9) return GR_OK;
        double t = keep_inside(cubic_minimum(low, high, from, to), from, to, &stuck);
        gr_status status = go_to(l, t, spare);
        if (status) return status;
        if (too_high(l, spare) || spare->f >= low->f) {
            swap(high, spare);
            if (high->f < low->f) swap(low, high);
            continue;
        }
        bool done = flat(l, spare);
        if (!done && spare->slope * (high->t - low->t) >= 0) swap(high, low);
        swap(low, spare);
        if (done) return GR_OK;
    }
    return GR_OK;
}

gr_status gr__strong_wolfe(gr__search *s, double *f, double slope)
{
    gr__lbfgs *b = s->opt->lbfgs;
    size_t bytes = (size_t)b->n * sizeof(double);
    line l = {s, *f, slope, 0};
    gr__point start = {0, *f, slope, b->g[0]}, p = {0, *f, slope, b->g[1]};
    gr__point q = {.t = b->now.t, .g = b->g[2]}, spare = {.g = b->g[3]};
    bool found = false;
    memcpy(p.g, start.g, bytes);
    gr_status status = enclose(&l, &p, &q, &found);
    if (status) return status;
    if (l.evaluations > MOST_EVALUATIONS) {
        if (start.f <= q.f) q = start; /* nothing was found: whichever is lower */
        found = true;
    }
    if (!found) {
        if (p.f <= q.f) swap(&p, &q);
        status = shrink(&l, &q, &p, &spare);
        if (status) return status;
    }
    b->now.t = q.t;
    *f = q.f;
    if (q.g != start.g) memcpy(start.g, q.g, bytes);
    return GR_OK;
}
