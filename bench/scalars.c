/* scalars.c - what one op costs beside its arithmetic: y = sin(1.0001 y + 0.1), n times, on one
 * double; recording, evaluation and backward together, from 10^3 to 10^6 steps.
 *
 *   build/bench/scalars [ROUNDS]
 *
 * Prints the best of ROUNDS (default 10) in nanoseconds for each of the 3 n recorded ops: values
 * read at the end only, or at every step. */
/* SPDX-License-Identifier: MIT */
#include <gradus/gradus.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { OPS_PER_STEP = 3 };

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

/* Nanoseconds of one pass, INFINITY after an error. */
static double pass(gr_graph *g, gr_param *p, long steps, bool read)
{
    gr_param_clear_grad(p);
    const double start = now_ns();
    gr_tensor *y = gr_use(g, p);
    for (long i = 0; i < steps; i++) {
        y = gr_sin(gr_shift(gr_scale(y, 1.0001), 0.1));
        if (read) gr_item(y);
    }
    const bool failed = gr_backward(y) || !isfinite(gr_item(y));
    gr_graph_reset(g);
    return failed ? INFINITY : now_ns() - start;
}

int main(int argc, char **argv)
{
    const double one = 1;
    const int rounds = argc > 1 ? atoi(argv[1]) : 10;
    gr_param *p = gr_param_new("y", GR_F64, GR_SHAPE(1), &one);
    gr_graph *g = gr_graph_new();
    bool fine = true;
    printf("%8s  %12s  %12s\n", "steps", "ns/op", "read: ns/op");
    for (long steps = 1000; steps <= 1000000; steps *= 10) {
        double best[2] = {INFINITY, INFINITY};
        for (int r = 0; r < rounds; r++)
            for (int read = 0; read < 2; read++)
                best[read] = fmin(best[read], pass(g, p, steps, read));
        const double ops = (double)(OPS_PER_STEP * steps);
        printf("%8ld  %12.1f  %12.1f\n", steps, best[0] / ops, best[1] / ops);
        fine &= isfinite(best[0]) && isfinite(best[1]);
    }
    gr_graph_free(g);
    gr_param_release(p);
    return !fine;
}
