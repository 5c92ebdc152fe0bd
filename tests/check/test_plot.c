/* test_plot.c - the study of differences over the step, and its picture. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "recorded.h"
#include "scratch.h"
#include "study.h"
#include "suite.h"

#include <gradus/ops.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const double X[] = {0.3, -0.7, 1.1, 0.5};

static int record(gr_graph *g, gr_tensor *const *x, gr_tensor **y, void *user)
{
    (void)g;
    y[0] = gr_apply(NULL, user, x, 1, NULL);
    return 1;
}

static gr__study study_of(const gr_op *op, const double *x)
{
    const gr__input in = {"x", GR_F64, {1, {4}}, x, false};
    gr__recorded r;
    gr__study s;
    ck_assert_msg(gr__recorded_init(&r, &in, 1, record, (void *)op, 1), "%s", r.f.fault);
    ck_assert_msg(gr__study_run(&s, &r.f, 1), "%s", r.f.fault);
    gr__recorded_release(&r);
    return s;
}

static void twice_vjp(gr_pullback *p)
{
    gr_op_find("tanh")->vjp(p);
    p->dx[0] = gr_scale(p->dx[0], 2);
}

static gr_op twice_tanh(void)
{
    gr_op op = *gr_op_find("tanh");
    op.vjp = twice_vjp;
    return op;
}

static double smallest(const double *error, double *h, const gr__study *s)
{
    double best = INFINITY;
    for (int i = 0; i < GR__STEPS; i++)
        if (error[i] < best) best = error[i], *h = s->h[i];
    return best;
}

/* --- numbers --- */

START_TEST(a_right_gradient_leaves_a_residual_of_slope_two)
{
    gr__study s = study_of(gr_op_find("tanh"), X);
    ck_assert_double_eq_tol(s.slope[0], 1, 0.02);
    ck_assert_double_eq_tol(s.slope[1], 2, 0.02);
}
END_TEST

START_TEST(a_wrong_gradient_leaves_a_residual_of_slope_one)
{
    gr_op wrong = twice_tanh();
    gr__study s = study_of(&wrong, X);
    ck_assert_double_eq_tol(s.slope[1], 1, 0.02);
}
END_TEST

START_TEST(a_linear_function_leaves_nothing_but_rounding)
{
    gr__study s = study_of(gr_op_find("neg"), X);
    ck_assert_double_eq_tol(s.slope[0], 1, 0.02);
    ck_assert(isnan(s.slope[1]));
}
END_TEST

START_TEST(each_difference_is_best_at_its_own_step)
{
    double forward, central, ridders;
    gr__study s = study_of(gr_op_find("tanh"), X);
    double f = smallest(s.forward, &forward, &s), c = smallest(s.central, &central, &s);
    double r = smallest(s.ridders, &ridders, &s);
    ck_assert_msg(f > c && c > r, "errors %g %g %g", f, c, r);
    ck_assert_msg(forward < central && central < ridders, "steps %g %g %g", forward, central,
                  ridders);
    ck_assert_msg(f > 1e-11 && f < 1e-6 && c < 1e-9 && r < 1e-12, "errors %g %g %g", f, c, r);
}
END_TEST

START_TEST(a_kink_is_noticed_and_left_out)
{
    const double near_kink[] = {0.5, -0.8, 1e-3, 0.2};
    gr__study s = study_of(gr_op_find("relu"), near_kink);
    ck_assert_msg(s.kink > 1e-4 && s.kink < 1e-1, "kink at %g", s.kink);
    ck_assert_double_eq_tol(s.slope[0], 1, 0.02);
    for (int i = 0; i < GR__STEPS; i++)
        ck_assert_msg(s.h[i] < s.kink || isnan(s.ridders[i]), "Ridders crosses at %g", s.h[i]);
    ck_assert_double_eq(study_of(gr_op_find("tanh"), X).kink, 0);
}
END_TEST

/* --- the picture --- */

static char *picture(const gr_op *op)
{
    gr_status status = gr_gradcheck_plot_op(op, 1, scratch_path("plot.svg"));
    ck_assert_msg(status == GR_OK, "%s", gr_last_error());
    size_t bytes;
    char *svg = scratch_read("plot.svg", &bytes);
    ck_assert_ptr_nonnull(svg);
    return svg;
}

