/* isa_x86.c - the instances on x86-64. Each asks for what the build let its compiler use. */
/* SPDX-License-Identifier: MIT */
#include "kernels.h"

extern const gr__kernels gr__kernels_f32_baseline, gr__kernels_f64_baseline;
extern const gr__kernels gr__kernels_f32_avx2, gr__kernels_f64_avx2;
extern const gr__kernels gr__kernels_f32_avx512, gr__kernels_f64_avx512;
extern const gr__bf16_kernels gr__bf16_avx512;
extern const gr__winograd_kernels *const gr__fixed_avx512;

static bool always(void)
{
    return true;
}

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}

static bool has_avx512_bf16(void)
{
    return __builtin_cpu_supports("avx512bf16");
}

static bool has_avx512_vnni(void)
{
    return __builtin_cpu_supports("avx512vnni");
}

const gr__isa gr__isas[] = {
    {"avx512", has_avx512, &gr__kernels_f32_avx512, &gr__kernels_f64_avx512, &gr__bf16_avx512,
     has_avx512_bf16, &gr__fixed_avx512, has_avx512_vnni},
    {"avx2", has_avx2, &gr__kernels_f32_avx2, &gr__kernels_f64_avx2, NULL, NULL, NULL, NULL},
    {"baseline", always, &gr__kernels_f32_baseline, &gr__kernels_f64_baseline, NULL, NULL, NULL,
     NULL},
};
const int gr__isa_count = sizeof gr__isas / sizeof *gr__isas;
