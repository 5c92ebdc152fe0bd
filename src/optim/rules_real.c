/* rules_real.c - the rules of the optimizers, for one dtype: REAL, named DTYPE.
 *
 *   d = g + decay w                                    g the gradient, w the parameter
 *   sgd       w -= lr d
 *   momentum  v = momentum v + d                       w -= lr v
 *   nesterov  the same v                               w -= lr (d + momentum v)
 *   adam      m = beta1 m + (1 - beta1) d              m^ = m / (1 - beta1^t)
 *             v = beta2 v + (1 - beta2) d^2            v^ = v / (1 - beta2^t)
 *             w -= lr m^ / (sqrt(v^) + eps)
 */
/* SPDX-License-Identifier: MIT */
#include "optimizer.h"

#include <tgmath.h>

/* clang makes the resolvers of cloned functions global: their names must differ by dtype. */
#define JOINED(name, dtype) name##_##dtype
#define NAMED(name, dtype) JOINED(name, dtype)
#define RULE(name) NAMED(name, DTYPE)

GR__CLONES static void RULE(sgd)(const gr_update *u)
{
    const gr_sgd_options *o = u->options;
    const REAL lr = (REAL)u->lr, decay = (REAL)o->weight_decay;
    const REAL *restrict g = u->g;
    REAL *restrict w = u->w;
    for (int64_t i = 0; i < u->n; i++) w[i] -= lr * (g[i] + decay * w[i]);
}

GR__CLONES static void RULE(momentum)(const gr_update *u)
{
    const gr_sgd_options *o = u->options;
    const REAL lr = (REAL)u->lr, decay = (REAL)o->weight_decay, keep = (REAL)o->momentum;
    const bool nesterov = o->nesterov;
    const REAL *restrict g = u->g;
    REAL *restrict w = u->w, *restrict v = u->state[0];
    for (int64_t i = 0; i < u->n; i++) {
        REAL d = g[i] + decay * w[i];
        v[i] = keep * v[i] + d;
        w[i] -= lr * (nesterov ? d + keep * v[i] : v[i]);
    }
}

GR__CLONES static void RULE(adam)(const gr_update *u)
{
    const gr_adam_options *o = u->options;
    const double t = (double)u->step;
    const double correction1 = 1 - pow(o->beta1, t), correction2 = 1 - pow(o->beta2, t);
    const REAL step = (REAL)(u->lr / correction1), root = (REAL)sqrt(correction2);
    const REAL beta1 = (REAL)o->beta1, rest1 = (REAL)(1 - o->beta1);
    const REAL beta2 = (REAL)o->beta2, rest2 = (REAL)(1 - o->beta2);
    const REAL eps = (REAL)o->eps, decay = (REAL)o->weight_decay;
    const REAL *restrict g = u->g;
    REAL *restrict w = u->w, *restrict m = u->state[0], *restrict v = u->state[1];
    for (int64_t i = 0; i < u->n; i++) {
        REAL d = g[i] + decay * w[i];
        m[i] = beta1 * m[i] + rest1 * d;
        v[i] = beta2 * v[i] + rest2 * d * d;
        w[i] -= step * m[i] / (sqrt(v[i]) / root + eps);
    }
}

const gr__rules RULES = {RULE(sgd), RULE(momentum), RULE(adam)};
