/* test_random_networks.c - random networks of heavy ops: the same bits however they are run. */
/* SPDX-License-Identifier: MIT */
#include "kernels.h"
#include "network.h"
#include "suite.h"

#include <math.h>
#include <string.h>

enum { NETWORKS = 60 };
/* Of float32 from float64, in the norm of a gradient; the worst network has 1e-4. */
static const double TOLERANCE = 1e-3;

static const char *const sets[] = {"baseline", "avx2", "avx512"};

/* --- circumstances --- */

static const struct circumstance {
    const char *name;
    int threads;
    bool eager, stops, anomaly, guarded;
} circumstances[] = {
    {.name = "one thread", .threads = 1},
    {.name = "two threads", .threads = 2},
    {.name = "three threads", .threads = 3},
    {.name = "eager", .threads = 1, .eager = true},
    {.name = "eager on two threads", .threads = 2, .eager = true},
    {.name = "with stops", .threads = 2, .stops = true},
    {.name = "watched for anomalies", .threads = 2, .anomaly = true},
    {.name = "guarded", .threads = 1, .guarded = true},
};
enum { CIRCUMSTANCES = sizeof circumstances / sizeof *circumstances };

static double backward(network *net, const struct circumstance *c)
{
    gr_graph *g = net->g;
    gr_graph_reset(g);
    gr_set_threads(c->threads);
    gr_graph_set_eager(g, c->eager);
    gr_graph_set_anomaly(g, c->anomaly);
    gr_graph_set_guarded(g, c->guarded);
    net->stops = c->stops;
    for (int i = 0; i < net->n_weights; i++) gr_param_clear_grad(net->weight[i]);
    gr_tensor *loss = network_record(net);
    ck_assert_msg(gr_backward(loss) == GR_OK, "network %d, %s: %s: %s", (int)net->seed, c->name,
                  gr_graph_error(g), net->text);
    return gr_item(loss);
}

static size_t bytes_of(const gr_param *p)
{
    return (size_t)gr_shape_numel(gr_param_shape(p)) * gr_dtype_size(gr_param_dtype(p));
}

/* --- the same bits --- */

/* The gradients of all weights, one after the other; NaN for one that has none. */
static size_t gather(const network *net, char *to)
{
    size_t n = 0;
    for (int i = 0; i < net->n_weights; i++) {
        const void *grad = gr_param_grad(net->weight[i]);
        if (to && grad) memcpy(to + n, grad, bytes_of(net->weight[i]));
        else if (to) memset(to + n, 0xff, bytes_of(net->weight[i]));
        n += bytes_of(net->weight[i]);
    }
    return n;
}

static void check_bits(network *net)
{
    const double loss = backward(net, &circumstances[0]);
    const size_t n = gather(net, NULL);
    char *want = malloc(n), *got = malloc(n);
    gather(net, want);
    for (int i = 0; i < CIRCUMSTANCES; i++) {
        const double again = backward(net, &circumstances[i]);
        gather(net, got);
        ck_assert_msg(memcmp(&loss, &again, sizeof loss) == 0,
                      "network %d (%s, %s), %s: expected a loss of %.17g, got %.17g: %s",
                      (int)net->seed, gr_dtype_name(net->dtype), gr__isa_name(),
                      circumstances[i].name, loss, again, net->text);
        ck_assert_msg(memcmp(want, got, n) == 0,
                      "network %d (%s, %s), %s: gradients have other bits: %s", (int)net->seed,
                      gr_dtype_name(net->dtype), gr__isa_name(), circumstances[i].name, net->text);
    }
    free(want);
    free(got);
}

/* --- and the right ones --- */

static double square(double x)
{
    return x * x;
}

/* The norm of the difference of all gradients, as part of that of the exact ones; these may be 0. */
static double difference(const network *single, const network *exact)
{
    double off = 0, all = 0;
    for (int i = 0; i < exact->n_weights; i++) {
        const float *got = gr_param_grad(single->weight[i]);
        const double *want = gr_param_grad(exact->weight[i]);
        ck_assert_msg(!got == !want, "network %d: weight %d", (int)exact->seed, i);
        const int64_t n = gr_shape_numel(gr_param_shape(exact->weight[i]));
        for (int64_t k = 0; k < n && want; k++) {
            off += square((double)got[k] - want[k]);
            all += square(want[k]);
        }
    }
    return sqrt(off) / (sqrt(all) + 1e-2);
}

static void check_values(const network *single, const network *exact, double loss, double want)
{
    const double off = difference(single, exact);
    ck_assert_msg(fabs(loss - want) <= TOLERANCE * (1 + fabs(want)),
                  "network %d (%s): expected a loss of %.9g, got %.9g: %s", (int)exact->seed,
                  gr__isa_name(), want, loss, exact->text);
    ck_assert_msg(off <= TOLERANCE, "network %d (%s): gradients are off by %.2g: %s",
                  (int)exact->seed, gr__isa_name(), off, exact->text);
}

/* --- tests --- */

static void with_every_set(void (*check)(gr_graph *g, uint64_t seed))
{
    gr_graph *g = gr_graph_new();
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        for (uint64_t seed = 0; gr__kernels_force(sets[i]) && seed < NETWORKS; seed++)
            check(g, seed);
    gr__kernels_force(NULL);
    gr_graph_free(g);
}

static void check_network_bits(gr_graph *g, uint64_t seed)
{
    network net = {.g = g, .dtype = seed % 4 ? GR_F32 : GR_F64, .seed = seed};
    check_bits(&net);
    network_release(&net);
}

START_TEST(bits_depend_on_neither_threads_nor_when_values_are_computed)
{
    with_every_set(check_network_bits);
}
END_TEST

static void check_network_values(gr_graph *g, uint64_t seed)
{
    network single = {.g = g, .dtype = GR_F32, .seed = seed};
    network exact = {.g = g, .dtype = GR_F64, .seed = seed};
    const double loss = backward(&single, &circumstances[0]);
    const double want = backward(&exact, &circumstances[0]);
    check_values(&single, &exact, loss, want);
    network_release(&single);
    network_release(&exact);
}

START_TEST(float32_is_close_to_float64)
{
    with_every_set(check_network_values);
}
END_TEST

static void one_thread(void)
{
    gr_set_threads(1);
}

SUITE("random networks", NULL, one_thread,
      bits_depend_on_neither_threads_nor_when_values_are_computed, float32_is_close_to_float64)
