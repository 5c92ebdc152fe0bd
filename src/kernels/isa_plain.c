/* isa_plain.c - the one instance where there is no choice. */
/* SPDX-License-Identifier: MIT */
#include "kernels.h"

extern const gr__kernels gr__kernels_f32_baseline, gr__kernels_f64_baseline;

static bool always(void)
{
    return true;
}

const gr__isa gr__isas[] = {
    {"baseline", always, &gr__kernels_f32_baseline, &gr__kernels_f64_baseline, NULL, NULL, NULL, NULL},
};
const int gr__isa_count = sizeof gr__isas / sizeof *gr__isas;
