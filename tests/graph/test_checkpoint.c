/* test_checkpoint.c - sections that backward records again: the same bits in less memory. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <math.h>
#include <string.h>

enum { BATCH = 64, WIDTH = 48, MOST_LAYERS = 50, SIZE = WIDTH * WIDTH };

static gr_graph *g;
static gr_param *w[MOST_LAYERS], *scale[MOST_LAYERS];
static float input[BATCH * WIDTH];

static void setup(void)
{
    static float start[SIZE];
    g = gr_graph_new();
    for (int i = 0; i < BATCH * WIDTH; i++) input[i] = sinf(0.37f * (float)i);
    for (int l = 0; l < MOST_LAYERS; l++) {
        for (int i = 0; i < SIZE; i++) {
            const float t = 43758.5453f * sinf(12.9898f * (float)(i + 1) + (float)l);
            start[i] = 0.5f * (t - floorf(t) - 0.5f);
        }
        w[l] = gr_param_new("w", GR_F32, GR_SHAPE(WIDTH, WIDTH), start);
        for (int i = 0; i < WIDTH; i++) start[i] = 1;
        scale[l] = gr_param_new("scale", GR_F32, GR_SHAPE(WIDTH), start);
    }
}

static void teardown(void)
{
    gr_graph_free(g);
    for (int l = 0; l < MOST_LAYERS; l++) {
        gr_param_release(w[l]);
        gr_param_release(scale[l]);
    }
}

static void assert_error(const char *part)
{
    const char *error = gr_graph_error(g);
    ck_assert_msg(error && strstr(error, part), "expected '%s', got '%s'", part,
                  error ? error : "none");
}

/* --- networks --- */

typedef gr_tensor *layer_fn(gr_tensor *x, int l);

static gr_tensor *normed(gr_tensor *x, int l)
{
    gr_tensor *h = gr_linear(x, gr_use(g, w[l]), NULL);
    return gr_add(x, gr_gelu(gr_layer_norm(h, GR_SHAPE(WIDTH), gr_use(g, scale[l]), NULL, 1e-5)));
}

static gr_tensor *plain(gr_tensor *x, int l)
{
    return gr_tanh(gr_linear(x, gr_use(g, w[l]), NULL));
}

static gr_tensor *dropped(gr_tensor *x, int l)
{
    return gr_dropout(plain(x, l), 0.3);
}

/* Views, integers, a node of two outputs, a sum of two uses. */
static gr_tensor *mixed(gr_tensor *x, int l)
{
    gr_tensor *h = gr_transpose(gr_linear(x, gr_use(g, w[l]), NULL), 0, 1);
    gr_tensor *order = gr_output(gr_sort(x, 1, false), 1);
    gr_tensor *sorted = gr_gather(gr_transpose(h, 0, 1), 1, order);
    gr_tensor *spread = gr_var(sorted, GR_AXES(1), true, 0);
    gr_tensor *middle = gr_sub(sorted, gr_output(spread, 1));
    return gr_tanh(gr_add(gr_div(middle, gr_sqrt(gr_shift(spread, 0.1))), x));
}

/* Layers in sections of cut[0], these in sections of cut[1], and so on until a 0. */
static gr_tensor *stack(layer_fn *layer, gr_tensor *x, int from, int to, const int *cut)
{
    for (int l = from, step = *cut ? *cut : 1; l < to; l += step) {
        if (*cut) gr_checkpoint_begin(g);
        x = *cut ? stack(layer, x, l, l + step < to ? l + step : to, cut + 1) : layer(x, l);
        if (*cut) gr_checkpoint_end(g);
    }
    return x;
}

#define CUT(...) ((const int[]){__VA_ARGS__, 0})
#define UNCUT CUT(0)

static gr_tensor *source(void)
{
    return gr_from_data(g, GR_F32, GR_SHAPE(BATCH, WIDTH), input);
}

static void clear_gradients(void)
{
    for (int l = 0; l < MOST_LAYERS; l++) {
        gr_param_clear_grad(w[l]);
        gr_param_clear_grad(scale[l]);
    }
}

/* Gradients of all weights after one step, bit by bit; returns the peak of memory. */
static size_t step(layer_fn *layer, int layers, const int *cut, float *grads)
{
    gr_graph_free(g);
    g = gr_graph_new();
    gr_graph_seed(g, 7);
    gr_tensor *loss = gr_mean_all(gr_square(stack(layer, source(), 0, layers, cut)));
    gr_status status = gr_backward(loss);
    ck_assert_msg(status == GR_OK, "%s", gr_graph_error(g));
    for (int l = 0; l < layers; l++)
        memcpy(grads + l * SIZE, gr_param_grad(w[l]), SIZE * sizeof *grads);
    clear_gradients();
    ck_assert_msg(isfinite(gr_item(loss)) && grads[0] != 0, "nothing to compare");
    return gr_graph_memory(g).peak;
}

static void assert_same(const float *want, const float *got, int n, const char *what)
{
    for (int i = 0; i < n; i++)
        ck_assert_msg(memcmp(&want[i], &got[i], sizeof *want) == 0,
                      "%s: element %d is %.9g, without sections %.9g", what, i, (double)got[i],
                      (double)want[i]);
}

static float whole[MOST_LAYERS * SIZE], cut_up[MOST_LAYERS * SIZE];

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

/* --- memory --- */

START_TEST(fifty_layers_take_a_quarter_of_the_memory)
{
    size_t all = step(normed, 50, UNCUT, whole);
    size_t some = step(normed, 50, CUT(5), cut_up);
    assert_same(whole, cut_up, 50 * SIZE, "50 layers");
    ck_assert_msg(4 * some <= all, "peak %zu of %zu bytes", some, all);
}
END_TEST

