/* test_profile.c - what a profile counts and how it tells. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "json.h"
#include "scratch.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static gr_graph *g;
static gr_profile *p;

static void setup(void)
{
    scratch_begin();
    g = gr_graph_new();
    p = gr_profile_new((gr_profile_options){0});
    gr_graph_profile(g, p);
}

static void teardown(void)
{
    gr_graph_free(g);
    gr_profile_free(p);
    scratch_end();
}

/* Two layers in scopes, each x w, and the gradient by both weights. */
static void run_step(void)
{
    gr_tensor *x = gr_full(g, GR_F64, GR_SHAPE(64, 32), 0.5), *w[2], *dw[2];
    gr_scope_begin(g, "net");
    for (int i = 0; i < 2; i++) {
        gr_scope_begin(g, i ? "second" : "first");
        w[i] = gr_full(g, GR_F64, GR_SHAPE(32, 32), 0.1);
        x = gr_tanh(gr_matmul(x, w[i]));
        gr_scope_end(g);
    }
    gr_scope_end(g);
    gr_tensor *loss = gr_sum_all(x);
    gr_grad(loss, w, 2, dw);
    ck_assert_msg(gr_eval((gr_tensor *[]){loss, dw[0], dw[1]}, 3) == GR_OK, "%s",
                  gr_graph_error(g));
}

static const gr_profile_row *find(const gr_profile_row *rows, int n, const char *name,
                                  bool backward)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(rows[i].name, name) && rows[i].backward == backward) return &rows[i];
    ck_abort_msg("no row %s", name);
    return NULL;
}

static const gr_profile_row *op(const char *name, bool backward)
{
    int n;
    const gr_profile_row *rows = gr_profile_ops(p, &n);
    return find(rows, n, name, backward);
}

static const gr_profile_row *scope(const char *path, bool backward)
{
    int n;
    const gr_profile_row *rows = gr_profile_scopes(p, &n);
    return find(rows, n, path, backward);
}

START_TEST(ops_are_counted_forwards_and_backwards)
{
    run_step();
    ck_assert_int_eq(op("matmul", false)->calls, 2);
    ck_assert_int_eq(op("matmul_tn", true)->calls, 2);
    ck_assert_int_eq(op("matmul_nt", true)->calls, 1); /* the gradient by x is not asked for */
    ck_assert_double_eq(op("matmul", false)->flops, 2 * 2.0 * 64 * 32 * 32);
    ck_assert_int_eq(op("tanh", false)->read, 2 * 64 * 32 * 8);
    ck_assert_int_eq(op("tanh", false)->written, 2 * 64 * 32 * 8);
    ck_assert_int_ge(op("tanh", false)->peak, 64 * 32 * 8);
    ck_assert_double_gt(op("matmul_tn", true)->seconds, 0);
}
END_TEST

START_TEST(scopes_have_the_nodes_recorded_in_them_and_those_around_them_a_row)
{
    run_step();
    ck_assert_int_eq(scope("net/first", false)->calls, 2);
    ck_assert_int_eq(scope("net/second", false)->calls, 2);
    ck_assert_int_ge(scope("net/second", true)->calls, 3);
    ck_assert_int_eq(scope("net", false)->calls, 0);
    ck_assert_int_eq(scope("", false)->calls, 1); /* sum */
}
END_TEST

START_TEST(rows_sum_up_to_the_total_of_ops_and_of_scopes)
{
    for (int i = 0; i < 3; i++, gr_graph_reset(g)) run_step();
    gr_profile_row total = gr_profile_total(p);
    for (int k = 0; k < 2; k++) {
        int n;
        const gr_profile_row *rows = k ? gr_profile_ops(p, &n) : gr_profile_scopes(p, &n);
        gr_profile_row sum = {.calls = 0};
        for (int i = 0; i < n; i++) {
            sum.calls += rows[i].calls;
            sum.seconds += rows[i].seconds;
            sum.read += rows[i].read;
            sum.flops += rows[i].flops;
        }
        ck_assert_int_eq(sum.calls, total.calls);
        ck_assert_int_eq(sum.read, total.read);
        ck_assert_double_eq(sum.flops, total.flops);
        ck_assert_double_eq_tol(sum.seconds, total.seconds, 1e-9);
    }
    ck_assert_double_ge(gr_profile_seconds(p), total.seconds);
}
END_TEST

