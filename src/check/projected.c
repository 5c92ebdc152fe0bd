/* projected.c - the gradient along random directions against differences.
 *
 * A round draws a cotangent v and a direction u and compares a = <vjp(v), u> with the derivative n
 * of phi(t) = <v, f(x + t u)>. Its verdict:
 *
 *   bound = 10 max(e, m) + 1e-8 s      e: Ridders' error estimate; m = 2.2e-16 sum|v y| / h: noise
 *   s = max(||g o u||_2, |n|)          g = vjp(v)
 *   PASS iff |a - n| <= bound, INCONCLUSIVE if bound > 1e-4 s
 *
 * and before that "zero" where both vanish within the rounding of phi. A difference above the bound
 * that the rounding seen in the table could have made is INCONCLUSIVE too: it proves nothing.
 */
/* SPDX-License-Identifier: MIT */
#include "projected.h"
#include "evidence.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double FIRST_STEP = 0.02, LAST_STEP = 1e-9;
enum { RETRIES = 4, CONFIRMATIONS = 2, MOST_ROUNDS = 64 };

typedef struct work {
    gr__probe probe;
    double *g;       /* vjp(v) */
    double norm;     /* ||g o u|| */
    char owner[128]; /* of a kink in the way */
    double ratio;    /* analytic / numeric, where all rounds agree on it; else NaN */
} work;

typedef struct outcome {
    gr_verdict verdict;
    bool zero, kink;
    const char *reason; /* why INCONCLUSIVE */
    double a, n, e, m, h, s, bound;
    gr__slope slope;
    int round; /* counted from 1 */
} outcome;

/* --- one pair of numbers --- */

static bool both_vanish(const outcome *r, double size)
{
    double e = fmax(r->e, r->m);
    return r->m <= 1e-12 * size && fabs(r->a) <= 10 * r->m && fabs(r->n) <= 10 * e &&
           10 * e <= 1e-10 * size;
}

static void judge(const work *w, const gr__slope *slope, outcome *r)
{
    r->slope = *slope;
    r->n = slope->n;
    r->e = slope->e;
    r->h = slope->h;
    r->m = GR__EPS * w->probe.size / r->h;
    r->s = fmax(w->norm, fabs(r->n));
    r->zero = both_vanish(r, w->probe.size);
    r->bound = 10 * fmax(r->e, r->m) + 1e-8 * r->s;
    const double off = fabs(r->a - r->n);
    const double seen = 10 * gr__shown_rounding(&w->probe, slope) / r->h + 1e-8 * r->s;
    if (r->zero) r->verdict = GR_PASS;
    else if (!(r->bound <= 1e-4 * r->s)) r->verdict = GR_INCONCLUSIVE;
    else if (off <= r->bound) r->verdict = GR_PASS;
    else r->verdict = off <= seen ? GR_INCONCLUSIVE : GR_FAIL;
}

/* --- exactly on a kink --- */

static double along(const work *w)
{
    long double sum = 0;
    for (int64_t i = 0; i < w->probe.f->n_x; i++)
        if (w->probe.u[i] != 0) sum += (long double)w->g[i] * w->probe.u[i];
    return (double)sum;
}

/* INCONCLUSIVE where the one-sided derivatives cannot be had. */
static gr_verdict within_sides(work *w, outcome *r)
{
    gr__interval sides;
    if (gr__one_sided(&w->probe, &sides) != GR__CLEAN) return GR_INCONCLUSIVE;
    r->a = along(w);
    r->n = fmin(fmax(r->a, sides.low), sides.high);
    r->bound = sides.tolerance;
    r->s = fmax(fabs(sides.low), fabs(sides.high));
    return fabs(r->a - r->n) <= sides.tolerance ? GR_PASS : GR_FAIL;
}

/* Any value within the one-sided derivatives will do. Outside them a single op is wrong; where
 * several ops have a kink at x, each chose its own side and their sum proves nothing. */
static void settle_on_kink(work *w, outcome *r)
{
    r->kink = true;
    r->reason = "x lies on kinks that cannot be told apart";
    r->verdict = within_sides(w, r);
    if (r->verdict == GR_FAIL && !w->probe.f->one_op) r->verdict = GR_INCONCLUSIVE;
}

/* --- one round --- */

typedef enum ending { DECIDED, NOISY, KINK_HERE, KINK_NEAR, BROKEN } ending;

