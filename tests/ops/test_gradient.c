/* test_gradient.c - the same values, another gradient: scaled, reversed, stopped, hooked. */
/* SPDX-License-Identifier: MIT */
#include "fixture.h"
#include "suite.h"

#include <math.h>
#include <string.h>

static void assert_fine(void)
{
    ck_assert_msg(gr_graph_error(g) == NULL, "%s", gr_graph_error(g));
}

static void assert_error(const char *part)
{
    const char *error = gr_graph_error(g);
    ck_assert_msg(error && strstr(error, part), "expected '%s', got '%s'", part,
                  error ? error : "none");
    gr_graph_reset(g);
}

static gr_tensor *scalar(double x)
{
    return gr_from_data(g, GR_F64, GR_SCALAR, &x);
}

/* --- scaled and stopped --- */

START_TEST(a_scaled_gradient_leaves_values_and_counts_so_many_times)
{
    const double factors[] = {2.5, 0, -1};
    for (int i = 0; i < 3; i++) {
        gr_tensor *x = scalar(3), *y = gr_scale_gradient(x, factors[i]), *d1, *d2;
        gr_tensor *loss = gr_add(gr_mul(gr_square(y), y), x);
        gr_grad(loss, &x, 1, &d1);
        gr_grad(d1, &x, 1, &d2);
        ck_assert_double_eq(gr_item(y), 3);
        ck_assert_double_eq(gr_item(d1), 27 * factors[i] + 1);
        ck_assert_double_eq(gr_item(d2), 18 * factors[i] * factors[i]);
        assert_fine();
    }
}
END_TEST

START_TEST(a_reversed_gradient_climbs_before_and_descends_behind)
{
    double one = 1;
    gr_param *a = gr_param_new("a", GR_F64, GR_SCALAR, &one);
    gr_param *b = gr_param_new("b", GR_F64, GR_SCALAR, &one);
    gr_tensor *h = gr_scale(gr_use(g, a), 3);
    ck_assert_int_eq(gr_backward(gr_mul(gr_scale_gradient(h, -1), gr_use(g, b))), GR_OK);
    ck_assert_double_eq(*(const double *)gr_param_grad(a), -3);
    ck_assert_double_eq(*(const double *)gr_param_grad(b), 3);
    gr_graph_reset(g);
    gr_param_release(a);
    gr_param_release(b);
}
END_TEST

START_TEST(stop_gradient_is_detach)
{
    gr_tensor *x = scalar(3), *stopped = gr_stop_gradient(x), *d;
    ck_assert_ptr_eq(gr_node_op(gr_node_of(stopped)), gr_node_op(gr_node_of(gr_detach(x))));
    gr_grad(gr_mul(stopped, x), &x, 1, &d);
    ck_assert_double_eq(gr_item(d), 3);
}
END_TEST

/* --- hooks --- */

typedef struct seen {
    int calls;
    double value;
    gr_tensor *norm, *dy;
} seen;

static gr_tensor *observe(void *user, gr_tensor *dy)
{
    seen *s = user;
    s->calls++;
    s->norm = gr_norm(dy, 2, GR_ALL, false);
    s->dy = dy;
    return NULL;
}

static gr_tensor *halve(void *user, gr_tensor *dy)
{
    ++*(int *)user;
    return gr_scale(dy, 0.5);
}

START_TEST(a_hook_sees_the_sum_of_all_contributions_once)
{
    seen s = {0};
    gr_tensor *x = scalar(2), *h = gr_hook(gr_square(x), observe, &s), *d;
    gr_grad(gr_add(gr_mul(h, h), gr_scale(h, 5)), &x, 1, &d);
    ck_assert_int_eq(s.calls, 1);
    ck_assert_double_eq(gr_item(s.dy), 13);
    ck_assert_double_eq(gr_item(d), 13 * 4);
    assert_fine();
}
END_TEST

START_TEST(a_hook_may_replace_the_cotangent)
{
    int calls = 0;
    gr_tensor *x = scalar(2), *h = gr_hook(x, halve, &calls), *d1, *d2;
    gr_grad(gr_mul(gr_square(h), h), &x, 1, &d1);
    gr_grad(d1, &x, 1, &d2);
    ck_assert_double_eq(gr_item(d1), 6);
    ck_assert_double_eq(gr_item(d2), 3); /* halved on both ways back */
    ck_assert_int_eq(calls, 2);
    assert_fine();
}
END_TEST

START_TEST(hooks_of_hooks_run_from_the_outermost_in)
{
    int calls = 0;
    seen s = {0};
    gr_tensor *x = scalar(2), *h = gr_hook(gr_hook(x, observe, &s), halve, &calls), *d;
    gr_grad(gr_scale(h, 8), &x, 1, &d);
    ck_assert_double_eq(gr_item(s.dy), 4);
    ck_assert_double_eq(gr_item(d), 4);
}
END_TEST