START_TEST(what_runs_detached_or_before_a_reset_is_not_counted)
{
    run_step();
    gr_graph_profile(g, NULL);
    int64_t calls = gr_profile_total(p).calls;
    run_step();
    ck_assert_int_eq(gr_profile_total(p).calls, calls);
    gr_profile_reset(p);
    ck_assert_int_eq(gr_profile_total(p).calls, 0);
    gr_graph_profile(g, p);
    gr_data(gr_exp(gr_ones(g, GR_F64, GR_SHAPE(3))));
    ck_assert_int_eq(gr_profile_total(p).calls, 1);
    ck_assert_int_eq(op("exp", false)->calls, 1);
}
END_TEST

START_TEST(many_ops_and_scopes_keep_their_rows)
{
    for (int i = 0; i < 1000; i++) {
        char name[32];
        snprintf(name, sizeof name, "part %d", i);
        gr_scope_begin(g, name);
        gr_data(gr_exp(gr_ones(g, GR_F64, GR_SHAPE(3))));
        gr_scope_end(g);
    }
    int n;
    gr_profile_scopes(p, &n);
    ck_assert_int_eq(n, 1000);
    ck_assert_int_eq(scope("part 0", false)->calls, 1);
    ck_assert_int_eq(scope("part 999", false)->calls, 1);
    ck_assert_int_eq(op("exp", false)->calls, 1000);
}
END_TEST

/* --- tables --- */

static void expect_line(const char *text, const char *start)
{
    size_t n = strlen(start);
    for (const char *line = text; line; line = strchr(line, '\n'), line += line != NULL)
        if (!strncmp(line, start, n)) return;
    ck_abort_msg("expected a line that begins '%s' in:\n%s", start, text);
}

START_TEST(the_table_has_a_line_per_row)
{
    run_step();
    size_t n = gr_profile_text(p, NULL, 0);
    char *text = malloc(n + 1);
    ck_assert_uint_eq(gr_profile_text(p, text, n + 1), n);
    ck_assert_uint_eq(strlen(text), n);
    expect_line(text, "op ");
    expect_line(text, "matmul          forward       2 ");
    expect_line(text, "matmul_tn       backward      2 ");
    expect_line(text, "outside of ops ");
    expect_line(text, "net                     forward       4 "); /* with those inside */
    expect_line(text, "net/first               forward       2 ");
    expect_line(text, "(none)                  forward       1 ");
    free(text);
}
END_TEST

START_TEST(an_empty_profile_tells_of_nothing)
{
    char text[1024];
    ck_assert_uint_gt(gr_profile_text(p, text, sizeof text), 0);
    ck_assert_ptr_nonnull(strstr(text, "0 calls in 0.000 s"));
    ck_assert_ptr_null(strstr(text, "nan"));
}
END_TEST

/* --- JSON --- */

static void expect_json(const char *text, size_t bytes)
{
    gr__json_reader r;
    char *copy = malloc(bytes);
    memcpy(copy, text, bytes);
    gr__json_begin(&r, copy, bytes);
    gr__json_skip(&r);
    ck_assert_msg(gr__json_end(&r) == GR_OK, "%s", gr_last_error());
    free(copy);
}

/* To be freed. */
static char *written(void)
{
    size_t bytes;
    ck_assert_msg(gr_profile_write(p, scratch_path("p.json")) == GR_OK, "%s", gr_last_error());
    char *text = scratch_read("p.json", &bytes);
    expect_json(text, bytes);
    return text;
}

static int occurrences(const char *text, const char *part)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part)) n++;
    return n;
}

START_TEST(the_file_has_rows_and_an_event_per_node)
{
    run_step();
    char *text = written();
    ck_assert_int_eq(occurrences(text, "\"ph\":\"X\""), (int)gr_profile_total(p).calls);
    ck_assert_int_eq(occurrences(text, "\"name\":\"thread_name\""), 2);
    ck_assert_int_ge(occurrences(text, "\"ph\":\"C\""), 1);
    ck_assert_ptr_nonnull(strstr(text, "\"shape\":\"[64,32]\",\"scope\":\"net/first\""));
    ck_assert_ptr_nonnull(strstr(text, "{\"name\":\"matmul_tn\",\"phase\":\"backward\",\"calls\":2,"));
    free(text);
}
END_TEST

