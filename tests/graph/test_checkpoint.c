/* test_checkpoint.c - sections that backward records again: the same bits. */
/* SPDX-License-Identifier: MIT */
#include "sections.h"
#include "suite.h"

/* --- bits --- */

START_TEST(gradients_have_the_same_bits_however_the_network_is_cut)
{
    const struct {
        const char *name;
        layer_fn *layer;
    } nets[] = {{"normed", normed}, {"plain", plain}, {"dropped", dropped}, {"mixed", mixed}};
    const int cuts[][4] = {{12}, {1}, {3}, {5}, {4, 2}, {6, 1}, {5, 3}, {8, 4, 2}};
    for (size_t n = 0; n < sizeof nets / sizeof *nets; n++) {
        step(nets[n].layer, 12, UNCUT, whole);
        for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
            step(nets[n].layer, 12, cuts[i], cut_up);
            assert_same(whole, cut_up, 12 * SIZE, nets[n].name);
        }
    }
}
END_TEST

START_TEST(an_eager_or_guarded_graph_gives_the_same_bits)
{
    step(mixed, 6, UNCUT, whole);
    for (int mode = 0; mode < 2; mode++) {
        gr_graph_reset(g);
        gr_graph_set_eager(g, mode == 0);
        gr_graph_set_guarded(g, mode == 1);
        gr_backward(gr_mean_all(gr_square(stack(mixed, source(), 0, 6, CUT(4, 2)))));
        ck_assert_msg(gr_graph_error(g) == NULL, "%s", gr_graph_error(g));
        for (int l = 0; l < 6; l++)
            assert_same(whole + l * SIZE, gr_param_grad(w[l]), SIZE, mode ? "guarded" : "eager");
        clear_gradients();
    }
}
END_TEST

START_TEST(gr_grad_gives_the_same_bits_for_inputs)
{
    static float want[BATCH * WIDTH];
    for (int cuts = 0; cuts < 2; cuts++) {
        gr_graph_reset(g);
        gr_graph_seed(g, 3);
        gr_tensor *x = source(), *dx;
        gr_grad(gr_sum_all(stack(dropped, x, 0, 9, CUT(cuts * 3))), &x, 1, &dx);
        const float *got = gr_data(dx);
        ck_assert_msg(got != NULL, "%s", gr_graph_error(g));
        if (cuts) assert_same(want, got, BATCH * WIDTH, "dx");
        memcpy(want, got, sizeof want);
    }
}
END_TEST

/* --- what a section may hold --- */

static gr_tensor *scalar(double x)
{
    return gr_from_data(g, GR_F64, GR_SCALAR, &x);
}

/* sum sin(x)^3 over `numbers`, its parts in a section or not. */
enum { LONG = 700 };

static gr_tensor *cubes(gr_tensor *x, bool section)
{
    if (section) gr_checkpoint_begin(g);
    gr_tensor *s = gr_sin(x), *y = gr_mul(gr_square(s), s);
    if (section) gr_checkpoint_end(g);
    return gr_sum_all(y);
}

static gr_tensor *numbers(void)
{
    static double x[LONG];
    for (int i = 0; i < LONG; i++) x[i] = cos(i);
    return gr_from_data(g, GR_F64, GR_SHAPE(LONG), x);
}

START_TEST(derivatives_of_higher_order_pass_through_sections)
{
    static double want[LONG];
    for (int section = 0; section < 2; section++) {
        gr_tensor *x = numbers(), *d1, *d2, *d3;
        gr_grad(cubes(x, section), &x, 1, &d1);
        gr_grad(d1, &x, 1, &d2);
        gr_grad(d2, &x, 1, &d3);
        const double *got = gr_data(d3);
        ck_assert_msg(got != NULL, "%s", gr_graph_error(g));
        for (int i = 0; i < LONG && section; i++)
            ck_assert_msg(fabs(got[i] - want[i]) <= 1e-12 * (1 + fabs(want[i])),
                          "element %d: %.15g, without a section %.15g", i, got[i], want[i]);
        memcpy(want, got, sizeof want);
        gr_graph_reset(g);
    }
}
END_TEST

/* gr_backward records twins that nobody differentiates; the next sweep needs others. */
START_TEST(a_sweep_does_not_take_over_the_twins_of_the_one_before)
{
    double one[LONG];
    for (int i = 0; i < LONG; i++) one[i] = 1;
    gr_param *scaled = gr_param_new("scaled", GR_F64, GR_SHAPE(LONG), one);
    gr_tensor *x = gr_mul(gr_use(g, scaled), numbers()), *d1, *d2;
    gr_tensor *y = cubes(x, true);
    ck_assert_int_eq(gr_backward(y), GR_OK);
    gr_grad(y, &x, 1, &d1);
    gr_grad(d1, &x, 1, &d2);
    const double *v = gr_data(x), *got = gr_data(d2);
    ck_assert_msg(got != NULL, "%s", gr_graph_error(g));
    for (int i = 0; i < LONG; i++) {
        const double s = sin(v[i]), c = cos(v[i]);
        ck_assert_double_eq_tol(got[i], 6 * s * c * c - 3 * s * s * s, 1e-13);
    }
    gr_graph_reset(g);
    gr_param_release(scaled);
}
END_TEST