/* Steps shrink until no kink is in reach and the error is small. A failure has to be gross or to
 * show at two steps. */
static ending approach(work *w, outcome *r)
{
    int retries = 0, failures = 0;
    for (double h = FIRST_STEP; h >= LAST_STEP; h /= 4) {
        gr__slope slope;
        gr__footing footing = gr__ridders(&w->probe, h, &slope);
        if (footing == GR__BROKEN) return BROKEN;
        if (footing == GR__CROSSED) continue;
        judge(w, &slope, r);
        if (r->verdict == GR_PASS) return DECIDED;
        gr__shape_of_phi shape = gr__smoothness(&w->probe, &slope);
        if (shape == GR__KINK_HERE) return KINK_HERE;
        if (shape == GR__KINK_NEAR) continue;
        if (r->verdict == GR_INCONCLUSIVE && retries++ == RETRIES) return NOISY;
        bool gross = fabs(r->a - r->n) > 1e-3 * r->s;
        if (r->verdict == GR_FAIL && (gross || ++failures == CONFIRMATIONS)) return DECIDED;
    }
    return KINK_NEAR;
}

/* Whose kink is the first along u, or against it. */
static void find_owner(work *w)
{
    gr__probe *p = &w->probe;
    gr__function *f = p->f;
    if (!f->blame_kink || w->owner[0]) return;
    for (double t = LAST_STEP / 4; t <= FIRST_STEP && !w->owner[0] && !f->fault[0]; t *= 8)
        for (int sign = 1; sign >= -1 && !w->owner[0]; sign -= 2) {
            for (int64_t i = 0; i < f->n_x; i++)
                p->moved[i] = f->x[i] + (p->u[i] != 0 ? sign * t * p->u[i] : 0);
            f->blame_kink(f, p->moved, w->owner, sizeof w->owner);
        }
}

/* False: the function failed. */
static bool settle(work *w, outcome *r)
{
    ending end = approach(w, r);
    if (end == DECIDED) return true;
    if (end == KINK_HERE || (end == KINK_NEAR && gr__on_kink(&w->probe))) {
        settle_on_kink(w, r);
    } else {
        r->verdict = GR_INCONCLUSIVE;
        r->reason = end == NOISY ? "differences are too noisy here to tell"
                                 : "a kink or a value that is not finite lies within 1e-9 of x";
    }
    if (end == KINK_HERE || end == KINK_NEAR) find_owner(w);
    return !w->probe.f->fault[0];
}

/* u moves the elements of one part, or all (part -1); those that are not finite stay. */
static void draw_direction(work *w, int part, uint64_t seed)
{
    gr__function *f = w->probe.f;
    memset(w->probe.u, 0, (size_t)f->n_x * sizeof(double));
    for (int p = 0; p < f->n_parts; p++) {
        const gr__part *in = &f->parts[p];
        if (part >= 0 && part != p) continue;
        double *u = w->probe.u + in->first, *x = f->x + in->first;
        double scale = fmax(gr__rms(x, in->n), 1e-3);
        gr__draw_signs(gr__hash_join(seed, (uint64_t)p), u, in->n);
        for (int64_t i = 0; i < in->n; i++) u[i] = isfinite(x[i]) ? u[i] * scale : 0;
    }
}

static void measure(work *w)
{
    const gr__function *f = w->probe.f;
    w->probe.size = gr__rounded_size(&w->probe);
    w->norm = 0;
    for (int64_t i = 0; i < f->n_x; i++)
        if (w->probe.u[i] != 0) w->norm += w->g[i] * w->g[i] * w->probe.u[i] * w->probe.u[i];
    w->norm = sqrt(w->norm);
}

static bool play(work *w, int part, uint64_t seed, outcome *r)
{
    gr__function *f = w->probe.f;
    *r = (outcome){.verdict = GR_INCONCLUSIVE};
    draw_direction(w, part, gr__hash_join(seed, 1));
    gr__draw_signs(gr__hash_join(seed, 2), w->probe.v, f->n_y);
    if (!f->vjp(f, f->x, w->probe.v, w->g)) return false;
    measure(w);
    r->a = along(w);
    return settle(w, r);
}

/* --- rounds --- */

