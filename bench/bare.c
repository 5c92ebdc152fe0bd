/* bare.c - the workloads chain and tiny by hand: loops over arrays, derivatives written down. */
/* SPDX-License-Identifier: MIT */
#include "bare.h"

#include <math.h>
#include <stddef.h>

enum { CHAIN = 100000, IN = 2, HIDDEN = 16 };

/* y_{i+1} = sin(a_i), a_i = 1.0001 y_i + 0.1; dy_i = 1.0001 cos(a_i) dy_{i+1}. */
double bare_chain(void)
{
    static double a[CHAIN];
    double y = 0.5, dy = 1;
    for (int i = 0; i < CHAIN; i++) {
        a[i] = y * 1.0001 + 0.1;
        y = sin(a[i]);
    }
    for (int i = CHAIN - 1; i >= 0; i--) dy *= 1.0001 * cos(a[i]);
    return y + dy;
}

/* 2 - 16 - 16 - 1 with tanh. */
static struct {
    float w1[HIDDEN][IN], b1[HIDDEN], w2[HIDDEN][HIDDEN], b2[HIDDEN], w3[HIDDEN], b3;
} net = {.b1 = {0.1f}, .b2 = {0.2f}, .w3 = {0.3f}};

/* y = tanh(w x + b). */
static void layer(int in, const float *w, const float *b, const float *x, float *y)
{
    for (int i = 0; i < HIDDEN; i++) {
        float sum = b[i];
        for (int k = 0; k < in; k++) sum += w[i * in + k] * x[k];
        y[i] = tanhf(sum);
    }
}

/* Adds w^T da to dx, unless NULL, and steps against da x^T and da. */
static void step(int in, float *w, float *b, const float *x, const float *da, float lr, float *dx)
{
    for (int i = 0; i < HIDDEN; i++) {
        for (int k = 0; k < in; k++) {
            if (dx) dx[k] += w[i * in + k] * da[i];
            w[i * in + k] -= lr * da[i] * x[k];
        }
        b[i] -= lr * da[i];
    }
}

double bare_tiny(void)
{
    const float x[IN] = {0.3f, -0.7f}, target = 0.5f, lr = 0.01f;
    float h1[HIDDEN], h2[HIDDEN], da1[HIDDEN] = {0}, da2[HIDDEN], y = net.b3;
    layer(IN, *net.w1, net.b1, x, h1);
    layer(HIDDEN, *net.w2, net.b2, h1, h2);
    for (int i = 0; i < HIDDEN; i++) y += net.w3[i] * h2[i];

    const float dy = 2 * (y - target);
    for (int i = 0; i < HIDDEN; i++) {
        da2[i] = dy * net.w3[i] * (1 - h2[i] * h2[i]);
        net.w3[i] -= lr * dy * h2[i];
    }
    net.b3 -= lr * dy;
    step(HIDDEN, *net.w2, net.b2, h1, da2, lr, da1);
    for (int i = 0; i < HIDDEN; i++) da1[i] *= 1 - h1[i] * h1[i];
    step(IN, *net.w1, net.b1, x, da1, lr, NULL);
    return y;
}
