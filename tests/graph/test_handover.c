/* test_handover.c - gradients that are handed over during backward: which, when, with what bits. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <math.h>
#include <string.h>

enum { LAYERS = 6, WIDTH = 48, SIZE = WIDTH * WIDTH, BATCH = 16, ROWS = 200 };

static gr_graph *g;
static gr_param *w[LAYERS], *bias, *table;
static float input[BATCH * WIDTH], start[SIZE];

static gr_param *drawn(const char *name, gr_shape shape, uint64_t seed)
{
    gr_param *p = gr_param_new(name, GR_F32, shape, NULL);
    gr_init_param(p, (gr_init){.kind = GR_INIT_NORMAL, .a = 0.2}, seed);
    return p;
}

static void setup(void)
{
    g = gr_graph_new();
    gr_graph_set_eager(g, false); /* whatever GRADUS_EAGER says: this is about what waits */
    for (int i = 0; i < BATCH * WIDTH; i++) input[i] = sinf(0.37f * (float)i);
    for (int l = 0; l < LAYERS; l++) w[l] = drawn("w", GR_SHAPE(WIDTH, WIDTH), (uint64_t)l);
    bias = drawn("bias", GR_SHAPE(WIDTH), LAYERS);
    table = drawn("table", GR_SHAPE(ROWS, WIDTH), LAYERS + 1);
    memcpy(start, gr_param_data(w[0]), sizeof start);
}

static void teardown(void)
{
    gr_set_threads(0);
    gr_graph_free(g);
    for (int l = 0; l < LAYERS; l++) gr_param_release(w[l]);
    gr_param_release(bias);
    gr_param_release(table);
}

/* --- losses --- */

typedef gr_tensor *loss_fn(void);

static gr_tensor *images(void)
{
    return gr_from_data(g, GR_F32, GR_SHAPE(BATCH, WIDTH), input);
}

static gr_tensor *dense(gr_tensor *x, int l)
{
    return gr_tanh(gr_linear(x, gr_use(g, w[l]), gr_use(g, bias)));
}

static gr_tensor *loss_of(gr_tensor *y)
{
    return gr_mean_all(gr_square(y));
}

static gr_tensor *chain(void)
{
    gr_tensor *x = images();
    for (int l = 0; l < LAYERS; l++) x = dense(x, l);
    return loss_of(x);
}

/* Weights are used twice, once as a view, and once more by element in the loss. */
static gr_tensor *shared(void)
{
    gr_tensor *x = images(), *penalty = gr_scalar(g, GR_F32, 0);
    for (int l = 0; l < LAYERS; l++) {
        gr_tensor *weight = gr_use(g, w[l]);
        x = dense(x, l);
        x = gr_tanh(gr_matmul(x, gr_transpose(weight, 0, 1)));
        penalty = gr_add(penalty, gr_sum_all(gr_abs(weight)));
    }
    return gr_add(loss_of(x), gr_scale(penalty, 0.01));
}

/* The last weight enters again at the end, where the loss adds two of them. */
static gr_tensor *summed(void)
{
    gr_tensor *both = gr_add(gr_use(g, w[0]), gr_use(g, w[1]));
    return gr_add(chain(), gr_mean_all(gr_mul(both, gr_use(g, w[2]))));
}

/* Weights on the left: their gradient is complete before the product that still reads them. */
static gr_tensor *leading(void)
{
    gr_tensor *x = gr_transpose(images(), 0, 1);
    for (int l = 0; l < LAYERS; l++) x = gr_tanh(gr_matmul(gr_use(g, w[l]), x));
    return gr_add(loss_of(x), gr_mean_all(gr_use(g, bias)));
}

static gr_tensor *turned;

/* Reads a view of the last weight when the gradient of the first one is near. */
static gr_tensor *look(void *user, gr_tensor *dy)
{
    (void)user;
    gr_sum_all(gr_exp(turned));
    return gr_scale(dy, 0.5);
}

static gr_tensor *hooked(void)
{
    gr_tensor *x = gr_hook(dense(images(), 0), look, NULL);
    turned = gr_transpose(gr_use(g, w[LAYERS - 1]), 0, 1);
    for (int l = 1; l < LAYERS; l++) x = dense(x, l);
    return loss_of(x);
}

static gr_tensor *checkpointed(void)
{
    gr_tensor *x = images();
    for (int l = 0; l < LAYERS; l += 2) {
        gr_checkpoint_begin(g);
        x = dense(dense(x, l), l + 1);
        gr_checkpoint_end(g);
    }
    return loss_of(x);
}

