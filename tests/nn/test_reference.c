/* test_reference.c - layers and small networks against PyTorch 1.13: outputs, gradients, buffers.
 *
 * reference.safetensors holds what reference.py wrote; see there. The state dicts load as they are.
 */
/* SPDX-License-Identifier: MIT */
#include "fixture.h"
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

static gr_module *mlp(gr_model *m)
{
    return gr_sequential(m, GR_LIST(gr_linear_layer(m, 5, 8), gr_tanh_layer(m),
                                    gr_linear_layer(m, 8, 8), gr_relu_layer(m),
                                    gr_linear_layer(m, 8, 3)));
}

static gr_module *conv(gr_model *m, const char *name, int64_t n_in, int64_t n_out, int kernel,
                       int stride)
{
    const int pad = kernel / 2;
    return gr_named(name,
                    gr_conv2d_layer(m, n_in, n_out, kernel,
                                    (gr_conv2d_layer_options){.no_bias = true,
                                                              .conv = {.stride = {stride, stride},
                                                                       .padding = {pad, pad}}}));
}

static gr_module *norm(gr_model *m, const char *name, int64_t channels)
{
    return gr_named(name, gr_batch_norm2d_layer(m, channels, (gr_batch_norm_options){0}));
}

/* relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x)); the shortcut is its last child. */
static gr_tensor *block_forward(gr_module *self, gr_tensor *x)
{
    gr_tensor *y = x, *around = x;
    for (int i = 0; i < 4; i++) {
        y = gr_forward(gr_module_child(self, i), y);
        if (i == 1) y = gr_relu(y);
    }
    if (gr_module_children(self) > 4) around = gr_forward(gr_module_child(self, 4), x);
    return gr_relu(gr_add(y, around));
}

static gr_module *block(gr_model *m, int64_t before, int64_t after, int stride)
{
    gr_module *self = gr_module_new(m, "block", block_forward, 0);
    gr_module_add(self, NULL, conv(m, "conv1", before, after, 3, stride));
    gr_module_add(self, NULL, norm(m, "bn1", after));
    gr_module_add(self, NULL, conv(m, "conv2", after, after, 3, 1));
    gr_module_add(self, NULL, norm(m, "bn2", after));
    if (before != after)
        gr_module_add(self, "shortcut",
                      gr_sequential(m, GR_LIST(conv(m, "0", before, after, 1, stride),
                                               norm(m, "1", after))));
    return self;
}

static gr_module *stage(gr_model *m, const char *name, int64_t before, int64_t after, int stride)
{
    return gr_named(name, gr_sequential(m, GR_LIST(block(m, before, after, stride),
                                                   block(m, after, after, 1),
                                                   block(m, after, after, 1))));
}

static gr_module *resnet20(gr_model *m)
{
    return gr_sequential(m,
                         GR_LIST(conv(m, "conv1", 3, 2, 3, 1), norm(m, "bn1", 2), gr_relu_layer(m),
                                 stage(m, "layer1", 2, 2, 1), stage(m, "layer2", 2, 4, 2),
                                 stage(m, "layer3", 4, 8, 2), gr_global_avg_pool_layer(m),
                                 gr_flatten_layer(m), gr_named("fc", gr_linear_layer(m, 8, 5))));
}

static gr_module *norm1d(gr_model *m)
{
    return gr_batch_norm1d_layer(m, 3, (gr_batch_norm_options){0});
}

static gr_module *norm2d_mean_of_all(gr_model *m)
{
    return gr_batch_norm2d_layer(m, 3, (gr_batch_norm_options){.momentum = -1});
}

static gr_module *norm2d_eps(gr_model *m)
{
    return gr_batch_norm2d_layer(m, 3, (gr_batch_norm_options){.eps = 1e-3});
}

static gr_module *norm3d(gr_model *m)
{
    return gr_batch_norm3d_layer(m, 2, (gr_batch_norm_options){.no_affine = true, .momentum = 0.4});
}

static gr_module *lstm(gr_model *m)
{
    return gr_lstm_layer(m, 3, 4, (gr_recurrent_options){.layers = 2, .bidirectional = true});
}

static gr_module *gru(gr_model *m)
{
    return gr_gru_layer(m, 3, 4, (gr_recurrent_options){.layers = 2, .batch_first = true});
}

static gr_module *gru_both(gr_model *m)
{
    return gr_gru_layer(m, 3, 4, (gr_recurrent_options){.bidirectional = true, .no_bias = true});
}

static gr_module *rnn(gr_model *m)
{
    return gr_rnn_layer(m, 3, 4, (gr_recurrent_options){.layers = 2, .nonlinearity = GR_RNN_RELU});
}

static gr_module *attention(gr_model *m)
{
    return gr_multihead_attention_layer(m, 8, 2, (gr_multihead_attention_options){0});
}

static gr_module *attention_batch_first(gr_model *m)
{
    return gr_multihead_attention_layer(m, 8, 2,
                                        (gr_multihead_attention_options){.batch_first = true});
}

static gr_module *attention_four(gr_model *m)
{
    return gr_multihead_attention_layer(m, 8, 4, (gr_multihead_attention_options){0});
}

