/* pooling.c - layers that make [N, C, ...] smaller or larger, channel by channel. */
/* SPDX-License-Identifier: MIT */
#include "affine.h"

/* --- over windows --- */

typedef struct window window;
struct window {
    int axes; /* besides batch and channels */
    gr_tensor *(*apply)(gr_tensor *x, const window *p);
    union {
        gr_pool1d_options pool1d;
        gr_pool2d_options pool2d;
        gr_pool3d_options pool3d;
        gr_upsample_options upsample;
        int64_t size[2];
    } o;
};

static const char *const axis_names[] = {"...", "L", "H, W", "D, H, W"};

static gr_tensor *window_forward(gr_module *self, gr_tensor *x)
{
    const window *p = gr_module_state(self);
    const int rank = gr_shape_of(x)->rank;
    bool fits = p->axes ? rank == p->axes + 2 : rank > 2;
    if (!gr__expect_shape(self, x, fits, "[N, C, %s]", axis_names[p->axes]))
        return gr_detach(x); /* inert */
    return p->apply(x, p);
}

static gr_module *window_layer(gr_model *m, const char *type, window p)
{
    gr_module *self = gr_module_new(m, type, window_forward, sizeof(window));
    window *state = gr_module_state(self);
    if (state) *state = p;
    return self;
}

static gr_module *pool_layer(gr_model *m, const char *type, window p, const int *kernel)
{
    gr_module *self = window_layer(m, type, p);
    gr_shape least = {.rank = p.axes}, got = {.rank = p.axes};
    char a[GR_SHAPE_TEXT], b[GR_SHAPE_TEXT];
    bool fits = true;
    for (int i = 0; i < p.axes; i++) {
        least.dim[i] = 1;
        got.dim[i] = kernel[i];
        fits = fits && kernel[i] >= 1;
    }
    if (!fits)
        gr_model_fail(m, "%s: expected a kernel of at least %s, got %s", type,
                      gr_shape_text(&least, a), gr_shape_text(&got, b));
    return self;
}

static gr_tensor *max1d(gr_tensor *x, const window *p)
{
    return gr_max_pool1d(x, p->o.pool1d);
}

static gr_tensor *max2d(gr_tensor *x, const window *p)
{
    return gr_max_pool2d(x, p->o.pool2d);
}

static gr_tensor *max3d(gr_tensor *x, const window *p)
{
    return gr_max_pool3d(x, p->o.pool3d);
}

static gr_tensor *avg1d(gr_tensor *x, const window *p)
{
    return gr_avg_pool1d(x, p->o.pool1d);
}

static gr_tensor *avg2d(gr_tensor *x, const window *p)
{
    return gr_avg_pool2d(x, p->o.pool2d);
}

static gr_tensor *avg3d(gr_tensor *x, const window *p)
{
    return gr_avg_pool3d(x, p->o.pool3d);
}

/* Maximum over windows: [N, C, L] -> [N, C, OL]; see gr_max_pool1d. */
gr_module *gr_max_pool1d_layer(gr_model *m, gr_pool1d_options o)
{
    return pool_layer(m, "max_pool1d", (window){1, max1d, {.pool1d = o}}, &o.kernel);
}

/* Maximum over windows: [N, C, H, W] -> [N, C, OH, OW]; see gr_max_pool2d. */
gr_module *gr_max_pool2d_layer(gr_model *m, gr_pool2d_options o)
{
    return pool_layer(m, "max_pool2d", (window){2, max2d, {.pool2d = o}}, o.kernel);
}

/* Maximum over windows: [N, C, D, H, W] -> [N, C, OD, OH, OW]; see gr_max_pool3d. */
gr_module *gr_max_pool3d_layer(gr_model *m, gr_pool3d_options o)
{
    return pool_layer(m, "max_pool3d", (window){3, max3d, {.pool3d = o}}, o.kernel);
}

/* Mean over windows: [N, C, L] -> [N, C, OL]; see gr_avg_pool1d. */
gr_module *gr_avg_pool1d_layer(gr_model *m, gr_pool1d_options o)
{
    return pool_layer(m, "avg_pool1d", (window){1, avg1d, {.pool1d = o}}, &o.kernel);
}

/* Mean over windows: [N, C, H, W] -> [N, C, OH, OW]; see gr_avg_pool2d. */
gr_module *gr_avg_pool2d_layer(gr_model *m, gr_pool2d_options o)
{
    return pool_layer(m, "avg_pool2d", (window){2, avg2d, {.pool2d = o}}, o.kernel);
}

