/* fixed_avx512.c - Winograd's algorithm by the AVX512-VNNI instructions; see
 * conv_winograd_fixed.c. Each file stands on those above it. */
/* SPDX-License-Identifier: MIT */
#include "conv.h"

#include "conv_winograd_real.c"

#include "fixed_product.c"

#include "conv_winograd_fixed.c"

#include "conv_winograd_tasks_real.c"

#include "conv_winograd_weight_real.c"

extern const gr__winograd_kernels *const INSTANCE;

const gr__winograd_kernels *const INSTANCE = winograd_kernels;
