/* transformer_lm.c - a causal transformer continues a text: transformer_lm [STEPS [FILE]] */
/* SPDX-License-Identifier: MIT */
#include <gradus/gradus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 8, LENGTH = 24, SIZE = 32, HEADS = 4, LAYERS = 2, LETTERS = 128, MOST = 1 << 20 };

static char text[MOST] =
    "gradients are more graph. a rule records ops, the ops have rules, and so the second "
    "derivative "
    "is the derivative of the first. what is recorded is computed when somebody looks, and what "
    "nobody looks at is never computed. ";

static gr_tensor *letters(gr_graph *g, gr_shape shape, const char *from, int64_t stride)
{
    int64_t x[ROWS * LENGTH];
    for (int64_t i = 0; i < gr_shape_numel(&shape); i++)
        x[i] = (unsigned char)from[i / LENGTH * stride + i % LENGTH] % LETTERS;
    return gr_from_data(g, GR_I64, shape, x);
}

/* The weight that reads letters also writes them. */
static gr_module *make_net(gr_model *m)
{
    const gr_init small = {.kind = GR_INIT_NORMAL, .a = 0.02};
    const gr_transformer_options o = {.hidden = 4 * SIZE,
                                      .dropout = -1,
                                      .gelu = true,
                                      .norm_first = true,
                                      .batch_first = true,
                                      .causal = true,
                                      .final_norm = true};
    const gr_position_options p = {.batch_first = true, .learned = true, .weight = small};
    gr_module *words = gr_embedding_layer(m, LETTERS, SIZE,
                                          (gr_embedding_options){.weight = small});
    const gr_linear_options tied = {.no_bias = true, .shared = gr_model_param(m, 0)};
    return gr_sequential(m, GR_LIST(words, gr_position_layer(m, LENGTH, SIZE, p),
                                    gr_transformer_encoder(m, LAYERS, SIZE, HEADS, o),
                                    gr_linear_layer_with(m, SIZE, LETTERS, tied)));
}

/* Windows at random places of the text, each to be continued at every place by one letter. */
static double train_step(gr_graph *g, gr_module *net, gr_optimizer *opt)
{
    const int64_t n = (int64_t)strlen(text) - LENGTH - 1;
    const int64_t at = (int64_t)gr_item(gr_randint(g, 0, n / ROWS, GR_SCALAR));
    gr_tensor *x = letters(g, GR_SHAPE(ROWS, LENGTH), text + at, n / ROWS);
    gr_tensor *t = letters(g, GR_SHAPE(ROWS, LENGTH), text + at + 1, n / ROWS);
    gr_tensor *loss = gr_cross_entropy(gr_transpose(gr_forward(net, x), 1, 2), t);
    return gr_backward(loss) || gr_step(opt) ? -1 : gr_item(loss);
}

/* Continues the first letters of the text by the likeliest ones. */
static void continue_text(gr_graph *g, gr_module *net)
{
    char window[LENGTH + 1];
    memcpy(window, text, LENGTH);
    printf("%.*s|", LENGTH, window);
    for (int i = 0; i < 60; i++, gr_graph_reset(g)) {
        gr_no_grad_begin(g);
        gr_tensor *y = gr_forward(net, letters(g, GR_SHAPE(1, LENGTH), window, 0));
        window[LENGTH] = (char)gr_item(gr_argmax(gr_narrow(y, 1, LENGTH - 1, 1), -1));
        if (gr_graph_error(g)) return;
        putchar(window[LENGTH]);
        memmove(window, window + 1, LENGTH);
    }
    putchar('\n');
}

int main(int argc, char **argv)
{
    const long steps = argc > 1 ? strtol(argv[1], NULL, 10) : 200;
    FILE *file = argc > 2 ? fopen(argv[2], "r") : NULL;
    if (argc > 2 && !file) return perror(argv[2]), 1;
    if (file) text[fread(text, 1, MOST - 1, file)] = 0, fclose(file);
    if (strlen(text) <= 3 * LENGTH) return fprintf(stderr, "the text is too short\n"), 1;
    gr_model *m = gr_model_new();
    gr_module *net = make_net(m);
    gr_optimizer *opt = gr_adamw(m, (gr_adam_options){.lr = 3e-3});
    gr_graph *g = gr_graph_new();
    printf("%lld parameters\n", (long long)gr_model_numel(m));
    double loss = 0;
    for (long step = 0; step <= steps && loss >= 0; step++, gr_graph_reset(g)) {
        loss = train_step(g, net, opt);
        if (step % 50 == 0) printf("step %4ld  loss %.3f\n", step, loss);
        if (loss < 0) break;
    }
    if (loss >= 0) continue_text(g, net);
    if (gr_graph_error(g)) fprintf(stderr, "transformer_lm: %s\n", gr_graph_error(g));
    gr_graph_free(g);
    gr_optimizer_free(opt);
    gr_model_free(m);
    return !(loss >= 0 && loss < 1);
}
