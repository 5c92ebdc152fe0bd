/* study.c - how far differences are off at each step, and the Taylor residuals.
 *
 * With phi(h) = phi(0) + h phi' + h^2/2 phi'' + ... and values rounded to eps:
 *
 *   forward   (phi(h) - phi(0)) / h     off by  h |phi''| / 2      + eps |phi| / h
 *   central   (phi(h) - phi(-h)) / 2h   off by  h^2 |phi'''| / 6   + eps |phi| / h
 *   Ridders   five of them extrapolated off by  O(h^10)            + eps |phi| / h
 *
 * so the best step is about eps^(1/2), eps^(1/3) and eps^(1/11), and the best error its power.
 */
/* SPDX-License-Identifier: MIT */
#include "study.h"

#include <math.h>
#include <stdio.h>

/* --- one random direction --- */

static bool make_room(gr__probe *p, gr__function *f)
{
    *p = (gr__probe){.f = f};
    p->u = gr__doubles(f, f->n_x);
    p->moved = gr__doubles(f, f->n_x);
    p->v = gr__doubles(f, f->n_y);
    p->y = gr__doubles(f, f->n_y);
    p->plus = gr__doubles(f, f->n_y);
    p->minus = gr__doubles(f, f->n_y);
    if (p->u && p->moved && p->v && p->y && p->plus && p->minus) return true;
    snprintf(f->fault, sizeof f->fault, "out of memory");
    return false;
}

/* Each input moves in proportion to its size. */
static void aim(gr__probe *p, uint64_t seed)
{
    const gr__function *f = p->f;
    gr__draw_signs(gr__hash_join(seed, 1), p->u, f->n_x);
    gr__draw_signs(gr__hash_join(seed, 2), p->v, f->n_y);
    for (int k = 0; k < f->n_parts; k++) {
        const gr__part *part = &f->parts[k];
        const double *x = f->x + part->first, size = fmax(gr__rms(x, part->n), 1e-3);
        for (int64_t i = 0; i < part->n; i++) p->u[part->first + i] *= isfinite(x[i]) ? size : 0;
    }
}

/* a and the scale of errors; where the gradient vanishes, phi's own size is the scale. */
static bool differentiate(gr__study *s, gr__probe *p)
{
    gr__function *f = p->f;
    double *g = gr__doubles(f, f->n_x), squares = 0;
    if (!g || !f->vjp(f, f->x, p->v, g) || !f->eval(f, f->x, p->y, &p->side)) return false;
    for (int64_t i = 0; i < f->n_x; i++) {
        if (p->u[i] == 0) continue;
        s->a += g[i] * p->u[i];
        squares += g[i] * p->u[i] * g[i] * p->u[i];
    }
    for (int64_t i = 0; i < f->n_y; i++) p->size += fabs(p->v[i] * p->y[i]);
    s->scale = fmax(fabs(s->a), sqrt(squares));
    if (!(s->scale > 0)) s->scale = p->size > 0 ? p->size : 1;
    return true;
}

/* --- one step --- */

static bool step(gr__probe *p, double t, double *y, gr_branch *side)
{
    gr__function *f = p->f;
    for (int64_t i = 0; i < f->n_x; i++) p->moved[i] = f->x[i] + (p->u[i] != 0 ? t * p->u[i] : 0);
    return f->eval(f, p->moved, y, side);
}

/* <v, to - from>, differences first: they are small and exact. */
static double change(const gr__probe *p, const double *to, const double *from)
{
    long double sum = 0;
    for (int64_t i = 0; i < p->f->n_y; i++)
        sum += (long double)p->v[i] * ((long double)to[i] - from[i]);
    return (double)sum;
}

static double error_of(const gr__study *s, double n)
{
    return fmax(fabs(n - s->a) / s->scale, GR__EXACT);
}

static bool measure(gr__study *s, gr__probe *p, int i)
{
    const double h = s->h[i];
    gr_branch ahead, behind;
    gr__slope slope;
    if (!step(p, h, p->plus, &ahead) || !step(p, -h, p->minus, &behind)) return false;
    bool crosses = ahead.hash != p->side.hash || behind.hash != p->side.hash;
    if (crosses && s->kink == 0) s->kink = h;
    double rise = change(p, p->plus, p->y);
    s->forward[i] = error_of(s, rise / h);
    s->central[i] = error_of(s, change(p, p->plus, p->minus) / (2 * h));
    s->rounding[i] = GR__EPS * p->size / h / s->scale;
    s->first[i] = fabs(rise);
    s->second[i] = fabs(rise - h * s->a);
    gr__footing footing = gr__ridders(p, h, &slope);
    s->ridders[i] = footing == GR__CLEAN ? error_of(s, slope.n) : NAN;
    return footing != GR__BROKEN;
}

/* --- slopes --- */

/* Least squares of log y over log h, where h is small and y well above the rounding of phi. */
static double fit(const gr__study *s, const double *y, double floor)
{
    const double *h = s->h, far = s->kink > 0 ? fmin(0.02, 0.99 * s->kink) : 0.02;
    double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
    for (int i = 0; i < GR__STEPS; i++) {
        if (!(h[i] <= far && y[i] > floor && isfinite(y[i]))) continue;
        double lx = log(h[i]), ly = log(y[i]);
        n++;
        sx += lx;
        sy += ly;
        sxx += lx * lx;
        sxy += lx * ly;
    }
    return n >= 4 ? (n * sxy - sx * sy) / (n * sxx - sx * sx) : NAN;
}

bool gr__study_run(gr__study *s, gr__function *f, uint64_t seed)
{
    gr__probe p;
    *s = (gr__study){.a = 0};
    if (!make_room(&p, f)) return false;
    aim(&p, seed);
    if (!differentiate(s, &p)) return false;
    for (int i = 0; i < GR__STEPS; i++) {
        s->h[i] = pow(10, (i - GR__STEPS + 1) / 6.0);
        if (!measure(s, &p, i)) return false;
    }
    s->slope[0] = fit(s, s->first, 1e3 * GR__EPS * p.size);
    s->slope[1] = fit(s, s->second, 1e3 * GR__EPS * p.size);
    return true;
}
