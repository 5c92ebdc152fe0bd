/* test_steady.c - from the second step on a training step allocates nothing: not the library, and
 * not what it calls. Counts every malloc of the process, where no sanitizer has replaced it. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <math.h>
#include <string.h>

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1 /* as gcc says it */
#endif
#endif

static long mallocs; /* under a sanitizer, which has its own malloc, only the library's count */

/* clang's OpenMP runtime allocates at each parallel region: there, too, the library's count. */
#ifdef __clang__
enum { COUNT_TO_THREADS = 1 };
#else
enum { COUNT_TO_THREADS = 64 };
#endif

#ifndef __SANITIZE_ADDRESS__
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t alignment, size_t n);

static void *counted(void *p)
{
    __atomic_add_fetch(&mallocs, 1, __ATOMIC_RELAXED);
    return p;
}

void *malloc(size_t n)
{
    return counted(__libc_malloc(n));
}

void *calloc(size_t n, size_t size)
{
    return counted(__libc_calloc(n, size));
}

void *realloc(void *p, size_t n)
{
    return counted(__libc_realloc(p, n));
}

void *aligned_alloc(size_t alignment, size_t n)
{
    return counted(__libc_memalign(alignment, n));
}
#endif

enum { BATCH = 64 };

static float images[BATCH * 28 * 28];
static int64_t labels[BATCH];

static gr_module *network(gr_model *m)
{
    return gr_sequential(
        m,
        GR_LIST(gr_conv2d_layer(m, 1, 6, 5, (gr_conv2d_layer_options){.conv = {.padding = {2, 2}}}),
                gr_relu_layer(m), gr_max_pool2d_layer(m, (gr_pool2d_options){.kernel = {2, 2}}),
                gr_flatten_layer(m), gr_linear_layer(m, 6 * 14 * 14, 512), gr_gelu_layer(m),
                gr_dropout_layer(m, 0.2), gr_linear_layer(m, 512, 10)));
}

/* NaN when something failed: an assertion here would allocate. */
static double step(gr_graph *g, gr_module *net, gr_optimizer *opt)
{
    gr_graph_reset(g);
    gr_tensor *x = gr_from_data(g, GR_F32, GR_SHAPE(BATCH, 1, 28, 28), images);
    gr_tensor *t = gr_from_data(g, GR_I64, GR_SHAPE(BATCH), labels);
    gr_tensor *z = gr_forward(net, x), *loss = gr_cross_entropy(z, t);
    gr_tensor *hits = gr_sum_all(gr_equal(gr_argmax(z, 1), t));
    if (gr_backward(loss) || gr_step(opt)) return NAN;
    return gr_item(loss) + gr_item(hits);
}

static void count_steps(int threads)
{
    gr_set_threads(threads);
    inject_begin();
    gr_model *m = gr_model_new();
    gr_module *net = network(m);
    gr_optimizer *opt = gr_adam(m, (gr_adam_options){0});
    gr_graph *g = gr_graph_new();
    for (int i = 0; i < 3; i++) step(g, net, opt);
    double result = 0;
    long made = mallocs;
    int64_t own = inject_allocations();
    for (int i = 0; i < 10; i++) result += step(g, net, opt);
    made = mallocs - made; /* no assertion before this line: it would count */
    ck_assert_int_eq(inject_allocations() - own, 0);
    if (threads <= COUNT_TO_THREADS) ck_assert_int_eq(made, 0);
    ck_assert_msg(isfinite(result), "%s", gr_graph_error(g));
    gr_graph_free(g);
    gr_optimizer_free(opt);
    gr_model_free(m);
    ck_assert_int_eq(inject_live(), 0);
    inject_end();
}

static void setup(void)
{
    for (int i = 0; i < BATCH * 28 * 28; i++) images[i] = (float)(i % 97) / 97;
    for (int i = 0; i < BATCH; i++) labels[i] = i % 10;
}

START_TEST(a_training_step_allocates_nothing_on_one_thread)
{
    count_steps(1);
}
END_TEST

START_TEST(a_training_step_allocates_nothing_on_two_threads)
{
    count_steps(2);
}
END_TEST

/* The weights after some steps, bit by bit. */
static void train(int threads, float *weights)
{
    gr_set_threads(threads);
    gr_model *m = gr_model_new();
    gr_module *net = network(m);
    gr_optimizer *opt = gr_adam(m, (gr_adam_options){0});
    gr_graph *g = gr_graph_new();
    for (int i = 0; i < 5; i++) step(g, net, opt);
    for (int i = 0; i < gr_model_params(m); i++) {
        const gr_param *p = gr_model_param(m, i);
        size_t n = (size_t)gr_shape_numel(gr_param_shape(p));
        memcpy(weights, gr_param_data(p), n * sizeof *weights);
        weights += n;
    }
    gr_graph_free(g);
    gr_optimizer_free(opt);
    gr_model_free(m);
}

START_TEST(the_same_training_gives_the_same_bits_on_any_number_of_threads)
{
    enum { MOST = 700000 };
    static float once[MOST], again[MOST];
    train(1, once);
    train(1, again);
    ck_assert_mem_eq(once, again, sizeof once);
    train(2, again);
    ck_assert_mem_eq(once, again, sizeof once);
}
END_TEST

SUITE("steady", setup, NULL, a_training_step_allocates_nothing_on_one_thread,
      a_training_step_allocates_nothing_on_two_threads,
      the_same_training_gives_the_same_bits_on_any_number_of_threads)