static gr_tensor *looked_up(void)
{
    static const int64_t places[4] = {3, 150, 3, 7};
    gr_tensor *x = gr_embedding(gr_use(g, table), gr_from_data(g, GR_I64, GR_SHAPE(4), places));
    for (int l = 0; l < LAYERS; l++) x = dense(x, l);
    return loss_of(x);
}

static loss_fn *const losses[] = {chain, shared, summed, leading, hooked, checkpointed, looked_up};
enum { LOSSES = sizeof losses / sizeof *losses };

/* --- receivers --- */

typedef struct received {
    int calls, of[LAYERS], refuse_at; /* of w[l]; refuse_at 0: never */
    bool clear, spoil;
    float grad[LAYERS][SIZE];
} received;

static int layer_of(const gr_param *p)
{
    for (int l = 0; l < LAYERS; l++)
        if (w[l] == p) return l;
    return -1;
}

static gr_status receive(void *user, gr_param *p)
{
    received *r = user;
    const int l = layer_of(p);
    ck_assert_msg(l >= 0, "handed over '%s'", gr_param_name(p));
    if (++r->calls == r->refuse_at) return GR_ERR_FORMAT;
    r->of[l]++;
    memcpy(r->grad[l], gr_param_grad(p), sizeof r->grad[l]);
    if (r->spoil)
        for (int i = 0; i < SIZE; i++) ((float *)gr_param_write(p))[i] = NAN;
    if (r->clear) gr_param_clear_grad(p);
    return GR_OK;
}

static void clear_all(void)
{
    for (int l = 0; l < LAYERS; l++) gr_param_clear_grad(w[l]);
    gr_param_clear_grad(bias);
    gr_param_clear_grad(table);
}

static void reset_weights(void)
{
    for (int l = 0; l < LAYERS; l++)
        gr_init_param(w[l], (gr_init){.kind = GR_INIT_NORMAL, .a = 0.2}, (uint64_t)l);
}

typedef struct gradients {
    float w[LAYERS][SIZE], bias[WIDTH], table[ROWS * WIDTH];
} gradients;

static void copy_gradient(float *to, gr_param *p, size_t bytes)
{
    const void *grad = gr_param_grad(p);
    if (grad) memcpy(to, grad, bytes);
    else memset(to, 0, bytes);
}

static void copy_gradients(gradients *to)
{
    for (int l = 0; l < LAYERS; l++) copy_gradient(to->w[l], w[l], sizeof to->w[l]);
    copy_gradient(to->bias, bias, sizeof to->bias);
    copy_gradient(to->table, table, sizeof to->table);
}

/* What gr_backward gives, times times. */
static void backward(loss_fn *loss, int times, gradients *to)
{
    clear_all();
    for (int k = 0; k < times; k++) {
        gr_graph_reset(g);
        ck_assert_msg(gr_backward(loss()) == GR_OK, "%s", gr_graph_error(g));
    }
    copy_gradients(to);
    clear_all();
}

static void expect_bits(const float *got, const float *expected, int n, int loss, int l)
{
    for (int i = 0; i < n; i++)
        if (memcmp(&got[i], &expected[i], sizeof *got))
            ck_abort_msg("loss %d, parameter %d, element %d: expected %.9g, got %.9g", loss, l, i,
                         (double)expected[i], (double)got[i]);
}

static gradients expected, found;
static received r;

static void each(loss_fn *loss)
{
    gr_graph_reset(g);
    ck_assert_msg(gr_backward_each(loss(), receive, &r) == GR_OK, "%s", gr_graph_error(g));
}

START_TEST(large_gradients_come_once_with_the_bits_of_backward)
{
    for (int k = 0; k < LOSSES; k++) {
        backward(losses[k], 1, &expected);
        r = (received){.clear = true};
        each(losses[k]);
        ck_assert_int_eq(r.calls, LAYERS);
        copy_gradients(&found);
        for (int l = 0; l < LAYERS; l++) {
            ck_assert_int_eq(r.of[l], 1);
            ck_assert_ptr_null(gr_param_grad(w[l]));
            expect_bits(r.grad[l], expected.w[l], SIZE, k, l);
        }
        expect_bits(found.bias, expected.bias, WIDTH, k, LAYERS);
        expect_bits(found.table, expected.table, ROWS * WIDTH, k, LAYERS + 1);
    }
}
END_TEST

START_TEST(nothing_reads_a_parameter_after_its_gradient_came)
{
    for (int k = 0; k < LOSSES; k++) {
        backward(losses[k], 1, &expected);
        r = (received){.clear = true, .spoil = true};
        each(losses[k]);
        for (int l = 0; l < LAYERS; l++) expect_bits(r.grad[l], expected.w[l], SIZE, k, l);
        copy_gradients(&found);
        expect_bits(found.bias, expected.bias, WIDTH, k, LAYERS);
        reset_weights();
        clear_all();
    }
}
END_TEST

