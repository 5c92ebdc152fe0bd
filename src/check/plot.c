/* plot.c - the picture of a gradient check: errors and Taylor residuals over the step. */
/* SPDX-License-Identifier: MIT */
#include "plot.h"
#include "axis.h"
#include "recorded.h"
#include "study.h"

#include <math.h>
#include <stdio.h>

/* --- the best step --- */

/* Where the worst of three neighbours is best: a lucky value is no optimum. x stays 0 where there
 * is none: no value, or no error. */
static void find_best(const gr__study *s, const double *error, gr__ring *ring)
{
    double best = INFINITY;
    for (int i = 1; i + 1 < GR__STEPS; i++) {
        double worst = fmax(error[i], fmax(error[i - 1], error[i + 1]));
        bool known = !isnan(error[i - 1] + error[i] + error[i + 1]);
        if (!known || !(worst < best)) continue;
        best = worst;
        ring->x = s->h[i];
        ring->y = worst;
    }
    if (best <= GR__EXACT) ring->x = 0;
}

static void name_error(gr__text *name, const char *what, const gr__ring *best)
{
    gr__text_add(name, "%s", what);
    if (!(best->x > 0)) {
        gr__text_add(name, best->y > 0 ? ": exact" : ": no value");
        return;
    }
    gr__text_add(name, ": best ");
    gr__axis_power(best->y, name);
    gr__text_add(name, " at h = ");
    gr__axis_power(best->x, name);
}

static void name_slope(gr__text *name, const char *what, double slope, double expected)
{
    gr__text_add(name, "%s: ", what);
    if (isnan(slope)) gr__text_add(name, "nothing but rounding");
    else gr__text_add(name, "slope %.2f", slope);
    if (slope < expected - 0.3) gr__text_add(name, ", expected %.0f", expected);
}

/* --- two charts --- */

static gr__loglog error_chart(const gr__study *s, const gr__trace *traces, const gr__ring *rings)
{
    return (gr__loglog){.title = "Relative error of the differences",
                        .x_label = "step h",
                        .left = "← rounding takes over, as 1/h",
                        .right = "truncation rules, as h, h², h¹⁰ →",
                        .x = s->h,
                        .n = GR__STEPS,
                        .traces = traces,
                        .n_traces = 4,
                        .rings = rings,
                        .n_rings = 3,
                        .mark = s->kink,
                        .mark_label = "a kink is crossed"};
}

static gr__loglog residual_chart(const gr__study *s, const gr__trace *traces)
{
    return (gr__loglog){.title = "Taylor residuals",
                        .x_label = "step h",
                        .left = "← rounding takes over",
                        .right = "a right gradient leaves h² →",
                        .x = s->h,
                        .n = GR__STEPS,
                        .traces = traces,
                        .n_traces = 2,
                        .legend_above = true,
                        .mark = s->kink,
                        .mark_label = "a kink is crossed"};
}

enum { ERRORS = 3, RESIDUALS = 2 };

static void draw_named(const gr__study *s, const char *title, const gr__ring *best, gr__text *name,
                       gr__text *out)
{
    const gr__text *under = &name[ERRORS + RESIDUALS];
    const gr__trace errors[] = {{name[0].data, s->forward, false},
                                {name[1].data, s->central, false},
                                {name[2].data, s->ridders, false},
                                {"rounding of φ: ε Σ|v y| / h", s->rounding, true}};
    const gr__trace residuals[] = {{name[3].data, s->first, false},
                                   {name[4].data, s->second, false}};
    const gr__loglog charts[] = {error_chart(s, errors, best), residual_chart(s, residuals)};
    gr__svg_loglog(out, title, under->data, charts, 2);
}

static void draw(const gr__study *s, const char *title, gr__text *out)
{
    static const char *const what[] = {"forward", "central", "Ridders, from five of them"};
    const double *const error[] = {s->forward, s->central, s->ridders};
    gr__text name[ERRORS + RESIDUALS + 1] = {{0}};
    gr__ring best[ERRORS] = {{0}};
    for (int i = 0; i < ERRORS; i++) {
        best[i].trace = i;
        find_best(s, error[i], &best[i]);
        name_error(&name[i], what[i], &best[i]);
    }
    name_slope(&name[3], "|φ(h) − φ(0)|", s->slope[0], 1);
    name_slope(&name[4], "|φ(h) − φ(0) − h a|", s->slope[1], 2);
    gr__text_add(&name[5],
                 "φ(h) = ⟨v, f(x + h u)⟩ along a random direction u; "
                 "a = ⟨vjp(v), u⟩ = %.6g by the backward rule",
                 s->a);
    for (int i = 0; i <= ERRORS + RESIDUALS; i++) out->failed |= name[i].failed;
    if (!out->failed) draw_named(s, title, best, name, out);
    for (int i = 0; i <= ERRORS + RESIDUALS; i++) gr__text_release(&name[i]);
}

/* --- what is drawn --- */

typedef struct drawn_function {
    gr_check_fn *f;
    void *user;
    int n;
} drawn_function;

static int record(gr_graph *g, gr_tensor *const *x, gr_tensor **y, void *user)
{
    const drawn_function *d = user;
    y[0] = d->f(g, x, d->n, d->user);
    return 1;
}

static gr_status run(const gr__input *in, drawn_function *d, const char *title, uint64_t seed,
                     const char *path)
{
    gr__recorded r;
    gr__study s;
    gr__text out = {0};
    gr_status status;
    bool fine = gr__recorded_init(&r, in, d->n, record, d, seed);
    r.guarded = false;
    if (fine && (r.f.n_x == 0 || r.f.n_y == 0))
        status = gr__fail(GR_ERR_ARGUMENT, "gradient check: %s has nothing to differentiate",
                          title);
    else if (!fine || !gr__study_run(&s, &r.f, seed))
        status = gr__fail(GR_ERR_ARGUMENT, "gradient check: %s: %s", title, r.f.fault);
    else {
        draw(&s, title, &out);
        status = gr__text_save(&out, path);
    }
    gr__text_release(&out);
    gr__recorded_release(&r);
    return status;
}

/* Draws, as SVG into the file `path`, how far forward, central and Ridders differences of f are
 * from its gradient at each step from 1e-16 to 1, and the Taylor residuals |phi(h) - phi(0)| and
 * |phi(h) - phi(0) - h a| with their slopes: 1 and, if the gradient is right, 2. f and its inputs
 * are as for gr_gradcheck; the title stands on top; the seed chooses the direction. */
gr_status gr_gradcheck_plot(gr_check_fn *f, void *user, const gr_check_input *inputs, int n,
                            const char *title, uint64_t seed, const char *path)
{
    drawn_function d = {f, user, n};
    if (!path) return gr__fail(GR_ERR_ARGUMENT, "gradient check: no file to draw into");
    if (gr__need("gradient check", f, "function") ||
        gr__need_array("gradient check", inputs, n, "array of inputs"))
        return GR_ERR_ARGUMENT;
    if (!title) title = "the function";
    gr__input *in = gr__alloc((size_t)(n > 0 ? n : 1) * sizeof *in);
    if (!in) return GR_ERR_MEMORY;
    for (int i = 0; i < n; i++)
        in[i] = (gr__input){inputs[i].name, inputs[i].dtype, inputs[i].shape, inputs[i].data,
                            false};
    gr_status status = run(in, &d, title, seed, path);
    gr__free(in);
    return status;
}
