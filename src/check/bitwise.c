/* bitwise.c - stage S5: the number of threads changes no bit of the result or its gradient. */
/* SPDX-License-Identifier: MIT */
#include "stages.h"

#include <string.h>

typedef struct results {
    double *y, *dx;
} results;

static bool make_room(gr__function *f, results *r)
{
    r->y = gr__doubles(f, f->n_y);
    r->dx = gr__doubles(f, f->n_x);
    return r->y && r->dx;
}

static bool compute(gr__function *f, int threads, const double *v, const results *r)
{
    gr_set_threads(threads);
    return f->eval(f, f->x, r->y, NULL) && f->vjp(f, f->x, v, r->dx);
}

static void compare(const gr__function *f, const results *one, const results *many, int threads,
                    gr_check_report *report)
{
    const size_t y = (size_t)f->n_y * sizeof(double), dx = (size_t)f->n_x * sizeof(double);
    if (memcmp(one->y, many->y, y) != 0)
        gr__report(report, GR_FAIL, "S5", "the result depends on the number of threads: 1 or %d",
                   threads);
    else if (memcmp(one->dx, many->dx, dx) != 0)
        gr__report(report, GR_FAIL, "S5", "the gradient depends on the number of threads: 1 or %d",
                   threads);
}

/* Changes the number of threads for a while: not beside other work of the library. */
void gr__check_threads(gr__function *f, uint64_t seed, gr_check_report *report)
{
    const int before = gr_threads(), counts[] = {2, before > 2 ? before : 3};
    results one, many;
    double *v = gr__doubles(f, f->n_y);
    if (!v || !make_room(f, &one) || !make_room(f, &many)) {
        gr__report(report, GR_FAIL, "S5", "out of memory");
        return;
    }
    gr__draw_signs(gr__hash_join(seed, 5), v, f->n_y);
    bool fine = compute(f, 1, v, &one);
    for (int i = 0; i < 2 && fine; i++) {
        fine = compute(f, counts[i], v, &many);
        if (fine) compare(f, &one, &many, counts[i], report);
    }
    gr_set_threads(before);
    if (!fine) gr__report_fault(report, f);
}
