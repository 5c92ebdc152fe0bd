/* dropout.c - layers that drop values at random while training.
 *
 *   inverted  y = mask x / (1 - p) while training, x in evaluation
 *   classic   y = mask x           while training, (1 - p) x in evaluation
 *
 * Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014.
 */
/* SPDX-License-Identifier: MIT */
#include <gradus/nn.h>

typedef gr_tensor *drop_fn(gr_tensor *x, double p);

typedef struct dropout {
    drop_fn *training, *evaluation;
    double p;
} dropout;

static gr_tensor *dropout_forward(gr_module *self, gr_tensor *x)
{
    const dropout *d = gr_module_state(self);
    if (d->p == 0) return x;
    return (gr_module_training(self) ? d->training : d->evaluation)(x, d->p);
}

static gr_tensor *same(gr_tensor *x, double p)
{
    (void)p;
    return x;
}

static gr_module *dropout_layer(gr_model *m, const char *type, drop_fn *training,
                                drop_fn *evaluation, double p)
{
    gr_module *self = gr_module_new(m, type, dropout_forward, sizeof(dropout));
    dropout *d = gr_module_state(self);
    if (d) *d = (dropout){training, evaluation, p};
    if (!(p >= 0 && p < 1))
        gr_model_fail(m, "%s: expected a probability p with 0 <= p < 1, got %g", type, p);
    return self;
}

/* While training, zeroes each element with probability p (0 <= p < 1) and scales the others by
 * 1 / (1 - p); else the identity. */
gr_module *gr_dropout_layer(gr_model *m, double p)
{
    return dropout_layer(m, "dropout", gr_dropout, same, p);
}

static gr_tensor *drop(gr_tensor *x, double p)
{
    return gr_scale(gr_dropout(x, p), 1 - p);
}

static gr_tensor *weaken(gr_tensor *x, double p)
{
    return gr_scale(x, 1 - p);
}

/* Dropout as it was first described: while training, each element is kept as it is or zeroed, with
 * probability p; in evaluation all are scaled by 1 - p, the chance of being kept. */
gr_module *gr_classic_dropout_layer(gr_model *m, double p)
{
    return dropout_layer(m, "classic_dropout", drop, weaken, p);
}

/* Dropout of whole channels of [N, C, ...]. Tompson et al., 2015. */
gr_module *gr_channel_dropout_layer(gr_model *m, double p)
{
    return dropout_layer(m, "channel_dropout", gr_dropout_channels, same, p);
}

/* Dropout that keeps mean 0 and variance 1 of what selu gives. Klambauer et al., 2017. */
gr_module *gr_alpha_dropout_layer(gr_model *m, double p)
{
    return dropout_layer(m, "alpha_dropout", gr_alpha_dropout, same, p);
}
