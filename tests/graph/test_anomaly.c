/* test_anomaly.c - the first NaN or infinity is blamed on the node that made it, and on no other. */
/* SPDX-License-Identifier: MIT */
#include "suite.h"

#include <gradus/gradus.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static gr_graph *g;

static void setup(void)
{
    g = gr_graph_new();
    gr_graph_set_anomaly(g, true);
}

static void teardown(void)
{
    gr_graph_free(g);
}

static void assert_fine(void)
{
    ck_assert_msg(gr_graph_error(g) == NULL, "%s", gr_graph_error(g));
}

static void assert_error(const char *part)
{
    const char *error = gr_graph_error(g);
    ck_assert_msg(error && strstr(error, part), "expected '%s' in '%s'", part,
                  error ? error : "no error");
}

/* --- ten graphs, and for each node the line that recorded it --- */

enum { MOST_NODES = 400, MOST_VALUES = 1 << 16 };

static gr_param *weight; /* [6,6], in every graph */
static int64_t rows;     /* few: computed when recorded; many: later */
static int lines[MOST_NODES], n_lines;
static int64_t victim; /* the node to be spoilt; -1: none */
static double poison;

/* Every node recorded so far that has no line yet was recorded on this one. */
static gr_tensor *at(int line, gr_tensor *t)
{
    const gr_node *node = gr_node_of(t);
    if (!node) return t;
    while (n_lines <= gr_node_id(node)) lines[n_lines++] = line;
    if (gr_node_id(node) == victim && strcmp(gr_node_op(node)->name, "leaf") == 0)
        *(double *)gr_data(t) = poison;
    return t;
}
#define AT(t) at(__LINE__, t)

static const double *values(void)
{
    static double x[MOST_VALUES];
    for (int i = 0; i < MOST_VALUES; i++) x[i] = 0.5 + 0.4 * sin(1.3 * i);
    return x;
}
#define SOURCE(...) gr_from_data(g, GR_F64, GR_SHAPE(__VA_ARGS__), values())

static gr_tensor *perceptron(void)
{
    gr_tensor *x = AT(SOURCE(rows, 6));
    gr_tensor *h = AT(gr_tanh(gr_matmul(x, gr_use(g, weight))));
    gr_tensor *z = AT(gr_relu(gr_linear(h, gr_use(g, weight), NULL)));
    return AT(gr_mean_all(gr_square(z)));
}

static gr_tensor *likelihood(void)
{
    gr_tensor *x = AT(SOURCE(rows, 6));
    gr_tensor *p = AT(gr_sigmoid(gr_matmul(x, gr_use(g, weight))));
    gr_tensor *q = AT(gr_shift(gr_neg(p), 1));
    return AT(gr_neg(gr_mean_all(gr_add(gr_log(p), gr_log(q)))));
}

static gr_tensor *chain(void)
{
    gr_tensor *x = AT(SOURCE(rows, 6, 6));
    gr_tensor *y = AT(gr_mul(x, gr_use(g, weight)));
    y = AT(gr_exp(gr_neg(gr_abs(y))));
    y = AT(gr_sqrt(gr_shift(gr_square(y), 1)));
    y = AT(gr_div(gr_sin(y), gr_shift(gr_cos(x), 2)));
    return AT(gr_sum_all(y));
}

static gr_tensor *attention(void)
{
    gr_tensor *x = AT(SOURCE(rows, 6));
    gr_tensor *q = AT(gr_matmul(x, gr_use(g, weight)));
    gr_tensor *s = AT(gr_softmax(gr_matmul(q, gr_transpose(q, 0, 1)), 1));
    return AT(gr_sum_all(gr_square(gr_matmul(s, x))));
}

static gr_tensor *convolution(void)
{
    gr_tensor *x = AT(SOURCE(rows, 1, 8, 8));
    gr_tensor *w = AT(gr_reshape(gr_use(g, weight), GR_SHAPE(1, 1, 6, 6)));
    gr_tensor *y = AT(gr_conv2d(x, w, NULL, (gr_conv2d_options){0}));
    y = AT(gr_max_pool2d(gr_softplus(y), (gr_pool2d_options){.kernel = {2, 2}}));
    return AT(gr_sum_all(y));
}

