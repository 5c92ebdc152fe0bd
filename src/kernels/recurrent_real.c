/* recurrent_real.c - one row of a recurrent cell, for one dtype and instruction set. */
/* SPDX-License-Identifier: MIT */
#include "elementary.h"
#include "instance.h"
#include "recurrent.h"

/* y = a + s, or a where there is no s; y may be a. */
static ALWAYS_INLINE void cell_sum(int64_t n, const REAL *a, const REAL *s, REAL *y)
{
    if (s)
        for (int64_t i = 0; i < n; i++) y[i] = a[i] + s[i];
    else if (y != a) memcpy(y, a, (size_t)n * sizeof *y);
}

static ALWAYS_INLINE void cell_sigmoid(int64_t n, REAL *y)
{
    for (int64_t i = 0; i < n; i++) y[i] = gr__sigmoid(y[i]);
}

static ALWAYS_INLINE void cell_tanh(int64_t n, REAL *y)
{
    for (int64_t i = 0; i < n; i++) y[i] = gr__tanh(y[i]);
}

/* --- plain --- */

static void rnn_row(int64_t n, bool relu, const void *a, const void *s, void *h)
{
    REAL *restrict y = h;
    cell_sum(n, a, s, y);
    if (relu)
        for (int64_t i = 0; i < n; i++) y[i] = y[i] <= 0 ? 0 : y[i];
    else cell_tanh(n, y);
}

static void rnn_grad_row(int64_t n, bool relu, const void *h, const void *dy, const void *dh,
                         void *da)
{
    const REAL *restrict y = h;
    REAL *restrict d = da;
    cell_sum(n, dh, dy, d);
    if (relu)
        for (int64_t i = 0; i < n; i++) d[i] = y[i] > 0 ? d[i] : 0;
    else
        for (int64_t i = 0; i < n; i++) d[i] *= 1 - y[i] * y[i];
}

/* --- LSTM --- */

static void lstm_row(int64_t n, const void *a, const void *s, const void *c, void *gates,
                     void *c_out, void *h)
{
    REAL *restrict i = gates, *f = i + n, *g = f + n, *o = g + n;
    REAL *restrict y = h, *now = c_out;
    const REAL *before = c;
    cell_sum(4 * n, a, s, i);
    cell_sigmoid(2 * n, i);
    cell_tanh(n, g);
    cell_sigmoid(n, o);
    for (int64_t k = 0; k < n; k++) now[k] = f[k] * before[k] + i[k] * g[k];
    for (int64_t k = 0; k < n; k++) y[k] = o[k] * gr__tanh(now[k]);
}

static void lstm_grad_row(int64_t n, const void *gates, const void *c, const void *c_out,
                          const void *dy, const void *dh, void *dc, void *da)
{
    const REAL *i = gates, *f = i + n, *g = f + n, *o = g + n, *before = c, *now = c_out;
    REAL *di = da, *df = di + n, *dg = df + n, *d_o = dg + n, *dcell = dc;
    cell_sum(n, dh, dy, d_o);
    APART
    for (int64_t k = 0; k < n; k++) {
        const REAL t = gr__tanh(now[k]), total = d_o[k];
        const REAL cell = dcell[k] + total * o[k] * (1 - t * t);
        di[k] = cell * g[k] * i[k] * (1 - i[k]);
        df[k] = cell * before[k] * f[k] * (1 - f[k]);
        dg[k] = cell * i[k] * (1 - g[k] * g[k]);
        d_o[k] = total * t * o[k] * (1 - o[k]);
        dcell[k] = cell * f[k];
    }
}

/* --- GRU --- */

/* y = a + s + b, or a + s where there is no b */
static ALWAYS_INLINE void cell_gates(int64_t n, const REAL *a, const REAL *s, const REAL *b,
                                     REAL *restrict y)
{
    if (!b) cell_sum(n, a, s, y);
    else
        for (int64_t i = 0; i < n; i++) y[i] = a[i] + s[i] + b[i];
}

static void gru_row(int64_t n, const void *a, const void *s, const void *b, const void *h,
                    void *gates, void *h_out)
{
    REAL *restrict r = gates, *z = r + n, *fresh = z + n, *inner = fresh + n, *restrict y = h_out;
    const REAL *in = a, *sum = s, *before = h;
    cell_gates(2 * n, in, sum, b, r);
    cell_sigmoid(2 * n, r);
    cell_sum(n, sum + 2 * n, b ? (const REAL *)b + 2 * n : NULL, inner);
    for (int64_t k = 0; k < n; k++) fresh[k] = in[2 * n + k] + r[k] * inner[k];
    cell_tanh(n, fresh);
    for (int64_t k = 0; k < n; k++) y[k] = (1 - z[k]) * fresh[k] + z[k] * before[k];
}

static void gru_grad_row(int64_t n, const void *gates, const void *h, const void *dy, void *dh,
                         void *da, void *ds)
{
    const REAL *r = gates, *z = r + n, *fresh = z + n, *inner = fresh + n, *before = h;
    REAL *dr = da, *dz = dr + n, *dn = dz + n, *through = (REAL *)ds + 2 * n, *state = dh;
    cell_sum(n, dh, dy, state);
    APART
    for (int64_t k = 0; k < n; k++) {
        const REAL total = state[k];
        const REAL new = total *(1 - z[k]) * (1 - fresh[k] * fresh[k]);
        dr[k] = new *inner[k] * r[k] * (1 - r[k]);
        dz[k] = total * (before[k] - fresh[k]) * z[k] * (1 - z[k]);
        dn[k] = new;
        through[k] = new *r[k];
        state[k] = total * z[k];
    }
    memcpy(ds, da, 2 * (size_t)n * sizeof(REAL));
}
