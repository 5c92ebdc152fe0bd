/* test_checkpoint_memory.c - sections that backward records again: less memory, and what is computed. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "sections.h"
#include "suite.h"

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
        renew_graph();
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
        renew_graph();
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

SUITE("checkpoint, memory", setup, teardown, fifty_layers_take_a_quarter_of_the_memory,
      sections_in_sections_take_less_than_sections,
      a_loss_read_before_backward_takes_no_more_memory,
      a_loss_read_before_backward_is_not_computed_again,
      gr_grad_without_gradients_of_its_own_takes_less_memory_too,
      nothing_is_allocated_once_a_step_has_been_seen,
      a_failed_allocation_is_an_error_wherever_it_happens)
