/* test_step.c - the updates of gr_fit, which it makes during backward: those of a loop of one's own. */
/* SPDX-License-Identifier: MIT */
#include "suite.h"
#include "toy.h"

#include <math.h>
#include <string.h>

enum { SAMPLES = 90, BATCH = 30, EPOCHS = 2, WIDTH = 64 }; /* weights of 16 KB, and smaller ones */

static gr_dataset *data;
static gr_model *m;
static gr_module *net;
static gr_optimizer *opt;

static void begin(void)
{
    m = gr_model_new();
    gr_model_seed(m, 5);
    net = gr_sequential(m, GR_LIST(gr_linear_layer(m, 2, WIDTH), gr_relu_layer(m),
                                   gr_batch_norm1d_layer(m, WIDTH, (gr_batch_norm_options){0}),
                                   gr_linear_layer(m, WIDTH, WIDTH), gr_relu_layer(m),
                                   gr_linear_layer(m, WIDTH, 3)));
    opt = gr_adam(m, (gr_adam_options){0});
}

static void end(void)
{
    gr_optimizer_free(opt);
    gr_model_free(m);
}

static void setup(void)
{
    data = toy_stripes(SAMPLES);
    begin();
}

static void teardown(void)
{
    end();
    gr_dataset_free(data);
}

/* All weights and statistics; free() it. */
static char *copy_states(size_t *bytes)
{
    char *copy = NULL;
    *bytes = 0;
    for (int i = 0; i < gr_model_states(m); i++) {
        const gr_param *p = gr_model_state(m, i);
        size_t more = (size_t)gr_shape_numel(gr_param_shape(p)) * gr_dtype_size(gr_param_dtype(p));
        copy = realloc(copy, *bytes + more);
        memcpy(copy + *bytes, gr_param_data(p), more);
        *bytes += more;
    }
    return copy;
}

static void expect_states(const char *expected, size_t bytes)
{
    size_t n;
    char *found = copy_states(&n);
    ck_assert_uint_eq(n, bytes);
    ck_assert_mem_eq(found, expected, n);
    free(found);
}

/* So many batches, `each` of them to an update. */
static void train_by_hand(int batches, int each)
{
    gr_graph *g = gr_graph_new();
    gr_loader *loader = gr_loader_new(data, (gr_loader_options){.batch = BATCH, .shuffle = true});
    gr_batch b;
    for (int k = 1; k <= batches; gr_graph_reset(g)) {
        if (!gr_next(loader, &b)) continue; /* the next epoch */
        gr_tensor *x = gr_from_data(g, GR_F32, GR_SHAPE(b.n, 2), b.x);
        gr_tensor *t = gr_from_data(g, GR_I64, GR_SHAPE(b.n), b.y);
        gr_tensor *loss = gr_cross_entropy(gr_forward(net, x), t);
        if (each > 1) loss = gr_scale(loss, 1.0 / each);
        ck_assert_msg(gr_backward(loss) == GR_OK, "%s", gr_graph_error(g));
        if (k++ % each == 0) ck_assert_int_eq(gr_step(opt), GR_OK);
    }
    gr_loader_free(loader);
    gr_graph_free(g);
}

static void expect_the_same(int each)
{
    size_t bytes;
    train_by_hand(EPOCHS * SAMPLES / BATCH, each);
    char *expected = copy_states(&bytes);
    end();
    begin();
    gr_fit_options o = {.epochs = EPOCHS, .batch = BATCH, .accumulate = each};
    ck_assert_msg(gr_fit(net, opt, data, o, NULL) == GR_OK, "%s", gr_last_error());
    expect_states(expected, bytes);
    free(expected);
}

START_TEST(a_fit_ends_with_the_bits_of_a_loop_of_two_calls)
{
    expect_the_same(1);
}
END_TEST

START_TEST(so_it_does_when_batches_are_accumulated)
{
    expect_the_same(SAMPLES / BATCH);
}
END_TEST

static char *before;
static size_t before_bytes;

/* Spoils a sample once there have been two updates. */
static gr_status spoil(void *self, gr_training *run)
{
    (void)self;
    if (run->step != 2) return GR_OK;
    before = copy_states(&before_bytes);
    for (int i = 0; i < SAMPLES; i++) data->x[2 * i] = NAN;
    return GR_OK;
}

START_TEST(a_loss_that_is_not_finite_leaves_weights_and_statistics)
{
    gr_callback callback = {.name = "spoil", .batch = spoil};
    gr_fit_options o = {.epochs = EPOCHS, .batch = BATCH, .callbacks = GR_CALLBACKS(callback)};
    ck_assert_int_eq(gr_fit(net, opt, data, o, NULL), GR_ERR_STATE);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "the loss is nan"));
    ck_assert_int_eq(gr_optimizer_steps(opt), 2);
    expect_states(before, before_bytes);
    free(before);
}
END_TEST

SUITE("fit_step", setup, teardown, a_fit_ends_with_the_bits_of_a_loop_of_two_calls,
      so_it_does_when_batches_are_accumulated,
      a_loss_that_is_not_finite_leaves_weights_and_statistics)