START_TEST(the_trace_keeps_so_many_events_as_asked_for)
{
    const int64_t asked[] = {3, -1}, kept[] = {3, 0};
    for (int i = 0; i < 2; i++) {
        gr_profile_free(p);
        p = gr_profile_new((gr_profile_options){.events = asked[i]});
        gr_graph_profile(g, p);
        run_step();
        char *text = written();
        ck_assert_int_eq(occurrences(text, "\"ph\":\"X\""), kept[i]);
        ck_assert_int_gt(gr_profile_total(p).calls, 3);
        free(text);
    }
}
END_TEST

START_TEST(names_of_scopes_are_escaped)
{
    gr_scope_begin(g, "a \"b\"\n");
    gr_data(gr_exp(gr_ones(g, GR_F64, GR_SHAPE(3))));
    gr_scope_end(g);
    char *text = written();
    ck_assert_ptr_nonnull(strstr(text, "\"scope\":\"a \\\"b\\\"\\n\""));
    free(text);
}
END_TEST

/* --- failures --- */

START_TEST(a_file_that_cannot_be_written_is_an_error)
{
    ck_assert_int_eq(gr_profile_write(p, scratch_path("none/p.json")), GR_ERR_FILE);
}
END_TEST

/* A profile over one step, with the n-th of its own allocations failing. */
static bool profile_with_failure(int64_t n)
{
    gr_graph *own = g;
    inject_allocation(n);
    p = gr_profile_new((gr_profile_options){0});
    gr_graph_profile(own, p);
    gr_data(gr_exp(gr_ones(own, GR_F64, GR_SHAPE(3))));
    bool whole = gr_profile_text(p, NULL, 0) > 0;
    bool failed = inject_happened();
    inject_none();
    ck_assert_msg(whole == !failed, "allocation %d: it says %d", (int)n, whole);
    ck_assert_msg((gr_profile_write(p, scratch_path("p.json")) == GR_OK) || failed, "written");
    gr_graph_profile(own, NULL);
    gr_profile_free(p);
    return failed;
}

START_TEST(failed_allocations_are_told_and_leak_nothing)
{
    gr_graph_profile(g, NULL);
    gr_profile_free(p);
    gr_data(gr_exp(gr_ones(g, GR_F64, GR_SHAPE(3)))); /* the graph has its memory */
    inject_begin();
    int64_t before = inject_live(), n = 0;
    while (profile_with_failure(n)) n++;
    ck_assert_int_gt(n, 5);
    ck_assert_int_eq(inject_live(), before);
    inject_end();
    p = gr_profile_new((gr_profile_options){0});
}
END_TEST

START_TEST(gr_fit_counts_into_a_profile)
{
    gr_model *m = gr_model_new();
    gr_module *net = gr_sequential(m, GR_LIST(gr_flatten_layer(m),
                                              gr_named("fc", gr_linear_layer(m, 64, 10))));
    gr_optimizer *opt = gr_sgd(m, (gr_sgd_options){.lr = 0.1});
    gr_dataset *d = gr_digits();
    ck_assert_int_eq(gr_fit(net, opt, d, (gr_fit_options){.epochs = 1, .batch = 100, .profile = p},
                            NULL),
                     GR_OK);
    ck_assert_int_eq(op("linear", false)->calls, (d->n + 99) / 100);
    ck_assert_int_gt(scope("fc", true)->calls, 0);
    gr_dataset_free(d);
    gr_optimizer_free(opt);
    gr_model_free(m);
}
END_TEST

SUITE("profile", setup, teardown, ops_are_counted_forwards_and_backwards,
      scopes_have_the_nodes_recorded_in_them_and_those_around_them_a_row,
      rows_sum_up_to_the_total_of_ops_and_of_scopes,
      what_runs_detached_or_before_a_reset_is_not_counted, many_ops_and_scopes_keep_their_rows,
      the_table_has_a_line_per_row, an_empty_profile_tells_of_nothing,
      the_file_has_rows_and_an_event_per_node, the_trace_keeps_so_many_events_as_asked_for,
      names_of_scopes_are_escaped, a_file_that_cannot_be_written_is_an_error,
      failed_allocations_are_told_and_leak_nothing, gr_fit_counts_into_a_profile)
