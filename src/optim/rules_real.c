/* rules_real.c - the rules of the optimizers, for one dtype: REAL, named DTYPE.
 *
 * g is the gradient, w the parameter, t the step; the sums s, v and u start at 0.
 *
 *   sgd       w -= lr g
 *   momentum  v = momentum v + (1 - dampening) g, at first g       w -= lr v
 *   nesterov  the same v                                           w -= lr (g + momentum v)
 *   adagrad   s += g^2          w -= lr / (1 + (t-1) lr_decay) g / (sqrt(s) + eps)
 *   adadelta  s = rho s + (1-rho) g^2          d = sqrt(u + eps) / sqrt(s + eps) g
 *             u = rho u + (1-rho) d^2          w -= lr d
 *   rmsprop   s = alpha s + (1-alpha) g^2      a = alpha a + (1-alpha) g, 0 if not centered
 *             v = momentum v + g / (sqrt(s - a^2) + eps)           w -= lr v
 *   adam      m = beta1 m + (1-beta1) g        m^ = m / (1 - beta1^t)
 *             v = beta2 v + (1-beta2) g^2      v^ = v / (1 - beta2^t)
 *             w -= lr m^ / (sqrt(v^) + eps)
 *   amsgrad   the same with the largest v so far
 *   adamax    the same m                u = max(beta2 u, |g| + eps)     w -= lr m^ / u
 *   nadam     the same m, v             mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2)
 *             w -= lr ((1-mu_t) g / (1 - mu_1..mu_t) + mu_t+1 m / (1 - mu_1..mu_t+1))
 *                  / (sqrt(v^) + eps)
 *   radam     the same m, v             r_t = 2/(1-beta2) - 1 - 2 t beta2^t / (1 - beta2^t)
 *             w -= lr m^ sqrt(1 - beta2^t) / (sqrt(v) + eps) rect(r_t)    while r_t > 5
 *             w -= lr m^                                                  else
 *   rprop     h *= eta_plus where g g' > 0, eta_minus where g g' < 0; g = 0 there; w -= h sign(g)
 *   lion      w -= lr sign(beta1 m + (1-beta1) g)                  m = beta2 m + (1-beta2) g
 */
/* SPDX-License-Identifier: MIT */
#include "optimizer.h"

#include <tgmath.h>

/* clang makes the resolvers of cloned functions global: their names must differ by dtype. */
#define JOINED(name, dtype) name##_##dtype
#define NAMED(name, dtype) JOINED(name, dtype)
#define RULE(name) NAMED(name, DTYPE)

static inline REAL sign_of(REAL x)
{
    return (REAL)((x > 0) - (x < 0));
}

/* --- one rate for all --- */

GR__CLONES static void RULE(sgd)(const gr_update *u)
{
    const REAL lr = (REAL)u->lr;
    const REAL *restrict g = u->g;
    REAL *restrict w = u->w;
    for (int64_t i = 0; i < u->n; i++) w[i] -= lr * g[i];
}

GR__CLONES static void RULE(momentum)(const gr_update *u)
{
    const gr_sgd_options *o = u->options;
    const REAL lr = (REAL)u->lr, keep = (REAL)u->momentum;
    const REAL part = u->step == 1 ? 1 : (REAL)(1 - o->dampening);
    const bool nesterov = o->nesterov;
    const REAL *restrict g = u->g;
    REAL *restrict w = u->w, *restrict v = u->state[0];
    for (int64_t i = 0; i < u->n; i++) {
        v[i] = keep * v[i] + part * g[i];
        w[i] -= lr * (nesterov ? g[i] + keep * v[i] : v[i]);
    }
}

GR__CLONES static void RULE(lion)(const gr_update *u)
{
    const gr_lion_options *o = u->options;
    const REAL lr = (REAL)u->lr, beta1 = (REAL)u->momentum, rest1 = (REAL)(1 - u->momentum);
    const REAL beta2 = (REAL)o->beta2, rest2 = (REAL)(1 - o->beta2);
    const REAL *restrict g = u->g;
    REAL *restrict w = u->w, *restrict m = u->state[0];
    for (int64_t i = 0; i < u->n; i++) {
        w[i] -= lr * sign_of(beta1 * m[i] + rest1 * g[i]);
        m[i] = beta2 * m[i] + rest2 * g[i];
    }
}

/* --- rates by the size of past gradients --- */