/* Mean over windows: [N, C, D, H, W] -> [N, C, OD, OH, OW]; see gr_avg_pool3d. */
gr_module *gr_avg_pool3d_layer(gr_model *m, gr_pool3d_options o)
{
    return pool_layer(m, "avg_pool3d", (window){3, avg3d, {.pool3d = o}}, o.kernel);
}

/* --- to a given size --- */

static gr_module *adaptive_layer(gr_model *m, const char *type, window p)
{
    gr_module *self = window_layer(m, type, p);
    for (int i = 0; i < p.axes; i++)
        if (p.o.size[i] < 1)
            gr_model_fail(m, "%s: expected sizes of at least 1, got %lld", type,
                          (long long)p.o.size[i]);
    return self;
}

static gr_tensor *adaptive_max1d(gr_tensor *x, const window *p)
{
    return gr_adaptive_max_pool1d(x, p->o.size[0]);
}

static gr_tensor *adaptive_max2d(gr_tensor *x, const window *p)
{
    return gr_adaptive_max_pool2d(x, p->o.size[0], p->o.size[1]);
}

static gr_tensor *adaptive_avg1d(gr_tensor *x, const window *p)
{
    return gr_adaptive_avg_pool1d(x, p->o.size[0]);
}

static gr_tensor *adaptive_avg2d(gr_tensor *x, const window *p)
{
    return gr_adaptive_avg_pool2d(x, p->o.size[0], p->o.size[1]);
}

/* Maximum over as many windows as give this length: [N, C, L] -> [N, C, length]. */
gr_module *gr_adaptive_max_pool1d_layer(gr_model *m, int64_t length)
{
    return adaptive_layer(m, "adaptive_max_pool1d",
                          (window){1, adaptive_max1d, {.size = {length}}});
}

/* Maximum over as many windows as give this size: [N, C, H, W] -> [N, C, height, width]. */
gr_module *gr_adaptive_max_pool2d_layer(gr_model *m, int64_t height, int64_t width)
{
    return adaptive_layer(m, "adaptive_max_pool2d",
                          (window){2, adaptive_max2d, {.size = {height, width}}});
}

/* Mean over as many windows as give this length: [N, C, L] -> [N, C, length]. */
gr_module *gr_adaptive_avg_pool1d_layer(gr_model *m, int64_t length)
{
    return adaptive_layer(m, "adaptive_avg_pool1d",
                          (window){1, adaptive_avg1d, {.size = {length}}});
}

/* Mean over as many windows as give this size: [N, C, H, W] -> [N, C, height, width]. */
gr_module *gr_adaptive_avg_pool2d_layer(gr_model *m, int64_t height, int64_t width)
{
    return adaptive_layer(m, "adaptive_avg_pool2d",
                          (window){2, adaptive_avg2d, {.size = {height, width}}});
}

static gr_tensor *global_avg(gr_tensor *x, const window *p)
{
    (void)p;
    return gr_global_avg_pool(x);
}

static gr_tensor *global_max(gr_tensor *x, const window *p)
{
    (void)p;
    return gr_global_max_pool(x);
}

/* The mean of each channel: [N, C, ...] -> [N, C, 1, ...]. */
gr_module *gr_global_avg_pool_layer(gr_model *m)
{
    return window_layer(m, "global_avg_pool", (window){.apply = global_avg});
}

/* The maximum of each channel: [N, C, ...] -> [N, C, 1, ...]. */
gr_module *gr_global_max_pool_layer(gr_model *m)
{
    return window_layer(m, "global_max_pool", (window){.apply = global_max});
}

/* --- larger --- */

static gr_tensor *nearest(gr_tensor *x, const window *p)
{
    return gr_upsample_nearest(x, p->o.upsample);
}

static gr_tensor *linear(gr_tensor *x, const window *p)
{
    return gr_upsample_linear(x, p->o.upsample);
}

/* Repeats elements: see gr_upsample_nearest. */
gr_module *gr_upsample_nearest_layer(gr_model *m, gr_upsample_options o)
{
    return window_layer(m, "upsample_nearest", (window){.apply = nearest, .o = {.upsample = o}});
}

/* Interpolates linearly along each axis: see gr_upsample_linear. */
gr_module *gr_upsample_linear_layer(gr_model *m, gr_upsample_options o)
{
    return window_layer(m, "upsample_linear", (window){.apply = linear, .o = {.upsample = o}});
}
