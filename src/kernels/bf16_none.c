/* bf16_none.c - in place of bf16_avx512.c where the compiler does not know AVX512-BF16. */
/* SPDX-License-Identifier: MIT */
#include "bf16.h"

extern const gr__bf16_kernels INSTANCE;

const gr__bf16_kernels INSTANCE = {NULL, NULL, NULL, NULL, NULL, NULL};
