/* gradcheck.c - checking a function that records a graph. */
/* SPDX-License-Identifier: MIT */
#include "fitted.h"
#include "projected.h"
#include "stages.h"
#include "structure.h"

#include <math.h>

/* --- the stages --- */

/* A tenth of its size away, in a random direction. */
static void step_aside(gr__function *f, uint64_t seed)
{
    for (int p = 0; p < f->n_parts; p++) {
        double *x = f->x + f->parts[p].first;
        const int64_t n = f->parts[p].n;
        const double size = fmax(gr__rms(x, n), 1e-3);
        for (int64_t i = 0; i < n; i++) {
            double u = gr__random_uniform(gr__hash_join(seed, (uint64_t)p), (uint64_t)i);
            x[i] += 0.1 * size * (2 * u - 1);
        }
    }
}

/* Flat image areas and zero inputs put x on many kinks at once. What can be known of the gradient
 * then is known from a point beside x. */
void gr__check_gradient(gr__function *f, const char *stage, gr_check_options o,
                        gr_check_report *report)
{
    void (*check)(gr__function *, const char *, gr_check_options,
                  gr_check_report *) = f->single ? gr__check_fitted : gr__check_projected;
    gr_check_report here = {.verdict = GR_PASS}, beside = {.verdict = GR_PASS};
    check(f, stage, o, &here);
    if (here.verdict != GR_INCONCLUSIVE || !here.kink) {
        gr__report_merge(report, &here, "%s", "");
        return;
    }
    step_aside(f, o.seed);
    check(f, stage, o, &beside);
    beside.kink = true;
    gr__report_merge(report, &beside, "beside x, which lies on kinks");
}

static void check_second(gr__recorded *r, gr_check_options o, gr_check_report *report)
{
    if (gr__recorded_raise(r)) gr__check_gradient(&r->f, "S3", o, report);
    else gr__report_fault(report, &r->f);
}

/* One stage more, unless something is wrong already. */
static void run_stage(gr__recorded *r, unsigned stage, gr_check_options o, gr_check_report *report)
{
    gr_check_report one = {.verdict = GR_PASS};
    if (!(o.stages & stage) || report->verdict == GR_FAIL) return;
    if (stage == GR_CHECK_FORWARD) gr__check_forward_mode(r, o.seed, &one);
    if (stage == GR_CHECK_FLOAT32) gr__check_float32(r, o.seed, &one);
    if (stage == GR_CHECK_THREADS) gr__check_threads(&r->f, o.seed, &one);
    if (stage == GR_CHECK_EXHAUSTIVE) gr__check_exhaustive(&r->f, &one);
    if (one.verdict != GR_PASS) gr__report_merge(report, &one, "%s", "");
}

void gr__check_stages(gr__recorded *r, gr_check_options o, gr_check_report *report)
{
    static const unsigned further[] = {GR_CHECK_FORWARD, GR_CHECK_FLOAT32, GR_CHECK_THREADS,
                                       GR_CHECK_EXHAUSTIVE};
    const bool derivable = r->f.n_x && r->f.n_y, gradient = o.stages & GR_CHECK_GRADIENT;
    bool fine = !(o.stages & GR_CHECK_STRUCTURE) || gr__check_structure(r, o.seed, report);
    if (fine && gradient) gr__check_gradient(&r->f, "S1", o, report);
    for (size_t i = 0; i < sizeof further / sizeof *further && derivable; i++)
        run_stage(r, further[i], o, report);
    if (o.order == 2 && gradient && report->verdict != GR_FAIL && derivable)
        check_second(r, o, report);
    report->order = o.order == 2 ? 2 : 1;
    report->evaluations = r->f.evaluations;
    report->seed = o.seed;
}

void gr__check_function(const gr__input *in, int n, gr__recipe *recipe, void *user,
                        gr_check_options o, gr_check_report *report)
{
    gr__recorded r;
    if (!o.stages) o.stages = GR_CHECK_STRUCTURE | GR_CHECK_GRADIENT | GR_CHECK_FORWARD;
    if (gr__recorded_init(&r, in, n, recipe, user, o.seed)) gr__check_stages(&r, o, report);
    else gr__report_fault(report, &r.f);
    gr__recorded_release(&r);
}

/* --- what users call --- */

typedef struct user_function {
    gr_check_fn *f;
    void *user;
    int n;
} user_function;

static int record_user(gr_graph *g, gr_tensor *const *x, gr_tensor **y, void *user)
{
    const user_function *u = user;
    y[0] = u->f(g, x, u->n, u->user);
    return 1;
}

/* Checks the derivative of y = f(x) with respect to every floating input, at the values given,
 * in float64 whatever dtype they have; inputs of other dtypes are constants. The stages:
 *
 *   S0  structure: recorded and differentiated twice, bit by bit the same; a zero cotangent gives
 *       a zero gradient; linear in the cotangent; contributions to one input add up
 *   S1  the gradient along random directions against differences with an error estimate
 *   S2  forward mode against differences, unless an op gives its backward as a C function
 *   S3  (order 2) S1 for (x, v) -> vjp(x, v)
 *
 * and if asked for by o.stages:
 *
 *   S4  the gradient computed in float32 against that in float64, if f can be recorded in both
 *   S5  bitwise the same with 1, 2 and all threads; changes gr_set_threads for a while
 *   S6  every element of the Jacobian, if there are at most 4096; every kink needs a signature
 *
 * After a failure the wrong elements are searched for and the kind of error is looked for: see the
 * report's element and diagnosis.
 *
 * Exactly on a kink any value between the one-sided derivatives passes; on kinks of several ops the
 * gradient is checked a tenth of its size away instead. Either way report->kink is set.
 *
 * f is called some 60 times (per input again after a failure), on a graph of its own; random ops
 * draw the same numbers each time. INCONCLUSIVE means that the differences cannot tell. report may
 * be NULL. What goes wrong on the way (memory, an error of the graph) is a FAIL that says so. */
gr_verdict gr_gradcheck(gr_check_fn *f, void *user, const gr_check_input *inputs, int n,
                        gr_check_options o, gr_check_report *report)
{
    gr_check_report own;
    user_function u = {f, user, n};
    int floats = 0;
    if (!report) report = &own;
    *report = (gr_check_report){.verdict = GR_PASS};
    if (!f || (n > 0 && !inputs)) {
        gr__report(report, GR_FAIL, "S0", "the %s is NULL", f ? "array of inputs" : "function");
        return report->verdict;
    }
    gr__input *in = gr__alloc((size_t)(n > 0 ? n : 1) * sizeof *in);
    for (int i = 0; in && i < n; i++) {
        in[i] = (gr__input){inputs[i].name, inputs[i].dtype, inputs[i].shape, inputs[i].data,
                            false};
        floats += inputs[i].dtype == GR_F32 || inputs[i].dtype == GR_F64;
    }
    if (!in) gr__report(report, GR_FAIL, "S0", "out of memory");
    else if (!floats) gr__report(report, GR_FAIL, "S0", "no floating input to differentiate by");
    else gr__check_function(in, n, record_user, &u, o, report);
    gr__free(in);
    return report->verdict;
}
