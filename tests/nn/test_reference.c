/* test_reference.c - layers and small networks against PyTorch 1.13: outputs, gradients, buffers.
 *
 * reference.safetensors holds what reference.py wrote; see there. The state dicts load as they are.
 */
/* SPDX-License-Identifier: MIT */
#include "fixture.h"
#include "networks.h"
#include "scratch.h"
#include "suite.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST = 128, OUTPUTS = 3, INPUTS = 8 };

static gr_safetensors *file;

/* One case in one dtype. */
typedef struct trial {
    const char *name;
    gr_dtype dtype;
    double tolerance; /* of the largest element, at least 1 */
    gr_model *m;
    gr_module *net;
    gr_tensor *in[INPUTS], *y[OUTPUTS];
    char in_name[INPUTS][64];
    int n_in, n_out;
} trial;

/* --- the file --- */

/* "NAME/part/key"; NULL when there is none. */
static const gr_array *array(const trial *t, const char *part, const char *key)
{
    char name[200];
    snprintf(name, sizeof name, "%s/%s/%s", t->name, part, key);
    return gr_safetensors_find(file, name);
}

/* The key of array i if it is of this part of the case; else NULL. */
static const char *key_of(const trial *t, const char *part, int i)
{
    const char *name = gr_safetensors_at(file, i)->name;
    const size_t a = strlen(t->name), b = strlen(part);
    bool is = !strncmp(name, t->name, a) && name[a] == '/' && !strncmp(name + a + 1, part, b) &&
              name[a + 1 + b] == '/';
    return is ? name + a + b + 2 : NULL;
}

static gr_tensor *tensor(const gr_array *a)
{
    static _Alignas(8) char data[1 << 16];
    ck_assert_uint_le(a->bytes, sizeof data);
    memcpy(data, a->data, a->bytes);
    const gr_dtype dtype = !strcmp(a->dtype, "F32")   ? GR_F32
                           : !strcmp(a->dtype, "F64") ? GR_F64
                           : !strcmp(a->dtype, "I64") ? GR_I64
                                                      : GR_BOOL;
    return gr_from_data(g, dtype, a->shape, data);
}

/* --- running a case --- */

/* The state dict, as a file of its own. */
static void load(trial *t)
{
    gr_array arrays[MOST];
    int n = 0;
    for (int i = 0; i < gr_safetensors_count(file); i++) {
        const char *key = key_of(t, "state", i);
        if (!key) continue;
        ck_assert_int_lt(n, MOST);
        arrays[n] = *gr_safetensors_at(file, i);
        arrays[n++].name = key;
    }
    const char *path = scratch_path("state.safetensors");
    ck_assert_int_eq(gr_safetensors_write(path, arrays, n, NULL), GR_OK);
    const gr_load_options o = {.convert = t->dtype == GR_F64};
    ck_assert_msg(gr_load_with(t->m, path, o, NULL) == GR_OK, "%s", gr_last_error());
}

static void take_inputs(trial *t)
{
    for (int i = 0; i < gr_safetensors_count(file); i++) {
        const char *key = key_of(t, "in", i);
        if (!key) continue;
        gr_tensor *x = tensor(gr_safetensors_at(file, i));
        ck_assert_int_lt(t->n_in, INPUTS);
        snprintf(t->in_name[t->n_in], sizeof t->in_name[0], "%s", key);
        t->in[t->n_in++] = gr_dtype_of(x) == GR_F32 ? gr_cast(x, t->dtype) : x;
    }
}

/* Input `key`, NULL when the case has none. */
static gr_tensor *in(const trial *t, const char *key)
{
    for (int i = 0; i < t->n_in; i++)
        if (!strcmp(t->in_name[i], key)) return t->in[i];
    return NULL;
}

static gr_tensor *objective(const trial *t)
{
    gr_tensor *total = NULL;
    for (int k = 0; k < t->n_out; k++) {
        static double w[4096];
        for (int64_t i = 0; i < gr_numel(t->y[k]); i++) w[i] = sin(1.7 * (double)i + 0.4 + k);
        gr_tensor *weights = gr_cast(make(GR_F64, w, *gr_shape_of(t->y[k])), t->dtype);
        gr_tensor *sum = gr_sum_all(gr_mul(t->y[k], weights));
        total = total ? gr_add(total, sum) : sum;
    }
    return total;
}

/* --- comparing --- */

static void same(const trial *t, const char *part, const char *key, const double *got,
                 const gr_shape *shape)
{
    const gr_array *want = array(t, part, key);
    ck_assert_msg(want != NULL, "%s: the file has no %s %s", t->name, part, key);
    ck_assert_msg(gr_shape_equal(shape, &want->shape), "%s: %s %s has another shape", t->name, part,
                  key);
    const double *values_wanted = values(tensor(want));
    double scale = 1;
    for (int64_t i = 0; i < gr_shape_numel(shape); i++) scale = fmax(scale, fabs(values_wanted[i]));
    for (int64_t i = 0; i < gr_shape_numel(shape); i++)
        ck_assert_msg(fabs(got[i] - values_wanted[i]) <= t->tolerance * scale,
                      "%s in %s: element %d of %s %s is %.15g, expected %.15g", t->name,
                      gr_dtype_name(t->dtype), (int)i, part, key, got[i], values_wanted[i]);
}