/* A penalty on the gradient of what a section holds; all of it in another one, or not. */
START_TEST(a_section_may_take_gradients)
{
    double want = 0;
    for (int section = 0; section < 2; section++) {
        gr_tensor *x = numbers(), *d1, *d2;
        if (section) gr_checkpoint_begin(g);
        gr_grad(cubes(x, section), &x, 1, &d1);
        gr_tensor *penalty = gr_square(d1);
        if (section) gr_checkpoint_end(g);
        gr_grad(gr_sum_all(penalty), &x, 1, &d2);
        double got = gr_item(gr_sum_all(gr_square(d2)));
        ck_assert_msg(gr_graph_error(g) == NULL, "%s", gr_graph_error(g));
        if (section) ck_assert_double_eq_tol(got, want, 1e-10 * want);
        want = got;
        gr_graph_reset(g);
    }
}
END_TEST

START_TEST(jvp_passes_through_sections)
{
    double want = 0;
    for (int section = 0; section < 2; section++) {
        gr_tensor *x = numbers(), *u = gr_cos(x), *y = cubes(x, section), *dy;
        ck_assert_msg(gr_jvp(&y, 1, &x, &u, 1, &dy) == GR_OK, "%s", gr_graph_error(g));
        double got = gr_item(dy);
        if (section) ck_assert_double_eq_tol(got, want, 1e-12 * fabs(want));
        want = got;
        gr_graph_reset(g);
    }
}
END_TEST

START_TEST(no_grad_within_a_section_stays_so_when_recorded_again)
{
    double want[LONG];
    for (int section = 0; section < 2; section++) {
        gr_tensor *x = numbers(), *d1, *d2;
        if (section) gr_checkpoint_begin(g);
        gr_no_grad_begin(g);
        gr_tensor *constant = gr_exp(x);
        gr_no_grad_end(g);
        gr_tensor *y = gr_mul(gr_sin(x), gr_mul(constant, gr_detach(x)));
        if (section) gr_checkpoint_end(g);
        gr_grad(gr_sum_all(y), &x, 1, &d1);
        gr_grad(d1, &x, 1, &d2);
        const double *got = gr_data(d2);
        for (int i = 0; i < LONG && section; i++) ck_assert_double_eq_tol(got[i], want[i], 1e-13);
        memcpy(want, got, sizeof want);
        gr_graph_reset(g);
    }
}
END_TEST

START_TEST(state_assigned_in_a_section_is_written_once)
{
    double zero[LONG] = {0};
    gr_param *mean = gr_param_new("mean", GR_F64, GR_SHAPE(LONG), zero);
    gr_param *v = gr_param_new("v", GR_F64, GR_SHAPE(LONG), zero);
    gr_checkpoint_begin(g);
    gr_assign(mean, gr_shift(gr_use(g, mean), 1));
    gr_tensor *y = gr_mul(gr_exp(gr_use(g, v)), numbers());
    gr_checkpoint_end(g);
    ck_assert_msg(gr_backward(gr_sum_all(y)) == GR_OK, "%s", gr_graph_error(g));
    ck_assert_double_eq(*(const double *)gr_param_data(mean), 1);
    gr_graph_reset(g);
    gr_param_release(mean);
    gr_param_release(v);
}
END_TEST

/* y = (a x^2, a x), with its backward in C, which reads x and both outputs. */
static gr_status powers(gr_exec *e)
{
    const double *x = e->in[0].data, a = *(const double *)e->attrs;
    for (int i = 0; i < LONG; i++) {
        ((double *)e->out[0].data)[i] = a * x[i] * x[i];
        ((double *)e->out[1].data)[i] = a * x[i];
    }
    return GR_OK;
}

static gr_status powers_backward(gr_exec *e)
{
    const double *line = e->in[2].data, *d_square = e->in[3].data, *d_line = e->in[4].data;
    const double a = *(const double *)e->attrs;
    for (int i = 0; i < LONG; i++)
        ((double *)e->out[0].data)[i] = 2 * line[i] * d_square[i] + a * d_line[i];
    return GR_OK;
}

static bool powers_infer(gr_infer *c)
{
    c->shape[1] = c->shape[0];
    c->dtype[1] = c->dtype[0];
    return true;
}