START_TEST(sections_in_sections_take_less_than_sections)
{
    size_t flat = step(plain, 50, CUT(7), whole), deep = step(plain, 50, CUT(16, 4), cut_up);
    assert_same(whole, cut_up, 50 * SIZE, "nested");
    ck_assert_msg(deep < flat, "nested %zu, flat %zu bytes", deep, flat);
}
END_TEST

START_TEST(a_loss_read_before_backward_takes_no_more_memory)
{
    size_t peaks[2];
    for (int early = 0; early < 2; early++) {
        gr_graph_free(g);
        g = gr_graph_new();
        gr_tensor *loss = gr_mean_all(stack(normed, source(), 0, 40, CUT(5)));
        if (early) ck_assert(isfinite(gr_item(loss)));
        ck_assert_msg(gr_backward(loss) == GR_OK, "%s", gr_graph_error(g));
        peaks[early] = gr_graph_memory(g).peak;
        clear_gradients();
    }
    ck_assert_msg(peaks[1] <= peaks[0], "%zu bytes, %zu without reading", peaks[1], peaks[0]);
}
END_TEST

static void count_forward(void *user, const gr_node *node, const gr_exec *e)
{
    (void)e;
    *(int *)user += !gr_node_is_backward(node);
}

/* Also of what has no gradient: all that a section starts from is there. */
START_TEST(a_loss_read_before_backward_is_not_computed_again)
{
    int computed = 0;
    gr_tensor *x = gr_exp(gr_sin(source()));
    gr_checkpoint_begin(g);
    gr_tensor *h = plain(gr_tanh(x), 0);
    gr_checkpoint_end(g);
    gr_tensor *loss = gr_mean_all(stack(plain, h, 1, 7, CUT(3, 1)));
    ck_assert(isfinite(gr_item(loss)));
    gr_graph_observe(g, count_forward, &computed);
    ck_assert_msg(gr_backward(loss) == GR_OK, "%s", gr_graph_error(g));
    ck_assert_int_eq(computed, 0);
}
END_TEST

START_TEST(gr_grad_without_gradients_of_its_own_takes_less_memory_too)
{
    size_t peaks[2];
    for (int section = 0; section < 2; section++) {
        gr_tensor *x[30], *dx[30];
        gr_graph_free(g);
        g = gr_graph_new();
        gr_tensor *loss = gr_mean_all(stack(normed, source(), 0, 30, CUT(section * 5)));
        for (int l = 0; l < 30; l++) x[l] = gr_use(g, scale[l]);
        gr_no_grad_begin(g);
        gr_grad(loss, x, 30, dx);
        gr_no_grad_end(g);
        ck_assert_msg(gr_eval(dx, 30) == GR_OK, "%s", gr_graph_error(g));
        peaks[section] = gr_graph_memory(g).peak;
    }
    ck_assert_msg(3 * peaks[1] <= peaks[0], "%zu bytes, %zu without sections", peaks[1], peaks[0]);
}
END_TEST

START_TEST(nothing_is_allocated_once_a_step_has_been_seen)
{
    inject_begin();
    int64_t before = 0;
    for (int i = 0; i < 6; i++) {
        gr_graph_reset(g);
        gr_backward(gr_mean_all(stack(dropped, source(), 0, 12, CUT(4, 2))));
        if (i == 2) before = inject_allocations();
    }
    ck_assert_int_eq(inject_allocations() - before, 0);
    ck_assert_msg(gr_graph_error(g) == NULL, "%s", gr_graph_error(g));
    teardown();
    inject_end();
    setup();
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

START_TEST(a_failed_allocation_is_an_error_wherever_it_happens)
{
    gr_graph *before = g;
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        g = gr_graph_new();
        inject_allocation(n);
        gr_tensor *loss = gr_mean_all(stack(dropped, source(), 0, 6, CUT(4, 2)));
        gr_status status = gr_backward(loss);
        done = !inject_happened();
        inject_none();
        ck_assert_int_eq(status, done ? GR_OK : GR_ERR_MEMORY);
        gr_graph_free(g);
    }
    inject_end();
    g = before;
}
END_TEST

SUITE("checkpoint", setup, teardown, gradients_have_the_same_bits_however_the_network_is_cut,
      an_eager_or_guarded_graph_gives_the_same_bits, gr_grad_gives_the_same_bits_for_inputs,
      fifty_layers_take_a_quarter_of_the_memory, sections_in_sections_take_less_than_sections,
      a_loss_read_before_backward_takes_no_more_memory,
      a_loss_read_before_backward_is_not_computed_again,
      gr_grad_without_gradients_of_its_own_takes_less_memory_too,
      nothing_is_allocated_once_a_step_has_been_seen,
      derivatives_of_higher_order_pass_through_sections,
      a_sweep_does_not_take_over_the_twins_of_the_one_before, a_section_may_take_gradients,
      jvp_passes_through_sections, no_grad_within_a_section_stays_so_when_recorded_again,
      state_assigned_in_a_section_is_written_once, a_backward_in_c_reads_twins_too,
      a_tensor_inside_a_section_can_be_differentiated_by,
      a_tensor_hidden_by_an_earlier_gradient_is_an_error_that_names_gr_keep,
      an_end_without_a_beginning_is_an_error,
      a_section_that_is_still_open_saves_nothing_and_loses_nothing,
      a_failed_allocation_is_an_error_wherever_it_happens)
