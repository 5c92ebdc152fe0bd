/* test_every_layer.c - every layer: the shape it gives, its gradients, the error that names it. */
/* SPDX-License-Identifier: MIT */
#include "base.h"
#include "inject.h"
#include "layer_table.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <math.h>
#include <string.h>

static const double *drawn(int64_t n)
{
    static double x[256];
    ck_assert_int_le(n, 256);
    for (int64_t i = 0; i < n; i++) x[i] = 2 * gr__random_uniform(5, (uint64_t)i) - 1;
    return x;
}

static void gives_its_shape(const layer *l)
{
    gr_model *m = gr_model_new();
    gr_graph *g = gr_graph_new();
    gr_model_dtype(m, GR_F64);
    gr_module *net = l->make(m);
    ck_assert_msg(!gr_model_error(m), "%s: %s", l->name, gr_model_error(m));
    gr_tensor *x = gr_from_data(g, GR_F64, l->x, drawn(gr_shape_numel(&l->x)));
    gr_tensor *y = gr_forward(net, x);
    char got[GR_SHAPE_TEXT], want[GR_SHAPE_TEXT];
    ck_assert_msg(gr_data(y) != NULL, "%s: %s", l->name, gr_graph_error(g));
    ck_assert_msg(gr_shape_equal(gr_shape_of(y), &l->y), "%s: expected %s, got %s", l->name,
                  gr_shape_text(&l->y, want), gr_shape_text(gr_shape_of(y), got));
    gr_graph_free(g);
    gr_model_free(m);
}

START_TEST(every_layer_gives_its_shape)
{
    for (int i = 0; i < n_layers; i++) gives_its_shape(&every_layer[i]);
}
END_TEST

START_TEST(every_layer_passes_the_gradient_check)
{
    for (int i = 0; i < n_layers; i++) {
        const layer *l = &every_layer[i];
        gr_model *m = gr_model_new();
        gr_check_report r;
        gr_check_input x = {"x", GR_F64, l->x, drawn(gr_shape_numel(&l->x))};
        gr_verdict v = gr_gradcheck_module(l->make(m), &x, NULL, NULL, (gr_check_options){0}, &r);
        ck_assert_msg(v == GR_PASS, "%s: %s %s %s", l->name, gr_verdict_name(v), r.stage,
                      r.message);
        gr_model_free(m);
    }
}
END_TEST

START_TEST(the_embedding_passes_the_gradient_check)
{
    static const int64_t words[] = {0, 3, 3, 4, 1, 0};
    const gr_check_input x = {"words", GR_I64, {2, {2, 3}}, words};
    gr_model *m = gr_model_new();
    gr_check_report r;
    gr_module *net = gr_embedding_layer(m, 5, 3, (gr_embedding_options){0});
    gr_verdict v = gr_gradcheck_module(net, &x, NULL, NULL, (gr_check_options){0}, &r);
    ck_assert_msg(v == GR_PASS, "%s %s", r.stage, r.message);
    gr_model_free(m);
}
END_TEST

/* Layers that take any shape have no wrong one; those with parameters say which layer it was. */
START_TEST(a_wrong_shape_names_every_layer)
{
    for (int i = 0; i < n_layers; i++) {
        const layer *l = &every_layer[i];
        gr_model *m = gr_model_new();
        gr_graph *g = gr_graph_new();
        gr_module *net = gr_sequential(m, GR_LIST(gr_named("here", l->make(m))));
        gr_tensor *y = gr_forward(net, gr_ones(g, GR_F32, GR_SCALAR));
        const char *error = gr_graph_error(g);
        ck_assert_msg(!error == (gr_data(y) != NULL), "%s", l->name);
        if (gr_model_params(m))
            ck_assert_msg(error && strstr(error, "'here"), "%s: '%s' names no layer", l->name,
                          error ? error : "no error");
        gr_graph_free(g);
        gr_model_free(m);
    }
}
END_TEST

/* A training step of each: recorded, computed, differentiated, its state written. */
static double step(gr_graph *g, gr_module *net, const layer *l)
{
    gr_tensor *x = gr_from_data(g, GR_F64, l->x, drawn(gr_shape_numel(&l->x)));
    gr_tensor *loss = gr_sum_all(gr_square(gr_forward(net, x)));
    if (gr_model_params(gr_module_model(net))) gr_backward(loss);
    gr_commit(g);
    double value = gr_item(loss);
    gr_graph_reset(g);
    return value;
}

START_TEST(no_layer_allocates_from_the_second_step_on)
{
    inject_begin();
    for (int i = 0; i < n_layers; i++) {
        gr_model *m = gr_model_new();
        gr_graph *g = gr_graph_new();
        gr_model_dtype(m, GR_F64);
        gr_module *net = every_layer[i].make(m);
        for (int k = 0; k < 3; k++) step(g, net, &every_layer[i]);
        const int64_t before = inject_allocations();
        for (int k = 0; k < 3; k++) ck_assert(isfinite(step(g, net, &every_layer[i])));
        ck_assert_msg(inject_allocations() == before, "%s: %d allocations", every_layer[i].name,
                      (int)(inject_allocations() - before));
        gr_graph_free(g);
        gr_model_free(m);
        ck_assert_int_eq(inject_live(), 0);
    }
    inject_end();
}
END_TEST

/* Fails allocation n of building and training; true when there was no such allocation. */
static bool survives(const layer *l, int64_t n)
{
    inject_allocation(n);
    gr_model *m = gr_model_new();
    gr_model_dtype(m, GR_F64);
    gr_module *net = l->make(m);
    gr_graph *g = gr_graph_new();
    double value = step(g, net, l);
    const bool happened = inject_happened();
    inject_none();
    ck_assert_msg(happened || isfinite(value), "%s: no failure, yet no value", l->name);
    gr_graph_free(g);
    gr_model_free(m);
    ck_assert_msg(inject_live() == 0, "%s: allocation %d leaks", l->name, (int)n);
    return !happened;
}

START_TEST(memory_that_runs_out_is_no_crash_and_no_leak)
{
    inject_begin();
    for (int i = 0; i < n_layers; i++)
        for (int64_t n = 0; !survives(&every_layer[i], n); n++) continue;
    inject_end();
}
END_TEST

SUITE("every_layer", NULL, NULL, every_layer_gives_its_shape, every_layer_passes_the_gradient_check,
      the_embedding_passes_the_gradient_check, a_wrong_shape_names_every_layer,
      no_layer_allocates_from_the_second_step_on, memory_that_runs_out_is_no_crash_and_no_leak)