static gr_tensor *normalised(void)
{
    gr_tensor *x = AT(SOURCE(rows, 6));
    gr_tensor *y = AT(gr_matmul(x, gr_use(g, weight)));
    gr_tensor *mean = AT(gr_mean(y, GR_AXES(1), true));
    gr_tensor *centred = AT(gr_sub(y, mean));
    gr_tensor *variance = AT(gr_mean(gr_square(centred), GR_AXES(1), true));
    y = AT(gr_mul(centred, gr_rsqrt(gr_shift(variance, 1e-5))));
    return AT(gr_mean_all(gr_log_softmax(y, 1)));
}

static gr_tensor *recurrence(void)
{
    gr_tensor *h = AT(SOURCE(rows, 6));
    for (int t = 0; t < 4; t++) {
        gr_tensor *z = AT(gr_matmul(h, gr_use(g, weight)));
        gr_tensor *gate = AT(gr_sigmoid(z));
        h = AT(gr_add(gr_mul(gate, gr_tanh(z)), h));
    }
    return AT(gr_mean_all(h));
}

static gr_tensor *rearranged(void)
{
    gr_tensor *x = AT(SOURCE(rows, 6));
    x = AT(gr_matmul(x, gr_use(g, weight)));
    gr_tensor *left = AT(gr_slice(x, 1, 0, 3, 1)), *right = AT(gr_slice(x, 1, 3, 6, 1));
    gr_tensor *y = AT(gr_concat((gr_tensor *[]){right, left}, 2, 1));
    y = AT(gr_mul(gr_transpose(y, 0, 1), gr_transpose(x, 0, 1)));
    return AT(gr_sum_all(gr_max(y, GR_AXES(0), false)));
}

static gr_tensor *solved(void)
{
    gr_tensor *w = AT(gr_use(g, weight));
    gr_tensor *a = AT(gr_add(gr_matmul(gr_transpose(w, 0, 1), w), gr_eye(g, GR_F64, 6, 6)));
    gr_tensor *b = AT(SOURCE(6, rows));
    gr_tensor *y = AT(gr_solve(a, b));
    return AT(gr_sum_all(gr_mul(y, b)));
}

static gr_tensor *branches(void)
{
    gr_tensor *x = AT(SOURCE(rows, 6));
    x = AT(gr_matmul(x, gr_use(g, weight)));
    gr_tensor *zero = AT(gr_zeros(g, GR_F64, GR_SHAPE(1))); /* AT: on one line, for __LINE__ */
    gr_tensor *y = AT(gr_where(gr_greater(x, zero), gr_exp(x), gr_scale(x, 2)));
    y = AT(gr_maximum(y, gr_pow(gr_abs(x), gr_full(g, GR_F64, GR_SHAPE(1), 1.5))));
    return AT(gr_logsumexp(y, GR_AXES(0, 1), false));
}

static gr_tensor *(*const graphs[])(void) = {perceptron,  likelihood, chain,      attention,
                                             convolution, normalised, recurrence, rearranged,
                                             solved,      branches};

/* --- spoiling one value --- */

static bool visited[MOST_NODES];

/* Spoils the last element that the victim has made, and notes who passes by. */
static void spoil(void *user, const gr_node *node, const gr_exec *e)
{
    (void)user;
    ck_assert_int_lt(gr_node_id(node), MOST_NODES);
    visited[gr_node_id(node)] = true;
    int64_t n = gr_shape_numel(e->out[0].shape);
    if (gr_node_id(node) == victim && e->out[0].dtype == GR_F64 && n)
        ((double *)e->out[0].data)[n - 1] = poison;
}

static void record(gr_tensor *(*graph)(void), bool backward)
{
    gr_graph_reset(g);
    n_lines = 0;
    gr_tensor *loss = graph();
    gr_param_clear_grad(weight);
    if (backward) gr_backward(loss);
    else gr_eval(&loss, 1);
}

static bool can_be_spoilt(const gr_node *node)
{
    bool leaf = strcmp(gr_node_op(node)->name, "leaf") == 0 && !gr_node_param(node);
    return (leaf || visited[gr_node_id(node)]) && !gr_node_op(node)->view &&
           gr_dtype_of(gr_node_output(node, 0)) == GR_F64;
}

typedef struct suspects {
    int n, ids[MOST_NODES];
    char name[MOST_NODES][96], site[MOST_NODES][64];
    bool leaf[MOST_NODES];
} suspects;