static void same_tensor(const trial *t, const char *part, const char *key, gr_tensor *got)
{
    same(t, part, key, values(got), gr_shape_of(got));
}

/* A parameter's gradient, or a buffer, as a tensor. */
static gr_tensor *loose(gr_dtype dtype, const gr_param *p, const void *data)
{
    ck_assert_ptr_nonnull(data);
    return gr_from_data(g, dtype, *gr_param_shape(p), data);
}

static void compare_gradients(trial *t)
{
    gr_tensor *loss = objective(t), *x[INPUTS], *dx[INPUTS];
    int which[INPUTS], n = 0;
    for (int i = 0; i < t->n_in; i++)
        if (gr_dtype_of(t->in[i]) == t->dtype) {
            which[n] = i;
            x[n++] = t->in[i];
        }
    ck_assert_msg(gr_grad(loss, x, n, dx) == GR_OK, "%s: %s", t->name, gr_graph_error(g));
    for (int i = 0; i < n; i++) same_tensor(t, "dx", t->in_name[which[i]], dx[i]);
    const bool trainable = gr_model_params(t->m) > 0;
    ck_assert_msg((trainable ? gr_backward(loss) : gr_commit(g)) == GR_OK, "%s: %s", t->name,
                  gr_graph_error(g));
    for (int i = 0; i < gr_model_params(t->m); i++) {
        const gr_param *p = gr_model_param(t->m, i);
        same_tensor(t, "grad", gr_model_param_name(t->m, i),
                    loose(gr_param_dtype(p), p, gr_param_grad(p)));
    }
}

static void compare_buffers(trial *t)
{
    for (int i = 0; i < gr_safetensors_count(file); i++) {
        const char *key = key_of(t, "after", i);
        if (!key) continue;
        const gr_param *p = gr_model_find(t->m, key);
        ck_assert_msg(p != NULL, "%s: no '%s'", t->name, key);
        same_tensor(t, "after", key, loose(gr_param_dtype(p), p, gr_param_data(p)));
    }
}

/* --- the cases --- */

typedef gr_module *make_fn(gr_model *m);
typedef void run_fn(trial *t);

/* One input, one output. */
static void run_plain(trial *t)
{
    t->y[t->n_out++] = gr_forward(t->net, t->in[0]);
}

static void run_recurrent(trial *t)
{
    const gr_recurrent_inputs more = {.h = in(t, "h"),
                                      .c = in(t, "c"),
                                      .lengths = in(t, "lengths")};
    gr_recurrent r = gr_recurrent_forward(t->net, in(t, "x"), more);
    t->y[t->n_out++] = r.y;
    t->y[t->n_out++] = r.h;
    if (r.c) t->y[t->n_out++] = r.c;
}

static gr_attention_mask mask(const trial *t)
{
    return (gr_attention_mask){.scores = in(t, "mask"), .padding = in(t, "padding")};
}

static void run_attention(trial *t)
{
    t->y[0] = gr_attention_forward(t->net, in(t, "q"), in(t, "k"), in(t, "v"), mask(t), &t->y[1]);
    t->n_out = 2;
}

static void run_encoder(trial *t)
{
    t->y[t->n_out++] = gr_encoder_forward(t->net, in(t, "x"), mask(t));
}

static void run_decoder(trial *t)
{
    t->y[t->n_out++] = gr_decoder_forward(t->net, in(t, "x"), in(t, "memory"),
                                          (gr_attention_mask){.scores = in(t, "mask")},
                                          (gr_attention_mask){.padding = in(t, "padding")});
}

static void run_bilinear(trial *t)
{
    t->y[t->n_out++] = gr_bilinear_forward(t->net, in(t, "a"), in(t, "b"));
}

static const struct reference {
    const char *name;
    make_fn *make;
    run_fn *run;
    bool evaluation;
} references[] = {
    {"mlp", mlp, run_plain, false},
    {"resnet20_train", resnet20, run_plain, false},
    {"resnet20_eval", resnet20, run_plain, true},
    {"batch_norm1d_train", norm1d, run_plain, false},
    {"batch_norm1d_eval", norm1d, run_plain, true},
    {"batch_norm2d_train", norm2d_mean_of_all, run_plain, false},
    {"batch_norm2d_eval", norm2d_eps, run_plain, true},
    {"batch_norm3d_train", norm3d, run_plain, false},
    {"lstm", lstm, run_recurrent, false},
    {"lstm_lengths", lstm, run_recurrent, false},
    {"gru", gru, run_recurrent, false},
    {"gru_lengths", gru_both, run_recurrent, false},
    {"rnn", rnn, run_recurrent, false},
    {"attention", attention, run_attention, false},
    {"attention_masks", attention_batch_first, run_attention, false},
    {"attention_added", attention_four, run_attention, false},
    {"attention_heads", attention, run_attention, false},
    {"attention_sizes", attention_sizes, run_attention, false},
    {"encoder_layer", encoder_layer, run_encoder, false},
    {"encoder_layer_norm_first", encoder_layer_norm_first, run_encoder, false},
    {"encoder", encoder, run_encoder, false},
    {"decoder_layer", decoder_layer, run_decoder, false},
    {"decoder_layer_norm_first", decoder_layer_norm_first, run_decoder, false},
    {"bilinear", bilinear, run_bilinear, false},
    {"conv1d", conv1d, run_plain, false},
    {"conv1d_circular", conv1d_circular, run_plain, false},
    {"conv2d", conv2d, run_plain, false},
    {"conv2d_reflect", conv2d_reflect, run_plain, false},
    {"conv3d", conv3d, run_plain, false},
    {"conv_transpose1d", conv_transpose1d, run_plain, false},
    {"conv_transpose2d", conv_transpose2d, run_plain, false},
    {"conv_transpose3d", conv_transpose3d, run_plain, false},
    {"layer_norm", layer_norm, run_plain, false},
    {"group_norm", group_norm, run_plain, false},
    {"instance_norm", instance_norm, run_plain, false},
    {"prelu", prelu, run_plain, false},
    {"embedding", embedding, run_plain, false},
};

