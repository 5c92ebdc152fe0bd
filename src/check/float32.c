/* float32.c - stage S4: the gradient computed in float32 against that in float64.
 *
 *   ||g32 - g64||_2 <= 1e-5 ||g64||_2    and    max |g32 - g64| <= 1e-4 max |g64|
 *
 * at the same x and v, both exact in float32. No differences, so no tolerance for a wrong formula.
 * Where a gradient vanishes by cancellation the rounding of its terms stays: sum|v y| stands for
 * their size.
 */
/* SPDX-License-Identifier: MIT */
#include "stages.h"

#include <math.h>
#include <string.h>

typedef struct work {
    double *x, *v, *y, *wide, *narrow;
} work;

static bool make_room(gr__function *f, work *w)
{
    w->x = gr__doubles(f, f->n_x);
    w->wide = gr__doubles(f, f->n_x);
    w->narrow = gr__doubles(f, f->n_x);
    w->v = gr__doubles(f, f->n_y);
    w->y = gr__doubles(f, f->n_y);
    return w->x && w->wide && w->narrow && w->v && w->y;
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

static void compare(const gr__function *f, const work *w, gr_check_report *report)
{
    double size = 0, squares = 0, off_squares = 0, largest = 0, off = 0;
    for (int64_t i = 0; i < f->n_y; i++) size += fabs(w->v[i]) * fmax(fabs(w->y[i]), f->floor);
    for (int64_t i = 0; i < f->n_x; i++) {
        double d = fabs(w->wide[i] - w->narrow[i]);
        squares += w->wide[i] * w->wide[i];
        off_squares += d * d;
        largest = fmax(largest, fabs(w->wide[i]));
        off = isfinite(d) ? fmax(off, d) : INFINITY;
    }
    const double rounding = 1e-7 * size;
    if (off <= 1e-4 * largest + rounding && sqrt(off_squares) <= 1e-5 * sqrt(squares) + rounding)
        return;
    gr__report(report, GR_FAIL, "S4",
               "the float32 gradient is off by %.3g of %.3g (norm %.3g of %.3g)", off, largest,
               sqrt(off_squares), sqrt(squares));
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
    else if (same) compare(f, &w, report);
}
