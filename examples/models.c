/* models.c - layers of one's own; names, summary, parts that rest; copies, files, states, masks. */
/* SPDX-License-Identifier: MIT */
#include <gradus/gradus.h>
#include <stdio.h>

/* [layer] */
/* y = gate h + (1 - gate) x with h = tanh(w x + b): Srivastava et al., "Highway networks", 2015 */
typedef struct highway {
    gr_module *plain, *gate;
} highway;

static gr_tensor *highway_forward(gr_module *self, gr_tensor *x)
{
    const highway *l = gr_module_state(self);
    gr_tensor *h = gr_tanh(gr_forward(l->plain, x));
    gr_tensor *gate = gr_sigmoid(gr_forward(l->gate, x));
    return gr_lerp(x, h, gate);
}

static gr_module *highway_layer(gr_model *m, int64_t size)
{
    gr_module *self = gr_module_new(m, "highway", highway_forward, sizeof(highway));
    highway *l = gr_module_state(self);
    if (!l) return self; /* memory is out: the model says so */
    l->plain = gr_module_add(self, "plain", gr_linear_layer(m, size, size));
    l->gate = gr_module_add(self, "gate", gr_linear_layer(m, size, size));
    return self;
}
/* [end] */

/* [parameter] */
/* A layer with a parameter of its own: y = scale x, one number for each column. */
static gr_tensor *scaled(gr_module *self, gr_tensor *x)
{
    gr_param *const *scale = gr_module_state(self);
    if (gr_shape_of(x)->rank != 2) return gr_module_fail(self, x, "expected a matrix");
    return gr_mul(x, gr_use(gr_graph_of(x), *scale));
}

static gr_module *scale_layer(gr_model *m, int64_t columns)
{
    gr_module *self = gr_module_new(m, "scale", scaled, sizeof(gr_param *));
    gr_param **scale = gr_module_state(self);
    if (!scale) return self;
    *scale = gr_module_param(self, "scale", GR_SHAPE(columns), (gr_init){.kind = GR_INIT_ONES});
    return self;
}
/* [end] */

static gr_module *make(gr_model *m)
{
    /* [tree] */
    gr_module *encoder = gr_sequential(m, GR_LIST(gr_linear_layer(m, 8, 16), highway_layer(m, 16)));
    gr_module *net = gr_sequential(m, GR_LIST(gr_named("encoder", encoder), scale_layer(m, 16),
                                              gr_named("head", gr_linear_layer(m, 16, 3))));
    gr_param *w = gr_model_find(m, "encoder.1.gate.weight"); /* [16, 16] */
    gr_module_freeze(encoder, true);                         /* only the rest learns */
    gr_module_set_training(encoder, false);                  /* its dropout would rest */
    /* [end] */
    return w ? net : NULL;
}

static gr_status show(gr_module *net)
{
    /* [summary] */
    char text[2048];
    if (!gr_summary(net, GR_F32, GR_SHAPE(32, 8), text, sizeof text)) return GR_ERR_ARGUMENT;
    fputs(text, stdout);
    /* [end] */
    return GR_OK;
}

static gr_status copies(gr_model *m, gr_module *net, gr_graph *g)
{
    /* [copy] */
    gr_model *wide = gr_model_convert(m, GR_F64); /* or gr_model_copy(m) */
    gr_module *twin = gr_model_module(wide, gr_module_path(net));
    gr_tensor *y = gr_forward(twin, gr_ones(g, GR_F64, GR_SHAPE(32, 8)));
    gr_status status = gr_eval(&y, 1);
    gr_graph_reset(g);
    gr_model_free(wide);
    /* [end] */
    return status;
}

static gr_status files(gr_model *m, const char *path)
{
    /* [files] */
    gr_model *other = gr_model_new();
    gr_module *part = gr_sequential(other, GR_LIST(gr_linear_layer(other, 8, 16)));
    gr_sequential(other, GR_LIST(gr_named("encoder", part),
                                 gr_named("new", gr_linear_layer(other, 16, 5))));
    gr_load_report report;
    gr_status status = gr_save(m, path, NULL);
    if (!status && gr_load(other, path)) printf("refused: %s\n", gr_last_error());
    if (!status) status = gr_load_with(other, path, (gr_load_options){.partial = true}, &report);
    if (!status) printf("%d loaded; %s\n", report.loaded, report.text);
    gr_model_free(other);
    /* [end] */
    return status;
}

static gr_status pieces(gr_graph *g)
{
    gr_model *m = gr_model_new();
    /* [carry] */
    gr_module *lstm = gr_lstm_layer(m, 8, 16, (gr_recurrent_options){.carry = 4});
    gr_recurrent_reset(lstm); /* a sequence begins */
    for (int piece = 0; piece < 3; piece++, gr_graph_reset(g)) {
        gr_tensor *x = gr_randn(g, GR_F32, GR_SHAPE(10, 4, 8)); /* its next 10 steps, 4 rows */
        gr_tensor *loss = gr_mean_all(gr_square(gr_forward(lstm, x)));
        if (gr_backward(loss)) break; /* through these 10 steps; the state goes on */
    }
    /* [end] */
    gr_status status = gr_graph_status(g);
    gr_model_free(m);
    return status;
}

static gr_status masks(gr_graph *g)
{
    gr_model *m = gr_model_new();
    static const bool padded[2 * 5] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1};
    /* [mask] */
    gr_module *attn =
        gr_multihead_attention_layer(m, 16, 4,
                                     (gr_multihead_attention_options){.batch_first = true});
    gr_tensor *x = gr_randn(g, GR_F32, GR_SHAPE(2, 5, 16)), *weights;
    const gr_attention_mask mask = {.padding = gr_from_data(g, GR_BOOL, GR_SHAPE(2, 5), padded),
                                    .causal = true};
    gr_tensor *y = gr_attention_forward(attn, x, NULL, NULL, mask,
                                        &weights); /* [2,5,16], [2,5,5] */
    /* [end] */
    gr_status status = gr_eval((gr_tensor *[]){y, weights}, 2);
    gr_graph_reset(g);
    gr_model_free(m);
    return status;
}

int main(void)
{
    const char *path = "models-example.safetensors";
    gr_model *m = gr_model_new();
    gr_graph *g = gr_graph_new();
    gr_module *net = make(m);
    bool failed = !net || show(net) || copies(m, net, g) || files(m, path) || pieces(g) || masks(g);
    if (failed) fprintf(stderr, "models: %s\n", gr_last_error());
    remove(path);
    gr_graph_free(g);
    gr_model_free(m);
    return failed;
}