START_TEST(a_hook_that_no_gradient_reaches_is_not_called)
{
    seen s = {0};
    gr_tensor *x = scalar(2), *d;
    gr_tensor *unused = gr_hook(gr_square(x), observe, &s);
    gr_grad(gr_exp(x), &x, 1, &d);
    ck_assert_int_eq(s.calls, 0);
    ck_assert_double_eq(gr_item(unused), 4);
}
END_TEST

enum { N = 2000 };

/* After gr_backward and a change of the parameter, the norm is that of before. */
START_TEST(what_a_hook_records_is_computed_by_backward)
{
    static double w0[N];
    for (int i = 0; i < N; i++) w0[i] = i % 7;
    gr_param *w = gr_param_new("w", GR_F64, GR_SHAPE(N), w0);
    seen s = {0};
    gr_tensor *h = gr_hook(gr_square(gr_use(g, w)), observe, &s);
    ck_assert_int_eq(gr_backward(gr_sum_all(gr_square(h))), GR_OK);
    double *p = gr_param_write(w);
    for (int i = 0; i < N; i++) p[i] = -1;
    double want = 0;
    for (int i = 0; i < N; i++) want += 4 * pow(w0[i], 4);
    ck_assert_double_eq_tol(gr_item(s.norm), sqrt(want), 1e-9);
    assert_fine();
    gr_graph_reset(g);
    gr_param_release(w);
}
END_TEST

static gr_tensor *keep(void *user, gr_tensor *dy)
{
    *(gr_tensor **)user = gr_keep(dy);
    return NULL;
}

static gr_tensor *keep_and_clear(void *user, gr_tensor *dy)
{
    keep(user, dy);
    return gr_zeros_like(dy);
}

/* Whether it goes on to a parameter's gradient or not. */
START_TEST(a_cotangent_that_is_kept_can_be_read_after_the_step)
{
    static double w0[N];
    for (int i = 0; i < N; i++) w0[i] = i % 7;
    for (int cleared = 0; cleared < 2; cleared++) {
        gr_param *w = gr_param_new("w", GR_F64, GR_SHAPE(N), w0);
        gr_tensor *dy = NULL, *u = gr_use(g, w);
        gr_bind(g, w, gr_hook(u, cleared ? keep_and_clear : keep, &dy));
        ck_assert_int_eq(gr_backward(gr_sum_all(gr_square(gr_use(g, w)))), GR_OK);
        ck_assert_double_eq(((const double *)gr_param_grad(w))[3], cleared ? 0 : 6);
        ((double *)gr_param_write(w))[3] = 100;
        const double *kept = gr_data(dy);
        ck_assert_msg(kept != NULL, "%s", gr_graph_error(g));
        for (int i = 0; i < N; i++) ck_assert_double_eq(kept[i], 2 * w0[i]);
        gr_graph_reset(g);
        gr_param_release(w);
    }
}
END_TEST

static gr_tensor *read(void *user, gr_tensor *dy)
{
    seen *s = user;
    s->value = gr_item(gr_sum_all(dy));
    return gr_scale(dy, 1 / s->value);
}

START_TEST(a_hook_may_read_values)
{
    static double w0[N];
    for (int i = 0; i < N; i++) w0[i] = 1;
    gr_param *w = gr_param_new("w", GR_F64, GR_SHAPE(N), w0);
    seen s = {0};
    gr_tensor *h = gr_hook(gr_exp(gr_use(g, w)), read, &s);
    ck_assert_msg(gr_backward(gr_sum_all(gr_square(h))) == GR_OK, "%s", gr_graph_error(g));
    ck_assert_double_eq_tol(s.value, 2 * N * exp(1), 1e-8);
    ck_assert_double_eq_tol(((const double *)gr_param_grad(w))[7], exp(1) / N, 1e-12);
    gr_graph_reset(g);
    gr_param_release(w);
}
END_TEST

START_TEST(a_hook_within_a_checkpointed_section_runs_once)
{
    static double x0[N];
    for (int i = 0; i < N; i++) x0[i] = 0.001 * i;
    gr_tensor *x = gr_from_data(g, GR_F64, GR_SHAPE(N), x0), *d;
    int calls = 0;
    gr_checkpoint_begin(g);
    gr_tensor *y = gr_exp(gr_hook(gr_sin(x), halve, &calls));
    gr_checkpoint_end(g);
    gr_grad(gr_sum_all(y), &x, 1, &d);
    const double *got = gr_data(d);
    ck_assert_msg(got != NULL, "%s", gr_graph_error(g));
    ck_assert_int_eq(calls, 1);
    for (int i = 0; i < N; i++)
        ck_assert_double_eq_tol(got[i], 0.5 * exp(sin(x0[i])) * cos(x0[i]), 1e-14);
}
END_TEST