/* Who can be spoilt, and who is to be blamed then: name and place. */
static void find_suspects(suspects *s, bool backward)
{
    s->n = 0;
    for (const gr_node *node = gr_node_first(g); node; node = gr_node_next(node)) {
        if (gr_node_is_backward(node) != backward || !can_be_spoilt(node)) continue;
        int i = s->n++, id = (int)gr_node_id(node);
        s->ids[i] = id;
        s->leaf[i] = strcmp(gr_node_op(node)->name, "leaf") == 0;
        gr_node_site(node, s->site[i], sizeof s->site[i]);
        snprintf(s->name[i], sizeof s->name[i], "%s%s",
                 s->leaf[i] ? "data" : gr_node_op(node)->name,
                 backward ? ", recorded by the backward rule of " : ": node ");
        if (backward || id >= n_lines) continue;
        char want[64];
        snprintf(want, sizeof want, "test_anomaly.c:%d", lines[id]);
        ck_assert_str_eq(s->site[i], want);
    }
}

static void blame_each(int which, bool backward, double value, int *blamed)
{
    static suspects s;
    char node[32], place[80];
    victim = -1;
    memset(visited, 0, sizeof visited);
    record(graphs[which], backward);
    assert_fine();
    find_suspects(&s, backward);
    for (int i = 0; i < s.n; i++) {
        if (s.leaf[i] && !isnan(value)) continue; /* an infinity in data is taken as meant */
        victim = s.ids[i];
        poison = value;
        record(graphs[which], backward);
        snprintf(node, sizeof node, "node %d ", s.ids[i]);
        snprintf(place, sizeof place, "(at %s)", s.site[i]);
        const char *error = gr_graph_error(g);
        ck_assert_msg(error != NULL, "graph %d: nobody was blamed for %s%d", which, s.name[i],
                      s.ids[i]);
        ck_assert_msg(strncmp(error, s.name[i], strlen(s.name[i])) == 0 && strstr(error, node) &&
                          strstr(error, place),
                      "graph %d: expected %s ... %s%s, got: %s", which, s.name[i], node, place,
                      error);
        ++*blamed;
    }
    victim = -1;
}

static void blame_in_all_graphs(bool backward, double value, int at_least)
{
    double w[36];
    for (int i = 0; i < 36; i++) w[i] = 0.3 * cos(2.1 * i);
    weight = gr_param_new("w", GR_F64, GR_SHAPE(6, 6), w);
    gr_graph_observe(g, spoil, NULL);
    int blamed = 0;
    for (int i = 0; i < (int)(sizeof graphs / sizeof *graphs); i++) {
        for (int many = 0; many < 2; many++) {
            rows = many ? 200 : 4;
            blame_each(i, backward, value, &blamed);
        }
    }
    gr_graph_reset(g);
    gr_param_release(weight);
    ck_assert_int_ge(blamed, at_least);
}

START_TEST(a_nan_is_blamed_on_the_forward_node_that_made_it)
{
    blame_in_all_graphs(false, NAN, 150);
}
END_TEST

START_TEST(an_infinity_is_blamed_on_the_forward_node_that_made_it)
{
    blame_in_all_graphs(false, -INFINITY, 120);
}
END_TEST

START_TEST(a_nan_is_blamed_on_the_backward_node_that_made_it)
{
    blame_in_all_graphs(true, NAN, 150);
}
END_TEST

START_TEST(an_infinity_is_blamed_on_the_backward_node_that_made_it)
{
    blame_in_all_graphs(true, INFINITY, 150);
}
END_TEST

/* --- anomalies as they come --- */

static gr_tensor *filled(int64_t n, int64_t index, double value)
{
    gr_tensor *x = SOURCE(n);
    ((double *)gr_data(x))[index] = value;
    return x;
}

START_TEST(results_of_every_size_dtype_and_place_are_looked_at)
{
    const int64_t sizes[] = {1, 3, 500, 2048, 2049, 50000};
    for (int i = 0; i < 6; i++) {
        const int64_t places[] = {0, sizes[i] / 2, sizes[i] - 1};
        for (int k = 0; k < 6; k++) {
            gr_graph_reset(g);
            gr_tensor *x = filled(sizes[i], places[k % 3], -1);
            gr_tensor *y = gr_log(gr_cast(x, k < 3 ? GR_F64 : GR_F32));
            gr_eval(&y, 1);
            char want[96];
            snprintf(want, sizeof want, "made 1 NaN and 0 Inf among %d elements, the first at %d,",
                     (int)sizes[i], (int)places[k % 3]);
            assert_error(want);
            assert_error("log: node ");
        }
    }
}
END_TEST

