/* forward_mode.c - stage S2: J u, in forward mode, against differences.
 *
 * The library's Jacobian-vector product is derived by transposing the VJP, so <v, J u> = <J'v, u>
 * holds whatever the VJP is, right or wrong, and proves nothing. J u against differences does: it
 * tells whether the VJP can be differentiated with respect to its cotangent.
 */
/* SPDX-License-Identifier: MIT */
#include "numeric.h"
#include "stages.h"

#include <math.h>

static bool make_room(gr__function *f, gr__probe *p)
{
    *p = (gr__probe){.f = f};
    p->u = gr__doubles(f, f->n_x);
    p->moved = gr__doubles(f, f->n_x);
    p->v = gr__doubles(f, f->n_y);
    p->y = gr__doubles(f, f->n_y);
    p->plus = gr__doubles(f, f->n_y);
    p->minus = gr__doubles(f, f->n_y);
    return p->u && p->moved && p->v && p->y && p->plus && p->minus;
}

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

/* <v, J u>, and what it may be off by at 1e-8 of its terms. */
static double along(const gr__probe *p, const double *tangent, double *scale)
{
    double a = 0, squares = 0;
    for (int64_t i = 0; i < p->f->n_y; i++) {
        a += p->v[i] * tangent[i];
        squares += p->v[i] * tangent[i] * p->v[i] * tangent[i];
    }
    *scale = sqrt(squares);
    return a;
}

/* As in S1 a failure has to show at two steps, and to exceed what rounding could have made. Kinks
 * and noise are left to S1. */
static void compare(gr__probe *p, const double *tangent, gr_check_report *report)
{
    double terms, a = along(p, tangent, &terms);
    int failures = 0;
    for (double h = 0.02; h >= 1e-9 && failures < 2; h /= 4) {
        gr__slope s;
        gr__footing footing = gr__ridders(p, h, &s);
        if (footing == GR__BROKEN) return;
        if (footing == GR__CROSSED || gr__smoothness(p, &s) != GR__SMOOTH) continue;
        double m = GR__EPS * p->size / s.h, scale = fmax(terms, fabs(s.n));
        double bound = 10 * fmax(s.e, m) + 1e-8 * scale;
        double off = fabs(a - s.n), rounding = 10 * gr__shown_rounding(p, &s) / s.h;
        if (off <= bound || bound > 1e-4 * scale) return;
        if (off <= rounding + 1e-8 * scale) continue;
        failures++;
        report->numeric = s.n;
        report->bound = bound;
        report->scale = scale;
        report->error = s.e;
        report->noise = m;
        report->h = s.h;
    }
    report->analytic = a;
    if (failures == 2)
        gr__report(report, GR_FAIL, "S2",
                   "forward mode gives %.9g, differences %.9g: as ops the backward rule is not "
                   "linear in its cotangent, or loses it",
                   a, report->numeric);
}

void gr__check_forward_mode(gr__recorded *r, uint64_t seed, gr_check_report *report)
{
    gr__probe p;
    gr__function *f = &r->f;
    double *tangent = gr__doubles(f, f->n_y);
    if (r->in_c) return;
    if (!tangent || !make_room(f, &p)) {
        gr__report(report, GR_FAIL, "S2", "out of memory");
        return;
    }
    aim(&p, gr__hash_join(seed, 0x52));
    if (f->eval(f, f->x, p.y, &p.side) && gr__learn_rounding(&p, seed) &&
        gr__recorded_jvp(r, p.u, tangent)) {
        p.size = gr__rounded_size(&p);
        compare(&p, tangent, report);
    }
    if (f->fault[0]) gr__report_fault(report, f);
}