GR__CLONES static void RULE(adagrad)(const gr_update *u)
{
    const gr_adagrad_options *o = u->options;
    const REAL lr = (REAL)(u->lr / (1 + (double)(u->step - 1) * o->lr_decay)), eps = (REAL)o->eps;
    const REAL *restrict g = u->g;
    REAL *restrict w = u->w, *restrict s = u->state[0];
    for (int64_t i = 0; i < u->n; i++) {
        s[i] += g[i] * g[i];
        w[i] -= lr * g[i] / (sqrt(s[i]) + eps);
    }
}

GR__CLONES static void RULE(adadelta)(const gr_update *u)
{
    const gr_adadelta_options *o = u->options;
    const REAL lr = (REAL)u->lr, eps = (REAL)o->eps;
    const REAL rho = (REAL)o->rho, rest = (REAL)(1 - o->rho);
    const REAL *restrict g = u->g;
    REAL *restrict w = u->w, *restrict s = u->state[0], *restrict moved = u->state[1];
    for (int64_t i = 0; i < u->n; i++) {
        s[i] = rho * s[i] + rest * g[i] * g[i];
        REAL d = sqrt(moved[i] + eps) / sqrt(s[i] + eps) * g[i];
        moved[i] = rho * moved[i] + rest * d * d;
        w[i] -= lr * d;
    }
}

/* The states are square_avg, then grad_avg if centered, then momentum_buffer if there is momentum:
 * what is missing keeps its 0 in a variable. */
GR__CLONES static void RULE(rmsprop)(const gr_update *u)
{
    const gr_rmsprop_options *o = u->options;
    const REAL lr = (REAL)u->lr, eps = (REAL)o->eps, keep = (REAL)u->momentum;
    const REAL alpha = (REAL)o->alpha, rest = (REAL)(1 - o->alpha);
    const REAL *restrict g = u->g;
    REAL *restrict w = u->w, *restrict s = u->state[0];
    REAL *restrict a = o->centered ? u->state[1] : NULL;
    REAL *restrict v = o->momentum > 0 ? u->state[o->centered ? 2 : 1] : NULL;
    for (int64_t i = 0; i < u->n; i++) {
        REAL mean = 0;
        s[i] = alpha * s[i] + rest * g[i] * g[i];
        if (a) mean = a[i] = alpha * a[i] + rest * g[i];
        REAL d = g[i] / (sqrt(s[i] - mean * mean) + eps);
        if (v) d = v[i] = keep * v[i] + d;
        w[i] -= lr * d;
    }
}

/* --- moments; `begin` (adam.c) has left what depends on t alone --- */

/* scalar: lr / (1 - beta1^t), sqrt(1 - beta2^t) */
GR__CLONES static void RULE(adam)(const gr_update *u)
{
    const gr_adam_options *o = u->options;
    const REAL step = (REAL)u->scalar[0], root = (REAL)u->scalar[1], eps = (REAL)o->eps;
    const REAL beta1 = (REAL)u->momentum, rest1 = (REAL)(1 - u->momentum);
    const REAL beta2 = (REAL)o->beta2, rest2 = (REAL)(1 - o->beta2);
    const REAL *restrict g = u->g;
    REAL *restrict w = u->w, *restrict m = u->state[0], *restrict v = u->state[1];
    for (int64_t i = 0; i < u->n; i++) {
        m[i] = beta1 * m[i] + rest1 * g[i];
        v[i] = beta2 * v[i] + rest2 * g[i] * g[i];
        w[i] -= step * m[i] / (sqrt(v[i]) / root + eps);
    }
}

/* scalar: as adam's */
GR__CLONES static void RULE(amsgrad)(const gr_update *u)
{
    const gr_adam_options *o = u->options;
    const REAL step = (REAL)u->scalar[0], root = (REAL)u->scalar[1], eps = (REAL)o->eps;
    const REAL beta1 = (REAL)u->momentum, rest1 = (REAL)(1 - u->momentum);
    const REAL beta2 = (REAL)o->beta2, rest2 = (REAL)(1 - o->beta2);
    const REAL *restrict g = u->g;
    REAL *restrict w = u->w, *restrict m = u->state[0], *restrict v = u->state[1];
    REAL *restrict most = u->state[2];
    for (int64_t i = 0; i < u->n; i++) {
        m[i] = beta1 * m[i] + rest1 * g[i];
        v[i] = beta2 * v[i] + rest2 * g[i] * g[i];
        most[i] = most[i] > v[i] ? most[i] : v[i];
        w[i] -= step * m[i] / (sqrt(most[i]) / root + eps);
    }
}

