/* test_backward_step.c - updates during backward: the bits of the two calls, in less memory. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "optimizers.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <math.h>
#include <string.h>

enum { BATCH = 4, WIDTH = 48, WORDS = 300, STEPS = 4, MOST_BYTES = 1 << 20 };
#define COUNT(array) (int)(sizeof(array) / sizeof *(array))

/* --- a network with all that asks for care --- */

typedef struct words {
    gr_param *table, *tied, *twice, *bias;
    gr_module *norm;
} words;

/* An embedding, whose gradient is known by rows; a weight that is used twice and once turned; one
 * that enters the loss by itself; running statistics; small parameters. */
static gr_tensor *forward(gr_module *self, gr_tensor *index)
{
    const words *s = gr_module_state(self);
    gr_graph *g = gr_graph_of(index);
    gr_tensor *twice = gr_use(g, s->twice), *tied = gr_use(g, s->tied);
    gr_tensor *x = gr_embedding(gr_use(g, s->table), index);
    x = gr_tanh(gr_linear(x, twice, gr_use(g, s->bias)));
    x = gr_forward(s->norm, x);
    x = gr_tanh(gr_linear(x, twice, NULL));
    x = gr_relu(gr_linear(x, tied, NULL));
    x = gr_matmul(gr_matmul(x, tied), gr_transpose(twice, 0, 1));
    return gr_add(gr_mean_all(gr_square(x)), gr_scale(gr_sum_all(gr_square(tied)), 1e-3));
}

static gr_module *make_words(gr_model *m)
{
    gr_module *self = gr_module_new(m, "words", forward, sizeof(words));
    words *s = gr_module_state(self);
    const gr_init normal = {.kind = GR_INIT_NORMAL, .a = 0.3};
    s->table = gr_module_param(self, "table", GR_SHAPE(WORDS, WIDTH), normal);
    s->twice = gr_module_param(self, "twice", GR_SHAPE(WIDTH, WIDTH), normal);
    s->tied = gr_module_param(self, "tied", GR_SHAPE(WIDTH, WIDTH), normal);
    s->bias = gr_module_param(self, "bias", GR_SHAPE(WIDTH), normal);
    s->norm = gr_module_add(self, "norm",
                            gr_batch_norm1d_layer(m, WIDTH, (gr_batch_norm_options){0}));
    return self;
}

typedef struct run {
    gr_model *m;
    gr_module *net;
    gr_graph *g;
    gr_optimizer *opt;
} run;

static run begin(gr_dtype dtype)
{
    run r = {.m = gr_model_new(), .g = gr_graph_new()};
    gr_model_seed(r.m, 7);
    gr_model_dtype(r.m, dtype);
    r.net = make_words(r.m);
    return r;
}

static void end(run *r)
{
    gr_optimizer_free(r->opt);
    gr_graph_free(r->g);
    gr_model_free(r->m);
}

static gr_tensor *loss_of(run *r, int step)
{
    const int64_t index[BATCH] = {step, 17, 17, WORDS - 1};
    gr_graph_reset(r->g);
    return gr_forward(r->net, gr_from_data(r->g, GR_I64, GR_SHAPE(BATCH), index));
}

static gr_status two_calls(run *r, int step)
{
    gr_tensor *loss = loss_of(r, step);
    gr_status status = gr_backward(loss);
    return status ? status : gr_step(r->opt);
}

static gr_status one_call(run *r, int step)
{
    return gr_backward_step(r->opt, loss_of(r, step));
}

/* --- weights, statistics and states, one after the other --- */

typedef struct image {
    size_t n;
    unsigned char bytes[MOST_BYTES];
} image;

static void append(image *to, const void *data, gr_dtype dtype, const gr_shape *shape)
{
    size_t bytes = (size_t)gr_shape_numel(shape) * gr_dtype_size(dtype);
    ck_assert_uint_le(to->n + bytes, sizeof to->bytes);
    memcpy(to->bytes + to->n, data, bytes);
    to->n += bytes;
}

static gr_status append_state(void *user, const char *name, gr_dtype dtype, const gr_shape *shape,
                              void *data)
{
    (void)name;
    append(user, data, dtype, shape);
    return GR_OK;
}