START_TEST(a_backward_in_c_reads_twins_too)
{
    static const gr_op op = {.name = "powers",
                             .n_in = 1,
                             .n_out = 2,
                             .attrs_size = sizeof(double),
                             .infer = powers_infer,
                             .forward = {[GR_F64] = powers},
                             .backward = {[GR_F64] = powers_backward}};
    static double want[LONG];
    for (int section = 0; section < 2; section++) {
        const double a = 1.5;
        gr_tensor *x = numbers(), *dx;
        if (section) gr_checkpoint_begin(g);
        gr_tensor *in = gr_sin(x), *y = gr_apply(NULL, &op, &in, 1, &a);
        gr_tensor *sum = gr_add(gr_exp(y), gr_output(y, 1));
        if (section) gr_checkpoint_end(g);
        gr_grad(gr_sum_all(sum), &x, 1, &dx);
        const double *got = gr_data(dx);
        ck_assert_msg(got != NULL, "%s", gr_graph_error(g));
        if (section) ck_assert_mem_eq(got, want, sizeof want);
        memcpy(want, got, sizeof want);
        gr_graph_reset(g);
    }
}
END_TEST

START_TEST(a_tensor_inside_a_section_can_be_differentiated_by)
{
    for (int section = 0; section < 2; section++) {
        gr_tensor *x = numbers(), *d1, *d2;
        if (section) gr_checkpoint_begin(g);
        gr_tensor *h = gr_sin(x), *y = gr_mul(gr_square(h), h);
        if (section) gr_checkpoint_end(g);
        gr_grad(gr_sum_all(y), &h, 1, &d1);
        gr_grad(gr_sum_all(d1), &h, 1, &d2);
        const double *got = gr_data(d2);
        ck_assert_msg(got != NULL, "%s", gr_graph_error(g));
        for (int i = 0; i < LONG; i++) ck_assert_double_eq_tol(got[i], 6 * sin(cos(i)), 1e-13);
        gr_graph_reset(g);
    }
}
END_TEST

/* --- wrong use --- */

START_TEST(a_tensor_hidden_by_an_earlier_gradient_is_an_error_that_names_gr_keep)
{
    for (int hidden = 0; hidden < 2; hidden++) { /* else nothing is differentiated by a twin */
        gr_tensor *x = numbers(), *d1, *d2;
        gr_checkpoint_begin(g);
        gr_tensor *h = gr_sin(x), *y = gr_mul(gr_square(h), h);
        gr_checkpoint_end(g);
        if (!hidden) gr_no_grad_begin(g);
        gr_grad(gr_sum_all(y), &x, 1, &d1);
        if (!hidden) gr_no_grad_end(g);
        gr_status status = gr_grad(gr_sum_all(hidden ? d1 : y), &h, 1, &d2);
        ck_assert_msg(hidden || status == GR_OK, "%s", gr_graph_error(g));
        if (hidden) assert_error("gr_grad: input 0 lies inside a checkpointed section");
        if (hidden) assert_error("gr_keep()");
        gr_graph_reset(g);
    }
}
END_TEST

START_TEST(an_end_without_a_beginning_is_an_error)
{
    gr_checkpoint_begin(g);
    gr_checkpoint_end(g);
    ck_assert_ptr_null(gr_graph_error(g));
    gr_checkpoint_end(g);
    assert_error("gr_checkpoint_end: no section is open");
    gr_graph_reset(g);
    gr_checkpoint_begin(g);
    gr_graph_reset(g);
    assert_error("gr_graph_reset: a section of gr_checkpoint_begin was left open");
    gr_checkpoint_begin(NULL);
    gr_checkpoint_end(NULL);
}
END_TEST

START_TEST(a_section_that_is_still_open_saves_nothing_and_loses_nothing)
{
    gr_tensor *x = numbers(), *d1, *outside, *y;
    gr_grad(y = cubes(x, false), &x, 1, &outside);
    gr_checkpoint_begin(g);
    gr_grad(cubes(x, true), &x, 1, &d1);
    const double *want = gr_data(outside), *got = gr_data(d1);
    ck_assert_msg(got != NULL, "%s", gr_graph_error(g));
    for (int i = 0; i < LONG; i++) ck_assert_double_eq(got[i], want[i]);
    gr_checkpoint_end(g);
    ck_assert_double_eq(gr_item(gr_mul(y, scalar(0))), 0);
}
END_TEST

SUITE("checkpoint", setup, teardown, gradients_have_the_same_bits_however_the_network_is_cut,
      an_eager_or_guarded_graph_gives_the_same_bits, gr_grad_gives_the_same_bits_for_inputs,
      derivatives_of_higher_order_pass_through_sections,
      a_sweep_does_not_take_over_the_twins_of_the_one_before, a_section_may_take_gradients,
      jvp_passes_through_sections, no_grad_within_a_section_stays_so_when_recorded_again,
      state_assigned_in_a_section_is_written_once, a_backward_in_c_reads_twins_too,
      a_tensor_inside_a_section_can_be_differentiated_by,
      a_tensor_hidden_by_an_earlier_gradient_is_an_error_that_names_gr_keep,
      an_end_without_a_beginning_is_an_error,
      a_section_that_is_still_open_saves_nothing_and_loses_nothing)
