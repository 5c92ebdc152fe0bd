/* norm.c - normalisation within each sample: layer, RMS, group, instance, local response. */
/* SPDX-License-Identifier: MIT */
#include "affine.h"

typedef struct norm norm;
struct norm {
    gr__affine affine;
    gr_tensor *(*apply)(gr_tensor *x, gr__affine_tensors t, const norm *n);
    double eps;
    gr_shape shape;   /* of the trailing axes; rank 0: channels are normalised instead */
    int64_t channels; /* 0: any number of them */
    int groups;
};

static bool ends_in(const gr_shape *x, const gr_shape *tail)
{
    for (int i = 1; i <= tail->rank; i++)
        if (x->rank < i || x->dim[x->rank - i] != tail->dim[tail->rank - i]) return false;
    return true;
}

static gr_tensor *norm_forward(gr_module *self, gr_tensor *x)
{
    const norm *n = gr_module_state(self);
    const gr_shape *s = gr_shape_of(x);
    char tail[GR_SHAPE_TEXT];
    gr__affine_tensors t;
    bool fits = n->shape.rank ? gr__expect_shape(self, x, ends_in(s, &n->shape), "[..., %s",
                                                 gr_shape_text(&n->shape, tail) + 1)
                              : gr__expect_shape(self, x, s->rank >= 2 && s->dim[1] == n->channels,
                                                 "[N, %lld, ...]", (long long)n->channels);
    if (!fits || !gr__affine_use(&n->affine, self, x, &t)) return gr_detach(x); /* inert */
    return n->apply(x, t, n);
}

static gr_module *norm_layer(gr_model *m, const char *type, norm n, bool usable)
{
    gr_module *self = gr_module_new(m, type, norm_forward, sizeof(norm));
    norm *state = gr_module_state(self);
    if (!state) return self;
    *state = n;
    if (!usable) gr_model_fail(m, "%s: its sizes cannot be used", type);
    if (!(n.eps >= 0)) gr_model_fail(m, "%s: expected eps of 0 or more, got %g", type, n.eps);
    return self;
}

static bool is_tail(const gr_shape *shape)
{
    bool fits = shape->rank >= 1 && shape->rank < GR_MAX_RANK;
    for (int i = 0; i < shape->rank && fits; i++) fits = shape->dim[i] >= 1;
    return fits;
}

/* --- over the trailing axes --- */

static gr_tensor *layer_norm(gr_tensor *x, gr__affine_tensors t, const norm *n)
{
    return gr_layer_norm(x, n->shape, t.w, t.b, n->eps);
}

/* Mean 0 and variance 1 over the trailing axes `shape` of each sample, then weight and bias of that
 * shape, ones and zeros at first; see gr_layer_norm. */
gr_module *gr_layer_norm_layer(gr_model *m, gr_shape shape, gr_norm_options o)
{
    const bool usable = is_tail(&shape);
    gr_module *self = norm_layer(m, "layer_norm",
                                 (norm){.apply = layer_norm, .eps = o.eps, .shape = shape}, usable);
    norm *n = gr_module_state(self);
    if (n && usable && !o.no_affine) gr__affine_scale(&n->affine, self, shape);
    return self;
}

static gr_tensor *rms_norm(gr_tensor *x, gr__affine_tensors t, const norm *n)
{
    return gr_rms_norm(x, n->shape, t.w, n->eps);
}

/* Mean square 1 over the trailing axes `shape`, then a weight of that shape, ones at first; see
 * gr_rms_norm. */
gr_module *gr_rms_norm_layer(gr_model *m, gr_shape shape, gr_norm_options o)
{
    const bool usable = is_tail(&shape);
    gr_module *self = norm_layer(m, "rms_norm",
                                 (norm){.apply = rms_norm, .eps = o.eps, .shape = shape}, usable);
    norm *n = gr_module_state(self);
    if (n && usable && !o.no_affine)
        n->affine.weight = gr_module_param(self, "weight", shape, (gr_init){.kind = GR_INIT_ONES});
    return self;
}

/* --- over channels --- */

static gr_tensor *group_norm(gr_tensor *x, gr__affine_tensors t, const norm *n)
{
    return gr_group_norm(x, n->groups, t.w, t.b, n->eps);
}

/* Mean 0 and variance 1 over each of `groups` groups of channels of [N, channels, ...], then weight
 * and bias [channels]; see gr_group_norm. */
gr_module *gr_group_norm_layer(gr_model *m, int groups, int64_t channels, gr_norm_options o)
{
    const bool usable = groups >= 1 && channels >= 1 && channels % groups == 0;
    gr_module *self = norm_layer(
        m, "group_norm",
        (norm){.apply = group_norm, .eps = o.eps, .channels = channels, .groups = groups}, usable);
    norm *n = gr_module_state(self);
    if (n && usable && !o.no_affine) gr__affine_scale(&n->affine, self, GR_SHAPE(channels));
    return self;
}

static gr_tensor *instance_norm(gr_tensor *x, gr__affine_tensors t, const norm *n)
{
    return gr_instance_norm(x, t.w, t.b, n->eps);
}

/* Mean 0 and variance 1 of each channel of each sample of [N, channels, ...], then, if asked for,
 * weight and bias [channels]; see gr_instance_norm. */
gr_module *gr_instance_norm_layer(gr_model *m, int64_t channels, gr_instance_norm_options o)
{
    const bool usable = channels >= 1;
    gr_module *self = norm_layer(m, "instance_norm",
                                 (norm){.apply = instance_norm, .eps = o.eps, .channels = channels},
                                 usable);
    norm *n = gr_module_state(self);
    if (n && usable && o.affine) gr__affine_scale(&n->affine, self, GR_SHAPE(channels));
    return self;
}

/* --- local response --- */

static gr_tensor *response_forward(gr_module *self, gr_tensor *x)
{
    const gr_local_response_norm_options *o = gr_module_state(self);
    return gr_local_response_norm(x, *o);
}

/* Each element over a power of the mean square of its neighbours in o.size channels; see
 * gr_local_response_norm. */
gr_module *gr_local_response_norm_layer(gr_model *m, gr_local_response_norm_options o)
{
    gr_module *self = gr_module_new(m, "local_response_norm", response_forward, sizeof o);
    gr_local_response_norm_options *state = gr_module_state(self);
    if (state) *state = o;
    if (o.size < 1)
        gr_model_fail(m, "local_response_norm: expected a size of 1 or more, got %d", o.size);
    return self;
}
