/* finite_real.c - whether all of an array is finite; part of instance.c. */
/* SPDX-License-Identifier: MIT */

/* 0 x is NaN for NaN and infinities alone, and stays so in a sum. */
static bool finite(const void *data, int64_t n)
{
    enum { STEP = 4 * VEC_LANES };
    const REAL *x = data;
    const vec zero = {0};
    vec sum[4] = {zero, zero, zero, zero};
    REAL rest = 0;
    int64_t i = 0;
    for (; i + STEP <= n; i += STEP) {
        UNROLL
        for (int k = 0; k < 4; k++) sum[k] += zero * vec_load(x + i + k * VEC_LANES);
    }
    for (; i < n; i++) rest += 0 * x[i];
    return vec_sum((sum[0] + sum[1]) + (sum[2] + sum[3])) + rest == 0;
}
