/* fixed_none.c - in place of fixed_avx512.c where the compiler does not know AVX512-VNNI. */
/* SPDX-License-Identifier: MIT */
#include "conv.h"

extern const gr__winograd_kernels *const INSTANCE;

const gr__winograd_kernels *const INSTANCE = NULL;