START_TEST(a_gradient_that_is_not_cleared_stays)
{
    backward(chain, 2, &expected);
    for (int k = 0; k < 2; k++) {
        r = (received){0};
        each(chain);
    }
    copy_gradients(&found);
    for (int l = 0; l < LAYERS; l++) expect_bits(found.w[l], expected.w[l], SIZE, 0, l);
    expect_bits(found.bias, expected.bias, WIDTH, 0, LAYERS);
}
END_TEST

START_TEST(gradients_from_before_come_with_the_new_ones)
{
    backward(chain, 2, &expected);
    gr_graph_reset(g);
    ck_assert_int_eq(gr_backward(chain()), GR_OK);
    r = (received){.clear = true};
    each(chain);
    for (int l = 0; l < LAYERS; l++) expect_bits(r.grad[l], expected.w[l], SIZE, 0, l);
}
END_TEST

START_TEST(evaluating_at_once_hands_over_the_same)
{
    backward(shared, 1, &expected);
    gr_graph_set_eager(g, true);
    r = (received){.clear = true, .spoil = true};
    each(shared);
    ck_assert_int_eq(r.calls, LAYERS);
    for (int l = 0; l < LAYERS; l++) expect_bits(r.grad[l], expected.w[l], SIZE, 0, l);
}
END_TEST

/* Of LAYERS weights of 9 KB; the rest of the step is the same. */
START_TEST(gradients_share_memory)
{
    int64_t bytes[2];
    inject_begin();
    for (int k = 0; k < 2; k++) {
        teardown();
        setup();
        gr_graph_reset(g);
        r = (received){.clear = true};
        ck_assert_int_eq(k ? gr_backward_each(chain(), receive, &r) : gr_backward(chain()), GR_OK);
        bytes[k] = inject_live_bytes();
    }
    inject_end();
    ck_assert_int_gt(bytes[0] - bytes[1], (int64_t)(LAYERS - 3) * (int64_t)sizeof start);
}
END_TEST

/* --- what waits for the end --- */

static void expect_left(int l, loss_fn *loss)
{
    r = (received){.clear = true, .spoil = true};
    each(loss);
    ck_assert_int_eq(r.of[l], 0);
    ck_assert_ptr_nonnull(gr_param_grad(w[l]));
}

static gr_tensor *assigning(void)
{
    gr_tensor *loss = chain();
    gr_assign(w[1], gr_scale(gr_use(g, w[1]), 0.5));
    return loss;
}

static gr_tensor *copying(void)
{
    gr_tensor *loss = chain();
    gr_assign(w[3], gr_reshape(gr_use(g, w[2]), GR_SHAPE(WIDTH, WIDTH)));
    return loss;
}

START_TEST(what_is_assigned_and_what_it_is_assigned_wait)
{
    float before[SIZE];
    memcpy(before, gr_param_data(w[1]), sizeof before);
    expect_left(1, assigning);
    const float *halved = gr_param_data(w[1]);
    for (int i = 0; i < SIZE; i++) ck_assert_float_eq(halved[i], 0.5f * before[i]);
    reset_weights();
    clear_all();
    memcpy(before, gr_param_data(w[2]), sizeof before);
    expect_left(2, copying);
    ck_assert_int_eq(r.of[3], 0);
    ck_assert_mem_eq(gr_param_data(w[3]), before, sizeof before);
}
END_TEST

/* Rank 2 from rank 2: a VJP that gives what it got, so that w[0] is the gradient of w[1]. */
static gr_tensor *product_of_parameters(void)
{
    return gr_add(gr_sum_all(gr_mul(gr_use(g, w[0]), gr_use(g, w[1]))), chain());
}

START_TEST(gradients_made_of_other_parameters_are_right)
{
    backward(product_of_parameters, 1, &expected);
    r = (received){.clear = true, .spoil = true};
    each(product_of_parameters);
    copy_gradients(&found);
    for (int l = 0; l < LAYERS; l++)
        expect_bits(r.of[l] ? r.grad[l] : found.w[l], expected.w[l], SIZE, 0, l);
}
END_TEST

START_TEST(a_watched_graph_hands_nothing_over)
{
    backward(chain, 1, &expected);
    gr_graph_set_anomaly(g, true);
    r = (received){.clear = true};
    each(chain);
    ck_assert_int_eq(r.calls, 0);
    copy_gradients(&found);
    for (int l = 0; l < LAYERS; l++) expect_bits(found.w[l], expected.w[l], SIZE, 0, l);
}
END_TEST