static void take(run *r, image *to)
{
    to->n = 0;
    for (int i = 0; i < gr_model_states(r->m); i++) {
        const gr_param *p = gr_model_state(r->m, i);
        append(to, gr_param_data(p), gr_param_dtype(p), gr_param_shape(p));
        ck_assert_ptr_null(gr_param_grad(p));
    }
    ck_assert_int_eq(gr_optimizer_states(r->opt, append_state, to), GR_OK);
}

static image two, one;

static void expect_same(const char *name, gr_dtype dtype)
{
    ck_assert_uint_eq(one.n, two.n);
    for (size_t i = 0; i < two.n; i++)
        if (one.bytes[i] != two.bytes[i])
            ck_abort_msg("%s, %s: byte %zu: expected %02x, got %02x", name, gr_dtype_name(dtype), i,
                         two.bytes[i], one.bytes[i]);
}

/* --- what surrounds a rule --- */

static gr_optimizer *grouped(gr_model *m, gr_param_group settings)
{
    gr_optimizer *opt = make_adam(m);
    ck_assert_int_eq(gr_optimizer_group(opt, "*t*", settings), GR_OK);
    return opt;
}

static gr_optimizer *tuned(gr_model *m)
{
    return grouped(m, (gr_param_group){.lr = 0.1,
                                       .clip_value = 1e-3,
                                       .l1 = 0.1,
                                       .decoupled_decay = 0.1,
                                       .maximize = true,
                                       .non_negative = true});
}
static gr_optimizer *by_rows(gr_model *m)
{
    return grouped(m, (gr_param_group){.sparse_rows = true, .max_norm = 0.5});
}
static gr_optimizer *of_norm_1(gr_model *m)
{
    return grouped(m, (gr_param_group){.unit_norm = true});
}
static gr_optimizer *clipped(gr_model *m)
{
    gr_optimizer *opt = make_adam(m);
    ck_assert_int_eq(gr_optimizer_clip_norm(opt, 0.01), GR_OK);
    return opt;
}
static gr_optimizer *scheduled(gr_model *m)
{
    gr_optimizer *opt = make_momentum(m);
    gr_schedule cycle = gr_one_cycle_with(
        (gr_one_cycle_options){.total_steps = STEPS, .base_momentum = 0.8, .max_momentum = 0.95});
    ck_assert_int_eq(gr_optimizer_schedule(opt, cycle), GR_OK);
    return opt;
}

static const named_optimizer surrounded[] = {
    {"tuned", tuned},     {"by rows", by_rows},     {"of norm 1", of_norm_1},
    {"clipped", clipped}, {"scheduled", scheduled},
};

typedef gr_status step_fn(run *r, int step);

static void train(make_optimizer *make, gr_dtype dtype, step_fn *step, image *to)
{
    run r = begin(dtype);
    r.opt = make(r.m);
    for (int k = 0; k < STEPS; k++)
        ck_assert_msg(step(&r, k) == GR_OK, "%s, step %d: %s", gr_optimizer_name(r.opt), k,
                      gr_last_error());
    ck_assert_int_eq(gr_optimizer_steps(r.opt), STEPS);
    take(&r, to);
    end(&r);
}

static void compare_calls(const named_optimizer *o)
{
    for (int dtype = GR_F32; dtype <= GR_F64; dtype++) {
        train(o->make, (gr_dtype)dtype, two_calls, &two);
        train(o->make, (gr_dtype)dtype, one_call, &one);
        expect_same(o->name, (gr_dtype)dtype);
    }
}

START_TEST(every_optimizer_has_the_bits_of_the_two_calls)
{
    for (int i = 0; i < RULES; i++) compare_calls(&every_rule[i]);
    for (int i = 0; i < COUNT(surrounded); i++) compare_calls(&surrounded[i]);
}
END_TEST

/* --- gradients from before, frozen parameters, other models --- */

static gr_status after_another(run *r, int step)
{
    gr_status status = gr_backward(loss_of(r, step + 10));
    return status ? status : one_call(r, step);
}

static gr_status after_another_in_two(run *r, int step)
{
    gr_status status = gr_backward(loss_of(r, step + 10));
    return status ? status : two_calls(r, step);
}

START_TEST(gradients_of_earlier_batches_are_part_of_the_update)
{
    train(make_adam, GR_F32, after_another_in_two, &two);
    train(make_adam, GR_F32, after_another, &one);
    expect_same("adam", GR_F32);
}
END_TEST

