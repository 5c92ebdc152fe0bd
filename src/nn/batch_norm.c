/* batch_norm.c - normalisation by the statistics of a batch, and by running ones in evaluation.
 *
 *   running = (1 - momentum) running + momentum statistic of the batch
 *
 * recorded with gr_assign, so that they are written once, by gr_backward or gr_commit.
 */
/* SPDX-License-Identifier: MIT */
#include "affine.h"
#include "model.h"

typedef struct batch_norm {
    gr__affine affine;
    gr_param *mean, *variance, *batches; /* NULL: not tracked */
    int64_t channels;
    int least, most; /* axes */
    double eps, momentum;
} batch_norm;

/* --- running statistics --- */

/* The buffer as it is at this place of the tape, in the dtype of x: float32 buffers serve a model
 * that is checked in float64. */
static gr_tensor *now(gr_param *p, gr_tensor *x)
{
    return gr_cast(gr_use(gr_graph_of(x), p), gr_dtype_of(x));
}

/* Writes y at the commit; what is recorded from here on sees it at once. */
static void become(gr_param *p, gr_tensor *y)
{
    gr_tensor *next = gr_cast(y, gr_param_dtype(p));
    gr_assign(p, next);
    gr_bind(gr_graph_of(y), p, next);
}

/* momentum, or 1 / number of batches for the mean of all. */
static gr_tensor *towards(gr_tensor *running, gr_tensor *statistic, double momentum,
                          gr_tensor *batches)
{
    if (momentum > 0) return gr_add(gr_scale(running, 1 - momentum), gr_scale(statistic, momentum));
    gr_tensor *n = gr_cast(batches, gr_dtype_of(statistic));
    return gr_add(running, gr_div(gr_sub(statistic, running), n));
}

/* y: outputs 1 and 2 are mean and variance of the batch. */
static void track(const batch_norm *b, gr_tensor *y)
{
    gr_graph *g = gr_graph_of(y);
    gr_no_grad_begin(g);
    gr_tensor *batches = gr_add(gr_use(g, b->batches), gr_ones(g, GR_I64, (gr_shape){0}));
    become(b->batches, batches);
    become(b->mean, towards(now(b->mean, y), gr_output(y, 1), b->momentum, batches));
    become(b->variance, towards(now(b->variance, y), gr_output(y, 2), b->momentum, batches));
    gr_no_grad_end(g);
}

/* --- the layer --- */

static gr_tensor *batch_norm_forward(gr_module *self, gr_tensor *x)
{
    static const char *const expected[] = {
        [3] = "[N, C] or [N, C, L]", [4] = "[N, C, H, W]", [5] = "[N, C, D, H, W]"};
    const batch_norm *b = gr_module_state(self);
    const gr_shape *s = gr_shape_of(x);
    bool fits = s->rank >= b->least && s->rank <= b->most && s->dim[1] == b->channels;
    gr__affine_tensors t;
    if (!gr__expect_shape(self, x, fits, "%s with C = %lld", expected[b->most],
                          (long long)b->channels) ||
        !gr__affine_use(&b->affine, self, x, &t))
        return gr_detach(x); /* inert */
    if (b->mean && !gr_module_training(self))
        return gr_batch_norm_inference(x, now(b->mean, x), now(b->variance, x), t.w, t.b, b->eps);
    gr_tensor *y = gr_batch_norm(x, t.w, t.b, b->eps);
    if (b->mean && !gr_graph_status(gr_graph_of(x))) track(b, y);
    return y;
}

static gr_module *batch_norm_layer(gr_model *m, const char *type, int least, int most,
                                   int64_t channels, gr_batch_norm_options o)
{
    gr_module *self = gr_module_new(m, type, batch_norm_forward, sizeof(batch_norm));
    batch_norm *b = gr_module_state(self);
    if (!b) return self;
    if (channels < 1 || !(o.eps >= 0) || !(o.momentum <= 1)) {
        gr_model_fail(m,
                      "%s: expected 1 channel or more, eps >= 0, momentum <= 1; got %lld, %g, %g",
                      type, (long long)channels, o.eps, o.momentum);
        return self;
    }
    const gr_shape shape = GR_SHAPE(channels);
    const gr_init zeros = {.kind = GR_INIT_ZEROS}, ones = {.kind = GR_INIT_ONES};
    *b = (batch_norm){.channels = channels, .least = least, .most = most, .eps = o.eps};
    b->momentum = o.momentum == 0 ? 0.1 : o.momentum;
    if (!o.no_affine) gr__affine_scale(&b->affine, self, shape);
    if (o.no_track) return self;
    b->mean = gr_module_buffer(self, "running_mean", shape, zeros);
    b->variance = gr_module_buffer(self, "running_var", shape, ones);
    b->batches = gr__module_buffer(self, GR__BUFFER, "num_batches_tracked", GR_I64, (gr_shape){0},
                                   zeros);
    return self;
}

/* Batch norm of [N, channels] or [N, channels, L]; see gr_batch_norm2d_layer. */
gr_module *gr_batch_norm1d_layer(gr_model *m, int64_t channels, gr_batch_norm_options o)
{
    return batch_norm_layer(m, "batch_norm1d", 2, 3, channels, o);
}

/* Each channel of [N, channels, H, W] gets mean 0 and variance 1 over the batch, then a weight and
 * a bias [channels], ones and zeros at first.
 *
 * Buffers, saved with the parameters: running_mean, running_var (of variances that divide by n - 1)
 * and num_batches_tracked. While training they move towards the statistics of each batch, by
 * o.momentum of the way; they are written by gr_backward, or by gr_commit where there is none. In
 * evaluation they take the place of the batch's, unless o.no_track left them out. */
gr_module *gr_batch_norm2d_layer(gr_model *m, int64_t channels, gr_batch_norm_options o)
{
    return batch_norm_layer(m, "batch_norm2d", 4, 4, channels, o);
}

/* Batch norm of [N, channels, D, H, W]; see gr_batch_norm2d_layer. */
gr_module *gr_batch_norm3d_layer(gr_model *m, int64_t channels, gr_batch_norm_options o)
{
    return batch_norm_layer(m, "batch_norm3d", 5, 5, channels, o);
}
