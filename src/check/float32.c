/* float32.c - stage S4: the gradient computed in float32 against that in float64.
 *
 *   ||g32 - g64||_2 <= 1e-5 ||g64||_2    and    max |g32 - g64| <= 1e-4 max |g64|
 *
 * at the same x and v, both exact in float32. No differences, so no tolerance for a wrong formula.
 * Where a gradient vanishes by cancellation the rounding of its terms stays. The float64 gradient
 * shows how large it is: its own changes when x moves by a few units in the last place, taken 2^29
 * times, as a unit of float32 is 2^29 of float64.
 */
/* SPDX-License-Identifier: MIT */
#include "stages.h"

#include <float.h>
#include <math.h>
#include <string.h>

typedef struct work {
    double *x, *v, *y, *wide, *narrow, *moved, *near;
} work;

static bool make_room(gr__function *f, work *w)
{
    w->x = gr__doubles(f, f->n_x);
    w->wide = gr__doubles(f, f->n_x);
    w->narrow = gr__doubles(f, f->n_x);
    w->moved = gr__doubles(f, f->n_x);
    w->near = gr__doubles(f, f->n_x);
    w->v = gr__doubles(f, f->n_y);
    w->y = gr__doubles(f, f->n_y);
    return w->x && w->wide && w->narrow && w->moved && w->near && w->v && w->y;
}

/* False: the function failed. *same: x is on the same side of every kink in both. */
static bool differentiate(gr__recorded *r, const work *w, bool *same)
{
    gr__function *f = &r->f;
    gr_branch wide, narrow;
    bool fine = f->eval(f, w->x, w->y, &wide) && f->vjp(f, w->x, w->v, w->wide);
    r->real = GR_F32;
    fine = fine && f->eval(f, w->x, w->y, &narrow) && f->vjp(f, w->x, w->v, w->narrow);
    r->real = GR_F64;
    *same = fine && wide.hash == narrow.hash;
    return fine;
}

/* The largest change of any element of the gradient when x moves by up to 4 units in the last place,
 * over draws that stay on the same side of every kink. w->moved and w->near are scratch. */
static double learn_rounding(gr__function *f, uint64_t seed, const work *w)
{
    enum { DRAWS = 16, UNITS = 4 };
    gr_branch here, there;
    double most = 0;
    if (!f->eval(f, w->x, w->y, &here)) return 0;
    for (int k = 0; k < DRAWS; k++) {
        const uint64_t draw = gr__hash_join(seed, (uint64_t)k);
        for (int64_t i = 0; i < f->n_x; i++) {
            double units = UNITS * (2 * gr__random_uniform(draw, (uint64_t)i) - 1);
            w->moved[i] = w->x[i] * (1 + round(units) * DBL_EPSILON);
        }
        if (!f->eval(f, w->moved, w->y, &there) || there.hash != here.hash) continue;
        if (!f->vjp(f, w->moved, w->v, w->near)) continue;
        for (int64_t i = 0; i < f->n_x; i++) most = fmax(most, fabs(w->near[i] - w->wide[i]));
    }
    return most;
}

/* How the two gradients differ. */
typedef struct difference {
    double squares, off_squares; /* of ||g64||_2 and of ||g32 - g64||_2 */
    double largest, off;         /* max |g64| and max |g32 - g64| */
} difference;

static difference measure(const gr__function *f, const work *w)
{
    difference d = {0};
    for (int64_t i = 0; i < f->n_x; i++) {
        double off = fabs(w->wide[i] - w->narrow[i]);
        d.squares += w->wide[i] * w->wide[i];
        d.off_squares += off * off;
        d.largest = fmax(d.largest, fabs(w->wide[i]));
        d.off = isfinite(off) ? fmax(d.off, off) : INFINITY;
    }
    return d;
}

/* rounding: of one element. */
static bool close_enough(const difference *d, int64_t n, double rounding)
{
    return d->off <= 1e-4 * d->largest + rounding &&
           sqrt(d->off_squares) <= 1e-5 * sqrt(d->squares) + rounding * sqrt((double)n);
}

static void compare(gr__function *f, uint64_t seed, const work *w, gr_check_report *report)
{
    const double unit = 4 * (double)FLT_EPSILON / DBL_EPSILON; /* 4: sums are in another order */
    const difference d = measure(f, w);
    double size = 0;
    for (int64_t i = 0; i < f->n_y; i++) size += fabs(w->v[i]) * fmax(fabs(w->y[i]), f->floor);
    if (close_enough(&d, f->n_x, FLT_EPSILON * size) ||
        close_enough(&d, f->n_x, unit * learn_rounding(f, seed, w)))
        return;
    gr__report(report, GR_FAIL, "S4",
               "the float32 gradient is off by %.3g of %.3g (norm %.3g of %.3g)", d.off, d.largest,
               sqrt(d.off_squares), sqrt(d.squares));
}

void gr__check_float32(gr__recorded *r, uint64_t seed, gr_check_report *report)
{
    work w;
    gr__function *f = &r->f;
    bool same;
    if (!make_room(f, &w)) {
        gr__report(report, GR_FAIL, "S4", "out of memory");
        return;
    }
    gr__draw_signs(gr__hash_join(seed, 4), w.v, f->n_y);
    for (int64_t i = 0; i < f->n_y; i++) w.v[i] = (double)(float)w.v[i];
    for (int64_t i = 0; i < f->n_x; i++) w.x[i] = (double)(float)f->x[i];
    if (!differentiate(r, &w, &same)) gr__report_fault(report, f);
    else if (same) compare(f, seed, &w, report);
}