/* scalar: lr / (1 - beta1^t) */
GR__CLONES static void RULE(adamax)(const gr_update *u)
{
    const gr_adamax_options *o = u->options;
    const REAL step = (REAL)u->scalar[0], eps = (REAL)o->eps, beta2 = (REAL)o->beta2;
    const REAL beta1 = (REAL)u->momentum, rest1 = (REAL)(1 - u->momentum);
    const REAL *restrict g = u->g;
    REAL *restrict w = u->w, *restrict m = u->state[0], *restrict most = u->state[1];
    for (int64_t i = 0; i < u->n; i++) {
        REAL faded = beta2 * most[i], size = fabs(g[i]) + eps;
        m[i] = beta1 * m[i] + rest1 * g[i];
        most[i] = faded > size ? faded : size;
        w[i] -= step * m[i] / most[i];
    }
}

/* scalar: the product of mu_1 .. mu_t, the factors of g and m, 1 - beta2^t */
GR__CLONES static void RULE(nadam)(const gr_update *u)
{
    const gr_nadam_options *o = u->options;
    const REAL of_g = (REAL)u->scalar[1], of_m = (REAL)u->scalar[2], rest = (REAL)u->scalar[3];
    const REAL beta1 = (REAL)u->momentum, rest1 = (REAL)(1 - u->momentum);
    const REAL beta2 = (REAL)o->beta2, rest2 = (REAL)(1 - o->beta2), eps = (REAL)o->eps;
    const REAL *restrict g = u->g;
    REAL *restrict w = u->w, *restrict m = u->state[0], *restrict v = u->state[1];
    for (int64_t i = 0; i < u->n; i++) {
        m[i] = beta1 * m[i] + rest1 * g[i];
        v[i] = beta2 * v[i] + rest2 * g[i] * g[i];
        w[i] -= (of_g * g[i] + of_m * m[i]) / (sqrt(v[i] / rest) + eps);
    }
}

/* scalar: lr / (1 - beta1^t), and sqrt(1 - beta2^t) rect(r_t), 0 while r_t is at most 5 */
GR__CLONES static void RULE(radam)(const gr_update *u)
{
    const gr_radam_options *o = u->options;
    const REAL step = (REAL)u->scalar[0], rect = (REAL)u->scalar[1], eps = (REAL)o->eps;
    const REAL beta1 = (REAL)u->momentum, rest1 = (REAL)(1 - u->momentum);
    const REAL beta2 = (REAL)o->beta2, rest2 = (REAL)(1 - o->beta2);
    const bool adapts = u->scalar[1] > 0;
    const REAL *restrict g = u->g;
    REAL *restrict w = u->w, *restrict m = u->state[0], *restrict v = u->state[1];
    for (int64_t i = 0; i < u->n; i++) {
        m[i] = beta1 * m[i] + rest1 * g[i];
        v[i] = beta2 * v[i] + rest2 * g[i] * g[i];
        w[i] -= step * m[i] * (adapts ? rect / (sqrt(v[i]) + eps) : 1);
    }
}

/* --- signs alone --- */

GR__CLONES static void RULE(rprop)(const gr_update *u)
{
    const gr_rprop_options *o = u->options;
    const REAL minus = (REAL)o->eta_minus, plus = (REAL)o->eta_plus;
    const REAL least = (REAL)o->step_min, most = (REAL)o->step_max;
    const REAL *restrict g = u->g;
    REAL *restrict w = u->w, *restrict before = u->state[0], *restrict h = u->state[1];
    for (int64_t i = 0; i < u->n; i++) {
        REAL same = sign_of(g[i] * before[i]);
        REAL step = (u->step == 1 ? (REAL)u->lr : h[i]) * (same > 0 ? plus : same < 0 ? minus : 1);
        REAL d = same < 0 ? 0 : g[i];
        h[i] = step < least ? least : step > most ? most : step;
        before[i] = d;
        w[i] -= h[i] * sign_of(d);
    }
}

const gr__rules RULES = {RULE(sgd),     RULE(momentum), RULE(adagrad), RULE(adadelta),
                         RULE(rmsprop), RULE(adam),     RULE(amsgrad), RULE(adamax),
                         RULE(nadam),   RULE(radam),    RULE(rprop),   RULE(lion)};