static void record_numbers(gr_check_report *report, const outcome *r)
{
    report->analytic = r->a;
    report->numeric = r->n;
    report->bound = r->bound;
    report->scale = r->s;
    report->noise = r->m;
    report->error = r->e;
    report->h = r->h;
    report->round = r->round;
    report->rows = r->h > 0 ? GR__ROWS : 0;
    memcpy(report->step, r->slope.step, sizeof report->step);
    memcpy(report->table, r->slope.table, sizeof report->table);
    report->kink |= r->kink;
    report->worst = r->s > 0 && !r->zero && r->verdict != GR_INCONCLUSIVE ? fabs(r->a - r->n) / r->s
                                                                          : 0;
}

static void describe(gr_check_report *report, const char *stage, const outcome *r)
{
    const char *kink = r->kink ? ", subgradient at a kink" : "";
    if (r->verdict == GR_INCONCLUSIVE)
        gr__report(report, r->verdict, stage, "%s (analytic %.9g, numeric %.9g, bound %.2g)",
                   r->reason, r->a, r->n, r->bound);
    else if (r->verdict == GR_FAIL)
        gr__report(report, r->verdict, stage,
                   "analytic %.9g, %s %.9g, difference %.2g, allowed %.2g%s", r->a,
                   r->kink ? "nearest one-sided" : "numeric", r->n, fabs(r->a - r->n), r->bound,
                   kink);
    else
        gr__report(report, r->verdict, stage,
                   "worst round: analytic %.9g, numeric %.9g, difference %.2g%s%s", r->a, r->n,
                   fabs(r->a - r->n), r->zero ? ", zero" : "", kink);
}

static bool worse(const outcome *a, const outcome *b)
{
    static const int rank[] = {[GR_PASS] = 0, [GR_INCONCLUSIVE] = 1, [GR_FAIL] = 2};
    if (a->verdict != b->verdict) return rank[a->verdict] > rank[b->verdict];
    return fabs(a->a - a->n) * fmax(b->s, 1e-300) > fabs(b->a - b->n) * fmax(a->s, 1e-300);
}

/* What all rounds have analytic / numeric in common, to a thousandth of how far it is from 1. */
static double common_ratio(const outcome *r, int n)
{
    int best = 0;
    for (int k = 1; k < n; k++)
        if (fabs(r[k].n) > fabs(r[best].n)) best = k;
    double ratio = r[best].a / r[best].n;
    for (int k = 0; k < n; k++) {
        double off = 10 * (1 + fabs(ratio)) * fmax(r[k].e, r[k].m);
        if (!(fabs(r[k].a - ratio * r[k].n) <= 1e-3 * fabs(ratio - 1) * fabs(r[k].n) + off))
            return NAN;
    }
    return ratio;
}

static uint64_t round_seed(gr_check_options o, int part, int k)
{
    return gr__hash_join(gr__hash_join(o.seed, (uint64_t)(part + 1)), (uint64_t)k);
}

/* All rounds over one part (-1: over all), each with its own v and u. */
static void rounds(work *w, int part, const char *stage, gr_check_options o,
                   gr_check_report *report)
{
    outcome all[MOST_ROUNDS], deciding = {0};
    bool kink = false;
    int played = 0, n = o.rounds > 0 ? o.rounds : 4;
    if (n > MOST_ROUNDS) n = MOST_ROUNDS;
    if (o.round > 0 && o.round < n) n = o.round;
    for (int k = o.round > 0 ? n - 1 : 0; k < n; k++) {
        outcome r;
        if (!play(w, part, round_seed(o, part, k), &r)) {
            gr__report_fault(report, w->probe.f);
            return;
        }
        r.round = k + 1;
        all[played++] = r;
        kink |= r.kink;
        if (played == 1 || worse(&r, &deciding)) deciding = r;
        if (r.verdict == GR_INCONCLUSIVE && r.kink) n = k + 1; /* as will be the others */
    }
    if (part >= 0) memcpy(report->input, w->probe.f->parts[part].name, sizeof report->input);
    record_numbers(report, &deciding);
    report->kink = kink;
    memcpy(report->kink_owner, w->owner, sizeof report->kink_owner);
    w->ratio = common_ratio(all, played);
    describe(report, stage, &deciding);
}

/* Finds the wrong elements and the kind of error, with the deciding round's cotangent. `drawn` is
 * the part that the rounds drew for, `part` the one that failed; -1: all. */
