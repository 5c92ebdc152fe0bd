/* test_scratch_errors.c - scratches that fail inside, do not pair, or run out of memory. */
/* SPDX-License-Identifier: MIT */
#include "forgotten.h"
#include "inject.h"
#include "suite.h"

START_TEST(a_failure_inside_ends_with_inert_tensors)
{
    gr_tensor *x = counting(4), *good, *bad;
    gr_scratch_begin(g);
    gr_scratch_begin(g);
    good = gr_exp(x);
    bad = gr_add(x, counting(3));
    gr_tensor *keep[] = {good, bad};
    ck_assert_int_eq(gr_scratch_end(g, keep, 2), GR_ERR_ARGUMENT);
    ck_assert(isnan(gr_item(keep[0])) && gr_numel(keep[0]) == 1);
    gr_scratch_end(g, keep, 1);
    assert_error("add: cannot broadcast");
    gr_graph_reset(g);
    assert_fine();
}
END_TEST

START_TEST(what_cannot_be_kept_is_refused)
{
    gr_graph *other = gr_graph_new();
    gr_tensor *keep[] = {NULL, gr_tanh(NULL), gr_scalar(other, GR_F64, 1)};
    const char *const want[] = {"tensor 0 to be kept is NULL",
                                "tensor 0 to be kept is the result of a failed call",
                                "tensor 0 to be kept is of another graph"};
    for (int i = 0; i < 3; i++) {
        gr_scratch_begin(g);
        gr_scratch_next(g, &keep[i], 1);
        assert_error(want[i]);
        ck_assert_ptr_eq(gr_graph_of(keep[i]), g);
        gr_scratch_end(g, NULL, 0);
        gr_graph_reset(g);
    }
    gr_graph_free(other);
}
END_TEST

START_TEST(pairs_that_do_not_match_are_errors)
{
    gr_scratch_end(g, NULL, 0);
    assert_error("gr_scratch_end: no scratch is open (at test_scratch_errors.c:");
    gr_graph_reset(g);
    gr_scratch_next(g, NULL, 0);
    assert_error("gr_scratch_next: no scratch is open");
    gr_graph_reset(g);
    gr_scratch_begin(g);
    gr_graph_reset(g);
    assert_error("gr_graph_reset: a scratch was left open (at test_scratch_errors.c:");
    gr_graph_reset(g);
    gr_scratch_begin(g);
    gr_scope_begin(g, "a");
    gr_scratch_end(g, NULL, 0);
    assert_error("gr_scratch_end: scopes begun inside have to end inside");
    gr_graph_reset(g);
    gr_scope_begin(g, "a");
    gr_scratch_begin(g);
    gr_scope_end(g);
    gr_scratch_end(g, NULL, 0);
    assert_error("gr_scratch_end: scopes begun inside have to end inside");
    gr_graph_reset(g);
    gr_scratch_begin(g);
    gr_no_grad_begin(g);
    gr_scratch_end(g, NULL, 0);
    assert_error("gr_scratch_end: no-grad scopes begun inside have to end inside");
    gr_graph_reset(g);
    gr_scratch_begin(g);
    gr_checkpoint_begin(g);
    gr_scratch_end(g, NULL, 0);
    assert_error("gr_scratch_end: checkpointed sections begun inside have to end inside");
    gr_graph_reset(g);
    assert_fine();
}
END_TEST

START_TEST(too_many_scratches_are_an_error_and_still_pair)
{
    for (int i = 0; i < 10; i++) gr_scratch_begin(g);
    assert_error("gr_scratch_begin: more than 8 scratches are open");
    for (int i = 0; i < 10; i++) gr_scratch_end(g, NULL, 0);
    gr_graph_reset(g);
    for (int i = 0; i < 8; i++) gr_scratch_begin(g);
    for (int i = 0; i < 8; i++) gr_scratch_end(g, NULL, 0);
    assert_fine();
}
END_TEST

static void careless_vjp(gr_pullback *p)
{
    gr_scratch_begin(p->graph);
    p->dx[0] = gr_neg(p->dy[0]);
    gr_scratch_end(p->graph, &p->dx[0], 1);
}

static void copy_f64(const gr_tile *t)
{
    memcpy(t->y, t->x[0], (size_t)t->n * sizeof(double));
}

START_TEST(a_backward_rule_may_not_forget)
{
    static const gr_op op = {.name = "careless",
                             .n_in = 1,
                             .tile = {[GR_F64] = copy_f64},
                             .vjp = careless_vjp};
    gr_tensor *x = counting(2), *dx;
    gr_scratch_begin(g);
    gr_grad(gr_apply(g, &op, &x, 1, NULL), &x, 1, &dx);
    assert_error("gr_scratch_begin: called by a backward rule");
    gr_scratch_end(g, NULL, 0);
}
END_TEST

START_TEST(a_binding_does_not_go_to_a_scratch)
{
    gr_param *p = gr_param_new("p", GR_F64, GR_SHAPE(2), NULL);
    gr_tensor *x = counting(2);
    gr_scratch_begin(g);
    ck_assert_ptr_eq(gr_bind(g, p, x), x);
    assert_fine();
    gr_bind(g, p, gr_exp(x));
    assert_error("gr_bind: the tensor is of a scratch");
    gr_param_release(p);
}
END_TEST

static gr_status forgetful_loop(gr_graph *own, gr_param *p)
{
    double x[LARGE] = {0};
    gr_tensor *t = gr_from_data(own, GR_F64, GR_SHAPE(LARGE), x);
    gr_scratch_begin(own);
    for (int i = 0; i < 3; i++) {
        gr_scope_begin(own, "turn");
        t = gr_add(gr_exp(t), gr_use(own, p));
        gr_scope_end(own);
        gr_scratch_next(own, &t, 1);
    }
    gr_scratch_end(own, &t, 1);
    return gr_data(t) ? GR_OK : gr_graph_status(own);
}

START_TEST(any_failed_allocation_is_an_error_and_nothing_leaks)
{
    inject_begin();
    gr_param *p = gr_param_new("p", GR_F64, GR_SHAPE(1), NULL);
    int64_t failed = 0;
    for (int64_t n = 0, done = 0; !done; n++) {
        inject_allocation(n);
        gr_graph *own = gr_graph_new();
        gr_status status = forgetful_loop(own, p);
        done = !inject_happened();
        inject_none();
        ck_assert_int_eq(status, done ? GR_OK : GR_ERR_MEMORY);
        gr_graph_reset(own);
        if (gr_graph_status(own) == GR_OK) ck_assert_int_eq(forgetful_loop(own, p), GR_OK);
        gr_graph_free(own);
        failed += !done;
    }
    ck_assert_int_ge(failed, 8);
    gr_param_release(p);
    ck_assert_int_eq(inject_live(), 0);
    inject_end();
}
END_TEST

SUITE("scratch_errors", setup, teardown, a_failure_inside_ends_with_inert_tensors,
      what_cannot_be_kept_is_refused, pairs_that_do_not_match_are_errors,
      too_many_scratches_are_an_error_and_still_pair, a_backward_rule_may_not_forget,
      a_binding_does_not_go_to_a_scratch, any_failed_allocation_is_an_error_and_nothing_leaks)
