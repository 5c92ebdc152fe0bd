/* sections.h - deep networks, cut into sections that backward records again. */
/* SPDX-License-Identifier: MIT */
#ifndef SECTIONS_H
#define SECTIONS_H

#include <check.h>
#include <gradus/gradus.h>
#include <math.h>
#include <string.h>

enum { BATCH = 64, WIDTH = 48, MOST_LAYERS = 50, SIZE = WIDTH * WIDTH };

static gr_graph *g;
static gr_param *w[MOST_LAYERS], *scale[MOST_LAYERS];
static float input[BATCH * WIDTH];

/* A graph that waits with large values, whatever GRADUS_EAGER says: sections are about those. */
static inline void renew_graph(void)
{
    gr_graph_free(g);
    g = gr_graph_new();
    gr_graph_set_eager(g, false);
}

static inline void setup(void)
{
    static float start[SIZE];
    g = NULL;
    renew_graph();
    for (int i = 0; i < BATCH * WIDTH; i++) input[i] = sinf(0.37f * (float)i);
    for (int l = 0; l < MOST_LAYERS; l++) {
        for (int i = 0; i < SIZE; i++) {
            const float t = 43758.5453f * sinf(12.9898f * (float)(i + 1) + (float)l);
            start[i] = 0.5f * (t - floorf(t) - 0.5f);
        }
        w[l] = gr_param_new("w", GR_F32, GR_SHAPE(WIDTH, WIDTH), start);
        for (int i = 0; i < WIDTH; i++) start[i] = 1;
        scale[l] = gr_param_new("scale", GR_F32, GR_SHAPE(WIDTH), start);
    }
}

static inline void teardown(void)
{
    gr_graph_free(g);
    for (int l = 0; l < MOST_LAYERS; l++) {
        gr_param_release(w[l]);
        gr_param_release(scale[l]);
    }
}

static inline void assert_error(const char *part)
{
    const char *error = gr_graph_error(g);
    ck_assert_msg(error && strstr(error, part), "expected '%s', got '%s'", part,
                  error ? error : "none");
}

/* --- networks --- */

typedef gr_tensor *layer_fn(gr_tensor *x, int l);

static inline gr_tensor *normed(gr_tensor *x, int l)
{
    gr_tensor *h = gr_linear(x, gr_use(g, w[l]), NULL);
    return gr_add(x, gr_gelu(gr_layer_norm(h, GR_SHAPE(WIDTH), gr_use(g, scale[l]), NULL, 1e-5)));
}

static inline gr_tensor *plain(gr_tensor *x, int l)
{
    return gr_tanh(gr_linear(x, gr_use(g, w[l]), NULL));
}

static inline gr_tensor *dropped(gr_tensor *x, int l)
{
    return gr_dropout(plain(x, l), 0.3);
}

/* Views, integers, a node of two outputs, a sum of two uses. */
static inline gr_tensor *mixed(gr_tensor *x, int l)
{
    gr_tensor *h = gr_transpose(gr_linear(x, gr_use(g, w[l]), NULL), 0, 1);
    gr_tensor *order = gr_output(gr_sort(x, 1, false), 1);
    gr_tensor *sorted = gr_gather(gr_transpose(h, 0, 1), 1, order);
    gr_tensor *spread = gr_var(sorted, GR_AXES(1), true, 0);
    gr_tensor *middle = gr_sub(sorted, gr_output(spread, 1));
    return gr_tanh(gr_add(gr_div(middle, gr_sqrt(gr_shift(spread, 0.1))), x));
}

/* Layers in sections of cut[0], these in sections of cut[1], and so on until a 0. */
static inline gr_tensor *stack(layer_fn *layer, gr_tensor *x, int from, int to, const int *cut)
{
    for (int l = from, step = *cut ? *cut : 1; l < to; l += step) {
        if (*cut) gr_checkpoint_begin(g);
        x = *cut ? stack(layer, x, l, l + step < to ? l + step : to, cut + 1) : layer(x, l);
        if (*cut) gr_checkpoint_end(g);
    }
    return x;
}

#define CUT(...) ((const int[]){__VA_ARGS__, 0})
#define UNCUT CUT(0)

static inline gr_tensor *source(void)
{
    return gr_from_data(g, GR_F32, GR_SHAPE(BATCH, WIDTH), input);
}

static inline void clear_gradients(void)
{
    for (int l = 0; l < MOST_LAYERS; l++) {
        gr_param_clear_grad(w[l]);
        gr_param_clear_grad(scale[l]);
    }
}

/* Gradients of all weights after one step, bit by bit; returns the peak of memory. */
static inline size_t step(layer_fn *layer, int layers, const int *cut, float *grads)
{
    renew_graph();
    gr_graph_seed(g, 7);
    gr_tensor *loss = gr_mean_all(gr_square(stack(layer, source(), 0, layers, cut)));
    gr_status status = gr_backward(loss);
    ck_assert_msg(status == GR_OK, "%s", gr_graph_error(g));
    for (int l = 0; l < layers; l++)
        memcpy(grads + l * SIZE, gr_param_grad(w[l]), SIZE * sizeof *grads);
    clear_gradients();
    ck_assert_msg(isfinite(gr_item(loss)) && grads[0] != 0, "nothing to compare");
    return gr_graph_memory(g).peak;
}

static inline void assert_same(const float *want, const float *got, int n, const char *what)
{
    for (int i = 0; i < n; i++)
        ck_assert_msg(memcmp(&want[i], &got[i], sizeof *want) == 0,
                      "%s: element %d is %.9g, without sections %.9g", what, i, (double)got[i],
                      (double)want[i]);
}

static float whole[MOST_LAYERS * SIZE], cut_up[MOST_LAYERS * SIZE];

#endif