static void freeze(run *r, bool frozen)
{
    gr_param_freeze(gr_model_find(r->m, "twice"), frozen);
}

static gr_status freezing(run *r, int step)
{
    gr_tensor *loss = loss_of(r, step);
    freeze(r, true); /* recorded as trainable: it gets a gradient and no update */
    gr_status status = gr_backward_step(r->opt, loss);
    freeze(r, false);
    return status;
}

static gr_status freezing_in_two(run *r, int step)
{
    gr_status status = gr_backward(loss_of(r, step));
    freeze(r, true);
    if (!status) status = gr_step(r->opt);
    freeze(r, false);
    return status;
}

START_TEST(what_is_frozen_after_recording_stays)
{
    train(make_adam, GR_F32, freezing_in_two, &two);
    train(make_adam, GR_F32, freezing, &one);
    expect_same("adam", GR_F32);
}
END_TEST

START_TEST(gradients_of_other_models_stay)
{
    run r = begin(GR_F32), other = begin(GR_F32);
    r.opt = make_adam(r.m);
    gr_tensor *loss = loss_of(&r, 0);
    const int64_t index[BATCH] = {0, 17, 17, WORDS - 1};
    gr_tensor *places = gr_from_data(r.g, GR_I64, GR_SHAPE(BATCH), index);
    loss = gr_add(loss, gr_forward(other.net, places));
    ck_assert_msg(gr_backward_step(r.opt, loss) == GR_OK, "%s", gr_last_error());
    for (int i = 0; i < gr_model_params(r.m); i++) {
        ck_assert_ptr_null(gr_param_grad(gr_model_param(r.m, i)));
        ck_assert_ptr_nonnull(gr_param_grad(gr_model_param(other.m, i)));
    }
    ck_assert_int_eq(gr_backward(loss_of(&other, 0)), GR_OK); /* adds the same once more */
    const float *twice = gr_param_grad(gr_model_find(other.m, "twice"));
    ck_assert(isfinite(twice[0]) && twice[0] != 0);
    end(&r);
    end(&other);
}
END_TEST

/* --- errors --- */

START_TEST(a_loss_that_is_not_finite_updates_nothing)
{
    make_optimizer *const makers[] = {make_adam, clipped};
    for (int k = 0; k < COUNT(makers); k++) {
        run r = begin(GR_F32);
        r.opt = makers[k](r.m);
        ck_assert_int_eq(one_call(&r, 0), GR_OK);
        take(&r, &two);
        gr_tensor *loss = gr_scale(loss_of(&r, 1), INFINITY);
        ck_assert_int_eq(gr_backward_step(r.opt, loss), GR_ERR_STATE);
        ck_assert_ptr_nonnull(strstr(gr_last_error(), "gr_backward_step: the loss is inf"));
        ck_assert_ptr_null(gr_graph_error(r.g));
        ck_assert_int_eq(gr_optimizer_steps(r.opt), 1);
        for (int i = 0; i < gr_model_params(r.m); i++) {
            ck_assert_ptr_null(gr_param_grad(gr_model_param(r.m, i)));
            const float *w = gr_param_data(gr_model_param(r.m, i));
            ck_assert(isfinite(w[0]));
        }
        if (k == 0) { /* nor have running statistics been written */
            take(&r, &one);
            expect_same("adam", GR_F32);
        }
        ck_assert_int_eq(one_call(&r, 1), GR_OK);
        end(&r);
    }
}
END_TEST

START_TEST(in_a_watched_graph_no_anomaly_updates_anything)
{
    run r = begin(GR_F32);
    r.opt = make_adam(r.m);
    gr_graph_set_anomaly(r.g, true);
    ck_assert_int_eq(one_call(&r, 0), GR_OK);
    take(&r, &two);
    gr_tensor *loss = loss_of(&r, 1), *tied = gr_use(r.g, gr_model_find(r.m, "tied"));
    gr_tensor *zero = gr_sum_all(gr_sub(tied, tied)); /* 0, and d sqrt(0) is infinite */
    ck_assert_int_ne(gr_backward_step(r.opt, gr_add(loss, gr_sqrt(zero))), GR_OK);
    gr_graph_reset(r.g);
    take(&r, &one);
    expect_same("adam", GR_F32);
    end(&r);
}
END_TEST