/* --- wrong use --- */

static gr_tensor *wrong_shape(void *user, gr_tensor *dy)
{
    (void)user;
    return gr_ones(gr_graph_of(dy), GR_F64, GR_SHAPE(3));
}

static gr_tensor *wrong_dtype(void *user, gr_tensor *dy)
{
    (void)user;
    return gr_cast(dy, GR_F32);
}

static gr_tensor *from_outside(void *user, gr_tensor *dy)
{
    (void)dy;
    return user;
}

static gr_tensor *differentiate(void *user, gr_tensor *dy)
{
    gr_tensor *d, *x = user;
    gr_grad(dy, &x, 1, &d);
    return d;
}

static gr_tensor *go_back(void *user, gr_tensor *dy)
{
    (void)user;
    gr_backward(gr_sum_all(dy));
    return NULL;
}

static gr_tensor *reset(void *user, gr_tensor *dy)
{
    (void)user;
    gr_graph_reset(gr_graph_of(dy));
    return NULL;
}

START_TEST(hooks_that_give_what_does_not_fit_are_errors_that_name_the_tensor)
{
    gr_graph *other = gr_graph_new();
    gr_tensor *foreign = gr_ones(other, GR_F64, GR_SHAPE(2, 3));
    gr_tensor *failed = gr_tanh(NULL), *stale = gr_ones(other, GR_F64, GR_SHAPE(1));
    const struct {
        gr_hook_fn *fn;
        void *user;
        const char *error;
    } cases[] = {
        {wrong_shape, NULL,
         "gr_hook: the cotangent of tanh (node 1) is float64 [2,3], the function gave float64 [3]"},
        {wrong_dtype, NULL,
         "is float64 [2,3], the function gave float32 [2,3] (at test_gradient.c"},
        {from_outside, foreign, "no tensor of this graph for the cotangent of tanh (node 1)"},
        {from_outside, failed, "no tensor of this graph for the cotangent of tanh (node 1)"},
        {go_back, NULL, "gr_backward: called by a backward rule or a hook"},
        {reset, NULL, "gr_graph_reset: called by a backward rule or a hook"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gr_tensor *x = gr_ones(g, GR_F64, GR_SHAPE(2, 3)), *d;
        gr_tensor *h = gr_hook(gr_tanh(x), cases[i].fn, cases[i].user);
        ck_assert_int_ne(gr_grad(gr_square(h), &x, 1, &d), GR_OK);
        assert_error(cases[i].error);
    }
    gr_graph_reset(other);
    gr_tensor *x = gr_ones(g, GR_F64, GR_SHAPE(2, 3)), *d;
    gr_grad(gr_hook(x, from_outside, stale), &x, 1, &d);
    assert_error("no tensor of this graph for the cotangent of fill (node 0)");
    gr_graph_free(other);
}
END_TEST

START_TEST(a_hook_that_differentiates_what_is_being_differentiated_is_an_error)
{
    gr_tensor *x = scalar(2), *d;
    gr_grad(gr_square(gr_hook(x, differentiate, x)), &x, 1, &d);
    assert_error("gr_grad: input 0 was recorded before the backward rule or hook that asks");
}
END_TEST

START_TEST(a_hook_without_a_function_or_a_tensor_is_an_error)
{
    gr_hook(scalar(1), NULL, NULL);
    assert_error("gr_hook: the function is NULL");
    int calls = 0;
    gr_tensor *y = gr_add(scalar(1), gr_hook(NULL, halve, &calls));
    ck_assert_ptr_nonnull(y);
    ck_assert_msg(isnan(gr_item(y)), "expected NaN");
    gr_graph_reset(g);
    gr_scale_gradient(gr_stop_gradient(NULL), 2);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "detach: an input is NULL"));
}
END_TEST

SUITE("gradient", setup, teardown, a_scaled_gradient_leaves_values_and_counts_so_many_times,
      a_reversed_gradient_climbs_before_and_descends_behind, stop_gradient_is_detach,
      a_hook_sees_the_sum_of_all_contributions_once, a_hook_may_replace_the_cotangent,
      hooks_of_hooks_run_from_the_outermost_in, a_hook_that_no_gradient_reaches_is_not_called,
      what_a_hook_records_is_computed_by_backward,
      a_cotangent_that_is_kept_can_be_read_after_the_step, a_hook_may_read_values,
      a_hook_within_a_checkpointed_section_runs_once,
      hooks_that_give_what_does_not_fit_are_errors_that_name_the_tensor,
      a_hook_that_differentiates_what_is_being_differentiated_is_an_error,
      a_hook_without_a_function_or_a_tensor_is_an_error)
