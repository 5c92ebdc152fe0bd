/* threads.c - the one pool of threads: OpenMP's, which OpenBLAS shares. */
/* SPDX-License-Identifier: MIT */
#include "base.h"

#include <omp.h>

void gr_set_threads(int n)
{
    omp_set_num_threads(n > 0 ? n : omp_get_num_procs());
}

int gr_threads(void)
{
    return omp_get_max_threads();
}

void gr__parallel_for(int64_t n, int64_t grain, gr__range_fn *body, void *ctx)
{
    if (grain < 1) grain = 1;
    int64_t chunks = (n + grain - 1) / grain;
    if (chunks <= 1 || omp_get_max_threads() == 1 || omp_in_parallel()) {
        for (int64_t i = 0; i < n; i += grain) body(ctx, i, i + grain < n ? i + grain : n);
        return;
    }
#pragma omp parallel for schedule(dynamic)
    for (int64_t c = 0; c < chunks; c++) {
        int64_t begin = c * grain, end = begin + grain < n ? begin + grain : n;
        body(ctx, begin, end);
    }
}