START_TEST(the_report_says_what_went_in_and_what_led_there)
{
    const double x[] = {-1, 0.5, 2, 2.5};
    char place[128];
    gr_scope_begin(g, "head");
    gr_tensor *in = gr_from_data(g, GR_F64, GR_SHAPE(2, 2), x);
    gr_tensor *half = gr_scale(in, 0.5);
    int line = __LINE__ + 1;
    gr_log(half);
    gr_scope_end(g);
    snprintf(place, sizeof place, "from finite inputs (at test_anomaly.c:%d, in head)\n", line);
    assert_error(place);
    assert_error("\n  input 0: float64 [2,2], min -0.5, max 1.25, mean 0.5, 0 NaN, 0 Inf\n");
    snprintf(place, sizeof place,
             "\n  chain: log (test_anomaly.c:%d, in head) <- scale (test_anomaly.c:%d, in head) <- "
             "data (test_anomaly.c:%d, in head)",
             line, line - 2, line - 3);
    assert_error(place);
}
END_TEST

START_TEST(a_backward_rule_is_blamed_with_the_line_of_its_op)
{
    const double zero = 0;
    char place[128];
    gr_param *p = gr_param_new("p", GR_F64, GR_SHAPE(1), &zero);
    gr_tensor *x = gr_use(g, p);
    int line = __LINE__ + 1;
    gr_tensor *y = gr_sqrt(x);
    ck_assert_int_eq(gr_backward(gr_sum_all(y)), GR_ERR_STATE);
    snprintf(place, sizeof place, "from finite inputs (at test_anomaly.c:%d)", line);
    assert_error(place);
    assert_error(", recorded by the backward rule of sqrt: node");
    gr_param_release(p);
}
END_TEST

START_TEST(a_sum_in_place_of_its_first_part_is_blamed)
{
    gr_tensor *x = SOURCE(60, 50), *w = gr_full(g, GR_F64, GR_SHAPE(50, 1), 0.95e308), *dx;
    gr_graph_set_eager(g, false); /* forward, which nobody needs, overflows as well */
    gr_grad(gr_add(gr_matmul(x, w), gr_matmul(x, w)), &x, 1, &dx);
    ck_assert_ptr_null(gr_data(dx));
    assert_error("acc, recorded by the backward rule of matmul: node");
    assert_error("made 0 NaN and 3000 Inf among 3000 elements, the first at 0, from finite inputs");
    assert_error("input 0: float64 [60,50], overwritten by the result");
}
END_TEST

/* The maximum hides what the log of 0 has made; little of the group is in memory. */
START_TEST(in_a_group_the_first_to_blame_is_found_though_others_hide_it)
{
    gr_tensor *x = filled(20000, 17000, 1);
    gr_tensor *small = gr_exp(gr_scale(x, 0.1));
    int line = __LINE__ + 1;
    gr_tensor *y = gr_log(gr_shift(gr_neg(x), 1));
    gr_tensor *hidden = gr_maximum(y, small), *z = gr_sqrt(gr_scale(y, -1));
    gr_tensor *both[] = {gr_mul(hidden, small), gr_add(z, small)};
    gr_eval(both, 2);
    char want[128];
    snprintf(want, sizeof want,
             "from finite inputs (at test_anomaly.c:%d)\n  input 0: float64 [20000]", line);
    assert_error("log: node 5 made 0 NaN and 1 Inf among 20000 elements, the first at 17000,");
    assert_error(want);
}
END_TEST

START_TEST(a_group_passes_on_an_infinity_that_is_meant)
{
    gr_tensor *x = filled(20000, 5, -INFINITY);
    gr_tensor *y = gr_exp(gr_scale(x, 2)),
              *z = gr_neg(gr_mul(gr_shift(x, 1), gr_scalar(g, GR_F64, 3)));
    gr_tensor *both[] = {gr_add(y, x), z};
    ck_assert_msg(gr_eval(both, 2) == GR_OK, "%s", gr_graph_error(g));
    ck_assert(isinf(((const double *)gr_data(z))[5]) && isfinite(((const double *)gr_data(z))[4]));
    gr_tensor *spoilt = gr_exp(gr_mul(gr_shift(x, 1), gr_zeros(g, GR_F64, GR_SHAPE(1))));
    gr_eval(&spoilt, 1);
    assert_error("mul: node");
    assert_error(
        "made 1 NaN and 0 Inf among 20000 elements, the first at 5, from inputs without NaN");
}
END_TEST