static gr_module *attention_sizes(gr_model *m)
{
    return gr_multihead_attention_layer(
        m, 8, 2, (gr_multihead_attention_options){.keys = 3, .values = 5, .no_bias = true});
}

static const gr_transformer_options tiny = {.hidden = 6, .dropout = -1};

static gr_module *encoder_layer(gr_model *m)
{
    return gr_transformer_encoder_layer(m, 4, 2, tiny);
}

static gr_module *encoder_layer_norm_first(gr_model *m)
{
    gr_transformer_options o = tiny;
    o.norm_first = o.batch_first = o.gelu = true;
    return gr_transformer_encoder_layer(m, 4, 2, o);
}

static gr_module *encoder(gr_model *m)
{
    gr_transformer_options o = tiny;
    o.norm_first = o.final_norm = true;
    return gr_transformer_encoder(m, 2, 4, 2, o);
}

static gr_module *decoder_layer(gr_model *m)
{
    return gr_transformer_decoder_layer(m, 4, 2, tiny);
}

static gr_module *decoder_layer_norm_first(gr_model *m)
{
    gr_transformer_options o = tiny;
    o.norm_first = true;
    return gr_transformer_decoder_layer(m, 4, 2, o);
}

static gr_module *bilinear(gr_model *m)
{
    return gr_bilinear_layer(m, 3, 2, 4, (gr_linear_options){0});
}

static gr_module *conv1d(gr_model *m)
{
    const gr_conv1d_options o = {.stride = 2, .padding = 2, .dilation = 2, .groups = 2};
    return gr_conv1d_layer(m, 4, 6, 3, (gr_conv1d_layer_options){.conv = o});
}

static gr_module *conv1d_circular(gr_model *m)
{
    return gr_conv1d_layer(m, 2, 3, 3,
                           (gr_conv1d_layer_options){.conv.padding = 1,
                                                     .pad_mode = GR_PAD_CIRCULAR});
}

static gr_module *conv2d(gr_model *m)
{
    const gr_conv2d_options o = {.stride = {2, 1}, .padding = {1, 0}};
    return gr_conv2d_layer(m, 2, 3, 3, (gr_conv2d_layer_options){.conv = o, .kernel_width = 2});
}

static gr_module *conv2d_reflect(gr_model *m)
{
    return gr_conv2d_layer(m, 2, 3, 3,
                           (gr_conv2d_layer_options){.conv.padding = {2, 1},
                                                     .pad_mode = GR_PAD_REFLECT});
}

static gr_module *conv3d(gr_model *m)
{
    return gr_conv3d_layer(m, 2, 2, 2,
                           (gr_conv3d_layer_options){.conv.padding = {1, 1, 1},
                                                     .kernel_height = 3,
                                                     .kernel_width = 1});
}

static gr_module *conv_transpose1d(gr_model *m)
{
    const gr_conv_transpose1d_options o = {.stride = 2,
                                           .padding = 1,
                                           .output_padding = 1,
                                           .groups = 2};
    return gr_conv_transpose1d_layer(m, 4, 2, 3, (gr_conv_transpose1d_layer_options){.conv = o});
}

static gr_module *conv_transpose2d(gr_model *m)
{
    const gr_conv_transpose2d_options o = {.stride = {2, 2}, .padding = {1, 1}, .dilation = {2, 1}};
    return gr_conv_transpose2d_layer(m, 2, 3, 3,
                                     (gr_conv_transpose2d_layer_options){.conv = o,
                                                                         .kernel_width = 2});
}

static gr_module *layer_norm(gr_model *m)
{
    return gr_layer_norm_layer(m, GR_SHAPE(3, 4), (gr_norm_options){0});
}

static gr_module *group_norm(gr_model *m)
{
    return gr_group_norm_layer(m, 2, 4, (gr_norm_options){0});
}

static gr_module *instance_norm(gr_model *m)
{
    return gr_instance_norm_layer(m, 3, (gr_instance_norm_options){.affine = true});
}

static gr_module *prelu(gr_model *m)
{
    return gr_prelu_layer(m, 3);
}

static gr_module *embedding(gr_model *m)
{
    return gr_embedding_layer(m, 6, 3, (gr_embedding_options){.padding = true, .padding_index = 2});
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
    {"layer_norm", layer_norm, run_plain, false},
    {"group_norm", group_norm, run_plain, false},
    {"instance_norm", instance_norm, run_plain, false},
    {"prelu", prelu, run_plain, false},
    {"embedding", embedding, run_plain, false},
};

static void compare(const struct reference *r, gr_dtype dtype, double tolerance)
{
    trial t = {.name = r->name, .dtype = dtype, .tolerance = tolerance, .m = gr_model_new()};
    gr_model_dtype(t.m, dtype);
    gr_model_set_training(t.m, !r->evaluation);
    t.net = r->make(t.m);
    ck_assert_msg(!gr_model_error(t.m), "%s: %s", r->name, gr_model_error(t.m));
    load(&t);
    take_inputs(&t);
    r->run(&t);
    char key[8];
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

SUITE("reference", begin, end, float64_is_as_pytorch, float32_is_as_pytorch)