/* Saved, it is the state dict again: so PyTorch loads it. */
static void compare_saved(trial *t)
{
    const char *path = scratch_path("saved.safetensors");
    ck_assert_msg(gr_save(t->m, path, NULL) == GR_OK, "%s", gr_last_error());
    gr_safetensors *saved = gr_safetensors_open(path);
    ck_assert_msg(saved != NULL, "%s", gr_last_error());
    int n = 0;
    for (int i = 0; i < gr_safetensors_count(file); i++) {
        const char *key = key_of(t, "state", i);
        if (!key) continue;
        const gr_array *want = gr_safetensors_at(file, i), *got = gr_safetensors_find(saved, key);
        ck_assert_msg(got != NULL, "%s: no '%s' was saved", t->name, key);
        ck_assert_str_eq(got->dtype, want->dtype);
        ck_assert(gr_shape_equal(&got->shape, &want->shape));
        ck_assert_mem_eq(got->data, want->data, want->bytes);
        n++;
    }
    ck_assert_int_eq(gr_safetensors_count(saved), n);
    gr_safetensors_close(saved);
}

static void compare(const struct reference *r, gr_dtype dtype, double tolerance)
{
    trial t = {.name = r->name, .dtype = dtype, .tolerance = tolerance, .m = gr_model_new()};
    gr_model_dtype(t.m, dtype);
    gr_model_set_training(t.m, !r->evaluation);
    t.net = r->make(t.m);
    ck_assert_msg(!gr_model_error(t.m), "%s: %s", r->name, gr_model_error(t.m));
    load(&t);
    if (dtype == GR_F32) compare_saved(&t);
    take_inputs(&t);
    r->run(&t);
    char key[16];
    for (int k = 0; k < t.n_out; k++) {
        snprintf(key, sizeof key, "%d", k);
        same_tensor(&t, "out", key, t.y[k]);
    }
    if (gr_model_params(t.m) == 0 || array(&t, "grad", gr_model_param_name(t.m, 0)))
        compare_gradients(&t);
    compare_buffers(&t);
    gr_graph_reset(g);
    gr_model_free(t.m);
}

/* --- tests --- */

static void begin(void)
{
    scratch_begin();
    setup();
    file = gr_safetensors_open(REFERENCE);
    ck_assert_msg(file != NULL, "%s", gr_last_error());
}

static void end(void)
{
    gr_safetensors_close(file);
    teardown();
    scratch_end();
}

START_TEST(float64_is_as_pytorch)
{
    for (size_t i = 0; i < sizeof references / sizeof *references; i++)
        compare(&references[i], GR_F64, 1e-11);
}
END_TEST

START_TEST(float32_is_as_pytorch)
{
    for (size_t i = 0; i < sizeof references / sizeof *references; i++)
        compare(&references[i], GR_F32, 1e-5);
}
END_TEST

/* All parameters and the input of the networks that have one, in float64. */
START_TEST(networks_pass_the_gradient_check)
{
    for (size_t i = 0; i < sizeof references / sizeof *references; i++) {
        const struct reference *r = &references[i];
        trial t = {.name = r->name, .dtype = GR_F32, .m = gr_model_new()};
        const gr_array *x = array(&t, "in", "x");
        if (x && r->run != run_decoder) {
            gr_check_report report;
            float data[4096];
            ck_assert_uint_le(x->bytes, sizeof data);
            memcpy(data, x->data, x->bytes);
            const gr_check_input in = {"x", GR_F32, x->shape, data};
            gr_model_set_training(t.m, !r->evaluation);
            gr_verdict v = gr_gradcheck_module(r->make(t.m), &in, NULL, NULL, (gr_check_options){0},
                                               &report);
            ck_assert_msg(v == GR_PASS, "%s: %s %s", r->name, report.stage, report.message);
        }
        gr_model_free(t.m);
    }
}
END_TEST

SUITE("reference", begin, end, float64_is_as_pytorch, float32_is_as_pytorch,
      networks_pass_the_gradient_check)