START_TEST(a_nan_in_data_or_a_parameter_is_reported_when_it_is_read)
{
    const int64_t sizes[] = {4, 5000};
    for (int i = 0; i < 2; i++) {
        gr_graph_reset(g);
        gr_tensor *x = filled(sizes[i], 1, NAN);
        gr_tensor *y = gr_exp(gr_reshape(x, GR_SHAPE(2, sizes[i] / 2)));
        gr_eval(&y, 1);
        assert_error("data: node 0 holds 1 NaN and 0 Inf among");
        assert_error("\n  read by exp (test_anomaly.c:");
    }
    gr_graph_reset(g);
    const double bad = NAN;
    gr_param *p = gr_param_new("fc.weight", GR_F64, GR_SHAPE(1), &bad);
    gr_tanh(gr_use(g, p));
    assert_error("parameter 'fc.weight': node 0 holds 1 NaN");
    gr_param_release(p);
}
END_TEST

START_TEST(infinities_that_are_meant_pass)
{
    double mask[6 * 6] = {0}, w[36] = {0.5};
    for (int i = 0; i < 6; i++)
        for (int j = i + 1; j < 6; j++) mask[i * 6 + j] = -INFINITY;
    gr_param *p = gr_param_new("w", GR_F64, GR_SHAPE(6, 6), w);
    gr_tensor *x = gr_matmul(SOURCE(6, 6), gr_use(g, p));
    gr_tensor *masked = gr_add(x, gr_from_data(g, GR_F64, GR_SHAPE(6, 6), mask));
    gr_backward(gr_sum_all(gr_square(gr_softmax(masked, 1))));
    assert_fine();
    gr_softmax(gr_full(g, GR_F64, GR_SHAPE(3), -INFINITY), 0); /* nothing is left of this row */
    assert_error("made 3 NaN and 0 Inf among 3 elements, the first at 0, from inputs without NaN");
    gr_param_release(p);
}
END_TEST

START_TEST(who_does_not_ask_is_not_told)
{
    gr_graph_set_anomaly(g, false);
    ck_assert(isnan(gr_item(gr_log(gr_scalar(g, GR_F64, -1)))));
    assert_fine();
    setenv("GRADUS_ANOMALY", "1", 1);
    gr_graph *watched = gr_graph_new();
    setenv("GRADUS_ANOMALY", "0", 1);
    gr_graph *unwatched = gr_graph_new();
    unsetenv("GRADUS_ANOMALY");
    gr_log(gr_scalar(watched, GR_F64, -1));
    gr_log(gr_scalar(unwatched, GR_F64, -1));
    ck_assert_int_eq(gr_graph_status(watched), GR_ERR_STATE);
    ck_assert_int_eq(gr_graph_status(unwatched), GR_OK);
    gr_graph_reset(watched);
    gr_add(gr_ones(watched, GR_F64, GR_SHAPE(2)), gr_ones(watched, GR_F64, GR_SHAPE(3)));
    ck_assert_ptr_null(strchr(gr_graph_error(watched), '\n')); /* nothing of the old report */
    gr_graph_free(watched);
    gr_graph_free(unwatched);
}
END_TEST

SUITE("anomaly", setup, teardown, a_nan_is_blamed_on_the_forward_node_that_made_it,
      an_infinity_is_blamed_on_the_forward_node_that_made_it,
      a_nan_is_blamed_on_the_backward_node_that_made_it,
      an_infinity_is_blamed_on_the_backward_node_that_made_it,
      results_of_every_size_dtype_and_place_are_looked_at,
      the_report_says_what_went_in_and_what_led_there,
      a_backward_rule_is_blamed_with_the_line_of_its_op, a_sum_in_place_of_its_first_part_is_blamed,
      in_a_group_the_first_to_blame_is_found_though_others_hide_it,
      a_group_passes_on_an_infinity_that_is_meant,
      a_nan_in_data_or_a_parameter_is_reported_when_it_is_read, infinities_that_are_meant_pass,
      who_does_not_ask_is_not_told)