START_TEST(a_parameter_used_again_after_a_write_waits)
{
    gr_graph_reset(g);
    gr_tensor *before = gr_scale(gr_use(g, w[0]), 2);
    ck_assert_ptr_nonnull(gr_data(before));
    ck_assert_ptr_nonnull(gr_param_write(w[0]));
    gr_tensor *loss = gr_add(gr_mean_all(gr_tanh(before)), chain());
    r = (received){.clear = true};
    ck_assert_msg(gr_backward_each(loss, receive, &r) == GR_OK, "%s", gr_graph_error(g));
    ck_assert_int_eq(r.of[0], 0);
    ck_assert_ptr_nonnull(gr_param_grad(w[0]));
}
END_TEST

/* --- refusals --- */

START_TEST(a_refusal_ends_the_sweep)
{
    for (int at = 1; at <= LAYERS; at++) {
        gr_graph_reset(g);
        gr_tensor *loss = assigning();
        r = (received){.clear = true, .refuse_at = at};
        float before[SIZE];
        memcpy(before, gr_param_data(w[1]), sizeof before);
        gr_status status = gr_backward_each(loss, receive, &r);
        if (at == LAYERS) { /* one of them waits */
            ck_assert_int_eq(status, GR_OK);
            break;
        }
        ck_assert_int_eq(status, GR_ERR_FORMAT);
        ck_assert_int_eq(r.calls, at);
        ck_assert_mem_eq(gr_param_data(w[1]), before, sizeof before);
        for (int l = 0; l < LAYERS; l++)
            if (r.of[l]) ck_assert_ptr_null(gr_param_grad(w[l]));
        ck_assert_ptr_null(gr_param_grad(bias));
        ck_assert_ptr_null(gr_graph_error(g));
        ck_assert(isfinite(gr_item(loss)));
        clear_all();
    }
}
END_TEST

static gr_tensor *pending;

static gr_status ask(void *user, gr_param *p)
{
    (void)p;
    *(const void **)user = gr_data(pending);
    return GR_OK;
}

START_TEST(a_receiver_that_asks_for_what_is_pending_is_an_error)
{
    const void *data = input;
    gr_tensor *loss = chain();
    gr_no_grad_begin(g);
    pending = gr_exp(gr_sin(gr_use(g, w[0])));
    gr_sum_all(pending); /* evaluated by backward, and let go of again */
    gr_no_grad_end(g);
    ck_assert_int_eq(gr_backward_each(loss, ask, &data), GR_ERR_STATE);
    ck_assert_ptr_null(data);
    ck_assert_ptr_nonnull(strstr(gr_graph_error(g), "the receiver asks for a value"));
    gr_graph_reset(g);
    r = (received){0};
    each(chain);
    ck_assert_int_eq(r.calls, LAYERS);
}
END_TEST

START_TEST(missing_arguments_are_errors)
{
    ck_assert_int_eq(gr_backward_each(NULL, receive, &r), GR_ERR_ARGUMENT);
    ck_assert_int_eq(gr_backward_each(chain(), NULL, NULL), GR_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "the receiver is NULL"));
    r = (received){0};
    ck_assert_int_eq(gr_backward_each(images(), receive, &r), GR_ERR_ARGUMENT);
}
END_TEST

/* Whatever fails: what came before is right, and nothing is lost of the rest. */
START_TEST(without_memory_gradients_come_whole_or_not)
{
    backward(shared, 1, &expected);
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        gr_graph_free(g);
        g = gr_graph_new();
        gr_tensor *loss = shared();
        r = (received){.clear = n % 2 == 0};
        inject_allocation(n);
        gr_status status = gr_backward_each(loss, receive, &r);
        done = !inject_happened();
        inject_none();
        ck_assert_int_eq(status, done ? GR_OK : GR_ERR_MEMORY);
        for (int l = 0; l < LAYERS; l++)
            if (r.of[l]) expect_bits(r.grad[l], expected.w[l], SIZE, 0, l);
        clear_all();
    }
    inject_end();
}
END_TEST

SUITE("handover", setup, teardown, large_gradients_come_once_with_the_bits_of_backward,
      nothing_reads_a_parameter_after_its_gradient_came, a_gradient_that_is_not_cleared_stays,
      gradients_from_before_come_with_the_new_ones, evaluating_at_once_hands_over_the_same,
      gradients_share_memory, what_is_assigned_and_what_it_is_assigned_wait,
      gradients_made_of_other_parameters_are_right, a_watched_graph_hands_nothing_over,
      a_parameter_used_again_after_a_write_waits, a_refusal_ends_the_sweep,
      a_receiver_that_asks_for_what_is_pending_is_an_error, missing_arguments_are_errors,
      without_memory_gradients_come_whole_or_not)
