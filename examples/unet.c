/* unet.c - a U-Net (Ronneberger et al. 2015) finds discs in noisy pictures.
 *
 *     unet [STEPS]
 */
/* SPDX-License-Identifier: MIT */
#include <gradus/gradus.h>
#include <stdio.h>
#include <stdlib.h>

enum { SIZE = 24, BATCH = 8, WIDTH = 8, DEPTH = 2 };

/* --- the network --- */

static gr_module *conv(gr_model *m, int in, int out)
{
    return gr_conv2d_layer(m, in, out, 3, (gr_conv2d_layer_options){.conv.padding = {1, 1}});
}

static gr_module *two_convs(gr_model *m, int in, int out)
{
    return gr_sequential(m, GR_LIST(conv(m, in, out), gr_relu_layer(m), conv(m, out, out),
                                    gr_relu_layer(m)));
}

/* [level] */
/* A level goes over the picture, joins what the levels below found in half of its size, and goes
 * over both. */
static gr_module *level(gr_model *m, int in, int width, int depth)
{
    if (depth == 0) return two_convs(m, in, width);
    const gr_conv_transpose2d_layer_options twice = {.conv.stride = {2, 2}};
    gr_module *below = gr_sequential(
        m, GR_LIST(gr_max_pool2d_layer(m, (gr_pool2d_options){.kernel = {2, 2}}),
                   gr_named("inner", level(m, width, 2 * width, depth - 1)),
                   gr_named("up", gr_conv_transpose2d_layer(m, 2 * width, width, 2, twice))));
    gr_module *both = gr_parallel(m, 1, GR_LIST(gr_identity_layer(m), gr_named("below", below)));
    return gr_sequential(m, GR_LIST(gr_named("encoder", two_convs(m, in, width)),
                                    gr_named("skip", both),
                                    gr_named("decoder", two_convs(m, 2 * width, width))));
}
/* [end] */

/* --- pictures --- */

/* y: 1 in a disc at a random place, of radius 4 to 9, else 0; x: the same with much noise. */
static void draw(gr_graph *g, gr_tensor **x, gr_tensor **y)
{
    const gr_shape one = GR_SHAPE(BATCH, 1, 1, 1), all = GR_SHAPE(BATCH, 1, SIZE, SIZE);
    gr_tensor *place = gr_arange(g, GR_F32, 0, SIZE, 1), *r = gr_rand(g, GR_F32, one);
    gr_tensor *row = gr_scale(gr_rand(g, GR_F32, one), SIZE);
    gr_tensor *column = gr_scale(gr_rand(g, GR_F32, one), SIZE);
    gr_tensor *dy = gr_sub(gr_reshape(place, GR_SHAPE(SIZE, 1)), row), *dx = gr_sub(place, column);
    gr_tensor *distance = gr_hypot(dy, dx), *radius = gr_shift(gr_scale(r, 5), 4);
    *y = gr_cast(gr_less(distance, radius), GR_F32);
    *x = gr_add(*y, gr_scale(gr_randn(g, GR_F32, all), 0.5));
}

/* What both call disc, over what either does (and one pixel, lest it be none). */
static gr_tensor *overlap(gr_tensor *z, gr_tensor *y)
{
    gr_tensor *said = gr_greater(z, gr_zeros_like(z)), *is = gr_cast(y, GR_BOOL);
    gr_tensor *both = gr_cast(gr_sum_all(gr_logical_and(said, is)), GR_F32);
    gr_tensor *either = gr_cast(gr_sum_all(gr_logical_or(said, is)), GR_F32);
    return gr_div(both, gr_shift(either, 1));
}

int main(int argc, char **argv)
{
    const int steps = argc > 1 ? atoi(argv[1]) : 75;
    gr_model *m = gr_model_new();
    gr_module *net = gr_sequential(
        m, GR_LIST(gr_named("unet", level(m, 1, WIDTH, DEPTH)),
                   gr_named("out", gr_conv2d_layer(m, WIDTH, 1, 1, (gr_conv2d_layer_options){0}))));
    gr_optimizer *opt = gr_adam(m, (gr_adam_options){.lr = 5e-3});
    gr_graph *g = gr_graph_new();
    double iou = 0;
    for (int step = 0; step <= steps; step++, gr_graph_reset(g)) {
        gr_tensor *x, *y;
        draw(g, &x, &y);
        gr_tensor *z = gr_forward(net, x), *loss = gr_bce_with_logits(z, y);
        gr_tensor *found = overlap(z, y);
        if (gr_backward(loss) || gr_step(opt)) break;
        iou = gr_item(found);
        if (step % 25 == 0) printf("step %3d  loss %.4f  overlap %.3f\n", step, gr_item(loss), iou);
    }
    const char *error = gr_graph_error(g) ? gr_graph_error(g) : gr_optimizer_error(opt);
    if (error) fprintf(stderr, "unet: %s\n", error);
    gr_graph_free(g);
    gr_optimizer_free(opt);
    gr_model_free(m);
    return error != NULL || !(iou > 0.6);
}