static void explain(work *w, int drawn, int part, const char *stage, gr_check_options o,
                    gr_check_report *report)
{
    gr__function *f = w->probe.f;
    const uint64_t seed = round_seed(o, drawn, report->round - 1);
    gr__evidence e = {.probe = &w->probe, .all = w->g, .ratio = w->ratio};
    if (report->verdict != GR_FAIL || f->fault[0]) return;
    e.part = part >= 0 ? f->parts[part] : (gr__part){.n = f->n_x};
    e.g = w->g + e.part.first;
    e.second = !strcmp(stage, "S3");
    if (gr_shape_numel(&e.part.shape) != e.part.n) e.part.shape = (gr_shape){1, {e.part.n}};
    gr__draw_signs(gr__hash_join(seed, 2), w->probe.v, f->n_y);
    const int64_t before = f->evaluations;
    if (f->vjp(f, f->x, w->probe.v, w->g)) {
        draw_direction(w, drawn, gr__hash_join(seed, 1));
        measure(w);
        gr__taylor_slopes(&w->probe, along(w), report->taylor);
        if (gr__gather_evidence(&e, gr__hash_join(seed, 3))) gr__diagnose(&e, report);
    }
    report->search = f->evaluations - before;
    if (f->trace && !f->fault[0]) f->trace(f, part, report);
}

static bool make_work(gr__function *f, work *w)
{
    *w = (work){.probe = {.f = f}};
    w->probe.u = gr__doubles(f, f->n_x);
    w->probe.moved = gr__doubles(f, f->n_x);
    w->g = gr__doubles(f, f->n_x);
    w->probe.v = gr__doubles(f, f->n_y);
    w->probe.y = gr__doubles(f, f->n_y);
    w->probe.plus = gr__doubles(f, f->n_y);
    w->probe.minus = gr__doubles(f, f->n_y);
    w->probe.spare = gr__doubles(f, f->n_y);
    if (!w->probe.u || !w->probe.moved || !w->g || !w->probe.v || !w->probe.y || !w->probe.plus ||
        !w->probe.minus || !w->probe.spare) {
        snprintf(f->fault, sizeof f->fault, "out of memory");
        return false;
    }
    return f->eval(f, f->x, w->probe.y, &w->probe.side) && gr__learn_rounding(&w->probe, 1);
}

/* Each part on its own. What all of them pass needs no joint verdict, except that a joint failure
 * stands. */
static void part_by_part(work *w, const char *stage, gr_check_options o,
                         const gr_check_report *joint, gr_check_report *report)
{
    gr_check_report parts = {.verdict = GR_PASS};
    for (int p = 0; p < w->probe.f->n_parts; p++) {
        gr_check_report one = {.verdict = GR_PASS};
        if (w->probe.f->parts[p].n == 0) continue;
        rounds(w, p, stage, o, &one);
        if (parts.verdict != GR_FAIL) explain(w, p, p, stage, o, &one);
        gr__report_merge(&parts, &one, "%s", one.input);
    }
    if (joint->verdict == GR_FAIL && parts.verdict != GR_FAIL) {
        parts = *joint;
        w->ratio = NAN;
        explain(w, -1, -1, stage, o, &parts);
    }
    gr__report_merge(report, &parts, "%s", "");
}

void gr__check_projected(gr__function *f, const char *stage, gr_check_options o,
                         gr_check_report *report)
{
    work w;
    gr_check_report joint = {.verdict = GR_PASS};
    if (f->n_x == 0 || f->n_y == 0) return;
    if (!make_work(f, &w)) {
        gr__report_fault(report, f);
        return;
    }
    if (!o.separate || f->n_parts == 1) {
        rounds(&w, -1, stage, o, &joint);
        bool on_kink = joint.verdict == GR_INCONCLUSIVE && joint.kink;
        bool done = joint.verdict == GR_PASS || on_kink || f->fault[0];
        if (f->n_parts == 1) {
            memcpy(joint.input, f->parts[0].name, sizeof joint.input);
            explain(&w, -1, 0, stage, o, &joint);
        }
        if (done || f->n_parts == 1) {
            gr__report_merge(report, &joint, "%s", joint.verdict == GR_PASS ? "" : joint.input);
            return;
        }
    }
    part_by_part(&w, stage, o, &joint, report);
}
