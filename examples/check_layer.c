/* check_layer.c - a layer written by hand, with no graph: is its backward right? */
/* SPDX-License-Identifier: MIT */
#include <gradus/gradus.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { BATCH = 4, IN = 5, OUT = 3 };

/* y = tanh(x w + b), x [BATCH, IN], w [IN, OUT], b [OUT] */
static void dense_forward(const void *const *in, void *out, void *user)
{
    const double *x = in[0], *w = in[1], *b = in[2];
    double *y = out;
    (void)user;
    for (int i = 0; i < BATCH; i++)
        for (int j = 0; j < OUT; j++) {
            double z = b[j];
            for (int k = 0; k < IN; k++) z += x[i * IN + k] * w[k * OUT + j];
            y[i * OUT + j] = tanh(z);
        }
}

/* dz = dy (1 - y^2), dx = dz w', dw = x' dz, db = the sum of dz's rows */
static void dense_backward(const void *const *in, const void *out, const void *cotangent,
                           void *const *gradients, void *user)
{
    const double *x = in[0], *w = in[1], *y = out, *dy = cotangent;
    double *dx = gradients[0], *dw = gradients[1], *db = gradients[2];
    const double factor = user ? *(const double *)user : 1;
    memset(dx, 0, BATCH * IN * sizeof *dx);
    memset(dw, 0, IN * OUT * sizeof *dw);
    memset(db, 0, OUT * sizeof *db);
    for (int i = 0; i < BATCH; i++)
        for (int j = 0; j < OUT; j++) {
            const double dz = dy[i * OUT + j] * (1 - y[i * OUT + j] * y[i * OUT + j]);
            db[j] += factor * dz;
            for (int k = 0; k < IN; k++) {
                dx[i * IN + k] += dz * w[k * OUT + j];
                dw[k * OUT + j] += dz * x[i * IN + k];
            }
        }
}

/* [check] */
static gr_verdict check_dense(void *user)
{
    const gr_raw dense = {
        .name = "dense",
        .forward = dense_forward,
        .backward = dense_backward,
        .in = {{"x", .n = BATCH * IN}, {"w", .n = IN * OUT}, {"b", .n = OUT}},
        .out = BATCH * OUT,
        .user = user,
    };
    gr_check_report r;
    gr_gradcheck_raw(&dense, (gr_check_options){.seed = 1}, &r);
    printf("%s: %s, %s\n", dense.name, gr_verdict_name(r.verdict), r.message);
    return r.verdict;
}
/* [end] */

int main(void)
{
    double wrong = 0.5; /* a forgotten 2: the checker has to find it */
    return check_dense(NULL) != GR_PASS || check_dense(&wrong) != GR_FAIL;
}
