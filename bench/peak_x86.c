/* peak_x86.c - multiply-adds on x86-64. Many sums at a time hide the latency of each: 4 cycles, 6 of
 * bfloat16, two units. */
/* SPDX-License-Identifier: MIT */
#include "peak.h"

#include <immintrin.h>
#include <stddef.h>

enum { SUMS = 12, SUMS_BF16 = 16 };

static volatile float sink; /* so that no loop is left out */

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f");
}

static bool has_bf16(void)
{
    return __builtin_cpu_supports("avx512bf16");
}

__attribute__((target("avx2,fma"))) static double run_avx2(int64_t rounds)
{
    const __m256 a = _mm256_set1_ps(0.5f), b = _mm256_set1_ps(1.5f);
    __m256 sum[SUMS];
    for (int k = 0; k < SUMS; k++) sum[k] = _mm256_set1_ps((float)k);
    for (int64_t i = 0; i < rounds; i++)
        for (int k = 0; k < SUMS; k++) sum[k] = _mm256_fmadd_ps(sum[k], a, b);
    for (int k = 1; k < SUMS; k++) sum[0] = _mm256_add_ps(sum[0], sum[k]);
    sink = _mm256_cvtss_f32(sum[0]);
    return 2.0 * 8 * SUMS * (double)rounds;
}

__attribute__((target("avx512f"))) static double run_avx512(int64_t rounds)
{
    const __m512 a = _mm512_set1_ps(0.5f), b = _mm512_set1_ps(1.5f);
    __m512 sum[SUMS];
    for (int k = 0; k < SUMS; k++) sum[k] = _mm512_set1_ps((float)k);
    for (int64_t i = 0; i < rounds; i++)
        for (int k = 0; k < SUMS; k++) sum[k] = _mm512_fmadd_ps(sum[k], a, b);
    for (int k = 1; k < SUMS; k++) sum[0] = _mm512_add_ps(sum[0], sum[k]);
    sink = _mm512_cvtss_f32(sum[0]);
    return 2.0 * 16 * SUMS * (double)rounds;
}

/* Pairs of bfloat16, added up in float. */
__attribute__((target("avx512f,avx512bf16"))) static double run_bf16(int64_t rounds)
{
    const __m512bh a = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.5f), _mm512_set1_ps(0.25f));
    __m512 sum[SUMS_BF16];
    for (int k = 0; k < SUMS_BF16; k++) sum[k] = _mm512_set1_ps((float)k);
    for (int64_t i = 0; i < rounds; i++)
        for (int k = 0; k < SUMS_BF16; k++) sum[k] = _mm512_dpbf16_ps(sum[k], a, a);
    for (int k = 1; k < SUMS_BF16; k++) sum[0] = _mm512_add_ps(sum[0], sum[k]);
    sink = _mm512_cvtss_f32(sum[0]);
    return 2.0 * 32 * SUMS_BF16 * (double)rounds;
}

const peak peaks[] = {
    {"avx2", has_avx2, run_avx2},
    {"avx512", has_avx512, run_avx512},
    {"avx512_bf16", has_bf16, run_bf16},
    {NULL, NULL, NULL},
};