static void shows(const gr_op *op, const char *part)
{
    char *svg = picture(op);
    ck_assert_msg(strstr(svg, part) != NULL, "%s: '%s' is missing", op->name, part);
    ck_assert_msg(!strstr(svg, "nan") && !strstr(svg, "inf"), "%s: a value that is none", op->name);
    free(svg);
}

START_TEST(the_picture_says_what_it_shows)
{
    gr_op wrong = twice_tanh();
    shows(gr_op_find("tanh"), "tanh, y = tanh(x)");
    shows(gr_op_find("tanh"), "h a|: slope 2.0");
    shows(gr_op_find("tanh"), "rounding takes over");
    shows(&wrong, "h a|: slope 1.00, expected 2");
    shows(gr_op_find("neg"), "h a|: nothing but rounding");
    shows(gr_op_find("relu"), "a kink is crossed");
    shows(gr_op_find("sign"), "central: exact");
}
END_TEST

/* Sources have nothing to be differentiated by, and some ops take no floats. */
static bool takes_floats(const gr_op *op)
{
    for (const gr_sample *s = op->samples; s && s->name; s++)
        for (int i = 0; i < s->n_in && !s->error; i++)
            if (!s->in[i].integer && !s->in[i].boolean && gr_shape_numel(&s->in[i].shape))
                return true;
    return false;
}

START_TEST(every_op_has_a_picture_or_says_why_not)
{
    int takers = 0, drawn = 0;
    for (int i = 0; i < gr_op_count(); i++) {
        const gr_op *op = gr_op_at(i);
        gr_status status = gr_gradcheck_plot_op(op, 1, scratch_path("plot.svg"));
        takers += takes_floats(op);
        drawn += status == GR_OK;
        ck_assert_msg(!status || strstr(gr_last_error(), op->name), "%s", gr_last_error());
    }
    ck_assert_int_ge(drawn, takers * 9 / 10); /* not: results of truth values, probabilities only */
    ck_assert_int_le(drawn, takers);
}
END_TEST

START_TEST(a_file_that_cannot_be_written_is_an_error)
{
    gr_status status = gr_gradcheck_plot_op(gr_op_find("tanh"), 1, "/nowhere/at/all.svg");
    ck_assert_int_eq(status, GR_ERR_FILE);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "/nowhere/at/all.svg"));
}
END_TEST

static gr_tensor *constant(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    (void)x, (void)n, (void)user;
    return gr_scalar(g, GR_F64, 1);
}

START_TEST(nothing_to_draw_is_an_error)
{
    const char *path = scratch_path("plot.svg");
    ck_assert_int_eq(gr_gradcheck_plot(constant, NULL, NULL, 0, NULL, 1, path), GR_ERR_ARGUMENT);
    ck_assert_str_eq(gr_last_error(), "gradient check: the function has nothing to differentiate");
    ck_assert_int_eq(gr_gradcheck_plot_op(gr_op_find("tanh"), 1, NULL), GR_ERR_ARGUMENT);
    ck_assert_int_eq(scratch_files(), 0);
}
END_TEST

START_TEST(no_allocation_is_taken_for_granted)
{
    bool done = false;
    inject_begin();
    for (int64_t n = 0; !done; n += n < 60 ? 1 : 97) {
        inject_allocation(n);
        gr_status status = gr_gradcheck_plot_op(gr_op_find("tanh"), 1, scratch_path("plot.svg"));
        done = !inject_happened();
        inject_none();
        ck_assert_msg(done == (status == GR_OK), "allocation %lld", (long long)n);
        ck_assert_int_eq(inject_live(), 0);
    }
    inject_end();
}
END_TEST

SUITE("plot", scratch_begin, scratch_end, a_right_gradient_leaves_a_residual_of_slope_two,
      a_wrong_gradient_leaves_a_residual_of_slope_one,
      a_linear_function_leaves_nothing_but_rounding, each_difference_is_best_at_its_own_step,
      a_kink_is_noticed_and_left_out, the_picture_says_what_it_shows,
      every_op_has_a_picture_or_says_why_not, a_file_that_cannot_be_written_is_an_error,
      nothing_to_draw_is_an_error, no_allocation_is_taken_for_granted)