START_TEST(misuse_is_an_error)
{
    run r = begin(GR_F32);
    r.opt = gr_lbfgs(r.m, (gr_lbfgs_options){0});
    ck_assert_int_eq(one_call(&r, 0), GR_ERR_STATE);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "gr_backward_step: lbfgs"));
    gr_optimizer_free(r.opt);
    r.opt = gr_adam(NULL, (gr_adam_options){0});
    ck_assert_int_ne(one_call(&r, 0), GR_OK);
    gr_optimizer_free(r.opt);
    r.opt = make_adam(r.m);
    ck_assert_int_eq(gr_backward_step(r.opt, NULL), GR_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "gr_backward_step: the loss is NULL"));
    ck_assert_int_eq(gr_backward_step(r.opt, gr_ones(r.g, GR_F32, GR_SHAPE(4, 1))),
                     GR_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(gr_graph_error(r.g), "expected a loss of one element, got [4,1]"));
    gr_graph_reset(r.g);
    gr_tensor *x = gr_ones(r.g, GR_F32, GR_SCALAR);
    ck_assert_int_eq(gr_backward_step(r.opt, x), GR_ERR_ARGUMENT);
    ck_assert_int_eq(gr_optimizer_steps(r.opt), 0);
    end(&r);
}
END_TEST

/* --- memory --- */

/* A parameter as it was, or as it is after the step: never in between. */
START_TEST(without_memory_parameters_are_updated_whole_or_not)
{
    run r = begin(GR_F32);
    r.opt = make_momentum(r.m);
    take(&r, &one);
    ck_assert_int_eq(one_call(&r, 0), GR_OK);
    take(&r, &two);
    end(&r);
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        r = begin(GR_F32);
        r.opt = make_momentum(r.m);
        gr_tensor *loss = loss_of(&r, 0);
        inject_allocation(n);
        gr_status status = gr_backward_step(r.opt, loss);
        done = !inject_happened();
        inject_none();
        ck_assert_int_eq(status, status && !done ? GR_ERR_MEMORY : GR_OK); /* rows do without */
        size_t at = 0;
        for (int i = 0; i < gr_model_states(r.m); i++) {
            const gr_param *p = gr_model_state(r.m, i);
            size_t bytes = (size_t)gr_shape_numel(gr_param_shape(p)) *
                           gr_dtype_size(gr_param_dtype(p));
            bool before = memcmp(gr_param_data(p), one.bytes + at, bytes) == 0;
            bool after = memcmp(gr_param_data(p), two.bytes + at, bytes) == 0;
            ck_assert_msg(before || after, "allocation %d, '%s'", (int)n, gr_param_name(p));
            ck_assert(status || after);
            ck_assert_ptr_null(gr_param_grad(p));
            at += bytes;
        }
        end(&r);
        ck_assert_int_eq(inject_live(), 0);
    }
    inject_end();
}
END_TEST

START_TEST(from_the_second_step_on_nothing_is_allocated)
{
    inject_begin();
    run r = begin(GR_F32);
    r.opt = make_adam(r.m);
    for (int k = 0; k < 3; k++) {
        int64_t before = inject_allocations();
        ck_assert_int_eq(one_call(&r, k), GR_OK);
        if (k == 2) ck_assert_int_eq(inject_allocations() - before, 0);
    }
    end(&r);
    ck_assert_int_eq(inject_live(), 0);
    inject_end();
}
END_TEST

START_TEST(threads_do_not_change_the_bits)
{
    gr_set_threads(1);
    train(make_momentum, GR_F32, one_call, &two);
    gr_set_threads(2);
    train(make_momentum, GR_F32, one_call, &one);
    gr_set_threads(0);
    expect_same("momentum", GR_F32);
}
END_TEST

SUITE("backward_step", NULL, NULL, every_optimizer_has_the_bits_of_the_two_calls,
      gradients_of_earlier_batches_are_part_of_the_update, what_is_frozen_after_recording_stays,
      gradients_of_other_models_stay, a_loss_that_is_not_finite_updates_nothing,
      in_a_watched_graph_no_anomaly_updates_anything, misuse_is_an_error,
      without_memory_parameters_are_updated_whole_or_not,
      from_the_second_step_on_nothing_is_allocated, threads_do_not_change_the_bits)
