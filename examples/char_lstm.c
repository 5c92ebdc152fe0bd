/* char_lstm.c - an LSTM learns a text letter by letter, its state carried from piece to piece.
 *
 *     char_lstm [STEPS [FILE]]
 */
/* SPDX-License-Identifier: MIT */
#include <gradus/gradus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 8, LENGTH = 20, HIDDEN = 64, LETTERS = 128, MOST = 1 << 20 };

static char text[MOST] =
    "the derivative of a sum is the sum of the derivatives. the derivative of a product is the "
    "first "
    "times the derivative of the second plus the second times the derivative of the first. the "
    "derivative of a chain is the product of the derivatives along the chain. ";

/* Letters [LENGTH, ROWS]: each row reads a part of the text of its own, from `at` on, round it. */
static gr_tensor *letters(gr_graph *g, int64_t at)
{
    int64_t x[LENGTH * ROWS], n = (int64_t)strlen(text);
    for (int64_t i = 0; i < LENGTH * ROWS; i++)
        x[i] = (unsigned char)text[(i % ROWS * (n / ROWS) + at + i / ROWS) % n] % LETTERS;
    return gr_from_data(g, GR_I64, GR_SHAPE(LENGTH, ROWS), x);
}

/* Every row writes; the first is shown. */
static void write_text(gr_graph *g, gr_module *net, int n)
{
    int64_t now[ROWS];
    for (int i = 0; i < ROWS; i++) now[i] = 't';
    gr_model_set_training(gr_module_model(net), false);
    gr_recurrent_reset(net);
    for (; n > 0; n--, gr_graph_reset(g)) {
        gr_tensor *y = gr_forward(net, gr_from_data(g, GR_I64, GR_SHAPE(1, ROWS), now));
        const int64_t *next = gr_data(gr_multinomial(gr_softmax(gr_scale(y, 2), -1), 1, true));
        if (!next || gr_commit(g)) return;
        memcpy(now, next, sizeof now);
        putchar((int)now[0]);
    }
    putchar('\n');
}

int main(int argc, char **argv)
{
    const long steps = argc > 1 ? strtol(argv[1], NULL, 10) : 100;
    FILE *file = argc > 2 ? fopen(argv[2], "r") : NULL;
    if (argc > 2 && !file) return perror(argv[2]), 1;
    if (file) text[fread(text, 1, MOST - 1, file)] = 0, fclose(file);
    if (strlen(text) < ROWS) return fprintf(stderr, "char_lstm: the text is too short\n"), 1;

    gr_model *m = gr_model_new();
    gr_module *net = gr_sequential(
        m,
        GR_LIST(gr_named("letters", gr_embedding_layer(m, LETTERS, 32, (gr_embedding_options){0})),
                gr_named("lstm",
                         gr_lstm_layer(m, 32, HIDDEN, (gr_recurrent_options){.carry = ROWS})),
                gr_named("next", gr_linear_layer(m, HIDDEN, LETTERS))));
    gr_optimizer *opt = gr_adam(m, (gr_adam_options){.lr = 0.01});
    gr_graph *g = gr_graph_new();
    double loss = 0;
    gr_optimizer_clip_norm(opt, 1);
    for (long step = 0; step <= steps; step++, gr_graph_reset(g)) {
        gr_tensor *y = gr_flatten(gr_transpose(gr_forward(net, letters(g, step * LENGTH)), 0, 2),
                                  1);
        gr_tensor *t = gr_flatten(gr_transpose(letters(g, step * LENGTH + 1), 0, 1), 0);
        gr_tensor *error = gr_cross_entropy(gr_transpose(y, 0, 1), t);
        if (gr_backward(error) || gr_step(opt)) break;
        loss = gr_item(error);
        if (step % 50 == 0) printf("step %4ld  loss %.3f\n", step, loss);
    }
    const char *failed = gr_graph_error(g) ? gr_graph_error(g) : gr_optimizer_error(opt);
    if (failed) fprintf(stderr, "char_lstm: %s\n", failed);
    else write_text(g, net, 120);
    gr_graph_free(g);
    gr_optimizer_free(opt);
    gr_model_free(m);
    return failed != NULL || loss > 1.5;
}
